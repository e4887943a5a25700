"""The reward explorer: pages about any trajectory, and the API by which a worker is asked."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query, Request, Response
from pydantic import BaseModel, Field
from sqlalchemy.orm import Session

from server import panels
from server.artifacts import Artifacts
from server.errors import ArtifactDamaged, ArtifactMissing, Invalid, NotFound
from server.extremes import Extremes, find_extremes
from server.inspections import Aspect, Inspection, Method
from server.models import RewardModel
from server.pages import render
from server.routes.api import ABSENT, REFUSALS
from server.routes.media import video_response
from server.schemas import MAX_ROW, Body, Id, RunName
from server.site import SiteDep
from server.store import explorations, inspections, runs, versions
from server.store.explorations import Viewed
from server.store.inspections import Wanted

LINES = 30
"""Trajectories on one page."""
ANSWERS = 5000
"""Newest answers that are compared with what a version makes of their pairs."""
PARTS = 50
"""Segments of one trajectory that are listed."""

router = APIRouter(include_in_schema=False)
api = APIRouter(prefix="/api/v1", responses=REFUSALS, tags=["explorer"])

Row = Annotated[int, Field(ge=1, le=MAX_ROW)]
Number = Annotated[int | None, Query(ge=1, le=MAX_ROW)]
BUSY: dict[int | str, dict[str, Any]] = {
    **ABSENT,
    429: {"model": REFUSALS[400]["model"], "description": "Too much is asked already"},
}

_OF_A_MODEL = (Aspect.REWARDS, Aspect.SALIENCY, Aspect.SEGMENTS)
_VIDEOS = (Aspect.FILM, Aspect.AGENT_VIEW)


class InspectionIn(Body):
    """What to find out, of a trajectory or of the episode that a checkpoint's video shows."""

    aspect: Aspect
    trajectory: Row | None = Field(None, description="a stored trajectory of the run")
    checkpoint: Row | None = Field(None, description="whose episode; instead of a trajectory")
    version: Row | None = Field(None, description="of the reward model; none = the newest")
    method: Method | None = Field(None, description="for saliency only")
    step: int = Field(0, ge=0, le=MAX_ROW, description="the frame, for saliency only")
    again: bool = Field(
        False,
        description="ask once more for what could not be found out; of segments, look at more",
    )


class InspectionOut(BaseModel):
    """Something to be found out, and how far that is."""

    id: int
    aspect: Aspect
    version: int = Field(description="of the reward model; 0 where it does not depend on one")
    state: Literal["waiting", "working", "done", "refused"]
    reason: str = Field(description="why it cannot be found out; else empty")
    content: str | None = Field(description="where the result is, once it is there")


@api.post("/runs/{run}/inspections", responses=BUSY)
def inspect(site: SiteDep, run: RunName, body: InspectionIn) -> InspectionOut:
    """Have a learner find something out; what was asked before is there at once."""
    now = datetime.now(UTC)
    with site.database.read() as session:
        wanted = _wanted(session, runs.get_run(session, name=run).id, body)
    with site.database.write() as session:
        found = inspections.ask(session, wanted, now=now)
        gone = found.result is not None and not site.artifacts.exists(found.result)
        more = body.aspect is Aspect.SEGMENTS and found.done_at is not None
        if gone or (body.again and (found.reason or more)):
            going_on = more and not gone
            found = inspections.ask_again(session, inspection_id=found.id, going_on=going_on)
        return _out(found)


@api.get("/inspections/{inspection}", responses=ABSENT)
def show_inspection(site: SiteDep, inspection: Id) -> InspectionOut:
    """Tell how far it is."""
    with site.database.read() as session:
        return _out(inspections.get(session, inspection_id=inspection))


@router.get("/media/inspections/{inspection}")
def inspection_content(request: Request, site: SiteDep, inspection: Id, v: str = "") -> Response:
    """Send what was found: a video, or a part of it, or JSON."""
    with site.database.read() as session:
        found = inspections.get(session, inspection_id=inspection)
    if found.result is None:
        raise NotFound(found.reason or "not found out yet; try again in a few seconds")
    tag = found.result[:16]
    if found.aspect in _VIDEOS:
        return video_response(request, site.artifacts, found.result, tag=tag, forever=v == tag)
    return Response(
        site.artifacts.get(found.result),
        media_type="application/json",
        headers={"Cache-Control": "private, max-age=86400" if v == tag else "private, no-cache"},
    )


@router.get("/runs/{name}/explore")
def explore_page(request: Request, site: SiteDep, name: str, before: Number = None) -> Response:
    """What there is to look at."""
    with site.database.read() as s:
        run = runs.get_run(s, name=name)
        standing = panels.read_standing(s, run=run, now=datetime.now(UTC))
        found = explorations.list_trajectories(s, run_id=run.id, before=before, limit=LINES + 1)
        episodes = explorations.list_episodes(s, run_id=run.id, limit=LINES)
        newest = versions.list_reward_models(s, run_id=run.id)
    context = {"tab": "explore", "run_name": run.name, "standing": standing, "run": run}
    context |= {"trajectories": found[:LINES], "older": len(found) > LINES}
    context |= {"episodes": [] if before else episodes, "versions": newest}
    return render(request, "explore/index.html", context)


