"""Files sent in chunks, whole or one byte range (RFC 9110, section 14), which is what a player asks for to seek."""

from __future__ import annotations

import os
import re
from collections.abc import AsyncIterator
from typing import BinaryIO

from asgiref.sync import sync_to_async
from django.http import FileResponse

CHUNK_BYTES = 256 * 1024

_ONE_RANGE = re.compile(r"bytes=(\d{0,18})-(\d{0,18})\s*", re.ASCII)


def range_serve(response: FileResponse, opened: BinaryIO, header: str) -> FileResponse:
    """Turn a response over a whole file into one over the asked range; several ranges at once get the whole file.

    Args:
        response: Not sent yet; closes ``opened`` when it is closed.
        opened: The file that ``response`` serves, at its start.
        header: The request's Range header; may be empty.
    """
    total_bytes = os.fstat(opened.fileno()).st_size
    length_bytes = total_bytes
    asked = _ONE_RANGE.fullmatch(header)
    if asked is not None and any(asked.groups()):
        first, last = _bounds(asked.group(1), asked.group(2), total_bytes)
        length_bytes = max(0, last - first + 1)
        response.status_code = 206 if length_bytes else 416
        response["Content-Range"] = f"bytes {first}-{last}/{total_bytes}" if length_bytes else f"bytes */{total_bytes}"
        opened.seek(first)
    response["Accept-Ranges"] = "bytes"
    response["Content-Length"] = str(length_bytes)
    # Under ASGI, Django would first read a plain iterator to its end: the whole file in memory.
    response.streaming_content = _chunks(opened, length_bytes)
    return response


def _bounds(first: str, last: str, total_bytes: int) -> tuple[int, int]:
    if not first:
        return max(0, total_bytes - int(last)), total_bytes - 1
    return int(first), min(int(last), total_bytes - 1) if last else total_bytes - 1


async def _chunks(opened: BinaryIO, length_bytes: int) -> AsyncIterator[bytes]:
    left_bytes = length_bytes
    while left_bytes > 0:
        chunk = await sync_to_async(opened.read, thread_sensitive=False)(min(CHUNK_BYTES, left_bytes))
        if not chunk:
            return
        left_bytes -= len(chunk)
        yield chunk
