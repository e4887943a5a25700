"""`clipwise up` as a newcomer meets it, and what it survives."""

from __future__ import annotations

import signal
import time
from typing import Any

import pytest
from sqlalchemy import select

from server.database import Database
from server.models import Preference


def answer(command: Any, run: str, count: int) -> None:
    """Judge pairs as a script would, through the API."""
    for number in range(count):
        pairs = command.wait_for(
            lambda: command.ask(f"/api/v1/runs/{run}/assignments", {})["assignments"]
        )
        body = {
            "side": ("left", "right", "tie")[number % 3],
            "seconds": 1.5,
            "submission_key": f"key-{time.monotonic_ns()}",
        }
        command.ask(f"/api/v1/assignments/{pairs[0]['id']}/answer", body)


def answers(command: Any) -> list[tuple[Any, ...]]:
    database = Database(command.settings.database_url)
    with database.read() as s:
        rows = s.execute(
            select(Preference.id, Preference.query_id, Preference.answer, Preference.seconds)
        ).all()
    database.close()
    return [tuple(row) for row in rows]


def run_of(command: Any) -> dict[str, Any]:
    (run,) = command.ask("/api/v1/runs")
    return run


def wait_for_iteration(command: Any, number: int) -> None:
    command.wait_for(lambda: run_of(command)["iteration"] >= number)


@pytest.mark.slow
def test_ctrl_c_ends_everything_and_the_same_command_goes_on(command, by_people) -> None:
    first = command.start("up", "--config", by_people)
    command.wait_until_served()
    answer(command, "people", 2)
    assert len(command.processes()) >= 4  # the command, server, worker, renderer
    first.send_signal(signal.SIGINT)  # as Ctrl-C does: to the command alone
    first.wait(20)  # how long it takes on a free machine: benchmarks/labelling.py
    assert first.returncode == 0
    command.wait_for(lambda: not command.processes(), seconds=2)
    stored = answers(command)
    assert len(stored) == 2

    second = command.start("up", "--config", by_people)
    command.wait_until_served()
    assert run_of(command)["name"] == "people"
    answer(command, "people", 1)
    wait_for_iteration(command, 3)
    assert answers(command)[:2] == stored
    assert f"{command.url}/label/people" in command.printed(first)[0]
    for process in (first, second):
        out, err = command.printed(process)
        assert f"running at {command.url}" in out
        assert "Traceback" not in err
        assert "gym" not in (out + err).lower()


@pytest.mark.slow
def test_nothing_is_lost_when_worker_and_server_are_killed(
    command, by_people, assert_artifacts_whole
) -> None:
    first = command.start("up", "--config", by_people)
    command.wait_until_served()
    answer(command, "people", 3)
    wait_for_iteration(command, 3)
    before = run_of(command)["iteration"]
    time.sleep(0.2)  # in the midst of the next one
    for process in [*command.processes("work"), *command.processes("serve")]:
        process.kill()
    first.wait(20)
    assert first.returncode == 1
    command.wait_for(lambda: not command.processes(), seconds=20)  # no orphan renders on
    stored = answers(command)
    assert len(stored) == 3
    assert_artifacts_whole()

    command.start("up", "--config", by_people)
    command.wait_until_served()
    assert run_of(command)["iteration"] >= before
    wait_for_iteration(command, before + 2)
    assert answers(command) == stored
    assert_artifacts_whole()


@pytest.mark.slow
def test_what_died_is_started_again_and_killed_it_takes_all_along(command, by_people) -> None:
    up = command.start("up", "--config", by_people)
    command.wait_until_served()
    (renderer,) = command.wait_for(lambda: command.processes("--multiprocessing-fork"))
    renderer.kill()
    again = "the renderer ended; starting it again"
    command.wait_for(lambda: again in command.printed(up)[1])
    answer(command, "people", 1)  # a pair with clips
    (worker,) = command.processes("work")
    worker.kill()
    command.wait_for(lambda: [one for one in command.processes("work") if one.pid != worker.pid])
    assert "the worker ended; starting it again" in command.printed(up)[0]
    up.kill()
    up.wait(5)
    command.wait_for(lambda: not command.processes(), seconds=30)


@pytest.mark.slow
def test_a_run_without_people_or_of_another_config_is_not_gone_on_with(command, by_people) -> None:
    run = command.start("run", by_people, "name=tiny", "teacher.kind=synthetic")
    command.wait_for(lambda: " steps/s" in command.printed(run)[0])
    run.send_signal(signal.SIGINT)
    run.wait(20)
    command.start("up", "--config", by_people)
    command.wait_until_served()
    command.wait_for(lambda: any(one["state"] == "running" for one in command.ask("/api/v1/runs")))
    states = {one["name"]: one["state"] for one in command.ask("/api/v1/runs")}
    assert states == {"tiny": "stopped", "people": "running"}


@pytest.mark.slow
def test_it_starts_behind_a_proxy_and_closing_the_terminal_ends_everything(
    command, by_people, monkeypatch
) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")  # nobody listens there
    before = signal.signal(signal.SIGHUP, signal.SIG_DFL)  # nohup ignores it for all below it
    up = command.start("up", "--config", by_people)
    signal.signal(signal.SIGHUP, before)
    command.wait_for(lambda: "running at" in command.printed(up)[0])
    up.send_signal(signal.SIGHUP)
    up.wait(20)
    command.wait_for(lambda: not command.processes(), seconds=2)
