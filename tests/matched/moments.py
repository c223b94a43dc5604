"""The days that the tests of this folder speak of: day 1 is a Monday, everything is over by AS_OF."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from typing import Final

D: Final = date(2026, 10, 12)
AS_OF: Final = datetime(2026, 10, 31, 12)


def day(number: int) -> date:
    return D + timedelta(days=number - 1)


def at(number: int, hour: int = 12, minute: int = 0, second: float = 0) -> datetime:
    """This time of day, naive UTC, on the day of this number."""
    midnight = datetime.combine(day(number), datetime.min.time())
    return midnight + timedelta(hours=hour, minutes=minute, seconds=second)
