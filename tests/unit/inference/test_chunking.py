"""Chunks keep the budget, the structure and, to the character, the anchors."""

from __future__ import annotations

import random

import pytest
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, trainers

from inference.chunking import Chunk, TokenBudget, covering, speech_chunks, text_chunks
from inference.values import Anchor, Box, TextBlock, Utterance, Word

WORDS = ["harbour", "crane", "tide", "ledger", "lantern", "anchor", "voyage", "cargo", "rope", "pilot", "wharf"]


@pytest.fixture(scope="module")
def budget(tmp_path_factory: pytest.TempPathFactory) -> TokenBudget:
    tokenizer = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer()
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    trainer = trainers.WordPieceTrainer(vocab_size=300, special_tokens=["[UNK]"], show_progress=False)
    tokenizer.train_from_iterator([" ".join(WORDS) + " 0123456789 .,|"], trainer)
    tokenizer.enable_truncation(16)
    path = tmp_path_factory.mktemp("tokenizer") / "tokenizer.json"
    tokenizer.save(str(path))
    return TokenBudget(path, target=40, hard=50)


def sentence(chance: random.Random, words: int) -> str:
    return " ".join(chance.choice(WORDS) for _ in range(words)).capitalize() + "."


def char_document(seed: int) -> tuple[str, list[TextBlock]]:
    chance = random.Random(seed)
    text, blocks, path = "", [], ()
    for number in range(chance.randint(1, 25)):
        role = chance.choice(["heading", "paragraph", "paragraph", "list", "table", "code"])
        match role:
            case "heading":
                content = f"Chapter {number} {chance.choice(WORDS)}"
                path = path[: chance.randint(0, len(path))]
            case "table":
                rows = chance.randint(1, 30)
                content = "\n".join(f"{chance.choice(WORDS)} | {number} | {row}" for row in range(rows))
            case _:
                content = " ".join(sentence(chance, chance.randint(1, 30)) for _ in range(chance.randint(1, 6)))
        text += "\n\n" if text else ""
        anchor = Anchor(start_char=len(text), end_char=len(text) + len(content))
        blocks.append(TextBlock(text=content, anchor=anchor, role=role, heading_path=path))
        text += content
        if role == "heading":
            path = (*path, content)
    return text, blocks


def told_by(heading: TextBlock, chunk: Chunk) -> bool:
    path = (*heading.heading_path, heading.text)
    return chunk.heading_path[: len(path)] == path


def check_spans(chunk: Chunk) -> None:
    position = 0
    for span in chunk.spans:
        assert not chunk.text[position : span.start].strip()
        assert span.start < span.end
        position = span.end
    assert position == len(chunk.text)


class TestTokenBudget:
    def test_counts_what_the_tokenizer_counts(self, budget: TokenBudget) -> None:
        chance = random.Random(3)
        whole = Tokenizer.from_file(str(budget.tokenizer))
        whole.no_truncation()

        for _ in range(50):
            text = "".join(chance.choice([*WORDS, " ", "\n", ".", "4,2", "é", "潮", "_", "  "]) for _ in range(80))
            assert budget.count(text) == len(whole.encode(text, add_special_tokens=False).ids)


