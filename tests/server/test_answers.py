"""Over HTTP: strength, flags, corrections, history, skipping, the agent's view, feedback."""

from __future__ import annotations

from typing import Any

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import select

from server.models import Answer, Preference, Purpose, Query, Run, Segment
from server.store import gold, runs, trajectories

Client = TestClient


def lease(client: Client, count: int = 2) -> list[dict[str, Any]]:
    pairs: list[dict[str, Any]] = client.post(
        "/api/v1/runs/coinrun/assignments", json={"count": count}
    ).json()["assignments"]
    return pairs


def answer(client: Client, pair: int, side: str = "left", **more: Any) -> Any:
    body = {"side": side, "submission_key": f"answer-to-{pair}"} | more
    return client.post(f"/api/v1/assignments/{pair}/answer", json=body)


def correct(client: Client, row: int, side: str, key: str = "a-correction", **more: Any) -> Any:
    body = {"side": side, "submission_key": key} | more
    return client.post(f"/api/v1/preferences/{row}/correct", json=body)


def rule(workplace: Any, **rules: Any) -> None:
    with workplace.database.write() as s:
        run = runs.get_run(s, name="coinrun")
        run.config = run.config | {"labelling": rules}


def mark_gold(workplace: Any, query_ids: list[int], answer: Answer = Answer.A) -> None:
    with workplace.database.write() as s:
        run = s.scalars(select(Run)).one()
        for query_id in query_ids:
            gold.set_gold(s, run_id=run.id, query_id=query_id, answer=answer)


def test_strength_and_comment_come_back_in_the_history(client: Client, workplace: Any) -> None:
    rule(workplace, strengths=True)
    workplace.ask(3)
    first, second = lease(client)
    answer(client, first["id"], "right", strength="much_better", seconds=2.0)
    answer(client, second["id"], "tie", comment="<i>both</i> stand still")
    newest, oldest = client.get("/api/v1/runs/coinrun/history").json()
    assert (newest["side"], newest["strength"], newest["flagged"]) == ("tie", None, True)
    assert newest["comment"] == "<i>both</i> stand still"
    assert (oldest["side"], oldest["strength"], oldest["left"]) == (
        "right",
        "much_better",
        first["left"],
    )
    older = client.get(f"/api/v1/runs/coinrun/history?before={newest['id']}").json()
    assert [row["id"] for row in older] == [oldest["id"]]
    assert client.get(oldest["left"]).headers["content-type"] == "video/mp4"


@pytest.mark.parametrize(
    "wrong",
    [
        {"strength": "somewhat"},
        {"side": "tie", "strength": "better"},
        {"comment": "x" * 2001},
        {"comment": "\0"},
        {"flagged": "yes"},
        {"purpose": "gold"},
    ],
)
def test_what_cannot_be_said_is_refused(
    client: Client, workplace: Any, wrong: dict[str, Any]
) -> None:
    workplace.ask(1)
    reply = answer(client, lease(client)[0]["id"], **wrong)
    assert reply.status_code == 422
    assert client.get("/api/v1/runs/coinrun/history").json() == []


def test_a_comment_of_a_megabyte_is_refused(client: Client, workplace: Any) -> None:
    workplace.ask(1)
    assert answer(client, lease(client)[0]["id"], comment="x" * 1_000_000).status_code == 413


def test_a_correction_replaces_and_a_retry_changes_nothing(client: Client, workplace: Any) -> None:
    workplace.ask(1)
    pair = lease(client)[0]
    row = answer(client, pair["id"], "left").json()["id"]
    replies = [correct(client, row, "right") for _ in range(2)]
    assert [reply.status_code for reply in replies] == [201, 200]
    assert replies[0].json() == replies[1].json()
    (entry,) = client.get("/api/v1/runs/coinrun/history").json()
    assert (entry["side"], entry["left"]) == ("right", pair["left"])
    assert correct(client, row, "tie", key="another-key").status_code == 409
    assert correct(client, 999, "tie").status_code == 404


def test_skipping_follows_the_rules(client: Client, workplace: Any) -> None:
    workplace.ask(2)
    first = lease(client, 1)[0]["id"]
    refused = client.post(f"/api/v1/assignments/{first}/skip")
    assert (refused.status_code, "no skipping" in refused.json()["message"]) == (409, True)
    rule(workplace, skip="later")
    assert client.post(f"/api/v1/assignments/{first}/skip").status_code == 204
    assert lease(client, 1)[0]["id"] != first


