"""doc, xls, ppt: what is told without LibreOffice, and what becomes of what a converter writes."""

from __future__ import annotations

import sys

import docx
import psutil
import pytest

from inference.errors import DamagedFile, EmptyInput, LimitExceeded, UnsupportedFormat
from inference.parsing import legacy

from .ole_file import ole_bytes


@pytest.fixture
def old_file(written):
    return written("old.doc", ole_bytes({"WordDocument": bytes(5_000)}))


@pytest.fixture
def converter(tmp_path, monkeypatch):
    """Put a program named soffice on the PATH that does what the body says with its arguments."""

    def installing(body: str) -> None:
        folder = tmp_path / "bin"
        folder.mkdir()
        program = folder / "soffice"
        program.write_text(f"#!{sys.executable}\nimport pathlib, shutil, sys, time\narguments = sys.argv[1:]\n{body}\n")
        program.chmod(0o755)
        monkeypatch.setenv("PATH", str(folder))

    return installing


class TestLegacy:
    def test_without_libreoffice_it_says_what_to_install(self, old_file, monkeypatch, tmp_path, read):
        monkeypatch.setenv("PATH", str(tmp_path))
        monkeypatch.setattr(legacy, "_USUAL_PLACES", (str(tmp_path / "nowhere" / "soffice"),))

        with pytest.raises(UnsupportedFormat, match=r"'old\.doc'.*LibreOffice was not found.*apt install libreoffice"):
            read(old_file)

    def test_reads_what_the_converter_wrote(self, old_file, converter, tmp_path, read):
        document = docx.Document()
        document.add_heading("Tides", 1)
        document.save(str(tmp_path / "new.docx"))
        converter(
            "out = pathlib.Path(arguments[arguments.index('--outdir') + 1])\nout.mkdir()\n"
            "assert arguments[arguments.index('--convert-to') + 1] == 'docx'\n"
            "assert any(one.startswith('-env:UserInstallation=file:///') for one in arguments)\n"
            "assert pathlib.Path(arguments[-1]).stat().st_size > 5_000\n"
            f"shutil.copy({str(tmp_path / 'new.docx')!r}, out / 'source.docx')"
        )

        parsed = read(old_file)

        assert [block.text for block in parsed.extraction.blocks] == ["Tides"]

    def test_a_failed_conversion_is_a_damaged_file_with_the_reason(self, old_file, converter, read):
        converter("print('source file could not be loaded', file=sys.stderr)")

        with pytest.raises(DamagedFile, match=r"'old\.doc': source file could not be loaded"):
            read(old_file)

    def test_a_conversion_that_never_ends_is_stopped_with_all_it_started(
        self, old_file, converter, monkeypatch, tmp_path, read
    ):
        note = tmp_path / "pid"
        converter(
            "import subprocess\ninner = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)'])\n"
            f"pathlib.Path({str(note)!r}).write_text(str(inner.pid))\ntime.sleep(600)"
        )
        monkeypatch.setattr(legacy, "CONVERSION_LIMIT_S", 3)

        with pytest.raises(LimitExceeded, match="within 3 s"):
            read(old_file)

        inner = int(note.read_text())
        assert not psutil.pid_exists(inner) or psutil.Process(inner).status() == psutil.STATUS_ZOMBIE

    def test_leaves_nothing_behind(self, old_file, converter, monkeypatch, tmp_path, read):
        folder = tmp_path / "temporary"
        folder.mkdir()
        monkeypatch.setattr(legacy.tempfile, "tempdir", str(folder))
        converter("pass")

        with pytest.raises(DamagedFile):
            read(old_file)

        assert list(folder.iterdir()) == []

    def test_an_empty_file_is_told_before_anything_is_converted(self, written, read):
        with pytest.raises(EmptyInput):
            read(written("a.ppt", b""))
