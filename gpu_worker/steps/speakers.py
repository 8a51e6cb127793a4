"""Tells the speakers of one part apart, over all windows of its sound."""

from __future__ import annotations

import numpy as np

from core.jobs.service import StepPlan
from gpu_worker.context import StepContext, StepOutcome
from gpu_worker.material import Material, vectors_load
from gpu_worker.steps import stages
from inference.values import VoiceVectors


def speakers_plans(material: Material) -> list[StepPlan]:
    """Plan one step for each part in which somebody spoke."""
    spoken = {key: result for key, result in material.results("speech") if result["runs"]}
    windows: dict[int, dict[str, str]] = {}
    for window in material.sounds():
        if window.key in spoken:
            windows.setdefault(window.part_ordinal, {})[window.key] = spoken[window.key]["voices"]
    return [
        StepPlan(
            kind="speakers",
            key=str(part),
            stage=stages.RELATE,
            parameters={"windows": [[key, sha256] for key, sha256 in voices.items()]},
        )
        for part, voices in windows.items()
    ]


def speakers(context: StepContext) -> StepOutcome:
    """Cluster the voices of the step's part."""
    windows = [(key, vectors_load(sha256)) for key, sha256 in context.parameters["windows"]]
    joined = np.concatenate([vectors for _, vectors in windows])
    with context.engines.lease(role="speaker") as engine:
        (labels,) = engine.cluster_voices([VoiceVectors(vectors=joined)])
    found: dict[str, list[int]] = {}
    start = 0
    for key, vectors in windows:
        found[key] = [int(label) for label in labels[start : start + len(vectors)]]
        start += len(vectors)
    return StepOutcome(result={"labels": found})
