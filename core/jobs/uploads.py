"""Uploads that come in pieces: begun, continued where they stopped, made a document at their end, swept when late."""

from __future__ import annotations

import contextlib
import dataclasses
import datetime as dt
import fcntl
import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import cast
from uuid import UUID

from django.utils import timezone

from core.access.acting import acting_as, acting_as_system
from core.access.errors import Invalid, NotFound, TooLarge
from core.access.models import Collection, User
from core.access.service import edit_require
from core.documents.labels import Labels, labels_apply
from core.documents.models import Document
from core.documents.service import PartUpload
from core.documents.storage import uploads_folder
from core.jobs.errors import UploadBusy
from core.jobs.models import Upload
from core.jobs.service import document_submit
from core.settings.env import env

NAME_MAX_CHARS = 500
PATH_MAX_CHARS = 2000


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class UploadTold:
    """How far an upload is.

    Attributes:
        offset_bytes: Where the next piece begins.
        document_id: What it has become, once it is whole.
    """

    id: UUID
    size_bytes: int
    offset_bytes: int
    expires_at: dt.datetime
    document_id: UUID | None

    @property
    def is_whole(self) -> bool:
        """Whether all of its bytes are there."""
        return self.offset_bytes == self.size_bytes


def upload_limit_bytes() -> int:
    """Return the size of the largest file that is taken."""
    return env().upload_max_mib * 2**20


def upload_create(
    *, user: User, collection: Collection, size_bytes: int, fields: Mapping[str, str], now: dt.datetime | None = None
) -> UploadTold:
    """Announce a file.

    Args:
        user: Who sends it and must be an editor of ``collection``.
        collection: Where the document will be.
        size_bytes: Of the whole file.
        fields: ``filename``, and if wanted ``title``, ``path``, ``tags`` (with commas between), ``metadata`` (JSON)
            and ``date``.
        now: The clock; None reads it.

    Raises:
        NotFound: ``user`` may not see the collection.
        Forbidden: ``user`` may only read it.
        TooLarge: The file is larger than CLOISTER_UPLOAD_MAX_MIB.
        Invalid: There is no name, or a label cannot be.
    """
    now = now or timezone.now()
    edit_require(user=user, collection=collection)
    if size_bytes > upload_limit_bytes():
        raise TooLarge(f"the file has {size_bytes} bytes; the limit is {env().upload_max_mib} MiB")
    name = fields.get("filename", "").strip()
    if not 0 < len(name) <= NAME_MAX_CHARS:
        raise Invalid(f"filename: an upload has a name of 1 to {NAME_MAX_CHARS} characters")
    labels = _labels(fields)
    with acting_as(user):
        made = Upload.objects.create(
            collection=collection,
            user=user,
            size_bytes=size_bytes,
            name=name,
            title=fields.get("title", "").strip()[:NAME_MAX_CHARS],
            path=fields.get("path", "")[:PATH_MAX_CHARS],
            labels=labels,
            expires_at=_expiry(now),
        )
    _path(made.pk).touch(mode=0o600)
    return _told(made)


def _labels(fields: Mapping[str, str]) -> Labels:
    labels = Labels()
    if fields.get("tags"):
        labels["tags"] = [tag.strip() for tag in fields["tags"].split(",") if tag.strip()]
    if fields.get("metadata"):
        try:
            labels["metadata"] = json.loads(fields["metadata"])
        except ValueError as error:
            raise Invalid(f"metadata: not JSON: {error}") from error
    if fields.get("date"):
        labels["date"] = fields["date"]
    labels_apply(Document(), labels)
    return labels


def upload_get(*, user: User, upload_id: UUID) -> UploadTold:
    """Return how far an upload of ``user`` is.

    Raises:
        NotFound: There is none, it is somebody else's, it has expired, or its collection may no longer be changed.
    """
    return _told(_own(user, upload_id))


def upload_extend(*, user: User, upload_id: UUID, now: dt.datetime | None = None) -> UploadTold:
    """Return how far an upload is, and keep it for another while: a piece of it is about to come.

    Raises:
        NotFound: As ``upload_get``.
    """
    expires_at = _expiry(now or timezone.now())
    told = upload_get(user=user, upload_id=upload_id)
    with acting_as(user):
        Upload.objects.filter(pk=upload_id).update(expires_at=expires_at)
    return dataclasses.replace(told, expires_at=expires_at)


