"""E-books: the chapters in the order of the spine, read like web pages."""

from __future__ import annotations

import posixpath
import zipfile
from pathlib import Path
from typing import Any, Final
from urllib.parse import unquote

from inference.errors import DamagedFile, EncryptedFile
from inference.parsing.base import Limits, Parsed, ParseRequest
from inference.parsing.blocks import Assembly, flat
from inference.parsing.encoding import decoded
from inference.parsing.html import add_markup, data_picture, html_root
from inference.parsing.package import joined, member_bytes, member_bytes_or_none, open_package, xml_root
from inference.parsing.registry import source_info
from inference.values import SourceInfo

_CONTAINER: Final = "{urn:oasis:names:tc:opendocument:xmlns:container}"
_OPF: Final = "{http://www.idpf.org/2007/opf}"
_DC_TITLE: Final = "{http://purl.org/dc/elements/1.1/}title"
_CIPHER_REFERENCE: Final = "{http://www.w3.org/2001/04/xmlenc#}CipherReference"
_UNTITLED: Final = frozenset({"", "unknown", "unknown title", "untitled"})
_PAGES: Final = frozenset({"application/xhtml+xml", "text/html"})


def probe(path: Path, hint: str) -> SourceInfo:
    """Read the book's title."""
    with open_package(path, Limits()) as package:
        _, root = _opf(package, path.name)
    return source_info(hint, title=_title(root))


def parse(path: Path, info: SourceInfo, request: ParseRequest) -> Parsed:  # noqa: ARG001
    """Read all chapters."""
    assembly = Assembly(path.name, request.limits)
    with open_package(path, request.limits) as package:
        opf, root = _opf(package, path.name)
        assembly.heading(_title(root) or "", 0)
        chapters = _chapters(opf, root)
        _refuse_protected(package, path.name, chapters)
        for chapter in chapters:
            page = member_bytes_or_none(package, chapter, path.name)
            if page is None or not page.strip():
                continue
            assembly.enter(None, 1)
            body = html_root(decoded(page), path.name).find("body")
            if body is not None:
                add_markup(assembly, body, _Shelf(package, chapter, path.name).find)
    return assembly.parsed()


class _Shelf:
    """Finds the pictures that a chapter names."""

    def __init__(self, package: zipfile.ZipFile, chapter: str, name: str) -> None:
        self._package = package
        self._folder = posixpath.dirname(chapter)
        self._name = name

    def find(self, address: str) -> bytes | None:
        if address.startswith("data:"):
            return data_picture(address)
        member = joined(self._folder, unquote(address.partition("#")[0]))
        return member_bytes_or_none(self._package, member, self._name)


def _opf(package: zipfile.ZipFile, name: str) -> tuple[str, Any]:
    container = xml_root(member_bytes(package, "META-INF/container.xml", name), name)
    rootfile = next(container.iter(f"{_CONTAINER}rootfile"), None)
    if rootfile is None:
        raise DamagedFile(f"'{name}' does not say where its table of contents is")
    opf = joined("", rootfile.get("full-path", ""))
    return opf, xml_root(member_bytes(package, opf, name), name)


def _title(root: Any) -> str | None:
    title = next(root.iter(_DC_TITLE), None)
    text = flat(title.text or "") if title is not None else ""
    return None if text.lower() in _UNTITLED else text


def _chapters(opf: str, root: Any) -> list[str]:
    folder = posixpath.dirname(opf)
    items = {item.get("id"): item for item in root.iter(f"{_OPF}item")}
    wanted = [items.get(reference.get("idref")) for reference in root.iter(f"{_OPF}itemref")]
    return [
        joined(folder, unquote(item.get("href", "")))
        for item in wanted
        if item is not None and item.get("media-type") in _PAGES and "nav" not in (item.get("properties") or "").split()
    ]


def _refuse_protected(package: zipfile.ZipFile, name: str, chapters: list[str]) -> None:
    listing = member_bytes_or_none(package, "META-INF/encryption.xml", name)
    if listing is None:
        return
    # Obfuscated fonts are listed there too and do no harm.
    protected = {unquote(entry.get("URI", "")) for entry in xml_root(listing, name).iter(_CIPHER_REFERENCE)}
    if protected.intersection(chapters):
        raise EncryptedFile(f"'{name}' is protected against copying; its chapters cannot be read")
