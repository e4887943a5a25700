"""The JSON API of what a labeller does besides answering: skip, correct, look back, look closer."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated

from fastapi import APIRouter, Query, Response

from server import desk
from server.routes.api import ABSENT, CLASH, REFUSALS
from server.schemas import (
    MAX_ROW,
    AgentViewOut,
    AnswerIn,
    HistoryEntry,
    Id,
    PreferenceOut,
    RunName,
)
from server.site import SiteDep, VisitorDep
from server.store import assignments, runs

router = APIRouter(prefix="/api/v1", tags=["labelling"], responses=REFUSALS)


@router.post("/assignments/{assignment}/skip", status_code=204, responses=CLASH)
def skip(site: SiteDep, visitor: VisitorDep, assignment: Id) -> None:
    """Pass a pair over, where the run allows it."""
    with site.database.write() as session:
        assignments.skip(
            session,
            assignment_id=assignment,
            person_id=visitor.person_id,
            now=datetime.now(UTC),
        )


@router.post("/assignments/{assignment}/agent-view", responses=ABSENT)
def show_agent_view(site: SiteDep, visitor: VisitorDep, assignment: Id) -> AgentViewOut:
    """Have the pair made in the agent's view; ask again until it is ready."""
    with site.database.write() as session:
        return desk.agent_view(session, assignment_id=assignment, person_id=visitor.person_id)


@router.get("/runs/{run}/history", responses=ABSENT)
def show_history(
    site: SiteDep,
    visitor: VisitorDep,
    run: RunName,
    limit: Annotated[int, Query(ge=1, le=200)] = 50,
    before: Annotated[int | None, Query(ge=1, le=MAX_ROW)] = None,
) -> list[HistoryEntry]:
    """List one's own answers that count, newest first; `before` an id for older ones."""
    with site.database.read() as session:
        row = runs.get_run(session, name=run)
        return desk.history(
            session, run_id=row.id, person_id=visitor.person_id, limit=limit, before=before
        )


@router.post(
    "/preferences/{preference}/correct",
    status_code=201,
    responses={**CLASH, 200: {"model": PreferenceOut, "description": "Stored before; a retry"}},
)
def correct(
    site: SiteDep, visitor: VisitorDep, response: Response, preference: Id, body: AnswerIn
) -> PreferenceOut:
    """Answer a pair anew; the old answer stays, but counts no longer."""
    with site.database.write() as session:
        stored, replayed = desk.correct(
            session,
            preference_id=preference,
            person_id=visitor.person_id,
            body=body,
            now=datetime.now(UTC),
        )
    if replayed:
        response.status_code = 200
    return stored
