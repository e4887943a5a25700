"""The people page, a person's page, and the exclusion of answers, over HTTP."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import func, select

from server.credentials import AuditEvent
from server.models import Person, Preference
from server.store import assignments, labellers, people, runs

if TYPE_CHECKING:
    from conftest import Team

BASE = "/api/v1/runs/coinrun"


def answer(workplace: Any, name: str, sides: str) -> int:
    """Let somebody answer a pair per letter (l or r); their number."""
    now = datetime.now(UTC)
    with workplace.database.write() as s:
        person = s.scalar(select(Person).where(Person.name == name))
        if person is None:
            person = Person(name=name, created_at=now)
            s.add(person)
            s.flush()
        run_id = runs.get_run(s, name="coinrun").id
        for letter in sides:
            (pair,) = assignments.next_assignments(
                s, run_id=run_id, person_id=person.id, count=1, now=now, seconds=120
            )
            assignments.submit(
                s,
                assignment_id=pair.id,
                person_id=person.id,
                side="left" if letter == "l" else "right",
                seconds=2.5,
                submission_key=f"answer-{pair.id}",
                now=now,
            )
        return person.id


def total(workplace: Any) -> int:
    with workplace.database.read() as s:
        return s.scalar(select(func.count()).select_from(Preference)) or 0


def test_there_is_a_page_before_anybody_has_answered(client: TestClient, workplace: Any) -> None:
    assert "Nobody has answered yet" in client.get("/people").text
    page = client.get("/people?run=coinrun").text
    assert "Nobody has answered in" in page
    assert client.get("/people?run=nosuch").status_code == 404
    assert client.get("/people/1").status_code == 404


def test_names_are_text(client: TestClient, workplace: Any) -> None:
    workplace.ask(1)
    person = answer(workplace, "<img src=x>", "l")
    for path in ("/people", f"/people/{person}"):
        page = client.get(path).text
        assert "<img" not in page
        assert "<bdi>&lt;img src=x&gt;</bdi>" in page


def test_answers_are_excluded_and_included_again(client: TestClient, workplace: Any) -> None:
    workplace.ask(3)
    person = answer(workplace, "Ada", "llr")
    form = {"run": "coinrun", "excluded": "true"}
    reply = client.post(f"/people/{person}/exclusion", data=form, follow_redirects=False)
    assert (reply.status_code, reply.headers["location"]) == (303, "/people?run=coinrun")
    assert "excluded" in client.get("/people").text
    assert client.get(BASE).json()["labels"] == 0
    assert total(workplace) == 3  # nothing is lost
    form = {"run": "coinrun", "excluded": "false", "alone": "true"}
    page = client.post(f"/people/{person}/exclusion", data=form)
    assert str(page.url).endswith(f"/people/{person}?run=coinrun")
    assert client.get(BASE).json()["labels"] == 3
    with workplace.database.read() as s:
        noted = s.execute(select(AuditEvent.action, AuditEvent.subject)).all()
    assert [tuple(row) for row in noted] == [
        ("exclude answers", "coinrun: Ada"),
        ("include answers", "coinrun: Ada"),
    ]


def test_the_api_does_the_same(client: TestClient, workplace: Any) -> None:
    workplace.ask(2)
    person = answer(workplace, "Ada", "lr")
    url = f"{BASE}/labellers/{person}/exclusion"
    assert client.put(url, json={"excluded": True}).status_code == 204
    (listed,) = client.get(f"{BASE}/labellers").json()
    assert listed["excluded_at"] is not None
    assert (listed["answers"], listed["median_seconds"], listed["alpha"]) == (2, 2.5, None)
    assert client.put(url, json={"excluded": False}).status_code == 204
    assert client.get(f"{BASE}/labellers").json()[0]["excluded_at"] is None
    assert client.put(url, json={"excluded": "yes"}).status_code == 422
    absent = f"{BASE}/labellers/999/exclusion"
    assert client.put(absent, json={"excluded": True}).status_code == 404


@pytest.mark.parametrize(
    ("crowd_bt", "words"), [(0.97, "nearly always right"), (0.1, "the wrong way round")]
)
def test_the_learners_estimate_is_shown_in_words(
    client: TestClient, workplace: Any, crowd_bt: float, words: str
) -> None:
    class Found:
        one_coin, learned, answers = None, None, 3

    Found.crowd_bt = crowd_bt
    workplace.ask(1)
    person = answer(workplace, "Ada", "l")
    with workplace.database.write() as s:
        run_id = runs.get_run(s, name="coinrun").id
        teacher = people.teacher_for_person(s, person_id=person).id
        labellers.store_reliabilities(
            s, run_id=run_id, found={teacher: Found()}, now=datetime.now(UTC)
        )
    assert words in client.get(f"/people/{person}").text
    assert client.get(f"{BASE}/labellers").json()[0]["crowd_bt"] == crowd_bt


def test_only_who_may_see_people_is_pointed_to_them(team: Team) -> None:
    link = 'href="/people"'
    assert link in team.client.get("/account", headers=team.cookie("researcher")).text
    assert link not in team.client.get("/account", headers=team.cookie("annotator")).text
    team.client.cookies.clear()
    assert link not in team.client.get("/login").text
