"""What every request can reach: settings, database, artifacts, templates, who is asking."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Annotated, TypedDict

from fastapi import Depends, Request
from starlette.templating import Jinja2Templates

from server.artifacts import Artifacts
from server.database import Database
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
    local_person_id: int
    """The one user of local mode."""


class State(TypedDict):
    """The lifespan's state, found at `request.state`."""

    site: Site


@dataclass(frozen=True)
class Visitor:
    """Whoever makes the request."""

    person_id: int


def get_site(request: Request) -> Site:
    """Return what the lifespan made."""
    site: Site = request.state.site
    return site


def get_visitor(request: Request) -> Visitor:
    """Say who is asking; in local mode always the one local user."""
    return Visitor(person_id=get_site(request).local_person_id)


SiteDep = Annotated[Site, Depends(get_site)]
VisitorDep = Annotated[Visitor, Depends(get_visitor)]
