"""One pass of live captions: the kept sound is transcribed and compared with the pass before."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import numpy as np

from core import remote
from core.settings.profile import profile
from gpu_worker import services
from gpu_worker.calls.embedding import role_require
from inference.errors import EngineUnavailable
from inference.live_transcript import LiveState, live_pass
from inference.values import SAMPLE_RATE_HZ, SpeechRequest, Transcript, Waveform, Word

PASS_DEADLINE_S = 60.0


def captions_hear(request: Mapping[str, Any]) -> dict[str, Any]:
    """Hear the kept sound of one session again; see ``core.remote.CaptionsPass``.

    Raises:
        InputRejected: The profile has no speech, or its model does not know the language.
        EngineUnavailable: No engine answered in time, or the sound is gone.
    """
    samples = remote.broker().getdel(request["sound_key"])
    if not isinstance(samples, bytes):
        raise EngineUnavailable("the sound of this pass has expired; send it again")
    waveform = np.frombuffer(samples, dtype="<i2").astype(np.float32) / 32768.0
    state = LiveState.from_json(request["state"]) if request["state"] else LiveState()
    transcript = _transcript(waveform, request["language"], tuple(request["hot_words"]))
    found = live_pass(
        state,
        transcript,
        heard_until_s=state.keep_from_s + len(waveform) / SAMPLE_RATE_HZ,
        is_last=request["is_last"],
    )
    return {
        "state": found.state.as_json(),
        "keep_from_s": found.state.keep_from_s,
        "heard_until_s": found.state.heard_until_s,
        "confirmed": [_public(word) for word in found.confirmed],
        "partial": [_public(word) for word in found.partial],
        "language": transcript.language,
    }


def _transcript(waveform: Waveform, language: str | None, hot_words: tuple[str, ...]) -> Transcript:
    if not len(waveform):
        return Transcript(utterances=(), language="und", language_probability=0.0)
    role: Literal["captions", "speech"] = "captions" if "captions" in profile().roles else "speech"
    role_require(role)
    wanted = SpeechRequest(waveform=waveform, language=language, hot_words=hot_words)
    with services.engines().lease(role=role, priority="interactive", deadline_s=PASS_DEADLINE_S) as engine:
        (transcript,) = engine.transcribe([wanted])
    return transcript


def _public(word: Word) -> dict[str, Any]:
    return {"text": word.text, "start_s": round(word.start_s, 2), "end_s": round(word.end_s, 2)}
