"""What speaks for names of one source being one event: volume, time, properties and users, as log odds."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import combinations
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dagster_project.core.diagnosis.evidence import (
    Counts,
    Evidence,
    Flags,
    SourceHistory,
    as_date,
    positions,
)
from dagster_project.core.diagnosis.name_levels import Levels, Versions, levels_before, versions_of
from dagster_project.core.diagnosis.pairing import (
    COUNTS_AS_KIND,
    ENOUGH,
    ENOUGH_KINDS,
    REAL_FALL,
    SHIFTS,
    WRONG_TIME,
    Numbers,
    log_tail_below,
    same_days,
    weight_of_conservation,
    weight_of_fall,
)
from dagster_project.core.diagnosis.spelling import likeness
from dagster_project.core.diagnosis.witness import NamePair

LEAST_MESSAGES = 10  # under the new name, before a pair is looked at
# A roll-out shows in its first two weeks, or in the last of its first four.
EARLY_DAYS, LATE_DAYS, LATE_BY = 14, 7, 28
LEAST_FALL = 0.08  # of what the old name sends: a smaller fall is nobody's rename, however sure
# Of what the new name gained, each old one lost so much at least; of what the old one lost, each new one
# gained so much.
LEAST_PART_OF_GAIN, LEAST_PART_OF_FALL = 0.05, 0.05
MOST_PARTNERS = 6  # names that are tried together for a split or a merge
PART_FALL = 5.0  # the weight of each fall in a merge: of many names, some one always has a weak week
LARGEST_GROUP = 3  # names on the side of a split or a merge that has several

# Weights, as log odds. What is more usual before anything is looked at:
PLANNED = -2.2  # a planned name that is new is a launch nine times of ten
NEAR_DEPTH = 0.7  # of a fall: another name that fell by so much fell as deep
GONE = 0.9
RARE = -1.0  # for each name beyond two: splits and merges are rarer than renames
SAME_SLUG = 5.0  # two events of one source that are spelled so alike: one pair in hundreds
# Property sets, weighted by how rare each property is: from quite different over neutral to the same.
PROPERTIES_DIFFER, PROPERTIES_NEUTRAL, PROPERTIES_AGREE = -6.0, 0.3, 3.0
RICH = 3  # properties on both sides before their difference counts
# Users: far fewer with both names than independent senders would have, or no fewer.
USERS_APART, USERS_SHARED = 3.0, -5.0
USERS_EXPECTED = 8.0  # with both names, before their absence says anything
FEW_TOGETHER, MANY_TOGETHER = 0.3, 0.7  # of what is expected
UNDECIDED = (-3.0, 8.0)  # pairs between these are asked about: the others are clear without
MOST_QUESTIONS = 40
LIKENESS = 0.5  # only orders pairs that other evidence supports equally

VERSION_CV = 0.25  # who has the newest version differs by so much from who has the one before
VERSION_MESSAGES = 3
VERSION_SHARE = 0.05  # of the new name's messages, for a version to be one of those that send it
CONTROL_MESSAGES = 30  # under the old name in other versions, to know how much is usual


@dataclass(frozen=True)
class Life:
    """When a name carries volume: first and last day, as indices into the history."""

    onset: int
    end: int


@dataclass(eq=False)
class NamesOfSource:
    """One source: its names, and what each would have sent."""

    evidence: Evidence
    history: SourceHistory
    news: dict[int, Life]
    _levels: dict[int, Levels] = field(default_factory=dict)
    depths: dict[tuple[int, int, int], Numbers] = field(default_factory=dict)  # by onset and window

    @cached_property
    def starts(self) -> Counts:
        """The first day of each name's life."""
        seen = self.history.counts > 0
        starts = np.where(seen.any(axis=1), seen.argmax(axis=1), len(self.history.days)).astype(np.int64)
        for new, life in self.news.items():
            starts[new] = life.onset
        return starts

    def levels(self, before: int) -> Levels:
        if before not in self._levels:
            last = min(len(self.history.days) - 1, before + LATE_BY + SHIFTS)
            self._levels[before] = levels_before(self.history, before, last, self.starts)
        return self._levels[before]

    @cached_property
    def versions(self) -> Versions | None:
        rows = _by_source(self.evidence, "versions").get(self.history.source)
        totals = self.history.counts.sum(axis=1)
        order = np.argsort(-totals, kind="stable")
        new = np.isin(order, list(self.news))
        return versions_of(self.evidence, self.history, rows, np.concatenate([order[new], order[~new]]))

    @cached_property
    def profiles(self) -> Mapping[int, Mapping[str, float]]:
        """The properties of each name, with the share of its messages that have them; by raw name if known."""
        rows = _by_source(self.evidence, "fill").get(self.history.source)
        found: dict[int, dict[str, float]] = {}
        if rows is not None:
            table = self.evidence.fill.iloc[rows].dropna(subset=["property"])
            sums = table.groupby(["event_text", "property"], sort=False)[["filled", "messages"]].sum()
            for (event, name), filled, messages in zip(
                sums.index, sums["filled"], sums["messages"], strict=True
            ):
                if event in self.history.row and filled > 0:
                    share = min(1.0, float(filled) / max(1.0, float(messages)))
                    found.setdefault(self.history.row[event], {})[str(name)] = share
        return found

    @cached_property
    def columns(self) -> Mapping[str, frozenset[str]]:
        """The columns of each event table."""
        rows = _by_source(self.evidence, "properties").get(self.history.source)
        if rows is None:
            return {}
        table = self.evidence.properties.iloc[rows].dropna(subset=["event_slug", "property"])
        return {
            str(slug): frozenset(own) for slug, own in table.groupby("event_slug", sort=False)["property"]
        }

    def properties(self, name: int) -> Mapping[str, float]:
        if name in self.profiles:
            return self.profiles[name]
        return dict.fromkeys(self.columns.get(self.history.slugs[name], ()), 1.0)

    @cached_property
    def rarity(self) -> Mapping[str, float]:
        """How little a property is shared among the events of the source."""
        sets = [frozenset(own) for own in self.profiles.values()] + [
            own
            for slug, own in self.columns.items()
            if slug not in {self.history.slugs[name] for name in self.profiles}
        ]
        having: dict[str, int] = {}
        for own in sets:
            for name in own:
                having[name] = having.get(name, 0) + 1
        return {name: float(np.log((1 + len(sets)) / count)) for name, count in having.items()}

    def kept(self, mine: Mapping[str, float], theirs: Mapping[str, float]) -> float | None:
        """Which part of a property set is found again in another one."""
        either = sum(self.rarity.get(name, 1.0) * rate for name, rate in mine.items())
        shared = sum(
            self.rarity.get(name, 1.0) * min(rate, theirs.get(name, 0.0)) for name, rate in mine.items()
        )
        return shared / either if either > 0 and theirs else None

    def alike(self, mine: Mapping[str, float], theirs: Mapping[str, float]) -> tuple[float | None, bool]:
        """How alike two property sets are (0 to 1), and whether they are rich enough to speak against it."""
        if not mine or not theirs:
            return None, False
        shared = either = 0.0
        for name in {*mine, *theirs}:
            weight = self.rarity.get(name, 1.0)
            shared += weight * min(mine.get(name, 0.0), theirs.get(name, 0.0))
            either += weight * max(mine.get(name, 0.0), theirs.get(name, 0.0))
        if either <= 0:
            return None, False
        return shared / either, min(len(mine), len(theirs)) >= RICH


