"""POST /v1/embeddings: texts, or by an extension pictures, to vectors of this host's models."""

from __future__ import annotations

import base64
from typing import Any

import numpy as np
from rest_framework.request import Request
from rest_framework.response import Response

from core.access.models import User
from core.api.openai.base import OpenAIView, body_of
from core.api.openai.chat_request import data_url_bytes
from core.api.openai.errors import RequestRefused
from core.api.openai.file_ids import PICTURE_MAX_MIB, picture_bytes
from core.api.openai.models import model_named
from core.api.requests import user_of
from core.api.throttles import SearchThrottle
from core.remote import Embedded, call_files, pictures_embed, texts_embed
from core.settings.profile import profile
from inference.values import Vectors

INPUTS_MAX = 2048
CHARACTERS_MAX = 4_000_000
PICTURES_MAX = 64

KNOWN = frozenset({"model", "input", "encoding_format", "dimensions"})


class EmbeddingsView(OpenAIView):
    """Vectors."""

    throttle_classes = [SearchThrottle]

    def post(self, request: Request) -> Response:
        """Embed the input; the same text gives the same vector."""
        fields = body_of(request, known=KNOWN, ignored=frozenset({"user"}))
        encoding = fields.get("encoding_format", "float")
        if encoding not in ("float", "base64"):
            raise RequestRefused("encoding_format is float or base64", param="encoding_format")
        model = model_named(fields.get("model"), roles=("text", "image_text"))
        _dimensions_check(fields.get("dimensions"), model.id, profile().roles[model.role].dimensions)
        found = _embedded(user_of(request), model.role, fields.get("input"))
        return Response(
            {
                "object": "list",
                "data": [
                    {"object": "embedding", "index": index, "embedding": _encoded(row, encoding)}
                    for index, row in enumerate(found.vectors)
                ],
                "model": model.id,
                "usage": {"prompt_tokens": found.tokens, "total_tokens": found.tokens},
            }
        )


def _embedded(user: User, role: str, given: object) -> Embedded:
    inputs = given if isinstance(given, list) else [given]
    if not inputs:
        raise RequestRefused("input is a text or a list of texts", param="input")
    _tokens_refuse(inputs)
    pictures = [one for one in inputs if isinstance(one, dict)]
    if len(pictures) == len(inputs):
        return _pictures(user, role, pictures)
    texts = _texts(inputs)
    return texts_embed(role="image_text" if role == "image_text" else "text", texts=texts)


def _tokens_refuse(inputs: list[Any]) -> None:
    if any(isinstance(one, int | float | list) for one in inputs):
        raise RequestRefused(
            "input holds token ids, which are another model's and mean nothing here: send text "
            "(langchain-openai: check_embedding_ctx_length=False)",
            param="input",
            code="token_input_not_supported",
        )


def _texts(inputs: list[Any]) -> list[str]:
    if len(inputs) > INPUTS_MAX:
        raise RequestRefused(f"there are {len(inputs)} inputs; the limit is {INPUTS_MAX}", param="input", status=413)
    if not all(isinstance(one, str) and one.strip() for one in inputs):
        raise RequestRefused("every input is a text that is not empty", param="input")
    characters = sum(map(len, inputs))
    if characters > CHARACTERS_MAX:
        raise RequestRefused(
            f"the inputs have {characters} characters; the limit is {CHARACTERS_MAX} a request",
            param="input",
            status=413,
        )
    return inputs


def _pictures(user: User, role: str, inputs: list[dict[str, Any]]) -> Embedded:
    if role != "image_text":
        raise RequestRefused("pictures are embedded by a model of the role image_text", param="model")
    if len(inputs) > PICTURES_MAX:
        raise RequestRefused(
            f"there are {len(inputs)} pictures; the limit is {PICTURES_MAX}", param="input", status=413
        )
    contents = [picture_bytes(user=user, source=_source(one, index)) for index, one in enumerate(inputs)]
    with call_files(contents) as names:
        return pictures_embed(files=names, owner=f"user-{user.pk}")


def _source(given: dict[str, Any], index: int) -> bytes | str:
    where = f"input[{index}]"
    if isinstance(given.get("image"), str):
        return data_url_bytes(given["image"], where=f"{where}.image", limit_mib=PICTURE_MAX_MIB)
    if isinstance(given.get("file_id"), str):
        return str(given["file_id"])
    raise RequestRefused(
        f'{where} is a text, {{"image": "data:image/png;base64,..."}} or {{"file_id": ...}}', param=where
    )


def _dimensions_check(wanted: object, model: str, dimensions: int) -> None:
    if wanted is not None and wanted != dimensions:
        raise RequestRefused(
            f"'{model}' gives {dimensions} dimensions and cannot be cut to {wanted!r}; leave dimensions out",
            param="dimensions",
        )


def _encoded(row: Vectors, encoding: str) -> list[float] | str:
    if encoding == "base64":
        return base64.b64encode(np.ascontiguousarray(row, dtype="<f4").tobytes()).decode()
    return [float(value) for value in row]
