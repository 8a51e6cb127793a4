"""A worker that meets an exception nobody foresaw fails that step and goes on; it says all the while that it lives."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from django.utils import timezone

from core.access.acting import acting_as_system
from core.access.models import User
from core.access.service import collection_create, user_create
from core.documents.models import Document
from core.jobs.models import Step, StepState
from core.jobs.service import PartUpload, StepPlan, document_submit, step_finish, step_lease
from core.remote import worker_heartbeat_forget, worker_heartbeats
from gpu_worker import services
from gpu_worker.engine_pool import EnginePool
from gpu_worker.heartbeat import WorkerHeartbeat
from gpu_worker.step_runner import step_run
from tests.services.worker.conftest import running_host

pytestmark = pytest.mark.services


@pytest.fixture
def ada(clean_database: Any) -> User:
    return user_create(name="ada")


def submitted(user: User, name: str) -> Document:
    collection = collection_create(user=user, name=f"for {name}")
    part = PartUpload(name=name, content=f"The pump of {name} was serviced in May.".encode())
    return document_submit(user=user, collection=collection, parts=[part], now=datetime.now(UTC))[0]


def step_of(document: Document, kind: str) -> Step:
    with acting_as_system():
        return Step.objects.select_related("job__document").get(job__document=document, kind=kind)


def run(step: Step, no_host: Path) -> Step:
    step_run(
        step_id=step.pk, owner="slot", engines=EnginePool(no_host / "engines.sock"), sandboxes=services.sandboxes()
    )
    return step_of(step.job.document, step.kind)


class TestUnknownException:
    def test_fails_its_step_alone_and_the_worker_goes_on(self, ada: User, tmp_path: Path) -> None:
        broken = submitted(ada, "broken.txt")
        leased = step_lease(step_id=step_of(broken, "probe").pk, owner="slot", now=timezone.now())
        assert leased is not None
        assert leased.lease_token is not None
        # Parameters that no version of the step understands: its first line raises KeyError.
        step_finish(
            step_id=leased.pk,
            lease_token=leased.lease_token,
            result={},
            next_steps=[StepPlan(kind="embed", key="text:0", stage=1, parameters={})],
            now=timezone.now(),
        )

        states = [run(step_of(broken, "embed"), tmp_path).state for _ in range(3)]
        other = run(step_of(submitted(ada, "other.txt"), "probe"), tmp_path)

        assert states == [StepState.PENDING, StepState.PENDING, StepState.DEAD]
        failed = step_of(broken, "embed").job.document
        assert (failed.state, failed.error_code) == ("failed", "internal_error")
        assert "KeyError" in failed.error_message
        assert other.state == StepState.DONE


class TestWorkerHeartbeat:
    def test_shows_the_worker_with_the_engines_of_its_host_until_it_ends(self, clean_database: Any) -> None:
        with running_host() as pool:
            with pool.lease(role="text") as engine:
                engine.embed_texts(["loaded"])
            heartbeat = WorkerHeartbeat(slot="worker-bulk@here", queue="bulk", threads=4, engines=pool)
            heartbeat.beat()
            (found,) = worker_heartbeats()
            worker_heartbeat_forget("worker-bulk@here")
            gone = worker_heartbeats()

        assert (found["slot"], found["threads"], found["running"], found["ready"]) == ("worker-bulk@here", 4, 0, True)
        assert {engine["role"]: engine["state"] for engine in found["engines"]}["text"] == "ready"
        assert gone == []

    def test_says_what_is_wrong_when_the_engine_host_is_away(self, clean_database: Any, tmp_path: Path) -> None:
        pool = EnginePool(tmp_path / "engines.sock")
        heartbeat = WorkerHeartbeat(slot="worker-bulk@here", queue="bulk", threads=4, engines=pool)

        heartbeat.beat()

        (found,) = worker_heartbeats()
        assert not found["ready"]
        assert "no engine host listens" in found["error"]
