"""What a hostile visitor tries, over HTTP, with and without an account."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import update

from server.app import create_app
from server.credentials import Token
from server.models import Person, Segment
from server.permissions import Scope

if TYPE_CHECKING:
    from conftest import Team


def test_neither_passwords_nor_keys_reach_the_log(
    team: Team, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    """Not even when the server fails in the middle of a request that carries them."""
    app = create_app(team.settings)

    @app.post("/broken")
    def broken() -> None:
        raise RuntimeError("a bug")

    cookie, bearer = team.cookie("admin"), team.bearer("admin", Scope.READ)
    invitation = "an-invitation-key-that-nobody-may-see"
    with TestClient(app, base_url="http://127.0.0.1:8000", raise_server_exceptions=False) as client:
        form = {"name": "admin", "password": "a-wrong-guess", "invitation": invitation}
        for headers in (cookie, bearer):
            for path in ("/broken", "/login", "/join", "/account/password", "/account/tokens"):
                client.post(path, data=form, headers=headers)
            client.get("/api/v1/runs", headers=headers)
    written = "".join(capfd.readouterr()) + caplog.text
    assert "request_failed" in written  # the log was on
    secrets = [
        cookie["cookie"].split("=")[1],
        bearer["authorization"].split()[1],
        form["password"],
        invitation,
        team.settings.secret.get_secret_value(),
    ]
    assert [secret for secret in secrets if secret in written] == []


def test_a_database_error_does_not_tell_what_was_written(team: Team) -> None:
    with pytest.raises(Exception, match="UNIQUE constraint") as caught:  # noqa: SIM117
        with team.database.write() as s:
            s.execute(update(Person).values(name="same", password_hash="hash-to-hide"))
    assert "hash-to-hide" not in str(caught.value)


@pytest.mark.parametrize(
    "path",
    [
        "/media/assignments/../../clipwise.db",
        "/media/assignments/..%2f..%2fclipwise.db/left.mp4",
        "/media/assignments/1/..%2f..%2fetc%2fpasswd.mp4",
        "/media/assignments/1/left.mp4/../../../../etc/passwd",
        "/media/assignments/%00/left.mp4",
        "/media/assignments/1e0/left.mp4",
        "/media/assignments/-1/left.mp4",
        "/media/assignments/99999999999999999999/left.mp4",
        "/media/assignments/1 OR 1=1/left.mp4",
        "/media/checkpoints/..%2f..%2fclipwise.db.mp4",
        "/static/../server/app.py",
    ],
)
def test_media_are_found_by_number_and_nothing_else(client: TestClient, path: str) -> None:
    reply = client.get(path)
    assert reply.status_code in (404, 422)
    assert "root:" not in reply.text
    assert not reply.content.startswith(b"SQLite")


def test_media_of_another_run_or_person_cannot_be_read(team: Team) -> None:
    """Every number of an assignment, tried by somebody who holds none of them."""
    team.workplace.add_run("other")
    team.workplace.ask(2)
    team.workplace.ask(2, run="other")
    owner, stranger = team.cookie("researcher"), team.cookie("annotator")
    ids = [
        pair["id"]
        for run in ("coinrun", "other")
        for pair in team.client.post(
            f"/api/v1/runs/{run}/assignments", json={"count": 2}, headers=owner
        ).json()["assignments"]
    ]
    assert len(ids) == 4
    for number in ids:
        for side in ("left", "right"):
            address = f"/media/assignments/{number}/{side}.mp4"
            assert team.client.get(address, headers=owner).status_code == 200
            refused = team.client.get(address, headers=stranger)
            assert (refused.status_code, b"ftyp" in refused.content) == (403, False)
            assert team.client.get(address).status_code == 401
    with team.database.read() as s:
        artifact = s.get_one(Segment, 1).clip
    for address in (f"/media/{artifact}", f"/media/assignments/{artifact}/left.mp4"):
        assert team.client.get(address, headers=owner).status_code in (404, 422)


def test_names_with_markup_are_text_on_every_page(team: Team) -> None:
    """They cannot be chosen; if they come in otherwise, they are neutral all the same."""
    markup = "<script>alert(1)</script>\u202e"
    team.bearer("admin", Scope.READ)
    headers = team.cookie("admin")
    with team.database.write() as s:
        s.execute(update(Token).values(name=markup, prefix="<b>x"))
        s.execute(update(Person).where(Person.name == "admin").values(name=markup))
    for path in ("/", "/account", "/people/accounts", "/people/audit", "/label", "/label/coinrun"):
        page = team.client.get(path, headers=headers)
        assert page.status_code == 200
        assert "<script>alert" not in page.text
        assert "<b>x" not in page.text


@pytest.mark.parametrize("path", ["/login", "/join", "/account/password", "/people/invitations"])
def test_oversized_forms_are_refused_before_anything_is_asked(team: Team, path: str) -> None:
    reply = team.client.post(path, data={"name": "x" * 70_000})
    assert reply.status_code == 413
    long = team.client.post("/login", data={"name": "x" * 501, "password": "y"})
    assert long.status_code == 422


def test_the_description_is_no_secret_but_shows_nothing_of_the_accounts(team: Team) -> None:
    paths: dict[str, Any] = team.client.get("/api/v1/openapi.json").json()["paths"]
    assert all(path.startswith("/api/v1/") for path in paths)


def test_a_login_cannot_be_planted_by_another_host(team: Team) -> None:
    form = {"name": "admin", "password": team.password}
    reply = team.client.post("/login", data=form, headers={"host": "evil.example"})
    assert reply.status_code == 421
    assert "set-cookie" not in reply.headers
