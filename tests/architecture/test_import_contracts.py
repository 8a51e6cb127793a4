from __future__ import annotations

import subprocess
import sys

from core.settings.env import REPOSITORY, child_environment

HEAVY = (
    "torch",
    "transformers",
    "open_clip",
    "faster_whisper",
    "sentence_transformers",
    "llama_cpp",
    "xllamacpp",
    "onnxruntime",
    "rapidocr",
    "timm",
    "ctranslate2",
    "sklearn",
    "cv2",
)


def loaded_by(module: str) -> set[str]:
    code = f"import sys, importlib; importlib.import_module({module!r}); print(*sorted(sys.modules), sep='\\n')"
    ended = subprocess.run(
        [sys.executable, "-c", code],
        cwd=REPOSITORY,
        env=child_environment(DJANGO_SETTINGS_MODULE="core.settings.test"),
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    return set(ended.stdout.split())


class TestImports:
    def test_keep_every_contract(self) -> None:
        ended = subprocess.run(
            [sys.executable, "-c", "import sys; from importlinter.cli import lint_imports; sys.exit(lint_imports())"],
            cwd=REPOSITORY,
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )

        assert ended.returncode == 0, ended.stdout
        assert "0 broken" in ended.stdout


class TestProcessesWithoutModels:
    def test_the_web_process_loads_no_model_library(self) -> None:
        loaded = loaded_by("core.asgi")

        assert "core.asgi" in loaded
        assert loaded.isdisjoint(HEAVY)

    def test_the_addresses_of_the_web_process_load_none_either(self) -> None:
        code_module = "tests.architecture.every_address"

        loaded = loaded_by(code_module)

        assert "core.api.search" in loaded
        assert loaded.isdisjoint(HEAVY)

    def test_a_celery_worker_loads_no_model_library(self) -> None:
        loaded = loaded_by("gpu_worker.worker")

        assert "gpu_worker.tasks" in loaded
        assert loaded.isdisjoint(HEAVY)


class TestTaskNames:
    def test_are_the_same_in_core_and_in_the_worker(self) -> None:
        from core.celery_app import app
        from core.task_names import TASK_NAMES
        from gpu_worker import tasks

        registered = {name for name in app.tasks if not name.startswith("celery.")}

        assert tasks.app is app
        assert registered == TASK_NAMES
