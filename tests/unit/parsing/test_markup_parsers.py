"""html, md, rst, rtf, epub: structure kept, characters counted, nothing fetched or run."""

from __future__ import annotations

import base64
import random
import zipfile

import pytest

from inference.errors import DamagedFile, EmptyInput, EncryptedFile, LimitExceeded
from inference.parsing.base import Limits
from inference.parsing.registry import parser_for_extension


def found(parsed, text):
    return next(block for block in parsed.extraction.blocks if text in block.text)


PAGE = """<!doctype html><html><head><title>Harbour  notes</title><style>p{color:red}</style>
<script>var secret = "tracking";</script></head><body>
<nav>Home | Imprint</nav>
<h1>Tides</h1><p>The <b>spring</b> tide\nrises <i>4.2</i>&nbsp;m.<br>Twice a day.</p>
<h2>Cranes</h2><div>Loose text <ul><li>first<ul><li>inner</li></ul></li><li>second</li></ul> after the list</div>
<table><caption>Loads</caption><tr><th>Crane</th><th>Load</th></tr>
<tr><td rowspan=2>Big</td><td>40 t</td></tr><tr><td>38 t</td></tr></table>
<pre>a = 1
  b = 2</pre>
<p style="display: none">invisible ink</p><p hidden>also invisible</p>
<img src="https://example.org/pixel.png" alt="A lighthouse at dusk"><img src="PICTURE" alt="photo.jpg">
<h1>Ropes</h1><p>Hemp.</p></body></html>"""


class TestHtml:
    def test_keeps_headings_lists_tables_and_code(self, read, written, picture_bytes):
        data = "data:image/png;base64," + base64.b64encode(picture_bytes()).decode()

        parsed = read(written("a.html", PAGE.replace("PICTURE", data)))

        assert found(parsed, "spring").text == "The spring tide rises 4.2 m.\nTwice a day."
        assert found(parsed, "spring").heading_path == ("Harbour notes", "Tides")
        assert found(parsed, "first").text == "- first\n- inner\n- second"
        assert found(parsed, "first").role == "list"
        assert found(parsed, "40 t").text == "Crane | Load\nBig | 40 t\nBig | 38 t"
        assert found(parsed, "40 t").heading_path == ("Harbour notes", "Tides", "Cranes")
        assert found(parsed, "Loads").role == "caption"
        assert found(parsed, "b = 2").text == "a = 1\n  b = 2"
        assert found(parsed, "Hemp").heading_path == ("Harbour notes", "Ropes")
        assert found(parsed, "lighthouse").role == "caption"
        assert len(parsed.extraction.pictures) == 1

    def test_leaves_out_what_nobody_sees(self, read, written):
        text = read(written("a.html", PAGE)).extraction.text

        for unseen in ("tracking", "color:red", "Imprint", "invisible", "photo.jpg"):
            assert unseen not in text

    def test_leaves_out_marks_that_link_a_heading_to_itself(self, read, written):
        mark = '<a class="headerlink" href="#tides">\N{PILCROW SIGN}</a>'
        source = f'<h1>Tides{mark}</h1><p>High at noon <a href="#x">today</a>.</p>'

        blocks = read(written("a.html", source)).extraction.blocks

        assert [block.text for block in blocks] == ["Tides", "High at noon today."]

    def test_reads_the_declared_encoding(self, read, written):
        page = '<html><head><meta charset="iso-8859-2"></head><body><p>Łódź, Kraków</p></body></html>'

        assert read(written("a.html", page.encode("iso-8859-2"))).extraction.text == "Łódź, Kraków"

    def test_expands_no_entities_of_its_own(self, read, written):
        page = (
            '<!DOCTYPE html [<!ENTITY x SYSTEM "file:///etc/passwd">]><html><body><p>before &x; after</p></body></html>'
        )

        assert "root:" not in read(written("a.html", page)).extraction.text

    def test_without_content_is_empty(self, read, written):
        with pytest.raises(EmptyInput):
            read(written("a.html", "<html><head><script>1</script></head><body> </body></html>"))

    def test_reads_deep_nesting_and_refuses_what_is_too_deep(self, read, written):
        assert "core" in read(written("a.html", "<div>" * 250 + "core" + "</div>" * 250)).extraction.text
        with pytest.raises(LimitExceeded, match="too deep"):
            read(written("b.html", "<div>" * 5_000 + "core" + "</div>" * 5_000))

    @pytest.mark.parametrize("seed", range(25))
    def test_counts_characters_exactly_on_tag_soup(self, seed, read, written):
        chance = random.Random(seed)
        tags = ["p", "div", "b", "h1", "h3", "ul", "li", "table", "tr", "td", "pre", "br", "span", "figcaption", "img"]
        pieces = ["tide", "  ", "\n", "é", "&amp;", "\x00", "\u200b", "漢字", "𝔘"]
        soup = ["start"]
        for _ in range(200):
            tag = chance.choice(tags)
            soup.append(chance.choice([f"<{tag}>", f"</{tag}>", *pieces]))

        assert "start" in read(written("a.html", "".join(soup))).extraction.text


