"""POST /v1/audio/transcriptions and translations: a recording to text, subtitles, or words with their times."""

from __future__ import annotations

from typing import Any, Literal

from django.http import HttpResponse
from django.http.response import HttpResponseBase
from rest_framework.request import Request
from rest_framework.response import Response

from core.access.models import User
from core.api.openai.audio_shapes import FORMATS, transcript_shape
from core.api.openai.base import UploadView, fields_checked, form_of, upload_of
from core.api.openai.errors import RequestRefused
from core.api.openai.models import model_named
from core.api.requests import user_of
from core.api.throttles import AskThrottle
from core.remote import Recording, call_files, recording_transcribe

RECORDING_MAX_MIB = 512
LONGER_ADVICE = ": upload longer recordings to /v1/files, they are transcribed in the background"
PROMPT_MAX_CHARS = 4000

KNOWN = frozenset(
    {
        "file",
        "model",
        "language",
        "prompt",
        "response_format",
        "temperature",
        "timestamp_granularities",
        "hotwords",
        "stream",
    }
)
IGNORED = frozenset({"chunking_strategy"})
GRANULARITIES = ("word", "segment")


class TranscriptionsView(UploadView):
    """What was said, in its own language."""

    throttle_classes = [AskThrottle]
    task: Literal["transcribe", "translate"] = "transcribe"

    def post(self, request: Request) -> HttpResponseBase:
        """Write down what is said in a recording."""
        fields = fields_checked(form_of(request), known=KNOWN, ignored=IGNORED)
        model_named(fields.get("model"), roles=("speech",))
        kind = _format(fields, self.task)
        granularities = _granularities(fields, kind)
        found = _transcribed(user_of(request), fields, self.task, speakers=kind == "diarized_json")
        shaped = transcript_shape(found, kind=kind, task=self.task, granularities=granularities)
        if isinstance(shaped, str):
            return HttpResponse(shaped, content_type=f"{FORMATS[kind]}; charset=utf-8")
        return Response(shaped)


class TranslationsView(TranscriptionsView):
    """What was said, in English."""

    task = "translate"


def _format(fields: dict[str, Any], task: str) -> str:
    kind = str(fields.get("response_format", "json"))
    offered = [name for name in FORMATS if task == "transcribe" or name != "diarized_json"]
    if kind not in offered:
        raise RequestRefused(f"response_format is one of {', '.join(offered)}", param="response_format")
    return kind


def _granularities(fields: dict[str, Any], kind: str) -> tuple[str, ...]:
    wanted = fields.get("timestamp_granularities")
    if wanted is None:
        return ("segment",)
    listed = wanted if isinstance(wanted, list) else [wanted]
    if kind != "verbose_json" or not all(one in GRANULARITIES for one in listed):
        raise RequestRefused(
            f"timestamp_granularities are {' and '.join(GRANULARITIES)}, with response_format=verbose_json",
            param="timestamp_granularities",
        )
    return tuple(listed)


def _transcribed(
    user: User, fields: dict[str, Any], task: Literal["transcribe", "translate"], *, speakers: bool
) -> dict[str, Any]:
    if str(fields.get("stream", "false")).lower() != "false":
        raise RequestRefused("transcripts are not streamed; leave stream out", param="stream")
    if str(fields.get("temperature", "0")) not in ("0", "0.0"):
        raise RequestRefused("temperature is 0: the likeliest words are written down", param="temperature")
    prompt = str(fields.get("prompt", ""))
    if len(prompt) > PROMPT_MAX_CHARS:
        raise RequestRefused(
            f"the prompt has {len(prompt)} characters; the limit is {PROMPT_MAX_CHARS}", param="prompt", status=413
        )
    uploaded = upload_of(fields.get("file"), limit_mib=RECORDING_MAX_MIB, advice=LONGER_ADVICE)
    assert uploaded.file is not None
    with call_files([uploaded.file]) as (name,):
        return recording_transcribe(
            Recording(
                file=name,
                name=uploaded.name or "the recording",
                owner=f"user-{user.pk}",
                task=task,
                language=str(fields["language"]) if fields.get("language") else None,
                prompt=prompt,
                hot_words=tuple(word.strip() for word in str(fields.get("hotwords", "")).split(",") if word.strip()),
                speakers=speakers,
            )
        )
