"""Facts of the deployment, from `CLIPWISE_*` environment variables.

What belongs to an experiment is in its config, not here.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pydantic import Field, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from server.errors import SettingsError


class Settings(BaseSettings):
    """Where things are and who may reach them; the database and artifacts lie in `var`."""

    model_config = SettingsConfigDict(env_prefix="CLIPWISE_", env_ignore_empty=True, frozen=True)

    var: Path = Field(Path("var"), description="folder for everything that is kept")
    database_url: str = Field(
        default_factory=lambda earlier: f"sqlite:///{earlier['var']}/clipwise.db",
        description="sqlite:///FILE or postgresql://USER:PASSWORD@HOST/NAME",
    )
    artifacts_url: str = Field(
        default_factory=lambda earlier: f"{earlier['var']}/artifacts",
        description="a folder, or any URL known to fsspec, such as s3://bucket/folder",
    )
    host: str = Field("127.0.0.1", description="address that the server listens on")
    port: int = Field(8000, ge=0, le=65535, description="port; 0 takes a free one")
    lease_seconds: int = Field(
        120, ge=5, le=86_400, description="how long a pair is one person's before others get it"
    )


def load_settings(**values: Any) -> Settings:
    """Read the environment; `values` come before it.

    Raises:
        SettingsError: one line naming the variable.
    """
    try:
        return Settings(**values)
    except ValidationError as error:
        first = error.errors()[0]
        name = "CLIPWISE_" + "_".join(str(part) for part in first["loc"]).upper()
        raise SettingsError(f"{name}: {first['msg']} (got {first['input']!r})") from error
