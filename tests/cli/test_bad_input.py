"""What goes wrong at people's hands: one line that says what to do, and nothing half-made."""

from __future__ import annotations

import ctypes
import os
import resource
import shutil
import socket
import sqlite3
from typing import Any

import pytest

PR_CAPBSET_DROP, CAP_DAC_OVERRIDE = 24, 1

# What loads the learner's libraries before it looks takes seconds.
RUN, WORK = (pytest.param(name, marks=pytest.mark.slow) for name in ("run", "work"))


def assert_refused(done: Any, *words: str) -> None:
    """One line on stderr with these words, no traceback, an exit status that says so."""
    assert done.returncode == 1, done
    assert done.stderr.startswith("clipwise: "), done.stderr
    assert done.stderr.count("\n") == 1, done.stderr
    for word in words:
        assert word in done.stderr
    assert "Traceback" not in done.stdout


def become_ordinary() -> None:
    """Even root may then write only what its permissions allow."""
    ctypes.CDLL(None).prctl(PR_CAPBSET_DROP, CAP_DAC_OVERRIDE, 0, 0, 0)


def run_out_of_disk() -> None:
    """No file may grow past 300 kB: what the system says then is what it says of a full disk."""
    resource.setrlimit(resource.RLIMIT_FSIZE, (300_000, 300_000))


@pytest.fixture
def tables(command, sqlite_template) -> None:
    """The command's folder with a database of this version."""
    command.settings.var.mkdir()
    shutil.copy(sqlite_template, command.settings.var / "clipwise.db")


BAD_CONFIGS = {
    "unknown game": ("environment: {id: procgen/nosuch}", "unknown Procgen game 'nosuch'"),
    "unknown environment": ("environment: {id: NoSuch-v0}", "unknown environment 'NoSuch-v0'"),
    "unknown key": ("agent: {gama: 0.9}", "unknown key agent.gama"),
    "wrong type": ("total_steps: many", "total_steps: Input should be a valid integer"),
    "unreadable YAML": ("agent: {gamma: [0.9", "not valid YAML at line"),
    "not a config": ("- a list", "must hold keys and values, not a list"),
}
LOOKED_UP = {"unknown game", "unknown environment"}  # for which the learner's libraries are loaded


@pytest.mark.parametrize(
    ("text", "words"),
    [
        pytest.param(*one, id=name, marks=[pytest.mark.slow] * (name in LOOKED_UP))
        for name, one in BAD_CONFIGS.items()
    ],
)
def test_a_config_that_cannot_be_used(command, tmp_path, text, words) -> None:
    path = tmp_path / "bad.yaml"
    path.write_text(text)
    assert_refused(command.run("run", str(path)), words)
    assert not command.settings.var.exists()


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["unknown game", "unknown key"])
def test_a_first_run_that_cannot_be_made(command, tmp_path, kind) -> None:
    text, words = BAD_CONFIGS[kind]
    path = tmp_path / "bad.yaml"
    path.write_text(text)
    assert_refused(command.run("up", "--config", str(path)), words)
    assert not command.settings.var.exists()


@pytest.mark.slow
def test_a_study_of_an_unknown_game_is_not_begun(command, tmp_path) -> None:
    path = tmp_path / "study.yaml"
    path.write_text("games: [coinrun, nosuch]")
    assert_refused(command.run("study", str(path)), "unknown Procgen game 'nosuch'")
    assert not command.settings.var.exists()


def test_a_config_that_is_not_there(command, tmp_path) -> None:
    assert_refused(command.run("run", f"{tmp_path}/nosuch.yaml"), "cannot read", "nosuch.yaml")


def test_an_override_that_is_none(command, tiny) -> None:
    assert_refused(command.run("run", tiny, "seed"), "'seed' is not key=value")
    assert not command.settings.var.exists()


def test_debug_shows_the_traceback(command, tmp_path) -> None:
    done = command.run("--debug", "run", f"{tmp_path}/nosuch.yaml")
    assert done.returncode == 1
    assert "Traceback" in done.stderr
    assert "ConfigError" in done.stderr


