"""The values that travel: anchors, extractions, transcripts, pictures read and vectors.

Everything here is frozen and holds only plain Python values and numpy arrays, so that it crosses process boundaries
through ``inference.codec`` without pickle. Times are seconds as float from the start of the media, end exclusive.
Boxes are fractions of the page (0 to 1), origin top left.
"""

from __future__ import annotations

import dataclasses
from typing import Any, Literal, TypeAlias

import numpy as np
import numpy.typing as npt

Vectors: TypeAlias = npt.NDArray[np.float32]
Waveform: TypeAlias = npt.NDArray[np.float32]
"""Mono sound, float32 in -1 to 1, 16,000 samples a second, shape (samples,)."""
RgbImage: TypeAlias = npt.NDArray[np.uint8]
"""A picture, uint8, shape (height, width, 3)."""

SAMPLE_RATE_HZ = 16_000

LIVE_WINDOW_MAX_S = 24.0
"""No pass of live captions hears more than this."""

SegmentKind = Literal["text", "table", "speech", "image", "frame", "caption"]
SEGMENT_KINDS: tuple[SegmentKind, ...] = ("text", "table", "speech", "image", "frame", "caption")


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Box:
    """A rectangle on a page or picture, as fractions of its width and height; origin top left."""

    x0: float
    y0: float
    x1: float
    y1: float

    def as_list(self) -> list[float]:
        """Return ``[x0, y0, x1, y1]`` rounded to four digits, as stored and shown."""
        return [round(v, 4) for v in (self.x0, self.y0, self.x1, self.y1)]


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Anchor:
    """Where something is in its source; exactly one family of fields is set.

    Attributes:
        page: 1-based page, slide or picture number, with ``box``.
        box: Rectangle on that page.
        start_s: Start in the media, with ``end_s``.
        end_s: Exclusive end in the media.
        speaker: Label such as ``S1`` when known; only with a time span.
        frame_s: Second of a video frame.
        sheet: Sheet name, with ``cells``.
        cells: Range such as ``A1:D7``.
        start_char: Offset in the extracted text, with ``end_char``.
        end_char: Exclusive offset.
        part: Name of the document's part; None for a document of one part.
    """

    page: int | None = None
    box: Box | None = None
    start_s: float | None = None
    end_s: float | None = None
    speaker: str | None = None
    frame_s: float | None = None
    sheet: str | None = None
    cells: str | None = None
    start_char: int | None = None
    end_char: int | None = None
    part: str | None = None

    def __post_init__(self) -> None:
        families = [self.page, self.start_s, self.frame_s, self.sheet, self.start_char]
        if sum(value is not None for value in families) != 1:
            raise ValueError(f"an anchor has exactly one of page, time span, frame, sheet or characters: {self}")

    @property
    def family(self) -> Literal["page", "time", "frame", "sheet", "chars"]:
        """Which of the five schemas this anchor follows."""
        if self.page is not None:
            return "page"
        if self.start_s is not None:
            return "time"
        if self.frame_s is not None:
            return "frame"
        return "sheet" if self.sheet is not None else "chars"

    def as_json(self) -> dict[str, Any]:
        """Return the public form, for example ``{"page": 3, "box": [0.1, 0.2, 0.9, 0.3]}``."""
        public: dict[str, Any]
        match self.family:
            case "page":
                public = {"page": self.page, "box": self.box.as_list() if self.box else [0.0, 0.0, 1.0, 1.0]}
            case "time":
                assert self.start_s is not None
                assert self.end_s is not None
                public = {"start_s": round(self.start_s, 3), "end_s": round(self.end_s, 3), "speaker": self.speaker}
            case "frame":
                assert self.frame_s is not None
                public = {"frame_s": round(self.frame_s, 3)}
            case "sheet":
                public = {"sheet": self.sheet, "cells": self.cells}
            case "chars":
                public = {"start_char": self.start_char, "end_char": self.end_char}
        if self.part is not None:
            public["part"] = self.part
        return public

    @classmethod
    def from_json(cls, public: dict[str, Any]) -> Anchor:
        """Read the public form back; unknown keys are an error."""
        fields = dict(public)
        box = fields.pop("box", None)
        return cls(box=Box(x0=box[0], y0=box[1], x1=box[2], y1=box[3]) if box else None, **fields)


