"""How alike two names are spelled: that ranks pairs, and never decides."""

from __future__ import annotations

import re
from difflib import SequenceMatcher

_WORDS = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|[0-9]+")


def tokens(name: str) -> frozenset[str]:
    """The words of a name, whatever joins them, without their endings."""
    return frozenset(
        re.sub(r"(ed|ing|s)$", "", word.lower()) or word.lower() for word in _WORDS.findall(name[:300])
    )


def letters(name: str) -> str:
    """The name without case, blanks and punctuation: names that differ only there are equal in it."""
    return "".join(char for char in name[:300].casefold() if char.isalnum())


def likeness(one: str, other: str) -> float:
    """0 to 1: the better of shared words and of shared letters."""
    mine, theirs = tokens(one), tokens(other)
    words = len(mine & theirs) / len(mine | theirs) if mine and theirs else 0.0
    return max(words, SequenceMatcher(None, letters(one), letters(other), autojunk=False).ratio())
