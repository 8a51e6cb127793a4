"""txt, csv, tsv, json, xml, vtt, srt and the decoding below them."""

from __future__ import annotations

import codecs
import random

import pytest

from inference.errors import DamagedFile, EmptyInput, LimitExceeded
from inference.parsing.base import Limits
from inference.parsing.encoding import decoded
from inference.parsing.tabular import delimiter_of
from inference.values import Anchor


class TestDecoding:
    @pytest.mark.parametrize(
        ("mark", "encoding"),
        [
            (codecs.BOM_UTF8, "utf-8"),
            (codecs.BOM_UTF16_LE, "utf-16-le"),
            (codecs.BOM_UTF16_BE, "utf-16-be"),
            (codecs.BOM_UTF32_LE, "utf-32-le"),
            (b"", "utf-8"),
            (b"", "utf-16-le"),
            (b"", "utf-16-be"),
            (b"", "cp1252"),
        ],
    )
    def test_reads_western_text_in_every_usual_encoding(self, mark, encoding):
        text = "Käse für 5 £ – déjà vu, señor: “quoted”"

        assert decoded(mark + text.encode(encoding)) == text

    @pytest.mark.parametrize(
        ("text", "encoding"),
        [
            ("Завтра утром корабль выйдет из гавани и вернётся только через неделю.", "cp1251"),
            ("明日の朝、船は港を出て、一週間後に戻ります。天気は良いでしょう。", "cp932"),
            ("Αύριο το πρωί το πλοίο θα φύγει από το λιμάνι για μία εβδομάδα.", "cp1253"),
        ],
    )
    def test_detects_other_scripts(self, text, encoding):
        assert decoded(text.encode(encoding)) == text

    def test_removes_what_cannot_be_stored(self):
        assert decoded(b"a\x00b\r\nc\rd\x0ce\x1b") == "ab\nc\nd\n\ne"


class TestPlainText:
    def test_paragraphs_keep_their_place_in_the_whole_text(self, read, written):
        parsed = read(written("a.txt", "\n  First line,\nsecond line.  \n \n\n- one\n- two\n"))

        assert parsed.extraction.text == "\n  First line,\nsecond line.  \n \n\n- one\n- two\n"
        assert [(block.text, block.role) for block in parsed.extraction.blocks] == [
            ("First line,\nsecond line.", "paragraph"),
            ("- one\n- two", "list"),
        ]

    def test_lines_that_were_wrapped_to_a_width_are_joined_in_place(self, read, written):
        source = (
            "The keeper of the lighthouse writes every evening into the log how many\n"
            "   ships went by, which flags they flew and whether the lamp was trimmed.\n"
            "The log is read aloud in the harbour office on the first Monday of each\n"
            "   month.\n\n"
            "The tide comes in,\nthe tide goes out,\nand nobody asks the harbour about it or why.\n"
        )

        extraction = read(written("a.txt", source)).extraction

        first, verse = extraction.blocks
        assert "how many    ships went by" in first.text
        assert verse.text.count("\n") == 2
        assert len(extraction.text) == len(source)
        assert extraction.text[first.anchor.start_char : first.anchor.end_char] == first.text

    def test_numbered_lines_between_text_are_headings(self, read, written):
        source = (
            "HARBOUR RULES\n\n1. Ships\n\nShips keep to the right.\n\n  1.1. Boats\n\nBoats give way.\n\n"
            "2. Cargo\n\nBring:\n\n3. Rope\n\n4. Tar\n\n5. Salt\n"
        )

        blocks = read(written("a.txt", source)).extraction.blocks

        assert [(block.text, block.heading_path) for block in blocks if block.role == "heading"] == [
            ("HARBOUR RULES", ()),
            ("1. Ships", ("HARBOUR RULES",)),
            ("1.1. Boats", ("HARBOUR RULES", "1. Ships")),
            ("2. Cargo", ("HARBOUR RULES",)),
        ]
        assert blocks[-1].heading_path == ("HARBOUR RULES", "2. Cargo")

    @pytest.mark.parametrize("seed", range(30))
    def test_no_character_is_lost(self, seed, read, written):
        chance = random.Random(seed)
        pieces = ["tide", "\n", "\n\n", " ", "\t", "é", "漢", "𝔘", "\r\n", "\x0c", "\u2028", "\xa0"]
        source = "x" + "".join(chance.choice(pieces) for _ in range(300))

        extraction = read(written("a.txt", source)).extraction

        assert "".join("".join(block.text for block in extraction.blocks).split()) == "".join(source.split())

    @pytest.mark.parametrize("content", [b"", b" \n\t\n"])
    def test_nothing_is_empty_input(self, read, written, content):
        with pytest.raises(EmptyInput, match=r"a\.txt"):
            read(written("a.txt", content))

    def test_too_much_is_refused(self, read, written):
        with pytest.raises(LimitExceeded, match="1000"):
            read(written("a.txt", "tide " * 1_000), limits=Limits(text_chars=1_000))