@contextlib.contextmanager
def upload_held(upload_id: UUID) -> Iterator[Path]:
    """Keep everybody else from writing to an upload in this block; gives the file.

    Raises:
        UploadBusy: Another request is writing to it.
        NotFound: Its bytes are gone.
    """
    try:
        descriptor = os.open(_path(upload_id), os.O_RDWR)
    except FileNotFoundError as error:
        raise NotFound(f"there is no upload {upload_id}") from error
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield _path(upload_id)
    except BlockingIOError as error:
        raise UploadBusy("another request is sending this upload; wait for its end and ask for the offset") from error
    finally:
        os.close(descriptor)


def upload_continue(*, user: User, upload_id: UUID, now: dt.datetime | None = None) -> UploadTold:
    """Note that a piece came in; a whole upload becomes its document, once.

    Raises:
        NotFound: There is no such upload of ``user``.
        Forbidden: ``user`` may no longer change the collection.
    """
    now = now or timezone.now()
    upload = _own(user, upload_id)
    told = _told(upload)
    with acting_as(user):
        Upload.objects.filter(pk=upload_id).update(expires_at=_expiry(now))
    if not told.is_whole or upload.document_id is not None:
        return dataclasses.replace(told, expires_at=_expiry(now))
    document, _created = document_submit(
        user=user,
        collection=upload.collection,
        parts=[PartUpload(name=upload.name, content=_path(upload_id))],
        title=upload.title,
        path=upload.path,
        labels=cast(Labels, upload.labels),
        now=now,
    )
    with acting_as(user):
        Upload.objects.filter(pk=upload_id).update(document=document)
    _path(upload_id).unlink(missing_ok=True)
    return dataclasses.replace(told, expires_at=_expiry(now), document_id=document.pk)


def upload_remove(*, user: User, upload_id: UUID) -> None:
    """Forget an upload and its bytes; a document that it has become stays.

    Raises:
        NotFound: There is no such upload of ``user``.
    """
    _own(user, upload_id)
    with acting_as(user):
        Upload.objects.filter(pk=upload_id).delete()
    _path(upload_id).unlink(missing_ok=True)


def uploads_sweep(*, now: dt.datetime) -> int:
    """Remove what nobody continued in time, and bytes that belong to no upload; returns how many files went."""
    with acting_as_system():
        Upload.objects.filter(expires_at__lte=now).delete()
        known = {str(pk) for pk in Upload.objects.values_list("pk", flat=True)}
    swept = 0
    for file in uploads_folder().iterdir():
        # A file is made after its row: what has no row in the list above is of a later one, or of none.
        if file.name not in known and not _has_row(file.name):
            file.unlink(missing_ok=True)
            swept += 1
    return swept


def _has_row(name: str) -> bool:
    with acting_as_system():
        return Upload.objects.filter(pk=name).exists()


def _own(user: User, upload_id: UUID) -> Upload:
    with acting_as(user):
        found = Upload.objects.select_related("collection").filter(pk=upload_id, user=user).first()
    if found is None or found.expires_at <= timezone.now():
        raise NotFound(f"there is no upload {upload_id}")
    return found


def _told(upload: Upload) -> UploadTold:
    offset_bytes = upload.size_bytes if upload.document_id is not None else _stored_bytes(upload.pk)
    return UploadTold(
        id=upload.pk,
        size_bytes=upload.size_bytes,
        offset_bytes=offset_bytes,
        expires_at=upload.expires_at,
        document_id=upload.document_id,
    )


def _stored_bytes(upload_id: UUID) -> int:
    try:
        return _path(upload_id).stat().st_size
    except FileNotFoundError as error:
        raise NotFound(f"there is no upload {upload_id}") from error


def _path(upload_id: UUID) -> Path:
    return uploads_folder() / str(upload_id)


def _expiry(now: dt.datetime) -> dt.datetime:
    return now + dt.timedelta(seconds=env().upload_expiry_s)
