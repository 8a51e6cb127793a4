"""Probing and parsing of one owner's files in a confined child that is kept warm and replaced in time."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from inference.errors import DamagedFile, InferenceError, errors_by_code
from inference.parsing.base import Limits, ParseRequest
from inference.parsing.registry import KINDS
from inference.sandbox import wire
from inference.sandbox.confinement import Protections
from inference.sandbox.process import Allowance, ChildProcess
from inference.sandbox.staging import Staging
from inference.values import Extraction, SourceInfo

log = logging.getLogger(__name__)

GIB = 1024**3
FILES_PER_CHILD = 50
CHILD_ENTRY = ("-m", "inference.sandbox.child")

_CPU_S = 60.0
_CPU_S_PER_MEDIA_S = 0.1
_OFFICE_CPU_S = 180.0
# A busy machine gives a child only part of a core.
_WALL_PER_CPU = 4.0


def allowance_for(*, starts_programs: bool, media_s: float = 0.0) -> Allowance:
    """Return what one request may use, from its declared work.

    Args:
        starts_programs: It runs LibreOffice.
        media_s: Length of the sound or video window to read.
    """
    if starts_programs:
        return Allowance(cpu_s=_OFFICE_CPU_S, wall_s=_OFFICE_CPU_S * 2, memory_bytes=4 * GIB)
    cpu_s = _CPU_S + _CPU_S_PER_MEDIA_S * media_s
    return Allowance(cpu_s=cpu_s, wall_s=cpu_s * _WALL_PER_CPU, memory_bytes=2 * GIB)


class Sandbox:
    """Reads files of one owner; one caller at a time."""

    def __init__(
        self,
        owner: str,
        *,
        staging_folder: Path | None = None,
        allowance: Allowance | None = None,
        entry: Sequence[str] = CHILD_ENTRY,
    ) -> None:
        """Prepare; the child starts with the first file.

        Args:
            owner: Whose files these are; a child never sees files of two owners.
            staging_folder: Where private folders are made; on the file system of the files, handing one over costs
                a hard link, elsewhere a copy. The system's temporary folder when None.
            allowance: Limits of every request instead of those that follow from its declared work.
            entry: Arguments of the interpreter that start a child.
        """
        self.owner = owner
        self._staging_folder = staging_folder
        self._allowance = allowance
        self._entry = tuple(entry)
        self._staging: Staging | None = None
        self._child: ChildProcess | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @property
    def protections(self) -> Protections:
        """What is in force in the child; starts one when there is none."""
        return self._ready(None, starts_programs=False).protections

    def probe(self, path: Path, *, extension_hint: str = "", name: str | None = None) -> SourceInfo:
        """Say what a file is, from its bytes.

        Args:
            path: The file.
            extension_hint: Extension of its name, with or without dot; decides only between kinds of plain text.
            name: What sentences call it; its own name when None.

        Raises:
            InputRejected: One of the family; the sentence names the file.
            EngineUnavailable: The child could not start or was ended from outside.
        """
        shown = name or path.name
        request = {"action": "probe", "extension_hint": extension_hint}
        message, _ = self._ask(path, shown, request, starts_programs=False, media_s=0.0)
        if message.get("starts_programs") is True:
            message, _ = self._ask(path, shown, request, starts_programs=True, media_s=0.0)
        try:
            return wire.info_from_json(message["info"])
        except (KeyError, TypeError, ValueError) as error:
            raise self._nonsense(shown, error) from error

    def parse(
        self,
        path: Path,
        info: SourceInfo,
        *,
        first_unit: int = 1,
        last_unit: int | None = None,
        start_s: float | None = None,
        end_s: float | None = None,
        limits: Limits | None = None,
        name: str | None = None,
    ) -> tuple[Extraction, dict[str, bytes]]:
        """Read a range of a file; pages from 1, ``last_unit`` inclusive, ``end_s`` exclusive; None is the end.

        Raises:
            InputRejected: One of the family; the sentence names the file.
            EngineUnavailable: The child could not start or was ended from outside.
        """
        shown = name or path.name
        wanted = ParseRequest(
            first_unit=first_unit, last_unit=last_unit, start_s=start_s, end_s=end_s, limits=limits or Limits()
        )
        request = {"action": "parse", "info": wire.info_to_json(info), "request": wire.request_to_json(wanted)}
        kind = KINDS.get(info.extension)
        message, artefacts = self._ask(
            path,
            shown,
            request,
            starts_programs=kind is not None and kind.module == "legacy",
            media_s=_media_s(info, wanted),
        )
        try:
            return wire.extraction_from_json(message["extraction"]), artefacts
        except (KeyError, TypeError, ValueError) as error:
            raise self._nonsense(shown, error) from error

    def forget(self) -> None:
        """Drop the file in hand, so that erasing it elsewhere erases it."""
        if self._staging is not None:
            self._staging.forget()

    def close(self) -> None:
        """End the child and remove its folders."""
        if self._child is not None:
            self._child.end()
            self._child = None
        if self._staging is not None:
            self._staging.remove()
            self._staging = None

    def _ask(
        self, path: Path, shown: str, request: dict[str, Any], *, starts_programs: bool, media_s: float
    ) -> tuple[dict[str, Any], dict[str, bytes]]:
        child = self._ready(path, starts_programs=starts_programs)
        assert self._staging is not None
        staged = self._staging.stage(path)
        allowance = self._allowance or allowance_for(starts_programs=starts_programs, media_s=media_s)
        try:
            message, artefacts = child.exchange(
                {**request, "path": str(staged), "cpu_s": allowance.cpu_s}, allowance, shown
            )
        except InferenceError:
            self._abandon()
            raise
        self._staging.work_clear()
        if message.get("ends") is True:
            self._abandon()
        code = message.get("error")
        if code is not None:
            raise errors_by_code().get(str(code), DamagedFile)(str(message.get("message")).replace(staged.name, shown))
        return message, artefacts

    def _abandon(self) -> None:
        if self._staging is not None:
            log.warning("a sandbox child ended: %s", self._staging.log_tail())
        self.close()

    def _ready(self, path: Path | None, *, starts_programs: bool) -> ChildProcess:
        if self._child is not None and not self._may_serve(self._child, path, starts_programs=starts_programs):
            self.close()
        if self._child is None:
            self._staging = Staging(self._staging_folder)
            memory_bytes = allowance_for(starts_programs=starts_programs).memory_bytes
            try:
                self._child = ChildProcess(
                    self._staging, self._entry, memory_bytes=memory_bytes, starts_programs=starts_programs
                )
            except BaseException:
                self.close()
                raise
        return self._child

    def _may_serve(self, child: ChildProcess, path: Path | None, *, starts_programs: bool) -> bool:
        assert self._staging is not None
        used_up = path is not None and self._staging.files >= FILES_PER_CHILD and not self._staging.holds(path)
        return child.alive and child.starts_programs == starts_programs and not used_up

    def _nonsense(self, shown: str, error: Exception) -> DamagedFile:
        self.close()
        return DamagedFile(f"'{shown}' made its parser answer nonsense ({error}); it may be damaged")


def _media_s(info: SourceInfo, request: ParseRequest) -> float:
    if info.duration_s is None:
        return 0.0
    end_s = info.duration_s if request.end_s is None else min(request.end_s, info.duration_s)
    return max(0.0, end_s - (request.start_s or 0.0))
