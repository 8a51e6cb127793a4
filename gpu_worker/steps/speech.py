"""Transcribes one window of sound and takes a voice vector of each run of words in it."""

from __future__ import annotations

import numpy as np

from core.jobs.service import StepPlan
from gpu_worker.context import StepContext, StepOutcome
from gpu_worker.material import Material, sound_load, value_store, vectors_store
from gpu_worker.speech_turns import runs_of
from gpu_worker.steps import stages
from inference.values import VoiceRequest


def speech_plans(material: Material) -> list[StepPlan]:
    """Plan one step for each window of sound."""
    return [
        StepPlan(kind="speech", key=window.key, stage=stages.READ, parameters={"sound": window.sha256})
        for window in material.sounds()
    ]


def speech(context: StepContext) -> StepOutcome:
    """Transcribe the step's window."""
    waveform = sound_load(context.parameters["sound"])
    with context.engines.lease(role="speech") as engine:
        (transcript,) = engine.transcribe([waveform])
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
