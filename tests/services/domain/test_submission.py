"""Submitting documents: stored once, deduplicated within the collection, planned and announced in one go."""

from __future__ import annotations

import hashlib
import io
import json
import threading

import pytest
import redis
from django.db import connection

from core.access.acting import acting_as, acting_as_system
from core.access.errors import Forbidden, Invalid, NotFound, TooLarge
from core.access.service import membership_set
from core.documents.models import Blob, Document, DocumentState, Part
from core.documents.service import document_get, part_open
from core.documents.storage import blob_path
from core.jobs.models import Job, Step
from core.jobs.service import PartUpload, document_submit, part_add, part_describe, step_fail
from core.settings import env as environment
from inference.values import SourceInfo

pytestmark = pytest.mark.services


def announced(services) -> list[str]:
    """Step ids the broker holds, oldest last."""
    with redis.Redis.from_url(services.broker.url()) as client:
        messages = [json.loads(raw) for key in client.scan_iter("bulk*") for raw in client.lrange(key, 0, -1)]
    return [message["headers"]["argsrepr"].strip("[]()', ") for message in messages]


def blob_files() -> int:
    root = blob_path("0" * 64).parents[2]
    return sum(path.is_file() for path in root.rglob("*")) if root.exists() else 0


class TestSubmit:
    def test_stores_the_bytes_and_plans_the_first_step(self, alice, services, now):
        content = b"the brass lamp"

        document, created = document_submit(
            user=alice.user,
            collection=alice.collection,
            parts=[PartUpload(name="lamp.txt", content=io.BytesIO(content))],
            path="shelf/lamp.txt",
            now=now,
        )

        assert created
        assert document.sha256 == hashlib.sha256(content).hexdigest()
        assert blob_path(document.sha256).read_bytes() == content
        with acting_as(alice.user):
            step = Step.objects.get()
            assert (step.kind, step.key, step.stage, step.state) == ("probe", "0", 0, "pending")
            assert Document.objects.get().title == "lamp.txt"
            assert Part.objects.get().blob.reference_count == 1
        assert announced(services) == [str(step.pk)]

    def test_of_several_parts_makes_one_document(self, alice, now):
        document, _ = document_submit(
            user=alice.user,
            collection=alice.collection,
            title="Mixed",
            parts=[
                PartUpload(name="words", content="Grüße", kind="text"),
                PartUpload(name="a.png", content=b"picture"),
            ],
            now=now,
        )

        found = document_get(user=alice.user, document_id=document.pk)
        assert [(part.ordinal, part.name, part.inline) for part in found.parts.all()] == [
            (0, "words", True),
            (1, "a.png", False),
        ]
        _, opened = part_open(user=alice.user, document_id=document.pk, part_id=found.parts.all()[0].pk)
        with opened:
            assert opened.read() == "Grüße".encode()
        assert found.size_bytes == len("Grüße".encode()) + 7

    def test_needs_parts_with_names(self, alice):
        with pytest.raises(Invalid):
            document_submit(user=alice.user, collection=alice.collection, parts=[])
        with pytest.raises(Invalid):
            document_submit(user=alice.user, collection=alice.collection, parts=[PartUpload(name=" ", content=b"x")])

    def test_by_others_is_refused_and_leaves_no_bytes(self, alice, bob):
        before = blob_files()
        part = PartUpload(name="x", content=b"intrusion")
        with pytest.raises(NotFound):
            document_submit(user=bob.user, collection=alice.collection, parts=[part])
        membership_set(collection=alice.collection, user=bob.user, role="viewer")
        with pytest.raises(Forbidden):
            document_submit(user=bob.user, collection=alice.collection, parts=[part])

        assert blob_files() == before

    def test_above_the_limit_is_refused_and_leaves_no_bytes(self, alice, monkeypatch):
        before = blob_files()
        small = environment.env().model_copy(update={"upload_max_mib": 1})
        monkeypatch.setattr("core.jobs.service.env", lambda: small)

        with pytest.raises(TooLarge):
            alice.submit(b"x" * (1024 * 1024 + 1))
        assert blob_files() == before