def _by_source(evidence: Evidence, table: str) -> Mapping[str, NDArray[np.int64]]:
    cache = evidence.__dict__.setdefault("_rows_by_source", {})
    if table not in cache:
        cache[table] = positions(getattr(evidence, table), "source")
    found: Mapping[str, NDArray[np.int64]] = cache[table]
    return found


# --- what speaks for a pair -----------------------------------------------------------------------------


@dataclass(frozen=True)
class View:
    """Where volume is compared: some days, in all versions of the app or in those that send the new name."""

    days: int
    expected: tuple[float, ...]  # of each old name
    seen: tuple[float, ...]
    variance: tuple[float, ...]
    gained: tuple[float, ...]  # of each new name
    others: tuple[float, ...]  # the share of all other names that fell as deep, for each old name
    versions: tuple[str, ...] = ()  # that send the new name, where only these are compared

    @property
    def fell(self) -> tuple[float, ...]:
        return tuple(was - now for was, now in zip(self.expected, self.seen, strict=True))

    def falls(self, *, same_time: bool) -> list[float]:
        tails = log_tail_below(np.array(self.seen), np.array(self.expected), np.array(self.variance))
        weights = weight_of_fall(tails, same_time=same_time, others=np.array(self.others))
        return [float(each) for each in weights]

    def is_real(self, least: float) -> bool:
        """Whether chance does not explain the falls, whatever the other names did."""
        tails = log_tail_below(np.array(self.seen), np.array(self.expected), np.array(self.variance))
        return bool((weight_of_fall(tails, same_time=True) >= least).all())

    @property
    def conserved(self) -> float:
        return weight_of_conservation(sum(self.fell), sum(self.gained), sum(self.variance))


