"""Weighs what speaks for two names being one, and picks the pairs that hold best together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast

import numpy as np
from numpy.typing import NDArray
from scipy.special import betainc, gammaincc

Numbers = NDArray[np.float64]

# All weights are natural logarithms of odds: 2.3 is ten to one, 4.6 a hundred to one.
ENOUGH = 3.0  # twenty to one, after what the number of candidates takes away
ENOUGH_KINDS = 2  # independent kinds of evidence
COUNTS_AS_KIND = 1.0  # a kind that weighs less than this is none

# An event falls for reasons of its own in one window of a hundred, and on just the day on which another name
# begins in one of a thousand. No fall, however deep, says more than that.
FALLS_ALONE, FALLS_ALONE_THAT_DAY = 0.01, 0.001
WRONG_TIME = -6.0
REAL_FALL = 3.0  # the weight from which a fall is one: chance makes such a one in twenty windows at most
# Two volumes that have nothing to do with each other differ by anything between nothing and a factor of
# e**10 = 22,000, as events do.
VOLUME_RANGE = 10.0
CONSERVED_MOST, CONSERVED_LEAST = 4.5, -8.0
SLACK = 0.08  # of the volume that moved: a release changes a little how often an event is sent, too

SHIFTS = 7  # days by which the fall may have come before or after the rise, when timing is looked at
SHIFT_OFF = 2  # from so many days on it is another time,
SHIFT_SURE = 6.0  # when it fits so much better (chi-squared)

MOST_GROUPS = 6  # splits and merges of one knot of names that are tried in every combination


def log_tail_below(seen: Numbers, mean: Numbers, variance: Numbers) -> Numbers:
    """Log of the chance to see so few or fewer: negative binomial, Poisson where nothing is added to it."""
    mean = np.maximum(mean, 1e-9)
    extra = np.maximum(variance - mean, 0.0)
    size = mean**2 / np.maximum(extra, 1e-9)
    wide = extra > 1e-6 * mean
    tail = np.where(
        wide,
        betainc(np.where(wide, size, 1.0), seen + 1.0, np.where(wide, mean / (mean + extra), 0.5)),
        gammaincc(seen + 1.0, mean),
    )
    return np.asarray(np.log(np.maximum(tail, 1e-300)), dtype=np.float64)


def weight_of_fall(log_tail: Numbers, *, same_time: bool, others: Numbers | float = 0.0) -> Numbers:
    """How much the fall of the old name says: chance explains it, or a reason of its own.

    `others` is the share of the other names that fell as well: what befalls them may have befallen this one.
    """
    alone = np.maximum(FALLS_ALONE_THAT_DAY if same_time else FALLS_ALONE, others)
    return np.asarray(-np.log(np.exp(log_tail) + alone), dtype=np.float64)


def weight_of_conservation(
    fell: float, gained: float, variance: float, *, slack: float = SLACK, wide: float = VOLUME_RANGE
) -> float:
    """How much better "what the one lost is what the other gained" foretells the gain than "any volume"."""
    if gained <= 0 or fell <= 0:
        return CONSERVED_LEAST
    spread = variance + gained + (slack * max(fell, gained)) ** 2
    together = -0.5 * np.log(2 * np.pi * spread) - 0.5 * (fell - gained) ** 2 / spread
    apart = -np.log(wide * gained)
    return float(np.clip(together - apart, CONSERVED_LEAST, CONSERVED_MOST))


def same_days(lost: Numbers, variance: Numbers, gains: Numbers, days: NDArray[np.int64]) -> bool | None:
    """Whether what was lost on these days was gained on the same days; None when it cannot be told.

    The daily loss is fitted by the daily gain (of all history), moved by some days to and fro. A gain of other
    days that fits clearly better shows that the two have nothing to do with each other.
    """
    misfit = {}
    nothing = float((lost**2 / variance).sum())
    for shift in range(-SHIFTS, SHIFTS + 1):
        moved = gains[np.clip(days - shift, 0, len(gains) - 1)]
        power = float((moved**2 / variance).sum())
        scale = max(0.0, float((moved * lost / variance).sum()) / power) if power > 0 else 0.0
        misfit[shift] = float((((lost - scale * moved) ** 2) / variance).sum())
    near = min(misfit[shift] for shift in range(-SHIFT_OFF + 1, SHIFT_OFF))
    best = min(misfit.values())
    if near - best > max(SHIFT_SURE, 0.1 * (nothing - best)):
        return False
    return True if nothing - near >= SHIFT_SURE else None


# --- which pairs hold together --------------------------------------------------------------------------


@dataclass(frozen=True)
class Claimed:
    """A hypothesis by what it takes: these old names became these new ones."""

    olds: tuple[int, ...]
    news: tuple[int, ...]
    score: float


def best_together(hypotheses: Sequence[Claimed]) -> list[int]:
    """The positions of the hypotheses with the highest sum of scores; each name once as old, once as new.

    One-to-one pairs are solved by assignment, which is exact for any number of them. Splits and merges are
    few: in each knot of names that compete, every combination of the best of them is tried.
    """
    chosen: list[int] = []
    for knot in _knots(hypotheses):
        groups = [at for at in knot if len(hypotheses[at].olds) + len(hypotheses[at].news) > 2]
        groups = sorted(groups, key=lambda at: (-hypotheses[at].score, at))[:MOST_GROUPS]
        pairs = [at for at in knot if len(hypotheses[at].olds) + len(hypotheses[at].news) == 2]
        best_score, best = -1.0, cast(list[int], [])
        for taken in _compatible(hypotheses, groups):
            free = [at for at in pairs if all(_apart(hypotheses[at], hypotheses[other]) for other in taken)]
            whole = [*taken, *_assignment(hypotheses, free)]
            score = sum(hypotheses[at].score for at in whole)
            if score > best_score + 1e-12:
                best_score, best = score, whole
        chosen += best
    return sorted(chosen)


def _apart(one: Claimed, other: Claimed) -> bool:
    return not (set(one.olds) & set(other.olds)) and not (set(one.news) & set(other.news))


def _compatible(hypotheses: Sequence[Claimed], groups: Sequence[int]) -> list[list[int]]:
    """Every choice of these groups in which no two want one name."""
    choices: list[list[int]] = [[]]
    for at in groups:
        choices += [
            [*taken, at]
            for taken in choices
            if all(_apart(hypotheses[at], hypotheses[other]) for other in taken)
        ]
    return choices


def _knots(hypotheses: Sequence[Claimed]) -> list[list[int]]:
    """Hypotheses that compete for names, directly or through others."""
    parent: dict[tuple[str, int], tuple[str, int]] = {}

    def root(name: tuple[str, int]) -> tuple[str, int]:
        parent.setdefault(name, name)
        while parent[name] != name:
            parent[name] = parent[parent[name]]
            name = parent[name]
        return name

    for each in hypotheses:
        names = [*(("old", at) for at in each.olds), *(("new", at) for at in each.news)]
        for name in names[1:]:
            parent[root(name)] = root(names[0])
    knots: dict[tuple[str, int], list[int]] = {}
    for at, each in enumerate(hypotheses):
        if each.score > 0:
            knots.setdefault(root(("old", each.olds[0])), []).append(at)
    return list(knots.values())


def _assignment(hypotheses: Sequence[Claimed], pairs: Sequence[int]) -> list[int]:
    """The best one-to-one choice among these pairs; a name may stay alone."""
    if len(pairs) < 2:
        return list(pairs)
    olds = sorted({hypotheses[at].olds[0] for at in pairs})
    news = sorted({hypotheses[at].news[0] for at in pairs})
    gain = np.zeros((len(olds), len(news) + len(olds)))  # as many empty places as there are old names
    found: dict[tuple[int, int], int] = {}
    for at in pairs:
        place = (olds.index(hypotheses[at].olds[0]), news.index(hypotheses[at].news[0]))
        if place not in found or hypotheses[found[place]].score < hypotheses[at].score:
            found[place] = at
            gain[place] = hypotheses[at].score
    return [found[place] for place in enumerate(hungarian(-gain)) if place in found]


def hungarian(cost: Numbers) -> list[int]:
    """The column of each row in the cheapest assignment; there are no more rows than columns.

    The shortest augmenting path method with potentials (Kuhn, Munkres; Jonker and Volgenant).
    """
    rows, columns = cost.shape
    u, v = np.zeros(rows + 1), np.zeros(columns + 1)
    row_of = np.zeros(columns + 1, dtype=np.int64)  # 0: free
    for row in range(1, rows + 1):
        row_of[0] = row
        at = 0
        least = np.full(columns + 1, np.inf)
        way = np.zeros(columns + 1, dtype=np.int64)
        used = np.zeros(columns + 1, dtype=bool)
        while True:
            used[at] = True
            here = row_of[at]
            reduced = cost[here - 1] - u[here] - v[1:]
            better = ~used[1:] & (reduced < least[1:])
            least[1:][better] = reduced[better]
            way[1:][better] = at
            open_columns = np.where(used[1:], np.inf, least[1:])
            following = int(open_columns.argmin()) + 1
            step = open_columns[following - 1]
            u[row_of[used]] += step
            v[used] -= step
            least[~used] -= step
            at = following
            if row_of[at] == 0:
                break
        while at:
            before = int(way[at])
            row_of[at] = row_of[before]
            at = before
    answer = [0] * rows
    for column in range(1, columns + 1):
        if row_of[column]:
            answer[int(row_of[column]) - 1] = column - 1
    return answer
