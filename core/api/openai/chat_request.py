"""Reads the body of /v1/chat/completions: what is supported is checked, what is not is refused by name."""

from __future__ import annotations

import base64
import binascii
import dataclasses
import json
import secrets
from collections.abc import Mapping
from typing import Any, Literal, TypeAlias

from jsonschema.exceptions import SchemaError  # type: ignore[import-untyped]
from jsonschema.validators import validator_for  # type: ignore[import-untyped]

from core.api.openai.base import fields_checked
from core.api.openai.errors import RequestRefused
from core.api.openai.models import ServedModel, model_named
from core.chat_stream import ChatTurn

STOP_MAX = 4
MESSAGES_MAX = 512
PICTURES_MAX = 8
PICTURE_MAX_MIB = 32
SCHEMA_MAX_KIB = 64
TOKENS_MAX = 1_000_000
SEED_BITS = 31

KNOWN = frozenset(
    {
        "model",
        "messages",
        "stream",
        "stream_options",
        "stop",
        "seed",
        "max_tokens",
        "max_completion_tokens",
        "temperature",
        "response_format",
        "collection",
    }
)
IGNORED = frozenset({"user", "metadata", "store", "service_tier", "parallel_tool_calls", "safety_identifier"})
"""They say who asks and how it is billed; nothing of it changes an answer here."""

DEFAULTS: Mapping[str, tuple[Any, ...]] = {
    "n": (1,),
    "top_p": (1,),
    "presence_penalty": (0,),
    "frequency_penalty": (0,),
    "logit_bias": ({},),
    "logprobs": (False,),
    "tools": ([],),
    "tool_choice": ("none", "auto"),
    "functions": ([],),
    "modalities": (["text"],),
}
"""Fields that clients send at their default; any other value is refused, for it would not be heeded."""

_ROLES: Mapping[str, Literal["system", "user", "assistant"]] = {
    "system": "system",
    "developer": "system",
    "user": "user",
    "assistant": "assistant",
}