@dataclass(frozen=True, eq=False)
class Hypothesis:
    """These old names became these new ones, with what speaks for it and against it, as log odds."""

    olds: tuple[int, ...]
    news: tuple[int, ...]
    life: Life  # of the new names together
    view: View
    timing: bool | None
    fell_on: int | None  # the day from which the old name had lost half of what it lost
    weights: Mapping[str, float]
    kinds: Mapping[str, Any]
    alike: float
    real: bool  # the old name has fallen indeed, or its users show as much

    @property
    def score(self) -> float:
        return sum(self.weights.values())

    @property
    def holds(self) -> bool:
        return self.score >= ENOUGH and len(self.kinds) >= ENOUGH_KINDS and self.real


def hypotheses(source: NamesOfSource) -> list[Hypothesis]:
    """All pairs of one source that are worth weighing, and the splits and merges made of them."""
    found: list[Hypothesis] = []
    for new, life in sorted(source.news.items()):
        found += [
            each
            for old in _fallen(source, new, life)
            if (each := _hypothesis(source, (old,), (new,))) is not None
        ]
    by_new: dict[int, list[Hypothesis]] = {}
    by_old: dict[int, list[Hypothesis]] = {}
    for each in found:
        # A pair whose time speaks against it does not get better in company.
        if each.weights["timing"] >= 0.0:
            by_new.setdefault(each.news[0], []).append(each)
            by_old.setdefault(each.olds[0], []).append(each)
    groups: list[Hypothesis | None] = []
    for new, pairs in by_new.items():
        best = sorted(pairs, key=lambda pair: (-_aside_from_volume(pair), pair.olds))[:MOST_PARTNERS]
        for size in range(2, LARGEST_GROUP + 1):
            for some in combinations(best, size):
                groups.append(_hypothesis(source, tuple(sorted(p.olds[0] for p in some)), (new,)))
    for old, pairs in by_old.items():
        best = sorted(pairs, key=lambda pair: (-_aside_from_volume(pair), pair.news))[:MOST_PARTNERS]
        for size in range(2, LARGEST_GROUP + 1):
            for some in combinations(best, size):
                groups.append(_hypothesis(source, (old,), tuple(sorted(p.news[0] for p in some))))
    return found + [each for each in groups if each is not None]


def _aside_from_volume(pair: Hypothesis) -> float:
    """What is left for a part of a split or a merge, whose volume and properties are only parts, too."""
    return pair.score - pair.weights["conservation"] - min(0.0, pair.weights.get("properties", 0.0))


def _windows(source: NamesOfSource, life: Life) -> Iterator[Counts]:
    early = np.arange(life.onset, min(life.end, life.onset + EARLY_DAYS - 1) + 1)
    yield early
    latest = min(life.end, life.onset + LATE_BY - 1)
    late = np.arange(max(life.onset, latest - LATE_DAYS + 1), latest + 1)
    if late[-1] != early[-1] or len(late) != len(early):
        yield late


