from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from fastapi.testclient import TestClient
from httpx2 import Response
from pydantic import SecretStr

from server import logins
from server.app import create_app
from server.database import Database
from server.grants import make_token
from server.models import Assignment, Person, Role
from server.passwords import hash_password
from server.permissions import Scope
from server.settings import Settings
from server.store import accounts, runs


@pytest.fixture
def client(workplace: Any) -> Iterator[TestClient]:
    """The application in-process, called under a loopback name."""
    app = create_app(workplace.settings)
    with TestClient(app, base_url="http://127.0.0.1:8000") as client:
        yield client


@pytest.fixture
def others_assignment(workplace: Any) -> int:
    """A pair that was given to somebody else."""
    (query_id,) = workplace.ask(1)
    now = datetime.now(UTC)
    with workplace.database.write() as s:
        assert runs.get_run(s, name="coinrun")
        other = Person(name="somebody else", created_at=now)
        s.add(other)
        s.flush()
        assignment = Assignment(
            query_id=query_id,
            person_id=other.id,
            a_on_left=True,
            leased_at=now,
            expires_at=now + timedelta(minutes=5),
        )
        s.add(assignment)
        s.flush()
        return assignment.id


@dataclass
class Team:
    """Team mode: one account per role (`annotator`, `researcher`, `admin`), all one password."""

    client: TestClient
    settings: Settings
    database: Database
    workplace: Any
    password: str = "correct horse battery"

    def person(self, name: str) -> Person:
        with self.database.read() as s:
            return accounts.get_account(s, name=name)

    def cookie(self, name: str) -> dict[str, str]:
        """Headers of a browser where this person has just logged in."""
        caller = logins.Caller(address="192.0.2.1", browser="Firefox on Linux", key=None)
        arrival = logins.begin(
            self.database,
            self.settings,
            person=self.person(name),
            action="logged in",
            caller=caller,
        )
        return {"cookie": f"clipwise={arrival.key}"}

    def bearer(self, name: str, *scopes: Scope) -> dict[str, str]:
        """Headers of a program with a new token of this person's."""
        owner = self.person(name)
        token = make_token(
            self.database,
            self.settings,
            person_id=owner.id,
            role=owner.role,
            name="a script",
            scopes=scopes,
            by_id=None,
        )
        return {"authorization": f"Bearer {token}"}

    def status(self, headers: dict[str, str], path: str = "/account") -> int:
        """What a page answers to these headers alone."""
        self.client.cookies.clear()
        return self.client.get(path, headers=headers).status_code

    def log_in(self, name: str, password: str = "", **headers: str) -> Response:
        """Log in with the form, in a browser without cookies."""
        self.client.cookies.clear()
        form = {"name": name, "password": password or self.password}
        reply = self.client.post("/login", data=form, headers=headers, follow_redirects=False)
        self.client.cookies.clear()
        return reply


@pytest.fixture
def team(workplace: Any) -> Iterator[Team]:
    """The application in team mode, with an account of each role."""
    secret = SecretStr("0123456789abcdef-0123456789abcdef")
    settings = workplace.settings.model_copy(update={"team": True, "secret": secret})
    now = datetime.now(UTC)
    with workplace.database.write() as s:
        password_hash = hash_password(Team.password, name="")
        for role in Role:
            accounts.add_account(s, name=role, role=role, password_hash=password_hash, now=now)
    with TestClient(create_app(settings), base_url="http://127.0.0.1:8000") as client:
        yield Team(client, settings, workplace.database, workplace)
