"""The worker answers to exactly the names that core sends."""

from __future__ import annotations

from core.celery_app import app
from core.task_names import TASK_NAMES
from gpu_worker import tasks


def test_the_worker_s_tasks_are_those_that_core_names() -> None:
    registered = {name for name, task in app.tasks.items() if task.__module__ == tasks.__name__}

    assert registered == TASK_NAMES
