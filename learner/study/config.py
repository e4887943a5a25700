"""The configuration of a study: which games, demonstrations, rankings, cells and agents."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    ValidationError,
    field_validator,
    model_validator,
)

from learner.config import (
    AgentConfig,
    EnvironmentConfig,
    EvaluationConfig,
    RewardConfig,
    RunConfig,
)
from learner.rankings.snippets import RULES, Rule, Sharing, SnippetConfig
from learner.yaml_file import ConfigError, first_problem, read_yaml

BLOCK = 10_000_000  # "unlimited" levels to train PPO on end before those of demonstrations


class Section(BaseModel):
    """A part of a study's configuration: unknown keys are refused, nothing changes."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class ExpertConfig(Section):
    """The agents that play the demonstrations: PPO on the true reward."""

    total_steps: int = Field(8_000_000, ge=1, description="environment steps of training")
    checkpoints: int = Field(
        40, ge=2, description="kept over all of training, the untrained agent among them"
    )
    agent: AgentConfig = AgentConfig(reward="true")


class RecordingConfig(Section):
    """The demonstrations: one level each, played by a checkpoint that is drawn for it."""

    train: int = Field(1500, ge=2, description="per game, to learn from")
    test: int = Field(500, ge=2, description="per game, on other levels, to judge by")
    first_train_level: int = Field(
        10_000_000, ge=0, description="the next ones are consecutive; none of them trains PPO"
    )
    first_test_level: int = Field(20_000_000, ge=0, description="of the test demonstrations")
    longest: int = Field(1000, ge=1, description="steps after which a demonstration is cut")
    side_by_side: int = Field(64, ge=1, description="demonstrations played at once")
    low_quality: float = Field(
        0.0,
        ge=0,
        description="0 draws checkpoints uniformly; q weighs the k-th worst of K by (k / K)^q",
    )


class NoiseConfig(Section):
    """D-REX: rankings by the noise injected into a cloned policy."""

    levels: tuple[float, ...] = Field(
        (0.01, 0.25, 0.5, 0.75, 1.0), description="shares of random actions"
    )
    no_ops: bool = Field(True, description="a further bin, ranked worst, that only waits")
    gap: float = Field(0.2, ge=0, description="least difference of noise that is compared")
    cloned: int = Field(10, ge=2, description="demonstrations of the best checkpoint to clone")
    clone_epochs: int = Field(30, ge=1, description="most passes over them")


class RankingConfig(Section):
    """How the demonstrations are ranked."""

    by: Literal["true_return", "training_time", "noise"] = Field(
        "true_return", description="T-REX; the checkpoints' training time; D-REX"
    )
    noise: NoiseConfig = NoiseConfig()


class VariantConfig(Section):
    """A named change to how reward models are fitted; the study runs each beside the plain one."""

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9-]{0,30}$", description="shown in the report")
    reward: dict[str, Any] = Field(default_factory=dict, description="changes to `reward`")
    snippets: dict[str, Any] = Field(default_factory=dict, description="changes to `snippets`")
    shuffled: bool = Field(False, description="labels that no longer belong to their pairs")
    centred_per_step: bool = Field(
        False, description="subtract the mean reward that training demonstrations get at each step"
    )


SHUFFLED = VariantConfig(name="shuffled", shuffled=True)
"""What is learned from labels that mean nothing: fitted in every study, whatever its variants."""


class SweepConfig(Section):
    """Which reward models are fitted: every count, seed, rule and variant, for every game.

    Besides those named, models of the largest count under shuffled labels, for every seed.
    """

    counts: tuple[int, ...] = Field(
        (9, 12, 15, 20, 50, 100, 200, 500, 1000), description="training demonstrations"
    )
    seeds: int = Field(5, ge=1, description="draws of demonstrations, snippets and weights")
    rules: tuple[Rule, ...] = Field(RULES, description="of snippet sampling")
    variants: tuple[VariantConfig, ...] = Field(
        (SHUFFLED,),
        description="each fitted with every rule of variant_rules and the largest count, seed 0",
    )
    variant_rules: tuple[Rule, ...] = Field(
        ("time_aligned",), min_length=1, description="rules of variants and of shuffled labels"
    )

    @field_validator("variants")
    @classmethod
    def _distinct(cls, variants: tuple[VariantConfig, ...]) -> tuple[VariantConfig, ...]:
        names = [one.name for one in variants]
        for one in variants:
            if names.count(one.name) > 1 or one.name == "plain":
                raise ValueError(f"there are two variants named {one.name}; rename one")
            if one.name == SHUFFLED.name and one != SHUFFLED:
                raise ValueError(
                    "shuffled is the name of the control with shuffled labels; rename the variant"
                )
        return variants

    @property
    def every_variant(self) -> tuple[VariantConfig, ...]:
        """Those named and the control with shuffled labels."""
        return self.variants if SHUFFLED in self.variants else (*self.variants, SHUFFLED)


