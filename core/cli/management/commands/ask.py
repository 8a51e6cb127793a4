"""``./cloister ask QUESTION --collection NAME``: a streamed answer with its citations."""

from __future__ import annotations

import time
from argparse import ArgumentParser
from typing import Any

from core.cli.client import Client
from core.cli.document_command import EXIT_FAILED, DocumentCommand, anchor_text, note
from core.cli.output import Outcome


class Command(DocumentCommand):
    help = "Asks a question about a collection; every sentence of the answer is cited or marked as unsupported."

    def add_arguments(self, parser: ArgumentParser) -> None:
        super().add_arguments(parser)
        parser.add_argument("question")
        parser.add_argument("--collection", required=True, help="name or id")
        parser.add_argument("--follow", metavar="ANSWER_ID", help="go on with the conversation of an earlier answer")

    def run(self, client: Client, options: dict[str, Any]) -> Outcome:
        started = time.perf_counter()
        answer: dict[str, Any] = {}
        for event, data in client.ask(
            options["question"], collection=options["collection"], conversation=options["follow"]
        ):
            if event == "token":
                note(data["text"], end="")
            elif event in ("done", "error"):
                answer = data
        note("")
        if answer.get("state") == "failed" or not answer:
            message = answer.get("error") or "the stream ended early; ask again"
            data = {"error": {"code": "answer_failed", "message": message}}
            return Outcome(data=data, text=message, exit_code=EXIT_FAILED)
        took_ms = round((time.perf_counter() - started) * 1000, 1)
        return Outcome(data={**answer, "took_ms": took_ms}, text="\n".join(_lines(answer)))


def _lines(answer: dict[str, Any]) -> list[str]:
    lines = [answer["answer"]]
    if condensed := _condensed(answer["evidence"].get("condensed")):
        lines.append(f"  understood as: {condensed}")
    for citation in answer["citations"]:
        where = anchor_text(citation["anchor"])
        lines.append(f'  [{citation["n"]}] {citation["document"]} {where}: "{citation["quote"]}"')
    nearest = answer["hits"][:3] if answer["refused"] else []
    lines.extend(
        f"  nearest: {hit['document']['title']} {anchor_text(hit['anchor'])}: {hit['snippet'][:100]}" for hit in nearest
    )
    return lines


def _condensed(value: Any) -> str:
    """Return the question that stands alone, from inside the documents it has words of."""
    while isinstance(value, dict) and "condensed" in value:
        value = value["condensed"]
    return str(value.get("question", "")) if isinstance(value, dict) else ""
