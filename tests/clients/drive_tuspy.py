"""The tuspy client in its own virtual environment; see cases.py. Two runs share an upload."""

from __future__ import annotations

from typing import Any

from cases import given, run
from tusclient.client import TusClient

ASKED = given()
CLIENT = TusClient(f"{ASKED['server']}/api/uploads/", headers={"Authorization": f"Bearer {ASKED['token']}"})
CHUNK_BYTES = 256 * 1024
METADATA = {"filename": "letter.txt", "collection": ASKED["collection"], "tags": "tus,client"}


def begun() -> Any:
    uploader = CLIENT.uploader(ASKED["file"], chunk_size=CHUNK_BYTES, metadata=METADATA, upload_checksum=True)
    for _ in range(3):
        uploader.upload_chunk()
    return {"url": uploader.url, "offset": uploader.offset}


def resumed() -> Any:
    uploader = CLIENT.uploader(ASKED["file"], chunk_size=CHUNK_BYTES, url=ASKED["upload"], upload_checksum=True)
    offset = uploader.offset
    uploader.upload()
    return {"from": offset, "to": uploader.offset, "headers": dict(uploader.request.response_headers)}


run([resumed] if ASKED.get("upload") else [begun])
