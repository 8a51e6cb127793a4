"""Errors of jobs.

CloisterError
└── Conflict
    └── LeaseLost   the step is no longer held by this holder
"""

from __future__ import annotations

from core.access.errors import Conflict


class LeaseLost(Conflict):
    """The step is no longer held by this holder: its lease ran out and another took it, or its job has ended."""

    code = "lease_lost"
