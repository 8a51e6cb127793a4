from __future__ import annotations

import asyncio
import json
import socket
import threading

import numpy as np
import pytest

from inference import codec, values
from inference.errors import EmptyInput, InferenceError, LimitExceeded, errors_by_code


def round_trip(value):
    header, buffers = codec.encode(value)
    return codec.decode(bytes(header), [bytearray(buffer) for buffer in buffers])


def transcript() -> values.Transcript:
    word = values.Word(text="Größe", start_s=0.25, end_s=0.5, probability=0.9)
    utterance = values.Utterance(text="Größe", start_s=0.25, end_s=0.5, words=(word,), language="de")
    return values.Transcript(utterances=(utterance,), language="de", language_probability=0.75)


class TestEncode:
    @pytest.mark.parametrize(
        "value",
        [
            None,
            True,
            7,
            -0.125,
            "naïve \u2028 text",
            b"\x00\xff",
            [1, [2, (3,)], {"a": None}],
            {"value": ["Anchor", {}], "array": 3},
            transcript(),
            values.Anchor(page=2, box=values.Box(x0=0.1, y0=0.2, x1=0.3, y1=0.4)),
            values.ChatRequest(
                messages=(values.ChatMessage(role="user", content="why"),), json_schema={"type": "object"}
            ),
        ],
    )
    def test_brings_plain_values_and_dataclasses_back(self, value):
        assert round_trip(value) == value

    def test_keeps_the_type_of_containers(self):
        assert isinstance(round_trip(((1, 2),))[0], tuple)
        assert isinstance(round_trip([[1, 2]])[0], list)

    @pytest.mark.parametrize("dtype", ["float32", "float16", "uint8", "int64", "bool"])
    @pytest.mark.parametrize("shape", [(), (0, 4), (3,), (2, 3, 4)])
    def test_brings_arrays_back_bit_for_bit(self, dtype, shape):
        array = np.arange(int(np.prod(shape))).reshape(shape).astype(dtype)

        back = round_trip(array)

        assert back.dtype == array.dtype
        assert back.shape == array.shape
        assert back.tobytes() == array.tobytes()

    def test_sends_what_a_strided_view_shows(self):
        picture = np.arange(60, dtype=np.uint8).reshape(4, 5, 3)[::-1, ::2]

        assert np.array_equal(round_trip(picture), picture)

    def test_does_not_copy_a_contiguous_array(self):
        array = np.zeros(8, np.float32)

        _, buffers = codec.encode(array)
        array[0] = 1.0

        assert np.frombuffer(buffers[0], np.float32)[0] == 1.0

    def test_makes_numpy_scalars_plain(self):
        back = round_trip((np.float64(0.5), np.float32(0.25), np.int64(3), np.bool_(True)))

        assert back == (0.5, 0.25, 3, True)
        assert [type(entry) for entry in back] == [float, float, int, bool]

    def test_brings_arrays_inside_dataclasses_back(self):
        request = values.VoiceRequest(waveform=np.linspace(-1, 1, 5, dtype=np.float32), spans=((0.0, 0.5),))

        back = round_trip(request)

        assert back.spans == request.spans
        assert np.array_equal(back.waveform, request.waveform)

    @pytest.mark.parametrize(
        "value", [object(), {1: 2}, {"a": {3}}, np.array(["text"]), np.array([None]), LimitExceeded]
    )
    def test_refuses_what_may_not_travel(self, value):
        with pytest.raises(codec.CodecError):
            codec.encode(value)


class TestDecode:
    @pytest.mark.parametrize(
        "header",
        [
            b"\xff",
            b"{",
            b"[1]",
            b"{}",
            b'{"pickle": "x"}',
            b'{"value": ["Path", {"x": "/etc"}]}',
            b'{"value": ["Box", {"x0": 0.0}]}',
            b'{"value": ["Box", 3]}',
            b'{"array": ["|O", [1], 0]}',
            b'{"array": ["<f4", [1], 9]}',
            b'{"array": ["<f4", [2], 0]}',
            b'{"bytes": 4}',
            b"[" * 100_000,
        ],
    )
    def test_refuses_a_header_that_is_not_ours(self, header):
        with pytest.raises(codec.CodecError):
            codec.decode(header, [bytearray(4)])


@pytest.fixture
def pair():
    left, right = socket.socketpair()
    with left, right:
        left.settimeout(10)
        right.settimeout(10)
        yield left, right


def request(*items) -> codec.Message:
    return codec.Message(
        id="7", method="read", parameters={"role": "ocr"}, items=tuple(codec.item_encode(item) for item in items)
    )


