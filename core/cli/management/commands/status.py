"""``./cloister status``: what runs, where it is reached, and how the engines are."""

from __future__ import annotations

import dataclasses
from typing import Any

from core.cli.client import ApiError, Client, NotRunning
from core.cli.output import Outcome, OutcomeCommand, is_ready
from core.host.broker import EmbeddedBroker
from core.host.postgres import EmbeddedPostgres
from core.host.secrets import SecretMissing
from core.host.supervision import Supervisor
from core.settings.env import env


class Command(OutcomeCommand):
    help = "Shows the processes of this CLOISTER_HOME; exit code 3 when they do not all run."

    def outcome(self, **_options: Any) -> Outcome:
        settings = env()
        home = settings.home_path
        states = Supervisor(home).states()
        server = _server()
        all_run = bool(states) and all(state.state == "RUNNING" for state in states)
        data = {
            "home": str(home),
            "running": all_run,
            "ready": is_ready(server),
            "processes": [dataclasses.asdict(state) for state in states],
            "url": server.get("url"),
            "database": _reachable(settings.database_url, EmbeddedPostgres(home).answers),
            "broker": _reachable(settings.broker_url, EmbeddedBroker(home).answers),
            "server": server,
        }
        return Outcome(data=data, text=_text(data), exit_code=0 if all_run else 3)


def _server() -> dict[str, Any]:
    try:
        client = Client()
        return {"url": client.base_url, **client.request("GET", "/api/status")}
    except (ApiError, NotRunning, SecretMissing) as error:
        return {"error": str(error)}


def _reachable(external: str | None, answers: Any) -> dict[str, Any]:
    if external is not None:
        return {"embedded": False}
    return {"embedded": True, "answers": answers()}


def _engines(workers: Any) -> list[str]:
    if not isinstance(workers, dict):
        return []
    lines = [
        f"{device['name']:<20} {device['expected_mib']:>8.0f} of {device['budget_mib']} MiB for engines; "
        f"{device['free_mib']} of {device['total_mib']} MiB free"
        for device in workers.get("devices", [])
    ]
    lines += [
        f"{engine['role']:<20} {engine['state']:<9} {engine['pid'] or '-'!s:>8} {engine['pss_mib']:>8.0f} MiB  "
        f"{engine['engine']} {'+'.join(engine['models'])} on {engine['device']}"
        for engine in workers.get("engines", [])
    ]
    lines += [
        f"{worker['slot']:<20} {worker['running']} of {worker['threads']} threads busy, {worker['done']} tasks done, "
        f"heard of at {worker['at']}"
        for worker in workers.get("workers", [])
    ]
    return lines


def _text(data: dict[str, Any]) -> str:
    lines = [f"{data['home']}: {'running' if data['running'] else 'not running'}", f"pages     {data['url'] or '-'}"]
    lines += [
        f"{process['name']:<20} {process['state']:<9} {process['pid'] or '-'!s:>8} {process['uptime_s']:>8.0f} s"
        for process in data["processes"]
    ]
    lines += _engines(data["server"].get("workers"))
    if "error" in data["server"]:
        lines.append(data["server"]["error"])
    return "\n".join(lines)
