"""Mails as the internet sends them (RFC 5322): head, body, forwarded mails in place, attachments as files.

The plain body is read, the HTML one where there is no plain one. A picture that stands inside the HTML body is an
embedded picture, any other file an attachment.
"""

from __future__ import annotations

import email
import email.errors
import email.policy
from email.message import EmailMessage, Message
from pathlib import Path
from typing import Final, cast

from inference.errors import DamagedFile, EmptyInput, EncryptedFile
from inference.parsing.base import Parsed, ParseRequest
from inference.parsing.blocks import Assembly, flat
from inference.parsing.encoding import decoded, without_controls
from inference.parsing.html import add_markup, data_picture, html_root
from inference.parsing.mail import add_mail_head, add_mail_text
from inference.parsing.package import read_bytes
from inference.parsing.registry import source_info
from inference.values import SourceInfo

_FIELDS: Final = ("Subject", "From", "To", "Cc", "Date")
_DEPTH = 8
_SIGNATURES: Final = frozenset(
    {"application/pkcs7-signature", "application/x-pkcs7-signature", "application/pgp-signature"}
)


def probe(path: Path, hint: str) -> SourceInfo:
    """Read the subject."""
    return source_info(hint, title=flat(_field(_message(path), "Subject")) or None)


def parse(path: Path, info: SourceInfo, request: ParseRequest) -> Parsed:  # noqa: ARG001
    """Read the whole mail."""
    message = _message(path)
    assembly = Assembly(path.name, request.limits)
    add_message(assembly, message, 0)
    return assembly.parsed()


def add_message(assembly: Assembly, message: EmailMessage, depth: int) -> None:
    """Add a mail and, below it, the mails that it forwards."""
    _refuse_encrypted(message, assembly.name)
    parts = _Parts(message)
    fields = [(name, _field(message, name)) for name in _FIELDS]
    fields.append(("Attachments", ", ".join(name for name, _ in parts.files)))
    add_mail_head(assembly, fields, depth)
    if parts.plain:
        add_mail_text(assembly, "\n\n".join(parts.plain))
    else:
        for page in parts.pages:
            if page.strip():
                add_markup(assembly, html_root(page, assembly.name), parts.picture)
    for name, data in parts.unshown():
        assembly.attachment(name, data)
    for forwarded in parts.forwarded:
        if depth < _DEPTH:
            add_message(assembly, forwarded, depth + 1)


def _message(path: Path) -> EmailMessage:
    data = read_bytes(path)
    try:
        message = email.message_from_bytes(data, policy=email.policy.default)
    except (email.errors.MessageError, ValueError, RecursionError) as error:
        raise DamagedFile(f"'{path.name}' cannot be read as a mail: {error}") from error
    if not message.keys():
        raise DamagedFile(f"'{path.name}' has no mail header")
    if not any(message.get(name) for name in _FIELDS) and not _bytes(message).strip():
        raise EmptyInput(f"'{path.name}' is a mail without subject, people and text")
    return message


def _field(message: EmailMessage, name: str) -> str:
    try:
        value = message.get(name)
    except (ValueError, IndexError, TypeError, AttributeError):
        # The standard library's header parser has holes; the raw field is still text.
        value = next((raw for key, raw in message.raw_items() if key.lower() == name.lower()), None)
    return without_controls(str(value)) if value is not None else ""


def _bytes(part: Message) -> bytes:
    payload = part.get_payload(decode=True)
    return payload if isinstance(payload, bytes) else b""


def _refuse_encrypted(message: EmailMessage, name: str) -> None:
    kind = message.get_content_type()
    enveloped = kind in ("application/pkcs7-mime", "application/x-pkcs7-mime") and message.get_param(
        "smime-type", "enveloped-data"
    ) in ("enveloped-data", "authEnveloped-data")
    if kind == "multipart/encrypted" or enveloped:
        raise EncryptedFile(f"'{name}' is an encrypted mail; save its decrypted content")


class _Parts:
    """The parts of one mail, sorted by what becomes of them.

    Attributes:
        plain: Plain text bodies.
        pages: HTML bodies.
        files: (name, bytes) of all other parts.
        forwarded: Mails inside the mail.
    """

    def __init__(self, message: EmailMessage) -> None:
        self.plain: list[str] = []
        self.pages: list[str] = []
        self.files: list[tuple[str, bytes]] = []
        self.forwarded: list[EmailMessage] = []
        self._by_content_id: dict[str, int] = {}
        self._shown: set[int] = set()
        self._sort(message, 0)

    def picture(self, address: str) -> bytes | None:
        """Return the picture that an HTML body shows at this address, which is then no attachment."""
        if not address.startswith("cid:"):
            return data_picture(address)
        index = self._by_content_id.get(address[4:])
        if index is None:
            return None
        self._shown.add(index)
        return self.files[index][1]

    def unshown(self) -> list[tuple[str, bytes]]:
        """Return the files that no HTML body showed as a picture."""
        return [file for index, file in enumerate(self.files) if index not in self._shown]

    def _sort(self, part: EmailMessage, depth: int) -> None:
        kind = part.get_content_type()
        if kind == "message/rfc822":
            inner = part.get_payload()
            if isinstance(inner, list):
                self.forwarded += [cast(EmailMessage, message) for message in inner]
        elif part.is_multipart() and depth < 50:
            for child in cast("list[EmailMessage]", part.get_payload()):
                self._sort(child, depth + 1)
        elif kind in ("text/plain", "text/html") and not part.is_attachment() and not part.get_filename():
            text = decoded(_bytes(part), declared=part.get_content_charset())
            if text.strip():
                (self.plain if kind == "text/plain" else self.pages).append(text)
        elif kind not in _SIGNATURES:
            self._file(part, kind)

    def _file(self, part: EmailMessage, kind: str) -> None:
        data = _bytes(part)
        if not data:
            return
        identifier = str(part.get("Content-ID") or "").strip().strip("<>")
        if identifier:
            self._by_content_id[identifier] = len(self.files)
        name = part.get_filename() or f"attachment-{len(self.files) + 1}.{kind.partition('/')[2]}"
        self.files.append((without_controls(name), data))
