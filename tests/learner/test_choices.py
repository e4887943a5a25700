"""The choice of threads and precision: by the clock once, from its file ever after."""

from __future__ import annotations

import json
import time

import pytest

from learner.choices import ChoiceError, choose, machine
from learner.config import RunConfig
from learner.devices import Compute
from learner.errors import Unwritable


def step_that_takes(milliseconds):
    """A maker of steps whose duration depends on the candidate."""

    def make_step(compute: Compute):
        return lambda: time.sleep(milliseconds(compute) / 1000)

    return make_step


def chosen(make_step, config=None, *, network="net", images=True, folder=None):
    return choose(config or RunConfig(), network, make_step, images=images, folder=folder)


@pytest.fixture
def four_cores(monkeypatch):
    monkeypatch.setattr("os.cpu_count", lambda: 4)
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)


@pytest.mark.usefixtures("four_cores")
class TestChoice:
    def test_bfloat16_is_taken_where_it_is_clearly_faster(self):
        make_step = step_that_takes(lambda c: 2 if c.precision == "bfloat16" else 10)
        assert chosen(make_step) == Compute("cpu", "bfloat16", 4)

    def test_float32_stays_where_bfloat16_is_hardly_faster(self):
        make_step = step_that_takes(lambda c: 9 if c.precision == "bfloat16" else 10)
        assert chosen(make_step) == Compute("cpu", "float32", 4)

    def test_one_thread_is_taken_where_many_are_slower(self):
        make_step = step_that_takes(lambda c: c.threads * 3)
        assert chosen(make_step).threads == 1

    def test_a_burst_of_other_work_does_not_decide(self):
        taken = []

        def make_step(compute: Compute):
            def step():
                taken.append(compute)
                busy = 9 if len(taken) <= 12 else 0  # of 24 steps
                time.sleep((busy + 12 / compute.threads) / 1000)

            return step

        assert chosen(make_step).threads == 4
        assert len(set(taken)) == 4

    def test_vectors_stay_in_float32_on_one_thread(self):
        make_step = step_that_takes(lambda c: 1 if c.precision == "bfloat16" else 5)
        assert chosen(make_step, images=False) == Compute("cpu", "float32", 1)

    def test_vectors_take_all_cores_where_these_are_clearly_faster(self):
        make_step = step_that_takes(lambda c: 12 / c.threads)
        assert chosen(make_step, images=False).threads == 4

    def test_what_the_config_says_is_not_measured(self):
        def make_step(compute: Compute):
            raise AssertionError("measured")

        config = RunConfig(device="cpu", precision="bfloat16", threads=3)
        assert chosen(make_step, config) == Compute("cpu", "bfloat16", 3)


FAST_HALF = step_that_takes(lambda c: 1 if c.precision == "bfloat16" else 10)
FAST_WHOLE = step_that_takes(lambda c: 10 if c.precision == "bfloat16" else 1)


def not_measured(compute: Compute):
    raise AssertionError("measured")


@pytest.mark.usefixtures("four_cores")
class TestKept:
    def test_a_choice_stands_whatever_a_later_measurement_would_say(self, tmp_path):
        first = chosen(FAST_HALF, folder=tmp_path)
        assert first.precision == "bfloat16"
        assert chosen(not_measured, folder=tmp_path) == first
        assert chosen(FAST_WHOLE).precision == "float32"  # what it would say

    def test_its_file_says_of_what_it_is(self, tmp_path):
        chosen(FAST_HALF, network="reward christiano on (64, 64, 3)", folder=tmp_path / "new")
        (path,) = (tmp_path / "new").iterdir()
        assert path.name.startswith("reward-christiano-on-64-64-3-")
        kept = json.loads(path.read_text())
        assert kept["machine"] == machine()
        assert kept["chosen"]["precision"] == "bfloat16"
        assert len(kept["milliseconds"]) == 4

    @pytest.mark.parametrize("changed", ["network", "torch", "machine", "config"])
    def test_what_is_something_else_is_measured_by_itself(self, tmp_path, monkeypatch, changed):
        chosen(FAST_HALF, folder=tmp_path)
        config = RunConfig(threads=2) if changed == "config" else None
        if changed == "torch":
            monkeypatch.setattr("torch.__version__", "99")
        if changed == "machine":
            monkeypatch.setattr("platform.machine", lambda: "abacus")
        network = "another" if changed == "network" else "net"
        found = chosen(FAST_WHOLE, config, network=network, folder=tmp_path)
        assert found.precision == "float32"
        assert len(list(tmp_path.iterdir())) == 2

    def test_what_nobody_measures_is_not_kept(self, tmp_path):
        chosen(not_measured, RunConfig(precision="float32", threads=1), folder=tmp_path)
        assert not list(tmp_path.iterdir())

    def test_the_first_of_two_processes_decides(self, tmp_path):
        def make_step(compute: Compute):
            if compute.precision == "bfloat16":  # meanwhile another one is done
                chosen(FAST_WHOLE, folder=tmp_path)
            return FAST_HALF(compute)

        assert chosen(make_step, folder=tmp_path).precision == "float32"

    def test_a_damaged_file_is_named(self, tmp_path):
        chosen(FAST_HALF, folder=tmp_path)
        (path,) = tmp_path.iterdir()
        path.write_text("{")
        with pytest.raises(ChoiceError, match=f"{path.name} is damaged; remove it"):
            chosen(FAST_HALF, folder=tmp_path)

    def test_a_folder_that_cannot_be_made_is_named(self, tmp_path):
        (tmp_path / "file").touch()
        with pytest.raises(Unwritable, match=r"cannot write to .*compute"):
            chosen(FAST_HALF, folder=tmp_path / "file" / "compute")
