from __future__ import annotations

import os
import subprocess
import sys

import pytest

from core.settings.env import REPOSITORY


def run(code: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", code],
        cwd=REPOSITORY,
        env={"PATH": os.environ["PATH"], **environment},  # noqa: TID251
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


class TestEnvironment:
    def test_refuses_a_name_that_is_no_setting(self) -> None:
        ended = run("from core.settings.env import env; env()", CLOISTER_PROT="9000")

        assert ended.returncode != 0
        assert "CLOISTER_PROT is not a setting of Cloister" in ended.stderr
        assert "CLOISTER_PORT" in ended.stderr

    def test_refuses_a_value_out_of_range(self) -> None:
        ended = run("from core.settings.env import env; env()", CLOISTER_PORT="70000")

        assert ended.returncode != 0
        assert "less than or equal to 65535" in ended.stderr

    def test_reads_what_is_set(self) -> None:
        ended = run("from core.settings.env import env; print(env().port)", CLOISTER_PORT="9000")

        assert ended.stdout.strip() == "9000"

    @pytest.mark.parametrize("name", ["CLOISTER_DATABASE_URL", "CLOISTER_BROKER_URL"])
    def test_tests_refuse_to_run_on_a_database_that_is_not_their_own(self, name: str) -> None:
        ended = run("import core.settings.test", **{name: "postgresql://somewhere/cloister"})

        assert ended.returncode != 0
        assert "tests empty their database" in ended.stderr
