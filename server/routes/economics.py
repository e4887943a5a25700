"""For researchers: what a run's labels cost, and what they bring."""

from __future__ import annotations

from datetime import UTC, datetime

from fastapi import APIRouter, Request
from starlette.responses import Response

from server import economics, panels, plots
from server.pages import render
from server.site import SiteDep
from server.store import runs, worth

router = APIRouter(include_in_schema=False)

TELLING = 10
"""Answers in the list of those that told most."""


@router.get("/runs/{name}/labels")
def labels_page(request: Request, site: SiteDep, name: str) -> Response:
    """Time spent, accuracy against labels, what the next ones are expected to bring."""
    with site.database.read() as s:
        run = runs.get_run(s, name=name)
        now = datetime.now(UTC)
        standing = panels.read_standing(s, run=run, now=now)
        labels = panels.read_labels(s, run=run, now=now)
        answers, seconds = worth.person_seconds(s, run_id=run.id)
        fits = worth.fits(s, run_id=run.id)
        judged = worth.judged(s, run_id=run.id)
    outlook = economics.outlook(fits)
    context = {
        "tab": "labels",
        "run_name": run.name,
        "standing": standing,
        "labels": labels,
        "answers": answers,
        "seconds": seconds,
        "fits": fits,
        "outlook": outlook,
        "next": economics.NEXT,
        "least": economics.LEAST_FITS,
        "plot": _plot(fits, outlook),
        "worth": economics.worth(judged),
        "telling": economics.most_telling(judged, TELLING),
    }
    return render(request, "runs/labels.html", context)


def _plot(fits: list[economics.Fitted], outlook: economics.Outlook | None) -> plots.Plot | None:
    if not fits:
        return None
    last = max(one.labels for one in fits)
    return plots.shares_by_count(
        [(one.labels, one.accuracy) for one in fits],
        None if outlook is None else outlook.curve.at,
        until=last + economics.NEXT,
    )
