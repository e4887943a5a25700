"""Every benchmark, one after the other, and which of them are short of a bar.

    python -m benchmarks [--quick] [NAME ...]

A benchmark is a module of this folder with a `main`; one that fails does not keep the others
from running. The exit status is 1 if any did.
"""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
import time
from pathlib import Path

FOLDER = Path(__file__).parent


def names() -> list[str]:
    """All benchmarks, in the order of their names."""
    return sorted(
        path.stem
        for path in FOLDER.glob("*.py")
        if path.stem != "__main__" and re.search(r"^def main\(", path.read_text(), re.MULTILINE)
    )


def main(arguments: list[str] | None = None) -> int:
    """Run them; 1 if one failed."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks", description=str(__doc__).splitlines()[0]
    )
    parser.add_argument("--quick", action="store_true", help="short forms")
    parser.add_argument("names", nargs="*", metavar="NAME", help="only these")
    options = parser.parse_args(arguments)
    if unknown := sorted(set(options.names) - set(names())):
        parser.error(f"there is no benchmark {unknown[0]}; there are {', '.join(names())}")
    failed = []
    for name in options.names or names():
        started = time.monotonic()
        command = [sys.executable, "-m", f"benchmarks.{name}", *["--quick"] * options.quick]
        if subprocess.run(command, check=False).returncode:
            failed.append(name)
        print(f"{name}: {time.monotonic() - started:.0f} s", flush=True)
    if failed:
        print(f"short or failed: {', '.join(failed)}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
