"""Takes rights away from the calling process, step by step, and says which protections are in force."""

from __future__ import annotations

import ctypes
import dataclasses
import os
import resource
import signal
import sys
from pathlib import Path
from typing import Any

from inference.sandbox.filters import seccomp_install
from inference.sandbox.landlock import Access, landlock_restrict

_SET_PDEATHSIG = 1
_SET_NO_NEW_PRIVS = 38
_CLONE_NEWUSER = 0x10000000
_CLONE_NEWNET = 0x40000000
_CLONE_NEWNS = 0x00020000
_MS_RDONLY, _MS_REMOUNT, _MS_BIND, _MS_REC, _MS_PRIVATE = 1, 1 << 5, 1 << 12, 1 << 14, 1 << 18
_MS_RELATIME, _ST_RELATIME = 1 << 21, 1 << 12
_KEPT_MOUNT_FLAGS = 0b1110 | 1 << 10 | 1 << 11
_CAPABILITY_VERSION_3 = 0x20080522

_SYSTEM_READABLE = (
    "/lib", "/lib64", "/usr/lib", "/usr/lib64", "/usr/share", "/etc/ld.so.cache", "/etc/localtime", "/etc/mime.types",
    "/etc/fonts", "/dev/null", "/dev/zero", "/dev/urandom", "/dev/random", "/proc/self", "/proc/cpuinfo",
    "/proc/meminfo", "/sys/devices/system/cpu", "/var/cache/fontconfig",
)  # fmt: skip
_OFFICE_EXECUTABLE = ("/usr", "/bin", "/lib", "/lib64", "/opt/libreoffice")
_OFFICE_READABLE = (
    "/etc/libreoffice",
    "/var/lib/libreoffice",
    "/var/spool/libreoffice",
    "/etc/passwd",
    "/etc/nsswitch.conf",
    "/proc",
)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Protections:
    """Which protections are in force in a child.

    Attributes:
        no_new_privileges: prctl PR_SET_NO_NEW_PRIVS.
        network_namespace: Its own network namespace without a route.
        landlock_abi: Version of Landlock in force; 0 where the kernel has none.
        seccomp: System call filter.
        audit_hook: Python's socket functions refuse.
    """

    no_new_privileges: bool
    network_namespace: bool
    landlock_abi: int
    seccomp: bool
    audit_hook: bool


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Confinement:
    """What a child may do.

    Attributes:
        input_folder: Read-only folder with the file in hand.
        work_folder: The only folder it may write to.
        memory_bytes: Address space.
        starts_programs: It runs LibreOffice.
        parent_pid: It ends when this process does.
    """

    input_folder: Path
    work_folder: Path
    memory_bytes: int
    starts_programs: bool
    parent_pid: int


class _CapabilityHeader(ctypes.Structure):
    _fields_ = [("version", ctypes.c_uint32), ("pid", ctypes.c_int)]


def confine(confinement: Confinement) -> Protections:
    """Confine this process; it must still be single-threaded.

    Raises:
        OSError: A protection that the kernel offers could not be put in force.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    _limits_set(confinement)
    no_new_privileges = libc.prctl(_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0
    network_namespace = _network_leave(libc, with_mounts=confinement.starts_programs)
    private_temporary = (
        network_namespace and confinement.starts_programs and _temporary_folders_replace(libc, confinement.work_folder)
    )
    _capabilities_drop(libc)
    _die_with_parent(libc, confinement.parent_pid)
    landlock_abi = landlock_restrict(libc, _access(confinement, private_temporary=private_temporary))
    sys.addaudithook(_refusing_hook(starts_programs=confinement.starts_programs))
    return Protections(
        no_new_privileges=no_new_privileges,
        network_namespace=network_namespace,
        landlock_abi=landlock_abi,
        seccomp=seccomp_install(libc, starts_programs=confinement.starts_programs),
        audit_hook=True,
    )


def cpu_limit_set(allowance_s: float) -> None:
    """Let this process use that many more seconds of processor time."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    soft_s = int(used.ru_utime + used.ru_stime + allowance_s) + 1
    _, hard = resource.getrlimit(resource.RLIMIT_CPU)
    resource.setrlimit(resource.RLIMIT_CPU, (soft_s, hard))


