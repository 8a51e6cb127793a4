"""Landlock (landlock(7)): what a sandboxed child may read, write and execute in the file system."""

from __future__ import annotations

import ctypes
import dataclasses
import os
from collections.abc import Iterable
from pathlib import Path

_CREATE_RULESET, _ADD_RULE, _RESTRICT_SELF = 444, 445, 446
_RULE_PATH_BENEATH = 1

_EXECUTE = 1 << 0
_WRITE_FILE = 1 << 1
_READ_FILE = 1 << 2
_READ_DIR = 1 << 3
_MAKE_SOCKET = 1 << 9
_TRUNCATE = 1 << 14
_IOCTL_DEV = 1 << 15
_OF_FILES = _EXECUTE | _WRITE_FILE | _READ_FILE | _TRUNCATE | _IOCTL_DEV
# Number of access rights that each ABI version knows; later versions add no file system right.
_RIGHTS_BY_ABI = {1: 13, 2: 14, 3: 15, 4: 15, 5: 16}
_NET_BIND_AND_CONNECT_TCP = 0b11
_SCOPE_ABSTRACT_SOCKETS_AND_SIGNALS = 0b11


class _Ruleset(ctypes.Structure):
    _fields_ = [("fs", ctypes.c_uint64), ("net", ctypes.c_uint64), ("scoped", ctypes.c_uint64)]


class _PathBeneath(ctypes.Structure):
    _pack_ = 1
    _fields_ = [("allowed", ctypes.c_uint64), ("parent_fd", ctypes.c_int32)]


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Access:
    """Files and folders by what may be done beneath them; what does not exist is left out."""

    readable: tuple[Path, ...]
    writable: tuple[Path, ...]
    executable: tuple[Path, ...] = ()
    sockets: tuple[Path, ...] = ()


def landlock_restrict(libc: ctypes.CDLL, access: Access) -> int:
    """Restrict this thread and everything it starts; return the ABI version in force, 0 where there is none.

    Must run before the process has a second thread.

    Raises:
        OSError: The kernel has Landlock but refused the rules.
    """
    abi = int(libc.syscall(_CREATE_RULESET, None, 0, 1))
    if abi < 1:
        return 0
    rights = (1 << _RIGHTS_BY_ABI.get(abi, 16)) - 1
    attributes = _Ruleset(rights, _NET_BIND_AND_CONNECT_TCP, _SCOPE_ABSTRACT_SOCKETS_AND_SIGNALS)
    ruleset_fd = _checked(
        libc.syscall(_CREATE_RULESET, ctypes.byref(attributes), _attribute_bytes(abi), 0), "create a ruleset"
    )
    try:
        read = _READ_FILE | _READ_DIR
        _allow(libc, ruleset_fd, access.readable, read & rights)
        _allow(libc, ruleset_fd, access.executable, (read | _EXECUTE) & rights)
        _allow(libc, ruleset_fd, access.sockets, _MAKE_SOCKET)
        _allow(libc, ruleset_fd, access.writable, rights & ~_EXECUTE)
        _checked(libc.syscall(_RESTRICT_SELF, ruleset_fd, 0), "restrict this process")
    finally:
        os.close(ruleset_fd)
    return abi


def _attribute_bytes(abi: int) -> int:
    if abi >= 6:
        return 24
    return 16 if abi >= 4 else 8


def _allow(libc: ctypes.CDLL, ruleset_fd: int, paths: Iterable[Path], rights: int) -> None:
    for path in paths:
        if not path.exists():
            continue
        path_fd = os.open(path, os.O_PATH | os.O_CLOEXEC)
        try:
            allowed = rights if path.is_dir() else rights & _OF_FILES
            rule = _PathBeneath(allowed, path_fd)
            _checked(libc.syscall(_ADD_RULE, ruleset_fd, _RULE_PATH_BENEATH, ctypes.byref(rule), 0), f"allow {path}")
        finally:
            os.close(path_fd)


def _checked(result: int, action: str) -> int:
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, f"Landlock could not {action}: {os.strerror(number)}")
    return result
