"""Checks and resizes pictures before a model sees them."""

from __future__ import annotations

import numpy as np
from PIL import Image

from inference.errors import EmptyInput, InputRejected
from inference.values import RgbImage

_STRIDE_PX = 32
_SHORTEST_PX = 96
_LONGEST_PX = 480


def picture_check(image: RgbImage, index: int) -> None:
    """Refuse what is not a picture: uint8, shape (height, width, 3), at least one pixel.

    Raises:
        EmptyInput: It has no pixel.
        InputRejected: Type or shape is another.
    """
    if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3:
        raise InputRejected(
            f"picture {index} of the batch is {image.dtype} of shape {image.shape}; it must be uint8 of shape"
            " (height, width, 3)"
        )
    if image.size == 0:
        raise EmptyInput(f"picture {index} of the batch has no pixels")


def full_frame(image: RgbImage, *, area_side_px: int) -> RgbImage:
    """Resize the whole picture, nothing cropped, to about the area of a square of ``area_side_px``.

    The aspect ratio is kept up to rounding to the network's stride of 32 pixels; a side stays within 96 to 480 pixels.
    """
    height_px, width_px = image.shape[:2]
    scale = area_side_px / (height_px * width_px) ** 0.5
    size = (_side_px(width_px * scale), _side_px(height_px * scale))
    return np.asarray(Image.fromarray(image).resize(size, Image.Resampling.BICUBIC, reducing_gap=3.0))


def _side_px(exact_px: float) -> int:
    rounded = round(exact_px / _STRIDE_PX) * _STRIDE_PX
    return max(_SHORTEST_PX, min(_LONGEST_PX, rounded))
