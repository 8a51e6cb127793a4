"""Attribution in code: for each sentence of an answer the span that supports it, or none."""

from __future__ import annotations

import dataclasses
import itertools
import re
from collections.abc import Callable, Iterator, Sequence
from typing import Any
from uuid import UUID

import numpy as np

from core.answers.spans import sentence_spans
from core.search.terms import words
from core.segments.models import Segment
from core.settings.calibration import Attribution
from inference.values import Vectors

SentenceEmbedder = Callable[[Sequence[str]], Vectors]
"""Texts to float32 unit vectors, shape (texts, dimensions)."""

MAX_SPANS = 120
"""Spans looked at for one answer; eight segments of 240 tokens hold fewer."""

CELL_GAP = " | "
"""Stands between the cells of a row in a table's text."""

PICTURE_KINDS = frozenset({"image", "frame"})

PROSE_KINDS = frozenset({"text", "speech"})

_STOP_WORDS = frozenset(
    """
    a an and are as at be been but by did do does for from had has have he her his how i if in into is it its more
    no not of on or our she so some such than that the their them there these they this those to was we were what
    when where which who whom why will with would you your about after according also any because before can could
    may should source sources text document
    """.split()  # noqa: SIM905 - prose reads better than ninety quoted words
)
_NUMBER = re.compile(r"\d+(?:[.,:]\d+)*")
_STEM_CHARS = 5


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """One quotable span of a shown segment.

    Attributes:
        quote: Exactly ``segment.text[start:end]``.
        context: Words around it that its meaning rests on: headings, the header row of its table.
        meaning: What is embedded and compared: the quote; for a row of a table each cell with its column's name.
    """

    segment: Segment
    start: int
    end: int
    quote: str
    context: str
    meaning: str


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Citation:
    """A quote that stands in its segment, with the anchor of exactly that quote."""

    document_id: UUID
    segment_id: UUID
    sha256: str
    quote: str
    anchor: dict[str, Any]

    def as_json(self, n: int) -> dict[str, Any]:
        """Return the public form with its number."""
        return {
            "n": n,
            "document": str(self.document_id),
            "segment": str(self.segment_id),
            "sha256": self.sha256,
            "quote": self.quote,
            "anchor": self.anchor,
        }


def segment_spans(segments: Sequence[Segment], *, question: str) -> list[Span]:
    """Return the quotable spans of the segments in their order, at most ``MAX_SPANS``.

    Of long tables there are more: then those stay that share the most words with the question.
    """
    spans: list[Span] = []
    for segment in segments:
        headings = " ".join(segment.heading_path)
        header_row = segment.text.split("\n", 1)[0] if segment.kind == "table" else ""
        for start, end in _sentences(segment):
            quote = segment.text[start:end]
            context = f"{headings} {header_row if header_row != quote else ''}".strip()
            meaning = _row_meaning(header_row, quote) if header_row and header_row != quote else quote
            spans.append(Span(segment=segment, start=start, end=end, quote=quote, context=context, meaning=meaning))
    if len(spans) <= MAX_SPANS:
        return spans
    by_words = sorted(range(len(spans)), key=lambda index: -lexical_support(question, spans[index].meaning))
    return [spans[index] for index in sorted(by_words[:MAX_SPANS])]


def _row_meaning(header_row: str, row: str) -> str:
    names, cells = header_row.split(CELL_GAP), row.split(CELL_GAP)
    if len(names) != len(cells):
        return row
    return ", ".join(f"{name} {cell}".strip() for name, cell in zip(names, cells, strict=True) if cell.strip())


def _sentences(segment: Segment) -> Iterator[tuple[int, int]]:
    blocks = [(start, end) for start, end, _ in segment.spans or []] or [(0, len(segment.text))]
    for block_start, block_end in blocks:
        block = segment.text[block_start:block_end]
        found = sentence_spans(block, by_line=segment.kind not in PROSE_KINDS)
        for start, end in found:
            yield block_start + start, block_start + end
        if segment.kind in PICTURE_KINDS:
            # A line of a picture often means something only with its neighbour: the title above, the label beside.
            for (start, _), (_, end) in itertools.pairwise(found):
                yield block_start + start, block_start + end