class TestTextChunks:
    @pytest.mark.parametrize("seed", range(60))
    def test_hold_every_character_once_within_the_budget_at_exact_anchors(self, seed: int, budget: TokenBudget) -> None:
        text, blocks = char_document(seed)

        chunks = text_chunks(blocks, budget)

        covered: set[int] = set()
        for chunk in chunks:
            assert chunk.text == chunk.text.strip()
            assert budget.count(chunk.text) <= budget.hard
            check_spans(chunk)
            for span in chunk.spans:
                assert text[span.anchor.start_char : span.anchor.end_char] == chunk.text[span.start : span.end]
                covered.update(range(span.anchor.start_char or 0, span.anchor.end_char or 0))
        for block in blocks:
            if block.role == "heading" and any(told_by(block, chunk) for chunk in chunks):
                covered.update(range(block.anchor.start_char or 0, block.anchor.end_char or 0))
        missing = [index for index in range(len(text)) if index not in covered and not text[index].isspace()]
        assert missing == []
        assert chunks == text_chunks(blocks, budget)

    def test_have_no_title_alone_before_its_table_or_at_the_end_of_its_page(self, budget: TokenBudget) -> None:
        first, second = Anchor(page=1), Anchor(page=2)
        blocks = [
            TextBlock(text="Cargo", anchor=first, role="heading"),
            TextBlock(text="Prices", anchor=first, role="heading", heading_path=("Cargo",)),
            TextBlock(text="rope | 4\ntar | 7", anchor=first, role="table", heading_path=("Cargo", "Prices")),
            TextBlock(text="Pilots", anchor=first, role="heading"),
            TextBlock(text="The pilot boards at the wharf.", anchor=second, heading_path=("Pilots",)),
            TextBlock(text="Index", anchor=second, role="heading"),
        ]

        chunks = text_chunks(blocks, budget)

        assert [(chunk.heading_path, chunk.text) for chunk in chunks] == [
            (("Cargo", "Prices"), "rope | 4\ntar | 7"),
            (("Pilots",), "The pilot boards at the wharf."),
            ((), "Index"),
        ]

    @pytest.mark.parametrize("seed", range(30))
    def test_never_mix_tables_with_text_nor_sections(self, seed: int, budget: TokenBudget) -> None:
        _, blocks = char_document(seed)

        chunks = text_chunks(blocks, budget)

        for chunk in chunks:
            inside = [
                block
                for block in blocks
                if any(
                    block.anchor.start_char <= span.anchor.start_char < block.anchor.end_char  # type: ignore[operator]
                    for span in chunk.spans
                )
            ]
            assert {block.role == "table" for block in inside} == {chunk.kind == "table"}
            seen_text = False
            for block in inside:
                assert not (seen_text and block.role == "heading"), "a heading begins a chunk"
                seen_text = seen_text or block.role != "heading"
            assert inside[-1].heading_path == chunk.heading_path

    @pytest.mark.parametrize("separator", [" ", "\n", "\n\n", ""])
    def test_cut_very_long_blocks_without_losing_a_character(self, separator: str, budget: TokenBudget) -> None:
        chance = random.Random(1)
        text = separator.join(chance.choice(WORDS) for _ in range(9_000))
        block = TextBlock(text=text, anchor=Anchor(start_char=0, end_char=len(text)))

        chunks = text_chunks([block], budget)

        assert "".join("".join(chunk.text.split()) for chunk in chunks) == "".join(text.split())
        assert all(budget.count(chunk.text) <= budget.hard for chunk in chunks)
        assert all(text[c.anchor.start_char : c.anchor.end_char] == c.text for c in chunks if len(c.spans) == 1)

    def test_keep_a_heading_with_its_first_paragraph(self, budget: TokenBudget) -> None:
        blocks = [
            TextBlock(text="Tides", anchor=Anchor(start_char=0, end_char=5), role="heading"),
            TextBlock(text="Low tide.", anchor=Anchor(start_char=7, end_char=16), heading_path=("Tides",)),
            TextBlock(text="Cranes", anchor=Anchor(start_char=18, end_char=24), role="heading"),
            TextBlock(text="Ropes", anchor=Anchor(start_char=26, end_char=31), role="heading"),
        ]

        chunks = text_chunks(blocks, budget)

        assert [chunk.text for chunk in chunks] == ["Tides\nLow tide.", "Cranes", "Ropes"]
        assert chunks[0].heading_path == ("Tides",)
        assert chunks[0].anchor == Anchor(start_char=0, end_char=16)

    def test_never_cross_a_page_and_join_boxes(self, budget: TokenBudget) -> None:
        def block(page: int, y0: float, y1: float) -> TextBlock:
            box = Box(x0=0.1, y0=y0, x1=0.9, y1=y1)
            return TextBlock(text=f"pilot {page}", anchor=Anchor(page=page, box=box))

        chunks = text_chunks([block(1, 0.1, 0.2), block(1, 0.3, 0.4), block(2, 0.1, 0.2)], budget)

        assert [chunk.anchor for chunk in chunks] == [
            Anchor(page=1, box=Box(x0=0.1, y0=0.1, x1=0.9, y1=0.4)),
            Anchor(page=2, box=Box(x0=0.1, y0=0.1, x1=0.9, y1=0.2)),
        ]
        assert [span.anchor.box.y0 for span in chunks[0].spans if span.anchor.box] == [0.1, 0.3]

    def test_repeat_the_header_and_count_only_their_own_rows_as_cells(self, budget: TokenBudget) -> None:
        first = "port | tide\n" + "\n".join(f"wharf{row} | {row}" for row in range(2, 31))
        second = "port | tide\n" + "\n".join(f"wharf{row} | {row}" for row in range(31, 41))
        blocks = [
            TextBlock(text=first, anchor=Anchor(sheet="S", cells="B1:C30"), role="table"),
            TextBlock(text=second, anchor=Anchor(sheet="S", cells="B31:C40"), role="table"),
        ]

        chunks = text_chunks(blocks, budget)

        assert len(chunks) > 2
        rows = []
        for chunk in chunks:
            assert chunk.kind == "table"
            assert chunk.text.startswith("port | tide\n")
            assert chunk.spans[0].anchor.cells == "B1:C1"
            for span in chunk.spans[1:]:
                row = int(chunk.text[span.start : span.end].rpartition(" ")[2])
                assert span.anchor == Anchor(sheet="S", cells=f"B{row}:C{row}")
                rows.append(row)
        assert rows == list(range(2, 41))
        assert chunks[0].anchor.cells is not None
        assert chunks[0].anchor.cells.startswith("B1:")
        assert (
            chunks[1].anchor.cells
            == f"{chunks[1].spans[1].anchor.cells.partition(':')[0]}:"
            + (chunks[1].spans[-1].anchor.cells.partition(":")[2])
        )

    def test_split_a_row_that_is_longer_than_the_budget(self, budget: TokenBudget) -> None:
        text = "port | note\nwharf | " + "cargo rope " * 100 + "end"
        block = TextBlock(text=text, anchor=Anchor(start_char=0, end_char=len(text)), role="table")

        chunks = text_chunks([block], budget)

        assert all(budget.count(chunk.text) <= budget.hard for chunk in chunks)
        assert all(chunk.text.startswith("port | note\n") for chunk in chunks)
        assert sum(chunk.text.count("cargo") for chunk in chunks) == 100

    def test_gather_subtitle_turns_by_speaker_and_pause(self, budget: TokenBudget) -> None:
        def turn(start_s: float, speaker: str) -> TextBlock:
            anchor = Anchor(start_s=start_s, end_s=start_s + 2, speaker=speaker)
            return TextBlock(text=f"tide {start_s:.0f}", anchor=anchor, role="turn")

        chunks = text_chunks([turn(0, "Ann"), turn(2, "Ann"), turn(4, "Bob"), turn(30, "Bob")], budget)

        assert [(chunk.kind, chunk.text, chunk.anchor.speaker) for chunk in chunks] == [
            ("speech", "tide 0\ntide 2", "Ann"),
            ("speech", "tide 4", "Bob"),
            ("speech", "tide 30", "Bob"),
        ]
        assert (chunks[0].anchor.start_s, chunks[0].anchor.end_s) == (0, 4)


