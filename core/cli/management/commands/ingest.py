"""``./cloister ingest PATH... --collection NAME [--wait]``: send files, and follow them until they are searchable.

``--tag``, ``--meta KEY=VALUE`` and ``--date`` say what filters of a search find.
"""

from __future__ import annotations

import time
from argparse import ArgumentParser
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from core.cli.client import ApiError, Client
from core.cli.document_command import EXIT_FAILED, EXIT_OK, DocumentCommand, note, usage_error
from core.cli.output import Outcome
from core.documents.labels import metadata_value_read

PROGRESS_S = 3.0
WORKING_SHOWN = 4


class Command(DocumentCommand):
    help = "Sends files and folders into a collection; exit 0 when all are ready, 1 when some failed, 2 on wrong usage."

    def add_arguments(self, parser: ArgumentParser) -> None:
        super().add_arguments(parser)
        parser.add_argument("paths", nargs="+", type=Path, metavar="PATH", help="file or folder")
        parser.add_argument("--collection", required=True, help="name or id; a new name makes a collection")
        parser.add_argument("--tag", action="append", default=[], help="of every document sent; may be repeated")
        parser.add_argument(
            "--meta", action="append", default=[], metavar="KEY=VALUE", help="metadata; numbers and true are typed"
        )
        parser.add_argument("--date", help="date of the documents, YYYY-MM-DD")
        parser.add_argument("--wait", action="store_true", help="follow the documents until they are ready or failed")

    def run(self, client: Client, options: dict[str, Any]) -> Outcome:
        missing = [path for path in options["paths"] if not path.exists()]
        if missing:
            names = ", ".join(str(path) for path in missing)
            return usage_error("no_such_file", f"there is no {names}")
        untyped = [pair for pair in options["meta"] if "=" not in pair]
        if untyped:
            return usage_error("usage", f"--meta takes KEY=VALUE, not '{untyped[0]}'")
        documents = self._send(client, list(_files(options["paths"])), options["collection"], _labels(options))
        if options["wait"]:
            documents = self._follow(client, documents)
        failed = any(document["state"] == "failed" for document in documents)
        return Outcome(
            data={"documents": [_public(document) for document in documents]},
            text="\n".join(_line(document) for document in documents),
            exit_code=EXIT_FAILED if failed else EXIT_OK,
        )

    def _send(self, client: Client, files: list[Path], collection: str, labels: dict[str, Any]) -> list[dict[str, Any]]:
        documents = []
        for number, path in enumerate(files, start=1):
            note(f"[{number}/{len(files)}] sending {path.name}")
            try:
                documents.append(client.upload(path, collection=collection, labels=labels))
            except ApiError as error:
                # One refused file must not keep the others of the batch out.
                if error.status == 403:
                    raise
                documents.append(_refused(path, error))
        return documents

    def _follow(self, client: Client, sent: list[dict[str, Any]]) -> list[dict[str, Any]]:
        accepted = [document["id"] for document in sent if document["id"]]
        latest = {document["id"]: document for document in sent if document["id"]}
        for documents in follow(client, accepted):
            latest.update({document["id"]: document for document in documents})
        return [latest.get(document["id"], document) for document in sent]


def follow(client: Client, document_ids: Sequence[str]) -> Iterator[list[dict[str, Any]]]:
    """Yield the documents until all have ended, and tell stderr what ends and how far the others are."""
    ended: set[str] = set()
    told_s = time.monotonic()
    for documents in client.wait(document_ids):
        for document in documents:
            if document["state"] in ("ready", "failed") and document["id"] not in ended:
                ended.add(document["id"])
                note(f"[{len(ended)}/{len(document_ids)}] {_line(document)}")
        working = [document for document in documents if document["progress"]["stage"]]
        if working and time.monotonic() - told_s > PROGRESS_S:
            told_s = time.monotonic()
            note("  " + _working(working))
        yield documents


def _working(documents: Sequence[dict[str, Any]]) -> str:
    busiest = sorted(documents, key=lambda one: -one["progress"]["percent"])
    shown = [
        f"{one['title']} {one['progress']['stage']} {one['progress']['percent']} %" for one in busiest[:WORKING_SHOWN]
    ]
    more = len(documents) - len(shown)
    return ", ".join(shown) + (f" and {more} more" if more else "")


def _labels(options: dict[str, Any]) -> dict[str, Any]:
    pairs = (pair.partition("=") for pair in options["meta"])
    labels = {
        "tags": options["tag"],
        "metadata": {key: metadata_value_read(value) for key, _, value in pairs},
        "date": options["date"],
    }
    return {name: value for name, value in labels.items() if value}


def _files(paths: list[Path]) -> Iterator[Path]:
    for path in paths:
        if path.is_dir():
            yield from (one for one in sorted(path.rglob("*")) if one.is_file() and not one.name.startswith("."))
        else:
            yield path


def _refused(path: Path, error: ApiError) -> dict[str, Any]:
    return {
        "id": None,
        "path": str(path),
        "sha256": None,
        "state": "failed",
        "error": {"code": error.code, "message": str(error)},
        "segments": 0,
        "seconds": None,
    }


def _public(document: dict[str, Any]) -> dict[str, Any]:
    names = ("id", "path", "sha256", "state", "error", "segments", "seconds")
    return {name: document[name] for name in names} | {"note": document.get("note")}


def _line(document: dict[str, Any]) -> str:
    error = f": {document['error']['message']}" if document["error"] else ""
    remark = f": {document['note']}" if document.get("note") else ""
    took = f" in {document['seconds']:.1f} s" if document["seconds"] is not None else ""
    return f"{document['state']} {document['path']} ({document['segments']} segments{took}){error}{remark}"
