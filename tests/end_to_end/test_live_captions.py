"""Sound over a WebSocket at the speed of speech: words come back, and none that was confirmed changes."""

from __future__ import annotations

import contextlib
import json
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import ClientConnection, connect

from benchmarks.error_rate import word_error_rate
from benchmarks.recordings import Spoken, joined, recordings
from core.host.secrets import secret
from core.settings.env import env
from inference.registry import engine_load
from inference.values import SAMPLE_RATE_HZ
from tests.running_stack import Stack

pytestmark = pytest.mark.weights

CHUNK_S = 0.25
SESSION_LIMIT_S = 120.0


@pytest.fixture(scope="module")
def spoken() -> Spoken:
    return joined(recordings()[2:8])


def opened(stack: Stack, **headers: str) -> ClientConnection:
    return connect(stack.url.replace("http", "ws", 1).rstrip("/") + "/api/captions", additional_headers=headers)


def authorised(stack: Stack) -> ClientConnection:
    return opened(stack, Authorization=f"Bearer {secret(Path(stack.home), 'cli_token')}")


def chunks(spoken: Spoken) -> Iterator[bytes]:
    samples = (spoken.sound * 32767).astype("<i2").tobytes()
    step = round(CHUNK_S * SAMPLE_RATE_HZ) * 2
    for start in range(0, len(samples), step):
        yield samples[start : start + step]


def spoken_into(socket: ClientConnection, spoken: Spoken, *, at_real_time: bool) -> None:
    begun_s = time.monotonic()
    # A session that ends early says why in its events.
    with contextlib.suppress(ConnectionClosed):
        for number, chunk in enumerate(chunks(spoken), start=1):
            socket.send(chunk)
            if at_real_time:
                # The microphone's own pace.
                time.sleep(max(0.0, begun_s + number * CHUNK_S - time.monotonic()))
        socket.send(json.dumps({"type": "end"}))


def events_of(socket: ClientConnection, spoken: Spoken, *, at_real_time: bool) -> list[dict[str, Any]]:
    events = [json.loads(socket.recv(timeout=SESSION_LIMIT_S))]
    microphone = threading.Thread(target=spoken_into, args=(socket, spoken), kwargs={"at_real_time": at_real_time})
    microphone.start()
    try:
        while True:
            events.append(json.loads(socket.recv(timeout=SESSION_LIMIT_S)))
    except ConnectionClosed:
        return events
    finally:
        microphone.join()


def words_of(events: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [word for event in events if event["type"] == "confirmed" for word in event["words"]]


def text_of(events: list[dict[str, Any]]) -> str:
    return " ".join(word["text"] for word in words_of(events))


class TestLiveCaptions:
    def test_at_the_speed_of_speech_are_as_good_as_the_whole_recording_s_transcript(
        self, stack: Stack, spoken: Spoken
    ) -> None:
        engine = engine_load("faster_whisper", [env().weights / "whisper-tiny-en"], threads=2)
        (whole,) = engine.transcribe([spoken.sound])
        batch_rate = word_error_rate(spoken.text, " ".join(one.text for one in whole.utterances))

        with authorised(stack) as socket:
            events = events_of(socket, spoken, at_real_time=True)

        kinds = [event["type"] for event in events]
        assert kinds[0] == "ready"
        assert kinds[-1] == "done", events[-1]
        # One word of so short a recording is more than a point.
        assert word_error_rate(spoken.text, text_of(events)) <= batch_rate + max(0.02, 2 / len(spoken.text.split()))
        starts_s = [word["start_s"] for word in words_of(events)]
        assert starts_s == sorted(starts_s)
        first = next(event for event in events if event["type"] == "confirmed")
        assert first["heard_s"] < spoken.duration_s / 2
        assert any(event["words"] for event in events if event["type"] == "partial")

    def test_of_several_sessions_share_one_engine_and_hold_back_who_sends_too_fast(
        self, stack: Stack, spoken: Spoken
    ) -> None:
        found: dict[int, list[dict[str, Any]]] = {}

        def session(number: int) -> None:
            with authorised(stack) as socket:
                found[number] = events_of(socket, spoken, at_real_time=False)

        threads = [threading.Thread(target=session, args=(number,)) for number in range(3)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

        texts = [text_of(found[number]) for number in range(3)]
        assert all(word_error_rate(spoken.text, text) < 0.2 for text in texts)
        _, status = stack.run("status")
        engines = status["server"]["workers"]["engines"]
        assert len([one for one in engines if one["role"] == "captions" and one["pid"]]) == 1

    def test_of_silence_are_none(self, stack: Stack, spoken: Spoken) -> None:
        silence = Spoken(sound=spoken.sound * 0, text="")

        with authorised(stack) as socket:
            events = events_of(socket, silence, at_real_time=False)

        assert words_of(events) == []
        assert events[-1]["type"] == "done"


class TestRefusals:
    def test_nobody_without_a_token_gets_in(self, stack: Stack) -> None:
        with pytest.raises(InvalidStatus) as refused:
            opened(stack)

        assert refused.value.response.status_code == 403

    @pytest.mark.parametrize("message", [b"\x00" * 3, b"\x00" * 320_002, "no JSON", '{"type": "sing"}'])
    def test_what_is_no_sound_and_no_message_ends_the_session_with_a_sentence(
        self, stack: Stack, message: bytes | str
    ) -> None:
        with authorised(stack) as socket:
            assert json.loads(socket.recv(timeout=SESSION_LIMIT_S))["type"] == "ready"

            socket.send(message)

            answer = json.loads(socket.recv(timeout=SESSION_LIMIT_S))
            assert (answer["type"], answer["code"]) == ("error", "invalid")
            with pytest.raises(ConnectionClosed):
                socket.recv(timeout=SESSION_LIMIT_S)

    def test_a_language_that_the_model_does_not_know_is_named(self, stack: Stack, spoken: Spoken) -> None:
        with authorised(stack) as socket:
            socket.send(json.dumps({"type": "start", "language": "de"}))
            events = events_of(socket, spoken, at_real_time=False)

        assert events[-1]["type"] == "error"
        assert "'de'" in events[-1]["message"]
