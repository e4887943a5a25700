from __future__ import annotations

import subprocess
import sys
import time

import pytest

IMPORTED = "import sys; {}; print(*sorted({{name.partition('.')[0] for name in sys.modules}}))"


def imported_by(statement: str) -> set[str]:
    """Top-level packages in a fresh interpreter after a statement."""
    command = [sys.executable, "-c", IMPORTED.format(statement)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return set(done.stdout.split())


def test_help_names_every_command_and_comes_at_once(command) -> None:
    started = time.monotonic()
    done = command.run("--help")
    assert time.monotonic() - started < 10  # 0.3 s on an idle machine
    assert done.returncode == 0
    for name in ("up", "serve", "work", "migrate", "run", "doctor"):
        assert f" {name} " in done.stdout


def test_the_command_loads_nothing_heavy_before_it_knows_what_to_do() -> None:
    imported = imported_by("import cli.main")
    assert not imported & {"torch", "numpy", "procgen", "stable_baselines3", "sqlalchemy"}


def test_up_stays_light_in_its_own_process() -> None:
    """The parent only watches; the learner's weight is in the worker."""
    assert not imported_by("import cli.up") & {"torch", "procgen", "stable_baselines3"}


def test_an_unknown_command_is_refused(command) -> None:
    done = command.run("nosuch")
    assert done.returncode == 2
    assert "No such command" in done.stderr
    assert "Traceback" not in done.stderr


def test_migrate_can_be_run_twice(command) -> None:
    for _ in range(2):
        done = command.run("migrate")
        assert (done.returncode, done.stderr) == (0, "")
        assert "up to date" in done.stdout


@pytest.mark.slow
def test_doctor_says_what_is_there(command) -> None:
    command.run("migrate")
    done = command.run("doctor")
    assert done.returncode == 0, done.stdout + done.stderr
    for word in ("Python", "torch", "H.264", "procgen-mirror", "clipwise.db"):
        assert word in done.stdout
    assert "gym" not in done.stderr.lower()


@pytest.mark.slow
@pytest.mark.parametrize("missing", ["libnosuchcodec"])
def test_doctor_fails_where_something_needed_is_missing(command, missing) -> None:
    done = command.run("doctor", before=f"import learner.video; learner.video.CODEC = {missing!r}")
    assert done.returncode == 1
    assert "no H.264 encoder" in " ".join(done.stdout.split())
