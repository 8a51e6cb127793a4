"""Decoding one stream of a media file from a given second on, past single damaged packets."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import av

from inference.errors import DamagedFile

_MICROSECONDS = 1_000_000
# A file of which more packets fail than this is damaged, not scratched.
_BROKEN_PACKETS_MAX = 50


def origin_s(container: Any) -> float:
    """Return the time stamp that counts as second 0 of the media."""
    return float(container.start_time or 0) / _MICROSECONDS


def decoded(container: Any, stream: Any, from_s: float) -> Iterator[Any]:
    """Yield the frames of a stream, beginning with one at or before ``from_s``.

    Raises:
        DamagedFile: Too many packets cannot be decoded.
        av.error.FFmpegError: The container cannot be read on.
    """
    if from_s > 0:
        with contextlib.suppress(av.error.FFmpegError):
            # Where seeking fails, decoding begins at the beginning and the caller drops what is early.
            container.seek(int((from_s + origin_s(container)) * _MICROSECONDS))
    broken = 0
    for packet in container.demux(stream):
        try:
            yield from packet.decode()
        except av.error.InvalidDataError as error:
            broken += 1
            if broken > _BROKEN_PACKETS_MAX:
                raise DamagedFile(f"more than {_BROKEN_PACKETS_MAX} packets cannot be decoded") from error
