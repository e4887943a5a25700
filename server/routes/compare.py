"""Several runs side by side."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Annotated, Any
from urllib.parse import urlencode

from fastapi import APIRouter, Query, Request
from sqlalchemy.orm import Session
from starlette.responses import Response, StreamingResponse

from server import comparison, contrast, pictures
from server.errors import NotFound
from server.models import Run
from server.pages import render
from server.site import SiteDep
from server.store import runs
from server.store.metrics import Point

router = APIRouter(include_in_schema=False)

MOST_RUNS = 40
"""Runs on one page; more would be a page that nobody reads."""

Names = Annotated[list[str], Query(alias="run", max_length=400, default_factory=list)]
Metric = Annotated[str, Query(max_length=100, pattern=r"^[^\x00]+$")]
Step = Annotated[int | None, Query(ge=0, le=2**63 - 1)]


@dataclass(frozen=True)
class _Found:
    """The runs that were asked for, and the names that no run has."""

    rows: list[Run]
    missing: list[str]


@router.get("/compare")
def compare_page(
    request: Request,
    site: SiteDep,
    names: Names,
    metric: Metric = contrast.DEFAULT,
    step: Step = None,
) -> Response:
    """Curves by config, averages over seeds, configs, videos at the same step."""
    wanted = list(dict.fromkeys(names))
    with site.database.read() as s:
        everything = [(row.run.name, row.run.environment) for row in runs.list_runs(s)]
        found = _find(s, wanted)
        shown = contrast.read_contrast(s, rows=found.rows, metric=metric, step=step)
    context: dict[str, Any] = {
        "everything": everything,
        "wanted": wanted,
        "missing": found.missing,
        "beyond": wanted[MOST_RUNS:],
        "most": MOST_RUNS,
        "shown": shown,
        "offered": list(dict.fromkeys((metric, *contrast.OFFERED))),
        "curves": pictures.mean_curves(shown),
        "profiles": pictures.profiles(shown),
        "resamples": comparison.RESAMPLES,
        "csv": urlencode([*(("run", run.name) for run in found.rows), ("metric", metric)]),
        "linked": True,
        "sources": {
            one.run: f"/media/checkpoints/{one.checkpoint}.mp4"
            for one in shown.videos
            if one.checkpoint is not None
        },
    }
    return render(request, "compare/compare.html", context)


@router.get("/compare.csv")
def compare_csv(site: SiteDep, names: Names, metric: Metric = contrast.DEFAULT) -> Response:
    """One figure of some runs, each curve thinned if it is long: a row per run and step."""
    with site.database.read() as s:
        rows = _find(s, list(dict.fromkeys(names))).rows
        curves = [(run.name, contrast.read_curve(s, run, metric)) for run in rows]
    return StreamingResponse(
        _csv(metric, curves),
        media_type="text/csv; charset=utf-8",
        headers={
            "Content-Disposition": 'attachment; filename="compare.csv"',
            "Cache-Control": "no-store",
        },
    )


def _find(s: Session, names: Sequence[str]) -> _Found:
    rows, missing = [], []
    for name in names[:MOST_RUNS]:
        try:
            rows.append(runs.get_run(s, name=name))
        except NotFound:
            missing.append(name)
    return _Found(rows, missing)


def _csv(metric: str, curves: Sequence[tuple[str, Sequence[Point]]]) -> Iterator[str]:
    line = io.StringIO()
    writer = csv.writer(line)
    writer.writerow(["run", "step", metric])
    for name, points in curves:
        writer.writerows((name, step, value) for step, value in points)
        yield line.getvalue()
        line.seek(0)
        line.truncate()
    yield line.getvalue()