class JudgingConfig(Section):
    """How reward models are judged on the test demonstrations."""

    rules: tuple[Rule, ...] = Field(
        ("paper_atari", "paper_mujoco", "time_aligned", "true_labels"),
        description="evaluation sets; each is also judged on pairs of one start, truly labelled",
    )
    pairs: int = Field(2000, ge=10, description="per evaluation set")
    resamples: int = Field(2000, ge=10, description="of the bootstrap")
    window: int = Field(10, ge=1, description="steps before and after an event that are shown")


class StudyAgentConfig(Section):
    """Fresh agents trained on frozen rewards, and their controls."""

    total_steps: int = Field(5_000_000, ge=0, description="environment steps each; 0 = no agents")
    rules: tuple[Rule, ...] = Field(
        ("time_aligned",), description="whose reward model of the largest count and first seed"
    )
    variants: tuple[str, ...] = Field((), description="variants whose reward model is used too")
    controls: tuple[Literal["plus_one", "minus_one", "true"], ...] = Field(
        ("plus_one", "minus_one", "true"), description="rewards that know nothing, or everything"
    )
    seeds: int = Field(1, ge=1, description="agents per reward; more than one is relearning")
    constant: Literal["centred", "ranked"] = Field(
        "centred",
        description=(
            "pairs of equal length leave a reward's constant free: centred = mean 0 over the "
            "training snippets; ranked = what the order of whole demonstrations speaks for"
        ),
    )
    squash: Literal["none", "sigmoid"] = Field(
        "none", description="sigmoid(r) is what T-REX's Atari code pays"
    )
    episodes: int = Field(100, ge=1, description="per split, for scores")
    agent: AgentConfig = AgentConfig(reward="true")


class ExecutorConfig(Section):
    """Where tasks run."""

    kind: Literal["inline", "processes", "ray"] = Field(
        "processes", description="inline = one after another in this process; ray = a cluster"
    )
    workers: int | None = Field(None, ge=1, description="at once; null = one per core")
    address: str | None = Field(None, description="of a Ray cluster; null starts a local one")


class AnyStudy(Section):
    """What studies of all kinds have; experts are agents trained on the true reward."""

    kind: str
    name: str = Field("study", pattern=r"^[a-z0-9][a-z0-9-]{0,62}$", description="its folder")
    seed: int = Field(0, ge=0, lt=2**31, description="every generator is derived from it")
    games: tuple[str, ...] = Field(
        ("coinrun", "fruitbot", "starpilot", "bigfish"),
        min_length=1,
        description="Procgen games, or ids of environments that can be restored",
    )
    device: Literal["auto", "cpu", "cuda"] = Field("auto", description="where networks live")
    precision: Literal["auto", "float32", "bfloat16"] = Field("auto", description="of networks")
    threads: int | None = Field(None, ge=1, description="torch threads of a task; null = shared")
    environment: EnvironmentConfig = EnvironmentConfig()
    experts: ExpertConfig = ExpertConfig()
    executor: ExecutorConfig = ExecutorConfig()

    def environment_of(self, game: str) -> EnvironmentConfig:
        """A game's environment, with the levels that PPO trains on."""
        name = game if "/" in game or "-v" in game else f"procgen/{game}"
        return self.environment.model_copy(update={"id": name})

    def run(self, game: str, agent: AgentConfig, *, steps: int, seed: int, name: str) -> RunConfig:
        """The settings of one PPO training of this study."""
        return RunConfig(
            name=name,
            seed=seed,
            total_steps=max(steps, 1),
            device=self.device,
            precision=self.precision,
            threads=self.threads,
            environment=self.environment_of(game),
            agent=agent.model_copy(update={"reward": "true"}),
            segments={"length": 1},
            evaluation=EvaluationConfig(test_start_level=TEST_START),
        )


