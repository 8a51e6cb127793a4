"""Engines of another process as objects of their protocols: what a lease gives to a pipeline."""

from __future__ import annotations

import functools
from collections.abc import Iterator, Sequence
from typing import Any, Protocol

from inference.registry import ROLES
from inference.values import (
    ChatDelta,
    ChatMessage,
    ChatRequest,
    LayoutRegion,
    PageReading,
    PictureDescription,
    PictureToDescribe,
    RgbImage,
    Transcript,
    Vectors,
    VoiceRequest,
    VoiceVectors,
    Waveform,
)


class Door(Protocol):
    """What the proxies of one lease call through."""

    def batch(self, method: str, items: Sequence[Any]) -> list[Any]:
        """Run one batch; one result per item, in order."""
        ...

    def rows(self, method: str, items: Sequence[Any]) -> Vectors:
        """Run one batch whose results are the rows of one array."""
        ...

    def stream(self, method: str, item: Any) -> Iterator[Any]:
        """Run one stream."""
        ...

    def attribute(self, name: str) -> Any:
        """Return a plain attribute of the engine."""
        ...


class Proxy:
    """An engine behind a door."""

    def __init__(self, door: Door) -> None:
        self._door = door


class _Dimensioned(Proxy):
    @functools.cached_property
    def dimensions(self) -> int:
        return int(self._door.attribute("dimensions"))


class TextEmbedderProxy(_Dimensioned):
    """A TextEmbedder in an engine process."""

    def embed_texts(self, batch: Sequence[str]) -> Vectors:
        """See ``protocols.TextEmbedder``."""
        return self._door.rows("embed_texts", batch)


class ImageTextEmbedderProxy(TextEmbedderProxy):
    """An ImageTextEmbedder in an engine process."""

    def embed_images(self, batch: Sequence[RgbImage]) -> Vectors:
        """See ``protocols.ImageTextEmbedder``."""
        return self._door.rows("embed_images", batch)


class SpeechRecognizerProxy(Proxy):
    """A SpeechRecognizer in an engine process."""

    def transcribe(self, batch: Sequence[Waveform]) -> Sequence[Transcript]:
        """See ``protocols.SpeechRecognizer``."""
        return self._door.batch("transcribe", batch)


class SpeakerEncoderProxy(_Dimensioned):
    """A SpeakerEncoder in an engine process."""

    def embed_voices(self, batch: Sequence[VoiceRequest]) -> Sequence[VoiceVectors]:
        """See ``protocols.SpeakerEncoder``."""
        return self._door.batch("embed_voices", batch)

    def cluster_voices(self, batch: Sequence[VoiceVectors]) -> Sequence[tuple[int, ...]]:
        """See ``protocols.SpeakerEncoder``."""
        return [tuple(labels) for labels in self._door.batch("cluster_voices", batch)]


class TextRecognizerProxy(Proxy):
    """A TextRecognizer in an engine process."""

    def read(self, batch: Sequence[RgbImage]) -> Sequence[PageReading]:
        """See ``protocols.TextRecognizer``."""
        return self._door.batch("read", batch)


class LayoutDetectorProxy(Proxy):
    """A LayoutDetector in an engine process."""

    def detect(self, batch: Sequence[RgbImage]) -> Sequence[tuple[LayoutRegion, ...]]:
        """See ``protocols.LayoutDetector``."""
        return [tuple(regions) for regions in self._door.batch("detect", batch)]


class VisionDescriberProxy(Proxy):
    """A VisionDescriber in an engine process."""

    def describe(self, batch: Sequence[PictureToDescribe]) -> Sequence[PictureDescription]:
        """See ``protocols.VisionDescriber``."""
        return self._door.batch("describe", batch)


class RerankerProxy(Proxy):
    """A Reranker in an engine process."""

    def score(self, batch: Sequence[tuple[str, str]]) -> Sequence[float]:
        """See ``protocols.Reranker``."""
        return self._door.batch("score", batch)


class LanguageModelProxy(Proxy):
    """A LanguageModel in an engine process."""

    @functools.cached_property
    def context_tokens(self) -> int:
        """Window of the model."""
        return int(self._door.attribute("context_tokens"))

    def generate(self, request: ChatRequest) -> Iterator[ChatDelta]:
        """See ``protocols.LanguageModel``."""
        return self._door.stream("generate", request)

    def count_tokens(self, batch: Sequence[str]) -> Sequence[int]:
        """See ``protocols.LanguageModel``."""
        return self._door.batch("count_tokens", batch)

    def prompt_token_ids(self, messages: Sequence[ChatMessage]) -> Sequence[int]:
        """See ``protocols.LanguageModel``."""
        (token_ids,) = self._door.batch("prompt_token_ids", [list(messages)])
        return [int(token_id) for token_id in token_ids]


PROXIES: dict[str, type[Proxy]] = {
    "text": TextEmbedderProxy,
    "image_text": ImageTextEmbedderProxy,
    "text_next": TextEmbedderProxy,
    "image_text_next": ImageTextEmbedderProxy,
    "speech": SpeechRecognizerProxy,
    "captions": SpeechRecognizerProxy,
    "speaker": SpeakerEncoderProxy,
    "ocr": TextRecognizerProxy,
    "layout": LayoutDetectorProxy,
    "vision": VisionDescriberProxy,
    "reranker": RerankerProxy,
    "language": LanguageModelProxy,
}
assert PROXIES.keys() == ROLES.keys()
