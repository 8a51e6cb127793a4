"""``./cloister up``: starts everything on this machine and waits until the pages answer."""

from __future__ import annotations

import argparse
import json
import socket
import sys
import time
from typing import Any

import httpx
from django.core.management import call_command

from core.cli.output import Outcome, OutcomeCommand, is_ready, models_missing, step
from core.host.broker import EmbeddedBroker
from core.host.paths import home_layout
from core.host.postgres import EmbeddedPostgres
from core.host.process import ServerFailed, wait_until
from core.host.secrets import SecretMissing, secret, secret_store
from core.host.supervision import Supervisor
from core.segments.service import space_active
from core.segments.space_spec import role_of, space_specs
from core.settings.env import env

ADMINISTRATOR = "admin"
READY_S = 300.0


class Command(OutcomeCommand):
    help = "Starts everything on this machine and waits until the pages answer."

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        super().add_arguments(parser)
        parser.add_argument("--port", type=int, help="port of the pages (CLOISTER_PORT); 0 picks a free one")

    def outcome(self, **_options: Any) -> Outcome:
        begun_s = time.monotonic()
        home = env().home_path
        supervisor = Supervisor(home)
        _models_check()
        with step("supervisor"):
            _supervisor_ensure(supervisor)
        with step("PostgreSQL"):
            _postgres_ensure(supervisor)
        with step("broker"):
            _broker_ensure(supervisor)
        with step("migrations"):
            call_command("migrate", database="owner", interactive=False, verbosity=0)
        with step("embedding spaces"):
            call_command("spaces_ensure", stdout=self.stderr)
        with step("administrator"):
            token = _administrator_ensure()
        with step("engines, workers and pages"):
            for state in supervisor.states():
                supervisor.program_start(state.name)
            url = _web_wait(supervisor, token)
        took_s = time.monotonic() - begun_s
        login = f"log in as {ADMINISTRATOR}; the password stands in {home_layout(home).secrets / 'admin_login'}"
        notes = spaces_without_engine()
        data = {"url": url, "home": str(home), "seconds": round(took_s, 1), "login": login, "notes": notes}
        text = f"{url} ({login}; up in {took_s:.1f} s; stop with ./cloister down)"
        return Outcome(data=data, text="\n".join([text, *notes]))


def spaces_without_engine() -> list[str]:
    """Say which spaces answer searches although no role of the profile embeds into them any more, and what to do."""
    specs = space_specs()
    notes = []
    for spec in specs.values():
        active = space_active(spec.name)
        if active is not None and role_of(active.digest, specs) is None:
            digest = spec.digest[:12]
            notes.append(
                f"the space '{spec.name}' was made by models that this profile no longer has: no search works; "
                f"run './cloister spaces fill {digest}', then './cloister spaces switch {digest}'"
            )
    return notes


def _models_check() -> None:
    missing = models_missing()
    if missing:
        raise ServerFailed(f"the model store {env().weights} lacks {', '.join(missing)}; run ./cloister models pull")


def _supervisor_ensure(supervisor: Supervisor) -> None:
    if supervisor.alive():
        return
    supervisor.orphans_stop()
    (home_layout(env().home_path).run / "port").unlink(missing_ok=True)
    _port_check()
    supervisor.start()


def _port_check() -> None:
    settings = env()
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((settings.host, settings.port))
        except OSError as error:
            raise ServerFailed(
                f"cannot listen on {settings.host} port {settings.port} ({error.strerror}); "
                "set CLOISTER_PORT to another port, or to 0 for any free one"
            ) from error


def _postgres_ensure(supervisor: Supervisor) -> None:
    if env().database_url is not None:
        return
    postgres = EmbeddedPostgres(env().home_path)
    postgres.initialise()
    supervisor.program_start("postgres")
    postgres.wait_ready(120)
    postgres.roles_ensure()


def _broker_ensure(supervisor: Supervisor) -> None:
    if env().broker_url is None:
        supervisor.program_start("broker")
        EmbeddedBroker(env().home_path).wait_ready()


def _administrator_ensure() -> str:
    from core.access.models import User
    from core.access.service import token_create, user_create

    home = env().home_path
    user = User.objects.filter(username=ADMINISTRATOR).first()
    if user is None:
        user = user_create(name=ADMINISTRATOR, password=secret(home, "admin_login"), administrator=True)
    elif (token := _token_stored()) is not None:
        return token
    secret_store(home, "cli_token", token_create(user))
    return secret(home, "cli_token")


def _token_stored() -> str | None:
    from knox.auth import TokenAuthentication
    from rest_framework.exceptions import AuthenticationFailed

    try:
        token = secret(env().home_path, "cli_token")
        TokenAuthentication().authenticate_credentials(token.encode())
    except (SecretMissing, AuthenticationFailed):
        return None
    return token


def _web_wait(supervisor: Supervisor, token: str) -> str:
    noted = home_layout(env().home_path).run / "port"
    wait_until(noted.is_file, timeout_s=READY_S, what="a port of the web server")
    url = f"http://{_reachable(env().host)}:{noted.read_text().strip()}"
    seen: dict[str, Any] = {}
    progress = _Progress()

    # A proxy from the environment would be a way out.
    with httpx.Client(timeout=10, trust_env=False, headers={"Authorization": f"Bearer {token}"}) as http:

        def ready() -> bool:
            seen.clear()
            try:
                seen.update(http.get(f"{url}/api/status").json())
            except (httpx.TransportError, json.JSONDecodeError) as error:
                seen["error"] = str(error)
            progress.show(seen.get("workers"))
            return is_ready(seen)

        try:
            wait_until(ready, timeout_s=READY_S, what="a ready answer of /api/status", poll_s=0.25)
        except ServerFailed as error:
            raise ServerFailed(f"{error}; {_why(supervisor, seen)}") from error
    return url


class _Progress:
    """Tells stderr of each preloaded engine when it begins to load, is ready or cannot be loaded."""

    def __init__(self) -> None:
        self._told: dict[str, str] = {}

    def show(self, workers: Any) -> None:
        """Tell what is new in a report of the engine host."""
        for engine in workers.get("engines", []) if isinstance(workers, dict) else []:
            if not engine["preload"]:
                continue
            name, line = f"{engine['role']} on {engine['device']}", _engine_line(engine)
            if line and self._told.get(name) != line:
                self._told[name] = line
                sys.stderr.write(f"\n  {name}: {line} ")
                sys.stderr.flush()


def _engine_line(engine: dict[str, Any]) -> str:
    match engine["state"]:
        case "ready":
            return f"ready after {engine['load_s']:.1f} s"
        case "failed":
            return f"cannot be loaded: {engine['error']}"
        case "loading":
            return "loading"
    return ""


def _reachable(host: str) -> str:
    return {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(host, host)  # noqa: S104 - read, not bound


def _why(supervisor: Supervisor, seen: dict[str, Any]) -> str:
    ailing = [
        f"{state.name} is {state.state} (log: {state.log})" for state in supervisor.states() if state.state != "RUNNING"
    ]
    return f"the last answer was {json.dumps(seen)}; {'; '.join(ailing) or 'every process runs'}"
