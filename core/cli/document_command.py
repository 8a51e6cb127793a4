"""What the commands about documents share: a client of the API, progress on stderr, and exit codes."""

from __future__ import annotations

import abc
import sys
from typing import Any

from core.cli.client import ApiError, Client
from core.cli.output import Outcome, OutcomeCommand

EXIT_OK = 0
EXIT_FAILED = 1
EXIT_USAGE = 2

WRONG_REQUEST = (400, 404)
"""HTTP status that means that the command was called with something that cannot be."""


class DocumentCommand(OutcomeCommand):
    """A command that talks to the HTTP API like any client."""

    def outcome(self, **options: Any) -> Outcome:
        """Run the command; a request that can never work ends with exit code 2."""
        try:
            return self.run(Client(), options)
        except ApiError as error:
            if error.status not in WRONG_REQUEST:
                raise
            return usage_error(error.code, str(error))

    @abc.abstractmethod
    def run(self, client: Client, options: dict[str, Any]) -> Outcome:
        """Do the command's work."""


def usage_error(code: str, message: str) -> Outcome:
    """Return the outcome of a command that was called with something that cannot be."""
    return Outcome(data={"error": {"code": code, "message": message}}, text=message, exit_code=EXIT_USAGE)


def note(line: str, *, end: str = "\n") -> None:
    """Write progress to stderr at once."""
    sys.stderr.write(line + end)
    sys.stderr.flush()


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
