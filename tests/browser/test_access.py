"""WCAG 2.2 A and AA on every page but the labelling page, as far as axe-core can tell."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
from playwright.sync_api import Page, expect
from pydantic import SecretStr

from server.app import create_app
from server.models import Person, Role, RunState
from server.passwords import hash_password
from server.permissions import RULES
from server.store import accounts, assignments, labellers, metrics, people, runs

pytestmark = pytest.mark.browser

PASSWORD = "correct horse battery"
SCHEMES = pytest.mark.parametrize("scheme", ["light", "dark"])

LOCAL = {
    "/": "/",
    "/compare": "/compare?run=coinrun&run=fruitbot",
    "/people": "/people",
    "/people/{person}": "/people/2?run=coinrun",
    "/runs/{name}": "/runs/coinrun",
    "/runs/{name}/config": "/runs/coinrun/config",
    "/runs/{name}/versions": "/runs/coinrun/versions",
    "/runs/{name}/metrics": "/runs/coinrun/metrics",
    "/runs/{name}/labels": "/runs/coinrun/labels",
    "/runs/{name}/export": "/runs/coinrun/export",
    "/runs/{name}/play": "/runs/coinrun/play",
    "/runs/{name}/rank": "/runs/coinrun/rank",
    "/runs/{name}/queries": "/runs/coinrun/queries",
    "/runs/{name}/queries/{query}": "/runs/coinrun/queries/1",
}
TEAM = {"/label", "/login", "/join", "/account", "/people/accounts", "/people/audit"}
ELSEWHERE = {  # tests/browser/test_label_access.py and test_explorer.py
    "/label/{run}",
    "/runs/{name}/explore",
    "/runs/{name}/explore/episodes/{checkpoint}",
    "/runs/{name}/explore/segments",
    "/runs/{name}/explore/trajectories/{trajectory}",
}
NO_PAGES = ("/api/", "/media/", "/metrics", "/healthz", "/readyz")
NO_PAGE_ENDINGS = (".csv", "/events")


def test_every_page_is_looked_at() -> None:
    pages = {
        path
        for method, path in (line.split(" ", 1) for line in RULES)
        if method == "GET" and not path.startswith(NO_PAGES) and not path.endswith(NO_PAGE_ENDINGS)
    }
    assert pages == {*LOCAL, *TEAM, *ELSEWHERE}


def fill(workplace: Any) -> None:
    """A run with figures, and answers of two people who differ; one is excluded."""
    workplace.ask(3)
    now = datetime.now(UTC)
    with workplace.database.write() as s:
        run = runs.get_run(s, name="coinrun")
        values = {"rollout/ep_rew_mean": 1.0, "reward_model/accuracy_heldout": 0.7}
        for step in (1000, 2000):
            metrics.add_metrics(s, run_id=run.id, step=step, values=values, now=now)
        people_of_run = [Person(name=name, created_at=now) for name in ("Ada", "Ben")]
        s.add_all(people_of_run)
        s.flush()
        found = {}
        for person, side in zip(people_of_run, ("left", "right"), strict=True):
            (pair,) = assignments.next_assignments(
                s, run_id=run.id, person_id=person.id, count=1, now=now, seconds=60
            )
            assignments.submit(
                s,
                assignment_id=pair.id,
                person_id=person.id,
                side=side,
                seconds=1.0,
                submission_key=f"answer-{person.id}",
                now=now,
                flagged=True,
                comment="nothing to be seen",
            )
            found[people.teacher_for_person(s, person_id=person.id).id] = Trusted
        labellers.store_reliabilities(s, run_id=run.id, found=found, now=now)
        labellers.exclude(
            s, run_id=run.id, person_id=people_of_run[1].id, excluded=True, by_id=None, now=now
        )
        run.reason, run.state = "the disk is full", RunState.FAILED


class Trusted:
    one_coin, crowd_bt, learned, answers = 0.9, 0.4, None, 1


@pytest.mark.slow
@SCHEMES
def test_the_pages_of_runs_and_people_break_no_rule(
    new_page: Any, workplace: Any, violations: Any, watch: Any, scheme: str
) -> None:
    page = new_page(color_scheme=scheme)
    page.goto("/")
    found = {"no run": violations(page)}
    page.goto("/people")
    found["nobody"] = violations(page)
    fill(workplace)
    for path in LOCAL.values():
        page.goto(path)
        page.wait_for_timeout(200)  # curves are drawn, videos show their controls
        found[path] = violations(page)
    watch.expected = ("404",)
    page.goto("/runs/nosuch")
    found["problem"] = violations(page)
    assert {path: wrong for path, wrong in found.items() if wrong} == {}


@pytest.fixture
def team_site(workplace: Any, start_server: Any, watch: Any) -> Iterator[str]:
    """The workplace's server in team mode, with an admin."""
    secret = SecretStr("0123456789abcdef-0123456789abcdef")
    settings = workplace.settings.model_copy(update={"team": True, "secret": secret})
    with workplace.database.write() as s:
        password_hash = hash_password(PASSWORD, name="Ada")
        now = datetime.now(UTC)
        accounts.add_account(s, name="Ada", role=Role.ADMIN, password_hash=password_hash, now=now)
    with start_server(create_app(settings)) as address:
        watch.site = address
        yield address


@SCHEMES
def test_the_pages_of_accounts_break_no_rule(
    new_page: Any, team_site: str, violations: Any, watch: Any, scheme: str
) -> None:
    watch.expected = ("401", "422")
    page: Page = new_page(color_scheme=scheme, base_url=team_site)
    found = {}
    page.goto("/join#some-invitation")
    found["/join"] = violations(page)
    page.goto("/login")
    page.get_by_label("Name").fill("Ada")
    page.get_by_label("Password").fill("a wrong guess")
    page.get_by_role("button", name="Log in").click()
    expect(page.get_by_role("alert")).to_contain_text("wrong")
    found["/login"] = violations(page)
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Log in").click()
    page.goto("/account")
    page.get_by_label("For").fill("a script")
    page.get_by_role("button", name="Make a token").click()
    expect(page.locator("#new-token")).to_be_visible()
    found["/account"] = violations(page)
    page.goto("/people/accounts")
    page.get_by_role("button", name="Make a link").click()
    expect(page.locator("#link")).to_be_visible()
    found["/people/accounts"] = violations(page)
    for path in ("/people/audit", "/label"):
        page.goto(path)
        found[path] = violations(page)
    assert set(found) == TEAM
    assert {path: wrong for path, wrong in found.items() if wrong} == {}
