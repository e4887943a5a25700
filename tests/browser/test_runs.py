from __future__ import annotations

import re
import subprocess
import sys
from datetime import UTC, datetime
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from server.curves import POINTS
from server.models import Run, RunState
from server.store import changes, metrics, runs, versions

pytestmark = pytest.mark.browser

ANOTHER_PROCESS = """
import sys
from datetime import UTC, datetime
from server.database import Database
from server.store import metrics, runs, versions

database = Database(sys.argv[1])
now = datetime.now(UTC)
with database.write() as s:
    run = runs.get_run(s, name="coinrun")
    values = {"evaluation/return_test": 8.25, "reward_model/accuracy_heldout": 0.875}
    metrics.add_metrics(s, run_id=run.id, step=3000, values=values, now=now)
    runs.update_progress(s, run_id=run.id, iteration=3, steps=3000, steps_per_second=1234.0)
    fitted = {"reward_model/accuracy_heldout": 0.875}
    versions.add_reward_model(s, run_id=run.id, artifact="0" * 64, iteration=3, steps=3000,
        preferences=20, last_preference_id=None, metrics=fitted, now=now)
    run.heartbeat_at = now
"""


def learn(workplace: Any, step: int, **values: float) -> None:
    """Metrics at a step; `train__loss` stands for train/loss."""
    named = {name.replace("__", "/"): value for name, value in values.items()}
    now = datetime.now(UTC)
    with workplace.database.write() as s:
        run = runs.get_run(s, name=workplace.run)
        run.heartbeat_at = now
        metrics.add_metrics(s, run_id=run.id, step=step, values=named, now=now)


def now_of(page: Page, line: str) -> Any:
    return page.locator(f'tr[data-line="{line}"] [data-now]')


def open_run(page: Page) -> None:
    page.goto("/runs/coinrun")
    expect(page.locator("[data-live-state]")).to_have_text("live")


def pixels(page: Page, chart: str) -> int:
    """How many pixels of a chart's canvas are painted."""
    count: int = page.evaluate(
        """(chart) => {
            const canvas = document.querySelector(`#chart-${chart} canvas`);
            const copy = new OffscreenCanvas(canvas.width, canvas.height).getContext("2d");
            copy.drawImage(canvas, 0, 0);
            const { data } = copy.getImageData(0, 0, canvas.width, canvas.height);
            return data.filter((value, i) => i % 4 === 3 && value > 0).length;
        }""",
        chart,
    )
    return count


def plot_of(page: Page, chart: str) -> Any:
    """Where a chart's plot stands; it is drawn when it is on the screen."""
    page.locator(f"#chart-{chart}").scroll_into_view_if_needed()
    plot = page.locator(f"#chart-{chart} .u-over")
    plot.scroll_into_view_if_needed()
    box = plot.bounding_box()
    assert box
    return box


def test_curves_and_versions_move_without_a_reload(page: Page, workplace: Any) -> None:
    learn(workplace, 1000, evaluation__return_test=5.0, reward_model__accuracy_heldout=0.5)
    learn(workplace, 2000, evaluation__return_test=6.0, reward_model__accuracy_heldout=0.6)
    open_run(page)
    expect(now_of(page, "evaluation/return_test")).to_have_text("6.00")
    page.evaluate("window.stillHere = true")
    before = pixels(page, "return")
    assert before > 0
    command = [sys.executable, "-c", ANOTHER_PROCESS, workplace.settings.database_url]
    subprocess.run(command, check=True)
    expect(now_of(page, "evaluation/return_test")).to_have_text("8.25")
    expect(now_of(page, "reward_model/accuracy_heldout")).to_have_text("87.5 %")
    best = page.locator('tr[data-line="evaluation/return_test"]')
    expect(best.locator("[data-best-step]")).to_have_text("3,000")
    expect(page.locator("#version-1")).to_contain_text("87.5 %")
    expect(page.locator("#standing")).to_contain_text("iteration 3")
    expect(page.locator("#standing")).to_contain_text("1,234 steps/s")
    assert pixels(page, "return") != before
    assert page.evaluate("window.stillHere") is True


