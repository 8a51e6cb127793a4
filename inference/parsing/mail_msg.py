"""Mails as Outlook saves them: head, body, attachments as files."""

from __future__ import annotations

import struct
from pathlib import Path

from oxmsg import Message
from oxmsg.attachment import Attachment

from inference.errors import DamagedFile
from inference.parsing.base import Parsed, ParseRequest
from inference.parsing.blocks import Assembly, flat
from inference.parsing.encoding import decoded, without_controls
from inference.parsing.html import add_markup, data_picture, html_root
from inference.parsing.mail import add_mail_head, add_mail_text
from inference.parsing.package import read_bytes
from inference.parsing.registry import source_info
from inference.values import SourceInfo

_HTML_PROPERTY = 0x1013
_DAMAGE = (
    OSError,
    ValueError,
    KeyError,
    IndexError,
    AssertionError,
    UnicodeError,
    LookupError,
    struct.error,
    TypeError,
)


def probe(path: Path, hint: str) -> SourceInfo:
    """Read the subject."""
    message = _message(path)
    try:
        return source_info(hint, title=flat(without_controls(message.subject)) or None)
    except _DAMAGE as error:
        raise DamagedFile(f"'{path.name}' cannot be read as an Outlook mail: {error}") from error


def parse(path: Path, info: SourceInfo, request: ParseRequest) -> Parsed:  # noqa: ARG001
    """Read the whole mail."""
    message = _message(path)
    assembly = Assembly(path.name, request.limits)
    try:
        _add(assembly, message)
    except _DAMAGE as error:
        raise DamagedFile(f"'{path.name}' cannot be read as an Outlook mail: {error}") from error
    return assembly.parsed()


def _message(path: Path) -> Message:
    data = read_bytes(path)
    try:
        return Message.load(data)
    except _DAMAGE as error:
        raise DamagedFile(f"'{path.name}' cannot be read as an Outlook mail: {error}") from error


def _add(assembly: Assembly, message: Message) -> None:
    files = [(_file_name(attachment, number), attachment) for number, attachment in enumerate(message.attachments, 1)]
    add_mail_head(
        assembly,
        [
            ("Subject", message.subject),
            ("From", message.sender or ""),
            ("To", ", ".join(_people(message))),
            ("Date", message.sent_date.isoformat(sep=" ", timespec="minutes") if message.sent_date else ""),
            ("Attachments", ", ".join(name for name, _ in files)),
        ],
        0,
    )
    body = message.body
    if body and body.strip():
        add_mail_text(assembly, without_controls(body.replace("\r\n", "\n")))
    else:
        page = _page(message)
        if page.strip():
            add_markup(assembly, html_root(page, assembly.name), data_picture)
    for name, attachment in files:
        data = attachment.file_bytes
        if data:
            assembly.attachment(name, data)


def _page(message: Message) -> str:
    # Outlook's own field for the encoding is often wrong; the page's is not.
    data = message.properties.binary_prop_value(_HTML_PROPERTY)
    return decoded(data) if data else message.html_body or ""


def _people(message: Message) -> list[str]:
    people = []
    for recipient in message.recipients:
        name, address = flat(recipient.name), flat(recipient.email_address)
        people.append(f"{name} <{address}>" if address and address != name else name or address)
    return people


def _file_name(attachment: Attachment, number: int) -> str:
    return without_controls(attachment.file_name or f"attachment-{number}")
