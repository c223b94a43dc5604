"""Finds properties that break the tracking plan more often than they always did."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from typing import cast

import numpy as np
from numpy.typing import NDArray
from scipy.special import betainc

from dagster_project.core.diagnosis.evidence import Counts, Days, Evidence, Flags, Rows, as_date, days_of
from dagster_project.core.diagnosis.finding import Claims, Finding, windows_of
from dagster_project.core.diagnosis.property_details import planned_event, with_details
from dagster_project.core.diagnosis.property_renames import cause_of

LEAST_MESSAGES, LEAST_SHARE = 20, 0.02  # of the event's messages, on one day or in a week
POOL_DAYS = 7
ERROR_SHARE = 0.20  # and routed somewhere: the numbers there are wrong
# A steady rate is no news; it must rise by two points, and by half of what it always was.
RISE_POINTS, RISE_SHARE = 0.02, 0.5
RARE = 1e-4  # the chance of such a day at the steady rate
RATE_CV = 0.25  # and rates differ by so much from day to day, beyond chance
STEADY_SHARE = 0.20  # steady from the first day on, and still worth telling once
BASE_MESSAGES, BASE_DAYS = 30, 3  # that a steady rate is learned from
OPENING_DAYS = 3  # an event that begins later than this in history is new, and its first day is no habit
# A message without the property cannot also have a wrong value in it, so the two add up. The other rules can
# be broken by one and the same value.
ABSENT = "required"
UNPLANNED_PROPERTY = "unplanned_property"
NOT_OURS = "unplanned_event"  # told once for the event, not for each of its messages

Shares = NDArray[np.float64]
Place = tuple[str, str, str]  # source, event, property


def property_violation(evidence: Evidence, claims: Claims) -> list[Finding]:
    """A property is absent, or has a type or value that the plan does not allow."""
    table = evidence.violations
    rows = table[
        (table["rule"] != NOT_OURS)
        & table["event"].notna()
        & table["property"].notna()
        & (table["messages"] > 0)
        & (days_of(table) >= np.datetime64(evidence.first_day, "D"))
        & (days_of(table) <= np.datetime64(evidence.last_day, "D"))
    ]
    if rows.empty:
        return []
    days, messages = days_of(rows), rows["messages"].to_numpy()
    rule_of = rows["rule"].fillna("other").to_numpy(dtype=object)
    findings = []
    groups = cast(dict[Place, Rows], rows.groupby(["source", "event", "property"]).indices)
    for (source, event, name), at in sorted(groups.items()):
        # A day that is still landing has violations before it has all of its messages.
        at = at[days[at] <= np.datetime64(evidence.last_complete_day(source), "D")]
        noted = rule_of[at] == UNPLANNED_PROPERTY
        # A property is planned or not; should the plan have changed meanwhile, its violations count.
        at = at[~noted] if not noted.all() else at
        if messages[at].sum() >= LEAST_MESSAGES:
            broken = _Broken(source, event, name, days[at], rule_of[at], messages[at])
            found = _judge(evidence, claims, broken, noted=bool(noted.all()))
            findings += [with_details(evidence, found)] if found is not None else []
    return findings


@dataclass(frozen=True, eq=False)
class _Broken:
    """What breaks the plan in one property of one event: messages by day and rule."""

    source: str
    event: str
    name: str
    days: Days
    rules: NDArray[np.object_]
    messages: Counts

    def by_rule(self, days: Days) -> dict[str, Counts]:
        """Of each rule, on each of these consecutive days."""
        found: dict[str, Counts] = {}
        for rule in sorted({str(rule) for rule in self.rules}):
            own = self.rules == rule
            counts = np.zeros(len(days), dtype=np.int64)
            np.add.at(counts, (self.days[own] - days[0]).astype(np.int64), self.messages[own])
            found[rule] = counts
        return found


def _judge(evidence: Evidence, claims: Claims, broken: _Broken, *, noted: bool) -> Finding | None:
    source, event, name = broken.source, broken.event, broken.name
    history = evidence.sources.get(source)
    known = broken.days if history is None else np.concatenate([broken.days, history.days[[0, -1]]])
    days = np.arange(known.min(), known.max() + np.timedelta64(1, "D"))
    rules = broken.by_rule(days)
    bad = rules.get(ABSENT, np.zeros(len(days), dtype=np.int64))
    others = [counts for rule, counts in rules.items() if rule != ABSENT]
    if others:
        bad = bad + np.max(others, axis=0)
    sent = evidence.sent_on(source, event, days)
    bad = np.where(sent > 0, np.minimum(bad, sent), bad)
    sent = np.maximum(sent, bad)
    begun = np.flatnonzero(sent)
    hit, usual = risen(bad, sent)
    # An event that is new in history has no habit: what it breaks from its first day on is news.
    steady = not hit.any() and begun[0] < OPENING_DAYS
    if not hit.any():
        hit = _enough(bad, sent, 0.0) & (bad > 0)
        usual = usual if steady else 0.0
    if not hit.any():
        return None
    at = np.flatnonzero(hit)
    inside = np.zeros(len(days), dtype=bool)
    inside[at[0] : at[-1] + 1] = True
    inside &= (bad > 0) | (sent > 0)
    share = float(bad[hit].sum() / max(1, sent[hit].sum()))
    destinations = evidence.waiting(source, event)
    severity = "error" if share >= ERROR_SHARE and destinations else "warning"
    if steady:
        severity = "warning" if share >= STEADY_SHARE else "info"
    elif at[0] < OPENING_DAYS and begun[0] < OPENING_DAYS and share < STEADY_SHARE:
        severity = "info"  # as old as history, and mended since: no news either
    clean = int(sent[at[-1] + 1 :].sum())
    counts = {rule: int(each[inside].sum()) for rule, each in rules.items()}
    started = as_date(days[at[0]])
    left_out = all(
        any(each.holds(source, event, name, rule) for each in evidence.workspace.quarantine)
        for rule, count in counts.items()
        if count
    )
    if left_out and severity == "error":
        severity = "warning"  # what is published does not hold it, so no day need wait for its mending
    cause = cause_of(claims.findings, source, event, name, started) if noted or _absence(counts) else None
    return Finding(
        kind="property_violation",
        severity=_noted(evidence, broken, steady=steady) if noted else severity,
        source=source,
        event=event,
        property=name,
        destinations=destinations,
        started_on=started,
        ended_on=_ended(days, at, clean, share - usual),
        messages_affected=int(bad[inside].sum()),
        windows=windows_of(destinations, days[inside & (bad > 0)]),
        evidence={
            "share": round(share, 4),
            "usual_share": round(usual, 4),
            "steady": steady,
            "messages_by_rule": {rule: count for rule, count in counts.items() if count},
            "messages_of_event": int(sent[inside].sum()),
            **({"quarantined": True} if left_out else {}),
        },
        explained_by=cause.key if cause is not None else None,
    )


def _noted(evidence: Evidence, broken: _Broken, *, steady: bool) -> str:
    """How much a property beside the plan matters: worth a word where the plan lets none pass, and it is new."""
    planned = planned_event(evidence, broken.source, broken.event)
    return "warning" if planned is not None and planned.closed and not steady else "info"


def _absence(counts: dict[str, int]) -> bool:
    """Whether what is broken is mostly that the property is not there."""
    return 2 * counts.get(ABSENT, 0) >= sum(counts.values())


def _ended(days: Days, at: Counts, clean: int, rise: float) -> date | None:
    """The last day, when enough messages have come since: several of them would have broken the rule."""
    return as_date(days[at[-1]]) if clean * max(0.0, rise) >= 3 else None


def risen(bad: Counts, sent: Counts) -> tuple[Flags, float]:
    """The days on which more is broken than always was, and the share that always was.

    What is usual is the lowest rate that held for a week, then the rate of all days that do not stand out
    from it: neither a fault of most of history nor a first bad week is taken for the habit.
    """
    usual = _lowest(bad, sent)
    hit = np.zeros(len(bad), dtype=bool)
    for _ in range(4):
        hit = _enough(bad, sent, usual) & (bad > 0)
        if not hit.any() or hit.all():
            break
        rest = ~hit & (sent > 0)
        again = float(bad[rest].sum() / max(1, sent[rest].sum()))
        if sent[rest].sum() < BASE_MESSAGES or abs(again - usual) < 1e-9:
            break
        usual = again
    return hit, usual


def _lowest(bad: Counts, sent: Counts) -> float:
    """The lowest share of a stretch of some days with enough messages; else of all days."""
    sums = [np.concatenate([[0], np.cumsum(each)]) for each in (bad, sent)]
    length = min(POOL_DAYS, max(BASE_DAYS, len(bad) // 3))
    lowest = float(bad.sum() / max(1, sent.sum()))
    if len(bad) < BASE_DAYS:
        return 0.0
    broke, came = (each[length:] - each[:-length] for each in sums)
    known = came >= BASE_MESSAGES
    if known.any():
        lowest = min(lowest, float((broke[known] / came[known]).min()))
    return lowest


def _enough(bad: Counts, sent: Counts, usual: float) -> Flags:
    """Days, alone or with the week they end, on which the rate has risen beyond chance and by enough."""
    needed = usual + max(RISE_POINTS, RISE_SHARE * usual)
    above = bad >= needed * sent
    alone = above & (bad >= LEAST_MESSAGES) & (_chance(bad, sent, usual) < RARE)
    hit = alone.copy()
    sums = [np.concatenate([np.zeros(POOL_DAYS, dtype=np.int64), np.cumsum(each)]) for each in (bad, sent)]
    week_bad, week_sent = (each[POOL_DAYS:] - each[:-POOL_DAYS] for each in sums)
    pooled = (
        (week_bad >= LEAST_MESSAGES)
        & (week_bad >= needed * week_sent)
        & (_chance(week_bad, week_sent, usual) < RARE)
    )
    for at in np.flatnonzero(pooled):
        week = slice(max(0, at - POOL_DAYS + 1), at + 1)
        hit[week] |= above[week]
    return hit


def _chance(bad: Counts, sent: Counts, usual: float) -> Shares:
    """The chance that so many or more break the rule at the usual rate, on a day that is itself uncertain."""
    if usual <= 0:
        return np.where(bad > 0, 0.0, 1.0)
    mean = usual * sent
    size = 1 / RATE_CV**2
    # The upper tail of a negative binomial: binomial counts are rarer still, so this errs towards silence.
    tail = 1 - betainc(size, np.maximum(bad, 1).astype(np.float64), size / (size + np.maximum(mean, 1e-9)))
    return np.asarray(np.where(bad > 0, tail, 1.0), dtype=np.float64)
