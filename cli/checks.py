"""What must be there before a run is made: looked at first, so that nothing is left half-made."""

from __future__ import annotations

from learner.config import EnvironmentConfig


def check_environment(environment: EnvironmentConfig) -> None:
    """Make the environment once.

    Raises:
        UnavailableEnvironment: unknown, misconfigured or not installed.
    """
    from learner.envs.registry import make

    make(environment, num_envs=1, seed=0).close()


def check_codec() -> None:
    """Encode a clip of one frame.

    Raises:
        MissingCodec: the video library cannot make clips.
    """
    import numpy as np

    from learner.video import encode

    encode(np.zeros((1, 16, 16, 3), np.uint8), 15)
