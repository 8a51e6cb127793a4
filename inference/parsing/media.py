"""Reads sound and video: 16 kHz mono sound of a window and the frames where the scene changes.

FFmpeg sees a path that the server chose, the protocol ``file`` alone and a fixed list of containers, so no playlist or
reference inside a file can make it open anything else.
"""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import av

from inference.errors import DamagedFile, EmptyInput, LimitExceeded
from inference.parsing.base import Parsed, ParseRequest
from inference.parsing.registry import source_info
from inference.parsing.scene import scene_frames
from inference.parsing.sound import sound_wav
from inference.values import Anchor, Extraction, Picture, SourceInfo

_OPTIONS = {
    "protocol_whitelist": "file",
    "format_whitelist": "mov,mp4,matroska,webm,wav,mp3,flac,ogg,aac,avi,mpegts",
}
# Their headers state no length, or only an estimate: the packets are counted.
_COUNTED_FORMATS = {"mp3", "aac"}
_WINDOW_MAX_S = 7_200.0
_MICROSECONDS = 1_000_000


def probe(path: Path, hint: str) -> SourceInfo:
    """Find length and streams; a file whose end is missing is damaged, whatever its header says."""
    with _opened(path) as container:
        sound, video = _sound_stream(container), _video_stream(container)
        if sound is None and video is None:
            raise EmptyInput(f"'{path.name}' holds neither sound nor video")
        duration_s = _duration_s(container, path)
    extension = hint
    if hint in ("mp4", "mov", "m4a") and (video is None) != (hint == "m4a"):
        extension = "m4a" if video is None else "mp4"
    info = source_info(extension, duration_s=duration_s)
    family = "audio" if video is None else "video"
    return dataclasses.replace(info, family=family, media_type=f"{family}/{info.media_type.split('/', 1)[1]}")


def parse(path: Path, info: SourceInfo, request: ParseRequest) -> Parsed:
    """Read the sound and the scene frames of ``start_s`` to ``end_s``; windows that meet share no sample or frame."""
    start_s, end_s = _window(path, info, request)
    artefacts: dict[str, bytes] = {}
    pictures: list[Picture] = []
    with _opened(path) as container:
        stream = _sound_stream(container)
        sound = None if stream is None else sound_wav(container, stream, start_s, end_s)
    if sound is not None:
        artefacts["sound.wav"] = sound
    with _opened(path) as container:
        video = _video_stream(container)
        frames = [] if video is None else scene_frames(container, video, start_s, end_s, request.limits)
    if sound is None and not frames and start_s == 0.0:
        raise DamagedFile(f"'{path.name}' is damaged: nothing in it can be decoded")
    for frame_s, png in frames:
        name = f"frame-{round(frame_s * 1000):09d}.png"
        artefacts[name] = png
        pictures.append(
            Picture(artefact=name, anchor=Anchor(frame_s=frame_s), origin="frame", needs_ocr=True, needs_caption=True)
        )
    return Parsed(
        extraction=Extraction(
            pictures=tuple(pictures),
            audio_artefact="sound.wav" if sound is not None else None,
            audio_start_s=start_s,
        ),
        artefacts=artefacts,
    )


def _window(path: Path, info: SourceInfo, request: ParseRequest) -> tuple[float, float]:
    duration_s = info.duration_s if info.duration_s is not None else 0.0
    start_s = request.start_s or 0.0
    end_s = duration_s if request.end_s is None else min(request.end_s, duration_s)
    if end_s - start_s > _WINDOW_MAX_S:
        raise LimitExceeded(
            f"a window of {end_s - start_s:.0f} s of '{path.name}' is over the limit of {_WINDOW_MAX_S:.0f} s;"
            " read it in several windows"
        )
    return start_s, max(start_s, end_s)


@contextlib.contextmanager
def _opened(path: Path) -> Iterator[Any]:
    try:
        with av.open(str(path), options=_OPTIONS, metadata_errors="ignore") as container:
            yield container
    except (av.error.FFmpegError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise DamagedFile(f"'{path.name}' is damaged or cut off: {reason}") from error


def _sound_stream(container: Any) -> Any:
    return next((stream for stream in container.streams.audio if stream.codec_context is not None), None)


def _video_stream(container: Any) -> Any:
    """Return the first moving picture; the cover of a song is a picture attached to it."""
    for stream in container.streams.video:
        attached = bool(stream.disposition & av.stream.Disposition.attached_pic)
        if not attached and stream.codec_context is not None:
            return stream
    return None


def _duration_s(container: Any, path: Path) -> float:
    counted = container.duration is None or container.format.name in _COUNTED_FORMATS
    if counted:
        duration_s = _last_packet_s(container)
    else:
        duration_s = container.duration / _MICROSECONDS
        _end_checked(container, path, duration_s)
    if duration_s <= 0:
        raise EmptyInput(f"'{path.name}' holds no sound or video (0 s)")
    return round(duration_s, 6)


def _end_checked(container: Any, path: Path, duration_s: float) -> None:
    tolerance_s = max(2.0, 0.02 * duration_s)
    origin = container.start_time or 0
    with contextlib.suppress(av.error.FFmpegError):
        # Where seeking fails, the packets are read from the beginning.
        container.seek(origin + int(max(0.0, duration_s - tolerance_s) * _MICROSECONDS))
    last_s = _last_packet_s(container)
    if last_s < duration_s - tolerance_s:
        raise DamagedFile(
            f"'{path.name}' is cut off: it states {duration_s:.1f} s but its content ends at {last_s:.1f} s"
        )


def _last_packet_s(container: Any) -> float:
    """Read on to the end without decoding; return where the last packet ends."""
    origin_s = (container.start_time or 0) / _MICROSECONDS
    last_s = 0.0
    streams = [stream for stream in (_sound_stream(container), _video_stream(container)) if stream is not None]
    for packet in container.demux(streams):
        if packet.pts is not None and packet.size > 0:
            last_s = max(last_s, float((packet.pts + (packet.duration or 0)) * packet.time_base) - origin_s)
    return last_s
