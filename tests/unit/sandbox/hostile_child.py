"""A sandboxed child whose picture parser does what a hijacked one would: the order stands after the PNG's end."""

import ctypes
import os
import socket
import sys
import time
import types
from pathlib import Path

from inference.parsing.registry import source_info
from inference.sandbox import child
from inference.values import SourceInfo


def probe(path: Path, hint: str) -> SourceInfo:
    order = path.read_bytes().split(b"ORDER:", 1)[1].decode()
    verb, _, argument = order.partition(" ")
    try:
        outcome = ORDERS[verb](argument)
    except OSError as error:
        outcome = f"refused: {type(error).__name__} {error.errno}"
    return source_info(hint, title=f"{path.name} {outcome}")


def connect(port: str) -> str:
    with socket.create_connection(("127.0.0.1", int(port)), timeout=5):
        return "connected"


def connect_raw(port: str) -> str:
    libc = ctypes.CDLL(None, use_errno=True)
    descriptor = libc.socket(socket.AF_INET, socket.SOCK_STREAM, 0)
    if descriptor < 0:
        raise OSError(ctypes.get_errno(), "socket")
    address = (
        int(socket.AF_INET).to_bytes(2, "little") + int(port).to_bytes(2, "big") + bytes([127, 0, 0, 1]) + bytes(8)
    )
    if libc.connect(descriptor, address, len(address)) != 0:
        raise OSError(ctypes.get_errno(), "connect")
    return "connected"


def resolve(name: str) -> str:
    return str(socket.getaddrinfo(name, 80))


def read(path: str) -> str:
    return f"read {len(Path(path).read_bytes())} bytes"


def write(path: str) -> str:
    Path(path).write_text("written by a parser")
    return "written"


def write_work(name: str) -> str:
    (Path(os.curdir) / name).write_text("written by a parser")
    return "written"


def work_listing(_: str) -> str:
    return "work holds: " + " ".join(sorted(entry.name for entry in Path(os.curdir).iterdir()))


def execute(command: str) -> str:
    libc = ctypes.CDLL(None, use_errno=True)
    return f"system returned {libc.system(command.encode())}"


def signal_other(pid: str) -> str:
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.kill(int(pid), 0) != 0:
        raise OSError(ctypes.get_errno(), "kill")
    return "signalled"


def sleep(_: str) -> str:
    time.sleep(600)
    return "slept"


def spin(_: str) -> str:
    while True:
        pass


def allocate(mebibytes: str) -> str:
    held = [bytearray(os.urandom(1024) * 1024) for _ in range(int(mebibytes))]
    time.sleep(600)
    return f"held {len(held)} MiB"


def crash(_: str) -> str:
    ctypes.string_at(0)
    return "lived"


def leave(status: str) -> str:
    os._exit(int(status))


def fail(message: str) -> str:
    raise KeyError(message)


def babble(_: str) -> str:
    for descriptor in range(3, 64):
        try:
            os.write(descriptor, b"\xff" * 64)
        except OSError:
            continue
    return "babbled"


def print_out(_: str) -> str:
    os.write(1, b"a library that prints\n")
    return "printed"


ORDERS = {
    function.__name__: function
    for function in (
        connect, connect_raw, resolve, read, write, write_work, work_listing, execute, signal_other, sleep, spin,
        allocate, crash, leave, fail, babble, print_out,
    )
}  # fmt: skip

if __name__ == "__main__":
    hostile = types.ModuleType("inference.parsing.picture")
    hostile.probe = probe  # type: ignore[attr-defined]
    sys.modules["inference.parsing.picture"] = hostile
    sys.exit(child.main(sys.argv[1:]))
