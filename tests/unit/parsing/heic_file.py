"""Writes a HEIC picture: one HEVC frame by the product's own FFmpeg, in the boxes of ISO/IEC 23008-12."""

import io
import struct

import av
from PIL import Image


def heic_bytes(image: Image.Image) -> bytes:
    configuration, frame = _hevc(image)
    file_type = _box(b"ftyp", b"heic" + struct.pack(">I", 0) + b"mif1heic")
    meta = _meta(image.size, configuration, 0, len(frame))
    offset = len(file_type) + len(meta) + 8
    return file_type + _meta(image.size, configuration, offset, len(frame)) + _box(b"mdat", frame)


def _hevc(image: Image.Image) -> tuple[bytes, bytes]:
    buffer = io.BytesIO()
    with av.open(buffer, "w", format="mp4") as target:
        stream = target.add_stream("libx265", rate=1, options={"x265-params": "log-level=none:keyint=1"})
        stream.width, stream.height, stream.pix_fmt = *image.size, "yuv420p"
        stream.codec_context.flags |= av.codec.context.Flags.global_header
        for packet in [*stream.encode(av.VideoFrame.from_image(image)), *stream.encode(None)]:
            target.mux(packet)
    content = buffer.getvalue()
    start = content.index(b"hvcC") + 4
    size = struct.unpack(">I", content[start - 8 : start - 4])[0]
    with av.open(io.BytesIO(content)) as source:
        packet = next(packet for packet in source.demux(video=0) if packet.size)
        return content[start : start - 8 + size], bytes(packet)


def _meta(size: tuple[int, int], configuration: bytes, offset: int, length: int) -> bytes:
    handler = _full(b"hdlr", struct.pack(">I", 0) + b"pict" + bytes(12) + b"\0")
    primary = _full(b"pitm", struct.pack(">H", 1))
    location = _full(b"iloc", struct.pack(">HHHHHII", 0x4400, 1, 1, 0, 1, offset, length))
    entry = _full(b"infe", struct.pack(">HH", 1, 0) + b"hvc1\0", version=2)
    entries = _full(b"iinf", struct.pack(">H", 1) + entry)
    properties = _box(b"ipco", _box(b"hvcC", configuration) + _full(b"ispe", struct.pack(">II", *size)))
    association = _full(b"ipma", struct.pack(">IHBBB", 1, 1, 2, 0x81, 0x02))
    return _full(b"meta", handler + primary + location + entries + _box(b"iprp", properties + association))


def _box(name: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content) + 8) + name + content


def _full(name: bytes, content: bytes, version: int = 0) -> bytes:
    return _box(name, struct.pack(">I", version << 24) + content)
