"""What does /api/search add to its own SQL over 100,000 real vectors, and how do recall and loading fare?"""

from __future__ import annotations

import functools
import http.client
import json
import statistics
import sys
import threading
import time
import urllib.parse
from collections.abc import Callable, Sequence
from typing import Any

import django
import numpy as np
import numpy.typing as npt
import psycopg

from benchmarks.anchor import anchor
from benchmarks.report import Figure, figure_of_runs, report, table
from benchmarks.stack import web_stack
from benchmarks.wordnet import Corpus, CorpusUnavailable, corpus
from core.settings.env import env, environment_default
from models_local.errors import ModelsError

SUITE = "search"
QUERIES = 150
QUERY_WORDS = 5
LOADING_ROUNDS = 1
ROUNDS = 3
ADDED_P50_MS = 6.0
ADDED_P95_MS = 12.0
RECALL = 0.98
RECALL_FILTERED = 0.95
LOAD_RATIO = 8.0
CLIENTS = 8
CLIENTS_S = 8.0
INDEXED_ROWS = 10_000
"""Rows of the comparison with the index in place: 100,000 would take the ORM minutes, and favour it no less."""

OVERFETCHED = 100
"""What naive post-filtering takes from the index before it filters: ten times what is wanted."""

Floats = npt.NDArray[np.float32]


class Server:
    """One keep-alive connection to /api/search under one user's token."""

    def __init__(self, url: str, token: str) -> None:
        parts = urllib.parse.urlsplit(url)
        self._connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=120)
        self._headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}

    def search(self, text: str) -> bytes:
        """Search, and return the body of the answer."""
        self._connection.request("POST", "/api/search", json.dumps({"text": text, "limit": 10}), self._headers)
        response = self._connection.getresponse()
        body = response.read()
        if response.status != 200:
            raise RuntimeError(f"/api/search answered {response.status}: {body[:500]!r}")
        return body


def main() -> dict[str, Any]:
    """Load, measure, store and return the result."""
    try:
        glosses = corpus()
    except (CorpusUnavailable, ModelsError) as error:
        return report(SUITE, [Figure(name="everything", value=None, reason=str(error))])
    with web_stack(env().home_path / "bench" / SUITE) as url:
        django.setup()
        return _measured(url, glosses)


def _measured(url: str, glosses: Corpus) -> dict[str, Any]:
    from benchmarks.gloss_library import EVERYTHING, ROWS, SHARES, Library, library

    held: Library = library(glosses, queries=QUERIES)
    texts = [asked(glosses.texts[index]) for index in held.queries]
    _remember(held, glosses, texts)
    first = Server(url, held.tokens[EVERYTHING])
    for text in texts:
        first.search(text)
    exact = Exact(glosses, ROWS, held.queries)
    figures = []
    parts: list[Callable[[], list[Figure]]] = [
        lambda: _added(url, held, texts),
        lambda: [_clients(url, held.tokens[EVERYTHING], texts)],
        *(functools.partial(_recall, held, glosses, exact, share) for share in (EVERYTHING, *SHARES)),
        lambda: _loading(held, glosses),
    ]
    for part in parts:
        found = part()
        # Told at once: a suite of minutes that is ended early has still said what it found.
        sys.stderr.write(table(found) + "\n")
        figures += found
    details = {"rows": ROWS, "queries": QUERIES, "model": glosses.model, "texts": glosses.package}
    return report(SUITE, figures, recall_by_ef_search=_recall_by_ef(held, glosses, exact), **details)


def asked(gloss: str) -> str:
    """Return the query that a gloss makes: its first words, without the quotes of an example."""
    return " ".join(word.strip("()\"*;,`'") for word in gloss.split()[:QUERY_WORDS])


def _remember(held: Any, glosses: Corpus, texts: Sequence[str]) -> None:
    """Put the queries' vectors where the product keeps those of queries that were asked before."""
    from core.search.query_cache import QueryKey, query_cache
    from core.segments.service import space_active

    vectors = {}
    for name in ("text", "image_text"):
        space = space_active(name)
        assert space is not None
        for query, text in zip(held.queries, texts, strict=True):
            # The space of pictures is empty here: its leg ends before it looks at the vector.
            vectors[QueryKey(space.digest, text)] = glosses.vectors[query].tolist()
    query_cache().put(vectors)


def _added(url: str, held: Any, texts: Sequence[str]) -> list[Figure]:
    from benchmarks.gloss_library import EVERYTHING

    recorded = [_statements(held.users[EVERYTHING], text) for text in texts]
    runs: list[Floats] = []
    request_ms: list[float] = []
    sql_ms: list[float] = []
    before = anchor()
    server = Server(url, held.tokens[EVERYTHING])
    with psycopg.connect(_application_url(), prepare_threshold=None) as raw:
        for _ in range(ROUNDS):
            pairs = []
            for text, statements in zip(texts, recorded, strict=True):
                by_http = _timed_ms(functools.partial(server.search, text))
                by_sql = _timed_ms(functools.partial(_replay, raw, statements))
                pairs.append((by_http, by_sql))
            request_ms += [one for one, _ in pairs]
            sql_ms += [one for _, one in pairs]
            runs.append(np.array([one - other for one, other in pairs], np.float32))
    quality = {
        "request_p50_ms": round(statistics.median(request_ms), 2),
        "sql_p50_ms": round(statistics.median(sql_ms), 2),
        "statements": len(recorded[0]),
    }
    return [
        figure_of_runs(
            f"added to the same SQL, p{percent}",
            [float(np.percentile(run, percent)) for run in runs],
            unit="ms",
            goal=goal,
            better="lower",
            quality=quality,
            anchor=before,
        )
        for percent, goal in ((50, ADDED_P50_MS), (95, ADDED_P95_MS))
    ]


