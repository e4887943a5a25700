"""The application: `create_app(settings)` for any ASGI server, `serve(settings)` for ours."""

from __future__ import annotations

import asyncio
import re
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from functools import partial
from importlib.metadata import version as package_version
from types import FrameType

import uvicorn
from anyio.to_thread import current_default_thread_limiter
from fastapi import Depends, FastAPI
from starlette.middleware import Middleware
from uvicorn.supervisors import Multiprocess

from server.access import authorise
from server.artifacts import Artifacts
from server.database import Database
from server.errors import SettingsError
from server.gauges import Gauges
from server.keys import required_secret
from server.logs import configure_logs
from server.pages import WEB, VersionedFiles, asset_version, make_templates
from server.problems import install
from server.routes import (
    account,
    accounts,
    answers,
    api,
    checks,
    compare,
    economics,
    exchange,
    explorer,
    health,
    label,
    login,
    media,
    people,
    play,
    prometheus,
    queries,
    rankings,
    runs,
    steering,
)
from server.security import BodyCap, CrossSiteCheck, HostCheck, SecurityHeaders
from server.settings import EVERY_ADDRESS, LOOPBACK, Settings, load_settings
from server.site import Site, State
from server.store import accounts as stored_accounts
from server.store.people import local_person
from server.tracing import Trace

BODY_LIMIT = 64_000
"""Bytes; answers and forms are far smaller."""
IMPORTS = re.compile(r"/api/v1/runs/[^/]+/preferences")
FILE_LIMIT = 64_000_000
"""Bytes of an imported file: about 100,000 answers; the command takes larger ones."""
THREADS = 10
"""That answer requests; more of them wait for each other, and a busy server is slower."""
ROUTERS = (
    *(module.router for module in (api, answers, checks, exchange, media)),
    *(module.router for module in (label, login, account, accounts, people, play, queries)),
    *(compare.router, economics.router, prometheus.router),
    *(rankings.api, rankings.router, exchange.pages, steering.api, steering.router),
    *(explorer.api, explorer.router),
    runs.router,  # the last: what follows a run's name there is taken for a command
)
"""What is served, in the order in which it is looked through; each call is authorised."""


def create_app(settings: Settings | None = None) -> FastAPI:
    """Build the application; nothing is opened before the lifespan starts.

    Raises:
        SettingsError: team mode without a secret or without a name to be called by.
    """
    settings = settings or Settings()
    check_settings(settings)
    stop = asyncio.Event()
    version, gauges = asset_version(), Gauges()
    app = FastAPI(
        title="Clipwise",
        version=package_version("clipwise"),
        lifespan=partial(_lifespan, settings=settings, stop=stop, version=version),
        docs_url=None,
        redoc_url=None,
        openapi_url="/api/v1/openapi.json",
        middleware=[
            Middleware(Trace, gauges=gauges),
            Middleware(SecurityHeaders),
            Middleware(HostCheck, names=settings.host_names),
            Middleware(CrossSiteCheck),
            Middleware(BodyCap, limit=BODY_LIMIT, files=IMPORTS, file_limit=FILE_LIMIT),
        ],
    )
    app.state.stop = stop
    app.state.gauges = gauges
    install(app)
    app.include_router(health.router)
    for router in ROUTERS:
        app.include_router(router, dependencies=[Depends(authorise)])
    app.mount(f"/static/{version}", VersionedFiles(directory=WEB / "static"), name="static")
    return app


@asynccontextmanager
async def _lifespan(
    _: FastAPI, *, settings: Settings, stop: asyncio.Event, version: str
) -> AsyncIterator[State]:
    """Open everything, and close it when the server ends."""
    database = Database(settings.database_url)
    database.check_version()
    person_id = open_doors(settings, database)
    current_default_thread_limiter().total_tokens = THREADS
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


def check_settings(settings: Settings) -> None:
    """Make sure that what team mode needs is set.

    Raises:
        SettingsError: no secret, or no name to be called by.
    """
    if not settings.team_mode:
        return
    required_secret(settings)
    if settings.host in EVERY_ADDRESS and settings.host_names == LOOPBACK:
        raise SettingsError(
            "set CLIPWISE_ALLOWED_HOSTS to the names that people use for this server, "
            "such as clips.example.org"
        )


def open_doors(settings: Settings, database: Database) -> int | None:
    """Make sure that somebody can come in: the local person's number, or None in team mode.

    Raises:
        SettingsError: team mode without an admin.
    """
    if settings.team_mode:
        with database.read() as s:
            if not stored_accounts.has_admin(s):
                raise SettingsError(
                    "there is no admin yet; make one: clipwise user add NAME --role admin"
                )
        return None
    with database.write() as s:
        return local_person(s, now=datetime.now(UTC)).id


class Server(uvicorn.Server):
    """Uvicorn that tells open event streams to end before it waits for them."""

    def __init__(self, config: uvicorn.Config, stop: asyncio.Event) -> None:
        super().__init__(config)
        self.stop = stop

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Set the stop event, then shut down as usual."""
        self.stop.set()
        super().handle_exit(sig, frame)


def worker_app() -> FastAPI:
    """The application in one of several server processes, set up by the environment alone.

    The processes have uvicorn's plain server, so the stop event is chained to their signals here.
    """
    settings = load_settings()
    configure_logs(settings.log)
    app = create_app(settings)
    for ending in (signal.SIGINT, signal.SIGTERM):
        _stop_first(app.state.stop, ending)
    return app


def _stop_first(stop: asyncio.Event, ending: signal.Signals) -> None:
    usual = signal.getsignal(ending)

    def end(number: int, frame: FrameType | None) -> None:
        stop.set()
        if callable(usual):
            usual(number, frame)

    signal.signal(ending, end)


def serve(settings: Settings) -> None:
    """Run the server until SIGINT or SIGTERM.

    With several workers the environment must hold the same settings: each reads them afresh.
    """
    configure_logs(settings.log)
    several = settings.workers > 1
    app = None if several else create_app(settings)
    config = uvicorn.Config(
        app or "server.app:worker_app",
        factory=several,
        workers=settings.workers,
        host=settings.host,
        port=settings.port,
        log_config=None,  # its lines go where all others go
        access_log=False,
        timeout_graceful_shutdown=2,
        timeout_keep_alive=30,  # a labeller answers every few seconds, on the same connection
        forwarded_allow_ips=settings.proxies,
    )
    if app is None:
        Multiprocess(config, sockets=[config.bind_socket()]).run()
    else:
        Server(config, app.state.stop).run()
