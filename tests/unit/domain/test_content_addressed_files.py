"""Files named by their digest: whole or not at all."""

from __future__ import annotations

import hashlib
import io
import stat

import pytest

from core.access.errors import TooLarge
from core.documents.errors import BytesMissing
from core.documents.storage import (
    artefact_path,
    artefact_read,
    artefact_remove,
    artefact_size_bytes,
    artefact_write,
    blob_open,
    blob_path,
    blob_remove,
    blob_stage,
    blob_write,
)


class Failing(io.BytesIO):
    """A stream that breaks off."""

    def read(self, size: int | None = -1, /) -> bytes:
        if self.tell():
            raise ConnectionResetError("the client is gone")
        return super().read(3)


def drafts() -> list:
    root = blob_path("0" * 64).parents[2]
    return list(root.glob("draft-*")) if root.exists() else []


class TestBlob:
    def test_is_found_by_its_digest(self):
        content = b"x" * 3_000_000 + b"end"

        sha256, size_bytes = blob_write(io.BytesIO(content))

        assert (sha256, size_bytes) == (hashlib.sha256(content).hexdigest(), len(content))
        assert blob_path(sha256).parts[-3:] == (sha256[:2], sha256[2:4], sha256)
        with blob_open(sha256) as opened:
            assert opened.read() == content

    def test_is_for_this_account_alone(self):
        sha256, _ = blob_write(io.BytesIO(b"private"))

        assert stat.S_IMODE(blob_path(sha256).stat().st_mode) == 0o600
        assert stat.S_IMODE(blob_path(sha256).parent.stat().st_mode) & 0o700 == 0o700
        assert stat.S_IMODE(blob_path(sha256).parents[2].stat().st_mode) == 0o700

    def test_written_twice_is_one_file(self):
        first = blob_write(io.BytesIO(b"twice"))
        assert blob_write(io.BytesIO(b"twice")) == first
        assert drafts() == []

    def test_may_be_empty(self):
        sha256, size_bytes = blob_write(io.BytesIO(b""))

        assert size_bytes == 0
        assert blob_path(sha256).read_bytes() == b""

    def test_staged_is_not_yet_there(self):
        staged = blob_stage(io.BytesIO(b"only staged"))
        assert not blob_path(staged.sha256).exists()

        staged.discard()

        assert drafts() == []

    def test_of_a_broken_stream_leaves_nothing(self):
        with pytest.raises(ConnectionResetError):
            blob_stage(Failing(b"abcdef"))
        assert drafts() == []

    def test_above_the_limit_leaves_nothing(self):
        assert blob_stage(io.BytesIO(b"12345"), limit_bytes=5).place().exists()
        with pytest.raises(TooLarge, match="CLOISTER_UPLOAD_MAX_MIB"):
            blob_stage(io.BytesIO(b"123456"), limit_bytes=5)
        assert drafts() == []

    def test_removed_is_gone(self):
        sha256, _ = blob_write(io.BytesIO(b"short-lived"))

        assert blob_remove(sha256)
        assert not blob_remove(sha256)
        with pytest.raises(BytesMissing):
            blob_open(sha256)

    @pytest.mark.parametrize(
        "name", ["", "../../etc/passwd", "A" * 64, "0" * 63, "0" * 64 + "\n", "0" * 32 + "/" + "0" * 31]
    )
    def test_is_asked_for_by_a_digest_only(self, name):
        with pytest.raises(ValueError, match="not a sha256"):
            blob_path(name)


class TestArtefact:
    def test_is_apart_from_blobs(self):
        sha256 = artefact_write(b"preview")

        assert artefact_read(sha256) == b"preview"
        assert artefact_size_bytes(sha256) == 7
        assert not blob_path(sha256).exists()
        assert artefact_remove(sha256)
        assert not artefact_path(sha256).exists()
        with pytest.raises(BytesMissing):
            artefact_read(sha256)
