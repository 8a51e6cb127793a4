"""The structure at the beginning of pictures, sound and video, checked byte by byte."""

from __future__ import annotations

ISO_MEDIA = "iso-media"
"""Group of mp4, m4a and mov, which share one container."""
MATROSKA = "matroska"
"""Group of mkv and webm."""

_HEIC_BRANDS = {b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1"}
_PREFIXES = (
    (b"\x89PNG\r\n\x1a\n", "png"),
    (b"\xff\xd8\xff", "jpg"),
    (b"GIF87a", "gif"),
    (b"GIF89a", "gif"),
    (b"II*\0", "tiff"),
    (b"MM\0*", "tiff"),
    (b"II+\0", "tiff"),
    (b"MM\0+", "tiff"),
    (b"fLaC", "flac"),
    (b"OggS", "ogg"),
)


def signature_kind(head: bytes) -> str | None:
    """Return the canonical extension that the first bytes prove; None when they prove nothing."""
    for prefix, extension in _PREFIXES:
        if head.startswith(prefix):
            return extension
    return _riff(head) or _iso_media(head) or _matroska(head) or _bitmap(head) or _mpeg_sound(head) or _transport(head)


def _riff(head: bytes) -> str | None:
    if head[:4] not in (b"RIFF", b"RF64"):
        return None
    return {b"WAVE": "wav", b"AVI ": "avi", b"WEBP": "webp"}.get(head[8:12])


def _iso_media(head: bytes) -> str | None:
    if head[4:8] in (b"moov", b"mdat", b"wide"):
        return "mov"
    if head[4:8] != b"ftyp":
        return None
    brand = head[8:12]
    if brand in _HEIC_BRANDS:
        return "heic"
    if brand == b"qt  ":
        return "mov"
    return "m4a" if brand in (b"M4A ", b"M4B ") else "mp4"


def _matroska(head: bytes) -> str | None:
    if not head.startswith(b"\x1a\x45\xdf\xa3"):
        return None
    return "webm" if b"webm" in head[:64] else "mkv"


def _bitmap(head: bytes) -> str | None:
    header_bytes = int.from_bytes(head[14:18], "little")
    return "bmp" if head.startswith(b"BM") and header_bytes in (12, 40, 52, 56, 64, 108, 124) else None


def _mpeg_sound(head: bytes) -> str | None:
    if head.startswith(b"ID3"):
        return "mp3"
    if len(head) < 4 or head[0] != 0xFF or head[1] & 0xE0 != 0xE0:
        return None
    layer = head[1] >> 1 & 3
    if layer == 0:
        return "aac" if head[1] & 0xF6 == 0xF0 else None
    bit_rate, sample_rate = head[2] >> 4, head[2] >> 2 & 3
    return "mp3" if bit_rate not in (0, 15) and sample_rate != 3 else None


def _transport(head: bytes) -> str | None:
    packets = [head[offset] for offset in range(0, min(len(head), 188 * 8), 188)]
    return "ts" if len(packets) >= 4 and set(packets) == {0x47} else None
