"""Every committed text, office, mail, table and subtitle file gives up its fact with the promised kind of anchor."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

from inference.parsing.registry import KINDS

FORMATS = Path(__file__).parents[2] / "formats"
MODULES = {kind.module for kind in KINDS.values()} - {"pdf", "picture", "media", "legacy"}
ROWS = [
    row
    for row in tomllib.loads((FORMATS / "manifest.toml").read_text())["formats"]
    if KINDS[row["extension"]].module in MODULES
]


def test_every_parser_has_a_file() -> None:
    assert {KINDS[row["extension"]].module for row in ROWS} == MODULES


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row["file"])
def test_the_fact_is_found(row, read) -> None:
    blocks = read(FORMATS / row["file"]).extraction.blocks

    families = {block.anchor.family for block in blocks if row["expected"].lower() in block.text.lower()}
    assert families == {row["anchor"]}
