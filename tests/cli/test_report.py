"""`clipwise report`: what it writes, what it refuses, what it leaves in its folder."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from cli.report import report
from server.store import metrics, versions

RETURN = "evaluation/return_test"
PNG = b"\x89PNG"


@pytest.fixture
def experiment(workplace: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Three seeds with curves and videos that do not all fit into one report."""
    monkeypatch.setenv("CLIPWISE_VAR", str(workplace.settings.var))
    for seed in range(3):
        add(workplace, f"seed-{seed}", seed)
    return workplace


def add(workplace: Any, name: str, seed: int) -> None:
    config = {"environment": {"id": "procgen/coinrun"}, "seed": seed}
    run = workplace.add_run(name, seed=seed, config=config)
    now = datetime.now(UTC)
    video = workplace.artifacts.put(bytes([seed]) * 4_000_000)
    with workplace.database.write() as s:
        for step in range(1, 60):
            found = {RETURN: 0.1 * step + seed, "time/time_elapsed": 60.0 * step}
            metrics.add_metrics(s, run_id=run.id, step=100 * step, values=found, now=now)
        row, _ = versions.add_checkpoint(
            s, run_id=run.id, iteration=1, steps=100, artifact="0" * 64, kept=True, now=now
        )
        versions.set_video(s, checkpoint_id=row.id, video=video)


@pytest.mark.slow
def test_three_runs_are_one_small_file_and_pictures(
    command: Any, experiment: Any, tmp_path: Path
) -> None:
    command.settings = experiment.settings
    out = tmp_path / "deep" / "report"
    done = command.run("report", "seed-0", "seed-1", "seed-2", "--out", str(out))
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == str(out / "report.html")
    assert {path.name for path in out.iterdir()} == {"report.html", "curves.png", "profiles.png"}
    assert sum(path.stat().st_size for path in out.iterdir()) < 10_000_000
    assert (out / "curves.png").read_bytes().startswith(PNG)
    html = (out / "report.html").read_text()
    assert "clipwise report seed-0 seed-1 seed-2" in html
    assert html.count("<video") == 1  # 5.3 MB each as text


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("nobody",), "no run named 'nobody'"),
        (("seed-0", "--out", "taken"), "choose another --out"),
    ],
)
def test_what_cannot_be_is_refused_in_a_line(
    command: Any, experiment: Any, tmp_path: Path, arguments: tuple[str, ...], said: str
) -> None:
    command.settings = experiment.settings
    (tmp_path / "taken").write_text("a file, not a folder")
    done = command.run("report", *arguments, cwd=tmp_path)
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1
    assert said in done.stderr
    assert not (tmp_path / "report").exists()


def test_pictures_of_an_earlier_report_do_not_stay(experiment: Any, tmp_path: Path) -> None:
    out = tmp_path / "report"
    report(["seed-0"], RETURN, out)
    (out / "notes.txt").write_text("somebody's own")
    assert (out / "curves.png").exists()
    report(["seed-0"], "nobody/has/this", out)
    assert {path.name for path in out.iterdir()} == {"report.html", "notes.txt"}
