from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import select, update

from server.models import Assignment, Command, Preference
from server.store import metrics, runs

KEY = "a-submission-key"


def lease(client: TestClient, count: int = 2) -> list[dict[str, Any]]:
    reply = client.post("/api/v1/runs/coinrun/assignments", json={"count": count})
    assert reply.status_code == 200, reply.text
    pairs: list[dict[str, Any]] = reply.json()["assignments"]
    return pairs


def answer(client: TestClient, pair: int, side: str = "left", key: str = KEY, **more: Any) -> Any:
    body = {"side": side, "seconds": 2.5, "submission_key": key} | more
    return client.post(f"/api/v1/assignments/{pair}/answer", json=body)


def stored(workplace: Any) -> list[Preference]:
    with workplace.database.read() as s:
        return list(s.scalars(select(Preference).order_by(Preference.id)))


def test_runs_are_listed_with_their_labels(client: TestClient, workplace: Any) -> None:
    workplace.add_run("newer")
    workplace.ask(1)
    answer(client, lease(client)[0]["id"])
    listed = client.get("/api/v1/runs").json()
    assert [(run["name"], run["labels"]) for run in listed] == [("newer", 0), ("coinrun", 1)]
    shown = client.get("/api/v1/runs/coinrun").json()
    assert (shown["labels"], shown["label_budget"], shown["config"]) == (1, 500, {"seed": 0})


def test_two_pairs_are_leased_and_given_again_until_answered(
    client: TestClient, workplace: Any
) -> None:
    workplace.ask(4)
    first = lease(client)
    assert len(first) == 2
    assert [pair["id"] for pair in lease(client)] == [pair["id"] for pair in first]
    answer(client, first[0]["id"])
    again = lease(client)
    assert again[0]["id"] == first[1]["id"]
    assert again[1]["id"] not in [pair["id"] for pair in first]


@pytest.mark.parametrize("side", ["left", "right", "tie", "incomparable"])
def test_answer_is_stored_under_the_segment_that_was_on_that_side(
    client: TestClient, workplace: Any, side: str
) -> None:
    workplace.ask(1)
    pair = lease(client)[0]["id"]
    reply = answer(client, pair, side)
    assert reply.status_code == 201
    assert reply.json()["side"] == side
    (row,) = stored(workplace)
    expected = {
        "left": "a" if row.a_on_left else "b",
        "right": "b" if row.a_on_left else "a",
    }.get(side, side)
    assert (row.answer, row.seconds, row.late) == (expected, 2.5, False)


def test_same_submission_again_stores_nothing_new(client: TestClient, workplace: Any) -> None:
    workplace.ask(1)
    pair = lease(client)[0]["id"]
    first, again = answer(client, pair), answer(client, pair)
    assert (first.status_code, again.status_code) == (201, 200)
    assert first.json() == again.json()
    assert len(stored(workplace)) == 1


def test_contradictions_are_conflicts_and_store_nothing(client: TestClient, workplace: Any) -> None:
    workplace.ask(2)
    first, second = (pair["id"] for pair in lease(client))
    answer(client, first, "left")
    for reply in (
        answer(client, first, "right"),  # same key, other answer
        answer(client, second, "left"),  # same key, other pair
        answer(client, first, "left", key="another-key"),  # answered already
    ):
        assert reply.status_code == 409, reply.text
        assert set(reply.json()) == {"status", "error", "message"}
    assert len(stored(workplace)) == 1


def test_somebody_elses_pair_is_refused(
    client: TestClient, workplace: Any, others_assignment: int
) -> None:
    assert answer(client, others_assignment).status_code == 403
    assert client.post(f"/api/v1/assignments/{others_assignment}/renew").status_code == 403
    assert stored(workplace) == []


def test_caller_cannot_name_the_person(client: TestClient, workplace: Any) -> None:
    workplace.ask(1)
    reply = answer(client, lease(client)[0]["id"], person_id=2)
    assert reply.status_code == 422
    assert "person_id" in reply.json()["message"]


def test_answer_after_the_lease_has_ended_is_kept_as_late(
    client: TestClient, workplace: Any
) -> None:
    workplace.ask(1)
    pair = lease(client)[0]["id"]
    with workplace.database.write() as s:
        s.execute(update(Assignment).values(expires_at=datetime.now(UTC) - timedelta(seconds=1)))
    reply = answer(client, pair)
    assert (reply.status_code, reply.json()["late"]) == (201, True)