def _statements(user: Any, text: str) -> list[str]:
    """Record what one search executes, with its values."""
    from django.db import connection

    from core.remote import query_embed
    from core.search.service import segments_search

    recorded: list[str] = []

    def record(execute: Callable[..., Any], sql: str, values: Any, many: bool, context: dict[str, Any]) -> Any:  # noqa: FBT001 - Django's own signature
        recorded.append(psycopg.ClientCursor(connection.connection).mogrify(sql, values))
        return execute(sql, values, many, context)

    with connection.execute_wrapper(record):
        segments_search(user=user, embedder=query_embed, text=text, typed=True, limit=10, whole=False)
    return recorded


def _replay(raw: psycopg.Connection, statements: Sequence[str]) -> None:
    with raw.transaction():
        for statement in statements:
            raw.execute(statement.encode()).fetchall()


def _clients(url: str, token: str, texts: Sequence[str]) -> Figure:
    counts = [0] * CLIENTS
    ends_s = time.perf_counter() + CLIENTS_S

    def run(number: int) -> None:
        server = Server(url, token)
        while time.perf_counter() < ends_s:
            server.search(texts[(number * 37 + counts[number]) % len(texts)])
            counts[number] += 1

    threads = [threading.Thread(target=run, args=(number,)) for number in range(CLIENTS)]
    begun_s = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    per_s = sum(counts) / (time.perf_counter() - begun_s)
    quality = {"clients": CLIENTS, "requests": sum(counts)}
    return Figure(
        name=f"searches at {CLIENTS} clients", value=round(per_s, 1), unit="1/s", quality=quality, anchor=anchor()
    )


def _recall(held: Any, glosses: Corpus, exact: Exact, share: str) -> list[Figure]:
    from benchmarks.gloss_library import EVERYTHING
    from core.access.acting import acting_as
    from core.access.service import visible_to
    from core.search.legs import Scope, planner_prepare, vector_leg

    user = held.users[share]
    row_of = {key: row for row, key in enumerate(held.segment_ids)}
    ours, naive, ours_ms, naive_ms = [], [], [], []
    for query in held.queries:
        vector = [float(value) for value in glosses.vectors[query]]
        with acting_as(user):
            scope = Scope(collection_ids=tuple(visible_to(user).values_list("pk", flat=True)))
            planner_prepare()
            begun_s = time.perf_counter()
            hits = vector_leg(scope=scope, space=held.space, vector=vector, floor=-1.0, limit=10)
            ours_ms.append((time.perf_counter() - begun_s) * 1000)
            ours.append(exact.recall(query, held.visible[share], [row_of[hit.segment_id] for hit in hits]))
            begun_s = time.perf_counter()
            keys = _post_filtered(scope.collection_ids, held.space, glosses.vectors[query])
            naive_ms.append((time.perf_counter() - begun_s) * 1000)
            naive.append(exact.recall(query, held.visible[share], [row_of[key] for key in keys]))
    figure = Figure(
        name=f"recall@10 of vectors with {share} visible",
        value=round(statistics.fmean(ours), 4),
        unit="",
        goal=RECALL if share == EVERYTHING else RECALL_FILTERED,
        quality={
            "p50_ms": round(statistics.median(ours_ms), 2),
            "worst query": min(ours),
            "post-filtered recall": round(statistics.fmean(naive), 4),
            "post-filtered p50_ms": round(statistics.median(naive_ms), 2),
        },
        anchor=anchor(),
    )
    return [figure]


class Exact:
    """The exact nearest rows of every query, on the half precision that is stored."""

    def __init__(self, glosses: Corpus, rows: int, queries: Sequence[int]) -> None:
        stored = glosses.vectors[[*range(rows), *queries]].astype(np.float16).astype(np.float32)
        stored /= np.linalg.norm(stored, axis=1, keepdims=True)
        self._similarities = dict(zip(queries, stored[rows:] @ stored[:rows].T, strict=True))

    def recall(self, query: int, visible: npt.NDArray[np.bool_], rows: Sequence[int]) -> float:
        """Share of the ten nearest visible rows that are among those found; ties count for either."""
        similarities = np.where(visible, self._similarities[query], -2.0)
        wanted = min(10, int(visible.sum()))
        least = np.partition(similarities, -wanted)[-wanted]
        return float(sum(similarities[row] >= least - 1e-6 for row in rows) / wanted)


