"""``./cloister down``: stops what ``up`` started, and nothing else."""

from __future__ import annotations

from typing import Any

from core.cli.output import Outcome, OutcomeCommand, step
from core.host.supervision import Supervisor
from core.settings.env import env


class Command(OutcomeCommand):
    help = "Stops every process of this CLOISTER_HOME."

    def outcome(self, **_options: Any) -> Outcome:
        home = env().home_path
        with step("stopping"):
            stopped = Supervisor(home).stop()
        text = f"stopped {', '.join(stopped)}" if stopped else f"nothing of {home} was running"
        return Outcome(data={"home": str(home), "stopped": stopped}, text=text)
