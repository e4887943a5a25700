"""Who is asking, and may they: checked for every route before it runs.

Local mode knows one person with all rights. In team mode a person shows a cookie, a program a
bearer token.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from fastapi import WebSocketException
from starlette.requests import HTTPConnection
from starlette.responses import Response

from server.errors import ClipwiseError, Forbidden, NotFound, Unauthorized
from server.keys import TOKEN_START, fingerprint
from server.logins import Caller, browser_name
from server.models import Role
from server.permissions import Rule, Scope, reaches, rule_for
from server.security import host_name
from server.settings import LOOPBACK
from server.site import Site, SiteDep, Visitor
from server.store import sessions, tokens

SEEN_EVERY = timedelta(minutes=1)
"""How exactly it is kept when a login or a token was last used."""


def authorise(connection: HTTPConnection, site: SiteDep) -> None:
    """Find out who is asking and refuse what is not theirs; depended on by every router.

    Raises:
        Unauthorized: nobody is logged in, or the token is not known.
        Forbidden: it takes another role or scope.
    """
    method = connection.scope.get("method", "WEBSOCKET")
    rule = rule_for(method, connection.scope["route"].path)
    try:
        connection.state.visitor = visitor = _identify(connection, site)
        if rule.role is not None:
            _check(visitor, rule, rule.role)
    except ClipwiseError as error:
        if connection.scope["type"] == "websocket":
            raise WebSocketException(1008, error.message) from error
        raise


def _check(visitor: Visitor | None, rule: Rule, least: Role) -> None:
    if visitor is None:
        raise Unauthorized("Log in first.")
    if not reaches(visitor.role, least):
        raise Forbidden(f"This is for {least}s; you are {visitor.name}, {visitor.role}.")
    if visitor.scopes is not None and rule.scope not in visitor.scopes:
        needed = f"a token with the scope {rule.scope}" if rule.scope else "a login, not a token"
        raise Forbidden(f"This needs {needed}.")


def _identify(connection: HTTPConnection, site: Site) -> Visitor | None:
    if not site.settings.team_mode:
        assert site.local_person_id is not None
        return Visitor(person_id=site.local_person_id, name="local", role=Role.ADMIN)
    scheme, _, shown = connection.headers.get("authorization", "").partition(" ")
    if scheme.lower() == "bearer":
        return _by_token(site, shown.strip())
    key = shown_key(connection)
    return _by_cookie(site, key) if key else None


def _by_cookie(site: Site, key: str) -> Visitor | None:
    now = datetime.now(UTC)
    idle = timedelta(hours=site.settings.session_idle_hours)
    mark = fingerprint(site.settings, "session", key)
    with site.database.read() as s:
        found = sessions.find(s, fingerprint=mark, idle=idle, now=now)
    if found is None:
        return None
    if abs(now - found.session.seen_at) > SEEN_EVERY:
        with site.database.write() as s:
            sessions.touch(s, session_id=found.session.id, now=now)
    person = found.person
    return Visitor(
        person_id=person.id, name=person.name, role=person.role, session_id=found.session.id
    )


def _by_token(site: Site, shown: str) -> Visitor:
    now = datetime.now(UTC)
    found = None
    if shown.startswith(TOKEN_START):
        with site.database.glance() as s:
            found = tokens.find(s, fingerprint=fingerprint(site.settings, "token", shown))
    if found is None:
        raise Unauthorized("This token is not known, or it was revoked.")
    if found.used_at is None or abs(now - found.used_at) > SEEN_EVERY:
        with site.database.write() as s:
            tokens.touch(s, token_id=found.id, now=now)
    scopes = frozenset(Scope(scope) for scope in found.scopes)
    return Visitor(person_id=found.person_id, name=found.name, role=found.role, scopes=scopes)


def team_only(site: SiteDep) -> None:
    """Hide what is about accounts where there are none.

    Raises:
        NotFound: in local mode.
    """
    if not site.settings.team_mode:
        raise NotFound("There are no accounts: this Clipwise is this computer's alone.")


# ---- the cookie -----------------------------------------------------------------------------


def is_plain_loopback(connection: HTTPConnection) -> bool:
    """Whether this comes without TLS from this machine: the one place for an insecure cookie."""
    name = host_name(connection.headers.get("host", ""))
    return connection.url.scheme in ("http", "ws") and name in LOOPBACK


def cookie_name(connection: HTTPConnection) -> str:
    """The `__Host-` prefix lets browsers keep it only from this very host, by TLS."""
    return "clipwise" if is_plain_loopback(connection) else "__Host-clipwise"


def shown_key(connection: HTTPConnection) -> str | None:
    """What the browser shows."""
    return connection.cookies.get(cookie_name(connection))


def give_cookie(connection: HTTPConnection, response: Response, site: Site, key: str) -> None:
    """Let the browser keep the key, out of reach of scripts and other sites."""
    response.set_cookie(
        cookie_name(connection),
        key,
        max_age=round(site.settings.session_days * 86_400),
        httponly=True,
        samesite="lax",
        secure=not is_plain_loopback(connection),
    )


def take_cookie(connection: HTTPConnection, response: Response) -> None:
    """Let the browser forget the key."""
    response.delete_cookie(
        cookie_name(connection),
        httponly=True,
        samesite="lax",
        secure=not is_plain_loopback(connection),
    )


def caller_of(connection: HTTPConnection) -> Caller:
    """Where a request comes from."""
    client = connection.client
    return Caller(
        address=client.host[:64] if client else "",
        browser=browser_name(connection.headers.get("user-agent", "")),
        key=shown_key(connection),
    )
