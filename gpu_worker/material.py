"""What the earlier steps of a job made: stored as artefacts, read back as values, always in the document's order."""

from __future__ import annotations

import dataclasses
import io
import wave
from collections.abc import Iterator
from typing import Any
from uuid import UUID

import numpy as np
from PIL import Image

from core.access.acting import acting_as_system
from core.documents.storage import artefact_read
from core.jobs.models import Step, StepState
from core.jobs.service import artefact_store
from inference import codec
from inference.values import (
    SAMPLE_RATE_HZ,
    Extraction,
    LayoutRegion,
    PageReading,
    Picture,
    PictureDescription,
    RgbImage,
    Transcript,
    Vectors,
    Waveform,
)

PICTURE_MAX_PIXELS = 50_000_000


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class ParsedRange:
    """One range of one part as its parser read it.

    Attributes:
        key: Key of the parse step.
        part_ordinal: Which part of the document.
        artefacts: Sha256 by the names that the extraction uses.
    """

    key: str
    part_ordinal: int
    extraction: Extraction
    artefacts: dict[str, str]


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class FoundPicture:
    """A picture of the document with the sha256 of its bytes; ``key`` is stable over runs."""

    key: str
    part_ordinal: int
    picture: Picture
    sha256: str


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class SoundWindow:
    """A stretch of a part's sound."""

    key: str
    part_ordinal: int
    start_s: float
    sha256: str


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class PictureReading:
    """What OCR and layout found in one picture."""

    reading: PageReading
    regions: tuple[LayoutRegion, ...]


class Material:
    """Read access to the results of a job's finished steps."""

    def __init__(self, steps: list[Step]) -> None:
        self._steps = sorted((step for step in steps if step.result is not None), key=_order)

    @classmethod
    def of_job(cls, job_id: UUID) -> Material:
        """Read the finished steps of a job."""
        with acting_as_system():
            return cls(list(Step.objects.filter(job_id=job_id, state=StepState.DONE)))

    def results(self, kind: str) -> Iterator[tuple[str, dict[str, Any]]]:
        """Yield (step key, result) of the steps of a kind, in order."""
        for step in self._steps:
            if step.kind == kind and step.result is not None:
                yield step.key, step.result

    def ranges(self) -> list[ParsedRange]:
        """Return everything that was parsed, in the order of parts and ranges."""
        return [
            ParsedRange(
                key=key,
                part_ordinal=result["part"],
                extraction=value_load(result["extraction"]),
                artefacts=result["artefacts"],
            )
            for key, result in self.results("parse")
        ]

    def pictures(self) -> list[FoundPicture]:
        """Return every picture of the document."""
        return [
            FoundPicture(
                key=f"{parsed.key}#{index}",
                part_ordinal=parsed.part_ordinal,
                picture=picture,
                sha256=parsed.artefacts[picture.artefact],
            )
            for parsed in self.ranges()
            for index, picture in enumerate(parsed.extraction.pictures)
        ]

    def sounds(self) -> list[SoundWindow]:
        """Return every stretch of sound of the document."""
        return [
            SoundWindow(
                key=parsed.key,
                part_ordinal=parsed.part_ordinal,
                start_s=parsed.extraction.audio_start_s,
                sha256=parsed.artefacts[parsed.extraction.audio_artefact],
            )
            for parsed in self.ranges()
            if parsed.extraction.audio_artefact is not None
        ]

    def readings(self) -> dict[str, PictureReading]:
        """Return what OCR read, by picture key."""
        found: dict[str, PictureReading] = {}
        for _, result in self.results("ocr"):
            for key, (reading, regions) in value_load(result["readings"]).items():
                found[key] = PictureReading(reading=reading, regions=tuple(regions))
        return found

    def descriptions(self) -> dict[str, PictureDescription]:
        """Return captions by picture key."""
        return {key: one for _, result in self.results("describe") for key, one in value_load(result["found"]).items()}

    def transcripts(self) -> dict[str, Transcript]:
        """Return what was said, by the key of the sound window; times count from the window's start."""
        return {key: value_load(result["transcript"]) for key, result in self.results("speech")}

    def speakers(self) -> dict[str, list[int]]:
        """Return the speaker number of each voice span, by the key of the sound window."""
        return {window: labels for _, result in self.results("speakers") for window, labels in result["labels"].items()}


def _order(step: Step) -> tuple[Any, ...]:
    # Keys are "part", "part:first" or "start"; numbers sort as numbers, so that page 10 follows page 9.
    return (step.stage, step.kind, [int(piece) for piece in step.key.split(":") if piece.isdigit()], step.key)


def value_store(step: Step, value: Any) -> str:
    """Store a value without arrays as an artefact of the step's job and return its sha256."""
    header, buffers = codec.encode(value)
    if buffers:
        raise ValueError("a value with arrays or bytes in it is stored as its own artefact")
    return bytes_store(step, header)


def value_load(sha256: str) -> Any:
    """Read a stored value back."""
    return codec.decode(artefact_read(sha256), ())


def bytes_store(step: Step, content: bytes) -> str:
    """Store bytes as an artefact of the step's job and return their sha256.

    Raises:
        LeaseLost: The step is no longer held.
    """
    assert step.lease_token is not None
    return artefact_store(step_id=step.pk, lease_token=step.lease_token, content=content)


def vectors_store(step: Step, vectors: Vectors) -> str:
    """Store an array in NumPy's own format, without pickle."""
    stream = io.BytesIO()
    np.save(stream, vectors, allow_pickle=False)
    return bytes_store(step, stream.getvalue())


def vectors_load(sha256: str) -> Vectors:
    """Read an array back."""
    loaded: Vectors = np.load(io.BytesIO(artefact_read(sha256)), allow_pickle=False)
    return loaded


def picture_decode(content: bytes) -> RgbImage:
    """Decode a PNG that the sandbox made; other formats and oversized ones are refused."""
    with Image.open(io.BytesIO(content), formats=["PNG"]) as opened:
        if opened.width * opened.height > PICTURE_MAX_PIXELS:
            raise ValueError(f"a picture of {opened.width} x {opened.height} px is over {PICTURE_MAX_PIXELS} pixels")
        return np.asarray(opened.convert("RGB"), dtype=np.uint8)


def picture_load(sha256: str) -> RgbImage:
    """Read a stored picture."""
    return picture_decode(artefact_read(sha256))


def sound_load(sha256: str) -> Waveform:
    """Read a stored mono 16 kHz s16le WAV."""
    return wave_decode(artefact_read(sha256))


def wave_decode(content: bytes) -> Waveform:
    """Decode the mono 16 kHz s16le WAV that the sandbox makes; any other is an error."""
    with wave.open(io.BytesIO(content)) as opened:
        if (opened.getnchannels(), opened.getsampwidth(), opened.getframerate()) != (1, 2, SAMPLE_RATE_HZ):
            raise ValueError("a sound artefact is mono, 16 bit, 16 kHz")
        samples = np.frombuffer(opened.readframes(opened.getnframes()), dtype="<i2")
    return samples.astype(np.float32) / 32768.0
