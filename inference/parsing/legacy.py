"""Office files of before 2007, converted by LibreOffice and then read like their successors.

A conversion reads the whole file, so a legacy presentation is one unit whatever its number of slides.
"""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Final

import psutil

from inference.errors import DamagedFile, LimitExceeded, UnsupportedFormat
from inference.parsing import office_docx, office_pptx, office_xlsx
from inference.parsing.base import Parsed, Parser, ParseRequest
from inference.parsing.package import read_bytes, refuse_encrypted
from inference.parsing.registry import source_info
from inference.values import SourceInfo

_SUCCESSORS: Final[dict[str, tuple[str, Parser]]] = {
    "doc": ("docx", office_docx),
    "xls": ("xlsx", office_xlsx),
    "ppt": ("pptx", office_pptx),
}
_USUAL_PLACES: Final = (
    "/usr/bin/soffice",
    "/usr/local/bin/soffice",
    "/usr/lib/libreoffice/program/soffice",
    "/usr/lib64/libreoffice/program/soffice",
    "/opt/libreoffice*/program/soffice",
    "/snap/bin/libreoffice",
    "/Applications/LibreOffice.app/Contents/MacOS/soffice",
)
CONVERSION_LIMIT_S: Final = 180
_ENDING_S: Final = 5


def probe(path: Path, hint: str) -> SourceInfo:
    """Check that the file needs no password and that LibreOffice is there to convert it."""
    read_bytes(path)
    refuse_encrypted(path)
    libreoffice(path.name)
    return source_info(hint)


def parse(path: Path, info: SourceInfo, request: ParseRequest) -> Parsed:
    """Convert the file and read all of the result."""
    refuse_encrypted(path)
    modern, parser = _SUCCESSORS[info.extension]
    with tempfile.TemporaryDirectory(prefix="legacy-") as folder:
        converted = _converted(path, info.extension, modern, Path(folder))
        successor = parser.probe(converted, modern)
        return parser.parse(converted, successor, ParseRequest(limits=request.limits))


def libreoffice(name: str) -> Path:
    """Find LibreOffice.

    Raises:
        UnsupportedFormat: It is not installed.
    """
    found = shutil.which("soffice") or shutil.which("libreoffice")
    if found:
        return Path(found)
    for place in _USUAL_PLACES:
        for candidate in sorted(Path("/").glob(place.lstrip("/"))):
            return candidate
    raise UnsupportedFormat(
        f"'{name}' is an office file of before 2007, which LibreOffice has to convert; LibreOffice was not found on "
        "this host: install it (on Debian: apt install libreoffice-writer libreoffice-calc libreoffice-impress) or "
        "save the file as .docx, .xlsx or .pptx"
    )


def _converted(path: Path, old: str, modern: str, folder: Path) -> Path:
    source = folder / f"source.{old}"
    shutil.copyfile(path, source)
    command = [
        str(libreoffice(path.name)),
        "--headless", "--norestore", "--nolockcheck", "--nodefault", "--nofirststartwizard",
        f"-env:UserInstallation={(folder / 'profile').as_uri()}",
        "--convert-to", modern,
        "--outdir", str(folder / "out"),
        str(source),
    ]  # fmt: skip
    environment = {
        "HOME": str(folder),
        "PATH": "/usr/local/bin:/usr/bin:/bin",
        "LANG": "C.UTF-8",
        "TMPDIR": str(folder),
    }
    try:
        told = _run(command, environment, folder)
    except subprocess.TimeoutExpired as error:
        raise LimitExceeded(
            f"LibreOffice did not convert '{path.name}' within {CONVERSION_LIMIT_S} s; save it as .{modern}"
        ) from error
    target = folder / "out" / f"source.{modern}"
    if not target.is_file():
        reason = told.decode("utf-8", "replace").strip()[-300:]
        raise DamagedFile(f"LibreOffice could not convert '{path.name}': {reason or 'it gave no reason'}")
    return target


def _run(command: list[str], environment: dict[str, str], folder: Path) -> bytes:
    with subprocess.Popen(
        command, env=environment, cwd=folder, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    ) as process:
        try:
            told, _ = process.communicate(timeout=CONVERSION_LIMIT_S)
        except subprocess.TimeoutExpired:
            # The command is a script that starts the office program: both must end. They stay in this process's
            # group, which the sandbox ends as a whole.
            started = psutil.Process(process.pid).children(recursive=True)
            for one in started:
                one.kill()
            process.kill()
            psutil.wait_procs(started, timeout=_ENDING_S)
            raise
    return told
