"""Play a run's environment in the browser; the server only passes on what a worker's process plays.

The browser's websocket and the process's socket carry the same: from the player one JSON object per
line (`keys`, `keep`, `again`), to the player frames (JPEG) and JSON.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Awaitable
from contextlib import suppress
from datetime import UTC, datetime

import anyio
from fastapi import APIRouter, Request, WebSocket, WebSocketDisconnect
from starlette.concurrency import run_in_threadpool
from starlette.responses import Response

from server import panels
from server.errors import ClipwiseError, Conflict
from server.pages import render
from server.plays import Play
from server.site import Site, SiteDep, VisitorDep
from server.store import plays, runs

PATIENCE = 30.0
"""Seconds until a worker must have the game ready."""
LOOK_EVERY = 0.2
LONGEST_LINE = 300
"""Characters of what a player sends at once."""
NOBODY = "No learner took the game. Is `clipwise work` running?"

router = APIRouter(include_in_schema=False)


@router.get("/runs/{name}/play")
def play_page(request: Request, site: SiteDep, name: str) -> Response:
    """The game, and its keys."""
    with site.database.read() as s:
        run = runs.get_run(s, name=name)
        standing = panels.read_standing(s, run=run, now=datetime.now(UTC))
        kept = len(plays.kept(s, run_id=run.id))
    context = {"tab": "play", "standing": standing, "run_name": run.name, "run": run}
    return render(request, "runs/play.html", context | {"kept": kept})


@router.websocket("/runs/{name}/play/socket")
async def play_socket(socket: WebSocket, site: SiteDep, visitor: VisitorDep, name: str) -> None:
    """Play until either side ends it, or for ten minutes."""
    await socket.accept()
    said: asyncio.Queue[str] = asyncio.Queue(20)
    with anyio.move_on_after(plays.LONGEST.total_seconds()):
        async with anyio.create_task_group() as group:

            async def until(part: Awaitable[object]) -> None:
                await part
                group.cancel_scope.cancel()  # the first to end ends the others

            group.start_soon(until, _listen(socket, said))
            group.start_soon(until, _host(socket, site, visitor.person_id, name, said))
            group.start_soon(until, site.stop.wait())
    with suppress(RuntimeError, WebSocketDisconnect):  # it may be closed already
        await socket.close()


async def _listen(socket: WebSocket, said: asyncio.Queue[str]) -> None:
    """Take what the player says; ends with the tab, or with a line that no page of ours sends."""
    with suppress(WebSocketDisconnect, KeyError):  # KeyError: bytes instead of text
        while len(line := await socket.receive_text()) <= LONGEST_LINE and "\n" not in line:
            await said.put(line)


async def _host(
    socket: WebSocket, site: Site, person_id: int, name: str, said: asyncio.Queue[str]
) -> None:
    """Have a worker make the game, and pass on what both sides say."""
    try:
        with anyio.CancelScope(shield=True):  # asked for and not known, it would never end
            play = await run_in_threadpool(_ask, site, name, person_id)
    except ClipwiseError as error:
        await socket.send_json({"error": error.message})
        return
    try:
        await _relay(socket, await _await_offer(site, play.id), play.secret, said)
    except ClipwiseError as error:
        await socket.send_json({"error": error.message})
    except (OSError, asyncio.IncompleteReadError):
        await socket.send_json({"error": "The game has ended. Start it again."})
    finally:
        with anyio.CancelScope(shield=True):
            await run_in_threadpool(_end, site, play.id)


async def _relay(
    socket: WebSocket, address: tuple[str, int], secret: str, said: asyncio.Queue[str]
) -> None:
    """Pass on what both sides say until the process ends the game."""
    reader, writer = await asyncio.open_connection(*address)
    try:
        writer.write(f"{secret}\n".encode())
        async with anyio.create_task_group() as group:
            group.start_soon(_send, said, writer)
            await _show(reader, socket)
    finally:
        writer.close()


async def _send(said: asyncio.Queue[str], writer: asyncio.StreamWriter) -> None:
    while True:
        writer.write(f"{await said.get()}\n".encode())
        await writer.drain()


async def _show(reader: asyncio.StreamReader, socket: WebSocket) -> None:
    """Pass frames and words on: a letter for the kind, four bytes for the length, the content."""
    while True:
        kind = await reader.readexactly(1)
        content = await reader.readexactly(int.from_bytes(await reader.readexactly(4), "big"))
        if kind == b"F":
            await socket.send_bytes(content)
        else:
            await socket.send_text(content.decode())


def _ask(site: Site, name: str, person_id: int) -> Play:
    now, secret = datetime.now(UTC), secrets.token_urlsafe(32)
    with site.database.write() as s:
        run_id = runs.get_run(s, name=name).id
        return plays.ask(s, run_id=run_id, person_id=person_id, secret=secret, now=now)


async def _await_offer(site: Site, play_id: int) -> tuple[str, int]:
    """Where the game is played.

    Raises:
        Conflict: it cannot be played, or nobody has it ready in time.
    """
    for _ in range(round(PATIENCE / LOOK_EVERY)):
        play = await run_in_threadpool(_look, site, play_id)
        if play.reason:
            raise Conflict(play.reason)
        if play.ended_at is not None:
            raise Conflict("The game goes on in another tab.")
        if play.address is not None:
            host, _, port = play.address.rpartition(":")
            return host, int(port)
        await asyncio.sleep(LOOK_EVERY)
    raise Conflict(NOBODY)


def _look(site: Site, play_id: int) -> Play:
    with site.database.read() as s:
        return s.get_one(Play, play_id)


def _end(site: Site, play_id: int) -> None:
    with site.database.write() as s:
        plays.end(s, play_id=play_id, now=datetime.now(UTC))