class TestFrame:
    def test_carries_messages_one_after_the_other(self, pair):
        left, right = pair
        large = np.arange(3_000_000, dtype=np.float32)
        writer = threading.Thread(
            target=lambda: (codec.frame_write(left, request(large, "text")), codec.frame_write(left, request()))
        )
        writer.start()

        first, second = codec.frame_read(right), codec.frame_read(right)
        writer.join()

        assert (first.id, first.method, first.parameters) == ("7", "read", {"role": "ocr"})
        back, text = first.values()
        assert np.array_equal(back, large)
        assert back.flags.writeable
        assert text == "text"
        assert second.values() == []

    def test_tells_a_closed_connection_from_a_broken_one(self, pair):
        left, right = pair
        whole = b"".join(bytes(piece) for piece in codec.message_encode(request("text")))

        left.sendall(whole + whole[: len(whole) // 2])
        left.shutdown(socket.SHUT_WR)

        assert codec.frame_read(right).values() == ["text"]
        with pytest.raises(ConnectionError):
            codec.frame_read(right)

    def test_ends_with_none_when_the_other_side_closed_between_frames(self, pair):
        left, right = pair
        left.close()

        assert codec.frame_read(right) is None

    def test_lets_a_router_merge_and_split_without_decoding(self, pair):
        left, right = pair
        opaque = codec.Item(b"not even JSON", (b"buffer",))
        merged = codec.Message(id="m", method="read", items=(*request("a", np.ones(2)).items, opaque))

        codec.frame_write(left, merged)
        split = codec.frame_read(right).items

        assert codec.item_decode(split[0]) == "a"
        assert np.array_equal(codec.item_decode(split[1]), np.ones(2))
        assert (bytes(split[2].header), bytes(split[2].buffers[0])) == (b"not even JSON", b"buffer")
        assert split[2].size_bytes == 19

    def test_refuses_to_send_over_the_limit(self, pair):
        with pytest.raises(codec.CodecError, match="over the limit of 100 bytes"):
            codec.frame_write(pair[0], request(np.zeros(100)), limit_bytes=100)

    @pytest.mark.parametrize(
        "prefix",
        [
            b"GET / HTTP/1",
            codec._PREFIX.pack(codec.MAGIC, 2**31, 0),
            codec._PREFIX.pack(codec.MAGIC, 10, 2**31),
            codec._PREFIX.pack(codec.MAGIC, 10, 1) + (2**40).to_bytes(8, "little"),
        ],
    )
    def test_refuses_a_frame_over_the_limit_before_reading_it(self, pair, prefix):
        left, right = pair
        left.sendall(prefix)

        with pytest.raises(codec.CodecError):
            codec.frame_read(right)

    @pytest.mark.parametrize("items", [[1], [-1], [0, 0], ["x"], 3])
    def test_refuses_items_that_do_not_fit_the_buffers(self, pair, items):
        left, right = pair
        header = json.dumps({"id": "1", "method": "m", "parameters": {}, "items": items, "error": None}).encode()
        left.sendall(codec._PREFIX.pack(codec.MAGIC, len(header), 1) + (1).to_bytes(8, "little") + header + b"x")

        with pytest.raises(codec.CodecError):
            codec.frame_read(right)

    def test_reads_and_writes_on_asyncio_streams(self):
        async def exchange():
            left, right = socket.socketpair()
            reader, reader_side = await asyncio.open_connection(sock=right)
            _, writer = await asyncio.open_connection(sock=left)
            large = np.arange(500_000, dtype=np.float32)
            sending = asyncio.create_task(codec.frame_write_async(writer, request(large)))
            message = await asyncio.wait_for(codec.frame_read_async(reader), 10)
            await sending
            writer.write(codec.MAGIC)
            writer.close()
            with pytest.raises(ConnectionError):
                await codec.frame_read_async(reader) or pytest.fail("a cut frame was taken for the end")
            assert await codec.frame_read_async(reader) is None
            reader_side.close()
            return message.values()[0]

        assert asyncio.run(exchange())[-1] == 499_999


class TestErrors:
    @pytest.mark.parametrize("cls", errors_by_code().values())
    def test_come_back_as_their_class_with_their_message(self, pair, cls):
        left, right = pair
        codec.frame_write(left, codec.error_reply("9", cls("page 3 is empty")))

        reply = codec.frame_read(right)

        assert reply.id == "9"
        with pytest.raises(cls, match="page 3 is empty") as raised:
            reply.values()
        assert type(raised.value) is cls

    def test_of_an_unknown_code_come_back_as_the_base_class(self):
        assert type(codec.ErrorRecord("from_the_future", "x").as_exception()) is InferenceError

    def test_keep_the_code(self):
        record = codec.ErrorRecord.of(EmptyInput("text 2 is empty"))

        assert record == codec.ErrorRecord("empty_input", "text 2 is empty")
