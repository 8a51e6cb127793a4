"""The sample collection: found and answered, also renamed and re-encoded, by everybody who may and nobody else."""

from __future__ import annotations

import io
import uuid
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from core.access.service import token_create, user_create
from core.cli.client import ApiError, Client
from core.cli.samples import Check, sample_checks, sample_files

pytestmark = pytest.mark.weights

ANCHOR_KEYS = {"page": "page", "time": "start_s", "frame": "frame_s", "sheet": "sheet", "chars": "start_char"}
CHECKS = sample_checks()


def ident(check: Check) -> str:
    return check.modality.replace(" ", "-").replace(",", "")


@pytest.fixture(scope="session")
def samples(stack) -> dict[str, str]:
    """The samples as they are: document id by file name."""
    return ready(stack, sample_files(), "samples")


@pytest.fixture(scope="session")
def disguised(stack, tmp_path_factory) -> dict[str, str]:
    """The samples under names that say nothing, with other bytes of the same content."""
    folder = tmp_path_factory.mktemp("disguised")
    paths = [disguise(path, folder) for path in sample_files()]
    ids = ready(stack, paths, "disguised")
    return {sample.name: ids[path.name] for sample, path in zip(sample_files(), paths, strict=True)}


@pytest.fixture
def a_user(stack, django_db_blocker) -> Iterator[Callable[[str], Client]]:
    """Makes a user in the running stack's database and returns their client."""
    made: list[Client] = []

    def make(name: str) -> Client:
        with django_db_blocker.unblock():
            made.append(Client(base_url=stack.url, token=token_create(user_create(name=name))))
        return made[-1]

    yield make
    for client in made:
        client.close()


def ready(stack, paths: list[Path], collection: str) -> dict[str, str]:
    documents = stack.ingest(paths, collection=collection)
    assert [(one["path"], one["error"]) for one in documents if one["state"] != "ready"] == []
    return {path.name: one["id"] for path, one in zip(paths, documents, strict=True)}


def disguise(path: Path, folder: Path) -> Path:
    target = folder / f"{uuid.uuid4().hex[:8]}{path.suffix}"
    content = path.read_bytes()
    match path.suffix:
        case ".png":
            Image.open(path).convert("RGB").save(target := target.with_suffix(".webp"), quality=95)
        case ".jpg":
            Image.open(path).save(target := target.with_suffix(".png"))
        case ".docx" | ".xlsx" | ".pptx":
            target.write_bytes(rezipped(content))
        case ".txt" | ".md" | ".html" | ".csv":
            target.write_bytes(b"\xef\xbb\xbf" + content.replace(b"\r\n", b"\n").replace(b"\n", b"\r\n"))
        case ".pdf":
            import pikepdf

            with pikepdf.open(path) as pdf:
                pdf.save(target, object_stream_mode=pikepdf.ObjectStreamMode.generate)
        case ".mp3":
            transcode(path, target := target.with_suffix(".flac"), "flac")
        case ".mp4":
            remux(path, target := target.with_suffix(".mkv"))
        case _:
            target.write_bytes(content.replace(b"\n", b"\r\n").replace(b"\r\r\n", b"\r\n"))
    return target


def rezipped(content: bytes) -> bytes:
    written = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(content)) as old, zipfile.ZipFile(written, "w", zipfile.ZIP_STORED) as new:
        for name in old.namelist():
            new.writestr(name, old.read(name))
    return written.getvalue()


def transcode(source: Path, target: Path, codec: str) -> None:
    import av

    with av.open(str(source)) as read, av.open(str(target), "w") as written:
        stream = written.add_stream(codec, rate=read.streams.audio[0].rate)
        for frame in read.decode(audio=0):
            frame.pts = None
            written.mux(stream.encode(frame))
        written.mux(stream.encode(None))


def remux(source: Path, target: Path) -> None:
    import av

    with av.open(str(source)) as read, av.open(str(target), "w") as written:
        streams = {one.index: written.add_stream_from_template(one) for one in read.streams}
        for packet in read.demux():
            if packet.dts is not None:
                packet.stream = streams[packet.stream.index]
                written.mux(packet)


