"""Measures what each engine of a profile takes at most: ``python -m gpu_worker.probe [ROLE ...] [--ship]``.

One engine after the other is loaded, given the largest batch that the profile allows, and ended. A host does the same
at an engine's first load; measured beforehand, nobody waits for it. ``--ship`` writes configs/peaks.json.
"""

from __future__ import annotations

import argparse
import asyncio
import dataclasses
import json
import logging
import sys
from collections.abc import Sequence

from core.host import egress
from core.host.devices import CPU, devices_find
from core.host.paths import home_layout
from core.host.peaks import FILE_NAME, SHIPPED, Peak, PeakStore, peak_key
from core.settings.env import env
from core.settings.profile import RoleConfig, profile
from gpu_worker.engine_child import EngineChild
from gpu_worker.memory_ledger import MemoryLedger
from gpu_worker.places import model_store
from inference.errors import InferenceError

logger = logging.getLogger(__name__)


async def probe_all(places: Sequence[RoleConfig]) -> dict[str, Peak]:
    """Measure engines one after the other; one that fails is named and left out."""
    store = model_store()
    run = home_layout(env().home_path).run
    run.mkdir(parents=True, exist_ok=True)
    ledger = MemoryLedger(profile().budgets_mib(), PeakStore(run / FILE_NAME), store.catalog)
    found = {}
    for place in places:
        try:
            peak = await _probe(place, ledger)
        except InferenceError as error:
            logger.warning("role '%s' was not measured: %s", place.role, error)
            continue
        logger.info("role '%s' took at most %.0f MiB, %.0f of the device", place.role, peak.mib, peak.device_mib)
        found[peak_key(place, store.catalog)] = peak
    return found


async def _probe(place: RoleConfig, ledger: MemoryLedger) -> Peak:
    folders = [model_store().folder(name) for name in place.models]
    device = devices_find().device(place.device)
    uuid = device.uuid if device is not None and place.device != CPU else ""
    child = await EngineChild.start(place, folders, device_uuid=uuid)
    try:
        await child.probe()
        return ledger.observe(place, child.pid, probed=True)
    finally:
        await child.end()


def main() -> None:
    """Measure and print; with ``--ship`` also write what a fresh host starts from."""
    egress.install()
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("roles", nargs="*", choices=[[], *profile().roles], metavar="ROLE")
    arguments.add_argument("--ship", action="store_true", help="join the figures into configs/peaks.json")
    chosen = arguments.parse_args()
    logging.basicConfig(level=env().log_level, format="%(asctime)s probe %(levelname)s %(message)s")
    wanted = chosen.roles or list(profile().roles)
    found = asyncio.run(probe_all([profile().roles[role].places()[0] for role in wanted]))
    if chosen.ship:
        shipped = PeakStore(SHIPPED)
        for key, peak in found.items():
            shipped.observe(key, peak)
    sys.stdout.write(json.dumps({key: dataclasses.asdict(peak) for key, peak in found.items()}, indent=1) + "\n")


if __name__ == "__main__":
    main()
