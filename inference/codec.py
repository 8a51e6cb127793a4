"""Values as bytes without pickle, and the frames in which they cross the sockets between processes.

A value becomes a JSON header plus raw buffers, one per array. A message carries its items encoded one by one, so that a
router can merge the items of several requests into one batch and split the results without decoding any of them.

A frame is ``magic, header length, number of buffers`` (little-endian), the length of each buffer, the header, the
buffers. The first buffer of an item is its own header.
"""

from __future__ import annotations

import asyncio
import dataclasses
import json
import socket
import struct
from collections.abc import Callable, Generator, Sequence
from typing import Any, Final, TypeAlias

import numpy as np

from inference import values
from inference.errors import InferenceError, errors_by_code

Buffer: TypeAlias = bytes | bytearray | memoryview

FRAME_LIMIT_BYTES: Final = 1 << 30
BUFFERS_LIMIT: Final = 1 << 20
MAGIC: Final = b"CLF1"

RESULT: Final = "result"
"""``method`` of a reply that carries one item per item of the request."""
DELTA: Final = "delta"
"""``method`` of a reply that carries one item of a stream; the stream ends with a RESULT without items."""
ERROR: Final = "error"
"""``method`` of a reply that carries an error and no items."""

_PREFIX: Final = struct.Struct("<4sII")
_DTYPES: Final = frozenset({"|b1", "|u1", "|i1", "<u2", "<i2", "<u4", "<i4", "<u8", "<i8", "<f2", "<f4", "<f8"})
_CLASSES: Final[dict[str, Any]] = {
    name: cls for name, cls in vars(values).items() if isinstance(cls, type) and dataclasses.is_dataclass(cls)
}


class CodecError(ValueError):
    """Bytes that are no value of ours, or a value that may not travel."""


def encode(value: Any) -> tuple[bytes, list[memoryview]]:
    """Encode one value.

    Args:
        value: None, bool, int, float, str, bytes, list, tuple, dict with string keys, a numpy array or scalar of
            numbers, or a dataclass of ``inference.values`` made of these.

    Returns:
        The JSON header, and one buffer per array or bytes; arrays that lie contiguous are not copied.

    Raises:
        CodecError: The value, or something in it, has another type.
    """
    buffers: list[memoryview] = []
    tree = _tree(value, buffers)
    return json.dumps(tree, ensure_ascii=False, separators=(",", ":")).encode(), buffers


def decode(header: Buffer, buffers: Sequence[Buffer]) -> Any:
    """Build the value back; arrays are views of their buffers.

    Raises:
        CodecError: The header is not ours, names a type that is not known, or does not fit its buffers.
    """
    try:
        tree = json.loads(bytes(header))
    except (ValueError, RecursionError) as error:
        raise CodecError(f"a header of {len(header)} bytes is not JSON: {error}") from error
    return _value(tree, buffers)


@dataclasses.dataclass(frozen=True, slots=True)
class Item:
    """One value that stays encoded on its way."""

    header: Buffer
    buffers: tuple[Buffer, ...] = ()

    @property
    def size_bytes(self) -> int:
        """Bytes of the header and of all buffers."""
        return len(self.header) + sum(memoryview(buffer).nbytes for buffer in self.buffers)


def item_encode(value: Any) -> Item:
    """Encode a value as an item of a message."""
    header, buffers = encode(value)
    return Item(header, tuple(buffers))


def item_decode(item: Item) -> Any:
    """Decode one item of a message."""
    return decode(item.header, item.buffers)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """One request or reply.

    Attributes:
        id: Chosen by the requester; every reply to it carries the same.
        method: Of the engine or the host for a request; RESULT, DELTA or ERROR for a reply.
        parameters: Small and plain (JSON): role, priority, deadline.
        items: Encoded one by one, in order.
        error: Only with ERROR.
    """

    id: str
    method: str
    parameters: dict[str, Any] = dataclasses.field(default_factory=dict)
    items: tuple[Item, ...] = ()
    error: ErrorRecord | None = None

    def values(self) -> list[Any]:
        """Decode all items; a reply with an error raises it."""
        if self.error is not None:
            raise self.error.as_exception()
        return [item_decode(item) for item in self.items]


@dataclasses.dataclass(frozen=True, slots=True)
class ErrorRecord:
    """An error on its way: the code of its class and its message."""

    code: str
    message: str

    @classmethod
    def of(cls, error: InferenceError) -> ErrorRecord:
        """Record an error of ours; any other exception is translated by whoever catches it first."""
        return cls(error.code, str(error))

    def as_exception(self) -> InferenceError:
        """Return the error as the class that was raised; an unknown code comes back as the base class."""
        return errors_by_code().get(self.code, InferenceError)(self.message)


