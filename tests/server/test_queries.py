"""The queries of a run for researchers: found by what is odd about them, and seen whole."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Any

import pytest
from fastapi.testclient import TestClient

from server.models import Person, Preference, Query, QueryState, Segment
from server.store import assignments, runs, trials

PAGE = "/runs/coinrun/queries"


def people(workplace: Any, *names: str) -> list[int]:
    with workplace.database.write() as s:
        found = [Person(name=name, created_at=datetime.now(UTC)) for name in names]
        s.add_all(found)
        s.flush()
        return [person.id for person in found]


def answer(workplace: Any, person: int, said: str, **more: Any) -> int:
    """Answer the next pair with a, b or t (tie); the query's id."""
    now = datetime.now(UTC)
    with workplace.database.write() as s:
        run_id = runs.get_run(s, name="coinrun").id
        (pair,) = assignments.next_assignments(
            s, run_id=run_id, person_id=person, count=1, now=now, seconds=120
        )
        side = "tie" if said == "t" else "left" if (said == "a") == pair.a_on_left else "right"
        stored = assignments.submit(
            s,
            assignment_id=pair.id,
            person_id=person,
            side=side,
            seconds=2.0,
            submission_key=f"answer-{pair.id}",
            now=now,
            **more,
        )
        return stored.query_id


def expect_answers(workplace: Any, count: int, predicted: float | None = None) -> int:
    """Ask one pair of so many people."""
    (query,) = workplace.ask(1)
    with workplace.database.write() as s:
        row = s.get_one(Query, query)
        row.answers_wanted = row.answers_limit = count
        if predicted is not None:
            row.selection = {"strategy": "disagreement", "predicted": predicted}
    return int(query)


def shown(client: TestClient, which: str, **more: Any) -> list[int]:
    page = client.get(PAGE, params={"which": which, **more})
    assert page.status_code == 200
    return [int(found) for found in re.findall(rf'href="{PAGE}/(\d+)"', page.text)]


def test_queries_are_found_by_what_is_odd_about_them(client: TestClient, workplace: Any) -> None:
    ada, ben = people(workplace, "Ada", "Ben")
    split = expect_answers(workplace, 2)
    answer(workplace, ada, "a")
    answer(workplace, ben, "t")
    same = expect_answers(workplace, 2, predicted=0.2)
    answer(workplace, ada, "b")
    answer(workplace, ben, "b")
    surprising = expect_answers(workplace, 1, predicted=0.2)
    answer(workplace, ada, "a", flagged=True, comment="<script>alert(1)</script>")
    broken = expect_answers(workplace, 1)
    with workplace.database.write() as s:
        s.get_one(Query, broken).state = QueryState.SET_ASIDE
    assert shown(client, "all") == [broken, surprising, same, split]
    assert shown(client, "people") == [split]
    assert shown(client, "model") == [surprising]
    assert shown(client, "flagged") == [surprising]
    assert shown(client, "set-aside") == [broken]
    assert shown(client, "gold") == []
    assert shown(client, "all", person=ben) == [same, split]
    form = {"run": "coinrun", "excluded": "true"}
    client.post(f"/people/{ben}/exclusion", data=form)
    assert shown(client, "people") == []
    assert client.get(PAGE, params={"which": "odd"}).status_code == 422
    assert client.get(PAGE, params={"person": 999}).status_code == 404
    page = client.get(f"{PAGE}/{surprising}").text
    assert "<script>alert" not in page
    assert "&lt;script&gt;alert(1)" in page
    assert re.search(r"all together</th><td>\s*<span.*20 %", page)


def test_answers_that_were_taken_back_no_longer_disagree_but_are_seen(
    client: TestClient, workplace: Any
) -> None:
    expect_answers(workplace, 1)
    pair = client.post("/api/v1/runs/coinrun/assignments").json()["assignments"][0]
    body = {"side": "left", "submission_key": "first-answer"}
    given = client.post(f"/api/v1/assignments/{pair['id']}/answer", json=body).json()
    body = {"side": "right", "submission_key": "second-thought"}
    assert client.post(f"/api/v1/preferences/{given['id']}/correct", json=body).status_code == 201
    assert shown(client, "people") == []
    with workplace.database.read() as s:
        query = s.get_one(Preference, given["id"]).query_id
    page = client.get(f"{PAGE}/{query}").text
    assert (page.count(">a better<"), page.count(">b better<")) == (2, 2)  # one each, one option
    assert page.count("replaced") == 1


