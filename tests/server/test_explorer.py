"""The explorer's pages and its API, without a learner."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import select

from server.models import Answer, Query, Segment, Trajectory
from server.store import inspections, people, preferences, runs, versions

NOW = datetime(2026, 1, 1, tzinfo=UTC)
ASK = "/api/v1/runs/coinrun/inspections"


@pytest.fixture
def trajectory(workplace: Any) -> int:
    """A stored trajectory of 100 steps."""
    workplace.ask(1)
    with workplace.database.read() as s:
        found: int = s.scalars(select(Trajectory.id)).first()
        return found


def add_version(workplace: Any) -> None:
    with workplace.database.write() as s:
        versions.add_reward_model(
            s,
            run_id=runs.get_run(s, name="coinrun").id,
            artifact="c" * 64,
            iteration=1,
            steps=10,
            preferences=1,
            last_preference_id=None,
            metrics={},
            now=datetime.now(UTC),
        )


def add_episode(workplace: Any, run: str = "coinrun") -> int:
    with workplace.database.write() as s:
        row, _ = versions.add_checkpoint(
            s,
            run_id=runs.get_run(s, name=run).id,
            iteration=1,
            steps=10,
            artifact="d" * 64,
            kept=True,
            now=datetime.now(UTC),
        )
        versions.set_showing(s, checkpoint_id=row.id, showing="e" * 64)
        return row.id


def test_a_question_waits_is_answered_and_its_answer_is_sent(
    client: TestClient, workplace: Any, trajectory: int
) -> None:
    asked = client.post(ASK, json={"aspect": "steps", "trajectory": trajectory}).json()
    assert (asked["state"], asked["content"]) == ("waiting", None)
    assert client.get(f"/media/inspections/{asked['id']}").status_code == 404
    with workplace.database.write() as s:
        assert inspections.take(s, now=datetime.now(UTC)) is not None
    told = f"/api/v1/inspections/{asked['id']}"
    assert client.get(told).json()["state"] == "working"
    name = workplace.artifacts.put(b'{"fps":15}')
    with workplace.database.write() as s:
        inspections.finish(s, inspection_id=asked["id"], result=name, now=datetime.now(UTC))
    content = client.get(told).json()["content"]
    assert client.get(content).json() == {"fps": 15}
    workplace.artifacts.delete(name)
    assert client.get(content).status_code == 404
    again = client.post(ASK, json={"aspect": "steps", "trajectory": trajectory}).json()
    assert (again["id"], again["state"]) == (asked["id"], "waiting")


def test_what_was_refused_is_asked_again_only_on_demand(
    client: TestClient, workplace: Any, trajectory: int
) -> None:
    body = {"aspect": "film", "trajectory": trajectory}
    asked = client.post(ASK, json=body).json()
    with workplace.database.write() as s:
        inspections.refuse(
            s, inspection_id=asked["id"], reason="no <b>codec</b>", now=datetime.now(UTC)
        )
    assert client.post(ASK, json=body).json()["state"] == "refused"
    assert client.get(f"/media/inspections/{asked['id']}").status_code == 404
    assert client.post(ASK, json=body | {"again": True}).json()["state"] == "waiting"


def test_questions_that_make_no_sense_are_refused(
    client: TestClient, workplace: Any, trajectory: int
) -> None:
    def status(**body: Any) -> int:
        return client.post(ASK, json=body).status_code

    assert status(aspect="rewards", trajectory=trajectory) == 404  # no reward model yet
    add_version(workplace)
    workplace.add_run("other")
    episode, foreign = add_episode(workplace), add_episode(workplace, "other")
    assert status(aspect="rewards", trajectory=trajectory) == 200
    assert status(aspect="rewards", trajectory=trajectory, version=2) == 404
    assert status(aspect="steps", checkpoint=episode) == 200
    assert status(aspect="steps", checkpoint=foreign) == 404
    assert status(aspect="steps") == 422
    assert status(aspect="steps", checkpoint=episode, trajectory=trajectory) == 422
    assert status(aspect="saliency", trajectory=trajectory) == 422
    assert status(aspect="saliency", trajectory=trajectory, method="gradient", step=100) == 422
    assert status(aspect="saliency", trajectory=trajectory, method="gradient", step=99) == 200
    assert status(aspect="horoscope", trajectory=trajectory) == 422


def test_the_page_names_what_it_shows_and_what_is_gone(
    client: TestClient, workplace: Any, trajectory: int
) -> None:
    page = client.get(f"/runs/coinrun/explore/trajectories/{trajectory}").text
    assert "no reward model yet" in page
    assert "100 steps" in page
    assert "0 to 24" in page
    assert "is gone" not in page
    with workplace.database.read() as s:
        recipe = s.get_one(Trajectory, trajectory).artifact
        other = s.scalars(select(Segment.trajectory_id).order_by(Segment.id.desc())).first()
    workplace.artifacts.delete(recipe)
    add_version(workplace)
    page = client.get(f"/runs/coinrun/explore/trajectories/{trajectory}").text
    assert "The recipe of this trajectory is gone" in page
    assert 'data-version="1"' in page
    listed = client.get("/runs/coinrun/explore").text
    assert f"/explore/trajectories/{other}" in listed
    unknown = client.get(f"/runs/coinrun/explore/trajectories/{trajectory}?version=9")
    assert unknown.status_code == 404


def test_segments_are_shown_in_order_once_a_worker_has_scored_them(
    client: TestClient, workplace: Any, trajectory: int
) -> None:
    assert "no reward model yet" in client.get("/runs/coinrun/explore/segments").text
    add_version(workplace)
    page = client.get("/runs/coinrun/explore/segments").text
    assert "has not been looked up yet" in page
    asked = client.post(ASK, json={"aspect": "segments"}).json()
    assert asked["version"] == 1
    with workplace.database.read() as s:
        ids = s.scalars(select(Segment.id)).all()
    told = [{"id": one, "reward": at, "spread": 0.5, "returns": [at]} for at, one in enumerate(ids)]
    content = json.dumps({"of": 9, "fps": 15, "segments": told}).encode()
    name = workplace.artifacts.put(content)
    with workplace.database.write() as s:
        inspections.finish(s, inspection_id=asked["id"], result=name, now=datetime.now(UTC))
        first, second = ids
        query = s.scalars(select(Query)).one()
        teacher = people.teacher_for_person(s, person_id=people.local_person(s, now=NOW).id)
        preferences.record_answer(
            s,
            run_id=query.run_id,
            query_id=query.id,
            teacher_id=teacher.id,
            answer=Answer.A if query.segment_a_id == first else Answer.B,
            submission_key="somekey-1",
            now=NOW,
        )
    page = client.get("/runs/coinrun/explore/segments").text
    most = page.index('id="sheet-most"')
    assert most < page.index(f"Segment {second}<") < page.index(f"Segment {first}<")
    assert "the newest 2 of 9 segments" in page
    assert "a person preferred" in page
    assert "27 %" in page
    assert "?version=1&amp;part=0-25" in page
    assert "Look again" in page
    again = client.post(ASK, json={"aspect": "segments", "again": True}).json()
    assert (again["id"], again["state"], again["content"]) == (asked["id"], "waiting", None)
    assert "the newest 2 of 9 segments" in client.get("/runs/coinrun/explore/segments").text
    with workplace.database.write() as s:
        taken = inspections.take(s, now=datetime.now(UTC))
        assert taken is not None
        assert taken.earlier == name
    workplace.artifacts.delete(name)
    assert "has not been looked up yet" in client.get("/runs/coinrun/explore/segments").text


def test_a_pair_says_why_it_was_asked_and_what_members_expected(
    client: TestClient, workplace: Any, trajectory: int
) -> None:
    with workplace.database.write() as s:
        query = s.scalars(select(Query)).one()
        query.selection = {
            "strategy": "disagreement",
            "score": 0.04,
            "uniform_too": False,
            "predicted": 0.6,
            "members": [0.4, 0.8],
            "doubt": {"disagreement": 0.04, "entropy": 0.59},
            "uniform_doubt": {"disagreement": 0.0123, "entropy": 0.33},
        }
    page = client.get(f"/runs/coinrun/queries/{query.id}").text
    assert "the members of the reward model disagree on it" in page
    assert "have asked other pairs instead" in page
    assert "0.0123" in page
    assert "member 2" in page
    assert "80 %" in page
    assert "data-query-rewards" not in page
    add_version(workplace)
    page = client.get(f"/runs/coinrun/queries/{query.id}").text
    assert 'data-version="1"' in page
    assert f"/runs/coinrun/explore/trajectories/{trajectory}?part=0-25" in page
    with workplace.database.write() as s:
        s.get_one(Query, query.id).selection = {}
    assert "There was none yet" in client.get(f"/runs/coinrun/queries/{query.id}").text


def test_episodes_and_empty_runs_have_their_pages(client: TestClient, workplace: Any) -> None:
    assert "None yet" in client.get("/runs/coinrun/explore").text
    episode = add_episode(workplace)
    assert f"/explore/episodes/{episode}" in client.get("/runs/coinrun/explore").text
    page = client.get(f"/runs/coinrun/explore/episodes/{episode}").text
    assert "Episode after 10 steps" in page
    workplace.add_run("other")
    assert client.get(f"/runs/other/explore/episodes/{episode}").status_code == 404
