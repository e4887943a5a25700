"""Figures that people watch a run by, and the alarms that follow from them."""

from __future__ import annotations

from collections.abc import Sequence

import structlog

from learner.alarms.history import History
from learner.alarms.watch import NAMES, alarms
from learner.asking import Question
from learner.config import RunConfig
from learner.machine import Machine
from learner.preferences import LabelledPairs
from learner.records import RunRecords

log = structlog.get_logger()

_MANY_UNEVEN = 0.1  # of the labelled pairs


class Vigil:
    """One run, watched from within; never seen by the agent or the reward model."""

    def __init__(self, records: RunRecords, machine: Machine) -> None:
        """Begin to watch.

        Args:
            records: the leased run.
            machine: what it runs on.
        """
        self._records = records
        self._machine = machine

    def figures(self, config: RunConfig, questions: Sequence[Question]) -> dict[str, float]:
        """How labelling goes and what the machine gives, at the end of an iteration.

        Args:
            config: the run's, as it is now.
            questions: asked in this iteration, and not stored yet.
        """
        pace, queue = self._records.pace(), self._records.queue()
        # What follows from demonstrations and rankings is no label of the budget.
        asked = [one for one in questions if one.teacher == "synthetic"]
        answers = [one.answer for one in asked if one.answer is not None]
        total = queue.total_labels + len(answers)
        decided = queue.decided_labels + sum(answer in ("a", "b") for answer in answers)
        found = {
            "preferences/total": float(total),
            "preferences/decided": float(decided),
            "preferences/left": float(max(0, config.queries.budget - total)),
            "time/labels_per_minute": pace.per_minute,
            "preferences/tie_share": pace.tie_share,
            "time/seconds_per_label": pace.seconds,
            **self._machine.figures(),
        }
        return {name: value for name, value in found.items() if value is not None}

    def crowd(self) -> dict[str, float]:
        """How far people agree; nothing where no pair has answers of two."""
        alpha = self._records.concord().alpha
        if alpha is None:
            return {}
        return {
            "preferences/alpha": alpha.value,
            "preferences/alpha_low": alpha.low,
            "preferences/alpha_high": alpha.high,
            "preferences/alpha_pairs": float(alpha.n),
        }

    def warn_of_uneven(self, config: RunConfig, labels: LabelledPairs) -> None:
        """Say where centring undoes what labels teach: that steps are worth having at all.

        Args:
            config: the run's.
            labels: of its first fit.
        """
        share = labels.uneven_share
        if config.segments.at_episode_end == "shift" and share >= _MANY_UNEVEN:
            log.warning(
                f"{share:.0%} of the labelled pairs show unequally many steps, and under "
                "segments.at_episode_end=shift steps are worth 0 on the average, so that longer "
                "episodes are not better; set it to pad in a new run if they are",
                run=self._records.name,
            )

    def look(self, config: RunConfig, *, iteration: int, step: int) -> None:
        """Raise and clear alarms by what is stored, the iteration that has just ended included.

        Raises:
            LeaseLost: another worker has taken the run over.
        """
        history = History(
            curves=self._records.tails(NAMES),
            members=config.reward.members,
            target_std=config.reward.target_std,
            trials=self._records.trials(),
            by_people=config.teacher.kind == "person",
        )
        found = alarms(history)
        for text in self._records.store_alarms(found, iteration=iteration, step=step):
            log.warning("alarm", run=self._records.name, text=text)
