"""Every format of the README: a committed file with a unique fact must be the first hit, with its anchor."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

import pytest

from core.settings.env import REPOSITORY

pytestmark = pytest.mark.weights

FORMATS = REPOSITORY / "tests" / "formats"
MANIFEST: dict[str, Any] = tomllib.loads((FORMATS / "manifest.toml").read_text())
ANCHOR_KEYS = {"page": "page", "time": "start_s", "frame": "frame_s", "sheet": "sheet", "chars": "start_char"}

LISTED = """
    pdf png jpg tiff webp bmp gif heic wav mp3 flac ogg m4a mp4 mkv mov webm docx xlsx pptx odt ods odp html md txt csv
    tsv json xml rst rtf eml msg epub vtt srt doc xls ppt
""".split()  # noqa: SIM905 - forty quoted words read worse


def ident(entry: dict[str, Any]) -> str:
    return Path(entry["file"]).name


@pytest.fixture(scope="session")
def ingested(stack) -> dict[str, dict[str, Any]]:
    """All files of the manifest, ingested as one batch, by file."""
    entries = [*MANIFEST["formats"], *MANIFEST["hostile"]]
    documents = stack.ingest([FORMATS / entry["file"] for entry in entries], collection="formats")
    return {entry["file"]: document for entry, document in zip(entries, documents, strict=True)}


@pytest.fixture(scope="session")
def found(stack, ingested) -> dict[str, list[str]]:
    """What went wrong with each file; an empty list is what is wanted."""
    problems = {}
    for entry in MANIFEST["formats"]:
        problems[entry["file"]] = problems_of(entry, ingested[entry["file"]], stack)
    return problems


def problems_of(entry: dict[str, Any], document: dict[str, Any], stack) -> list[str]:
    if document["state"] != "ready":
        return [f"{document['error']['code']}: {document['error']['message']}"]
    hits = stack.search(entry["query"], collection="formats", limit=3)
    if not hits:
        return ["nothing was found"]
    first = hits[0]
    problems = []
    if first["document"]["id"] != document["id"]:
        problems.append(f"the first hit is {first['document']['title']}")
    if ANCHOR_KEYS[entry["anchor"]] not in first["anchor"]:
        problems.append(f"the anchor is {first['anchor']}")
    if first["kind"] not in entry["kinds"]:
        problems.append(f"the kind is {first['kind']}")
    if entry["expected"].lower() not in first["snippet"].lower():
        problems.append(f"the snippet lacks '{entry['expected']}': {first['snippet']}")
    return problems


class TestEveryFormat:
    @pytest.mark.parametrize("entry", MANIFEST["formats"], ids=ident)
    def test_its_fact_is_the_first_hit_with_its_anchor(self, found, entry):
        assert found[entry["file"]] == []

    def test_no_listed_extension_is_left_out(self):
        assert set(LISTED) == {entry["extension"] for entry in MANIFEST["formats"]}

    def test_every_family_comes_from_two_producers(self):
        producers: dict[str, set[str]] = {}
        for entry in MANIFEST["formats"]:
            producers.setdefault(entry["family"], set()).add(entry["producer"])

        assert {family: len(names) for family, names in producers.items() if len(names) < 2} == {}

    def test_the_table_of_the_readme_is_what_was_found(self, found, request):
        readme = REPOSITORY / "README.md"
        before, rest = readme.read_text().split("<!-- formats:begin -->\n")
        shown, after = rest.split("<!-- formats:end -->")
        table = formats_table(found)
        if request.config.getoption("--write-readme"):
            readme.write_text(f"{before}<!-- formats:begin -->\n{table}<!-- formats:end -->{after}")

        assert table == shown, "write it with: .venv/bin/pytest tests/end_to_end/test_formats.py --write-readme"


def formats_table(found: dict[str, list[str]]) -> str:
    rows: dict[str, dict[str, Any]] = {}
    for entry in MANIFEST["formats"]:
        row = rows.setdefault(
            entry["extension"], {"family": entry["family"], "anchors": [], "producers": [], "ok": True}
        )
        row["ok"] = row["ok"] and not found[entry["file"]]
        if entry["anchor"] not in row["anchors"]:
            row["anchors"].append(entry["anchor"])
        row["producers"].append(entry["producer"])
    lines = ["| extension | family | anchor | tried with files of | found |", "|---|---|---|---|---|"]
    for extension, row in rows.items():
        lines.append(
            f"| .{extension} | {row['family']} | {', '.join(row['anchors'])} | {', '.join(row['producers'])} | "
            f"{'yes' if row['ok'] else 'no'} |"
        )
    return "\n".join(lines) + "\n"


class TestHostileFiles:
    @pytest.mark.parametrize("entry", MANIFEST["hostile"], ids=ident)
    def test_it_ends_as_declared_and_harms_no_other(self, ingested, entry, stack):
        document = ingested[entry["file"]]

        assert document["state"] == entry["state"]
        if entry["state"] == "failed":
            assert document["error"]["code"] == entry["code"]
            assert document["error"]["message"].startswith(f"'{Path(entry['file']).name}'")
        else:
            assert problems_of(entry, document, stack) == []
