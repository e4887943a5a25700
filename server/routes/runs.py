"""The runs: overview, one run's page with its tabs, its commands, its events, its CSV."""

from __future__ import annotations

import csv
import io
import sys
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Header, Query, Request
from fastapi.sse import EventSourceResponse, ServerSentEvent
from pydantic import StringConstraints
from starlette.responses import RedirectResponse, Response, StreamingResponse

from server import charts, curves, events, panels
from server.models import CommandKind
from server.pages import render
from server.site import SiteDep, VisitorDep
from server.store import audit, metrics, runs
from server.store.marks import read_marks

router = APIRouter(include_in_schema=False)

CSV_NAMES = 50
"""Most metrics in one CSV."""

MetricName = Annotated[str, StringConstraints(max_length=100, pattern=r"^[^\x00]+$")]


@router.get("/")
def overview(request: Request, site: SiteDep) -> Response:
    """All runs, newest first."""
    with site.database.read() as s:
        rows = panels.read_rows(s, now=datetime.now(UTC))
    return render(request, "runs/overview.html", {"rows": rows})


@router.get("/runs/{name}")
def run_page(request: Request, site: SiteDep, name: str) -> Response:
    """The run now: is it alive, is it learning, what does it do."""
    with site.database.read() as s:
        run = runs.get_run(s, name=name)
        clock = curves.read_clock(s, run_id=run.id)
        marks = read_marks(s, run_id=run.id, clock=clock)
        parts = panels.read_panels(s, run=run, now=datetime.now(UTC), marks=marks)
    context = _parts(parts) | {
        "tab": "overview",
        "main_charts": charts.MAIN,
        "sections": charts.SECTIONS,
    }
    return render(request, "runs/run.html", context)


@router.get("/runs/{name}/config")
def config_page(request: Request, site: SiteDep, name: str) -> Response:
    """Everything the run was started with."""
    with site.database.read() as s:
        run = runs.get_run(s, name=name)
        standing = panels.read_standing(s, run=run, now=datetime.now(UTC))
    context = {"tab": "config", "standing": standing, "run_name": run.name, "run": run}
    return render(request, "runs/config.html", context | {"sections": _sections(run.config)})


@router.get("/runs/{name}/versions")
def versions_page(request: Request, site: SiteDep, name: str) -> Response:
    """Every version of the reward model."""
    with site.database.read() as s:
        run = runs.get_run(s, name=name)
        standing = panels.read_standing(s, run=run, now=datetime.now(UTC))
        versions = panels.read_versions(s, run_id=run.id)
    context = {"tab": "versions", "standing": standing, "run_name": run.name}
    return render(request, "runs/versions.html", context | {"versions": versions})


@router.get("/runs/{name}/metrics")
def metrics_page(request: Request, site: SiteDep, name: str) -> Response:
    """The newest value of every metric."""
    with site.database.read() as s:
        run = runs.get_run(s, name=name)
        standing = panels.read_standing(s, run=run, now=datetime.now(UTC))
        latest = metrics.latest(s, run_id=run.id)
    context = {"tab": "metrics", "standing": standing, "run_name": run.name, "latest": latest}
    return render(request, "runs/metrics.html", context)


@router.get("/runs/{name}/metrics.csv")
def metrics_csv(
    site: SiteDep, name: str, names: Annotated[list[MetricName], Query(max_length=CSV_NAMES)]
) -> Response:
    """Every point of the named metrics: one row per step, one column per metric."""
    with site.database.read() as s:
        run = runs.get_run(s, name=name)
        series = metrics.series(s, run_id=run.id, names=names, max_points=sys.maxsize)
    return StreamingResponse(
        _csv(names, series),
        media_type="text/csv; charset=utf-8",
        headers={
            "Content-Disposition": f'attachment; filename="{run.name}-metrics.csv"',
            "Cache-Control": "no-store",
        },
    )


def _known_run(site: SiteDep, name: str) -> int:
    """The run's id, looked up before a stream starts, so that a wrong name is a 404."""
    with site.database.read() as s:
        return runs.get_run(s, name=name).id


@router.get("/runs/{name}/events", response_class=EventSourceResponse)
async def run_events(
    request: Request,
    site: SiteDep,
    run_id: Annotated[int, Depends(_known_run)],
    after: str | None = None,
    last_event_id: Annotated[str | None, Header()] = None,
    curves: bool = True,
) -> AsyncIterator[ServerSentEvent]:
    """What changes, as it changes."""
    feeds = getattr(request.app.state, "feeds", None)
    if feeds is None:
        feeds = request.app.state.feeds = events.Feeds(site)
        request.app.state.gauges.watch_streams(lambda: feeds.watchers)
    async for event in events.stream(feeds.of(run_id), after=last_event_id or after, curves=curves):
        yield event


@router.post("/runs/{name}/{command}")
def command(
    request: Request, site: SiteDep, visitor: VisitorDep, name: str, command: CommandKind
) -> Response:
    """Ask the run's worker to pause, resume or stop."""
    now = datetime.now(UTC)
    with site.database.write() as s:
        run = runs.get_run(s, name=name)
        runs.send_command(s, run_id=run.id, kind=command, person_id=visitor.person_id, now=now)
        audit.note(s, person_id=visitor.person_id, action=command, subject=run.name, now=now)
    if request.headers.get("hx-request") != "true":
        return RedirectResponse(f"/runs/{run.name}", status_code=303)
    with site.database.read() as s:
        standing = panels.read_standing(s, run=runs.get_run(s, name=name), now=now)
    return render(request, "runs/_standing.html", {"standing": standing, "run_name": name})


def _parts(parts: panels.Panels) -> dict[str, Any]:
    names = {name: getattr(parts, name) for name in events.PANELS}
    return names | {"run_name": parts.standing.name}


def _sections(config: dict[str, Any]) -> list[tuple[str, list[tuple[str, Any]]]]:
    """The config as titled lists of dotted keys and values; what has no section comes first."""
    plain = [(key, value) for key, value in config.items() if not isinstance(value, dict)]
    nested = [
        (key, list(_leaves(value))) for key, value in config.items() if isinstance(value, dict)
    ]
    return [("run", plain), *nested]


def _leaves(values: dict[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in values.items():
        if isinstance(value, dict) and value:
            yield from _leaves(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


def _csv(names: list[str], series: dict[str, list[metrics.Point]]) -> Iterator[str]:
    columns = [dict(series[name]) for name in names]
    steps = sorted(set().union(*columns)) if columns else []
    yield _csv_row(["step", *names])
    for step in steps:
        yield _csv_row([step, *(column.get(step, "") for column in columns)])


def _csv_row(cells: list[Any]) -> str:
    line = io.StringIO()
    csv.writer(line).writerow(cells)
    return line.getvalue()
