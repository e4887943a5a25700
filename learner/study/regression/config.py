"""The configuration of a study of regressed rewards.

After Michaud, Gleave and Russell 2020, "Understanding learned reward functions": policies on the
true reward give transitions, a network regresses their rewards, and what it learned is looked at.
"""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from learner.config import AgentConfig
from learner.study.config import AnyStudy, Section

PLAIN = "plain"
"""The variant that every study fits."""
TRUE = "true"
"""What an agent is paid that is no model's."""


class TransitionConfig(Section):
    """The steps whose rewards are learned."""

    train: int = Field(25_000, ge=10, description="transitions to learn from")
    test: int = Field(12_500, ge=10, description="of other episodes, to judge by")
    balanced: bool = Field(False, description="half of them rewarded, as published for Atari")
    side_by_side: int = Field(8, ge=1, description="environments that are recorded at once")
    longest: int = Field(
        2_000_000, ge=1, description="environment steps after which too few rewards are an error"
    )


class ModelConfig(Section):
    """The network that is regressed: Adam on the summed squared error of a batch."""

    network: Literal["perceptron", "nature"] = Field(
        "perceptron", description="tanh layers without a last bias; or Mnih's convolutions"
    )
    reads: Literal["both", "after"] = Field(
        "both", description="what is seen before and after the step, or after it alone"
    )
    hidden: tuple[int, ...] = Field((64, 64), description="layers of the perceptron")
    codes: tuple[float, ...] | None = Field(
        None, description="a number per channel, summed to one picture; null = channels as they are"
    )
    epochs: int = Field(5, ge=1, description="passes over the transitions")
    batch_size: int = Field(20, ge=1, description="transitions")
    learning_rate: float = Field(1e-3, gt=0, description="Adam's step size")


class ModelVariant(Section):
    """A named change to what is regressed; fitted beside the plain one."""

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9-]{0,30}$", description="shown in the report")
    masked: bool = Field(False, description="the score's place is black, in training as in use")
    players: Literal["newest", "all"] = Field(
        "newest", description="who played the transitions: the trained policy, or all checkpoints"
    )
    balanced: bool | None = Field(None, description="null = as `transitions` says")


class PaidConfig(Section):
    """What an agent is paid."""

    model: str = Field(PLAIN, description="a variant's name, or true")
    threshold: float | None = Field(
        None, description="pay 1 where the prediction is above it and else 0; null = as predicted"
    )

    @property
    def name(self) -> str:
        """As files and tables call it."""
        return self.model if self.threshold is None else f"{self.model}-over-{self.threshold:g}"


class RegressionAgentConfig(Section):
    """Fresh agents on the regressed reward, and on the true one."""

    total_steps: int = Field(45_056, ge=0, description="environment steps each; 0 = no agents")
    games: tuple[str, ...] = Field(
        (), description="where they are trained; none = where the reward was learned"
    )
    paid: tuple[PaidConfig, ...] = Field(
        (PaidConfig(model=TRUE), PaidConfig()), description="one agent each, per game and seed"
    )
    episodes: int = Field(100, ge=1, description="per split, for scores")
    agent: AgentConfig = AgentConfig(reward="true")


class RegressionConfig(AnyStudy):
    """One study of regressed rewards, whole."""

    kind: Literal["regression"] = Field("regression", description="what is studied")
    games: tuple[str, ...] = Field(("maze/coin-flip",), min_length=1, description="environments")
    seeds: int = Field(5, ge=1, description="of everything: policy, transitions, weights, agents")
    transitions: TransitionConfig = TransitionConfig()
    model: ModelConfig = ModelConfig()
    variants: tuple[ModelVariant, ...] = Field((), description="fitted beside the plain model")
    stream: int = Field(
        2_000,
        ge=0,
        description="steps as they come, untrained and trained, on which models are read",
    )
    agents: RegressionAgentConfig = RegressionAgentConfig()

    @model_validator(mode="after")
    def _known(self) -> RegressionConfig:
        known = {TRUE, *(one.name for one in self.every_variant())}
        unknown = [one.model for one in self.agents.paid if one.model not in known]
        if unknown:
            raise ValueError(
                f"agents.paid names the model '{unknown[0]}', variants are {sorted(known)}"
            )
        return self

    def every_variant(self) -> tuple[ModelVariant, ...]:
        """The plain model and its variants."""
        return (ModelVariant(name=PLAIN), *self.variants)

    def variant(self, name: str) -> ModelVariant:
        """A variant by its name."""
        return next(one for one in self.every_variant() if one.name == name)

    def balanced(self, variant: ModelVariant) -> bool:
        """Whether half of a variant's transitions are rewarded."""
        return self.transitions.balanced if variant.balanced is None else variant.balanced
