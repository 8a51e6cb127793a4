"""Erasing a document: no row, no file, a receipt; what others share stays."""

from __future__ import annotations

import contextlib
import json
import threading

import pytest
from django.db import connection

from core.access.acting import acting_as, acting_as_system
from core.access.errors import Forbidden, NotFound
from core.access.models import AuditEntry
from core.access.service import membership_set
from core.answers.models import Answer
from core.documents.models import Blob, Document
from core.documents.storage import artefact_path, blob_path
from core.erasure.service import document_erase
from core.jobs.errors import LeaseLost
from core.jobs.service import artefact_store, part_add, step_finish
from core.segments.service import segments_replace

pytestmark = pytest.mark.services

SECRET = "the vault code is 7319"


@pytest.fixture
def indexed(alice, hold, text_space, draft, vector, now):
    """A finished document with an attachment, a preview and vectors."""
    held = hold(alice.submit(SECRET.encode()))
    attachment = part_add(**held.lease, inside_of_id=held.part.pk, name="b", content=b"attached " + SECRET.encode())
    preview = artefact_store(**held.lease, content=b"preview of " + SECRET.encode())
    drafts = [
        draft(held, n, f"{SECRET} {n}", picture_sha256=preview, vectors={text_space.pk: vector(8, n)}) for n in range(3)
    ]
    segments_replace(document_id=held.document.pk, **held.lease, drafts=drafts, now=now)
    step_finish(**held.lease, result={"text": SECRET}, stage_plan=list, now=now)
    return held.document, attachment.blob_id, preview


def stored_text(services) -> str:
    """Everything that any table of the database holds, as JSON, read by the administrator."""
    import psycopg

    with psycopg.connect(services.postgres.url("admin")) as admin:
        tables = admin.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'public'").fetchall()
        return "".join(
            json.dumps(row, default=str)
            for (table,) in tables
            for row in admin.execute(f'SELECT to_jsonb(t) FROM "{table}" t').fetchall()
        )


class TestErase:
    def test_leaves_no_row_and_no_file(self, alice, indexed, services):
        document, attached, preview = indexed
        assert SECRET in stored_text(services)

        receipt = document_erase(user=alice.user, document_id=document.pk)

        assert SECRET not in stored_text(services)
        assert receipt.rows == {
            "segments_embedding": 3,
            "segments_segment": 3,
            "jobs_artefact": 1,
            "jobs_step": 1,
            "jobs_job": 1,
            "documents_part": 2,
            "documents_document": 1,
        }
        assert set(receipt.blobs_removed) == {document.sha256, attached}
        assert receipt.artefacts_removed == (preview,)
        for path in (blob_path(document.sha256), blob_path(attached), artefact_path(preview)):
            assert not path.exists()
        assert json.loads(json.dumps(receipt.as_json()))["sha256"] == document.sha256
        assert AuditEntry.objects.get().subject == str(document.pk)

    def test_keeps_bytes_that_another_document_has(self, alice, bob, indexed):
        document, _, _ = indexed
        bob.submit(SECRET.encode())

        receipt = document_erase(user=alice.user, document_id=document.pk)

        assert document.sha256 not in receipt.blobs_removed
        assert blob_path(document.sha256).read_bytes() == SECRET.encode()

    def test_lets_the_same_bytes_be_sent_again(self, alice, indexed):
        document, _, _ = indexed
        document_erase(user=alice.user, document_id=document.pk)

        again = alice.submit(SECRET.encode())

        assert again.pk != document.pk
        assert blob_path(again.sha256).read_bytes() == SECRET.encode()

    def test_takes_the_words_out_of_answers(self, alice, indexed, services):
        document, _, _ = indexed
        other = alice.submit()
        with acting_as(alice.user):
            answer = Answer.objects.create(
                collection=alice.collection,
                user=alice.user,
                question="what is the code",
                text=f"{SECRET} [1] Roses are red [2] {SECRET} [unsupported]",
                sentences=[
                    {"text": SECRET, "citations": [1], "unsupported": False},
                    {"text": "Roses are red", "citations": [2], "unsupported": False},
                    {"text": SECRET, "citations": [], "unsupported": True},
                ],
                citations=[
                    {"n": 1, "document": str(document.pk), "quote": SECRET, "anchor": {"page": 1}, "sha256": "x"},
                    {"n": 2, "document": str(other.pk), "quote": "Roses", "anchor": {"page": 2}, "sha256": "y"},
                ],
                evidence={"hits": [{"document": {"id": str(document.pk), "title": SECRET}, "snippet": SECRET}]},
            )
            untouched = Answer.objects.create(collection=alice.collection, user=alice.user, question="else", text="ok")

        receipt = document_erase(user=alice.user, document_id=document.pk)

        assert receipt.answers_redacted == 1
        assert SECRET not in stored_text(services)
        with acting_as(alice.user):
            answer.refresh_from_db()
            untouched.refresh_from_db()
        assert answer.text == "[source removed] Roses are red [source removed]"
        assert answer.citations[0]["removed"] is True
        assert answer.citations[0]["anchor"] == {"page": 1}
        assert answer.citations[1]["quote"] == "Roses"
        assert untouched.text == "ok"

    def test_takes_the_work_from_a_running_step(self, alice, held, now):
        document_erase(user=alice.user, document_id=held.document.pk)

        with pytest.raises(LeaseLost):
            step_finish(**held.lease, result={}, now=now)
        with pytest.raises(LeaseLost):
            artefact_store(**held.lease, content=b"late")


class TestAgainstSubmission:
    def test_of_the_same_bytes_at_the_same_time_loses_neither_rows_nor_files(self, alice):
        rounds, failures = 40, []
        first = alice.submit(SECRET.encode())

        def send() -> None:
            for _ in range(rounds):
                alice.submit(SECRET.encode())

        def erase() -> None:
            target = first.pk
            for _ in range(rounds):
                with contextlib.suppress(NotFound):
                    document_erase(user=alice.user, document_id=target)
                target = alice.submit(SECRET.encode()).pk

        def run(work) -> None:
            try:
                work()
            except Exception as error:  # noqa: BLE001 - handed to the assertion below
                failures.append(error)
            finally:
                connection.close()

        threads = [threading.Thread(target=run, args=[work]) for work in (send, erase, send)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(timeout=60)

        assert failures == []
        with acting_as(alice.user):
            assert Document.objects.count() == 1
        blob = Blob.objects.get()
        assert blob.reference_count == 1
        assert blob_path(blob.pk).read_bytes() == SECRET.encode()


class TestRefusal:
    def test_of_strangers_says_that_it_is_not_there(self, alice, bob):
        document = alice.submit()

        with pytest.raises(NotFound):
            document_erase(user=bob.user, document_id=document.pk)
        membership_set(collection=alice.collection, user=bob.user, role="viewer")
        with pytest.raises(Forbidden):
            document_erase(user=bob.user, document_id=document.pk)

        with acting_as_system():
            assert Document.objects.filter(pk=document.pk).exists()
        assert blob_path(document.sha256).exists()
