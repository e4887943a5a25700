"""The log of who did what, over HTTP."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from sqlalchemy import select

from server.credentials import AuditEvent

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
