"""`/metrics`, for Prometheus; in team mode with a token that may read."""

from __future__ import annotations

from fastapi import APIRouter, Request
from starlette.responses import Response

from server.gauges import TYPE, Gauges
from server.site import SiteDep

router = APIRouter(include_in_schema=False)


@router.get("/metrics")
def metrics(request: Request, site: SiteDep) -> Response:
    """The server's figures and the runs'."""
    gauges: Gauges = request.app.state.gauges
    with site.database.read() as s:
        text = gauges.text(s)
    return Response(text, media_type=TYPE, headers={"Cache-Control": "no-store"})
