"""Clips, by assignment: whoever may see the pair may see its clips, and nobody learns more."""

from __future__ import annotations

import re
from typing import Literal

from fastapi import APIRouter, Request
from starlette.responses import Response

from server.artifacts import Artifacts
from server.desk import clip_tag
from server.errors import ArtifactMissing, NotFound
from server.schemas import Id
from server.site import SiteDep, VisitorDep
from server.store import labelling, trajectories, versions

router = APIRouter()

_RANGE = re.compile(r"bytes=(\d{1,18}-\d{0,18}|-\d{1,18})", re.ASCII)


@router.get("/media/assignments/{assignment}/{side}.mp4", include_in_schema=False)
def assignment_clip(
    request: Request,
    site: SiteDep,
    visitor: VisitorDep,
    assignment: Id,
    side: Literal["left", "right"],
    v: str = "",
) -> Response:
    """Send one clip of a pair, or a part of it."""
    with site.database.glance() as connection:
        clip = labelling.shown_clip(
            connection, assignment_id=assignment, person_id=visitor.person_id, side=side
        )
    if clip.artifact is None:
        raise NotFound("the clip is not made yet; try again in a few seconds")
    tag = clip_tag(assignment, side, clip.artifact)
    try:
        return video_response(request, site.artifacts, clip.artifact, tag=tag, forever=v == tag)
    except ArtifactMissing as error:
        # Nobody can judge this pair: it must not come up again.
        with site.database.write() as session:
            trajectories.clip_failed(session, segment_id=clip.segment_id)
        raise NotFound("this clip is gone; the pair is set aside") from error


@router.get("/media/assignments/{assignment}/agent/{side}.mp4", include_in_schema=False)
def assignment_agent_view(
    request: Request,
    site: SiteDep,
    visitor: VisitorDep,
    assignment: Id,
    side: Literal["left", "right"],
    v: str = "",
) -> Response:
    """Send one clip of a pair as the agent sees it, or a part of it."""
    with site.database.glance() as connection:
        clip = labelling.shown_clip(
            connection, assignment_id=assignment, person_id=visitor.person_id, side=side
        )
    if not clip.agent:
        raise NotFound("there is no agent's view of this clip, or it is not made yet")
    tag = clip_tag(assignment, f"agent/{side}", clip.agent)
    return video_response(request, site.artifacts, clip.agent, tag=tag, forever=v == tag)


@router.get("/media/checkpoints/{checkpoint}.mp4", include_in_schema=False)
def checkpoint_video(request: Request, site: SiteDep, checkpoint: Id) -> Response:
    """Send the video of a checkpoint's agent, or a part of it."""
    with site.database.read() as session:
        video = versions.get_video(session, checkpoint_id=checkpoint)
    return video_response(request, site.artifacts, video, tag=video[:16], forever=False)


def video_response(
    request: Request, artifacts: Artifacts, artifact: str, *, tag: str, forever: bool
) -> Response:
    """Answer a request for an MP4: whole, a range (206), unchanged (304) or no such range (416).

    Args:
        request: read for Range, If-Range and If-None-Match.
        artifacts: where the video is.
        artifact: its name there.
        tag: the ETag; need not be the artifact's name.
        forever: the address names this content, so that a browser may keep it.

    Raises:
        ArtifactMissing: the video is gone.
    """
    etag = f'"{tag}"'
    headers = {
        "ETag": etag,
        "Accept-Ranges": "bytes",
        "Cache-Control": "private, max-age=86400, immutable" if forever else "private, no-cache",
    }
    if request.headers.get("if-none-match") == etag:
        return Response(status_code=304, headers=headers)
    size = artifacts.size(artifact)
    wanted = request.headers.get("range", "")
    if request.headers.get("if-range", etag) != etag:
        wanted = ""
    span = _span(wanted, size)
    if span is None:
        headers["Content-Range"] = f"bytes */{size}"
        return Response(status_code=416, headers=headers)
    start, end = span
    with artifacts.open(artifact) as file:
        file.seek(start)
        content = file.read(end - start)
    status = 200
    if _asks_for_part(wanted):
        status = 206
        headers["Content-Range"] = f"bytes {start}-{end - 1}/{size}"
    return Response(content, status_code=status, headers=headers, media_type="video/mp4")


def _span(wanted: str, size: int) -> tuple[int, int] | None:
    """Bytes to send, the end excluded; all for no or several ranges (RFC 9110, 14.2); None: 416."""
    if not _asks_for_part(wanted):
        return 0, size
    first, _, last = wanted.removeprefix("bytes=").partition("-")
    if first == "":
        start, end = max(0, size - int(last)), size
    else:
        start, end = int(first), min(size, int(last) + 1 if last else size)
    return (start, end) if start < end else None


def _asks_for_part(wanted: str) -> bool:
    return _RANGE.fullmatch(wanted) is not None
