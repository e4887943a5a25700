"""Logging in and out over HTTP: cookies, expiry, throttling, passwords."""

from __future__ import annotations

import statistics
import time
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import select, update

from server.app import create_app
from server.credentials import LoginFailure, LoginSession
from server.logins import browser_name
from server.passwords import hash_password, is_right
from server.permissions import Scope
from server.routes.login import safe_address
from server.store import throttle

if TYPE_CHECKING:
    from conftest import Team

FIREFOX = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"


def key_in(reply: object) -> str:
    """The cookie that a response sets."""
    header: str = reply.headers["set-cookie"]  # type: ignore[attr-defined]
    return header.split("=", 1)[1].split(";")[0]


def shown(key: str) -> dict[str, str]:
    return {"cookie": f"clipwise={key}"}


# ---- coming in ------------------------------------------------------------------------------


def test_login_sets_a_cookie_that_scripts_and_other_sites_cannot_use(team: Team) -> None:
    reply = team.log_in("researcher")
    assert (reply.status_code, reply.headers["location"]) == (303, "/")
    cookie = reply.headers["set-cookie"]
    assert cookie.startswith("clipwise=")
    for part in ("HttpOnly", "SameSite=lax", "Path=/", "Max-Age=1209600"):
        assert part in cookie
    assert "Secure" not in cookie  # plain http, this machine
    assert team.status(shown(key_in(reply)), "/") == 200


def test_beyond_this_machine_the_cookie_is_for_tls_alone(team: Team) -> None:
    settings = team.settings.model_copy(update={"allowed_hosts": "clips.example"})
    for address in ("https://clips.example", "http://clips.example", "https://127.0.0.1"):
        with TestClient(create_app(settings), base_url=address) as client:
            form = {"name": "annotator", "password": team.password}
            reply = client.post("/login", data=form, follow_redirects=False)
            assert reply.headers["set-cookie"].startswith("__Host-clipwise=")
            assert "; Secure" in reply.headers["set-cookie"]


def test_annotators_begin_with_what_they_can_label(team: Team) -> None:
    reply = team.log_in("annotator")
    assert reply.headers["location"] == "/label"
    page = team.client.get("/label", headers=shown(key_in(reply))).text
    assert 'href="/label/coinrun"' in page
    assert "get the coin, don&#39;t die" in page
    assert (
        'href="/runs/' not in team.client.get("/label/coinrun", headers=shown(key_in(reply))).text
    )


def test_a_page_asks_for_the_login_and_goes_on_with_what_was_wanted(team: Team) -> None:
    reply = team.client.get("/runs/coinrun?x=1&y=2")
    assert reply.status_code == 401
    assert 'name="next" value="/runs/coinrun?x=1&amp;y=2"' in reply.text
    form = {"name": "admin", "password": team.password, "next": "/runs/coinrun?x=1&y=2"}
    reply = team.client.post("/login", data=form, follow_redirects=False)
    assert reply.headers["location"] == "/runs/coinrun?x=1&y=2"


@pytest.mark.parametrize(
    "address",
    [
        "https://evil.example",
        "//evil.example",
        "/\\evil.example",
        "\\\\evil.example",
        "/\t/evil.example",
        "/a\r\nSet-Cookie: x=y",
        "javascript:alert(1)",
        "",
        "/login",
    ],
)
def test_a_login_leads_to_no_other_site(address: str) -> None:
    assert safe_address(address) == "/"


def test_an_expired_login_is_told_in_the_one_error_shape_and_renewed_in_place(team: Team) -> None:
    """What the labelling page does: 401 as JSON, login by its own request, the answer again."""
    team.workplace.ask(1)
    headers = team.cookie("annotator")
    given = team.client.post("/api/v1/runs/coinrun/assignments", headers=headers).json()
    address = f"/api/v1/assignments/{given['assignments'][0]['id']}/answer"
    answer = {"side": "left", "submission_key": "answer-1"}
    later = datetime.now(UTC) - timedelta(days=2)
    with team.database.write() as s:
        s.execute(update(LoginSession).values(seen_at=later))
    reply = team.client.post(address, json=answer, headers=headers)
    assert reply.status_code == 401
    assert reply.json() == {"status": 401, "error": "Unauthorized", "message": "Log in first."}
    assert reply.headers["www-authenticate"] == "Bearer"
    again = team.log_in("annotator", accept="application/json", **headers)
    assert (again.status_code, again.text) == (204, "")
    reply = team.client.post(address, json=answer, headers=shown(key_in(again)))
    assert (reply.status_code, reply.json()["side"]) == (201, "left")