def _fallen(source: NamesOfSource, new: int, life: Life) -> list[int]:
    """Names that fell when this one came, in one of the views; and those of its slug."""
    history, levels = source.history, source.levels(life.onset)
    known = history.counts[:, levels.first : life.onset].sum(axis=1) >= LEAST_MESSAGES
    able = levels.habit & known & (source.starts < life.onset)
    able[new] = False
    fallen = np.zeros(len(history.events), dtype=bool)
    for days in _windows(source, life):
        expected, variance = levels.sums(days)
        seen = history.counts[:, days].sum(axis=1).astype(np.float64)
        gained = float(history.counts[new, days].sum())
        fallen |= _plausible(expected, seen, variance, gained)
        versions = _version_view(source, days, (new,))
        if versions is not None:
            _, expected, seen, variance, gains = versions
            fallen |= _plausible(expected, seen, variance, float(gains.sum()))
    alike = np.array([bool(slug) and slug == history.slugs[new] for slug in history.slugs], dtype=bool)
    return [int(old) for old in np.flatnonzero(able & (fallen | alike))]


def _plausible(expected: Numbers, seen: Numbers, variance: Numbers, gained: float) -> Flags:
    fell = expected - seen
    weight = weight_of_fall(log_tail_below(seen, expected, variance), same_time=True)
    enough = (fell >= LEAST_FALL * expected) & (fell >= LEAST_PART_OF_GAIN * gained)
    return np.asarray((weight >= REAL_FALL) & enough & (gained >= LEAST_PART_OF_FALL * fell), dtype=bool)


def _version_view(
    source: NamesOfSource, days: Counts, news: tuple[int, ...]
) -> tuple[tuple[str, ...], Numbers, Numbers, Numbers, Numbers] | None:
    """In the versions that send the new names: what each old name sends there, and would by the other ones.

    The other versions of the same days are the measure, so campaigns, weekdays and holidays do not matter.
    """
    versions = source.versions
    if versions is None or any(new not in versions.row for new in news):
        return None
    counts = versions.counts[:, :, days].sum(axis=2)
    gained = counts[[versions.row[new] for new in news]]
    mine = gained.sum(axis=0)
    sending = (mine >= VERSION_MESSAGES) & (mine >= VERSION_SHARE * mine.sum())
    if not sending.any() or sending.all():
        return None
    traffic = versions.total[:, days].sum(axis=1)
    elsewhere = counts[:, ~sending].sum(axis=1).astype(np.float64)
    seen = counts[:, sending].sum(axis=1).astype(np.float64)
    # What an old name has to do with is all else that its version sends.
    others_here = np.maximum(traffic[sending].sum() - seen, 0)
    others_there = np.maximum(traffic[~sending].sum() - elsewhere, 1)
    expected = np.where(elsewhere >= CONTROL_MESSAGES, elsewhere / others_there * others_here, 0.0)
    variance = expected + expected**2 * (VERSION_CV**2 + 1 / np.maximum(elsewhere, 1))

    def whole(values: Numbers) -> Numbers:
        every = np.zeros(len(source.history.events))
        every[versions.rows] = values
        return every

    labels = tuple(
        versions.labels[at] or "no version"
        for at in sorted(np.flatnonzero(sending).tolist(), key=lambda at: -int(mine[at]))
    )
    return labels, whole(expected), whole(seen), whole(variance), gained[:, sending].sum(axis=1).astype(float)


def _views(source: NamesOfSource, olds: tuple[int, ...], news: tuple[int, ...], life: Life) -> Iterator[View]:
    history, levels = source.history, source.levels(life.onset)
    at = list(olds)
    # All of the new names must be there: what a split lost before its last part came is in no gain.
    latest = Life(max(source.news[new].onset for new in news), life.end)
    for days in _windows(source, latest):
        days = days[days <= len(levels.mean[0]) + levels.first - 1]
        if not len(days):
            continue
        expected, variance = levels.sums(days)
        every = history.counts[:, days].sum(axis=1).astype(np.float64)
        key = (life.onset, int(days[0]), int(days[-1]))
        if key not in source.depths:
            source.depths[key] = _depths(expected, every, variance, levels.habit)
        yield View(
            days=len(days),
            expected=tuple(expected[at].tolist()),
            seen=tuple(every[at].tolist()),
            others=_others(source.depths[key], at, levels.habit),
            variance=tuple(variance[at].tolist()),
            gained=tuple(history.counts[list(news)][:, days].sum(axis=1).astype(float).tolist()),
        )
        found = _version_view(source, days, news)
        if found is not None and (found[1][at] > 0).all():
            labels, expected, seen, variance, gains = found
            yield View(
                days=len(days),
                expected=tuple(expected[at].tolist()),
                seen=tuple(seen[at].tolist()),
                others=_others(_depths(expected, seen, variance, levels.habit), at, levels.habit),
                variance=tuple(variance[at].tolist()),
                gained=tuple(gains.tolist()),
                versions=labels,
            )


