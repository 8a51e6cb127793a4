"""``./cloister search [TEXT] [--image FILE] --collection NAME``: search by words, by a picture, or by both."""

from __future__ import annotations

from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from core.cli.client import Client
from core.cli.document_command import DocumentCommand, anchor_text, usage_error
from core.cli.output import Outcome
from inference.values import SEGMENT_KINDS


class Command(DocumentCommand):
    help = "Searches a collection by words, by a picture, or by both."

    def add_arguments(self, parser: ArgumentParser) -> None:
        super().add_arguments(parser)
        parser.add_argument("text", nargs="?", help="what to look for")
        parser.add_argument("--image", type=Path, metavar="FILE", help="a picture to search with")
        parser.add_argument("--collection", required=True, help="name or id")
        parser.add_argument("--kind", action="append", choices=SEGMENT_KINDS, help="only this kind; may be repeated")
        parser.add_argument("--limit", type=int, default=10, help="hits wanted (1 to 100)")

    def run(self, client: Client, options: dict[str, Any]) -> Outcome:
        if not options["text"] and options["image"] is None:
            return usage_error("usage", "give TEXT, --image FILE, or both")
        if options["image"] is not None and not options["image"].is_file():
            return usage_error("no_such_file", f"there is no {options['image']}")
        found = client.search(
            collection=options["collection"],
            text=options["text"],
            image=options["image"],
            kinds=options["kind"] or [],
            limit=options["limit"],
        )
        lines = [line for hit in found["hits"] for line in _lines(hit)]
        return Outcome(data=found, text="\n".join([*lines, f"{len(found['hits'])} hits in {found['took_ms']:.0f} ms"]))


def _lines(hit: dict[str, Any]) -> tuple[str, str]:
    where = anchor_text(hit["anchor"])
    head = f"{hit['rank']:>2}. {hit['document']['title']} [{hit['kind']}, {where}] {hit['score']:.4f}"
    return head, "    " + " ".join(hit["snippet"].split())
