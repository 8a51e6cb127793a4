"""The seccomp filter of a sandboxed child, assembled as classic BPF (linux/filter.h, seccomp(2))."""

from __future__ import annotations

import ctypes
import errno
import os
import platform

_LD_WORD_ABS = 0x20
_JUMP_EQUAL = 0x15
_JUMP_GREATER_EQUAL = 0x35
_JUMP_SET = 0x45
_RETURN = 0x06
_ALLOW = 0x7FFF0000
_KILL_PROCESS = 0x80000000
_REFUSE = 0x00050000 | errno.EPERM
_UNKNOWN = 0x00050000 | errno.ENOSYS

_OFFSET_NUMBER = 0
_OFFSET_ARCH = 4
_OFFSET_FIRST_ARGUMENT = 16

_AF_UNIX = 1
_CLONE_THREAD = 0x00010000
_CLONE_NAMESPACES = 0x7E020080

# Names by architecture: (audit architecture, system call numbers).
_NUMBERS: dict[str, tuple[int, dict[str, int]]] = {
    "x86_64": (
        0xC000003E,
        {
            "socket": 41, "connect": 42, "accept": 43, "sendto": 44, "sendmsg": 46, "bind": 49, "listen": 50,
            "clone": 56, "fork": 57, "vfork": 58, "execve": 59, "kill": 62, "ptrace": 101, "pivot_root": 155,
            "chroot": 161, "mount": 165, "umount2": 166, "init_module": 175, "tkill": 200, "tgkill": 234,
            "kexec_load": 246, "add_key": 248, "request_key": 249, "keyctl": 250, "unshare": 272, "accept4": 288,
            "perf_event_open": 298, "open_by_handle_at": 304, "sendmmsg": 307, "setns": 308,
            "process_vm_readv": 310, "process_vm_writev": 311, "finit_module": 313, "bpf": 321, "execveat": 322,
            "userfaultfd": 323,
        },
    ),
    "aarch64": (
        0xC00000B7,
        {
            "umount2": 39, "mount": 40, "pivot_root": 41, "chroot": 51, "unshare": 97, "kexec_load": 104,
            "init_module": 105, "ptrace": 117, "kill": 129, "tkill": 130, "tgkill": 131, "socket": 198, "bind": 200,
            "listen": 201, "accept": 202, "connect": 203, "sendto": 206, "sendmsg": 211, "add_key": 217,
            "request_key": 218, "keyctl": 219, "clone": 220, "execve": 221, "perf_event_open": 241, "accept4": 242,
            "open_by_handle_at": 265, "setns": 268, "sendmmsg": 269, "process_vm_readv": 270,
            "process_vm_writev": 271, "finit_module": 273, "bpf": 280, "execveat": 281, "userfaultfd": 282,
        },
    ),
}  # fmt: skip
# These have one number on every architecture.
_COMMON = {
    "pidfd_send_signal": 424, "io_uring_setup": 425, "open_tree": 428, "move_mount": 429, "fsopen": 430,
    "fsmount": 432, "pidfd_open": 434, "clone3": 435, "pidfd_getfd": 438, "mount_setattr": 442,
}  # fmt: skip

_ALWAYS_REFUSED = (
    "ptrace", "process_vm_readv", "process_vm_writev", "mount", "umount2", "pivot_root", "chroot", "unshare", "setns",
    "bpf", "perf_event_open", "keyctl", "add_key", "request_key", "userfaultfd", "open_by_handle_at", "init_module",
    "finit_module", "kexec_load", "io_uring_setup", "open_tree", "move_mount", "fsopen", "fsmount", "mount_setattr",
    "pidfd_getfd",
)  # fmt: skip
# A parser in this process needs no socket, no other program and no other process.
_REFUSED_TO_PARSERS = (
    "socket", "connect", "bind", "listen", "accept", "accept4", "sendto", "sendmsg", "sendmmsg", "execve", "execveat",
    "fork", "vfork", "kill", "tkill", "pidfd_open", "pidfd_send_signal",
)  # fmt: skip


