"""The application: `create_app(settings)` for any ASGI server, `serve(settings)` for ours."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from importlib.metadata import version as package_version
from types import FrameType

import uvicorn
from fastapi import FastAPI
from starlette.middleware import Middleware

from server.artifacts import Artifacts
from server.database import Database
from server.errors import Invalid
from server.pages import WEB, VersionedFiles, asset_version, make_templates
from server.problems import install
from server.routes import api, health, label, media, runs
from server.security import LOOPBACK, BodyCap, CrossSiteCheck, HostCheck, SecurityHeaders
from server.settings import Settings
from server.site import Site, State
from server.store import people

BODY_LIMIT = 64_000
"""Bytes; answers and forms are far smaller."""


def create_app(settings: Settings | None = None) -> FastAPI:
    """Build the application; nothing is opened before the lifespan starts.

    Raises:
        Invalid: the address is not a loopback one.
    """
    settings = settings or Settings()
    if settings.host not in LOOPBACK:
        raise Invalid(
            f"without accounts Clipwise listens on loopback only, not on {settings.host}; "
            "use 127.0.0.1"
        )
    stop = asyncio.Event()
    version = asset_version()

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[State]:
        database = Database(settings.database_url)
        database.check_version()
        with database.write() as session:
            person_id = people.local_person(session, now=datetime.now(UTC)).id
        yield State(
            site=Site(
                settings=settings,
                database=database,
                artifacts=Artifacts(settings.artifacts_url),
                templates=make_templates(version),
                stop=stop,
                local_person_id=person_id,
            )
        )
        stop.set()
        database.close()

    app = FastAPI(
        title="Clipwise",
        version=package_version("clipwise"),
        lifespan=lifespan,
        docs_url=None,
        redoc_url=None,
        openapi_url="/api/v1/openapi.json",
        middleware=[
            Middleware(SecurityHeaders),
            Middleware(HostCheck, names=LOOPBACK),
            Middleware(CrossSiteCheck),
            Middleware(BodyCap, limit=BODY_LIMIT),
        ],
    )
    app.state.stop = stop
    install(app)
    for routes in (health, api, media, label, runs):
        app.include_router(routes.router)
    app.mount(f"/static/{version}", VersionedFiles(directory=WEB / "static"), name="static")
    return app


class Server(uvicorn.Server):
    """Uvicorn that tells open event streams to end before it waits for them."""

    def __init__(self, config: uvicorn.Config, stop: asyncio.Event) -> None:
        super().__init__(config)
        self.stop = stop

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Set the stop event, then shut down as usual."""
        self.stop.set()
        super().handle_exit(sig, frame)


def serve(settings: Settings) -> None:
    """Run the server until SIGINT or SIGTERM."""
    app = create_app(settings)
    config = uvicorn.Config(
        app,
        host=settings.host,
        port=settings.port,
        log_level="warning",
        timeout_graceful_shutdown=2,
    )
    Server(config, app.state.stop).run()
