"""Questions that only the rows can answer, asked for single incidents and never for everything."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import Protocol

import pandas as pd

# The attributes of a message by which what is missing is held against what arrived.
DIMENSIONS = (
    "source",
    "event",
    "app_version",
    "library_version",
    "hour",  # of the destination's day, 0 to 23
    "user_shape",  # uuid, email, integer, empty, other or null
    "consent",  # the categories that were refused, or "none"
    "violation",  # property:rule that the message breaks, one row each; null when it breaks none
)
# Two attributes together, where a cause is seldom one alone (iOS *and* 3.2.0).
PAIRS = (("source", "event"), ("source", "app_version"), ("event", "app_version"), ("event", "violation"))
CONTRAST_COLUMNS = ("question", "dimension", "value", "dimension_2", "value_2", "messages", "missing")
SHARED_COLUMNS = ("source", "old", "new", "old_users", "new_users", "both_users")


@dataclass(frozen=True)
class Contrast:
    """How do the missing messages of these cells differ from the others?

    `days` are the destination's. `events` are Segment's names; empty means all that the destination expects.
    """

    question: str
    destination: str
    events: tuple[str, ...]
    days: tuple[date, ...]


@dataclass(frozen=True)
class NamePair:
    """Does one user send both names, or either? Counted over these days of the workspace, both included."""

    source: str
    old: str
    new: str
    first: date
    last: date


class Witness(Protocol):
    """Who can look at the rows: the warehouse in a run, the generator on the fault bench."""

    def contrast(self, questions: Sequence[Contrast]) -> pd.DataFrame:
        """Messages (missing ones included) and missing by attribute, one row a value: CONTRAST_COLUMNS.

        A single has `dimension_2` and `value_2` null. A value that is absent is null; rare values may be
        summed up as "other". Each dimension's singles add up to the messages of the question's cells, except
        `violation`, of which a message can have several.
        """
        ...

    def shared_users(self, pairs: Sequence[NamePair]) -> pd.DataFrame:
        """Users (user id, else anonymous id) who sent the old, the new, and both names: SHARED_COLUMNS."""
        ...


class NoWitness:
    """Nobody can look at the rows: every question stays open."""

    def contrast(self, questions: Sequence[Contrast]) -> pd.DataFrame:
        return pd.DataFrame(columns=list(CONTRAST_COLUMNS))

    def shared_users(self, pairs: Sequence[NamePair]) -> pd.DataFrame:
        return pd.DataFrame(columns=list(SHARED_COLUMNS))
