"""Finds what fell silent (a source, an event), and drops and spikes that nothing else explains."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from typing import Any

import numpy as np

from dagster_project.core.contracts import Source
from dagster_project.core.diagnosis.evidence import (
    SETTLED,
    Evidence,
    Flags,
    SourceHistory,
    as_date,
    days_of,
    local,
)
from dagster_project.core.diagnosis.finding import Claim, Claims, Finding, Key, windows_of
from dagster_project.core.diagnosis.forecast import (
    DROP_MESSAGES,
    DROP_TO,
    GREY,
    HIGH,
    LOW,
    NEW_LEVEL_DAYS,
    SILENT,
    SPIKE_MESSAGES,
    SPIKE_TO,
    TRAFFIC_NAMES,
    Forecast,
    forecast,
)

FRESHNESS = timedelta(hours=24)  # when the contract declares none
# With no declared freshness silence must also be unlikely: this many messages should have come meanwhile.
MISSED_MESSAGES = 14
OVER_MESSAGES = 50.0  # a change that is over is told from this size on
RECENT_DAYS = 14  # a drop or a spike that ended before them is no news
CERTAIN = 5e-6  # chance of one odd day below which it is told at once, and also when it is over
HALF_DAY = 0.65  # of the usual traffic of the day on which a source fell silent
SOURCE_MESSAGES = 50.0  # that a whole source must have lost on days when it hardly sent anything
# So many names, and such a part of those that can be judged, that change on one day have one cause.
TOGETHER, TOGETHER_SHARE = 4, 0.25
# An app version has fallen silent: it sent at least this share, this share of it is left, and the others'
# messages moved by no more than this.
VERSION_SHARE, VERSION_LEFT, VERSION_OTHERS = 0.05, 0.05, 0.35


def source_stopped(evidence: Evidence, claims: Claims) -> list[Finding]:
    """A source cannot be read, or nothing has arrived from it for longer than it is ever silent."""
    findings = []
    for source in evidence.workspace.sources:
        found = _silent_now(evidence, source)
        findings += [found] if found else _gaps(evidence, source.name)
    return findings


def _silent_now(evidence: Evidence, source: Source) -> Finding | None:
    health = evidence.source_health[evidence.source_health["source"] == source.name]
    if health.empty:
        return None
    row = health.iloc[0]
    received = evidence.last_received_at(source.name)
    broken = row["status"] is not None and row["status"] != "ok"
    declared = source.freshness
    silent = evidence.as_of - received if received is not None else None
    if not broken:
        if silent is not None and silent <= (declared or FRESHNESS):
            return None
        known = source.name in evidence.sources
        if declared is None and known and _missed(evidence, source.name) < MISSED_MESSAGES:
            return None
    started = _silent_from(evidence, source.name, received)
    return _source_finding(evidence, source.name, started, row["problem"], broken, received)


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


def _gaps(evidence: Evidence, source: str) -> list[Finding]:
    """Whole days without a message of a source of several names, though its table can be read and is fresh."""
    history = evidence.sources.get(source)
    if history is None:
        return []
    model = forecast(history)
    usual, last = model.base.sum(axis=0), len(history.days) - 1
    runs = [run for run in _runs(model.down & (history.total == 0)) if usual[run].sum() >= MISSED_MESSAGES]
    if not runs:
        return []
    run = runs[-1]
    before = as_date(history.days[run.start - 1])  # down begins after the first week: there is a day before
    if model.traffic[run.start - 1] <= HALF_DAY and history.total[run.start - 1]:
        run = slice(run.start - 1, run.stop)  # it fell silent in the middle of a day
    hit, days = evidence.fed_by(source), history.days[run]
    started = as_date(days[0])
    return [
        Finding(
            kind="source_stopped",
            severity="critical" if hit else "error",
            source=source,
            destinations=hit,
            started_on=started,
            ended_on=None if run.stop > last else as_date(days[-1]),
            messages_affected=round(float((usual - history.total)[run].sum())),
            windows=windows_of(hit, days),
            claims=tuple(
                Claim(as_date(history.days[each][0]), as_date(history.days[each][-1]), source=source)
                for each in runs
            ),
            evidence={
                "silent_days": len(days),
                "last_received_at": before.isoformat(),
                "earlier": [
                    [as_date(history.days[each][0]), as_date(history.days[each][-1])] for each in runs[:-1]
                ],
                "messages_are_estimated": True,
            },
        )
    ]


def event_stopped(evidence: Evidence, claims: Claims) -> list[Finding]:
    """A name that came every day is not sent any more, while its source is."""
    findings = []
    for name, history in evidence.sources.items():
        model = forecast(history)
        for at, event in enumerate(history.events):
            runs = _runs(model.state[at] == SILENT)
            # A name that nobody planned or listed may go as it came, even where every name is taken.
            if not runs or not (history.planned[at] or evidence.listed(name, event)):
                continue
            hit, run = evidence.waiting(name, event), runs[-1]
            days = history.days[run]
            ended = as_date(days[-1]) if run.stop < len(history.days) else None
            usual = model.base[at, run]
            findings.append(
                Finding(
                    kind="event_stopped",
                    severity="error" if hit else "warning",
                    source=name,
                    event=event,
                    destinations=hit,
                    started_on=as_date(days[0]),
                    ended_on=ended,
                    messages_affected=max(1, round(float(usual.sum() - history.counts[at, run].sum()))),
                    windows=windows_of(hit, days),
                    claims=tuple(
                        Claim(
                            as_date(history.days[each][0]),
                            date.max if each is run and ended is None else as_date(history.days[each][-1]),
                            source=name,
                            event=event,
                        )
                        for each in runs
                    ),
                    evidence={
                        "usual_per_day": round(float(usual.mean()), 1),
                        "silent_days": len(days),
                        "last_seen_on": _last_seen(history, at, run.start),
                        "stragglers": int(history.counts[at, run].sum()),
                        "chance": float(_chance(model, at, run)),
                        "earlier": [
                            [as_date(history.days[each][0]), as_date(history.days[each][-1])]
                            for each in runs[:-1]
                        ],
                        "messages_are_estimated": True,
                        "planned": bool(history.planned[at]),
                    },
                    explained_by=claims.of_event(name, event, as_date(days[0])),
                )
            )
    return findings


def _last_seen(history: SourceHistory, at: int, before: int) -> str | None:
    seen = np.flatnonzero(history.counts[at, :before])
    return as_date(history.days[seen[-1]]).isoformat() if len(seen) else None


def _chance(model: Forecast, at: int, run: slice) -> float:
    """How likely such a silence is by chance; not below 1e-99, which is never."""
    p = model.tail("low")[at, run]
    return float(10.0 ** max(-99.0, float(np.log10(np.maximum(p, 1e-99)).sum())))


@dataclass(frozen=True, eq=False)
class _Change:
    """A name that sent far less or far more than it should have, from one day to another."""

    row: int
    run: slice
    down: bool
    suspected: bool


def volume_anomaly(evidence: Evidence, claims: Claims) -> list[Finding]:
    """A drop or a spike that nothing else explains: of a name, of several at once, or of a whole source."""
    findings: list[Finding] = []
    for name, history in evidence.sources.items():
        model = forecast(history)
        findings += _source_drops(evidence, claims, history, model)
        changes = [
            change
            for at, event in enumerate(history.events)
            if history.planned[at] or evidence.listed(name, event)
            for change in _changes(history, model, at)
        ]
        told: list[tuple[_Change, Key | None]] = []
        explained: list[tuple[_Change, Key | None]] = []
        for change in changes:
            cause = _cause(claims, history, change)
            (told if cause is None else explained).append((change, cause))
        findings += [
            replace(_anomaly(evidence, history, model, change), explained_by=cause)
            for change, cause in explained
        ]
        findings += _told(evidence, history, model, [change for change, _ in told])
    return findings


def _changes(history: SourceHistory, model: Forecast, at: int) -> list[_Change]:
    """Changes of a name that are not long over, the latest one first told; earlier ones are its past."""
    found: list[_Change] = []
    length = len(history.days)
    for down, states in ((True, model.state[at] == LOW), (False, model.state[at] == HIGH)):
        for run in _runs(states):
            if length - run.stop > RECENT_DAYS:
                continue
            once = run.stop - run.start == 1
            doubtful = once and model.tail("low" if down else "high")[at, run.start] > CERTAIN
            moved = abs(float(history.counts[at, run].sum() - model.mu[at, run].sum()))
            if run.stop < length and (doubtful or moved < OVER_MESSAGES):
                continue  # an odd day, and then none: days are like that
            found.append(_Change(at, run, down, doubtful))
    if not found and length and not model.state[at, -1]:
        found += _last_day(history, model, at)
    return sorted(found, key=lambda change: change.run.start)


def _last_day(history: SourceHistory, model: Forecast, at: int) -> list[_Change]:
    """A last day that is far off but not beyond doubt: tomorrow says more."""
    day, count = len(history.days) - 1, float(history.counts[at, -1])
    if not model.settled[at, day] or model.carriers[day] < TRAFFIC_NAMES:
        return []
    low, high = float(model.low[at, day]), float(model.high[at, day])
    down = count <= DROP_TO * low and low - count >= DROP_MESSAGES
    up = count >= SPIKE_TO * high and count - high >= SPIKE_MESSAGES
    if not (down or up) or model.tail("low" if down else "high")[at, day] >= GREY:
        return []
    return [_Change(at, slice(day, day + 1), down, True)]


def _cause(claims: Claims, history: SourceHistory, change: _Change) -> Key | None:
    """The finding that accounts for a change: for its first days, which may be a day apart from the cause's."""
    event = history.events[change.row]
    first = as_date(history.days[change.run.start])
    last = as_date(history.days[change.run.stop - 1])
    for day in (first, min(last, first + timedelta(days=1)), last):
        cause = claims.of_event(history.source, event, day)
        if cause is not None and cause[0] != "unplanned_event":
            return cause
    return None


