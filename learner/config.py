"""The configuration of a run: one Pydantic model, every default documented.

Loaded from YAML with `key=value` overrides, stored whole with the run, shown on its page.
Paper-faithful values stay selectable; where a default differs, the comment says why.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator

from learner.yaml_file import ConfigError as ConfigError
from learner.yaml_file import first_problem, read_yaml

# YAML reads a bare `true` as a truth value; where it is a word it is taken as one.
_WORD = BeforeValidator(lambda value: "true" if value is True else value)


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class EnvironmentConfig(_Section):
    """Which environment, and which of its levels belong to training."""

    id: str = Field("procgen/coinrun", description="procgen/GAME, or any Gymnasium id")
    num_envs: int = Field(64, ge=1, le=4096, description="environments stepped side by side")
    start_level: int = Field(0, ge=0, description="first training level (Procgen)")
    num_levels: int = Field(200, ge=0, description="training levels; 0 means unlimited (Procgen)")
    distribution_mode: Literal["easy", "hard", "extreme", "memory", "exploration"] = Field(
        "easy", description="Procgen difficulty"
    )
    use_sequential_levels: bool = Field(False, description="levels follow without an episode end")
    use_backgrounds: bool = Field(True, description="False paints Procgen backgrounds black")
    use_monochrome_assets: bool = Field(False, description="Procgen sprites as plain rectangles")
    restrict_themes: bool = Field(False, description="one theme per Procgen object kind")
    options: dict[str, Any] = Field(
        default_factory=dict,
        description=(
            "keyword arguments passed to gymnasium.make; for Atari also mask, a list of [top, "
            "bottom, left, right] to blacken on the 210x160 screen instead of the known place of "
            "the score ([] = nothing), and noop_max, most idle steps at an episode's start (30)"
        ),
    )
    frame_stack: int = Field(1, ge=1, le=8, description="last frames seen at once (Atari: 4)")
    episode_end: Literal["as_is", "hide", "penalty", "fixed_horizon"] = Field(
        "as_is",
        description="what an episode's end tells agent and teacher (Christiano 2017, section 2.2)",
    )
    end_penalty: float = Field(0.0, description="true reward added at a hidden end, for the oracle")
    horizon: int | None = Field(None, ge=1, description="episode length under fixed_horizon")


class AgentConfig(_Section):
    """PPO; the defaults are the Procgen recipe (Cobbe et al. 2020, train-procgen)."""

    reward: Annotated[Literal["learned", "true"], _WORD] = Field(
        "learned", description="'true' is the baseline: plain PPO on the environment's reward"
    )
    network: Literal["impala", "impala-small", "nature", "mlp"] = Field(
        "impala-small",
        description="impala = (16, 32, 32) channels as published; small = (8, 16, 16) for CPUs",
    )
    hidden: tuple[int, ...] = Field((64, 64), description="layers of the mlp network")
    n_steps: int = Field(256, ge=1, description="steps per environment in one rollout")
    batch_size: int = Field(2048, ge=1, description="minibatch of PPO")
    n_epochs: int = Field(3, ge=1, description="passes over one rollout")
    gamma: float = Field(0.999, gt=0, le=1, description="discount")
    gae_lambda: float = Field(0.95, ge=0, le=1, description="GAE(lambda)")
    clip_range: float = Field(0.2, gt=0, description="clip of the probability ratio")
    clip_range_vf: float | None = Field(0.2, gt=0, description="clip of the value; null = none")
    ent_coef: float = Field(0.01, ge=0, description="entropy bonus")
    vf_coef: float = Field(0.5, ge=0, description="weight of the value loss")
    max_grad_norm: float = Field(0.5, gt=0, description="gradient clipping")
    learning_rate: float = Field(5e-4, gt=0, description="Adam's step size")
    learning_rate_schedule: Literal["constant", "linear"] = Field(
        "constant", description="linear = to 0 at total_steps"
    )
    adam_eps: float = Field(1e-5, gt=0, description="Adam's epsilon")
    clip_rewards: bool = Field(
        False,
        description=(
            "with reward=true, the agent is paid true rewards clipped to [-1, 1] (DQN and A3C on "
            "Atari); teachers and scores keep the whole ones"
        ),
    )
    reward_scale: Literal["running", "fixed"] = Field(
        "running",
        description="running = divide by the standard deviation of the discounted return, clip 10",
    )
    normalize_observations: bool = Field(False, description="running mean and std (vectors only)")
    exploration_bonus: float = Field(
        0.0, ge=0, description="RUNE's beta_0: bonus x disagreement of the ensemble"
    )
    exploration_decay: float = Field(1e-5, ge=0, lt=1, description="RUNE's rho per step")
    pessimism: float = Field(0.0, ge=0, description="k in mean - k x std over the ensemble")


class SegmentConfig(_Section):
    """Fixed-length windows of trajectories: what is compared."""

    length: int = Field(25, ge=1, description="steps (Christiano: 25 agent steps, 1.7 s at 15 fps)")
    at_episode_end: Literal["shift", "pad"] = Field(
        "shift",
        description=(
            "a window that would run over an episode's end is moved back to end with it (shift), "
            "or stops there and counts as followed by steps of reward 0 (pad)"
        ),
    )
    endings: float = Field(
        0.0,
        ge=0,
        lt=1,
        description=(
            "share of windows that end an episode; where the reward comes at the end, as in "
            "CoinRun, nearly all pairs of uniformly drawn windows are ties"
        ),
    )


Augmentation = Literal["shift", "crop", "jitter", "cutout", "random_convolution", "grey"]


class RewardConfig(_Section):
    """The reward model: an ensemble fitted to preferences."""

    network: Literal["christiano", "nature", "impala", "mlp"] = Field(
        "christiano", description="christiano = four convolutions of 16 channels, then 64 units"
    )
    hidden: tuple[int, ...] = Field((64, 64), description="layers of the mlp network")
    use_action: bool = Field(False, description="r(o, a) instead of r(o)")
    members: int = Field(3, ge=1, le=16, description="predictors in the ensemble")
    bootstrap: bool = Field(True, description="each member draws its labels with replacement")
    holdout: float = Field(
        0.368, gt=0, lt=1, description="share held out per member, split by trajectory (1/e)"
    )
    target_std: float = Field(0.05, gt=0, description="std of the reward over the labelled data")
    learning_rate: float = Field(3e-4, gt=0, description="Adam's step size (Ibarz 2018)")
    batch_size: int = Field(16, ge=1, description="pairs per batch (Ibarz 2018)")
    initial_epochs: int = Field(
        200,
        ge=1,
        description=(
            "passes over the labels at the first fit; where initial_max_batches are less, the fits "
            "after it go on with them until the labels change"
        ),
    )
    epochs: int = Field(
        20,
        ge=1,
        description=(
            "passes over labels that have changed; where max_batches are less, iteration by "
            "iteration until they are made"
        ),
    )
    # Three Christiano members on 64x64x3 take 0.22 s per batch on 2 cores: 40 batches are 9 s
    # of an iteration of about 45 s. A GPU, or vectors, afford ten times as many.
    max_batches: int | None = Field(
        None,
        ge=1,
        description=(
            "most batches per member in one fit, so that labels never stall the agent; "
            "null = 400, or 40 for images on a CPU"
        ),
    )
    initial_max_batches: int | None = Field(
        None, ge=1, description="the same at the first fit; null = 5 x max_batches"
    )
    warm_start: bool = Field(True, description="go on from the last version's weights")
    early_stopping: int = Field(
        0, ge=0, description="stop after so many epochs without a better held-out loss; 0 = never"
    )
    weak_preference: float = Field(
        0.5, gt=0, le=1, description="worth of 'better' beside 'much better'; 0.5 is P = 0.75"
    )
    error_floor: float = Field(
        0.1, ge=0, lt=1, description="share of answers taken as uniformly random (10 % in both)"
    )
    learn_teacher_noise: bool = Field(
        False, description="learn each teacher's reliability with the reward model, and weigh by it"
    )
    l2: float = Field(1e-4, ge=0, description="starting weight of the L2 penalty")
    adaptive_l2: bool = Field(
        True,
        description=(
            "raise or lower the penalty while held-out loss is not within [1.1, 1.5] x training "
            "loss, at most fourfold in one fit, and lower it slowly within (Ibarz 2018: by 1.001 "
            "a batch, of far more batches, and not at all within)"
        ),
    )
    dropout: float = Field(0.2, ge=0, lt=1, description="per-channel dropout (Ibarz: keep 0.8)")
    batch_norm: bool = Field(False, description="batch normalisation in the convolutions")
    input_noise: float = Field(0.1, ge=0, description="std of Gaussian noise on 0-1 inputs")
    output_penalty: float = Field(0.001, ge=0, description="weight of the squared output")
    output_l1: float = Field(0.0, ge=0, description="weight of the absolute output (T-REX's L1)")
    absolute_output: bool = Field(
        False, description="|r|: an ablation; it forces a constant that favours long episodes"
    )
    spectral_norm: bool = Field(False, description="layers of spectral norm 1 (Miyato 2018)")
    time_adversary: float = Field(
        0.0,
        ge=0,
        description="weight against features that tell the time in an episode (studies only)",
    )
    augmentations: tuple[Augmentation, ...] = Field(
        (), description="changes of images while fitting, equal over a snippet"
    )
    buffer: int | None = Field(3000, ge=1, description="newest labels used; null = all (Ibarz)")
    temporal_crop: int = Field(0, ge=0, description="SURF: most steps cut from either end")
    pseudo_label_threshold: float | None = Field(
        None, gt=0.5, lt=1, description="SURF: confidence at which unlabelled pairs count"
    )
    pseudo_label_ratio: int = Field(4, ge=1, description="SURF: unlabelled pairs per labelled one")


class ScheduleConfig(_Section):
    """How the label budget is spread over a run."""

    kind: Literal["hyperbolic", "staged", "constant", "exponential"] = Field(
        "hyperbolic", description="hyperbolic = rate proportional to scale / (steps + scale)"
    )
    scale: float = Field(5e6, gt=0, description="steps at which the rate has halved")


class QueryConfig(_Section):
    """Which pairs are asked, how many, and when."""

    budget: int = Field(500, ge=0, description="labels wanted over the whole run")
    initial: int = Field(
        100, ge=0, description="of these, asked from the untrained policy before the first fit"
    )
    initial_steps: int | None = Field(
        None,
        ge=1,
        description=(
            "environment steps of the untrained policy that they are spread over, in whole "
            "rollouts; null = so many that each step is in one of them, at most a quarter of "
            "the run"
        ),
    )
    schedule: ScheduleConfig = ScheduleConfig()
    strategy: Literal["uniform", "disagreement", "entropy", "bald", "kcenter", "hybrid"] = Field(
        "disagreement", description="how pairs are chosen from the pool"
    )
    candidates: int = Field(10, ge=1, description="pool size, in pairs per pair asked")
    uniform_share: float = Field(
        0.3, ge=0, le=1, description="least share asked uniformly; validation rests on them too"
    )
    min_preferences: int = Field(
        10, ge=1, description="answers awaited before the first fit; until then no training"
    )
    open_target: int = Field(
        24, ge=1, description="pairs kept ready for people beyond those they have answered"
    )


class TeacherConfig(_Section):
    """Who answers; synthetic teachers use the names of B-Pref."""

    kind: Literal["person", "synthetic"] = Field("person", description="who answers the queries")
    beta: float | None = Field(None, gt=0, description="rationality; null = always the better")
    gamma: float = Field(1.0, gt=0, le=1, description="myopia: weight of earlier steps")
    eps_mistake: float = Field(0.0, ge=0, le=1, description="share of answers flipped")
    eps_skip: float = Field(0.0, ge=0, description="skip when neither clip is worth this")
    eps_equal: float = Field(0.0, ge=0, description="tie when the clips differ by less")


class DemonstrationConfig(_Section):
    """Trajectories of good behaviour that a run starts from (Ibarz et al. 2018); off by default."""

    path: str | None = Field(
        None, description="folder of demonstrations (`clipwise demonstrate` writes one); null = off"
    )
    clone_epochs: int = Field(
        50, ge=0, description="most passes of behaviour cloning before the first rollout; 0 = none"
    )
    # Ibarz et al. found that they help where demonstrations are expert play (Private Eye, Hero,
    # Montezuma's Revenge) and hurt where they are weak (Breakout), so they are asked for.
    autolabels: bool = Field(
        False, description="prefer a random demonstration to each clip of the agent's first pairs"
    )
    initial_share: float = Field(
        0.0, ge=0, le=1, description="share of the first pairs that show a demonstration as well"
    )
    ranking: Literal["true_return", "training_time"] | None = Field(
        None, description="prefer parts of demonstrations ranked higher (T-REX); null = off"
    )
    ranking_rule: Literal["paper_atari", "paper_mujoco", "time_aligned", "length_matched"] = Field(
        "time_aligned", description="which parts are compared (`learner.rankings.snippets`)"
    )
    ranking_pairs: int = Field(500, ge=1, description="preferences that follow from the ranking")

    @model_validator(mode="after")
    def _used(self) -> DemonstrationConfig:
        shown = self.autolabels or self.initial_share or self.ranking
        if self.path is None and shown:
            named = ("autolabels", "initial_share", "ranking")
            used = next(name for name in named if getattr(self, name))
            raise ValueError(f"demonstrations.{used} needs demonstrations.path; set it")
        if self.path is not None and not shown and not self.clone_epochs:
            raise ValueError(
                "demonstrations.path is set but nothing uses them; set clone_epochs, autolabels, "
                "initial_share or ranking"
            )
        return self


class LabellingConfig(_Section):
    """What people are asked and shown; several need no more than one, unless it says so here."""

    strengths: bool = Field(
        False, description="five answers instead of three: better or much better, either side"
    )
    overlap: float = Field(0.0, ge=0, le=1, description="share of pairs put to several people")
    answers: int = Field(2, ge=2, le=10, description="to how many, then")
    third_opinion: bool = Field(
        True, description="ask one person more where those people do not agree by majority"
    )
    gold_share: float = Field(
        0.1, ge=0, le=0.25, description="share of a person's pairs that are gold, if any are"
    )
    gold_threshold: float | None = Field(
        None, gt=0, le=1, description="people right on fewer gold pairs are paused; null = never"
    )
    gold_minimum: int = Field(10, ge=1, description="gold answers before anybody is paused")
    trial_share: float = Field(
        0.1, ge=0, le=0.25, description="share that compare two checkpoints of the agent, blind"
    )
    repeat_share: float = Field(
        0.0, ge=0, le=0.25, description="share of pairs that come again, with the sides swapped"
    )
    repeat_after: int = Field(20, ge=1, description="own answers before a pair comes again")
    practice: int = Field(
        0, ge=0, le=50, description="gold pairs with feedback before a person's first real one"
    )
    skip: Literal["off", "later", "others", "ignore"] = Field(
        "off",
        description="what skipping does: back to me later, to others only, or nobody gets it",
    )
    show_prediction: bool = Field(
        False, description="after an answer, say which clip the reward model thought better"
    )


class EvaluationConfig(_Section):
    """How the agent is scored; never seen by the agent or the reward model."""

    episodes: int = Field(100, ge=1, description="episodes per split at the end of the run")
    every: int = Field(10, ge=1, description="iterations between evaluations and kept checkpoints")
    interim_episodes: int = Field(16, ge=1, description="episodes per split while it runs")
    test_start_level: int = Field(
        1_000_000, ge=0, description="first unseen level; disjoint from training (Procgen)"
    )
    trial_pairs: int = Field(
        8,
        ge=0,
        le=64,
        description=(
            "unseen levels on which each kept checkpoint is put beside an earlier one, to be "
            "compared without knowing which is which; 0 = none"
        ),
    )
    trial_seconds: float = Field(5.0, gt=0, le=60, description="length of those clips, at most")
    video_seconds: float = Field(10.0, gt=0, le=60, description="length of the agent's video")


class RunConfig(_Section):
    """One experiment, whole."""

    name: str = Field("run", pattern=r"^[a-z0-9][a-z0-9-]{0,62}$", description="shown in URLs")
    seed: int = Field(0, ge=0, lt=2**31, description="every generator is derived from it")
    total_steps: int = Field(5_000_000, ge=1, description="environment steps, all of them counted")
    device: Literal["auto", "cpu", "cuda"] = Field("auto", description="where networks live")
    precision: Literal["auto", "float32", "bfloat16"] = Field(
        "auto", description="auto = by a short measurement, made once per machine and kept in var"
    )
    threads: int | None = Field(
        None,
        ge=1,
        description="torch threads; null = one, or one per core, measured once per machine",
    )
    goal: str = Field("", max_length=200, description="one line for labellers: what is good")
    instructions: str = Field("", max_length=20_000, description="Markdown for labellers")
    environment: EnvironmentConfig = EnvironmentConfig()
    agent: AgentConfig = AgentConfig()
    segments: SegmentConfig = SegmentConfig()
    reward: RewardConfig = RewardConfig()
    queries: QueryConfig = QueryConfig()
    teacher: TeacherConfig = TeacherConfig()
    labelling: LabellingConfig = LabellingConfig()
    demonstrations: DemonstrationConfig = DemonstrationConfig()
    evaluation: EvaluationConfig = EvaluationConfig()

    @model_validator(mode="after")
    def _consistent(self) -> RunConfig:
        if self.agent.reward == "learned" and not self.queries.budget:
            raise ValueError(
                "queries.budget is 0, so there would be no reward to learn; raise it, or set "
                "agent.reward=true"
            )
        if self.reward.time_adversary:
            raise ValueError(
                "reward.time_adversary needs to know when in its episode each frame was, which "
                "only studies do; set it to 0"
            )
        if self.queries.initial > self.queries.budget:
            raise ValueError("queries.initial is larger than queries.budget; lower it")
        if self.queries.strategy != "uniform" and not self.queries.uniform_share:
            raise ValueError(
                f"queries.uniform_share is 0 and queries.strategy is {self.queries.strategy}, so "
                "the reward model would be judged on pairs chosen by itself; set it, e.g. to 0.1"
            )
        if self.segments.endings and self.environment.episode_end in ("hide", "penalty"):
            raise ValueError(
                f"environment.episode_end={self.environment.episode_end} hides the ends that "
                f"segments.endings={self.segments.endings} asks for, so no pair would ever be "
                "asked; set segments.endings=0, or environment.episode_end=as_is"
            )
        if self.agent.batch_size > self.agent.n_steps * self.environment.num_envs:
            raise ValueError(
                "agent.batch_size is larger than one rollout (agent.n_steps x "
                "environment.num_envs); lower it"
            )
        if self.segments.length > self.agent.n_steps:
            raise ValueError("segments.length is longer than agent.n_steps; lower it")
        return self

    @property
    def rollout_steps(self) -> int:
        """Environment steps in one rollout."""
        return self.agent.n_steps * self.environment.num_envs


def load_config(path: Path, overrides: list[str] | None = None) -> RunConfig:
    """Read a YAML file and apply `key=value` overrides (dotted keys, YAML values).

    Raises:
        ConfigError: unreadable file, bad YAML, unknown key or wrong type; one line.
    """
    return parse_config(read_yaml(path, overrides), source=str(path))


def parse_config(values: dict[str, Any], *, source: str = "config") -> RunConfig:
    """Validate a plain dict as a `RunConfig`.

    Raises:
        ConfigError: one line naming the first bad key.
    """
    try:
        return RunConfig.model_validate(values)
    except ValidationError as error:
        raise ConfigError(f"{source}: {first_problem(error)}") from error
