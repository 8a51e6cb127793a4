"""What a step's function works with: its row, its document's parts, the engines and the sandboxes."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Mapping, Sequence
from typing import Any

from core.access.acting import acting_as_system
from core.documents.models import Document, Part
from core.jobs.models import Step
from core.jobs.service import StepPlan
from gpu_worker.engine_pool import EnginePool
from gpu_worker.material import Material
from inference.sandbox import SandboxPool


@dataclasses.dataclass(frozen=True, kw_only=True)
class StepContext:
    """One attempt at one step.

    Attributes:
        step: Leased; its token fences every write.
        engines: Leases engines of this host.
        sandboxes: Lends confined children for one owner's files.
    """

    step: Step
    engines: EnginePool
    sandboxes: SandboxPool

    @property
    def parameters(self) -> Mapping[str, Any]:
        """What the step was planned with."""
        parameters: Mapping[str, Any] = self.step.parameters
        return parameters

    @property
    def document(self) -> Document:
        """The document that the step works for."""
        return self.step.job.document

    @property
    def owner(self) -> str:
        """Whose files these are: sandboxes are never shared between two users."""
        return f"user-{self.step.job.user_id}"

    @functools.cached_property
    def material(self) -> Material:
        """What the steps before made."""
        return Material.of_job(self.step.job_id)

    def parts(self) -> list[Part]:
        """Return the parts of the document, in order."""
        with acting_as_system():
            return list(Part.objects.filter(document_id=self.step.job.document_id))


@dataclasses.dataclass(frozen=True, kw_only=True)
class StepOutcome:
    """What an attempt gave: the result for later steps, and steps found on the way."""

    result: Mapping[str, Any]
    next_steps: Sequence[StepPlan] = ()
