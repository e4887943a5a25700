from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import torch

from learner.config import RewardConfig
from learner.errors import Diverged
from learner.preferences import LabelledPairs, PreferenceRow, SegmentStore, labelled_pairs
from learner.rewards.ensemble import RewardEnsemble
from learner.rewards.fitting import NothingToFit, batch_limit, fit
from learner.rewards.loss import preference_loss
from learner.rewards.networks import RewardNetwork
from learner.rewards.objective import UnlabelledPairs, prepare
from learner.rewards.watching import Watch

Config = Callable[..., RewardConfig]
Make = Callable[..., RewardEnsemble]
Vectors = Callable[..., LabelledPairs]


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def correlation(model: RewardEnsemble) -> float:
    """Between the learned reward and the true one, on fresh steps."""
    steps = rng(99).normal(size=(2000, 3)).astype(np.float32)
    return float(np.corrcoef(model.rewards(steps), steps[:, 0])[0, 1])


def test_it_finds_the_reward_behind_the_answers(
    config: Config, ensemble: Make, vectors: Vectors
) -> None:
    model = ensemble(config())

    report = fit(model, vectors(), config(), rng())

    assert correlation(model) > 0.9
    assert report.metrics["reward_model/accuracy_heldout"] > 0.8
    assert model.version == 1


def test_it_learns_from_pictures(config: Config, ensemble: Make, pictures: LabelledPairs) -> None:
    made = config(network="christiano", dropout=0.2, input_noise=0.1, initial_max_batches=25)
    model = ensemble(made, image=True)

    fit(model, pictures, made, rng())

    red = pictures.batch(pictures.pairs[0]).observations[:, 0]
    frames = np.stack([red[0] * 0 + 50, red[0] * 0 + 50])
    frames[1, 10:30, 10:30, 0] = 255
    plain, marked = model.rewards(frames)
    assert marked > plain


def test_equal_inputs_give_equal_weights(config: Config, ensemble: Make, vectors: Vectors) -> None:
    made = config(dropout=0.2, input_noise=0.1, temporal_crop=2)
    states = []
    for _ in range(2):
        torch.rand(3)  # torch's global generator must not matter
        model = ensemble(made)
        fit(model, vectors(30), made, rng(4))
        states.append(str(model.state_dict()))

    assert states[0] == states[1]


def test_labels_are_judged_by_members_that_never_saw_their_episodes(
    config: Config, ensemble: Make, vectors: Vectors
) -> None:
    """Labels that are coin tosses can be learned by heart, but not foretold."""
    labels = vectors(60)
    labels.targets[:] = rng(3).integers(2, size=60)
    made = config(members=1, hidden=(64, 64), initial_max_batches=600, error_floor=0.0)
    model = ensemble(made)

    metrics = fit(model, labels, made, rng()).metrics

    assert metrics["reward_model/accuracy"] > 0.9
    assert metrics["reward_model/accuracy_heldout"] < 0.8
    assert metrics["reward_model/loss_heldout"] > metrics["reward_model/loss"]


def test_ties_are_learned_as_ties(config: Config, ensemble: Make, vectors: Vectors) -> None:
    labels = vectors(40, answer="tie")
    model = ensemble(config())

    metrics = fit(model, labels, config(), rng()).metrics

    assert metrics["reward_model/accuracy"] is None
    assert metrics["reward_model/accuracy_heldout"] is None
    assert metrics["reward_model/decided_heldout"] == 0
    assert metrics["reward_model/label_entropy_bound"] == pytest.approx(math.log(2))
    assert metrics["reward_model/loss"] == pytest.approx(math.log(2), abs=0.01)


def test_ties_pull_the_reward_together(config: Config, ensemble: Make, vectors: Vectors) -> None:
    """Stored and then dropped, they would change nothing."""
    decided, both = vectors(40), vectors(80)
    both.targets[40:] = 0.5
    spreads = []
    for labels in (decided, both):
        model = ensemble(config())
        fit(model, labels, config(), rng())
        batch = both.batch(both.pairs[40:].reshape(-1))
        returns = model.returns(batch.observations, None, batch.valid)
        spreads.append(np.abs(returns[:, ::2] - returns[:, 1::2]).mean())

    assert spreads[1] < 0.5 * spreads[0]


def test_no_labels_are_an_error_and_one_is_enough(
    config: Config, ensemble: Make, vectors: Vectors
) -> None:
    model = ensemble(config())

    with pytest.raises(NothingToFit, match="no labels"):
        fit(model, vectors(0), config(), rng())
    metrics = fit(model, vectors(1), config(), rng()).metrics

    assert metrics["reward_model/accuracy"] == 1.0
    assert metrics["reward_model/accuracy_heldout"] is None
    assert metrics["reward_model/loss_heldout"] is None


