"""People, collections and documents on the real database."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from datetime import UTC, datetime
from uuid import uuid4

import numpy as np
import pytest

from core.access.acting import acting_as_system
from core.access.models import Collection, User
from core.access.service import collection_create, user_create
from core.documents.models import Document, Part
from core.jobs.models import Step
from core.jobs.service import PartUpload, document_submit, step_lease
from core.segments.models import EmbeddingSpace
from core.segments.service import SegmentDraft, SpaceSpec, spaces_ensure

NOW = datetime(2030, 1, 1, tzinfo=UTC)


@dataclasses.dataclass(frozen=True)
class Person:
    """A user with a collection of their own."""

    user: User
    collection: Collection

    def submit(self, content: bytes | None = None, name: str = "a.txt") -> Document:
        return document_submit(
            user=self.user,
            collection=self.collection,
            parts=[PartUpload(name=name, content=content if content is not None else uuid4().bytes)],
            now=NOW,
        )[0]


@dataclasses.dataclass(frozen=True)
class Held:
    """A document whose first step is leased."""

    document: Document
    part: Part
    step: Step

    @property
    def lease(self) -> dict:
        return {"step_id": self.step.pk, "lease_token": self.step.lease_token}


@pytest.fixture(autouse=True)
def _clean(clean_database) -> None:
    """Every test begins with an empty database and broker."""


@pytest.fixture
def now() -> datetime:
    return NOW


@pytest.fixture
def person() -> Callable[[str], Person]:
    def make(name: str) -> Person:
        user = user_create(name=name)
        return Person(user=user, collection=collection_create(user=user, name=f"of {name}"))

    return make


@pytest.fixture
def alice(person) -> Person:
    return person("alice")


@pytest.fixture
def bob(person) -> Person:
    return person("bob")


@pytest.fixture
def hold() -> Callable[[Document], Held]:
    def take(document: Document) -> Held:
        with acting_as_system():
            step_id = Step.objects.get(job__document=document, kind="probe").pk
            part = Part.objects.get(document=document, ordinal=0)
        step = step_lease(step_id=step_id, owner="slot-1", now=NOW)
        assert step is not None
        return Held(document=document, part=part, step=step)

    return take


@pytest.fixture
def held(alice, hold) -> Held:
    return hold(alice.submit())


@pytest.fixture
def text_space() -> EmbeddingSpace:
    [space] = spaces_ensure(
        specs=[SpaceSpec(name="text", digest="a" * 64, dimensions=8, floor_text=0.1, floor_image=0.2)], now=NOW
    )
    return space


@pytest.fixture
def draft() -> Callable[..., SegmentDraft]:
    def make(held: Held, ordinal: int = 0, text: str = "The houses burn", **fields) -> SegmentDraft:
        fields = {"kind": "text", "anchor": {"page": 1, "box": [0, 0, 1, 1]}, "language": "en", **fields}
        return SegmentDraft(part_id=held.part.pk, ordinal=ordinal, text=text, **fields)

    return make


@pytest.fixture
def vector() -> Callable[[int, int], np.ndarray]:
    def make(dimensions: int, seed: int = 0) -> np.ndarray:
        drawn = np.random.default_rng(seed).normal(size=dimensions).astype(np.float32)
        return drawn / np.linalg.norm(drawn)

    return make