def test_renewal_moves_the_end_of_the_lease(client: TestClient, workplace: Any) -> None:
    workplace.ask(1)
    pair = lease(client)[0]["id"]
    with workplace.database.write() as s:
        s.execute(update(Assignment).values(expires_at=datetime.now(UTC) + timedelta(seconds=3)))
    assert client.post(f"/api/v1/assignments/{pair}/renew").json() == {"expires_in": 120.0}
    with workplace.database.read() as s:
        left = s.get_one(Assignment, pair).expires_at - datetime.now(UTC)
    assert left > timedelta(seconds=100)
    answer(client, pair)
    assert client.post(f"/api/v1/assignments/{pair}/renew").status_code == 409


def test_undo_is_a_new_row_and_brings_the_pair_back(client: TestClient, workplace: Any) -> None:
    workplace.ask(3)
    pair = lease(client)[0]
    preference = answer(client, pair["id"], "right").json()["id"]
    undo = {"submission_key": "undo-key-1"}
    reply = client.post(f"/api/v1/preferences/{preference}/withdraw", json=undo)
    assert reply.status_code == 200
    again = reply.json()["assignment"]
    assert (again["id"], again["earlier"]) == (pair["id"], "right")
    assert (again["left"], again["right"]) == (pair["left"], pair["right"])
    assert lease(client)[0]["earlier"] == "right"
    rows = stored(workplace)
    assert [row.answer for row in rows][1:] == ["withdrawn"]
    assert rows[1].replaces_id == rows[0].id
    # A retry takes nothing more back; another key finds nothing left to take back.
    retry = client.post(f"/api/v1/preferences/{preference}/withdraw", json=undo)
    assert retry.status_code == 200
    other = {"submission_key": "undo-key-2"}
    assert client.post(f"/api/v1/preferences/{preference}/withdraw", json=other).status_code == 409
    assert len(stored(workplace)) == 2


def test_progress_counts_what_counts(client: TestClient, workplace: Any) -> None:
    workplace.ask(3)
    address = "/api/v1/runs/coinrun/progress"
    assert client.get(address).json()["newest_preference"] is None
    first, second = (pair["id"] for pair in lease(client))
    answer(client, first, key="key-number-1", seconds=2.0)
    last = answer(client, second, key="key-number-2", seconds=4.0).json()["id"]
    progress = client.get(address).json()
    assert progress == {
        "today": 2,
        "total": 2,
        "median_seconds": 3.0,
        "left": 498,
        "newest_preference": last,
    }
    client.post(f"/api/v1/preferences/{last}/withdraw", json={"submission_key": "undo-it-now"})
    after = client.get(address).json()
    assert (after["total"], after["left"]) == (1, 499)
    assert after["newest_preference"] != last


def test_waiting_is_explained_and_estimated(client: TestClient, workplace: Any) -> None:
    reply = client.post("/api/v1/runs/coinrun/assignments").json()
    assert reply["assignments"] == []
    assert reply["waiting"].startswith("The agent is playing.")
    workplace.ask(1, ready=False)
    reply = client.post("/api/v1/runs/coinrun/assignments").json()
    assert reply["waiting"].startswith("The next clips are being made.")


def test_commands_reach_the_worker_or_take_effect(client: TestClient, workplace: Any) -> None:
    address = "/api/v1/runs/coinrun/commands"
    reply = client.post(address, json={"kind": "pause"})
    assert (reply.status_code, reply.json()["kind"]) == (202, "pause")
    with workplace.database.read() as s:
        assert [row.kind for row in s.scalars(select(Command))] == ["pause"]
        assert runs.get_run(s, name="coinrun").state == reply.json()["state"]


def test_metrics_are_given_by_name_and_step(client: TestClient, workplace: Any) -> None:
    with workplace.database.write() as s:
        run_id = runs.get_run(s, name="coinrun").id
        for step in (10, 20, 30):
            values = {"rollout/ep_rew_mean": step / 10, "time/fps": 100.0}
            metrics.add_metrics(s, run_id=run_id, step=step, values=values, now=datetime.now(UTC))
    address = "/api/v1/runs/coinrun/metrics"
    assert set(client.get(address).json()["series"]) == {"rollout/ep_rew_mean", "time/fps"}
    query = {"name": "rollout/ep_rew_mean", "after_step": 10}
    series = client.get(address, params=query).json()["series"]
    assert series == {"rollout/ep_rew_mean": {"steps": [20, 30], "values": [2.0, 3.0]}}


