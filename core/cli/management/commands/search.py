"""``./cloister search [TEXT] [--image FILE] --collection NAME``: search by words, by a picture, or by both."""

from __future__ import annotations

from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from core.cli.client import Client
from core.cli.document_command import EXIT_OK, EXIT_USAGE, DocumentCommand, anchor_text
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

    def run(self, client: Client, options: dict[str, Any]) -> int:
        if not options["text"] and options["image"] is None:
            return self.failed("usage", "give TEXT, --image FILE, or both", options, EXIT_USAGE)
        if options["image"] is not None and not options["image"].is_file():
            return self.failed("no_such_file", f"there is no {options['image']}", options, EXIT_USAGE)
        found = client.search(
            collection=options["collection"],
            text=options["text"],
            image=options["image"],
            kinds=options["kind"] or [],
            limit=options["limit"],
        )
        if options["json"]:
            self.print_json(found)
            return EXIT_OK
        for hit in found["hits"]:
            where = anchor_text(hit["anchor"])
            self.stdout.write(
                f"{hit['rank']:>2}. {hit['document']['title']} [{hit['kind']}, {where}] {hit['score']:.4f}"
            )
            self.stdout.write("    " + " ".join(hit["snippet"].split()))
        self.stdout.write(f"{len(found['hits'])} hits in {found['took_ms']:.0f} ms")
        return EXIT_OK
