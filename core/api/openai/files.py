"""/v1/files: files are documents; those that are uploaded here lie in the user's own collection "API files"."""

from __future__ import annotations

import re
from typing import Any

from django.http import FileResponse
from rest_framework.request import Request
from rest_framework.response import Response

from core.access.acting import acting_as
from core.access.errors import Conflict
from core.access.lookup import collection_by_name
from core.access.models import Collection, User
from core.access.service import collection_create, visible_to
from core.api.openai.base import OpenAIView, UploadView, fields_checked, form_of, upload_of
from core.api.openai.errors import RequestRefused
from core.api.openai.file_ids import STORE_PREFIX, document_of, file_id
from core.api.openai.paging import page, page_asked
from core.api.requests import user_of
from core.api.throttles import UploadThrottle
from core.documents.labels import metadata_value_read
from core.documents.models import Document, DocumentState
from core.documents.service import PartUpload, documents_visible, part_open
from core.erasure.service import document_erase
from core.jobs.service import document_submit
from core.settings.env import env

FILES_COLLECTION = "API files"
PURPOSES = ("assistants", "batch", "evals", "fine-tune", "user_data", "vision")
PURPOSE_KEY = "purpose"

_STATUS = {DocumentState.READY: "processed", DocumentState.FAILED: "error"}
_METADATA = re.compile(r"metadata\[(.+)\]")


class FileListView(UploadView):
    """Files."""

    throttle_classes = [UploadThrottle]

    def get(self, request: Request) -> Response:
        """List the files that you uploaded here; documents of other collections are found by searching them."""
        user = user_of(request)
        asked = page_asked(request.query_params)
        with acting_as(user):
            found = documents_visible(user).filter(collection__in=_own_files(user))
            if purpose := request.query_params.get("purpose"):
                found = found.filter(metadata__purpose=purpose)
            listed, has_more = asked.take(found, after=_after(user, asked.after))
        return Response(page([file_json(one) for one in listed], has_more=has_more))

    def post(self, request: Request) -> Response:
        """Upload a file; the same bytes again are the same file."""
        user = user_of(request)
        form = form_of(request)
        metadata = {
            found[1]: metadata_value_read(str(value))
            for name, value in form.items()
            if (found := _METADATA.fullmatch(name))
        }
        plain = {name: value for name, value in form.items() if not _METADATA.fullmatch(name)}
        fields = fields_checked(plain, known=frozenset({"file", "purpose", "collection"}))
        purpose = fields.get("purpose", "user_data")
        if purpose not in PURPOSES:
            raise RequestRefused(f"purpose is one of {', '.join(PURPOSES)}", param="purpose")
        uploaded = upload_of(fields.get("file"), limit_mib=env().upload_max_mib)
        document, _ = document_submit(
            user=user,
            collection=_collection(user, fields.get("collection")),
            parts=[PartUpload(name=uploaded.name or "file", content=uploaded)],
            title=uploaded.name or "file",
            labels={"metadata": {**metadata, PURPOSE_KEY: purpose}},
        )
        return Response(file_json(document))


class FileView(OpenAIView):
    """One file."""

    def get(self, request: Request, identifier: str) -> Response:
        """Return a file with its state; any document that you may see is a file."""
        return Response(file_json(document_of(user=user_of(request), identifier=identifier)))

    def delete(self, request: Request, identifier: str) -> Response:
        """Erase a file with everything made from it."""
        user = user_of(request)
        document = document_of(user=user, identifier=identifier)
        document_erase(user=user, document_id=document.pk)
        return Response({"id": file_id(document.pk), "object": "file", "deleted": True})


class FileContentView(OpenAIView):
    """The bytes of a file."""

    def get(self, request: Request, identifier: str) -> FileResponse:
        """Download a file."""
        user = user_of(request)
        document = document_of(user=user, identifier=identifier)
        first = document.parts.all()[0]
        _, opened = part_open(user=user, document_id=document.pk, part_id=first.pk)
        return FileResponse(
            opened,
            as_attachment=True,
            filename=first.name,
            content_type="application/octet-stream",
            headers={"X-Content-Type-Options": "nosniff"},
        )


def file_json(document: Document) -> dict[str, Any]:
    """Return the form of OpenAI's file object."""
    return {
        "id": file_id(document.pk),
        "object": "file",
        "bytes": document.size_bytes,
        "created_at": int(document.created_at.timestamp()),
        "expires_at": None,
        "filename": document.title,
        "purpose": document.metadata.get(PURPOSE_KEY, "user_data"),
        "status": _STATUS.get(DocumentState(document.state), "uploaded"),
        "status_details": document.error_message or None,
        "metadata": {key: value for key, value in document.metadata.items() if key != PURPOSE_KEY},
    }


def _own_files(user: User) -> list[Collection]:
    return list(visible_to(user).filter(created_by=user, name=FILES_COLLECTION))


def _collection(user: User, name_or_id: object) -> Collection:
    if name_or_id is not None:
        return collection_by_name(user=user, name_or_id=str(name_or_id).removeprefix(STORE_PREFIX))
    with acting_as(user):
        own = _own_files(user)
    if own:
        return own[0]
    try:
        return collection_create(user=user, name=FILES_COLLECTION)
    except Conflict:
        # Another upload of the same user was faster.
        with acting_as(user):
            own = _own_files(user)
        if not own:
            raise
        return own[0]


def _after(user: User, identifier: str | None) -> Document | None:
    return None if identifier is None else document_of(user=user, identifier=identifier)
