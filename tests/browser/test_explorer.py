"""A trajectory's page in a real browser: the frame on the screen and what is said of it agree."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pytest
import torch
from gymnasium import spaces
from playwright.sync_api import Page, expect

from learner.config import RewardConfig
from learner.examiner import Examiner
from learner.records import Workplace as Records
from learner.rewards.ensemble import RewardEnsemble
from learner.rewards.packing import pack
from learner.trajectories import Trajectory, digest
from server.store import queries, runs, trajectories, versions

pytestmark = pytest.mark.browser

STEPS = 48
BITS = 6
# Reads the number that is painted on a frame as black and white bars.
ON_SCREEN = """(name) => {
    const video = document.querySelector(`[data-${name}]`);
    const canvas = document.createElement("canvas");
    canvas.width = video.videoWidth;
    canvas.height = video.videoHeight;
    const picture = canvas.getContext("2d", { willReadFrequently: true });
    picture.drawImage(video, 0, 0);
    let number = 0;
    for (let bit = 0; bit < 6; bit += 1) {
        const x = Math.floor((bit + 0.5) * canvas.width / 6);
        const [red] = picture.getImageData(x, Math.floor(canvas.height / 2), 1, 1).data;
        number = 2 * number + (red > 127 ? 1 : 0);
    }
    return number;
}"""
SHOWN = """() => [...document.querySelectorAll("[data-values] tr")]
    .map((row) => [...row.cells].map((cell) => cell.textContent))"""


def numbered(count: int) -> Any:
    """(count, 60, 60, 3) frames: each shows its number in bars."""
    frames = np.zeros((count, 60, 60, 3), np.uint8)
    for number in range(count):
        for bit in range(BITS):
            if number >> (BITS - 1 - bit) & 1:
                frames[number, :, bit * 10 : (bit + 1) * 10] = 255
    return frames


@dataclass
class Recorded:
    """A trajectory whose frames show their numbers, and a reward model that reads them."""

    id: int
    trajectory: Trajectory
    model: RewardEnsemble
    artifact: str
    version: str

    @property
    def members(self) -> Any:
        assert self.trajectory.observations is not None
        return self.model.members(self.trajectory.observations)


def make_model(seed: int = 0) -> RewardEnsemble:
    config = RewardConfig(network="mlp", hidden=(8,))
    space = spaces.Box(0, 255, (60, 60, 3), np.uint8)
    return RewardEnsemble(space, spaces.Discrete(2), config, seed)


def make_trajectory(rewards: Any = None, seen: Any = None, blind: bool = False) -> Trajectory:
    frames = numbered(STEPS)
    seen = frames if seen is None else seen
    if rewards is None:
        rewards = np.zeros(STEPS)
        rewards[[11, 30]] = 10, -1
    return Trajectory(
        environment={"id": "Gone-v0" if blind else "CartPole-v1"},
        start_state=None,
        actions=np.zeros(STEPS, np.int64),
        rewards=np.asarray(rewards, np.float32),
        ends=np.arange(STEPS) == STEPS - 1,
        episode="0-0",
        level=7,
        policy_step=4096,
        digest=digest(seen),
        observations=seen,
        frames=None if blind else frames,
    )


def record(workplace: Any, *, model: RewardEnsemble | None, **changes: Any) -> Recorded:
    """Store a trajectory, and a version of the reward model."""
    trajectory = make_trajectory(**changes)
    artifact = workplace.artifacts.put(trajectory.to_bytes())
    version = workplace.artifacts.put(pack(model)) if model else ""
    now = datetime.now(UTC)
    with workplace.database.write() as s:
        run_id = runs.get_run(s, name="coinrun").id
        row = trajectories.add_trajectory(
            s,
            run_id=run_id,
            artifact=artifact,
            episode=trajectory.episode,
            level=trajectory.level,
            policy_step=trajectory.policy_step,
            steps=trajectory.steps,
            true_return=float(np.nansum(trajectory.rewards)),
            now=now,
        )
        trajectories.add_segment(
            s, run_id=run_id, trajectory_id=row.id, start=5, length=10, true_return=0.0
        )
        if model:
            versions.add_reward_model(
                s,
                run_id=run_id,
                artifact=version,
                iteration=1,
                steps=4096,
                preferences=10,
                last_preference_id=None,
                metrics={},
                now=now,
            )
        return Recorded(row.id, trajectory, model or make_model(), artifact, version)


@pytest.fixture
def recorded(workplace: Any) -> Recorded:
    return record(workplace, model=make_model())


@pytest.fixture
def examiner(workplace: Any) -> Iterator[list[int]]:
    """What a worker's examiner does, in a thread; counts what it found out."""
    torch.set_num_threads(1)
    place, ended, found = Records(workplace.settings), threading.Event(), [0]

    def examine() -> None:
        examiner = Examiner(place)
        while not ended.is_set():
            if examiner.examine_next():
                found[0] += 1
            else:
                time.sleep(0.05)

    thread = threading.Thread(target=examine)
    thread.start()
    yield found
    ended.set()
    thread.join(30)
    place.close()


