from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from fastapi.testclient import TestClient

from server.models import Run, RunState
from server.routes.label import environment_title
from server.store import runs
from server.waiting import waiting_line

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)


def test_page_names_game_and_goal_and_escapes_them(client: TestClient, workplace: Any) -> None:
    with workplace.database.write() as s:
        runs.get_run(s, name="coinrun").goal = "<script>alert(1)</script>"
    page = client.get("/label/coinrun").text
    assert ">CoinRun</a>" in page
    assert "&lt;script&gt;alert(1)" in page
    assert "<script>alert" not in page


def test_loading_the_page_takes_no_pair(client: TestClient, workplace: Any) -> None:
    workplace.ask(1)
    client.get("/label/coinrun")
    assert client.post("/api/v1/runs/coinrun/assignments").json()["assignments"][0]["id"] == 1


@pytest.mark.parametrize("name", ["nothing", "UPPER", "a" * 200, "%00", "a%2Fb", "..%2f.."])
def test_unknown_runs_are_refused_as_a_page(client: TestClient, name: str) -> None:
    reply = client.get(f"/label/{name}", headers={"accept": "text/html"})
    assert reply.status_code in (404, 422)
    assert "<html" in reply.text


@pytest.mark.parametrize(
    ("environment", "title"),
    [
        ("procgen/coinrun", "CoinRun"),
        ("procgen/starpilot", "StarPilot"),
        ("ALE/Breakout-v5", "Breakout"),
        ("CartPole-v1", "CartPole"),
    ],
)
def test_environments_are_named_as_people_do(environment: str, title: str) -> None:
    assert environment_title(environment) == title


@pytest.mark.parametrize(
    ("state", "why"),
    [
        (RunState.FINISHED, "The run is finished. Thank you."),
        (RunState.FAILED, "The run has failed: no disk"),
        (RunState.STOPPED, "The run is stopped. Pairs come again when it is resumed."),
    ],
)
def test_a_run_that_has_ended_says_why_no_pair_comes_and_keeps_what_is_in_hand(
    client: TestClient, workplace: Any, state: RunState, why: str
) -> None:
    workplace.ask(3)
    taking = "/api/v1/runs/coinrun/assignments"
    held = client.post(taking, json={"count": 1}).json()["assignments"][0]["id"]
    with workplace.database.write() as s:
        run = runs.get_run(s, name="coinrun")
        run.state, run.reason = state, "no disk"
    desk = client.post(taking).json()
    assert (desk["assignments"], desk["waiting"]) == ([], why)
    assert "coinrun" not in client.get("/label").text
    body = {"side": "left", "submission_key": "the-last-one"}
    assert client.post(f"/api/v1/assignments/{held}/answer", json=body).status_code == 201
    assert client.get("/api/v1/runs/coinrun/progress").json()["total"] == 1


def line(run: dict[str, Any] | None = None, **values: Any) -> str:
    fields = {"state": RunState.RUNNING, "reason": "", "heartbeat_at": NOW} | (run or {})
    given = {"left": 100, "in_hands": 0, "rendering": 0, "next_in": 20.0, "now": NOW} | values
    return waiting_line(Run(**fields), **given)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(6.4, "About 6 s"), (21.0, "About 20 s"), (88.0, "About 90 s"), (200.0, "About 3 min")],
)
def test_waiting_line_estimates_no_more_exactly_than_it_knows(seconds: float, text: str) -> None:
    assert line(next_in=seconds) == f"The agent is playing. {text} until the next pair."


@pytest.mark.parametrize(
    ("run", "values", "part"),
    [
        ({}, {"next_in": None}, "when it has played enough"),
        ({}, {"next_in": 0.0}, "any moment"),
        ({}, {"rendering": 3}, "clips are being made"),
        ({}, {"left": 0}, "Every label that this run wanted is given"),
        ({}, {"left": 2, "in_hands": 2}, "with other people"),
        ({"heartbeat_at": NOW - timedelta(minutes=3)}, {}, "Nothing heard from the learner for 3"),
        ({"heartbeat_at": NOW + timedelta(hours=3)}, {}, "a clock was set. Is it running?"),
        ({"heartbeat_at": None}, {}, "has not started yet"),
        ({"state": RunState.WAITING}, {}, "has not started yet"),
        ({"state": RunState.PAUSED}, {}, "paused"),
        ({"state": RunState.STOPPED}, {}, "stopped"),
        ({"state": RunState.FINISHED}, {}, "finished"),
        ({"state": RunState.FAILED, "reason": "no disk"}, {}, "failed: no disk"),
    ],
)
def test_waiting_line_is_honest(run: dict[str, Any], values: dict[str, Any], part: str) -> None:
    assert part in line(run, **values)
