"""What a hijacked parser can do from inside the sandbox: nothing that reaches out, and no running on."""

import ctypes
import io
import os
import socket
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psutil
import pytest
from PIL import Image

from inference.errors import DamagedFile, EngineUnavailable, LimitExceeded
from inference.sandbox import Allowance, Sandbox, SandboxPool, staging_sweep

HOSTILE = (str(Path(__file__).with_name("hostile_child.py")),)
MIB = 1024**2

Order = Callable[[str], Path]


@pytest.fixture
def order(tmp_path: Path) -> Order:
    buffer = io.BytesIO()
    Image.new("RGB", (8, 8), "red").save(buffer, format="PNG")
    numbers = iter(range(1_000))

    def write(command: str) -> Path:
        path = tmp_path / f"order-{next(numbers)}.png"
        path.write_bytes(buffer.getvalue() + b"ORDER:" + command.encode())
        return path

    return write


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    with Sandbox("owner", entry=HOSTILE) as opened:
        yield opened


@pytest.fixture
def listener() -> Iterator[tuple[int, list[object]]]:
    accepted: list[object] = []
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(0.2)
        stop = threading.Event()

        def accept() -> None:
            while not stop.is_set():
                try:
                    connection, address = server.accept()
                except TimeoutError:
                    continue
                connection.close()
                accepted.append(address)

        thread = threading.Thread(target=accept)
        thread.start()
        yield server.getsockname()[1], accepted
        stop.set()
        thread.join()


def outcome(sandbox: Sandbox, path: Path) -> str:
    title = sandbox.probe(path, extension_hint="png").title
    assert title is not None
    return title.split(" ", 1)[1]


def wait_until(holds: Callable[[], bool], within_s: float = 60.0) -> None:
    deadline = time.monotonic() + within_s
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def children() -> set[int]:
    return {process.pid for process in psutil.Process().children() if "hostile_child" in " ".join(process.cmdline())}


class TestReachingOut:
    def test_a_python_connection_is_refused(
        self, sandbox: Sandbox, order: Order, listener: tuple[int, list[object]]
    ) -> None:
        port, accepted = listener

        said = outcome(sandbox, order(f"connect {port}"))

        assert said.startswith("refused: PermissionError")
        assert accepted == []

    def test_a_connection_past_python_is_refused_by_the_kernel(
        self, sandbox: Sandbox, order: Order, listener: tuple[int, list[object]]
    ) -> None:
        port, accepted = listener

        said = outcome(sandbox, order(f"connect_raw {port}"))

        assert said.startswith("refused: ")
        assert accepted == []

    def test_the_listener_itself_is_reachable_from_outside(self, listener: tuple[int, list[object]]) -> None:
        port, accepted = listener

        with socket.create_connection(("127.0.0.1", port), timeout=5) as connection:
            connection.recv(1)

        assert len(accepted) == 1

    def test_names_are_not_resolved(self, sandbox: Sandbox, order: Order) -> None:
        assert outcome(sandbox, order("resolve example.org")).startswith("refused: PermissionError")

    def test_no_program_is_started(self, sandbox: Sandbox, order: Order, tmp_path: Path) -> None:
        said = outcome(sandbox, order(f"execute touch {tmp_path}/proof"))

        assert said != "system returned 0"
        assert not (tmp_path / "proof").exists()

    def test_no_other_process_is_signalled(self, sandbox: Sandbox, order: Order) -> None:
        assert outcome(sandbox, order(f"signal_other {os.getpid()}")).startswith("refused: ")


class TestFiles:
    def test_the_kernels_landlock_is_used(self, sandbox: Sandbox) -> None:
        offered = max(0, ctypes.CDLL(None).syscall(444, None, 0, 1))

        assert sandbox.protections.landlock_abi == offered

    def test_files_outside_are_not_read(self, sandbox: Sandbox, order: Order, tmp_path: Path) -> None:
        secret = tmp_path / "secret.txt"
        secret.write_text("another user's letter")
        expected = "refused" if sandbox.protections.landlock_abi else "read"

        for path in (secret, Path("/etc/passwd"), Path(f"/proc/{os.getpid()}/environ")):
            assert outcome(sandbox, order(f"read {path}")).startswith(expected)

    def test_files_outside_are_not_written(self, sandbox: Sandbox, order: Order, tmp_path: Path) -> None:
        target = tmp_path / "target.txt"

        outcome(sandbox, order(f"write {target}"))

        assert target.exists() == (sandbox.protections.landlock_abi == 0)

    def test_what_a_parser_writes_is_gone_for_the_next_file(self, sandbox: Sandbox, order: Order) -> None:
        assert outcome(sandbox, order("write_work left-over.txt")) == "written"

        assert outcome(sandbox, order("work_listing")) == "work holds: "

    def test_the_name_of_the_file_stays_outside(self, sandbox: Sandbox, order: Order) -> None:
        title = sandbox.probe(order("print_out"), extension_hint="png").title

        assert title is not None
        assert title.startswith("input-1 ")