def await_(page: Page, condition: Any, seconds: float = 30) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        page.wait_for_timeout(50)


def ready(page: Page) -> None:
    """Everything that the page asked for is there; a link's new page may still be on its way."""
    film = page.locator("[data-film]")
    await_(page, lambda: film.evaluate("(one) => one.readyState > 1"))
    expect(page.locator("[data-values] tr")).to_have_count(5, timeout=30_000)


def on_screen(page: Page, step: int, name: str = "film") -> None:
    await_(page, lambda: page.evaluate(ON_SCREEN, name) == step)


def figures(page: Page) -> dict[str, list[str]]:
    return {name: numbers for name, *numbers in page.evaluate(SHOWN)}


def test_scrubbing_shows_the_reward_of_the_frame_on_the_screen(
    page: Page, recorded: Recorded, examiner: list[int]
) -> None:
    page.goto(f"/runs/coinrun/explore/trajectories/{recorded.id}")
    ready(page)
    scrub = page.locator("[data-scrub]")
    members, mean = recorded.members, recorded.members.mean(axis=0)

    def agrees(step: int) -> None:
        for name in ("film", "agent"):
            on_screen(page, step, name)
        shown = figures(page)
        for number, member in enumerate(members, 1):
            assert float(shown[f"member {number}"][0]) == pytest.approx(member[step], rel=0.01)
        now, so_far, total = map(float, shown["mean: what the agent is paid"])
        assert now == pytest.approx(mean[step], rel=0.01)
        assert so_far == pytest.approx(mean[: step + 1].sum(), rel=0.01)
        assert total == pytest.approx(mean.sum(), rel=0.01)
        assert float(shown["true"][0]) == recorded.trajectory.rewards[step]
        assert (scrub.get_attribute("aria-valuetext") or "").startswith(f"step {step} of {STEPS}")

    agrees(0)
    page.keyboard.press("ArrowRight")
    agrees(1)
    expect(scrub).to_be_focused()
    for _ in range(4):
        page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowLeft")
    agrees(4)
    page.keyboard.press("End")
    agrees(STEPS - 1)
    page.keyboard.press("ArrowRight")  # there is nothing behind it
    agrees(STEPS - 1)
    page.keyboard.press("Home")
    page.get_by_role("button", name="One step forward").click()
    agrees(1)
    page.get_by_role("button", name="step 30").click()
    agrees(30)
    plot = page.locator("[data-plot=rewards] .u-over")
    plot.scroll_into_view_if_needed()
    box = plot.bounding_box()
    assert box is not None
    page.mouse.click(box["x"] + box["width"] * 20 / (STEPS - 1), box["y"] + box["height"] / 2)
    agrees(20)
    for step in range(21, 29):
        scrub.fill(str(step))
        agrees(step)


