"""Waiting for a worker's reply on the real broker."""

from __future__ import annotations

import base64
import json
import threading

import numpy as np
import pytest

from core import task_names
from core.remote import WorkerRefused, WorkerUnavailable, broker, query_embed

pytestmark = pytest.mark.services

SLOW_REPLY_S = 6.0


def fake_worker(reply: dict, *, after_s: float) -> threading.Thread:
    """Answer the next query as a worker would, after a while."""

    def run() -> None:
        client = broker()
        _, raw = client.blpop([task_names.QUEUE_INTERACTIVE], timeout=30)
        body = json.loads(base64.b64decode(json.loads(raw)["body"]))
        threading.Event().wait(after_s)
        client.lpush(body[0][0], json.dumps(reply))

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    return thread


class TestQueryEmbed:
    def test_a_reply_may_take_longer_than_the_librarys_default_timeout(self, clean_database):
        vector = np.array([0.5, 0.25], dtype=np.float32)
        worker = fake_worker({"vector": base64.b64encode(vector.tobytes()).decode()}, after_s=SLOW_REPLY_S)

        assert query_embed(role="text", text="hello") == [0.5, 0.25]
        worker.join()

    def test_no_worker_ends_the_wait_with_a_sentence(self, clean_database):
        with pytest.raises(WorkerUnavailable, match="cloister status"):
            query_embed(role="text", text="hello", timeout_s=0.2)

    def test_a_refusal_of_the_worker_keeps_its_code(self, clean_database):
        worker = fake_worker({"error": {"code": "damaged_file", "message": "no picture"}}, after_s=0)

        with pytest.raises(WorkerRefused, match="no picture") as refused:
            query_embed(role="image_text", image=b"x")

        assert refused.value.code == "damaged_file"
        worker.join()
