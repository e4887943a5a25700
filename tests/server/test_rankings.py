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


def test_an_order_is_taken_back_however_often_it_is_asked(
    client: TestClient, workplace: Any
) -> None:
    clips = offered(client, workplace)
    body = {"places": [[clips[0]], clips[1:3]], "submission_key": "an-order-of-clips"}
    stored = client.post(f"{BASE}/rankings", json=body).json()
    assert stored["withdrawn"] is False
    for _ in range(2):
        reply = client.post(f"{BASE}/rankings/{stored['id']}/withdraw")
        assert reply.json() == {**stored, "withdrawn": True}
    assert client.get(f"{BASE}/rankings").json() == [reply.json()]
    assert client.post(f"{BASE}/rankings/999/withdraw").status_code == 404


def test_the_page_offers_clips_without_telling_their_returns(
    client: TestClient, workplace: Any
) -> None:
    assert "Not enough clips yet" in client.get("/runs/coinrun/rank").text
    workplace.ask(7)
    page = client.get("/runs/coinrun/rank").text
    assert page.count("<video") == 10
    assert "get the coin, don" in page
    assert "return" not in page.split("data-rank", 1)[1]
    assert client.get("/runs/nosuch/rank").status_code == 404
