"""What is live on a run's page, as server-sent events.

One poller per watched run looks at the database once a second and hands what changed to everybody
who watches it. No session is open between two looks. A stream ends after ten minutes (the
browser comes back with the id of the last event it saw), and at once when the server stops.

Events: `standing`, `labels`, `versions` and `videos` carry HTML; `metrics` carries
`{"series": {name: [steps, values]}, "reset": bool}`, and its id says how far each curve is.
"""

from __future__ import annotations

import asyncio
from bisect import bisect_right
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime

import structlog
from fastapi.sse import ServerSentEvent
from sqlalchemy.orm import Session
from starlette.concurrency import run_in_threadpool

from server.charts import CHART_NAMES
from server.errors import ClipwiseError
from server.models import Run
from server.panels import Panels, is_alive, read_panels
from server.site import Site
from server.store import metrics
from server.store.pulse import Pulse, pulse

log = structlog.get_logger()

POLL_SECONDS = 1.0
LIFE_SECONDS = 600.0
RETRY_MS = 2000
BACKLOG = 60
"""Updates that may wait for a slow reader before its stream is ended."""
RATE_SECONDS = 15
"""The label rate changes by itself as time passes; it is looked at again this often."""

Series = dict[str, tuple[list[int], list[float]]]
Cursor = dict[str, int]


@dataclass(frozen=True)
class Update:
    """What changed: HTML by event name, and points that are new."""

    fragments: Mapping[str, str]
    series: Series

    def __bool__(self) -> bool:
        return bool(self.fragments or self.series)


@dataclass
class _Seen:
    """What the poller has already handed on."""

    key: tuple[Pulse, bool, int] | None = None
    panels: Panels | None = None
    cursor: Cursor = field(default_factory=dict)


class Feed:
    """One run as it changes, for everybody who watches it."""

    def __init__(self, site: Site, run_id: int) -> None:
        self.site = site
        self.run_id = run_id
        self.watchers: set[asyncio.Queue[Update | None]] = set()
        self._task: asyncio.Task[None] | None = None

    @contextmanager
    def joined(self) -> Iterator[asyncio.Queue[Update | None]]:
        """A queue of updates for as long as the context lasts; None is the end."""
        queue: asyncio.Queue[Update | None] = asyncio.Queue()
        self.watchers.add(queue)
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._poll())
        try:
            yield queue
        finally:
            self.watchers.discard(queue)

    async def _poll(self) -> None:
        seen = _Seen()
        try:
            while self.watchers and not self.site.stop.is_set():
                update = await run_in_threadpool(self._look, seen)
                if update is None:
                    return
                if update:
                    self._hand_on(update)
                with suppress(TimeoutError):
                    await asyncio.wait_for(self.site.stop.wait(), POLL_SECONDS)
        finally:
            for queue in self.watchers:
                queue.put_nowait(None)

    def _hand_on(self, update: Update) -> None:
        for queue in list(self.watchers):
            if queue.qsize() >= BACKLOG:
                self.watchers.discard(queue)
                queue.put_nowait(None)
            else:
                queue.put_nowait(update)

    def _look(self, seen: _Seen) -> Update | None:
        """Compare the database with what was seen; None if the run is gone."""
        now = datetime.now(UTC)
        try:
            with self.site.database.read() as s:
                found = pulse(s, run_id=self.run_id)
                if found is None:
                    return None
                key = (
                    found,
                    is_alive(found.heartbeat_at, now),
                    int(now.timestamp()) // RATE_SECONDS,
                )
                if key == seen.key:
                    return Update({}, {})
                update = self._read(s, seen, now)
                seen.key = key
                return update
        except ClipwiseError as error:
            log.warning("event_stream_waits", run_id=self.run_id, reason=str(error))
            return Update({}, {})

    def _read(self, s: Session, seen: _Seen, now: datetime) -> Update:
        panels = read_panels(s, run=s.get_one(Run, self.run_id), now=now)
        first = seen.panels is None
        series = read_series(s, self.run_id, seen.cursor)
        advance(seen.cursor, series)
        fragments = {
            name: render_panel(self.site, name, panels)
            for name in PANELS
            if seen.panels is None or getattr(panels, name) != getattr(seen.panels, name)
        }
        seen.panels = panels
        # Whoever joined before the first look has asked for its own beginning.
        return Update(fragments, {} if first else series)


PANELS = ("standing", "labels", "versions", "videos")


