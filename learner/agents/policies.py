"""The policy: Stable-Baselines3's actor-critic around our networks, and what PPO asks of it.

Actions are sampled here, from an explicit generator, because SB3's distributions draw from
the global one: a resumed run could not repeat them.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from gymnasium import spaces
from stable_baselines3.common.policies import ActorCriticPolicy
from torch import Tensor, nn

from learner.agents.features import ImpalaFeatures, NatureFeatures, SpaceError, VectorFeatures
from learner.config import AgentConfig

_IMPALA_CHANNELS = {"impala": (16, 32, 32), "impala-small": (8, 16, 16)}


def make_policy(
    observation_space: spaces.Space[Any],
    action_space: spaces.Space[Any],
    config: AgentConfig,
    *,
    seed: int,
    device: str = "cpu",
) -> ActorCriticPolicy:
    """Build the policy and its Adam optimiser; equal seeds give equal weights.

    The policy's last layer starts orthogonal with gain 0.01 (nearly uniform actions), the
    value's with gain 1; inner layers as their network documents, else orthogonal with sqrt(2).
    SB3's initialisation fails on channels-last weights, so the layout is changed last.

    Raises:
        SpaceError: a space that the configured network cannot take.
    """
    _check_action_space(action_space)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        policy = ActorCriticPolicy(
            observation_space,
            action_space,
            lambda _progress: config.learning_rate,
            optimizer_kwargs={"eps": config.adam_eps, "fused": True},
            **_architecture(config),
        )
        if not policy.ortho_init:
            policy.init_weights(policy.action_net, gain=0.01)
            policy.init_weights(policy.value_net, gain=1.0)
    if config.network != "mlp":
        # torch's stubs lack this overload of `to`
        policy.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    return policy.to(device)


def _architecture(config: AgentConfig) -> dict[str, Any]:
    """Keyword arguments of SB3's policy for the configured network."""
    if config.network == "mlp":
        return {
            "features_extractor_class": VectorFeatures,
            "features_extractor_kwargs": {"normalize": config.normalize_observations},
            "net_arch": {"pi": list(config.hidden), "vf": list(config.hidden)},
            "activation_fn": nn.Tanh,
        }
    if config.network == "nature":
        return {"features_extractor_class": NatureFeatures, "net_arch": []}
    return {
        "features_extractor_class": ImpalaFeatures,
        "features_extractor_kwargs": {"channels": _IMPALA_CHANNELS[config.network]},
        "net_arch": [],
        "ortho_init": False,
    }


def _check_action_space(space: spaces.Space[Any]) -> None:
    if isinstance(space, spaces.Discrete) and space.start == 0:
        return
    if isinstance(space, spaces.Box) and len(space.shape) == 1:
        return
    raise SpaceError(
        f"actions must be Discrete from 0 or a Box with one axis, not {space}; "
        "wrap the environment so that they are"
    )


def forward(
    policy: ActorCriticPolicy, observations: Tensor, *, precision: str
) -> tuple[Tensor, Tensor]:
    """Run the networks once.

    The heads stay in float32: in bfloat16, log probabilities would carry errors of about
    1 %, which PPO would read as a change of the policy.

    Args:
        policy: from `make_policy`.
        observations: (B, ...) uint8 images or float vectors, on the policy's device.
        precision: "float32" or "bfloat16" (autocast of all layers but the heads).

    Returns:
        (B, actions) logits or means, and (B,) values, both float32.
    """
    device_type = observations.device.type
    with torch.autocast(device_type, dtype=torch.bfloat16, enabled=precision == "bfloat16"):
        features = policy.features_extractor(observations)
        latent_policy, latent_value = policy.mlp_extractor(features)
    with torch.autocast(device_type, enabled=False):
        outputs = policy.action_net(latent_policy.float())
        values = policy.value_net(latent_value.float()).flatten()
    return outputs, values


def sample(policy: ActorCriticPolicy, outputs: Tensor, generator: torch.Generator | None) -> Tensor:
    """Draw (B,) or (B, D) actions from the outputs; the likeliest ones without a generator."""
    log_std = _log_std(policy)
    if log_std is not None:
        if generator is None:
            return outputs
        noise = torch.empty_like(outputs).normal_(generator=generator)
        return outputs + log_std.exp() * noise
    if generator is None:
        return outputs.argmax(dim=1)
    # argmax(logits + Gumbel noise) is distributed as softmax(logits) (Gumbel 1954)
    exponential = torch.empty_like(outputs).exponential_(generator=generator)
    return (outputs - exponential.log()).argmax(dim=1)


def log_prob_and_entropy(
    policy: ActorCriticPolicy, outputs: Tensor, actions: Tensor
) -> tuple[Tensor, Tensor]:
    """(B,) log probabilities of the actions, and (B,) entropies, in nats."""
    log_std = _log_std(policy)
    if log_std is not None:
        scaled = (actions - outputs) * (-log_std).exp()
        constant = (log_std + 0.5 * math.log(2 * math.pi)).sum()
        log_prob = -0.5 * scaled.square().sum(dim=1) - constant
        entropy = (constant + 0.5 * log_std.numel()).expand(len(outputs))
        return log_prob, entropy
    log_probs = outputs.log_softmax(dim=1)
    log_prob = log_probs.gather(1, actions.long().unsqueeze(1)).squeeze(1)
    return log_prob, -(log_probs.exp() * log_probs).sum(dim=1)


def _log_std(policy: ActorCriticPolicy) -> Tensor | None:
    """(D,) of a Gaussian policy, None for discrete actions."""
    return getattr(policy, "log_std", None)
