"""What is live on a run's page, as server-sent events.

One poller per watched run looks at the database once a second, keeps what it has read, and hands
what changed to everybody who watches; whoever joins is served from what is kept. No session is open
between two looks. A stream ends after ten minutes (the browser comes back with the id of the last
event it saw), and at once when the server stops.

Events: those of `PANELS` carry HTML; `metrics` carries `{"series": {name: [steps, values]},
"reset": bool}`, and its id says how far each curve is; `marks` carries `{"marks": [[step, kind,
text, milliseconds since 1970]], "reset": bool}`, a burst of labels again whenever it has grown.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime

import structlog
from fastapi.sse import ServerSentEvent
from sqlalchemy.orm import Session
from starlette.concurrency import run_in_threadpool

from server.curves import (
    CLOCK,
    POINTS,
    Cursor,
    Curves,
    Series,
    advance,
    beyond,
    chunks,
    read_cursor,
    write_cursor,
)
from server.errors import ClipwiseError
from server.models import Run
from server.panels import Panels, is_alive, read_panels
from server.site import Site
from server.store.marks import Clock, Mark, read_marks
from server.store.pulse import Pulse, pulse

log = structlog.get_logger()

POLL_SECONDS = 1.0
LIFE_SECONDS = 600.0
RETRY_MS = 2000
BACKLOG = 60
"""Updates that may wait for a slow reader before its stream is ended."""
RATE_SECONDS = 15
"""The label rate changes by itself as time passes; it is looked at again this often."""
GROUP = 8
BATCH_SECONDS = 0.2
"""At the beginning curves are read in groups and handed on this often, so that the first ones of a
long run are drawn while others are still read."""
MARKS = 400
"""Marks in one event, at most: about 30 kB."""

PANELS = ("standing", "alarms", "labels", "settings", "trials", "versions", "videos", "happened")


@dataclass(frozen=True)
class Update:
    """What changed: HTML by event name, points and marks that are new."""

    fragments: Mapping[str, str] = field(default_factory=dict)
    series: Series = field(default_factory=dict)
    marks: tuple[Mark, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.fragments or self.series or self.marks)


@dataclass
class _Known:
    """What the poller has read and handed on; whoever joins begins with it."""

    curves: Curves
    key: tuple[Pulse, bool, int] | None = None
    panels: Panels | None = None
    fragments: dict[str, str] = field(default_factory=dict)
    marks: tuple[Mark, ...] = ()
    read: set[str] = field(default_factory=set)
    """Curves that have been read at least once."""

    @property
    def whole(self) -> bool:
        """Whether everything has been read once."""
        return len(self.read) == len(POINTS)


class Feed:
    """One run as it changes, for everybody who watches it."""

    def __init__(self, site: Site, run_id: int) -> None:
        self.site = site
        self.run_id = run_id
        self.watchers: set[asyncio.Queue[Update | None]] = set()
        self.known = _Known(Curves(run_id))
        self._task: asyncio.Task[None] | None = None

    @contextmanager
    def joined(self) -> Iterator[asyncio.Queue[Update | None]]:
        """A queue of updates for as long as the context lasts; None is the end.

        What is known already has to be asked of `known`, before the next await.
        """
        queue: asyncio.Queue[Update | None] = asyncio.Queue()
        self.watchers.add(queue)
        if self._task is None or self._task.done():
            self.known = _Known(Curves(self.run_id))
            self._task = asyncio.create_task(self._poll())
        try:
            yield queue
        finally:
            self.watchers.discard(queue)

    async def _poll(self) -> None:
        try:
            while self.watchers and not self.site.stop.is_set():
                update = await run_in_threadpool(self._look)
                if update is None:
                    return
                if update:
                    self._hand_on(update)
                if self.known.panels is not None and not self.known.whole:
                    continue
                with suppress(TimeoutError):
                    await asyncio.wait_for(self.site.stop.wait(), POLL_SECONDS)
        finally:
            for queue in self.watchers:
                queue.put_nowait(None)

    def _hand_on(self, update: Update) -> None:
        # Here and not in the look, which runs in a thread: who joins must see all or nothing of it.
        self.known.fragments |= update.fragments
        self.known.curves.take(update.series)
        self.known.marks = merged(self.known.marks, update.marks)
        for queue in list(self.watchers):
            if queue.qsize() >= BACKLOG:
                self.watchers.discard(queue)
                queue.put_nowait(None)
            else:
                queue.put_nowait(update)

    def _look(self) -> Update | None:
        """Compare the database with what is known; None if the run is gone."""
        known, now = self.known, datetime.now(UTC)
        try:
            with self.site.database.read() as s:
                found = pulse(s, run_id=self.run_id)
                if found is None:
                    return None
                if known.panels is not None and not known.whole:
                    return Update(series=self._more(s))
                key = (
                    found,
                    is_alive(found.heartbeat_at, now),
                    int(now.timestamp()) // RATE_SECONDS,
                )
                if key == known.key:
                    return Update()
                update = self._read(s, now)
                known.key = key
                return update
        except ClipwiseError as error:
            log.warning("event_stream_waits", run_id=self.run_id, reason=str(error))
            return Update()

    def _more(self, s: Session) -> Series:
        """The next few curves that have not been read at all."""
        known, found = self.known, Series()
        deadline = time.monotonic() + BATCH_SECONDS
        while not known.whole and time.monotonic() < deadline:
            names = [name for name in POINTS if name not in known.read][:GROUP]
            known.read |= set(names)
            found |= known.curves.read(s, names)
        return found

    def _read(self, s: Session, now: datetime) -> Update:
        known = self.known
        series = known.curves.read(s, known.read) if known.read else self._more(s)
        clock = (known.curves.series | series).get(CLOCK, ([], []))
        marks = read_marks(s, run_id=self.run_id, clock=Clock(*clock))
        panels = read_panels(s, run=s.get_one(Run, self.run_id), now=now, marks=marks)
        fragments = {
            name: render_panel(self.site, name, panels)
            for name in PANELS
            if known.panels is None or getattr(panels, name) != getattr(known.panels, name)
        }
        known.panels = panels
        there = set(known.marks)
        return Update(fragments, series, tuple(mark for mark in marks if mark not in there))


def merged(known: Sequence[Mark], new: Sequence[Mark]) -> tuple[Mark, ...]:
    """Marks with new ones: a burst of labels that has grown takes its own place."""
    grown = {mark.at for mark in new if mark.kind == "labels"}
    return (*(one for one in known if one.kind != "labels" or one.at not in grown), *new)


def render_panel(site: Site, name: str, panels: Panels) -> str:
    """One panel as HTML, from the same template that the page includes."""
    template = site.templates.env.get_template(f"runs/_{name}.html")
    return template.render({name: getattr(panels, name), "run_name": panels.standing.name})


class Feeds:
    """The feeds of all runs that somebody watches."""

    def __init__(self, site: Site) -> None:
        self.site = site
        self._feeds: dict[int, Feed] = {}

    @property
    def watchers(self) -> int:
        """How many streams are open."""
        return sum(len(feed.watchers) for feed in self._feeds.values())

    def of(self, run_id: int) -> Feed:
        """The run's feed."""
        for idle in [key for key, feed in self._feeds.items() if not feed.watchers]:
            if idle != run_id:
                del self._feeds[idle]
        return self._feeds.setdefault(run_id, Feed(self.site, run_id))


