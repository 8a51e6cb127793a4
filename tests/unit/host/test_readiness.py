"""What counts as ready: pages that answer, and engines that have done their first work."""

from __future__ import annotations

import io
import sys
from typing import Any

import pytest

from core.cli.management.commands.up import _Progress
from core.cli.output import is_ready


def engine(role: str, state: str, **fields: Any) -> dict[str, Any]:
    return {"role": role, "device": "cpu", "state": state, "preload": True, "load_s": None, "error": "", **fields}


class TestReady:
    @pytest.mark.parametrize(
        ("answer", "ready"),
        [
            ({"web": "ready", "workers": {"ready": True}}, True),
            ({"web": "ready", "workers": {"ready": False, "loading": ["text@cpu"]}}, False),
            ({"web": "ready", "workers": None}, False),
            ({"web": "ready"}, False),
            ({"error": {"code": "unavailable"}}, False),
        ],
    )
    def test_waits_for_the_engines_that_are_loaded_first(self, answer: dict[str, Any], ready: bool) -> None:
        assert is_ready(answer) is ready


class TestProgress:
    def test_tells_each_step_of_each_preloaded_engine_once(self, monkeypatch: pytest.MonkeyPatch) -> None:
        told = io.StringIO()
        monkeypatch.setattr(sys, "stderr", told)
        progress = _Progress()

        for state in ("unloaded", "loading", "loading", "ready", "ready"):
            progress.show({"engines": [engine("text", state, load_s=3.21), engine("ocr", state, preload=False)]})
        progress.show({"engines": [engine("language", "failed", error="the model is missing")]})
        progress.show(None)

        assert [line.strip() for line in told.getvalue().splitlines() if line] == [
            "text on cpu: loading",
            "text on cpu: ready after 3.2 s",
            "language on cpu: cannot be loaded: the model is missing",
        ]
