"""Passwords: argon2id, with the parameters that OWASP recommends for servers."""

from __future__ import annotations

import unicodedata
from functools import cache

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from server.errors import Invalid

SHORTEST = 10
LONGEST = 200
"""A longer one would only buy an attacker our time."""

# 19 MiB, 2 passes, 1 lane: about 20 ms, and forty at once fit into a small server.
_HASHER = PasswordHasher(time_cost=2, memory_cost=19_456, parallelism=1)


def hash_password(password: str, *, name: str) -> str:
    """Hash a new password.

    Raises:
        Invalid: too short, too long, or as good as the name.
    """
    plain = _normal(password)
    if not SHORTEST <= len(plain) <= LONGEST:
        raise Invalid(f"A password has {SHORTEST} to {LONGEST} letters; a few words will do.")
    if plain.casefold() == name.casefold() or len(set(plain)) < 4:
        raise Invalid("This password is too easy to guess; take a few words.")
    return _HASHER.hash(plain)


def is_right(password: str, password_hash: str | None) -> bool:
    """Compare; without a hash it takes as long, and is wrong."""
    if len(password) > LONGEST:
        return False
    try:
        _HASHER.verify(password_hash or _nobodys(), _normal(password))
    except (VerificationError, InvalidHashError):
        return False
    return password_hash is not None


def _normal(password: str) -> str:
    # The same letters from any keyboard: an accent may come as one sign or as two.
    return unicodedata.normalize("NFKC", password)


@cache
def _nobodys() -> str:
    """What an unknown name's password is compared with, so that names cannot be told by time."""
    return _HASHER.hash("nobody has this password")
