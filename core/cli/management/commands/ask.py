"""``./cloister ask QUESTION --collection NAME``: a streamed answer with its citations."""

from __future__ import annotations

import time
from argparse import ArgumentParser
from typing import Any

from core.cli.client import Client
from core.cli.document_command import EXIT_FAILED, EXIT_OK, DocumentCommand, anchor_text


class Command(DocumentCommand):
    help = "Asks a question about a collection; every sentence of the answer is cited or marked as unsupported."

    def add_arguments(self, parser: ArgumentParser) -> None:
        super().add_arguments(parser)
        parser.add_argument("question")
        parser.add_argument("--collection", required=True, help="name or id")

    def run(self, client: Client, options: dict[str, Any]) -> int:
        started = time.perf_counter()
        answer: dict[str, Any] = {}
        for event, data in client.ask(options["question"], collection=options["collection"]):
            if event == "token":
                self.note(data["text"], end="")
            elif event in ("done", "error"):
                answer = data
        self.note("")
        if answer.get("state") == "failed" or not answer:
            return self.failed("answer_failed", answer.get("error") or "the stream ended early", options, EXIT_FAILED)
        took_ms = round((time.perf_counter() - started) * 1000, 1)
        if options["json"]:
            self.print_json({**answer, "took_ms": took_ms})
            return EXIT_OK
        self.stdout.write(answer["answer"])
        for citation in answer["citations"]:
            where = anchor_text(citation["anchor"])
            self.stdout.write(f'  [{citation["n"]}] {citation["document"]} {where}: "{citation["quote"]}"')
        if answer["refused"]:
            for hit in answer["hits"][:3]:
                self.stdout.write(
                    f"  nearest: {hit['document']['title']} {anchor_text(hit['anchor'])}: {hit['snippet'][:100]}"
                )
        return EXIT_OK