def _told(
    evidence: Evidence, history: SourceHistory, model: Forecast, changes: list[_Change]
) -> list[Finding]:
    """One finding for each name; names that changed together, alike and on one day, are one."""
    findings: list[Finding] = []
    together: dict[tuple[int, bool], list[_Change]] = {}
    for change in changes:
        together.setdefault((change.run.start, change.down), []).append(change)
    alone: list[_Change] = []
    for group in together.values():
        settled = int(model.settled[:, group[0].run.start].sum())
        if len(group) >= max(TOGETHER, TOGETHER_SHARE * settled):
            findings.append(_several(evidence, history, model, group))
        else:
            alone += group
    # Of one name the latest change is told, with those before it in its evidence.
    latest = {change.row: change for change in sorted(alone, key=lambda change: change.run.start)}
    for row, change in sorted(latest.items()):
        before = [each for each in alone if each.row == row and each is not change]
        findings.append(_anomaly(evidence, history, model, change, before))
    return findings


def _anomaly(
    evidence: Evidence,
    history: SourceHistory,
    model: Forecast,
    change: _Change,
    before: Sequence[_Change] = (),
) -> Finding:
    event, days = history.events[change.row], history.days[change.run]
    usual, sent = model.mu[change.row, change.run], history.counts[change.row, change.run]
    lasted = change.run.stop < len(history.days) and len(days) >= NEW_LEVEL_DAYS
    return Finding(
        kind="volume_anomaly",
        severity="warning",
        source=history.source,
        event=event,
        destinations=(hit := evidence.waiting(history.source, event)),
        started_on=as_date(days[0]),
        ended_on=as_date(days[-1]) if change.run.stop < len(history.days) else None,
        messages_affected=max(1, round(abs(float(sent.sum() - usual.sum())))),
        windows=windows_of(hit, days),
        claims=_claims(history, change),
        suspected=change.suspected,
        evidence={
            "direction": "drop" if change.down else "spike",
            "usual_per_day": round(float(usual.mean()), 1),
            "now_per_day": round(float(sent.mean()), 1),
            "ratio": round(float(sent.sum() / max(float(usual.sum()), 1e-9)), 3),
            "days": len(days),
            "traffic_of_the_source": round(float(np.median(model.traffic[change.run])), 3),
            "new_level": lasted,
            "earlier": [
                [as_date(history.days[each.run][0]), as_date(history.days[each.run][-1])] for each in before
            ],
            "messages_are_estimated": True,
            **(_silent_versions(evidence, history, change) if change.down else {}),
        },
    )


