"""API tokens over HTTP: shown once, scoped, revocable; and requests from other sites."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import select

from server.credentials import Token
from server.permissions import Scope

if TYPE_CHECKING:
    from conftest import Team


def test_a_token_is_shown_once_and_stored_as_a_fingerprint(team: Team) -> None:
    headers = team.cookie("researcher")
    form = {"name": "my script", "scopes": ["label", "read"]}
    page = team.client.post("/account/tokens", data=form, headers=headers).text
    token = page.split('<code id="new-token">')[1].split("<")[0]
    assert token.startswith("clw_")
    assert token not in team.client.get("/account", headers=headers).text
    with team.database.read() as s:
        row = s.scalars(select(Token)).one()
    assert row.scopes == ["label", "read"]
    assert token not in (row.fingerprint, row.prefix)
    assert token.startswith(row.prefix)
    bearer = {"authorization": f"Bearer {token}"}
    assert team.status(bearer, "/api/v1/runs") == 200
    team.client.post(f"/account/tokens/{row.id}/revoke", headers=team.cookie("admin"))
    assert team.status(bearer, "/api/v1/runs") == 200  # not the admin's to revoke there
    team.client.post(f"/account/tokens/{row.id}/revoke", headers=headers)
    assert team.status(bearer, "/api/v1/runs") == 401


def test_an_annotators_token_is_for_labelling_alone(team: Team) -> None:
    for scopes in ([], ["manage"], ["label", "read"]):
        form = {"name": "my script", "scopes": scopes}
        reply = team.client.post("/account/tokens", data=form, headers=team.cookie("annotator"))
        assert (reply.status_code, "clw_" in reply.text) == (422, False)


def test_an_unknown_token_is_refused_even_beside_a_good_cookie(team: Team) -> None:
    for token in ("", "x", "clw_" + "a" * 43):
        headers = team.cookie("admin") | {"authorization": f"Bearer {token}"}
        assert team.status(headers, "/api/v1/runs") == 401


def test_bearer_requests_without_a_cookie_may_come_from_anywhere(team: Team) -> None:
    elsewhere = {"sec-fetch-site": "cross-site", "origin": "http://evil.example"}
    token, cookie = team.bearer("researcher", Scope.MANAGE), team.cookie("researcher")
    address, body = "/api/v1/runs/coinrun/commands", {"kind": "pause"}
    statuses = [
        team.client.post(address, json=body, headers=headers | elsewhere).status_code
        for headers in (token, cookie, token | cookie)
    ]
    assert statuses == [202, 403, 403]


def test_forms_of_other_sites_are_refused(team: Team) -> None:
    headers = team.cookie("admin") | {"origin": "http://evil.example"}
    for path in ("/login", "/logout", "/join", "/account/password", "/people/invitations"):
        reply = team.client.post(path, data={"role": "admin"}, headers=headers)
        assert reply.status_code == 403
