"""How a study ranks its demonstrations."""

from __future__ import annotations

from collections.abc import Sequence

from learner.rankings.orders import Ranking, by_noise, by_training_time, by_true_return
from learner.study.config import StudyConfig
from learner.study.recording import Entry


def rank(study: StudyConfig, entries: Sequence[Entry]) -> Ranking:
    """The order over some demonstrations that preferences are derived from.

    Raises:
        RankingError: they are all tied.
    """
    if study.ranking.by == "training_time":
        return by_training_time([one.checkpoint for one in entries])
    if study.ranking.by == "noise":
        levels = [0.0 if one.noise is None else one.noise for one in entries]
        return by_noise(levels, study.ranking.noise.gap)
    return by_true_return([one.true_return for one in entries])
