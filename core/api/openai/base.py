"""What the views under /v1/ share: Bearer tokens alone, errors in OpenAI's shape, no address in a request."""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping
from typing import IO, Any

from django.conf import settings
from django.core.files.uploadedfile import UploadedFile
from django.http import QueryDict
from knox.auth import TokenAuthentication
from rest_framework.negotiation import DefaultContentNegotiation
from rest_framework.parsers import FormParser, JSONParser, MultiPartParser
from rest_framework.request import Request
from rest_framework.views import APIView

from core.api.openai import errors
from core.api.openai.errors import RequestRefused
from core.api.openai.values import values_check


class BoundedJSONParser(JSONParser):
    """JSON up to the size that fits in memory; Django's own limit holds for forms alone."""

    def parse(
        self, stream: IO[Any], media_type: str | None = None, parser_context: Mapping[str, Any] | None = None
    ) -> dict[str, Any]:
        """Read a body of limited size.

        Raises:
            RequestRefused: It is larger, or nested beyond all reason.
        """
        limit_bytes = settings.DATA_UPLOAD_MAX_MEMORY_SIZE
        content = stream.read(limit_bytes + 1)
        if len(content) > limit_bytes:
            raise RequestRefused(
                f"the request is larger than the limit of {limit_bytes // 2**20} MiB",
                code="request_too_large",
                status=413,
            )
        try:
            parsed: dict[str, Any] = super().parse(io.BytesIO(content), media_type, parser_context)
        except RecursionError as error:
            raise RequestRefused("the request is nested too deeply", code="invalid_json") from error
        return parsed


class _AnyAccept(DefaultContentNegotiation):
    """Answers whatever a client says it accepts: they ask for files as ``application/binary``."""

    def select_renderer(
        self,
        request: Request,  # noqa: ARG002 - DRF's signature
        renderers: Any,
        format_suffix: str | None = None,  # noqa: ARG002
    ) -> tuple[Any, str]:
        return renderers[0], renderers[0].media_type


class OpenAIView(APIView):
    """A view under /v1/; these follow OpenAI's published schema and are left out of ours."""

    content_negotiation_class = _AnyAccept
    authentication_classes = [TokenAuthentication]
    parser_classes = [BoundedJSONParser]
    schema = None

    def get_exception_handler(self) -> Callable[..., Any]:
        """Errors in OpenAI's shape."""
        return errors.handle


class UploadView(OpenAIView):
    """A view that takes a file."""

    parser_classes = [MultiPartParser, FormParser, BoundedJSONParser]


def form_of(request: Request) -> dict[str, Any]:
    """Return the fields of a form; those whose name ends in ``[]`` are lists, under their plain name.

    Raises:
        RequestRefused: The request is no form.
    """
    if not isinstance(request.data, QueryDict):
        raise RequestRefused("send a multipart form")
    return {
        name.removesuffix("[]"): request.data.getlist(name) if name.endswith("[]") else request.data[name]
        for name in request.data
    }


def upload_of(file: object, *, limit_mib: int, advice: str = "") -> UploadedFile[bytes]:
    """Return the file of a form.

    Raises:
        RequestRefused: It is none, or over the limit.
    """
    if not isinstance(file, UploadedFile):
        raise RequestRefused("send the file as the form's field 'file'", param="file")
    size_mib = (file.size or 0) / 2**20
    if size_mib > limit_mib:
        message = f"'{file.name}' has {size_mib:.0f} MiB; the limit is {limit_mib} MiB{advice}"
        raise RequestRefused(message, param="file", code="file_too_large", status=413)
    return file


def body_of(request: Request, *, known: frozenset[str], ignored: frozenset[str] = frozenset()) -> dict[str, Any]:
    """Return the fields of a JSON request.

    Args:
        request: Its body is an object.
        known: Fields that mean something here.
        ignored: Fields that clients send and that change nothing about the answer.

    Raises:
        RequestRefused: The body is no object, holds an address, or a field that would be disregarded.
    """
    return fields_checked(request.data, known=known, ignored=ignored)


def fields_checked(data: object, *, known: frozenset[str], ignored: frozenset[str] = frozenset()) -> dict[str, Any]:
    """Return the fields of a request; raises as ``body_of`` does."""
    if not isinstance(data, dict):
        raise RequestRefused("send a JSON object")
    values_check(data)
    unknown = sorted(set(data) - known - ignored)
    if unknown:
        raise RequestRefused(
            f"the field '{unknown[0]}' is not supported; supported are {', '.join(sorted(known))}",
            param=unknown[0],
            code="unknown_parameter",
        )
    return {name: value for name, value in data.items() if value is not None and name in known}
