"""Durations as people write them (`6h`, `1d 12h`) and shares as people write them (`1%`)."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Final

_UNITS: Final = {"s": 1, "m": 60, "h": 3_600, "d": 86_400, "w": 604_800}
_WHOLE: Final = re.compile(r"(?:[0-9]{1,9}(?:\.[0-9]{1,6})?[smhdw] ?)+", re.ASCII)
_PART: Final = re.compile(r"([0-9.]+)([smhdw])", re.ASCII)
_PERCENT: Final = re.compile(r"([0-9]{1,9}(?:\.[0-9]{1,9})?) ?%", re.ASCII)

LONGEST: Final = timedelta(days=366)


def parse_duration(text: str) -> timedelta:
    """`6h`, `90m`, `1d 12h`, `1.5h`; ValueError says what is wrong with anything else."""
    if not _WHOLE.fullmatch(text.strip()):
        raise ValueError("is not a duration")
    seconds = sum(float(number) * _UNITS[unit] for number, unit in _PART.findall(text))
    if seconds > LONGEST.total_seconds():
        raise ValueError(f"is longer than {LONGEST.days} days")
    return timedelta(seconds=seconds)


def format_duration(duration: timedelta) -> str:
    """The shortest text that `parse_duration` reads back as the same duration (to the second)."""
    left = round(duration.total_seconds())
    parts = []
    for unit in ("d", "h", "m", "s"):
        count, left = divmod(left, _UNITS[unit])
        if count:
            parts.append(f"{count}{unit}")
    return " ".join(parts) or "0s"


def parse_share(text: str) -> float:
    """`1%` as 0.01, and `0.01` as it stands; ValueError says what is wrong with anything else."""
    percent = _PERCENT.fullmatch(text.strip())
    if percent:
        share = float(percent.group(1)) / 100
    else:
        try:
            share = float(text)
        except ValueError:
            raise ValueError("is not a percentage") from None
        # A bare 1 may mean one per cent or all of it, and the two must not be confused.
        if share >= 1:
            raise ValueError("is not below 1" if share > 1 else "may mean 1% or 100%")
    if not 0 <= share <= 1:
        raise ValueError("is outside 0% to 100%")
    return share
