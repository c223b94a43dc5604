"""Finds the new name of a property: within one event, one is filled less as another comes up."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from dagster_project.core.diagnosis.evidence import Counts, Days, Evidence, as_date, days_of
from dagster_project.core.diagnosis.finding import Claims, Finding, windows_of
from dagster_project.core.diagnosis.pairing import (
    COUNTS_AS_KIND,
    ENOUGH,
    REAL_FALL,
    SHIFTS,
    Claimed,
    Numbers,
    best_together,
    log_tail_below,
    same_days,
    weight_of_conservation,
    weight_of_fall,
)
from dagster_project.core.diagnosis.property_details import planned_event, with_details
from dagster_project.core.diagnosis.renames import onset_of
from dagster_project.core.diagnosis.spelling import likeness
from dagster_project.core.slug import slug

BEFORE_DAYS = 28  # how often a property was filled is learned from up to four weeks
EARLY_DAYS, LATE_DAYS, LATE_BY = (
    14,
    7,
    28,
)  # a roll-out shows in its first two weeks, or late in its first four
LEAST_DAYS, LEAST_BEFORE = 3, 30  # days and messages before the change
LEAST_MESSAGES = 20  # with the new property
LEAST_FILL, LEAST_MOVED = 0.05, 0.05  # of the event's messages: the old one had, the new one has
# Days differ by so much in how often a property is filled, beyond chance; a release changes it by so much.
DAY_SPREAD, SLACK = 0.02, 0.05
FILL_RANGE = 3.0  # log of the factor by which two properties that have nothing in common differ in fill
PLANNED = -1.0  # a planned property that comes may be just new
LIKENESS = 1.0  # orders pairs: properties are mostly filled always, so several can be conserved alike
MOST_PROPERTIES = 200


@dataclass(frozen=True, eq=False)
class _Event:
    """How often each property of one event was filled, by day."""

    source: str
    event: str
    days: Days
    properties: tuple[str, ...]
    filled: Counts  # properties x days
    messages: Counts  # days


@dataclass(frozen=True)
class _Pair:
    old: int
    new: int
    onset: int
    end: int
    score: float
    usual: float  # share of messages, before
    seen: float  # and now
    gained: float
    kinds: dict[str, Any]


def property_renamed(evidence: Evidence, claims: Claims) -> list[Finding]:
    """A property of an event is sent under another name: what waits for the old one finds nothing."""
    findings = []
    for event in _events(evidence):
        pairs = _pairs(evidence, event)
        ranked = [
            Claimed(
                (pair.old,),
                (pair.new,),
                pair.score + LIKENESS * likeness(event.properties[pair.old], event.properties[pair.new]),
            )
            for pair in pairs
        ]
        findings += [
            with_details(evidence, _finding(evidence, event, pairs[at])) for at in best_together(ranked)
        ]
    return findings


def _events(evidence: Evidence) -> Iterator[_Event]:
    """Events of which some property came up, and another was filled less: nobody else is looked at."""
    table = evidence.counted_fill
    if table.empty:
        return
    days = days_of(table)
    sources, source_names = pd.factorize(table["source"], sort=True)
    events, event_names = pd.factorize(table["event_text"], sort=True)
    streams, keys = pd.factorize(sources.astype(np.int64) * len(event_names) + events, sort=True)
    first = days.min()
    at = (days - first).astype(np.int64)
    width = int(at.max()) + 1
    messages = np.zeros((len(keys), width), dtype=np.int64)
    np.maximum.at(messages, (streams, at), table["messages"].to_numpy())
    properties, property_names = pd.factorize(table["property"], sort=True)
    cells, kept = pd.factorize(streams.astype(np.int64) * len(property_names) + properties, sort=True)
    filled = np.zeros((len(kept), width), dtype=np.int64)
    np.add.at(filled, (cells, at), np.minimum(table["filled"].to_numpy(), table["messages"].to_numpy()))
    owner = (kept // len(property_names)).astype(np.int64)
    for stream in _moved(filled, messages, owner):
        source = str(source_names[keys[stream] // len(event_names)])
        rows = np.flatnonzero(owner == stream)
        rows = rows[np.argsort(-filled[rows].sum(axis=1), kind="stable")][:MOST_PROPERTIES]
        last = np.datetime64(evidence.last_complete_day(source), "D")
        there = first + np.arange(width).astype("timedelta64[D]") <= last
        if there.any():
            yield _Event(
                source=source,
                event=str(event_names[keys[stream] % len(event_names)]),
                days=(first + np.arange(width).astype("timedelta64[D]"))[there],
                properties=tuple(str(property_names[kept[row] % len(property_names)]) for row in rows),
                filled=filled[rows][:, there],
                messages=messages[stream, there],
            )


def _moved(filled: Counts, messages: Counts, owner: NDArray[np.int64]) -> list[int]:
    """Events with a property that was not there from the beginning, and one that is not always there."""
    own = messages[owner]
    sent = np.cumsum(own > 0, axis=1)
    seen = filled > 0
    first = np.where(seen.any(axis=1), seen.argmax(axis=1), 0)
    late = seen.any(axis=1) & (sent[np.arange(len(own)), first] > 1) & (filled.sum(axis=1) >= LEAST_MESSAGES)
    share = np.where(own > 0, filled / np.maximum(own, 1), np.nan)
    known = np.isfinite(share)
    highest = np.where(known, share, -np.inf).max(axis=1, initial=-np.inf)
    lowest = np.where(known, share, np.inf).min(axis=1, initial=np.inf)
    uneven = highest - lowest >= LEAST_MOVED
    return sorted(set(owner[late].tolist()) & set(owner[uneven & ~late].tolist() + owner[late].tolist()))


def _pairs(evidence: Evidence, event: _Event) -> list[_Pair]:
    pairs = []
    for new, name in enumerate(event.properties):
        if event.filled[new].sum() < LEAST_MESSAGES:
            continue
        life = onset_of(event.filled[new])
        if life is None:
            continue
        onset, end = life
        before = np.arange(max(0, onset - BEFORE_DAYS), onset)
        before = before[event.messages[before] > 0]
        sent = int(event.messages[before].sum())
        if len(before) < LEAST_DAYS or sent < LEAST_BEFORE:
            continue
        prior = PLANNED if _rules(evidence, event, name) else 0.0
        for window in _windows(onset, end):
            pairs += _against(event, new, onset, end, before, window, prior)
    best: dict[tuple[int, int], _Pair] = {}
    for pair in pairs:
        if (pair.old, pair.new) not in best or best[pair.old, pair.new].score < pair.score:
            best[pair.old, pair.new] = pair
    return list(best.values())


def _windows(onset: int, end: int) -> Iterator[Counts]:
    yield np.arange(onset, min(end, onset + EARLY_DAYS - 1) + 1)
    latest = min(end, onset + LATE_BY - 1)
    if latest > onset + EARLY_DAYS - 1:
        yield np.arange(latest - LATE_DAYS + 1, latest + 1)


def _against(
    event: _Event, new: int, onset: int, end: int, before: Counts, window: Counts, prior: float
) -> list[_Pair]:
    """The new property against each of the others."""
    sent, now = event.messages[before], event.messages[window]
    usual = event.filled[:, before].sum(axis=1) / max(1, sent.sum())
    daily = event.filled[:, before] / np.maximum(sent, 1)
    strays = 1.4826 * np.median(np.abs(daily - usual[:, None]), axis=1)
    spread = np.maximum(strays, DAY_SPREAD)
    expected = usual * now.sum()
    variance = (
        expected * (1 - usual)
        + expected**2 / max(1, sent.sum())
        + spread**2 * ((now.astype(np.float64) ** 2).sum() + now.sum().astype(np.float64) ** 2 / len(before))
    )
    seen = event.filled[:, window].sum(axis=1).astype(np.float64)
    gained = float(event.filled[new, window].sum())
    fell = expected - seen
    # A tail of the binomial's kind: no property is filled more often than its event is sent.
    falls = weight_of_fall(log_tail_below(seen, expected, variance + expected), same_time=True)
    moved = (
        (usual >= LEAST_FILL) & (fell >= LEAST_MOVED * expected) & (fell > 0) & (np.abs(fell - gained) < fell)
    )
    choices = float(np.log1p((usual >= LEAST_FILL).sum()))
    pairs = []
    for old in np.flatnonzero(moved & (falls >= REAL_FALL) & (np.arange(len(usual)) != new)).tolist():
        if gained < LEAST_MOVED * now.sum() and gained < LEAST_MESSAGES:
            continue
        conserved = weight_of_conservation(
            float(fell[old]), gained, float(variance[old]), slack=SLACK, wide=FILL_RANGE
        )
        if conserved < COUNTS_AS_KIND or not _same_time(event, old, new, onset, end, usual, spread):
            continue
        score = float(falls[old]) + conserved + prior - choices
        if score < ENOUGH:
            continue
        kinds = {
            "timing": {"new_name_from": as_date(event.days[onset]).isoformat()},
            "conservation": {
                "usual_share": round(float(usual[old]), 4),
                "old_now_share": round(float(seen[old] / max(1, now.sum())), 4),
                "new_now_share": round(gained / max(1, int(now.sum())), 4),
            },
        }
        pairs.append(
            _Pair(
                old,
                new,
                onset,
                end,
                score,
                float(usual[old]),
                float(seen[old] / max(1, now.sum())),
                gained / max(1, int(now.sum())),
                kinds,
            )
        )
    return pairs


def _same_time(
    event: _Event, old: int, new: int, onset: int, end: int, usual: Numbers, spread: Numbers
) -> bool:
    days = np.arange(max(0, onset - SHIFTS), min(len(event.days) - 1, end + SHIFTS) + 1)
    sent = event.messages[days].astype(np.float64)
    lost = usual[old] * sent - event.filled[old, days]
    variance = usual[old] * (1 - usual[old]) * sent + (spread[old] * sent) ** 2 + 1.0
    return same_days(lost, variance, event.filled[new].astype(np.float64), days) is True


def _rules(evidence: Evidence, event: _Event, column: str) -> list[str]:
    """The plan's own spelling of a column of this event, if it plans it."""
    planned = planned_event(evidence, event.source, event.event)
    rules = () if planned is None else planned.rules
    return list(
        dict.fromkeys(
            rule.property
            for rule in rules
            if rule.property == column or "_".join(slug(part) for part in rule.property.split(".")) == column
        )
    )


