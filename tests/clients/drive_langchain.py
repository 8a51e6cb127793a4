"""langchain-openai in its own virtual environment; see cases.py."""

from __future__ import annotations

from typing import Any

from cases import given, raised_by, run
from langchain_core.messages import HumanMessage, SystemMessage
from langchain_openai import ChatOpenAI, OpenAIEmbeddings
from pydantic import BaseModel

ASKED = given()
PLACE = {"base_url": ASKED["url"], "api_key": ASKED["token"], "max_retries": 0, "timeout": 240}
TALK = [SystemMessage("Answer briefly."), HumanMessage("Name three colours.")]


class Person(BaseModel):
    """Somebody."""

    name: str
    age: int


def model(**fields: Any) -> ChatOpenAI:
    return ChatOpenAI(**{"model": "smollm2-135m-instruct", "max_tokens": 60, "temperature": 0, **PLACE, **fields})


def whole() -> Any:
    answer = model().invoke(TALK)
    return {"text": answer.content, "usage": answer.usage_metadata}


def streamed() -> Any:
    chunks = list(model(stream_usage=True).stream(TALK))
    return {
        "text": "".join(chunk.content for chunk in chunks),
        "pieces": len(chunks),
        "usage": [chunk.usage_metadata for chunk in chunks if chunk.usage_metadata],
    }


def structured() -> Any:
    asked = model().with_structured_output(Person, method="json_schema")
    return asked.invoke("Ada is 36 years old. Give her name and age.").model_dump()


def grounded() -> Any:
    answer = model(extra_body={"collection": ASKED["collection"]}).invoke(ASKED["question"])
    return answer.content


def embeddings() -> Any:
    # Token ids would be those of another model's vocabulary, and that vocabulary would have to be downloaded.
    embedder = OpenAIEmbeddings(
        model="all-minilm-l6-v2",
        base_url=ASKED["url"],
        api_key=ASKED["token"],
        check_embedding_ctx_length=False,
    )
    return [*embedder.embed_documents(["a boat comes into the harbour", "tax law"]), embedder.embed_query("a ship")]


def unknown_model() -> Any:
    return raised_by(lambda: model(model="gpt-4o").invoke(TALK))


run([whole, streamed, structured, grounded, embeddings, unknown_model])
