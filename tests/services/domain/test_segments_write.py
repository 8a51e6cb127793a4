"""Segments and vectors: replaced as a whole, by the holder of the lease alone."""

from __future__ import annotations

from datetime import timedelta
from uuid import uuid4

import numpy as np
import pytest
from django.db import DatabaseError, connection, connections

from core.access.acting import acting_as, acting_as_system
from core.access.errors import Invalid
from core.documents.models import Document
from core.documents.storage import artefact_path
from core.jobs.errors import LeaseLost
from core.jobs.models import Artefact, Step
from core.jobs.service import PartUpload, artefact_store, document_submit, step_fail, step_finish, step_lease
from core.segments.models import Embedding, Segment
from core.segments.service import segments_replace

pytestmark = pytest.mark.services


def matching(query: str, config: str) -> list[str]:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT text FROM segments_segment WHERE search_vector @@ to_tsquery(%s::regconfig, %s) ORDER BY ordinal",
            [config, query],
        )
        return [text for (text,) in cursor.fetchall()]


def snapshot() -> list:
    with acting_as_system():
        segments = list(Segment.objects.order_by("ordinal").values())
        vectors = {
            (one.space_id, one.segment_id): list(one.embedding) for one in Embedding.objects.order_by("segment_id")
        }
    return [segments, vectors]


class TestReplace:
    def test_writes_what_was_drafted(self, alice, held, text_space, draft, vector, now):
        [key] = segments_replace(
            document_id=held.document.pk,
            **held.lease,
            drafts=[
                draft(
                    held,
                    text="Houses were burning\x00",
                    heading_path=["Report", "Fire"],
                    words=[["Houses", 0.0, 0.5]],
                    spans=[[0, 6, {"page": 1}]],
                    vectors={text_space.pk: vector(8)},
                )
            ],
            now=now,
        )

        with acting_as(alice.user):
            segment = Segment.objects.get()
            stored = Embedding.objects.get()
        assert segment.pk == key
        assert segment.text == "Houses were burning�"
        assert segment.heading_path == ["Report", "Fire"]
        assert segment.words == [["Houses", 0.0, 0.5]]
        assert (segment.anchor["page"], segment.collection_id) == (1, alice.collection.pk)
        np.testing.assert_allclose(stored.embedding, vector(8), atol=1e-3)

    def test_done_twice_is_the_same(self, held, text_space, draft, vector, now):
        drafts = [draft(held, n, f"text {n}", vectors={text_space.pk: vector(8, n)}) for n in range(1200)]

        first_keys = segments_replace(document_id=held.document.pk, **held.lease, drafts=drafts, now=now)
        first = snapshot()
        second_keys = segments_replace(document_id=held.document.pk, **held.lease, drafts=drafts, now=now)

        assert first_keys == second_keys
        assert snapshot() == first
        assert len(first[1]) == 1200

    def test_leaves_nothing_of_what_was_there(self, held, text_space, draft, vector, now):
        old = [draft(held, n, f"old {n}", vectors={text_space.pk: vector(8, n)}) for n in range(3)]
        segments_replace(document_id=held.document.pk, **held.lease, drafts=old, now=now)

        segments_replace(document_id=held.document.pk, **held.lease, drafts=[draft(held, 0, "new")], now=now)

        segments, vectors = snapshot()
        assert [one["text"] for one in segments] == ["new"]
        assert vectors == {}

    def test_takes_segments_without_vector(self, held, text_space, draft, now):
        segments_replace(
            document_id=held.document.pk,
            **held.lease,
            drafts=[draft(held, kind="image", text="", vectors={text_space.pk: None})],
            now=now,
        )

        assert snapshot()[1] == {}

    def test_of_a_lost_lease_changes_nothing(self, held, draft, now):
        segments_replace(document_id=held.document.pk, **held.lease, drafts=[draft(held, 0, "mine")], now=now)
        before = snapshot()
        assert step_lease(step_id=held.step.pk, owner="slot-2", now=now + timedelta(seconds=31)) is not None

        with pytest.raises(LeaseLost):
            segments_replace(document_id=held.document.pk, **held.lease, drafts=[draft(held, 0, "late")], now=now)
        assert snapshot() == before

    def test_touches_only_the_document_of_the_step(self, alice, held, hold, draft, now):
        other = hold(alice.submit())

        with pytest.raises(Invalid):
            segments_replace(document_id=other.document.pk, **held.lease, drafts=[], now=now)
        with pytest.raises(Invalid):
            segments_replace(document_id=held.document.pk, **held.lease, drafts=[draft(other)], now=now)

    def test_refuses_a_vector_that_fits_no_space(self, held, text_space, draft, vector, now):
        for vectors in ({text_space.pk: vector(9)}, {text_space.pk + 1: vector(8)}):
            with pytest.raises(Invalid):
                segments_replace(
                    document_id=held.document.pk, **held.lease, drafts=[draft(held, vectors=vectors)], now=now
                )
        assert snapshot() == [[], {}]

    def test_tells_the_document_its_language(self, alice, held, draft, now):
        drafts = [
            draft(held, 0, "ja", language="de"),
            draft(held, 1, "a long sentence"),
            draft(held, 2, "x", language=""),
        ]

        segments_replace(document_id=held.document.pk, **held.lease, drafts=drafts, now=now)

        with acting_as(alice.user):
            assert Document.objects.get().language == "en"