def error_reply(request_id: str, error: InferenceError) -> Message:
    """Return the reply that makes the requester raise ``error``."""
    return Message(id=request_id, method=ERROR, error=ErrorRecord.of(error))


def message_encode(message: Message, *, limit_bytes: int = FRAME_LIMIT_BYTES) -> list[Buffer]:
    """Return the pieces of a message's frame, to be written one after the other.

    Raises:
        CodecError: The frame would be larger than ``limit_bytes``; split the batch.
    """
    header = json.dumps(
        {
            "id": message.id,
            "method": message.method,
            "parameters": message.parameters,
            "items": [len(item.buffers) for item in message.items],
            "error": [message.error.code, message.error.message] if message.error else None,
        },
        ensure_ascii=False,
        separators=(",", ":"),
    ).encode()
    buffers: list[Buffer] = []
    for item in message.items:
        buffers.append(item.header)
        buffers.extend(item.buffers)
    lengths = [memoryview(buffer).nbytes for buffer in buffers]
    _limit_check(len(header) + sum(lengths), len(buffers), limit_bytes)
    prefix = _PREFIX.pack(MAGIC, len(header), len(buffers)) + struct.pack(f"<{len(lengths)}Q", *lengths)
    return [prefix + header, *(buffer for buffer, length in zip(buffers, lengths, strict=True) if length)]


def frame_write(sock: socket.socket, message: Message, *, limit_bytes: int = FRAME_LIMIT_BYTES) -> None:
    """Write one message to a blocking socket."""
    for piece in message_encode(message, limit_bytes=limit_bytes):
        sock.sendall(piece)


def frame_read(sock: socket.socket, *, limit_bytes: int = FRAME_LIMIT_BYTES) -> Message | None:
    """Read one message from a blocking socket.

    Returns:
        The message, or None where the other side closed between two frames.

    Raises:
        CodecError: The bytes are no frame, or one over the limit; the connection is of no use afterwards.
        ConnectionError: The other side closed inside a frame.
    """
    prefix = _receive(sock, _PREFIX.size, may_end=True)
    if prefix is None:
        return None
    reading = _frame_reading(prefix, limit_bytes)
    wanted = next(reading)
    while True:
        try:
            wanted = reading.send(_receive(sock, wanted))
        except StopIteration as finished:
            return _message(*finished.value)


async def frame_write_async(
    writer: asyncio.StreamWriter, message: Message, *, limit_bytes: int = FRAME_LIMIT_BYTES
) -> None:
    """Write one message and wait until the transport has room again."""
    for piece in message_encode(message, limit_bytes=limit_bytes):
        writer.write(piece)
    await writer.drain()


async def frame_read_async(reader: asyncio.StreamReader, *, limit_bytes: int = FRAME_LIMIT_BYTES) -> Message | None:
    """Read one message; the same promises as ``frame_read``."""
    try:
        prefix = await reader.readexactly(_PREFIX.size)
    except asyncio.IncompleteReadError as error:
        if error.partial:
            raise ConnectionResetError("the other side closed inside a frame") from error
        return None
    reading = _frame_reading(prefix, limit_bytes)
    wanted = next(reading)
    while True:
        try:
            wanted = reading.send(bytearray(await reader.readexactly(wanted)))
        except StopIteration as finished:
            return _message(*finished.value)
        except asyncio.IncompleteReadError as error:
            raise ConnectionResetError("the other side closed inside a frame") from error


# The reading of a frame is written once, as a generator that asks for byte counts and is sent the bytes: the blocking
# and the asynchronous reader differ only in how they get them.
def _frame_reading(prefix: Buffer, limit_bytes: int) -> Generator[int, bytearray, tuple[bytearray, list[Buffer]]]:
    magic, header_bytes, buffer_count = _PREFIX.unpack(prefix)
    if magic != MAGIC:
        raise CodecError(f"a frame begins with {MAGIC!r}, this one with {magic!r}")
    _limit_check(header_bytes, buffer_count, limit_bytes)
    lengths = struct.unpack(f"<{buffer_count}Q", (yield 8 * buffer_count))
    _limit_check(header_bytes + sum(lengths), buffer_count, limit_bytes)
    header = yield header_bytes
    buffers: list[Buffer] = []
    for length in lengths:
        buffer = yield length
        buffers.append(buffer)
    return header, buffers


def _limit_check(size_bytes: int, buffer_count: int, limit_bytes: int) -> None:
    if size_bytes > limit_bytes or buffer_count > BUFFERS_LIMIT:
        raise CodecError(
            f"a frame of {size_bytes} bytes in {buffer_count} buffers is over the limit of {limit_bytes} bytes in "
            f"{BUFFERS_LIMIT} buffers; send fewer items at once"
        )


