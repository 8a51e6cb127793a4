"""Query vectors: from the broker where they were asked for before, else from a worker."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal, Protocol

from core.search.query_cache import QueryCache, QueryKey
from core.segments.models import EmbeddingSpace, SpaceName

Role = Literal["text", "image_text"]

LEG_ROLES: Mapping[str, Role] = {"text": "text", "picture_by_text": "image_text", "picture_by_image": "image_text"}
"""Vector legs and the space each looks into."""


class QueryEmbedder(Protocol):
    """Embeds queries: the web process asks a worker, a worker asks its own engine."""

    def __call__(self, *, role: Role, text: str | None = None, image: bytes | None = None) -> Sequence[float]:
        """Return a unit vector of the role's space."""
        ...


class QueryVectors:
    """The vectors that a query in words, in a picture, or in both needs, by leg.

    Pictures are embedded anew each time; words are remembered by the digest of the active space.
    """

    def __init__(
        self, *, text: str | None, image: bytes | None, spaces: Mapping[str, EmbeddingSpace], cache: QueryCache
    ) -> None:
        self._text = text
        self._image = image
        self._cache = cache
        digests = {str(name): space.digest for name, space in spaces.items()}
        in_words = {leg: digests.get(role) for leg, role in LEG_ROLES.items() if text and leg != "picture_by_image"}
        self._keys = {leg: QueryKey(digest, text or "") for leg, digest in in_words.items() if digest}
        remembered = cache.get(list(self._keys.values()))
        self.found = {leg: one for leg, one in zip(self._keys, remembered, strict=True) if one is not None}
        self._with_picture = image is not None and SpaceName.IMAGE_TEXT in digests

    @property
    def complete(self) -> bool:
        """Whether no worker need be asked."""
        return not self._with_picture and self.found.keys() == self._keys.keys()

    def ask(self, embedder: QueryEmbedder) -> None:
        """Ask a worker for what is not remembered; may take long, so not inside a transaction."""
        asked = {leg: embedder(role=LEG_ROLES[leg], text=self._text) for leg in self._keys.keys() - self.found.keys()}
        self._cache.put({self._keys[leg]: vector for leg, vector in asked.items()})
        self.found.update({leg: list(vector) for leg, vector in asked.items()})
        if self._with_picture:
            self.found["picture_by_image"] = list(embedder(role="image_text", image=self._image))
