"""Repeatable chance: every choice about a message is a hash of the message's own number and a word.

A generator that draws one number after another gives other rows as soon as one draw is added or a day is
left out. Here a row depends on nothing but its seed: any part of history is the same, however it is made.
"""

from __future__ import annotations

import hashlib

import numpy as np
from numpy.typing import NDArray

Numbers = NDArray[np.uint64]


def number_of(word: str) -> int:
    """64 bits that belong to a word, the same in every process (unlike `hash`)."""
    return int.from_bytes(hashlib.blake2b(word.encode(), digest_size=8).digest(), "big")


def numbers(dice: Numbers, word: str) -> Numbers:
    """splitmix64's finaliser: one fresh 64-bit number for each die and word."""
    mixed = dice ^ np.uint64(number_of(word))
    mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return mixed ^ (mixed >> np.uint64(31))


def roll(dice: Numbers, word: str) -> NDArray[np.float64]:
    """Even chances in [0, 1), one for each die."""
    return (numbers(dice, word) >> np.uint64(11)).astype(np.float64) / float(1 << 53)


def hexes(dice: Numbers, word: str, length: int) -> list[str]:
    """`length` hex digits (at most 16) for each die."""
    text = numbers(dice, word).astype(">u8").tobytes().hex()
    return [text[start : start + length] for start in range(0, len(text), 16)]


def uuids(dice: Numbers, word: str, upper: bool = False) -> list[str]:
    """A version 4 uuid for each die."""
    high = numbers(dice, word + "/high") & np.uint64(0xFFFFFFFFFFFF0FFF) | np.uint64(0x4000)
    low = numbers(dice, word + "/low") & np.uint64(0x3FFFFFFFFFFFFFFF) | np.uint64(0x8000000000000000)
    text = np.column_stack([high, low]).astype(">u8").tobytes().hex()
    text = text.upper() if upper else text
    ends = ((0, 8), (8, 12), (12, 16), (16, 20), (20, 32))
    return ["-".join(text[i + a : i + b] for a, b in ends) for i in range(0, len(text), 32)]
