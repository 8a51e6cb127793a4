"""What a generative model is asked about a picture; the same words for every engine."""

from __future__ import annotations

import re

from inference.preprocessing.chat import text_inert
from inference.values import PictureFact, PictureToDescribe

_DESCRIBE = "Describe this picture in at most three sentences. State only what is seen in it."
_TABLE = "Write the table in this picture as a Markdown table. Write nothing else."
_ANSWER = "Answer from this picture alone, in one sentence. If it does not show the answer, say that it does not."
_LINES_MAX = 60
_TAG = re.compile(r"<(?=[a-z_/|])")
"""Models mark the place of a picture by tags such as ``<image>``; in what people wrote they must stay words."""


def picture_prompt(request: PictureToDescribe) -> str:
    """Return the words that go with a picture: the task, the question, and the lines that OCR read in it."""
    if request.question is not None:
        task = f"{_ANSWER}\nQuestion: {_words(request.question)}"
    else:
        task = _TABLE if request.task == "table" else _DESCRIBE
    lines = [_words(line.text) for line in request.lines[:_LINES_MAX]]
    return "\n".join([task, "Text that was read in it:", *lines]) if lines else task


def _words(text: str) -> str:
    return _TAG.sub("< ", text_inert(text))


def text_fact(request: PictureToDescribe) -> tuple[PictureFact, ...]:
    """Return what OCR read as a fact, as certain as its least certain line; none without lines."""
    if not request.lines:
        return ()
    certain = min(line.confidence for line in request.lines)
    return (PictureFact(name="text", value=" / ".join(line.text for line in request.lines), confidence=certain),)