class TestSameBytes:
    def test_are_one_document_of_a_collection(self, alice, services, now):
        first = alice.submit(b"same", name="one.txt")
        again, created = document_submit(
            user=alice.user, collection=alice.collection, parts=[PartUpload(name="two.txt", content=b"same")], now=now
        )

        assert (again, created) == (first, False)
        assert len(announced(services)) == 1

    def test_are_two_documents_of_two_collections_on_one_blob(self, alice, bob):
        assert alice.submit(b"shared") != bob.submit(b"shared")

        assert Blob.objects.get().reference_count == 2

    def test_sent_at_the_same_time_are_one_document(self, alice, services, now):
        threads = 4
        gate = threading.Barrier(threads)
        outcomes = []

        def send() -> None:
            gate.wait(timeout=10)
            outcomes.append(
                document_submit(
                    user=alice.user,
                    collection=alice.collection,
                    parts=[PartUpload(name="race.txt", content=b"race")],
                    now=now,
                )
            )
            connection.close()

        running = [threading.Thread(target=send) for _ in range(threads)]
        for thread in running:
            thread.start()
        for thread in running:
            thread.join(timeout=30)

        assert sorted(created for _, created in outcomes) == [False] * (threads - 1) + [True]
        assert len({document.pk for document, _ in outcomes}) == 1
        with acting_as(alice.user):
            assert (Document.objects.count(), Part.objects.count(), Job.objects.count(), Step.objects.count()) == (
                1,
                1,
                1,
                1,
            )
        assert Blob.objects.get().reference_count == 1
        assert len(announced(services)) == 1

    def test_of_a_failed_document_get_a_new_job(self, alice, hold, services, now):
        document = alice.submit(b"broken")
        held = hold(document)
        step_fail(**held.lease, code="damaged_file", message="it is cut off", retryable=False, now=now)

        again, created = document_submit(
            user=alice.user, collection=alice.collection, parts=[PartUpload(name="a.txt", content=b"broken")], now=now
        )

        assert (again.pk, created, again.state, again.error_code) == (document.pk, False, DocumentState.QUEUED, "")
        with acting_as(alice.user):
            assert sorted(Job.objects.values_list("state", flat=True)) == ["failed", "queued"]
            fresh = Step.objects.get(state="pending")
        assert str(fresh.pk) in announced(services)


class TestParts:
    def test_found_inside_are_added_once(self, held):
        first = part_add(**held.lease, inside_of_id=held.part.pk, name="bill.pdf", content=b"bill")
        again = part_add(**held.lease, inside_of_id=held.part.pk, name="bill.pdf", content=b"bill")
        other = part_add(**held.lease, inside_of_id=held.part.pk, name="note.txt", content=b"note")

        assert first == again
        assert [first.ordinal, other.ordinal] == [1, 2]
        assert blob_path(first.blob_id).read_bytes() == b"bill"
        assert first.inside_of_id == held.part.pk

    def test_of_other_documents_are_not_there(self, held, alice):
        alice.submit(b"other")
        with acting_as_system():
            foreign = Part.objects.exclude(document=held.document).get()

        with pytest.raises(NotFound):
            part_add(**held.lease, inside_of_id=foreign.pk, name="x", content=b"x")

    def test_are_described_by_what_they_are(self, held):
        info = SourceInfo(media_type="audio/mpeg", family="audio", extension="mp3", duration_s=12.5)

        part_describe(**held.lease, part_id=held.part.pk, info=info)

        with acting_as_system():
            document = Document.objects.get(pk=held.document.pk)
            part = document.parts.get()
        assert document.media_type == "audio/mpeg"
        assert (part.family, part.duration_s, part.units) == ("audio", 12.5, 1)

    def test_of_others_cannot_be_opened(self, held, bob):
        with pytest.raises(NotFound):
            part_open(user=bob.user, document_id=held.document.pk, part_id=held.part.pk)
        with pytest.raises(NotFound):
            document_get(user=bob.user, document_id=held.document.pk)