def test_episodes_of_three_steps_work(config: Config, ensemble: Make) -> None:
    """Survivors are worth more, although every step looks the same to the oracle."""
    store, rows = SegmentStore(10), []
    for pair in range(30):
        long = np.ones((10, 3), dtype=np.float32) + rng(pair).normal(size=(10, 3), scale=0.01)
        store.add(2 * pair, long.astype(np.float32), np.zeros(10, int), f"long {pair}")
        store.add(2 * pair + 1, long[:3].astype(np.float32), np.zeros(3, int), f"short {pair}")
        rows.append(PreferenceRow(pair, pair, 1, 2 * pair, 2 * pair + 1, "a"))
    model = ensemble(config())

    fit(model, labelled_pairs(rows, store), config(), rng(), centred=False)

    assert model.rewards(np.ones(3, dtype=np.float32)) > 0


def test_one_short_segment_does_not_move_what_every_step_pays(
    config: Config, ensemble: Make, vectors: Vectors
) -> None:
    """An early death among 100 pairs; the mean stays 0, as where all segments are whole."""
    labels, model = vectors(100), ensemble(config())
    cut = labels.store[5]
    short = SegmentStore(5)
    for key in labels.keys:
        steps = 2 if labels.store[key] is cut else 5
        one = labels.store[key]
        short.add(key, one.observations[:steps], one.actions[:steps], one.episode)
    labels = replace(labels, store=short)
    assert not labels.even

    fit(model, labels, config(), rng())

    paid = np.concatenate([model.members(short[key].observations) for key in labels.keys], axis=1)
    np.testing.assert_allclose(paid.mean(axis=1), 0, atol=1e-5)
    assert model.mean_reward == pytest.approx(0, abs=1e-5)


def test_the_mean_over_the_labelled_data_is_known_where_it_is_not_0(
    config: Config, ensemble: Make, vectors: Vectors
) -> None:
    labels, model = vectors(), ensemble(config())

    fit(model, labels, config(), rng(), centred=False)

    paid = model.rewards(labels.batch(np.arange(len(labels.keys))).observations)
    assert abs(paid.mean()) > 1e-4
    assert model.mean_reward == pytest.approx(paid.mean(), rel=1e-4)


def test_a_loss_that_is_not_finite_changes_nothing(
    config: Config, ensemble: Make, vectors: Vectors
) -> None:
    labels = vectors(20)
    model = ensemble(config())
    fit(model, labels, config(), rng())
    before = str(model.state_dict())
    labels.store[labels.keys[3]].observations[:] = np.nan

    advice = "checkpoint is kept, .*start a new run with a lower reward.learning_rate$"
    with pytest.raises(Diverged, match=f"not finite; .*{advice}"):
        fit(model, labels, config(), rng(1))

    assert str(model.state_dict()) == before


def test_the_penalty_follows_the_papers_band(
    config: Config, ensemble: Make, vectors: Vectors
) -> None:
    memorised = vectors(40)
    memorised.targets[:] = rng(3).integers(2, size=40)
    overfit = config(hidden=(64, 64), initial_max_batches=500)
    report = fit(ensemble(overfit), memorised, overfit, rng())
    assert min(report.l2) > 1e-4

    underfit = config(learning_rate=1e-9)
    report = fit(ensemble(underfit), vectors(80), underfit, rng())
    assert report.l2[0] == pytest.approx(2.5e-5)  # a quarter, the furthest in one fit

    fixed = config(adaptive_l2=False)
    assert fit(ensemble(fixed), vectors(80), fixed, rng()).l2 == (1e-4, 1e-4)


@pytest.mark.parametrize(
    ("held", "moved"),
    [(1.0, 0.5), (1.09, 0.5), (1.11, 0.5**0.25), (1.49, 0.5**0.25), (1.51, 2.0)],
)
def test_the_penalty_sinks_slowly_within_the_band(
    config: Config, ensemble: Make, vectors: Vectors, held: float, moved: float
) -> None:
    job = prepare(ensemble(config()), vectors(4), None, rng(), centred=True)
    watch = Watch(job, 1, np.arange(2), np.arange(2, 4), l2_step=2.0)
    watch._means = np.array([1.0, held])
    watch.adapt()
    assert job.ensemble.l2 == [1e-4, pytest.approx(moved * 1e-4)]


