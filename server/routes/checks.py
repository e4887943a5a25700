"""The JSON API by which researchers check labellers: gold pairs, scores, pauses."""

from __future__ import annotations

from datetime import UTC, datetime

from fastapi import APIRouter

from server.models import Answer
from server.roster import Entry, exclude, pause, read_roster
from server.routes.api import ABSENT, CLASH, REFUSALS
from server.schemas import (
    AgreementOut,
    ExclusionIn,
    GoldIn,
    GoldOut,
    Id,
    LabellerIn,
    LabellerOut,
    RunName,
)
from server.site import SiteDep, VisitorDep
from server.store import gold, runs

router = APIRouter(prefix="/api/v1", tags=["checks"], responses=REFUSALS)


@router.put("/runs/{run}/queries/{query}/gold", responses=CLASH)
def set_gold(site: SiteDep, visitor: VisitorDep, run: RunName, query: Id, body: GoldIn) -> GoldOut:
    """Mark a pair as gold with its known answer, or as an ordinary one again.

    Ordinary answers given before stay labels; later ones only tell how people answer.
    """
    answer = None if body.answer is None else Answer(body.answer)
    with site.database.write() as session:
        row = runs.get_run(session, name=run)
        marked = gold.mark(
            session,
            run=row,
            query_id=query,
            answer=answer,
            by_id=visitor.person_id,
            now=datetime.now(UTC),
        )
        return GoldOut(query=marked.id, gold=marked.gold)


@router.get("/runs/{run}/labellers", responses=ABSENT)
def list_labellers(site: SiteDep, run: RunName) -> list[LabellerOut]:
    """List everybody who has labelled a run, and what their answers tell of them."""
    with site.database.read() as session:
        row = runs.get_run(session, name=run)
        return [_labeller_out(entry) for entry in read_roster(session, run=row).entries]


@router.put("/runs/{run}/labellers/{person}/exclusion", status_code=204, responses=ABSENT)
def set_exclusion(
    site: SiteDep, visitor: VisitorDep, run: RunName, person: Id, body: ExclusionIn
) -> None:
    """Leave somebody's answers out of what a run learns from, or take them in again.

    The answers stay stored; the next fit of the reward model follows.
    """
    with site.database.write() as session:
        exclude(
            session,
            run=runs.get_run(session, name=run),
            person_id=person,
            excluded=body.excluded,
            by_id=visitor.person_id,
            now=datetime.now(UTC),
        )


@router.put("/runs/{run}/labellers/{person}", status_code=204, responses=ABSENT)
def set_labeller(
    site: SiteDep, visitor: VisitorDep, run: RunName, person: Id, body: LabellerIn
) -> None:
    """Pause somebody's labelling of a run, or let them go on with their gold score afresh."""
    with site.database.write() as session:
        pause(
            session,
            run=runs.get_run(session, name=run),
            person_id=person,
            paused=body.paused,
            by_id=visitor.person_id,
            now=datetime.now(UTC),
        )


def _labeller_out(entry: Entry) -> LabellerOut:
    notes, trust = entry.notes, entry.trust
    alpha = notes.others.alpha if notes else None
    return LabellerOut(
        person=entry.person.id,
        name=entry.person.name,
        answers=notes.answers if notes else 0,
        labels=notes.labels if notes else 0,
        median_seconds=notes.median_seconds if notes else None,
        answers_per_minute=notes.per_minute if notes else None,
        agreement=notes.others.raw if notes else None,
        alpha=AgreementOut(alpha=alpha.value, low=alpha.low, high=alpha.high, answers=alpha.n)
        if alpha
        else None,
        gold_right=entry.gold.right,
        gold_given=entry.gold.given,
        repeats_same=notes.repeats.part if notes else 0,
        repeats_given=notes.repeats.whole if notes else 0,
        left_share=notes.left.value if notes else None,
        tie_share=notes.ties.value if notes else None,
        incomparable_share=notes.cannot_tell.value if notes else None,
        one_coin=trust.one_coin if trust else None,
        crowd_bt=trust.crowd_bt if trust else None,
        learned=trust.learned if trust else None,
        excluded_at=entry.excluded_at,
        paused_at=entry.paused_at,
    )
