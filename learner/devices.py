"""Where networks run: device, precision and threads, chosen by a short measurement.

The choice is made once for a run, logged, and kept in its checkpoints: other threads or
another precision would round differently, and a resumed run would not repeat an unbroken one.
Whatever the config says outright is not measured.
"""

from __future__ import annotations

import ctypes
import os
import platform
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal

import structlog
import torch

from learner.config import RunConfig
from learner.errors import LearnerError

Precision = Literal["float32", "bfloat16"]
Step = Callable[[], object]

# A default gives way only to something clearly faster, so that noise in the measurement
# cannot change a run's results.
_CLEARLY = 1.3
_REPEATS = 5
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3  # glibc's malloc.h


class DeviceError(LearnerError):
    """A device that was asked for and is not here."""


@dataclass(frozen=True)
class Compute:
    """How networks are run.

    Attributes:
        device: "cpu" or "cuda".
        precision: "float32", or "bfloat16" for autocast around float32 weights.
        threads: torch threads within one operation, on the CPU.
    """

    device: str
    precision: Precision
    threads: int

    def as_dict(self) -> dict[str, Any]:
        """Plain values, for checkpoints and logs."""
        return asdict(self)

    @contextmanager
    def active(self) -> Iterator[None]:
        """Run torch with this number of threads, and with the former one afterwards."""
        before = torch.get_num_threads()
        if before != self.threads:
            torch.set_num_threads(self.threads)
        try:
            yield
        finally:
            if before != self.threads:
                torch.set_num_threads(before)

    @contextmanager
    def autocast(self) -> Iterator[None]:
        """Run what is inside in this precision; weights are cast once within it."""
        enabled = self.precision == "bfloat16"
        with torch.autocast(self.device, dtype=torch.bfloat16, enabled=enabled):
            yield


def find_device(wanted: str) -> str:
    """Resolve "auto", "cpu" or "cuda".

    Raises:
        DeviceError: CUDA was asked for and there is none.
    """
    if wanted == "cpu":
        return "cpu"
    if torch.cuda.is_available():
        return "cuda"
    if wanted == "cuda":
        raise DeviceError("no CUDA device here; set device=auto or device=cpu")
    return "cpu"


def keep_large_blocks() -> bool:
    """Let the C library reuse large freed blocks instead of returning them to the system.

    By default each large activation is new memory, whose pages the system clears at first
    touch: 40 % of a training step of the small IMPALA on 2,048 images. Holds for the whole
    process and costs about a fifth more memory.

    Returns:
        Whether it took effect; only glibc offers this.
    """
    if platform.libc_ver()[0] != "glibc":
        return False
    mallopt = ctypes.CDLL(None).mallopt
    return bool(mallopt(_M_MMAP_THRESHOLD, 2**30)) and bool(mallopt(_M_TRIM_THRESHOLD, 2**31 - 1))


def choose(config: RunConfig, make_step: Callable[[Compute], Step], *, images: bool) -> Compute:
    """Decide how a network is run.

    Images start from all cores, vectors from one thread (a thread costs a small network more
    than it brings), both from float32; bfloat16 and the other number of threads are measured
    where the config leaves them open.

    Args:
        config: `device`, `precision` and `threads` are kept where they are not automatic.
        make_step: given a candidate, returns one representative training step to be timed.
        images: whether the network sees images; vectors always run in float32, whose
            resolution they need and whose speed they do not miss.
    """
    cores = os.cpu_count() or 1
    best = Compute(
        device=find_device(config.device),
        precision="float32" if config.precision == "auto" else config.precision,
        threads=config.threads or (cores if images else 1),
    )
    others: list[dict[str, Any]] = []
    if config.threads is None and best.device == "cpu" and cores > 1:
        others.append({"threads": 1 if images else cores})
    if images and config.precision == "auto":
        others.append({"precision": "bfloat16"})
    seconds = _measure(best, others, make_step)
    for other in others:
        candidate = replace(best, **other)
        if seconds[best] > _CLEARLY * seconds[candidate]:
            best = candidate
    structlog.get_logger().info(
        "compute chosen",
        **best.as_dict(),
        milliseconds={
            f"{one.precision}, threads {one.threads}": round(1000 * least, 3)
            for one, least in seconds.items()
        },
    )
    return best


def _measure(
    default: Compute, others: list[dict[str, Any]], make_step: Callable[[Compute], Step]
) -> dict[Compute, float]:
    """Least seconds of a step with each combination, the default first; none if it is alone.

    They take turns, so that what else runs on the machine meanwhile slows all of them.
    """
    if not others:
        return {}
    combinations = [default]
    for other in others:
        combinations += [replace(one, **other) for one in combinations]
    steps = {one: make_step(one) for one in combinations}
    rounds = [{one: _timed(one, step) for one, step in steps.items()} for _ in range(1 + _REPEATS)]
    return {one: min(times[one] for times in rounds[1:]) for one in combinations}


def seconds_per_step(compute: Compute, step: Step) -> float:
    """Least time of one step over a few repeats, after one that warms up."""
    return min([_timed(compute, step) for _ in range(1 + _REPEATS)][1:])


def _timed(compute: Compute, step: Step) -> float:
    with compute.active():
        started = time.perf_counter()
        step()
        if compute.device == "cuda":
            torch.cuda.synchronize()
        return time.perf_counter() - started
