"""What a study of regressed rewards is made of, and where each of it lies in the study's folder.

policies/GAME-SEED/             checkpoints of PPO on the true reward
transitions/GAME-SEED-*.npz     steps that are learned from, judged by, or read as they come
models/GAME-SEED-VARIANT.pt     a regressed reward; .json beside it holds its errors
figures/GAME-SEED.json          what was found in it; .png beside it
agents/GAME-SEED-*.json         an agent on a frozen reward, and its scores
SHA256SUMS                      of all these; `sha256sum -c SHA256SUMS` checks them
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from learner.envs.protocol import Split
from learner.study.folder import StudyFolder, game_slug
from learner.study.regression.config import ModelVariant, PaidConfig, RegressionConfig

Players = Literal["newest", "all"]
Stage = Literal["untrained", "trained"]


@dataclass(frozen=True)
class Case:
    """A game, and the seed of everything that is done in it."""

    game: str
    seed: int

    @property
    def name(self) -> str:
        """Its files' name."""
        return f"{game_slug(self.game)}-{self.seed}"

    def policy(self, folder: StudyFolder) -> Path:
        """Folder of the policy's checkpoints."""
        return folder.root / "policies" / self.name

    def stream(self, folder: StudyFolder, stage: Stage) -> Path:
        """Steps as they come, of the untrained or of the trained policy."""
        return folder.root / "transitions" / f"{self.name}-stream-{stage}.npz"

    def figures(self, folder: StudyFolder) -> Path:
        """What was found in its models; pictures lie beside it."""
        return folder.root / "figures" / f"{self.name}.json"


@dataclass(frozen=True)
class Source:
    """Transitions of one kind: who played them, and whether half of them are rewarded."""

    case: Case
    players: Players
    balanced: bool

    @property
    def name(self) -> str:
        """Its files' name."""
        return f"{self.case.name}-{self.players}-{'balanced' if self.balanced else 'natural'}"

    def path(self, folder: StudyFolder, split: Split) -> Path:
        """The transitions of one split."""
        return folder.root / "transitions" / f"{self.name}-{split}.npz"


@dataclass(frozen=True)
class Fitted:
    """A regressed reward: of a case, of a variant."""

    case: Case
    variant: ModelVariant
    source: Source

    @property
    def name(self) -> str:
        """Its files' name."""
        return f"{self.case.name}-{self.variant.name}"

    def path(self, folder: StudyFolder) -> Path:
        """Its errors; the reward has the suffix .pt."""
        return folder.root / "models" / f"{self.name}.json"


@dataclass(frozen=True)
class PaidAgent:
    """An agent: in a game, on a reward that was learned in a case (or on the true one)."""

    case: Case
    game: str
    paid: PaidConfig

    @property
    def name(self) -> str:
        """Its file's name."""
        return f"{self.case.name}-in-{game_slug(self.game)}-{self.paid.name}"

    def path(self, folder: StudyFolder) -> Path:
        """Its scores."""
        return folder.root / "agents" / f"{self.name}.json"


def cases(study: RegressionConfig) -> list[Case]:
    """Every case of a study."""
    return [Case(game, seed) for seed in range(study.seeds) for game in study.games]


def models(study: RegressionConfig, case: Case) -> list[Fitted]:
    """Every reward that is regressed in a case, the plain one first."""
    return [
        Fitted(case, one, Source(case, one.players, study.balanced(one)))
        for one in study.every_variant()
    ]


def agents(study: RegressionConfig, case: Case) -> list[PaidAgent]:
    """Every agent on a case's rewards."""
    if not study.agents.total_steps:
        return []
    games = study.agents.games or (case.game,)
    return [PaidAgent(case, game, paid) for game in games for paid in study.agents.paid]