@pytest.mark.parametrize("adaptive", [True, False])
def test_refits_keep_the_heldout_loss_within_the_papers_band(
    config: Config, ensemble: Make, vectors: Vectors, adaptive: bool
) -> None:
    """Answers of which one in five is wrong, and a network that could know them all by heart."""
    labels = vectors(150)
    wrong = rng(3).random(150) < 0.2
    labels.targets[wrong] = 1 - labels.targets[wrong]
    made = config(
        members=1,
        hidden=(64, 64),
        adaptive_l2=adaptive,
        initial_max_batches=100,
        max_batches=25,
    )
    model = ensemble(made)
    ratios = [fit(model, labels, made, rng()).metrics["reward_model/loss_ratio"] for _ in range(16)]

    if adaptive:
        assert 1.05 <= np.mean(ratios[-8:]) <= 1.6
    else:
        assert np.mean(ratios[-8:]) > 2


def test_accuracy_on_uniform_pairs_is_told_apart(
    config: Config, ensemble: Make, vectors: Vectors
) -> None:
    """Of chosen pairs alone half the answers are wrong, so that they cannot be foretold."""
    labels, model = vectors(120), ensemble(config())
    labels.uniform[60:] = False
    wrong = ~labels.uniform & (rng(3).random(120) < 0.5)
    labels.targets[wrong] = 1 - labels.targets[wrong]

    metrics = fit(model, labels, config(), rng()).metrics

    uniform = metrics["reward_model/accuracy_heldout_uniform"]
    assert uniform > metrics["reward_model/accuracy_heldout"] + 0.05


def test_a_heavier_penalty_gives_smaller_weights(
    config: Config, ensemble: Make, vectors: Vectors
) -> None:
    sizes = []
    for l2 in (0.0, 0.05):
        made = config(l2=l2, adaptive_l2=False)
        model = ensemble(made)
        fit(model, vectors(), made, rng())
        sizes.append(sum(p.square().sum().item() for p in model.networks[0].parameters()))

    assert sizes[1] < 0.5 * sizes[0]


def test_the_output_penalty_gives_smaller_rewards(
    config: Config, ensemble: Make, vectors: Vectors
) -> None:
    labels, sizes = vectors(), []
    for weight in (0.0, 1.0):
        made = config(output_penalty=weight)
        model = ensemble(made)
        fit(model, labels, made, rng())
        sizes.append(np.abs(model.raw(labels.batch(labels.pairs[0]).observations)).mean())

    assert sizes[1] < 0.5 * sizes[0]


def test_warm_refits_go_on_and_cold_ones_start_again(
    config: Config, ensemble: Make, vectors: Vectors
) -> None:
    labels = vectors()
    distances = {}
    for warm in (True, False):
        made = config(warm_start=warm, max_batches=1, initial_max_batches=5)
        model = ensemble(made)
        fit(model, labels, made, rng())
        before = model.networks[0].head[0].weight.clone()
        report = fit(model, labels, made, rng(1))
        assert report.batches == ((1, 1) if warm else (5, 5))
        distances[warm] = (model.networks[0].head[0].weight - before).norm().item()

    assert distances[True] < 0.1 * distances[False]


def test_the_number_of_batches_is_that_of_the_config(
    config: Config, ensemble: Make, vectors: Vectors
) -> None:
    model, labels = ensemble(config(bootstrap=False)), vectors(80)
    made = config(
        bootstrap=False, initial_epochs=3, initial_max_batches=400, epochs=2, max_batches=400
    )
    in_an_epoch = round(round(80 * (1 - 0.368)) / 16)

    report = fit(model, labels, made, rng())
    assert report.batches == (3 * in_an_epoch,) * 2
    assert report.metrics["reward_model/epochs"] == 3
    assert fit(model, labels, made, rng()).batches == (2 * in_an_epoch,) * 2
    capped = made.model_copy(update={"max_batches": 4})
    report = fit(model, labels, capped, rng())
    assert report.batches == (4, 4)
    assert report.metrics["reward_model/epochs"] == 4 / in_an_epoch


def test_default_limits_depend_on_what_a_batch_costs() -> None:
    plain = RewardConfig()

    assert batch_limit(plain, image=True, cuda=False, first=False) == 40
    assert batch_limit(plain, image=True, cuda=True, first=False) == 400
    assert batch_limit(plain, image=False, cuda=False, first=False) == 400
    assert batch_limit(plain, image=True, cuda=False, first=True) == 200
    chosen = RewardConfig(max_batches=7)
    assert batch_limit(chosen, image=True, cuda=False, first=True) == 35


def test_early_stopping_ends_a_fit_that_no_longer_helps(
    config: Config, ensemble: Make, vectors: Vectors
) -> None:
    labels = vectors(60)
    labels.targets[:] = rng(3).integers(2, size=60)
    made = config(early_stopping=3, initial_max_batches=600, hidden=(64, 64))

    assert max(fit(ensemble(made), labels, made, rng()).batches) < 300


