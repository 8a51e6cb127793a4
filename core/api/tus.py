"""Resumable uploads by the tus protocol 1.0 (core, creation, expiration, checksum, termination) at /api/uploads/.

An ASGI application of its own: Django reads a request's body to its end before a view runs, and what came before a
connection broke would be lost. Tokens are those of the API; the protocol is https://tus.io/protocols/resumable-upload.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import errno
import hashlib
import os
from collections.abc import Callable, Mapping
from email.utils import format_datetime
from functools import partial
from pathlib import Path
from typing import Any, Final
from uuid import UUID

import redis.exceptions
from django.db import OperationalError
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.types import Receive, Scope, Send

from core.access.errors import CloisterError, Conflict, Invalid, NotFound, TooLarge
from core.access.models import User
from core.api.bearer import bearer_user
from core.api.documents import collection_wanted
from core.api.errors import error_body, status_of
from core.api.threads import in_thread
from core.api.throttles import user_throttle
from core.jobs.uploads import (
    UploadTold,
    upload_continue,
    upload_create,
    upload_extend,
    upload_get,
    upload_held,
    upload_limit_bytes,
    upload_remove,
)

PREFIX: Final = "/api/uploads"
VERSION: Final = "1.0.0"
BUFFER_BYTES: Final = 1024 * 1024
CHECKSUM_MISMATCH: Final = 460
PIECE_TYPE: Final = "application/offset+octet-stream"
DIGESTS: Final[Mapping[str, Callable[[], Any]]] = {"sha1": hashlib.sha1, "sha256": hashlib.sha256}

ABILITIES: Final = {
    "Tus-Version": VERSION,
    "Tus-Extension": "creation,expiration,checksum,termination",
    "Tus-Checksum-Algorithm": ",".join(DIGESTS),
}


class _Refused(Exception):
    def __init__(self, status: int, code: str, message: str, **headers: str) -> None:
        super().__init__(message)
        self.status, self.code = status, code
        self.headers = {name.replace("_", "-"): value for name, value in headers.items()}


async def tus_application(scope: Scope, receive: Receive, send: Send) -> None:
    """Serve one request under ``PREFIX``."""
    request = Request(scope, receive)
    try:
        response = await _answer(request)
    except ClientDisconnect:
        return
    except _Refused as error:
        response = JSONResponse(error_body(error.code, str(error)), status_code=error.status, headers=error.headers)
    except (CloisterError, redis.exceptions.RedisError, OperationalError) as error:
        response = _failure(error)
    response.headers["Tus-Resumable"] = VERSION
    response.headers["Cache-Control"] = "no-store"
    await response(scope, receive, send)


def _failure(error: Exception) -> Response:
    headers = {"Retry-After": str(wait_s)} if (wait_s := getattr(error, "retry_after_s", None)) is not None else {}
    if isinstance(error, CloisterError):
        return JSONResponse(error_body(error.code, str(error)), status_code=status_of(error) or 500, headers=headers)
    return JSONResponse(error_body("unavailable", "the server's database or broker does not answer"), status_code=503)


async def _answer(request: Request) -> Response:
    method = request.headers.get("X-HTTP-Method-Override", request.method).upper()
    if method == "OPTIONS":
        return Response(status_code=204, headers={**ABILITIES, "Tus-Max-Size": str(upload_limit_bytes())})
    if request.headers.get("Tus-Resumable") != VERSION:
        raise _Refused(
            412, "tus_version", f"send the header Tus-Resumable: {VERSION}; no other is spoken", Tus_Version=VERSION
        )
    user = await in_thread(partial(bearer_user, request.headers.get("Authorization", "")))
    if user is None:
        raise _Refused(401, "not_authenticated", "a valid token is needed", WWW_Authenticate="Bearer")
    named = request.url.path.removeprefix(PREFIX).strip("/")
    if not named:
        if method != "POST":
            raise _Refused(405, "method_not_allowed", "POST makes an upload", Allow="OPTIONS, POST")
        return await _create(request, user)
    return await _one(method, request, user, _id(named))


async def _one(method: str, request: Request, user: User, upload_id: UUID) -> Response:
    if method == "HEAD":
        return await _tell(user, upload_id)
    if method == "PATCH":
        return await _append(request, user, upload_id)
    if method == "DELETE":
        await in_thread(partial(upload_remove, user=user, upload_id=upload_id))
        return Response(status_code=204)
    raise _Refused(405, "method_not_allowed", f"an upload has no {method}", Allow="OPTIONS, HEAD, PATCH, DELETE")


async def _create(request: Request, user: User) -> Response:
    if "Upload-Defer-Length" in request.headers:
        raise Invalid("Upload-Defer-Length: say how long the file is by Upload-Length")
    size_bytes = _number(request, "Upload-Length")
    fields = _metadata(request.headers.get("Upload-Metadata", ""))

    def create() -> UploadTold:
        user_throttle(user, "upload")
        if not fields.get("collection"):
            raise Invalid("Upload-Metadata: name the collection, beside the filename")
        collection = collection_wanted(user, fields["collection"])
        made = upload_create(user=user, collection=collection, size_bytes=size_bytes, fields=fields)
        return made if size_bytes else _continued(user, made.id)

    told = await in_thread(create)
    return Response(status_code=201, headers={"Location": f"{PREFIX}/{told.id}", **_told_headers(told)})


def _continued(user: User, upload_id: UUID) -> UploadTold:
    with upload_held(upload_id):
        return upload_continue(user=user, upload_id=upload_id)


async def _tell(user: User, upload_id: UUID) -> Response:
    told = await in_thread(partial(upload_get, user=user, upload_id=upload_id))
    if told.is_whole and told.document_id is None:
        # Whole, but the server ended before it became a document.
        told = await in_thread(partial(_continued, user, upload_id))
    return Response(headers={"Upload-Length": str(told.size_bytes), **_told_headers(told)})


async def _append(request: Request, user: User, upload_id: UUID) -> Response:
    if request.headers.get("Content-Type", "").split(";")[0].strip().lower() != PIECE_TYPE:
        raise _Refused(415, "unsupported_media_type", f"send the bytes with Content-Type: {PIECE_TYPE}")
    offset_bytes = _number(request, "Upload-Offset")
    checksum = _checksum(request.headers.get("Upload-Checksum"))
    told = await in_thread(partial(upload_extend, user=user, upload_id=upload_id))
    if told.document_id is not None:
        _offset_require(offset_bytes, told.size_bytes)
        return Response(status_code=204, headers=_told_headers(told))
    with upload_held(upload_id) as file:
        _offset_require(offset_bytes, file.stat().st_size)
        await _Piece(file, offset_bytes, told.size_bytes, checksum).receive(request)
        told = await in_thread(partial(upload_continue, user=user, upload_id=upload_id))
    return Response(status_code=204, headers=_told_headers(told))


class _Piece:
    """The body of one PATCH on its way to the disk; what is there when the connection breaks stays there."""

    def __init__(self, file: Path, offset_bytes: int, size_bytes: int, checksum: tuple[Any, bytes] | None) -> None:
        self._file, self._begin_bytes, self._left_bytes = file, offset_bytes, size_bytes - offset_bytes
        self._digest: Any = checksum[0] if checksum is not None else None
        self._expected = checksum[1] if checksum is not None else b""
        self._held = bytearray()

    async def receive(self, request: Request) -> None:
        """Write the body to its end.

        Raises:
            TooLarge: There is more than the upload announced; nothing of it is kept.
            ClientDisconnect: The connection broke; what came is kept, unless a checksum was to cover it.
        """
        try:
            async for chunk in request.stream():
                self._hold(chunk)
                if len(self._held) >= BUFFER_BYTES:
                    await asyncio.to_thread(self._write)
            await asyncio.to_thread(self._finish)
        except ClientDisconnect:
            await asyncio.to_thread(self._write if self._digest is None else self._take_back)
            raise
        except (TooLarge, _Refused):
            await asyncio.to_thread(self._take_back)
            raise

    def _hold(self, chunk: bytes) -> None:
        self._left_bytes -= len(chunk)
        if self._left_bytes < 0:
            raise TooLarge("the piece reaches beyond the announced Upload-Length")
        self._held += chunk

    def _write(self) -> None:
        try:
            with self._file.open("ab") as opened:
                opened.write(self._held)
        except OSError as error:
            if error.errno not in (errno.ENOSPC, errno.EDQUOT):
                raise
            raise _Refused(507, "disk_full", "the server's disk is full; the upload can go on later") from error
        if self._digest is not None:
            self._digest.update(self._held)
        self._held.clear()

    def _finish(self) -> None:
        self._write()
        if self._digest is not None and self._digest.digest() != self._expected:
            raise _Refused(CHECKSUM_MISMATCH, "checksum_mismatch", "the piece was damaged on its way; send it again")
        with self._file.open("rb") as opened:
            os.fsync(opened.fileno())

    def _take_back(self) -> None:
        os.truncate(self._file, self._begin_bytes)


def _told_headers(told: UploadTold) -> dict[str, str]:
    headers = {
        "Upload-Offset": str(told.offset_bytes),
        "Upload-Expires": format_datetime(told.expires_at, usegmt=True),
    }
    if told.document_id is not None:
        headers["Cloister-Document"] = str(told.document_id)
    return headers


def _id(named: str) -> UUID:
    try:
        return UUID(named)
    except ValueError:
        raise NotFound("there is no such upload") from None


def _number(request: Request, header: str) -> int:
    given = request.headers.get(header, "")
    if not (given.isascii() and given.isdigit() and len(given) <= 18):
        raise Invalid(f"{header}: send a number of bytes, not '{given[:40]}'")
    return int(given)


def _offset_require(given_bytes: int, stored_bytes: int) -> None:
    if given_bytes != stored_bytes:
        raise Conflict(f"Upload-Offset: {stored_bytes} bytes are there, not {given_bytes}; go on from there")


def _metadata(header: str) -> dict[str, str]:
    fields: dict[str, str] = {}
    for pair in filter(None, (one.strip() for one in header.split(","))):
        key, _, encoded = pair.partition(" ")
        try:
            fields[key] = base64.b64decode(encoded.strip(), validate=True).decode()
        except (binascii.Error, UnicodeDecodeError) as error:
            raise Invalid(f"Upload-Metadata: the value of '{key[:40]}' is not UTF-8 in base64") from error
        if "\x00" in fields[key]:
            raise Invalid(f"Upload-Metadata: the value of '{key[:40]}' holds a null character")
    return fields


def _checksum(header: str | None) -> tuple[Any, bytes] | None:
    if header is None:
        return None
    name, _, encoded = header.strip().partition(" ")
    if name not in DIGESTS:
        raise Invalid(f"Upload-Checksum: '{name[:40]}' is not known; known are {', '.join(DIGESTS)}")
    try:
        return DIGESTS[name](), base64.b64decode(encoded, validate=True)
    except binascii.Error as error:
        raise Invalid("Upload-Checksum: the digest is not base64") from error