def _limits_set(confinement: Confinement) -> None:
    resource.setrlimit(resource.RLIMIT_AS, (confinement.memory_bytes, confinement.memory_bytes))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    for kind, wanted in ((resource.RLIMIT_FSIZE, 2 * 1024**3), (resource.RLIMIT_NOFILE, 512)):
        _, hard = resource.getrlimit(kind)
        limit = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        resource.setrlimit(kind, (limit, limit))


def _network_leave(libc: ctypes.CDLL, *, with_mounts: bool) -> bool:
    user, group = os.getuid(), os.getgid()
    if libc.unshare(_CLONE_NEWUSER | _CLONE_NEWNET | (_CLONE_NEWNS if with_mounts else 0)) != 0:
        return False
    for name, line in (("setgroups", "deny"), ("uid_map", f"{user} {user} 1"), ("gid_map", f"{group} {group} 1")):
        try:
            Path("/proc/self", name).write_text(line)
        except OSError:
            # Without a map this process only sees itself as 'nobody'; its rights on files stay what they were.
            break
    return True


def _temporary_folders_replace(libc: ctypes.CDLL, work_folder: Path) -> bool:
    """Show /tmp read-only and the work folder as /var/tmp: LibreOffice takes the writable one for its socket."""
    work = bytes(work_folder)
    steps = (
        (None, b"/", _MS_REC | _MS_PRIVATE),
        (work, work, _MS_BIND),
        (work, b"/var/tmp", _MS_BIND),
        (b"/tmp", b"/tmp", _MS_BIND | _MS_REC),
        (None, b"/tmp", _MS_BIND | _MS_REMOUNT | _MS_RDONLY | _locked_flags("/tmp")),  # noqa: S108
    )
    return all(libc.mount(source, target, None, flags, None) == 0 for source, target, flags in steps)


def _locked_flags(folder: str) -> int:
    """Return the mount flags that a user namespace may not take away."""
    present = os.statvfs(folder).f_flag
    return present & _KEPT_MOUNT_FLAGS | (_MS_RELATIME if present & _ST_RELATIME else 0)


def _capabilities_drop(libc: ctypes.CDLL) -> None:
    header = _CapabilityHeader(_CAPABILITY_VERSION_3, 0)
    none = (ctypes.c_uint32 * 6)()
    if libc.capset(ctypes.byref(header), none) != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"capabilities could not be dropped: {os.strerror(number)}")


def _die_with_parent(libc: ctypes.CDLL, parent_pid: int) -> None:
    # After unshare, which clears it; the parent may have ended before this line.
    libc.prctl(_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent_pid:
        raise SystemExit("the parent process has ended")


def _access(confinement: Confinement, *, private_temporary: bool) -> Access:
    package = Path(__file__).resolve().parents[1]
    python = {Path(sys.prefix).resolve(), Path(sys.base_prefix).resolve(), Path(sys.executable).resolve().parent}
    system = _SYSTEM_READABLE + (_OFFICE_READABLE if confinement.starts_programs else ())
    return Access(
        readable=(confinement.input_folder, package, *python, *(Path(path) for path in system)),
        writable=(confinement.work_folder, Path("/dev/null")),
        # Where the kernel gives no private /tmp, LibreOffice may create its socket in the shared one, and only that.
        sockets=(Path("/tmp"),) if confinement.starts_programs and not private_temporary else (),  # noqa: S108
        executable=tuple(Path(path) for path in _OFFICE_EXECUTABLE) if confinement.starts_programs else (),
    )


def _refusing_hook(*, starts_programs: bool) -> Any:
    refused: tuple[str, ...] = ("socket.",)
    if not starts_programs:
        refused += ("subprocess.", "os.exec", "os.posix_spawn", "os.fork", "os.system", "os.spawn", "pty.")

    def hook(event: str, _arguments: tuple[Any, ...]) -> None:
        if event.startswith(refused):
            raise PermissionError(f"{event} is refused inside the sandbox")

    return hook
