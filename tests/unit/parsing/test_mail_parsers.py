"""eml and msg: who wrote what to whom, and the files they carry."""

from __future__ import annotations

from email.message import EmailMessage
from pathlib import Path

import pytest

from inference.errors import DamagedFile, EncryptedFile, LimitExceeded
from inference.parsing.base import Limits

from .ole_file import message_bytes, ole_bytes


def mail(subject="Häfen und Kräne", **fields):
    message = EmailMessage()
    message["Subject"] = subject
    message["From"] = "Ines Prado <ines@example.org>"
    message["To"] = "Bo <bo@example.org>"
    message["Date"] = "Mon, 02 Mar 2026 09:30:00 +0000"
    for name, value in fields.items():
        message[name] = value
    return message


class TestEml:
    def test_head_body_and_attachments(self, read, written):
        message = mail()
        message.set_content("Hello Bo,\n\nthe crane is fixed.\n")
        message.add_alternative("<p>Hello Bo, the <b>crane</b> is fixed.</p>", subtype="html")
        message.add_attachment(b"%PDF-1.4 tiny", maintype="application", subtype="pdf", filename="Prüfung.pdf")

        parsed = read(written("a.eml", message.as_bytes()))

        blocks = parsed.extraction.blocks
        assert blocks[0].text == (
            "Subject: Häfen und Kräne\nFrom: Ines Prado <ines@example.org>\nTo: Bo <bo@example.org>\n"
            "Date: Mon, 02 Mar 2026 09:30:00 +0000\nAttachments: Prüfung.pdf"
        )
        assert [block.text for block in blocks[1:]] == ["Hello Bo,", "the crane is fixed."]
        assert blocks[1].heading_path == ("Häfen und Kräne",)
        assert parsed.extraction.attachments == (("Prüfung.pdf", "attachment-1"),)
        assert parsed.artefacts["attachment-1"] == b"%PDF-1.4 tiny"

    def test_a_picture_shown_in_an_html_body_is_no_attachment(self, read, written, picture_bytes):
        message = mail()
        message.set_content('<h1>Plan</h1><p>See <img src="cid:p1"></p>', subtype="html")
        message.add_related(picture_bytes(), maintype="image", subtype="png", cid="<p1>")

        parsed = read(written("a.eml", message.as_bytes()))

        assert len(parsed.extraction.pictures) == 1
        assert parsed.extraction.attachments == ()
        assert parsed.extraction.blocks[-1].heading_path == ("Häfen und Kräne", "Plan")

    def test_forwarded_mails_are_read_in_place(self, read, written):
        inner = mail("Inner news")
        inner.set_content("The lighthouse blinks.")
        inner.add_attachment(b"a,b\n", maintype="text", subtype="csv", filename="x.csv")
        message = mail("Fwd")
        message.set_content("Look below.")
        message.add_attachment(inner)

        parsed = read(written("a.eml", message.as_bytes()))

        lighthouse = next(block for block in parsed.extraction.blocks if "lighthouse" in block.text)
        assert lighthouse.heading_path == ("Fwd", "Inner news")
        assert [name for name, _ in parsed.extraction.attachments] == ["x.csv"]

    def test_undeclared_and_wrong_encodings(self, read, written):
        source = b"From: a@b.c\nSubject: =?utf-8?q?Caf=C3=A9?=\nContent-Type: text/plain; charset=no-such\n\n" + (
            "Füße und Käse".encode("cp1252")
        )

        text = read(written("a.eml", source)).extraction.text

        assert "Subject: Café" in text
        assert "Füße und Käse" in text

    def test_encrypted_mail_says_so(self, read, written):
        source = b"From: a@b.c\nSubject: x\nContent-Type: multipart/encrypted; boundary=q\n\n--q\n\nx\n--q--\n"

        with pytest.raises(EncryptedFile, match=r"a\.eml"):
            read(written("a.eml", source))

    def test_limits_the_number_of_files(self, read, written):
        message = mail()
        message.set_content("x")
        for number in range(4):
            message.add_attachment(b"x", maintype="application", subtype="x", filename=f"{number}.bin")

        with pytest.raises(LimitExceeded, match="3 files"):
            read(written("a.eml", message.as_bytes()), limits=Limits(attachments=3))

    def test_what_has_no_header_is_damaged(self, read, written):
        with pytest.raises(DamagedFile, match="header"):
            read(written("a.eml", "\n\nno header at all"))


class TestMsg:
    TEXTS = {0x0037: "Kräne", 0x0C1A: "Ines Prado", 0x5D01: "ines@example.org"}

    def test_head_body_and_attachments(self, read, written):
        content = message_bytes(
            {**self.TEXTS, 0x1000: "Hello Bo,\r\n\r\nthe crane is fixed.\r\n"},
            recipients=(("Bo", "bo@example.org"), ("Zoë", "zoe@example.org")),
            attachments=(("plan.txt", b"x" * 5_000),),
        )

        parsed = read(written("a.msg", content))

        blocks = parsed.extraction.blocks
        assert blocks[0].text == (
            'Subject: Kräne\nFrom: "Ines Prado" <ines@example.org>\nTo: Bo <bo@example.org>, Zoë <zoe@example.org>\n'
            "Attachments: plan.txt"
        )
        assert [block.text for block in blocks[1:]] == ["Hello Bo,", "the crane is fixed."]
        assert parsed.artefacts == {"attachment-1": b"x" * 5_000}

    def test_an_html_body_where_there_is_no_plain_one(self, read, written):
        page = "<html><head><meta charset=utf-8></head><body><p>Größe: <b>40 t</b></p></body></html>"

        parsed = read(written("a.msg", message_bytes(self.TEXTS, binaries={0x1013: page.encode()})))

        assert parsed.extraction.blocks[-1].text == "Größe: 40 t"

    @pytest.mark.parametrize("content", [b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + b"\x00" * 900, b"not a message"])
    def test_broken_is_damaged(self, read, written, content):
        with pytest.raises(DamagedFile, match=r"a\.msg"):
            read(written("a.msg", content))

    def test_every_truncation_ends_in_a_declared_error_or_a_reading(self, read, written):
        content = message_bytes({**self.TEXTS, 0x1000: "Hello Bo"}, attachments=(("a", b"y" * 9_000),))
        read(written("whole.msg", content))

        for cut in range(0, len(content) - 1, 997):
            path: Path = written("cut.msg", content[: cut + 1])
            with pytest.raises(DamagedFile):
                read(path)


class TestEncryptedOfficeFiles:
    @pytest.mark.parametrize("extension", ["docx", "xlsx", "pptx"])
    def test_modern_ones_are_ole_containers(self, extension, read, written):
        with pytest.raises(EncryptedFile, match="password"):
            read(written(f"a.{extension}", ole_bytes({"EncryptionInfo": b"x", "EncryptedPackage": b"y" * 5_000})))

    @pytest.mark.parametrize(
        ("extension", "streams"),
        [
            ("doc", {"WordDocument": bytes(10) + b"\x00\x01" + bytes(600)}),
            ("xls", {"Workbook": b"\x09\x08\x04\x00aaaa\x2f\x00\x06\x00bbbbbb" + bytes(400)}),
            ("ppt", {"Current User": bytes(12) + b"\xdf\xc4\xd1\xf3" + bytes(40)}),
        ],
    )
    def test_old_ones_say_it_in_a_flag(self, extension, streams, read, written):
        with pytest.raises(EncryptedFile, match="password"):
            read(written(f"a.{extension}", ole_bytes(streams)))
