"""Errors of stored bytes.

CloisterError
└── BytesMissing   a stored file is gone from the disk
"""

from __future__ import annotations

from core.access.errors import CloisterError


class BytesMissing(CloisterError):
    """A stored file is gone from the disk; restore it from a backup."""

    code = "bytes_missing"
