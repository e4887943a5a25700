"""Coming in and going out: login, logout, joining by invitation."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Form, Request
from starlette.responses import RedirectResponse, Response

from server import logins
from server.access import caller_of, give_cookie, shown_key, take_cookie, team_only
from server.errors import ClipwiseError
from server.keys import fingerprint
from server.models import Role
from server.pages import render
from server.problems import wants_json
from server.site import SiteDep

router = APIRouter(include_in_schema=False, dependencies=[Depends(team_only)])

Text = Annotated[str, Form(max_length=500)]


def safe_address(address: str) -> str:
    """Where to go on after a login: a page of ours, whatever the form says."""
    ours = address.startswith("/") and not address.startswith(("//", "/\\", "/login", "/join"))
    plain = all(" " < sign < "\x7f" and sign != "\\" for sign in address)
    return address if ours and plain else "/"


@router.get("/login")
def login_page(request: Request, next: str = "/") -> Response:
    """The login form: a page, or the form alone for a dialog."""
    alone = request.headers.get("hx-request") == "true"
    return _form(request, next=next, alone=alone)


@router.post("/login")
def login(
    request: Request,
    site: SiteDep,
    name: Text = "",
    password: Text = "",
    next: Annotated[str, Form(max_length=2000)] = "/",
) -> Response:
    """Log in and go on where one wanted to; scripts of the page get 204 instead."""
    try:
        arrival = logins.log_in(
            site.database,
            site.settings,
            name=name,
            password=password,
            caller=caller_of(request),
        )
    except ClipwiseError as error:
        if wants_json(request):
            raise
        return _form(request, next=next, name=name, message=error.message, status=error.status)
    response: Response = Response(status_code=204)
    if not wants_json(request):
        response = RedirectResponse(_onward(next, arrival.role), status_code=303)
    give_cookie(request, response, site, arrival.key)
    return response


@router.post("/logout")
def logout(request: Request, site: SiteDep) -> Response:
    """End this login."""
    key = shown_key(request)
    if key:
        mark = fingerprint(site.settings, "session", key)
        logins.log_out(site.database, mark=mark, address=caller_of(request).address)
    response = RedirectResponse("/login", status_code=303)
    take_cookie(request, response)
    return response


@router.get("/join")
def join_page(request: Request) -> Response:
    """The form of an invitation; its key stands behind the address's #, which nobody logs."""
    return render(request, "access/join.html", {"name": "", "invitation": "", "message": ""})


@router.post("/join")
def join(
    request: Request,
    site: SiteDep,
    invitation: Text = "",
    name: Text = "",
    password: Text = "",
) -> Response:
    """Make the account and log in."""
    try:
        arrival = logins.join(
            site.database,
            site.settings,
            invitation=invitation.strip(),
            name=name,
            password=password,
            caller=caller_of(request),
        )
    except ClipwiseError as error:
        context = {"name": name, "invitation": invitation, "message": error.message}
        return render(request, "access/join.html", context, status=error.status)
    response = RedirectResponse(_onward("/", arrival.role), status_code=303)
    give_cookie(request, response, site, arrival.key)
    return response


def _onward(address: str, role: Role) -> str:
    """Annotators begin with what they can label, everybody else with the runs."""
    address = safe_address(address)
    return "/label" if address == "/" and role is Role.ANNOTATOR else address


def _form(
    request: Request,
    *,
    next: str,
    name: str = "",
    message: str = "",
    status: int = 200,
    alone: bool = False,
) -> Response:
    context = {"next": safe_address(next), "name": name, "message": message}
    template = "access/_login_form.html" if alone else "access/login.html"
    return render(request, template, context, status=status)
