"""A person plays in a real browser; a process beside the worker steps the game."""

from __future__ import annotations

import socket
import time
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page, expect
from sqlalchemy import select

from cli.demonstrate import take_played
from cli.play import hosting
from learner.config import parse_config
from learner.demonstrations import read
from server.models import Run
from server.plays import Play

pytestmark = pytest.mark.browser

PAINTED = """() => {
    const screen = document.querySelector("[data-screen]");
    const { data } = screen.getContext("2d").getImageData(0, 0, screen.width, screen.height);
    return new Set(data).size;
}"""


@pytest.fixture
def cartpole(workplace: Any) -> None:
    values = {"name": "pole", "environment": {"id": "CartPole-v1"}, "agent": {"network": "mlp"}}
    values |= {"reward": {"network": "mlp"}}
    config = parse_config(values, source="test")
    workplace.add_run("pole", config=config.model_dump(mode="json"), environment="CartPole-v1")


def newest(workplace: Any) -> Play:
    with workplace.database.read() as s:
        play: Play = s.scalars(select(Play).order_by(Play.id.desc())).first()
        return play


def await_(page: Page, condition: Any) -> None:
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline
        page.wait_for_timeout(50)


@pytest.mark.slow
def test_a_game_is_played_kept_and_given_back(
    page: Page,
    workplace: Any,
    cartpole: None,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    with hosting(workplace.settings):
        page.goto("/runs/pole/play")
        page.get_by_role("button", name="Start").click()
        expect(page.locator("[data-legend]")).to_contain_text("Keys: digits", timeout=60_000)
        page.keyboard.down("ArrowRight")
        expect(page.locator("[data-status]")).to_contain_text("Over: return", timeout=30_000)
        page.keyboard.up("ArrowRight")
        assert page.evaluate(PAINTED) > 10
        assert page.locator("[data-screen]").get_attribute("width") == "600"
        page.get_by_role("button", name="Keep it").click()
        expect(page.locator("[data-status]")).to_contain_text("Kept; 1 in this game.")
        host, _, port = str(newest(workplace).address).rpartition(":")
        page.get_by_role("button", name="Play again").click()
        expect(page.locator("[data-status]")).to_contain_text("Over: return", timeout=30_000)
        page.close()
        await_(page.context.new_page(), lambda: newest(workplace).ended_at)
        with pytest.raises(ConnectionRefusedError), socket.create_connection((host, int(port))):
            pass  # nobody listens any more
    monkeypatch.setenv("CLIPWISE_VAR", str(workplace.settings.var))
    take_played("pole", tmp_path / "demos")
    ((_, played),) = read(tmp_path / "demos")
    assert played.ends[-1]
    assert 1 in played.actions.tolist()
    with workplace.database.read() as s:
        assert s.scalars(select(Run.name)).all() == ["coinrun", "pole"]


@pytest.mark.slow
def test_what_cannot_be_played_says_so(page: Page, workplace: Any) -> None:
    config = parse_config({"name": "p", "environment": {"id": "Pendulum-v1"}}, source="test")
    workplace.add_run("pendulum", config=config.model_dump(mode="json"))
    with hosting(workplace.settings):
        page.goto("/runs/pendulum/play")
        page.get_by_role("button", name="Start").click()
        status = page.locator("[data-status]")
        expect(status).to_contain_text("no actions that keys could choose", timeout=60_000)
        expect(page.get_by_role("button", name="Start")).to_be_visible()
