"""The openai client, newest and 1.x, in its own virtual environment; see cases.py."""

from __future__ import annotations

import base64
import json
import pathlib
import time
from typing import Any

from cases import given, raised_by, run
from openai import OpenAI

ASKED = given()
CLIENT = OpenAI(base_url=ASKED["url"], api_key=ASKED["token"], max_retries=0, timeout=240)
LANGUAGE, EMBEDDER, SPEECH = "smollm2-135m-instruct", "all-minilm-l6-v2", "whisper-base"
COLOURS = [{"role": "user", "content": "Name three colours."}]
FILES = {name: pathlib.Path(path) for name, path in ASKED["files"].items()}
PERSON = {
    "type": "object",
    "properties": {"name": {"type": "string"}, "age": {"type": "integer"}},
    "required": ["name", "age"],
    "additionalProperties": False,
}


def chat(**fields: Any) -> Any:
    return CLIENT.chat.completions.create(**{"model": LANGUAGE, "messages": COLOURS, "max_tokens": 16, **fields})


def data_url(name: str) -> str:
    return "data:image/jpeg;base64," + base64.b64encode(FILES[name].read_bytes()).decode()


def models() -> Any:
    return {one.id: one.role for one in CLIENT.models.list()}


def model() -> Any:
    return CLIENT.models.retrieve("speech").id


def whole() -> Any:
    return chat().model_dump()


def streamed() -> Any:
    chunks = list(chat(stream=True, stream_options={"include_usage": True}))
    return {
        "text": "".join(choice.delta.content or "" for chunk in chunks for choice in chunk.choices),
        "finish": [choice.finish_reason for chunk in chunks for choice in chunk.choices if choice.finish_reason],
        "usage": [chunk.usage.model_dump() for chunk in chunks if chunk.usage],
        "ids": sorted({chunk.id for chunk in chunks}),
        "pieces": len(chunks),
    }


def stopped() -> Any:
    message = [{"role": "user", "content": "Repeat exactly: one two three four five"}]
    free = chat(messages=message, max_tokens=40).choices[0].message.content
    stop = free.split()[2]
    return {
        "free": free,
        "stop": stop,
        "cut": chat(messages=message, max_tokens=40, stop=[stop]).choices[0].model_dump(),
    }


def seeds() -> Any:
    return [chat(temperature=1.5, seed=seed).choices[0].message.content for seed in (7, 7, 8)]


def json_schema() -> Any:
    form = {"type": "json_schema", "json_schema": {"name": "person", "schema": PERSON, "strict": True}}
    message = [{"role": "user", "content": "Ada is 36 years old. Give her name and age."}]
    return json.loads(chat(messages=message, max_tokens=80, response_format=form).choices[0].message.content)


def wrong_schema() -> Any:
    form = {"type": "json_schema", "json_schema": {"name": "x", "schema": {"type": "nonsense"}}}
    chat(response_format=form)


def picture() -> Any:
    parts = [
        {"type": "text", "text": "What is to be seen?"},
        {"type": "image_url", "image_url": {"url": data_url("photograph.jpg")}},
    ]
    return chat(messages=[{"role": "user", "content": parts}]).model_dump()


def picture_by_file() -> Any:
    with FILES["photograph.jpg"].open("rb") as opened:
        file = CLIENT.files.create(file=opened, purpose="vision")
    parts = [{"type": "text", "text": "What is it?"}, {"type": "image_url", "image_url": {"url": file.id}}]
    return chat(messages=[{"role": "user", "content": parts}]).choices[0].message.content


def picture_by_address() -> Any:
    parts = [{"type": "image_url", "image_url": {"url": "https://example.org/cat.png"}}]
    chat(messages=[{"role": "user", "content": parts}])


def grounded() -> Any:
    message = [{"role": "user", "content": ASKED["question"]}]
    return chat(messages=message, extra_body={"collection": ASKED["collection"]}).model_dump()


def grounded_stream() -> Any:
    message = [{"role": "user", "content": ASKED["question"]}]
    chunks = list(chat(messages=message, stream=True, extra_body={"collection": ASKED["collection"]}))
    return {
        "pieces": [choice.delta.content for chunk in chunks for choice in chunk.choices if choice.delta.content],
        "citations": chunks[-1].choices[0].delta.model_dump()["citations"],
    }


def hung_up() -> Any:
    message = [{"role": "user", "content": "Write a very long story about the sea and do not stop."}]
    stream = chat(messages=message, max_tokens=1800, stream=True)
    identifiers = [next(stream).id for _ in range(6)]
    stream.close()
    return {"chat": identifiers[-1].removeprefix("chatcmpl-"), "at_s": time.time()}


