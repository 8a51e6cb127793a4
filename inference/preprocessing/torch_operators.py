"""Makes torchvision importable where its compiled operators were built for another torch."""

from __future__ import annotations

import functools
import importlib.util
from pathlib import Path

import torch

_SCHEMAS = {
    "nms": "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
    "qnms": "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
}


@functools.cache
def torchvision_prepare() -> None:
    """Declare the operators that torchvision's import looks up, only where its own library does not load.

    torchvision is published for CUDA builds of torch; next to a CPU build its library cannot be loaded and the import
    fails with "operator torchvision::nms does not exist". Nothing here calls these operators, so a declaration without
    an implementation is enough. Call this before the first import of torchvision, timm or open_clip.
    """
    if _compiled_library_loads():
        return
    for name, schema in _SCHEMAS.items():
        if not hasattr(torch.ops.torchvision, name):
            torch.library.define(f"torchvision::{name}", schema)


def _compiled_library_loads() -> bool:
    spec = importlib.util.find_spec("torchvision")
    if spec is None or spec.origin is None:
        return False
    libraries = sorted(Path(spec.origin).parent.glob("_C*.so"))
    try:
        for library in libraries:
            torch.ops.load_library(library)  # type: ignore[no-untyped-call]
    except OSError:
        return False
    return hasattr(torch.ops.torchvision, "nms")
