"""The outer wall, as plain ASGI: headers, host names, cross-site refusal, body cap."""

from __future__ import annotations

import re
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from server.settings import LOOPBACK

SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})

CONTENT_SECURITY_POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self' data:",
        "media-src 'self'",
        "connect-src 'self'",
        "form-action 'self'",
        "base-uri 'none'",
        "frame-ancestors 'none'",
    )
)

SECURITY_HEADERS = {
    "Content-Security-Policy": CONTENT_SECURITY_POLICY,
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    # Not no-referrer: that makes browsers send `Origin: null` with our own forms.
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), microphone=(), geolocation=()",
}

_ENCODED = [(name.lower().encode(), value.encode()) for name, value in SECURITY_HEADERS.items()]


class SecurityHeaders:
    """Add the headers to every response, refusals included."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass on; add headers where the response starts."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = list(message.get("headers", ()))
                present = {name.lower() for name, _ in headers}
                missing = [header for header in _ENCODED if header[0] not in present]
                message = {**message, "headers": headers + missing}
            await send(message)

        await self.app(scope, receive, send_with_headers)


def host_name(host: str) -> str:
    """Take the name out of a Host header: `[::1]:8000` -> `::1`, `a:80` -> `a`."""
    try:
        return urlsplit(f"//{host}").hostname or ""
    except ValueError:
        return ""


class HostCheck:
    """Serve only under known names, so that another site's name can't be pointed at us."""

    def __init__(self, app: ASGIApp, names: frozenset[str]) -> None:
        self.app = app
        self.names = names
        self.message = "Open Clipwise as http://127.0.0.1."
        if names - LOOPBACK:
            self.message = "This name is not among CLIPWISE_ALLOWED_HOSTS."

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Refuse unknown host names with 421."""
        if scope["type"] in ("http", "websocket"):
            host = Headers(scope=scope).get("host", "")
            if host_name(host) not in self.names:
                await _refuse(scope, receive, send, 421, self.message)
                return
        await self.app(scope, receive, send)


def is_cross_site(headers: Headers) -> bool:
    """Tell whether a browser sent this from another origin.

    Sec-Fetch-Site where the browser sends it, else Origin against Host. Neither: no browser.
    A bearer token without a cookie is not something that a browser adds by itself.
    """
    if "cookie" not in headers and headers.get("authorization", "").lower().startswith("bearer "):
        return False
    site = headers.get("sec-fetch-site")
    if site is not None:
        return site not in ("same-origin", "none")
    origin = headers.get("origin")
    if origin is None:
        return False
    try:
        return urlsplit(origin).netloc.lower() != headers.get("host", "").lower()
    except ValueError:
        return True


class CrossSiteCheck:
    """Refuse what other sites make a browser send: unsafe methods and websockets."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Refuse with 403."""
        checked = scope["type"] == "websocket" or (
            scope["type"] == "http" and scope["method"] not in SAFE_METHODS
        )
        if checked and is_cross_site(Headers(scope=scope)):
            await _refuse(scope, receive, send, 403, "Requests from other sites are refused.")
            return
        await self.app(scope, receive, send)


class BodyCap:
    """Refuse bodies over the cap, announced or not; a larger one holds where files are taken."""

    def __init__(
        self, app: ASGIApp, limit: int, files: re.Pattern[str] | None = None, file_limit: int = 0
    ) -> None:
        self.app = app
        self.limit = limit
        self.files = files
        self.file_limit = file_limit

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Refuse with 413 before the body is read, or as soon as it has grown too long."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        takes_file = self.files is not None and self.files.fullmatch(scope["path"])
        limit = self.file_limit if takes_file else self.limit
        message = f"The body is larger than {limit // 1000} kB."
        announced = Headers(scope=scope).get("content-length", "0")
        if not announced.isdecimal() or int(announced[:20]) > limit:
            await _refuse(scope, receive, send, 413, message)
            return
        received = 0

        async def receive_capped() -> Message:
            nonlocal received
            part = await receive()
            received += len(part.get("body", b""))
            if received > limit:
                raise HTTPException(413, message)
            return part

        await self.app(scope, receive_capped, send)


async def _refuse(scope: Scope, receive: Receive, send: Send, status: int, message: str) -> None:
    """Answer before any application code has run, in the API's error shape."""
    if scope["type"] == "websocket":
        await send({"type": "websocket.close", "code": 1008, "reason": message})
        return
    words = {403: "Forbidden", 413: "Content Too Large", 421: "Misdirected Request"}
    body = {"status": status, "error": words[status], "message": message}
    await JSONResponse(body, status_code=status)(scope, receive, send)
