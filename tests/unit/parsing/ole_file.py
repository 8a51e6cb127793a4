"""Writes small OLE containers ([MS-CFB], version 3), because no library that we may use writes Outlook messages."""

from __future__ import annotations

import struct
from typing import TypeAlias

Tree: TypeAlias = "dict[str, bytes | Tree]"

SECTOR_BYTES = 512
MINI_BYTES = 64
FREE, END, FAT = 0xFFFFFFFF, 0xFFFFFFFE, 0xFFFFFFFD


def ole_bytes(tree: Tree) -> bytes:
    """Return a container with these storages (dicts) and streams (bytes)."""
    entries: list[list] = [["Root Entry", 5, b"", FREE, FREE]]
    _add(entries, 0, tree)
    mini, mini_fat, starts = b"", [], {}
    for number, (_, kind, content, _, _) in enumerate(entries):
        if kind == 2 and 0 < len(content) < 4_096:
            starts[number] = len(mini) // MINI_BYTES
            mini_fat += _chain(len(mini_fat), -(-len(content) // MINI_BYTES))
            mini += _padded(content, MINI_BYTES)
    sectors, fat = b"", []

    def store(content: bytes) -> int:
        nonlocal sectors
        if not content:
            return END
        start = len(fat)
        fat.extend(_chain(start, -(-len(content) // SECTOR_BYTES)))
        sectors += _padded(content, SECTOR_BYTES)
        return start

    for number, (_, kind, content, _, _) in enumerate(entries):
        if kind == 2 and len(content) >= 4_096:
            starts[number] = store(content)
    starts[0] = store(mini)
    mini_fat_sectors = -(-len(mini_fat) // 128)
    mini_fat_start = store(_padded(struct.pack(f"<{len(mini_fat)}I", *mini_fat), SECTOR_BYTES, b"\xff"))
    entries[0][2] = mini
    directory = b"".join(_entry(*entry, starts.get(number, END)) for number, entry in enumerate(entries))
    directory_start = store(_padded(directory, SECTOR_BYTES))
    fat_sectors = next(count for count in range(1, 109) if len(fat) + count <= count * 128)
    places = range(len(fat), len(fat) + fat_sectors)
    fat += [FAT] * fat_sectors
    sectors += _padded(struct.pack(f"<{len(fat)}I", *fat), SECTOR_BYTES, b"\xff")
    header = struct.pack("<8s16xHHHHH6x", b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", 0x3E, 3, 0xFFFE, 9, 6)
    header += struct.pack(
        "<IIIIIIIIII", 0, fat_sectors, directory_start, 0, 4_096, mini_fat_start, mini_fat_sectors, END, 0, 0
    )[:36]
    header += struct.pack("<109I", *places, *[FREE] * (109 - fat_sectors))
    return header + sectors


def _add(entries: list[list], parent: int, tree: Tree) -> None:
    previous = None
    for name in sorted(tree, key=lambda name: (len(name), name.upper())):
        number = len(entries)
        content = tree[name]
        is_storage = isinstance(content, dict)
        entries.append([name, 1 if is_storage else 2, b"" if is_storage else content, FREE, FREE])
        # The siblings hang on each other's right side: a valid, if unbalanced, tree.
        if previous is None:
            entries[parent][4] = number
        else:
            entries[previous][3] = number
        previous = number
        if isinstance(content, dict):
            _add(entries, number, content)


def _chain(start: int, count: int) -> list[int]:
    return [*range(start + 1, start + count), END]


def _padded(content: bytes, size: int, filler: bytes = b"\x00") -> bytes:
    return content + filler * (-len(content) % size)


def _entry(name: str, kind: int, content: bytes, right: int, child: int, start: int) -> bytes:
    encoded = (name + "\x00").encode("utf-16-le")
    return struct.pack(
        "<64sHBBIII16xI8x8xIQ", encoded, len(encoded), kind, 1, FREE, right, child, 0, start, len(content)
    )


def message_bytes(
    texts: dict[int, str],
    *,
    binaries: dict[int, bytes] | None = None,
    recipients: tuple[tuple[str, str], ...] = (),
    attachments: tuple[tuple[str, bytes], ...] = (),
) -> bytes:
    """Return an Outlook message ([MS-OXMSG]) with these Unicode and binary properties."""
    tree: Tree = _properties(
        texts, binaries or {}, bytes(8) + struct.pack("<4I8x", 9, 9, len(recipients), len(attachments))
    )
    for number, (name, address) in enumerate(recipients):
        tree[f"__recip_version1.0_#{number:08X}"] = _properties({0x3001: name, 0x39FE: address}, {}, bytes(8))
    for number, (name, content) in enumerate(attachments):
        tree[f"__attach_version1.0_#{number:08X}"] = _properties({0x3707: name}, {0x3701: content}, bytes(8))
    return ole_bytes(tree)


def _properties(texts: dict[int, str], binaries: dict[int, bytes], head: bytes) -> Tree:
    tree: Tree = {}
    table = head
    for number, text in texts.items():
        content = text.encode("utf-16-le")
        tree[f"__substg1.0_{number:04X}001F"] = content
        table += struct.pack("<HHIII", 0x001F, number, 6, len(content) + 2, 0)
    for number, content in binaries.items():
        tree[f"__substg1.0_{number:04X}0102"] = content
        table += struct.pack("<HHIII", 0x0102, number, 6, len(content), 0)
    tree["__properties_version1.0"] = table
    return tree
