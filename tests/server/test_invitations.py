"""Invitations over HTTP: one account each, of their role, under a name that misleads nobody."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest
from sqlalchemy import func, select, update

from server.credentials import Invitation
from server.models import Person

if TYPE_CHECKING:
    from conftest import Team


def invite(team: Team, role: str = "researcher") -> str:
    page = team.client.post(
        "/people/invitations", data={"role": role}, headers=team.cookie("admin")
    ).text
    link = page.split('<code id="link">')[1].split("<")[0]
    assert link.startswith("http://127.0.0.1:8000/join#")
    return link.split("#")[1]


def join(team: Team, invitation: str, name: str, password: str = "a long enough one") -> object:
    team.client.cookies.clear()
    form = {"invitation": invitation, "name": name, "password": password}
    return team.client.post("/join", data=form, follow_redirects=False)


def test_an_invitation_makes_one_account_of_its_role(team: Team) -> None:
    key = invite(team)
    reply = join(team, key, "Zoë  O'Brien")
    assert reply.status_code == 303
    page = team.client.get(
        "/account", headers={"cookie": reply.headers["set-cookie"].split(";")[0]}
    ).text
    assert "<bdi>Zoë O&#39;Brien</bdi>" in page
    assert team.person("Zoë O'Brien").role == "researcher"
    assert team.log_in("Zoë O'Brien", "a long enough one").status_code == 303
    again = join(team, key, "Somebody Else")
    assert (again.status_code, "used or too old" in again.text) == (404, True)
    shown_once = team.client.get("/people/accounts", headers=team.cookie("admin")).text
    assert key not in shown_once


@pytest.mark.parametrize("how", ["expired", "withdrawn", "unknown"])
def test_an_invitation_that_no_longer_holds_makes_none(team: Team, how: str) -> None:
    key = invite(team)
    with team.database.read() as s:
        invitation = s.scalars(select(Invitation)).one()
    if how == "expired":
        with team.database.write() as s:
            s.execute(update(Invitation).values(expires_at=datetime.now(UTC)))
    elif how == "withdrawn":
        address = f"/people/invitations/{invitation.id}/withdraw"
        team.client.post(address, headers=team.cookie("admin"))
    else:
        key = "unknown"
    assert join(team, key, "Zoe").status_code == 404
    assert invitation.expires_at - invitation.created_at == timedelta(days=7)


MISLEADING = (
    "<script>alert(1)</script>",
    "<b>bold",
    'a" onmouseover="x',
    "admin\u202e",  # right-to-left override
    "ad\u200bmin",  # zero-width space
    "a\x00b",
    "Robert'); DROP TABLE people;--",
    "",
    "   ",
    "x" * 65,
    "\u0301accent",
    "Admin",  # as another one but for its capitals
    "\uff41\uff44\uff4d\uff49\uff4e",  # the same in wide letters
    "local",
)


def test_a_name_that_could_mislead_is_refused_and_the_invitation_stays_good(team: Team) -> None:
    key = invite(team)
    for name in MISLEADING:
        reply = join(team, key, name)
        assert reply.status_code in (409, 422), name
        for markup in ("<script>alert", "<b>bold", ' onmouseover="x'):
            assert markup not in reply.text
    with team.database.read() as s:
        assert s.scalar(select(func.count()).select_from(Person)) == 3
    assert join(team, key, "דנה לוי").status_code == 303  # letters of any script are welcome
