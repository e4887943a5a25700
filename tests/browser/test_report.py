"""A report opened from disk: it needs no server and no network."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, expect

from cli.report import report
from server.store import metrics, versions

pytestmark = pytest.mark.browser


def test_a_report_opens_from_disk_without_a_network(
    browser: Browser, workplace: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CLIPWISE_VAR", str(workplace.settings.var))
    workplace.ask(1)
    now = datetime.now(UTC)
    for seed in range(2):
        config = {"environment": {"id": "procgen/coinrun"}, "seed": seed}
        run = workplace.add_run(f"seed-{seed}", seed=seed, config=config)
        with workplace.database.write() as s:
            for step in range(1, 30):
                found = {"evaluation/return_test": 0.1 * step + seed}
                metrics.add_metrics(s, run_id=run.id, step=100 * step, values=found, now=now)
            row, _ = versions.add_checkpoint(
                s, run_id=run.id, iteration=1, steps=100, artifact="0" * 64, kept=True, now=now
            )
            versions.set_video(s, checkpoint_id=row.id, video=workplace.clips[seed])
    report(["seed-0", "seed-1"], "evaluation/return_test", tmp_path / "report")

    context = browser.new_context(viewport={"width": 1200, "height": 800})
    context.set_offline(True)
    page = context.new_page()
    asked: list[str] = []
    complaints: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.on("console", lambda message: complaints.append(message.text))
    page.goto((tmp_path / "report" / "report.html").as_uri())
    curve = page.locator("polyline.figure-line").first
    expect(curve).to_be_visible()
    box = curve.bounding_box()
    assert box is not None
    assert box["width"] > 200
    assert box["height"] > 50
    assert page.locator("main").evaluate("(main) => getComputedStyle(main).maxWidth") != "none"
    page.wait_for_function(
        "() => [...document.querySelectorAll('video')].filter((one) => one.readyState).length === 2"
    )
    assert [url for url in asked if not url.startswith(("file:", "data:"))] == []
    assert complaints == []
    context.close()