# ---------------------------------------------------------------- what parsers produce


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class SourceInfo:
    """What a file is, found from its bytes alone.

    Attributes:
        media_type: IANA media type of what it really is, such as ``application/pdf``.
        family: pdf, image, audio, video, office, sheet, slides, markup, mail, text or subtitle.
        extension: Canonical extension without dot, such as ``pdf``.
        units: Pages, slides or image frames; 1 where there is no such thing.
        duration_s: Length of audio and video, else None.
        title: Title that the file itself states, else None.
    """

    media_type: str
    family: str
    extension: str
    units: int = 1
    duration_s: float | None = None
    title: str | None = None


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class TextBlock:
    """One structural piece of text, in reading order.

    Attributes:
        text: Never empty, no surrounding space. A table block holds one row per line, cells joined by `` | ``,
            the header row first and repeated when a table is split.
        anchor: Where it stands.
        role: heading, paragraph, list, table, caption, code or turn (a speaker's turn of a subtitle file).
        heading_path: Titles of the enclosing headings, outermost first.
    """

    text: str
    anchor: Anchor
    role: Literal["heading", "paragraph", "list", "table", "caption", "code", "turn"] = "paragraph"
    heading_path: tuple[str, ...] = ()


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Picture:
    """A picture that a parser found or rendered; its bytes (PNG, RGB) are an artefact of the extraction.

    Attributes:
        artefact: Name of the artefact with the bytes.
        anchor: Page with box, or frame.
        origin: ``picture`` (a file or embedded picture), ``page`` (render of a page), ``frame`` (of a video).
        needs_ocr: Its text is not known from a text layer.
        needs_caption: It should be described by the vision-language role.
    """

    artefact: str
    anchor: Anchor
    origin: Literal["picture", "page", "frame"]
    needs_ocr: bool
    needs_caption: bool


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Extraction:
    """All that one parse step read from one range of units of one file.

    Attributes:
        blocks: Text with its anchors, in reading order.
        pictures: Pictures for OCR, caption and the ``image_text`` space.
        audio_artefact: Artefact with mono 16 kHz s16le WAV sound of the range, or None.
        audio_start_s: Where in the media that sound starts.
        attachments: (file name, artefact) of files inside the file (mail attachments); each becomes a part.
        text: The whole extracted text that ``start_char``/``end_char`` anchors count in; None where anchors are others.
    """

    blocks: tuple[TextBlock, ...] = ()
    pictures: tuple[Picture, ...] = ()
    audio_artefact: str | None = None
    audio_start_s: float = 0.0
    attachments: tuple[tuple[str, str], ...] = ()
    text: str | None = None


