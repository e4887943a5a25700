"""The JSON API, /api/v1: what the pages do, for scripts and other teachers as well."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Any

from fastapi import APIRouter, Query, Response

from server import desk
from server.models import Run
from server.problems import Problem
from server.schemas import (
    MAX_ID,
    AnswerIn,
    CommandIn,
    CommandOut,
    CurveOut,
    Desk,
    Id,
    LeaseIn,
    MetricNames,
    MetricsOut,
    PreferenceOut,
    ProgressOut,
    RenewOut,
    RunDetail,
    RunName,
    RunOut,
    WithdrawIn,
    WithdrawOut,
)
from server.site import SiteDep, VisitorDep
from server.store import assignments, audit, metrics, queries, runs

REFUSALS: dict[int | str, dict[str, Any]] = {
    400: {"model": Problem, "description": "The body is not JSON"},
    401: {"model": Problem, "description": "Nobody is logged in, or an unknown token"},
    403: {"model": Problem, "description": "Not for this role or token, or from another site"},
    413: {"model": Problem, "description": "The body is too large"},
    422: {"model": Problem, "description": "A value that cannot be accepted"},
}
router = APIRouter(prefix="/api/v1", responses=REFUSALS)

ABSENT: dict[int | str, dict[str, Any]] = {404: {"model": Problem, "description": "No such thing"}}
CLASH: dict[int | str, dict[str, Any]] = {
    **ABSENT,
    409: {"model": Problem, "description": "It contradicts what is stored"},
}


@router.get("/runs", tags=["runs"])
def list_runs(site: SiteDep) -> list[RunOut]:
    """List every run, newest first."""
    with site.database.read() as session:
        return [_run_out(found.run, found.answers) for found in runs.list_runs(session)]


@router.get("/runs/{run}", tags=["runs"], responses=ABSENT)
def show_run(site: SiteDep, run: RunName) -> RunDetail:
    """Show one run with its config."""
    with site.database.read() as session:
        row = runs.get_run(session, name=run)
        queue = queries.counts(session, run_id=row.id, now=datetime.now(UTC))
        return RunDetail(
            **_run_out(row, queue.total_labels).model_dump(),
            seed=row.seed,
            instructions=row.instructions,
            config=row.config,
        )


@router.post("/runs/{run}/commands", tags=["runs"], status_code=202, responses=CLASH)
def send_command(site: SiteDep, visitor: VisitorDep, run: RunName, body: CommandIn) -> CommandOut:
    """Pause, resume or stop; the worker does it within seconds."""
    now = datetime.now(UTC)
    with site.database.write() as session:
        row = runs.get_run(session, name=run)
        runs.send_command(
            session, run_id=row.id, kind=body.kind, person_id=visitor.person_id, now=now
        )
        audit.note(
            session, person_id=visitor.person_id, action=body.kind, subject=row.name, now=now
        )
        return CommandOut(run=row.name, kind=body.kind, state=row.state)


@router.get("/runs/{run}/metrics", tags=["runs"], responses=ABSENT)
def show_metrics(
    site: SiteDep,
    run: RunName,
    name: MetricNames,
    after_step: Annotated[int | None, Query(ge=0, le=MAX_ID)] = None,
    until_step: Annotated[int | None, Query(ge=0, le=MAX_ID)] = None,
    max_points: Annotated[int, Query(ge=4, le=10_000)] = 1500,
) -> MetricsOut:
    """Give the run's figures over its steps, thinned so that extremes stay."""
    with site.database.read() as session:
        row = runs.get_run(session, name=run)
        found = metrics.series(
            session,
            run_id=row.id,
            names=name or list(metrics.latest(session, run_id=row.id)),
            after_step=after_step,
            until_step=until_step,
            max_points=max_points,
        )
    return MetricsOut(
        series={
            name: CurveOut(steps=[step for step, _ in points], values=[v for _, v in points])
            for name, points in found.items()
        }
    )


@router.post("/runs/{run}/assignments", tags=["labelling"], responses=ABSENT)
def lease_pairs(
    site: SiteDep, visitor: VisitorDep, run: RunName, body: LeaseIn | None = None
) -> Desk:
    """Take pairs to judge: those held already, topped up to `count`.

    Empty while none is ready; `waiting` says why. Ask again every few seconds.
    """
    with site.database.write() as session:
        return desk.lay(
            session,
            run=runs.get_run(session, name=run),
            person_id=visitor.person_id,
            count=(body or LeaseIn()).count,
            lease_seconds=site.settings.lease_seconds,
            now=datetime.now(UTC),
        )


@router.get("/runs/{run}/progress", tags=["labelling"], responses=ABSENT)
def show_progress(site: SiteDep, visitor: VisitorDep, run: RunName) -> ProgressOut:
    """Show one's own progress in a run."""
    with site.database.read() as session:
        row = runs.get_run(session, name=run)
        return desk.progress(
            session, run_id=row.id, person_id=visitor.person_id, now=datetime.now(UTC)
        )


@router.post("/assignments/{assignment}/renew", tags=["labelling"], responses=CLASH)
def renew_lease(site: SiteDep, visitor: VisitorDep, assignment: Id) -> RenewOut:
    """Keep a pair for another while."""
    seconds = site.settings.lease_seconds
    with site.database.write() as session:
        assignments.renew(
            session,
            assignment_id=assignment,
            person_id=visitor.person_id,
            now=datetime.now(UTC),
            seconds=seconds,
        )
    return RenewOut(expires_in=seconds)


@router.post(
    "/assignments/{assignment}/answer",
    tags=["labelling"],
    status_code=201,
    responses={**CLASH, 200: {"model": PreferenceOut, "description": "Stored before; a retry"}},
)
def answer(
    site: SiteDep, visitor: VisitorDep, response: Response, assignment: Id, body: AnswerIn
) -> PreferenceOut:
    """Say which clip is better. Safe to send again with the same key."""
    with site.database.write() as session:
        stored, replayed = desk.answer(
            session,
            assignment_id=assignment,
            person_id=visitor.person_id,
            body=body,
            now=datetime.now(UTC),
        )
    if replayed:
        response.status_code = 200
    return stored


@router.post("/preferences/{preference}/withdraw", tags=["labelling"], responses=CLASH)
def withdraw(site: SiteDep, visitor: VisitorDep, preference: Id, body: WithdrawIn) -> WithdrawOut:
    """Take an answer back; its pair comes again, with the same sides."""
    with site.database.write() as session:
        return desk.withdraw(
            session,
            preference_id=preference,
            person_id=visitor.person_id,
            submission_key=body.submission_key,
            lease_seconds=site.settings.lease_seconds,
            now=datetime.now(UTC),
        )


def _run_out(run: Run, labels: int) -> RunOut:
    return RunOut(
        name=run.name,
        environment=run.environment,
        goal=run.goal,
        state=run.state,
        reason=run.reason,
        activity=run.activity,
        iteration=run.iteration,
        steps=run.steps,
        total_steps=run.total_steps,
        steps_per_second=run.steps_per_second,
        labels=labels,
        label_budget=run.label_budget,
        heartbeat_at=run.heartbeat_at,
        created_at=run.created_at,
    )