def test_everything_that_moves_can_be_paused(page: Page, workplace: Any) -> None:
    learn(workplace, 1000, time__fps=1000.0)
    open_run(page)
    expect(now_of(page, "time/fps")).to_have_text("1,000")
    button = page.get_by_role("button", name="Pause live updates")
    button.click()
    expect(button).to_have_attribute("aria-pressed", "true")
    expect(page.locator("[data-live-state]")).to_have_text("updates paused")
    learn(workplace, 2000, time__fps=2000.0)
    learn(workplace, 3000, time__fps=3000.0)
    page.wait_for_timeout(1500)
    expect(now_of(page, "time/fps")).to_have_text("1,000")
    button.click()
    expect(now_of(page, "time/fps")).to_have_text("3,000")
    page.locator("#chart-fps summary").click()
    expect(page.locator("#chart-fps tbody tr td:first-child")).to_have_text(
        ["3,000", "2,000", "1,000"]
    )


def test_the_run_can_be_paused_and_resumed(page: Page, workplace: Any) -> None:
    open_run(page)
    standing = page.locator("#standing")
    page.evaluate("window.stillHere = true")
    standing.get_by_role("button", name="Pause").click()
    expect(standing).to_contain_text("Paused. Nothing is lost")
    expect(standing.get_by_role("button", name="Resume")).to_be_focused()
    standing.get_by_role("button", name="Resume").click()
    expect(standing).to_contain_text("Waiting for a worker")
    assert page.evaluate("window.stillHere") is True
    with workplace.database.write() as s:
        runs.get_run(s, name="coinrun").state = RunState.FINISHED
    expect(standing.locator(".state")).to_have_text("finished")
    expect(standing.get_by_role("button")).to_have_count(0)


def test_a_refused_command_says_why_on_the_page(page: Page, workplace: Any, watch: Any) -> None:
    watch.expected = ("409",)
    open_run(page)
    page.get_by_role("button", name="Pause live updates").click()
    with workplace.database.write() as s:
        runs.get_run(s, name="coinrun").state = RunState.FINISHED
    page.locator("#command-stop").click()
    expect(page.get_by_role("alert")).to_have_text("the run is finished; it cannot stop")


def test_it_works_without_scripts(new_page: Any, workplace: Any) -> None:
    learn(workplace, 1000, time__fps=1000.0)
    page = new_page(java_script_enabled=False)
    page.goto("/runs/coinrun")
    expect(page.locator("#standing")).to_contain_text("running")
    page.get_by_role("button", name="Pause").click()
    expect(page.locator("#standing")).to_contain_text("Paused. Nothing is lost")
    page.get_by_role("link", name="Metrics", exact=True).click()
    expect(page.get_by_role("row", name="time/fps")).to_contain_text("1,000")


def test_the_cursor_is_linked_across_charts(page: Page, workplace: Any) -> None:
    for step in range(1000, 11_000, 1000):
        learn(workplace, step, time__fps=float(step), train__value_loss=step / 1000)
    open_run(page)
    expect(now_of(page, "time/fps")).to_have_text("10,000")
    box = plot_of(page, "fps")
    page.mouse.move(box["x"] + box["width"] * 0.4, box["y"] + box["height"] / 2)
    for chart in ("fps", "value_loss"):
        head = page.locator(f"#chart-{chart} [data-now-head]")
        expect(head).to_have_text("at 4,000")
    expect(now_of(page, "train/value_loss")).to_have_text("4.00")
    page.mouse.move(5, 5)
    expect(page.locator("#chart-fps [data-now-head]")).to_have_text("now")


def test_zoom_survives_new_points_and_a_double_click_ends_it(page: Page, workplace: Any) -> None:
    for step in range(1000, 11_000, 1000):
        learn(workplace, step, time__fps=float(step))
    open_run(page)
    expect(now_of(page, "time/fps")).to_have_text("10,000")
    box = plot_of(page, "fps")
    middle = box["y"] + box["height"] / 2
    page.mouse.move(box["x"] + box["width"] * 0.2, middle)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] * 0.6, middle, steps=4)
    page.mouse.up()
    learn(workplace, 11_000, time__fps=500.0)
    page.mouse.move(box["x"] + box["width"] / 2, middle)
    # In the middle of what is shown: still the zoomed stretch, 2,000 to 6,000.
    expect(page.locator("#chart-fps [data-now-head]")).to_have_text("at 4,000")
    page.mouse.dblclick(box["x"] + box["width"] / 2, middle)
    page.mouse.move(box["x"] + box["width"] - 2, middle)
    expect(page.locator("#chart-fps [data-now-head]")).to_have_text("at 11 k")


def test_names_with_markup_are_text(page: Page, workplace: Any) -> None:
    name = "evil/<img src=x onerror=alert(1)>"
    learn(workplace, 1, **{name: 1.0})
    page.on("dialog", lambda _: pytest.fail("a metric's name ran as a script"))
    page.goto("/runs/coinrun/metrics")
    expect(page.get_by_role("rowheader").filter(has_text="evil/")).to_have_text(name)