class TestTables:
    @pytest.mark.parametrize(
        ("text", "delimiter"),
        [
            ("a,b,c\n1,2,3\n", ","),
            ("name;price\nx;1,5\ny;2,5\n", ";"),
            ("a\tb\n1\t2\n", "\t"),
            ("a|b|c\n1|2|3\n", "|"),
            ("sep=;\na;b,c\n", ";"),
            ('"last, first";age\n"Doe, J";4\n"Roe, R";5\n', ";"),
            ("just one column\nof words\n", ","),
        ],
    )
    def test_finds_the_delimiter(self, text, delimiter):
        assert delimiter_of(text) == delimiter

    def test_splits_large_tables_with_the_header_repeated(self, read, written):
        rows = "\n".join(f"crane {row},{row * 10}" for row in range(2, 72))

        blocks = read(written("a.csv", f"name,load\n{rows}\n")).extraction.blocks

        assert [block.anchor for block in blocks] == [
            Anchor(sheet="Sheet1", cells="A1:B30"),
            Anchor(sheet="Sheet1", cells="A31:B60"),
            Anchor(sheet="Sheet1", cells="A61:B71"),
        ]
        assert all(block.text.startswith("name | load\n") and block.role == "table" for block in blocks)
        assert blocks[1].text.split("\n")[1] == "crane 31 | 310"
        assert blocks[2].text.split("\n")[-1] == "crane 71 | 710"
        assert [len(block.text.split("\n")) for block in blocks] == [30, 31, 12]

    def test_empty_rows_separate_tables_and_single_cells_title_them(self, read, written):
        source = "Loads 2026,,\n,crane,load\n,big,40\n,,\nTides,,\n,day,metres\n,Monday,4\n"

        blocks = read(written("a.csv", source)).extraction.blocks

        assert [(block.text, block.anchor.cells, block.role) for block in blocks] == [
            ("Loads 2026", "A1:A1", "heading"),
            ("crane | load\nbig | 40", "B2:C3", "table"),
            ("Tides", "A5:A5", "heading"),
            ("day | metres\nMonday | 4", "B6:C7", "table"),
        ]
        assert blocks[3].heading_path == ("Tides",)

    def test_quoted_line_ends_stay_in_their_row(self, read, written):
        blocks = read(written("a.csv", 'name,note\nx,"two\nlines"\ny,z\n')).extraction.blocks

        assert blocks[0].text == "name | note\nx | two lines\ny | z"
        assert blocks[0].anchor.cells == "A1:B3"

    def test_tsv(self, read, written):
        blocks = read(written("a.tsv", "a\tb\n1,5\t2,5\n")).extraction.blocks

        assert blocks[0].text == "a | b\n1,5 | 2,5"

    def test_binary_is_no_crash(self, read, written):
        assert read(written("a.csv", bytes(random.Random(1).randbytes(4_000)))).extraction.blocks


class TestJson:
    def test_values_carry_their_path(self, read, written):
        source = '{"title": "Log", "crew": [{"name": "Ines", "age": 41.50}, {"name": "Bo", "on": true}], "end": null}'

        parsed = read(written("a.json", source))

        assert parsed.extraction.text.replace("\n\n", "\n") == (
            "title: Log\ncrew[0].name: Ines\ncrew[0].age: 41.50\ncrew[1].name: Bo\ncrew[1].on: true\nend: null"
        )

    def test_records_are_blocks_of_their_own(self, read, written):
        blocks = read(written("a.json", '[{"a": 1, "b": 2}, {"a": 3, "b": 4}]')).extraction.blocks

        assert [block.text for block in blocks] == ["[0].a: 1\n[0].b: 2", "[1].a: 3\n[1].b: 4"]

    def test_lines_of_json(self, read, written):
        assert "[1].a: 2" in read(written("a.json", '{"a": 1}\n{"a": 2}\n')).extraction.text

    @pytest.mark.parametrize("content", ['{"a": 1', "[" * 100_000, "tide"])
    def test_broken_is_damaged(self, read, written, content):
        with pytest.raises(DamagedFile, match=r"a\.json"):
            read(written("a.json", content))

    def test_without_values_is_empty(self, read, written):
        with pytest.raises(EmptyInput):
            read(written("a.json", "{}"))


