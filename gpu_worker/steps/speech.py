"""Transcribes one window of sound and takes a voice vector of each run of words in it.

A window is heard together with the beginning of the one after it, and both are cut at the same pause in what they
share, so that a word on their border is heard whole, and once.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from core.jobs.service import StepPlan
from gpu_worker.context import StepContext, StepOutcome
from gpu_worker.material import Material, sound_load, value_store, vectors_store
from gpu_worker.speech_turns import runs_of
from gpu_worker.steps import stages
from inference.values import SAMPLE_RATE_HZ, SpeechRequest, VoiceRequest

SHARED_S = 15.0
"""Long enough to hold a pause in almost any speech."""


def speech_plans(material: Material) -> list[StepPlan]:
    """Plan one step for each window of sound."""
    sounds = material.sounds()
    return [
        StepPlan(
            kind="speech",
            key=window.key,
            stage=stages.READ,
            parameters={
                "sound": window.sha256,
                "follows": before is not None and before.part_ordinal == window.part_ordinal,
                "next_sound": after.sha256 if after and after.part_ordinal == window.part_ordinal else None,
            },
        )
        for before, window, after in zip([None, *sounds], sounds, [*sounds[1:], None], strict=False)
    ]


def speech(context: StepContext) -> StepOutcome:
    """Transcribe the step's window."""
    request = speech_request(context.parameters)
    waveform = request.waveform
    with context.engines.lease(role="speech") as engine:
        (transcript,) = engine.transcribe([request])
    runs = runs_of(transcript)
    vectors = np.zeros((0, 0), dtype=np.float32)
    if runs:
        spans = tuple((run.start_s, run.end_s) for run in runs)
        with context.engines.lease(role="speaker") as engine_of_voices:
            (voices,) = engine_of_voices.embed_voices([VoiceRequest(waveform=waveform, spans=spans)])
        vectors = voices.vectors
    return StepOutcome(
        result={
            "transcript": value_store(context.step, transcript),
            "voices": vectors_store(context.step, vectors),
            "lengths_s": [run.end_s - run.start_s for run in runs],
            "runs": len(runs),
            "language": transcript.language,
        }
    )


def speech_request(parameters: Mapping[str, Any]) -> SpeechRequest:
    """Read a window and what it shares with its neighbours."""
    own = sound_load(parameters["sound"])
    shared = round(SHARED_S * SAMPLE_RATE_HZ)
    following = sound_load(parameters["next_sound"])[:shared] if parameters["next_sound"] else own[:0]
    return SpeechRequest(
        waveform=np.concatenate([own, following]),
        shared_start_s=min(shared, len(own)) / SAMPLE_RATE_HZ if parameters["follows"] else 0.0,
        shared_end_s=len(following) / SAMPLE_RATE_HZ,
    )
