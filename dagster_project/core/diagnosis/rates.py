"""How much of an event is usually missing, repeated or in excess at a destination, and what is beyond chance.

A cell is a destination's event on one day: k of n messages are missing (or repeated, or in excess). The usual
rate p of a series of cells is learned from its own days, shrunk to its destination's rate (empirical Bayes, beta
prior by moments), from days that are no outliers themselves. Between days the rate moves by more than chance:
the intra-day correlation rho of a beta-binomial, learned from the differences of neighbouring days, so that a slow
change does not pass for noise. A cell's score is the normal deviate of its upper tail by the Cornish-Fisher
expansion of third order (mean, variance and skewness of the over-dispersed binomial). Against the exact Poisson
tail at 1e-6 its limit is 5.2 for 4 at a mean of 0.1, 9.4 for 9 at 1, 32.1 for 32 at 12: never tighter.

How many false alarms that makes is set, not hoped for: `BUDGET` a week over all cells of the workspace.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import ndtr, ndtri

from dagster_project.core.diagnosis.grid import Counts, Flags, Grid, Shares

# False alarms a week that each of missing, duplicates and unexpected may raise in the whole workspace.
BUDGET = 0.01
WINDOWS = (1, 3, 7, 14)  # days that are judged together; small events need the longer ones
TESTS = len(WINDOWS) + 1  # and the running sum for slow leaks
# Beyond the usual rate by this many points, or by this part of what is lost or of what arrives, whichever is
# less, and by so many rows: smaller changes are no news.
GATE_POINTS, GATE_PART, GATE_ROWS = 0.005, 0.15, 8
LASTING_ROWS = 25  # over several days chance finds more ways to lose a handful
SURPLUS_ROWS = 20  # a handful of strangers in an export is a tester, or a clock
LEAK = 0.05  # the running sum looks for a loss of five points more than usual
DECLARED_SCORE = 3.5  # beyond a tolerance that the contract declares
DISCOVERY = 0.05  # expected share of false ones among what is suspected (Benjamini and Hochberg 1995)

# Learning
LOW = 0.20  # the level that one window in five stays under: a fault may fill four fifths of history
SETTLED_MESSAGES = 300  # messages that make a window's rate worth something
LEARN_WINDOWS = (3, 7, 14)
TEACHING_WINDOWS = (1, 3, 7)
PRIOR_LEAST, PRIOR_MOST = 20.0, 1000.0  # messages that the destination's rate counts for
PRIOR_EVENTS = 3
ORDINARY = 4.0  # a score up to which a day may teach
ROUNDS = 4
MOVES = 0.06  # no rate is steadier than 6% of itself from day to day
LEAST_RATE = 2e-4
LEAST_DAYS = 8.0
LEAST_CELLS = (
    1000.0  # cells a week: a first run looks at many weeks at once, and small workspaces have few cells
)
SETTLED_ROWS = 10  # of the event's own rate, that a window must hold to have a level of its own
MOST_USUAL = 0.90  # who keeps one message in ten on purpose can declare it; more loss than that is told
MOOD_ROWS, MOOD_EVENTS, MOOD_MOST = (
    3.0,
    5,
    2.0,
)  # a day on which everything is a little worse is nobody's fault
PRIOR_RHO = 3e-4  # how far a series' correlation is expected from its destination's, at least


@dataclass(frozen=True, eq=False)
class Rates:
    """What is usual for each series of a grid, in one measure, and what is beyond it."""

    count: Counts  # series x days
    base: Counts
    usable: Flags
    usual: Shares  # series
    steady: Shares  # as it was learned, also where no contract would call it usual
    rho: Shares
    mood: Shares  # series x days, 1 or more
    declared: Flags  # series whose contract names a fixed tolerance; then `usual` is that tolerance
    needed: float  # the score that a cell must reach
    least: int = GATE_ROWS  # rows below which nothing is told

    @cached_property
    def expected_rate(self) -> Shares:
        """Series x days: the usual rate, on a day when the destination loses a little more of everything."""
        return np.asarray(np.minimum(self.usual[:, None] * self.mood, np.maximum(self.usual, 0.99)[:, None]))

    @cached_property
    def limit(self) -> NDArray[np.float64]:
        """The largest count of each cell that is still ordinary (not rounded)."""
        return self._limit_of(self.base, self.expected_rate)

    @cached_property
    def _days(self) -> NDArray[np.float64]:
        """How many days have taught the spread between days."""
        return np.asarray(np.maximum(self.usable.sum(axis=1) - 1.0, LEAST_DAYS))

    def _limit_of(self, base: NDArray[Any], p: Shares, least: int | None = None) -> NDArray[np.float64]:
        n = np.asarray(base, dtype=np.float64)
        declared = self.declared[:, None]
        rho = self.rho[:, None]
        score = np.where(declared, DECLARED_SCORE, _needed(self.needed, n, rho, self._days[:, None]))
        mean, deviation, skew = moments(n, p, rho)
        chance = mean + score * deviation + skew * (score**2 - 1)
        gate = _gate(n, p, least or self.least)
        # What the contract tolerates is tolerated in full, and nothing beyond it but chance.
        return np.asarray(np.where(declared, np.maximum(chance, p * n), np.maximum(chance, gate)))

    @cached_property
    def scores(self) -> NDArray[np.float64]:
        return score(self.count, self.base, self.expected_rate, self.rho[:, None])

    @cached_property
    def beyond(self) -> Flags:
        """Cells beyond their limit: alone, with the days before them, or by the running sum of a slow leak."""
        flagged = self.usable & (self.count > self.limit)
        # What shorter windows have told is left out of longer ones: a bad day does not make its week bad.
        for days in WINDOWS[1:]:
            flagged = flagged | self._pooled(days, self.usable & ~flagged)
        return np.asarray(flagged | self._leaks(self.usable & ~flagged))

    def _pooled(self, days: int, usable: Flags) -> Flags:
        """The days of a window that is beyond its limit, those of them that are worse than usual."""
        count = _rolling(np.where(usable, self.count, 0), days)
        base = _rolling(np.where(usable, self.base, 0), days)
        mean = _rolling(np.where(usable, self.base * self.expected_rate, 0.0), days)
        over = count > self._limit_of(base, mean / np.maximum(base, 1), LASTING_ROWS)
        if not over.any():
            return over
        worse = usable & (self.count > self.usual[:, None] * self.base)
        flagged = np.zeros_like(over)
        for back in range(days):
            width = over.shape[1] - back
            if width > 0:
                flagged[:, :width] |= over[:, back:] & worse[:, :width]
        return flagged

    def _leaks(self, usable: Flags) -> Flags:
        """Bernoulli CUSUM: the log-likelihood of five points more than usual, summed while it stays above 0."""
        usual = np.clip(self.usual, LEAST_RATE, 0.9)
        worse = np.minimum(usual + np.maximum(LEAK, GATE_PART * usual), 0.99)
        gain, loss = np.log(worse / usual), np.log((1 - worse) / (1 - usual))
        needed = np.log(1.0 / ndtr(-self.needed))
        total = np.zeros(len(usual))
        rows = np.zeros(len(usual))
        started = np.zeros(len(usual), dtype=np.int64)
        flagged = np.zeros_like(usable)
        candidates = ~self.declared
        for day in range(usable.shape[1]):
            # On a day when the destination loses more of everything, an event's part of that is not its own.
            told = self.count[:, day] / self.mood[:, day]
            k = np.minimum(np.where(usable[:, day], told, 0.0), self.base[:, day])
            n = np.where(usable[:, day], self.base[:, day], 0)
            spread = 1 + np.maximum(n - 1, 0) * self.rho
            total = total + (k * gain + (n - k) * loss) / spread
            fresh = total <= 0
            total[fresh], rows[fresh], started[fresh] = 0.0, 0, day + 1
            rows = rows + k
            over = np.flatnonzero((total > needed) & (rows >= LASTING_ROWS) & candidates)
            for at in over:
                inside = slice(int(started[at]), day + 1)
                flagged[at, inside] |= self.count[at, inside] > usual[at] * self.base[at, inside]
        return np.asarray(flagged & usable)

    @cached_property
    def suspected(self) -> Flags:
        """Cells that stand out among all cells of the run, if not beyond doubt: false discovery control."""
        scores = np.where(self.usable & (self.count > self._gate), self.scores, -np.inf)
        found = self.usable & discoveries(ndtr(-scores), self.usable, DISCOVERY)
        return np.asarray(found & ~self.declared[:, None])

    @cached_property
    def _gate(self) -> NDArray[np.float64]:
        return _gate(self.base.astype(np.float64), self.usual[:, None], self.least)


def learn(grid: Grid, measure: str, usable: Flags, declared: Shares) -> Rates:
    """The usual rates of one measure (`missing`, `duplicates`, `unexpected`) of all series.

    `usable` says which cells may teach and be judged; `declared` holds the contract's tolerances, or NaN.
    """
    count, base = grid.measure(measure), np.maximum(grid.expected, 1)
    usable = usable & grid.there & ((grid.expected > 0) | (count > 0))
    k = np.where(usable, count, 0).astype(np.float64)
    n = np.where(usable, base, 0).astype(np.float64)
    if measure == "missing":
        k = np.minimum(k, n)
    of = np.zeros(len(grid.destination), dtype=np.int64)
    for at, (_, rows) in enumerate(grid.destinations()):
        of[rows] = at
    usual, rho = _learned(k, n, usable, of, len(grid.by_destination))
    mood = np.ones(usable.shape)
    if measure == "missing":
        for _, rows in grid.destinations():
            mood[rows] = _mood(k[rows], n[rows], usual[rows])
    fixed = np.isfinite(declared)
    weeks_cells = usable.sum() / max(1, usable.shape[1]) * 7
    needed = float(-ndtri(BUDGET / (TESTS * max(LEAST_CELLS, weeks_cells))))
    return Rates(
        count=count,
        base=base,
        usable=usable,
        steady=usual,
        usual=np.where(fixed, np.clip(np.nan_to_num(declared), 0.0, 1.0), np.minimum(usual, MOST_USUAL)),
        rho=np.where(fixed, 0.0, rho),
        mood=np.where(fixed[:, None], 1.0, mood),
        declared=fixed,
        needed=needed,
        least=GATE_ROWS if measure == "missing" else SURPLUS_ROWS,
    )


@dataclass(frozen=True, eq=False)
class Together:
    """The events of a destination as one series, for losses too thin to show on any of them alone."""

    rates: Rates
    rho: Shares  # destinations, in the order of `grid.by_destination`

    def beyond(self, at: int, rows: Counts, left: Flags) -> Flags:
        """Days on which these events together are beyond what is usual; `left` are their cells that count."""
        rates = self.rates
        left = left & rates.usable[rows]
        count = np.where(left, rates.count[rows], 0).sum(axis=0)
        base = np.where(left, rates.base[rows], 0)
        mean = (base * rates.usual[rows][:, None]).sum(axis=0)
        base = base.sum(axis=0)
        flagged = np.zeros(len(count), dtype=bool)
        for days in WINDOWS:
            k, n, m = (_rolling(values[None, :], days)[0] for values in (count, base, mean))
            p = m / np.maximum(n, 1)
            _, deviation, skew = moments(n, p, np.full(len(n), self.rho[at]))
            needed = _needed(rates.needed, n, np.full(len(n), self.rho[at]), float((base > 0).sum() - 1))
            limit = m + needed * deviation + skew * (needed**2 - 1)
            gate = _gate(n, p, rates.least if days == 1 else LASTING_ROWS)
            over = np.flatnonzero((n > 0) & (k > np.maximum(limit, gate)))
            for day in over:
                window = slice(max(0, int(day) - days + 1), int(day) + 1)
                flagged[window] |= count[window] > mean[window]
        return np.asarray(flagged & (base > 0))


def learn_together(grid: Grid, rates: Rates) -> Together:
    """How much the rate of each destination as a whole moves from day to day."""
    k = np.where(rates.usable, rates.count, 0).astype(np.float64)
    n = np.where(rates.usable, rates.base, 0).astype(np.float64)
    # Days that are no outliers of their own series teach; the others would make everything look restless.
    keep = rates.usable & (rates.count <= np.maximum(rates.limit, GATE_ROWS))
    groups = [rows for _, rows in grid.destinations()]
    shape = (len(groups), rates.usable.shape[1])
    counted = np.array([(k * keep)[rows].sum(axis=0) for rows in groups]).reshape(shape)
    based = np.array([(n * keep)[rows].sum(axis=0) for rows in groups]).reshape(shape)
    usual = np.maximum(counted.sum(axis=1) / np.maximum(based.sum(axis=1), 1), LEAST_RATE)
    rho = _between_days(counted, based, based > 0, usual, np.arange(len(groups)), len(groups))
    # Fixed tolerances are the contract's word on single events; together they add up to the same word.
    return Together(rates, rho)


def _learned(
    k: NDArray[np.float64], n: NDArray[np.float64], usable: Flags, of: Counts, groups: int
) -> tuple[Shares, Shares]:
    usual = _low_level(k, n)
    rho = np.zeros(len(usual))
    keep = usable
    for _ in range(ROUNDS):
        keep = usable & ~_outlying(k, n, usual, rho)
        kept_k, kept_n = (k * keep).sum(axis=1), (n * keep).sum(axis=1)
        usual = _shrunk(kept_k, kept_n, of, groups)
        rho = _between_days(k, n, keep, usual, of, groups)
    return usual, rho


def _outlying(k: NDArray[np.float64], n: NDArray[np.float64], usual: Shares, rho: Shares) -> Flags:
    """The days that must not teach: alone, or in the days around them, worse than chance and the gate allow.

    A small lasting loss is an outlier on none of its days; that it lasts gives it away.
    """
    found = np.zeros(k.shape, dtype=bool)
    for days in TEACHING_WINDOWS:
        counted, based = _rolling(k, days), _rolling(n, days)
        over = (counted > _gate(based, usual[:, None], GATE_ROWS)) & (
            score(counted, based, usual[:, None], rho[:, None]) > ORDINARY
        )
        for back in range(days):
            width = k.shape[1] - back
            if width > 0:
                found[:, :width] |= over[:, back:] & (k > usual[:, None] * n)[:, :width]
    return found


def _mood(k: NDArray[np.float64], n: NDArray[np.float64], usual: Shares) -> NDArray[np.float64]:
    """How much more than usual a destination loses of its events on each day, as a weighted median over them.

    A fault of less than half of the events does not move it, and a fault of most of them is at least twice as bad
    or shows on all of them together.
    """
    mean = np.where(n > 0, n * usual[:, None], 0.0)
    # No single event may outweigh the others: it would explain itself away.
    weight = np.where(mean >= MOOD_ROWS, np.minimum(np.sqrt(mean), 5.0), 0.0)
    ratio = np.where(weight > 0, k / np.maximum(mean, 1e-9), 0.0)
    order = np.argsort(ratio, axis=0)
    ordered, weights = np.take_along_axis(ratio, order, 0), np.take_along_axis(weight, order, 0)
    total = weights.sum(axis=0)
    at = (np.cumsum(weights, axis=0) >= total / 2).argmax(axis=0)
    median = np.take_along_axis(ordered, at[None, :], 0)[0]
    enough = (weight > 0).sum(axis=0) >= MOOD_EVENTS
    return np.asarray(np.where(enough, np.clip(median, 1.0, MOOD_MOST), 1.0))


def _low_level(k: NDArray[np.float64], n: NDArray[np.float64]) -> Shares:
    """The rate that a fifth of the windows stay under, over windows that hold enough messages to have one."""
    level = np.zeros(len(k))
    own = (k.sum(axis=1) + 0.5) / np.maximum(n.sum(axis=1), 1)
    settled = np.maximum(SETTLED_MESSAGES, SETTLED_ROWS / own)
    open_rows = np.ones(len(k), dtype=bool)
    for days in LEARN_WINDOWS:
        counted, based = _rolling(k, days), _rolling(n, days)
        with np.errstate(invalid="ignore", divide="ignore"):
            rates = np.where(based > 0, counted / based, np.nan)
        some = (based > 0).any(axis=1)
        enough = np.zeros(len(k))
        if some.any():
            enough[some] = _quantile_of_rows(np.where(based[some] > 0, based[some], np.nan), 0.5)
        take = open_rows & ((np.nan_to_num(enough) >= settled) | (days == LEARN_WINDOWS[-1]))
        take &= some
        if take.any():
            level[take] = _quantile_of_rows(rates[take], LOW)
            open_rows &= ~take
    return np.asarray(level)


def _quantile_of_rows(values: NDArray[np.float64], share: float) -> Shares:
    """The quantile of each row over what is there; each row has something.

    What numpy's nanquantile gives, which goes row by row in Python: 12,000 series took 14 s (2026-11-22).
    """
    ordered = np.sort(values, axis=1)  # what is absent comes last
    last = np.isfinite(values).sum(axis=1) - 1
    at = share * last
    low = np.floor(at).astype(np.int64)
    rows = np.arange(len(values))
    below, above = ordered[rows, low], ordered[rows, np.minimum(low + 1, last)]
    part, step = at - low, above - below
    # Interpolated from the nearer end, as numpy does it, so that not even the last digit differs.
    return np.asarray(np.where(part >= 0.5, above - step * (1 - part), below + step * part))


def _shrunk(k: NDArray[np.float64], n: NDArray[np.float64], of: Counts, groups: int) -> Shares:
    """Each series' rate, drawn to its destination's by as many messages as the events' agreement is worth."""
    group_k, group_n = np.bincount(of, k, groups), np.bincount(of, n, groups)
    mean = (group_k + 0.5 * LEAST_RATE * 1000) / (group_n + 1000)
    own = k / np.maximum(n, 1)
    heavy = n >= SETTLED_MESSAGES
    number = np.bincount(of, heavy, groups)
    # Variance between the events that have enough messages, less what chance adds to it.
    spread = np.bincount(of, heavy * (own - mean[of]) ** 2, groups) / np.maximum(number - 1, 1)
    chance = np.bincount(of, heavy * own * (1 - own) / np.maximum(n, 1), groups) / np.maximum(number, 1)
    between = np.maximum(spread - chance, 1e-12)
    prior = np.clip(mean * (1 - mean) / between - 1, PRIOR_LEAST, PRIOR_MOST)
    prior = np.where(number >= PRIOR_EVENTS, prior, PRIOR_LEAST)
    shrunk = (k + prior[of] * mean[of]) / (n + prior[of])
    return np.asarray(np.maximum(shrunk, LEAST_RATE))


