"""The OpenAPI description is true: whatever is sent, the server answers as described, never 5xx."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import pytest
import schemathesis
from fastapi.testclient import TestClient
from hypothesis import HealthCheck, given, settings, strategies
from schemathesis import Case, GenerationMode
from schemathesis.specs.openapi.checks import positive_data_acceptance

from server.app import create_app
from server.permissions import Scope

if TYPE_CHECKING:
    from conftest import Team

ADDRESS = "http://127.0.0.1:8000"
SECONDS_PER_OPERATION = 4.0
RULES_BEYOND_A_SCHEMA = {
    "POST /api/v1/runs/{run}/preferences": "what a file of answers holds",
    "POST /api/v1/runs/{run}/inspections": "which fields go together, and how long it is",
    "POST /api/v1/runs/{run}/rankings": "how many clips there are in all places together",
}
"""Operations that may refuse what their schema allows, and what it cannot say."""


@pytest.fixture
def described(workplace: Any) -> Any:
    """The description of an application with a run, open pairs and an answer."""
    workplace.ask(6)
    app = create_app(workplace.settings)
    with TestClient(app, base_url=ADDRESS) as client:
        pair, _ = client.post("/api/v1/runs/coinrun/assignments").json()["assignments"]
        body = {"side": "left", "submission_key": "first-answer"}
        assert client.post(f"/api/v1/assignments/{pair['id']}/answer", json=body).status_code == 201
        body = {"aspect": "steps", "trajectory": 1}
        assert client.post("/api/v1/runs/coinrun/inspections", json=body).status_code == 200
    headers = {"host": "127.0.0.1"}
    return schemathesis.openapi.from_asgi("/api/v1/openapi.json", app, headers=headers)


@pytest.mark.slow
def test_whatever_is_sent_is_answered_as_described(described: Any) -> None:
    for operation in described.get_all_operations():
        explore(operation.ok())


@pytest.mark.slow
def test_with_a_token_it_is_answered_as_described_too(team: Team) -> None:
    described = schemathesis.openapi.from_asgi(
        "/api/v1/openapi.json", create_app(team.settings), headers={"host": "127.0.0.1"}
    )
    token = team.bearer("researcher", *Scope)
    for headers in (token, {}):
        for operation in described.get_all_operations():
            explore(operation.ok(), headers=headers, seconds=0.7 if headers else 0.2)


def explore(
    operation: Any,
    headers: dict[str, str] | None = None,
    seconds: float = SECONDS_PER_OPERATION,
) -> None:
    """Call one operation with what hypothesis makes of its description, for some seconds."""
    until = time.monotonic() + seconds
    excluded = [positive_data_acceptance] if operation.label in RULES_BEYOND_A_SCHEMA else []

    # Derandomised: what fails here fails everywhere, and again.
    @settings(
        max_examples=60,
        deadline=None,
        derandomize=True,
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(case=strategies.one_of(sent(operation)))
    def check(case: Case) -> None:
        if time.monotonic() < until:
            case.call_and_validate(base_url=ADDRESS, headers=headers, excluded_checks=excluded)

    check()


def sent(operation: Any) -> list[strategies.SearchStrategy[Case]]:
    """What the description allows, of things that exist and of others, and what it doesn't."""
    allowed = operation.as_strategy(generation_mode=GenerationMode.POSITIVE)
    refused = operation.as_strategy(generation_mode=GenerationMode.NEGATIVE)
    return [allowed.map(about_what_exists), allowed, refused]


def about_what_exists(case: Case) -> Case:
    known = {"run": "coinrun", "assignment": 2, "preference": 1, "query": 5, "person": 1}
    known |= {"ranking": 1, "alarm": 1, "inspection": 1}
    case.path_parameters = {name: known[name] for name in case.path_parameters}
    return case


def test_description_names_every_operation_and_its_errors(client: TestClient) -> None:
    description = client.get("/api/v1/openapi.json").json()
    operations = {
        (method, path): operation
        for path, methods in description["paths"].items()
        for method, operation in methods.items()
    }
    assert set(operations) == {
        ("get", "/api/v1/runs"),
        ("get", "/api/v1/runs/{run}"),
        ("post", "/api/v1/runs/{run}/commands"),
        ("post", "/api/v1/runs/{run}/assignments"),
        ("get", "/api/v1/runs/{run}/progress"),
        ("get", "/api/v1/runs/{run}/metrics"),
        ("post", "/api/v1/assignments/{assignment}/renew"),
        ("post", "/api/v1/assignments/{assignment}/answer"),
        ("post", "/api/v1/preferences/{preference}/withdraw"),
        ("post", "/api/v1/preferences/{preference}/correct"),
        ("post", "/api/v1/assignments/{assignment}/skip"),
        ("post", "/api/v1/assignments/{assignment}/agent-view"),
        ("get", "/api/v1/runs/{run}/history"),
        ("put", "/api/v1/runs/{run}/queries/{query}/gold"),
        ("get", "/api/v1/runs/{run}/rankings"),
        ("get", "/api/v1/runs/{run}/rankable"),
        ("post", "/api/v1/runs/{run}/rankings"),
        ("post", "/api/v1/runs/{run}/rankings/{ranking}/withdraw"),
        ("post", "/api/v1/runs/{run}/inspections"),
        ("get", "/api/v1/inspections/{inspection}"),
        ("get", "/api/v1/runs/{run}/labellers"),
        ("put", "/api/v1/runs/{run}/labellers/{person}"),
        ("put", "/api/v1/runs/{run}/labellers/{person}/exclusion"),
        ("get", "/api/v1/runs/{run}/preferences"),
        ("post", "/api/v1/runs/{run}/preferences"),
        ("get", "/api/v1/runs/{run}/clips.zip"),
        ("patch", "/api/v1/runs/{run}/settings"),
        ("get", "/api/v1/runs/{run}/alarms"),
        ("post", "/api/v1/runs/{run}/alarms/{alarm}/acknowledge"),
    }
    for operation in operations.values():
        assert operation["summary"]
        for status, response in operation["responses"].items():
            if int(status) >= 400:
                shape = response["content"]["application/json"]["schema"]
                assert shape == {"$ref": "#/components/schemas/Problem"}
    problem = description["components"]["schemas"]["Problem"]
    assert set(problem["properties"]) == {"status", "error", "message"}