def test_playing_moves_everything_and_stops_on_one_step(
    page: Page, recorded: Recorded, examiner: list[int]
) -> None:
    page.goto(f"/runs/coinrun/explore/trajectories/{recorded.id}?step=3")
    ready(page)
    on_screen(page, 3)
    page.keyboard.press(" ")
    await_(page, lambda: int(page.locator("[data-scrub]").input_value()) > 8)
    page.locator("[data-play]").click()
    step = int(page.locator("[data-scrub]").input_value())
    for name in ("film", "agent"):
        on_screen(page, step, name)
    page.get_by_role("button", name="Play", exact=True).click()
    expect(page.locator("[data-at]")).to_have_text(f"step {STEPS - 1}", timeout=20_000)
    on_screen(page, STEPS - 1)
    expect(page.get_by_role("button", name="Play", exact=True)).to_be_visible()


def test_what_happened_the_segments_and_the_table_tell_the_same(
    page: Page, recorded: Recorded, examiner: list[int], violations: Any
) -> None:
    page.goto("/runs/coinrun/explore")
    page.get_by_role("link", name=str(recorded.id), exact=True).click()
    ready(page)
    assert page.locator("[data-events] li").all_text_contents() == [
        "step 11 true reward 10.00",
        "step 30 true reward -1.00",
        f"step {STEPS - 1} the episode ends",
    ]
    page.get_by_role("button", name="5 to 14").click()
    on_screen(page, 5)
    page.get_by_text("Every step as a table").click()
    lines = page.locator("[data-table] tbody tr")
    expect(lines).to_have_count(STEPS)
    assert "true reward 10.00" in (lines.nth(11).text_content() or "")
    for theme in ("light", "dark"):
        page.get_by_label("Theme").select_option(theme)
        assert violations(page) == []
        page.set_viewport_size({"width": 390, "height": 844})
        wide = page.evaluate("() => document.documentElement.scrollWidth > innerWidth")
        assert not wide, "the page is wider than a phone"
        page.set_viewport_size({"width": 1280, "height": 900})


def test_asked_again_it_is_there_at_once_and_made_again_where_it_is_gone(
    page: Page, recorded: Recorded, examiner: list[int], workplace: Any
) -> None:
    address = f"/runs/coinrun/explore/trajectories/{recorded.id}"
    page.goto(address)
    ready(page)
    await_(page, lambda: examiner[0] == 4)
    page.reload()
    ready(page)
    assert examiner[0] == 4
    body = {"aspect": "rewards", "trajectory": recorded.id}
    content = page.request.post("/api/v1/runs/coinrun/inspections", data=body).json()["content"]
    found = page.request.get(content)
    workplace.artifacts.delete(workplace.artifacts.put(found.body()))
    page.reload()
    ready(page)
    assert examiner[0] == 5


def test_a_recipe_that_is_gone_says_so_and_what_was_found_out_stays(
    page: Page, recorded: Recorded, examiner: list[int], workplace: Any
) -> None:
    address = f"/runs/coinrun/explore/trajectories/{recorded.id}"
    page.request.post(
        "/api/v1/runs/coinrun/inspections", data={"aspect": "rewards", "trajectory": recorded.id}
    )
    await_(page, lambda: examiner[0] == 1)
    workplace.artifacts.delete(recorded.artifact)
    page.goto(address)
    expect(page.get_by_text("The recipe of this trajectory is gone")).to_be_visible()
    expect(page.locator("[data-values] tr")).to_have_count(4, timeout=30_000)
    for note in ("film", "agent", "events"):
        expect(page.locator(f"[data-{note}-note]")).to_contain_text("is gone; restore it")
    page.keyboard.press("ArrowRight")
    expect(page.locator("[data-at]")).to_have_text("step 1")


@pytest.mark.parametrize(
    ("rewards", "note", "rows"), [(np.nan, "is not known", 0), (0.0, "No true reward was paid", 1)]
)
def test_without_a_reward_model_or_true_rewards_the_rest_is_shown(
    page: Page, examiner: list[int], workplace: Any, rewards: float, note: str, rows: int
) -> None:
    unpaid = record(workplace, model=None, rewards=np.full(STEPS, rewards))
    page.goto(f"/runs/coinrun/explore/trajectories/{unpaid.id}")
    expect(page.get_by_text("no reward model yet")).to_be_visible()
    expect(page.locator("[data-events-note]")).to_contain_text(note, timeout=30_000)
    page.keyboard.press("ArrowRight")
    on_screen(page, 1)
    expect(page.locator("[data-values] tr")).to_have_count(rows)


