from __future__ import annotations

from typing import Any

from fastapi.testclient import TestClient

BASE = "/api/v1/runs/coinrun"


def offered(client: TestClient, workplace: Any) -> list[int]:
    workplace.ask(2)
    return [one["id"] for one in client.get(f"{BASE}/rankable").json()]


def test_clips_are_offered_watched_and_ranked(client: TestClient, workplace: Any) -> None:
    clips = client.get(f"{BASE}/rankable").json()
    assert clips == []
    workplace.ask(2)
    clips = client.get(f"{BASE}/rankable").json()
    assert len(clips) >= 2
    assert client.get(clips[0]["clip"]).headers["content-type"] == "video/mp4"
    body = {"places": [[one["id"]] for one in clips], "submission_key": "an-order-of-clips"}
    reply = client.post(f"{BASE}/rankings", json=body)
    assert reply.status_code == 201
    stored = reply.json()
    assert stored["places"] == body["places"]
    assert stored["preferences"] == len(clips) * (len(clips) - 1) // 2
    assert client.post(f"{BASE}/rankings", json=body).status_code == 200
    assert client.get(f"{BASE}/rankings").json() == [stored]


def test_what_is_no_order_is_refused(client: TestClient, workplace: Any) -> None:
    clips = offered(client, workplace)
    key = {"submission_key": "an-order-of-clips"}
    for places in ([], [[]], [[clips[0]]], [[0]], [[2**40]], "best first"):
        assert client.post(f"{BASE}/rankings", json={"places": places, **key}).status_code == 422
    assert client.get("/media/clips/99999.mp4").status_code == 404
    assert client.get(f"{BASE}x/rankings").status_code == 404
