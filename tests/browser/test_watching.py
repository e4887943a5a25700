"""A run watched in the browser: curves and commands while it trains, alarms, comparison."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from playwright.sync_api import Page, expect
from sqlalchemy import select

from learner.config import parse_config
from server import panels
from server.models import Change, Run, RunState
from server.store import alarms, runs

pytestmark = pytest.mark.browser

POLE: dict[str, Any] = {
    "name": "pole",
    "total_steps": 32 * 8 * 5000,
    "threads": 1,
    "precision": "float32",
    "environment": {"id": "CartPole-v1", "num_envs": 8},
    "agent": {"network": "mlp", "n_steps": 32, "batch_size": 64, "n_epochs": 1},
    "segments": {"length": 10},
    "reward": {"network": "mlp", "initial_epochs": 1, "epochs": 1},
    "queries": {"budget": 24, "initial": 6, "candidates": 3, "min_preferences": 1},
    "teacher": {"kind": "synthetic"},
    "evaluation": {"episodes": 2, "interim_episodes": 2, "every": 1000},
}
SLOW = 120_000
"""Milliseconds: a worker starts, loads torch, and trains on whatever cores are left."""


@pytest.fixture
def start_worker(workplace: Any) -> Iterator[Callable[[], subprocess.Popen[bytes]]]:
    """Starts a worker for the run `pole`, the only one there is to train."""
    config = parse_config(POLE).model_dump(mode="json")
    with workplace.database.write() as s:
        runs.get_run(s, name="coinrun").state = RunState.FINISHED
        runs.create_run(
            s,
            name="pole",
            environment="CartPole-v1",
            config=config,
            seed=config["seed"],
            total_steps=config["total_steps"],
            label_budget=24,
            goal="",
            now=datetime.now(UTC),
        )
    started: list[subprocess.Popen[bytes]] = []

    def start() -> subprocess.Popen[bytes]:
        environment = {**os.environ, "CLIPWISE_VAR": str(workplace.settings.var)}
        command = [sys.executable, "-m", "cli", "work"]
        started.append(subprocess.Popen(command, env=environment))
        return started[-1]

    yield start
    for worker in started:
        worker.terminate()
        worker.wait(30)


def until(page: Page, condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + SLOW / 1000
    while not condition():
        assert time.monotonic() < deadline
        page.wait_for_timeout(200)


def iteration_of(workplace: Any, name: str = "pole") -> int:
    with workplace.database.read() as s:
        return int(runs.get_run(s, name=name).iteration)


@pytest.mark.slow
def test_what_is_asked_of_a_run_takes_effect_while_its_curves_move(
    page: Page, workplace: Any, start_worker: Callable[[], subprocess.Popen[bytes]]
) -> None:
    start_worker()
    page.goto("/runs/pole")
    page.evaluate("window.stillHere = true")
    steps = page.locator('tr[data-line="rollout/ep_rew_mean"] [data-best-step]')
    expect(steps).not_to_have_text("–", timeout=SLOW)
    now = page.locator('tr[data-line="time/fps"] [data-now]')
    before = now.text_content()
    expect(now).not_to_have_text(before or "", timeout=SLOW)

    page.get_by_text("Change budget or strategy").click()
    page.get_by_label("Label budget").fill("40")
    page.get_by_label("Pairs are chosen by").select_option("entropy")
    page.locator("#settings").get_by_role("button", name="Change").click()
    happened = page.locator("#happened")
    expect(happened).to_contain_text("label budget 40, strategy entropy", timeout=SLOW)
    expect(page.locator("#labels")).to_contain_text("40")
    with workplace.database.read() as s:
        change = s.scalars(select(Change)).one()
    assert (change.label_budget, change.strategy) == (40, "entropy")
    assert change.iteration is not None

    standing = page.locator("#standing")
    standing.get_by_role("button", name="Pause").click()
    expect(standing).to_contain_text("Paused. Nothing is lost")
    expect(happened).to_contain_text("paused", timeout=SLOW)
    held = iteration_of(workplace)
    page.wait_for_timeout(1500)
    assert iteration_of(workplace) <= held + 1  # the one at work when it was asked
    standing.get_by_role("button", name="Resume").click()
    until(page, lambda: iteration_of(workplace) > held + 1)
    standing.get_by_role("button", name="Stop").click()
    expect(standing.locator(".state")).to_have_text("stopped", timeout=SLOW)
    assert page.evaluate("window.stillHere") is True


@pytest.mark.slow
def test_a_killed_worker_is_shown_as_gone_and_another_takes_its_run_over(
    page: Page,
    workplace: Any,
    start_worker: Callable[[], subprocess.Popen[bytes]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # 30 s in earnest: tests/server/test_events.py.
    monkeypatch.setattr(panels, "SILENT_AFTER", timedelta(seconds=8))
    page.goto("/runs/pole")
    first = start_worker()
    standing = page.locator("#standing")
    expect(standing).to_contain_text("iteration 2", timeout=SLOW)
    first.kill()
    first.wait()
    expect(standing).to_contain_text("the worker is gone", timeout=15_000)
    stood = iteration_of(workplace)
    start_worker()
    expect(standing).not_to_contain_text("the worker is gone", timeout=SLOW)
    until(page, lambda: iteration_of(workplace) > stood)


def ring(workplace: Any, *found: alarms.Found, iteration: int) -> None:
    with workplace.database.write() as s:
        run = runs.get_run(s, name="coinrun")
        run.heartbeat_at = datetime.now(UTC)
        alarms.update(
            s,
            run_id=run.id,
            found=found,
            iteration=iteration,
            step=1000 * iteration,
            now=datetime.now(UTC),
        )


def test_an_alarm_comes_with_its_evidence_and_goes_when_it_no_longer_holds(
    page: Page, workplace: Any
) -> None:
    page.goto("/runs/coinrun")
    expect(page.locator("[data-live-state]")).to_have_text("live")
    told = "The reward follows the clock: elapsed time alone orders 95% of <b>pairs</b>."
    ring(workplace, alarms.Found("clock", told, "chart-clock"), iteration=1)
    alarm = page.locator(".alarm")
    expect(alarm).to_contain_text(told)
    alarm.get_by_role("link", name="See the evidence").click()
    expect(page).to_have_url("/runs/coinrun#chart-clock")
    expect(page.locator("#chart-clock")).to_be_in_viewport()
    page.goto("/")
    expect(page.locator("#run-coinrun")).to_contain_text("1 alarm")
    page.goto("/runs/coinrun")
    page.get_by_role("button", name="Acknowledge").press("Enter")
    expect(alarm).to_contain_text("seen")
    expect(page.locator("#alarms")).to_be_focused()
    expect(page.get_by_role("button", name="Acknowledge")).to_have_count(0)
    for iteration in range(2, 2 + alarms.PATIENCE):
        ring(workplace, iteration=iteration)
    expect(alarm).to_have_count(0)
    page.goto("/")
    expect(page.locator("#run-coinrun")).not_to_contain_text("alarm")


def test_ticked_runs_stay_ticked_while_the_list_refreshes(page: Page, workplace: Any) -> None:
    workplace.add_run("fruitbot", environment="procgen/fruitbot")
    workplace.add_run("maze", environment="procgen/maze")
    page.goto("/")
    for name in ("coinrun", "fruitbot"):
        page.get_by_label(f"compare {name}").check()
    with workplace.database.write() as s:
        s.get_one(Run, 3).state = RunState.FAILED
    page.evaluate(
        "htmx.ajax('GET', '/', {target: '#runs', select: '#runs', swap: 'morph:outerHTML'})"
    )
    expect(page.locator("#run-maze .state")).to_have_text("failed")
    expect(page.get_by_label("compare coinrun")).to_be_checked()
    expect(page.get_by_label("compare maze")).not_to_be_checked()
    page.get_by_role("button", name="Compare 2").click()
    expect(page).to_have_url("/compare?run=fruitbot&run=coinrun")
    expect(page.get_by_role("heading", name="What differs in their configs")).to_be_visible()
