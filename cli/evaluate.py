"""`clipwise evaluate RUN`: its reward model and agent on unseen levels, baselines beside them."""

from __future__ import annotations

import json
from typing import Any

from rich.console import Console
from rich.table import Table

from learner.checkpoints import Checkpoint
from learner.config import parse_config
from learner.records import Workplace
from learner.rewards.packing import unpack
from learner.study.assessment import assess
from server.settings import load_settings

console = Console()

_COLUMNS = {
    "true": "true pairs",
    "whole": "whole episodes",
    "rho_t": "reward, time",
    "spearman": "returns, raw",
    "spearman_centred": "centred",
    "spearman_given_length": "given length",
    "dard_proxy": "proxy",
}


def evaluate(name: str, episodes: int) -> None:
    """Judge, print tables, and write evaluation.json in the run's folder.

    Raises:
        NotFound: no such run, no checkpoint or no reward model yet.
        StudyError: episodes cannot be made.
    """
    settings = load_settings()
    workplace = Workplace(settings)
    try:
        workplace.check()
        values, contents = workplace.kept_checkpoints(name)
        version, packed = workplace.reward_model(name)
    finally:
        workplace.close()
    config = parse_config(values, source=f"run {name}")
    checkpoints = [Checkpoint.from_bytes(content) for content in contents]
    results = assess(config, checkpoints, unpack(packed), episodes, console.print)
    console.print(_table(name, version, results))
    console.print(_sets(results))
    for one in results["sets"].values():
        if one["warning"]:
            console.print(f"[yellow]warning:[/yellow] {one['warning']}")
    for problem in results["problems"]:
        console.print(f"[yellow]left out:[/yellow] {problem}")
    calibration = results["figures"]["reward model"].get("calibration")
    if calibration:
        ece, brier = _number(calibration["ece"]), _number(calibration["brier"])
        console.print(f"calibration on true pairs: ECE {ece}, Brier {brier} (a coin: 0.25)")
    test = results["agent"]["test"]
    low, high = test["low"], test["high"]
    console.print(f"newest agent, unseen levels: {test['value']:.2f} ({low:.2f} to {high:.2f})")
    path = settings.var / "runs" / name / "evaluation.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({"run": name, "version": version, **results}, indent=1) + "\n")
    console.print(str(path), soft_wrap=True)


def _table(name: str, version: int, results: dict[str, Any]) -> Table:
    table = Table(title=f"{name}, reward model {version}, on unseen levels")
    for column in ("", *_COLUMNS.values()):
        table.add_column(column, justify="right" if column else "left")
    for one in results["table"]:
        table.add_row(one["name"], *(_bounded(one[key], one, key) for key in _COLUMNS))
    return table


def _bounded(value: float | None, row: dict[str, Any], key: str) -> str:
    """A figure with its 95 % interval, where it has one."""
    bounds = row.get(f"{key}_interval")
    ends = f" ({_number(bounds[0])} to {_number(bounds[1])})" if bounds else ""
    return _number(value) + ends


def _sets(results: dict[str, Any]) -> Table:
    """Accuracy on pairs drawn by several rules, beside what a clock gets on them."""
    table = Table(title="accuracy by how pairs are drawn")
    for column in ("pairs", "clock", "reward model (95 %)"):
        table.add_column(column, justify="left" if column == "pairs" else "right")
    for name, facts in results["sets"].items():
        found = results["figures"]["reward model"]["accuracy"][name]
        mark = "⚠ " if facts["warning"] else ""
        interval = f"({_number(found['low'])} to {_number(found['high'])})"
        table.add_row(
            name, f"{mark}{_number(facts['clock'])}", f"{_number(found['value'])} {interval}"
        )
    return table


def _number(value: float | None) -> str:
    return "-" if value is None or value != value else f"{value:.2f}"
