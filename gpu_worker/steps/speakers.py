"""Tells the speakers of one part apart, over all windows of its sound."""

from __future__ import annotations

from typing import Any

import numpy as np

from core.jobs.service import StepPlan
from gpu_worker.context import StepContext, StepOutcome
from gpu_worker.material import Material, vectors_load
from gpu_worker.steps import stages
from inference.values import VoiceVectors


def speakers_plans(material: Material) -> list[StepPlan]:
    """Plan one step for each part in which somebody spoke."""
    spoken = {key: result for key, result in material.results("speech") if result["runs"]}
    windows: dict[int, list[list[Any]]] = {}
    for window in material.sounds():
        if window.key in spoken:
            result = spoken[window.key]
            windows.setdefault(window.part_ordinal, []).append([window.key, result["voices"], result["lengths_s"]])
    return [
        StepPlan(
            kind="speakers",
            key=str(part),
            stage=stages.RELATE,
            parameters={"windows": voices},
        )
        for part, voices in windows.items()
    ]


def speakers(context: StepContext) -> StepOutcome:
    """Cluster the voices of the step's part."""
    windows = [(key, vectors_load(sha256), lengths_s) for key, sha256, lengths_s in context.parameters["windows"]]
    joined = VoiceVectors(
        vectors=np.concatenate([vectors for _, vectors, _ in windows]),
        lengths_s=np.concatenate([np.array(lengths_s, dtype=np.float32) for _, _, lengths_s in windows]),
    )
    with context.engines.lease(role="speaker") as engine:
        (labels,) = engine.cluster_voices([joined])
    found: dict[str, list[int]] = {}
    start = 0
    for key, vectors, _ in windows:
        found[key] = [int(label) for label in labels[start : start + len(vectors)]]
        start += len(vectors)
    return StepOutcome(result={"labels": found})