def test_only_the_newest_labels_count_in_a_buffer(
    config: Config, ensemble: Make, vectors: Vectors
) -> None:
    labels = vectors(80)
    labels.targets[:40] = 1 - labels.targets[:40]  # the first half says the opposite
    made = config(buffer=40)
    model = ensemble(made)

    report = fit(model, labels, made, rng())

    assert report.labels == 40
    assert correlation(model) > 0.8


def test_noise_of_teachers_is_learned(config: Config, ensemble: Make, vectors: Vectors) -> None:
    labels = vectors(400)
    labels.teachers[:] = np.arange(400) % 2
    tossed = (labels.teachers == 1) & (rng(5).random(400) < 0.7)
    labels.targets[tossed] = rng(6).integers(2, size=int(tossed.sum()))
    made = config(learn_teacher_noise=True, initial_max_batches=300)
    model = ensemble(made)

    fit(model, labels, made, rng())

    assert model.teacher_noise[1] > 2 * model.teacher_noise[0]
    assert model.teacher_noise[1] > 0.3


def test_an_adversary_is_found_out_and_read_the_other_way_round(
    config: Config, ensemble: Make, vectors: Vectors
) -> None:
    labels = vectors(300)
    labels.teachers[:] = np.arange(300) % 3
    wrong = rng(5).random(300) > np.array([0.95, 0.8, 0.1])[labels.teachers]
    labels.targets[wrong] = 1 - labels.targets[wrong]
    found = {}
    for learn in (False, True):
        made = config(learn_teacher_noise=learn, warm_start=False)
        model = ensemble(made)
        for _ in range(3):
            fit(model, labels, made, rng())
        found[learn] = model
    noise = found[True].teacher_noise

    assert noise[0] < noise[1] < 1 < noise[2]
    assert correlation(found[True]) > correlation(found[False]) + 0.02


def test_pseudo_labels_and_crops_train_too(
    config: Config, ensemble: Make, vectors: Vectors
) -> None:
    labels, more = vectors(40), vectors(80)
    unlabelled = UnlabelledPairs(more.store, np.array(more.keys)[more.pairs[40:]])
    plain = config(temporal_crop=2)
    surf = config(temporal_crop=2, pseudo_label_threshold=0.8)
    models = []
    for made in (plain, surf):
        models.append(ensemble(made))
        fit(models[-1], labels, made, rng(), unlabelled=unlabelled)

    assert str(models[0].state_dict()) != str(models[1].state_dict())
    assert correlation(models[1]) > 0.8


def test_one_batch_costs_what_a_loop_over_its_pairs_costs(
    config: Config, ensemble: Make, vectors: Vectors
) -> None:
    model, labels = ensemble(config()), vectors(10)
    report = fit(model, labels, config(bootstrap=False, holdout=0.01), rng())

    losses = np.zeros((2, 10))
    for member in range(2):
        for pair, (a, b) in enumerate(labels.pairs):
            first, second = (
                model.raw(labels.store[labels.keys[s]].observations)[member].sum() for s in (a, b)
            )
            losses[member, pair] = preference_loss(
                torch.tensor(first - second),
                torch.tensor(labels.targets[pair]),
                torch.tensor(0.1),
            )
    assert report.metrics["reward_model/loss"] == pytest.approx(losses.mean(), abs=1e-5)


def test_what_is_held_out_never_reaches_the_weights(
    config: Config, ensemble: Make, vectors: Vectors
) -> None:
    made = config(members=1, adaptive_l2=False)
    weights = []
    for flip in (False, True):
        model, labels = ensemble(made), vectors(60)
        _, held = model.copy().holdouts[0].split(labels, made.holdout, rng())
        if flip:
            labels.targets[held] = 1 - labels.targets[held]
        fit(model, labels, made, rng())
        assert held.sum() == 22
        weights.append(str(model.networks[0].state_dict()))

    assert weights[0] == weights[1]


def test_early_stopping_goes_back_to_the_weights_of_the_least_heldout_loss(
    config: Config, ensemble: Make, vectors: Vectors
) -> None:
    labels = vectors(60)
    labels.targets[:] = rng(3).integers(2, size=60)  # there is nothing to learn, only to remember
    made = config(early_stopping=30, initial_max_batches=600, hidden=(64, 64))

    report = fit(ensemble(made), labels, made, rng())

    assert report.metrics["reward_model/loss_heldout"] < 0.75


