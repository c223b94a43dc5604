"""Finds the new name of an event: one name gains what another loses, at one time, in one source."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from difflib import SequenceMatcher
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dagster_project.core.diagnosis.evidence import (
    Counts,
    Days,
    Evidence,
    SourceHistory,
    as_date,
    days_of,
)
from dagster_project.core.diagnosis.finding import Claim, Claims, Finding, windows_of

LEAST_MESSAGES = 10  # under the new name, before a pair is looked at
MOST_CANDIDATES = 500  # names of one source
CARRIES_MESSAGES, CARRIES_SHARE = 3, 0.05  # a name carries volume from 3 messages, or 5% of its later level
TRIAL_GAP_DAYS = 3  # a few messages followed by this many silent days were a trial, not the release
TRIAL_SHARE = 0.05
OPENING_DAYS = 3  # a planned name seen this early in history is old, not new
BEFORE_DAYS = 28  # the old name's usual level is learned from up to four weeks
AFTER_DAYS = 7  # and compared with up to one week of the new name
# The old name must have fallen at least this much: the less else speaks for the pair, the more.
FELL_SAME_SLUG, FELL_SAME_PROPERTIES, FELL = 0.10, 0.20, 0.50
SIGMAS_SAME_SLUG, SIGMAS, SIGMAS_BARE = 1.5, 3.0, 4.0  # and beyond its own noise
HABIT_DAYS, HABIT_LEAST = 14, 3
GONE_SHARE, GONE_MESSAGES = 0.95, 10  # or be gone, though at least so many messages were due
NOISE_SHARE = 0.04  # no event is steadier than this
CONSERVED = 0.35  # old + new together stay this close to what the old name alone used to send
FELL_OF_GAIN = 0.60  # the old name lost at least this part of what the new one gained
SAME_PROPERTIES = 0.60  # Jaccard index of the two property sets
OTHER_PROPERTIES, OTHER_PROPERTIES_LEAST = (
    0.25,
    3,
)  # two rich and different property sets speak against the pair
ENOUGH_EVIDENCE = 2  # independent kinds of evidence


@dataclass(frozen=True, eq=False)
class Pair:
    """A candidate: an old name, a new name, and what speaks for the two being one event."""

    old: int
    new: int
    onset: int  # first day with volume under the new name, as an index into the history
    end: int  # last day with volume under the new name
    score: float
    kinds: Mapping[str, Any]
    gained: float  # messages a day, over the days compared
    fell: float
    usual: float


def event_renamed(evidence: Evidence, claims: Claims) -> list[Finding]:
    """A new name took the place of an old one in a source."""
    findings: list[Finding] = []
    properties = _properties(evidence)
    for history in evidence.sources.values():
        pairs = _one_to_one(_pairs(history, properties))
        former = {pair.new: pair.old for pair in pairs}
        findings += [
            _finding(evidence, history, pair, _chain(pair.old, former))
            for pair in sorted(pairs, key=lambda pair: (pair.onset, history.events[pair.new]))
        ]
    return findings


def onset_of(counts: Counts) -> tuple[int, int] | None:
    """First and last day on which a name carries volume; a lone trial before the release is passed over."""
    level = _level(counts)
    least = max(1.0, min(CARRIES_MESSAGES, CARRIES_SHARE * level))
    carrying = np.flatnonzero(counts >= least)
    if not len(carrying):
        return None
    first = 0
    for at in np.flatnonzero(np.diff(carrying) > TRIAL_GAP_DAYS):
        trial = counts[carrying[first] : carrying[at] + 1]
        if trial.max() > TRIAL_SHARE * level:
            break
        first = int(at) + 1
    return int(carrying[first]), int(carrying[-1])


def _level(counts: Counts) -> float:
    """What the name sends once it has settled: the best three days, which a short life has too."""
    best = np.sort(counts)[-3:]
    return float(np.median(best)) if len(best) else 0.0


def _pairs(history: SourceHistory, properties: Mapping[tuple[str, str], frozenset[str]]) -> list[Pair]:
    pairs: list[Pair] = []
    seen = history.counts > 0
    totals = history.counts.sum(axis=1)
    first_seen = np.where(seen.any(axis=1), seen.argmax(axis=1), len(history.days))
    made = {row for rows in history.generated.values() for row in rows}
    candidates = np.array(
        [row for row in np.flatnonzero(totals >= LEAST_MESSAGES).tolist() if row not in made], dtype=np.int64
    )
    # Thousands of names made of ids are no renames; the largest are looked at first, and far enough.
    candidates = candidates[np.argsort(-totals[candidates], kind="stable")][:MOST_CANDIDATES]
    for new in candidates:
        life = onset_of(history.counts[new])
        # A planned name of the first days is an old acquaintance: history just begins there.
        if life is None or life[0] < 1 or (history.planned[new] and first_seen[new] < OPENING_DAYS):
            continue
        pairs += _pairs_of(history, int(new), *life, properties)
    return pairs


def _pairs_of(
    history: SourceHistory,
    new: int,
    onset: int,
    end: int,
    properties: Mapping[tuple[str, str], frozenset[str]],
) -> list[Pair]:
    """All old names that could have become this new one."""
    before = slice(max(0, onset - BEFORE_DAYS), onset)
    # The first day is often half a day, and in a roll-out the last days say most.
    after = np.arange(max(onset + 1, end - AFTER_DAYS + 1), end + 1) if end > onset else np.array([onset])
    usual = np.stack([history.usual(onset, int(day)) for day in after], axis=1)
    level = usual.mean(axis=1)
    now = history.counts[:, after].mean(axis=1)
    gained = float(now[new] - min(level[new], now[new]))
    fell = level - now
    noise = _noise(history.counts[:, before], level, len(after))
    # An old name is a habit: there on most of the days before, and no less than three of them.
    recent = history.counts[:, before][:, -HABIT_DAYS:] > 0
    habit = recent.sum(axis=1) >= max(1, min(HABIT_LEAST, onset), recent.shape[1] // 2)
    old_before = history.counts[:, before].sum(axis=1)
    candidates = np.flatnonzero(
        (fell > 0)
        & habit
        & (old_before >= LEAST_MESSAGES)
        & (fell >= FELL_SAME_SLUG * level)
        & ((fell >= SIGMAS_SAME_SLUG * noise) | (fell >= GONE_SHARE * level))
    )
    found = []
    for old in candidates:
        if old == new:
            continue
        pair = _judge(
            history,
            int(old),
            new,
            onset,
            end,
            properties,
            usual=float(level[old]),
            fell=float(fell[old]),
            gained=gained,
            noise=float(noise[old]),
            days=len(after),
        )
        if pair is not None:
            found.append(pair)
    return found


def _judge(
    history: SourceHistory,
    old: int,
    new: int,
    onset: int,
    end: int,
    properties: Mapping[tuple[str, str], frozenset[str]],
    *,
    usual: float,
    fell: float,
    gained: float,
    noise: float,
    days: int,
) -> Pair | None:
    same_slug = bool(history.slugs[old]) and history.slugs[old] == history.slugs[new]
    overlap, rich = _overlap(history, old, new, properties)
    same_properties = not same_slug and overlap is not None and overlap >= SAME_PROPERTIES
    if not same_slug and rich and overlap is not None and overlap < OTHER_PROPERTIES:
        return None
    needed = FELL_SAME_SLUG if same_slug else FELL_SAME_PROPERTIES if same_properties else FELL
    # A name of a single day, over by now, is a blip beside which many events have a bad day.
    blip = onset == end < len(history.days) - 1
    sigmas = (
        SIGMAS_SAME_SLUG
        if same_slug and not blip
        else SIGMAS
        if same_slug or same_properties
        else SIGMAS_BARE
    )
    # A name that has gone altogether has fallen, however noisy it was before.
    gone = fell >= GONE_SHARE * usual and usual * days >= GONE_MESSAGES
    if fell < needed * usual or (fell < sigmas * noise and not gone):
        return None
    conserved = gained > 0 and abs(gained - fell) <= CONSERVED * usual and fell >= FELL_OF_GAIN * gained
    if not conserved and fell < FELL * usual:
        return None
    timing = _same_time(history, old, new, onset, end)
    kinds: dict[str, Any] = {}
    if timing is not None:
        kinds["timing"] = timing
    if conserved:
        kinds["conservation"] = {
            "usual_per_day": round(usual, 1),
            "old_now_per_day": round(usual - fell, 1),
            "new_now_per_day": round(gained, 1),
        }
    # One table holds both names, so "same slug" and "same properties" are one kind of evidence, not two.
    if same_slug:
        kinds["same_slug"] = history.slugs[old]
    elif same_properties and overlap is not None:
        kinds["same_properties"] = round(overlap, 2)
    if len(kinds) < ENOUGH_EVIDENCE:
        return None
    closeness = 1 - min(1.0, abs(gained - fell) / max(usual, 1e-9))
    score = (
        (4.0 if same_slug else 0.0)
        + (2.0 if timing is not None else 0.0)
        + (2.0 if conserved else 0.0)
        + 2.0 * closeness
        + (2.0 * overlap if same_properties and overlap is not None else 0.0)
        # Likeness of the names only orders pairs that other evidence supports equally.
        + 0.5 * likeness(history.events[old], history.events[new])
    )
    return Pair(old, new, onset, end, score, kinds, gained, fell, usual)


def _same_time(history: SourceHistory, old: int, new: int, onset: int, end: int) -> dict[str, str] | None:
    """Whether the old name held until the new one came, and lost its half when the new one gained its half.

    Half-times meet within a day for a release, and within a quarter of its length for a gradual roll-out.
    """
    days = np.arange(max(0, onset - 3), end + 1)
    usual = np.array([history.usual(onset, int(day))[old] for day in days])
    lost = usual - history.counts[old, days]
    ahead = days < onset
    if ahead.any() and np.median(lost[ahead]) > 0.3 * np.median(usual[ahead]):
        return None
    gained = history.counts[new, days].astype(np.float64)
    half_new = _half_time(gained, days >= onset)
    half_old = _half_time(lost, days >= onset - 1)
    if half_new is None or half_old is None:
        return None
    length = abs(int(days[half_new]) - onset) * 2
    if abs(half_new - half_old) > max(1, length // 4):
        return None
    return {
        "new_name_from": as_date(history.days[onset]).isoformat(),
        "old_name_fell": as_date(history.days[days[half_old]]).isoformat(),
    }


def _half_time(level: NDArray[np.float64], allowed: NDArray[np.bool_]) -> int | None:
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


def _noise(before: Counts, level: NDArray[np.float64], days: int) -> NDArray[np.float64]:
    """Standard deviation of the mean of some days of each name, never below chance and a floor."""
    if before.shape[1] >= 14:
        # Differences to the week before are free of the weekly curve.
        weekly = np.abs(before[:, 7:] - before[:, :-7])
        spread = 1.4826 * np.median(weekly, axis=1) / np.sqrt(2)
    else:
        spread = 1.4826 * np.median(np.abs(before - np.median(before, axis=1, keepdims=True)), axis=1)
    chance = np.sqrt(np.maximum(level, 1.0))
    noise = np.maximum(spread, chance) / np.sqrt(days)
    return np.asarray(np.maximum(noise, NOISE_SHARE * level), dtype=np.float64)


def _overlap(
    history: SourceHistory, old: int, new: int, properties: Mapping[tuple[str, str], frozenset[str]]
) -> tuple[float | None, bool]:
    """Jaccard index of the two property sets, and whether both are rich enough to speak against the pair."""
    mine = properties.get((history.source, history.slugs[old]), frozenset())
    theirs = properties.get((history.source, history.slugs[new]), frozenset())
    if not mine or not theirs:
        return None, False
    rich = min(len(mine), len(theirs)) >= OTHER_PROPERTIES_LEAST
    return len(mine & theirs) / len(mine | theirs), rich


def _properties(evidence: Evidence) -> Mapping[tuple[str, str], frozenset[str]]:
    table = evidence.properties.dropna(subset=["event_slug", "property"])
    return {
        (str(key[0]), str(key[1])): frozenset(rows)
        for key, rows in table.groupby(["source", "event_slug"], sort=False)["property"]
    }


def _one_to_one(pairs: list[Pair]) -> list[Pair]:
    """The best pairs, each name once as old and once as new, and never both ways round."""
    chosen: list[Pair] = []
    for pair in sorted(pairs, key=lambda pair: (-pair.score, pair.old, pair.new)):
        if all(
            pair.old != other.old and pair.new != other.new and (pair.old, pair.new) != (other.new, other.old)
            for other in chosen
        ):
            chosen.append(pair)
    return chosen


def _chain(old: int, former: Mapping[int, int]) -> list[int]:
    """The old name and the names that it had itself before, newest first."""
    names = [old]
    while names[-1] in former and former[names[-1]] not in names:
        names.append(former[names[-1]])
    return names


def _finding(evidence: Evidence, history: SourceHistory, pair: Pair, chain: list[int]) -> Finding:
    source, new = history.source, history.events[pair.new]
    old = history.events[pair.old]
    days = history.days[pair.onset :]
    under_new = history.counts[pair.new, pair.onset :]
    # Who waits for any earlier name of the event and does not take the new one.
    waiting = tuple(
        sorted(
            {name for at in chain for name in evidence.routed(source, history.events[at])}
            - set(evidence.routed(source, new))
        )
    )
    per_destination, windows = _unsent(evidence, source, new, waiting, days, under_new)
    last = len(history.days) - 1
    ended = as_date(history.days[pair.end]) if pair.end < last - _quiet_days(history, pair) else None
    started = as_date(days[0])
    eve = started - timedelta(days=1)  # a destination's zone may still have the day before
    claimed = (
        Claim(eve, date.max, source=source, event=old),
        Claim(date.min, date.max, source=source, event=new),
        # A destination that takes both names holds deliveries of the old one that nobody expects there.
        *(
            Claim(eve, date.max, event=name, destination=d, differences=frozenset({"unexpected"}))
            for name in [*(history.events[at] for at in chain), new]
            for d in evidence.routed(source, name)
        ),
    )
    return Finding(
        kind="event_renamed",
        severity="critical" if waiting else "info" if _accepted(evidence, history, pair.new) else "warning",
        source=source,
        event=old,
        renamed_to=new,
        destinations=waiting,
        started_on=started,
        ended_on=ended,
        messages_affected=int(under_new.sum()),
        windows=windows,
        claims=claimed,
        share_explained=round(min(1.0, pair.gained / pair.fell), 4) if pair.fell > 0 else None,
        evidence={
            "evidence_kinds": dict(pair.kinds),
            "messages_by_destination": per_destination,
            "name_in_destination": _names_there(evidence, waiting, [history.events[at] for at in chain]),
            "earlier_names": [history.events[at] for at in chain[1:]],
            "new_name_planned": bool(history.planned[pair.new]),
            "old_name_planned": bool(history.planned[pair.old]),
            "usual_per_day": round(pair.usual, 1),
            "old_now_per_day": round(pair.usual - pair.fell, 1),
            "new_now_per_day": round(pair.gained, 1),
        },
    )


def _accepted(evidence: Evidence, history: SourceHistory, new: int) -> bool:
    """Whether the contract knows the new name by now: its plan lists it, or some destination names it."""
    if evidence.workspace.plan_for(history.source).declared:
        return bool(history.planned[new])
    return bool(evidence.listed(history.source, history.events[new]))


def _quiet_days(history: SourceHistory, pair: Pair) -> int:
    """How many silent days are usual for the new name: none for a busy one, two for a small one."""
    return 0 if _level(history.counts[pair.new]) >= 20 else 2


def _unsent(
    evidence: Evidence,
    source: str,
    event: str,
    waiting: tuple[str, ...],
    days: Days,
    counts: Counts,
) -> tuple[dict[str, int], tuple[tuple[str, date], ...]]:
    """Messages under the new name that each waiting destination does not get, and on which of its days."""
    table = evidence.not_expected
    rows = table[
        (table["source"] == source)
        & (table["event"] == event)
        & (table["reason"] == "not_routed")
        & (table["messages"] > 0)
    ]
    rows = rows[(days_of(rows) >= days[0]) & (days_of(rows) <= days[-1])]
    total = int(counts.sum())
    messages: dict[str, int] = {}
    windows: list[tuple[str, date]] = []
    for destination in waiting:
        own = rows[rows["destination"] == destination]
        # The destination's own days where they are known; else the workspace's. Its last day may end later
        # than the workspace's, so it may count a few more than there are yet.
        messages[destination] = min(int(own["messages"].sum()), total) if len(own) else total
        windows += windows_of([destination], days_of(own) if len(own) else days[counts > 0])
    return messages, tuple(windows)


def _names_there(evidence: Evidence, waiting: tuple[str, ...], names: list[str]) -> dict[str, str]:
    """What each waiting destination calls the event."""
    found: dict[str, str] = {}
    for destination in waiting:
        for route in evidence.destinations[destination].events or ():
            if route.event in names:
                found.setdefault(destination, route.destination_name)
    return found


_WORDS = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|[0-9]+")


def tokens(name: str) -> frozenset[str]:
    """The words of a name, whatever joins them, without their endings."""
    return frozenset(
        re.sub(r"(ed|ing|s)$", "", word.lower()) or word.lower() for word in _WORDS.findall(name[:300])
    )


def letters(name: str) -> str:
    """The name without case, blanks and punctuation: names that differ only there are equal in it."""
    return "".join(char for char in name[:300].casefold() if char.isalnum())


def likeness(one: str, other: str) -> float:
    """0 to 1: the better of shared words and of shared letters."""
    mine, theirs = tokens(one), tokens(other)
    words = len(mine & theirs) / len(mine | theirs) if mine and theirs else 0.0
    return max(words, SequenceMatcher(None, letters(one), letters(other), autojunk=False).ratio())
