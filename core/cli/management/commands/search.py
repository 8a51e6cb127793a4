"""``./cloister search [TEXT] [--image FILE] --collection NAME``: search by words, by a picture, or by both.

Filters hold together: ``--speaker S2 --from-s 600`` is what the second speaker said after minute ten.
"""

from __future__ import annotations

import json
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from core.cli.client import Client
from core.cli.document_command import DocumentCommand, anchor_text, usage_error
from core.cli.output import Outcome
from core.search.neighbours import NEIGHBOURS_MAX
from inference.values import SEGMENT_KINDS

NARROWING = (
    "document",
    "media_type",
    "language",
    "speaker",
    "tag",
    "date_from",
    "date_to",
    "page_from",
    "page_to",
    "time_from_s",
    "time_to_s",
    "neighbours",
    "rerank",
)
"""Options that go to the API under their own names where they are given."""


class Command(DocumentCommand):
    help = "Searches a collection by words, by a picture, or by both."

    def add_arguments(self, parser: ArgumentParser) -> None:
        super().add_arguments(parser)
        parser.add_argument(
            "text", nargs="?", help="what to look for; quoted words stand together, word* is a beginning"
        )
        parser.add_argument("--image", type=Path, metavar="FILE", help="a picture to search with")
        parser.add_argument("--collection", required=True, help="name or id")
        parser.add_argument("--kind", action="append", choices=SEGMENT_KINDS, help="only this kind; may be repeated")
        parser.add_argument("--limit", type=int, default=10, help="hits wanted (1 to 100)")
        self._filters(parser)
        parser.add_argument(
            "--neighbours", type=int, choices=range(NEIGHBOURS_MAX + 1), help="turns or passages around each hit"
        )
        parser.add_argument("--group", choices=["document"], help="group the hits by document")
        parser.add_argument("--rerank", action="store_true", help="let the profile's reranker order the first hits")

    def _filters(self, parser: ArgumentParser) -> None:
        for name, shown in (
            ("document", "id of a document"),
            ("media-type", "type of the file, such as application/pdf"),
            ("language", "of the passage, such as de"),
            ("speaker", "label, such as S2"),
            ("tag", "of the document; all that are given"),
        ):
            parser.add_argument(f"--{name}", action="append", help=f"only this {shown}; may be repeated")
        parser.add_argument("--since", dest="date_from", metavar="DATE", help="documents dated YYYY-MM-DD or later")
        parser.add_argument("--until", dest="date_to", metavar="DATE", help="documents dated YYYY-MM-DD or before")
        parser.add_argument("--from-page", dest="page_from", type=int, metavar="N")
        parser.add_argument("--to-page", dest="page_to", type=int, metavar="N")
        parser.add_argument("--from-s", dest="time_from_s", type=float, metavar="S", help="second of the recording")
        parser.add_argument("--to-s", dest="time_to_s", type=float, metavar="S", help="exclusive")
        parser.add_argument(
            "--filter", metavar="JSON", help='such as {"type": "gte", "key": "metadata.year", "value": 2020}'
        )

    def run(self, client: Client, options: dict[str, Any]) -> Outcome:
        if not options["text"] and options["image"] is None:
            return usage_error("usage", "give TEXT, --image FILE, or both")
        if options["image"] is not None and not options["image"].is_file():
            return usage_error("no_such_file", f"there is no {options['image']}")
        further = {name: options[name] for name in NARROWING if options[name]}
        if options["group"]:
            further["group"] = options["group"]
        if options["filter"]:
            try:
                further["filter"] = json.loads(options["filter"])
            except ValueError as error:
                return usage_error("usage", f"--filter is not JSON: {error}")
        found = client.search(
            collection=options["collection"],
            text=options["text"],
            image=options["image"],
            kinds=options["kind"] or [],
            limit=options["limit"],
            **further,
        )
        lines = [line for hit in _shown(found) for line in _lines(hit)]
        return Outcome(data=found, text="\n".join([*lines, f"{len(found['hits'])} hits in {found['took_ms']:.0f} ms"]))


def _shown(found: dict[str, Any]) -> list[dict[str, Any]]:
    return [hit for group in found["groups"] for hit in group["hits"]] if "groups" in found else found["hits"]


def _lines(hit: dict[str, Any]) -> list[str]:
    where = anchor_text(hit["anchor"])
    also = f" (and {len(hit['duplicates'])} like it)" if hit["duplicates"] else ""
    head = f"{hit['rank']:>2}. {hit['document']['title']} [{hit['kind']}, {where}] {hit['score']:.4f}{also}"
    around = [
        f"    {one['position']:>6} [{anchor_text(one['anchor'])}] {' '.join(one['text'].split())}"
        for one in hit.get("neighbours", ())
    ]
    return [head, "    " + " ".join(hit["snippet"].split()), *around]