def test_a_fit_says_how_many_passes_its_batches_did_not_reach(
    config: Config, ensemble: Make, vectors: Vectors
) -> None:
    """38 of 60 labels are learned from, in two batches a pass."""
    made = config(
        members=1, bootstrap=False, initial_max_batches=7, max_batches=7, initial_epochs=8
    )
    model, labels = ensemble(made), vectors(60)
    left = [fit(model, labels, made, rng()).passes_left]
    while left[-1]:
        left.append(fit(model, labels, made, rng(), passes=left[-1]).passes_left)
    assert left == [4.5, 1.0, 0.0]

    cold = made.model_copy(update={"warm_start": False})
    assert fit(ensemble(cold), labels, cold, rng()).passes_left == 0  # nothing to go on from
    assert fit(ensemble(made), labels, made, rng(), passes=3).passes_left == 0


def test_no_passes_are_left_after_early_stopping(
    config: Config, ensemble: Make, vectors: Vectors
) -> None:
    labels = vectors(60)
    labels.targets[:] = rng(3).integers(2, size=60)
    made = config(
        members=1, bootstrap=False, early_stopping=3, initial_max_batches=400, initial_epochs=4000
    )
    report = fit(ensemble(made), labels, made, rng())
    assert report.batches[0] <= 400
    assert report.passes_left == 0


def test_pictures_are_normalised_over_all_labelled_segments(
    config: Config, ensemble: Make, pictures: LabelledPairs, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("learner.rewards.judging._JUDGED_IMAGES", 2)
    made = config(network="christiano", initial_max_batches=5, holdout=0.1)
    model = ensemble(made, image=True)

    fit(model, pictures, made, rng())

    everything = pictures.batch(np.arange(len(pictures.keys)))
    paid = model.members(everything.observations).reshape(2, -1)
    np.testing.assert_allclose(paid.mean(axis=1), 0, atol=1e-4)
    np.testing.assert_allclose(paid.std(axis=1), made.target_std, rtol=1e-3)


@pytest.mark.parametrize("early_stopping", [0, 2])
def test_batch_normalisation_knows_the_labels_after_a_short_fit(
    config: Config, ensemble: Make, pictures: LabelledPairs, early_stopping: int
) -> None:
    """In use a network pays what it paid in training, where each batch is its own measure."""
    made = config(
        network="christiano",
        batch_norm=True,
        bootstrap=False,
        holdout=0.1,
        learning_rate=3e-4,
        early_stopping=early_stopping,
        initial_max_batches=5,
    )
    model = ensemble(made, image=True)
    fit(model, pictures, made, rng())

    seen = pictures.batch(np.arange(len(pictures.keys))).observations
    frames, actions = model.prepare(seen.reshape(-1, *seen.shape[2:]), None)
    used = model.raw(seen).reshape(2, -1)
    for member, network in enumerate(model.networks):
        norm = next(m for m in network.modules() if isinstance(m, torch.nn.BatchNorm2d))
        assert norm.momentum == 0.01
        with torch.no_grad():
            trained = network.train()(frames, actions).numpy()
        np.testing.assert_allclose(used[member], trained, atol=0.25 * trained.std())


def test_without_batch_normalisation_no_statistics_are_taken(
    config: Config, ensemble: Make, pictures: LabelledPairs, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = config(network="christiano", initial_max_batches=3, early_stopping=2)
    models = []
    for _ in range(2):
        models.append(ensemble(made, image=True))
        fit(models[-1], pictures, made, rng())
        monkeypatch.setattr("learner.rewards.fitting.estimate_norms", None)
    assert str(models[0].state_dict()) == str(models[1].state_dict())


def test_pictures_are_scaled_alike_in_training_and_in_use(
    config: Config, ensemble: Make, pictures: LabelledPairs, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Frames of 0-255 in one and 0-1 in the other made earlier learners useless."""
    seen: dict[bool, list[torch.Tensor]] = {True: [], False: []}
    look = RewardNetwork.with_hidden

    def watched(self: RewardNetwork, frames: torch.Tensor, actions: torch.Tensor) -> object:
        seen[self.training].append(frames.detach().clone())
        return look(self, frames, actions)

    monkeypatch.setattr(RewardNetwork, "with_hidden", watched)
    made = config(network="christiano", members=1, initial_max_batches=3, adaptive_l2=False)
    model = ensemble(made, image=True)
    fit(model, pictures, made, rng())
    seen[False].clear()
    model.rewards(pictures.batch(np.arange(len(pictures.keys))).observations)

    used = {frame.sum().item() for frame in torch.cat(seen[False])}
    trained = {frame.sum().item() for frame in torch.cat(seen[True])}
    assert len(trained) > 1
    assert trained <= used
