"""odt, ods, odp: written here by hand as the specification says, so that each feature is seen on its own."""

# ruff: noqa: E501

from __future__ import annotations

import zipfile

import pytest

from inference.errors import DamagedFile, EmptyInput, EncryptedFile
from inference.values import Anchor, Box

NAMES = " ".join(
    f'xmlns:{prefix}="urn:oasis:names:tc:opendocument:xmlns:{name}:1.0"'
    for prefix, name in {
        "office": "office",
        "text": "text",
        "table": "table",
        "draw": "drawing",
        "style": "style",
        "fo": "xsl-fo-compatible",
        "svg": "svg-compatible",
        "presentation": "presentation",
    }.items()
)
NAMES += ' xmlns:xlink="http://www.w3.org/1999/xlink"'
SIZE = '<style:page-layout style:name="L"><style:page-layout-properties fo:page-width="20cm" fo:page-height="10cm"/>'
SIZE += '</style:page-layout><style:master-page style:name="M" style:page-layout-name="L">{}</style:master-page>'


@pytest.fixture
def packed(tmp_path, picture_bytes):
    def packing(name, body, styles="", margins="", manifest="<manifest/>"):
        path = tmp_path / name
        content = (
            f"<office:document-content {NAMES}>{styles}<office:body>{body}</office:body></office:document-content>"
        )
        with zipfile.ZipFile(path, "w") as package:
            package.writestr("content.xml", content)
            package.writestr(
                "styles.xml", f"<office:document-styles {NAMES}>{SIZE.format(margins)}</office:document-styles>"
            )
            package.writestr("META-INF/manifest.xml", manifest)
            package.writestr("Pictures/p.png", picture_bytes())
        return path

    return packing


IMAGE = '<draw:image xlink:href="Pictures/p.png"/>'


class TestOdt:
    def test_reads_structure_notes_and_margins_but_no_deletions(self, read, packed):
        body = (
            '<office:text><text:tracked-changes><text:p>deleted</text:p></text:tracked-changes><text:p text:style-name="P1">Log'
            '</text:p><text:h text:outline-level="1">Tides</text:h><text:p>Rises<text:s/>4.2<text:tab/>m<text:note><text:note-body>'
            "<text:p>At springs.</text:p></text:note-body></text:note>.</text:p><text:list><text:list-item><text:p>one</text:p>"
            "<text:list><text:list-item><text:p>inner</text:p></text:list-item></text:list></text:list-item></text:list>"
            f"<text:p><draw:frame>{IMAGE}<svg:title>A lighthouse</svg:title></draw:frame></text:p>"
            '<table:table><table:table-row><table:table-cell table:number-rows-spanned="2"><text:p>big</text:p>'
            "</table:table-cell><table:table-cell><text:p>40 t</text:p></table:table-cell></table:table-row><table:table-row>"
            "<table:covered-table-cell/><table:table-cell><text:p>38 t</text:p></table:table-cell></table:table-row></table:table>"
            "</office:text>"
        )
        styles = '<office:automatic-styles><style:style style:name="P1" style:parent-style-name="Title"/></office:automatic-styles>'

        parsed = read(packed("a.odt", body, styles, "<style:header><text:p>Top</text:p></style:header>"))

        assert [(block.text, block.role) for block in parsed.extraction.blocks] == [
            ("Log", "heading"),
            ("Tides", "heading"),
            ("Rises 4.2 m.", "paragraph"),
            ("At springs.", "paragraph"),
            ("- one\n- inner", "list"),
            ("A lighthouse", "caption"),
            ("big | 40 t\nbig | 38 t", "table"),
            ("Top", "paragraph"),
        ]
        assert parsed.extraction.blocks[2].heading_path == ("Log", "Tides")
        assert len(parsed.extraction.pictures) == 1

    def test_a_password_is_told(self, read, packed):
        with pytest.raises(EncryptedFile):
            read(packed("a.odt", "<office:text/>", manifest="<manifest><encryption-data/></manifest>"))

    def test_without_content_is_empty(self, read, packed):
        with pytest.raises(EmptyInput):
            read(packed("a.odt", "<office:text><text:p/></office:text>"))

    def test_broken_xml_is_damaged(self, read, packed):
        with pytest.raises(DamagedFile):
            read(packed("a.odt", "<office:text>"))


class TestOds:
    def test_repeated_rows_and_cells_keep_their_places(self, read, packed):
        cell = "<table:table-cell><text:p>{}</text:p></table:table-cell>".format
        gap = '<table:table-cell table:number-columns-repeated="2"/>'
        end = '<table:table-row table:number-rows-repeated="1048000"><table:table-cell/></table:table-row>'
        body = (
            '<office:spreadsheet><table:table table:name="Loads">'
            f'<table:table-row table:number-rows-repeated="4">{gap}</table:table-row>'
            f"<table:table-row>{gap}{cell('crane')}{cell('load')}</table:table-row>"
            f'<table:table-row table:number-rows-repeated="2">{gap}{cell("big")}{cell("40,5 t")}</table:table-row>{end}'
            "</table:table></office:spreadsheet>"
        )

        blocks = read(packed("a.ods", body)).extraction.blocks

        assert [(block.text, block.anchor) for block in blocks] == [
            ("crane | load\nbig | 40,5 t\nbig | 40,5 t", Anchor(sheet="Loads", cells="C5:D7"))
        ]


class TestOdp:
    BODY = (
        "<office:presentation>"
        '<draw:page><draw:frame presentation:class="outline" svg:x="2cm" svg:y="5cm" svg:width="10cm" svg:height="4cm">'
        "<draw:text-box><text:p>spring</text:p><text:p>neap</text:p></draw:text-box></draw:frame>"
        '<draw:frame presentation:class="title" svg:x="2cm" svg:y="1cm" svg:width="16cm" svg:height="2cm">'
        "<draw:text-box><text:p>Tides</text:p></draw:text-box></draw:frame>"
        '<presentation:notes><draw:frame presentation:class="notes"><draw:text-box><text:p>Greet.</text:p></draw:text-box>'
        "</draw:frame></presentation:notes></draw:page>"
        f'<draw:page><draw:frame svg:x="0cm" svg:y="0cm" svg:width="100mm" svg:height="10cm">{IMAGE}</draw:frame></draw:page>'
        "</office:presentation>"
    )

    def test_slides_are_pages_with_boxes(self, read, packed):
        parsed = read(packed("a.odp", self.BODY))

        assert [(block.text, block.role, block.anchor) for block in parsed.extraction.blocks] == [
            ("Tides", "heading", Anchor(page=1, box=Box(x0=0.1, y0=0.1, x1=0.9, y1=0.3))),
            ("- spring\n- neap", "list", Anchor(page=1, box=Box(x0=0.1, y0=0.5, x1=0.6, y1=0.9))),
            ("Greet.", "paragraph", Anchor(page=1)),
        ]
        assert parsed.extraction.blocks[1].heading_path == ("Tides",)
        assert parsed.extraction.pictures[0].anchor == Anchor(page=2, box=Box(x0=0.0, y0=0.0, x1=0.5, y1=1.0))

    def test_a_range_reads_its_slides_alone(self, read, packed):
        parsed = read(packed("a.odp", self.BODY), first_unit=2, last_unit=2)

        assert parsed.extraction.blocks == ()
        assert len(parsed.extraction.pictures) == 1