def _finding(evidence: Evidence, event: _Event, pair: _Pair) -> Finding:
    old, new = event.properties[pair.old], event.properties[pair.new]
    planned, planned_new = _rules(evidence, event, old), _rules(evidence, event, new)
    destinations = evidence.waiting(event.source, event.event)
    inside = np.arange(pair.onset, pair.end + 1)
    inside = inside[event.filled[pair.new, inside] > 0]
    sent_since = int(event.messages[pair.end + 1 :].sum())
    share = float(event.filled[pair.new, inside].sum() / max(1, event.messages[inside].sum()))
    ended: date | None = as_date(event.days[pair.end]) if sent_since * share >= 3 else None
    # The plan knows the new one and not the old one: the contract has taken it up.
    accepted = bool(planned_new) and not planned
    severity = "info" if accepted else "error" if destinations and planned else "warning"
    days = event.days[inside]
    return Finding(
        kind="property_violation",
        severity=severity,
        source=event.source,
        event=event.event,
        property=planned[0] if planned else old,
        renamed_to=planned_new[0] if planned_new else new,
        destinations=() if accepted else destinations,
        started_on=as_date(event.days[pair.onset]),
        ended_on=ended,
        messages_affected=int(event.filled[pair.new, inside].sum()),
        windows=() if accepted else windows_of(destinations, days),
        evidence={
            "evidence_kinds": pair.kinds,
            "log_odds": round(pair.score, 1),
            "share": round(share, 4),
            "usual_share": round(pair.usual, 4),
            "old_now_share": round(pair.seen, 4),
            "new_now_share": round(pair.gained, 4),
            "messages_of_event": int(event.messages[inside].sum()),
            "old_property_planned": bool(planned),
            "new_property_planned": bool(planned_new),
        },
    )


def cause_of(findings: Sequence[Finding], source: str, event: str, name: str, first: date) -> Finding | None:
    """The renamed property that tells why this one is absent, or why an unplanned one is there."""
    for found in findings:
        if (
            found.kind == "property_violation"
            and found.renamed_to is not None
            and (found.source, found.event) == (source, event)
            and _column(name) in (_column(found.property or ""), _column(found.renamed_to))
            and first >= found.started_on
        ):
            return found
    return None


def _column(name: str) -> str:
    return "_".join(slug(part) for part in name.split("."))