@pytest.mark.parametrize("subcommand", ["up", "serve"])
def test_a_port_in_use(command, subcommand, request) -> None:
    if subcommand == "serve":
        request.getfixturevalue("tables")
    with socket.socket() as other:
        other.bind(("127.0.0.1", command.settings.port))
        other.listen()
        done = command.run(subcommand)
    assert_refused(done, f"port {command.settings.port} is in use", "--port")
    assert command.settings.var.exists() == (subcommand == "serve")


def test_a_variable_that_cannot_be_used(command) -> None:
    done = command.run("serve", before="import os; os.environ['CLIPWISE_PORT'] = 'http'")
    assert_refused(done, "CLIPWISE_PORT", "'http'")


@pytest.mark.usefixtures("tables")
def test_an_address_that_others_could_reach_without_a_secret(command) -> None:
    done = command.run("serve", before="import os; os.environ['CLIPWISE_HOST'] = '0.0.0.0'")
    assert_refused(done, "CLIPWISE_SECRET", "32 random letters", "make one: python3")


@pytest.mark.parametrize("subcommand", ["up", "migrate", RUN])
def test_a_folder_that_cannot_be_written(command, tiny, subcommand) -> None:
    command.settings.var.parent.chmod(0o555)
    try:
        arguments = ["run", tiny] if subcommand == "run" else [subcommand]
        # What is printed lies in that folder as well, so it is opened before.
        done = command.run(*arguments, preexec_fn=become_ordinary)
    finally:
        command.settings.var.parent.chmod(0o755)
    assert_refused(done, str(command.settings.var), "CLIPWISE_VAR")
    assert not command.settings.var.exists()


def test_a_file_where_the_folder_should_be(command) -> None:
    command.settings.var.write_text("not a folder")
    assert_refused(command.run("migrate"), "cannot make the folder")
    assert command.settings.var.read_text() == "not a folder"


@pytest.mark.slow
def test_a_full_disk_stops_a_run_where_it_stands(command, tiny, assert_artifacts_whole) -> None:
    shorter = ("run", tiny, "total_steps=640")
    done = command.run(*shorter, preexec_fn=run_out_of_disk)
    assert_refused(done, "disk", "space")
    assert command.processes() == []
    again = command.run(*shorter)
    assert again.returncode == 0, again.stderr
    assert again.stdout.strip().endswith("runs/tiny/result.json")
    assert_artifacts_whole()


@pytest.mark.usefixtures("tables")
@pytest.mark.parametrize("subcommand", ["up", "serve", WORK, "migrate", RUN])
def test_a_database_of_a_newer_version(command, tiny, subcommand) -> None:
    path = command.settings.var / "clipwise.db"
    with sqlite3.connect(path) as connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
    before = path.stat().st_size
    done = command.run(*(["run", tiny] if subcommand == "run" else [subcommand]))
    assert_refused(done, "newer Clipwise", "upgrade this program")
    assert path.stat().st_size == before


@pytest.mark.parametrize("subcommand", ["serve", WORK])
def test_a_database_without_tables(command, subcommand) -> None:
    command.settings.var.mkdir()
    assert_refused(command.run(subcommand), "not up to date; run: clipwise migrate")


@pytest.mark.parametrize("subcommand", ["up", WORK, RUN])
def test_a_missing_codec(command, tiny, subcommand) -> None:
    without = "import learner.video; learner.video.CODEC = 'libnosuchcodec'"
    done = command.run(*(["run", tiny] if subcommand == "run" else [subcommand]), before=without)
    assert_refused(done, "no H.264 encoder", "reinstall")
    assert not command.settings.var.exists()


@pytest.mark.slow
def test_a_run_that_another_worker_trains(command, make_command, by_people) -> None:
    first = command.start("run", by_people)
    command.wait_for(lambda: "run people in" in command.printed(first)[0])
    done = command.run("run", by_people)
    assert_refused(done, "another worker trains run people")
    assert first.poll() is None
    assert os.path.exists(command.settings.var / "clipwise.db")
