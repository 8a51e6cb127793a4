"""Stores a finished answer with what was searched, shown, decided and cited, by which models."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from core.access.acting import acting_as, acting_as_system
from core.access.models import User
from core.answers.context import Source
from core.answers.conversation import Standalone
from core.answers.draft import Draft
from core.answers.evidence import Evidence
from core.answers.models import Answer, AnswerState
from core.answers.service import answer_finish, answer_json
from core.answers.stream import event_append
from core.documents.models import Document
from core.search.service import SearchResult
from core.settings.model_catalog import model_catalog
from core.settings.profile import profile

REMOVED = "[source removed]"


def answer_store(
    *,
    answer: Answer,
    user: User,
    draft: Draft,
    found: SearchResult,
    evidence: Evidence,
    sources: Sequence[Source],
    standalone: Standalone,
) -> None:
    """Store an answer and stream it as final; a document that was erased meanwhile leaves no words in it."""
    answer.refused, answer.extractive = draft.refused, draft.extractive
    answer.text, answer.sentences = draft.text, draft.sentences
    answer.citations = [citation.as_json(n) for n, citation in enumerate(draft.citations, start=1)]
    answer.evidence = {
        "hits": [hit.as_json() for hit in found.hits],
        "features": {name: round(value, 4) for name, value in evidence.features.items()},
        "probability": round(evidence.probability, 4),
        "threshold": evidence.threshold,
        "shown": [[str(segment_id) for segment_id in source.segment_ids] for source in sources],
        "spaces": dict(found.space_digests),
        "models": _models(pictured=draft.pictured),
        "stopped": draft.stopped,
        "usage": {"prompt_tokens": draft.prompt_tokens, "completion_tokens": draft.completion_tokens},
        **({"condensed": standalone.as_json()} if standalone.carried else {}),
    }
    state = AnswerState.DONE if draft.stopped is None else AnswerState.CANCELLED
    # An erasure locks the document before it looks for answers that quote it. Whoever comes second waits here: then the
    # document is gone and its words are taken out, or the erasure finds this answer stored.
    with acting_as_system():
        named = {hit.segment.document_id for hit in found.hits}
        locked = Document.objects.select_for_update(no_key=True).filter(pk__in=named).order_by("pk")
        erased = {str(one) for one in named - set(locked.values_list("pk", flat=True))}
        if erased:
            _redact(answer, erased)
        with acting_as(user):
            answer_finish(answer, user, state=state)
    event_append(answer_id=str(answer.pk), event="done", data=answer_json(answer))


def _models(*, pictured: bool) -> dict[str, Any]:
    roles = ("text", "image_text", "language", *(("vision",) if pictured else ()))
    used = {role: profile().roles[role] for role in roles if role in profile().roles}
    catalog = model_catalog()
    return {
        role: {"engine": config.engine, "models": {name: catalog.model(name).digest for name in config.models}}
        for role, config in used.items()
    }


def _redact(answer: Answer, erased: set[str]) -> None:
    numbers = {one["n"] for one in answer.citations if one["document"] in erased}
    answer.citations = [
        {**one, "quote": "", "removed": True} if one["n"] in numbers else one for one in answer.citations
    ]
    # What nothing supports may repeat the erased words as well: the document was before the model's eyes.
    answer.sentences = [
        {**one, "text": REMOVED} if not one["citations"] or numbers.intersection(one["citations"]) else one
        for one in answer.sentences
    ]
    answer.text = " ".join(one["text"] for one in answer.sentences) or answer.text
    hits = answer.evidence["hits"]
    gone = {hit["segment"] for hit in hits if hit["document"]["id"] in erased}
    answer.evidence["hits"] = [
        {"document": {"id": hit["document"]["id"]}, "removed": True} if hit["document"]["id"] in erased else hit
        for hit in hits
    ]
    answer.evidence["shown"] = [[one for one in source if one not in gone] for source in answer.evidence["shown"]]
    if _names_any(answer.evidence.get("condensed"), erased):
        answer.evidence["condensed"] = {"removed": True}


def _names_any(condensed: Any, erased: set[str]) -> bool:
    while isinstance(condensed, dict) and "document" in condensed:
        if condensed["document"] in erased:
            return True
        condensed = condensed["condensed"]
    return False
