"""What every request can reach: settings, database, artifacts, templates, who is asking."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Annotated, TypedDict

from fastapi import Depends
from starlette.requests import HTTPConnection
from starlette.templating import Jinja2Templates

from server.artifacts import Artifacts
from server.database import Database
from server.errors import Unauthorized
from server.models import Role
from server.permissions import SCOPES_OF_ROLE, Scope, reaches
from server.settings import Settings


@dataclass(frozen=True)
class Site:
    """Made once when the server starts; lives as long as it does."""

    settings: Settings
    database: Database
    artifacts: Artifacts
    templates: Jinja2Templates
    stop: asyncio.Event
    """Set when the server is asked to end; open event streams watch it."""
    local_person_id: int | None
    """The one user of local mode; None in team mode."""


class State(TypedDict):
    """The lifespan's state, found at `request.state`."""

    site: Site


@dataclass(frozen=True)
class Visitor:
    """Whoever makes the request.

    Attributes:
        person_id: their number.
        name: their name.
        role: what they may do.
        scopes: what the token is good for; None = they are here themselves.
        session_id: the login they are here by; None = by a token, or in local mode.
    """

    person_id: int
    name: str
    role: Role
    scopes: frozenset[Scope] | None = None
    session_id: int | None = None

    @property
    def watches(self) -> bool:
        """May see runs and what is learned in them."""
        return reaches(self.role, Role.RESEARCHER)

    @property
    def manages(self) -> bool:
        """May manage accounts."""
        return reaches(self.role, Role.ADMIN)

    @property
    def grantable(self) -> tuple[Scope, ...]:
        """What their tokens may be good for."""
        return SCOPES_OF_ROLE[self.role]


def get_site(connection: HTTPConnection) -> Site:
    """Return what the lifespan made."""
    site: Site = connection.state.site
    return site


def find_visitor(connection: HTTPConnection) -> Visitor | None:
    """Whoever `server.access.authorise` found to be asking, if it has looked."""
    return getattr(connection.state, "visitor", None)


def get_visitor(connection: HTTPConnection) -> Visitor:
    """Say who is asking; in local mode always the one local user.

    Raises:
        Unauthorized: nobody.
    """
    visitor = find_visitor(connection)
    if visitor is None:
        raise Unauthorized("Log in first.")
    return visitor


async def _site(connection: HTTPConnection) -> Site:
    return get_site(connection)


async def _visitor(connection: HTTPConnection) -> Visitor:
    return get_visitor(connection)


# Not the functions above: whatever is no coroutine costs each request a trip to another thread.
SiteDep = Annotated[Site, Depends(_site)]
VisitorDep = Annotated[Visitor, Depends(_visitor)]
