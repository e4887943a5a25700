"""Each request by a name of its own: in the log, in the answer's headers, and counted."""

from __future__ import annotations

import re
import time
import uuid

import structlog
from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from server.gauges import Gauges

log = structlog.get_logger(__name__)

HEADER = "X-Request-ID"

_ACCEPTABLE = re.compile(r"[A-Za-z0-9._-]{8,64}")

UNKNOWN = "unknown"
"""Stands for every address that no route has, so that strangers cannot fill the memory."""


class Trace:
    """Name requests, log them, count them; a proxy's name for a request is kept."""

    def __init__(self, app: ASGIApp, gauges: Gauges) -> None:
        self.app = app
        self.gauges = gauges

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass on; note what came of it when the answer has begun."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        given = Headers(scope=scope).get(HEADER, "")
        name = given if _ACCEPTABLE.fullmatch(given) else uuid.uuid4().hex
        began = time.perf_counter()
        structlog.contextvars.clear_contextvars()
        structlog.contextvars.bind_contextvars(request_id=name)

        async def send_named(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message)[HEADER] = name
                # The first byte: a stream of events goes on for minutes.
                self._note(scope, int(message["status"]), time.perf_counter() - began)
            await send(message)

        await self.app(scope, receive, send_named)

    def _note(self, scope: Scope, status: int, seconds: float) -> None:
        route = getattr(scope.get("route"), "path", UNKNOWN)
        static = scope["path"].startswith("/static/")
        if static:
            route = "/static"
        self.gauges.count(method=scope["method"], route=route, status=status, seconds=seconds)
        if static:  # a page has twenty of them
            return
        log.debug(
            "request",
            method=scope["method"],
            path=scope["path"],
            status=status,
            milliseconds=round(1000 * seconds, 1),
        )
