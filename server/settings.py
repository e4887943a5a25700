"""Facts of the deployment, from `CLIPWISE_*` environment variables.

What belongs to an experiment is in its config, not here.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pydantic import Field, SecretStr, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from server.errors import SettingsError
from server.logs import Format

LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})
EVERY_ADDRESS = frozenset({"", "0.0.0.0", "::"})


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
    team: bool = Field(False, description="ask for a login on loopback too; elsewhere always so")
    secret: SecretStr = Field(
        SecretStr(""), description="32 random letters or more; needed for accounts"
    )
    allowed_hosts: str = Field(
        "", description="names that people use for the server, e.g. clips.example.org, with commas"
    )
    proxies: str = Field(
        "127.0.0.1", description="addresses of reverse proxies whose X-Forwarded-* count"
    )
    play_host: str = Field(
        "127.0.0.1",
        description="address of a learner's games for the server; 0.0.0.0 = its host's name",
    )
    alive_file: Path | None = Field(
        None, description="a learner touches it every few seconds while it reaches the database"
    )
    log: Format = Field(
        "auto", description="console, json, or auto: JSON lines where stderr is no terminal"
    )
    metrics_port: int | None = Field(
        None, ge=1, le=65535, description="port at which a learner answers Prometheus; none = not"
    )
    metrics_host: str = Field("127.0.0.1", description="address for that port")
    workers: int = Field(1, ge=1, le=64, description="server processes behind the one port")
    session_idle_hours: float = Field(
        24.0, gt=0, le=8_760, description="an unused login ends after this"
    )
    session_days: float = Field(14.0, gt=0, le=365, description="any login ends after this")

    @property
    def team_mode(self) -> bool:
        """People log in; without accounts nobody but this machine may come in."""
        return self.team or self.host not in LOOPBACK

    @property
    def host_names(self) -> frozenset[str]:
        """The names under which the server answers."""
        if not self.team_mode:
            return LOOPBACK
        named = {name.strip().lower() for name in self.allowed_hosts.split(",")}
        return (LOOPBACK | named | {self.host}) - EVERY_ADDRESS


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
