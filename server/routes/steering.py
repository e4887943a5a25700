"""What researchers change while a run goes on, and the alarms that they acknowledge."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated

from fastapi import APIRouter, Form, Request
from starlette.responses import RedirectResponse, Response

from server import panels
from server.pages import render
from server.ringing import AlarmView, read_alarms
from server.routes.api import ABSENT, CLASH, REFUSALS
from server.rules import Strategy
from server.schemas import AlarmOut, Id, RunName, SettingsIn, SettingsOut
from server.site import SiteDep, VisitorDep
from server.store import alarms, changes, runs

router = APIRouter(include_in_schema=False)
api = APIRouter(prefix="/api/v1", tags=["runs"], responses=REFUSALS)

SCRIPT = "true"
"""Value of htmx's header."""


@router.post("/runs/{name}/settings")
def change_settings(
    request: Request,
    site: SiteDep,
    visitor: VisitorDep,
    name: str,
    label_budget: Annotated[int, Form()],
    strategy: Annotated[Strategy, Form()],
    seen_budget: Annotated[int | None, Form()] = None,
    seen_strategy: Annotated[Strategy | None, Form()] = None,
) -> Response:
    """Ask for another label budget or query strategy; the learner goes by it from the next
    iteration on.

    A page may be old, so what it showed is sent too: only what somebody changed there is applied.
    """
    with site.database.write() as s:
        run = runs.get_run(s, name=name)
        changes.change(
            s,
            run=run,
            label_budget=None if label_budget == seen_budget else label_budget,
            strategy=None if strategy == seen_strategy else strategy,
            person_id=visitor.person_id,
            now=datetime.now(UTC),
        )
    if request.headers.get("hx-request") != SCRIPT:
        return RedirectResponse(f"/runs/{run.name}", status_code=303)
    with site.database.read() as s:
        settings = panels.read_settings(s, run=runs.get_run(s, name=name))
    return render(request, "runs/_settings.html", {"settings": settings, "run_name": run.name})


@router.post("/runs/{name}/alarms/{alarm}/acknowledge")
def acknowledge_alarm(
    request: Request, site: SiteDep, visitor: VisitorDep, name: str, alarm: Id
) -> Response:
    """Say that somebody has seen an alarm."""
    with site.database.write() as s:
        run = runs.get_run(s, name=name)
        now = datetime.now(UTC)
        alarms.acknowledge(s, run=run, alarm_id=alarm, person_id=visitor.person_id, now=now)
    if request.headers.get("hx-request") != SCRIPT:
        return RedirectResponse(f"/runs/{run.name}", status_code=303)
    with site.database.read() as s:
        run = runs.get_run(s, name=name)
        standing = panels.read_standing(s, run=run, now=now)
        found = read_alarms(s, run=run, gone=standing.gone)
    return render(request, "runs/_alarms.html", {"alarms": found, "run_name": run.name})


@api.patch("/runs/{run}/settings", responses=CLASH)
def patch_settings(
    site: SiteDep, visitor: VisitorDep, run: RunName, body: SettingsIn
) -> SettingsOut:
    """Change a run's label budget or query strategy; the learner goes by it from its next
    iteration on.
    """
    with site.database.write() as session:
        row = runs.get_run(session, name=run)
        changes.change(
            session,
            run=row,
            label_budget=body.label_budget,
            strategy=body.strategy,
            person_id=visitor.person_id,
            now=datetime.now(UTC),
        )
        found = panels.read_settings(session, run=row)
    return SettingsOut(
        label_budget=found.label_budget, strategy=found.strategy, pending=list(found.pending)
    )


@api.get("/runs/{run}/alarms", responses=ABSENT)
def list_alarms(site: SiteDep, run: RunName) -> list[AlarmOut]:
    """List what does not look right in a run; a silent learner among it."""
    now = datetime.now(UTC)
    with site.database.read() as session:
        row = runs.get_run(session, name=run)
        standing = panels.read_standing(session, run=row, now=now)
        found = read_alarms(session, run=row, gone=standing.gone)
    return [_alarm_out(one) for one in found]


@api.post("/runs/{run}/alarms/{alarm}/acknowledge", status_code=204, responses=ABSENT)
def acknowledge(site: SiteDep, visitor: VisitorDep, run: RunName, alarm: Id) -> None:
    """Say that somebody has seen an alarm."""
    with site.database.write() as session:
        row = runs.get_run(session, name=run)
        now = datetime.now(UTC)
        alarms.acknowledge(session, run=row, alarm_id=alarm, person_id=visitor.person_id, now=now)


def _alarm_out(alarm: AlarmView) -> AlarmOut:
    return AlarmOut(
        id=alarm.id,
        kind=alarm.kind,
        text=alarm.text,
        evidence=alarm.where,
        step=alarm.step,
        raised_at=alarm.raised_at,
        acknowledged=alarm.acknowledged_at is not None,
    )
