from __future__ import annotations

import platform
import subprocess
import sys
import time

import pytest
import torch

from learner.devices import Compute, DeviceError, find_device, require, seconds_per_step, to_act


def test_cuda_that_is_not_there_is_refused_with_a_remedy(monkeypatch):
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    assert find_device("auto") == find_device("cpu") == "cpu"
    with pytest.raises(DeviceError, match="no CUDA device here; set device=auto"):
        find_device("cuda")


def test_cuda_is_taken_where_it_is(monkeypatch):
    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    assert find_device("auto") == find_device("cuda") == "cuda"
    assert find_device("cpu") == "cpu"


def test_what_was_begun_on_cuda_goes_on_there_and_acts_anywhere(monkeypatch):
    begun = Compute("cuda", "bfloat16", 3)
    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    assert require(begun) == to_act(begun) == begun
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    with pytest.raises(DeviceError, match="begun on a CUDA device and there is none here; go on"):
        require(begun)
    monkeypatch.setattr("os.cpu_count", lambda: 4)
    assert to_act(begun) == Compute("cpu", "float32", 4)
    slow = Compute("cpu", "bfloat16", 1)
    assert require(slow) == to_act(slow) == slow


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


@pytest.mark.slow
@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc can be told")
def test_large_blocks_are_reused_without_new_page_faults():
    def faults(keep: bool) -> int:
        code = _REUSE.replace("KEEP", str(keep))
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True)
        return int(done.stdout)

    assert faults(keep=True) < faults(keep=False) / 10
