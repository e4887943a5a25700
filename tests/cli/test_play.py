"""The line between the server and a game."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Iterator
from contextlib import suppress

import pytest

from cli.play import Line
from learner.play import Left


@pytest.fixture
def ends() -> Iterator[tuple[socket.socket, Line]]:
    """The server's end, and the game's line after the secret was shown."""
    server, game = socket.socketpair()
    with server, game:
        server.sendall(b"secret\n")
        yield server, Line(game, "secret")


def held(*keys: str) -> bytes:
    return json.dumps({"keys": keys}).encode() + b"\n"


def test_the_newest_of_a_few_lines_is_what_is_held(ends: tuple[socket.socket, Line]) -> None:
    server, line = ends
    assert line.keys() == frozenset()
    server.sendall(held("a") + held("ArrowLeft") + held("ArrowLeft", "d"))
    assert line.keys() == {"ArrowLeft", "d"}
    assert line.keys() == {"ArrowLeft", "d"}


def test_a_caller_that_never_stops_sending_does_not_stop_the_game(
    ends: tuple[socket.socket, Line],
) -> None:
    server, line = ends
    stop = threading.Event()

    def flood() -> None:
        with suppress(OSError):
            while not stop.is_set():
                server.sendall(held("a") * 100)

    server.sendall(held("a"))  # so that there is something to hear, however late the thread runs
    sender = threading.Thread(target=flood)
    sender.start()
    ticks: list[frozenset[str]] = []
    game = threading.Thread(target=lambda: ticks.extend(line.keys() for _ in range(5)), daemon=True)
    game.start()
    game.join(10)
    stop.set()
    server.shutdown(socket.SHUT_RDWR)
    sender.join(10)
    assert ticks == [frozenset("a")] * 5


def test_a_stranger_and_whoever_goes_are_left(ends: tuple[socket.socket, Line]) -> None:
    server, line = ends
    server.close()
    with pytest.raises(Left):
        line.keys()
    other, game = socket.socketpair()
    with other, game:
        other.sendall(b"another secret\n")
        with pytest.raises(Left):
            Line(game, "secret")
