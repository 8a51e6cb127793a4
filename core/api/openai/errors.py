"""Errors in the shape that OpenAI's clients read: ``{"error": {"message", "type", "param", "code"}}``."""

from __future__ import annotations

from typing import Any

import redis.exceptions
from django.core.exceptions import RequestDataTooBig
from django.db import OperationalError
from django.http import HttpRequest, JsonResponse
from rest_framework import exceptions
from rest_framework.response import Response
from rest_framework.views import exception_handler

from core.access import errors as domain
from core.api.errors import status_of
from core.remote import WorkerRefused
from inference.errors import ContextOverflow, InferenceError, InputRejected, LimitExceeded, errors_by_code

TYPE_BY_STATUS = {
    400: "invalid_request_error",
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    409: "conflict_error",
    413: "invalid_request_error",
    429: "rate_limit_error",
}
SERVER_ERROR = "server_error"


class RequestRefused(Exception):
    """The request itself is wrong; ``param`` names the field.

    Attributes:
        status: 400 unless said otherwise.
    """

    def __init__(
        self, message: str, *, param: str | None = None, code: str | None = "invalid_value", status: int = 400
    ) -> None:
        super().__init__(message)
        self.param = param
        self.code = code
        self.status = status


def error_object(status: int, message: str, *, param: str | None = None, code: str | None = None) -> dict[str, Any]:
    """Return the body of a failed request."""
    kind = TYPE_BY_STATUS.get(status, SERVER_ERROR)
    return {"error": {"message": message, "type": kind, "param": param, "code": code}}


def not_found(request: HttpRequest, rest: str) -> JsonResponse:  # noqa: ARG001 - Django's signature
    """Answer for every address under /v1/ that is none."""
    return JsonResponse(error_object(404, f"there is no /v1/{rest}", code="unknown_url"), status=404)


def error_described(error: Exception) -> tuple[int, dict[str, Any], dict[str, str]] | None:
    """Return status, body and headers for an error that has a meaning to the caller; None for a bug."""
    if isinstance(error, RequestRefused):
        return error.status, error_object(error.status, str(error), param=error.param, code=error.code), {}
    if isinstance(error, WorkerRefused):
        return _worker_refusal(error.code, str(error))
    if isinstance(error, RequestDataTooBig):
        return 413, error_object(413, f"the request is too large: {error}", code="request_too_large"), {}
    if isinstance(error, redis.exceptions.RedisError | OperationalError):
        # What the driver says names hosts and files of this machine.
        return 503, error_object(503, "the server's database or broker does not answer; try again"), {}
    status = status_of(error)
    if status is None:
        return None
    headers = {"Retry-After": str(error.retry_after_s)} if isinstance(error, domain.Throttled) else {}
    code = "rate_limit_exceeded" if status == 429 else str(getattr(error, "code", "error"))
    return status, error_object(status, str(error), code=code), headers


def _worker_refusal(code: str, message: str) -> tuple[int, dict[str, Any], dict[str, str]]:
    kind = errors_by_code().get(code, InferenceError)
    if issubclass(kind, ContextOverflow):
        return 400, error_object(400, message, param="messages", code="context_length_exceeded"), {}
    if issubclass(kind, LimitExceeded):
        return 413, error_object(413, message, code=code), {}
    if issubclass(kind, InputRejected):
        return 400, error_object(400, message, code=code), {}
    status = status_of(kind(message)) or 500
    return status, error_object(status, message, code=code), {}


def error_response(error: Exception) -> JsonResponse | None:
    """Return the response of a plain Django view to an error; None for a bug."""
    described = error_described(error)
    if described is None:
        return None
    status, body, headers = described
    return JsonResponse(body, status=status, headers=headers)


def handle(error: Exception, context: dict[str, object]) -> Response | None:
    """DRF's exception handler of the views under /v1/."""
    described = error_described(error)
    if described is not None:
        status, body, headers = described
        return Response(body, status=status, headers=headers)
    response = exception_handler(error, context)
    if response is not None and isinstance(error, exceptions.APIException):
        param, message = _first(error.detail)
        code = "invalid_api_key" if response.status_code == 401 else error.default_code
        response.data = error_object(response.status_code, message, param=param, code=code)
    return response


def _first(detail: object, param: str | None = None) -> tuple[str | None, str]:
    """Return the first field that is wrong and why."""
    if isinstance(detail, dict):
        name, inner = next(iter(detail.items()))
        return _first(inner, str(name) if param is None else f"{param}.{name}")
    if isinstance(detail, list):
        return _first(detail[0] if detail else "", param)
    return (None if param == "non_field_errors" else param), f"{param}: {detail}" if param else str(detail)