def _post_filtered(collection_ids: Sequence[Any], space: Any, vector: Floats) -> list[Any]:
    from django.db import connection

    distance = f"embedding::halfvec({space.dimensions}) <=> %s::halfvec({space.dimensions})"
    with connection.cursor() as cursor:
        cursor.execute("SELECT set_config('cloister.user_id', 'system', true)")
        cursor.execute("SELECT set_config('hnsw.iterative_scan', 'off', true)")
        cursor.execute(
            "SELECT segment_id FROM (SELECT segment_id, collection_id FROM segments_embedding "
            f"WHERE space_id = %s ORDER BY {distance} LIMIT %s) AS nearest WHERE collection_id = ANY(%s) LIMIT 10",
            [space.pk, str(vector.tolist()), OVERFETCHED, list(collection_ids)],
        )
        return [key for (key,) in cursor.fetchall()]


def _recall_by_ef(held: Any, glosses: Corpus, exact: Exact) -> dict[str, dict[str, float]]:
    from django.db import connection

    from benchmarks.gloss_library import EVERYTHING
    from core.access.acting import acting_as_system
    from core.search.legs import EF_SEARCH

    row_of = {key: row for row, key in enumerate(held.segment_ids)}
    distance = f"embedding::halfvec({held.space.dimensions}) <=> %s::halfvec({held.space.dimensions})"
    found = {}
    for ef_search in sorted({40, 100, EF_SEARCH, 400}):
        recalls, took_ms = [], []
        for query in held.queries[:100]:
            with acting_as_system(), connection.cursor() as cursor:
                cursor.execute("SELECT set_config('hnsw.ef_search', %s, true)", [str(ef_search)])
                begun_s = time.perf_counter()
                cursor.execute(
                    f"SELECT segment_id FROM segments_embedding WHERE space_id = %s ORDER BY {distance} LIMIT 10",
                    [held.space.pk, str(glosses.vectors[query].tolist())],
                )
                keys = [key for (key,) in cursor.fetchall()]
                took_ms.append((time.perf_counter() - begun_s) * 1000)
            recalls.append(exact.recall(query, held.visible[EVERYTHING], [row_of[key] for key in keys]))
        found[str(ef_search)] = {
            "recall": round(statistics.fmean(recalls), 4),
            "p50_ms": round(statistics.median(took_ms), 2),
        }
    return found


def _loading(held: Any, glosses: Corpus) -> list[Figure]:
    return [
        _loading_figure(held, glosses, rows=len(held.segment_ids), indexed=False, rounds=LOADING_ROUNDS),
        _loading_figure(held, glosses, rows=INDEXED_ROWS, indexed=True, rounds=1),
    ]


def _loading_figure(held: Any, glosses: Corpus, *, rows: int, indexed: bool, rounds: int) -> Figure:
    runs, copies_s, orm_s = [], [], []
    before = anchor()
    for _ in range(rounds):
        copies_s.append(_loaded_s(held, glosses, rows, by_copy=True, indexed=indexed))
        orm_s.append(_loaded_s(held, glosses, rows, by_copy=False, indexed=indexed))
        runs.append(orm_s[-1] / copies_s[-1])
    what = "COPY, then index / bulk_create into the index" if indexed else "COPY / bulk_create, rows alone"
    quality = {
        "rows": rows,
        "copy_s": round(statistics.median(copies_s), 2),
        "bulk_create_s": round(statistics.median(orm_s), 2),
    }
    return figure_of_runs(f"loading, {what}", runs, goal=LOAD_RATIO, quality=quality, anchor=before)


def _loaded_s(held: Any, glosses: Corpus, rows: int, *, by_copy: bool, indexed: bool) -> float:
    from benchmarks.gloss_library import library_rows
    from core.access.acting import acting_as_system
    from core.segments.models import Embedding
    from core.segments.partition import partition_seal
    from core.segments.service import space_create, space_drop
    from core.segments.vectors import vectors_copy

    digest = f"bench-{'copy' if by_copy else 'orm'}-{time.time_ns()}"
    space = space_create(name="text", digest=digest, dimensions=held.space.dimensions)
    try:
        values = library_rows(held, glosses, space_id=space.pk, count=rows)
        if indexed and not by_copy:
            partition_seal(space)
        begun_s = time.perf_counter()
        with acting_as_system():
            if by_copy:
                vectors_copy(space.pk, values)
            else:
                Embedding.objects.bulk_create([Embedding(**row._asdict()) for row in values], batch_size=1000)
        if indexed and by_copy:
            partition_seal(space)
        return time.perf_counter() - begun_s
    finally:
        space_drop(space_id=space.pk)


def _application_url() -> str:
    from core.settings.addresses import postgres_url

    return env().database_url or postgres_url(env().home_path, "app")


def _timed_ms(work: Callable[[], object]) -> float:
    begun_s = time.perf_counter()
    work()
    return (time.perf_counter() - begun_s) * 1000


if __name__ == "__main__":
    environment_default(DJANGO_SETTINGS_MODULE="core.settings.base")
    print(json.dumps(main(), indent=2, default=str))
