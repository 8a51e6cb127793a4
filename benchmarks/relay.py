"""How long does the API hold up a token on its way from the broker to the reader, and does a reconnect lose any?"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import django
import numpy as np

from benchmarks.anchor import anchor
from benchmarks.report import Figure, figure_of_runs, report
from benchmarks.stack import stack_up
from core.host.secrets import secret
from core.settings.env import REPOSITORY, child_environment, env, environment_default

if TYPE_CHECKING:
    from core.access.models import User
    from core.answers.models import Answer

SUITE = "relay"
TOKENS = 500
PERIOD_S = 0.02
"""Fifty tokens a second: about what a small language model on two cores gives."""

ROUNDS = 3
STREAMS = 8
ADDED_P99_MS = 5.0
DROPS = (60, 140, 250, 400)
AWAY_S = 0.7
READER_LIMIT_S = 120.0


@dataclasses.dataclass
class Reader:
    """A reader in a process of its own."""

    process: subprocess.Popen[str]

    def arrivals_ns(self) -> list[tuple[int, int]]:
        """Wait for its end, and return (token, when) in the order of arrival."""
        written, _ = self.process.communicate(timeout=READER_LIMIT_S)
        if self.process.returncode != 0:
            raise SystemExit(f"a reader ended with {self.process.returncode}")
        return [(number, there_ns) for number, there_ns in json.loads(written)]


def main() -> dict[str, Any]:
    """Measure, store the result, and return it."""
    url = stack_up()["url"]
    django.setup()
    from core.api.bearer import token_user

    token = secret(env().home_path, "cli_token")
    user = token_user(token)
    if user is None:
        raise SystemExit("the token of the command line is not valid; run './cloister up' again")
    with _answers(user, 1) as [warm]:
        _measure(url, token, [warm], tokens=50)
    measured = anchor()
    one = [_added_ms(url, token, user, streams=1) for _ in range(ROUNDS)]
    several = [_added_ms(url, token, user, streams=STREAMS) for _ in range(ROUNDS)]
    lost, repeated = _reconnected(url, token, user)
    return report(
        SUITE,
        [
            figure_of_runs(
                "p99 of what the API adds to a token over raw XREAD, one stream",
                [_percentile(run, 99) for run in one],
                unit="ms",
                goal=ADDED_P99_MS,
                better="lower",
                quality={"p50 ms": round(float(np.median([_percentile(run, 50) for run in one])), 2), "tokens": TOKENS},
                anchor=measured,
            ),
            figure_of_runs(
                f"the same with {STREAMS} streams at once",
                [_percentile(run, 99) for run in several],
                unit="ms",
                better="lower",
                quality={"p50 ms": round(float(np.median([_percentile(run, 50) for run in several])), 2)},
                anchor=anchor(),
            ),
            Figure(
                name=f"tokens lost over {len(DROPS)} forced reconnects",
                value=float(lost),
                unit="tokens",
                goal=0.0,
                better="lower",
                quality={"repeated": repeated, "of": TOKENS, "away s each": AWAY_S},
            ),
        ],
        tokens_a_second=round(1 / PERIOD_S),
        grace_s=env().answer_grace_s,
    )


def _added_ms(url: str, token: str, user: User, *, streams: int) -> list[float]:
    with _answers(user, streams) as answers:
        return _measure(url, token, answers, tokens=TOKENS)


def _measure(url: str, token: str, answers: Sequence[Answer], *, tokens: int) -> list[float]:
    """Return for every token of every stream how much later it came through the API than from the broker."""
    readers = [(_reader(url, token, answer), _reader("", token, answer)) for answer in answers]
    _speak(answers, tokens=tokens)
    added_ms = []
    for through_api, from_broker in readers:
        raw_ns = dict(from_broker.arrivals_ns())
        api_ns = dict(through_api.arrivals_ns())
        added_ms += [(api_ns[number] - raw_ns[number]) / 1e6 for number in range(tokens)]
    return added_ms


def _reconnected(url: str, token: str, user: User) -> tuple[int, int]:
    with _answers(user, 1) as [answer]:
        reader = _reader(url, token, answer, drop_after=DROPS)
        _speak([answer], tokens=TOKENS)
        numbers = [number for number, _ in reader.arrivals_ns()]
    return TOKENS - len(set(numbers)), len(numbers) - len(set(numbers))


def _speak(answers: Sequence[Answer], *, tokens: int) -> None:
    """Append tokens to every stream as a worker does, at an even pace."""
    from core.answers.stream import event_append

    begun_s = time.monotonic()
    for number in range(tokens):
        for answer in answers:
            event_append(answer_id=str(answer.pk), event="token", data={"text": " word", "number": number})
        time.sleep(max(0.0, begun_s + (number + 1) * PERIOD_S - time.monotonic()))
    for answer in answers:
        event_append(answer_id=str(answer.pk), event="done", data={})


def _reader(url: str, token: str, answer: Answer, *, drop_after: Sequence[int] = ()) -> Reader:
    from django.conf import settings

    from core.answers.stream import stream_key

    process = subprocess.Popen(
        [sys.executable, "-c", "from benchmarks.relay_readers import main; main()"],
        cwd=REPOSITORY,
        env=child_environment(PYTHONPATH=str(REPOSITORY)),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    wanted = {
        "url": url and f"{url}/api/answers/{answer.pk}/events",
        "token": token,
        "broker": settings.BROKER_URL,
        "key": stream_key(str(answer.pk)),
        "drop_after": list(drop_after),
        "away_s": AWAY_S,
    }
    process.stdin.write(json.dumps(wanted) + "\n")
    process.stdin.flush()
    process.stdout.readline()
    return Reader(process)


@contextlib.contextmanager
def _answers(user: User, count: int) -> Iterator[list[Answer]]:
    """Stored questions that no worker is told of: this process speaks in its place."""
    from core.access.acting import acting_as
    from core.access.service import collection_get_or_create
    from core.answers.models import Answer

    collection = collection_get_or_create(user=user, name="benchmark relay")
    with acting_as(user):
        made = [Answer.objects.create(collection=collection, user=user, question="benchmark") for _ in range(count)]
    try:
        yield made
    finally:
        with acting_as(user):
            Answer.objects.filter(pk__in=[one.pk for one in made]).delete()


def _percentile(values: Sequence[float], percent: int) -> float:
    return float(np.percentile(values, percent))


if __name__ == "__main__":
    environment_default(DJANGO_SETTINGS_MODULE="core.settings.base")
    print(json.dumps(main(), indent=2, default=str))
