"""What mails of both kinds share: the first block with subject, people and date."""

from __future__ import annotations

from collections.abc import Sequence

from inference.parsing.blocks import Assembly, flat


def add_mail_head(assembly: Assembly, fields: Sequence[tuple[str, str]], level: int) -> None:
    """Add the fields of a mail as one block and enter its subject as the heading of what follows."""
    shown = [(name, flat(value)) for name, value in fields if flat(value)]
    subject = next((value for name, value in shown if name == "Subject"), "")
    assembly.enter(subject, level)
    assembly.add("\n".join(f"{name}: {value}" for name, value in shown))


def add_mail_text(assembly: Assembly, text: str) -> None:
    """Add the paragraphs of a plain text body."""
    for paragraph in text.replace("\r\n", "\n").replace("\xa0", " ").split("\n\n"):
        assembly.add(paragraph)