class TestSamples:
    @pytest.mark.parametrize("check", CHECKS, ids=ident)
    def test_the_file_is_the_first_hit(self, stack, samples, check):
        hits = stack.search(check.query, collection="samples")

        assert hits[0]["document"]["id"] == samples[check.file]

    @pytest.mark.parametrize("check", CHECKS, ids=ident)
    def test_the_question_is_answered_with_a_citation_into_the_file(self, stack, samples, check):
        answer = stack.ask(check.question, collection="samples")

        assert [word for word in check.expected if word.lower() not in answer["answer"].lower()] == []
        assert answer["citations"][0]["document"] == samples[check.file]
        assert ANCHOR_KEYS[check.anchor] in answer["citations"][0]["anchor"]

    @pytest.mark.parametrize("check", CHECKS, ids=ident)
    def test_neither_names_nor_encodings_matter(self, stack, samples, disguised, check):
        hits = stack.search(check.query, collection="disguised")

        assert hits[0]["document"]["id"] == disguised[check.file]
        assert ANCHOR_KEYS[check.anchor] in hits[0]["anchor"] or check.modality.startswith(("photograph", "chart"))

    def test_every_quote_stands_in_its_segment(self, stack, samples):
        for check in CHECKS[:6]:
            for citation in stack.ask(check.question, collection="samples")["citations"]:
                segments = stack.client.request("GET", f"/api/documents/{citation['document']}/segments")["segments"]
                text = next(one["text"] for one in segments if one["id"] == citation["segment"])
                assert citation["quote"] in text

    def test_a_question_without_an_answer_is_refused(self, stack, samples):
        answer = stack.ask("Which airline flies to Nairobi on Sundays?", collection="samples")

        assert answer["refused"]
        assert answer["citations"] == []

    @pytest.mark.parametrize("check", [one for one in CHECKS if one.kind in ("text", "table")], ids=ident)
    def test_no_picture_is_among_the_first_three_of_a_text_question(self, stack, samples, check):
        photograph = samples["photograph.jpg"]

        assert photograph not in [hit["document"]["id"] for hit in stack.search(check.query, collection="samples")[:3]]

    def test_a_picture_finds_itself(self, stack, samples):
        photograph = next(path for path in sample_files() if path.name == "photograph.jpg")

        code, found = stack.run("search", "--image", str(photograph), "--collection", "samples")

        assert code == 0
        assert found["hits"][0]["document"]["id"] == samples["photograph.jpg"]


class TestDocuments:
    def test_the_same_bytes_twice_are_one_document(self, stack, samples, tmp_path):
        again = tmp_path / "other name.txt"
        again.write_bytes(next(path for path in sample_files() if path.suffix == ".txt").read_bytes())

        documents = stack.ingest([again], collection="samples")

        assert documents[0]["id"] == samples["tide-gauge.txt"]

    def test_inline_text_is_searched(self, stack):
        sent = stack.client.request(
            "POST",
            "/api/documents",
            json={"collection": "inline", "title": "Note", "content": "The owl sleeps at noon."},
        )
        last: list[dict[str, Any]] = []
        for latest in stack.client.wait([sent["id"]], deadline_s=120):
            last = latest

        assert last[0]["state"] == "ready"
        assert stack.search("owl sleeping", collection="inline")[0]["document"]["id"] == sent["id"]

    def test_a_mixed_document_is_one_with_parts(self, stack):
        picked = {path.name: path for path in sample_files()}
        files = [("file", (name, picked[name].read_bytes())) for name in ("chart.png", "tide-gauge.txt")]
        sent = stack.client.request(
            "POST",
            "/api/documents",
            data={"collection": "mixed", "title": "Both", "content": "A cover note on owls."},
            files=files,
        )
        last: list[dict[str, Any]] = []
        for latest in stack.client.wait([sent["id"]], deadline_s=240):
            last = latest

        assert last[0]["state"] == "ready", last[0]["error"]
        hits = stack.search("busiest month of the lighthouse museum", collection="mixed")
        assert hits[0]["anchor"]["part"] == "chart.png"
        hits = stack.search("hut of the tide gauge lost in a storm", collection="mixed")
        assert hits[0]["anchor"]["part"] == "tide-gauge.txt"


class TestStrangers:
    def test_nothing_of_a_foreign_collection_is_told(self, samples, a_user):
        stranger = a_user("stranger")
        nowhere = str(uuid.uuid4())
        foreign = samples["tide-gauge.txt"]

        found = stranger.request("POST", "/api/search", json={"text": "hut of the tide gauge"})
        assert found["hits"] == []
        for path in ("/api/documents/{}", "/api/documents/{}/content", "/api/documents/{}/segments"):
            assert told(stranger, path.format(foreign), foreign) == told(stranger, path.format(nowhere), nowhere)
        with pytest.raises(ApiError) as refused:
            list(stranger.ask("In which storm was the hut lost?", collection="samples"))
        assert refused.value.status == 404

    def test_an_answer_of_ones_own_rests_on_nothing_foreign(self, samples, a_user):
        stranger = a_user("second")
        collection = stranger.request("POST", "/api/collections", json={"name": "own"})["id"]

        answers = [
            data
            for event, data in stranger.ask("In which storm was the hut lost?", collection=collection)
            if event == "done"
        ]

        assert answers[0]["refused"]
        assert answers[0]["hits"] == []


def told(client: Client, path: str, identifier: str) -> tuple[int, str]:
    with pytest.raises(ApiError) as refused:
        client.request("GET", path)
    return refused.value.status, str(refused.value).replace(identifier, "ID")
