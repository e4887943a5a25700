"""`clipwise report RUN...`: a comparison as one HTML file, and its pictures as PNG."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from rich.console import Console

from learner.errors import LearnerError
from learner.evaluation.figures import Stroke, draw
from learner.records import Workplace
from server.contrast import Contrast, read_contrast
from server.report import write_report
from server.settings import load_settings
from server.store import runs

console = Console()

PICTURES = frozenset({"curves.png", "profiles.png"})


class NotWritten(LearnerError):
    """A report that cannot be kept where it was wanted."""


def report(names: Sequence[str], metric: str, out: Path) -> None:
    """Write report.html and PNGs into a folder; it opens from disk, without a network.

    Args:
        names: of the runs, in the order in which they are shown.
        metric: the figure that they are compared by.
        out: the folder; files of an earlier report are replaced.

    Raises:
        NotFound: no such run.
        NotWritten: the folder cannot be written.
    """
    command = shlex.join(["clipwise", "report", *names, "--metric", metric])
    workplace = Workplace(load_settings())
    try:
        workplace.check()
        with workplace.database.read() as s:
            rows = [runs.get_run(s, name=name) for name in dict.fromkeys(names)]
            shown = read_contrast(s, rows=rows, metric=metric)
            page = write_report(
                s, workplace.artifacts, shown=shown, command=command, now=datetime.now(UTC)
            )
    finally:
        workplace.close()
    files = {"report.html": page.encode()} | _pictures(shown, command)
    try:
        out.mkdir(parents=True, exist_ok=True)
        for name in PICTURES - files.keys():
            (out / name).unlink(missing_ok=True)
        for name, content in files.items():
            (out / name).write_bytes(content)
    except OSError as error:
        raise NotWritten(f"cannot write {out}: {error.strerror}; choose another --out") from error
    size = sum(map(len, files.values()))
    console.print(f"{len(rows)} runs, {len(files)} files, {size / 1e6:.1f} MB")
    console.print(str(out / "report.html"), soft_wrap=True)


def _pictures(shown: Contrast, command: str) -> dict[str, bytes]:
    """PNGs by file name; none where no run has the figure."""
    lines = [
        Stroke(line.group.label, line.band.steps, line.band.mean, line.band.low, line.band.high)
        for line in shown.lines
        if line.band.steps
    ]
    if not lines:
        return {}
    count = sum(line.final.n for line in shown.lines if line.final)
    caption = f"means of {count} runs, 95 % bootstrap intervals over seeds · {command}"
    found = {"curves.png": draw(lines, across="steps", up=shown.metric, caption=caption)}
    profiles = [Stroke(one.group.label, shown.thresholds, *one.profile) for one in shown.aggregates]
    if profiles:
        found["profiles.png"] = draw(
            profiles,
            across=f"{shown.metric}, last value",
            up="share of runs above it",
            caption=caption,
            shares=True,
        )
    return found
