"""How much loss, repetition or surplus is usual for an event at a destination, and which days exceed it."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from dagster_project.core.diagnosis.evidence import Counts, Evidence, Flags, days_of

LEAST = 0.01  # no learned tolerance is tighter: one message in a hundred is lost for ordinary reasons
MARGIN = 0.005  # on top of what is usual
MOST = 0.20  # a learned tolerance never excuses more than a fifth
FLOOR_LEARNED, FLOOR_DECLARED = 5, 1  # least rows for a discrepancy
# Shares are taken over stretches of this many messages, because daily shares of a small event are 0 or 3%.
STRETCH = 500
FEWEST = 4  # stretches, even for a small event, so that one bad week is one of several
# The share that only this part of the stretches stays under. Below one half, so that a fault which fills more
# than half of the history is not learned as usual.
QUANTILE = 0.35
# Beyond the tolerance, in standard deviations of a binomial with the tolerance as its rate. With 3, small
# healthy events of a workspace of 3,000 cells a day alarm more than once a week.
SIGMAS = 4.0
POOL_DAYS = 7  # small events are judged over a week


@dataclass(frozen=True, eq=False)
class Limits:
    """Limit and floor for each judged cell, in the order of `evidence.judged`."""

    share: NDArray[np.float64]
    floor: Counts


def tolerances(evidence: Evidence) -> pd.DataFrame:
    """The share of expected messages that may be missing, by destination and event.

    What the contract declares, else learned: the usual share of missing messages plus half a point, at least
    1% and at most 20%. `floor` is the least number of rows that makes a discrepancy.
    """
    return _learn(evidence, "missing")


def limits(evidence: Evidence, column: str) -> Limits:
    """The limits of every judged cell for `missing`, `duplicates` or `unexpected`."""
    learned = _learn(evidence, column)
    keyed = evidence.judged[["destination", "event"]].merge(learned, on=["destination", "event"], how="left")
    return Limits(
        share=keyed["tolerance"].to_numpy(dtype=np.float64, na_value=LEAST),
        floor=keyed["floor"].to_numpy(dtype=np.float64, na_value=FLOOR_LEARNED).astype(np.int64),
    )


def exceeds(count: Counts, base: Counts, limit: NDArray[np.float64], floor: Counts) -> Flags:
    """Whether a count is beyond its limit by size, by share and by more than chance."""
    allowed = base * limit
    chance = SIGMAS * np.sqrt(np.maximum(allowed * (1 - limit), 0))
    return np.asarray((count >= np.maximum(floor, 1)) & (count > allowed) & (count - allowed > chance))


def breaches(evidence: Evidence, column: str, free: Flags) -> Flags:
    """Judged cells beyond their limit, on their own day or together with the days of a week around them.

    `free` leaves out cells that another finding accounts for: they count neither alone nor in a week.
    """
    cells = evidence.judged
    limit = limits(evidence, column)
    count = cells[column].to_numpy()
    base = cells["expected"].to_numpy()
    alone = exceeds(count, base, limit.share, limit.floor) & free
    rest = free & ~alone
    pooled = np.zeros(len(cells), dtype=bool)
    days = days_of(cells).astype(np.int64)
    for rows in _groups(cells):
        rows = rows[rest[rows]]
        # Only where the whole stretch could reach the floor is a week worth adding up.
        if len(rows) < 2 or count[rows].sum() < limit.floor[rows[0]]:
            continue
        counted, based = np.cumsum(count[rows]), np.cumsum(base[rows])
        start = np.searchsorted(days[rows], days[rows] - POOL_DAYS, side="right")
        before_count = np.where(start > 0, counted[start - 1], 0)
        before_base = np.where(start > 0, based[start - 1], 0)
        over = exceeds(counted - before_count, based - before_base, limit.share[rows], limit.floor[rows]) & (
            start < np.arange(len(rows))
        )
        for end in np.flatnonzero(over):
            week = rows[start[end] : end + 1]
            # Of the week only the days that are worse than the limit themselves.
            pooled[week[count[week] > base[week] * limit.share[week]]] = True
    return np.asarray(alone | pooled)


def _groups(cells: pd.DataFrame) -> list[NDArray[np.int64]]:
    """Row numbers by destination and event. `judged` is sorted by both, then by day."""
    if cells.empty:
        return []
    destination, event = cells["destination"].to_numpy(object), cells["event"].to_numpy(object)
    starts = (
        np.flatnonzero((destination[1:] != destination[:-1]) | (event[1:] != event[:-1])) + 1
        if len(cells) > 1
        else np.array([], dtype=np.int64)
    )
    return [np.asarray(rows, dtype=np.int64) for rows in np.split(np.arange(len(cells)), starts)]


def _learn(evidence: Evidence, column: str) -> pd.DataFrame:
    cells = evidence.judged
    count, base = cells[column].to_numpy(), cells["expected"].to_numpy()
    destinations, events = cells["destination"].to_numpy(object), cells["event"].to_numpy(object)
    found: list[tuple[str, str, float, int]] = []
    for rows in _groups(cells):
        declared = evidence.destinations[destinations[rows[0]]].tolerance
        if declared is None:
            share, floor = _usual(count[rows], base[rows]) + MARGIN, FLOOR_LEARNED
            tolerance = min(MOST, max(LEAST, share))
        else:
            tolerance, floor = min(max(float(declared), 0.0), 1.0), FLOOR_DECLARED
        found.append((str(destinations[rows[0]]), str(events[rows[0]]), tolerance, floor))
    destination, event, tolerance_of, floor_of = zip(*found, strict=True) if found else ((), (), (), ())
    return pd.DataFrame(
        {
            "destination": pd.Series(destination, dtype=object),
            "event": pd.Series(event, dtype=object),
            "tolerance": pd.Series(tolerance_of, dtype="float64"),
            "floor": pd.Series(floor_of, dtype="int64"),
        }
    )


def _usual(count: Counts, base: Counts) -> float:
    """The share that is usual, over stretches of days that hold enough messages to say one."""
    total = int(base.sum())
    if total <= 0:
        return 0.0
    stretches = min(len(base), max(total // STRETCH, FEWEST if total >= FEWEST * FLOOR_LEARNED * 10 else 1))
    edges = np.cumsum(base) * stretches / total
    stretch = np.minimum(np.ceil(edges).astype(np.int64) - 1, stretches - 1)
    counted = np.bincount(np.maximum(stretch, 0), weights=count, minlength=stretches)
    based = np.bincount(np.maximum(stretch, 0), weights=base, minlength=stretches)
    shares = np.sort(counted[based > 0] / based[based > 0])
    # With few stretches a quantile would be the best of them, and one good stretch proves little.
    at = math.ceil(QUANTILE * len(shares)) - 1 if len(shares) >= FEWEST else (len(shares) - 1) // 2
    return float(shares[max(at, 0)])