class TestMarkdown:
    def test_keeps_headings_lists_tables_and_code(self, read, written):
        source = (
            "---\ntitle: Log\n---\n# Quay\n\nA *calm* day with [a link](https://example.org).\n\n## Loads\n\n"
            "| crane | load |\n|---|---|\n| big | 40 t |\n\n- one\n- two\n\n"
            "```python\nx = 1\n```\n<script>bad()</script>\n"
        )

        parsed = read(written("a.md", source))

        assert found(parsed, "calm").text == "A calm day with a link."
        assert found(parsed, "40 t").text == "crane | load\nbig | 40 t"
        assert found(parsed, "40 t").heading_path == ("Quay", "Loads")
        assert found(parsed, "x = 1").role == "code"
        assert found(parsed, "- one").role == "list"
        assert "title: Log" in parsed.extraction.text
        assert "bad()" not in parsed.extraction.text

    def test_reads_its_title(self, written):
        probe = parser_for_extension("md").probe

        assert probe(written("a.md", "Intro\n\n# The quay #\n"), "md").title == "The quay"


class TestRestructuredText:
    def test_keeps_structure(self, read, written):
        source = (
            "Quay\n====\n\nA *calm* day.\n\nLoads\n-----\n\n"
            "=====  ====\ncrane  load\n=====  ====\nbig    40 t\n=====  ====\n\n"
            "* one\n* two\n\n.. note:: Mind the gap.\n\n.. unknown:: thing\n\n   Kept content.\n\n::\n\n  x = 1\n"
        )

        parsed = read(written("a.rst", source))

        assert found(parsed, "calm").heading_path == ("Quay",)
        assert found(parsed, "40 t").text == "crane | load\nbig | 40 t"
        assert found(parsed, "40 t").heading_path == ("Quay", "Loads")
        assert found(parsed, "x = 1").role == "code"
        assert "Mind the gap." in parsed.extraction.text
        assert "Kept content." in parsed.extraction.text

    def test_keeps_the_text_of_unknown_roles(self, read, written):
        assert "the mole" in read(written("a.rst", "See :ref:`the mole` and |nothing|.\n")).extraction.text

    def test_inserts_no_file_and_no_raw_markup(self, read, written, tmp_path):
        (tmp_path / "secret.txt").write_text("the secret")
        source = f"Quay\n====\n\nText.\n\n.. include:: {tmp_path}/secret.txt\n\n.. raw:: html\n\n   <b>rawness</b>\n"
        source += f"\n.. csv-table::\n   :file: {tmp_path}/secret.txt\n"

        assert "the secret" not in read(written("a.rst", source)).extraction.text


