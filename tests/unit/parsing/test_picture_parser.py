"""Picture files become upright RGB PNGs, whatever their container, mode and metadata."""

import io
import struct
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from inference.errors import DamagedFile, LimitExceeded
from inference.parsing import picture
from inference.parsing.base import Limits, Parsed, ParseRequest
from inference.parsing.sniff import sniff
from tests.unit.parsing.heic_file import heic_bytes

Read = Callable[..., Parsed]


def halves(size: tuple[int, int] = (200, 100)) -> Image.Image:
    """Red on the left, blue on the right."""
    image = Image.new("RGB", size, (220, 20, 20))
    image.paste((20, 20, 220), (size[0] // 2, 0, size[0], size[1]))
    return image


def shown(parsed: Parsed, number: int = 1) -> Image.Image:
    return Image.open(io.BytesIO(parsed.artefacts[f"picture-{number}.png"]))


def colour(image: Image.Image, x: float, y: float) -> str:
    red, _, blue = image.getpixel((int(x * image.width), int(y * image.height)))
    return "red" if red > blue else "blue"


class TestEveryKind:
    @pytest.mark.parametrize(("kind", "name"), [
        ("PNG", "a.png"), ("JPEG", "a.jpg"), ("TIFF", "a.tiff"), ("WEBP", "a.webp"), ("BMP", "a.bmp"), ("GIF", "a.gif"),
    ])  # fmt: skip
    def test_its_pixels_come_out(self, tmp_path: Path, read: Read, kind: str, name: str) -> None:
        halves().save(tmp_path / name, kind)

        parsed = read(tmp_path / name)

        image = shown(parsed)
        assert image.size == (200, 100)
        assert (colour(image, 0.2, 0.5), colour(image, 0.8, 0.5)) == ("red", "blue")
        (found,) = parsed.extraction.pictures
        assert (found.origin, found.needs_ocr, found.needs_caption) == ("picture", True, True)
        assert found.anchor.as_json() == {"page": 1, "box": [0.0, 0.0, 1.0, 1.0]}

    def test_heic_is_found_and_read(self, tmp_path: Path, read: Read) -> None:
        path = tmp_path / "a.heic"
        path.write_bytes(heic_bytes(halves((256, 128))))

        image = shown(read(path))

        assert sniff(path, "txt") == "heic"
        assert image.size == (256, 128)
        assert (colour(image, 0.2, 0.5), colour(image, 0.8, 0.5)) == ("red", "blue")

    @pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGBA", "CMYK", "I;16", "I", "F"])
    def test_every_mode_becomes_rgb(self, tmp_path: Path, read: Read, mode: str) -> None:
        grey = np.tile(np.linspace(0, 1, 64), (32, 1))
        image = Image.fromarray((grey * 255).astype(np.uint8))
        if mode == "I;16":
            image = Image.fromarray((grey * 65_535).astype(np.uint16))
        elif mode != "L":
            image = image.convert("RGB").convert(mode) if mode in ("CMYK", "P", "RGBA") else image.convert(mode)
        image.save(tmp_path / "a.tiff")

        result = np.asarray(shown(read(tmp_path / "a.tiff")).convert("L"), dtype=float)

        assert result[:, -8:].mean() - result[:, :8].mean() > 150

    def test_what_is_transparent_is_white(self, tmp_path: Path, read: Read) -> None:
        Image.new("RGBA", (20, 20), (0, 0, 0, 0)).save(tmp_path / "a.png")

        assert shown(read(tmp_path / "a.png")).getpixel((5, 5)) == (255, 255, 255)


class TestPagesAndTurns:
    def test_each_page_of_a_tiff_is_a_unit(self, tmp_path: Path, read: Read) -> None:
        pages = [Image.new("RGB", (40, 30), name) for name in ("red", "blue", "red")]
        pages[0].save(tmp_path / "a.tiff", save_all=True, append_images=pages[1:])

        info = picture.probe(tmp_path / "a.tiff", "tiff")
        parsed = read(tmp_path / "a.tiff", first_unit=2, last_unit=3)

        assert info.units == 3
        assert [found.anchor.page for found in parsed.extraction.pictures] == [2, 3]
        assert (colour(shown(parsed, 2), 0.5, 0.5), colour(shown(parsed, 3), 0.5, 0.5)) == ("blue", "red")

    def test_an_animation_is_its_first_frame(self, tmp_path: Path, read: Read) -> None:
        frames = [Image.new("RGB", (40, 30), name) for name in ("red", "blue")]
        frames[0].save(tmp_path / "a.gif", save_all=True, append_images=frames[1:])

        parsed = read(tmp_path / "a.gif")

        assert list(parsed.artefacts) == ["picture-1.png"]
        assert colour(shown(parsed), 0.5, 0.5) == "red"

    @pytest.mark.parametrize("edge_px", [100, 2_000])
    @pytest.mark.parametrize("kind", ["JPEG", "PNG", "TIFF", "WEBP"])
    def test_a_photograph_on_its_side_is_turned(self, tmp_path: Path, read: Read, kind: str, edge_px: int) -> None:
        path = tmp_path / f"a.{kind.lower()}"
        exif = Image.Exif()
        exif[0x0112] = 6
        halves((400, 200)).save(path, kind, exif=exif)

        image = shown(read(path, limits=Limits(ocr_edge_px=edge_px)))

        assert max(image.size) == min(400, edge_px)
        assert image.height == 2 * image.width
        assert (colour(image, 0.5, 0.2), colour(image, 0.5, 0.8)) == ("red", "blue")


class TestLimits:
    def test_a_decompression_bomb_is_refused_before_it_unpacks(self, tmp_path: Path, read: Read) -> None:
        def chunk(name: bytes, content: bytes) -> bytes:
            checksum = zlib.crc32(name + content)
            return struct.pack(">I", len(content)) + name + content + struct.pack(">I", checksum)

        header = struct.pack(">IIBBBBB", 60_000, 60_000, 8, 2, 0, 0, 0)
        bomb = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(bytes(1_000)))
        (tmp_path / "a.png").write_bytes(bomb + chunk(b"IEND", b""))

        with pytest.raises(LimitExceeded, match=r"'a\.png' has 3600 million pixels; the limit is 200"):
            read(tmp_path / "a.png")

    @pytest.mark.parametrize("name", ["a.png", "a.jpg", "a.tiff", "a.webp", "a.bmp", "a.gif"])
    def test_a_cut_file_is_damaged(self, tmp_path: Path, name: str, picture_bytes: Callable[..., bytes]) -> None:
        kind = {"jpg": "JPEG"}.get(name[2:], name[2:].upper())
        whole = picture_bytes(edge_px=200, file_format=kind)
        (tmp_path / name).write_bytes(whole[: len(whole) // 2])

        with pytest.raises(DamagedFile, match=rf"'{name}' is damaged"):
            picture.parse(tmp_path / name, picture.probe(tmp_path / name, name[2:]), ParseRequest())