class _Instruction(ctypes.Structure):
    _fields_ = [("code", ctypes.c_ushort), ("jt", ctypes.c_ubyte), ("jf", ctypes.c_ubyte), ("k", ctypes.c_uint)]


class _Program(ctypes.Structure):
    _fields_ = [("length", ctypes.c_ushort), ("filter", ctypes.POINTER(_Instruction))]


_Step = tuple[int, int, int, int]


def _refuse(number: int, verdict: int = _REFUSE) -> list[_Step]:
    return [(_JUMP_EQUAL, 0, 1, number), (_RETURN, 0, 0, verdict)]


def _allow_only(number: int, test: int, value: int) -> list[_Step]:
    """Allow one call only when its first argument passes the test."""
    return [
        (_JUMP_EQUAL, 0, 4, number),
        (_LD_WORD_ABS, 0, 0, _OFFSET_FIRST_ARGUMENT),
        (test, 1, 0, value),
        (_RETURN, 0, 0, _REFUSE),
        (_RETURN, 0, 0, _ALLOW),
    ]


def _refuse_flags(number: int, flags: int) -> list[_Step]:
    return [
        (_JUMP_EQUAL, 0, 4, number),
        (_LD_WORD_ABS, 0, 0, _OFFSET_FIRST_ARGUMENT),
        (_JUMP_SET, 0, 1, flags),
        (_RETURN, 0, 0, _REFUSE),
        (_RETURN, 0, 0, _ALLOW),
    ]


def _steps(architecture: int, numbers: dict[str, int], *, starts_programs: bool) -> list[_Step]:
    steps: list[_Step] = [
        (_LD_WORD_ABS, 0, 0, _OFFSET_ARCH),
        (_JUMP_EQUAL, 1, 0, architecture),
        (_RETURN, 0, 0, _KILL_PROCESS),
        (_LD_WORD_ABS, 0, 0, _OFFSET_NUMBER),
        # The x32 calls of x86_64 would slip past the numbers below.
        (_JUMP_GREATER_EQUAL, 0, 1, 0x40000000),
        (_RETURN, 0, 0, _KILL_PROCESS),
        # Its flags lie behind a pointer; the C library falls back to clone.
        *_refuse(numbers["clone3"], _UNKNOWN),
    ]
    names = _ALWAYS_REFUSED if starts_programs else _ALWAYS_REFUSED + _REFUSED_TO_PARSERS
    for name in names:
        if name in numbers:
            steps += _refuse(numbers[name])
    if starts_programs:
        steps += _allow_only(numbers["socket"], _JUMP_EQUAL, _AF_UNIX)
        steps += _refuse_flags(numbers["clone"], _CLONE_NAMESPACES)
    else:
        steps += _allow_only(numbers["clone"], _JUMP_SET, _CLONE_THREAD)
        steps += _allow_only(numbers["tgkill"], _JUMP_EQUAL, os.getpid())
    steps.append((_RETURN, 0, 0, _ALLOW))
    return steps


def seccomp_install(libc: ctypes.CDLL, *, starts_programs: bool) -> bool:
    """Refuse system calls that no parser needs; return False where the kernel or architecture has no filter.

    Args:
        libc: The C library.
        starts_programs: The child runs LibreOffice: other programs and unix sockets stay allowed, inet sockets do not.
    """
    known = _NUMBERS.get(platform.machine())
    if known is None:
        return False
    architecture, numbers = known
    steps = _steps(architecture, numbers | _COMMON, starts_programs=starts_programs)
    array = (_Instruction * len(steps))(*(_Instruction(*step) for step in steps))
    program = _Program(len(steps), ctypes.cast(array, ctypes.POINTER(_Instruction)))
    set_seccomp, mode_filter = 22, 2
    return bool(libc.prctl(set_seccomp, mode_filter, ctypes.byref(program), 0, 0) == 0)
