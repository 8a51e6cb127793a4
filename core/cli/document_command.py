"""What the commands about documents share: a client, --json, progress on stderr, and exit codes."""

from __future__ import annotations

import abc
import json
import sys
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand

from core.cli.client import ApiError, Client, NotRunning

EXIT_OK = 0
EXIT_FAILED = 1
EXIT_USAGE = 2


class DocumentCommand(BaseCommand, abc.ABC):
    """A command that talks to the HTTP API like any client."""

    requires_system_checks: list[str] = []

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Add --json and --url to every command."""
        parser.add_argument("--json", action="store_true", help="print one JSON object on stdout")

    def handle(self, **options: Any) -> None:
        """Run the command; an error of the server becomes its sentence and exit code 1 (or 2 for a wrong request)."""
        try:
            code = self.run(Client(), options)
        except NotRunning as error:
            code = self.failed("not_running", str(error), options, EXIT_FAILED)
        except ApiError as error:
            exit_code = EXIT_USAGE if error.status in (400, 404) else EXIT_FAILED
            code = self.failed(error.code, str(error), options, exit_code)
        sys.exit(code)

    @abc.abstractmethod
    def run(self, client: Client, options: dict[str, Any]) -> int:
        """Do the command's work and return its exit code."""

    def failed(self, code: str, message: str, options: dict[str, Any], exit_code: int) -> int:
        """Say what went wrong: the sentence on stderr, and with --json the error object on stdout."""
        if options["json"]:
            self.print_json({"error": {"code": code, "message": message}})
        self.note(f"error: {message}")
        return exit_code

    def print_json(self, value: dict[str, Any]) -> None:
        """Print the command's one object."""
        self.stdout.write(json.dumps(value, ensure_ascii=False))

    def note(self, line: str, *, end: str = "\n") -> None:
        """Write progress to stderr at once."""
        self.stderr.write(line, style_func=lambda text: text, ending=end)
        self.stderr.flush()


def anchor_text(anchor: dict[str, Any]) -> str:
    """Return an anchor in words, as the tables of the command line show it."""
    part = f"{anchor['part']} " if anchor.get("part") else ""
    if "page" in anchor:
        return f"{part}page {anchor['page']}"
    if "start_s" in anchor:
        return f"{part}{anchor['start_s']:.1f}-{anchor['end_s']:.1f} s {anchor.get('speaker') or ''}".rstrip()
    if "frame_s" in anchor:
        return f"{part}frame {anchor['frame_s']:.1f} s"
    if "sheet" in anchor:
        return f"{part}{anchor['sheet']}!{anchor['cells']}"
    return f"{part}chars {anchor['start_char']}-{anchor['end_char']}"