def test_a_wrong_password_is_refused_in_the_shape_asked_for(team: Team) -> None:
    page = team.log_in("annotator", "wrong password")
    assert page.status_code == 401
    assert 'value="annotator"' in page.text
    assert "Name or password is wrong." in page.text
    assert "wrong password" not in page.text.replace("Name or password is wrong.", "")
    program = team.log_in("annotator", "wrong password", accept="application/json")
    assert program.json()["message"] == "Name or password is wrong."


def test_unknown_names_and_sql_are_wrong_names_and_nothing_else(team: Team) -> None:
    for name in ("nobody", "local", "' OR 1=1 --", "admin'--", "\x00", "\u202enimda"):
        reply = team.log_in(name, accept="application/json")
        assert reply.json()["message"] == "Name or password is wrong."


def test_unknown_names_take_as_long_as_wrong_passwords() -> None:
    real = hash_password("correct horse battery", name="")

    def cost(password_hash: str | None) -> float:
        started = time.thread_time()
        assert not is_right("something else", password_hash)
        return time.thread_time() - started

    cost(None)  # makes the hash that nobody has
    known, unknown = (statistics.median(cost(one) for _ in range(7)) for one in (real, None))
    assert 0.5 < unknown / known < 2.0


def test_browsers_are_named_as_their_owners_would() -> None:
    assert browser_name(FIREFOX) == "Firefox on Linux"
    assert browser_name("Mozilla/5.0 (iPhone) AppleWebKit Safari/604.1") == "Safari on iPhone"
    assert browser_name("<script>alert(1)</script>") == "a program"


# ---- fixation, expiry, going out ------------------------------------------------------------


def test_a_key_chosen_by_somebody_else_is_never_taken(team: Team) -> None:
    planted = shown("planted-key-that-the-attacker-knows")
    reply = team.log_in("admin", **planted)
    assert key_in(reply) != "planted-key-that-the-attacker-knows"
    assert team.status(planted) == 401


def test_each_login_has_a_new_key_and_ends_the_one_before(team: Team) -> None:
    first = key_in(team.log_in("admin"))
    second = key_in(team.log_in("admin", **shown(first)))
    assert first != second
    assert (team.status(shown(first)), team.status(shown(second))) == (401, 200)


@pytest.mark.parametrize(
    ("seen", "ends", "expected"),
    [
        (timedelta(hours=-23), timedelta(days=1), 200),
        (timedelta(hours=-25), timedelta(days=1), 401),
        (timedelta(0), timedelta(seconds=-1), 401),
    ],
)
def test_logins_end_unused_and_end_at_last(
    team: Team, seen: timedelta, ends: timedelta, expected: int
) -> None:
    headers, now = team.cookie("annotator"), datetime.now(UTC)
    with team.database.write() as s:
        s.execute(update(LoginSession).values(seen_at=now + seen, expires_at=now + ends))
    assert team.status(headers) == expected
    if expected == 200:  # used: it goes on from now
        with team.database.read() as s:
            assert s.scalars(select(LoginSession.seen_at)).one() > now - timedelta(minutes=1)


def test_logout_ends_the_login_on_the_server_too(team: Team) -> None:
    headers = team.cookie("annotator")
    reply = team.client.post("/logout", headers=headers, follow_redirects=False)
    assert 'clipwise=""' in reply.headers["set-cookie"]
    assert team.status(headers) == 401


def test_everywhere_is_everywhere(team: Team) -> None:
    one, other, anothers = (team.cookie(name) for name in ("admin", "admin", "annotator"))
    team.client.post("/account/sessions/revoke", headers=one)
    assert [team.status(headers) for headers in (one, other, anothers)] == [401, 401, 200]


def test_one_browser_can_be_logged_out_from_another_but_not_anothers(team: Team) -> None:
    one, other, stranger = (team.cookie(name) for name in ("admin", "admin", "annotator"))
    with team.database.read() as s:
        session = s.scalars(select(LoginSession.id).order_by(LoginSession.id)).all()[1]
    address = f"/account/sessions/{session}/revoke"
    assert team.client.post(address, headers=stranger).status_code == 404
    assert team.status(other) == 200
    assert team.client.post(address, headers=one, follow_redirects=False).status_code == 303
    assert (team.status(one), team.status(other)) == (200, 401)


def test_a_new_password_logs_every_other_browser_out(team: Team) -> None:
    here, there = team.cookie("annotator"), team.cookie("annotator")
    form = {"old_password": team.password, "new_password": "a new long password"}
    reply = team.client.post("/account/password", data=form, headers=here, follow_redirects=False)
    assert reply.status_code == 303
    assert team.status(shown(key_in(reply))) == 200
    assert [team.status(headers) for headers in (here, there)] == [401, 401]
    assert team.log_in("annotator").status_code == 401
    assert team.log_in("annotator", "a new long password").status_code == 303


