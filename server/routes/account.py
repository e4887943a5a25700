"""One's own account: password, logins, tokens."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Annotated

from fastapi import APIRouter, Depends, Form, Request
from starlette.responses import RedirectResponse, Response

from server import logins
from server.access import caller_of, give_cookie, take_cookie, team_only
from server.errors import ClipwiseError, Invalid
from server.grants import make_token
from server.pages import render
from server.permissions import Scope
from server.schemas import Id
from server.site import Site, SiteDep, Visitor, VisitorDep
from server.store import audit, sessions, tokens

router = APIRouter(include_in_schema=False, dependencies=[Depends(team_only)])

Text = Annotated[str, Form(max_length=500)]


@router.get("/account")
def account_page(request: Request, site: SiteDep, visitor: VisitorDep) -> Response:
    """Who one is, where one is logged in, which tokens there are."""
    return _page(request, site, visitor)


@router.post("/account/password")
def change_password(
    request: Request,
    site: SiteDep,
    visitor: VisitorDep,
    old_password: Text = "",
    new_password: Text = "",
) -> Response:
    """Set another password; every other browser is logged out."""
    try:
        arrival = logins.change_password(
            site.database,
            site.settings,
            name=visitor.name,
            old=old_password,
            new=new_password,
            caller=caller_of(request),
        )
    except ClipwiseError as error:
        # 422, not 401: one is logged in, only the form is wrong.
        status = 422 if error.status == 401 else error.status
        message = "The old password is wrong." if error.status == 401 else error.message
        return _page(request, site, visitor, password_message=message, status=status)
    response = RedirectResponse("/account", status_code=303)
    give_cookie(request, response, site, arrival.key)
    return response


@router.post("/account/tokens")
def create_token(
    request: Request,
    site: SiteDep,
    visitor: VisitorDep,
    name: Text = "",
    scopes: Annotated[Sequence[Scope], Form(max_length=3)] = (),
) -> Response:
    """Make a token; the page shows it this once."""
    try:
        token = make_token(
            site.database,
            site.settings,
            person_id=visitor.person_id,
            role=visitor.role,
            name=name,
            scopes=scopes,
            by_id=visitor.person_id,
            address=caller_of(request).address,
        )
    except Invalid as error:
        return _page(request, site, visitor, token_message=error.message, status=422)
    return _page(request, site, visitor, new_token=token)


@router.post("/account/tokens/{token}/revoke")
def revoke_token(request: Request, site: SiteDep, visitor: VisitorDep, token: Id) -> Response:
    """Let one's token work no longer."""
    now = datetime.now(UTC)
    with site.database.write() as s:
        row = tokens.revoke(s, token_id=token, person_id=visitor.person_id, now=now)
        audit.note(
            s,
            person_id=visitor.person_id,
            action="revoked token",
            subject=row.prefix,
            address=caller_of(request).address,
            now=now,
        )
    return RedirectResponse("/account#tokens", status_code=303)


@router.post("/account/sessions/revoke")
def log_out_everywhere(request: Request, site: SiteDep, visitor: VisitorDep) -> Response:
    """End every login of one's own, this one too."""
    now = datetime.now(UTC)
    with site.database.write() as s:
        sessions.end_all(s, person_id=visitor.person_id, now=now)
        audit.note(
            s,
            person_id=visitor.person_id,
            action="logged out everywhere",
            address=caller_of(request).address,
            now=now,
        )
    response = RedirectResponse("/login", status_code=303)
    take_cookie(request, response)
    return response


@router.post("/account/sessions/{session}/revoke")
def log_out_one(request: Request, site: SiteDep, visitor: VisitorDep, session: Id) -> Response:
    """End one of one's own logins."""
    now = datetime.now(UTC)
    with site.database.write() as s:
        ended = sessions.end(s, session_id=session, person_id=visitor.person_id, now=now)
        audit.note(
            s,
            person_id=visitor.person_id,
            action="logged out",
            subject=ended.browser,
            address=caller_of(request).address,
            now=now,
        )
    return RedirectResponse("/account#logins", status_code=303)


def _page(
    request: Request,
    site: Site,
    visitor: Visitor,
    *,
    new_token: str = "",
    token_message: str = "",
    password_message: str = "",
    status: int = 200,
) -> Response:
    idle = timedelta(hours=site.settings.session_idle_hours)
    with site.database.read() as s:
        context = {
            "logins": sessions.list_live(
                s, person_id=visitor.person_id, idle=idle, now=datetime.now(UTC)
            ),
            "tokens": [shown.token for shown in tokens.list_tokens(s, person_id=visitor.person_id)],
            "new_token": new_token,
            "token_message": token_message,
            "password_message": password_message,
        }
    return render(request, "access/account.html", context, status=status)
