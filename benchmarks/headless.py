"""CoinRun with a synthetic oracle, from the config to its result: how long, and how well judged.

    python -m benchmarks.headless [--quick]

Runs `clipwise run experiments/coinrun-oracle.yaml` as anybody would, in a folder of its own, and
reads its `result.json`. `--quick` takes a tenth of the steps, which no bar is meant for.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from benchmarks.measure import Figure, report

CONFIG = "experiments/coinrun-oracle.yaml"
ROOT = Path(__file__).parent.parent
QUICK = ("total_steps=30000", "queries.budget=50", "queries.initial=20")
ACCURACY = "preference accuracy, unseen levels"
CLOCKS = ("the same pairs by clip start alone", "the same pairs by clip end alone")


def run(overrides: tuple[str, ...]) -> tuple[dict[str, Any], float]:
    """The result of the experiment, and the seconds from command to result."""
    with tempfile.TemporaryDirectory(prefix="clipwise-") as folder:
        environment = os.environ | {"CLIPWISE_VAR": folder}
        started = time.monotonic()
        subprocess.run(
            [sys.executable, "-m", "cli", "run", CONFIG, *overrides],
            env=environment,
            cwd=ROOT,
            check=True,
        )
        seconds = time.monotonic() - started
        (path,) = Path(folder).glob("runs/*/result.json")
        return json.loads(path.read_text()), seconds


def main() -> int:
    """Run it and compare with the bars; returns the exit status."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="a tenth of the steps, without bars")
    quick = parser.parse_args().quick
    result, seconds = run(QUICK if quick else ())
    accuracy = result["figures"][ACCURACY]
    clock = max(max(value, 1 - value) for value in (result["figures"][c]["value"] for c in CLOCKS))
    return report(
        "headless",
        [
            Figure("command to result", seconds, "s", at_most=None if quick else 900),
            Figure("labels", result["labels"], at_least=None if quick else 490),
            Figure("steps/s", result["steps_per_second"]),
            Figure("accuracy on decided pairs of unseen levels", accuracy["value"]),
            Figure(
                "lower end of its 95 % interval", accuracy["low"], at_least=None if quick else 0.6
            ),
            Figure("a clock on the same pairs", clock),
        ],
    )


if __name__ == "__main__":
    sys.exit(main())
