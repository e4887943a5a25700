"""The log of who did what, over HTTP."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from sqlalchemy import select

from server.credentials import AuditEvent, LoginSession

if TYPE_CHECKING:
    from conftest import Team


def test_the_log_tells_who_did_what_on_what(team: Team) -> None:
    team.log_in("admin", "a wrong guess")
    headers = team.cookie("admin")
    team.client.post("/runs/coinrun/pause", headers=headers)
    person = team.person("annotator").id
    team.client.post(
        f"/people/accounts/{person}/role", data={"role": "researcher"}, headers=headers
    )
    page = team.client.get("/people/audit", headers=headers).text
    with team.database.read() as s:
        rows = s.execute(
            select(AuditEvent.action, AuditEvent.subject).order_by(AuditEvent.id)
        ).all()
    assert [tuple(row) for row in rows] == [
        ("login refused", "admin"),
        ("logged in", "Firefox on Linux"),
        ("pause", "coinrun"),
        ("changed role", "annotator: researcher"),
    ]
    for _, subject in rows:
        assert subject in page
    assert "a wrong guess" not in page


def test_who_goes_is_in_the_log_once(team: Team) -> None:
    here, there = team.cookie("annotator"), team.cookie("annotator")
    with team.database.read() as s:
        other = s.scalars(select(LoginSession.id).order_by(LoginSession.id)).all()[1]
    team.client.post(f"/account/sessions/{other}/revoke", headers=here)
    team.client.post("/logout", headers=here)
    team.client.post("/logout", headers=here)  # gone already
    assert team.status(there) in (303, 401)
    with team.database.read() as s:
        rows = s.execute(
            select(AuditEvent.person_id, AuditEvent.subject)
            .where(AuditEvent.action == "logged out")
            .order_by(AuditEvent.id)
        ).all()
    who = team.person("annotator").id
    assert [tuple(row) for row in rows] == [(who, "Firefox on Linux")] * 2


def test_a_long_log_comes_in_pages(team: Team) -> None:
    headers = team.cookie("admin")
    with team.database.write() as s:
        for number in range(150):
            s.add(
                AuditEvent(
                    action="x", subject=f"thing {number}.", address="", created_at=datetime.now(UTC)
                )
            )
    page = team.client.get("/people/audit", headers=headers).text
    assert ("thing 149." in page, "thing 49." in page) == (True, False)
    older = page.split('href="/people/audit?before=')[1].split('"')[0]
    page = team.client.get(f"/people/audit?before={older}", headers=headers).text
    assert ("thing 49." in page, "Older" in page) == (True, False)