# ---------------------------------------------------------------- what engines produce


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class SpeechRequest:
    """Sound to transcribe, with what is known of it or wanted from it.

    Attributes:
        waveform: Up to 30 minutes.
        language: ISO 639-1 code of what is spoken; None has it detected.
        task: ``transcribe`` writes what was said in its own language, ``translate`` in English.
        prompt: Text as it might have stood before, which sets spelling and style; at most 200 tokens of its end count.
        hot_words: Names and terms that are likely to be said.
        shared_start_s: So much of the beginning the window before holds as well. Both windows of one recording are cut
            at the same pause in what they share, so that each word is heard whole and once.
        shared_end_s: So much of the end the window after holds as well.
    """

    waveform: Waveform
    language: str | None = None
    task: Literal["transcribe", "translate"] = "transcribe"
    prompt: str = ""
    hot_words: tuple[str, ...] = ()
    shared_start_s: float = 0.0
    shared_end_s: float = 0.0


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Word:
    """One spoken word with its own time."""

    text: str
    start_s: float
    end_s: float
    probability: float


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Utterance:
    """A stretch of speech between pauses.

    Attributes:
        text: Never empty, no surrounding space.
        words: Every word of the text with its time.
        language: ISO 639-1 code.
    """

    text: str
    start_s: float
    end_s: float
    words: tuple[Word, ...]
    language: str


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Transcript:
    """What was said in one waveform; times count from the start of that waveform.

    Attributes:
        utterances: In order of time; none where nobody speaks.
        language: Spoken language, ISO 639-1; ``und`` where nobody speaks. A translation is in English all the same.
        language_probability: 1 where the language was given.
        voiced_until_s: Where the last voice ends, whether words were made out in it or not; 0 where there is none.
    """

    utterances: tuple[Utterance, ...]
    language: str
    language_probability: float
    voiced_until_s: float = 0.0


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class TextLine:
    """One line of text that OCR read, with its rectangle and confidence (0 to 1)."""

    text: str
    box: Box
    confidence: float


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class LayoutRegion:
    """One region of a page: title, text, figure, table, caption, header, footer, reference or equation."""

    label: str
    box: Box
    confidence: float


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class PageReading:
    """A picture of text, read.

    Attributes:
        lines: In reading order.
        rotation_deg: Clockwise turn (0, 90, 180, 270) that was needed to make it upright; boxes are in the original
            frame.
    """

    lines: tuple[TextLine, ...]
    rotation_deg: int = 0


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class PictureFact:
    """One checked statement about a picture with its calibrated confidence; value ``unknown`` when not decided."""

    name: str
    value: str
    confidence: float


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class PictureDescription:
    """A caption and the facts it was composed from.

    Attributes:
        caption: Sentences for a reader and for search; never empty.
        facts: What the caption states, one by one.
        engine: Name of the engine, so that a composed caption is never taken for a generated one.
        declined: The engine was asked a question that it cannot answer from this picture; the caption says so.
    """

    caption: str
    facts: tuple[PictureFact, ...]
    engine: str
    declined: bool = False


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class PictureToDescribe:
    """A picture together with what is already known about it.

    Attributes:
        lines: What OCR read in it.
        question: When given, the caption answers it.
        task: Without a question: describe the picture, or read its table as Markdown.
    """

    image: RgbImage
    lines: tuple[TextLine, ...] = ()
    question: str | None = None
    task: Literal["describe", "table"] = "describe"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class VoiceRequest:
    """Sound and the spans in it whose voices are wanted; spans as (start_s, end_s)."""

    waveform: Waveform
    spans: tuple[tuple[float, float], ...]


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class VoiceVectors:
    """One unit vector per span, shape (spans, dimensions); a row of zeros where the span is too short to tell.

    Attributes:
        vectors: As above.
        lengths_s: How long each span is, shape (spans,): vectors of longer spans scatter less. None when not known.
        speakers: How many people speak, where that is known; None has the number found.
    """

    vectors: Vectors
    lengths_s: Vectors | None = None
    speakers: int | None = None


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class ChatMessage:
    """One turn of a conversation."""

    role: Literal["system", "user", "assistant"]
    content: str


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class ChatRequest:
    """What a language model is asked.

    Attributes:
        messages: At least one; the chat template of the model's file is applied.
        max_tokens: Upper bound of tokens to produce.
        temperature: 0 is greedy.
        seed: Fixed seed; same engine, same request, same text.
        stop: Strings that end the text; not part of it.
        json_schema: When given, the text is JSON of this schema.
    """

    messages: tuple[ChatMessage, ...]
    max_tokens: int = 256
    temperature: float = 0.0
    seed: int = 0
    stop: tuple[str, ...] = ()
    json_schema: dict[str, Any] | None = None


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class ChatDelta:
    """A piece of a streamed answer; the last one has a finish reason (stop or length) and the token counts.

    Attributes:
        cached_tokens: Of the prompt, those that an earlier request had computed already; None where it is not known.
    """

    text: str
    finish_reason: Literal["stop", "length"] | None = None
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    cached_tokens: int | None = None
