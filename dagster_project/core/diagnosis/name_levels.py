"""What each name of a source would have sent from some day on, had nothing happened to it on that day."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from dagster_project.core.diagnosis.evidence import Counts, Evidence, Flags, SourceHistory, days_of

Numbers = NDArray[np.float64]

BEFORE_DAYS = 28  # a level is learned from up to four weeks
VOICE, MOST_VOICES = 5.0, 300  # names that tell of the source's traffic: messages a day, and how many of them
WEEKDAYS_FROM = 14  # days before a name can have a weekday shape of its own
SILENT_TRAFFIC = 0.1  # a day with less of the usual traffic is the source's outage, and nobody's level
MOVED_TRAFFIC = 0.8  # most names below this, and the total is not: the names have changed, not the traffic
# No event is steadier than this from day to day, and no level is better known than this.
LEAST_CV, LEAST_LEVEL_SD = 0.05, 0.03
FEW_DAYS_CV = 0.15  # one day tells this little of a level
HABIT_DAYS, HABIT_LEAST = 14, 3

MOST_VERSIONS = 20
VERSION_NAMES = 500
OTHER_VERSIONS = "other versions"


@dataclass(frozen=True, eq=False)
class Levels:
    """Names by days: what is expected, and how far a sum of days may be off."""

    first: int  # the first day, as an index into the history
    before: int  # the day before which the levels were learned
    mean: Numbers  # names x days from `first` on
    cv: Numbers  # of a day
    level_sd: Numbers  # of the level, shared by all days
    habit: Flags  # there on most days before

    def sums(self, days: Counts) -> tuple[Numbers, Numbers]:
        """Expected messages over these days, and the variance of what is seen."""
        mean = self.mean[:, days - self.first]
        total = mean.sum(axis=1)
        spread = total + self.cv**2 * (mean**2).sum(axis=1) + (self.level_sd * total) ** 2
        return total, spread

    def day_variance(self, name: int, days: Counts) -> Numbers:
        mean = self.mean[name, days - self.first]
        return np.asarray(mean + (self.cv[name] * mean) ** 2 + 1.0, dtype=np.float64)


def levels_before(history: SourceHistory, before: int, last: int, starts: Counts) -> Levels:
    """Levels learned from the four weeks before a day, for these weeks and the days up to `last`.

    Each name goes with the traffic of the *other* names of its source, so that a campaign, a holiday or an
    outage of the source is no change of the name. `starts` is the first day of each name's life.
    """
    first = max(0, before - BEFORE_DAYS)
    learned = before - first
    counts = history.counts[:, first : last + 1].astype(np.float64)
    alive = (np.arange(first, before) >= starts[:, None]) & (history.total[first:before] > 0)
    weekday = (history.days[first : last + 1].astype(np.int64) + 3) % 7
    traffic = _traffic(history, counts, alive, starts, first, learned, weekday)
    alive = alive & (traffic[:, :learned] > SILENT_TRAFFIC)
    # Where the others were silent, nothing is known of the name either.
    steady = counts / np.maximum(traffic, SILENT_TRAFFIC)
    shape = _shape(steady[:, :learned], alive, weekday, learned)
    steady = steady / shape
    level = _middle(steady[:, :learned], alive)
    mean = level[:, None] * shape * np.maximum(traffic, 0.0)
    known = alive.sum(axis=1)
    return Levels(
        first=first,
        before=before,
        mean=mean,
        cv=(cv := _cv(steady[:, :learned], level, mean[:, :learned], alive, known)),
        level_sd=np.sqrt(LEAST_LEVEL_SD**2 + cv**2 / np.maximum(known, 1)),
        habit=_habit(counts[:, :learned], alive),
    )


def _habit(counts: Numbers, alive: Flags) -> Flags:
    """A habit is there on most of the latest days of its life, and on no less than three of them."""
    recent, living = counts[:, -HABIT_DAYS:] > 0, alive[:, -HABIT_DAYS:]
    least = np.maximum(min(HABIT_LEAST, counts.shape[1]), living.sum(axis=1) // 2)
    return np.asarray((recent & living).sum(axis=1) >= np.maximum(least, 1), dtype=bool)


def _middle(values: Numbers, valid: Flags) -> Numbers:
    """Mean of the middle half of each row: neither an outage nor a peak moves it."""
    if not values.shape[1]:
        return np.zeros(len(values))
    ordered = np.sort(np.where(valid, values, np.inf), axis=1)
    sums = np.concatenate(
        [np.zeros((len(values), 1)), np.cumsum(np.where(np.isfinite(ordered), ordered, 0.0), axis=1)], axis=1
    )
    count = valid.sum(axis=1)
    cut = count // 4
    rows = np.arange(len(values))
    inside = np.maximum(count - 2 * cut, 1)
    return np.asarray((sums[rows, count - cut] - sums[rows, cut]) / inside, dtype=np.float64)


def _traffic(
    history: SourceHistory,
    counts: Numbers,
    alive: Flags,
    starts: Counts,
    first: int,
    learned: int,
    weekday: NDArray[np.int64],
) -> Numbers:
    """For each name and day: the traffic of the source's other names, as a multiple of their own level."""
    names, days = counts.shape
    level = _middle(counts[:, :learned], alive)
    # A name that is younger than the weeks looked at has no say in them.
    voices = np.flatnonzero((level >= VOICE) & (starts <= first + 2))
    voices = voices[np.argsort(-level[voices], kind="stable")][:MOST_VOICES]
    traffic = np.ones((names, days))
    if not len(voices):
        return traffic
    ratio = counts[voices] / level[voices, None]
    weights = np.sqrt(level[voices])  # a busy name is heard better, and yet is one voice among others
    whole = np.empty(days)
    own = np.ones((len(voices), days))
    for day in range(days):
        order = np.argsort(ratio[:, day], kind="stable")
        summed = np.cumsum(weights[order])
        ranked = ratio[order, day]
        whole[day] = ranked[np.searchsorted(summed, summed[-1] / 2)]
        if len(voices) > 1:
            rank = np.empty(len(voices), dtype=np.int64)
            rank[order] = np.arange(len(voices))
            half = (summed[-1] - weights) / 2
            # The median without the name itself: below its own rank nothing changes, above all is shifted.
            under = np.searchsorted(summed, half)
            over = np.minimum(np.searchsorted(summed, half + weights), len(voices) - 1)
            own[:, day] = ranked[np.where(rank > under, under, over)]
    traffic[:] = whole
    traffic[voices] = own
    total = counts.sum(axis=0)
    usual = _middle(total[None, :learned], (total[:learned] > 0)[None, :])[0]
    if usual > 0:
        calm = np.array(
            [np.median(whole[:learned][weekday[:learned] == d]) if learned >= WEEKDAYS_FROM else 1.0
             for d in weekday]
        )  # fmt: skip
        # When most names of a source are renamed at once, the total still tells its traffic.
        least = np.minimum(total / usual, calm)
        least[:learned] = 0.0
        traffic = np.where(traffic < MOVED_TRAFFIC * least, least, traffic)
    return traffic


