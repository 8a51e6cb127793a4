"""Turns a pickled checkpoint into safetensors, as a child process that can do nothing else.

Run as ``python -I conversion.py SOURCE TARGET [--key KEY] [--names FILE]``. The child gives up the network and new
privileges before it opens the file, loads it with ``weights_only=True`` and writes tensors in a fixed order, so that
equal checkpoints give equal bytes.
"""

from __future__ import annotations

import argparse
import ctypes
import resource
import sys
from pathlib import Path
from typing import Any

_CPU_LIMIT_S = 300
_FILE_LIMIT_BYTES = 16 << 30
_PR_SET_NO_NEW_PRIVS = 38
_CLONE_NEWUSER = 0x10000000
_CLONE_NEWNET = 0x40000000


def refuse_outside() -> None:
    """Install an audit hook that refuses sockets and child processes; it stays for the life of the process."""
    refused = {"socket.connect", "socket.getaddrinfo", "socket.sendto", "socket.sendmsg"}
    refused |= {"subprocess.Popen", "os.exec", "os.fork", "os.posix_spawn", "os.system"}

    def hook(event: str, _arguments: tuple[Any, ...]) -> None:
        if event in refused:
            raise PermissionError(f"a checkpoint's conversion may not do {event}")

    sys.addaudithook(hook)


def confine() -> None:
    """Give up the network, new privileges, and unbounded work; only a process of one thread can do so."""
    libc = ctypes.CDLL(None, use_errno=True)
    libc.unshare(_CLONE_NEWUSER | _CLONE_NEWNET)  # Where namespaces are forbidden the audit hook remains.
    libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    resource.setrlimit(resource.RLIMIT_CPU, (_CPU_LIMIT_S, _CPU_LIMIT_S))
    resource.setrlimit(resource.RLIMIT_FSIZE, (_FILE_LIMIT_BYTES, _FILE_LIMIT_BYTES))


def convert(source: Path, target: Path, *, key: str | None, names: list[str] | None) -> None:
    """Convert one checkpoint.

    Raises:
        ValueError: The checkpoint is not a dictionary of tensors, or the names do not match it one to one.
    """
    confine()
    import torch
    from safetensors.torch import save_file

    refuse_outside()
    checkpoint = torch.load(source, map_location="cpu", weights_only=True)
    tensors = checkpoint[key] if key is not None else checkpoint
    if not tensors or not all(isinstance(value, torch.Tensor) for value in tensors.values()):
        raise ValueError("the checkpoint is not a dictionary of tensors")
    if names is None:
        names = list(tensors)
    if len(names) != len(tensors) or len(set(names)) != len(names):
        raise ValueError(f"{len(names)} names for {len(tensors)} tensors")
    save_file({name: value.contiguous() for name, value in zip(names, tensors.values(), strict=True)}, target)
    target.chmod(0o644)


def _main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("source", type=Path)
    parser.add_argument("target", type=Path)
    parser.add_argument("--key")
    parser.add_argument("--names", type=Path)
    options = parser.parse_args()
    names = options.names.read_text(encoding="utf-8").split() if options.names else None
    convert(options.source, options.target, key=options.key, names=names)


if __name__ == "__main__":
    _main()
