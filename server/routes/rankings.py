"""Clips in order, from which preferences follow: a page to put them so, and the JSON API."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated

from fastapi import APIRouter, Request, Response
from pydantic import BaseModel, Field

from server import panels
from server.errors import NotFound
from server.models import Segment
from server.pages import render
from server.rankings import RankingKind
from server.routes.api import ABSENT, CLASH, REFUSALS
from server.routes.media import video_response
from server.schemas import MAX_ROW, Body, Id, RunName, SubmissionKey
from server.site import SiteDep, VisitorDep
from server.store import audit, rankings, runs

router = APIRouter()
api = APIRouter(prefix="/api/v1", responses=REFUSALS, tags=["rankings"])

Clip = Annotated[int, Field(ge=1, le=MAX_ROW)]
Tied = Annotated[list[Clip], Field(min_length=1, max_length=rankings.MOST_CLIPS)]
Places = Annotated[list[Tied], Field(min_length=1, max_length=rankings.MOST_CLIPS)]


class RankingIn(Body):
    """An order over clips."""

    places: Places = Field(description="ids of clips, the best first; those of one place are tied")
    submission_key: SubmissionKey


class RankingOut(BaseModel):
    """A stored order."""

    id: int
    kind: RankingKind
    places: list[list[int]]
    preferences: int
    withdrawn: bool = Field(description="taken back: its preferences no longer count")
    created_at: datetime


class RankableOut(BaseModel):
    """A clip that can be ranked."""

    id: int
    clip: str


@api.get("/runs/{run}/rankings", responses=ABSENT)
def list_rankings(site: SiteDep, run: RunName) -> list[RankingOut]:
    """List a run's rankings, newest first."""
    with site.database.read() as session:
        row = runs.get_run(session, name=run)
        return [_out(found) for found in rankings.list_rankings(session, run_id=row.id)]


@api.get("/runs/{run}/rankable", responses=ABSENT)
def list_rankable(site: SiteDep, run: RunName) -> list[RankableOut]:
    """Offer the newest clips of a run for ranking, one of each trajectory."""
    with site.database.read() as session:
        row = runs.get_run(session, name=run)
        found = rankings.rankable(session, run_id=row.id)
    return [RankableOut(id=one.id, clip=f"/media/clips/{one.id}.mp4") for one in found]


@api.post(
    "/runs/{run}/rankings",
    status_code=201,
    responses={**CLASH, 200: {"model": RankingOut, "description": "Stored before; a retry"}},
)
def rank_clips(
    site: SiteDep, visitor: VisitorDep, response: Response, run: RunName, body: RankingIn
) -> RankingOut:
    """Put clips into order; every two of them become a preference."""
    now = datetime.now(UTC)
    with site.database.write() as session:
        row = runs.get_run(session, name=run)
        stored, replayed = rankings.rank_clips(
            session,
            run_id=row.id,
            person_id=visitor.person_id,
            places=body.places,
            iteration=row.iteration,
            submission_key=body.submission_key,
            now=now,
        )
        if not replayed:
            subject = f"{row.name}, ranking {stored.ranking.id}"
            audit.note(
                session, person_id=visitor.person_id, action="rank", subject=subject, now=now
            )
        result = _out(stored)
    if replayed:
        response.status_code = 200
    return result


@api.post("/runs/{run}/rankings/{ranking}/withdraw", responses=ABSENT)
def withdraw_ranking(site: SiteDep, visitor: VisitorDep, run: RunName, ranking: Id) -> RankingOut:
    """Take back one's own order; its preferences no longer count. Twice is as good as once."""
    now = datetime.now(UTC)
    with site.database.write() as session:
        row = runs.get_run(session, name=run)
        found, again = rankings.withdraw_ranking(
            session, run_id=row.id, ranking_id=ranking, person_id=visitor.person_id, now=now
        )
        if not again:
            subject = f"{row.name}, ranking {ranking} taken back"
            audit.note(
                session, person_id=visitor.person_id, action="rank", subject=subject, now=now
            )
        return _out(found)


@router.get("/runs/{name}/rank", include_in_schema=False)
def rank_page(request: Request, site: SiteDep, name: str) -> Response:
    """The newest clips, to be put into order."""
    with site.database.read() as session:
        run = runs.get_run(session, name=name)
        standing = panels.read_standing(session, run=run, now=datetime.now(UTC))
        clips = rankings.rankable(session, run_id=run.id)
        made = sum(
            one.ranking.kind is RankingKind.PERSON and not one.withdrawn
            for one in rankings.list_rankings(session, run_id=run.id)
        )
    context = {"tab": "rank", "run_name": run.name, "run": run, "standing": standing}
    context |= {"clips": clips, "made": made}
    return render(request, "runs/rank.html", context)


@router.get("/media/clips/{clip}.mp4", include_in_schema=False)
def segment_clip(request: Request, site: SiteDep, clip: Id) -> Response:
    """Send the clip of a segment, or a part of it."""
    with site.database.read() as session:
        row = session.get(Segment, clip)
        artifact = None if row is None else row.clip
    if artifact is None:
        raise NotFound("there is no such clip, or it is not made yet")
    return video_response(request, site.artifacts, artifact, tag=artifact[:16], forever=False)


def _out(found: rankings.Ranked) -> RankingOut:
    row = found.ranking
    return RankingOut(
        id=row.id,
        kind=row.kind,
        places=found.places,
        preferences=row.preferences,
        withdrawn=found.withdrawn,
        created_at=row.created_at,
    )
