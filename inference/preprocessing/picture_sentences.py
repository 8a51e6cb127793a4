"""Sentences over the facts of one picture: its caption, and answers to questions about it or a refusal."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from inference.preprocessing.picture_facts import LINE_CONFIDENCE
from inference.preprocessing.picture_head import UNKNOWN
from inference.values import PictureFact, TextLine

CANNOT_TELL = "That cannot be told from this picture by the composed description."

_QUOTED_CHARACTERS = 240
_SEEN = {
    "table": "table",
    "photo": "photograph",
    "signature": "signature",
    "barcode": "barcode",
    "chart": "chart",
}
_IMPLIED = {("table", "table"), ("photo", "photograph"), ("barcode", "barcode"), ("chart", "chart")}
_PAGES = ("page of text", "letter", "form", "invoice or receipt", "presentation slide", "document page")
_STOP_WORDS = frozenset(
    re.findall(
        r"[a-z]+",
        """a an and any are at be by can contain contains do does for from has have how i in is it its many much of on
        or picture image photo photograph say says see seen show shown shows tell that the there this to was what when
        where which who why with you""",
    )
)
_STATEMENTS = {
    "chart": "Likely {named} ({confidence:.2f}).",
    "kind": "Likely {named} ({confidence:.2f}).",
    "colours": "The colours are {value}.",
    "brightness": "The picture is {value}.",
    "orientation": "It is likely {value} ({confidence:.2f}).",
    "text": 'The text in the picture reads: "{quoted}".',
    "code": 'The barcode reads "{quoted}".',
}
# The first subject whose words stand in the question is what it asks about.
_SUBJECTS: Mapping[str, frozenset[str]] = {
    "code": frozenset(("decode", "decoded", "encode", "encodes", "encoded")),
    "barcode": frozenset(("barcode", "barcodes", "qr")),
    "signature": frozenset(("signature", "signatures", "signed", "sign", "signs")),
    "table": frozenset(("table", "tables")),
    "chart": frozenset(("bar", "bars", "chart", "charts", "graph", "plot", "plotted")),
    "orientation": frozenset(("orientation", "rotated", "sideways", "turned", "upright", "upside")),
    "colours": frozenset(("colour", "colours", "color", "colors")),
    "brightness": frozenset(("dark", "bright", "brightness")),
    "kind": frozenset(
        re.findall(
            r"[a-z]+",
            "diagram document drawing form handwriting invoice kind letter map page receipt screenshot slide type",
        )
    ),
}


def caption(facts: Mapping[str, PictureFact]) -> str:
    """Compose a caption of what is known; absence is said only of tables, where a reader would look for one."""
    sentences = [_subject_sentence(facts)]
    kind = facts["kind"].value
    sentences += [
        _presence_sentence(name, facts[name])
        for name in _SEEN
        if facts[name].value == "yes" and (name, kind) not in _IMPLIED
    ]
    if facts["table"].value == "no" and (kind == "chart" or kind in _PAGES):
        sentences.append("No table seen.")
    if "turn" in facts["orientation"].value:
        sentences.append(f"{_capital(facts['orientation'].value)}.")
    if _known(facts, "code"):
        sentences.append(f'The barcode reads "{_quoted(facts["code"].value)}".')
    if _known(facts, "text"):
        # The words themselves are OCR's result and stand beside the caption; repeated here they would be found twice.
        sentences.append("It holds text." if sentences[0] else "A picture that holds text.")
    if _known(facts, "colours"):
        sentences.append(f"Colours: {facts['colours'].value}.")
    if not (sentences[0] or _known(facts, "text")):
        sentences[0] = "A picture whose content is not known."
    return " ".join(sentence for sentence in sentences if sentence)


def answer(question: str, lines: Sequence[TextLine], facts: Mapping[str, PictureFact]) -> str:
    """Answer from the facts, from a line that shares a word with the question, or say that it cannot be told."""
    words = re.findall(r"[^\W_]+", question.lower())
    subject = _subject(words)
    if subject is not None:
        return _statement(subject, facts)
    asked = set(words) - _STOP_WORDS
    for line in lines:
        if line.confidence >= LINE_CONFIDENCE and asked & set(re.findall(r"[^\W_]+", line.text.lower())):
            return f'A line in the picture reads: "{_quoted(line.text.strip())}".'
    return CANNOT_TELL if asked else caption(facts)


def _subject_sentence(facts: Mapping[str, PictureFact]) -> str:
    chart, kind, content = facts["chart"], facts["kind"], facts["content"]
    if chart.value.endswith((" chart", "plot", "map", " bars")):
        return f"Likely a {chart.value} ({chart.confidence:.2f})."
    if _known(facts, "content"):
        return f"Likely a photograph of: {content.value} ({content.confidence:.2f})."
    if _known(facts, "kind"):
        return f"Likely {_article(kind.value)} ({kind.confidence:.2f})."
    return ""


def _presence_sentence(name: str, fact: PictureFact) -> str:
    return f"{_capital(_article(_SEEN[name]))} is seen ({fact.confidence:.2f})."


def _subject(words: Sequence[str]) -> str | None:
    said = set(words)
    if said & {"text", "written", "read", "reads", "words"} or ({"what", "say"} <= said or {"what", "says"} <= said):
        return "code" if said & _SUBJECTS["barcode"] else "text"
    for name, meant in _SUBJECTS.items():
        if said & meant:
            return name
    if {"is", "photograph"} <= said or {"is", "photo"} <= said:
        return "photo" if said & {"a", "there"} and not said - _STOP_WORDS else "content"
    if said & {"animal", "object", "shown", "depicted"} or not said - _STOP_WORDS:
        return "content"
    return None


def _statement(subject: str, facts: Mapping[str, PictureFact]) -> str:
    fact = facts[subject]
    if fact.value == UNKNOWN:
        return CANNOT_TELL
    if subject in _SEEN and fact.value == "no":
        return f"No {_SEEN[subject]} seen ({fact.confidence:.2f})."
    if subject in _SEEN and fact.value == "yes":
        return _presence_sentence(subject, fact)
    return _STATEMENTS.get(subject, "It likely shows: {value}.").format(
        value=fact.value, quoted=_quoted(fact.value), named=_article(fact.value), confidence=fact.confidence
    )


def _known(facts: Mapping[str, PictureFact], name: str) -> bool:
    return facts[name].value != UNKNOWN


def _article(name: str) -> str:
    return f"an {name}" if name[0] in "aeiou" else f"a {name}"


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]


def _quoted(text: str) -> str:
    flat = " ".join(text.split())
    return flat if len(flat) <= _QUOTED_CHARACTERS else f"{flat[:_QUOTED_CHARACTERS].rsplit(' ', 1)[0]} …"
