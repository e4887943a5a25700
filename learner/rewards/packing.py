"""A reward model as bytes that stand alone: spaces, configuration, weights, normalisation."""

from __future__ import annotations

import io
import pickle
from typing import Any

import numpy as np
import torch
from gymnasium import Space, spaces

from learner.config import RewardConfig
from learner.devices import find_device
from learner.errors import LearnerError
from learner.rewards.ensemble import Precision, RewardEnsemble

FORMAT = 2


class UnreadableRewardModel(LearnerError):
    """Content that is no reward model, or one of another version."""


def pack(ensemble: RewardEnsemble) -> bytes:
    """Everything that giving rewards needs; the training state stays behind."""
    state = ensemble.state_dict()
    state["optimisers"] = []
    buffer = io.BytesIO()
    torch.save(
        {
            "format": FORMAT,
            "config": ensemble.config.model_dump(mode="json"),
            "observations": _describe(ensemble.observation_space),
            "actions": _describe(ensemble.action_space),
            "state": state,
        },
        buffer,
    )
    return buffer.getvalue()


def unpack(
    content: bytes, *, device: str = "cpu", precision: Precision = "float32"
) -> RewardEnsemble:
    """The reward model that `pack` packed, ready to give rewards.

    Args:
        content: from `pack`; loading it runs no code.
        device: where its networks are to live: "cpu", "cuda", or "auto".
        precision: "bfloat16" for autocast.

    Raises:
        UnreadableRewardModel: not a reward model, or of another format.
        DeviceError: CUDA was asked for and there is none.
    """
    place = find_device(device)
    observations, actions, config, state = _read(content)
    ensemble = RewardEnsemble(
        observations, actions, config, seed=0, device=place, precision=precision
    )
    state["optimisers"] = ensemble.state_dict()["optimisers"]
    ensemble.load_state_dict(state)
    return ensemble


def _read(content: bytes) -> tuple[Space[Any], Space[Any], RewardConfig, dict[str, Any]]:
    """Spaces of observations and actions, config and state, as packed.

    Raises:
        UnreadableRewardModel: not a reward model, or of another format.
    """
    try:
        values = torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
        if values["format"] != FORMAT:
            raise UnreadableRewardModel(
                f"the reward model has format {values['format']}, this version reads {FORMAT}"
            )
        return (
            _space(values["observations"]),
            _space(values["actions"]),
            RewardConfig.model_validate(values["config"]),
            values["state"],
        )
    except (RuntimeError, pickle.UnpicklingError, EOFError, KeyError, TypeError, ValueError) as bad:
        raise UnreadableRewardModel("not a reward model, or cut short; export it again") from bad


def _describe(space: Space[Any]) -> dict[str, Any]:
    """A space as plain values."""
    if isinstance(space, spaces.Discrete):
        return {"n": int(space.n)}
    assert isinstance(space, spaces.Box), space
    return {
        "shape": list(space.shape),
        "dtype": str(space.dtype),
        "low": torch.from_numpy(np.ascontiguousarray(space.low)),
        "high": torch.from_numpy(np.ascontiguousarray(space.high)),
    }


def _space(values: dict[str, Any]) -> Space[Any]:
    if "n" in values:
        return spaces.Discrete(values["n"])
    dtype = np.dtype(values["dtype"]).type
    return spaces.Box(values["low"].numpy(), values["high"].numpy(), dtype=dtype)
