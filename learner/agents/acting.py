"""A saved agent that only acts: for scoring, demonstrations and films, on any machine."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from learner.agents.ppo import PPOAgent, make_agent
from learner.config import RunConfig
from learner.devices import Compute, to_act
from learner.envs.protocol import Environments


def agent_for_acting(config: RunConfig, env: Environments, state: Mapping[str, Any]) -> PPOAgent:
    """A saved agent that only acts: on whatever device is here, in any number of environments.

    Args:
        config: the run that it learned in.
        env: where it is to act.
        state: of `PPOAgent.state_dict`.

    Raises:
        AgentStateError: made with another network.
    """
    agent = make_agent(config, env, to_act(Compute(**state["compute"])))
    agent.load_policy(state)
    return agent