def _depths(expected: Numbers, seen: Numbers, variance: Numbers, habit: Flags) -> Numbers:
    """By which share each name fell; 0 where chance explains it."""
    weight = weight_of_fall(log_tail_below(seen, expected, variance), same_time=True)
    share = (expected - seen) / np.maximum(expected, 1e-9)
    return np.asarray(np.where(habit & (weight >= REAL_FALL), share, 0.0), dtype=np.float64)


def _others(depths: Numbers, olds: list[int], habit: Flags) -> tuple[float, ...]:
    """How usual such a fall is in the source just then: in a strange week many names fall a little at once.

    Names that are gone do not count: a release can rename several, and nothing else silences some names only.
    """
    least = NEAR_DEPTH * np.maximum(depths[olds], LEAST_FALL)
    partly = np.where(depths < GONE, depths, 0.0)
    as_deep = (partly[None, :] >= least[:, None]).sum(axis=1) - (partly[olds] >= least)
    return tuple((as_deep / max(1, int(habit.sum()) - 1)).tolist())


def _hypothesis(source: NamesOfSource, olds: tuple[int, ...], news: tuple[int, ...]) -> Hypothesis | None:
    """What speaks for these old names having become these new ones; None when volume rules it out."""
    history = source.history
    lives = [source.news[new] for new in news]
    life = Life(min(each.onset for each in lives), max(each.end for each in lives))
    levels = source.levels(life.onset)
    if not all(levels.habit[old] for old in olds):
        return None
    timing, fell_on = _timing(source, olds, news, life)
    best: tuple[float, View, list[float]] | None = None
    for view in _views(source, olds, news, life):
        if not _parts_matter(view):
            continue
        same_time = timing is not False and (timing is True or bool(view.versions))
        falls = view.falls(same_time=same_time)
        total = sum(falls) + view.conserved
        if best is None or total > best[0]:
            best = (total, view, falls)
    if best is None:
        return None
    _, view, falls = best
    at_once = timing is True or (timing is None and bool(view.versions))
    least = REAL_FALL if len(olds) == 1 else PART_FALL
    real = view.is_real(least) and sum(view.fell) >= LEAST_FALL * sum(view.expected)
    usual = float(np.log1p(levels.habit.sum()))
    weights = {
        "names to choose from": -usual * (len(olds) + len(news) - 1) + RARE * (len(olds) + len(news) - 2),
        "planned": sum(PLANNED for new in news if history.planned[new]),
        # In a split each new name must have come when the old one fell, of which its fall tells only once.
        "fall": sum(falls) + (2.3 * (len(news) - 1) if at_once else 0.0),
        "conservation": view.conserved,
        "timing": WRONG_TIME if timing is False else 0.0,
    }
    kinds: dict[str, Any] = {}
    if real and at_once:
        kinds["timing"] = _timing_words(source, view, life, fell_on)
    if real and view.conserved >= COUNTS_AS_KIND:
        kinds["conservation"] = {
            "usual_per_day": round(sum(view.expected) / view.days, 1),
            "old_now_per_day": round(sum(view.seen) / view.days, 1),
            "new_now_per_day": round(sum(view.gained) / view.days, 1),
        }
    _weigh_names(source, olds, news, view, weights, kinds)
    likely = [likeness(history.events[old], history.events[new]) for old in olds for new in news]
    return Hypothesis(
        olds=olds,
        news=news,
        life=life,
        view=view,
        timing=timing,
        fell_on=fell_on,
        weights=weights,
        kinds=kinds,
        alike=float(np.mean(likely)),
        real=real,
    )


def _parts_matter(view: View) -> bool:
    """Every name of a split or a merge must carry a part of it."""
    if len(view.fell) == len(view.gained) == 1:
        return True
    least = LEAST_PART_OF_GAIN * sum(view.gained)
    return min(view.fell) >= max(least, 1e-9) and min(view.gained) >= LEAST_PART_OF_FALL * sum(view.fell)