def test_without_a_learner_the_page_says_who_is_missing(page: Page, recorded: Recorded) -> None:
    page.clock.install()
    page.goto(f"/runs/coinrun/explore/trajectories/{recorded.id}")
    expect(page.locator("[data-film-note]")).to_contain_text("The learner is making")
    for _ in range(20):
        page.clock.run_for(1000)
        page.wait_for_timeout(20)
    expect(page.locator("[data-problem]")).to_contain_text("clipwise work")


DRAWN = """() => {
    const map = document.querySelector("[data-map]");
    if (map.hidden) return null;
    const copy = new OffscreenCanvas(map.width, map.height).getContext("2d");
    copy.drawImage(map, 0, 0);
    const { data } = copy.getImageData(0, 0, map.width, map.height);
    const strongest = data.filter((_, at) => at % 4 === 3).reduce((a, b) => Math.max(a, b));
    return [map.width, map.height, Number(map.dataset.step), strongest, map.style.opacity];
}"""


def test_saliency_is_drawn_over_the_frame_on_the_screen(
    page: Page, workplace: Any, examiner: list[int], violations: Any
) -> None:
    config = RewardConfig(network="christiano", members=2)
    space = spaces.Box(0, 255, (60, 60, 3), np.uint8)
    recorded = record(workplace, model=RewardEnsemble(space, spaces.Discrete(2), config, 0))
    page.goto(f"/runs/coinrun/explore/trajectories/{recorded.id}?step=9")
    expect(page.locator("[data-values] tr")).to_have_count(4, timeout=30_000)
    assert page.evaluate(DRAWN) is None
    await_(page, lambda: examiner[0] == 4)
    for method in ("gradient", "integrated gradients", "occlusion"):
        page.get_by_label("Saliency").select_option(method)
        await_(page, lambda: page.evaluate(DRAWN) is not None)
        assert page.evaluate(DRAWN) == [60, 60, 9, 255, "0.7"]
        expect(page.locator("[data-map-text]")).to_contain_text("Step 9: ")
    page.keyboard.press("Tab")
    page.get_by_label("Opacity of the map").fill("20")
    assert page.evaluate(DRAWN)[-1] == "0.2"
    page.get_by_role("button", name="One step forward").click()
    assert page.evaluate(DRAWN) is None, "the map of another frame is drawn over this one"
    await_(page, lambda: page.evaluate(DRAWN) is not None)
    assert page.evaluate(DRAWN)[2] == 10
    page.get_by_role("button", name="One step back").click()
    assert page.evaluate(DRAWN)[2] == 9
    await_(page, lambda: examiner[0] == 8)
    assert violations(page) == []
    page.reload()
    page.get_by_label("Saliency").select_option("occlusion")
    await_(page, lambda: page.evaluate(DRAWN) is not None)
    assert examiner[0] == 8


def test_where_the_agent_sees_numbers_the_page_says_so(
    page: Page, workplace: Any, examiner: list[int]
) -> None:
    space = spaces.Box(-1, 1, (4,), np.float32)
    model = RewardEnsemble(space, spaces.Discrete(2), RewardConfig(network="mlp", hidden=(8,)), 0)
    recorded = record(workplace, model=model, seen=np.zeros((STEPS, 4), np.float32))
    page.goto(f"/runs/coinrun/explore/trajectories/{recorded.id}")
    expect(page.locator("[data-agent-note]")).to_contain_text("sees numbers", timeout=30_000)
    page.get_by_label("Saliency").select_option("gradient")
    expect(page.locator("[data-map-text]")).to_contain_text("needs a reward model of pictures")
    expect(page.locator("[data-values] tr")).to_have_count(5)


