"""Names that people choose: letters of any script, nothing that could disguise or mark up."""

from __future__ import annotations

import unicodedata

from server.errors import Invalid

LONGEST = 64
SIGNS = frozenset(" .-_'@+")


def checked_name(text: str) -> str:
    """Normalise a name: NFKC, single spaces.

    Raises:
        Invalid: empty, too long, or with signs, control or direction marks in it.
    """
    name = " ".join(unicodedata.normalize("NFKC", text).split())
    if not 1 <= len(name) <= LONGEST:
        raise Invalid(f"A name has 1 to {LONGEST} letters.")
    if not all(sign in SIGNS or unicodedata.category(sign)[0] in "LMN" for sign in name):
        raise Invalid("A name has letters, digits, spaces and . - _ ' @ + only.")
    if unicodedata.category(name[0])[0] not in "LN":
        raise Invalid("A name begins with a letter or a digit.")
    return name
