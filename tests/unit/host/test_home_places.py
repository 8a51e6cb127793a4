from __future__ import annotations

import os
import socket
import stat
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from core.host.paths import SOCKET_ADDRESS_BYTES, PlaceRefused, home_layout, socket_directory


@pytest.fixture
def runtime(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    # A short path is the point; pytest's own folders may be too deep for a socket.
    folder = Path(tempfile.gettempdir()).resolve() / f"clr-{os.getpid()}-{tmp_path.name[-8:]}"
    folder.mkdir(mode=0o700)
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(folder))
    yield folder
    for child in sorted(folder.rglob("*"), reverse=True):
        child.rmdir() if child.is_dir() and not child.is_symlink() else child.unlink()
    folder.rmdir()


def long_home(tmp_path: Path) -> Path:
    root = tmp_path.resolve()
    filler = 150 - len(str(root)) - 1
    home = root / f"{'a' * (filler // 2)}" / f"{'b' * (filler - filler // 2 - 1)}"
    home.mkdir(parents=True)
    assert len(str(home)) == 150
    return home


class TestSocketDirectory:
    def test_holds_a_socket_of_a_home_whose_own_path_is_too_long(self, tmp_path: Path, runtime: Path) -> None:
        home = long_home(tmp_path)
        assert len(str(home / "postgres.sock")) > SOCKET_ADDRESS_BYTES

        place = socket_directory(home) / ".s.PGSQL.5432.lock"
        with socket.socket(socket.AF_UNIX) as listening:
            listening.bind(str(place))

        assert place.is_socket()

    def test_is_open_to_this_account_alone(self, tmp_path: Path, runtime: Path) -> None:
        folder = socket_directory(tmp_path)

        assert stat.S_IMODE(folder.stat().st_mode) == 0o700
        assert folder.parent == runtime

    def test_differs_between_homes(self, tmp_path: Path, runtime: Path) -> None:
        assert socket_directory(tmp_path / "one") != socket_directory(tmp_path / "two")

    def test_is_the_same_for_a_link_to_the_home(self, tmp_path: Path, runtime: Path) -> None:
        (tmp_path / "real").mkdir()
        (tmp_path / "link").symlink_to(tmp_path / "real")

        assert socket_directory(tmp_path / "link") == socket_directory(tmp_path / "real")

    def test_is_found_again_from_a_shell_with_another_runtime_folder(
        self, tmp_path: Path, runtime: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        before = socket_directory(tmp_path)
        monkeypatch.delenv("XDG_RUNTIME_DIR")

        assert socket_directory(tmp_path) == before

    def test_refuses_a_folder_that_others_may_enter(self, tmp_path: Path, runtime: Path) -> None:
        socket_directory(tmp_path).chmod(0o755)

        with pytest.raises(PlaceRefused, match="may be entered by others"):
            socket_directory(tmp_path)

    def test_refuses_a_link_in_its_place(self, tmp_path: Path, runtime: Path) -> None:
        folder = socket_directory(tmp_path / "home")
        (tmp_path / "home" / "run" / "sockets").unlink()
        folder.rmdir()
        (tmp_path / "elsewhere").mkdir(mode=0o700)
        folder.symlink_to(tmp_path / "elsewhere")

        with pytest.raises(PlaceRefused, match="not a folder of this account"):
            socket_directory(tmp_path / "home")

    def test_refuses_a_runtime_folder_that_is_too_deep(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        deep = tmp_path / ("d" * 90)
        deep.mkdir()
        monkeypatch.setenv("XDG_RUNTIME_DIR", str(deep))

        with pytest.raises(PlaceRefused, match="set XDG_RUNTIME_DIR or TMPDIR to a shorter path"):
            socket_directory(tmp_path)


class TestHomeLayout:
    def test_makes_folders_that_others_may_not_read(self, tmp_path: Path) -> None:
        layout = home_layout(tmp_path / "home").make()

        assert stat.S_IMODE(layout.secrets.stat().st_mode) == 0o700
        assert stat.S_IMODE(layout.postgres.stat().st_mode) == 0o700
        assert layout.blobs.parent == (tmp_path / "home").resolve()
