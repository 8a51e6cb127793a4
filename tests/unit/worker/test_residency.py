"""Who leaves the memory for whom, who may not, and what is refused."""

from __future__ import annotations

import pytest

from gpu_worker.residency import Decision, Rules, Tenant, UseHistory, room_decide

RULES = Rules(residency_s=10.0, starving_s=20.0)
NOW_S = 1000.0


def tenant(name: str, size_mib: float = 400.0, **fields: object) -> Tenant:
    values: dict[str, object] = {"loaded_s": 0.0, "next_use_s": NOW_S + 60.0, **fields}
    return Tenant(name=name, size_mib=size_mib, **values)  # type: ignore[arg-type]


def decide(*tenants: Tenant, wanted_mib: float = 400.0, waited_s: float = 0.0) -> Decision:
    return room_decide(
        wanted_mib=wanted_mib, budget_mib=1000.0, tenants=tenants, now_s=NOW_S, waited_s=waited_s, rules=RULES
    )


class TestRoom:
    def test_is_there_when_all_fit(self) -> None:
        assert decide(tenant("a")) == Decision(verdict="load")

    def test_is_made_by_the_one_that_is_used_last(self) -> None:
        soon, late = tenant("soon", next_use_s=NOW_S + 5), tenant("late", next_use_s=NOW_S + 500)

        assert decide(soon, late) == Decision(verdict="evict", victims=("late",))

    def test_takes_no_more_than_is_lacking(self) -> None:
        small = tenant("small", 100, next_use_s=NOW_S + 900)
        large = tenant("large", 800, next_use_s=NOW_S + 800)

        assert decide(small, large, wanted_mib=600).victims == ("large",)

    @pytest.mark.parametrize("fields", [{"busy": True}, {"wanted": True}, {"loaded_s": NOW_S - 1}])
    def test_is_not_made_by_an_engine_that_works_is_wanted_or_has_just_come(self, fields: dict[str, object]) -> None:
        assert decide(tenant("kept", 800, **fields)) == Decision(verdict="wait")

    @pytest.mark.parametrize("fields", [{"wanted": True}, {"loaded_s": NOW_S - 1}])
    def test_is_made_between_two_batches_for_one_that_starves(self, fields: dict[str, object]) -> None:
        assert decide(tenant("kept", 800, **fields), waited_s=20.0).victims == ("kept",)

    @pytest.mark.parametrize("fields", [{"busy": True}, {"pinned": True}])
    def test_is_never_made_by_ending_running_or_pinned_work(self, fields: dict[str, object]) -> None:
        assert decide(tenant("kept", 800, **fields), waited_s=1e6, wanted_mib=200.0 + 1).verdict != "evict"

    def test_is_refused_for_ever_where_the_budget_without_pinned_engines_is_too_small(self) -> None:
        assert decide(wanted_mib=1001).verdict == "never"
        assert decide(tenant("pinned", 700, pinned=True)).verdict == "never"


class TestUseHistory:
    def test_expects_a_regular_engine_one_gap_after_its_last_use(self) -> None:
        history = UseHistory()
        for now_s in (0.0, 60.0, 120.0, 180.0, 240.0, 300.0, 360.0):
            history.used(now_s)

        assert history.next_use_s(370.0) == pytest.approx(420.0, abs=6.0)

    def test_expects_a_silent_engine_to_stay_silent(self) -> None:
        history = UseHistory()
        for now_s in (0.0, 2.0, 4.0, 6.0):
            history.used(now_s)

        assert history.next_use_s(106.0) == 206.0

    def test_takes_uses_that_follow_closely_for_one(self) -> None:
        history = UseHistory()
        for begin_s in (0.0, 60.0, 120.0, 180.0, 240.0):
            for n in range(20):
                history.used(begin_s + n / 10)

        assert history.next_use_s(242.0) == pytest.approx(300.0, abs=8.0)

    def test_knows_nothing_of_an_engine_that_was_never_used(self) -> None:
        assert UseHistory().next_use_s(5.0) == float("inf")