def _between_days(
    k: NDArray[np.float64], n: NDArray[np.float64], keep: Flags, usual: Shares, of: Counts, groups: int
) -> Shares:
    """Intra-day correlation of each series from neighbouring days, drawn to its destination's.

    With rates r1, r2 of n1, n2 messages, E (r1-r2)^2 / (p(1-p)(1/n1+1/n2)) = 1 + rho (2/(1/n1+1/n2) - 1).
    """
    variance = usual * np.maximum(1 - usual, 0.05)
    pairs = keep[:, 1:] & keep[:, :-1] & (n[:, 1:] > 0) & (n[:, :-1] > 0)
    inverse = 1 / np.maximum(n, 1)
    both = inverse[:, 1:] + inverse[:, :-1]
    difference = (k * inverse)[:, 1:] - (k * inverse)[:, :-1]
    ratio = np.where(pairs, difference**2 / (variance[:, None] * both), 0.0)
    # A pair of which one day belongs to a small fault must not teach that everything moves.
    ratio = np.minimum(ratio, _cap(ratio, pairs))
    weight = np.where(pairs, np.maximum(2 / both - 1, 0.0), 0.0)
    excess = np.where(pairs, ratio - 1, 0.0)
    own_excess, own_weight = excess.sum(axis=1), weight.sum(axis=1)
    number = np.maximum(pairs.sum(axis=1), 1)
    # Large cells show it, small ones hardly can: each is worth the inverse of its own variance.
    own = own_excess / np.maximum(own_weight, 1e-9)
    precision = number * (own_weight / number) ** 2 / 2
    group_rho = np.maximum(
        np.bincount(of, precision * own, groups) / np.maximum(np.bincount(of, precision, groups), 1e-9), 0.0
    )
    prior = 1 / np.maximum(group_rho[of], PRIOR_RHO) ** 2
    rho = (precision * own + prior * group_rho[of]) / (precision + prior)
    # The standard deviation of the rate is at least this part of what is lost, or of what arrives if that is less.
    lesser = np.minimum(usual, 1 - usual)
    floor = MOVES**2 * lesser / np.maximum(1 - lesser, 0.05)
    return np.asarray(np.clip(np.maximum(rho, floor), 0.0, 0.2))