def _receive(sock: socket.socket, size: int, *, may_end: bool = False) -> Any:
    whole = bytearray(size)
    view = memoryview(whole)
    got = 0
    while got < size:
        count = sock.recv_into(view[got:])
        if count == 0:
            if may_end and got == 0:
                return None
            raise ConnectionResetError("the other side closed inside a frame")
        got += count
    return whole


def _message(header: Buffer, buffers: list[Buffer]) -> Message:
    try:
        fields = json.loads(bytes(header))
        error = fields["error"]
        return Message(
            id=fields["id"],
            method=fields["method"],
            parameters=fields["parameters"],
            items=_items(fields["items"], buffers),
            error=ErrorRecord(*error) if error else None,
        )
    except (ValueError, RecursionError, KeyError, TypeError) as error:
        raise CodecError(f"the header of a frame is not a message: {error!r}") from error


def _items(counts: list[int], buffers: list[Buffer]) -> tuple[Item, ...]:
    items = []
    position = 0
    for count in counts:
        if not isinstance(count, int) or count < 0 or position + count >= len(buffers):
            raise CodecError("the items of a frame do not fit its buffers")
        items.append(Item(buffers[position], tuple(buffers[position + 1 : position + 1 + count])))
        position += 1 + count
    if position != len(buffers):
        raise CodecError("a frame has buffers that belong to no item")
    return tuple(items)


def _tree(value: Any, buffers: list[memoryview]) -> Any:
    if value is None or isinstance(value, bool | int | float | str):
        return value.item() if isinstance(value, np.generic) else value
    if isinstance(value, np.ndarray | np.generic):
        return _array_tree(value, buffers)
    if isinstance(value, bytes | bytearray | memoryview):
        buffers.append(memoryview(value).cast("B"))
        return {"bytes": len(buffers) - 1}
    if isinstance(value, list | tuple):
        return {"list" if isinstance(value, list) else "tuple": [_tree(entry, buffers) for entry in value]}
    if isinstance(value, dict):
        if not all(isinstance(key, str) for key in value):
            raise CodecError("a dictionary that travels has string keys only")
        return {"dict": {key: _tree(entry, buffers) for key, entry in value.items()}}
    name = type(value).__name__
    if _CLASSES.get(name) is type(value):
        fields = {field.name: _tree(getattr(value, field.name), buffers) for field in dataclasses.fields(value)}
        return {"value": [name, fields]}
    raise CodecError(f"a {type(value).__qualname__} does not travel; only plain values, arrays and inference.values do")


def _array_tree(value: Any, buffers: list[memoryview]) -> Any:
    if isinstance(value, np.generic):
        return value.item()
    array = np.ascontiguousarray(value).reshape(value.shape)
    if array.dtype.str not in _DTYPES:
        raise CodecError(f"an array of {array.dtype} does not travel; only little-endian numbers do")
    buffers.append(array.reshape(-1).view(np.uint8).data)
    return {"array": [array.dtype.str, list(array.shape), len(buffers) - 1]}


def _value(tree: Any, buffers: Sequence[Buffer]) -> Any:
    if not isinstance(tree, dict | list):
        return tree
    if not isinstance(tree, dict) or len(tree) != 1:
        raise CodecError("a container without its type tag")
    ((tag, content),) = tree.items()
    builder = _BUILDERS.get(tag)
    if builder is None:
        raise CodecError(f"the type tag '{tag}' is not known")
    try:
        return builder(content, buffers)
    except CodecError:
        raise
    except (TypeError, ValueError, KeyError, IndexError, AttributeError) as error:
        raise CodecError(f"a '{tag}' that cannot be built: {error}") from error


def _array_value(content: Any, buffers: Sequence[Buffer]) -> Any:
    dtype, shape, index = content
    if dtype not in _DTYPES:
        raise CodecError(f"an array of '{dtype}' does not travel")
    return np.frombuffer(buffers[index], dtype=np.dtype(dtype)).reshape(shape)


def _dataclass_value(content: Any, buffers: Sequence[Buffer]) -> Any:
    name, fields = content
    if name not in _CLASSES:
        raise CodecError(f"'{name}' is not a value of inference.values")
    return _CLASSES[name](**{key: _value(entry, buffers) for key, entry in fields.items()})


_BUILDERS: Final[dict[str, Callable[[Any, Sequence[Buffer]], Any]]] = {
    "list": lambda content, buffers: [_value(entry, buffers) for entry in content],
    "tuple": lambda content, buffers: tuple(_value(entry, buffers) for entry in content),
    "dict": lambda content, buffers: {key: _value(entry, buffers) for key, entry in content.items()},
    "bytes": lambda content, buffers: bytes(buffers[content]),
    "array": _array_value,
    "value": _dataclass_value,
}
