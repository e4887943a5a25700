"""Every route for every role: the table of permissions, called over HTTP."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pytest
from fastapi import FastAPI
from starlette.websockets import WebSocketDisconnect

from server.app import create_app
from server.models import Role
from server.permissions import RULES, SCOPES_OF_ROLE, Rule, reaches, rule_for
from server.settings import Settings

if TYPE_CHECKING:
    from conftest import Team

ABSENT = {
    "run": "nosuch",
    "name": "nosuch",
    "assignment": "999",
    "preference": "999",
    "query": "999",
    "checkpoint": "999",
    "person": "999",
    "session": "999",
    "token": "999",
    "invitation": "999",
    "clip": "999",
    "ranking": "999",
    "alarm": "999",
    "trajectory": "999",
    "inspection": "999",
}
FIXED = {"side": "left", "command": "pause", "segment": "a"}
BODIES: dict[str, dict[str, Any]] = {
    "POST /login": {"data": {"name": "annotator", "password": "correct horse battery"}},
    "POST /api/v1/runs/{run}/commands": {"json": {"kind": "pause"}},
    "POST /api/v1/runs/{run}/assignments": {"json": {"count": 1}},
    "POST /api/v1/assignments/{assignment}/answer": {
        "json": {"side": "left", "submission_key": "some-key-1"}
    },
    "POST /api/v1/preferences/{preference}/withdraw": {"json": {"submission_key": "some-key-2"}},
    "POST /api/v1/preferences/{preference}/correct": {
        "json": {"side": "left", "submission_key": "some-key-3"}
    },
    "PUT /api/v1/runs/{run}/queries/{query}/gold": {"json": {"answer": "a"}},
    "POST /api/v1/runs/{run}/rankings": {
        "json": {"places": [[998], [999]], "submission_key": "some-key-4"}
    },
    "POST /api/v1/runs/{run}/inspections": {"json": {"aspect": "steps", "trajectory": 999}},
    "PUT /api/v1/runs/{run}/labellers/{person}": {"json": {"paused": True}},
    "PUT /api/v1/runs/{run}/labellers/{person}/exclusion": {"json": {"excluded": True}},
    "POST /people/{person}/exclusion": {"data": {"run": "coinrun", "excluded": "true"}},
    "POST /people/{person}/pause": {"data": {"run": "coinrun", "paused": "false"}},
    "POST /runs/{name}/queries/{query}/gold": {"data": {"answer": "a"}},
    "POST /runs/{name}/settings": {"data": {"label_budget": "600", "strategy": "entropy"}},
    "PATCH /api/v1/runs/{run}/settings": {"json": {"label_budget": 600}},
    "GET /runs/{name}/metrics.csv": {"params": {"names": "time/fps"}},
    "POST /people/accounts/{person}/role": {"data": {"role": "researcher"}},
    "POST /people/accounts/{person}/active": {"data": {"active": "true"}},
    "POST /people/invitations": {"data": {"role": "annotator"}},
    "POST /account/tokens": {"data": {"name": "mine", "scopes": "label"}},
}
ENDLESS = {"GET /runs/{name}/events"}
"""Streams: whoever may not read one is refused at once; the others' end is tested elsewhere."""


def routes_of(app: FastAPI) -> Iterator[tuple[str, str]]:
    """Method and path of everything but static files and the API's description."""
    for route in app.routes:
        for found in getattr(route, "effective_candidates", lambda: [])():
            for method in sorted(found.methods or {"WEBSOCKET"}):
                yield method, found.path or found.original_route.path


ROUTES = list(routes_of(create_app(Settings())))


def test_every_route_has_its_line_and_every_line_its_route() -> None:
    assert {f"{method} {path}" for method, path in ROUTES} == set(RULES)


def test_what_has_no_line_is_the_admins_alone() -> None:
    assert rule_for("GET", "/not/thought/of") == Rule(Role.ADMIN)


def test_outside_of_the_table_there_are_only_static_files_and_the_description() -> None:
    app = create_app(Settings())
    others = [route.path for route in app.routes if hasattr(route, "path") and route.path]  # type: ignore[attr-defined]
    assert [path for path in others if not path.startswith("/static/")] == ["/api/v1/openapi.json"]


