"""The private folders of one child: ``input`` with the file in hand, ``work`` where alone it may write."""

from __future__ import annotations

import dataclasses
import fcntl
import functools
import os
import shutil
import tempfile
import weakref
from pathlib import Path


@dataclasses.dataclass(frozen=True, slots=True)
class _Identity:
    device: int
    inode: int
    size_bytes: int
    modified_ns: int

    @classmethod
    def of(cls, path: Path) -> _Identity:
        status = path.stat()
        return cls(status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns)


_PREFIX = "cloister-sandbox-"


def staging_sweep(parent_folder: Path | None = None) -> int:
    """Remove what killed processes left behind in ``parent_folder``; return how many folders."""
    removed = 0
    for folder in Path(parent_folder or tempfile.gettempdir()).glob(f"{_PREFIX}*"):
        try:
            lock = os.open(folder, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
        except OSError:
            continue
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(folder, ignore_errors=True)
            removed += 1
        except BlockingIOError:
            # A living process uses it.
            continue
        finally:
            os.close(lock)
    return removed


@functools.cache
def _sweep_once(parent_folder: Path | None) -> None:
    staging_sweep(parent_folder)


def _remove(roots: list[Path], locks: list[int]) -> None:
    for root in roots:
        shutil.rmtree(root, ignore_errors=True)
    for lock in locks:
        os.close(lock)


class Staging:
    """Hands files to a child one at a time, by a hard link where possible, else by a copy.

    The file's own name stays outside, so that nothing a parser says can depend on it.
    """

    def __init__(self, parent_folder: Path | None) -> None:
        """Make the folders (0700); ``input`` inside ``parent_folder`` where one is given."""
        self._locks: list[int] = []
        self._roots: list[Path] = []
        # Also at the end of the process; what a killed one leaves is swept by the next.
        self.remove = weakref.finalize(self, _remove, self._roots, self._locks)
        for parent in {None, parent_folder}:
            _sweep_once(parent)
        # The work folder is always in the temporary folder: programs put sockets there, whose paths are short.
        short = self._folder(None)
        beside = short if parent_folder is None else self._folder(parent_folder)
        self.input_folder = beside / "input"
        self.work_folder = short / "work"
        self.log = short / "child.log"
        self.input_folder.mkdir()
        self.work_folder.mkdir()
        self.files = 0
        self._staged: tuple[_Identity, Path] | None = None

    def holds(self, source: Path) -> bool:
        """Whether this very file is the one in hand."""
        return self._staged is not None and self._staged[0] == _Identity.of(source)

    def stage(self, source: Path) -> Path:
        """Put a file into the input folder in place of the one before; return its path there."""
        if self._staged is not None and self.holds(source):
            return self._staged[1]
        self._clear(self.input_folder)
        self.files += 1
        target = self.input_folder / f"input-{self.files}"
        real = source.resolve()
        try:
            os.link(real, target)
        except OSError:
            # Another file system, or one without hard links.
            shutil.copyfile(real, target)
        self._staged = (_Identity.of(source), target)
        return target

    def forget(self) -> None:
        """Drop the file in hand."""
        self._staged = None
        self._clear(self.input_folder)
        self._clear(self.work_folder)

    def work_clear(self) -> None:
        """Empty the work folder, so that nothing of one file is there for the next."""
        self._clear(self.work_folder)

    def log_tail(self, length: int = 2_000) -> str:
        """Return the end of what the child printed."""
        if not self.log.exists():
            return ""
        with self.log.open("rb") as stream:
            stream.seek(max(0, self.log.stat().st_size - length))
            return stream.read().decode(errors="replace")

    def _folder(self, parent: Path | None) -> Path:
        while True:
            folder = Path(tempfile.mkdtemp(prefix=_PREFIX, dir=parent)).resolve()
            # Held while this object lives: staging_sweep leaves locked folders alone.
            lock = os.open(folder, os.O_RDONLY | os.O_CLOEXEC)
            fcntl.flock(lock, fcntl.LOCK_EX)
            if folder.exists():
                self._roots.append(folder)
                self._locks.append(lock)
                return folder
            # Another process's sweep came between.
            os.close(lock)

    @staticmethod
    def _clear(folder: Path) -> None:
        for entry in folder.iterdir():
            if entry.is_dir() and not entry.is_symlink():
                shutil.rmtree(entry, ignore_errors=True)
            else:
                entry.unlink(missing_ok=True)
