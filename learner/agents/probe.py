"""How a policy is run on this machine, by timing one of its training steps."""

from __future__ import annotations

from pathlib import Path

import torch

from learner.agents.policies import forward, make_policy
from learner.choices import choose
from learner.config import RunConfig
from learner.devices import Compute, Step
from learner.envs.protocol import Environments

_BATCH = 128


def choose_compute(config: RunConfig, env: Environments, folder: Path | None = None) -> Compute:
    """How the configured policy learns fastest, as kept in a folder if given.

    Args:
        config: the run's; `device`, `precision` and `threads` are kept where they are set.
        env: what the policy sees and does.
        folder: where choices are kept; None = measured at every call.

    Raises:
        SpaceError: spaces that the network cannot take.
        DeviceError: a device that is not here.
        ChoiceError: the kept choice is damaged.
        Unwritable: it cannot be kept.
    """
    shape = env.observation_space.shape or ()

    def make_step(compute: Compute) -> Step:
        policy = make_policy(
            env.observation_space, env.action_space, config.agent, seed=0, device=compute.device
        )
        observations = torch.zeros((_BATCH, *shape), dtype=torch.uint8, device=compute.device)

        def step() -> None:
            outputs, values = forward(policy, observations, precision=compute.precision)
            (outputs.sum() + values.sum()).backward()  # type: ignore[no-untyped-call]

        return step

    images = config.agent.network != "mlp"
    layers = "" if images else f" {config.agent.hidden}"
    network = f"policy {config.agent.network}{layers} on {shape}"
    return choose(config, network, make_step, images=images, folder=folder)