async def stream(feed: Feed, *, after: str | None, curves: bool) -> AsyncIterator[ServerSentEvent]:
    """The events of one watcher: what is known first, then what changes."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + LIFE_SECONDS
    before = read_cursor(after)
    reader = _Reader(dict(before or {}), curves, new=before is None)
    with feed.joined() as queue:
        known = feed.known
        first = Update(dict(known.fragments), known.curves.beyond(reader.cursor), known.marks)
        yield ServerSentEvent(retry=RETRY_MS, comment="hello")
        for event in reader.events(first):
            yield event
        while (left := deadline - loop.time()) > 0:
            try:
                update = await asyncio.wait_for(queue.get(), left)
            except TimeoutError:
                return
            if update is None:
                return
            for event in reader.events(update):
                yield event


@dataclass
class _Reader:
    """One watcher: how far they have read each curve, and whether they begin afresh."""

    cursor: Cursor
    curves: bool
    new: bool
    unmarked: bool = True

    def events(self, update: Update) -> Iterator[ServerSentEvent]:
        """An update as events, without what this reader has had."""
        for name, html in update.fragments.items():
            yield ServerSentEvent(event=name, raw_data=html)
        if not self.curves:
            return
        parts = list(chunks(beyond(self.cursor, update.series)))
        if self.new and update.fragments and not parts:
            parts = [{}]  # nothing to draw is news as well
        for part in parts:
            advance(self.cursor, part)
            # Encoded here: what others get differs from this only if they joined just now.
            text = json.dumps({"series": part, "reset": self.new}, separators=(",", ":"))
            self.new = False
            yield ServerSentEvent(event="metrics", raw_data=text, id=write_cursor(self.cursor))
        if update.marks or (self.unmarked and update):
            rows = [
                [mark.step, mark.kind, mark.text, round(1000 * mark.at.timestamp())]
                for mark in update.marks[-MARKS:]
            ]
            text = json.dumps({"marks": rows, "reset": self.unmarked}, separators=(",", ":"))
            self.unmarked = False
            yield ServerSentEvent(event="marks", raw_data=text)