def filled(path: str, values: dict[str, str]) -> str:
    for name, value in (values | FIXED).items():
        path = path.replace("{" + name + "}", value)
    assert "{" not in path, f"no value for a parameter of {path}"
    return path


def call(team: Team, method: str, path: str, values: dict[str, str], headers: Any) -> int:
    """The status; the method and its body are the route's own."""
    team.client.cookies.clear()
    address = filled(path, values)
    if method == "WEBSOCKET":
        try:
            address = f"ws://127.0.0.1:8000{address}"  # the client knows no other base for these
            with team.client.websocket_connect(address, headers=headers):
                return 101
        except WebSocketDisconnect:
            return 403
    options = BODIES.get(f"{method} {path}", {})
    reply = team.client.request(method, address, headers=headers, follow_redirects=False, **options)
    return reply.status_code


def present(team: Team, who: str) -> dict[str, str]:
    """Things that exist, and belong to whoever asks."""
    team.workplace.ask(1)
    given = team.client.post(
        "/api/v1/runs/coinrun/assignments", json={"count": 10}, headers=team.cookie(who)
    ).json()["assignments"]
    return ABSENT | {
        "run": "coinrun",
        "name": "coinrun",
        "assignment": str(given[-1]["id"]),
        "person": str(team.person("annotator").id),
    }


@pytest.mark.parametrize("who", [None, *Role])
def test_each_role_is_let_in_where_it_may_and_nowhere_else(team: Team, who: Role | None) -> None:
    wrong = []
    for method, path in ROUTES:
        rule = RULES[f"{method} {path}"]
        allowed = rule.role is None or (who is not None and reaches(who, rule.role))
        if allowed and f"{method} {path}" in ENDLESS:
            continue
        values = present(team, who) if who and "{" in path else ABSENT
        status = call(team, method, path, values, team.cookie(who) if who else {})
        refusal = 401 if who is None and method != "WEBSOCKET" else 403
        if (status in (401, 403)) if allowed else (status != refusal):
            wrong.append((method, path, status))
        assert status < 500
    assert wrong == []


def test_what_does_not_exist_is_not_found_for_those_who_may_see_it(team: Team) -> None:
    headers = team.cookie("admin")
    parametrised = [(m, p) for m, p in ROUTES if "{" in p and m != "WEBSOCKET"]
    found = {(m, p): call(team, m, p, ABSENT, headers) for m, p in parametrised}
    assert {key: status for key, status in found.items() if status != 404} == {}


@pytest.mark.parametrize("who", list(Role))
def test_a_token_is_good_for_its_scopes_within_its_owners_role(team: Team, who: Role) -> None:
    wrong = []
    headers = {scope: team.bearer(who, scope) for scope in SCOPES_OF_ROLE[who]}
    values = present(team, who)
    for method, path in ROUTES:
        rule = RULES[f"{method} {path}"]
        for scope, shown in headers.items():
            if rule.role is None:
                continue
            allowed = scope is rule.scope and reaches(who, rule.role)
            status = call(team, method, path, values, shown)
            if (status in (401, 403)) if allowed else (status != 403):
                wrong.append((method, path, str(scope), status))
    assert wrong == []


@pytest.mark.parametrize("kind", ["own", "another's"])
def test_clips_are_for_whom_the_pair_was_given_to(
    team: Team, others_assignment: int, kind: str
) -> None:
    headers, status = team.cookie("admin"), 403  # not even an admin: it would unblind them
    assignment = str(others_assignment)
    if kind == "own":
        headers, status = team.cookie("annotator"), 200
        team.workplace.ask(1)
        assignment = team.client.post(
            "/api/v1/runs/coinrun/assignments", json={"count": 1}, headers=headers
        ).json()["assignments"][0]["id"]
    reply = team.client.get(f"/media/assignments/{assignment}/left.mp4", headers=headers)
    assert reply.status_code == status


def test_there_are_no_accounts_in_local_mode(client: Any) -> None:
    for path in ("/login", "/join", "/account", "/people/accounts", "/people/audit"):
        reply = client.get(path)
        assert (reply.status_code, "no accounts" in reply.text) == (404, True), path
    assert client.get("/label").status_code == 200