class TestRichText:
    SOURCE = (
        rb"{\rtf1\ansi\ansicpg1252{\fonttbl{\f0 Arial;}}{\info{\title Log}}\f0 Caf\'e9 at the \b quay\b0 .\par "
        rb"Zwei \u8364?uro.\par \trowd\cellx1000\cellx2000 crane\cell load\cell\row "
        rb"\trowd\cellx1000\cellx2000 big\cell 40 t\cell\row \pard After.\par {\pict\pngblip\picw96\pich96 PICTURE}}"
    )

    def test_reads_paragraphs_tables_and_pictures(self, read, written, picture_bytes):
        parsed = read(written("a.rtf", self.SOURCE.replace(b"PICTURE", picture_bytes().hex().encode())))

        assert found(parsed, "quay").text == "Café at the quay."
        assert found(parsed, "uro").text == "Zwei €uro."
        assert found(parsed, "40 t").text == "crane | load\nbig | 40 t"
        assert found(parsed, "40 t").role == "table"
        assert len(parsed.extraction.pictures) == 1

    def test_refuses_what_is_no_rich_text(self, read, written):
        with pytest.raises(DamagedFile, match=r"a\.rtf"):
            read(written("a.rtf", "plain"))


CONTAINER = (
    '<container xmlns="urn:oasis:names:tc:opendocument:xmlns:container"><rootfiles>'
    '<rootfile full-path="OEBPS/book.opf"/></rootfiles></container>'
)
OPF = (
    '<package xmlns="http://www.idpf.org/2007/opf" xmlns:dc="http://purl.org/dc/elements/1.1/"><metadata>'
    '<dc:title>The Pilot</dc:title></metadata><manifest><item id="b" href="two%20b.xhtml" '
    'media-type="application/xhtml+xml"/><item id="a" href="one.xhtml" media-type="application/xhtml+xml"/>'
    '<item id="n" href="nav.xhtml" properties="nav" media-type="application/xhtml+xml"/></manifest>'
    '<spine><itemref idref="n"/><itemref idref="a"/><itemref idref="b"/></spine></package>'
)


@pytest.fixture
def book(tmp_path, picture_bytes):
    def bound(**extra):
        path = tmp_path / "a.epub"
        head = '<?xml version="1.0" encoding="utf-8"?><!DOCTYPE html><html xmlns="http://www.w3.org/1999/xhtml"><body>'
        with zipfile.ZipFile(path, "w") as package:
            package.writestr("mimetype", "application/epub+zip")
            package.writestr("META-INF/container.xml", CONTAINER)
            package.writestr("OEBPS/book.opf", OPF)
            package.writestr("OEBPS/nav.xhtml", f"{head}<p>Contents</p></body></html>")
            package.writestr("OEBPS/one.xhtml", f'{head}<h1>One</h1><p>Fog.</p><img src="../img/p.png"/></body></html>')
            package.writestr("OEBPS/two b.xhtml", f"{head}<h1>Two</h1><p>Clear.</p></body></html>")
            package.writestr("img/p.png", picture_bytes())
            for name, content in extra.items():
                package.writestr(name.replace("__", "/") + ".xml", content)
        return path

    return bound


class TestEpub:
    def test_reads_chapters_in_the_order_of_the_spine(self, read, book):
        parsed = read(book())

        texts = [block.text for block in parsed.extraction.blocks]
        assert texts == ["The Pilot", "One", "Fog.", "Two", "Clear."]
        assert found(parsed, "Clear").heading_path == ("The Pilot", "Two")
        assert len(parsed.extraction.pictures) == 1

    def test_says_that_a_protected_book_is_encrypted(self, read, book):
        listing = (
            '<encryption xmlns="urn:oasis:names:tc:opendocument:xmlns:container" xmlns:e="http://www.w3.org/2001/04/xmlenc#">'
            '<e:EncryptedData><e:CipherData><e:CipherReference URI="OEBPS/one.xhtml"/></e:CipherData></e:EncryptedData>'
            "</encryption>"
        )
        with pytest.raises(EncryptedFile):
            read(book(**{"META-INF__encryption": listing}))

    def test_limits_what_it_unpacks_to(self, read, book):
        path = book(bomb="0" * 3_000_000)

        with pytest.raises(LimitExceeded, match="2000000"):
            read(path, limits=Limits(unpacked_bytes=2_000_000))

    def test_cut_off_is_damaged(self, read, book):
        path = book()
        path.write_bytes(path.read_bytes()[:-200])

        with pytest.raises(DamagedFile):
            read(path)
