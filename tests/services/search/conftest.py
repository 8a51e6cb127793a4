"""A small library of two users and two collections, written straight into the tables, with fake word vectors."""

from __future__ import annotations

import dataclasses
import uuid
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from pgvector import HalfVector

from core.access.acting import acting_as_system
from core.access.models import Collection, User
from core.access.service import collection_create, user_create
from core.documents.models import Blob, Document, Part
from core.search.terms import words
from core.segments.models import Embedding, EmbeddingSpace, Segment
from core.segments.service import space_activate, space_create

TEXT_DIMENSIONS = 64
PICTURE_DIMENSIONS = 16

DOCUMENT_FIELDS = ("title", "media_type", "tags", "metadata", "date")


def fake_vector(text: str, dimensions: int) -> list[float]:
    """A fake embedding that tells texts apart: a unit vector over hashed words."""
    vector = np.zeros(dimensions, dtype=np.float32)
    for word in words(text):
        vector[uuid.uuid5(uuid.NAMESPACE_DNS, word).int % dimensions] += 1
    return [float(x) for x in vector / max(float(np.linalg.norm(vector)), 1e-9)]


def fake_sentence_vectors(texts: Sequence[str]) -> np.ndarray:
    return np.array([fake_vector(text, TEXT_DIMENSIONS) for text in texts], dtype=np.float32)


def fake_query_embedder(*, role: str, text: str | None = None, image: bytes | None = None) -> list[float]:
    """Pictures are their labels as bytes, so that a picture query is near the pictures of the same label."""
    content = text if text is not None else (image or b"").decode()
    return fake_vector(content, TEXT_DIMENSIONS if role == "text" else PICTURE_DIMENSIONS)


@dataclasses.dataclass
class Library:
    alice: User
    bob: User
    mine: Collection
    theirs: Collection
    text_space: EmbeddingSpace
    picture_space: EmbeddingSpace

    def add(
        self, text: str, *, collection: Collection | None = None, kind: str = "text", label: str = "", **fields: Any
    ) -> Segment:
        """Add a document of one segment; ``label`` is what its picture shows."""
        document = self.document(
            collection=collection, **{name: fields.pop(name) for name in DOCUMENT_FIELDS if name in fields}
        )
        return self.put(document, text, kind=kind, label=label, **fields)

    def document(self, *, collection: Collection | None = None, media_type: str = "", **fields: Any) -> Document:
        """Add a document of one part without segments."""
        collection = collection or self.mine
        with acting_as_system():
            digest = uuid.uuid4().hex * 2
            blob = Blob.objects.create(sha256=digest, size_bytes=1)
            document = Document.objects.create(
                collection=collection,
                title=fields.pop("title", "a document"),
                sha256=digest,
                size_bytes=1,
                media_type=media_type,
                created_by=collection.created_by,
                **fields,
            )
            Part.objects.create(
                document=document, collection=collection, ordinal=0, name="file", blob=blob, media_type=media_type
            )
        return document

    def put(self, document: Document, text: str, *, kind: str = "text", label: str = "", **fields: Any) -> Segment:
        """Add the next segment to a document."""
        with acting_as_system():
            segment = Segment.objects.create(
                id=uuid.uuid4(),
                document=document,
                collection_id=document.collection_id,
                part=document.parts.get(ordinal=0),
                ordinal=document.segments.count(),
                kind=kind,
                text=text,
                anchor=fields.pop("anchor", {"start_char": 0, "end_char": len(text)}),
                spans=[[0, len(text), {"start_char": 0, "end_char": len(text)}]],
                language=fields.pop("language", "en"),
                **fields,
            )
            if text:
                self._embed(segment, self.text_space, fake_vector(text, TEXT_DIMENSIONS))
            if label:
                self._embed(segment, self.picture_space, fake_vector(label, PICTURE_DIMENSIONS))
        return segment

    def _embed(self, segment: Segment, space: EmbeddingSpace, vector: list[float]) -> None:
        Embedding.objects.create(
            space_id=space.pk, segment_id=segment.pk, collection_id=segment.collection_id, embedding=HalfVector(vector)
        )


@pytest.fixture
def library(clean_database: object) -> Library:
    alice, bob = user_create(name="alice"), user_create(name="bob")
    spaces = {}
    for name, dimensions in (("text", TEXT_DIMENSIONS), ("image_text", PICTURE_DIMENSIONS)):
        space = space_create(
            name=name, digest=uuid.uuid4().hex * 2, dimensions=dimensions, floor_text=0.45, floor_image=0.45
        )
        spaces[name] = space_activate(space_id=space.pk)
    return Library(
        alice=alice,
        bob=bob,
        mine=collection_create(user=alice, name="papers"),
        theirs=collection_create(user=bob, name="secrets"),
        text_space=spaces["text"],
        picture_space=spaces["image_text"],
    )


@pytest.fixture
def embedder():
    return fake_query_embedder


@pytest.fixture
def sentence_embedder():
    return fake_sentence_vectors