def _shape(steady: Numbers, alive: Flags, weekday: NDArray[np.int64], learned: int) -> Numbers:
    """Each name's own weekdays, beyond those of its source; little is believed of small names."""
    shape = np.ones((len(steady), len(weekday)))
    if learned < WEEKDAYS_FROM:
        return shape
    level = _middle(steady, alive)
    known = np.maximum(level, 1e-9)
    doubt = 1.0 + 60.0 / np.maximum(level, 1.0)
    old_enough = (alive.sum(axis=1) >= WEEKDAYS_FROM) & (level > 0)
    for day in range(7):
        same = weekday[:learned] == day
        if not same.any():
            continue
        own = np.where(alive[:, same], steady[:, same], np.nan)
        count = alive[:, same].sum(axis=1)
        middle = np.where(count > 0, np.nanmedian(np.where(count[:, None] > 0, own, 0.0), axis=1), level)
        factor = (middle * count + known * doubt) / (known * (count + doubt))
        shape[:, weekday == day] = np.where(old_enough, np.clip(factor, 0.1, 3.0), 1.0)[:, None]
    return shape


def _cv(steady: Numbers, level: Numbers, mean: Numbers, alive: Flags, known: Counts) -> Numbers:
    """How far a name strays from day to day beyond chance, as a share of its level."""
    if not steady.shape[1]:
        return np.full(len(steady), FEW_DAYS_CV)
    off = np.abs(steady / np.maximum(level, 1e-9)[:, None] - 1)
    ordered = np.sort(np.where(alive, off, np.inf), axis=1)
    count = np.maximum(known, 1)
    rows = np.arange(len(steady))
    middle = np.where(
        known > 0, (ordered[rows, (count - 1) // 2] + np.minimum(ordered[rows, count // 2], 1e6)) / 2, 0.0
    )
    chance = np.where(alive, 1 / np.maximum(mean, 1e-9), 0.0).sum(axis=1) / count
    beyond = np.maximum((1.4826 * middle) ** 2 - chance, LEAST_CV**2)
    return np.asarray(np.sqrt(beyond + FEW_DAYS_CV**2 / count), dtype=np.float64)


# --- app versions ---------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class Versions:
    """Messages of a source by name, app version and day."""

    labels: tuple[str | None, ...]
    row: dict[int, int]  # the row of a name of the history in `counts`
    rows: Counts  # and the other way round
    counts: Counts  # names x versions x days
    total: Counts  # versions x days, all names


def versions_of(
    evidence: Evidence, history: SourceHistory, at: NDArray[np.int64] | None, names: Counts
) -> Versions | None:
    """The versions of a source, or None where there is only one, so that it tells nothing."""
    if at is None or not len(at):
        return None
    table = evidence.versions.iloc[at]
    days = (days_of(table) - history.days[0]).astype(np.int64)
    table = table[(days >= 0) & (days < len(history.days)) & (table["messages"] > 0).to_numpy()]
    days = days[(days >= 0) & (days < len(history.days)) & (evidence.versions["messages"].to_numpy()[at] > 0)]
    codes, labels = pd.factorize(table["app_version"], use_na_sentinel=False)
    messages = table["messages"].to_numpy()
    if len(labels) < 2:
        return None
    volume = np.bincount(codes, weights=messages, minlength=len(labels))
    kept = np.argsort(-volume, kind="stable")[:MOST_VERSIONS]
    place = np.full(len(labels), len(kept), dtype=np.int64)
    place[kept] = np.arange(len(kept))
    rest = len(labels) > len(kept)
    said: list[str | None] = [None if pd.isna(labels[code]) else str(labels[code]) for code in kept]
    said += [OTHER_VERSIONS] if rest else []
    versions = place[codes]
    total = np.zeros((len(said), len(history.days)), dtype=np.int64)
    np.add.at(total, (versions, days), messages)
    names = names[:VERSION_NAMES]
    row = {int(name): number for number, name in enumerate(names)}
    own = table["event_text"].map({history.events[name]: number for name, number in row.items()})
    inside = own.notna().to_numpy()
    counts = np.zeros((len(names), len(said), len(history.days)), dtype=np.int64)
    np.add.at(
        counts,
        (own.to_numpy()[inside].astype(np.int64), versions[inside], days[inside]),
        messages[inside],
    )
    return Versions(tuple(said), row, np.asarray(names, dtype=np.int64), counts, total)
