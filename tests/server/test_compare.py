"""Runs side by side: their page, its CSV, and the report that stands alone."""

from __future__ import annotations

import base64
import re
from datetime import UTC, datetime
from typing import Any

import pytest
from fastapi.testclient import TestClient

from server.contrast import read_contrast
from server.report import MOST_BYTES, write_report
from server.store import metrics, runs, versions

RETURN = "evaluation/return_test"


@pytest.fixture
def experiment(workplace: Any) -> Any:
    """Three seeds with three members, two with one; the second of those has no return yet."""
    for members, seed in ((3, 0), (3, 1), (3, 2), (1, 0), (1, 1)):
        name = f"m{members}-s{seed}"
        config = {"environment": {"id": "procgen/coinrun"}, "reward": {"members": members}}
        add(workplace, name, seed=seed, config=config | {"seed": seed}, steps=4 + seed)
    return workplace


def add(workplace: Any, name: str, *, steps: int, **values: Any) -> None:
    run = workplace.add_run(name, **values)
    now = datetime.now(UTC)
    with workplace.database.write() as s:
        for step in range(1, steps + 1):
            found = {"time/total_timesteps": 100.0 * step, "time/time_elapsed": 60.0 * step}
            if name != "m1-s1":
                found[RETURN] = float(step + run.seed)
            metrics.add_metrics(s, run_id=run.id, step=100 * step, values=found, now=now)


def film(workplace: Any, name: str, steps: int, content: bytes) -> str:
    """Add a checkpoint with a video; returns the video's name."""
    video: str = workplace.artifacts.put(content)
    with workplace.database.write() as s:
        row, _ = versions.add_checkpoint(
            s,
            run_id=runs.get_run(s, name=name).id,
            iteration=steps // 100,
            steps=steps,
            artifact="0" * 64,
            kept=True,
            now=datetime.now(UTC),
        )
        row.video = video
    return video


def compare(client: TestClient, *names: str, **more: Any) -> str:
    reply = client.get("/compare", params={"run": names, **more})
    assert reply.status_code == 200
    return reply.text


def words(html: str) -> str:
    return " ".join(re.sub(r"<[^>]*>", " ", html).split())


def test_seeds_are_averaged_and_configs_told_apart(client: TestClient, experiment: Any) -> None:
    said = words(compare(client, "m3-s0", "m3-s1", "m3-s2", "m1-s0"))
    # Last values: 4 of 4 steps with seed 0, 6 of 5 with 1, 8 of 6 with 2.
    assert "members 3 3 6.00 4.00 to 8.00 4.00 8.00" in said
    assert "members 1 1 4.00 4.00 4.00" in said
    assert "reward.members 3 1" in said
    assert "Nothing but seeds" not in said


def test_what_is_missing_is_said_and_the_rest_is_shown(client: TestClient, experiment: Any) -> None:
    said = words(compare(client, "m3-s0", "m1-s1", "gone"))
    assert "There is no run of this name: gone." in said
    assert f"No {RETURN} yet, and so in no curve: m1-s1." in said
    assert "members 3 1 4.00" in said
    assert "None of these runs has a video." in said


def test_no_runs_and_runs_without_any_figure_are_pages_too(
    client: TestClient, experiment: Any
) -> None:
    assert "Tick two runs or more" in words(compare(client))
    said = words(compare(client, "coinrun"))
    assert "None of these runs has this figure." in said
    assert "Nothing to sum up" in said


def test_returns_of_other_environments_are_summed_up_on_one_scale(
    client: TestClient, experiment: Any
) -> None:
    for members, seed in ((3, 20), (1, 10)):
        config = {"environment": {"id": "procgen/fruitbot"}, "reward": {"members": members}}
        add(
            experiment,
            f"fruit-{members}",
            seed=seed,
            environment="procgen/fruitbot",
            config=config,
            steps=4,
        )
    said = words(compare(client, "m3-s2", "m1-s0", "fruit-3", "fruit-1"))
    assert "not on one scale" in said
    assert "members 3 2 1.00 1.00 to 1.00" in said  # the better in both
    assert "members 1 2 0 0 to 0" in said


def test_videos_are_those_nearest_to_one_step(client: TestClient, experiment: Any) -> None:
    for name, steps in (("m3-s0", 100), ("m3-s0", 400), ("m3-s1", 300)):
        film(experiment, name, steps, f"{name} {steps}".encode())
    html = compare(client, "m3-s0", "m3-s1", "m3-s2")
    assert "The agents at 300 steps" in words(html)  # the latest that all have reached
    assert "m3-s0 400 steps" in words(html)
    assert "No video." in words(html)
    early = words(compare(client, "m3-s0", "m3-s1", step=100))
    assert "m3-s0 100 steps" in early
    assert "m3-s1 300 steps" in early


def test_markup_in_names_of_figures_and_in_configs_is_only_text(
    client: TestClient, experiment: Any
) -> None:
    experiment.add_run("odd", config={"note": "<script>alert(1)</script>"})
    html = compare(client, "odd", "m3-s0", metric="<b>bold</b>")
    assert "<b>bold" not in html
    assert "<script>alert" not in html
    assert "&lt;b&gt;bold&lt;/b&gt;" in html
    assert "&lt;script&gt;alert(1)" in html


def test_csv_has_a_row_per_run_and_step(client: TestClient, experiment: Any) -> None:
    text = client.get("/compare.csv", params={"run": ["m3-s0", "m1-s0"]}).text
    rows = text.split()
    assert rows[0] == f"run,step,{RETURN}"
    assert "m3-s0,400,4.0" in rows
    assert len(rows) == 1 + 4 + 4


def test_more_runs_than_a_page_holds_are_named(client: TestClient, workplace: Any) -> None:
    for number in range(42):
        workplace.add_run(f"run-{number}")
    said = words(compare(client, *(f"run-{number}" for number in range(42))))
    assert "left out: run-40, run-41" in said


def written(workplace: Any, *names: str) -> str:
    with workplace.database.read() as s:
        rows = [runs.get_run(s, name=name) for name in names]
        shown = read_contrast(s, rows=rows)
        return write_report(
            s, workplace.artifacts, shown=shown, command="clipwise report", now=datetime.now(UTC)
        )


def test_a_report_holds_all_it_shows(experiment: Any) -> None:
    film(experiment, "m3-s0", 400, b"a video")
    html = written(experiment, "m3-s0", "m3-s1")
    inside = base64.b64encode(b"a video").decode()
    assert f'src="data:video/mp4;base64,{inside}"' in html
    assert not re.findall(r'(?:src|href)="(?!data:)', html)
    assert "<script" not in html
    assert "http://www.w3.org" not in re.sub(r"url\(\"data:.*?\"\)", "", html)


def test_a_report_leaves_out_what_is_gone_or_too_large(experiment: Any) -> None:
    film(experiment, "m3-s0", 400, b"large" * (MOST_BYTES // 5))
    gone = film(experiment, "m3-s1", 400, b"gone")
    film(experiment, "m3-s2", 400, b"small")
    experiment.artifacts.delete(gone)
    html = written(experiment, "m3-s0", "m3-s1", "m3-s2")
    assert html.count("Left out: its video is gone, or did not fit in.") == 2
    assert html.count("<video") == 1
    assert len(html.encode()) < MOST_BYTES
