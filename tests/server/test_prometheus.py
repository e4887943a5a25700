"""`/metrics` as Prometheus reads it."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import pytest
from fastapi.testclient import TestClient
from prometheus_client.parser import text_string_to_metric_families

from server.models import Role
from server.permissions import Scope
from server.store import alarms, runs
from server.store.alarms import Found

if TYPE_CHECKING:
    from conftest import Team


def scrape(client: TestClient) -> dict[tuple[str, ...], float]:
    """Every sample, by its name and the values of its labels but for `process`."""
    reply = client.get("/metrics")
    assert reply.status_code == 200
    assert reply.headers["content-type"].startswith("text/plain")
    return {
        (sample.name, *(v for key, v in sample.labels.items() if key != "process")): sample.value
        for family in text_string_to_metric_families(reply.text)
        for sample in family.samples
    }


def test_runs_are_told_as_they_stand(client: TestClient, workplace: Any) -> None:
    workplace.add_run("fruitbot")
    with workplace.database.write() as s:
        run = runs.get_run(s, name="coinrun")
        run.steps, run.iteration, run.steps_per_second = 4096, 3, 812.5
        found = [Found("ties", "Too many ties.", "chart-ties")]
        alarms.update(s, run_id=run.id, found=found, iteration=3, step=4096, now=run.created_at)
    found_now = scrape(client)
    assert found_now["clipwise_run_steps", "coinrun"] == 4096
    assert found_now["clipwise_run_steps_per_second", "coinrun"] == 812.5
    assert found_now["clipwise_run_alarms", "coinrun"] == 1
    assert found_now["clipwise_run_alarms", "fruitbot"] == 0
    assert found_now["clipwise_run_label_budget", "coinrun"] == 500
    workplace.work(silent_for=40)
    assert scrape(client)["clipwise_run_alarms", "coinrun"] == 2  # it has fallen silent as well
    assert 0 <= found_now["clipwise_run_heartbeat_age_seconds", "coinrun"] < 60
    assert ("clipwise_run_heartbeat_age_seconds", "fruitbot") not in found_now
    assert found_now["clipwise_runs", "running"] == 1
    assert found_now["clipwise_runs", "waiting"] == 1
    assert found_now["clipwise_runs", "failed"] == 0


def test_requests_are_counted_by_route_and_not_by_what_strangers_make_up(
    client: TestClient,
) -> None:
    for name in ("coinrun", "nosuch"):
        client.get(f"/runs/{name}")
    for number in range(5):
        client.get(f"/made/up/{number}")
    found = scrape(client)
    name = "clipwise_http_requests_total"
    assert found[name, "GET", "/runs/{name}", "200"] == 1
    assert found[name, "GET", "/runs/{name}", "404"] == 1
    assert found[name, "GET", "unknown", "404"] == 5
    assert found["clipwise_http_request_seconds_count", "/runs/{name}"] == 2


def test_what_counts_one_process_names_it_and_what_is_of_the_database_does_not(
    client: TestClient, workplace: Any
) -> None:
    client.get("/runs/coinrun")
    for family in text_string_to_metric_families(client.get("/metrics").text):
        for sample in family.samples:
            of_process = sample.name.startswith(("clipwise_http_", "clipwise_event_"))
            named = {"process": str(os.getpid())} if of_process else {}
            assert {key: v for key, v in sample.labels.items() if key == "process"} == named


@pytest.mark.parametrize(
    ("scopes", "status"), [((Scope.READ,), 200), ((Scope.LABEL,), 403), (None, 401)]
)
def test_a_team_shows_them_to_tokens_that_may_read(
    team: Team, scopes: tuple[Scope, ...] | None, status: int
) -> None:
    headers = {} if scopes is None else team.bearer(Role.RESEARCHER, *scopes)
    assert team.client.get("/metrics", headers=headers).status_code == status
