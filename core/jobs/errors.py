"""Errors of jobs.

CloisterError
└── Conflict
    ├── LeaseLost    the step is no longer held by this holder
    └── UploadBusy   another request is writing to the same upload
"""

from __future__ import annotations

from core.access.errors import Conflict


class LeaseLost(Conflict):
    """The step is no longer held by this holder: its lease ran out and another took it, or its job has ended."""

    code = "lease_lost"


class UploadBusy(Conflict):
    """Another request is writing to the same upload; ask for the offset when it has ended."""

    code = "upload_busy"
