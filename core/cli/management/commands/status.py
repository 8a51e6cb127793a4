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


def _text(data: dict[str, Any]) -> str:
    lines = [f"{data['home']}: {'running' if data['running'] else 'not running'}", f"pages     {data['url'] or '-'}"]
    lines += [
        f"{process['name']:<20} {process['state']:<9} {process['pid'] or '-'!s:>8} {process['uptime_s']:>8.0f} s"
        for process in data["processes"]
    ]
    if "error" in data["server"]:
        lines.append(data["server"]["error"])
    return "\n".join(lines)
