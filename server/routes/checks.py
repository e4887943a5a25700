"""The JSON API by which researchers check labellers: gold pairs, scores, pauses."""

from __future__ import annotations

from datetime import UTC, datetime

from fastapi import APIRouter

from server.models import Answer
from server.routes.api import ABSENT, CLASH, REFUSALS
from server.schemas import GoldIn, GoldOut, Id, LabellerIn, LabellerOut, RunName
from server.site import SiteDep, VisitorDep
from server.store import audit, gold, runs

router = APIRouter(prefix="/api/v1", tags=["checks"], responses=REFUSALS)


@router.put("/runs/{run}/queries/{query}/gold", responses=CLASH)
def set_gold(site: SiteDep, visitor: VisitorDep, run: RunName, query: Id, body: GoldIn) -> GoldOut:
    """Mark a pair as gold with its known answer, or as an ordinary one again.

    Ordinary answers given before stay labels; later ones only tell how people answer.
    """
    answer = None if body.answer is None else Answer(body.answer)
    now = datetime.now(UTC)
    with site.database.write() as session:
        row = runs.get_run(session, name=run)
        marked = gold.set_gold(session, run_id=row.id, query_id=query, answer=answer)
        audit.note(
            session,
            person_id=visitor.person_id,
            action="mark gold" if answer else "unmark gold",
            subject=f"{run}: query {query}",
            now=now,
        )
        return GoldOut(query=marked.id, gold=marked.gold)


@router.get("/runs/{run}/labellers", responses=ABSENT)
def list_labellers(site: SiteDep, run: RunName) -> list[LabellerOut]:
    """List everybody who has labelled a run, and how they answer gold pairs."""
    with site.database.read() as session:
        row = runs.get_run(session, name=run)
        return [
            LabellerOut(
                person=person.id,
                name=person.name,
                gold_right=score.right,
                gold_given=score.given,
                paused_at=paused_at,
            )
            for person, score, paused_at in gold.labellers(session, run_id=row.id)
        ]


@router.put("/runs/{run}/labellers/{person}", status_code=204, responses=ABSENT)
def set_labeller(
    site: SiteDep, visitor: VisitorDep, run: RunName, person: Id, body: LabellerIn
) -> None:
    """Pause somebody's labelling of a run, or let them go on with their gold score afresh."""
    now = datetime.now(UTC)
    with site.database.write() as session:
        row = runs.get_run(session, name=run)
        if body.paused:
            gold.pause(session, run_id=row.id, person_id=person, now=now)
        else:
            gold.unpause(session, run_id=row.id, person_id=person)
        audit.note(
            session,
            person_id=visitor.person_id,
            action="pause labeller" if body.paused else "let labeller go on",
            subject=f"{run}: person {person}",
            now=now,
        )
