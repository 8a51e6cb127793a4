"""Jobs over REST: listed, followed by events, cancelled, tried again."""

from __future__ import annotations

import json
import threading
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest

from core.access.acting import acting_as_system
from core.access.service import membership_set
from core.documents.models import Document
from core.host.process import wait_until
from core.jobs.errors import LeaseLost
from core.jobs.models import Job, Step
from core.jobs.service import PartUpload, document_submit, step_finish, step_heartbeat, step_lease

pytestmark = pytest.mark.services

NOW = datetime.now(tz=UTC)


def submitted(who, words: bytes = b"some words") -> Job:
    document, _ = document_submit(
        user=who.user, collection=who.collection, parts=[PartUpload(name="a.txt", content=words)]
    )
    with acting_as_system():
        return Job.objects.filter(document=document).latest("created_at")


def leased(job: Job) -> Step:
    with acting_as_system():
        step_id = Step.objects.get(job=job, kind="probe").pk
    step = step_lease(step_id=step_id, owner="slot-1", now=datetime.now(tz=UTC))
    assert step is not None
    return step


def finish(step: Step) -> None:
    step_finish(step_id=step.pk, lease_token=step.lease_token, result={}, stage_plan=tuple, now=datetime.now(tz=UTC))


def events(lines: Iterator[str]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    identifier = event = ""
    for line in lines:
        name, _, value = line.partition(": ")
        if name == "id":
            identifier = value
        elif name == "event":
            event = value
        elif name == "data":
            yield identifier, event, json.loads(value)


class TestListing:
    def test_it_shows_the_jobs_one_may_see_newest_first(self, ann, ben):
        first, second = submitted(ann, b"one"), submitted(ann, b"two")
        submitted(ben)

        told = ann.http.get("/api/jobs").json()

        assert [one["id"] for one in told["jobs"]] == [str(second.pk), str(first.pk)]
        assert (told["total"], told["next"]) == (2, None)

    def test_it_is_narrowed_by_state_document_and_collection(self, ann):
        waiting, running = submitted(ann, b"one"), submitted(ann, b"two")
        leased(running)

        def listed(**wanted: str) -> list[str]:
            return [one["id"] for one in ann.http.get("/api/jobs", params=wanted).json()["jobs"]]

        assert listed(state="running") == [str(running.pk)]
        assert listed(document=str(waiting.document_id)) == [str(waiting.pk)]
        assert len(listed(collection="of ann")) == 2

    def test_it_comes_in_pages(self, ann):
        jobs = [submitted(ann, word) for word in (b"one", b"two", b"three")]

        page = ann.http.get("/api/jobs", params={"limit": 2, "offset": 0}).json()
        rest = ann.http.get("/api/jobs", params={"limit": 2, "offset": page["next"]}).json()

        assert [one["id"] for one in page["jobs"] + rest["jobs"]] == [str(job.pk) for job in reversed(jobs)]
        assert (page["total"], rest["next"]) == (3, None)


class TestCancelling:
    def test_the_running_step_is_fenced_off_and_the_document_can_be_sent_again(self, ann):
        job = submitted(ann)
        step = leased(job)

        told = ann.http.delete(f"/api/jobs/{job.pk}")

        assert (told.status_code, told.json()["state"]) == (200, "cancelled")
        assert not step_heartbeat(step_id=step.pk, lease_token=step.lease_token, now=datetime.now(tz=UTC))
        with pytest.raises(LeaseLost):
            finish(step)
        document = ann.http.get(f"/api/documents/{job.document_id}").json()
        assert (document["state"], document["error"]["code"]) == ("failed", "cancelled")
        again = submitted(ann)
        assert (again.document_id, again.state) == (job.document_id, "queued")

    def test_one_that_has_ended_is_not_cancelled(self, ann):
        job = submitted(ann)
        finish(leased(job))

        assert ann.http.delete(f"/api/jobs/{job.pk}").status_code == 409

    def test_a_reader_of_the_collection_may_not(self, ann, ben):
        job = submitted(ann)
        membership_set(collection=ann.collection, role="viewer", user=ben.user)

        assert ben.http.delete(f"/api/jobs/{job.pk}").status_code == 403
        assert ben.http.get(f"/api/jobs/{job.pk}").json()["state"] == "queued"


class TestRetrying:
    def test_a_cancelled_one_begins_again_as_a_new_job(self, ann):
        job = submitted(ann)
        ann.http.delete(f"/api/jobs/{job.pk}")

        told = ann.http.post(f"/api/jobs/{job.pk}/retry")

        assert told.status_code == 201
        assert told.json()["id"] != str(job.pk)
        with acting_as_system():
            assert Document.objects.get(pk=job.document_id).state == "queued"
        finish(leased(Job(pk=told.json()["id"])))
        assert ann.http.get(f"/api/documents/{job.document_id}").json()["state"] == "ready"

    def test_only_the_latest_failure_is_tried_again_and_only_once(self, ann):
        job = submitted(ann)
        assert ann.http.post(f"/api/jobs/{job.pk}/retry").status_code == 409
        ann.http.delete(f"/api/jobs/{job.pk}")
        ann.http.post(f"/api/jobs/{job.pk}/retry")

        assert ann.http.post(f"/api/jobs/{job.pk}/retry").status_code == 409


class TestEvents:
    def test_progress_comes_until_the_job_has_ended(self, ann):
        job = submitted(ann)

        with ann.http.stream("GET", f"/api/jobs/{job.pk}/events") as response:
            told = events(response.iter_lines())
            begun = next(told)
            finish(leased(job))
            rest = list(told)

        assert begun[1] == "progress"
        assert begun[2]["state"] == "queued"
        assert (rest[-1][1], rest[-1][2]["percent"]) == ("done", 100)

    def test_what_a_returning_reader_knows_is_not_told_again(self, ann):
        job = submitted(ann)
        with ann.http.stream("GET", f"/api/jobs/{job.pk}/events") as response:
            known, _, _ = next(events(response.iter_lines()))

        with ann.http.stream("GET", f"/api/jobs/{job.pk}/events", headers={"Last-Event-ID": known}) as response:
            told = events(response.iter_lines())
            step = leased(job)
            changed = next(told)
            finish(step)

        assert changed[2]["state"] in ("running", "done")

    def test_many_readers_leave_database_connections_for_others(self, ann, web):
        job = submitted(ann)
        opened, ended = threading.Semaphore(0), threading.Event()

        def read() -> None:
            with ann.http.stream("GET", f"/api/jobs/{job.pk}/events") as response:
                for _ in response.iter_lines():
                    opened.release()
                    if ended.is_set():
                        return

        readers = [threading.Thread(target=read) for _ in range(24)]
        for reader in readers:
            reader.start()
        for _ in readers:
            assert opened.acquire(timeout=60)

        assert ann.http.get("/api/collections").status_code == 200

        ended.set()
        finish(leased(job))
        for reader in readers:
            reader.join(60)
        wait_until(lambda: not any(reader.is_alive() for reader in readers), timeout_s=5, what="the end of all readers")


class TestStrangers:
    @pytest.mark.parametrize(
        ("method", "suffix"), [("GET", ""), ("GET", "/events"), ("DELETE", ""), ("POST", "/retry")]
    )
    def test_a_foreign_job_answers_like_one_that_does_not_exist(self, ann, ben, method, suffix):
        foreign, nowhere = str(submitted(ann).pk), str(uuid.uuid4())

        told, of_nothing = (ben.http.request(method, f"/api/jobs/{one}{suffix}") for one in (foreign, nowhere))

        assert told.status_code == of_nothing.status_code == 404
        assert told.text.replace(foreign, nowhere) == of_nothing.text
