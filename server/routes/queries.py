"""For researchers: a run's queries, found by what is odd about them, and each one whole."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Literal

from fastapi import APIRouter, Form, Query, Request
from starlette.responses import RedirectResponse, Response

from server import panels
from server.artifacts import Artifacts
from server.errors import ArtifactMissing, NotFound
from server.models import Answer, QueryState
from server.pages import render
from server.routes.media import video_response
from server.schemas import MAX_ROW, Id
from server.site import SiteDep, VisitorDep
from server.store import accounts, gold, reviews, runs, trajectories, versions
from server.store.reviews import Shown, Which

router = APIRouter(include_in_schema=False)

LINES = 50
"""Queries on one page."""

Number = Annotated[int | None, Query(ge=1, le=MAX_ROW)]


@router.get("/runs/{name}/queries")
def queries_page(
    request: Request,
    site: SiteDep,
    name: str,
    which: Which = Which.ALL,
    person: Number = None,
    before: Number = None,
) -> Response:
    """A run's queries, the newest first."""
    with site.database.read() as s:
        run = runs.get_run(s, name=name)
        standing = panels.read_standing(s, run=run, now=datetime.now(UTC))
        found = reviews.list_queries(
            s, run_id=run.id, which=which, person_id=person, before=before, limit=LINES + 1
        )
        counts = reviews.count_queries(s, run_id=run.id)
        somebody = accounts.get_person(s, person_id=person) if person else None
    context = {"tab": "queries", "run_name": run.name, "standing": standing, "which": which}
    context |= {"queries": found[:LINES], "older": len(found) > LINES}
    context |= {"counts": counts, "person": somebody}
    return render(request, "queries/queries.html", context)


@router.get("/runs/{name}/queries/{query}")
def query_page(request: Request, site: SiteDep, name: str, query: Id) -> Response:
    """One query: both clips, every answer."""
    with site.database.read() as s:
        run = runs.get_run(s, name=name)
        standing = panels.read_standing(s, run=run, now=datetime.now(UTC))
        review = reviews.read_query(s, run_id=run.id, query_id=query)
        known = versions.list_reward_models(s, run_id=run.id)
    gone = [one.segment.id for one in (review.a, review.b) if _is_gone(site.artifacts, one)]
    if gone and review.query.state in (QueryState.OPEN, QueryState.PENDING):
        # Nobody can judge this pair: it must not come up again.
        with site.database.write() as s:
            for segment_id in gone:
                trajectories.clip_failed(s, segment_id=segment_id)
            review = reviews.read_query(s, run_id=run.id, query_id=query)
    context = {"tab": "queries", "run_name": run.name, "standing": standing, "review": review}
    context |= {"gone": gone, "newest": known[0].version if known else None}
    return render(request, "queries/query.html", context)


@router.post("/runs/{name}/queries/{query}/gold")
def mark_gold(
    site: SiteDep,
    visitor: VisitorDep,
    name: str,
    query: Id,
    answer: Annotated[Literal["a", "b", "tie", "none"], Form()],
) -> Response:
    """Mark a query as gold with its known answer, or as an ordinary one again."""
    with site.database.write() as s:
        run = runs.get_run(s, name=name)
        known = None if answer == "none" else Answer(answer)
        gold.mark(
            s,
            run=run,
            query_id=query,
            answer=known,
            by_id=visitor.person_id,
            now=datetime.now(UTC),
        )
    return RedirectResponse(f"/runs/{run.name}/queries/{query}", status_code=303)


@router.get("/media/queries/{query}/{segment}.mp4")
def query_clip(request: Request, site: SiteDep, query: Id, segment: Literal["a", "b"]) -> Response:
    """Send one clip of a query, or a part of it."""
    with site.database.read() as s:
        row = reviews.clip_of(s, query_id=query, which=segment)
    if row.clip is None:
        raise NotFound("the clip is not made yet; try again in a few seconds")
    return video_response(request, site.artifacts, row.clip, tag=row.clip[:16], forever=False)


def _is_gone(artifacts: Artifacts, shown: Shown) -> bool:
    """Whether a clip was made and its file is no longer there."""
    if shown.segment.clip is None:
        return False
    try:
        artifacts.size(shown.segment.clip)
    except ArtifactMissing:
        return True
    return False
