"""20,000 segments of which a user may see a part: right hits, always enough of them, and no sequential scan."""

from __future__ import annotations

import dataclasses
import json
import uuid
from collections.abc import Iterator, Sequence

import numpy as np
import psycopg
import pytest
from django.db import connection
from pgvector import HalfVector

from core.access.acting import acting_as, acting_as_system
from core.access.models import Collection, User
from core.access.service import collection_create, user_create, visible_to
from core.documents.models import Blob, Document, Part
from core.search import legs
from core.search.filters import filter_parse
from core.search.legs import (
    Scope,
    Statement,
    full_text_sql,
    planner_prepare,
    vector_leg,
    vector_sql,
    vectors_counted_sql,
)
from core.search.terms import FREQUENCIES, QueryTerms, Term
from core.segments.models import EmbeddingSpace
from core.segments.partition import partition_seal
from core.segments.service import space_activate, space_create

pytestmark = pytest.mark.services

ROWS = 20_000
DIMENSIONS = 48
SHARES = {"half": 10_000, "tenth": 2_000, "hundredth": 200, "thousandth": 20, "fifty": 50}
"""Users by how many of the rows each may see; nobody sees the rest, and ``all`` sees everything."""

WORDS = ("boiler", "crane", "harbour", "siren", "bridge", "garden", "museum", "ferry")
KINDS = ("text", "table", "speech", "image")
DOCUMENT_ROWS = 50
COLUMNS = (
    *("id", "document_id", "collection_id", "part_id", "ordinal"),
    *("kind", "text", "language", "anchor", "heading_path", "spans", "picture_sha256"),
)


@dataclasses.dataclass
class Crowd:
    """The users, the space and the vectors of the library, row by row."""

    users: dict[str, User]
    space: EmbeddingSpace
    vectors: np.ndarray
    ids: list[uuid.UUID]
    seen_by: dict[str, np.ndarray]

    def exact(self, name: str, query: np.ndarray, limit: int = 10) -> list[uuid.UUID]:
        """The nearest rows that a user may see, by comparing with every one of them."""
        rows = self.seen_by[name]
        nearest = rows[np.argsort(-(self.vectors[rows] @ query), kind="stable")[:limit]]
        return [self.ids[row] for row in nearest]


@pytest.fixture(scope="module")
def crowd(services, django_db_blocker) -> Iterator[Crowd]:
    with django_db_blocker.unblock(), psycopg.connect(services.postgres.url("admin"), autocommit=True) as admin:
        users = {name: user_create(name=f"sees-{name}") for name in (*SHARES, "all")}
        owner_of_row = np.concatenate([[name] * rows for name, rows in SHARES.items()])
        owner_of_row = np.concatenate([owner_of_row, ["all"] * (ROWS - len(owner_of_row))])
        np.random.default_rng(3).shuffle(owner_of_row)
        collections = {name: collection_create(user=user, name=f"of {name}") for name, user in users.items()}
        _everything_to_all(collections, users["all"])
        space = space_create(name="text", digest=uuid.uuid4().hex * 2, dimensions=DIMENSIONS)
        space_activate(space_id=space.pk)
        ids = [uuid.uuid4() for _ in range(ROWS)]
        vectors = _vectors(ROWS)
        # The superuser's COPY: loading is not what is asked here.
        _load(admin, collections, owner_of_row, ids, vectors, space)
        seen = {name: np.flatnonzero(owner_of_row == name) for name in SHARES}
        yield Crowd(users=users, space=space, vectors=vectors, ids=ids, seen_by={**seen, "all": np.arange(ROWS)})


def _everything_to_all(collections: dict[str, Collection], everybody: User) -> None:
    from core.access.service import membership_set

    for name, collection in collections.items():
        if name != "all":
            membership_set(collection=collection, user=everybody, role="viewer")


def _vectors(rows: int) -> np.ndarray:
    # In clumps, as real texts lie; at half precision, as they are stored.
    random = np.random.default_rng(7)
    centres = random.normal(size=(64, DIMENSIONS))
    vectors = centres[random.integers(64, size=rows)] + random.normal(size=(rows, DIMENSIONS)) * 0.7
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    return unit.astype(np.float16).astype(np.float32)