def test_the_newest_video_plays_and_an_earlier_one_is_a_click_away(
    page: Page, workplace: Any
) -> None:
    workplace.ask(2)
    for number, iteration in enumerate((10, 20)):
        add_video(workplace, iteration, workplace.clips[number])
    open_run(page)
    expect(page.locator("[data-video-caption]")).to_contain_text("iteration 20")
    page.wait_for_function("() => document.querySelector('[data-agent-video]').currentTime > 0.1")
    page.get_by_role("link", name="10", exact=True).click()
    expect(page.locator("[data-video-caption]")).to_contain_text("iteration 10")
    page.wait_for_function("() => document.querySelector('[data-agent-video]').currentTime > 0.1")
    add_video(workplace, 30, workplace.clips[2])
    expect(page.locator(".video-strip a")).to_have_text(["30", "20", "10"])
    expect(page.locator("[data-video-caption]")).to_contain_text("iteration 10")  # was chosen
    current = page.locator(".video-strip a[aria-current=true]")
    expect(current).to_have_text("10")
    page.get_by_role("link", name="30", exact=True).click()
    expect(page.locator("[data-video-caption]")).to_contain_text("iteration 30")
    page.wait_for_function("() => !document.querySelector('[data-agent-video]').paused")
    add_video(workplace, 40, workplace.clips[3])
    expect(page.locator("[data-video-caption]")).to_contain_text("iteration 40")  # the newest
    expect(current).to_have_text("40")


def test_a_reconnect_leaves_what_somebody_is_doing(page: Page, workplace: Any) -> None:
    workplace.ask(2)
    for number, iteration in enumerate((10, 20)):
        add_video(workplace, iteration, workplace.clips[number])
    open_run(page)
    page.get_by_text("Change budget or strategy").click()
    budget, strategy = page.get_by_label("Label budget"), page.get_by_label("Pairs are chosen by")
    budget.fill("777")
    strategy.select_option("entropy")
    page.get_by_role("link", name="10", exact=True).click()
    page.get_by_role("button", name="Pause live updates").click()
    with workplace.database.write() as s:
        runs.get_run(s, name="coinrun").iteration = 1234
    page.get_by_role("button", name="Pause live updates").click()
    expect(page.locator("#standing")).to_contain_text("1,234")
    expect(budget).to_be_visible()
    expect(budget).to_have_value("777")
    expect(strategy).to_have_value("entropy")
    expect(page.locator("[data-video-caption]")).to_contain_text("iteration 10")
    expect(page.locator(".video-strip a[aria-current=true]")).to_have_text("10")
    source = page.locator("[data-agent-video]").get_attribute("src")
    assert source is not None
    assert source.endswith("/media/checkpoints/1.mp4")
    page.locator("#settings").get_by_role("button", name="Change").click()
    expect(page.locator("#settings")).to_contain_text("label budget 777, strategy entropy")
    with workplace.database.write() as s:
        run = runs.get_run(s, name="coinrun")
        changes.change(
            s, run=run, label_budget=801, strategy=None, person_id=None, now=datetime.now(UTC)
        )
    expect(budget).to_have_value("801")  # what was sent is no longer somebody's to keep
    expect(strategy).to_have_value("entropy")


def test_a_video_that_was_deleted_is_said_to_be_gone(
    page: Page, workplace: Any, watch: Any
) -> None:
    watch.expected = ("404",)
    workplace.ask(1)
    add_video(workplace, 10, workplace.clips[0])
    add_video(workplace, 20, workplace.clips[1])
    workplace.artifacts.delete(workplace.clips[1])
    open_run(page)
    gone = page.locator("#agent").get_by_text("This video is gone")
    expect(gone).to_be_visible()
    with workplace.database.write() as s:
        runs.get_run(s, name="coinrun").iteration = 99
    expect(page.locator("#standing")).to_contain_text("iteration 99")
    expect(gone).to_be_visible()
    page.get_by_role("link", name="10", exact=True).click()
    expect(gone).to_be_hidden()
    expect(page.locator("[data-agent-video]")).to_be_visible()
    page.goto("/compare?run=coinrun")
    expect(page.get_by_text("This video is gone")).to_be_visible()


def add_video(workplace: Any, iteration: int, video: str) -> None:
    now = datetime.now(UTC)
    with workplace.database.write() as s:
        run_id = runs.get_run(s, name="coinrun").id
        checkpoint, _ = versions.add_checkpoint(
            s,
            run_id=run_id,
            iteration=iteration,
            steps=iteration * 1000,
            artifact="0" * 64,
            kept=True,
            now=now,
        )
        versions.set_video(s, checkpoint_id=checkpoint.id, video=video)