def test_feedback_follows_practice_and_nothing_else(client: Client, workplace: Any) -> None:
    rule(workplace, practice=2, gold_share=0.25)
    mark_gold(workplace, workplace.ask(12))
    workplace.ask(40)
    heard = []
    for _ in range(30):
        pair = lease(client, 1)[0]
        reply = answer(client, pair["id"], "left").json()
        assert (reply["feedback"] is not None) is pair["practice"]
        heard.append(reply["feedback"])
    with workplace.database.read() as s:
        rows = list(s.scalars(select(Preference).order_by(Preference.id)))
    assert [row.purpose for row in rows[:2]] == [Purpose.PRACTICE] * 2
    assert sum(row.purpose is Purpose.GOLD for row in rows) > 1
    for feedback, row in zip(heard[:2], rows, strict=False):
        expected = "left" if row.a_on_left else "right"
        assert feedback == {"right": row.answer is Answer.A, "side": expected}
    assert heard[2:] == [None] * 28
    assert len(client.get("/api/v1/runs/coinrun/history").json()) == 28


def test_gold_is_not_to_be_told_from_others(client: Client, workplace: Any) -> None:
    rule(workplace, gold_share=0.25)
    mark_gold(workplace, workplace.ask(20))
    workplace.ask(40)
    keys, shapes = set(), set()
    left = [client.get("/api/v1/runs/coinrun/progress").json()["left"]]
    for _ in range(30):
        desk = client.post("/api/v1/runs/coinrun/assignments", json={"count": 1}).json()
        pair, left = desk["assignments"][0], [*left, desk["progress"]["left"]]
        assert f"{left[-1]} answers still wanted" in client.get("/label").text
        reply = answer(client, pair["id"])
        keys.add((*pair, *reply.json()))
        shapes.add((pair["practice"], reply.status_code, reply.json()["feedback"]))
    entries = client.get("/api/v1/runs/coinrun/history").json()
    with workplace.database.read() as s:
        assert s.scalars(select(Preference.purpose).distinct()).all().count(Purpose.GOLD) == 1
    assert len(keys) == len(shapes) == len({tuple(entry) for entry in entries}) == 1
    assert left == [667, *range(667, 637, -1)]  # 500 labels with a quarter of gold


def test_the_reward_models_opinion_comes_after_the_answer_where_the_run_shows_it(
    client: Client, workplace: Any
) -> None:
    workplace.ask(2)
    with workplace.database.write() as s:
        for query in s.scalars(select(Query)):
            query.selection = {"predicted": 0.9}
    first, second = lease(client)
    assert "0.9" not in str(first)
    assert answer(client, first["id"]).json()["prediction"] is None
    rule(workplace, show_prediction=True)
    told = answer(client, second["id"]).json()["prediction"]
    with workplace.database.read() as s:
        a_on_left = s.scalars(select(Preference.a_on_left).order_by(Preference.id.desc())).first()
    assert told == pytest.approx(0.9 if a_on_left else 0.1)


def test_the_agents_view_is_made_on_demand_and_served_with_the_pair(
    client: Client, workplace: Any, others_assignment: int
) -> None:
    workplace.ask(1)
    pair = lease(client, 1)[0]["id"]
    url = f"/api/v1/assignments/{pair}/agent-view"
    assert client.post(url).json() == {"state": "making", "left": None, "right": None}
    with workplace.database.write() as s:
        wanted = trajectories.agent_clips_wanted(s, run_id=1, limit=9)
        assert len(wanted) == 2
        for one in wanted:
            made = workplace.artifacts.put(b"agent's view %d" % one.segment_id)
            trajectories.set_agent_clip(s, segment_id=one.segment_id, clip=made)
    view = client.post(url).json()
    assert view["state"] == "ready"
    shown = {side: client.get(view[side]).content for side in ("left", "right")}
    assert all(content.startswith(b"agent's view") for content in shown.values())
    assert shown["left"] != shown["right"]
    refused = f"/api/v1/assignments/{others_assignment}/agent-view"
    assert client.post(refused).status_code == 403
    media = f"/media/assignments/{others_assignment}/agent/left.mp4"
    assert client.get(media).status_code == 403


def test_an_agent_that_sees_no_pictures_has_no_view(client: Client, workplace: Any) -> None:
    workplace.ask(1)
    pair = lease(client, 1)[0]["id"]
    with workplace.database.write() as s:
        for segment in s.scalars(select(Segment)):
            segment.agent_clip = ""
    view = client.post(f"/api/v1/assignments/{pair}/agent-view").json()
    assert view == {"state": "none", "left": None, "right": None}
    assert client.get(f"/media/assignments/{pair}/agent/left.mp4").status_code == 404