@router.get("/runs/{name}/explore/segments")
def segments_page(request: Request, site: SiteDep, name: str, version: Number = None) -> Response:
    """The segments that a version likes most and least, doubts, or judges unlike the answers."""
    with site.database.read() as s:
        run = runs.get_run(s, name=name)
        known = versions.list_reward_models(s, run_id=run.id)
        chosen = _chosen(known, version)
        context = {"tab": "explore", "run_name": run.name, "run": run}
        context["standing"] = panels.read_standing(s, run=run, now=datetime.now(UTC))
        extremes = _extremes(s, site.artifacts, run.id, chosen) if chosen else None
        shown = explorations.segments(s, ids=_ids(extremes)) if extremes else {}
    context |= {"versions": known, "version": chosen, "extremes": extremes, "shown": shown}
    return render(request, "explore/segments.html", context)


@router.get("/runs/{name}/explore/trajectories/{trajectory}")
def trajectory_page(
    request: Request, site: SiteDep, name: str, trajectory: Id, version: Number = None
) -> Response:
    """One stored trajectory: video, rewards, what happened."""
    with site.database.read() as s:
        run_id = runs.get_run(s, name=name).id
        viewed = explorations.read_trajectory(s, run_id=run_id, trajectory_id=trajectory)
        parts = explorations.parts_of(s, trajectory_id=trajectory, limit=PARTS)
        context = _about(s, site.artifacts, name, viewed, version)
    return render(request, "explore/trajectory.html", context | {"parts": parts})


@router.get("/runs/{name}/explore/episodes/{checkpoint}")
def episode_page(
    request: Request, site: SiteDep, name: str, checkpoint: Id, version: Number = None
) -> Response:
    """The episode of a checkpoint's agent on the level on which all are filmed."""
    with site.database.read() as s:
        run_id = runs.get_run(s, name=name).id
        viewed = explorations.read_episode(s, run_id=run_id, checkpoint_id=checkpoint)
        context = _about(s, site.artifacts, name, viewed, version)
    return render(request, "explore/trajectory.html", context | {"parts": []})


def _extremes(
    s: Session, artifacts: Artifacts, run_id: int, version: RewardModel
) -> Extremes | None:
    """What a worker found about a version; None while nobody has asked, or it is lost."""
    wanted = Wanted(run_id, Aspect.SEGMENTS, version=version.version)
    found = inspections.find(s, wanted)
    if found is None or found.result is None:
        return None
    try:
        content = artifacts.get(found.result)
    except (ArtifactMissing, ArtifactDamaged):
        return None
    return find_extremes(content, explorations.decided(s, run_id=run_id, limit=ANSWERS))


def _ids(extremes: Extremes) -> set[int]:
    """All segments that are shown."""
    single = (*extremes.most, *extremes.least, *extremes.uncertain)
    pairs = [one.pair for one in extremes.differing]
    return {one.segment for one in single} | {one.a for one in pairs} | {one.b for one in pairs}


def _about(
    s: Session, artifacts: Artifacts, name: str, viewed: Viewed, version: int | None
) -> dict[str, Any]:
    """What the page of a trajectory shows before anything is found out."""
    run = runs.get_run(s, name=name)
    known = versions.list_reward_models(s, run_id=run.id)
    return {
        "tab": "explore",
        "run_name": run.name,
        "run": run,
        "standing": panels.read_standing(s, run=run, now=datetime.now(UTC)),
        "viewed": viewed,
        "versions": known,
        "version": _chosen(known, version),
        "gone": not artifacts.exists(viewed.artifact),
    }


def _chosen(known: list[RewardModel], version: int | None) -> RewardModel | None:
    """The version asked for, or the newest; None while there is none.

    Raises:
        NotFound: there is no such version.
    """
    if not known or version is None:
        return known[0] if known else None
    found = next((one for one in known if one.version == version), None)
    if found is None:
        raise NotFound(f"no version {version}, only 1 to {known[0].version}")
    return found


def _wanted(s: Session, run_id: int, body: InspectionIn) -> Wanted:
    """What the body asks for, checked against what there is.

    Raises:
        Invalid: what does not go together.
        NotFound: no such trajectory, episode or version.
    """
    version = 0
    if body.aspect in _OF_A_MODEL:
        chosen = _chosen(versions.list_reward_models(s, run_id=run_id), body.version)
        if chosen is None:
            raise NotFound("this run has no reward model yet; it needs answers first")
        version = chosen.version
    if body.aspect is Aspect.SEGMENTS:
        return Wanted(run_id, body.aspect, version=version)
    subject = _subject(s, run_id, body)
    if body.aspect is not Aspect.SALIENCY:
        return Wanted(run_id, body.aspect, subject.artifact, version)
    if body.method is None:
        raise Invalid("say by which method saliency is to be found")
    if subject.steps is not None and body.step >= subject.steps:
        raise Invalid(f"this trajectory has only {subject.steps} steps, counted from 0")
    return Wanted(run_id, body.aspect, subject.artifact, version, body.method, body.step)


def _subject(s: Session, run_id: int, body: InspectionIn) -> Viewed:
    if (body.trajectory is None) == (body.checkpoint is None):
        raise Invalid("name a trajectory or a checkpoint, one of them")
    if body.trajectory is not None:
        return explorations.read_trajectory(s, run_id=run_id, trajectory_id=body.trajectory)
    assert body.checkpoint is not None
    return explorations.read_episode(s, run_id=run_id, checkpoint_id=body.checkpoint)


def _out(found: Inspection) -> InspectionOut:
    state: Literal["waiting", "working", "done", "refused"] = "waiting"
    if found.done_at is not None:
        state = "done" if found.result else "refused"
    elif found.taken_at is not None:
        state = "working"
    there = found.done_at is not None and found.result is not None
    content = f"/media/inspections/{found.id}?v={(found.result or '')[:16]}" if there else None
    return InspectionOut(
        id=found.id,
        aspect=found.aspect,
        version=found.version,
        state=state,
        reason=found.reason,
        content=content,
    )
