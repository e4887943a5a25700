"""The page of benchmark results, from what the benchmarks printed.

    python -m benchmarks.page LOG ...

A LOG is what one `python -m benchmarks.NAME ...` printed. Writes docs/results/benchmarks.md: every
figure that has a bar, with the date and the machine of its measurement, and keeps what people wrote
below the table, from the first heading on. What was not measured is not on the page; figures of
--quick runs do not belong on it.
"""

from __future__ import annotations

import json
import shlex
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

PAGE = Path("docs/results/benchmarks.md")
BASELINES = {
    "reward_training": "one pair and one member at a time, float32, in the same process",
    "loop_overhead": "the same PPO on the true reward, by turns in the same process",
    "policy_speed": "stock SB3 PPO: same network, weights, batches; by turns in the same process",
    "memory": "none: bars on resident memory",
    "label_latency": "none: iterations until an answer counts",
    "versus_imitation": "imitation 1.0.1, one torch thread each, by turns",
    "snippets": "one pair at a time, as the T-REX code trains, in the same process",
    "monitor": "none: bars on times, bytes and cores",
    "pendulum": "imitation 1.0.1 with its documented recipe, one torch thread each, by turns",
}
_TOP = """# What the benchmarks measured

Written by `python -m benchmarks.page` from what each command printed. Spreads are half the range
over repetitions, or half a 95 % interval over seeds; a figure short of its bar is **bold**.

| benchmark | command | baseline | figure | value | bar | machine | date |
|---|---|---|---|---|---|---|---|
"""


def printed(path: Path) -> dict[str, Any] | None:
    """The line of JSON that a benchmark ended with; None where it ended before."""
    for line in reversed(path.read_text().splitlines()):
        if line.startswith('{"benchmark"'):
            found: dict[str, Any] = json.loads(line)
            return found
    return None


def rows(found: dict[str, Any], measured: str) -> list[str]:
    """Lines of the table for one benchmark: its figures that have a bar."""
    name = found["benchmark"]
    # Lines printed before arguments were noted lack them.
    command = shlex.join(["python", "-m", f"benchmarks.{name}", *found.get("arguments", [])])
    lines = []
    for figure, facts in found["figures"].items():
        bars = [f"{sign} {facts[key]:,g}" for sign, key in _BARS if key in facts]
        if bars:
            value = _value(facts)
            short = not _meets(facts)
            cells = [
                name,
                f"`{command}`",
                BASELINES.get(name, "in its docstring"),
                figure,
                f"**{value}**" if short else value,
                " ".join(bars),
                found["machine"],
                measured,
            ]
            lines.append(f"| {' | '.join(cells)} |\n")
    return lines


_BARS = (("≥", "at_least"), ("≤", "at_most"))


def _meets(facts: dict[str, Any]) -> bool:
    value = facts["value"]
    low, high = facts.get("at_least", value), facts.get("at_most", value)
    return bool(low <= value <= high)


def _value(facts: dict[str, Any]) -> str:
    spread = f" ± {facts['spread']:,.3g}" if "spread" in facts else ""
    return f"{facts['value']:,.4g}{spread} {facts.get('unit', '')}".strip()


def write(logs: Sequence[Path], page: Path = PAGE) -> int:
    """Write the page; 1 if a log holds no figures."""
    lines, silent = [], 0
    for path in logs:
        found = printed(path)
        if found is None:
            sys.stderr.write(f"{path} holds no figures; run that benchmark again\n")
            silent = 1
        else:
            day = datetime.fromtimestamp(path.stat().st_mtime, UTC).date().isoformat()
            lines += rows(found, day)
    _, heading, prose = (page.read_text() if page.exists() else "").partition("\n## ")
    page.write_text(_TOP + "".join(lines) + heading + prose)
    return silent


if __name__ == "__main__":
    sys.exit(write([Path(one) for one in sys.argv[1:]]))
