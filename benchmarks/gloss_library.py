"""A stack of its own that holds 100,000 glosses in collections of known shares, for suites that measure search."""

from __future__ import annotations

import dataclasses
import hashlib
import sys
import uuid
from collections.abc import Mapping, Sequence

import numpy as np

from benchmarks.wordnet import Corpus
from core.access.acting import acting_as_system
from core.access.models import Collection, User
from core.access.service import collection_create, membership_set, token_create, user_create
from core.documents.models import Blob, Document, DocumentState, Part
from core.segments.models import EmbeddingSpace, Segment
from core.segments.partition import partition_seal
from core.segments.service import segment_id, space_active, space_drop, spaces_ensure
from core.segments.space_spec import space_specs
from core.segments.vectors import VectorRow, vector_row, vectors_copy

ROWS = 100_000
SEGMENTS_PER_DOCUMENT = 100
SHARES: Mapping[str, float] = {"50 %": 0.5, "10 %": 0.1, "1 %": 0.01, "0.1 %": 0.001}
REST = "rest"
EVERYTHING = "100 %"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Library:
    """What was loaded.

    Attributes:
        users: By the share of the library that they may see.
        tokens: For the same shares.
        visible: For the same shares: which of the rows.
        segment_ids: Of each row.
        queries: Glosses that are not in the library.
    """

    space: EmbeddingSpace
    users: Mapping[str, User]
    tokens: Mapping[str, str]
    visible: Mapping[str, np.ndarray]
    segment_ids: Sequence[uuid.UUID]
    queries: Sequence[int]


def library(corpus: Corpus, *, queries: int) -> Library:
    """Return the library of this process's stack, loaded at first use."""
    names = np.array(_collection_names())
    users = {share: _user(share) for share in (EVERYTHING, *SHARES)}
    collections = {name: _collection(users[EVERYTHING], name) for name in (*SHARES, REST)}
    for share in SHARES:
        membership_set(collection=collections[share], user=users[share], role="viewer")
    with acting_as_system():
        loaded = Segment.objects.count() == ROWS
    rows = _planned(corpus, names, collections)
    if not loaded:
        _documents_load(rows, users[EVERYTHING])
        _vectors_load(rows, corpus)
    space = space_active("text")
    assert space is not None
    return Library(
        space=space,
        users=users,
        tokens={share: token_create(user) for share, user in users.items()},
        visible={EVERYTHING: np.ones(ROWS, bool), **{share: names == share for share in SHARES}},
        segment_ids=[row.segment.pk for row in rows],
        queries=range(ROWS, ROWS + queries),
    )


def library_rows(library: Library, corpus: Corpus, *, space_id: int, count: int = ROWS) -> list[VectorRow]:
    """Return the first rows of the library as vectors of another space."""
    with acting_as_system():
        collections = dict(Segment.objects.values_list("pk", "collection_id"))
    return [
        vector_row(space_id=space_id, segment_id=key, collection_id=collections[key], vector=corpus.vectors[index])
        for index, key in enumerate(library.segment_ids[:count])
    ]


@dataclasses.dataclass(frozen=True, slots=True)
class _Row:
    segment: Segment
    document: Document
    part: Part


def _collection_names() -> list[str]:
    names = [name for name, share in SHARES.items() for _ in range(round(share * ROWS))]
    names += [REST] * (ROWS - len(names))
    order = np.random.default_rng(1).permutation(ROWS)
    return [names[index] for index in order]


def _user(share: str) -> User:
    name = f"reader of {share}"
    return User.objects.filter(username=name).first() or user_create(name=name)


def _collection(user: User, name: str) -> Collection:
    with acting_as_system():
        found = Collection.objects.filter(name=name, created_by=user).first()
    return found or collection_create(user=user, name=name)


def _planned(corpus: Corpus, names: np.ndarray, collections: Mapping[str, Collection]) -> list[_Row]:
    rows: dict[int, _Row] = {}
    for name, collection in collections.items():
        indices = np.flatnonzero(names == name)
        for start in range(0, len(indices), SEGMENTS_PER_DOCUMENT):
            chosen = indices[start : start + SEGMENTS_PER_DOCUMENT]
            key = uuid.uuid5(uuid.NAMESPACE_URL, f"glosses/{collection.pk}/{start}")
            document = Document(
                id=key,
                collection=collection,
                title=f"glosses {start} of {name}",
                sha256=hashlib.sha256(key.bytes).hexdigest(),
                size_bytes=1,
                language="en",
                state=DocumentState.READY,
                created_by=collection.created_by,
            )
            part = Part(id=uuid.uuid5(key, "part"), document=document, collection=collection, ordinal=0, name="glosses")
            for ordinal, index in enumerate(chosen):
                rows[int(index)] = _row(corpus.texts[index], ordinal, document, part)
    return [rows[index] for index in range(ROWS)]


def _row(text: str, ordinal: int, document: Document, part: Part) -> _Row:
    segment = Segment(
        id=segment_id(document_id=document.pk, part_ordinal=0, kind="text", ordinal=ordinal, text=text),
        document=document,
        collection_id=document.collection_id,
        part=part,
        ordinal=ordinal,
        kind="text",
        text=text,
        anchor={"start_char": 0, "end_char": len(text)},
        spans=[[0, len(text), {"start_char": 0, "end_char": len(text)}]],
        language="en",
    )
    return _Row(segment, document, part)


def _documents_load(rows: Sequence[_Row], user: User) -> None:
    sys.stderr.write(f"loading {len(rows)} glosses\n")
    documents = {row.document.pk: row.document for row in rows}
    parts = {row.part.pk: row.part for row in rows}
    with acting_as_system():
        Document.objects.filter(created_by=user).delete()
        blob, _ = Blob.objects.get_or_create(sha256=hashlib.sha256(b"glosses").hexdigest(), defaults={"size_bytes": 1})
        for part in parts.values():
            part.blob = blob
        Document.objects.bulk_create(documents.values(), batch_size=1000)
        Part.objects.bulk_create(parts.values(), batch_size=1000)
        Segment.objects.bulk_create([row.segment for row in rows], batch_size=1000)


def _vectors_load(rows: Sequence[_Row], corpus: Corpus) -> None:
    # The profile's space was made empty, with its index; made anew beside the segments it is loaded first.
    for space in EmbeddingSpace.objects.filter(name="text"):
        EmbeddingSpace.objects.filter(pk=space.pk).update(active=False)
        space_drop(space_id=space.pk)
    spaces_ensure(specs=list(space_specs().values()))
    fresh = space_active("text")
    assert fresh is not None
    with acting_as_system():
        vectors_copy(
            fresh.pk,
            [
                vector_row(
                    space_id=fresh.pk,
                    segment_id=row.segment.pk,
                    collection_id=row.segment.collection_id,
                    vector=corpus.vectors[index],
                )
                for index, row in enumerate(rows)
            ],
        )
    sys.stderr.write("indexing\n")
    partition_seal(fresh)
