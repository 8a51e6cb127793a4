"""Files are documents and vector stores are collections: ids in OpenAI's form, and the pictures that ids stand for."""

from __future__ import annotations

from uuid import UUID

from core.access.errors import NotFound, TooLarge
from core.access.models import User
from core.documents.models import Document
from core.documents.service import document_get, part_open

PICTURE_MAX_MIB = 32
FILE_PREFIX = "file-"
STORE_PREFIX = "vs_"


def file_id(document_id: UUID) -> str:
    """Return the id under which a document is a file."""
    return f"{FILE_PREFIX}{document_id.hex}"


def store_id(collection_id: UUID) -> str:
    """Return the id under which a collection is a vector store."""
    return f"{STORE_PREFIX}{collection_id.hex}"


def document_of(*, user: User, identifier: str) -> Document:
    """Return the document that a file id stands for.

    Raises:
        NotFound: It does not exist or the user may not see it.
    """
    try:
        return document_get(user=user, document_id=UUID(identifier.removeprefix(FILE_PREFIX)))
    except (ValueError, NotFound) as error:
        raise NotFound(f"there is no file '{identifier[:80]}'") from error


def picture_bytes(*, user: User, source: bytes | str) -> bytes:
    """Return the encoded picture of a request: its bytes, or the content of a file that the user may see.

    Raises:
        NotFound: There is no such file for this user.
        TooLarge: It is over the limit.
    """
    if isinstance(source, bytes):
        return source
    document = document_of(user=user, identifier=source)
    first = document.parts.all()[0]
    _, opened = part_open(user=user, document_id=document.pk, part_id=first.pk)
    with opened:
        content = opened.read(PICTURE_MAX_MIB * 2**20 + 1)
    if len(content) > PICTURE_MAX_MIB * 2**20:
        raise TooLarge(f"the file '{source}' is over the limit of {PICTURE_MAX_MIB} MiB for a picture")
    return content
