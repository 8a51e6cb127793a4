"""Token streams through the web process: a dropped line resumes without losing a token, then grace, then the end."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import httpx
import pytest

from core.access.acting import acting_as
from core.answers.models import Answer, AnswerState
from core.answers.stream import event_append, stop_reason
from core.host.process import wait_until
from core.remote import broker
from tests.services.api.conftest import WebProcess

pytestmark = pytest.mark.services

GRACE_S = 2.0
CANCELLED_WITHIN_S = 1.0
Told = Iterator[tuple[str, str, dict[str, Any]]]


@pytest.fixture(scope="module")
def web(services) -> Iterator[WebProcess]:
    process = WebProcess(services.home, CLOISTER_ANSWER_GRACE_S=str(GRACE_S))
    process.start()
    yield process
    process.stop()


class Speaker:
    """Says words into an answer's stream, as a worker does while nobody tells it to stop."""

    def __init__(self, answer: Answer) -> None:
        self.answer_id = str(answer.pk)
        self.said = 0

    def say(self, words: int) -> None:
        for _ in range(words):
            event_append(answer_id=self.answer_id, event="token", data={"text": f"{self.said} "})
            self.said += 1

    def end(self) -> None:
        event_append(answer_id=self.answer_id, event="done", data={"state": "done"})

    def told_to_stop(self) -> str | None:
        return stop_reason(self.answer_id)


@pytest.fixture
def answer(ann) -> Answer:
    with acting_as(ann.user):
        return Answer.objects.create(collection=ann.collection, user=ann.user, question="How many?")


@pytest.fixture
def speaker(answer) -> Speaker:
    return Speaker(answer)


@contextmanager
def listening(who, speaker: Speaker, last: str = "") -> Iterator[Told]:
    headers = {"Last-Event-ID": last} if last else {}
    with who.http.stream("GET", f"/api/answers/{speaker.answer_id}/events", headers=headers) as response:
        assert response.status_code == 200
        yield told(response.iter_lines())


def told(lines: Iterator[str]) -> Told:
    identifier = event = ""
    for line in lines:
        name, _, value = line.partition(": ")
        if name == "id":
            identifier = value
        elif name == "event":
            event = value
        elif name == "data":
            yield identifier, event, json.loads(value)


def words_of(events: list[tuple[str, str, dict[str, Any]]]) -> list[int]:
    return [int(data["text"]) for _, event, data in events if event == "token"]


def until_s(ready: Callable[[], bool], limit_s: float) -> float:
    return wait_until(ready, timeout_s=limit_s, what="that state", poll_s=0.01)


class TestDroppedLines:
    def test_a_resume_within_the_grace_time_loses_and_repeats_nothing(self, ann, speaker):
        speaker.say(10)
        with listening(ann, speaker) as events:
            before = [next(events) for _ in range(7)]
        speaker.say(10)

        with listening(ann, speaker, last=before[-1][0]) as events:
            speaker.say(10)
            speaker.end()
            after = list(events)

        assert words_of(before) + words_of(after) == list(range(30))
        assert after[-1][1] == "done"

    def test_several_drops_lose_nothing(self, ann, speaker):
        heard, last = [], ""
        for _ in range(5):
            speaker.say(4)
            with listening(ann, speaker, last=last) as events:
                heard += [next(events) for _ in range(3)]
            last = heard[-1][0]
        speaker.end()
        with listening(ann, speaker, last=last) as events:
            heard += list(events)

        assert words_of(heard) == list(range(20))

    def test_while_somebody_reads_generation_goes_on(self, ann, speaker):
        with listening(ann, speaker) as events:
            speaker.say(1)
            next(events)
            begun_s = time.monotonic()
            # Longer than the grace time.
            wait_until(
                lambda: time.monotonic() - begun_s > 1.5 * GRACE_S, timeout_s=10, what="more than the grace time"
            )
            assert speaker.told_to_stop() is None

    def test_after_the_grace_time_it_ends(self, ann, speaker):
        speaker.say(1)
        with listening(ann, speaker) as events:
            next(events)

        assert speaker.told_to_stop() is None
        until_s(lambda: speaker.told_to_stop() == "abandoned", GRACE_S + 3)


class TestCancelling:
    def test_it_ends_within_a_second(self, ann, speaker):
        with listening(ann, speaker) as events:
            speaker.say(1)
            next(events)

            assert ann.http.delete(f"/api/answers/{speaker.answer_id}").status_code == 204
            until_s(lambda: speaker.told_to_stop() == "cancelled", CANCELLED_WITHIN_S)

    def test_nobody_cancels_a_foreign_answer(self, ann, ben, speaker):
        with listening(ann, speaker) as events:
            speaker.say(1)
            next(events)
            assert ben.http.delete(f"/api/answers/{speaker.answer_id}").status_code == 404
            assert speaker.told_to_stop() is None


class TestEdges:
    def test_an_answer_whose_stream_is_gone_is_told_from_the_store(self, ann, answer, speaker):
        with acting_as(ann.user):
            Answer.objects.filter(pk=answer.pk).update(state=AnswerState.DONE, text="Forty.")

        with listening(ann, speaker) as events:
            [(_, event, data)] = list(events)

        assert (event, data["answer"]) == ("done", "Forty.")

    def test_a_stream_that_is_lost_meanwhile_ends_with_the_stored_answer(self, ann, answer, speaker):
        speaker.say(3)
        with listening(ann, speaker) as events:
            next(events)
            with acting_as(ann.user):
                Answer.objects.filter(pk=answer.pk).update(state=AnswerState.FAILED, error_message="the worker ended")
            broker().flushall()
            rest = list(events)

        assert (rest[-1][1], rest[-1][2]["error"]) == ("error", "the worker ended")

    def test_an_id_that_is_none_is_refused(self, ann, speaker):
        refused = ann.http.get(f"/api/answers/{speaker.answer_id}/events", headers={"Last-Event-ID": "yesterday"})

        assert refused.status_code == 400
        assert "Last-Event-ID" in refused.json()["error"]["message"]

    def test_strangers_are_told_nothing(self, ben, speaker, web):
        path = f"/api/answers/{speaker.answer_id}/events"

        assert ben.http.get(path).status_code == 404
        assert httpx.get(f"{web.url}{path}").status_code == 401