def embeddings() -> Any:
    # The client asks for base64 by itself and decodes it.
    answer = CLIENT.embeddings.create(
        model=EMBEDDER, input=["a boat comes into the harbour", "tax law", "a ship enters"]
    )
    plain = CLIENT.embeddings.create(model=EMBEDDER, input="tax law", encoding_format="float")
    return {
        "vectors": [one.embedding for one in answer.data],
        "plain": plain.data[0].embedding,
        "tokens": plain.usage.prompt_tokens,
    }


def picture_embedding() -> Any:
    answer = CLIENT.embeddings.create(model="image_text", input=[{"image": data_url("photograph.jpg")}])
    return len(answer.data[0].embedding)


def fewer_dimensions() -> Any:
    CLIENT.embeddings.create(model=EMBEDDER, input="x", dimensions=64)


def recording() -> Any:
    def heard(kind: str, **fields: Any) -> Any:
        with FILES["talk.wav"].open("rb") as opened:
            answer = CLIENT.audio.transcriptions.create(model=SPEECH, file=opened, response_format=kind, **fields)
        return answer if isinstance(answer, str) else answer.model_dump()

    times = {"verbose_json": {"timestamp_granularities": ["word", "segment"]}}
    return {kind: heard(kind, **times.get(kind, {})) for kind in ASKED["formats"]}


def translation() -> Any:
    with FILES["talk.wav"].open("rb") as opened:
        return CLIENT.audio.translations.create(model=SPEECH, file=opened).text


def no_recording() -> Any:
    CLIENT.audio.transcriptions.create(model=SPEECH, file=("song.mp3", b"no sound at all " * 50))


def files() -> Any:
    made = CLIENT.files.create(file=("note.txt", b"The pilot boards at buoy nine."), purpose="assistants")
    listed = [one.id for one in CLIENT.files.list()]
    content = CLIENT.files.content(made.id).read().decode()
    shown = CLIENT.files.retrieve(made.id).filename
    deleted = CLIENT.files.delete(made.id).deleted
    gone = raised_by(lambda: CLIENT.files.retrieve(made.id))
    return {"listed": made.id in listed, "content": content, "name": shown, "deleted": deleted, "gone": gone}


def vector_store() -> Any:
    store = next(one for one in CLIENT.vector_stores.list() if one.name == ASKED["collection"])

    def found(**fields: Any) -> Any:
        return [one.model_dump() for one in CLIENT.vector_stores.search(store.id, query=ASKED["question"], **fields)]

    only = {"type": "and", "filters": [{"type": "eq", "key": "kind", "value": "table"}]}
    return {
        "count": store.file_counts.total,
        "hits": found(max_num_results=3),
        "tables": found(filters=only),
        "newest": CLIENT.vector_stores.retrieve(store.id).id == store.id,
    }


def errors() -> Any:
    stranger = OpenAI(base_url=ASKED["url"], api_key="wrong", max_retries=0)
    limited = OpenAI(base_url=ASKED["url"], api_key=ASKED["limited_token"], max_retries=0)

    def until_limited() -> None:
        for _ in range(400):
            refused = raised_by(
                lambda: limited.chat.completions.create(
                    model=LANGUAGE, messages=COLOURS, extra_body={"collection": "none"}
                )
            )
            if refused is None or refused["status"] != 404:
                break
        limited.chat.completions.create(model=LANGUAGE, messages=COLOURS, extra_body={"collection": "none"})

    return {
        "400": raised_by(lambda: chat(n=2)),
        "401": raised_by(stranger.models.list),
        "401 chat": raised_by(lambda: stranger.chat.completions.create(model=LANGUAGE, messages=COLOURS)),
        "404": raised_by(lambda: chat(model="gpt-4o")),
        "404 collection": raised_by(lambda: chat(extra_body={"collection": "none"})),
        "window": raised_by(lambda: chat(messages=[{"role": "user", "content": "word " * 4000}])),
        "429": raised_by(until_limited),
    }


run(
    [
        models,
        model,
        whole,
        streamed,
        stopped,
        seeds,
        json_schema,
        wrong_schema,
        picture,
        picture_by_file,
        picture_by_address,
        grounded,
        grounded_stream,
        hung_up,
        embeddings,
        picture_embedding,
        fewer_dimensions,
        recording,
        translation,
        no_recording,
        files,
        vector_store,
        errors,
    ]
)
