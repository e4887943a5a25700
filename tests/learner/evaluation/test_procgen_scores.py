from __future__ import annotations

import pytest

from learner.evaluation.procgen_scores import (
    FINAL_EASY_200,
    RANGES,
    normalised_score,
    official_score,
)


def test_blind_play_is_0_and_the_best_is_1() -> None:
    assert len(RANGES) == 16
    for game, (easy_low, easy_high, hard_low, hard_high) in RANGES.items():
        assert normalised_score(game, "easy", easy_low) == 0
        assert normalised_score(game, "easy", easy_high) == 1
        assert normalised_score(game, "hard", hard_low) == 0
        assert normalised_score(game, "hard", hard_high) == 1


def test_the_published_mean_over_games_comes_out() -> None:
    """easy-200 at 25 M: .597 on training levels and .354 on unseen ones, over all 16 games."""
    curves = ("coinrun", "fruitbot", "starpilot", "bigfish")
    for position, split, published in ((0, "train", 0.597), (1, "test", 0.354)):
        finals = {game: scores[position] for game, scores in FINAL_EASY_200.items()}
        for game in curves:
            final = official_score("easy-200", game, split, 25_000_000)  # type: ignore[arg-type]
            assert final is not None
            finals[game] = final
        assert set(finals) == set(RANGES)
        mean = sum(normalised_score(game, "easy", r) for game, r in finals.items()) / 16
        assert mean == pytest.approx(published, abs=0.002)


def test_official_scores_at_and_between_marks() -> None:
    assert official_score("easy-200", "coinrun", "test", 5_000_000) == 8.04
    assert official_score("easy-200", "fruitbot", "train", 4_000_000) == pytest.approx(21.225)
    assert official_score("easy-unlimited", "bigfish", "train", 25_000_000) == 20.41
    assert official_score("easy-unlimited", "bigfish", "test", 25_000_000) == 20.41
    assert official_score("hard-500", "starpilot", "test", 200_000_000) == 4.09


def test_nothing_is_extrapolated() -> None:
    assert official_score("easy-200", "coinrun", "test", 999_999) is None
    assert official_score("easy-200", "coinrun", "test", 50_000_001) is None
    assert official_score("easy-200", "maze", "test", 25_000_000) is None
