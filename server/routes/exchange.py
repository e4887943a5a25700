"""Answers and clips out of a run, and answers into it."""

from __future__ import annotations

import tempfile
import zipfile
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Annotated, BinaryIO, cast

from fastapi import APIRouter, Query, Request
from pydantic import BaseModel, Field
from starlette.concurrency import run_in_threadpool
from starlette.responses import Response, StreamingResponse

from server import panels
from server.answer_files import MEDIA_TYPES, Kind, parse, write
from server.artifacts import Artifacts
from server.errors import ArtifactMissing
from server.pages import render
from server.routes.api import ABSENT, REFUSALS
from server.schemas import RunName
from server.site import Site, SiteDep, VisitorDep
from server.store import audit, exchange, runs

IN_MEMORY = 4_000_000
"""Bytes of a file before it goes to the disk."""
CHUNK = 65_536

router = APIRouter(prefix="/api/v1", tags=["exchange"], responses=REFUSALS)
pages = APIRouter(include_in_schema=False)

Wanted = Annotated[Kind, Query(alias="format", description="of the file")]


class Imported(BaseModel):
    """What an import came to."""

    rows: int = Field(description="answers stored")


@router.get(
    "/runs/{run}/preferences",
    response_class=Response,
    responses={**ABSENT, 200: {"content": {kind: {} for kind in MEDIA_TYPES.values()}}},
)
def export_preferences(
    site: SiteDep,
    visitor: VisitorDep,
    run: RunName,
    kind: Wanted = Kind.CSV,
    names: Annotated[bool, Query(description="people's names instead of pseudonyms")] = False,
) -> Response:
    """Export every answer of a run, one row each, as they stood at one moment."""
    file = cast("BinaryIO", tempfile.SpooledTemporaryFile(IN_MEMORY))  # noqa: SIM115
    # Written whole before it is sent: a slow reader must not hold the database's snapshot.
    with site.database.read() as s:
        row = runs.get_run(s, name=run)
        write(exchange.answer_rows(s, run=row, names=names), kind, file)
    if names:
        now, who = datetime.now(UTC), visitor.person_id
        with site.database.write() as s:
            audit.note(s, person_id=who, action="exported with names", subject=run, now=now)
    file.seek(0)
    return _download(_chunks(file), MEDIA_TYPES[kind], f"{run}-preferences.{kind}")


@router.post(
    "/runs/{run}/preferences",
    status_code=201,
    responses=ABSENT,
    openapi_extra={
        "requestBody": {
            "required": True,
            "content": {kind: {"schema": {"type": "string"}} for kind in MEDIA_TYPES.values()},
        }
    },
)
async def import_preferences(
    request: Request, site: SiteDep, visitor: VisitorDep, run: RunName, kind: Wanted = Kind.CSV
) -> Imported:
    """Import answers to pairs of this run's clips; the body is the file. All rows or none."""
    with tempfile.SpooledTemporaryFile(IN_MEMORY) as file:
        async for part in request.stream():
            file.write(part)
        file.seek(0)
        rows = await run_in_threadpool(
            _take_in, site, run, cast("BinaryIO", file), kind, visitor.person_id
        )
    return Imported(rows=rows)


@router.get(
    "/runs/{run}/clips.zip",
    response_class=Response,
    responses={**ABSENT, 200: {"content": {"application/zip": {}}}},
)
def export_clips(site: SiteDep, run: RunName) -> Response:
    """Export every clip of a run: `SEGMENT.mp4`, by the numbers that exported answers name."""
    with site.database.read() as s:
        clips = exchange.clips(s, run_id=runs.get_run(s, name=run).id)
    return _download(zipped(site.artifacts, clips), "application/zip", f"{run}-clips.zip")


@pages.get("/runs/{name}/export")
def export_page(request: Request, site: SiteDep, name: str) -> Response:
    """What can be taken away, and how to bring answers in."""
    with site.database.read() as s:
        run = runs.get_run(s, name=name)
        standing = panels.read_standing(s, run=run, now=datetime.now(UTC))
    context = {"tab": "export", "standing": standing, "run_name": run.name}
    return render(request, "runs/export.html", context)


def _take_in(site: Site, name: str, file: BinaryIO, kind: Kind, person_id: int) -> int:
    with site.database.read() as s:
        runs.get_run(s, name=name)  # else there is nothing to read the file for
    parsed = parse(file, kind)  # before the transaction: others wait to write
    now = datetime.now(UTC)
    with site.database.write() as s:
        run = runs.get_run(s, name=name)
        count = exchange.add_rows(s, run=run, parsed=parsed, now=now)
        audit.note(
            s,
            person_id=person_id,
            action="imported",
            subject=f"{count} answers into {name}",
            now=now,
        )
    return count


def zipped(artifacts: Artifacts, clips: list[tuple[int, str]]) -> Iterator[bytes]:
    """A zip archive, piece by piece; clips that are gone are named in `missing.txt`."""
    out = _Pieces()
    missing = []
    with zipfile.ZipFile(cast("BinaryIO", out), "w", zipfile.ZIP_STORED) as archive:
        for segment, artifact in clips:
            try:
                content = artifacts.get(artifact)
            except ArtifactMissing:
                missing.append(f"{segment}.mp4\n")
                continue
            archive.writestr(f"{segment}.mp4", content)
            yield out.taken()
        if missing:
            archive.writestr("missing.txt", "".join(missing))
    yield out.taken()


class _Pieces:
    """A file that can only be written, and gives away what was."""

    def __init__(self) -> None:
        self._pieces: list[bytes] = []

    def write(self, content: bytes) -> int:
        self._pieces.append(bytes(content))
        return len(content)

    def flush(self) -> None:
        """Nothing is held back."""

    def taken(self) -> bytes:
        """What was written since the last call."""
        whole = b"".join(self._pieces)
        self._pieces.clear()
        return whole


def _chunks(file: BinaryIO) -> Iterator[bytes]:
    with file:
        while chunk := file.read(CHUNK):
            yield chunk


def _download(content: Iterator[bytes], media_type: str, name: str) -> Response:
    headers = {
        "Content-Disposition": f'attachment; filename="{name}"',
        "Cache-Control": "no-store",
    }
    return StreamingResponse(content, media_type=media_type, headers=headers)
