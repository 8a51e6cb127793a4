"""One protocol per capability.

Every batch method takes at least one item, returns one result per item in input order, and gives an item the same
result alone as inside a batch. Constructing an engine loads it: ``Engine(folder, options)``; no download, no network.
Raises throughout: InputRejected for an item that can never work, OutOfMemory when the batch did not fit (nothing was
produced), EngineBroken for anything the library threw.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Protocol, runtime_checkable

from inference.values import (
    ChatDelta,
    ChatMessage,
    ChatRequest,
    LayoutRegion,
    PageReading,
    PictureDescription,
    PictureToDescribe,
    RgbImage,
    SpeechRequest,
    Transcript,
    Vectors,
    VoiceRequest,
    VoiceVectors,
    Waveform,
)


@runtime_checkable
class TextEmbedder(Protocol):
    """Text to unit vectors in one space."""

    dimensions: int

    def embed_texts(self, batch: Sequence[str]) -> Vectors:
        """Embed each text on its own; longer than the model's window is truncated at a token boundary.

        Returns:
            float32, shape (len(batch), dimensions), each row of length 1.

        Raises:
            EmptyInput: A text is empty.
        """
        ...


@runtime_checkable
class ImageTextEmbedder(Protocol):
    """Pictures and text to unit vectors in one shared space."""

    dimensions: int

    def embed_images(self, batch: Sequence[RgbImage]) -> Vectors:
        """Embed pictures; float32, shape (len(batch), dimensions), unit rows."""
        ...

    def embed_texts(self, batch: Sequence[str]) -> Vectors:
        """Embed queries into the same space; float32, shape (len(batch), dimensions), unit rows."""
        ...


@runtime_checkable
class SpeechRecognizer(Protocol):
    """Sound to text with word times."""

    def transcribe(self, batch: Sequence[Waveform | SpeechRequest]) -> Sequence[Transcript]:
        """Transcribe waveforms of up to 30 minutes each; silence gives a transcript without utterances.

        A plain waveform is a request in which nothing is known: the language is detected.

        Raises:
            InputRejected: The model does not know the language, or cannot translate.
        """
        ...


@runtime_checkable
class SpeakerEncoder(Protocol):
    """Spans of sound to voice vectors, and vectors to speakers."""

    dimensions: int

    def embed_voices(self, batch: Sequence[VoiceRequest]) -> Sequence[VoiceVectors]:
        """Encode every span of every request."""
        ...

    def cluster_voices(self, batch: Sequence[VoiceVectors]) -> Sequence[tuple[int, ...]]:
        """Number the speakers within each item by first appearance, from 0.

        The number of speakers is found, or is ``speakers`` where the item says it (fewer where it has fewer vectors).
        """
        ...


@runtime_checkable
class TextRecognizer(Protocol):
    """Pictures of text to lines in reading order; turns the page upright first where it lies on its side."""

    def read(self, batch: Sequence[RgbImage]) -> Sequence[PageReading]:
        """Read each picture; one without text gives no lines."""
        ...


@runtime_checkable
class LayoutDetector(Protocol):
    """Pages to labelled regions."""

    def detect(self, batch: Sequence[RgbImage]) -> Sequence[tuple[LayoutRegion, ...]]:
        """Find the regions of each page, most confident first."""
        ...


@runtime_checkable
class VisionDescriber(Protocol):
    """Pictures to captions, and to answers about them where a question is given."""

    def describe(self, batch: Sequence[PictureToDescribe]) -> Sequence[PictureDescription]:
        """Describe each picture from its pixels and OCR lines only; never from a name or metadata."""
        ...


@runtime_checkable
class Reranker(Protocol):
    """Pairs of query and passage to relevance scores."""

    def score(self, batch: Sequence[tuple[str, str]]) -> Sequence[float]:
        """Score each pair; higher is more relevant."""
        ...


@runtime_checkable
class LanguageModel(Protocol):
    """A chat model behind its own chat template."""

    context_tokens: int

    def generate(self, request: ChatRequest) -> Iterator[ChatDelta]:
        """Stream the answer; closing the iterator ends generation within one token.

        Raises:
            ContextOverflow: Prompt and ``max_tokens`` exceed the window; the message has the numbers.
        """
        ...

    def count_tokens(self, batch: Sequence[str]) -> Sequence[int]:
        """Count the tokens of each text, without special tokens."""
        ...

    def prompt_token_ids(self, messages: Sequence[ChatMessage]) -> Sequence[int]:
        """Return the token ids that the chat template makes of a conversation."""
        ...
