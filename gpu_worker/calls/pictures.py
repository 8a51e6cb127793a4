"""Pictures that came with a call: decoded in a sandbox, never in a worker or in the web process."""

from __future__ import annotations

import tempfile
from pathlib import Path

from gpu_worker import services
from gpu_worker.material import picture_decode
from inference.errors import DamagedFile, InputRejected
from inference.values import RgbImage


def picture_read(path: Path, *, owner: str, name: str) -> RgbImage:
    """Decode the picture in a file.

    Args:
        path: The encoded picture.
        owner: Whose it is: a warm sandbox never sees files of two owners.
        name: What sentences call it, such as ``the query's picture``.

    Raises:
        InputRejected: It is no picture, or a damaged one.
    """
    with services.sandboxes().lease(owner) as sandbox:
        info = sandbox.probe(path, name=name)
        if info.family != "image":
            raise InputRejected(f"{name} is a file of type {info.media_type}; send a PNG or a JPEG")
        extraction, artefacts = sandbox.parse(path, info, first_unit=1, last_unit=1, name=name)
    if not extraction.pictures:
        raise DamagedFile(f"{name} holds no picture")
    return picture_decode(artefacts[extraction.pictures[0].artefact])


def picture_of_bytes(content: bytes, *, owner: str, name: str) -> RgbImage:
    """Decode a picture that is not in a file yet; raises as ``picture_read`` does."""
    with tempfile.TemporaryDirectory(prefix="cloister-picture-") as folder:
        path = Path(folder) / "picture"
        path.write_bytes(content)
        return picture_read(path, owner=owner, name=name)
