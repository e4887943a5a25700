"""For admins: who has an account, invitations, and the log of what was done."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated

from fastapi import APIRouter, Depends, Form, Query, Request
from sqlalchemy.orm import Session
from starlette.responses import RedirectResponse, Response

from server.access import caller_of, team_only
from server.grants import make_invitation
from server.models import Role
from server.pages import render
from server.schemas import MAX_ID, Id
from server.site import Site, SiteDep, Visitor, VisitorDep
from server.store import accounts, audit, invitations, sessions

router = APIRouter(prefix="/people", include_in_schema=False, dependencies=[Depends(team_only)])

LINES = 100
"""Of the log, on one page."""


@router.get("/accounts")
def accounts_page(request: Request, site: SiteDep) -> Response:
    """Everybody with an account, and open invitations."""
    return _page(request, site)


@router.post("/accounts/{person}/role")
def change_role(
    request: Request,
    site: SiteDep,
    visitor: VisitorDep,
    person: Id,
    role: Annotated[Role, Form()],
) -> Response:
    """Give somebody another role."""
    with site.database.write() as s:
        row = accounts.get_person(s, person_id=person)
        accounts.set_role(s, person=row, role=role)
        _note(s, request, visitor, "changed role", f"{row.name}: {role}")
    return RedirectResponse("/people/accounts", status_code=303)


@router.post("/accounts/{person}/active")
def change_active(
    request: Request,
    site: SiteDep,
    visitor: VisitorDep,
    person: Id,
    active: Annotated[bool, Form()],
) -> Response:
    """Let somebody in no longer, or again; their answers stay, their tokens and logins rest."""
    now = datetime.now(UTC)
    with site.database.write() as s:
        row = accounts.get_person(s, person_id=person)
        accounts.set_active(s, person=row, active=active)
        if not active:
            sessions.end_all(s, person_id=row.id, now=now)
        _note(s, request, visitor, "reactivated" if active else "deactivated", row.name)
    return RedirectResponse("/people/accounts", status_code=303)


@router.post("/invitations")
def invite(
    request: Request, site: SiteDep, visitor: VisitorDep, role: Annotated[Role, Form()]
) -> Response:
    """Make an invitation; the page shows its link this once."""
    key = make_invitation(
        site.database,
        site.settings,
        role=role,
        by_id=visitor.person_id,
        address=caller_of(request).address,
    )
    return _page(request, site, link=f"{request.base_url}join#{key}")


@router.post("/invitations/{invitation}/withdraw")
def withdraw(request: Request, site: SiteDep, visitor: VisitorDep, invitation: Id) -> Response:
    """Take an invitation back."""
    with site.database.write() as s:
        row = invitations.withdraw(s, invitation_id=invitation, now=datetime.now(UTC))
        _note(s, request, visitor, "withdrew invitation", row.role)
    return RedirectResponse("/people/accounts", status_code=303)


@router.get("/audit")
def audit_page(
    request: Request, site: SiteDep, before: Annotated[int | None, Query(ge=1, le=MAX_ID)] = None
) -> Response:
    """Who did what, newest first."""
    with site.database.read() as s:
        entries = audit.read(s, limit=LINES, before=before)
    older = entries[-1].id if len(entries) == LINES else None
    return render(request, "access/audit.html", {"entries": entries, "older": older})


def _note(s: Session, request: Request, visitor: Visitor, action: str, subject: str) -> None:
    audit.note(
        s,
        person_id=visitor.person_id,
        action=action,
        subject=subject,
        address=caller_of(request).address,
        now=datetime.now(UTC),
    )


def _page(request: Request, site: Site, *, link: str = "") -> Response:
    with site.database.read() as s:
        context = {
            "people": accounts.list_accounts(s),
            "invitations": invitations.list_open(s, now=datetime.now(UTC)),
            "roles": list(Role),
            "link": link,
        }
    return render(request, "access/accounts.html", context)