class TestDatabase:
    def test_refuses_other_dimensions_in_a_partition(self, held, text_space, draft, vector, now):
        [key] = segments_replace(document_id=held.document.pk, **held.lease, drafts=[draft(held)], now=now)

        with pytest.raises(DatabaseError, match="check"), acting_as_system():
            Embedding.objects.create(
                space_id=text_space.pk,
                segment_id=key,
                collection_id=held.document.collection_id,
                embedding=vector(9).tolist(),
            )

    def test_refuses_a_vector_in_another_collection_than_its_segment(self, held, bob, text_space, draft, vector, now):
        [key] = segments_replace(document_id=held.document.pk, **held.lease, drafts=[draft(held)], now=now)

        with pytest.raises(DatabaseError, match="embedding_of_a_segment_in_its_collection"), acting_as_system():
            Embedding.objects.create(
                space_id=text_space.pk,
                segment_id=key,
                collection_id=bob.collection.pk,
                embedding=vector(8).tolist(),
            )


class TestFullText:
    @pytest.fixture(autouse=True)
    def written(self, held, draft, now):
        drafts = [
            draft(held, 0, "The houses were burning", heading_path=["Chronicle"]),
            draft(held, 1, "Die Häuser brannten", language="de"),
            draft(held, 2, "Qilin-X900 zqfoo", language="xx"),
        ]
        segments_replace(document_id=held.document.pk, **held.lease, drafts=drafts, now=now)

    def test_stems_by_language(self, alice):
        with acting_as(alice.user):
            assert matching("house & burn", "english") == ["The houses were burning"]
            assert matching("haus", "german") == ["Die Häuser brannten"]

    def test_always_finds_exact_words(self, alice):
        with acting_as(alice.user):
            assert matching("the & were", "simple") == ["The houses were burning"]
            assert matching("häuser", "simple") == ["Die Häuser brannten"]
            assert matching("zqfoo", "simple") == ["Qilin-X900 zqfoo"]

    def test_ranks_headings_above_text(self, alice):
        with acting_as(alice.user), connection.cursor() as cursor:
            cursor.execute("SELECT search_vector::text FROM segments_segment WHERE ordinal = 0")
            [(found,)] = cursor.fetchall()
        assert "'chronicl':1A" in found
        assert "'chronicle':6A" in found
        assert "'hous':3B" in found

    def test_follows_a_changed_text(self, alice):
        with acting_as(alice.user):
            Segment.objects.filter(ordinal=0).update(text="Gardens")
            assert matching("garden", "english") == ["Gardens"]
            assert matching("house", "english") == []


class TestFullTextIndex:
    def test_is_used_under_row_security_right_after_a_bulk_write(self, alice, held, draft, now, services):
        drafts = [draft(held, n, f"segment w{n}") for n in range(3000)]
        segments_replace(document_id=held.document.pk, **held.lease, drafts=drafts, now=now)
        with connections["owner"].cursor() as cursor:
            cursor.execute("ANALYZE segments_segment")

        with acting_as(alice.user), connection.cursor() as cursor:
            cursor.execute("EXPLAIN SELECT id FROM segments_segment WHERE search_vector @@ to_tsquery('simple', 'w77')")
            plan = "\n".join(line for (line,) in cursor.fetchall())
        assert "Bitmap Index Scan on segment_search_vector" in plan


class TestPreviews:
    def test_outlive_the_job_and_go_with_a_new_index(self, alice, held, hold, draft, now):
        shown = artefact_store(**held.lease, content=b"preview")
        passing = artefact_store(**held.lease, content=b"sound window")
        segments_replace(
            document_id=held.document.pk,
            **held.lease,
            drafts=[draft(held, kind="image", picture_sha256=shown)],
            now=now,
        )
        step_finish(**held.lease, result={}, stage_plan=list, now=now)

        assert artefact_path(shown).exists()
        assert not artefact_path(passing).exists()

    def test_of_a_failed_job_go_when_the_next_one_writes(self, alice, hold, draft, now):
        content = uuid4().bytes
        first = hold(alice.submit(content))
        old = artefact_store(**first.lease, content=b"old preview")
        segments_replace(
            document_id=first.document.pk, **first.lease, drafts=[draft(first, picture_sha256=old)], now=now
        )
        step_fail(**first.lease, code="x", message="x", retryable=False, now=now)
        document_submit(
            user=alice.user, collection=alice.collection, parts=[PartUpload(name="a", content=content)], now=now
        )
        with acting_as_system():
            step_id = Step.objects.get(state="pending").pk
        second = step_lease(step_id=step_id, owner="slot-1", now=now)
        lease = {"step_id": second.pk, "lease_token": second.lease_token}
        new = artefact_store(**lease, content=b"new preview")
        assert artefact_path(old).exists()

        segments_replace(document_id=first.document.pk, **lease, drafts=[draft(first, picture_sha256=new)], now=now)
        step_finish(**lease, result={}, stage_plan=list, now=now)

        assert not artefact_path(old).exists()
        assert artefact_path(new).exists()
        with acting_as_system():
            assert Artefact.objects.get().sha256 == new
