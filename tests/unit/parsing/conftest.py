"""Reading a file through its parser, with the promises that hold for every parser checked on the way."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from inference.parsing.base import Limits, Parsed, ParseRequest
from inference.parsing.registry import canonical_extension, parser_for_extension


def check_promises(parsed: Parsed) -> None:
    extraction = parsed.extraction
    named = [picture.artefact for picture in extraction.pictures] + [name for _, name in extraction.attachments]
    named += [extraction.audio_artefact] if extraction.audio_artefact is not None else []
    assert sorted(named) == sorted(parsed.artefacts)
    for block in extraction.blocks:
        assert block.text
        assert block.text == block.text.strip()
        assert "\x00" not in block.text
    for anchor in [block.anchor for block in extraction.blocks] + [picture.anchor for picture in extraction.pictures]:
        if anchor.family == "chars":
            assert extraction.text is not None
            assert 0 <= anchor.start_char < anchor.end_char <= len(extraction.text)
    for block in extraction.blocks:
        if block.anchor.family == "chars":
            assert extraction.text is not None
            assert extraction.text[block.anchor.start_char : block.anchor.end_char] == block.text
    for picture in extraction.pictures:
        if picture.anchor.family == "chars":
            assert extraction.text is not None
            placeholder = extraction.text[picture.anchor.start_char : picture.anchor.end_char]
            assert placeholder.startswith("[picture ")
        with Image.open(io.BytesIO(parsed.artefacts[picture.artefact])) as image:
            assert (image.format, image.mode) == ("PNG", "RGB")


@pytest.fixture
def read() -> Callable[..., Parsed]:
    def reading(path: Path, **ranges: int | float) -> Parsed:
        extension = canonical_extension(path.suffix)
        assert extension is not None
        parser = parser_for_extension(extension)
        info = parser.probe(path, extension)
        limits = ranges.pop("limits", Limits())
        parsed = parser.parse(path, info, ParseRequest(limits=limits, **ranges))
        check_promises(parsed)
        return parsed

    return reading


@pytest.fixture
def written(tmp_path: Path) -> Callable[[str, bytes | str], Path]:
    def writing(name: str, content: bytes | str) -> Path:
        path = tmp_path / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    return writing


@pytest.fixture
def picture_bytes() -> Callable[..., bytes]:
    def drawn(seed: int = 0, edge_px: int = 96, file_format: str = "PNG") -> bytes:
        pixels = np.random.default_rng(seed).integers(0, 255, (edge_px, edge_px, 3), dtype=np.uint8)
        target = io.BytesIO()
        Image.fromarray(pixels).save(target, file_format)
        return target.getvalue()

    return drawn