def _claims(history: SourceHistory, change: _Change) -> tuple[Claim, ...]:
    days = history.days[change.run]
    last = date.max if change.run.stop == len(history.days) else as_date(days[-1])
    return (Claim(as_date(days[0]), last, source=history.source, event=history.events[change.row]),)


def _several(evidence: Evidence, history: SourceHistory, model: Forecast, group: list[_Change]) -> Finding:
    parts = [_anomaly(evidence, history, model, change) for change in group]
    ends = [part.ended_on for part in parts]
    usual = sum(float(part.evidence["usual_per_day"]) for part in parts)
    now = sum(float(part.evidence["now_per_day"]) for part in parts)
    return replace(
        parts[0],
        event=None,
        destinations=tuple(sorted({name for part in parts for name in part.destinations})),
        ended_on=None if None in ends else max(end for end in ends if end is not None),
        messages_affected=sum(part.messages_affected for part in parts),
        windows=tuple(sorted({window for part in parts for window in part.windows})),
        claims=tuple(claim for part in parts for claim in part.claims),
        suspected=all(part.suspected for part in parts),
        evidence={
            "direction": parts[0].evidence["direction"],
            "usual_per_day": round(usual, 1),
            "now_per_day": round(now, 1),
            "ratio": round(now / max(usual, 1e-9), 3),
            "days": max(part.evidence["days"] for part in parts),
            "events": [part.event for part in parts],
            "messages_are_estimated": True,
        },
    )