def test_without_a_video_the_rewards_are_shown_step_by_step(
    page: Page, workplace: Any, examiner: list[int]
) -> None:
    blind = record(workplace, model=make_model(), blind=True)
    page.goto(f"/runs/coinrun/explore/trajectories/{blind.id}")
    expect(page.locator("[data-values] tr")).to_have_count(5, timeout=30_000)
    expect(page.locator("[data-film-note]")).to_contain_text("cannot be shown", timeout=30_000)
    page.keyboard.press("ArrowRight")
    expect(page.locator("[data-at]")).to_have_text("step 1")
    mean = blind.members.mean(axis=0)
    shown = float(figures(page)["mean: what the agent is paid"][0])
    assert shown == pytest.approx(mean[1], rel=0.01)


def test_a_trajectory_of_another_game_has_no_rewards_and_says_why(
    page: Page, workplace: Any, examiner: list[int]
) -> None:
    foreign = record(workplace, model=make_model(), seen=np.zeros((STEPS, 4), np.float32))
    page.goto(f"/runs/coinrun/explore/trajectories/{foreign.id}")
    expect(page.locator("[data-rewards-note]")).to_contain_text(
        "recorded in another environment", timeout=30_000
    )
    on_screen(page, 0)
    expect(page.locator("[data-scrub]")).to_have_attribute("max", str(STEPS - 1))
    page.keyboard.press("ArrowRight")
    on_screen(page, 1)


def test_segments_are_looked_through_on_request_and_lead_to_their_trajectories(
    page: Page, workplace: Any, recorded: Recorded, examiner: list[int], violations: Any
) -> None:
    page.goto("/runs/coinrun/explore")
    page.get_by_role("link", name="Segments by reward").click()
    page.get_by_role("button", name="Look through the segments").click()
    most = page.locator("#sheet-most ~ ol a")
    expect(most).to_have_count(1, timeout=30_000)
    mean = recorded.members.mean(axis=0)[5:15].mean()
    expect(most).to_contain_text(f"reward {mean:.3g}"[:9])
    for theme in ("light", "dark"):
        page.get_by_label("Theme").select_option(theme)
        assert violations(page) == []
    await_(page, lambda: most.locator("video").evaluate("(one) => one.readyState > 1"))
    at = most.locator("video").evaluate("(one) => one.currentTime")
    assert at == pytest.approx(5 / 50, abs=0.02)  # 50 frames a second
    with page.expect_event("load", timeout=30_000):  # the page shows what there is now
        page.get_by_role("button", name="Look again").click()
    expect(most).to_have_count(1)
    most.click()
    ready(page)
    on_screen(page, 5)


def test_a_pair_tells_what_each_member_expects_now(
    page: Page, workplace: Any, recorded: Recorded, examiner: list[int], violations: Any
) -> None:
    now = datetime.now(UTC)
    with workplace.database.write() as s:
        run_id = runs.get_run(s, name="coinrun").id
        segments = [
            trajectories.add_segment(
                s, run_id=run_id, trajectory_id=recorded.id, start=start, length=10, true_return=0
            ).id
            for start in (0, 30)
        ]
        query = queries.add_query(
            s,
            run_id=run_id,
            segment_a_id=segments[0],
            segment_b_id=segments[1],
            iteration=1,
            selection={"strategy": "uniform"},
            now=now,
        )
    assert recorded.trajectory.observations is not None
    raw = recorded.model.raw(recorded.trajectory.observations)
    a, b = raw[:, :10].sum(axis=1), raw[:, 30:40].sum(axis=1)
    chances = [1 / (1 + np.exp(other - one)) for one, other in zip(a, b, strict=True)]
    page.goto(f"/runs/coinrun/queries/{query.id}")
    cells = page.locator("[data-query-rewards] [data-now]")
    expect(cells).to_have_count(4, timeout=30_000)
    shown = [f"{round(100 * chance)} %" for chance in [*chances, np.mean(chances)]]
    assert cells.all_text_contents() == shown
    assert violations(page) == []
