"""Team mode as people meet it: joining, labelling through an expired login, tokens, accounts."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
from playwright.sync_api import Page, expect
from pydantic import SecretStr
from sqlalchemy import func, select, update

from server.app import create_app
from server.credentials import LoginSession
from server.models import Assignment, Person, Preference, Role
from server.passwords import hash_password
from server.store import accounts

pytestmark = pytest.mark.browser

PASSWORD = "correct horse battery"
SHOWN = """() => [...document.querySelectorAll(".stage video")]
    .map((video) => Number(video.src.match(/assignments\\/(\\d+)/)?.[1]))
    .filter((pair) => pair > 0)"""


@pytest.fixture
def site(workplace: Any, start_server: Any) -> Iterator[str]:
    """The workplace's server in team mode, with an admin and an annotator."""
    secret = SecretStr("0123456789abcdef-0123456789abcdef")
    settings = workplace.settings.model_copy(update={"team": True, "secret": secret})
    with workplace.database.write() as s:
        for name, role in (("Ada", Role.ADMIN), ("Ben", Role.ANNOTATOR)):
            accounts.add_account(
                s,
                name=name,
                role=role,
                password_hash=hash_password(PASSWORD, name=name),
                now=datetime.now(UTC),
            )
    with start_server(create_app(settings)) as address:
        yield address


def label_all(pages: dict[str, Page], seen: dict[str, set[int]], most: int) -> None:
    """Let everybody answer whatever they see, at once, until nobody sees a pair."""
    for _ in range(most):
        buttons = [page.locator('[data-side="left"]') for page in pages.values()]
        for page, button in zip(pages.values(), buttons, strict=True):
            if button.is_enabled():
                page.keyboard.press("ArrowLeft")
        for name, page in pages.items():
            seen[name] |= set(page.evaluate(SHOWN))
        page.wait_for_timeout(100)


def log_in(page: Page, name: str, password: str = PASSWORD) -> None:
    page.get_by_label("Name").fill(name)
    page.get_by_label("Password").fill(password)
    page.get_by_role("button", name="Log in").click()


def end_logins(workplace: Any) -> None:
    with workplace.database.write() as s:
        s.execute(update(LoginSession).values(expires_at=datetime.now(UTC)))


def answers(workplace: Any) -> int:
    with workplace.database.read() as s:
        return s.scalar(select(func.count()).select_from(Preference)) or 0


def shows_pair(page: Page) -> None:
    expect(page.locator("[data-desk]")).to_have_attribute("data-state", "showing")


def test_a_login_that_expires_in_mid_answer_loses_nothing(
    page: Page, workplace: Any, watch: Any
) -> None:
    watch.expected = ("401",)
    workplace.ask(4)
    page.goto("/label/coinrun")
    log_in(page, "Ben")
    page.wait_for_url("**/label/coinrun")
    page.keyboard.press("Escape")
    shows_pair(page)
    end_logins(workplace)
    page.keyboard.press("ArrowLeft")

    dialog = page.get_by_role("dialog", name="Log in again")
    expect(dialog).to_be_visible()
    expect(dialog.get_by_label("Name")).to_have_value("Ben")
    assert answers(workplace) == 0
    page.keyboard.type("zr")  # letters go into the password, not to the shortcuts
    page.keyboard.press("Escape")
    expect(dialog).to_be_visible()
    dialog.get_by_label("Password").fill("a wrong guess")
    page.keyboard.press("Enter")
    expect(dialog.get_by_text("Name or password is wrong.")).to_be_visible()
    dialog.get_by_label("Password").fill(PASSWORD)
    page.keyboard.press("Enter")

    expect(dialog).to_have_count(0)
    shows_pair(page)
    expect(page.locator("[data-progress]")).to_contain_text("1 today")
    page.keyboard.press("ArrowRight")
    expect(page.locator("[data-progress]")).to_contain_text("2 today")
    # The number counts at once what is only on its way, so the answers are asked of the database.
    deadline = time.monotonic() + 10
    while answers(workplace) < 2 and time.monotonic() < deadline:
        page.wait_for_timeout(50)
    assert answers(workplace) == 2


@pytest.mark.parametrize("key", ["z", "h"])
def test_undo_and_history_log_in_again_in_place(
    page: Page, workplace: Any, watch: Any, key: str
) -> None:
    watch.expected = ("401",)
    workplace.ask(4)
    page.goto("/label/coinrun")
    log_in(page, "Ben")
    page.wait_for_url("**/label/coinrun")
    page.keyboard.press("Escape")
    shows_pair(page)
    page.keyboard.press("ArrowLeft")
    shows_pair(page)
    deadline = time.monotonic() + 10
    while answers(workplace) < 1 and time.monotonic() < deadline:
        page.wait_for_timeout(50)
    end_logins(workplace)
    page.keyboard.press(key)
    dialog = page.get_by_role("dialog", name="Log in again")
    dialog.get_by_label("Password").fill(PASSWORD)
    page.keyboard.press("Enter")
    expect(dialog).to_have_count(0)
    if key == "h":
        expect(page.locator("[data-entries] button")).to_have_count(1)
    else:
        expect(page.locator("[data-progress]")).to_contain_text("0 today")
        assert answers(workplace) == 2, "the answer and the row that takes it back"


