"""A second model's space: filled while documents come in, compared, switched to, rolled back, dropped."""

from __future__ import annotations

from datetime import timedelta
from uuid import uuid4

import numpy as np
import pytest
from django.db import DatabaseError, connection, connections, transaction

from core.access.acting import acting_as, acting_as_system
from core.access.errors import Conflict, Invalid, NotFound
from core.access.models import AuditEntry
from core.documents.models import Document, Part
from core.jobs.errors import LeaseLost
from core.search.comparison import Question, questions_sampled, spaces_compare
from core.segments.fill import (
    ATTEMPTS,
    BATCH_SEGMENTS,
    fill_advance,
    fill_fail,
    fill_finish,
    fill_heartbeat,
    fill_lease,
    fill_progress,
    fill_segments,
    fill_start,
    fills_reap,
    fills_release,
)
from core.segments.models import Embedding, EmbeddingSpace, FillBatch, FillState, Segment
from core.segments.service import segments_replace, space_active, space_drop, spaces_ensure
from core.segments.space_spec import specs_of
from core.segments.spaces import space_get
from core.segments.switching import space_summary, space_switch, space_switch_back, spaces_summary
from core.settings.env import REPOSITORY
from core.settings.profile import Profile, RoleConfig
from gpu_worker.space_fill import fill_run
from models_local.catalog import catalog_read
from tests.services.worker.conftest import running_host

pytestmark = pytest.mark.services

ROLES = {
    "text": RoleConfig(role="text", engine="fake_text", models=(), recipe_version="1", dimensions=64, nice=0),
    "text_next": RoleConfig(
        role="text_next", engine="fake_trigrams", models=(), recipe_version="1", dimensions=96, nice=0
    ),
}
SPECS = specs_of(
    Profile(name="fakes", memory_budget_mib=4000, bulk_concurrency=1, interactive_concurrency=1, roles=ROLES),
    catalog_read(REPOSITORY / "configs" / "models.toml"),
)
WORDS = ["harbour", "lighthouse", "invoice", "boiler", "orchard", "violin", "glacier", "tariff", "ferry", "lantern"]


def sentence(number: int) -> str:
    return f"{WORDS[number % 10]} {WORDS[(number // 10) % 10]} report number {number} about the {WORDS[number % 7]}"


@pytest.fixture
def first() -> EmbeddingSpace:
    """The space in use, made before there is any document."""
    [space] = spaces_ensure(specs=[SPECS["text"]])
    return space


@pytest.fixture
def stored(first, held, draft, vector, now) -> list[str]:
    """Three hundred segments with vectors in the first space alone."""
    texts = [sentence(number) for number in range(300)]
    drafts = [draft(held, n, text, vectors={first.pk: vector(64, n)}) for n, text in enumerate(texts)]
    segments_replace(document_id=held.document.pk, **held.lease, drafts=drafts, now=now)
    return texts


@pytest.fixture
def second(stored) -> EmbeddingSpace:
    """A new model's space, made when documents are there."""
    return spaces_ensure(specs=list(SPECS.values()))[1]


@pytest.fixture(scope="module")
def engines():
    with running_host(roles=ROLES) as pool:
        yield pool


def batches() -> list[FillBatch]:
    return list(FillBatch.objects.order_by("number"))


def run_all(engines) -> None:
    for batch in batches():
        fill_run(batch_id=batch.pk, owner="slot-1", engines=engines, specs=SPECS)


def vectors_of(space: EmbeddingSpace) -> int:
    with acting_as_system():
        return Embedding.objects.filter(space=space).count()


def embedder(engines):
    def embed(digest, texts):
        role = next(role for role, spec in SPECS.items() if spec.digest == digest)
        with engines.lease(role=role, priority="interactive") as engine:
            return engine.embed_texts(texts)

    return embed


class TestSpecs:
    def test_of_two_roles_are_two_spaces_of_one_name(self):
        assert [(spec.name, spec.dimensions) for spec in SPECS.values()] == [("text", 64), ("text", 96)]
        assert SPECS["text"].digest != SPECS["text_next"].digest
        assert SPECS["text_next"].recipe == "fake_trigrams 1: no models"