class TestRunningOn:
    def test_a_sleeper_is_ended(self, order: Order) -> None:
        allowance = Allowance(cpu_s=30, wall_s=2, memory_bytes=1024 * MIB)

        with Sandbox("owner", entry=HOSTILE, allowance=allowance) as sandbox:
            with pytest.raises(LimitExceeded, match=r"'order-0\.png' took longer than 2 s"):
                sandbox.probe(order("sleep"))

            assert outcome(sandbox, order("print_out")) == "printed"

    def test_a_spinner_is_ended_by_its_processor_time(self, order: Order) -> None:
        allowance = Allowance(cpu_s=1, wall_s=60, memory_bytes=1024 * MIB)

        with (
            Sandbox("owner", entry=HOSTILE, allowance=allowance) as sandbox,
            pytest.raises(LimitExceeded, match="processor time"),
        ):
            sandbox.probe(order("spin"))

    def test_a_hoarder_is_ended_by_its_resident_size(self, order: Order) -> None:
        allowance = Allowance(cpu_s=30, wall_s=60, memory_bytes=300 * MIB)

        with (
            Sandbox("owner", entry=HOSTILE, allowance=allowance) as sandbox,
            pytest.raises(LimitExceeded, match="300 MiB of memory"),
        ):
            sandbox.probe(order("allocate 400"))

    def test_the_address_space_ends_at_two_gibibytes(self, sandbox: Sandbox, order: Order) -> None:
        with pytest.raises(LimitExceeded, match=r"'order-0\.png' needs more memory"):
            sandbox.probe(order("allocate 4000"))

        assert outcome(sandbox, order("print_out")) == "printed"

    def test_a_crash_says_the_file_is_at_fault(self, sandbox: Sandbox, order: Order) -> None:
        with pytest.raises(DamagedFile, match=r"'order-0\.png' made its parser crash \(SIGSEGV\)"):
            sandbox.probe(order("crash"))

        assert outcome(sandbox, order("print_out")) == "printed"

    def test_leaving_says_the_file_is_at_fault(self, sandbox: Sandbox, order: Order) -> None:
        with pytest.raises(DamagedFile, match="exit status 3"):
            sandbox.probe(order("leave 3"))

    def test_an_unknown_error_is_a_damaged_file_with_its_shown_name(self, sandbox: Sandbox, order: Order) -> None:
        with pytest.raises(DamagedFile, match=r"'plan\.png' could not be read: KeyError"):
            sandbox.probe(order("fail x"), name="plan.png")

    def test_nonsense_on_the_pipe_is_a_damaged_file(self, sandbox: Sandbox, order: Order) -> None:
        with pytest.raises(DamagedFile, match="answer nonsense"):
            sandbox.probe(order("babble"))

        assert outcome(sandbox, order("print_out")) == "printed"

    def test_a_child_ended_from_outside_may_be_tried_again(self, order: Order, tmp_path: Path) -> None:
        staging = tmp_path / "staging"
        staging.mkdir()
        with Sandbox("owner", entry=HOSTILE, staging_folder=staging) as sandbox, ThreadPoolExecutor(1) as caller:
            asked = caller.submit(sandbox.probe, order("sleep"))
            wait_until(lambda: list(staging.glob("*/input/*")) != [])
            (pid,) = children()

            psutil.Process(pid).kill()

            with pytest.raises(EngineUnavailable, match="ended from outside"):
                asked.result(timeout=60)


class TestOneOwner:
    def test_a_child_serves_fifty_files(self, sandbox: Sandbox, order: Order) -> None:
        assert outcome(sandbox, order("print_out")) == "printed"
        (first,) = children()
        for _ in range(49):
            sandbox.probe(order("print_out"))
        assert children() == {first}

        sandbox.probe(order("print_out"))

        assert len(children()) == 1
        assert children() != {first}

    def test_the_same_file_again_counts_once(self, sandbox: Sandbox, order: Order) -> None:
        path = order("print_out")
        sandbox.probe(path)
        (first,) = children()

        for _ in range(60):
            sandbox.probe(path)

        assert children() == {first}

    def test_a_pool_gives_an_owner_its_warm_child_and_another_owner_a_new_one(self, order: Order) -> None:
        pool = SandboxPool(1, lambda owner: Sandbox(owner, entry=HOSTILE))
        with pool.lease("ada") as sandbox:
            sandbox.probe(order("print_out"))
            (first,) = children()
        with pool.lease("ada") as sandbox:
            sandbox.probe(order("print_out"))
            assert children() == {first}

        with pool.lease("bob") as sandbox:
            sandbox.probe(order("print_out"))
            assert first not in children()
            assert sandbox.owner == "bob"

        pool.close()
        assert children() == set()

    def test_a_given_back_sandbox_holds_no_file(self, order: Order, tmp_path: Path) -> None:
        staging = tmp_path / "staging"
        staging.mkdir()
        pool = SandboxPool(1, lambda owner: Sandbox(owner, entry=HOSTILE, staging_folder=staging))

        with pool.lease("ada") as sandbox:
            sandbox.probe(order("print_out"))
            assert list(staging.glob("*/input/*"))

        assert list(staging.glob("*/input/*")) == []
        pool.close()
        assert list(staging.iterdir()) == []

    def test_left_over_folders_are_swept_and_used_ones_stay(self, order: Order, tmp_path: Path) -> None:
        staging = tmp_path / "staging"
        left = staging / "cloister-sandbox-old" / "input"
        left.mkdir(parents=True)
        (left / "input-1").write_text("a letter")

        with Sandbox("ada", entry=HOSTILE, staging_folder=staging) as sandbox:
            sandbox.probe(order("print_out"))

            assert not left.exists()
            assert staging_sweep(staging) == 0
            assert outcome(sandbox, order("print_out")) == "printed"
