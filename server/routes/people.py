"""For researchers: the people of a run, what their answers tell, and whether these count."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated

from fastapi import APIRouter, Form, Query, Request
from sqlalchemy.orm import Session
from starlette.responses import RedirectResponse, Response

from server.errors import NotFound
from server.models import Run
from server.pages import render
from server.roster import exclude, pause, read_roster
from server.schemas import Id
from server.site import SiteDep, VisitorDep
from server.store import judgements, runs

router = APIRouter(prefix="/people", include_in_schema=False)

RunChoice = Annotated[str | None, Query(max_length=80)]


@router.get("")
def people_page(request: Request, site: SiteDep, run: RunChoice = None) -> Response:
    """Everybody who has labelled a run; the newest run that people labelled unless one is named."""
    with site.database.read() as s:
        names, row = judgements.labelled_runs(s), _run(s, run)
        roster = read_roster(s, run=row) if row else None
    names = names if row is None or row.name in names else [row.name, *names]
    return render(
        request,
        "people/people.html",
        {"runs": names, "run_name": row.name if row else None, "roster": roster},
    )


@router.get("/{person}")
def person_page(request: Request, site: SiteDep, person: Id, run: RunChoice = None) -> Response:
    """One person in a run."""
    with site.database.read() as s:
        row = _run(s, run)
        entry = read_roster(s, run=row).of(person) if row else None
    if row is None or entry is None:
        raise NotFound(f"person {person} has answered nothing{f' in {row.name}' if row else ''}")
    return render(request, "people/person.html", {"run_name": row.name, "entry": entry})


@router.post("/{person}/exclusion")
def change_exclusion(
    site: SiteDep,
    visitor: VisitorDep,
    person: Id,
    run: Annotated[str, Form(max_length=80)],
    excluded: Annotated[bool, Form()],
    alone: Annotated[bool, Form()] = False,
) -> Response:
    """Leave somebody's answers out of a run, or take them in again; then show the page anew.

    `alone` says that it was the page of that person, not that of all.
    """
    with site.database.write() as s:
        row = runs.get_run(s, name=run)
        exclude(
            s,
            run=row,
            person_id=person,
            excluded=excluded,
            by_id=visitor.person_id,
            now=datetime.now(UTC),
        )
    return _anew(person, row.name, alone=alone)


@router.post("/{person}/pause")
def change_pause(
    site: SiteDep,
    visitor: VisitorDep,
    person: Id,
    run: Annotated[str, Form(max_length=80)],
    paused: Annotated[bool, Form()],
    alone: Annotated[bool, Form()] = False,
) -> Response:
    """Give somebody no more pairs of a run, or let them go on; then show the page anew."""
    with site.database.write() as s:
        row = runs.get_run(s, name=run)
        pause(
            s,
            run=row,
            person_id=person,
            paused=paused,
            by_id=visitor.person_id,
            now=datetime.now(UTC),
        )
    return _anew(person, row.name, alone=alone)


def _anew(person: int, run: str, *, alone: bool) -> Response:
    """The page of that person if it was `alone` on it, else that of all."""
    page = f"/people/{person}" if alone else "/people"
    return RedirectResponse(f"{page}?run={run}", status_code=303)


def _run(s: Session, name: str | None) -> Run | None:
    """The run of that name, or the newest one that people labelled, or none.

    Raises:
        NotFound: there is none of that name.
    """
    if name is None:
        name = next(iter(judgements.labelled_runs(s)), None)
    return runs.get_run(s, name=name) if name else None