class TestUnsealedPartition:
    def test_begins_without_index_and_is_written_but_not_read_by_the_application(self, first, second):
        assert (first.sealed, second.sealed, second.active) == (True, False, False)

        partition = f"segments_embedding_{second.pk}"
        with connection.cursor() as cursor:
            cursor.execute("SELECT indexdef FROM pg_indexes WHERE tablename = %s", [partition])
            assert not any("hnsw" in definition for (definition,) in cursor.fetchall())
        for statement in ("SELECT 1 FROM {}", "DELETE FROM {}", "UPDATE {} SET space_id = space_id"):
            with pytest.raises(DatabaseError, match="permission denied"), transaction.atomic():
                connection.cursor().execute(statement.format(partition))

    def test_shows_its_rows_through_the_guarded_table_to_members_alone(self, alice, bob, second, engines, now):
        fill_start(space_id=second.pk, now=now)
        fill_run(batch_id=batches()[0].pk, owner="slot-1", engines=engines, specs=SPECS)

        with acting_as(alice.user):
            assert Embedding.objects.filter(space=second).count() == BATCH_SEGMENTS
        with acting_as(bob.user):
            assert Embedding.objects.filter(space=second).count() == 0
        assert Embedding.objects.filter(space=second).count() == 0

    def test_is_indexed_and_guarded_when_sealed(self, second, engines, now):
        fill_start(space_id=second.pk, now=now)
        run_all(engines)

        second.refresh_from_db()
        assert second.sealed
        with connections["owner"].cursor() as cursor:
            cursor.execute(
                "SELECT c.relrowsecurity, c.relforcerowsecurity, i.indisvalid FROM pg_class c, pg_class x, pg_index i "
                "WHERE c.relname = %s AND x.relname = %s AND i.indexrelid = x.oid AND i.indrelid = c.oid",
                [f"segments_embedding_{second.pk}", f"segments_embedding_{second.pk}_hnsw"],
            )
            assert cursor.fetchall() == [(True, True, True)]


class TestFill:
    def test_gives_every_segment_its_vector_while_the_first_space_answers(self, alice, first, second, engines, now):
        started = fill_start(space_id=second.pk, now=now)
        assert (started.phase, started.vectors, started.wanted, started.percent) == ("filling", 0, 300, 0.0)
        assert len(batches()) == 3

        fill_run(batch_id=batches()[0].pk, owner="slot-1", engines=engines, specs=SPECS)
        assert space_active("text") == first
        assert fill_progress(space_id=second.pk).vectors == BATCH_SEGMENTS
        run_all(engines)

        done = fill_progress(space_id=second.pk)
        assert (done.phase, done.vectors, done.percent, done.batches) == ("ready", 300, 100.0, {"done": 3})
        with acting_as(alice.user), engines.lease(role="text_next") as engine:
            segment = Segment.objects.get(ordinal=17)
            [expected] = engine.embed_texts([segment.text])
            written = Embedding.objects.get(space=second, segment=segment).embedding
        np.testing.assert_allclose(written, expected, atol=2e-3)

    def test_takes_documents_that_come_meanwhile_as_they_are(
        self, alice, hold, draft, vector, second, first, engines, now
    ):
        fill_start(space_id=second.pk, now=now)
        run_all_but_last = batches()[:-1]
        other = hold(alice.submit())
        one = {first.pk: vector(64)}
        both = {first.pk: vector(64, 1), second.pk: vector(96, 1)}
        segments_replace(
            document_id=other.document.pk,
            **other.lease,
            drafts=[
                draft(other, 0, "in both", vectors=both),
                draft(other, 1, "in one", vectors=one),
            ],
            now=now,
        )
        for batch in run_all_but_last:
            fill_run(batch_id=batch.pk, owner="slot-1", engines=engines, specs=SPECS)
        assert fill_progress(space_id=second.pk).phase == "filling"

        fill_run(batch_id=batches()[-1].pk, owner="slot-1", engines=engines, specs=SPECS)
        run_all(engines)

        assert fill_progress(space_id=second.pk).phase == "ready"
        assert vectors_of(second) == 302
        with acting_as_system():
            kept = Embedding.objects.get(space=second, segment__text="in both").embedding
        np.testing.assert_allclose(kept, vector(96, 1), atol=2e-3)

    def test_passes_over_a_document_that_went_away(self, held, second, engines, now):
        fill_start(space_id=second.pk, now=now)
        taken = fill_lease(batch_id=batches()[0].pk, owner="slot-1", now=now)
        segments = fill_segments(taken)
        segments_replace(document_id=held.document.pk, **held.lease, drafts=[], now=now)

        rows = {segment.pk: np.ones(96, np.float32) for segment in segments}
        written = fill_finish(batch_id=taken.pk, lease_token=taken.lease_token, vectors=rows, now=now)

        assert written == 0
        assert vectors_of(second) == 0

    def test_goes_on_where_it_was_broken_off(self, second, engines, now):
        fill_start(space_id=second.pk, now=now)
        fill_run(batch_id=batches()[1].pk, owner="slot-1", engines=engines, specs=SPECS)
        lost = fill_lease(batch_id=batches()[0].pk, owner="slot-1", now=now)
        assert fills_release(owner="slot-1", now=now) == 1

        again = fill_start(space_id=second.pk, now=now)

        assert (again.phase, again.vectors) == ("filling", BATCH_SEGMENTS)
        run_all(engines)
        assert fill_progress(space_id=second.pk).phase == "ready"
        with pytest.raises(LeaseLost):
            fill_finish(batch_id=lost.pk, lease_token=lost.lease_token, vectors={}, now=now)

    def test_of_a_sealed_space_writes_under_row_security(self, held, second, first, draft, vector, engines, now):
        fill_start(space_id=second.pk, now=now)
        run_all(engines)
        late = [draft(held, n, f"late {n}", vectors={first.pk: vector(64, n)}) for n in range(3)]
        segments_replace(document_id=held.document.pk, **held.lease, drafts=late, now=now)
        assert fill_progress(space_id=second.pk).phase == "waiting"

        fill_start(space_id=second.pk, now=now)
        run_all(engines)

        assert (fill_progress(space_id=second.pk).phase, vectors_of(second)) == ("ready", 3)

    def test_of_nothing_is_ready_at_once(self, first, now):
        assert fill_start(space_id=first.pk, now=now).phase == "ready"
        assert batches() == []
        with pytest.raises(NotFound):
            fill_start(space_id=0, now=now)


