"""Zip containers and XML of untrusted origin, opened with limits; OLE containers recognised."""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import olefile  # type: ignore[import-untyped]
from lxml import etree

from inference.errors import DamagedFile, EmptyInput, EncryptedFile, LimitExceeded
from inference.parsing.base import Limits

_OLE_MAGIC = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
_MEMBERS = 20_000
BROKEN_PACKAGE = (
    zipfile.BadZipFile, zlib.error, EOFError, OSError, LookupError, ValueError, TypeError, AttributeError, SyntaxError,
    NotImplementedError, OverflowError,
)  # fmt: skip
"""What zipfile, lxml and the office libraries raise on damaged packages; XML errors are SyntaxErrors."""
_XML_MEMBER_BYTES = 268_435_456
_PROLOGUE_BYTES = 65_536
_WORD_ENCRYPTED = 0x0100
_XLS_FILEPASS = 0x002F
_PPT_ENCRYPTED = b"\xdf\xc4\xd1\xf3"


def read_bytes(path: Path) -> bytes:
    """Read a file whole; nothing in it is EmptyInput."""
    data = path.read_bytes()
    if not data:
        raise EmptyInput(f"'{path.name}' is empty: it has 0 bytes")
    return data


def open_package(path: Path, limits: Limits) -> zipfile.ZipFile:
    """Open a zip container after checking what it claims to unpack to.

    Reading a member never yields more than its directory entry claims, so the sum of the claims bounds the work.

    Raises:
        EncryptedFile: A password is needed.
        DamagedFile: It is no whole zip file, or an XML member declares entities.
        LimitExceeded: It would unpack to more than ``limits.unpacked_bytes``.
    """
    refuse_encrypted(path)
    if path.stat().st_size == 0:
        raise EmptyInput(f"'{path.name}' is empty: it has 0 bytes")
    try:
        package = zipfile.ZipFile(path)
    except BROKEN_PACKAGE as error:
        raise DamagedFile(f"'{path.name}' is cut off or damaged: {error}") from error
    _check_members(package, path.name, limits)
    return package


def _check_members(package: zipfile.ZipFile, name: str, limits: Limits) -> None:
    members = package.infolist()
    unpacked = sum(member.file_size for member in members)
    if unpacked > limits.unpacked_bytes or len(members) > _MEMBERS:
        raise LimitExceeded(
            f"'{name}' unpacks to {len(members)} members of {unpacked} bytes; "
            f"the limits are {_MEMBERS} and {limits.unpacked_bytes}"
        )
    for member in members:
        if member.flag_bits & 1:
            raise EncryptedFile(f"'{name}' needs a password; save a copy without one")
        if member.filename.endswith((".xml", ".rels")):
            _check_xml_member(package, member, name)


def _check_xml_member(package: zipfile.ZipFile, member: zipfile.ZipInfo, name: str) -> None:
    if member.file_size > _XML_MEMBER_BYTES:
        raise LimitExceeded(
            f"'{member.filename}' in '{name}' has {member.file_size} bytes of XML; the limit is {_XML_MEMBER_BYTES}"
        )
    try:
        with package.open(member) as stream:
            prologue = stream.read(_PROLOGUE_BYTES)
    except BROKEN_PACKAGE as error:
        raise DamagedFile(f"'{member.filename}' in '{name}' cannot be unpacked: {error}") from error
    # Libraries with XML parsers of their own read these members; no office program writes entity declarations.
    if b"<!ENTITY" in prologue or b"<\x00!\x00E\x00N\x00T" in prologue:
        raise DamagedFile(f"'{member.filename}' in '{name}' declares XML entities, which no office program writes")


def member_bytes(package: zipfile.ZipFile, member: str, name: str) -> bytes:
    """Read one member; a missing or broken one is a damaged file."""
    try:
        return package.read(member)
    except BROKEN_PACKAGE as error:
        raise DamagedFile(f"'{name}' is damaged: its part '{member}' cannot be read") from error


def member_bytes_or_none(package: zipfile.ZipFile, member: str, name: str) -> bytes | None:
    """Read one member that may be absent."""
    return member_bytes(package, member, name) if member in package.NameToInfo else None


def _xml_parser() -> etree.XMLParser:
    # Fetches nothing, expands nothing and keeps libxml2's limits of size.
    return etree.XMLParser(
        resolve_entities=False,
        no_network=True,
        load_dtd=False,
        dtd_validation=False,
        huge_tree=False,
        remove_comments=True,
        remove_pis=True,
    )


def xml_root(data: bytes, name: str) -> Any:
    """Parse XML safely and return its root element.

    Raises:
        DamagedFile: It is not well-formed or exceeds libxml2's limits of depth, node size or entity growth.
    """
    try:
        return etree.fromstring(data, _xml_parser())
    except (etree.XMLSyntaxError, ValueError) as error:
        raise DamagedFile(f"'{name}' holds XML that cannot be read: {error}") from error


def relations(package: zipfile.ZipFile, member: str, name: str) -> Mapping[str, tuple[str, str]]:
    """Return ``{id: (type, target member)}`` of the internal relations of an OOXML part."""
    folder, _, file_name = member.rpartition("/")
    data = member_bytes_or_none(package, f"{folder}/_rels/{file_name}.rels", name)
    if data is None:
        return {}
    return {
        relation.get("Id"): (relation.get("Type", ""), joined(folder, relation.get("Target", "")))
        for relation in xml_root(data, name)
        if relation.get("TargetMode") != "External"
    }


def joined(folder: str, target: str) -> str:
    """Resolve a relative member name against the folder of the part that names it."""
    steps: list[str] = [] if target.startswith("/") else [step for step in folder.split("/") if step]
    for step in target.split("/"):
        if step == "..":
            steps = steps[:-1]
        elif step not in ("", "."):
            steps.append(step)
    return "/".join(steps)


def is_ole(path: Path) -> bool:
    """Whether the file is an OLE container: an old or an encrypted office file, or an Outlook message."""
    with path.open("rb") as stream:
        return stream.read(8) == _OLE_MAGIC


def refuse_encrypted(path: Path) -> None:
    """Raise EncryptedFile for an OLE container that holds an encrypted office file of any age."""
    if not is_ole(path):
        return
    try:
        with olefile.OleFileIO(path) as container:
            encrypted = _is_encrypted(container)
    except (OSError, ValueError, IndexError) as error:
        raise DamagedFile(f"'{path.name}' is cut off or damaged: {error}") from error
    if encrypted:
        raise EncryptedFile(f"'{path.name}' needs a password; save a copy without one")


def _is_encrypted(container: Any) -> bool:
    if container.exists("EncryptedPackage") or container.exists("EncryptedSummary"):
        return True
    if container.exists("WordDocument"):
        flags = container.openstream("WordDocument").read(12)[10:12]
        return bool(int.from_bytes(flags, "little") & _WORD_ENCRYPTED)
    if container.exists("Current User"):
        return _PPT_ENCRYPTED in container.openstream("Current User").read(16)
    for book in ("Workbook", "Book"):
        if container.exists(book):
            return _has_filepass(container.openstream(book).read(4_096))
    return False


def _has_filepass(records: bytes) -> bool:
    position = 0
    while position + 4 <= len(records):
        kind = int.from_bytes(records[position : position + 2], "little")
        if kind == _XLS_FILEPASS:
            return True
        position += 4 + int.from_bytes(records[position + 2 : position + 4], "little")
    return False