def quote_anchor(span: Span) -> dict[str, Any]:
    """Return where exactly a quote stands: its words' times, its cells or characters, else the segment's anchor."""
    segment = span.segment
    anchor: dict[str, Any] = dict(segment.anchor)
    if segment.words:
        return _spoken_anchor(span, anchor)
    for start, end, block_anchor in segment.spans or []:
        if start <= span.start and span.end <= end:
            inner = dict(block_anchor)
            if "start_char" in inner:
                inner["start_char"] += span.start - start
                inner["end_char"] = inner["start_char"] + (span.end - span.start)
            return inner
    return anchor


def _spoken_anchor(span: Span, anchor: dict[str, Any]) -> dict[str, Any]:
    position = 0
    times = []
    for text, start_s, end_s in span.segment.words or []:
        found = span.segment.text.find(text.strip(), position)
        if found < 0:
            continue
        position = found + len(text.strip())
        if found < span.end and position > span.start:
            times.append((start_s, end_s))
    if times:
        anchor["start_s"], anchor["end_s"] = round(times[0][0], 3), round(times[-1][1], 3)
    return anchor


class Attributor:
    """Finds support for sentences among the spans of the segments that an answer was given."""

    def __init__(
        self, *, spans: Sequence[Span], question: str, embed: SentenceEmbedder, calibration: Attribution
    ) -> None:
        self._spans = list(spans)
        self._question_numbers = set(_NUMBER.findall(question))
        self._question_stems = {word_stem(word) for word in words(question)}
        self._embed = embed
        self._calibration = calibration
        self.vectors: Vectors = embed([span.meaning for span in spans]) if spans else np.zeros((0, 1), dtype=np.float32)

    def support(self, sentence: str) -> Citation | None:
        """Return the best supporting quote of a sentence, or None when no span supports it enough."""
        if not self._spans:
            return None
        cosines = self.vectors @ self._embed([sentence])[0]
        scored = [
            (self._score(sentence, span, float(cosine)), -index)
            for index, (span, cosine) in enumerate(zip(self._spans, cosines, strict=True))
        ]
        score, negative_index = max(scored)
        if score < self._calibration.threshold:
            return None
        return cite(self._spans[-negative_index])

    def nearness(self, text: str) -> list[float]:
        """Return for each span how near (0 to 1) a text is to it, whether or not the span supports the text."""
        if not self._spans:
            return []
        cosines = self.vectors @ self._embed([text])[0]
        return [self._mixed(text, span, float(cosine)) for span, cosine in zip(self._spans, cosines, strict=True)]

    def _score(self, sentence: str, span: Span, cosine: float) -> float:
        evidence = f"{span.context} {span.quote}"
        numbers = set(_NUMBER.findall(sentence)) - self._question_numbers
        if not numbers <= set(_NUMBER.findall(evidence)) or not self._news_stands_in(sentence, evidence):
            return 0.0
        return self._mixed(sentence, span, cosine)

    def _mixed(self, text: str, span: Span, cosine: float) -> float:
        share = self._calibration.lexical_share
        return share * lexical_support(text, f"{span.context} {span.quote}") + (1 - share) * max(0.0, cosine)

    def _news_stands_in(self, sentence: str, evidence: str) -> bool:
        """Whether what the sentence adds to the question stands in the evidence; repeating it adds nothing."""
        news = [word for word in content_words(sentence) if word_stem(word) not in self._question_stems]
        held = {word_stem(word) for word in words(evidence)}
        found = sum(word_stem(word) in held for word in news)
        return bool(news) and found >= self._calibration.news_share * len(news)


def cite(span: Span) -> Citation:
    """Turn a span into a citation of exactly that quote."""
    return Citation(
        document_id=span.segment.document_id,
        segment_id=span.segment.pk,
        sha256=span.segment.document.sha256,
        quote=span.quote,
        anchor=quote_anchor(span),
    )


def content_words(text: str) -> list[str]:
    """Return the words of a text that carry meaning, numbers included."""
    return [word for word in words(text) if word not in _STOP_WORDS]


def lexical_support(sentence: str, evidence: str) -> float:
    """Return the share (0 to 1) of the sentence's content words that the evidence holds, compared by their stems."""
    wanted = content_words(sentence)
    if not wanted:
        return 0.0
    held = {word_stem(word) for word in words(evidence)}
    return sum(word_stem(word) in held for word in wanted) / len(wanted)


def word_stem(word: str) -> str:
    """Return what two spellings of a word share: its first letters; a number stands for itself alone."""
    return word if word.isdigit() else word[:_STEM_CHARS]
