"""`clipwise demonstrate RUN`, and demonstrations from and to Minari."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from rich.console import Console

from cli.play import kept_plays
from cli.user import opened
from learner.agents.acting import agent_for_acting
from learner.checkpoints import Checkpoint
from learner.config import RunConfig, load_config, parse_config
from learner.demonstrating import demonstrate as play
from learner.demonstrations import read, refuse_used, write
from learner.envs.registry import make
from learner.minari import export_dataset, import_dataset
from learner.records import Workplace
from learner.trajectories import Trajectory
from server.artifacts import Artifacts
from server.settings import load_settings

console = Console()


def demonstrate(name: str, episodes: int, out: Path) -> None:
    """Play whole episodes on training levels and write them as demonstrations.

    Args:
        name: of the run; it may be training meanwhile.
        episodes: how many.
        out: folder, new or without demonstrations.

    Raises:
        NotFound: no such run, or it has not kept a checkpoint yet.
        DemonstrationError: the folder is in use or cannot be written.
    """
    refuse_used(out)
    workplace = Workplace(load_settings())
    try:
        workplace.check()
        values, content = workplace.kept_checkpoint(name)
    finally:
        workplace.close()
    config = parse_config(values, source=f"run {name}")
    played = _play(config, Checkpoint.from_bytes(content), episodes)
    _store(out, {"run": name, "policy_step": played[0].policy_step}, played)


def take_played(name: str, out: Path) -> None:
    """Write the episodes that people played in the browser and kept, as demonstrations.

    Raises:
        NotFound: no such run, or nobody has kept one.
        DemonstrationError: the folder is in use or cannot be written.
    """
    refuse_used(out)
    settings = load_settings()
    with opened() as database:
        played = kept_plays(database, Artifacts(settings.artifacts_url), name)
    _store(out, {"run": name, "played": "by people"}, played)


def from_minari(dataset: str, path: Path, out: Path) -> None:
    """Write a Minari data set as demonstrations for runs of a config.

    Raises:
        DemonstrationError: Minari or the data set is not here, it does not fit the config, or the
            folder is in use or cannot be written.
    """
    refuse_used(out)
    environment = load_config(path).environment
    _store(out, {"dataset": dataset}, import_dataset(dataset, environment))


def to_minari(folder: Path, dataset: str) -> None:
    """Write demonstrations as a Minari data set.

    Raises:
        DemonstrationError: no demonstrations there, Minari is not here or refuses the id.
    """
    trajectories = [trajectory for _, trajectory in read(folder)]
    export_dataset(dataset, trajectories)
    console.print(f"{len(trajectories)} episodes in the Minari data set {dataset}")


def _play(config: RunConfig, checkpoint: Checkpoint, episodes: int) -> list[Trajectory]:
    """The checkpoint's agent at work, one line per episode."""
    environments = make(config.environment, num_envs=config.environment.num_envs, seed=0)
    try:
        agent = agent_for_acting(config, environments, checkpoint.agent)
        with agent.compute.active():
            return play(
                agent,
                config,
                episodes,
                policy_step=agent.learned_steps,
                pulse=lambda number: console.print(f"episode {number} of {episodes}"),
            )
    finally:
        environments.close()


def _store(out: Path, origin: dict[str, Any], played: list[Trajectory]) -> None:
    """Write demonstrations with a result.json beside them, and say where."""
    write(out, played)
    facts = {
        **origin,
        "environment": dict(played[0].environment),
        "episodes": [
            {
                "return": float(one.rewards.sum()),
                "steps": one.steps,
                "level": one.level,
                "ended": bool(one.ends[-1]),
            }
            for one in played
        ],
    }
    result = out / "result.json"
    result.write_text(json.dumps(facts, indent=2) + "\n")
    console.print(str(result), soft_wrap=True)