def spoken(seed: int) -> tuple[list[Utterance], list[str | None]]:
    chance = random.Random(seed)
    now_s, utterances, speakers = 0.0, [], []
    for _ in range(chance.randint(1, 20)):
        words = []
        for _ in range(chance.randint(1, 90)):
            length_s = chance.uniform(0.1, 0.7)
            words.append(Word(text=chance.choice(WORDS), start_s=now_s, end_s=now_s + length_s, probability=0.9))
            now_s += length_s + chance.choice([0, 0, 0.1, 0.6])
        utterances.append(
            Utterance(
                text=" ".join(word.text for word in words) + ".",
                start_s=words[0].start_s,
                end_s=words[-1].end_s,
                words=tuple(words),
                language="en",
            )
        )
        speakers.append(chance.choice(["S1", "S2", None]))
        now_s += chance.choice([0.2, 5.0])
    return utterances, speakers


class TestSpeechChunks:
    @pytest.mark.parametrize("seed", range(40))
    def test_keep_every_word_once_in_short_turns_of_one_speaker(self, seed: int, budget: TokenBudget) -> None:
        utterances, speakers = spoken(seed)

        chunks = speech_chunks(utterances, speakers, budget)

        assert [word for chunk in chunks for word in chunk.words] == [
            word for utterance in utterances for word in utterance.words
        ]
        for chunk in chunks:
            check_spans(chunk)
            assert budget.count(chunk.text) <= budget.hard
            assert {span.anchor.speaker for span in chunk.spans} == {chunk.anchor.speaker}
            assert chunk.anchor.start_s is not None
            assert chunk.anchor.end_s is not None
            assert chunk.anchor.end_s - chunk.anchor.start_s <= 30.0
            assert chunk.text.replace(".", "").split() == [word.text for word in chunk.words]
            for word in chunk.words:
                assert chunk.anchor.start_s <= word.start_s < word.end_s <= chunk.anchor.end_s

    def test_a_speaker_change_and_a_pause_begin_a_chunk(self, budget: TokenBudget) -> None:
        def utterance(start_s: float) -> Utterance:
            word = Word(text="tide", start_s=start_s, end_s=start_s + 1, probability=1.0)
            return Utterance(text="tide", start_s=start_s, end_s=start_s + 1, words=(word,), language="en")

        chunks = speech_chunks(
            [utterance(0), utterance(1.2), utterance(2.4), utterance(9)], ["A", "A", "B", "B"], budget
        )

        assert [chunk.text for chunk in chunks] == ["tide\ntide", "tide", "tide"]


class TestCovering:
    def test_a_block_without_a_box_makes_the_whole_page(self) -> None:
        box = Box(x0=0, y0=0, x1=0.5, y1=0.5)

        assert covering([Anchor(page=2, box=box), Anchor(page=2)]) == Anchor(page=2)

    def test_cells_cover_all_ranges(self) -> None:
        assert covering([Anchor(sheet="S", cells="B2:C3"), Anchor(sheet="S", cells="A7:A9")]).cells == "A2:C9"
