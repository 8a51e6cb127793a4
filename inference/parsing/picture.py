"""Reads picture files: upright RGB PNGs for OCR, captions and the ``image_text`` space; metadata is ignored."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from inference.errors import DamagedFile, LimitExceeded
from inference.parsing.base import Limits, Parsed, ParseRequest
from inference.parsing.registry import source_info
from inference.values import Anchor, Box, Extraction, Picture, SourceInfo

WHOLE = Box(x0=0.0, y0=0.0, x1=1.0, y1=1.0)
_MAX_PAGES = 5_000
# Only these libraries of Pillow may look at a user's bytes.
_DECODERS = ("PNG", "JPEG", "TIFF", "WEBP", "BMP", "DIB", "GIF", "HEIF")


def probe(path: Path, hint: str) -> SourceInfo:
    """Count the pages of a TIFF; every other picture is one unit."""
    with _opened(path, hint, Limits()) as image:
        units = int(getattr(image, "n_frames", 1)) if hint == "tiff" else 1
    if units > _MAX_PAGES:
        raise LimitExceeded(f"'{path.name}' has {units} pages; the limit is {_MAX_PAGES}")
    return source_info(hint, units=units)


def parse(path: Path, info: SourceInfo, request: ParseRequest) -> Parsed:
    """Read each wanted page as a PNG of at most ``limits.ocr_edge_px``; of an animation the first frame."""
    pictures: list[Picture] = []
    artefacts: dict[str, bytes] = {}
    with _opened(path, info.extension, request.limits) as image:
        for unit in request.units(info.units):
            if info.units > 1:
                image.seek(unit - 1)
                _size_checked(image, path, request.limits)
            name = f"picture-{unit}.png"
            artefacts[name] = png_bytes(upright_rgb(image, request.limits.ocr_edge_px))
            pictures.append(
                Picture(
                    artefact=name,
                    anchor=Anchor(page=unit, box=WHOLE),
                    origin="picture",
                    needs_ocr=True,
                    needs_caption=True,
                )
            )
    return Parsed(extraction=Extraction(pictures=tuple(pictures)), artefacts=artefacts)


def png_bytes(image: Image.Image) -> bytes:
    """Encode as PNG, fast rather than small: artefacts are read once or twice."""
    buffer = io.BytesIO()
    image.save(buffer, format="PNG", compress_level=1)
    return buffer.getvalue()


def upright_rgb(image: Image.Image, edge_px: int) -> Image.Image:
    """Return a copy that is upright, RGB on white and at most ``edge_px`` long."""
    if image.mode in ("P", "PA", "1", "La") or "transparency" in image.info:
        image = image.convert("RGBA" if "transparency" in image.info or image.mode == "PA" else "RGB")
    if image.mode.startswith("I") or image.mode == "F":
        image = _eight_bit(image)
    if max(image.size) > edge_px:
        if getattr(image, "fp", None) is not None:
            # A JPEG decodes straight to a smaller size.
            image.draft(None, (edge_px, edge_px))
        image.load()
        image = _shrunk(image, edge_px)
    image = ImageOps.exif_transpose(image)
    return _on_white(image)


def _shrunk(image: Image.Image, edge_px: int) -> Image.Image:
    scale = edge_px / max(image.size)
    size = (max(1, round(image.width * scale)), max(1, round(image.height * scale)))
    smaller = image.resize(size, Image.Resampling.LANCZOS, reducing_gap=2.0)
    # resize leaves the orientation behind; exif_transpose needs it.
    smaller.getexif().update(image.getexif())
    return smaller


def _eight_bit(image: Image.Image) -> Image.Image:
    values = np.asarray(image, dtype=np.float32)
    low, high = (0.0, 65_535.0) if image.mode.startswith("I;16") else (float(values.min()), float(values.max()))
    scaled = (values - low) * (255.0 / max(high - low, 1e-9))
    eight_bit = Image.fromarray(scaled.clip(0, 255).astype(np.uint8))
    eight_bit.getexif().update(image.getexif())
    return eight_bit


def _on_white(image: Image.Image) -> Image.Image:
    if image.mode in ("RGBA", "LA"):
        white = Image.new("RGBA", image.size, "white")
        white.alpha_composite(image.convert("RGBA"))
        return white.convert("RGB")
    return image.convert("RGB")


@contextlib.contextmanager
def _opened(path: Path, extension: str, limits: Limits) -> Iterator[Image.Image]:
    if extension == "heic":
        import pi_heif

        pi_heif.register_heif_opener(thumbnails=False)
    # The limit is ours, checked before a pixel is decoded.
    Image.MAX_IMAGE_PIXELS = None
    try:
        with Image.open(path, formats=_DECODERS if extension == "heic" else _DECODERS[:-1]) as image:
            _size_checked(image, path, limits)
            yield image
    except UnidentifiedImageError as error:
        raise DamagedFile(
            f"'{path.name}' begins like a {extension} picture but cannot be read: it is damaged or of a rare variant; "
            "save it as PNG"
        ) from error
    except (OSError, SyntaxError, ValueError, EOFError, ZeroDivisionError) as error:
        raise DamagedFile(f"'{path.name}' is damaged or cut off: {error}") from error


def _size_checked(image: Image.Image, path: Path, limits: Limits) -> None:
    pixels = image.width * image.height
    if pixels > limits.picture_pixels:
        raise LimitExceeded(
            f"'{path.name}' has {pixels / 1e6:.0f} million pixels; the limit is {limits.picture_pixels / 1e6:.0f}"
        )
