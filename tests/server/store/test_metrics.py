from __future__ import annotations

import math
import random
from typing import TYPE_CHECKING

import pytest

from server.store import metrics

if TYPE_CHECKING:
    from conftest import Scene


def add(scene: Scene, step: int, **values: float) -> int:
    with scene.write() as s:
        return metrics.add_metrics(s, run_id=scene.run_id, step=step, values=values, now=scene.now)


def test_curves_come_in_the_order_of_steps(scene: Scene) -> None:
    for step in (30, 10, 20):
        add(scene, step, loss=step / 10, other=0.0)
    with scene.database.read() as s:
        curves = metrics.series(s, run_id=scene.run_id, names=["loss", "nothing"])
        later = metrics.series(s, run_id=scene.run_id, names=["loss"], after_step=10)
        assert metrics.latest(s, run_id=scene.run_id) == {"loss": 3.0, "other": 0.0}
    assert curves == {"loss": [(10, 1.0), (20, 2.0), (30, 3.0)], "nothing": []}
    assert later == {"loss": [(20, 2.0), (30, 3.0)]}


def test_a_stretch_of_a_curve(scene: Scene) -> None:
    for step in range(10, 60, 10):
        add(scene, step, loss=step / 10)
    with scene.database.read() as s:
        found = metrics.series(s, run_id=scene.run_id, names=["loss"], after_step=10, until_step=40)
    assert found == {"loss": [(20, 2.0), (30, 3.0), (40, 4.0)]}


def test_the_newest_of_every_figure_whatever_its_name(scene: Scene) -> None:
    names = {f"{kind}/{i:03}": i / 8 for kind in ("a", "B", "ä", "a b", "a/<b>") for i in range(20)}
    for step in (1, 2):
        add(scene, step, **{name: value + step for name, value in names.items()})
    with scene.database.read() as s:
        found = metrics.latest(s, run_id=scene.run_id)
    assert found == {name: value + 2 for name, value in names.items()}


def test_a_resumed_run_overwrites_what_it_repeats(scene: Scene) -> None:
    add(scene, 10, loss=1.0)
    add(scene, 10, loss=2.0)
    with scene.database.read() as s:
        assert metrics.series(s, run_id=scene.run_id, names=["loss"]) == {"loss": [(10, 2.0)]}


def test_figures_that_are_not_finite_are_counted_not_stored(scene: Scene) -> None:
    assert add(scene, 1, good=1.0, bad=math.nan, worse=-math.inf) == 2
    assert add(scene, 2) == 0
    with scene.database.read() as s:
        assert metrics.latest(s, run_id=scene.run_id) == {"good": 1.0, metrics.DROPPED: 2.0}


@pytest.mark.parametrize("points", [1, 4, 1500])
def test_short_curves_are_left_alone(points: int) -> None:
    curve = [(step, float(step)) for step in range(points)]
    assert metrics.thin(curve, 1500) == curve


@pytest.mark.parametrize("seed", range(5))
def test_thinning_keeps_ends_and_every_spike(seed: int) -> None:
    rng = random.Random(seed)
    curve = [(16 * step, rng.gauss(0, 1)) for step in range(20_000)]
    spikes = rng.sample(range(100, 19_900, 100), 40)
    for i, at in enumerate(spikes):
        curve[at] = (curve[at][0], 100.0 + i if i % 2 else -100.0 - i)
    thinned = metrics.thin(curve, 1500)
    assert 1000 < len(thinned) <= 1500
    assert thinned == sorted(thinned)
    assert set(thinned) <= set(curve)
    assert {curve[0], curve[-1], *(curve[at] for at in spikes)} <= set(thinned)


def test_a_constant_curve_stays_constant() -> None:
    curve = [(step, 0.5) for step in range(5000)]
    assert {value for _, value in metrics.thin(curve, 100)} == {0.5}
