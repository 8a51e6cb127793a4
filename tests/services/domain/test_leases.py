"""Steps: leased, kept alive, finished once, taken back, dead after three attempts."""

from __future__ import annotations

import threading
from datetime import timedelta
from uuid import uuid4

import pytest
import redis
from django.db import connection

from core.access.acting import acting_as, acting_as_system
from core.access.errors import NotFound
from core.documents.models import Document, DocumentState
from core.documents.storage import artefact_path, artefact_read
from core.jobs.errors import LeaseLost
from core.jobs.models import Artefact, Job, JobState, Step, StepState
from core.jobs.service import (
    StepPlan,
    artefact_store,
    job_finish,
    job_get,
    job_progress,
    leases_reap,
    leases_release,
    stage_complete,
    step_fail,
    step_finish,
    step_heartbeat,
    step_lease,
    steps_plan,
)

pytestmark = pytest.mark.services

LATER = timedelta(seconds=31)


def pages(*numbers: int) -> list[StepPlan]:
    return [StepPlan(kind="parse", key=str(n), stage=1, parameters={"page": n}) for n in numbers]


def stored(step: Step) -> Step:
    with acting_as_system():
        return Step.objects.select_related("job__document").get(pk=step.pk)


def bells(services) -> int:
    with redis.Redis.from_url(services.broker.url()) as client:
        return sum(client.llen(key) for key in client.scan_iter("bulk*"))