class StudyConfig(AnyStudy):
    """One study of rankings, whole."""

    kind: Literal["rankings"] = Field("rankings", description="what is studied")
    demonstrations: RecordingConfig = RecordingConfig()
    ranking: RankingConfig = RankingConfig()
    snippets: SnippetConfig = SnippetConfig()
    sharing: Sharing | None = Field(
        Sharing(), description="pairs of a batch share demonstrations; null = drawn one by one"
    )
    reward: RewardConfig = RewardConfig(
        members=1, bootstrap=False, holdout=0.2, buffer=None, error_floor=0.0
    )
    sweep: SweepConfig = SweepConfig()
    judging: JudgingConfig = JudgingConfig()
    agents: StudyAgentConfig = StudyAgentConfig()
    gallery: int = Field(8, ge=0, description="test demonstrations per game to watch; 0 = none")

    @model_validator(mode="after")
    def _consistent(self) -> StudyConfig:
        short = [count for count in self.sweep.counts if count > self.demonstrations.train]
        if short:
            raise ValueError(
                f"sweep.counts asks for {short[0]} demonstrations, demonstrations.train is "
                f"{self.demonstrations.train}; raise it or lower the count"
            )
        refuse_overlap(self.levels())
        self._refuse_ignored()
        return self

    def _refuse_ignored(self) -> None:
        """sigmoid(r) is of the reward as the labels left it, so nothing else can be done to it."""
        if self.agents.squash == "none":
            return
        if self.agents.constant == "ranked":
            raise ValueError(
                "agents.squash: sigmoid pays sigmoid(r) without any constant, so agents.constant: "
                "ranked would be ignored; set one of the two to its default"
            )
        for one in self.sweep.variants:
            if one.centred_per_step and one.name in self.agents.variants:
                raise ValueError(
                    "agents.squash: sigmoid pays sigmoid(r) of the uncentred reward, so "
                    f"centred_per_step of sweep.variants {one.name} would be ignored; set "
                    "agents.squash=none or leave it out of agents.variants"
                )

    def levels(self) -> dict[str, range]:
        """The levels of each use, by name."""
        recording = self.demonstrations
        count = self.environment.num_levels or BLOCK
        start = self.environment.start_level
        cloned = self.ranking.noise.cloned if self.ranking.by == "noise" else 0
        return {
            "cloned demonstrations": _from(recording.first_train_level + recording.train, cloned),
            "PPO training": range(start, start + count),
            "train demonstrations": _from(recording.first_train_level, recording.train),
            "test demonstrations": _from(recording.first_test_level, recording.test),
            "agents' test levels": _from(TEST_START, TEST_LEVELS),
        }


TEST_START, TEST_LEVELS = 30_000_000, 100_000_000
"""First level that agents are scored on; used for nothing else."""


def _from(first: int, count: int) -> range:
    return range(first, first + count)


def refuse_overlap(levels: dict[str, range]) -> None:
    """Make sure that no level serves two purposes.

    Raises:
        ValueError: two ranges share a level; the message names both.
    """
    names = list(levels)
    for place, name in enumerate(names):
        for other in names[place + 1 :]:
            first = max(levels[name].start, levels[other].start)
            if first < min(levels[name].stop, levels[other].stop):
                raise ValueError(
                    f"level {first} would serve both {name} and {other}; move "
                    "environment.start_level or demonstrations.first_*_level"
                )


def load_study(path: Path, overrides: list[str] | None = None) -> StudyConfig:
    """Read a study's YAML file and apply `key=value` overrides.

    Raises:
        ConfigError: unreadable file, bad YAML, unknown key or wrong type; one line.
    """
    values = read_yaml(path, overrides)
    try:
        return StudyConfig.model_validate(values)
    except ValidationError as error:
        raise ConfigError(f"{path}: {first_problem(error)}") from error
