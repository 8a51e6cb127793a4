"""Embedding spaces: side by side, switched in one transaction, made by the owner alone."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.db import connection, connections
from django.db.models.functions import Cast
from pgvector import HalfVector
from pgvector.django import CosineDistance, HalfVectorField

from core.access.acting import acting_as
from core.access.errors import Conflict, Invalid, NotFound
from core.segments.models import Embedding, EmbeddingSpace
from core.segments.service import (
    SpaceSpec,
    segments_replace,
    space_activate,
    space_active,
    space_create,
    space_rollback,
    spaces_ensure,
)

pytestmark = pytest.mark.services


def spec(name: str = "text", digest: str = "b" * 64, dimensions: int = 16, floor_text: float = 0.0) -> SpaceSpec:
    return SpaceSpec(name=name, digest=digest, dimensions=dimensions, floor_text=floor_text, floor_image=0.0)


def nearest(space: EmbeddingSpace, query) -> list:
    typed = Cast("embedding", HalfVectorField(dimensions=space.dimensions))
    return list(
        Embedding.objects.filter(space=space)
        .order_by(CosineDistance(typed, HalfVector(query)))
        .values_list("segment__text", flat=True)
    )


class TestSideBySide:
    def test_spaces_of_different_dimensions_find_their_own(self, alice, held, draft, vector, now):
        text, pictures = spaces_ensure(
            specs=[spec(dimensions=16), spec("image_text", "c" * 64, dimensions=24)], now=now
        )
        drafts = [
            draft(held, n, f"segment {n}", vectors={text.pk: vector(16, n), pictures.pk: vector(24, 9 - n)})
            for n in range(10)
        ]
        segments_replace(document_id=held.document.pk, **held.lease, drafts=drafts, now=now)

        with acting_as(alice.user):
            assert nearest(text, vector(16, 3))[0] == "segment 3"
            assert nearest(pictures, vector(24, 3))[0] == "segment 6"
            assert Embedding.objects.filter(space=text).count() == 10
            assert Embedding.objects.count() == 20

    def test_search_uses_the_index_as_application_role(self, alice, held, draft, vector, now):
        [text] = spaces_ensure(specs=[spec(dimensions=16)], now=now)
        drafts = [draft(held, n, f"s {n}", vectors={text.pk: vector(16, n)}) for n in range(400)]
        segments_replace(document_id=held.document.pk, **held.lease, drafts=drafts, now=now)

        with acting_as(alice.user), connection.cursor() as cursor:
            # Four hundred rows are quicker to sort than to look up; what matters is that row security allows the index.
            cursor.execute("SET LOCAL enable_seqscan = off")
            cursor.execute("SET LOCAL enable_sort = off")
            cursor.execute(
                "EXPLAIN SELECT segment_id FROM segments_embedding WHERE space_id = %s "
                "ORDER BY embedding::halfvec(16) <=> %s::halfvec(16) LIMIT 5",
                [text.pk, str(vector(16, 1).tolist())],
            )
            plan = "\n".join(line for (line,) in cursor.fetchall())
        assert f"segments_embedding_{text.pk}_hnsw" in plan


class TestMaking:
    def test_twice_makes_one(self):
        first = spaces_ensure(specs=[spec(floor_text=0.2)])
        again = spaces_ensure(specs=[spec(floor_text=0.3)])

        assert first == again
        stored = EmbeddingSpace.objects.get()
        assert (stored.active, stored.floor_text) == (True, 0.3)

    def test_needs_another_digest_for_another_recipe(self):
        spaces_ensure(specs=[spec()])

        with pytest.raises(Conflict):
            spaces_ensure(specs=[spec(dimensions=17)])
        with pytest.raises(Conflict):
            spaces_ensure(specs=[spec("image_text")])

    def test_refuses_what_cannot_be(self):
        for wrong in (spec("smell"), spec(dimensions=0), spec(dimensions=5000)):
            with pytest.raises(Invalid):
                spaces_ensure(specs=[wrong])
        assert not EmbeddingSpace.objects.exists()

    def test_lets_the_application_role_neither_drop_nor_index(self, text_space):
        with connection.cursor() as cursor:
            cursor.execute("SELECT current_user")
            assert cursor.fetchone() == ("cloister_app",)
        with connections["owner"].cursor() as cursor:
            cursor.execute(
                "SELECT tableowner FROM pg_tables WHERE tablename = %s", [f"segments_embedding_{text_space.pk}"]
            )
            assert cursor.fetchone() == ("cloister_owner",)


class TestSwitching:
    def test_a_second_space_waits_until_it_is_activated(self, text_space, now):
        [newer] = spaces_ensure(specs=[spec()], now=now)
        assert space_active("text") == text_space

        space_activate(space_id=newer.pk, now=now + timedelta(days=1))
        assert space_active("text") == newer

        assert space_rollback(name="text", now=now + timedelta(days=2)) == text_space
        assert space_active("text") == text_space
        assert space_rollback(name="text", now=now + timedelta(days=3)) == newer

    def test_back_to_nothing_is_refused(self, text_space):
        space_create(name="text", digest="d" * 64, dimensions=4)

        with pytest.raises(NotFound):
            space_rollback(name="text")
        with pytest.raises(NotFound):
            space_activate(space_id=0)
        assert space_active("text") == text_space
        assert space_active("image_text") is None