def _cap(ratio: NDArray[np.float64], pairs: Flags) -> NDArray[np.float64]:
    """Winsorised at nine times the series' median (a chi-square of one degree: its median is 0.455)."""
    values = np.where(pairs, ratio, np.nan)
    rows = pairs.any(axis=1)
    median = np.full(len(ratio), 0.455)
    if rows.any():
        median[rows] = np.nanmedian(values[rows], axis=1)
    return np.maximum(20.0 * median, 6.0)[:, None]


def _needed(
    score: float, n: NDArray[np.float64], rho: NDArray[np.float64], days: NDArray[np.float64] | float
) -> NDArray[np.float64]:
    """The score to reach, wider where the spread is one that some days have taught (Student's t for normal).

    z + (z^3 + z) / (4 days) is the first term of Cornish and Fisher's expansion of t; it counts for the part of
    the variance that is between days.
    """
    between = 1 - 1 / (1 + np.maximum(n - 1, 0) * rho)
    return np.asarray(score + between * (score**3 + score) / (4 * np.maximum(days, LEAST_DAYS)))


def _gate(n: NDArray[np.float64], p: NDArray[np.float64], least: int) -> NDArray[np.float64]:
    """The count that the size of an effect must exceed, certain or not."""
    p = np.clip(p, 0.0, 1.0)
    return np.asarray(
        np.maximum((p + np.maximum(GATE_POINTS, GATE_PART * np.minimum(p, 1 - p))) * n, least - 1.0)
    )


