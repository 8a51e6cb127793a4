"""Reads barcodes and QR codes with OpenCV."""

from __future__ import annotations

import cv2
import numpy as np
from PIL import Image

from inference.values import RgbImage

_LONGEST_SIDE_PX = 1200
_SHORTEST_SIDE_PX = 32


def barcode_read(image: RgbImage) -> str | None:
    """Return what the first readable code says, or None; a code that is seen but not readable gives None too."""
    picture = Image.fromarray(image).convert("L")
    if min(picture.size) < _SHORTEST_SIDE_PX:
        return None
    picture.thumbnail((_LONGEST_SIDE_PX, _LONGEST_SIDE_PX))
    grey = np.ascontiguousarray(picture)
    squares: str = cv2.QRCodeDetector().detectAndDecode(grey)[0]
    bars: str = squares or cv2.barcode.BarcodeDetector().detectAndDecode(grey)[0]
    return bars or None