class TestBatch:
    def test_is_held_by_one(self, second, now):
        fill_start(space_id=second.pk, now=now)
        key = batches()[0].pk

        held = fill_lease(batch_id=key, owner="slot-1", now=now)
        assert fill_lease(batch_id=key, owner="slot-2", now=now) is None
        assert fill_heartbeat(batch_id=key, lease_token=held.lease_token, now=now + timedelta(seconds=20))
        assert fill_lease(batch_id=key, owner="slot-2", now=now + timedelta(seconds=31)) is None

        taken = fill_lease(batch_id=key, owner="slot-2", now=now + timedelta(seconds=51))
        assert taken.attempts == 2
        assert not fill_heartbeat(batch_id=key, lease_token=held.lease_token, now=now)
        with pytest.raises(LeaseLost):
            fill_finish(batch_id=key, lease_token=held.lease_token, vectors={}, now=now)

    def test_of_a_worker_that_died_is_taken_back_and_given_up_at_last(self, second, now):
        fill_start(space_id=second.pk, now=now)
        for batch in batches()[1:]:
            batch.delete()
        key = batches()[0].pk

        for attempt in range(1, ATTEMPTS + 1):
            later = now + timedelta(minutes=attempt)
            assert fill_lease(batch_id=key, owner="slot-1", now=later).attempts == attempt
            assert fills_reap(now=later + timedelta(seconds=31)) == 1

        assert fill_lease(batch_id=key, owner="slot-1", now=now + timedelta(days=1)) is None
        progress = fill_progress(space_id=second.pk)
        assert progress.phase == "failed"
        assert progress.error.startswith("worker_lost: the worker ended 3 times")
        assert fill_start(space_id=second.pk, now=now).phase == "filling"

    def test_that_no_engine_serves_fails_with_its_reason(self, second, engines, now):
        fill_start(space_id=second.pk, now=now)
        for _ in range(ATTEMPTS):
            fill_run(batch_id=batches()[0].pk, owner="slot-1", engines=engines, specs={"text": SPECS["text"]})

        assert batches()[0].state == FillState.DEAD
        assert "no role of this host's profile embeds into space" in batches()[0].error_message

    def test_refuses_vectors_of_another_model(self, second, now):
        fill_start(space_id=second.pk, now=now)
        held = fill_lease(batch_id=batches()[0].pk, owner="slot-1", now=now)
        rows = {segment.pk: np.ones(64, np.float32) for segment in fill_segments(held)}

        with pytest.raises(Invalid, match="does not fit space"):
            fill_finish(batch_id=held.pk, lease_token=held.lease_token, vectors=rows, now=now)
        assert vectors_of(second) == 0
        state = fill_fail(
            batch_id=held.pk, lease_token=held.lease_token, code="x", message="y", retryable=False, now=now
        )
        assert state == FillState.DEAD
        with pytest.raises(NotFound):
            fill_advance(space_id=0, now=now)


