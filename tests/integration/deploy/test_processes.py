"""Processes that are owned by pid files, tried with real ones."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from deploy.local import processes
from deploy.local.down import down
from deploy.local.failures import SetupFailed
from deploy.local.places import Places
from deploy.local.processes import Program
from deploy.local.progress import Progress
from tests.support.polling import poll_until


@pytest.fixture
def program(tmp_path: Path) -> Iterator[Program]:
    made = Program(
        name="codegen-1",
        command=["sleep", "60"],
        environment={"PATH": os.environ["PATH"]},
        folder=tmp_path,
        owner=tmp_path,
        stop_seconds=0.3,
    )
    yield made
    for pid in processes.left_over(tmp_path):
        os.kill(pid, signal.SIGKILL)


def places(program: Program) -> Places:
    return Places(run=program.owner, cache=program.owner)


def test_a_process_is_started_in_a_session_of_its_own_and_ended(program: Program) -> None:
    pid = processes.start(program)
    assert processes.living(program.pid_file) == pid
    assert os.getsid(pid) == pid
    assert processes.stop(program)
    assert processes.start_mark(pid) is None
    assert not processes.stop(program)


def test_a_process_that_ignores_the_signal_is_killed(program: Program) -> None:
    ignoring = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('ready', flush=True); time.sleep(60)"
    stubborn = Program(
        name="x",
        command=[sys.executable, "-c", ignoring],
        environment=program.environment,
        folder=program.folder,
        owner=program.owner,
        stop_seconds=0.3,
    )
    pid = processes.start(stubborn)
    assert processes.stop(stubborn)
    assert processes.start_mark(pid) is None


def test_a_pid_that_is_another_process_by_now_is_never_signalled(program: Program) -> None:
    with subprocess.Popen(["sleep", "60"], start_new_session=True) as stranger:
        program.pid_file.parent.mkdir(parents=True)
        mark = processes.start_mark(stranger.pid)
        program.pid_file.write_text(f"{stranger.pid}\n{mark}0\n")
        assert processes.living(program.pid_file) is None
        down(places(program), Progress(lambda _: None))
        assert stranger.poll() is None
        assert not program.pid_file.exists()
        stranger.kill()


def test_a_damaged_pid_file_owns_nothing(program: Program) -> None:
    program.pid_file.parent.mkdir(parents=True)
    for text in ("", "12", "x\ny\n", f"{os.getpid()}\n\n"):
        program.pid_file.write_text(text)
        assert processes.living(program.pid_file) is None


def test_down_ends_what_a_lost_pid_file_left_and_children_of_the_dead(program: Program) -> None:
    with_child = Program(
        name="reporting-1",
        command=["sh", "-c", "sleep 60 & wait"],
        environment=program.environment,
        folder=program.folder,
        owner=program.owner,
    )
    lost, parent = processes.start(program), processes.start(with_child)
    program.pid_file.unlink()
    os.kill(parent, signal.SIGKILL)
    assert lost in processes.strays(program.owner)
    down(places(program), Progress(lambda _: None))
    assert processes.left_over(program.owner) == []


def test_children_of_the_living_are_no_strays(program: Program) -> None:
    with_child = Program(
        name="reporting-1",
        command=["sh", "-c", "sleep 60 & wait"],
        environment=program.environment,
        folder=program.folder,
        owner=program.owner,
    )
    processes.start(with_child)
    assert processes.strays(program.owner) == []


async def test_the_last_words_of_a_process_that_died_are_told(program: Program) -> None:
    dying = Program(
        name="codegen-1",
        command=["sh", "-c", "echo the port is taken; exit 3"],
        environment=program.environment,
        folder=program.folder,
        owner=program.owner,
    )
    processes.start(dying)
    await poll_until(lambda: processes.living(dying.pid_file) is None, 5)
    failure = processes.died(dying)
    assert isinstance(failure, SetupFailed)
    assert failure.log_lines == ("the port is taken",)
    assert str(dying.log_file) in str(failure)


async def test_a_log_starts_anew_and_the_one_before_is_kept(program: Program) -> None:
    talking = Program(
        name="kafka", command=["echo", "hello"], environment=program.environment, folder=program.folder, owner=program.owner
    )
    for _ in range(2):
        processes.start(talking)
        await poll_until(lambda: processes.living(talking.pid_file) is None, 5)
    assert talking.log_file.read_text() == talking.log_file.with_name("kafka.log.1").read_text() == "hello\n"
