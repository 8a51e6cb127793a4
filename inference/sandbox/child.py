"""The sandboxed child: confines itself, then answers one request after another on its pipe.

Started as ``python -P -m inference.sandbox.child CONFINEMENT``, CONFINEMENT being JSON.
"""

from __future__ import annotations

import dataclasses
import json
import os
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO

from inference.errors import DamagedFile, EngineBroken, InferenceError, LimitExceeded
from inference.parsing.registry import KINDS, parser_for, parser_for_extension
from inference.sandbox import wire
from inference.sandbox.confinement import Confinement, confine, cpu_limit_set

Reply = tuple[dict[str, Any], dict[str, bytes]]


def main(arguments: list[str]) -> int:
    """Confine this process and serve until the pipe closes."""
    public = json.loads(arguments[0])
    confinement = Confinement(
        input_folder=Path(public["input_folder"]),
        work_folder=Path(public["work_folder"]),
        memory_bytes=int(public["memory_bytes"]),
        starts_programs=bool(public["starts_programs"]),
        parent_pid=int(public["parent_pid"]),
    )
    requests, replies = _take_pipe()
    protections = confine(confinement)
    _send(replies, ({"hello": dataclasses.asdict(protections)}, {}))
    while True:
        try:
            message, _ = wire.read_frame(_exactly(requests))
        except EOFError:
            return 0
        reply, artefacts = _answer(message, starts_programs=confinement.starts_programs)
        _send(replies, (reply, artefacts))
        if reply.get("ends") is True:
            return 0


def _take_pipe() -> tuple[BinaryIO, BinaryIO]:
    # Libraries that print must not write into the pipe: descriptor 1 becomes the log, 0 becomes nothing.
    requests = os.fdopen(os.dup(0), "rb")
    replies = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    return requests, replies


def _exactly(stream: BinaryIO) -> Callable[[int], bytes]:
    def read(count: int) -> bytes:
        content = stream.read(count)
        if len(content) < count:
            raise EOFError
        return content

    return read


def _send(stream: BinaryIO, reply: Reply) -> None:
    for piece in wire.frame(*reply):
        stream.write(piece)
    stream.flush()


def _answer(message: dict[str, Any], *, starts_programs: bool) -> Reply:
    path = Path(message["path"])
    try:
        cpu_limit_set(float(message["cpu_s"]))
        if message["action"] == "probe":
            return _probe(path, message["extension_hint"], starts_programs=starts_programs)
        return _parse(path, message)
    except InferenceError as error:
        return _error(error)
    except MemoryError:
        return _error(LimitExceeded(f"'{path.name}' needs more memory than a parser may use"), ends=True)
    except ImportError as error:
        # A missing library is a broken installation, never the file's fault.
        traceback.print_exc()
        return _error(EngineBroken(f"a parser could not be loaded: {error}"), ends=True)
    except Exception as error:  # noqa: BLE001 - the process boundary: a parser met something it does not know
        traceback.print_exc()
        sentence = f"'{path.name}' could not be read: {type(error).__name__}: {error}"
        return _error(DamagedFile(sentence[:500]), ends=True)


def _probe(path: Path, extension_hint: str, *, starts_programs: bool) -> Reply:
    from inference.parsing.sniff import sniff

    extension = sniff(path, extension_hint)
    if KINDS[extension].module == "legacy" and not starts_programs:
        return {"starts_programs": True}, {}
    info = parser_for_extension(extension).probe(path, extension)
    return {"info": wire.info_to_json(info)}, {}


def _parse(path: Path, message: dict[str, Any]) -> Reply:
    info = wire.info_from_json(message["info"])
    parsed = parser_for(info).parse(path, info, wire.request_from_json(message["request"]))
    return {"extraction": wire.extraction_to_json(parsed.extraction)}, parsed.artefacts


def _error(error: InferenceError, *, ends: bool = False) -> Reply:
    """Return the reply that carries an error; ``ends`` when this process is in no state to go on."""
    return {"error": error.code, "message": str(error), "ends": ends}, {}


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