def _weigh_names(
    source: NamesOfSource,
    olds: tuple[int, ...],
    news: tuple[int, ...],
    view: View,
    weights: dict[str, float],
    kinds: dict[str, Any],
) -> None:
    """Same table and same properties. They are one kind of evidence where only the table's columns are known."""
    slugs = source.history.slugs
    same = [bool(slugs[old]) and slugs[old] == slugs[new] for old in olds for new in news]
    if any(same):
        weights["slug"] = SAME_SLUG * sum(same)
        kinds["same_slug"] = slugs[olds[0]]
    if all(same) and not all(name in source.profiles for name in (*olds, *news)):
        return
    # Names that became one have the properties of all of them together.
    mine = _together([source.properties(old) for old in olds], view.expected)
    judged = [source.alike(mine, source.properties(new)) for new in news]
    weight = sum(_weight_of_properties(*each) for each in judged)
    overlap = min((0.0 if each is None else each for each, _ in judged), default=0.0)
    if len(olds) > 1:
        # And each of them brings its own, of which none may be lost.
        kept = [source.kept(source.properties(old), source.properties(news[0])) for old in olds]
        weight += (len(olds) - 1) * min(_weight_of_properties(each, False) for each in kept)
    if any(same):
        # What two spellings of one name share was to be expected.
        weight = min(weight, COUNTS_AS_KIND)
    elif weight >= COUNTS_AS_KIND:
        kinds["same_properties"] = round(overlap, 2)
    weights["properties"] = weight


def _together(profiles: Sequence[Mapping[str, float]], volumes: Sequence[float]) -> Mapping[str, float]:
    """The properties of several names as if they were one, by their volumes."""
    if len(profiles) == 1:
        return profiles[0]
    mixed: dict[str, float] = {}
    for profile, volume in zip(profiles, volumes, strict=True):
        for name, share in profile.items():
            mixed[name] = mixed.get(name, 0.0) + share * volume / max(1e-9, sum(volumes))
    return mixed


def _weight_of_properties(overlap: float | None, rich: bool) -> float:
    if overlap is None:
        return 0.0
    if overlap >= PROPERTIES_NEUTRAL:
        return PROPERTIES_AGREE * (overlap - PROPERTIES_NEUTRAL) / (1 - PROPERTIES_NEUTRAL)
    return PROPERTIES_DIFFER * (1 - overlap / PROPERTIES_NEUTRAL) if rich else 0.0


# --- when -----------------------------------------------------------------------------------------------


def _timing(
    source: NamesOfSource, olds: tuple[int, ...], news: tuple[int, ...], life: Life
) -> tuple[bool | None, int | None]:
    """Whether the old names lost what the new ones gained on the same days, and the day of half the loss."""
    history, levels = source.history, source.levels(life.onset)
    last = min(life.end + SHIFTS, levels.first + levels.mean.shape[1] - 1)
    days = np.arange(max(levels.first, life.onset - SHIFTS), last + 1)
    lost = np.zeros(len(days))
    variance = np.zeros(len(days))
    for old in olds:
        lost += levels.mean[old, days - levels.first] - history.counts[old, days]
        variance += levels.day_variance(old, days)
    gains = history.counts[list(news)].sum(axis=0).astype(np.float64)
    fell_on = _half_time(lost, days >= life.onset - 1)
    on = None if fell_on is None else int(days[fell_on])
    return same_days(lost, variance, gains, days), on


def _half_time(level: Numbers, allowed: Flags) -> int | None:
    """The first day from which a level stays above half of where it settles."""
    final = float(np.median(np.sort(level[allowed])[-3:])) if allowed.any() else 0.0
    if final <= 0:
        return None
    above = (level >= final / 2) & allowed
    for at in np.flatnonzero(above):
        # One noisy day is not the start: it or its successor must hold too, unless history ends there.
        if at + 1 >= len(level) or above[at + 1] or level[at + 1] >= final / 4:
            return int(at)
    return None


def _timing_words(source: NamesOfSource, view: View, life: Life, fell_on: int | None) -> dict[str, Any]:
    days = source.history.days
    words: dict[str, Any] = {
        "new_name_from": as_date(days[life.onset]).isoformat(),
        "old_name_fell": as_date(days[life.onset if fell_on is None else fell_on]).isoformat(),
    }
    if view.versions:
        words["app_versions"] = list(view.versions[:10])
    return words


