"""Errors of the domain, above all rooms of core.

CloisterError
├── NotFound     it does not exist, or the caller may not see it
├── Forbidden    the caller sees it, but may not do this
├── Invalid      the request itself is wrong
├── Conflict     it contradicts what is there already
│   └── LeaseLost    the step is no longer held by this holder (core.jobs.errors)
├── TooLarge     a declared limit of size was reached
├── Throttled    somebody asks more often than their share; says when to try again
└── Unavailable  a service that is needed does not answer; try again

The class decides the HTTP status; one table in core/api maps them.
"""

from __future__ import annotations


class CloisterError(Exception):
    """Base of all errors of the domain."""

    code: str = "cloister_error"


class NotFound(CloisterError):
    """It does not exist, or the caller may not see it; nothing tells the two apart."""

    code = "not_found"


class Forbidden(CloisterError):
    """The caller sees it, but may not do this."""

    code = "forbidden"


class Invalid(CloisterError):
    """The request itself is wrong."""

    code = "invalid"


class Conflict(CloisterError):
    """It contradicts what is there already."""

    code = "conflict"


class TooLarge(CloisterError):
    """A declared limit of size was reached."""

    code = "too_large"


class Throttled(CloisterError):
    """Somebody asks more often than their share.

    Attributes:
        retry_after_s: When the next request is allowed.
    """

    code = "throttled"

    def __init__(self, message: str, *, retry_after_s: int = 60) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


class Unavailable(CloisterError):
    """A service that is needed does not answer; try again."""

    code = "unavailable"
