"""Finds and reads the lines of several pages at once.

While the lines of one page are read, those of the next are looked for. Lines are read in batches of one width, from
whatever pages they are; the width depends on the line alone, so that it is read the same in any company.
"""

from __future__ import annotations

import collections
import dataclasses
import math
from collections.abc import Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from typing import Any

import numpy as np
import numpy.typing as npt
from rapidocr import RapidOCR
from rapidocr.main import RapidOCRError
from rapidocr.utils.process_img import map_boxes_to_original

from inference.values import RgbImage

LINE_HEIGHT_PX = 48
SHORTEST_PX = 320
"""What the recogniser was trained with: lines of this height, narrow ones padded to this width."""

WIDTH_STEP_PX = 64
BATCH_WIDTH_PX = 4096
"""Lines of a batch side by side."""

Quads = npt.NDArray[np.float64]
Crop = npt.NDArray[np.uint8]


@dataclasses.dataclass(frozen=True, slots=True)
class PageLines:
    """The lines of one page in no particular order; quads in pixels, clockwise from the top left."""

    quads: Quads
    texts: tuple[str, ...]
    scores: tuple[float, ...]


@dataclasses.dataclass(frozen=True, slots=True)
class _Line:
    page: int
    number: int
    crop: Crop


@dataclasses.dataclass(frozen=True, slots=True)
class _Detected:
    page: int
    quads: Quads
    lines: list[_Line]


@dataclasses.dataclass(frozen=True, slots=True)
class _Read:
    texts: dict[tuple[int, int], tuple[str, float]]


class _Waiting:
    """Lines that were found and not read yet, by the width that they are read in."""

    def __init__(self) -> None:
        self._lines: dict[int, list[_Line]] = {}

    def add(self, lines: Sequence[_Line]) -> None:
        for line in lines:
            self._lines.setdefault(_width_px(line.crop), []).append(line)

    def take(self, *, all_of_them: bool) -> Iterator[tuple[int, list[_Line]]]:
        """Yield full batches, and at the end what is left."""
        for width_px in list(self._lines):
            size = max(1, BATCH_WIDTH_PX // width_px)
            lines = self._lines.pop(width_px)
            whole = len(lines) if all_of_them else len(lines) // size * size
            for start in range(0, whole, size):
                yield width_px, lines[start : min(start + size, whole)]
            if whole < len(lines):
                self._lines[width_px] = lines[whole:]


class PageLinesReader:
    """Reads pages with RapidOCR's detector and recogniser.

    Args:
        reader: With both models loaded.
        workers: Pages and batches of lines worked on at the same time.
        text_score: Lines below this confidence are dropped.
    """

    def __init__(self, reader: RapidOCR, *, workers: int, text_score: float) -> None:
        self._reader: Any = reader
        self._workers = workers
        self._text_score = text_score
        self._pool = ThreadPoolExecutor(max_workers=workers, thread_name_prefix="ocr")
        # The library loads its models at their first use, which several threads must not share.
        library: Any = reader
        library._load_det_model()
        self._recogniser: Any = library._load_rec_model()

    def read(self, pages: Sequence[RgbImage]) -> list[PageLines]:
        """Return the lines of each page; a blank one has none."""
        quads: dict[int, Quads] = {}
        texts: dict[tuple[int, int], tuple[str, float]] = {}
        waiting = _Waiting()
        unsearched = collections.deque(range(len(pages)))
        running: set[Future[_Detected | _Read]] = set()
        while unsearched or running:
            while unsearched and len(running) < self._workers:
                number = unsearched.popleft()
                running.add(self._pool.submit(self._detect, number, pages[number]))
            finished, running = wait(running, return_when=FIRST_COMPLETED)
            for future in finished:
                done = future.result()
                if isinstance(done, _Detected):
                    quads[done.page] = done.quads
                    waiting.add(done.lines)
                else:
                    texts.update(done.texts)
            batches = waiting.take(all_of_them=len(quads) == len(pages))
            running |= {self._pool.submit(self._recognise, width_px, lines) for width_px, lines in batches}
        return [self._page(quads[number], number, texts) for number in range(len(pages))]

    def _detect(self, number: int, page: RgbImage) -> _Detected:
        blue_first = np.ascontiguousarray(page[:, :, ::-1])
        image, record = self._reader.preprocess_img(blue_first)
        try:
            crops, found = self._reader.detect_and_crop(image, record)
        except RapidOCRError:
            # The library's way to say that there is no line.
            return _Detected(number, np.zeros((0, 4, 2)), [])
        height_px, width_px = page.shape[:2]
        quads = map_boxes_to_original(found.boxes, record, height_px, width_px)
        lines = [_Line(number, index, crop) for index, crop in enumerate(crops)]
        return _Detected(number, np.asarray(quads, np.float64), lines)

    def _recognise(self, width_px: int, lines: Sequence[_Line]) -> _Read:
        # The half pixel keeps the library from rounding a width down.
        ratio = (width_px + 0.5) / LINE_HEIGHT_PX
        batch = np.stack([self._recogniser.resize_norm_img(line.crop, ratio) for line in lines])
        scores = self._recogniser.session(batch)
        read, _ = self._recogniser.postprocess_op(scores)
        return _Read(
            {(line.page, line.number): (text, float(score)) for line, (text, score) in zip(lines, read, strict=True)}
        )

    def _page(self, quads: Quads, number: int, texts: dict[tuple[int, int], tuple[str, float]]) -> PageLines:
        read = [texts[number, index] for index in range(len(quads))]
        kept = [index for index, (text, score) in enumerate(read) if text.strip() and score >= self._text_score]
        return PageLines(
            quads=quads[kept],
            texts=tuple(read[index][0] for index in kept),
            scores=tuple(read[index][1] for index in kept),
        )


def _width_px(crop: Crop) -> int:
    """Return the width of the picture in which a line is read, which is a little wider than the line."""
    height_px, width_px = crop.shape[:2]
    scaled_px = math.ceil(LINE_HEIGHT_PX * width_px / max(1, height_px))
    return max(SHORTEST_PX, -(-int(scaled_px) // WIDTH_STEP_PX) * WIDTH_STEP_PX)
