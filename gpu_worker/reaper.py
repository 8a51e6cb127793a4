"""Every five seconds: takes back expired leases, rings lost doorbells again, ends lost answers and late uploads."""

from __future__ import annotations

import logging
import signal
import threading

from core.host import egress

egress.install()

# After the guard: whatever Django imports is guarded from its first line.
import django  # noqa: E402
from django.db import DatabaseError, close_old_connections  # noqa: E402
from django.utils import timezone  # noqa: E402

from core.settings.env import env, environment_default  # noqa: E402

PERIOD_S = 5.0

logger = logging.getLogger(__name__)


def main() -> None:
    """Reap until SIGTERM."""
    environment_default(DJANGO_SETTINGS_MODULE="core.settings.base")
    django.setup(set_prefix=False)
    from core.answers.service import answers_reap
    from core.jobs.service import leases_reap
    from core.jobs.uploads import uploads_sweep
    from core.segments.fill import fills_reap

    logging.basicConfig(level=env().log_level, format="%(asctime)s reaper %(levelname)s %(message)s")
    ended = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: ended.set())
    while not ended.wait(PERIOD_S):
        try:
            close_old_connections()
            recovered = leases_reap(now=timezone.now()) + fills_reap(now=timezone.now())
            answers_reap(now=timezone.now())
            uploads_sweep(now=timezone.now())
        except DatabaseError:
            logger.warning("the database is away; the next round follows", exc_info=True)
            continue
        if recovered:
            logger.info("took back %d expired leases", recovered)


if __name__ == "__main__":
    main()
