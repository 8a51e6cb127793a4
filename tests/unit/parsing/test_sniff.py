"""What a file is follows from its bytes; its name decides only between kinds of plain text."""

import io
import random
import zipfile
from pathlib import Path

import pytest
from PIL import Image

from inference.errors import DamagedFile, EmptyInput, UnsupportedFormat
from inference.parsing.sniff import sniff

SAMPLES = Path(__file__).resolve().parents[3] / "configs" / "samples"
RST = "Anchors\n=======\n\n.. note::\n\n   Mind the tide.\n\n* one\n* two\n\n.. code-block:: python\n\n   x = 1\n"
MAIL = "From: a@example.org\nTo: b@example.org\nSubject: Keys\nMIME-Version: 1.0\n\nThe keys are in the shed.\n"


@pytest.fixture
def file(tmp_path: Path):
    def write(name: str, content: bytes | str) -> Path:
        path = tmp_path / name
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return path

    return write


def noise(count: int, seed: int = 1) -> bytes:
    return random.Random(seed).randbytes(count)


def picture(kind: str) -> bytes:
    image = Image.frombytes("RGB", (64, 48), noise(64 * 48 * 3))
    buffer = io.BytesIO()
    image.save(buffer, kind)
    return buffer.getvalue()


def container(*names: str, mimetype: str | None = None) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as target:
        if mimetype is not None:
            target.writestr("mimetype", mimetype)
        for name in names:
            target.writestr(name, "<x/>")
    return buffer.getvalue()


class TestBinaryKinds:
    @pytest.mark.parametrize(
        ("kind", "extension"),
        [("PNG", "png"), ("JPEG", "jpg"), ("TIFF", "tiff"), ("WEBP", "webp"), ("BMP", "bmp"), ("GIF", "gif")],
    )
    @pytest.mark.parametrize("name", ["scan.txt", "scan.pdf", "scan"])
    def test_a_picture_is_a_picture_under_any_name(self, file, kind: str, extension: str, name: str) -> None:
        path = file(name, picture(kind))

        assert sniff(path, path.suffix) == extension

    @pytest.mark.parametrize(
        ("content", "extension"),
        [
            (container("[Content_Types].xml", "word/document.xml"), "docx"),
            (container("[Content_Types].xml", "xl/workbook.xml"), "xlsx"),
            (container("[Content_Types].xml", "ppt/presentation.xml"), "pptx"),
            (container("content.xml", mimetype="application/vnd.oasis.opendocument.text"), "odt"),
            (container("content.xml", mimetype="application/vnd.oasis.opendocument.spreadsheet"), "ods"),
            (container("content.xml", mimetype="application/vnd.oasis.opendocument.presentation-template"), "odp"),
            (container("META-INF/container.xml", mimetype="application/epub+zip"), "epub"),
            (container("META-INF/container.xml", "OEBPS/book.opf"), "epub"),
        ],
    )
    def test_zip_containers_are_looked_into(self, file, content: bytes, extension: str) -> None:
        assert sniff(file("letter.zip", content), "zip") == extension

    def test_a_plain_archive_is_refused_with_what_to_do(self, file) -> None:
        with pytest.raises(UnsupportedFormat, match=r"'a\.docx' is a zip archive; unpack it"):
            sniff(file("a.docx", container("notes.txt")), "docx")

    def test_a_broken_container_is_damaged(self, file) -> None:
        with pytest.raises(DamagedFile, match="zip container cannot be opened"):
            sniff(file("a.docx", container("word/document.xml")[:60]), "docx")

    @pytest.mark.parametrize("path", sorted(SAMPLES.glob("*.*")), ids=lambda path: path.name)
    def test_every_sample_is_found_without_its_name(self, path: Path) -> None:
        if path.suffix in {".py", ".toml", ".license"}:
            expected = {"txt", "md", "rst"}
        elif path.suffix in {".md", ".txt"}:
            expected = {"md", "txt"}
        else:
            expected = {path.suffix.lstrip(".")}

        assert sniff(path, "") in expected

    @pytest.mark.parametrize("seed", range(20))
    def test_random_bytes_are_of_no_kind(self, file, seed: int) -> None:
        with pytest.raises(UnsupportedFormat, match=r"'noise\.bin'"):
            sniff(file("noise.bin", noise(3_000, seed)), "bin")

    def test_random_bytes_named_pdf_are_a_damaged_pdf(self, file) -> None:
        with pytest.raises(DamagedFile, match=r"'x\.pdf' is not a PDF: it does not start with %PDF"):
            sniff(file("x.pdf", noise(3_000)), "pdf")

    def test_random_bytes_named_mp4_are_a_damaged_video(self, file) -> None:
        with pytest.raises(DamagedFile, match=r"'x\.mp4' is not a file of kind mp4"):
            sniff(file("x.mp4", noise(3_000)), ".mp4")

    @pytest.mark.parametrize("content", [b"", b"\n\n  \t", b"\xef\xbb\xbf", bytes(500)])
    def test_nothing_inside_is_empty(self, file, content: bytes) -> None:
        with pytest.raises(EmptyInput, match=r"'x\.pdf' is empty"):
            sniff(file("x.pdf", content), "pdf")