PictureSource: TypeAlias = bytes | str
"""The bytes of a data URL, or the id of a file."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class ChatAsked:
    """A checked request.

    Attributes:
        pictures: Of the last message that has any, in order.
        seed: As sent; drawn where none was.
        collection: Name or id; with one, the answer comes from its documents.
    """

    model: ServedModel
    turns: tuple[ChatTurn, ...]
    pictures: tuple[PictureSource, ...]
    stream: bool
    include_usage: bool
    stop: tuple[str, ...]
    seed: int
    max_tokens: int | None
    temperature: float
    json_schema: dict[str, Any] | None
    collection: str | None


def chat_read(body: object) -> ChatAsked:
    """Check the body of a chat request.

    Raises:
        RequestRefused: Something in it is wrong or would not be heeded; the message names it.
    """
    fields = fields_checked(_without_defaults(body), known=KNOWN, ignored=IGNORED)
    model = model_named(fields.get("model"), roles=("language", "vision"))
    turns, pictures = _messages(fields.get("messages"))
    if model.role == "vision" and not pictures:
        raise RequestRefused(f"'{model.id}' answers questions about a picture: send one", param="messages")
    stream = _boolean(fields, "stream")
    collection = fields.get("collection")
    if collection is not None and not isinstance(collection, str):
        raise RequestRefused("collection is a name or an id", param="collection")
    return ChatAsked(
        model=model,
        turns=turns,
        pictures=pictures,
        stream=stream,
        include_usage=_include_usage(fields, stream=stream),
        stop=_stop(fields.get("stop")),
        seed=_integer(fields, "seed", low=-(2**63), high=2**63) or 0
        if "seed" in fields
        else secrets.randbits(SEED_BITS),
        max_tokens=_max_tokens(fields),
        temperature=_temperature(fields.get("temperature", 0.0)),
        json_schema=_json_schema(fields.get("response_format")),
        collection=collection,
    )


def _without_defaults(body: object) -> object:
    if not isinstance(body, dict):
        return body
    for name, allowed in DEFAULTS.items():
        value = body.get(name)
        if value is not None and value not in allowed:
            raise RequestRefused(
                f"{name}={value!r} is not supported; leave it out or send {allowed[0]!r}",
                param=name,
                code="unsupported_parameter",
            )
    return {name: value for name, value in body.items() if name not in DEFAULTS}


def _messages(messages: object) -> tuple[tuple[ChatTurn, ...], tuple[PictureSource, ...]]:
    if not isinstance(messages, list) or not messages:
        raise RequestRefused("messages is a list of at least one message", param="messages")
    if len(messages) > MESSAGES_MAX:
        raise RequestRefused(
            f"there are {len(messages)} messages; the limit is {MESSAGES_MAX}", param="messages", status=413
        )
    turns: list[ChatTurn] = []
    found: list[PictureSource] = []
    for index, message in enumerate(messages):
        where = f"messages[{index}]"
        if not isinstance(message, dict) or message.get("role") not in tuple(_ROLES):
            raise RequestRefused(
                f"{where}.role is one of {', '.join(_ROLES)}; tools are not offered", param=f"{where}.role"
            )
        text, shown = _content(message.get("content"), f"{where}.content")
        turns.append(ChatTurn(role=_ROLES[message["role"]], content=text))
        # A later question without a picture of its own is about the last one that was shown.
        found = shown or found
    if len(found) > PICTURES_MAX:
        raise RequestRefused(
            f"there are {len(found)} pictures; the limit is {PICTURES_MAX}", param="messages", status=413
        )
    return tuple(turns), tuple(found)


def _content(content: object, where: str) -> tuple[str, list[PictureSource]]:
    if isinstance(content, str):
        return content, []
    if not isinstance(content, list) or not content:
        raise RequestRefused(f"{where} is text or a list of parts", param=where)
    texts: list[str] = []
    pictures: list[PictureSource] = []
    for index, part in enumerate(content):
        inner = f"{where}[{index}]"
        if not isinstance(part, dict):
            raise RequestRefused(f"{inner} is an object with a type", param=inner)
        if part.get("type") == "text" and isinstance(part.get("text"), str):
            texts.append(part["text"])
        else:
            pictures.append(_picture(part, inner))
    return "\n".join(texts), pictures


def _picture(part: Mapping[str, Any], where: str) -> PictureSource:
    kind = part.get("type")
    inner = part.get(str(kind))
    if kind == "image_url":
        address = inner.get("url") if isinstance(inner, dict) else inner
        if isinstance(address, str) and address.startswith("data:"):
            return data_url_bytes(address, where=f"{where}.image_url", limit_mib=PICTURE_MAX_MIB)
        if isinstance(address, str) and address:
            return address
    if kind in ("image_file", "file") and isinstance(inner, dict):
        if isinstance(inner.get("file_id"), str):
            return str(inner["file_id"])
        if isinstance(inner.get("file_data"), str):
            return data_url_bytes(inner["file_data"], where=f"{where}.file", limit_mib=PICTURE_MAX_MIB)
    raise RequestRefused(
        f"{where} is not supported: send a part of type text, image_url with a data URL, or image_file with a file_id",
        param=where,
    )


def data_url_bytes(url: str, *, where: str, limit_mib: int) -> bytes:
    """Return the bytes of a base64 data URL.

    Raises:
        RequestRefused: It is none, or over the limit.
    """
    head, comma, encoded = url.partition(",")
    if not (head.startswith("data:") and head.endswith(";base64") and comma):
        raise RequestRefused(f"{where} is not a data URL such as data:image/png;base64,...", param=where)
    if len(encoded) * 3 // 4 > limit_mib * 2**20:
        raise RequestRefused(f"{where} is over the limit of {limit_mib} MiB", param=where, status=413)
    try:
        return base64.b64decode(encoded, validate=True)
    except binascii.Error as error:
        raise RequestRefused(f"{where} is not base64: {error}", param=where) from error


def _include_usage(fields: Mapping[str, Any], *, stream: bool) -> bool:
    options = fields.get("stream_options")
    if options is None:
        return False
    if not stream or not isinstance(options, dict):
        raise RequestRefused("stream_options is an object and goes with stream=true", param="stream_options")
    return options.get("include_usage") is True


def _stop(stop: object) -> tuple[str, ...]:
    if stop is None:
        return ()
    found = [stop] if isinstance(stop, str) else stop
    if not isinstance(found, list) or len(found) > STOP_MAX or not all(isinstance(s, str) and s for s in found):
        raise RequestRefused(f"stop is a text or a list of at most {STOP_MAX} texts", param="stop")
    return tuple(found)


def _max_tokens(fields: Mapping[str, Any]) -> int | None:
    name = "max_completion_tokens" if "max_completion_tokens" in fields else "max_tokens"
    return _integer(fields, name, low=1, high=TOKENS_MAX)


def _temperature(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 2:
        raise RequestRefused("temperature is a number from 0 to 2", param="temperature")
    return float(value)


def _integer(fields: Mapping[str, Any], name: str, *, low: int, high: int) -> int | None:
    value = fields.get(name)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
        raise RequestRefused(f"{name} is a whole number from {low} to {high}", param=name)
    return value


def _boolean(fields: Mapping[str, Any], name: str) -> bool:
    value = fields.get(name, False)
    if not isinstance(value, bool):
        raise RequestRefused(f"{name} is true or false", param=name)
    return value


def _json_schema(wanted: object) -> dict[str, Any] | None:
    kind = wanted.get("type") if isinstance(wanted, dict) else wanted
    if kind is None or kind == "text":
        return None
    if kind == "json_object":
        return {"type": "object"}
    schema = wanted.get("json_schema") if isinstance(wanted, dict) and kind == "json_schema" else None
    inner = schema.get("schema") if isinstance(schema, dict) else None
    if not isinstance(inner, dict):
        raise RequestRefused(
            "response_format is of type text, json_object, or json_schema with a schema in json_schema.schema",
            param="response_format",
        )
    _schema_check(inner)
    return inner


def _schema_check(schema: dict[str, Any]) -> None:
    size_bytes = len(json.dumps(schema))
    if size_bytes > SCHEMA_MAX_KIB * 1024:
        raise RequestRefused(
            f"the schema has {size_bytes} bytes; the limit is {SCHEMA_MAX_KIB} KiB", param="response_format", status=413
        )
    try:
        validator_for(schema).check_schema(schema)
    except SchemaError as error:
        raise RequestRefused(
            f"response_format.json_schema.schema is no JSON schema: {error.message[:200]}", param="response_format"
        ) from error
