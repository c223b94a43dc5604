"""Finds what fell silent: a whole source, or one event while its source lives."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from typing import Any

import numpy as np

from dagster_project.core.diagnosis.evidence import (
    SETTLED,
    Evidence,
    SourceHistory,
    as_date,
    local,
)
from dagster_project.core.diagnosis.finding import Claim, Claims, Finding, windows_of

FRESHNESS = timedelta(hours=24)  # when the contract declares none
# With no declared freshness silence must also be unlikely: this many messages should have come meanwhile.
MISSED_MESSAGES = 14
STOP_MEDIAN = 20  # messages a day that make an event's silence certain
STOP_DAYS = 14  # active days over which that median is taken
STOP_ACTIVE_DAYS = 7  # fewer active days than this are no habit yet
STOP_WEEKDAY = 5  # an event that usually sends fewer on this weekday may be silent on it
STOP_SHARE = 0.01  # what is left of a stopped event: a straggler in a hundred


def source_stopped(evidence: Evidence, claims: Claims) -> list[Finding]:
    """A source cannot be read, or nothing has arrived from it for longer than it is ever silent."""
    findings = []
    for source in evidence.workspace.sources:
        health = evidence.source_health[evidence.source_health["source"] == source.name]
        if health.empty:
            continue
        row = health.iloc[0]
        received = evidence.last_received_at(source.name)
        broken = row["status"] is not None and row["status"] != "ok"
        declared = source.freshness
        silent = evidence.as_of - received if received is not None else None
        if not broken:
            if silent is not None and silent <= (declared or FRESHNESS):
                continue
            known = source.name in evidence.sources
            if declared is None and known and _missed(evidence, source.name) < MISSED_MESSAGES:
                continue
        started = _silent_from(evidence, source.name, received)
        findings.append(_source_finding(evidence, source.name, started, row["problem"], broken, received))
    return findings


def _source_finding(
    evidence: Evidence,
    source: str,
    started: date,
    problem: str | None,
    broken: bool,
    received: datetime | None,
) -> Finding:
    hit = evidence.fed_by(source)
    days = np.arange(
        np.datetime64(started, "D"),
        np.datetime64(max(started, evidence.last_day), "D") + np.timedelta64(1, "D"),
    )
    details: dict[str, Any] = {
        "problem": problem if broken else None,
        "last_received_at": None if received is None else received.isoformat(sep=" ", timespec="minutes"),
        "silent_hours": None
        if received is None
        else round((evidence.as_of - received).total_seconds() / 3600, 1),
        "messages_are_estimated": True,
    }
    return Finding(
        kind="source_stopped",
        severity="critical" if hit else "error",
        source=source,
        destinations=hit,
        started_on=started,
        messages_affected=round(_missed(evidence, source)),
        windows=windows_of(hit, days),
        claims=(
            Claim(started - timedelta(days=1), date.max, source=source),
            # While the source is not read, its deliveries look as if nobody had sent them.
            *(
                Claim(
                    started - timedelta(days=1),
                    date.max,
                    event=event,
                    destination=name,
                    differences=frozenset({"unexpected"}),
                )
                for name in hit
                for event in _events_of(evidence, source, name)
            ),
        ),
        evidence=details,
    )


def _events_of(evidence: Evidence, source: str, destination: str) -> tuple[str | None, ...]:
    routes = evidence.destinations[destination].events
    return (None,) if routes is None else tuple(route.event for route in routes)


def _silent_from(evidence: Evidence, source: str, received: datetime | None) -> date:
    """The first day with something missing: that of the last message, unless it came in its last hours."""
    if received is None:
        # The table is gone. What earlier runs counted still says how far it reached; the last of those days
        # may have been counted while it went on.
        history = evidence.sources.get(source)
        counted = np.flatnonzero(history.total) if history is not None else np.array([])
        if history is None or not len(counted):
            return evidence.data_from
        return as_date(history.days[counted[-1]])
    return max(local(received + SETTLED, evidence.workspace.timezone).date(), evidence.data_from)


def _missed(evidence: Evidence, source: str) -> float:
    """About how many messages should have come since the last one."""
    history = evidence.sources.get(source)
    received = evidence.last_received_at(source)
    if history is None or received is None:
        return 0.0
    before = len(history.days)
    silent = (evidence.as_of - received) / timedelta(days=1)
    first = int(
        (np.datetime64(local(received, evidence.workspace.timezone).date(), "D") - history.days[0]).astype(
            int
        )
    )
    missed, left = 0.0, silent
    # The first and last day count by the part that is silent; the day curve is not known here.
    at = first
    clock = local(received, evidence.workspace.timezone)
    part = 1 - (clock.hour * 60 + clock.minute) / 1440
    while left > 0 and at < before + 60:
        used = min(part, left)
        missed += used * float(_usual_total(history, before, at))
        left, part, at = left - used, 1.0, at + 1
    return missed


def _usual_total(history: SourceHistory, before: int, at: int) -> float:
    same = [day for day in range(at - 7, -1, -7) if day < before][:4]
    if len(same) >= 2:
        return float(np.median(history.total[same]))
    recent = history.total[max(0, before - 14) : before]
    return float(np.median(recent)) if len(recent) else 0.0


def event_stopped(evidence: Evidence, claims: Claims) -> list[Finding]:
    """A name that came every day is not sent any more, while its source is."""
    findings = []
    for name, history in evidence.sources.items():
        last = len(history.days) - 1
        if history.total[last] == 0:
            continue  # the whole source is silent: not this rule's to tell
        for at, event in enumerate(history.events):
            # A name that nobody planned or listed may go as it came, even where every name is taken.
            if not (history.planned[at] or evidence.listed(name, event)):
                continue
            hit = evidence.waiting(name, event)
            stop = _stop(history, at)
            if stop is None:
                continue
            first, median = stop
            days = history.days[first:]
            missed = sum(float(history.usual(first, day)[at]) for day in range(first, last + 1))
            findings.append(
                Finding(
                    kind="event_stopped",
                    severity="error" if hit else "warning",
                    source=name,
                    event=event,
                    destinations=hit,
                    started_on=as_date(days[0]),
                    messages_affected=round(missed),
                    windows=windows_of(hit, days),
                    claims=(Claim(as_date(days[0]), date.max, source=name, event=event),),
                    evidence={
                        "usual_per_day": round(median, 1),
                        "silent_days": len(days),
                        "last_seen_on": as_date(history.days[first - 1]).isoformat(),
                        "messages_are_estimated": True,
                        "planned": bool(history.planned[at]),
                    },
                    explained_by=claims.of_event(name, event, as_date(days[0])),
                )
            )
    return findings


def _stop(history: SourceHistory, at: int) -> tuple[int, float] | None:
    """First silent day (as an index) and the usual level, when the name has stopped; else None."""
    counts = history.counts[at]
    if not counts.any():
        return None
    # A straggler in a hundred is silence too, measured against the level of the busier days.
    trickle = STOP_SHARE * float(np.median(np.sort(counts)[-STOP_DAYS:]))
    speaking = np.flatnonzero(counts > trickle)
    first = int(speaking[-1]) + 1
    if first >= len(counts):
        return None
    active = counts[:first][counts[:first] > trickle][-STOP_DAYS:]
    median = float(np.median(active))
    if len(active) < STOP_ACTIVE_DAYS or median < STOP_MEDIAN:
        return None
    # Skip silent days on which the name is usually silent too: weekends, days off.
    for day in range(first, len(counts)):
        if history.usual(first, day)[at] >= STOP_WEEKDAY:
            return day, median
    return None
