"""Settings changed from pages, fresh and stale ones."""

from __future__ import annotations

from typing import Any

import pytest
from fastapi.testclient import TestClient

from server.models import RunState
from server.store import changes, runs

PAGE = "/runs/coinrun/settings"


def send(client: TestClient, budget: int, strategy: str, **seen: Any) -> int:
    form = {"label_budget": budget, "strategy": strategy, **seen}
    return client.post(PAGE, data=form, follow_redirects=False).status_code


def standing(workplace: Any) -> tuple[int, str]:
    with workplace.database.read() as s:
        run = runs.get_run(s, name="coinrun")
        return run.label_budget, changes.strategy_of(s, run=run)


def test_a_stale_page_reverts_nothing(client: TestClient, workplace: Any) -> None:
    seen = {"seen_budget": 500, "seen_strategy": "disagreement"}
    assert send(client, 800, "disagreement", **seen) == 303
    assert standing(workplace) == (800, "disagreement")
    assert send(client, 500, "entropy", **seen) == 303  # sent from before the first
    assert standing(workplace) == (800, "entropy")
    assert send(client, 600, "entropy") == 303  # a script that saw no page
    assert standing(workplace) == (600, "entropy")
    html = client.get("/runs/coinrun").text
    assert '<input type="hidden" name="seen_budget" value="600">' in html
    assert '<input type="hidden" name="seen_strategy" value="entropy">' in html


@pytest.mark.parametrize("state", [RunState.RUNNING, RunState.PAUSED])
def test_what_the_whole_config_forbids_is_refused_in_a_line(
    client: TestClient, workplace: Any, state: RunState
) -> None:
    with workplace.database.write() as s:
        run = runs.get_run(s, name="coinrun")
        run.state = state
        run.config = {**run.config, "queries": {"strategy": "uniform", "uniform_share": 0}}
    assert send(client, 500, "bald") == 409
    reply = client.patch("/api/v1/runs/coinrun/settings", json={"strategy": "bald"})
    assert reply.status_code == 409
    assert "queries.uniform_share is 0" in reply.json()["message"]
    assert standing(workplace) == (500, "uniform")