def moments(
    n: NDArray[np.float64], p: NDArray[np.float64], rho: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Mean, standard deviation and skewness term of the over-dispersed binomial."""
    spread = 1 + np.maximum(n - 1, 0) * rho
    mean = n * p
    deviation = np.sqrt(np.maximum(mean * (1 - p) * spread, 1e-12))
    return mean, deviation, spread * (1 - 2 * p) / 6


def score(
    k: NDArray[np.int64] | NDArray[np.float64],
    n: NDArray[np.int64] | NDArray[np.float64],
    p: NDArray[np.float64],
    rho: NDArray[np.float64],
) -> NDArray[np.float64]:
    """The normal deviate of k of n under a usual rate p: the inverse of mean + z sd + (z^2 - 1) skew."""
    mean, deviation, skew = moments(np.asarray(n, dtype=np.float64), p, rho)
    excess = np.asarray(k, dtype=np.float64) - mean
    root = np.sqrt(np.maximum(deviation**2 + 4 * skew * (excess + skew), 0.0))
    flat = np.abs(skew) < 1e-9
    curved = (-deviation + root) / np.where(flat, 1.0, 2 * skew)
    return np.asarray(np.where(flat, excess / deviation, curved))


def beyond_beside(count: Counts, base: Counts, usual: NDArray[np.float64], rho: NDArray[np.float64]) -> bool:
    """Whether some cells together lost more than usual, on a day beside one that is known to be struck.

    What is known of the neighbour makes three deviations enough.
    """
    n = float(base.sum())
    if n <= 0:
        return False
    p = np.array([float((usual * base).sum()) / n])
    mean, deviation, skew = moments(np.array([n]), p, np.array([float(np.median(rho))]))
    limit = max(float((mean + 3 * deviation + skew * 8)[0]), (float(p[0]) + GATE_POINTS) * n, GATE_ROWS - 1)
    return float(count.sum()) > limit


def discoveries(p_values: NDArray[np.float64], tested: Flags, share: float) -> Flags:
    """Benjamini-Hochberg: the p-values among the tested ones that keep the share of false ones below `share`."""
    values = p_values[tested]
    if not len(values):
        return np.zeros_like(tested)
    ordered = np.sort(values)
    passed = ordered <= share * np.arange(1, len(ordered) + 1) / len(ordered)
    if not passed.any():
        return np.zeros_like(tested)
    return np.asarray(tested & (p_values <= ordered[np.flatnonzero(passed)[-1]]))


def wilson(k: int, n: int) -> tuple[float, float]:
    """95% interval of a share (Wilson 1927), which is what people are shown of a chance."""
    if n <= 0:
        return 0.0, 1.0
    z, share = 1.959964, k / n
    middle = (share + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * np.sqrt(share * (1 - share) / n + z * z / (4 * n * n))
    return float(max(0.0, middle - half)), float(min(1.0, middle + half))


def _rolling(values: NDArray[np.float64] | Counts, days: int) -> NDArray[np.float64]:
    """Sums over the last `days` columns."""
    total = np.cumsum(np.asarray(values, dtype=np.float64), axis=1)
    if total.shape[1] > days:
        total[:, days:] = total[:, days:] - total[:, :-days].copy()
    return np.asarray(total)


def limits_frame(grid: Grid, missing: Rates, duplicates: Rates, unexpected: Rates) -> pd.DataFrame:
    """The largest ordinary counts of every judged cell: what all judges hold a cell to."""

    def allowed(rates: Rates) -> Counts:
        found: Counts = grid.rows(np.floor(rates.limit).astype(np.int64))
        return found

    return pd.DataFrame(
        {
            "destination": grid.destination[grid.series_of_row],
            "day": grid.days[grid.day_of_row].astype("datetime64[us]"),
            "event": grid.event[grid.series_of_row],
            "allowed_missing": allowed(missing),
            "allowed_duplicates": allowed(duplicates),
            "allowed_unexpected": allowed(unexpected),
        }
    )


def usual_frame(grid: Grid, missing: Rates) -> pd.DataFrame:
    """What is usually missing of each event at each destination, as a share of what is expected."""
    # With a declared tolerance what is usual was not learned: the tolerance is no loss.
    return pd.DataFrame(
        {
            "destination": grid.destination,
            "event": grid.event,
            "usual": np.where(missing.declared, 0.0, missing.usual),
        }
    )
