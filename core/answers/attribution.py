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
from core.answers.wording import DEFAULT_LANGUAGE, content_words, lexical_support, text_keys, word_keys
from core.segments.models import Segment
from core.settings.calibration import Attribution
from inference.values import Vectors

SentenceEmbedder = Callable[[Sequence[str]], Vectors]
"""Texts to float32 unit vectors, shape (texts, dimensions)."""

CELL_GAP = " | "
"""Stands between the cells of a row in a table's text."""

FORM_ROWS = 12

PICTURE_KINDS = frozenset({"image", "frame"})

PROSE_KINDS = frozenset({"text", "speech"})

LISTING_LINE_CHARS = 40
"""Prose is wrapped at wider lines: a block whose lines are mostly shorter is a list, a verse or a reference card."""

_KEY_AND_VALUE = re.compile(r"\s*\S{1,60}[:=]\s")
_WIDE_GAP = re.compile(r"\S[ \t]{3,}\S")

_NUMBER = re.compile(r"\d+(?:[.,:]\d+)*")


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """One quotable span of a shown segment.

    Attributes:
        quote: Exactly ``segment.text[start:end]``.
        context: Words around it that its meaning rests on: headings, the header row of its table.
        meaning: What is compared: the quote; for a row of a table each cell with its column's name.
        beside: The quote with the spans before and after it; a row of a table has none.
        around: Its segment, or of a table the row itself: other rows are about other things.
    """

    segment: Segment
    start: int
    end: int
    quote: str
    context: str
    meaning: str
    beside: str = ""
    around: str = ""

    @property
    def embedded(self) -> str:
        """What is turned into a vector: the meaning under its headings."""
        headings = " ".join(self.segment.heading_path)
        return f"{headings}: {self.meaning}" if headings else self.meaning


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


def segment_spans(segments: Sequence[Segment]) -> list[Span]:
    """Return the quotable spans of the segments in their order."""
    return [span for segment in segments for span in _spans(segment)]


def _spans(segment: Segment) -> Iterator[Span]:
    is_table = segment.kind == "table"
    is_alone = is_table and not _is_form(segment.text)
    headings = " ".join(segment.heading_path)
    header_row = segment.text.split("\n", 1)[0] if is_table else ""
    found = list(_sentences(segment))
    for index, (start, end) in enumerate(found):
        quote = segment.text[start:end]
        heads = header_row if header_row != quote else ""
        around = found[max(0, index - 1) : index + 2]
        yield Span(
            segment=segment,
            start=start,
            end=end,
            quote=quote,
            context=f"{headings} {heads}".strip(),
            meaning=_row_meaning(heads, quote) if heads else quote,
            around=quote if is_alone else segment.text,
            beside=quote if is_alone else segment.text[min(one[0] for one in around) : max(one[1] for one in around)],
        )


def _is_form(table: str) -> bool:
    """Whether a table is a short list of fields and their values, which are all about one thing."""
    rows = table.split("\n")
    return len(rows) <= FORM_ROWS and all(row.count(CELL_GAP) == 1 for row in rows)


def _row_meaning(header_row: str, row: str) -> str:
    names, cells = header_row.split(CELL_GAP), row.split(CELL_GAP)
    if len(names) != len(cells):
        return row
    return ", ".join(f"{name} {cell}".strip() for name, cell in zip(names, cells, strict=True) if cell.strip())


def _sentences(segment: Segment) -> Iterator[tuple[int, int]]:
    blocks = [(start, end) for start, end, _ in segment.spans or []] or [(0, len(segment.text))]
    for block_start, block_end in blocks:
        block = segment.text[block_start:block_end]
        is_listing = segment.kind in PROSE_KINDS and _is_listing(block)
        found = sentence_spans(block, by_line=is_listing or segment.kind not in PROSE_KINDS)
        for start, end in found:
            yield block_start + start, block_start + end
        if segment.kind in PICTURE_KINDS or is_listing:
            # Such a line often means something only with its neighbour: the title above, the label beside.
            for (start, _), (_, end) in itertools.pairwise(found):
                yield block_start + start, block_start + end


def _is_listing(block: str) -> bool:
    lines = [line for line in block.split("\n") if line.strip()]
    # The fields of a record belong together.
    if len(lines) < 2 or all(_KEY_AND_VALUE.match(line) for line in lines):
        return False
    short = sum(len(line.strip()) < LISTING_LINE_CHARS or _WIDE_GAP.search(line) is not None for line in lines)
    return short > len(lines) / 2


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
        self,
        *,
        spans: Sequence[Span],
        question: str,
        embed: SentenceEmbedder,
        calibration: Attribution,
        language: str = DEFAULT_LANGUAGE,
    ) -> None:
        self._spans = list(spans)
        self._question_numbers = set(_NUMBER.findall(question))
        self._language = language
        self._question_keys = text_keys((question,), language)
        self._embed = embed
        self._calibration = calibration
        self.vectors: Vectors = (
            embed([span.embedded for span in spans]) if spans else np.zeros((0, 1), dtype=np.float32)
        )

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
        return share * lexical_support(text, f"{span.context} {span.quote}", self._language) + (1 - share) * max(
            0.0, cosine
        )

    def _news_stands_in(self, sentence: str, evidence: str) -> bool:
        """Whether what the sentence adds to the question stands in the evidence; repeating it adds nothing."""
        keys = [word_keys(word, self._language) for word in content_words(sentence)]
        news = [one for one in keys if self._question_keys.isdisjoint(one)]
        held = text_keys((evidence,), self._language)
        found = sum(not held.isdisjoint(one) for one in news)
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


def cite_picture(segment: Segment) -> Citation:
    """Cite a picture as a whole: its anchor, and the first stretch of what is known about it."""
    first = (segment.spans or [])[:1]
    caption = segment.text[first[0][0] : first[0][1]] if first else segment.text.split("\n", 1)[0]
    return Citation(
        document_id=segment.document_id,
        segment_id=segment.pk,
        sha256=segment.document.sha256,
        quote=caption,
        anchor=dict(segment.anchor),
    )
