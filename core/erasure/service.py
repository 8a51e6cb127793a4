"""Deletes across the rooms, with a receipt."""

from __future__ import annotations

import dataclasses
from typing import Any
from uuid import UUID

from django.apps import apps
from django.db.models import Model, QuerySet

from core.access.acting import acting_as, acting_as_system
from core.access.errors import NotFound
from core.access.models import Collection, User
from core.access.service import audit, collection_get, edit_require, manage_require
from core.answers.models import Answer
from core.documents.models import Document, Part
from core.documents.service import blobs_collect, documents_visible
from core.jobs.artefact import artefacts_collect
from core.jobs.models import Artefact, Job, Step
from core.segments.models import Embedding, Segment

REMOVED = "[source removed]"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class ErasureReceipt:
    """What an erasure removed.

    Attributes:
        document: Id of the erased document.
        sha256: Of its bytes, so that the receipt can be matched to a file.
        rows: For each table how many rows are gone.
        answers_redacted: Stored answers from which its words were taken.
        blobs_removed: Digests of the files that nothing else refers to.
        artefacts_removed: Digests of previews and intermediate files.
    """

    document: UUID
    sha256: str
    rows: dict[str, int]
    answers_redacted: int
    blobs_removed: tuple[str, ...]
    artefacts_removed: tuple[str, ...]

    def as_json(self) -> dict[str, Any]:
        """Return the public form."""
        return {**dataclasses.asdict(self), "document": str(self.document)}


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class CollectionReceipt:
    """What the erasure of a collection removed.

    Attributes:
        collection: Id of the erased collection.
        name: As it was called.
        documents: The receipts of its documents.
        rows: For each table how many rows are gone beside those of the documents.
    """

    collection: UUID
    name: str
    documents: tuple[ErasureReceipt, ...]
    rows: dict[str, int]

    def as_json(self) -> dict[str, Any]:
        """Return the public form."""
        return {
            "collection": str(self.collection),
            "name": self.name,
            "documents": [receipt.as_json() for receipt in self.documents],
            "rows": self.rows,
        }


def collection_erase(*, user: User, collection_id: UUID) -> CollectionReceipt:
    """Erase a collection: its documents one by one, then its answers, its members and itself in one transaction.

    An error on the way leaves the documents that were not yet reached; a second call goes on with them.

    Raises:
        NotFound: It does not exist or ``user`` may not see it.
        Forbidden: ``user`` is not one of its owners.
    """
    collection = collection_get(user=user, collection_id=collection_id)
    manage_require(user=user, collection=collection)
    receipts: list[ErasureReceipt] = []
    while True:
        with acting_as(user):
            inside = list(Document.objects.filter(collection=collection).values_list("pk", flat=True))
        receipts += [document_erase(user=user, document_id=one) for one in inside]
        with acting_as_system():
            # Locked, so that no document comes in between the last look and the end.
            locked = Collection.objects.select_for_update().filter(pk=collection_id).first()
            if locked is None:
                raise NotFound(f"there is no collection {collection_id}")
            if locked.documents.exists():
                continue
            _total, rows = locked.delete()
            audit(
                user=user,
                action="collection_erase",
                subject=str(collection_id),
                detail={"name": collection.name, "documents": len(receipts)},
            )
        tables = {apps.get_model(label)._meta.db_table: count for label, count in rows.items() if count}
        return CollectionReceipt(collection=collection_id, name=collection.name, documents=tuple(receipts), rows=tables)


def document_erase(*, user: User, document_id: UUID) -> ErasureReceipt:
    """Erase a document: its rows in one transaction, then the files that nothing else refers to.

    PostgreSQL keeps deleted rows in its data files until they are vacuumed, and in its log for a while.

    Raises:
        NotFound: It does not exist or ``user`` may not see it.
        Forbidden: ``user`` may only read it.
    """
    with acting_as(user):
        document = documents_visible(user).select_related("collection").filter(pk=document_id).first()
        if document is None:
            raise NotFound(f"there is no document {document_id}")
        edit_require(user=user, collection=document.collection)
        with acting_as_system():
            _work_stop(document_id)
            # From here on no job can be added; one that was added meanwhile is stopped too.
            if Document.objects.select_for_update().filter(pk=document_id).first() is None:
                raise NotFound(f"there is no document {document_id}")
            _work_stop(document_id)
            blobs = list(Part.objects.filter(document_id=document_id).values_list("blob_id", flat=True))
            artefacts = list(Artefact.objects.filter(job__document_id=document_id).values_list("sha256", flat=True))
            rows = _rows_delete(document_id)
            redacted = _answers_redact(document.collection_id, document_id)
        audit(
            user=user,
            action="document_erase",
            subject=str(document_id),
            detail={"sha256": document.sha256, "rows": rows, "collection": str(document.collection_id)},
        )
    return ErasureReceipt(
        document=document_id,
        sha256=document.sha256,
        rows=rows,
        answers_redacted=redacted,
        blobs_removed=tuple(blobs_collect(blobs)),
        artefacts_removed=tuple(artefacts_collect(artefacts)),
    )


def _work_stop(document_id: UUID) -> None:
    # Jobs before steps, like everywhere. What a running step stores now waits for this lock and then finds no step.
    list(Job.objects.select_for_update(no_key=True).filter(document_id=document_id))
    list(Step.objects.select_for_update(of=("self",), no_key=True).filter(job__document_id=document_id))


def _rows_delete(document_id: UUID) -> dict[str, int]:
    victims: list[QuerySet[Any]] = [
        Embedding.objects.filter(segment__document_id=document_id),
        Segment.objects.filter(document_id=document_id),
        Artefact.objects.filter(job__document_id=document_id),
        Step.objects.filter(job__document_id=document_id),
        Job.objects.filter(document_id=document_id),
        Part.objects.filter(document_id=document_id),
        Document.objects.filter(pk=document_id),
    ]
    return {_table(found): found.delete()[0] for found in victims}


def _table(found: QuerySet[Any]) -> str:
    model: type[Model] = found.model
    return model._meta.db_table


def _answers_redact(collection_id: UUID, document_id: UUID) -> int:
    redacted = 0
    for answer in Answer.objects.select_for_update().filter(collection_id=collection_id):
        evidence = _without(answer.evidence, document_id)
        numbers = {one["n"] for one in answer.citations if _names(one, document_id)}
        if not numbers and evidence == answer.evidence:
            continue
        answer.evidence = evidence
        answer.citations = [
            {**one, "quote": "", "removed": True} if one["n"] in numbers else one for one in answer.citations
        ]
        answer.sentences = [_sentence_redacted(one, numbers) for one in answer.sentences]
        answer.text = " ".join(one["text"] for one in answer.sentences)
        answer.save(update_fields=["evidence", "citations", "sentences", "text"])
        redacted += 1
    return redacted


def _sentence_redacted(sentence: dict[str, Any], numbers: set[int]) -> dict[str, Any]:
    cited = sentence.get("citations", [])
    # What nothing supports may still repeat the erased words: the document was before the model's eyes.
    return {**sentence, "text": REMOVED} if not cited or numbers.intersection(cited) else sentence


def _names(value: dict[str, Any], document_id: UUID) -> bool:
    document = value.get("document")
    return (document.get("id") if isinstance(document, dict) else document) == str(document_id)


def _without(value: Any, document_id: UUID) -> Any:
    if isinstance(value, list):
        return [_without(one, document_id) for one in value]
    if not isinstance(value, dict):
        return value
    if _names(value, document_id):
        return {"document": {"id": str(document_id)}, "removed": True}
    return {key: _without(one, document_id) for key, one in value.items()}
