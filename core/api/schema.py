"""What the generated OpenAPI schema cannot know: the event streams and the uploads, which are no views of DRF."""

from __future__ import annotations

from typing import Any, Final

_SECURITY: Final[list[dict[str, list[str]]]] = [{"knoxApiToken": []}, {"cookieAuth": []}]
_TOKEN: Final[list[dict[str, list[str]]]] = [{"knoxApiToken": []}]


def _path_parameter(name: str) -> dict[str, Any]:
    return {"in": "path", "name": name, "required": True, "schema": {"type": "string", "format": "uuid"}}


def _header(name: str, description: str, *, required: bool = False, pattern: str = "") -> dict[str, Any]:
    schema = {"type": "string", **({"pattern": pattern} if pattern else {})}
    return {"in": "header", "name": name, "required": required, "description": description, "schema": schema}


_TUS: Final = _header("Tus-Resumable", "1.0.0", required=True, pattern="^1\\.0\\.0$")
_BYTES: Final = "^[0-9]{1,18}$"


def _events(operation_id: str, identifier: str, summary: str) -> dict[str, Any]:
    return {
        "get": {
            "operationId": operation_id,
            "description": summary,
            "tags": ["api"],
            "security": _SECURITY,
            "parameters": [
                _path_parameter(identifier),
                _header("Last-Event-ID", "Resume after this event.", pattern=r"^\d{1,19}(-\d{1,19})?$"),
            ],
            "responses": {
                "200": {
                    "description": "Server-sent events.",
                    "content": {"text/event-stream": {"schema": {"type": "string"}}},
                }
            },
        }
    }


def _upload(operation_id: str, summary: str, status: str, *parameters: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {
        "operationId": operation_id,
        "description": summary,
        "tags": ["api"],
        "security": _TOKEN,
        "parameters": [_TUS, *parameters],
        "responses": {status: {"description": "Upload-Offset and Upload-Expires tell how far it is."}},
        **more,
    }


PATHS: Final[dict[str, dict[str, Any]]] = {
    "/api/answers/{answer_id}/events": _events(
        "answer_events",
        "answer_id",
        "Tokens (`token`), checked sentences (`sentence`) and the answer (`done`, `error`).",
    ),
    "/api/jobs/{job_id}/events": _events(
        "job_events", "job_id", "A job's progress (`progress`) while it changes, and its end (`done`)."
    ),
    "/api/uploads/": {
        "post": _upload(
            "upload_create",
            "Begin a resumable upload (tus 1.0); Location names it. Its last piece makes the document.",
            "201",
            _header("Upload-Length", "Bytes of the whole file.", required=True, pattern=_BYTES),
            _header(
                "Upload-Metadata",
                "Keys with values in base64: filename, collection; also title, path, tags, metadata, date.",
                required=True,
            ),
        )
    },
    "/api/uploads/{upload_id}": {
        "head": _upload("upload_offset", "Tell where to go on.", "200", _path_parameter("upload_id")),
        "patch": _upload(
            "upload_append",
            "Send the next piece; the header Cloister-Document then names the document of a whole file.",
            "204",
            _path_parameter("upload_id"),
            _header("Upload-Offset", "Where the piece begins.", required=True, pattern=_BYTES),
            _header("Upload-Checksum", "sha1 or sha256 and the digest in base64."),
            requestBody={
                "required": True,
                "content": {
                    "application/offset+octet-stream": {
                        "schema": {"type": "string", "contentMediaType": "application/octet-stream"}
                    }
                },
            },
        ),
        "delete": _upload("upload_remove", "Forget an upload.", "204", _path_parameter("upload_id")),
    },
}


def paths_add(result: dict[str, Any], **_: Any) -> dict[str, Any]:
    """Add ``PATHS`` to the generated schema; a hook of drf-spectacular."""
    result["paths"] = dict(sorted({**result["paths"], **PATHS}.items()))
    return result
