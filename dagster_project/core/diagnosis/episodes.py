"""From when to when a rate was worse than usual: the stretch of days that explains the counts best."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dagster_project.core.diagnosis.grid import Counts, Flags

ENOUGH = 3.0  # log-likelihood that a stretch, or the good days after it, must be worth (odds of 20 to 1)
# So much the good days between two stretches must be worth, and so many they must be: anywhere in a long stretch
# chance may make some (odds of 400 to 1).
BETWEEN, BETWEEN_DAYS = 6.0, 2
ROUNDS = 3


@dataclass(frozen=True, eq=False)
class Episode:
    """Columns `first` to `last`, both included. `rate` is what was lost on those days in all.

    `spells` are its bad stretches, in the same terms: all of it, but for good days that are beyond chance.
    """

    first: int
    last: int
    rate: float
    ended: bool
    spells: tuple[tuple[int, int], ...]

    @property
    def days(self) -> slice:
        return slice(self.first, self.last + 1)

    def mark(self, days: Flags) -> None:
        """Set the days of its spells in a row of flags."""
        for first, last in self.spells:
            days[first : last + 1] = True


def episodes(
    count: Counts, base: Counts, usable: Flags, flagged: Flags, usual: float, rho: float
) -> list[Episode]:
    """The maximal scoring stretches that hold a flagged day.

    Each day scores the log-likelihood ratio of the worse rate against the usual one, divided by its
    over-dispersion; a stretch of the highest sum is the most likely from-to (Ruzzo and Tompa 1999). The worse
    rate is learned from the stretch itself. Such a stretch reaches over good days when both its ends are bad enough;
    where these are beyond chance they are no part of its spells: what came back was over in between.
    """
    found: list[Episode] = []
    left = flagged & usable
    k = np.where(usable, np.minimum(count, np.maximum(base, count)), 0).astype(np.float64)
    n = np.where(usable, np.maximum(base, count), 0).astype(np.float64)
    while left.any():
        days = left
        segment = (int(np.flatnonzero(left)[0]), int(np.flatnonzero(left)[-1]))
        rate = float(k[days].sum() / max(1.0, n[days].sum()))
        scores = np.zeros(len(k))
        for _ in range(ROUNDS):
            scores = _scores(k, n, usual, max(rate, usual * 1.1 + 1e-4), rho)
            best = _best(scores, left)
            if best is None:
                break
            segment = best
            inside = slice(segment[0], segment[1] + 1)
            rate = float(k[inside].sum() / max(1.0, n[inside].sum()))
        inside = slice(segment[0], segment[1] + 1)
        # The good days after it, up to the next bad one, must outweigh the chance that it still goes on.
        after = scores[segment[1] + 1 :]
        ended = bool(len(after)) and float(np.minimum.accumulate(np.cumsum(after)).min()) <= -ENOUGH
        found.append(Episode(*segment, rate, ended, tuple(_spells(scores, *segment))))
        left = left.copy()
        left[inside] = False
    return sorted(found, key=lambda each: each.first)


def _scores(
    k: NDArray[np.float64], n: NDArray[np.float64], usual: float, rate: float, rho: float
) -> NDArray[np.float64]:
    low, high = min(max(usual, 1e-4), 0.98), min(max(rate, 2e-4), 0.999)
    high = max(high, low * 1.01)
    gain, loss = np.log(high / low), np.log((1 - high) / (1 - low))
    spread = 1 + np.maximum(n - 1, 0) * rho
    return np.asarray((k * gain + (n - k) * loss) / spread)


def _spells(scores: NDArray[np.float64], first: int, last: int) -> list[tuple[int, int]]:
    """A stretch as the stretches around the good days within it, when there are enough of these."""
    worst: tuple[float, int, int] | None = None
    begin, total = first + 1, 0.0
    for day in range(first + 1, last):
        if total >= 0:
            begin, total = day, 0.0
        total += float(scores[day])
        if day - begin + 1 >= BETWEEN_DAYS and (worst is None or total < worst[0]):
            worst = (total, begin, day)
    if worst is None or worst[0] > -BETWEEN:
        return [(first, last)]
    return [*_spells(scores, first, worst[1] - 1), *_spells(scores, worst[2] + 1, last)]


def _best(scores: NDArray[np.float64], wanted: Flags) -> tuple[int, int] | None:
    """The stretch of the highest sum among those that hold a wanted day."""
    best: tuple[float, int, int] | None = None
    for day in np.flatnonzero(wanted):
        before = np.cumsum(scores[: day + 1][::-1])
        after = np.cumsum(scores[day:])
        # Of equal sums the shorter stretch: days without a message say nothing.
        first = int(day) - int(np.argmax(before))
        last = int(day) + int(np.argmax(after))
        total = float(before.max() + after.max() - scores[day])
        if best is None or total > best[0]:
            best = (total, first, last)
    return None if best is None else (best[1], best[2])