def test_an_answer_survives_the_tab_when_nobody_logs_in_again(
    page: Page, workplace: Any, watch: Any
) -> None:
    watch.expected = ("401",)
    workplace.ask(4)
    page.goto("/label/coinrun")
    log_in(page, "Ben")
    page.wait_for_url("**/label/coinrun")
    shows_pair(page)
    end_logins(workplace)
    page.keyboard.press("ArrowLeft")
    expect(page.get_by_role("dialog", name="Log in again")).to_be_visible()
    page.goto("/label/coinrun")
    log_in(page, "Ada")  # somebody else: Ben's answer is not hers to send
    shows_pair(page)
    assert answers(workplace) == 0
    page.request.post("/logout")
    page.goto("/label/coinrun")
    log_in(page, "Ben")
    expect(page.locator("[data-progress]")).to_contain_text("1 today")
    assert answers(workplace) == 1


def test_an_invitation_leads_from_the_link_to_the_first_pair(
    new_page: Any, workplace: Any, watch: Any
) -> None:
    watch.expected = ("401",)
    workplace.ask(2)
    admin, guest = new_page(), new_page()
    admin.goto("/people/accounts")
    log_in(admin, "Ada")
    admin.get_by_label("Invite").select_option("annotator")
    admin.get_by_role("button", name="Make a link").click()
    link = admin.locator("#link").text_content()
    guest.goto(link)
    assert "#" not in guest.url  # out of sight
    expect(guest.get_by_label("Invitation")).to_be_hidden()
    guest.get_by_label("Name").fill("Chloë")
    guest.get_by_label("Password").fill("a long password")
    guest.get_by_role("button", name="Make account").click()
    guest.wait_for_url("**/label")
    guest.get_by_role("link", name="CoinRun").click()
    shows_pair(guest)
    assert guest.locator("a[href^='/runs']").count() == 0
    admin.reload()
    row = admin.get_by_role("row", name="Chloë")
    row.get_by_role("button", name="deactivate").click()
    expect(admin.get_by_role("row", name="Chloë")).to_contain_text("deactivated")
    guest.goto("/label")
    expect(guest.get_by_role("heading", name="Log in")).to_be_visible()


def test_a_token_is_made_shown_once_and_revoked(page: Page, watch: Any) -> None:
    watch.expected = ("401",)
    page.goto("/account")
    log_in(page, "Ada")
    page.get_by_label("For").fill("my script")
    page.get_by_label("read: runs").check()
    page.get_by_role("button", name="Make a token").click()
    token = page.locator("#new-token").text_content()
    headers = {"Authorization": f"Bearer {token}"}
    context = page.context.browser.new_context()
    assert context.request.get(f"{watch.site}/api/v1/runs", headers=headers).status == 200
    page.goto("/account")
    assert token not in page.content()
    page.get_by_role("row", name="my script").get_by_role("button", name="revoke").click()
    expect(page.get_by_text("None. A script")).to_be_visible()
    assert context.request.get(f"{watch.site}/api/v1/runs", headers=headers).status == 401
    context.close()


def test_a_name_with_markup_that_came_in_otherwise_is_only_text(
    page: Page, workplace: Any, watch: Any
) -> None:
    watch.expected = ("401",)
    hostile = "<img src=x onerror=alert(1)>\u202etxt"
    with workplace.database.write() as s:
        s.execute(update(Person).where(Person.name == "Ada").values(name="ada"))
        s.execute(update(Person).where(Person.name == "Ben").values(name=hostile))
    page.on("dialog", lambda dialog: pytest.fail(f"a script ran: {dialog.message}"))
    page.goto("/people/accounts")
    log_in(page, "ada")
    page.get_by_role("row", name="img").get_by_role("button", name="deactivate").click()
    page.goto("/people/audit")
    expect(page.get_by_role("row", name="deactivated")).to_contain_text("<img src=x")
    assert page.locator("img").count() == 0


@pytest.mark.slow
def test_two_people_label_at_once_and_never_hold_one_pair(
    new_page: Any, site: str, workplace: Any
) -> None:
    asked = workplace.ask(3)
    pages: dict[str, Page] = {name: new_page() for name in ("Ada", "Ben")}
    for name, page in pages.items():
        page.goto("/login?next=/label/coinrun")
        log_in(page, name)
        page.keyboard.press("Escape")
    seen: dict[str, set[int]] = {name: set() for name in pages}
    for name, page in pages.items():
        shows_pair(page)
        seen[name] |= set(page.evaluate(SHOWN))
    label_all(pages, seen, most=30)
    assert answers(workplace) == 3
    for page in pages.values():
        expect(page.locator("[data-waiting]")).to_be_visible()
    with workplace.database.read() as s:
        given = s.execute(
            select(Assignment.id, Assignment.query_id, Person.name).join(
                Person, Person.id == Assignment.person_id
            )
        ).all()
        answered = s.scalars(select(Preference.query_id).order_by(Preference.query_id)).all()
    assert answered == asked
    holders = {query: {name for _, of, name in given if of == query} for query in asked}
    assert [len(names) for names in holders.values()] == [1, 1, 1]
    assert set.union(*holders.values()) == set(pages)  # both had some
    for name, pairs in seen.items():
        assert pairs == {pair for pair, _, whose in given if whose == name}
