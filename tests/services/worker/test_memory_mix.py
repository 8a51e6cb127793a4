"""The embedded engines under a mix of unlike work: real processes stay inside a budget that cannot hold them all."""

from __future__ import annotations

import pytest

from benchmarks.engine_hosts import engine_host
from benchmarks.mixture import PssSampler, mixture_profile, mixture_run
from core.settings.profile import profile_read

pytestmark = [pytest.mark.services, pytest.mark.weights]

BUDGET_MIB = 1500
SECONDS = 45.0


class TestMixOfUnlikeWork:
    def test_stays_inside_the_budget_and_answers_everybody(self) -> None:
        profile = mixture_profile(profile_read("embedded"), BUDGET_MIB)

        with engine_host(profile) as host, PssSampler(host.pid) as sampler:
            answered, errors = mixture_run(host.pool, seed=1, seconds=SECONDS, roles=profile.roles)
            engines = host.pool.status()["engines"]

        assert errors == []
        assert len(answered) >= 4
        assert len(sampler.samples_mib) > 20
        assert max(sampler.samples_mib) <= BUDGET_MIB
        assert sum(engine["unloads"] for engine in engines) > 0
