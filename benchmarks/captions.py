"""How soon are the words of live captions confirmed, fed at the speed of speech over a WebSocket, and how rightly?"""

from __future__ import annotations

import json
import statistics
import threading
import time
from typing import Any

import numpy as np
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

from benchmarks.anchor import anchor
from benchmarks.error_rate import word_error_rate
from benchmarks.recordings import Spoken, joined, recordings
from benchmarks.report import Figure, report
from benchmarks.stack import command
from core.host.secrets import secret
from core.settings.env import REPOSITORY, env
from core.settings.profile import profile
from inference.registry import engine_load
from inference.values import SAMPLE_RATE_HZ, SpeechRequest
from models_local.catalog import catalog_read
from models_local.store import Store

CHUNK_S = 0.25
LIMIT_S = 60.0
SESSIONS = (1, 2)
RECORDINGS = slice(0, 8)
GOAL_LAG_S = 5.0
GOAL_POINTS = 2.0


def session(url: str, spoken: Spoken) -> dict[str, Any]:
    """Speak a recording into one session; returns its words and how long after their end each was confirmed."""
    headers = {"Authorization": f"Bearer {secret(env().home_path, 'cli_token')}"}
    words: list[str] = []
    lags_s: list[float] = []
    with connect(url.replace("http", "ws", 1).rstrip("/") + "/api/captions", additional_headers=headers) as socket:
        socket.recv(timeout=LIMIT_S)
        begun_s = time.monotonic()
        microphone = threading.Thread(target=_speak, args=(socket, spoken, begun_s))
        microphone.start()
        try:
            while True:
                event = json.loads(socket.recv(timeout=LIMIT_S))
                said_s = time.monotonic() - begun_s
                if event["type"] == "error":
                    raise RuntimeError(event["message"])
                if event["type"] == "confirmed":
                    words += [word["text"] for word in event["words"]]
                    lags_s += [said_s - word["end_s"] for word in event["words"]]
        except ConnectionClosed:
            microphone.join()
    return {"text": " ".join(words), "lags_s": lags_s}


def _speak(socket: Any, spoken: Spoken, begun_s: float) -> None:
    samples = (spoken.sound * 32767).astype("<i2").tobytes()
    step = round(CHUNK_S * SAMPLE_RATE_HZ) * 2
    for number, start in enumerate(range(0, len(samples), step), start=1):
        # A microphone hands over a chunk when its last sample was spoken.
        time.sleep(max(0.0, begun_s + number * CHUNK_S - time.monotonic()))
        socket.send(samples[start : start + step])
    socket.send(json.dumps({"type": "end"}))


def measured(url: str, spoken: Spoken, sessions: int, batch_rate: float) -> list[Figure]:
    """Run sessions at the same time."""
    beside = anchor()
    found: list[dict[str, Any]] = []
    threads = [threading.Thread(target=lambda: found.append(session(url, spoken))) for _ in range(sessions)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if len(found) < sessions:
        raise RuntimeError(f"{sessions - len(found)} of {sessions} sessions ended with an error")
    lags_s = [lag_s for one in found for lag_s in one["lags_s"]]
    rates = [word_error_rate(spoken.text, one["text"]) for one in found]
    at_once = f"live captions, {sessions} at a time"
    return [
        Figure(
            name=f"{at_once}: longest wait for a confirmed word",
            value=round(max(lags_s), 2),
            unit="s",
            goal=GOAL_LAG_S,
            better="lower",
            quality={
                "median_s": round(statistics.median(lags_s), 2),
                "p95_s": round(float(np.quantile(lags_s, 0.95)), 2),
                "share within 5 s": round(sum(lag_s <= GOAL_LAG_S for lag_s in lags_s) / len(lags_s), 4),
                "words": len(lags_s),
                "sound_s": round(spoken.duration_s, 1),
            },
            anchor=beside,
        ),
        Figure(
            name=f"{at_once}: word error rate beyond the batch transcript's",
            value=round(100 * (max(rates) - batch_rate), 2),
            unit="points",
            goal=GOAL_POINTS,
            better="lower",
            quality={"wer_live": round(max(rates), 4), "wer_batch": round(batch_rate, 4)},
            anchor=beside,
        ),
    ]


def main() -> dict[str, Any]:
    """Measure, print and store."""
    spoken = joined(recordings()[RECORDINGS])
    role = profile().roles["captions"]
    store = Store(env().weights, catalog_read(REPOSITORY / "configs" / "models.toml"))
    folders = [store.folder(name) for name in role.models]
    engine = engine_load(role.engine, folders, threads=role.threads, options=role.options)
    (whole,) = engine.transcribe([SpeechRequest(waveform=spoken.sound, language="en")])
    batch_rate = word_error_rate(spoken.text, " ".join(one.text for one in whole.utterances))
    del engine
    url = command("up", "--port", "0")["url"]
    session(url, joined(recordings()[2:3]))  # loads the model
    figures = [figure for sessions in SESSIONS for figure in measured(url, spoken, sessions, batch_rate)]
    engines = command("status")["server"]["workers"]["engines"]
    return report("captions", figures, engine=next(one for one in engines if one["role"] == "captions"))


if __name__ == "__main__":
    print(json.dumps(main(), indent=2))