def test_no_pair_tells_where_its_clips_come_from(client: TestClient, workplace: Any) -> None:
    workplace.ask(1)
    (pair,) = lease(client)
    told = {"id", "left", "right", "expires_in", "earlier", "earlier_strength", "practice"}
    assert set(pair) == told
    assert pair["left"].split("?")[0] == f"/media/assignments/{pair['id']}/left.mp4"


BAD_BODIES = [
    b"",
    b"{",
    b"[]",
    b"null",
    b'"text"',
    b'{"side": "left"}',
    b'{"side": "middle", "submission_key": "long-enough"}',
    b'{"side": ["left"], "submission_key": "long-enough"}',
    b'{"side": "left", "submission_key": "short"}',
    b'{"side": "left", "submission_key": "with\\u0000nul-inside"}',
    b'{"side": "left", "submission_key": "\\ud800\\ud800\\ud800\\ud800\\ud800"}',
    b'{"side": "left", "submission_key": "' + b"k" * 81 + b'"}',
    b'{"side": "left", "submission_key": "long-enough", "seconds": -1}',
    b'{"side": "left", "submission_key": "long-enough", "seconds": NaN}',
    b'{"side": "left", "submission_key": "long-enough", "seconds": 1e999}',
    b'{"side": "left", "submission_key": "long-enough", "seconds": 1e300}',
    b'{"side": "left", "submission_key": "long-enough", "seconds": ' + b"9" * 5000 + b"}",
    b'{"side": "left", "submission_key": "long-enough", "extra": 1}',
    b"\xff\xfe",
    b"[" * 30_000,
]


@pytest.mark.parametrize("body", BAD_BODIES, ids=range(len(BAD_BODIES)))
def test_bad_bodies_are_refused_in_one_shape(
    client: TestClient, workplace: Any, body: bytes
) -> None:
    workplace.ask(1)
    pair = lease(client)[0]["id"]
    reply = client.post(
        f"/api/v1/assignments/{pair}/answer",
        content=body,
        headers={"content-type": "application/json"},
    )
    assert 400 <= reply.status_code < 500, reply.text
    problem = reply.json()
    assert set(problem) == {"status", "error", "message"}
    assert problem["status"] == reply.status_code
    assert stored(workplace) == []


BAD_IDS = ["0", "-1", "x", "1.5", str(2**63), str(10**40), "%00", "9" * 5000]


@pytest.mark.parametrize("bad", [*BAD_IDS, "987654"], ids=lambda bad: bad[:24])
def test_ids_that_are_none_are_refused(client: TestClient, bad: str) -> None:
    key = {"submission_key": KEY}
    for path, body in (
        (f"/api/v1/assignments/{bad}/answer", {"side": "left", **key}),
        (f"/api/v1/assignments/{bad}/renew", None),
        (f"/api/v1/preferences/{bad}/withdraw", key),
    ):
        reply = client.post(path, json=body)
        assert reply.status_code in (404, 422), reply.text
        assert reply.json()["message"]


@pytest.mark.parametrize("name", ["nothing", "a%00b", "%F0%9F%98%80", "x" * 500, "'; DROP--"])
def test_runs_that_are_none_are_refused(client: TestClient, name: str) -> None:
    for reply in (
        client.get(f"/api/v1/runs/{name}"),
        client.get(f"/api/v1/runs/{name}/progress"),
        client.get(f"/api/v1/runs/{name}/metrics"),
        client.post(f"/api/v1/runs/{name}/assignments"),
        client.post(f"/api/v1/runs/{name}/commands", json={"kind": "stop"}),
    ):
        assert reply.status_code in (404, 422), reply.text
        assert set(reply.json()) == {"status", "error", "message"}


@pytest.mark.parametrize("count", [0, 11, -1, 2**64, "2x", 1.5, True, None])
def test_counts_out_of_bounds_are_refused(client: TestClient, count: Any) -> None:
    reply = client.post("/api/v1/runs/coinrun/assignments", json={"count": count})
    assert reply.status_code == 422


def test_parallel_answers_are_all_kept_and_none_twice(client: TestClient, workplace: Any) -> None:
    workplace.ask(10)
    pairs = [pair["id"] for pair in lease(client, count=10)]

    def send(pair: int) -> Iterator[int]:
        return [answer(client, pair, key=f"key-for-{pair}").status_code for _ in range(2)]

    with ThreadPoolExecutor(8) as pool:
        codes = list(pool.map(send, pairs))
    assert sorted({code for both in codes for code in both}) == [200, 201]
    assert sorted(row.assignment_id for row in stored(workplace)) == sorted(pairs)
