"""What is asked about documents, and the bytes that nobody refers to any more."""

from __future__ import annotations

import dataclasses
import io
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import BinaryIO, Literal, Unpack
from uuid import UUID

from django.db.models import QuerySet

from core.access.acting import acting_as, acting_as_system
from core.access.errors import Invalid, NotFound
from core.access.models import User
from core.access.service import audit, edit_require, visible_to
from core.documents.labels import LABEL_FIELDS, Labels, labels_apply
from core.documents.models import Blob, Document, Part
from core.documents.storage import Readable, StagedFile, blob_open, blob_remove, blob_stage, blob_stage_file

TEXT_MEDIA_TYPE = "text/plain"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class PartUpload:
    """One file, or one inline text, as a client sends it.

    Attributes:
        name: File name or title as given; shown, never used as evidence.
        content: The bytes, a stream of them, the words of an inline text, or a file beside the blobs.
        kind: ``text`` for words sent as JSON: they are taken as plain text whatever they look like.
    """

    name: str
    content: bytes | str | Readable | Path
    kind: Literal["file", "text"] = "file"

    def stage(self, *, limit_bytes: int | None = None) -> StagedFile:
        """Put the content on the disk of the blobs.

        Raises:
            TooLarge: It has more than ``limit_bytes``.
        """
        if isinstance(self.content, Path):
            return blob_stage_file(self.content, limit_bytes=limit_bytes)
        content = self.content.encode() if isinstance(self.content, str) else self.content
        return blob_stage(io.BytesIO(content) if isinstance(content, bytes) else content, limit_bytes=limit_bytes)


def documents_visible(user: User) -> QuerySet[Document]:
    """Return the documents ``user`` may read; evaluate it inside ``acting_as``."""
    return Document.objects.filter(collection__in=visible_to(user))


def document_get(*, user: User, document_id: UUID) -> Document:
    """Return one document with its collection and its parts.

    Raises:
        NotFound: It does not exist or ``user`` may not see it.
    """
    with acting_as(user):
        found = (
            documents_visible(user)
            .select_related("collection")
            .prefetch_related("parts")
            .filter(pk=document_id)
            .first()
        )
    if found is None:
        raise NotFound(f"there is no document {document_id}")
    return found


def document_change(*, user: User, document_id: UUID, title: str | None = None, **labels: Unpack[Labels]) -> Document:
    """Change what is said about a document; what is not given stays as it is.

    Raises:
        NotFound: It does not exist or ``user`` may not see it.
        Forbidden: ``user`` may only read it.
        Invalid: The title is empty or longer than 500 characters, or a label cannot be.
    """
    document = document_get(user=user, document_id=document_id)
    with acting_as(user):
        edit_require(user=user, collection=document.collection)
        if title is not None:
            document.title = title.strip()
            if not 0 < len(document.title) <= 500:
                raise Invalid("title: a document's title has 1 to 500 characters")
        labels_apply(document, labels)
        document.save(update_fields=["title", *LABEL_FIELDS])
        audit(
            user=user,
            action="document_change",
            subject=str(document_id),
            detail={"title": document.title, "collection": str(document.collection_id)},
        )
    return document


def part_open(*, user: User, document_id: UUID, part_id: UUID) -> tuple[Part, BinaryIO]:
    """Return one part with its bytes opened for reading.

    Raises:
        NotFound: It does not exist or ``user`` may not see it.
        BytesMissing: The stored file is gone from the disk.
    """
    with acting_as(user):
        part = Part.objects.filter(pk=part_id, document__in=documents_visible(user).filter(pk=document_id)).first()
        if part is None:
            raise NotFound(f"there is no part {part_id} of document {document_id}")
        return part, blob_open(part.blob_id)


def blobs_claim(staged: Sequence[StagedFile]) -> None:
    """Make Blob rows for staged files and put the files in their places, inside the caller's transaction.

    The rows stay locked until its end, so ``blobs_collect`` cannot take the bytes away before a part refers to them.
    """
    by_digest = {one.sha256: one for one in staged}
    Blob.objects.bulk_create(
        [Blob(sha256=digest, size_bytes=by_digest[digest].size_bytes) for digest in sorted(by_digest)],
        update_conflicts=True,
        unique_fields=["sha256"],
        update_fields=["size_bytes"],
    )
    for one in by_digest.values():
        one.place()


def blobs_collect(digests: Iterable[str]) -> list[str]:
    """Remove those blobs to which no part refers, row and file; returns the digests removed."""
    removed = []
    for digest in sorted(set(digests)):
        with acting_as_system():
            # Also a file without a row (its upload failed half-way) is taken under the lock of a row.
            Blob.objects.bulk_create([Blob(sha256=digest, size_bytes=0)], ignore_conflicts=True)
            blob = Blob.objects.select_for_update().filter(pk=digest).first()
            if blob is None or blob.reference_count > 0:
                continue
            if blob_remove(digest):
                removed.append(digest)
            blob.delete()
    return removed