def _load(admin, collections, owner_of_row, ids, vectors, space) -> None:
    parts = {
        name: _documents(collection, int((owner_of_row == name).sum())) for name, collection in collections.items()
    }
    admin.execute(f"DROP INDEX IF EXISTS segments_embedding_{space.pk}_hnsw")
    at = dict.fromkeys(collections, 0)
    with admin.cursor().copy(f"COPY segments_segment ({', '.join(COLUMNS)}) FROM STDIN") as copy:
        for row, (key, name) in enumerate(zip(ids, owner_of_row, strict=True)):
            document, part = parts[name][at[name] // DOCUMENT_ROWS]
            place = (key, document, collections[name].pk, part, at[name] % DOCUMENT_ROWS)
            said = (KINDS[row % len(KINDS)], f"{WORDS[row % 8]} number {row}", ("en", "de")[row % 3 == 0])
            copy.write_row((*place, *said, json.dumps(_anchor(row)), "[]", "[]", ""))
            at[name] += 1
    with admin.cursor().copy(
        "COPY segments_embedding (space_id, segment_id, collection_id, embedding) FROM STDIN"
    ) as copy:
        for key, name, vector in zip(ids, owner_of_row, vectors, strict=True):
            copy.write_row((space.pk, key, collections[name].pk, HalfVector(vector).to_text()))
    if space.sealed:
        admin.execute(
            f"CREATE INDEX segments_embedding_{space.pk}_hnsw ON segments_embedding_{space.pk} "
            f"USING hnsw ((embedding::halfvec({DIMENSIONS})) halfvec_cosine_ops)"
        )
    else:
        # Segments of other tests were there, so the space began open.
        partition_seal(space)
    admin.execute("VACUUM ANALYZE segments_segment, segments_embedding, documents_document, documents_part")


def _anchor(row: int) -> dict:
    if KINDS[row % len(KINDS)] == "speech":
        return {"start_s": row % 900, "end_s": row % 900 + 9, "speaker": f"S{row % 40}"}
    return {"page": row % 30 + 1, "box": [0, 0, 1, 1]}


def _documents(collection: Collection, rows: int) -> list[tuple[uuid.UUID, uuid.UUID]]:
    with acting_as_system():
        blob = Blob.objects.create(sha256=uuid.uuid4().hex * 2, size_bytes=1)
        documents = Document.objects.bulk_create(
            Document(
                collection=collection,
                title=f"document {number}",
                sha256=uuid.uuid4().hex * 2,
                size_bytes=1,
                created_by=collection.created_by,
                tags=["rare"] if number == 0 else ["common"],
                metadata={"year": 2000 + number % 25},
            )
            for number in range(rows // DOCUMENT_ROWS + 1)
        )
        parts = Part.objects.bulk_create(
            Part(document=one, collection=collection, ordinal=0, name="file", blob=blob, media_type="application/pdf")
            for one in documents
        )
    return [(one.pk, part.pk) for one, part in zip(documents, parts, strict=True)]


@pytest.fixture(scope="module")
def queries() -> np.ndarray:
    return _vectors(400)[-20:]


def scope_of(user: User, **further) -> Scope:
    return Scope(collection_ids=tuple(visible_to(user).values_list("pk", flat=True)), **further)


class TestRecall:
    @pytest.mark.parametrize("name", [*SHARES, "all"])
    def test_a_user_finds_what_an_exact_scan_of_what_they_see_finds(self, crowd, queries, name):
        assert self._recall(crowd, queries, name) >= (1.0 if name in ("fifty", "thousandth") else 0.95)

    @pytest.mark.parametrize("name", [*SHARES, "all"])
    def test_so_does_the_index_alone_however_little_is_visible(self, crowd, queries, name, monkeypatch):
        monkeypatch.setattr(legs, "EXACT_SCAN_ROWS", 0)

        assert self._recall(crowd, queries, name) >= 0.95

    def _recall(self, crowd: Crowd, queries: np.ndarray, name: str) -> float:
        shares = []
        for query in queries:
            with acting_as(crowd.users[name]):
                planner_prepare()
                scope = scope_of(crowd.users[name])
                hits = vector_leg(scope=scope, space=crowd.space, vector=query.tolist(), floor=-1.0, limit=10)
            assert len(hits) == 10
            shares.append(len({hit.segment_id for hit in hits} & set(crowd.exact(name, query))) / 10)
        return float(np.mean(shares))

    def test_an_index_that_gives_up_is_followed_by_the_exact_scan(self, crowd, queries, monkeypatch):
        monkeypatch.setattr(legs, "EXACT_SCAN_ROWS", 0)
        with acting_as(crowd.users["thousandth"]):
            planner_prepare()
            with connection.cursor() as cursor:
                cursor.execute("SELECT set_config('hnsw.max_scan_tuples', '1', true)")
            scope = scope_of(crowd.users["thousandth"])
            hits = vector_leg(scope=scope, space=crowd.space, vector=queries[0].tolist(), floor=-1.0, limit=10)

        assert [hit.segment_id for hit in hits] == crowd.exact("thousandth", queries[0])


ONE_EACH = [
    None,
    ("eq", "kind", "table"),
    ("eq", "language", "de"),
    ("eq", "speaker", "S2"),
    ("eq", "media_type", "application/pdf"),
    ("eq", "tags", "rare"),
    ("ne", "tags", "common"),
    ("gte", "metadata.year", 2020),
    ("gte", "date", "2020-01-01"),
    ("lte", "page", 3),
    ("gt", "time_s", 600),
]


@pytest.mark.parametrize("name", ["fifty", "half", "all"])
@pytest.mark.parametrize("where", ONE_EACH, ids=lambda one: one[1] if one else "everything")
class TestPlans:
    """What PostgreSQL does as the application role, for one who sees little, much, and everything."""

    @pytest.fixture
    def plan(self, crowd, name, where):
        def explain(make) -> str:
            user = crowd.users[name]
            wanted = filter_parse(dict(zip(("type", "key", "value"), where, strict=True))) if where else None
            with acting_as(user):
                planner_prepare()
                statement = make(scope_of(user, filter=wanted))
                with connection.cursor() as cursor:
                    cursor.execute(f"EXPLAIN (FORMAT JSON) {statement.sql}", statement.values)
                    return cursor.fetchone()[0][0]["Plan"]

        return explain

    def test_full_text(self, plan, where, name):
        terms = QueryTerms(configuration="english", terms=(Term(lexemes=("boiler", "number 17"), weight=1.0),))

        nodes = plan_nodes(plan(lambda scope: full_text_sql(scope, terms, 60)))

        assert sequential(nodes) == []
        if where is None and name == "all":
            assert "segment_search_vector" in indexes(nodes)

    def test_quoted_words(self, plan):
        found = plan(lambda scope: full_text_sql(dataclasses.replace(scope, phrases=("boiler number",)), NO_TERMS, 60))

        assert sequential(plan_nodes(found)) == []

    @pytest.mark.parametrize("exact", [True, False])
    def test_vectors(self, crowd, queries, plan, where, name, exact):
        nodes = plan_nodes(plan(lambda scope: vector_sql(scope, crowd.space, queries[0].tolist(), 60, exact=exact)))

        assert sequential(nodes) == []
        assert not exact or not any(index.endswith("_hnsw") for index in indexes(nodes))
        if where is None and name == "all" and not exact:
            assert f"segments_embedding_{crowd.space.pk}_hnsw" in indexes(nodes)

    def test_the_count_before_them(self, crowd, plan):
        assert sequential(plan_nodes(plan(lambda scope: vectors_counted_sql(scope, crowd.space, 5001)))) == []

    def test_the_rarity_of_words(self, plan, where):
        def statement(scope: Scope) -> Statement:
            return Statement(FREQUENCIES, [list(scope.collection_ids), 2000, ["'boiler'", "'crane'"]])

        assert sequential(plan_nodes(plan(statement))) == []


NO_TERMS = QueryTerms(configuration="english", terms=())


def plan_nodes(node: dict) -> Iterator[dict] | list[dict]:
    return [node, *(inner for child in node.get("Plans", ()) for inner in plan_nodes(child))]


def indexes(nodes: Sequence[dict]) -> set[str]:
    return {node["Index Name"] for node in nodes if "Index Name" in node}


def sequential(nodes: Sequence[dict]) -> list[str]:
    """Sequential scans of the tables that grow with what is stored."""
    scanned = [node["Relation Name"] for node in nodes if node["Node Type"] == "Seq Scan"]
    return [name for name in scanned if name.startswith("segments_")]
