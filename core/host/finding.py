"""One thing that was looked at on this host, and what to do about it."""

from __future__ import annotations

import dataclasses
from typing import Literal

Verdict = Literal["ok", "note", "problem"]


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One thing that was looked at.

    Attributes:
        verdict: ``note`` is a lack that something can do without.
        advice: What to do; empty where all is well.
    """

    name: str
    verdict: Verdict
    found: str
    advice: str = ""
