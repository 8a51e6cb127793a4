"""Runs inside a client's own virtual environment: every case once, results as one JSON object on the last line.

Knows nothing of this project: what a case returns, or the error that the client raised, is judged by the tests.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from typing import Any


def given() -> dict[str, Any]:
    """Return what the test hands over: url, token, limited_token and files by name."""
    return json.loads(sys.stdin.read())


def run(cases: list[Callable[[], Any]]) -> None:
    """Run each case and write what came of it."""
    results: dict[str, Any] = {}
    for case in cases:
        started_s = time.monotonic()
        try:
            results[case.__name__] = {"value": case()}
        except Exception as error:  # noqa: BLE001 - whatever the client raises is the result
            results[case.__name__] = raised(error)
        results[case.__name__]["seconds"] = round(time.monotonic() - started_s, 2)
    print(json.dumps(results))  # noqa: T201 - the result


def raised(error: Exception) -> dict[str, Any]:
    """Return what a caller sees of an error."""
    return {
        "raised": type(error).__name__,
        "status": getattr(error, "status_code", None),
        "code": getattr(error, "code", None),
        "param": getattr(error, "param", None),
        "message": str(error),
    }


def raised_by(call: Callable[[], Any]) -> dict[str, Any] | None:
    """Return the error of a call, or None."""
    try:
        call()
    except Exception as error:  # noqa: BLE001 - whatever the client raises is the result
        return raised(error)
    return None
