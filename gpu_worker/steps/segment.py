"""Turns everything that was read, heard and seen in the document into segments, in reading order."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from core.documents.models import Part
from core.jobs.service import StepPlan
from core.settings.profile import profile
from gpu_worker.context import StepContext, StepOutcome
from gpu_worker.drafts import DraftRecord, drafts_store
from gpu_worker.language import language_of
from gpu_worker.material import FoundPicture, Material, ParsedRange, PictureReading
from gpu_worker.page_reading import blocks_of
from gpu_worker.places import model_store
from gpu_worker.speech_turns import runs_of, spoken_sentences
from gpu_worker.steps import stages
from inference.chunking import Chunk, TokenBudget, speech_chunks, text_chunks
from inference.errors import EmptyInput, EngineUnavailable
from inference.values import Anchor, PictureDescription, SegmentKind, TextBlock
from models_local.errors import ModelsError

READ_WORDS_MIN = 40
"""A picture with so many words is a page of text: its text becomes text segments of their own."""


def segment_plans(material: Material) -> list[StepPlan]:  # noqa: ARG001 - every stage is planned from the material
    """Plan the one step that segments the document."""
    return [StepPlan(kind="segment", key="0", stage=stages.SEGMENT)]


def segment(context: StepContext) -> StepOutcome:
    """Segment the document.

    Raises:
        EmptyInput: Nothing was found in any of its parts, and none of them is a recording, in which nobody need speak.
    """
    parts = context.parts()
    pieces = list(Segmenter(parts, context.material, token_budget()).pieces())
    if not pieces and not context.material.sounds():
        raise EmptyInput(f"'{context.document.title}' holds no text, no speech and no picture that could be read")
    return StepOutcome(result={"drafts": drafts_store(context.step, _in_languages(pieces)), "segments": len(pieces)})


@functools.cache
def token_budget() -> TokenBudget:
    """Return the budget of a chunk, counted by the text embedder's own tokenizer.

    Raises:
        EngineUnavailable: The model is not in the store.
    """
    model = profile().roles["text"].models[0]
    try:
        return TokenBudget(model_store().folder(model) / "tokenizer.json")
    except ModelsError as error:
        raise EngineUnavailable(f"text cannot be cut into segments: {error}") from error


class Segmenter:
    """Walks the parts of one document."""

    def __init__(self, parts: Sequence[Part], material: Material, budget: TokenBudget) -> None:
        self._parts = parts
        self._ranges = material.ranges()
        self._pictures = material.pictures()
        self._readings = material.readings()
        self._descriptions = material.descriptions()
        self._sounds = material.sounds()
        self._transcripts = material.transcripts()
        self._speakers = material.speakers()
        self._budget = budget

    def pieces(self) -> Iterator[DraftRecord]:
        """Yield the segments in order: of each part its text, its speech, its pictures."""
        ordinal = 0
        for part in self._parts:
            for piece in (*self._texts(part), *self._speech(part), *self._seen(part)):
                yield dataclasses.replace(piece, ordinal=ordinal)
                ordinal += 1

    def _texts(self, part: Part) -> Iterator[DraftRecord]:
        blocks = [block for parsed in self._ranges_of(part) for block in self._blocks(parsed)]
        for chunk in text_chunks(blocks, self._budget):
            yield self._draft(part, chunk)

    def _blocks(self, parsed: ParsedRange) -> list[TextBlock]:
        read = [
            block
            for found in self._pictures_of(parsed)
            if self._is_text_page(found)
            for block in self._read_blocks(found)
        ]
        # Pages with a text layer and scanned pages take turns in one file; the sort keeps the order within a page.
        return sorted((*parsed.extraction.blocks, *read), key=lambda block: block.anchor.page or 0)

    def _is_text_page(self, found: FoundPicture) -> bool:
        if found.key not in self._readings:
            return False
        lines = self._readings[found.key].reading.lines
        words = sum(len(line.text.split()) for line in lines)
        return found.picture.origin == "page" or (found.picture.origin == "picture" and words >= READ_WORDS_MIN)

    def _read_blocks(self, found: FoundPicture) -> list[TextBlock]:
        read: PictureReading = self._readings[found.key]
        return blocks_of(read.reading, read.regions, found.picture.anchor)

    def _speech(self, part: Part) -> Iterator[DraftRecord]:
        windows = []
        for window in self._sounds:
            if window.part_ordinal == part.ordinal and window.key in self._transcripts:
                runs = runs_of(self._transcripts[window.key])
                windows.append((window.start_s, runs, self._speakers.get(window.key, [])))
        sentences = spoken_sentences(windows)
        labels = [f"S{speaker + 1}" for _, speaker in sentences]
        for chunk in speech_chunks([utterance for utterance, _ in sentences], labels, self._budget):
            language = next((said.language for said, _ in sentences if said.end_s > (chunk.anchor.start_s or 0.0)), "")
            yield dataclasses.replace(self._draft(part, chunk), language=language)

    def _seen(self, part: Part) -> Iterator[DraftRecord]:
        for found in self._pictures:
            if found.part_ordinal == part.ordinal:
                yield self._picture(part, found)

    def _picture(self, part: Part, found: FoundPicture) -> DraftRecord:
        text, spans = self._picture_text(part, found)
        kind: SegmentKind = "frame" if found.picture.origin == "frame" else "image"
        return DraftRecord(
            part_id=str(part.pk),
            ordinal=0,
            kind=kind,
            text=text,
            anchor=self._public(part, found.picture.anchor),
            spans=spans,
            picture_sha256=found.sha256,
        )

    def _picture_text(self, part: Part, found: FoundPicture) -> tuple[str, list[list[Any]]]:
        description: PictureDescription | None = self._descriptions.get(found.key)
        stretches = [(description.caption, found.picture.anchor)] if description is not None else []
        # The words of a page of text are found as text; here they would only push the picture into text questions.
        if found.key in self._readings and not self._is_text_page(found):
            stretches += [(block.text, block.anchor) for block in self._read_blocks(found)]
        spans: list[list[Any]] = []
        start = 0
        for text, anchor in stretches:
            spans.append([start, start + len(text), self._public(part, anchor)])
            start += len(text) + 1
        return "\n".join(text for text, _ in stretches), spans

    def _draft(self, part: Part, chunk: Chunk) -> DraftRecord:
        return DraftRecord(
            part_id=str(part.pk),
            ordinal=0,
            kind=chunk.kind,
            text=chunk.text,
            anchor=self._public(part, chunk.anchor),
            heading_path=list(chunk.heading_path),
            words=[[word.text, word.start_s, word.end_s] for word in chunk.words] or None,
            spans=[[span.start, span.end, self._public(part, span.anchor)] for span in chunk.spans],
        )

    def _public(self, part: Part, anchor: Anchor) -> dict[str, Any]:
        named = dataclasses.replace(anchor, part=part.name) if len(self._parts) > 1 else anchor
        return named.as_json()

    def _ranges_of(self, part: Part) -> Iterable[ParsedRange]:
        return (parsed for parsed in self._ranges if parsed.part_ordinal == part.ordinal)

    def _pictures_of(self, parsed: ParsedRange) -> Iterable[FoundPicture]:
        return (found for found in self._pictures if found.key.startswith(f"{parsed.key}#"))


def _in_languages(pieces: Sequence[DraftRecord]) -> list[DraftRecord]:
    whole = language_of("\n".join(piece.text for piece in pieces if not piece.language and piece.kind != "image"))
    return [
        piece if piece.language else dataclasses.replace(piece, language=language_of(piece.text, fallback=whole))
        for piece in pieces
    ]
