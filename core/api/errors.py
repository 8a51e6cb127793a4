"""One table from error class to HTTP status; every leaf of every tree has a row, which a test checks."""

from __future__ import annotations

import redis.exceptions
from django.db import OperationalError
from rest_framework import exceptions
from rest_framework.response import Response
from rest_framework.views import exception_handler

from core.access import errors as domain
from core.documents.errors import BytesMissing
from core.jobs.errors import UploadBusy
from core.remote import WorkerRefused, WorkerUnavailable
from inference import errors as inference

STATUS_BY_ERROR: dict[type[Exception], int] = {
    domain.NotFound: 404,
    domain.Forbidden: 403,
    domain.Invalid: 400,
    domain.Conflict: 409,
    UploadBusy: 423,
    domain.TooLarge: 413,
    domain.Throttled: 429,
    domain.Unavailable: 503,
    BytesMissing: 500,
    inference.InputRejected: 422,
    inference.UnsupportedFormat: 415,
    inference.DamagedFile: 422,
    inference.EncryptedFile: 422,
    inference.EmptyInput: 422,
    inference.LimitExceeded: 422,
    inference.ContextOverflow: 413,
    inference.OutOfMemory: 503,
    inference.EngineUnavailable: 503,
    inference.EngineBroken: 500,
    inference.Cancelled: 409,
    WorkerUnavailable: 503,
    WorkerRefused: 422,
    # The broker or the database is away: both come back by themselves.
    redis.exceptions.ConnectionError: 503,
    redis.exceptions.TimeoutError: 503,
    OperationalError: 503,
}


def status_of(error: Exception) -> int | None:
    """Return the HTTP status of an error of ours, or None for any other exception."""
    for cls in type(error).__mro__:
        if cls in STATUS_BY_ERROR:
            return STATUS_BY_ERROR[cls]
    return None


def error_body(code: str, message: str) -> dict[str, dict[str, str]]:
    """Return the body every failed request has: ``{"error": {"code", "message"}}``."""
    return {"error": {"code": code, "message": message}}


def handle(error: Exception, context: dict[str, object]) -> Response | None:
    """DRF's exception handler: our errors by the table, DRF's own in the same shape; anything else is a bug (500)."""
    status = status_of(error)
    if status is not None:
        retry_after_s = getattr(error, "retry_after_s", None)
        headers = {"Retry-After": str(retry_after_s)} if retry_after_s is not None else {}
        return Response(_body(error), status=status, headers=headers)
    response = exception_handler(error, context)
    if response is not None and isinstance(error, exceptions.APIException):
        message = _flat(error.detail)
        response.data = error_body(_code(error), message)
    return response


def _body(error: Exception) -> dict[str, dict[str, str]]:
    if isinstance(error, redis.exceptions.RedisError | OperationalError):
        # What the driver says names hosts and files of this machine.
        return error_body("unavailable", "the server's database or broker does not answer; try again")
    return error_body(str(getattr(error, "code", "error")), str(error))


def _code(error: exceptions.APIException) -> str:
    codes = error.get_codes()
    return codes if isinstance(codes, str) else "invalid"


def _flat(detail: object, name: str = "") -> str:
    prefix = f"{name}: " if name and name != "non_field_errors" else ""
    if isinstance(detail, dict):
        return "; ".join(_flat(value, str(key)) for key, value in detail.items())
    if isinstance(detail, list):
        return prefix + " ".join(_flat(one) for one in detail)
    return prefix + str(detail)
