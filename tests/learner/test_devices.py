from __future__ import annotations

import platform
import subprocess
import sys
import time

import pytest
import torch

from learner.config import RunConfig
from learner.devices import Compute, DeviceError, choose, find_device, seconds_per_step


def step_that_takes(milliseconds):
    """A maker of steps whose duration depends on the candidate."""

    def make_step(compute: Compute):
        return lambda: time.sleep(milliseconds(compute) / 1000)

    return make_step


@pytest.fixture
def four_cores(monkeypatch):
    monkeypatch.setattr("os.cpu_count", lambda: 4)
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)


@pytest.mark.usefixtures("four_cores")
class TestChoice:
    def test_bfloat16_is_taken_where_it_is_clearly_faster(self):
        make_step = step_that_takes(lambda c: 2 if c.precision == "bfloat16" else 10)
        assert choose(RunConfig(), make_step, images=True) == Compute("cpu", "bfloat16", 4)

    def test_float32_stays_where_bfloat16_is_hardly_faster(self):
        make_step = step_that_takes(lambda c: 9 if c.precision == "bfloat16" else 10)
        assert choose(RunConfig(), make_step, images=True) == Compute("cpu", "float32", 4)

    def test_one_thread_is_taken_where_many_are_slower(self):
        make_step = step_that_takes(lambda c: c.threads * 3)
        assert choose(RunConfig(), make_step, images=True).threads == 1

    def test_a_burst_of_other_work_does_not_decide(self):
        taken = []

        def make_step(compute: Compute):
            def step():
                taken.append(compute)
                busy = 9 if len(taken) <= 12 else 0  # of 24 steps
                time.sleep((busy + 12 / compute.threads) / 1000)

            return step

        assert choose(RunConfig(), make_step, images=True).threads == 4
        assert len(set(taken)) == 4

    def test_vectors_stay_in_float32_on_one_thread(self):
        make_step = step_that_takes(lambda c: 1 if c.precision == "bfloat16" else 5)
        assert choose(RunConfig(), make_step, images=False) == Compute("cpu", "float32", 1)

    def test_vectors_take_all_cores_where_these_are_clearly_faster(self):
        make_step = step_that_takes(lambda c: 12 / c.threads)
        assert choose(RunConfig(), make_step, images=False).threads == 4

    def test_what_the_config_says_is_not_measured(self):
        def make_step(compute: Compute):
            raise AssertionError("measured")

        config = RunConfig(device="cpu", precision="bfloat16", threads=3)
        assert choose(config, make_step, images=True) == Compute("cpu", "bfloat16", 3)


def test_cuda_that_is_not_there_is_refused_with_a_remedy(monkeypatch):
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    assert find_device("auto") == find_device("cpu") == "cpu"
    with pytest.raises(DeviceError, match="no CUDA device here; set device=auto"):
        find_device("cuda")


def test_cuda_is_taken_where_it_is(monkeypatch):
    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    assert find_device("auto") == find_device("cuda") == "cuda"
    assert find_device("cpu") == "cpu"


def test_threads_are_set_within_and_put_back_after():
    before = torch.get_num_threads()
    inside = 1 if before > 1 else 2
    with Compute("cpu", "float32", inside).active():
        assert torch.get_num_threads() == inside
    assert torch.get_num_threads() == before


def test_autocast_runs_matrices_in_bfloat16_only_where_asked():
    matrix = torch.ones(2, 2)
    with Compute("cpu", "bfloat16", 1).autocast():
        assert (matrix @ matrix).dtype == torch.bfloat16
    with Compute("cpu", "float32", 1).autocast():
        assert (matrix @ matrix).dtype == torch.float32


def test_the_best_of_several_repeats_counts():
    durations = iter([0.05, 0.03, 0.03, 0.002, 0.03, 0.03])  # the first warms up
    seconds = seconds_per_step(
        Compute("cpu", "float32", torch.get_num_threads()), lambda: time.sleep(next(durations))
    )
    assert 0.002 <= seconds < 0.02


_REUSE = """
import resource, torch, learner.devices as devices
KEEP and devices.keep_large_blocks()
faults = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_minflt
def use_and_free(times):
    for _ in range(times):
        torch.ones(2**23)
use_and_free(20)
before = faults()
use_and_free(5)
print(faults() - before)
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc can be told")
def test_large_blocks_are_reused_without_new_page_faults():
    def faults(keep: bool) -> int:
        code = _REUSE.replace("KEEP", str(keep))
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True)
        return int(done.stdout)

    assert faults(keep=True) < faults(keep=False) / 10
