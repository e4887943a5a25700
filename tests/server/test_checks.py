from __future__ import annotations

from typing import Any

import pytest
from fastapi.testclient import TestClient

from server.store import runs

BASE = "/api/v1/runs/coinrun"


@pytest.mark.parametrize("answer", ["a", "b", "tie", None])
def test_a_pair_is_marked_as_gold_and_unmarked(
    client: TestClient, workplace: Any, answer: str | None
) -> None:
    (query,) = workplace.ask(1)
    reply = client.put(f"{BASE}/queries/{query}/gold", json={"answer": answer})
    assert reply.json() == {"query": query, "gold": answer}
    pairs = client.post(f"{BASE}/assignments").json()["assignments"]
    assert len(pairs) == (answer is None)


def test_what_cannot_be_gold_is_refused(client: TestClient, workplace: Any) -> None:
    (query,) = workplace.ask(1)
    url = f"{BASE}/queries/{query}/gold"
    assert client.put(url, json={"answer": "incomparable"}).status_code == 422
    assert client.put(url, json={}).status_code == 422
    assert client.put(f"{BASE}/queries/999/gold", json={"answer": "a"}).status_code == 404
    assert client.put(f"{BASE}/queries/{2**40}/gold", json={"answer": "a"}).status_code == 422


def test_somebody_is_paused_and_let_in_again(client: TestClient, workplace: Any) -> None:
    workplace.ask(2)
    pair = client.post(f"{BASE}/assignments", json={"count": 1}).json()["assignments"][0]["id"]
    body = {"side": "left", "submission_key": "some-answer"}
    client.post(f"/api/v1/assignments/{pair}/answer", json=body)
    (listed,) = client.get(f"{BASE}/labellers").json()
    assert (listed["gold_right"], listed["gold_given"], listed["paused_at"]) == (0, 0, None)
    url = f"{BASE}/labellers/{listed['person']}"
    assert client.put(url, json={"paused": True}).status_code == 204
    desk = client.post(f"{BASE}/assignments").json()
    assert desk["assignments"] == []
    assert desk["waiting"].startswith("Labelling is paused for you. ")
    assert client.get(f"{BASE}/labellers").json()[0]["paused_at"] is not None
    assert client.put(url, json={"paused": False}).status_code == 204
    assert len(client.post(f"{BASE}/assignments").json()["assignments"]) == 1
    assert client.put(f"{BASE}/labellers/999", json={"paused": True}).status_code == 404


def test_somebody_who_is_paused_for_gold_answers_is_told_so(
    client: TestClient, workplace: Any
) -> None:
    query, _ = workplace.ask(2)
    with workplace.database.write() as s:
        run = runs.get_run(s, name="coinrun")
        run.config = run.config | {"labelling": {"gold_threshold": 0.9, "gold_minimum": 1}}
    pair = client.post(f"{BASE}/assignments", json={"count": 1}).json()["assignments"][0]["id"]
    client.put(f"{BASE}/queries/{query}/gold", json={"answer": "tie"})
    body = {"side": "left", "submission_key": "some-answer"}
    client.post(f"/api/v1/assignments/{pair}/answer", json=body)
    desk = client.post(f"{BASE}/assignments").json()
    assert desk["assignments"] == []
    assert "a known answer differed" in desk["waiting"]
