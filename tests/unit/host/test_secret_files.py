from __future__ import annotations

import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from core.host.secrets import SecretMissing, secret, secret_store


class TestSecret:
    def test_stays_the_same(self, tmp_path: Path) -> None:
        assert secret(tmp_path, "django") == secret(tmp_path, "django")

    def test_is_the_same_for_everybody_who_asks_at_once(self, tmp_path: Path) -> None:
        with ThreadPoolExecutor(16) as pool:
            values = set(pool.map(lambda _: secret(tmp_path, "broker"), range(64)))

        assert len(values) == 1
        assert [path.name for path in (tmp_path / "secrets").iterdir()] == ["broker"]

    def test_differs_between_names_and_homes(self, tmp_path: Path) -> None:
        values = {secret(tmp_path / "a", "django"), secret(tmp_path / "a", "broker"), secret(tmp_path / "b", "django")}

        assert len(values) == 3

    def test_is_readable_by_this_account_alone(self, tmp_path: Path) -> None:
        secret(tmp_path, "django")

        assert stat.S_IMODE((tmp_path / "secrets" / "django").stat().st_mode) == 0o600

    def test_does_not_invent_the_token_of_the_command_line(self, tmp_path: Path) -> None:
        with pytest.raises(SecretMissing, match=r"\./cloister up"):
            secret(tmp_path, "cli_token")

        secret_store(tmp_path, "cli_token", "given")

        assert secret(tmp_path, "cli_token") == "given"
