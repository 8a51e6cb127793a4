"""llama-index's OpenAI-like classes in their own virtual environment; see cases.py."""

from __future__ import annotations

from typing import Any

from cases import given, raised_by, run
from llama_index.core.llms import ChatMessage
from llama_index.embeddings.openai_like import OpenAILikeEmbedding
from llama_index.llms.openai_like import OpenAILike

ASKED = given()
PLACE = {"api_base": ASKED["url"], "api_key": ASKED["token"], "max_retries": 0, "timeout": 240}
TALK = [ChatMessage(role="user", content="Name three colours.")]


def model(**fields: Any) -> OpenAILike:
    return OpenAILike(
        **{
            "model": "smollm2-135m-instruct",
            "is_chat_model": True,
            "context_window": 2048,
            "max_tokens": 40,
            "temperature": 0,
            **PLACE,
            **fields,
        }
    )


def whole() -> Any:
    answer = model().chat(TALK)
    return {"text": answer.message.content, "usage": answer.raw.usage.model_dump()}


def streamed() -> Any:
    pieces = [one.delta for one in model().stream_chat(TALK)]
    return {"text": "".join(piece or "" for piece in pieces), "pieces": len(pieces)}


def completed() -> Any:
    return model().complete("Name three colours.").text


def grounded() -> Any:
    asked = model(additional_kwargs={"extra_body": {"collection": ASKED["collection"]}})
    return asked.chat([ChatMessage(role="user", content=ASKED["question"])]).message.content


def embeddings() -> Any:
    embedder = OpenAILikeEmbedding(
        model_name="all-minilm-l6-v2", api_base=ASKED["url"], api_key=ASKED["token"], max_retries=0
    )
    texts = ["a boat comes into the harbour", "tax law"]
    return [*embedder.get_text_embedding_batch(texts), embedder.get_query_embedding("a ship")]


def unknown_model() -> Any:
    return raised_by(lambda: model(model="gpt-4o").chat(TALK))


run([whole, streamed, completed, grounded, embeddings, unknown_model])
