from __future__ import annotations

import os
import shutil
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import uvicorn
from fastapi import FastAPI
from playwright.sync_api import Browser, BrowserContext, Error, Page, sync_playwright

from server.app import Server, create_app

ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
SYSTEM_BROWSERS = ("chromium", "chromium-browser", "google-chrome-stable", "google-chrome")
MISSING = (
    "NO BROWSER: the browser tests need Chromium or Chrome. "
    "Install one (Debian: apt install chromium) or run: playwright install chromium"
)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """The system's Chromium or Chrome, else Playwright's own."""
    system = next(filter(None, map(shutil.which, SYSTEM_BROWSERS)), None)
    with sync_playwright() as playwright:
        try:
            browser = playwright.chromium.launch(executable_path=system, args=ARGUMENTS)
        except Error as error:
            # CI without a browser must be red, not quietly smaller.
            if os.environ.get("CI") == "true":
                pytest.fail(f"{MISSING}\n{error}")
            pytest.skip(MISSING)
        yield browser
        browser.close()


AXE = Path(__file__).parents[2] / "web/node_modules/axe-core/axe.min.js"
CHECK = """async () => {
    // Half-way from one theme to the other nothing has the contrast of either.
    const moving = document.getAnimations().filter((one) => one instanceof CSSTransition);
    await Promise.allSettled(moving.map((one) => one.finished));
    const found = await axe.run(document, {
        runOnly: ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"],
    });
    return found.violations.map((one) =>
        `${one.id}: ${one.nodes.map((node) => node.target.join(" ")).join(", ")}`);
}"""


@contextmanager
def served(app: FastAPI) -> Iterator[str]:
    """A real server on a free port; gives its address."""
    config = uvicorn.Config(app, host="127.0.0.1", port=0, log_level="error", lifespan="on")
    server = Server(config, app.state.stop)
    thread = threading.Thread(target=server.run)
    thread.start()
    deadline = time.monotonic() + 20
    while not server.started:
        assert thread.is_alive(), "the server did not start"
        assert time.monotonic() < deadline, "the server did not start in time"
        time.sleep(0.02)
    port = server.servers[0].sockets[0].getsockname()[1]
    yield f"http://127.0.0.1:{port}"
    app.state.stop.set()
    server.should_exit = True
    thread.join(timeout=10)
    assert not thread.is_alive(), "the server did not stop"


@pytest.fixture
def site(workplace: Any) -> Iterator[str]:
    """The workplace's server in local mode; gives its address."""
    with served(create_app(workplace.settings)) as address:
        yield address


@pytest.fixture
def start_server() -> Any:
    """`with start_server(app) as address`."""
    return served


@dataclass
class Watch:
    """What a page must not do: complain, reach for other hosts."""

    site: str
    complaints: list[str] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)
    expected: tuple[str, ...] = ()

    def look(self, page: Page) -> None:
        page.on("console", lambda message: self._heard(message.type, message.text))
        page.on("pageerror", lambda error: self.complaints.append(f"error: {error}"))
        page.on("request", lambda request: self.requests.append(request.url))

    def _heard(self, kind: str, text: str) -> None:
        if kind in ("error", "warning") and not any(part in text for part in self.expected):
            self.complaints.append(f"{kind}: {text}")

    def foreign(self) -> list[str]:
        return [url for url in self.requests if not url.startswith((self.site, "data:", "blob:"))]


@pytest.fixture
def watch(site: str) -> Watch:
    return Watch(site)


@pytest.fixture
def new_page(browser: Browser, site: str, watch: Watch) -> Iterator[Any]:
    """Open pages in fresh contexts; at the end none may have complained."""
    contexts: list[BrowserContext] = []

    def open_page(**options: Any) -> Page:
        options = {"viewport": {"width": 1200, "height": 800}, "base_url": site} | options
        context = browser.new_context(**options)
        context.set_default_timeout(15_000)
        contexts.append(context)
        page = context.new_page()
        watch.look(page)
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert watch.complaints == []
    assert watch.foreign() == []


@pytest.fixture
def page(new_page: Any) -> Page:
    page: Page = new_page()
    return page


# A colour on its way from one theme to the other is neither's.
SETTLED = "() => Promise.allSettled(document.getAnimations().map((one) => one.finished))"


@pytest.fixture
def violations() -> Any:
    """`violations(page)`: what axe-core finds against WCAG 2.2 A and AA, one line per rule."""

    def find(page: Page) -> list[str]:
        page.evaluate(SETTLED)
        page.evaluate(AXE.read_text())  # by the debugger: the policy lets no page load it
        found: list[str] = page.evaluate(CHECK)
        return found

    return find