class TestTextKinds:
    @pytest.mark.parametrize(
        ("content", "extension"),
        [
            ('{"title": "Keys", "shed": [1, 2]}', "json"),
            ('<?xml version="1.0"?><list><item>1</item></list>', "xml"),
            ("<!DOCTYPE html><html><body><p>Keys</p></body></html>", "html"),
            ('<?xml version="1.0"?><html xmlns="http://www.w3.org/1999/xhtml"><body/></html>', "html"),
            (r"{\rtf1\ansi The keys are in the shed.}", "rtf"),
            (MAIL, "eml"),
            ("WEBVTT\n\n00:01.000 --> 00:02.000\nHello\n", "vtt"),
            ("\ufeff1\r\n00:00:01,000 --> 00:00:02,500\r\nHello\r\n", "srt"),
        ],
    )
    @pytest.mark.parametrize("hint", ["", "txt", "pdf", "png"])
    def test_kinds_that_show_themselves_need_no_name(self, file, content: str, extension: str, hint: str) -> None:
        assert sniff(file("x", content), hint) == extension

    @pytest.mark.parametrize("hint", ["txt", "md", "rst", "csv", "tsv"])
    def test_the_name_decides_between_weak_kinds(self, file, hint: str) -> None:
        assert sniff(file("x", "Keys, shed\nLamp, mole\n"), f".{hint.upper()}") == hint

    @pytest.mark.parametrize(
        ("content", "extension"),
        [
            ("# Keys\n\nThey are in the *shed*:\n\n- one\n- two\n\n```\nls\n```\n", "md"),
            ("name,quay,tonnes\nMartha,north,12\nHeron,coal,35\nJack,fish,3\n", "csv"),
            (RST, "rst"),
            ("The keys are in the shed. Ask for them before noon, as nobody is there later.\n", "txt"),
        ],
    )
    def test_without_a_text_name_the_content_decides(self, file, content: str, extension: str) -> None:
        assert sniff(file("x.pdf", content), "pdf") == extension

    def test_a_text_named_pdf_is_text(self, file) -> None:
        assert sniff(file("x.pdf", "Just a note.\nIt says hello to all who work on the quay.\n"), "pdf") == "txt"

    def test_a_text_about_pdf_is_text(self, file) -> None:
        assert sniff(file("x.txt", "%PDF-1.7 is how such files begin, says the manual.\n"), "txt") == "txt"

    @pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "latin-1", "cp1252"])
    def test_text_in_other_encodings_is_text(self, file, encoding: str) -> None:
        text = "Größe und Übung: Die Fähre fährt früh über den Kanal, außer an Feiertagen.\n" * 4

        assert sniff(file("x.pdf", text.encode(encoding)), "txt") == "txt"

    def test_text_cut_inside_a_character_is_text(self, file) -> None:
        assert sniff(file("x", "a" + "ü" * 400_000), "txt") == "txt"