def test_many_queries_come_in_pages(client: TestClient, workplace: Any) -> None:
    ids = workplace.ask(53, ready=False)
    first = shown(client, "all")
    assert first == ids[:2:-1]
    page = client.get(PAGE).text
    assert f"before={first[-1]}" in page
    assert shown(client, "all", before=first[-1]) == [ids[2], ids[1], ids[0]]


def test_both_clips_are_sent_by_query(client: TestClient, workplace: Any) -> None:
    (query,) = workplace.ask(1)
    first, second = (workplace.artifacts.get(name) for name in workplace.clips)
    assert client.get(f"/media/queries/{query}/a.mp4").content == first
    assert client.get(f"/media/queries/{query}/b.mp4").content == second
    assert client.get(f"/media/queries/{query}/c.mp4").status_code == 422
    (unmade,) = workplace.ask(1, ready=False)
    assert client.get(f"/media/queries/{unmade}/a.mp4").status_code == 404
    assert "not made yet" in client.get(f"{PAGE}/{unmade}").text


@pytest.mark.parametrize("which", ["a", "b"])
def test_a_clip_that_is_gone_is_said_and_its_query_set_aside(
    client: TestClient, workplace: Any, which: str
) -> None:
    (query,) = workplace.ask(1)
    with workplace.database.read() as s:
        row = s.get_one(Query, query)
        segment = row.segment_a_id if which == "a" else row.segment_b_id
        workplace.artifacts.delete(s.get_one(Segment, segment).clip)
    page = client.get(f"{PAGE}/{query}").text
    assert page.count("This clip is gone") == 1
    assert page.count("<video") == 1
    assert "Set aside" in page
    assert client.get(f"/media/queries/{query}/{which}.mp4").status_code == 404
    assert shown(client, "set-aside") == [query]
    assert client.post("/api/v1/runs/coinrun/assignments").json()["assignments"] == []
    form = {"answer": "a"}
    assert client.post(f"{PAGE}/{query}/gold", data=form).status_code == 409


def test_a_pair_skipped_for_good_is_not_said_to_have_lost_a_clip(
    client: TestClient, workplace: Any
) -> None:
    (ada,) = people(workplace, "Ada")
    (query,) = workplace.ask(1)
    now = datetime.now(UTC)
    with workplace.database.write() as s:
        run = runs.get_run(s, name="coinrun")
        run.config = run.config | {"labelling": {"skip": "ignore"}}
        (pair,) = assignments.next_assignments(
            s, run_id=run.id, person_id=ada, count=1, now=now, seconds=60
        )
        assignments.skip(s, assignment_id=pair.id, person_id=ada, now=now)
    page = client.get(f"{PAGE}/{query}").text
    assert "somebody skipped this pair" in page
    assert "gone" not in page
    assert page.count("<video") == 2


def test_a_query_is_made_gold_on_its_page(client: TestClient, workplace: Any) -> None:
    (query,) = workplace.ask(1)
    page = client.post(f"{PAGE}/{query}/gold", data={"answer": "tie"})
    assert 'value="tie" selected' in page.text
    assert shown(client, "gold") == [query]
    client.post(f"{PAGE}/{query}/gold", data={"answer": "none"})
    assert shown(client, "gold") == []
    assert client.post(f"{PAGE}/{query}/gold", data={"answer": "c"}).status_code == 422


def test_another_runs_query_is_not_found(client: TestClient, workplace: Any) -> None:
    workplace.add_run("other")
    (query,) = workplace.ask(1, run="other")
    assert client.get(f"{PAGE}/{query}").status_code == 404
    assert client.post(f"{PAGE}/{query}/gold", data={"answer": "a"}).status_code == 404
    assert client.get(f"/runs/other/queries/{query}").status_code == 200


def test_a_pair_of_a_trial_names_both_agents(client: TestClient, workplace: Any) -> None:
    (query,) = workplace.ask(1)
    now = datetime.now(UTC)
    with workplace.database.write() as s:
        run = runs.get_run(s, name="coinrun")
        trial = trials.add_trial(s, run_id=run.id, older_steps=16_384, newer_steps=65_536, now=now)
        row = s.get_one(Query, query)
        row.trial_id, row.state, row.iteration = trial.id, QueryState.CLOSED, 0
    page = " ".join(client.get(f"{PAGE}/{query}").text.split())
    assert "Clip a is of the agent after 65,536 steps, clip b of the one after 16,384" in page
    assert "No strategy" not in page
    assert "There was none yet" not in page
    assert 'name="answer"' not in page  # it cannot be gold
    reply = client.put(f"/api/v1/runs/coinrun/queries/{query}/gold", json={"answer": "a"})
    assert reply.status_code == 409
