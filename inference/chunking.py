"""Blocks and utterances to chunks: the pieces that are embedded, searched and quoted.

Pure functions of their arguments. Chunks follow structure: a heading begins one, tables are never mixed with running
text and repeat their header row, speaker turns stay whole where they fit. A chunk never crosses a page, sheet, part or
speaker, so that its one anchor covers exactly what it holds; its spans say where each stretch of its text stands.
"""

from __future__ import annotations

import dataclasses
import functools
import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Literal

from openpyxl.utils import get_column_letter, range_boundaries
from semantic_text_splitter import TextSplitter
from tokenizers import Tokenizer

from inference.values import Anchor, Box, TextBlock, Utterance, Word

TARGET_TOKENS = 200
HARD_TOKENS = 240
LONGEST_SPEECH_S = 30.0
LONGEST_PAUSE_S = 2.0

_REMEMBERED_WORDS = 65_536
_REMEMBERED_CHARS = 64
_WINDOW_CHARS = 16_384
_PROBE = "The tide rises 4.2 m; d\u00e9j\u00e0 vu (co-operate), hello_world \u6f6e\u6c50\n\nnext line: 1,234 | x"
_GAP = "\n"
_ROW = re.compile(r"[^\n]+")


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class ChunkSpan:
    """A stretch of a chunk's text, ``text[start:end]``, and where it stands in the source."""

    start: int
    end: int
    anchor: Anchor


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Chunk:
    """One retrievable piece.

    Attributes:
        text: Never empty, no surrounding space, at most the hard budget of tokens.
        kind: text, table or speech.
        heading_path: Titles of the enclosing headings, outermost first.
        anchor: Covers all spans but repeated header rows.
        spans: In order, not overlapping; only the line ends between blocks belong to no span.
        words: Of recorded speech: every word with its time.
    """

    text: str
    kind: Literal["text", "table", "speech"]
    heading_path: tuple[str, ...]
    anchor: Anchor
    spans: tuple[ChunkSpan, ...]
    words: tuple[Word, ...] = ()


class TokenBudget:
    """Counts and splits by the tokens of one tokenizer.

    Attributes:
        tokenizer: Path of the ``tokenizer.json``.
        target: Blocks are merged up to so many tokens.
        hard: No chunk has more.
        adds_up: The tokens of words joined by white space are the sum of the words' tokens.
    """

    def __init__(self, tokenizer: Path, *, target: int = TARGET_TOKENS, hard: int = HARD_TOKENS) -> None:
        """Load ``tokenizer.json`` of the embedding model; special tokens are not counted."""
        self.tokenizer = tokenizer
        self.target = target
        self.hard = hard
        self._tokenizer = Tokenizer.from_file(str(tokenizer))
        self._tokenizer.no_truncation()
        self._tokenizer.no_padding()
        self._word_tokens = functools.lru_cache(maxsize=_REMEMBERED_WORDS)(self._encoded)
        # True of every tokenizer that splits at white space first; then words are counted once and remembered.
        self.adds_up = self._encoded(_PROBE) == sum(map(self._encoded, _PROBE.split()))

    def count(self, text: str) -> int:
        """Count the tokens of a text."""
        if not self.adds_up:
            return self._encoded(text)
        return sum(
            self._word_tokens(word) if len(word) <= _REMEMBERED_CHARS else self._encoded(word) for word in text.split()
        )

    def split(self, text: str, room: int) -> list[tuple[int, str]]:
        """Split at sentences, words and, where nothing else is left, characters into pieces of at most ``room`` tokens.

        Returns:
            (offset in the text, piece) in order; only white space is left out between pieces.
        """
        splitter = TextSplitter.from_callback(self.count, max(1, room))
        return [
            (start + offset, piece)
            for start, window in _windows(text)
            for offset, piece in splitter.chunk_indices(window)
            if piece.strip()
        ]

    def _encoded(self, text: str) -> int:
        return len(self._tokenizer.encode(text, add_special_tokens=False).ids)


