"""Reads pictures of text with PP-OCR models through RapidOCR, turned upright and in reading order."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import onnxruntime
from rapidocr import RapidOCR

from inference.errors import EmptyInput, InputRejected, LimitExceeded
from inference.preprocessing.library_errors import library_errors
from inference.preprocessing.page_lines import PageLinesReader, Quads
from inference.preprocessing.reading_order import reading_order
from inference.values import Box, PageReading, RgbImage, TextLine

ENGINE = "rapidocr"
LARGEST_PX = 200_000_000
ORIENTATION_SHORT_PX = 256
ORIENTATION_CROP_PX = 224
LONGEST_ASPECT = 6.0
"""A strip longer than this is a line, not a page: the orientation model sees too little of it."""
SHORTEST_PX = 64
LARGEST_ASPECT = 4.0
POOR_CONFIDENCE = 0.8
TALL_WEIGHT = 0.9
"""The library turns a line that stands before it reads it, so that a page on its side can read as well as upright."""
MEAN_RGB = (0.485, 0.456, 0.406)
STD_RGB = (0.229, 0.224, 0.225)


@dataclasses.dataclass(frozen=True, slots=True)
class _Attempt:
    """One reading of the picture turned by quarter turns; quads in pixels of the turned picture."""

    turns: int
    quads: Quads
    texts: tuple[str, ...]
    scores: tuple[float, ...]

    @property
    def quality(self) -> float:
        """Characters read, weighted by how sure the recogniser is; unsure ones and standing lines count less."""
        weights = np.where(self._is_tall, TALL_WEIGHT, 1.0)
        read = zip(self.texts, self.scores, weights.tolist(), strict=True)
        return float(sum(len(text) * score**4 * weight for text, score, weight in read))

    @property
    def is_poor(self) -> bool:
        if not self.texts:
            return False
        return bool(self._is_tall.mean() > 0.5) or float(np.median(self.scores)) < POOR_CONFIDENCE

    @property
    def _is_tall(self) -> npt.NDArray[np.bool_]:
        along = np.linalg.norm(self.quads[:, 1] - self.quads[:, 0], axis=1)
        across = np.linalg.norm(self.quads[:, 3] - self.quads[:, 0], axis=1)
        return np.asarray(across > 1.5 * along)


class RapidOcrRecognizer:
    """Detects and recognises lines; folders are the PP-OCR models and, where given, the page-orientation model.

    Options:
        text_score: Lines below this confidence are dropped; 0.5.
        longest_side_px: Larger pictures are scaled down before they are read; 2000.
    """

    recipe_version = "2"

    def __init__(
        self,
        folders: Sequence[Path],
        *,
        threads: int,
        device: str = "cpu",
        options: Mapping[str, Any] | None = None,
    ) -> None:
        chosen = dict(options or {})
        text_score = float(chosen.pop("text_score", 0.5))
        settings = {
            "Global.max_side_len": int(chosen.pop("longest_side_px", 2000)),
            "Global.log_level": "error",
            # Whole pages are turned here; with lines turned one by one an upside-down page reads as well as an upright
            # one, in the wrong order.
            "Global.use_cls": False,
            # Pages and batches of lines run side by side, each on one thread, which wastes less than one on several.
            "EngineConfig.onnxruntime.intra_op_num_threads": 1,
            "EngineConfig.onnxruntime.inter_op_num_threads": 1,
            # Without it a quarter of the time goes into fetching memory from the system and giving it back.
            "EngineConfig.onnxruntime.enable_cpu_mem_arena": True,
        }
        if chosen:
            raise InputRejected(
                f"{ENGINE} does not know the options {sorted(chosen)}; it knows text_score and longest_side_px"
            )
        kind, _, index = device.partition(":")
        if kind == "cuda":
            settings |= {
                "EngineConfig.onnxruntime.use_cuda": True,
                "EngineConfig.onnxruntime.cuda_ep_cfg.device_id": int(index or 0),
            }
        for part, sign in (("Det", "det"), ("Rec", "rec")):
            # A path that is not set makes RapidOCR download its default.
            settings[f"{part}.model_path"] = str(_model_file(folders[0], f"*_{sign}_*.onnx"))
        with library_errors(ENGINE, f"loading {folders[0]}"):
            self._lines = PageLinesReader(RapidOCR(params=settings), workers=threads, text_score=text_score)
            self._orientation = _session(_model_file(folders[1], "*.onnx"), threads) if len(folders) > 1 else None

    def read(self, batch: Sequence[RgbImage]) -> Sequence[PageReading]:
        """Read each picture; one without text gives no lines."""
        for index, image in enumerate(batch):
            _check(index, image)
        with library_errors(ENGINE, f"reading {len(batch)} pictures"):
            return [_reading(image, attempt) for image, attempt in zip(batch, self._upright(batch), strict=True)]

    def _upright(self, images: Sequence[RgbImage]) -> list[_Attempt]:
        guesses = [self._turns_guessed(image) for image in images]
        best = self._read_turned(list(zip(images, guesses, strict=True)))
        # The orientation model errs on sparse pages, so that a turn has to prove itself by what can then be read.
        doubtful = [
            (index, turns)
            for index, guess in enumerate(guesses)
            for turns in (range(4) if best[index].is_poor else (0,))
            if turns != guess
        ]
        others = self._read_turned([(images[index], turns) for index, turns in doubtful])
        for (index, _), attempt in zip(doubtful, others, strict=True):
            best[index] = max(best[index], attempt, key=lambda one: one.quality)
        return best

    def _turns_guessed(self, image: RgbImage) -> int:
        height_px, width_px = image.shape[:2]
        if self._orientation is None or max(height_px, width_px) > LONGEST_ASPECT * min(height_px, width_px):
            return 0
        scores = self._orientation.run(None, {self._orientation.get_inputs()[0].name: _orientation_input(image)})[0]
        return (4 - int(np.argmax(scores[0]))) % 4

    def _read_turned(self, wanted: Sequence[tuple[RgbImage, int]]) -> list[_Attempt]:
        turned = [_turned(image, turns) for image, turns in wanted]
        framed = [_framed(image) for image in turned]
        attempts = []
        for (_, turns), image, (_, left_px, top_px), found in zip(
            wanted, turned, framed, self._lines.read([one for one, _, _ in framed]), strict=True
        ):
            inside = (found.quads - (left_px, top_px)).clip((0, 0), (image.shape[1], image.shape[0]))
            attempts.append(_Attempt(turns, inside, found.texts, found.scores))
        return attempts


def _reading(image: RgbImage, attempt: _Attempt) -> PageReading:
    height_px, width_px = _turned(image, attempt.turns).shape[:2]
    scale = np.array([width_px, height_px], dtype=np.float64)
    straight = _lines(attempt, _straightened(attempt.quads) / scale)
    lines = _lines(attempt, attempt.quads / scale)
    return PageReading(
        lines=tuple(
            dataclasses.replace(lines[index], box=_turned_back(lines[index].box, attempt.turns))
            for index in reading_order(straight)
        ),
        rotation_deg=attempt.turns * 90,
    )


def _check(index: int, image: RgbImage) -> None:
    if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8:
        raise InputRejected(
            f"picture {index} is {image.dtype} of shape {image.shape}; wanted is uint8 of (height, width, 3)"
        )
    if image.size == 0:
        raise EmptyInput(f"picture {index} has no pixels")
    if image.size // 3 > LARGEST_PX:
        raise LimitExceeded(f"picture {index} has {image.size // 3} pixels; the limit is {LARGEST_PX}, scale it down")


def _model_file(folder: Path, pattern: str) -> Path:
    found = sorted(folder.glob(pattern))
    if len(found) != 1:
        raise InputRejected(
            f"'{folder}' holds {len(found)} files of the form {pattern}, not one; fetch the models again"
        )
    return found[0]


def _session(path: Path, threads: int) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])


def _orientation_input(image: RgbImage) -> npt.NDArray[np.float32]:
    scale = ORIENTATION_SHORT_PX / min(image.shape[:2])
    height_px, width_px = (max(ORIENTATION_SHORT_PX, round(side * scale)) for side in image.shape[:2])
    small = cv2.resize(image, (width_px, height_px), interpolation=cv2.INTER_AREA)
    top, left = (height_px - ORIENTATION_CROP_PX) // 2, (width_px - ORIENTATION_CROP_PX) // 2
    crop = small[top : top + ORIENTATION_CROP_PX, left : left + ORIENTATION_CROP_PX] / 255.0
    normal = (crop - np.array(MEAN_RGB)) / np.array(STD_RGB)
    return np.asarray(normal.transpose(2, 0, 1)[None], dtype=np.float32)


def _turned(image: RgbImage, turns: int) -> RgbImage:
    """Turn clockwise by quarter turns."""
    return np.rot90(image, -turns)


def _framed(image: RgbImage) -> tuple[RgbImage, int, int]:
    """Put a margin of its own background around a strip; returns the picture, and the margin's width and height.

    The detector scales the shorter side up to 736 pixels: a strip of 3 by 900 would become 736 by 220,000.
    """
    height_px, width_px = image.shape[:2]
    wanted_px = max(SHORTEST_PX, round(max(height_px, width_px) / LARGEST_ASPECT))
    left_px, top_px = (max(0, wanted_px - side + 1) // 2 for side in (width_px, height_px))
    if not left_px and not top_px:
        return image, 0, 0
    background = tuple(np.median(image.reshape(-1, 3), axis=0).tolist())
    framed = cv2.copyMakeBorder(
        np.ascontiguousarray(image), top_px, top_px, left_px, left_px, cv2.BORDER_CONSTANT, value=background
    )
    return np.asarray(framed, dtype=np.uint8), left_px, top_px


def _turned_back(box: Box, turns: int) -> Box:
    for _ in range(turns):
        box = Box(x0=box.y0, y0=1 - box.x1, x1=box.y1, y1=1 - box.x0)
    return box


def _straightened(quads: Quads) -> Quads:
    """Turn all quads about the origin so that the median line is level."""
    if len(quads) == 0:
        return quads
    along = quads[:, 1] - quads[:, 0]
    angle = np.median(np.arctan2(along[:, 1], along[:, 0])) if len(along) else 0.0
    cosine, sine = np.cos(angle), np.sin(angle)
    return np.asarray(quads @ np.array([[cosine, -sine], [sine, cosine]]))


def _lines(attempt: _Attempt, quads: Quads) -> list[TextLine]:
    return [
        TextLine(text=text.strip(), box=_bounds(quad), confidence=round(score, 4))
        for text, score, quad in zip(attempt.texts, attempt.scores, quads, strict=True)
    ]


def _bounds(quad: Quads) -> Box:
    (x0, y0), (x1, y1) = quad.min(axis=0).tolist(), quad.max(axis=0).tolist()
    return Box(x0=x0, y0=y0, x1=x1, y1=y1)
