from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from fastapi.testclient import TestClient

from server.app import create_app
from server.models import Assignment, Person
from server.store import runs


@pytest.fixture
def client(workplace: Any) -> Iterator[TestClient]:
    """The application in-process, called under a loopback name."""
    app = create_app(workplace.settings)
    with TestClient(app, base_url="http://127.0.0.1:8000") as client:
        yield client


@pytest.fixture
def others_assignment(workplace: Any) -> int:
    """A pair that was given to somebody else."""
    from datetime import UTC, datetime, timedelta

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
