"""Templates and static files: rendering and versioned addresses."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from fastapi import Request
from jinja2 import Environment, FileSystemLoader, StrictUndefined, select_autoescape
from starlette.responses import HTMLResponse, Response
from starlette.staticfiles import StaticFiles
from starlette.templating import Jinja2Templates
from starlette.types import Scope

from server.formats import FILTERS
from server.rules import STRATEGY_WORDS
from server.site import find_visitor, get_site

WEB = Path(__file__).parent.parent / "web"

# htmx under the strict policy: nothing evaluated, no inline style sheet.
HTMX_CONFIG = json.dumps({"allowEval": False, "includeIndicatorStyles": False})


def asset_version(folder: Path = WEB / "static") -> str:
    """Hash the static files; it stands in their addresses, so they can be cached for a year."""
    digest = hashlib.sha256()
    for path in sorted(p for p in folder.rglob("*") if p.is_file()):
        digest.update(path.relative_to(folder).as_posix().encode())
        digest.update(path.read_bytes())
    return digest.hexdigest()[:12]


class VersionedFiles(StaticFiles):
    """Static files below a version; relative imports between modules stay inside it."""

    async def get_response(self, path: str, scope: Scope) -> Response:
        """Serve one file for a year: another content has another address."""
        response = await super().get_response(path, scope)
        if response.status_code in (200, 206, 304):
            response.headers["Cache-Control"] = "public, max-age=31536000, immutable"
        return response


def make_templates(version: str, folder: Path = WEB / "templates") -> Jinja2Templates:
    """Make the template environment; `static(path)` is the address of a static file."""

    def static(path: str) -> str:
        return f"/static/{version}/{path}"

    environment = Environment(
        loader=FileSystemLoader(folder),
        autoescape=select_autoescape(["html"]),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.globals.update(static=static, htmx_config=HTMX_CONFIG, strategies=STRATEGY_WORDS)
    environment.filters.update(FILTERS)
    return Jinja2Templates(env=environment)


def render(
    request: Request,
    name: str,
    context: Mapping[str, Any] | None = None,
    *,
    status: int = 200,
    headers: Mapping[str, str] | None = None,
) -> HTMLResponse:
    """Render a template; pages are never cached, they show what is.

    Every template knows `account`: who is logged in; None in local mode, and before a login; and
    `watches`: whether whoever asks may see runs and people.
    """
    site, visitor = get_site(request), find_visitor(request)
    account = visitor if site.settings.team_mode else None
    watches = visitor is not None and visitor.watches
    return site.templates.TemplateResponse(
        request,
        name,
        {"account": account, "watches": watches, **(context or {})},
        status_code=status,
        headers={"Cache-Control": "no-store", **(headers or {})},
    )