class TestComparison:
    def test_says_how_far_two_models_agree_and_which_answers(self, first, second, engines, now):
        # The first space holds vectors that have nothing to do with its texts; the second one's come from its engine.
        fill_start(space_id=second.pk, now=now)
        run_all(engines)
        questions = [Question(text=sentence(n), expected=f"number {n} about") for n in (3, 57, 121)]

        found = spaces_compare(old=first, new=second, questions=questions, embed=embedder(engines))

        assert (found.questions, found.labelled) == (3, 3)
        assert found.new.mrr == 1.0
        assert found.new.ndcg_at_10 == 1.0
        assert found.old.mrr < 0.5
        assert found.overlap_at_10 < 0.5

    def test_without_labels_says_agreement_alone(self, second, engines, now):
        fill_start(space_id=second.pk, now=now)
        run_all(engines)

        found = spaces_compare(old=second, new=second, questions=questions_sampled(20), embed=embedder(engines))

        assert (found.questions, found.labelled, found.old, found.new) == (20, 0, None, None)
        assert (found.overlap_at_10, found.same_first) == (1.0, 1.0)

    def test_refuses_what_cannot_be_compared(self, first, second, engines):
        pictures = EmbeddingSpace(pk=99, name="image_text", digest="f" * 64, dimensions=8)

        with pytest.raises(Invalid, match="compare two of one name"):
            spaces_compare(old=first, new=pictures, questions=[Question(text="a")], embed=embedder(engines))
        with pytest.raises(Invalid, match="nothing to ask"):
            spaces_compare(old=first, new=second, questions=[], embed=embedder(engines))


class TestSwitch:
    def test_waits_for_a_complete_space_and_goes_back_by_one_call(self, alice, first, second, engines, now):
        with pytest.raises(Conflict, match="0 of 300 vectors"):
            space_switch(reference=second.pk, now=now, specs=SPECS)
        fill_start(space_id=second.pk, now=now)
        run_all(engines)

        assert space_switch(reference=second.digest[:10], now=now, user=alice.user, specs=SPECS) == second
        assert space_active("text") == second
        assert [one.space.active for one in spaces_summary(SPECS)] == [True, False]

        later = now + timedelta(hours=1)
        assert space_switch_back(name="text", now=later, specs=SPECS) == first
        assert space_active("text") == first
        actions = list(AuditEntry.objects.order_by("pk").values_list("action", "user__username"))
        assert actions == [("space.switch", "alice"), ("space.rollback", None)]

    def test_to_a_space_that_no_engine_serves_is_refused(self, first, second, engines, now):
        fill_start(space_id=second.pk, now=now)
        run_all(engines)
        alone = {"text": SPECS["text"]}

        with pytest.raises(Conflict, match="no query could be asked"):
            space_switch(reference=second.pk, now=now, force=True, specs=alone)
        assert space_summary(second, alone).as_json()["role"] == ""

    def test_by_force_takes_an_incomplete_space(self, second, now):
        assert space_switch(reference=second.pk, now=now, force=True, specs=SPECS).active


class TestDrop:
    def test_removes_vectors_and_partition_and_leaves_the_documents(self, first, second, engines, now):
        fill_start(space_id=second.pk, now=now)
        run_all(engines)

        space_drop(space_id=second.pk)

        assert list(EmbeddingSpace.objects.all()) == [first]
        assert batches() == []
        assert vectors_of(first) == 300
        with connection.cursor() as cursor:
            cursor.execute("SELECT to_regclass(%s)", [f"segments_embedding_{second.pk}"])
            assert cursor.fetchone() == (None,)

    def test_ends_a_fill_without_harm(self, first, second, engines, now):
        fill_start(space_id=second.pk, now=now)
        waiting = batches()
        space_drop(space_id=second.pk)

        for batch in waiting:
            fill_run(batch_id=batch.pk, owner="slot-1", engines=engines, specs=SPECS)

        assert list(EmbeddingSpace.objects.all()) == [first]

    def test_of_the_active_space_is_refused(self, first):
        with pytest.raises(Conflict, match="answers searches"):
            space_drop(space_id=first.pk)
        with pytest.raises(NotFound):
            space_drop(space_id=0)


class TestReference:
    def test_names_one_space_by_id_or_digest(self, first, second):
        assert space_get(first.pk) == first
        assert space_get(second.digest[:8]) == second
        for wrong in ("", "0", second.digest[:5], str(uuid4())):
            with pytest.raises(NotFound, match="there are"):
                space_get(wrong)


class TestVectorOfNobody:
    def test_cannot_be_loaded_for_a_segment_that_is_not_there(self, alice, second):
        with acting_as_system():
            document = Document.objects.get()
            assert Part.objects.filter(document=document).exists()
        with pytest.raises(DatabaseError, match="embedding_of_a_segment_in_its_collection"), transaction.atomic():
            connection.cursor().execute(
                f"INSERT INTO segments_embedding_{second.pk} (space_id, segment_id, collection_id, embedding) "
                "VALUES (%s, %s, %s, %s)",
                [second.pk, uuid4(), alice.collection.pk, str([0.1] * 96)],
            )