def render_panel(site: Site, name: str, panels: Panels) -> str:
    """One panel as HTML, from the same template that the page includes."""
    template = site.templates.env.get_template(f"runs/_{name}.html")
    return template.render({name: getattr(panels, name), "run_name": panels.standing.name})


def read_series(s: Session, run_id: int, cursor: Cursor) -> Series:
    """The points of every drawn curve beyond the cursor, thinned by the store where many."""
    behind: dict[int | None, list[str]] = {}
    for name in CHART_NAMES:
        behind.setdefault(cursor.get(name), []).append(name)
    found: Series = {}
    for after_step, names in behind.items():
        rows = metrics.series(s, run_id=run_id, names=names, after_step=after_step)
        for name, points in rows.items():
            if points:
                found[name] = columns(points)
    return found


def columns(points: list[metrics.Point]) -> tuple[list[int], list[float]]:
    """Points as two columns; six digits are more than a screen shows."""
    return [step for step, _ in points], [float(f"{value:.6g}") for _, value in points]


def advance(cursor: Cursor, series: Series) -> None:
    """Move the cursor to the newest point of each series."""
    for name, (steps, _) in series.items():
        cursor[name] = max(steps[-1], cursor.get(name, -1))


def beyond(cursor: Cursor, series: Series) -> Series:
    """The part of each series that a reader at the cursor has not seen."""
    found: Series = {}
    for name, (steps, values) in series.items():
        start = bisect_right(steps, cursor.get(name, -1))
        if start < len(steps):
            found[name] = (steps[start:], values[start:])
    return found


def write_cursor(cursor: Cursor) -> str:
    """The cursor as an event id: one step per curve, in the order of the charts."""
    return ".".join(str(cursor.get(name, "")) for name in CHART_NAMES)


def read_cursor(text: str | None) -> Cursor | None:
    """The cursor of an event id; None if there is none, or it is not one of ours."""
    parts = (text or "").split(".")
    if len(parts) != len(CHART_NAMES):
        return None
    if not all(part == "" or (part.isascii() and part.isdigit()) for part in parts):
        return None
    return {name: int(part) for name, part in zip(CHART_NAMES, parts, strict=True) if part}


class Feeds:
    """The feeds of all runs that somebody watches."""

    def __init__(self, site: Site) -> None:
        self.site = site
        self._feeds: dict[int, Feed] = {}

    def of(self, run_id: int) -> Feed:
        """The run's feed."""
        for idle in [key for key, feed in self._feeds.items() if not feed.watchers]:
            if idle != run_id:
                del self._feeds[idle]
        return self._feeds.setdefault(run_id, Feed(self.site, run_id))


async def stream(feed: Feed, *, after: str | None, curves: bool) -> AsyncIterator[ServerSentEvent]:
    """The events of one watcher: all panels first, then what changes."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + LIFE_SECONDS
    known = read_cursor(after)
    cursor: Cursor = dict(known or {})
    with feed.joined() as queue:
        yield ServerSentEvent(retry=RETRY_MS, comment="hello")
        first = await run_in_threadpool(_beginning, feed, cursor if curves else None)
        if first is None:
            return
        for event in _events(first, cursor, reset=known is None, curves=curves):
            yield event
        while (left := deadline - loop.time()) > 0:
            try:
                update = await asyncio.wait_for(queue.get(), left)
            except TimeoutError:
                return
            if update is None:
                return
            for event in _events(update, cursor, reset=False, curves=curves):
                yield event


def _beginning(feed: Feed, cursor: Cursor | None) -> Update | None:
    """All panels, and the points beyond the cursor, if curves are wanted."""
    with feed.site.database.read() as s:
        run = s.get(Run, feed.run_id)
        if run is None:
            return None
        panels = read_panels(s, run=run, now=datetime.now(UTC))
        series = {} if cursor is None else read_series(s, feed.run_id, cursor)
    return Update({name: render_panel(feed.site, name, panels) for name in PANELS}, series)


def _events(
    update: Update, cursor: Cursor, *, reset: bool, curves: bool
) -> Iterator[ServerSentEvent]:
    for name, html in update.fragments.items():
        yield ServerSentEvent(event=name, raw_data=html)
    # The shared poller may be behind a reader that has just come and asked for itself.
    series = beyond(cursor, update.series)
    if curves and (series or reset):
        advance(cursor, series)
        yield ServerSentEvent(
            event="metrics",
            data={"series": series, "reset": reset},
            id=write_cursor(cursor),
        )
