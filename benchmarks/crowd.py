"""Simulated people at the labelling page, all in one process that must be light."""

from __future__ import annotations

import asyncio
import random
import time
import uuid
from collections import defaultdict
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import httpx2

PACE = 4.0
"""Seconds from one answer of a person to the next."""
HELD = 2
"""Pairs that the page holds: the one on show and the next."""
CUT_SHARE, TWICE_SHARE = 0.02, 0.02
SIDES = ("left", "right", "tie", "incomparable")


@dataclass
class Told:
    """What the clients were told, all together.

    Attributes:
        pairs: by assignment: the person who got it.
        answers: by preference: its person, assignment, side and key.
        milliseconds: by kind of request.
        errors: what went wrong, in words.
        idle: clock ticks at which somebody had no pair.
    """

    pairs: dict[int, int] = field(default_factory=dict)
    answers: dict[int, tuple[int, int, str, str]] = field(default_factory=dict)
    milliseconds: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    errors: list[str] = field(default_factory=list)
    idle: int = 0
    cut: int = 0
    twice: int = 0


class Annotator:
    """One person at the labelling page."""

    def __init__(
        self, client: httpx2.AsyncClient, person: int, token: str, told: Told, seed: int
    ) -> None:
        self._client = client
        self._person = person
        self._headers = {"Authorization": f"Bearer {token}"}
        self._told = told
        self._rng = random.Random(seed)
        self._held: list[dict[str, Any]] = []
        self._loaded: set[int] = set()

    async def label(self, run: str, begin: float, end: float) -> None:
        """Answer once per `PACE` seconds of the clock, from `begin` to `end`."""
        tick = begin + self._rng.random() * PACE
        await asyncio.sleep(max(0.0, tick - time.monotonic()))
        try:
            await self._take(run)
            while (tick := tick + PACE) < end:
                await asyncio.sleep(max(0.0, tick - time.monotonic()))
                if self._held:
                    await self._answer(self._held.pop(0))
                else:
                    self._told.idle += 1
                await self._take(run)
        except (httpx2.HTTPError, AssertionError) as error:
            self._told.errors.append(f"{type(error).__name__}: {error}")

    async def _take(self, run: str) -> None:
        desk = await self._call("lease", "POST", f"/api/v1/runs/{run}/assignments", {"count": HELD})
        self._held = desk.json()["assignments"]
        for pair in self._held:
            owner = self._told.pairs.setdefault(pair["id"], self._person)
            assert owner == self._person, f"assignment {pair['id']} was given to two people"
            if pair["id"] not in self._loaded:
                self._loaded.add(pair["id"])
                for side in ("left", "right"):
                    await self._call("clip", "GET", pair[side])

    async def _answer(self, pair: dict[str, Any]) -> None:
        path = f"/api/v1/assignments/{pair['id']}/answer"
        side = self._rng.choices(SIDES, weights=(4, 4, 1, 1))[0]
        key = uuid.UUID(int=self._rng.getrandbits(128)).hex
        body = {"side": side, "seconds": 3.0, "submission_key": key}
        if self._rng.random() < CUT_SHARE:
            self._told.cut += 1
            with suppress(TimeoutError):  # the connection is closed; was it stored? nobody knows
                await asyncio.wait_for(self._send("POST", path, body), 0.003)
        stored = (await self._call("submit", "POST", path, body)).json()["id"]
        self._told.answers[stored] = (self._person, pair["id"], side, key)
        if self._rng.random() < TWICE_SHARE:
            self._told.twice += 1
            again = await self._call("submit", "POST", path, body)
            assert (again.status_code, again.json()["id"]) == (200, stored), "stored twice"

    async def _call(
        self, kind: str, method: str, path: str, body: dict[str, Any] | None = None
    ) -> httpx2.Response:
        started = time.perf_counter()
        reply = await self._send(method, path, body)
        self._told.milliseconds[kind].append(1000 * (time.perf_counter() - started))
        assert reply.status_code < 300, f"{method} {path}: {reply.status_code} {reply.text[:200]}"
        return reply

    async def _send(self, method: str, path: str, body: dict[str, Any] | None) -> httpx2.Response:
        return await self._client.request(method, path, json=body, headers=self._headers)


async def crowd(
    port: int, run: str, tokens: dict[int, str], feed: Callable[[], None], seconds: float
) -> Told:
    """Let everybody label for so long, and `feed` be called every second."""
    told = Told()
    # The server closes connections after 30 idle seconds; never be late.
    limits = httpx2.Limits(keepalive_expiry=10)  # of connections: none
    async with httpx2.AsyncClient(
        base_url=f"http://127.0.0.1:{port}", limits=limits, timeout=30
    ) as client:
        feeding = asyncio.create_task(_every_second(feed))
        begin = time.monotonic() + 0.5
        people = [
            Annotator(client, person, token, told, person).label(run, begin, begin + seconds)
            for person, token in tokens.items()
        ]
        await asyncio.gather(*people)
        feeding.cancel()
        await asyncio.gather(feeding, return_exceptions=True)
    return told


async def _every_second(act: Callable[[], None]) -> None:
    """Do it until cancelled."""
    while True:
        await asyncio.to_thread(act)
        await asyncio.sleep(1.0)
