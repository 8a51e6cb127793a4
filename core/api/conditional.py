"""Conditional requests (RFC 9110, section 13): what the client has already is not sent again."""

from __future__ import annotations

import hashlib
import json
from typing import Any, Final

from django.http import HttpResponseBase
from django.utils.cache import get_conditional_response
from rest_framework.request import Request
from rest_framework.response import Response

CACHE_CONTROL: Final = "private, no-cache"
"""Revoking holds from the next request on: a cache has to ask each time."""


def etag_of(sha256: str) -> str:
    """Return the strong ETag of stored bytes."""
    return f'"{sha256}"'


def unchanged(request: Request, etag: str) -> HttpResponseBase | None:
    """Return 304 or 412 where the request's conditions ask for it, else None: then the caller answers in full."""
    answer = get_conditional_response(request._request, etag=etag)
    if answer is not None:
        answer["ETag"] = etag
        answer["Cache-Control"] = CACHE_CONTROL
    return answer


def range_wanted(request: Request, etag: str) -> str:
    """Return the Range header, or nothing where If-Range names another version than the stored one."""
    named = request.headers.get("If-Range")
    return request.headers.get("Range", "") if named is None or named == etag else ""


def json_answer(request: Request, body: dict[str, Any]) -> HttpResponseBase:
    """Answer with a body and the ETag of its content, or with 304 where the client has it."""
    etag = etag_of(hashlib.sha256(json.dumps(body, sort_keys=True).encode()).hexdigest())
    headers = {"ETag": etag, "Cache-Control": CACHE_CONTROL}
    return unchanged(request, etag) or Response(body, headers=headers)
