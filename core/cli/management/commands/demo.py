"""``./cloister demo``: the whole product on the sample collection, with a table of what was found."""

from __future__ import annotations

import io
import json
import time
from argparse import ArgumentParser
from collections.abc import Iterator
from typing import Any

from django.core.management import call_command

from core.cli.client import Client
from core.cli.document_command import anchor_text, note
from core.cli.management.commands.ingest import follow
from core.cli.output import Outcome, OutcomeCommand
from core.cli.samples import Check, sample_checks, sample_files
from core.host.memory import PeakSampler
from core.host.supervision import Supervisor
from core.settings.env import env

COLLECTION = "demo"

ANCHOR_KEYS = {"page": "page", "time": "start_s", "frame": "frame_s", "sheet": "sheet", "chars": "start_char"}


class Command(OutcomeCommand):
    help = "Fetches the models, starts everything, ingests the samples, searches and asks; the pages keep running."

    def add_arguments(self, parser: ArgumentParser) -> None:
        super().add_arguments(parser)
        parser.add_argument("--port", type=int, help="port of the pages; 0 picks a free one")

    def outcome(self, **options: Any) -> Outcome:
        note("models: those of the profile, checked by sha256")
        call_command("models", "pull", stdout=io.StringIO())
        started_s = time.monotonic()
        supervisor = Supervisor(env().home_path)
        with PeakSampler(supervisor.pids) as sampler:
            up = _up(options["port"])
            client = Client()
            failed = _ingest(client)
            checks = list(_checks(client))
        work_s = round(time.monotonic() - started_s, 1)
        data = {
            "checks": checks,
            "failed_documents": failed,
            "work_s": work_s,
            "peak_pss_mib": round(sampler.peak_pss_mib),
            "url": up["url"],
        }
        good = all(check["ok"] for check in checks) and not failed
        return Outcome(data=data, text=_table(data, up), exit_code=0 if good else 1)


def _up(port: int | None) -> dict[str, Any]:
    printed = io.StringIO()
    arguments = [] if port is None else ["--port", str(port)]
    call_command("up", "--json", *arguments, stdout=printed)
    answer: dict[str, Any] = json.loads(printed.getvalue())
    return answer


def _ingest(client: Client) -> list[str]:
    files = sample_files()
    sent = []
    for number, path in enumerate(files, start=1):
        note(f"[{number}/{len(files)}] sending {path.name}")
        sent.append(client.upload(path, collection=COLLECTION)["id"])
    documents: list[dict[str, Any]] = []
    for latest in follow(client, sent):
        documents = latest
    return [f"{one['title']}: {one['error']['message']}" for one in documents if one["state"] == "failed"]


def _checks(client: Client) -> Iterator[dict[str, Any]]:
    wanted = sample_checks()
    for number, check in enumerate(wanted, start=1):
        done = _check(client, check)
        note(f"[{number}/{len(wanted)}] {check.modality}: {'ok' if done['ok'] else 'NOT OK'}, {done['seconds']} s")
        yield done


def _check(client: Client, check: Check) -> dict[str, Any]:
    started_s = time.monotonic()
    hits = client.search(collection=COLLECTION, text=check.query, limit=3)["hits"]
    answer: dict[str, Any] = {}
    for event, data in client.ask(check.question, collection=COLLECTION):
        if event in ("done", "error"):
            answer = data
    citation = answer["citations"][0] if answer["citations"] else None
    first = hits[0]["document"]["title"] if hits else None
    problems = _problems(check, first, answer, citation)
    return {
        "modality": check.modality,
        "query": check.query,
        "question": check.question,
        "first_hit": first,
        "answer": answer["answer"],
        "citation": citation["quote"] if citation else None,
        "anchor": citation["anchor"] if citation else None,
        "ok": not problems,
        "problems": problems,
        "seconds": round(time.monotonic() - started_s, 2),
    }


def _problems(check: Check, first: str | None, answer: dict[str, Any], citation: dict[str, Any] | None) -> list[str]:
    problems = []
    if first != check.file:
        problems.append(f"the first hit is {first}, not {check.file}")
    missing = [word for word in check.expected if word.lower() not in answer["answer"].lower()]
    if missing:
        problems.append(f"the answer lacks {', '.join(missing)}")
    if citation is None:
        problems.append("nothing is cited")
    elif ANCHOR_KEYS[check.anchor] not in citation["anchor"]:
        problems.append(f"the citation's anchor is not of the family {check.anchor}: {citation['anchor']}")
    return problems


def _table(data: dict[str, Any], up: dict[str, Any]) -> str:
    lines = []
    for check in data["checks"]:
        mark = "ok    " if check["ok"] else "NOT OK"
        where = anchor_text(check["anchor"]) if check["anchor"] else "-"
        lines.append(f"{mark} {check['modality']:<26} {check['question']}")
        lines.append(f"       {'':<26} {check['answer']}")
        lines.append(f'       {"":<26} {check["first_hit"]}, {where}: "{check["citation"] or ""}"')
        lines.extend(f"       {'':<26} problem: {problem}" for problem in check["problems"])
    lines.extend(f"NOT OK {failure}" for failure in data["failed_documents"])
    good = sum(check["ok"] for check in data["checks"])
    lines.append(f"{good} of {len(data['checks'])} checks ok; work {data['work_s']} s")
    lines.append(f"peak memory of all processes together {data['peak_pss_mib']} MiB (PSS, sampled every second)")
    lines.append(f"The pages run at {data['url']} ({up['login']}); ./cloister down stops them.")
    return "\n".join(lines)
