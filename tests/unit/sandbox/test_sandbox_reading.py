"""The sandbox gives what the parsers give, for every committed sample, and says no like they do."""

import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from inference.errors import DamagedFile
from inference.parsing.base import ParseRequest
from inference.parsing.registry import canonical_extension, parser_for, parser_for_extension
from inference.sandbox import Sandbox

SAMPLES = sorted(
    path
    for path in (Path(__file__).resolve().parents[3] / "configs" / "samples").iterdir()
    if canonical_extension(path.suffix) is not None
)


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    with Sandbox("owner") as opened:
        yield opened


@pytest.mark.parametrize("path", SAMPLES, ids=lambda path: path.name)
def test_a_sample_reads_the_same_inside(sandbox: Sandbox, path: Path) -> None:
    extension = canonical_extension(path.suffix)
    assert extension is not None
    expected_info = parser_for_extension(extension).probe(path, extension)
    expected = parser_for(expected_info).parse(path, expected_info, ParseRequest())

    info = sandbox.probe(path, extension_hint=path.suffix)
    extraction, artefacts = sandbox.parse(path, info)

    assert info == expected_info
    assert extraction == expected.extraction
    assert artefacts == expected.artefacts


def test_a_refused_file_does_not_disturb_the_next(sandbox: Sandbox, tmp_path: Path) -> None:
    noise = tmp_path / "x.pdf"
    noise.write_bytes(random.Random(1).randbytes(2_000))
    note = tmp_path / "note.txt"
    note.write_text("The keys are in the shed.")

    with pytest.raises(DamagedFile, match=r"'x\.pdf' is not a PDF: it does not start with %PDF"):
        sandbox.probe(noise, extension_hint="pdf")
    extraction, _ = sandbox.parse(note, sandbox.probe(note, extension_hint="txt"))

    assert extraction.blocks[0].text == "The keys are in the shed."