# --- who sends them -------------------------------------------------------------------------------------


def ask_users(
    evidence: Evidence, sources: Sequence[NamesOfSource], considered: dict[str, list[Hypothesis]]
) -> None:
    """Ask the rows, once, whether the same users send both names of the pairs that are not clear yet."""
    asked: dict[tuple[str, int, int], tuple[NamePair, NamePair | None]] = {}
    for source in sources:
        open_pairs = [
            each
            for each in considered[source.history.source]
            if len(each.olds) == len(each.news) == 1 and UNDECIDED[0] <= each.score < UNDECIDED[1]
        ]
        for each in sorted(open_pairs, key=lambda each: -each.score):
            question = _question(source, each)
            if question is not None and len(asked) < MOST_QUESTIONS:
                asked[source.history.source, each.olds[0], each.news[0]] = question
    pairs = list(dict.fromkeys(pair for both in asked.values() for pair in both if pair is not None))
    if not pairs:
        return
    answers = evidence.witness.shared_users(pairs)
    users = {
        (str(row["source"]), str(row["old"]), str(row["new"])): (
            int(row["old_users"]),
            int(row["new_users"]),
            int(row["both_users"]),
        )
        for row in answers.to_dict("records")
    }  # fmt: skip
    for source in sources:
        name = source.history.source
        considered[name] = [
            _with_users(each, asked.get((name, each.olds[0], each.news[0])), users)
            if len(each.olds) == len(each.news) == 1
            else each
            for each in considered[name]
        ]


def _question(source: NamesOfSource, pair: Hypothesis) -> tuple[NamePair, NamePair | None] | None:
    """The day on which both names are most alive: over longer times one user updates and has sent both."""
    history, (old,), (new,) = source.history, pair.olds, pair.news
    days = np.arange(pair.life.onset, pair.life.end + 1)
    both = np.minimum(history.counts[old, days], history.counts[new, days])
    at = int(both.argmax())
    if both[at] < LEAST_MESSAGES:
        return None
    day = as_date(history.days[days[at]])
    # How many users two names share by chance depends on how many there are: the busiest other name tells.
    rest = history.counts[:, days[at]].copy()
    rest[[old, new]] = 0
    control = int(rest.argmax())
    mine = NamePair(history.source, history.events[old], history.events[new], day, day)
    if rest[control] < LEAST_MESSAGES:
        return mine, None
    return mine, NamePair(history.source, history.events[old], history.events[control], day, day)


def _with_users(
    pair: Hypothesis,
    question: tuple[NamePair, NamePair | None] | None,
    answers: Mapping[tuple[str, str, str], tuple[int, int, int]],
) -> Hypothesis:
    if question is None:
        return pair
    asked, control = question
    answer = answers.get((asked.source, asked.old, asked.new))
    if answer is None:
        return pair
    old, new, both = answer
    measure = answers.get((control.source, control.old, control.new)) if control is not None else None
    if measure is None or measure[2] <= 0:
        # Without a measure only this is sure: who sends nearly always both names is no reader of a new one.
        if min(old, new) >= USERS_EXPECTED and both >= MANY_TOGETHER * min(old, new):
            return replace(pair, weights={**pair.weights, "users": USERS_SHARED})
        return pair
    # As many of the new name's users as of the other name's would send the old one, were they independent.
    expected = new * measure[2] / max(1, measure[1])
    expected = min(expected, float(min(old, new)))
    if expected < USERS_EXPECTED:
        return pair
    ratio = both / expected
    if ratio >= MANY_TOGETHER:
        return replace(pair, weights={**pair.weights, "users": USERS_SHARED})
    if ratio > FEW_TOGETHER:
        return pair
    kinds = {
        **pair.kinds,
        "users": {"day": asked.first.isoformat(), "both": both, "expected_both": round(expected)},
    }
    return replace(
        pair,
        weights={**pair.weights, "users": USERS_APART},
        kinds=kinds,
        # One spelling of a name, and never a user of both: that needs no fall to be seen.
        real=pair.real or "same_slug" in kinds,
    )
