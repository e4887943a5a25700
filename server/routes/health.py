"""Is the server there, and is it any use? For health checks and whoever starts it."""

from __future__ import annotations

from fastapi import APIRouter
from pydantic import BaseModel
from sqlalchemy import select

from server.models import Run
from server.site import SiteDep

router = APIRouter()


class Health(BaseModel):
    """The server answers."""

    status: str = "ok"


@router.get("/healthz", include_in_schema=False)
async def health() -> Health:
    """Say that the server answers: on the event loop, so that busy threads can't delay it."""
    return Health()


@router.get("/readyz", include_in_schema=False)
def ready(site: SiteDep) -> Health:
    """Say that the server reaches the database; 503 if not."""
    with site.database.read() as s:
        s.execute(select(Run.id).limit(1))
    return Health()
