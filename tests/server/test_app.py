from __future__ import annotations

import subprocess
import sys
import threading
import time
import urllib.request
from pathlib import Path
from typing import Any

import numpy as np
import psycopg
import pytest
import uvicorn
from fastapi.testclient import TestClient
from pydantic import SecretStr
from sqlalchemy import make_url

from server.app import THREADS, Server, create_app
from server.errors import DatabaseVersionError, SettingsError
from server.settings import Settings

SECRET = SecretStr("0123456789abcdef-0123456789abcdef")
HEAVY = ("torch", "procgen", "stable_baselines3", "gymnasium", "gym3", "learner")


def test_import_leaves_the_learner_and_its_libraries_out() -> None:
    code = f"import sys, server.app; print([m for m in {HEAVY!r} if m in sys.modules])"
    found = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    )
    assert found.stdout.strip() == "[]"


def test_server_starts_in_a_few_times_what_its_libraries_take(workplace: Any) -> None:
    started = (
        "import asyncio;"
        "from server.app import create_app;"
        "from server.settings import Settings;"
        f"app = create_app(Settings(var={str(workplace.settings.var)!r}));\n"
        "async def main():\n"
        "    async with app.router.lifespan_context(app): pass\n"
        "asyncio.run(main())"
    )

    def seconds(code: str) -> float:
        """CPU time: nothing here waits, and who shares the caches can only make it longer."""
        timed = (
            f"import time; start = time.process_time()\n{code}\nprint(time.process_time() - start)"
        )
        command = [sys.executable, "-c", timed]
        found = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
        return float(found.stdout)

    libraries = "import fastapi, jinja2, numpy, sqlalchemy.orm"
    tries = np.array([(seconds(started), seconds(libraries)) for _ in range(3)])
    ours, theirs = tries.min(axis=0)
    assert ours / theirs < 4.0


def test_shutdown_ends_open_streams_at_once(workplace: Any) -> None:
    app = create_app(workplace.settings)

    @app.get("/endless")
    async def endless() -> Any:
        from starlette.responses import StreamingResponse

        async def stream() -> Any:
            yield b"begun"
            await app.state.stop.wait()

        return StreamingResponse(stream())

    server = Server(
        uvicorn.Config(app, host="127.0.0.1", port=0, log_level="error"), app.state.stop
    )
    thread = threading.Thread(target=server.run)
    thread.start()
    while not server.started:
        time.sleep(0.01)
    port = server.servers[0].sockets[0].getsockname()[1]
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/endless") as reply:
        assert reply.read(5) == b"begun"
        started = time.monotonic()
        server.handle_exit(15, None)
        thread.join(timeout=5)
        assert not thread.is_alive()
        assert time.monotonic() - started < 1.0


def test_database_that_was_not_migrated_is_refused(tmp_path: Any) -> None:
    app = create_app(Settings(var=tmp_path))
    with pytest.raises(DatabaseVersionError, match="clipwise migrate"), TestClient(app):
        pass


@pytest.mark.parametrize("secret", ["", "short", "a" * 64])
def test_beyond_loopback_it_does_not_start_without_a_secret(secret: str) -> None:
    with pytest.raises(SettingsError, match="CLIPWISE_SECRET must be 32 random letters") as caught:
        create_app(Settings(host="0.0.0.0", secret=secret, allowed_hosts="clips.example"))
    assert secret == "" or secret not in str(caught.value)


def test_on_every_address_it_must_be_told_its_names() -> None:
    with pytest.raises(SettingsError, match="CLIPWISE_ALLOWED_HOSTS"):
        create_app(Settings(host="0.0.0.0", secret=SECRET))


def test_it_does_not_start_without_an_admin(workplace: Any) -> None:
    app = create_app(workplace.settings.model_copy(update={"team": True, "secret": SECRET}))
    with pytest.raises(SettingsError, match="clipwise user add NAME --role admin"), TestClient(app):
        pass


def test_health_answers_while_every_worker_thread_is_busy(client: TestClient) -> None:
    free = threading.Event()
    begun = threading.Semaphore(0)

    @client.app.get("/busy")  # type: ignore[attr-defined]
    def busy() -> None:
        begun.release()
        free.wait(20)

    threads = [threading.Thread(target=client.get, args=("/busy",)) for _ in range(THREADS)]
    for thread in threads:
        thread.start()
    try:
        for _ in threads:
            assert begun.acquire(timeout=20)
        started = time.monotonic()
        assert client.get("/healthz").json() == {"status": "ok"}
        assert time.monotonic() - started < 2.0
    finally:
        free.set()
        for thread in threads:
            thread.join()


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
def test_without_its_database_the_server_is_there_but_not_ready(
    database_url: str, tmp_path: Path
) -> None:
    settings = Settings(var=tmp_path, database_url=database_url)
    url = make_url(database_url)
    server = url.set(database="postgres").render_as_string(hide_password=False)
    app = create_app(settings)
    with TestClient(app, base_url="http://127.0.0.1:8000") as client:
        assert client.get("/readyz").json() == {"status": "ok"}
        with psycopg.connect(server, autocommit=True) as admin:
            admin.execute(f"ALTER DATABASE {url.database} ALLOW_CONNECTIONS false")
            admin.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s",
                [url.database],
            )
        refused = client.get("/readyz")
        assert (refused.status_code, refused.json()["status"]) == (503, 503)
        assert client.get("/healthz").status_code == 200


def test_static_files_are_kept_for_a_year_under_a_versioned_address(client: TestClient) -> None:
    page = client.get("/label/coinrun").text
    address = next(part for part in page.split('"') if part.endswith("js/label.js"))
    reply = client.get(address)
    assert reply.status_code == 200
    assert reply.headers["cache-control"] == "public, max-age=31536000, immutable"
    assert reply.headers["content-type"].startswith("text/javascript")
    assert client.get(address.replace("label.js", "../../app.py")).status_code == 404


def test_vendor_files_that_the_pages_load_are_there(client: TestClient) -> None:
    page = client.get("/label/coinrun").text
    for address in [part for part in page.split('"') if part.startswith("/static/")]:
        assert client.get(address).status_code == 200, address


@pytest.mark.parametrize(
    ("headers", "kind"),
    [
        ({"accept": "text/html"}, "page"),
        ({"accept": "text/html", "hx-request": "true"}, "fragment"),
        ({"accept": "application/json"}, "json"),
    ],
)
def test_unknown_address_is_refused_in_the_shape_asked_for(
    client: TestClient, headers: dict[str, str], kind: str
) -> None:
    reply = client.get("/nothing/<b>here", headers=headers)
    assert reply.status_code == 404
    if kind == "json":
        problem = reply.json()
        assert problem["message"] == "There is nothing at /nothing/<b>here."
        assert (problem["status"], problem["error"]) == (404, "Not Found")
        return
    assert "There is nothing at /nothing/&lt;b&gt;here." in reply.text
    assert ("<html" in reply.text) == (kind == "page")


def test_failure_inside_shows_no_traceback_to_the_visitor(workplace: Any) -> None:
    app = create_app(workplace.settings)

    @app.get("/api/v1/broken")
    def broken() -> None:
        raise RuntimeError("secret detail")

    with TestClient(app, base_url="http://127.0.0.1:8000", raise_server_exceptions=False) as client:
        reply = client.get("/api/v1/broken")
    assert reply.status_code == 500
    assert reply.json()["message"] == "The server failed; its log says why."
    assert "secret" not in reply.text