def test_a_password_that_cannot_be_is_refused_and_nothing_changes(team: Team) -> None:
    headers = team.cookie("annotator")
    for old, new, message in (
        ("wrong", "a new long password", "The old password is wrong."),
        (team.password, "short", "10 to 200 letters"),
        (team.password, "a" * 400, "10 to 200 letters"),
        (team.password, "aaaaaaaaaaaa", "too easy to guess"),
    ):
        form = {"old_password": old, "new_password": new}
        reply = team.client.post("/account/password", data=form, headers=headers)
        assert (reply.status_code, message in reply.text) == (422, True)
    assert team.status(headers) == 200
    assert team.log_in("annotator").status_code == 303


def test_who_is_deactivated_is_out_at_once_with_all_tokens(team: Team) -> None:
    cookie, token = team.cookie("annotator"), team.bearer("annotator", Scope.LABEL)
    person = team.person("annotator").id
    progress = "/api/v1/runs/coinrun/progress"
    assert (team.status(cookie), team.status(token, progress)) == (200, 200)
    address, admin = f"/people/accounts/{person}/active", team.cookie("admin")
    team.client.post(address, data={"active": "false"}, headers=admin)
    assert (team.status(cookie), team.status(token, progress)) == (401, 401)
    assert team.log_in("annotator").status_code == 401
    team.client.post(address, data={"active": "true"}, headers=admin)
    assert (team.status(cookie), team.status(token, progress)) == (401, 200)
    assert team.log_in("annotator").status_code == 303


def test_the_only_admin_stays_one(team: Team) -> None:
    headers, admin = team.cookie("admin"), team.person("admin").id
    for what, form in (("role", {"role": "annotator"}), ("active", {"active": "false"})):
        reply = team.client.post(f"/people/accounts/{admin}/{what}", data=form, headers=headers)
        assert (reply.status_code, "only admin" in reply.text) == (409, True)


# ---- throttling -----------------------------------------------------------------------------


def test_guessing_is_stopped_for_two_servers_together(team: Team) -> None:
    other = TestClient(create_app(team.settings), base_url="http://127.0.0.1:8000")
    form = {"name": "admin", "password": "a wrong guess"}
    with other:
        statuses = [
            client.post("/login", data=form, headers={"accept": "application/json"}).status_code
            for _ in range(throttle.MOST_OF_NAME_AND_ADDRESS)
            for client in (team.client, other)
        ]
    most = throttle.MOST_OF_NAME_AND_ADDRESS
    assert statuses == [401] * most + [429] * most
    right = team.log_in("admin")  # even the right one waits
    assert (right.status_code, "try again in 15 min" in right.text) == (429, True)
    assert team.log_in("annotator").status_code == 303  # others do not
    with team.database.write() as s:
        past = datetime.now(UTC) - throttle.WINDOW
        s.execute(update(LoginFailure).values(created_at=past))
    assert team.log_in("admin").status_code == 303


def test_the_right_password_forgets_the_wrong_ones(team: Team) -> None:
    for _ in range(2):
        for _ in range(throttle.MOST_OF_NAME_AND_ADDRESS - 1):
            assert team.log_in("admin", "a wrong guess").status_code == 401
        assert team.log_in("admin").status_code == 303


@pytest.mark.parametrize("by", ["name", "address"])
def test_a_name_and_an_address_have_their_limits_too(team: Team, by: str) -> None:
    most = throttle.MOST_OF_NAME if by == "name" else throttle.MOST_OF_ADDRESS
    now = datetime.now(UTC)
    with team.database.write() as s:
        for number in range(most):
            name, address = (
                ("admin", f"192.0.2.{number}") if by == "name" else (f"n{number}", "::1")
            )
            throttle.attempt(s, name=name, address=address, now=now)
        with pytest.raises(throttle.TooMany, match="try again in 15 min"):
            throttle.attempt(s, name="Admin" if by == "name" else "other", address="::1", now=now)
        throttle.attempt(s, name="somebody", address="198.51.100.7", now=now)


def test_the_old_password_cannot_be_guessed_from_the_account_page_either(team: Team) -> None:
    headers = team.cookie("annotator")
    form = {"old_password": "a wrong guess", "new_password": "a new long password"}
    statuses = {
        team.client.post("/account/password", data=form, headers=headers).status_code
        for _ in range(throttle.MOST_OF_NAME_AND_ADDRESS + 1)
    }
    assert statuses == {422, 429}
