"""The server's side of a game: who may play, how many, and what ends it."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import select
from starlette.websockets import WebSocketDisconnect

from server.models import Person
from server.plays import Play
from server.routes import play
from server.store import plays, runs

SOCKET = "ws://127.0.0.1:8000/runs/coinrun/play/socket"


def rows(workplace: Any) -> list[Play]:
    with workplace.database.read() as s:
        return list(s.scalars(select(Play).order_by(Play.id)))


def await_(condition: Any) -> None:
    deadline = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_without_a_learner_the_player_is_told(
    client: Any, workplace: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(play, "PATIENCE", 0.4)
    with client.websocket_connect(SOCKET) as socket:
        assert socket.receive_json() == {"error": play.NOBODY}
        with pytest.raises(WebSocketDisconnect):
            socket.receive_json()
    (row,) = rows(workplace)
    assert row.ended_at is not None
    with client.websocket_connect(SOCKET.replace("coinrun", "nosuch")) as socket:
        assert "nosuch" in socket.receive_json()["error"]


def test_a_tab_that_closes_ends_the_game_at_once(client: Any, workplace: Any) -> None:
    with client.websocket_connect(SOCKET):
        await_(lambda: rows(workplace))
    await_(lambda: rows(workplace)[0].ended_at)
    with workplace.database.write() as s:
        assert plays.take(s, now=datetime.now(UTC)) is None


def test_a_page_that_says_too_much_is_not_listened_to(client: Any) -> None:
    with client.websocket_connect(SOCKET) as socket:
        socket.send_text("x" * 301)
        with pytest.raises(WebSocketDisconnect):
            socket.receive_json()


def test_another_site_cannot_open_the_socket(client: Any, workplace: Any) -> None:
    headers = {"origin": "http://evil.example"}
    with pytest.raises(WebSocketDisconnect), client.websocket_connect(SOCKET, headers=headers):
        pass
    assert rows(workplace) == []


def test_one_game_each_and_four_in_all(workplace: Any) -> None:
    now = datetime.now(UTC)
    with workplace.database.write() as s:
        run_id = runs.get_run(s, name="coinrun").id
        people = [Person(name=f"p{n}", created_at=now) for n in range(6)]
        s.add_all(people)
        s.flush()
        first = plays.ask(s, run_id=run_id, person_id=people[0].id, secret="a", now=now)
        again = plays.ask(s, run_id=run_id, person_id=people[0].id, secret="b", now=now)
        s.refresh(first)
        assert (first.ended_at, again.ended_at) == (now, None)
        for person in people[1:4]:
            plays.ask(s, run_id=run_id, person_id=person.id, secret="c", now=now)
        with pytest.raises(plays.TooMany, match="4 games are played already"):
            plays.ask(s, run_id=run_id, person_id=people[4].id, secret="d", now=now)
        # Those that a server left behind when it died do not count for ever.
        later = now + plays.LONGEST + timedelta(seconds=1)
        plays.ask(s, run_id=run_id, person_id=people[5].id, secret="e", now=later)
        assert plays.take(s, now=now + timedelta(seconds=1)) is not None
