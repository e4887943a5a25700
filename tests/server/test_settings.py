from __future__ import annotations

from pathlib import Path

import pytest

from server.errors import SettingsError
from server.settings import Settings, load_settings


@pytest.fixture(autouse=True)
def _clean(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in Settings.model_fields:
        monkeypatch.delenv(f"CLIPWISE_{name.upper()}", raising=False)


def test_everything_lies_in_var() -> None:
    settings = load_settings()
    assert settings.database_url == "sqlite:///var/clipwise.db"
    assert settings.artifacts_url == "var/artifacts"
    assert (settings.host, settings.port) == ("127.0.0.1", 8000)
    moved = load_settings(var=Path("/srv/clips"))
    assert moved.database_url == "sqlite:////srv/clips/clipwise.db"
    assert moved.artifacts_url == "/srv/clips/artifacts"


def test_the_environment_sets_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CLIPWISE_VAR", "/data")
    monkeypatch.setenv("CLIPWISE_DATABASE_URL", "postgresql://db/clipwise")
    monkeypatch.setenv("CLIPWISE_PORT", "")
    settings = load_settings()
    assert settings.database_url == "postgresql://db/clipwise"
    assert settings.artifacts_url == "/data/artifacts"
    assert settings.port == 8000


@pytest.mark.parametrize(
    ("name", "value"),
    [("CLIPWISE_PORT", "eighty"), ("CLIPWISE_PORT", "70000"), ("CLIPWISE_LEASE_SECONDS", "0")],
)
def test_a_bad_value_is_one_line_that_names_it(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(SettingsError, match=f"^{name}: .*{value}") as caught:
        load_settings()
    assert "\n" not in caught.value.message