def _source_drops(
    evidence: Evidence, claims: Claims, history: SourceHistory, model: Forecast
) -> list[Finding]:
    """Days on which a whole source sent under a fifth of what it sends; silent days are a source's stop."""
    findings: list[Finding] = []
    usual, length = model.base.sum(axis=0), len(history.days)
    for run in _runs(model.down & (history.total > 0)):
        days, due = history.days[run], usual[run].sum()
        if length - run.stop > RECENT_DAYS or due - history.total[run].sum() < SOURCE_MESSAGES:
            continue
        hit = evidence.fed_by(history.source)
        ended = as_date(days[-1]) if run.stop < length else None
        findings.append(
            Finding(
                kind="volume_anomaly",
                severity="warning",
                source=history.source,
                destinations=hit,
                started_on=as_date(days[0]),
                ended_on=ended,
                messages_affected=round(float(due - history.total[run].sum())),
                windows=windows_of(hit, days),
                claims=(Claim(as_date(days[0]), ended or date.max, source=history.source),),
                evidence={
                    "direction": "drop",
                    "usual_per_day": round(float(usual[run].mean()), 1),
                    "now_per_day": round(float(history.total[run].mean()), 1),
                    "ratio": round(float(history.total[run].sum() / max(float(due), 1e-9)), 3),
                    "days": len(days),
                    "messages_are_estimated": True,
                },
                explained_by=claims.of_event(history.source, None, as_date(days[0])),
            )
        )
    return findings[-1:]


def _silent_versions(evidence: Evidence, history: SourceHistory, change: _Change) -> dict[str, Any]:
    """App versions that fell silent while the others went on as before: then it is theirs, and no roll-out."""
    rows = evidence.versions
    rows = rows[
        (rows["source"] == history.source)
        & (rows["event_text"] == history.events[change.row])
        & rows["app_version"].notna()
    ]
    start = history.days[change.run.start]
    days = days_of(rows)
    before = rows[(days >= start - np.timedelta64(14, "D")) & (days < start)]
    during = rows[(days >= start) & (days <= history.days[change.run.stop - 1])]
    was = before.groupby("app_version")["messages"].sum() / max(1, before["day"].nunique())
    now = during.groupby("app_version")["messages"].sum() / max(1, change.run.stop - change.run.start)
    if was.empty:
        return {}
    now = now.reindex(was.index.union(now.index), fill_value=0.0)
    was = was.reindex(now.index, fill_value=0.0)
    silent = (was >= VERSION_SHARE * was.sum()) & (now <= VERSION_LEFT * was)
    others = float(now[~silent].sum()) / max(float(was[~silent].sum()), 1e-9)
    if not silent.any() or not abs(others - 1.0) <= VERSION_OTHERS:
        return {}
    return {"app_versions_silent": sorted(str(version) for version in was.index[silent])}


def _runs(flags: Flags) -> list[slice]:
    """Stretches of days that are true."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], flags, [False]]).astype(np.int8)))
    return [slice(int(first), int(end)) for first, end in zip(edges[::2], edges[1::2], strict=True)]