def _windows(text: str) -> Iterator[tuple[int, str]]:
    """Cut very long text at line ends or spaces: the splitter's time per piece grows with what lies ahead."""
    start = 0
    while len(text) - start > _WINDOW_CHARS:
        end = start + _WINDOW_CHARS
        cuts = (text.rfind(mark, start + _WINDOW_CHARS // 2, end) for mark in ("\n\n", "\n", ". ", " "))
        cut = next((cut + 1 for cut in cuts if cut > 0), end)
        yield start, text[start:cut]
        start = cut
    yield start, text[start:]


@dataclasses.dataclass(frozen=True, slots=True)
class _Unit:
    """A block or a piece of one that fits the budget."""

    text: str
    anchor: Anchor
    tokens: int
    is_heading: bool
    heading_path: tuple[str, ...]


def text_chunks(blocks: Iterable[TextBlock], budget: TokenBudget) -> tuple[Chunk, ...]:
    """Turn the blocks of one part, in reading order, into chunks."""
    chunks: list[Chunk] = []
    headers: dict[tuple[str, str], Anchor] = {}
    for kind, run in _runs(_without_lone_titles(tuple(blocks))):
        if kind == "table":
            for block in run:
                chunks += _table_chunks(block, budget, headers)
        elif kind == "turn":
            chunks += _turn_chunks(run, budget)
        else:
            chunks += _prose_chunks(run, budget)
    return tuple(chunks)


def speech_chunks(
    utterances: Sequence[Utterance], speakers: Sequence[str | None], budget: TokenBudget
) -> tuple[Chunk, ...]:
    """Turn what was said into chunks by speaker turn and pause, at most 30 seconds or the token budget each.

    Args:
        utterances: In order of time; their times count from the start of the media.
        speakers: One label per utterance, None where nobody knows.
        budget: Of tokens per chunk.
    """
    pieces: list[tuple[_Unit, tuple[Word, ...]]] = []
    for utterance, speaker in zip(utterances, speakers, strict=True):
        for text, words, start_s, end_s in _utterance_pieces(utterance, budget):
            anchor = Anchor(start_s=start_s, end_s=max(end_s, start_s + 0.001), speaker=speaker)
            pieces.append((_Unit(text, anchor, budget.count(text), False, ()), words))  # noqa: FBT003
    chunks: list[Chunk] = []
    group: list[tuple[_Unit, tuple[Word, ...]]] = []
    for piece in pieces:
        if group and not _same_turn([unit for unit, _ in group], piece[0], budget):
            chunks.append(_spoken(group))
            group = []
        group.append(piece)
    if group:
        chunks.append(_spoken(group))
    return tuple(chunks)


def covering(anchors: Sequence[Anchor]) -> Anchor:
    """Return the smallest anchor that holds all of these; they share family, page, sheet, speaker and part."""
    first = anchors[0]
    match first.family:
        case "page":
            boxes = [anchor.box for anchor in anchors if anchor.box is not None]
            # A block without a box may be anywhere on the page.
            return dataclasses.replace(first, box=_union(boxes) if len(boxes) == len(anchors) else None)
        case "time":
            start_s = min(anchor.start_s for anchor in anchors if anchor.start_s is not None)
            end_s = max(anchor.end_s for anchor in anchors if anchor.end_s is not None)
            return dataclasses.replace(first, start_s=start_s, end_s=end_s)
        case "chars":
            start = min(anchor.start_char for anchor in anchors if anchor.start_char is not None)
            end = max(anchor.end_char for anchor in anchors if anchor.end_char is not None)
            return dataclasses.replace(first, start_char=start, end_char=end)
        case "sheet":
            return dataclasses.replace(first, cells=_cover_cells([anchor.cells or "A1:A1" for anchor in anchors]))
        case "frame":
            return first


def _union(boxes: Sequence[Box]) -> Box:
    return Box(
        x0=min(box.x0 for box in boxes),
        y0=min(box.y0 for box in boxes),
        x1=max(box.x1 for box in boxes),
        y1=max(box.y1 for box in boxes),
    )


def _cover_cells(ranges: Sequence[str]) -> str:
    bounds = [range_boundaries(cells) for cells in ranges]
    return _cells(
        min(bound[0] for bound in bounds),
        min(bound[1] for bound in bounds),
        max(bound[2] for bound in bounds),
        max(bound[3] for bound in bounds),
    )


def _cells(first_column: int, first_row: int, last_column: int, last_row: int) -> str:
    return f"{get_column_letter(first_column)}{first_row}:{get_column_letter(last_column)}{last_row}"


def _place(anchor: Anchor) -> tuple[object, ...]:
    """What two anchors must share to stand in one chunk."""
    return (anchor.family, anchor.part, anchor.page, anchor.sheet, anchor.speaker, anchor.frame_s)


def _without_lone_titles(blocks: Sequence[TextBlock]) -> list[TextBlock]:
    """Leave out headings that could only be a chunk of their own and are told by the path of what follows them."""
    kept: list[TextBlock] = []
    for block in reversed(blocks):
        if kept and block.role == "heading" and _is_told(block, kept[-1]):
            continue
        kept.append(block)
    return kept[::-1]


def _is_told(heading: TextBlock, following: TextBlock) -> bool:
    path = (*heading.heading_path, heading.text)
    if following.heading_path[: len(path)] != path:
        return False
    return following.role in ("table", "turn") or _place(heading.anchor) != _place(following.anchor)


def _runs(blocks: Iterable[TextBlock]) -> Iterator[tuple[str, list[TextBlock]]]:
    run: list[TextBlock] = []
    kind = ""
    for block in blocks:
        its_kind = block.role if block.role in ("table", "turn") else "prose"
        if run and its_kind != kind:
            yield kind, run
            run = []
        kind = its_kind
        run.append(block)
    if run:
        yield kind, run


def _units(block: TextBlock, budget: TokenBudget) -> Iterator[_Unit]:
    tokens = budget.count(block.text)
    is_heading = block.role == "heading"
    if tokens <= budget.hard:
        yield _Unit(block.text, block.anchor, tokens, is_heading, block.heading_path)
        return
    for offset, piece in budget.split(block.text, budget.target):
        anchor = _narrowed(block.anchor, offset, offset + len(piece))
        yield _Unit(piece, anchor, budget.count(piece), is_heading and offset == 0, block.heading_path)


def _narrowed(anchor: Anchor, start: int, end: int) -> Anchor:
    if anchor.start_char is None:
        return anchor
    return dataclasses.replace(anchor, start_char=anchor.start_char + start, end_char=anchor.start_char + end)


# Running text


def _prose_chunks(blocks: Sequence[TextBlock], budget: TokenBudget) -> Iterator[Chunk]:
    group: list[_Unit] = []
    for block in blocks:
        for unit in _units(block, budget):
            if group and not _joins(group, unit, budget):
                yield _joined(group, "text")
                group = []
            group.append(unit)
    if group:
        yield _joined(group, "text")


def _joins(group: Sequence[_Unit], unit: _Unit, budget: TokenBudget) -> bool:
    if _place(group[-1].anchor) != _place(unit.anchor):
        return False
    only_headings = all(member.is_heading for member in group)
    deeper = len(unit.heading_path) - len(group[-1].heading_path)
    follows = deeper > 0 if unit.is_heading else deeper >= 0
    if not (follows if only_headings else not unit.is_heading and unit.heading_path == group[-1].heading_path):
        return False
    # A heading keeps its first paragraph even where that fills the chunk.
    room = budget.hard if only_headings else budget.target
    return _fits(group, unit, budget, room)


def _fits(group: Sequence[_Unit], unit: _Unit, budget: TokenBudget, room: int) -> bool:
    if sum(member.tokens for member in group) + unit.tokens > room:
        return False
    return budget.adds_up or budget.count(_GAP.join(member.text for member in (*group, unit))) <= room


def _joined(group: Sequence[_Unit], kind: Literal["text", "table", "speech"]) -> Chunk:
    return Chunk(
        text=_GAP.join(unit.text for unit in group),
        kind=kind,
        heading_path=group[-1].heading_path,
        anchor=covering([unit.anchor for unit in group]),
        spans=tuple(_spans(group)),
    )


def _spans(group: Sequence[_Unit], gap: str = _GAP) -> Iterator[ChunkSpan]:
    start = 0
    for unit in group:
        yield ChunkSpan(start=start, end=start + len(unit.text), anchor=unit.anchor)
        start += len(unit.text) + len(gap)


# Tables


def _table_chunks(block: TextBlock, budget: TokenBudget, headers: dict[tuple[str, str], Anchor]) -> Iterator[Chunk]:
    lines = _row_units(block, budget, headers)
    # A header that would take most of the room is told once, like a row.
    repeats = len(lines) > 1 and lines[0].tokens <= budget.target // 2
    header, rows = (lines[:1], lines[1:]) if repeats else ([], lines)
    group: list[_Unit] = []
    for unit in _rows_that_fit(rows, budget, budget.hard - sum(line.tokens for line in header)):
        if group and not _fits([*header, *group], unit, budget, budget.target):
            yield _table(header, group)
            group = []
        group.append(unit)
    yield _table(header, group)


def _row_units(block: TextBlock, budget: TokenBudget, headers: dict[tuple[str, str], Anchor]) -> list[_Unit]:
    lines = list(_ROW.finditer(block.text))
    anchors = _row_anchors(block, [(line.start(), line.end()) for line in lines], headers)
    return [
        _Unit(line.group(), anchor, budget.count(line.group()), False, block.heading_path)  # noqa: FBT003
        for line, anchor in zip(lines, anchors, strict=True)
    ]


def _row_anchors(
    block: TextBlock, lines: Sequence[tuple[int, int]], headers: dict[tuple[str, str], Anchor]
) -> list[Anchor]:
    anchor = block.anchor
    if anchor.cells is None or anchor.sheet is None:
        return [_narrowed(anchor, start, end) for start, end in lines]
    first_column, first_row, last_column, last_row = range_boundaries(anchor.cells)
    numbers = range(first_row, last_row + 1)
    cells = [_cells(first_column, row, last_column, row) for row in numbers]
    rows = [dataclasses.replace(anchor, cells=one) for one in cells]
    key = (anchor.sheet, block.text[slice(*lines[0])])
    if len(lines) == len(rows):
        headers[key] = rows[0]
        return rows
    if len(lines) == len(rows) + 1:
        return [headers.get(key, anchor), *rows]
    return [anchor] * len(lines)


def _rows_that_fit(rows: Iterable[_Unit], budget: TokenBudget, room: int) -> Iterator[_Unit]:
    for row in rows:
        if row.tokens <= room:
            yield row
            continue
        for offset, piece in budget.split(row.text, min(room, budget.target)):
            anchor = _narrowed(row.anchor, offset, offset + len(piece))
            yield _Unit(piece, anchor, budget.count(piece), False, row.heading_path)  # noqa: FBT003


def _table(header: Sequence[_Unit], rows: Sequence[_Unit]) -> Chunk:
    chunk = _joined([*header, *rows], "table")
    own = [unit.anchor for unit in rows]
    if header and _adjoins(header[0].anchor, own[0]):
        own.insert(0, header[0].anchor)
    return dataclasses.replace(chunk, anchor=covering(own))


def _adjoins(header: Anchor, row: Anchor) -> bool:
    if header.cells is not None and row.cells is not None:
        return bool(range_boundaries(header.cells)[3] + 1 >= range_boundaries(row.cells)[1])
    if header.end_char is not None and row.start_char is not None:
        return header.end_char + 1 >= row.start_char
    return True


# Speech


def _turn_chunks(blocks: Sequence[TextBlock], budget: TokenBudget) -> Iterator[Chunk]:
    group: list[_Unit] = []
    for block in blocks:
        for unit in _units(block, budget):
            if group and not _same_turn(group, unit, budget):
                yield _joined(group, "speech")
                group = []
            group.append(unit)
    if group:
        yield _joined(group, "speech")


def _same_turn(group: Sequence[_Unit], unit: _Unit, budget: TokenBudget) -> bool:
    first, last, new = group[0].anchor, group[-1].anchor, unit.anchor
    if _place(last) != _place(new):
        return False
    if first.start_s is None or last.end_s is None or new.start_s is None or new.end_s is None:
        return _fits(group, unit, budget, budget.target)
    if new.start_s - last.end_s > LONGEST_PAUSE_S or new.end_s - first.start_s > LONGEST_SPEECH_S:
        return False
    return _fits(group, unit, budget, budget.target)


def _spoken(group: Sequence[tuple[_Unit, tuple[Word, ...]]]) -> Chunk:
    units = [unit for unit, _ in group]
    chunk = _joined(units, "speech")
    return dataclasses.replace(chunk, words=tuple(word for _, words in group for word in words))


def _utterance_pieces(
    utterance: Utterance, budget: TokenBudget
) -> Iterator[tuple[str, tuple[Word, ...], float, float]]:
    fits = budget.count(utterance.text) <= budget.target
    if (fits and utterance.end_s - utterance.start_s <= LONGEST_SPEECH_S) or len(utterance.words) < 2:
        pieces = [(0, utterance.text)] if budget.count(utterance.text) <= budget.hard else None
        for offset, text in pieces or budget.split(utterance.text, budget.target):
            yield text, utterance.words if offset == 0 else (), utterance.start_s, utterance.end_s
        return
    middle = _widest_pause(utterance.words)
    for words in (utterance.words[:middle], utterance.words[middle:]):
        text = _words_text(utterance.text, utterance.words, words)
        part = Utterance(
            text=text,
            start_s=words[0].start_s,
            end_s=words[-1].end_s,
            words=words,
            language=utterance.language,
        )
        yield from _utterance_pieces(part, budget)


def _widest_pause(words: Sequence[Word]) -> int:
    # Among the middle half of the words, so that halves stay of similar length.
    quarter = len(words) // 4
    places = range(max(1, quarter), max(2, len(words) - quarter))
    return max(places, key=lambda place: (words[place].start_s - words[place - 1].end_s, -abs(place * 2 - len(words))))


def _words_text(text: str, all_words: Sequence[Word], words: Sequence[Word]) -> str:
    offsets: list[tuple[int, int]] = []
    position = 0
    for word in all_words:
        found = text.find(word.text.strip(), position)
        if found < 0:
            return " ".join(one.text.strip() for one in words)
        position = found + len(word.text.strip())
        offsets.append((found, position))
    first = next(index for index, word in enumerate(all_words) if word is words[0])
    return text[offsets[first][0] : offsets[first + len(words) - 1][1]]
