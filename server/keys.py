"""Keys that are shown once and then only recognised: cookies, API tokens, invitation links.

Each is 256 random bits, so a plain hash would do against guessing; it is keyed with the
deployment's secret as well, so that a copy of the database alone recognises none of them.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from typing import Literal

from server.errors import SettingsError
from server.settings import Settings

Purpose = Literal["session", "token", "invitation"]

SHORTEST_SECRET = 32
TOKEN_START = "clw_"


def new_key() -> str:
    """43 letters that nobody can guess."""
    return secrets.token_urlsafe(32)


def new_token() -> str:
    """A key that secret scanners can tell: `clw_` and 43 letters."""
    return TOKEN_START + new_key()


def fingerprint(settings: Settings, purpose: Purpose, key: str) -> str:
    """What is stored of a key: HMAC-SHA256 under the deployment's secret, in hex.

    Raises:
        SettingsError: there is no secret.
    """
    secret = required_secret(settings).encode()
    return hmac.new(secret, f"{purpose}:{key}".encode(), hashlib.sha256).hexdigest()


def required_secret(settings: Settings) -> str:
    """The deployment's secret.

    Raises:
        SettingsError: missing, short, or of a few different letters only.
    """
    secret = settings.secret.get_secret_value()
    if len(secret) < SHORTEST_SECRET or len(set(secret)) < 8:
        raise SettingsError(
            f"CLIPWISE_SECRET must be {SHORTEST_SECRET} random letters or more; make one: "
            "python3 -c 'import secrets; print(secrets.token_urlsafe(48))'"
        )
    return secret