class TestLease:
    def test_counts_the_attempt_before_the_work(self, held):
        step = stored(held.step)

        assert (step.state, step.attempts, step.lease_owner) == (StepState.LEASED, 1, "slot-1")
        assert step.job.state == JobState.RUNNING
        assert step.job.document.state == DocumentState.RUNNING

    def test_alive_is_not_given_twice(self, held, now):
        assert step_lease(step_id=held.step.pk, owner="slot-2", now=now + timedelta(seconds=29)) is None
        assert stored(held.step).attempts == 1

    def test_is_given_to_one_of_many_at_once(self, alice, now):
        alice.submit()
        with acting_as_system():
            step_id = Step.objects.get().pk
        gate = threading.Barrier(4)
        taken = []

        def take(slot: int) -> None:
            gate.wait(timeout=10)
            taken.append(step_lease(step_id=step_id, owner=f"slot-{slot}", now=now))
            connection.close()

        threads = [threading.Thread(target=take, args=[slot]) for slot in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(timeout=30)

        assert sum(step is not None for step in taken) == 1

    def test_expired_goes_to_the_next(self, held, now):
        second = step_lease(step_id=held.step.pk, owner="slot-2", now=now + LATER)

        assert second is not None
        assert second.attempts == 2
        assert second.lease_token != held.step.lease_token

    def test_of_what_is_done_or_gone_is_nothing(self, held, now):
        step_finish(**held.lease, result={}, next_steps=pages(1), now=now)

        assert step_lease(step_id=held.step.pk, owner="slot-1", now=now + LATER) is None
        assert step_lease(step_id=uuid4(), owner="slot-1", now=now) is None

    def test_heartbeat_extends_it(self, held, now):
        assert step_heartbeat(**held.lease, now=now + timedelta(seconds=25))

        assert leases_reap(now=now + LATER) == 0
        assert leases_reap(now=now + timedelta(seconds=56)) == 1
        assert not step_heartbeat(**held.lease, now=now + timedelta(seconds=57))


class TestFencing:
    @pytest.fixture
    def successor(self, held, now) -> Step:
        step = step_lease(step_id=held.step.pk, owner="slot-2", now=now + LATER)
        assert step is not None
        return step

    def test_refuses_everything_of_the_old_holder(self, held, successor, now):
        refused = [
            lambda: step_finish(**held.lease, result={"mine": 1}, next_steps=pages(1), now=now),
            lambda: step_fail(**held.lease, code="x", message="x", retryable=False, now=now),
            lambda: artefact_store(**held.lease, content=b"stale"),
        ]

        for attempt in refused:
            with pytest.raises(LeaseLost):
                attempt()
        assert not step_heartbeat(**held.lease, now=now)

        step = stored(held.step)
        assert (step.state, step.result, step.lease_token) == (StepState.LEASED, None, successor.lease_token)
        with acting_as_system():
            assert Step.objects.count() == 1
            assert not Artefact.objects.exists()

    def test_lets_the_new_holder_finish(self, held, successor, now):
        step_finish(step_id=successor.pk, lease_token=successor.lease_token, result={"mine": 2}, now=now)

        assert stored(held.step).result == {"mine": 2}

    def test_finishes_once(self, held, now):
        step_finish(**held.lease, result={"n": 1}, next_steps=pages(1), now=now)

        with pytest.raises(LeaseLost):
            step_finish(**held.lease, result={"n": 2}, now=now)
        assert stored(held.step).result == {"n": 1}


class TestFinish:
    def test_plans_and_announces_what_follows(self, held, services, now):
        before = bells(services)

        planned = step_finish(**held.lease, result={"pages": 2}, next_steps=pages(1, 2), now=now)

        assert [(step.kind, step.key, step.parameters) for step in planned] == [
            ("parse", "1", {"page": 1}),
            ("parse", "2", {"page": 2}),
        ]
        assert bells(services) == before + 2

    def test_holds_later_stages_back_until_the_earlier_are_done(self, held, services, now):
        write = StepPlan(kind="write", key="0", stage=2)
        parse1, parse2, last = step_finish(**held.lease, result={}, next_steps=[*pages(1, 2), write], now=now)
        announced = bells(services)
        assert step_lease(step_id=last.pk, owner="slot-1", now=now) is None

        for parse in (parse1, parse2):
            leased = step_lease(step_id=parse.pk, owner="slot-1", now=now)
            assert not stage_complete(held.step.job_id, 1)
            step_finish(step_id=parse.pk, lease_token=leased.lease_token, result={}, now=now)

        assert stage_complete(held.step.job_id, 1)
        assert bells(services) == announced + 1
        assert step_lease(step_id=last.pk, owner="slot-1", now=now) is not None

    def test_plans_the_next_stage_in_the_last_step_alone(self, held, now):
        first, second = step_finish(**held.lease, result={}, next_steps=pages(1, 2), now=now)
        calls = []

        def plan():
            with acting_as_system():
                calls.append(list(Step.objects.filter(kind="parse").order_by("key").values_list("result", flat=True)))
            return [StepPlan(kind="write", key="0", stage=2)]

        for number, step in enumerate((second, first)):
            leased = step_lease(step_id=step.pk, owner="slot-1", now=now)
            step_finish(step_id=step.pk, lease_token=leased.lease_token, result={"n": number}, stage_plan=plan, now=now)

        assert calls == [[{"n": 1}, {"n": 0}]]
        with acting_as_system():
            assert Step.objects.filter(kind="write").count() == 1

    def test_ends_the_job_when_nothing_follows(self, held, alice, now):
        kept = artefact_store(**held.lease, content=b"intermediate")
        assert artefact_read(kept) == b"intermediate"

        step_finish(**held.lease, result={}, stage_plan=list, now=now)

        job = job_get(user=alice.user, job_id=held.step.job_id)
        assert (job.state, job.document.state) == (JobState.DONE, DocumentState.READY)
        assert not artefact_path(kept).exists()
        with acting_as(alice.user):
            assert not Artefact.objects.exists()
            assert job_progress(job).percent == 100

    def test_of_the_job_waits_for_open_steps(self, held, now):
        step_finish(**held.lease, result={}, next_steps=pages(1), now=now)
        assert not job_finish(job_id=held.step.job_id, now=now)

        with acting_as_system():
            step = Step.objects.get(kind="parse")
        leased = step_lease(step_id=step.pk, owner="slot-1", now=now)
        step_finish(step_id=step.pk, lease_token=leased.lease_token, result={}, now=now)

        assert job_finish(job_id=held.step.job_id, now=now)
        assert job_finish(job_id=held.step.job_id, now=now)

    def test_planned_twice_is_planned_once(self, held, now):
        first = steps_plan(job_id=held.step.job_id, plans=pages(1, 2), now=now)
        again = steps_plan(job_id=held.step.job_id, plans=pages(1, 2), now=now)

        assert [step.pk for step in first] == [step.pk for step in again]
        with pytest.raises(NotFound):
            steps_plan(job_id=uuid4(), plans=pages(1), now=now)

    def test_progress_counts_steps(self, held, alice, now):
        step_finish(**held.lease, result={}, next_steps=pages(1, 2, 3), now=now)

        with acting_as(alice.user):
            progress = job_progress(Job.objects.get())
        assert (progress.done, progress.total, progress.stage, progress.percent) == (1, 4, "parse", 25)


class TestFail:
    def test_retryable_comes_back_twice_and_is_then_dead(self, alice, hold, services, now):
        held = hold(alice.submit())
        step: Step | None = held.step
        states = []
        for _ in range(3):
            assert step is not None
            states.append(
                step_fail(
                    step_id=step.pk,
                    lease_token=step.lease_token,
                    code="engine_broken",
                    message="no",
                    retryable=True,
                    now=now,
                )
            )
            step = step_lease(step_id=held.step.pk, owner="slot-1", now=now)

        assert states == [StepState.PENDING, StepState.PENDING, StepState.DEAD]
        assert step is None
        dead = stored(held.step)
        assert (dead.attempts, dead.job.state, dead.job.document.state) == (3, "failed", "failed")
        assert (dead.job.document.error_code, dead.job.document.error_message) == ("engine_broken", "no")

    def test_for_good_ends_the_other_steps_and_leaves_other_documents_alone(self, held, alice, hold, now):
        other = hold(alice.submit())
        first, second = step_finish(**held.lease, result={}, next_steps=pages(1, 2), now=now)
        one = step_lease(step_id=first.pk, owner="slot-1", now=now)
        two = step_lease(step_id=second.pk, owner="slot-2", now=now)

        step_fail(
            step_id=one.pk, lease_token=one.lease_token, code="damaged_file", message="cut", retryable=False, now=now
        )

        with pytest.raises(LeaseLost):
            step_finish(step_id=two.pk, lease_token=two.lease_token, result={}, now=now)
        assert stored(two).error_code == "job_failed"
        assert stored(one).job.document.error_code == "damaged_file"
        step_finish(**other.lease, result={}, stage_plan=list, now=now)
        assert stored(other.step).job.document.state == DocumentState.READY


class TestRecovery:
    def test_reaps_expired_leases_and_rings(self, held, services, now):
        before = bells(services)

        assert leases_reap(now=now + timedelta(seconds=29)) == 0
        assert leases_reap(now=now + LATER) == 1

        assert stored(held.step).state == StepState.PENDING
        assert bells(services) == before + 1
        assert leases_reap(now=now + LATER) == 0

    def test_releases_the_former_life_of_a_slot_alone(self, held, alice, hold, now):
        with acting_as_system():
            Step.objects.filter(pk=hold(alice.submit()).step.pk).update(lease_owner="slot-2")

        assert leases_release(owner="slot-1", now=now) == 1

        assert stored(held.step).state == StepState.PENDING
        with acting_as_system():
            assert Step.objects.get(state=StepState.LEASED).lease_owner == "slot-2"

    def test_buries_what_killed_its_worker_three_times(self, held, now):
        for attempt in (1, 2, 3):
            assert stored(held.step).attempts == attempt
            assert leases_release(owner="slot-1", now=now) == 1
            step_lease(step_id=held.step.pk, owner="slot-1", now=now)

        dead = stored(held.step)
        assert (dead.state, dead.attempts, dead.error_code) == (StepState.DEAD, 3, "worker_lost")
        assert dead.job.document.state == DocumentState.FAILED

    def test_rings_again_for_a_step_nobody_took(self, alice, services, now):
        alice.submit()
        with redis.Redis.from_url(services.broker.url()) as client:
            client.flushall()

        leases_reap(now=now + timedelta(seconds=29))
        assert bells(services) == 0
        leases_reap(now=now + LATER)
        assert bells(services) == 1
        leases_reap(now=now + LATER + timedelta(seconds=59))
        assert bells(services) == 1
        leases_reap(now=now + LATER + timedelta(seconds=60))
        assert bells(services) == 2

    def test_makes_up_for_a_broker_that_was_away(self, alice, services, now, caplog):
        services.broker.stop()
        try:
            document = alice.submit()
        finally:
            services.broker.start()
            services.broker.wait_ready()
        assert "on_commit" in caplog.text
        assert bells(services) == 0

        leases_reap(now=now + LATER)

        assert bells(services) == 1
        with acting_as(alice.user):
            assert Document.objects.get() == document

    def test_leaves_nothing_of_erased_documents_to_do(self, held, now):
        with acting_as_system():
            Document.objects.get(pk=held.document.pk).delete()

        assert not step_heartbeat(**held.lease, now=now)
        with pytest.raises(LeaseLost):
            step_finish(**held.lease, result={}, now=now)
