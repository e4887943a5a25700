"""`clipwise user`, `clipwise token` and `clipwise serve` in team mode, as an operator runs them."""

from __future__ import annotations

import os
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import psutil
import pytest

from server.database import Database
from server.models import Role
from server.store import accounts

PASSWORD = b"correct horse battery\n"
SECRET = "0123456789abcdef-0123456789abcdef"


@pytest.fixture(autouse=True)
def _team(monkeypatch: pytest.MonkeyPatch, command: Any) -> None:
    for name in [name for name in os.environ if name.startswith("CLIPWISE_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("CLIPWISE_SECRET", SECRET)
    monkeypatch.setenv("CLIPWISE_ALLOWED_HOSTS", "clips.example")
    Database(command.settings.database_url).migrate()


@pytest.fixture
def typed(tmp_path: Path) -> Any:
    """What somebody types: a file for standard input."""

    def type_in(text: bytes = PASSWORD) -> Any:
        path = tmp_path / "typed"
        path.write_bytes(text)
        return path.open("rb")

    return type_in


def role_of(command: Any, name: str) -> Role | None:
    database = Database(command.settings.database_url)
    with database.read() as s:
        person = accounts.find_account(s, name=name)
    database.close()
    return person.role if person and person.active else None


@pytest.mark.slow
def test_accounts_from_the_command_line(command: Any, typed: Any) -> None:
    done = command.run("user", "add", "Ada", "--role", "admin", stdin=typed())
    assert (done.returncode, done.stdout) == (0, "Ada can log in as admin\n")
    assert role_of(command, "Ada") is Role.ADMIN
    done = command.run("user", "add", "Zoë [b]", "--role", "admin", stdin=typed())
    assert (done.returncode, done.stderr.count("\n")) == (1, 1)
    done = command.run("user", "add", "Zoë", "--role", "annotator", stdin=typed(b"short\n"))
    assert done.stderr == "clipwise: A password has 10 to 200 letters; a few words will do.\n"
    command.run("user", "add", "Zoë", "--role", "annotator", stdin=typed())
    command.run("user", "role", "Zoë", "researcher")
    assert role_of(command, "Zoë") is Role.RESEARCHER
    listed = command.run("user", "list").stdout
    assert all(word in listed for word in ("Ada", "Zoë", "admin", "researcher"))
    assert (
        command.run("user", "password", "Zoë", stdin=typed(b"another password\n")).returncode == 0
    )
    command.run("user", "deactivate", "Zoë")
    assert role_of(command, "Zoë") is None
    done = command.run("user", "deactivate", "Ada")
    assert done.stderr == "clipwise: Ada is the only admin; make somebody else one first\n"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("user", "role", "nobody", "admin"), "nobody is called nobody; see: clipwise user list"),
        (("user", "add", "Ada", "--role", "king"), "no role king; choose one of annotator"),
        (("token", "create", "nobody"), "nobody is called nobody"),
        (("token", "revoke", "7"), "no token 7"),
        (("serve", "--host", "0.0.0.0"), "there is no admin yet; make one: clipwise user add"),
    ],
)
def test_what_cannot_be_done_is_one_line(
    command: Any, typed: Any, arguments: tuple[str, ...], message: str
) -> None:
    done = command.run(*arguments, stdin=typed())
    assert done.returncode == 1
    assert done.stderr.startswith(f"clipwise: {message}")
    assert done.stderr.count("\n") == 1


def test_it_does_not_serve_others_without_a_secret(
    command: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("CLIPWISE_SECRET")
    done = command.run("serve", "--host", "0.0.0.0")
    assert (done.returncode, done.stderr.count("\n")) == (1, 1)
    assert done.stderr.startswith("clipwise: CLIPWISE_SECRET must be 32 random letters or more")


@pytest.mark.slow
def test_two_workers_serve_one_port_and_know_the_same_logins(command: Any, typed: Any) -> None:
    command.run("user", "add", "Ada", "--role", "admin", stdin=typed())
    token = command.run("token", "create", "Ada", "--scopes", "read,label").stdout.strip()
    assert token.startswith("clw_")
    assert token[:12] in command.run("token", "list").stdout
    server = command.start("serve", "--host", "0.0.0.0", "--workers", "2")
    command.wait_until_served()
    assert len(psutil.Process(server.pid).children()) >= 2

    def ask() -> int:
        request = urllib.request.Request(
            command.url + "/api/v1/runs", headers={"Authorization": f"Bearer {token}"}
        )
        try:
            with urllib.request.urlopen(request, timeout=20) as response:
                return int(response.status)
        except urllib.error.HTTPError as error:
            return error.code

    assert {ask() for _ in range(20)} == {200}
    command.run("token", "revoke", "1")
    assert {ask() for _ in range(20)} == {401}
    server.terminate()
    server.wait(10)
    out, err = command.printed(server)
    assert token not in out + err
    assert command.processes("serve") == []