def test_smoothing_is_right_at_the_ends_and_on_constants(page: Page) -> None:
    page.goto("/runs/coinrun")
    found = page.evaluate(
        """async () => {
            const script = document.querySelector('script[src$="run.js"]').src;
            const { smooth, thin, merge, figures, valueAt } =
                await import(script.replace("run.js", "series.js"));
            const steps = [...Array(100).keys()];
            const spike = { steps: [...Array(9000).keys()], values: Array(9000).fill(1) };
            spike.values[4567] = 99;
            spike.values[1234] = -99;
            const thinned = thin(spike);
            return {
                constant: smooth({ steps, values: Array(100).fill(7) }, 0.2),
                line: smooth({ steps, values: steps }, 0.05),
                off: smooth({ steps, values: steps }, 0),
                first: smooth({ steps, values: steps.map((s) => (s ? 0 : 10)) }, 0.1)[0],
                gap: smooth({ steps: [0, 1, 1000], values: [0, 0, 10] }, 0.01)[2],
                kept: thinned.steps.length,
                extremes: [Math.max(...thinned.values), Math.min(...thinned.values)],
                ends: [thinned.steps[0], thinned.steps.at(-1)],
                merged: merge({ steps: [1, 3], values: [1, 3] }, { steps: [2, 3], values: [2, 9] }),
                best: figures({ steps: [1, 2, 3], values: [4, 2, 3] }, "min"),
                between: valueAt({ steps: [10, 20], values: [1, 2] }, 15),
                before: valueAt({ steps: [10, 20], values: [1, 2] }, 5),
            };
        }"""
    )
    assert found["constant"] == pytest.approx([7.0] * 100)
    assert found["off"] == list(range(100))
    assert found["first"] == 10  # nothing comes before the first point
    # A half-life of 4.95 steps lags a straight line by 1 / (2 ** (1 / 4.95) - 1) steps.
    assert found["line"][99] == pytest.approx(99 - 1 / (2 ** (1 / 4.95) - 1), abs=1e-3)
    assert found["gap"] == pytest.approx(10.0)  # far away in steps counts as far away
    assert found["kept"] <= 1500
    assert found["extremes"] == [99, -99]
    assert found["ends"] == [0, 8999]
    assert found["merged"] == {"steps": [1, 2, 3], "values": [1, 2, 9]}
    assert found["best"] == {"now": 3, "best": 2, "bestStep": 2}
    assert found["between"] == 1
    assert found["before"] is None


def test_no_two_of_sixteen_members_look_alike(page: Page) -> None:
    page.goto("/runs/coinrun")
    looks = page.evaluate(
        """async () => {
            const script = document.querySelector('script[src$="run.js"]').src;
            const { Values } = await import(script.replace("run.js", "explore-values.js"));
            const values = new Values();
            const members = Array(16).fill([1, 2]);
            values.takeRewards({ raw: members, normalised: members });
            return values.rewardLines().map(({ color, dash }) => `${color} ${dash}`);
        }"""
    )
    assert len(set(looks)) == 17  # their mean is one as well


@pytest.mark.parametrize("path", ["/", "/runs/coinrun", "/runs/coinrun/config"])
def test_a_phone_needs_no_sideways_scrolling(new_page: Any, workplace: Any, path: str) -> None:
    learn(workplace, 1_000_000, **{name: 0.123456 for name in POINTS})
    page = new_page(viewport={"width": 390, "height": 844})
    page.goto(path)
    page.wait_for_timeout(300)
    assert page.evaluate("document.documentElement.scrollWidth") == 390


def test_a_new_run_appears_in_the_overview_by_itself(page: Page, workplace: Any) -> None:
    page.clock.install()
    page.goto("/")
    expect(page.locator("#run-coinrun")).to_contain_text("running")
    workplace.add_run("fruitbot-1")
    page.clock.run_for(11_000)
    expect(page.locator("#run-fruitbot-1")).to_contain_text("waiting")


def test_the_first_run_can_be_started_by_copying_its_command(new_page: Any, workplace: Any) -> None:
    with workplace.database.write() as s:
        s.query(Run).delete()
    page = new_page(permissions=["clipboard-read", "clipboard-write"])
    page.goto("/")
    page.get_by_role("button", name="Copy").click()
    expect(page.get_by_role("button", name="Copied")).to_be_visible()
    assert re.fullmatch("clipwise up", page.evaluate("navigator.clipboard.readText()"))