class TestXml:
    def test_values_carry_their_path(self, read, written):
        source = (
            '<?xml version="1.0" encoding="iso-8859-1"?><log xmlns="urn:x"><entry id="7"><who>Inès</who> calm</entry>'
            "<entry><who>Bo</who></entry><!-- hidden --></log>"
        )

        parsed = read(written("a.xml", source.encode("latin-1")))

        texts = [block.text for block in parsed.extraction.blocks]
        assert texts == ["entry[1]/@id: 7\nentry[1]: calm\nentry[1]/who: Inès", "entry[2]/who: Bo"]
        assert parsed.extraction.blocks[0].heading_path == ("log",)

    def test_opens_no_foreign_entity(self, read, written, tmp_path):
        (tmp_path / "secret").write_text("the secret")
        doctype = f'<!DOCTYPE a [<!ENTITY f SYSTEM "file://{tmp_path}/secret">]>'

        assert read(written("a.xml", f"{doctype}<a><c>&f;</c><d>kept</d></a>")).extraction.text == "d: kept"

    def test_refuses_a_bomb_of_entities(self, read, written):
        laughs = "".join(f'<!ENTITY l{n} "{f"&l{n - 1};" * 10}">' for n in range(1, 12))

        with pytest.raises(DamagedFile, match="amplification"):
            read(written("a.xml", f'<!DOCTYPE a [<!ENTITY l0 "ha">{laughs}]><a><b>&l11;</b></a>'))

    @pytest.mark.parametrize("content", ["<a><b></a>", "<a>", "<a>" * 3_000])
    def test_broken_is_damaged(self, read, written, content):
        with pytest.raises(DamagedFile, match=r"a\.xml"):
            read(written("a.xml", content))


VTT = """WEBVTT - harbour

NOTE made by hand

STYLE
::cue { color: red }

intro
00:00:01.000 --> 00:00:04.500 align:start
<v Ann Lee>The <i>tide</i> turns &amp; rises.</v>
<v.loud Bo>Now!</v>

00:05.000 --> 00:07.000
Wind
from the west
"""


class TestSubtitles:
    def test_voices_are_speakers(self, read, written):
        turns = read(written("a.vtt", VTT)).extraction.blocks

        assert [(turn.text, turn.anchor) for turn in turns] == [
            ("The tide turns & rises.", Anchor(start_s=1.0, end_s=4.5, speaker="Ann Lee")),
            ("Now!", Anchor(start_s=1.0, end_s=4.5, speaker="Bo")),
            ("Wind from the west", Anchor(start_s=5.0, end_s=7.0)),
        ]
        assert {turn.role for turn in turns} == {"turn"}

    def test_srt(self, read, written):
        source = "1\r\n00:00:01,000 --> 00:00:02,000\r\n{\\an8}<b>Tide</b>\r\n\r\n"
        source += "2\r\n01:00:00,500 --> 01:00:00,500\r\nLate\r\n"

        turns = read(written("a.srt", source)).extraction.blocks

        assert [(turn.text, turn.anchor.start_s, turn.anchor.end_s) for turn in turns] == [
            ("Tide", 1.0, 2.0),
            ("Late", 3600.5, 3600.501),
        ]

    def test_a_window_takes_the_cues_that_begin_in_it(self, read, written):
        turns = read(written("a.vtt", VTT), start_s=4.0, end_s=9.0).extraction.blocks

        assert [turn.text for turn in turns] == ["Wind from the west"]

    def test_without_cues_is_empty(self, read, written):
        with pytest.raises(EmptyInput):
            read(written("a.vtt", "WEBVTT\n\n"))
