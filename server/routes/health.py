"""Is the server there? Answered on the event loop, so that busy threads can't delay it."""

from __future__ import annotations

from fastapi import APIRouter
from pydantic import BaseModel

router = APIRouter()


class Health(BaseModel):
    """The server answers."""

    status: str = "ok"


@router.get("/healthz", include_in_schema=False)
async def health() -> Health:
    """Say that the server answers."""
    return Health()
