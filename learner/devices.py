"""Where networks run: device, precision and threads.

A run keeps its own in its checkpoints: other threads or another precision would round
differently, and a resumed run would not repeat an unbroken one. `learner.choices` makes them.
"""

from __future__ import annotations

import ctypes
import os
import platform
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import Any, Literal

import torch

from learner.errors import LearnerError

Precision = Literal["float32", "bfloat16"]
Step = Callable[[], object]

REPEATS = 5
"""Steps that are timed, after one that warms up."""

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3  # glibc's malloc.h


class DeviceError(LearnerError):
    """A device that was asked for and is not here; another machine may have it."""

    resumable = True


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


def require(compute: Compute) -> Compute:
    """What a run was begun with, if this machine can go on with it.

    Raises:
        DeviceError: its device is not here.
    """
    if compute.device == "cuda" and not torch.cuda.is_available():
        raise DeviceError(
            "this was begun on a CUDA device and there is none here; go on where there is one, or "
            "start anew with device=cpu"
        )
    return compute


def to_act(compute: Compute) -> Compute:
    """The same where its device is here; otherwise this machine's CPU, which acts as well."""
    if compute.device == "cpu" or torch.cuda.is_available():
        return compute
    return Compute("cpu", "float32", os.cpu_count() or 1)


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


def seconds_per_step(compute: Compute, step: Step) -> float:
    """Least time of one step over a few repeats, after one that warms up."""
    return least_seconds({compute: step})[compute]


def least_seconds(steps: Mapping[Compute, Step]) -> dict[Compute, float]:
    """Least time of each step over a few repeats, after one that warms up.

    They take turns, so that what else runs on the machine meanwhile slows all of them.
    """
    rounds = [{one: _timed(one, step) for one, step in steps.items()} for _ in range(1 + REPEATS)]
    return {one: min(times[one] for times in rounds[1:]) for one in steps}


def _timed(compute: Compute, step: Step) -> float:
    with compute.active():
        started = time.perf_counter()
        step()
        if compute.device == "cuda":
            torch.cuda.synchronize()
        return time.perf_counter() - started
