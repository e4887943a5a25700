"""What can be done with a run's curves: other axes, other scales, pictures, detail on zoom."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from playwright.sync_api import Page, expect
from sqlalchemy import insert

from server.models import CommandKind, Metric
from server.store import metrics, runs

pytestmark = pytest.mark.browser

NOW = datetime.now(UTC)
HEAD = "#chart-fps [data-now-head]"


def learn(workplace: Any, *, minutes: list[float], fps: float = 1.0) -> None:
    """A figure each thousand steps, stored at so many minutes from now, 100 s of work each."""
    for number, minute in enumerate(minutes, start=1):
        values = {
            "time/fps": fps * number,
            "time/total_timesteps": 1000.0 * number,
            "time/time_elapsed": 100.0 * number,
        }
        moment = NOW + timedelta(minutes=minute)
        with workplace.database.write() as s:
            run = runs.get_run(s, name="coinrun")
            run.heartbeat_at = datetime.now(UTC)
            metrics.add_metrics(s, run_id=run.id, step=1000 * number, values=values, now=moment)


def show(page: Page, chart: str) -> Any:
    page.goto("/runs/coinrun")
    page.locator(f"#chart-{chart}").scroll_into_view_if_needed()
    plot = page.locator(f"#chart-{chart} .u-over")
    plot.scroll_into_view_if_needed()
    return plot.bounding_box()


def point(page: Page, box: Any, share: float) -> None:
    page.mouse.move(box["x"] + box["width"] * share, box["y"] + box["height"] / 2)


def test_curves_run_over_steps_working_time_or_time_of_day(page: Page, workplace: Any) -> None:
    learn(workplace, minutes=[0, 10, 20, 90])
    box = show(page, "fps")
    point(page, box, 0.5)
    expect(page.locator(HEAD)).to_have_text("at 2,000")
    page.get_by_label("x axis").select_option("time")
    point(page, box, 0.75)
    expect(page.locator(HEAD)).to_have_text("at 5 min")  # 300 s, the third point
    expect(page.locator('tr[data-line="time/fps"] [data-now]')).to_have_text("3.00")
    page.get_by_label("x axis").select_option("wall")
    point(page, box, 0.6)  # 54 of 90 minutes: nearest is the third point, at 20
    expect(page.locator('tr[data-line="time/fps"] [data-now]')).to_have_text("3.00")
    page.reload()
    expect(page.get_by_label("x axis")).to_have_value("wall")


def test_a_clock_that_jumps_back_does_not_tear_the_curves(page: Page, workplace: Any) -> None:
    learn(workplace, minutes=[0, 30, 10, 20, 40])
    box = show(page, "fps")
    page.get_by_label("x axis").select_option("wall")
    point(page, box, 0.99)
    expect(page.locator('tr[data-line="time/fps"] [data-now]')).to_have_text("5.00")
    point(page, box, 0.05)
    expect(page.locator('tr[data-line="time/fps"] [data-now]')).to_have_text("1.00")


def test_times_cannot_be_chosen_where_none_are_known(page: Page, workplace: Any) -> None:
    with workplace.database.write() as s:
        run = runs.get_run(s, name="coinrun")
        metrics.add_metrics(s, run_id=run.id, step=1, values={"time/fps": 1.0}, now=NOW)
    page.goto("/runs/coinrun")
    expect(page.locator('[data-x-axis] option[value="wall"]')).to_be_disabled()
    expect(page.locator('[data-x-axis] option[value="time"]')).to_be_disabled()


def test_a_log_scale_draws_every_decade_alike(page: Page, workplace: Any) -> None:
    for step, loss in ((1000, 0.01), (2000, 1.0), (3000, 100.0)):
        with workplace.database.write() as s:
            run = runs.get_run(s, name="coinrun")
            metrics.add_metrics(
                s, run_id=run.id, step=step, values={"train/value_loss": loss}, now=NOW
            )
    show(page, "value_loss")
    shown = "() => document.querySelector('#chart-value_loss .uplot') !== null"
    page.wait_for_function(shown)
    heights = """async () => {
        const script = document.querySelector('script[src$="run.js"]').src;
        const { charts } = await import(script);
        const { plot } = charts.charts.find((one) => one.element.id === "chart-value_loss");
        return [0.01, 1, 100].map((value) => plot.valToPos(value, "y"));
    }"""
    low, middle, high = page.evaluate(heights)
    assert low - middle < 0.05 * (low - high)
    page.get_by_label("y axis").select_option("log")
    low, middle, high = page.evaluate(heights)
    assert low - middle == pytest.approx(middle - high, rel=0.02)


def test_a_chart_can_be_kept_as_a_picture(page: Page, workplace: Any) -> None:
    learn(workplace, minutes=[0, 1, 2])
    show(page, "fps")
    with page.expect_download() as waiting:
        page.get_by_role("button", name="PNG of Speed").click()
    assert waiting.value.suggested_filename == "coinrun-chart-fps.png"
    content = waiting.value.path().read_bytes()
    assert content.startswith(b"\x89PNG")
    assert len(content) > 3000


def test_a_zoom_brings_the_points_that_were_left_out(page: Page, workplace: Any) -> None:
    with workplace.database.write() as s:
        run_id = runs.get_run(s, name="coinrun").id
        rows = [
            {"run_id": run_id, "name": "time/fps", "step": step, "value": v, "created_at": NOW}
            for step in range(20_000)
            for v in (float(step % 7),)
        ]
        s.execute(insert(Metric), rows)
    box = show(page, "fps")
    drawn = """async () => {
        const script = document.querySelector('script[src$="run.js"]').src;
        const { charts } = await import(script);
        const { plot } = charts.charts.find((one) => one.element.id === "chart-fps");
        const [low, high] = [plot.scales.x.min, plot.scales.x.max];
        return plot.data[0].filter((x) => x >= low && x <= high).length;
    }"""
    page.wait_for_function("() => document.querySelector('#chart-fps .uplot') !== null")
    assert page.evaluate(drawn) <= 500
    point(page, box, 0.5)
    page.mouse.down()
    point(page, box, 0.55)
    page.mouse.up()
    page.wait_for_function(f"async () => (await ({drawn})()) >= 900")


def test_what_happened_is_told_at_the_cursor(page: Page, workplace: Any) -> None:
    learn(workplace, minutes=[-3, -2, -1])
    with workplace.database.write() as s:
        run = runs.get_run(s, name="coinrun")
        values = {"evaluation/return_test": 1.0}
        for step in (1000, 2000, 3000):
            metrics.add_metrics(s, run_id=run.id, step=step, values=values, now=NOW)
        moment = NOW - timedelta(minutes=1.5)
        command = runs.send_command(
            s, run_id=run.id, kind=CommandKind.PAUSE, person_id=None, now=moment
        )
        command.taken_at = moment
    box = show(page, "return")
    point(page, box, 2 / 3)
    expect(page.locator("#chart-return [data-mark]")).to_have_text("paused")
    point(page, box, 0.1)
    expect(page.locator("#chart-return [data-mark]")).to_have_text("")
    expect(page.locator("#happened")).to_contain_text("paused")
