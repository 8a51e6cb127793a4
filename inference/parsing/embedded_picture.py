"""Pictures found inside documents, turned into PNG artefacts."""

from __future__ import annotations

import hashlib
import io
import warnings

from PIL import Image

from inference.parsing.base import Limits

_FORMATS = ("PNG", "JPEG", "GIF", "BMP", "TIFF", "WEBP")
_SMALLEST_EDGE_PX = 32
_SMALLEST_PIXELS = 4_096


def picture_png(data: bytes, limits: Limits) -> bytes | None:
    """Return an embedded picture as RGB PNG, transparent parts white; None where there is nothing to look at.

    None stands for what is too small to carry meaning (bullets, rules, tracking pixels), for vector formats (EMF,
    WMF, SVG) and for broken bytes: a document is not damaged because a picture in it is.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with Image.open(io.BytesIO(data), formats=_FORMATS) as picture:
                return _png(picture, limits)
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
        return None


def _png(picture: Image.Image, limits: Limits) -> bytes | None:
    width, height = picture.size
    if min(width, height) < _SMALLEST_EDGE_PX or width * height < _SMALLEST_PIXELS:
        return None
    if width * height > limits.picture_pixels:
        return None
    upright: Image.Image = picture
    if picture.mode in ("RGBA", "LA", "PA") or "transparency" in picture.info:
        upright = Image.new("RGB", picture.size, "white")
        layer = picture.convert("RGBA")
        upright.paste(layer, mask=layer.getchannel("A"))
    upright = upright.convert("RGB")
    upright.thumbnail((limits.ocr_edge_px, limits.ocr_edge_px))
    target = io.BytesIO()
    upright.save(target, "PNG")
    return target.getvalue()


class PictureShelf:
    """The pictures of one parse: each distinct picture once, at most ``limits.pictures``.

    Attributes:
        artefacts: PNG bytes by artefact name.
    """

    def __init__(self, limits: Limits, prefix: str = "picture") -> None:
        self.artefacts: dict[str, bytes] = {}
        self._limits = limits
        self._prefix = prefix
        self._seen: set[str] = set()

    def take(self, data: bytes) -> str | None:
        """Keep a picture and return its artefact name; None when it is too small, repeated or one too many."""
        digest = hashlib.sha256(data).hexdigest()
        if digest in self._seen or len(self.artefacts) >= self._limits.pictures:
            return None
        self._seen.add(digest)
        png = picture_png(data, self._limits)
        if png is None:
            return None
        name = f"{self._prefix}-{len(self.artefacts) + 1}.png"
        self.artefacts[name] = png
        return name
