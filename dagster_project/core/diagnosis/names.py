"""Finds names that nobody planned in a source, and names in a destination that nobody sends there."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any

import numpy as np
import pandas as pd

from dagster_project.core.diagnosis.evidence import (
    Counts,
    Days,
    Evidence,
    Flags,
    SourceHistory,
    as_date,
    days_of,
)
from dagster_project.core.diagnosis.finding import Claim, Claims, Finding, cell_claims, windows_of
from dagster_project.core.diagnosis.renames import letters, likeness
from dagster_project.core.diagnosis.usual import rates_of

UNPLANNED_DAY, UNPLANNED_TOTAL = 20, 50  # messages on one day, or in all, that are worth telling
UNPLANNED_NOTED = 5  # a tester's handful is kept, and not told
BUSY = 20  # messages a day from which one silent day means that a name is gone
QUIET_DAYS = 2  # silent days that mean nothing for a small name
NOTED_NAMES = 100  # small unplanned names kept for one source; a flood of them is one fact, not thousands
MISMATCH_ROWS = 20  # deliveries under a name that the contract does not know
ALIKE = 0.8
AGREES_UNLIKE = 0.15  # and by this when the names are not alike
AGREES = 0.35  # the wrong name's deliveries explain the missing ones when the numbers differ by no more


def unplanned_event(evidence: Evidence, claims: Claims) -> list[Finding]:
    """A name that is not in the source's tracking plan."""
    findings: list[Finding] = []
    for history in evidence.sources.values():
        totals = history.counts.sum(axis=1)
        rows = np.flatnonzero(~history.planned & (totals > 0))
        generated = history.generated
        together = sorted({row for group in generated.values() for row in group if totals[row]})
        if together:
            findings += _unplanned(evidence, claims, history, together, generated)
        apart = [row for row in rows.tolist() if row not in set(together)]
        small = 0
        for row in sorted(apart, key=lambda row: (-int(totals[row]), history.events[row])):
            found = _unplanned(evidence, claims, history, [row], {})
            small += sum(each.severity == "info" for each in found)
            if small <= NOTED_NAMES:
                findings += found
    return findings


def _unplanned(
    evidence: Evidence,
    claims: Claims,
    history: SourceHistory,
    rows: Sequence[int],
    generated: Mapping[str, Sequence[int]],
) -> list[Finding]:
    counts = history.counts[list(rows)].sum(axis=0)
    total = int(counts.sum())
    if total < UNPLANNED_NOTED:
        return []
    told = counts.max() >= UNPLANNED_DAY or total >= UNPLANNED_TOTAL
    event = None if generated else history.events[rows[0]]
    seen = np.flatnonzero(counts)
    quiet = 0 if np.median(counts[seen]) >= BUSY else QUIET_DAYS
    ended = as_date(history.days[seen[-1]]) if seen[-1] < len(history.days) - 1 - quiet else None
    started = as_date(history.days[seen[0]])
    hit = tuple(
        sorted(
            destination.name
            for destination in evidence.workspace.destinations
            if history.source in destination.sources and destination.events is None
        )
    )
    details: dict[str, Any] = {
        "most_in_a_day": int(counts.max()),
        "days_seen": len(seen),
        "first_seen_with_history": bool(seen[0] == 0),
    }
    if generated:
        details |= {
            "patterns": {pattern: len(names) for pattern, names in list(generated.items())[:10]},
            "names": len(rows),
        }
    else:
        details["planned_alike"] = _planned_alike(evidence, history, rows[0])
    return [
        Finding(
            kind="unplanned_event",
            severity="warning" if told else "info",
            source=history.source,
            event=event,
            destinations=hit,
            started_on=started,
            ended_on=ended,
            messages_affected=total,
            windows=windows_of(hit, history.days[seen]),
            claims=tuple(
                Claim(started, date.max, source=history.source, event=history.events[r]) for r in rows
            )
            if told
            else (),
            evidence=details,
            explained_by=claims.of_event(history.source, history.events[rows[0]], started)
            if not generated
            else None,
        )
    ]


def _planned_alike(evidence: Evidence, history: SourceHistory, row: int) -> list[str]:
    """Planned names that this one may have been meant to be."""
    plan = evidence.workspace.plan_for(history.source)
    name = history.events[row]
    if len(plan.events) > 2000:
        return sorted(planned for planned in plan.events if letters(planned) == letters(name))[:3]
    ranked = sorted(((likeness(planned, name), planned) for planned in plan.events), reverse=True)
    return [planned for alike, planned in ranked[:3] if alike >= ALIKE]


def name_mismatch(evidence: Evidence, claims: Claims) -> list[Finding]:
    """A destination holds a name that, by its contract, nobody sends to it."""
    table = evidence.delivery_names
    inside = (
        (days_of(table) >= np.datetime64(evidence.first_day, "D"))
        & (days_of(table) <= np.datetime64(evidence.last_day, "D") + np.timedelta64(1, "D"))
        & ~table["routable"].to_numpy()
        & (table["deliveries"].to_numpy() > 0)
        & table["destination"].isin(list(evidence.destinations)).to_numpy()
    )
    wrong = table[inside]
    missed = _missing(evidence, claims)
    findings: list[Finding] = []
    for (destination, name), rows in wrong.groupby(["destination", "event_name"], sort=True):
        if int(rows["deliveries"].sum()) < MISMATCH_ROWS:
            continue
        findings.append(_mismatch(evidence, claims, str(destination), str(name), rows, missed))
    return findings


def _mismatch(
    evidence: Evidence,
    claims: Claims,
    destination: str,
    name: str,
    rows: pd.DataFrame,
    missed: pd.DataFrame,
) -> Finding:
    by_day = rows.groupby("day", sort=True)["deliveries"].sum()
    days: Days = by_day.index.to_numpy(dtype="datetime64[D]")
    counts: Counts = by_day.to_numpy(dtype=np.int64)
    total = int(counts.sum())
    routes = evidence.destinations[destination].events or ()
    alike = sorted(
        ((_alike(route.destination_name, route.event, name), route.event) for route in routes), reverse=True
    )
    alike = [(score, event) for score, event in alike if score >= ALIKE]
    own = missed[missed["destination"] == destination]
    closest, explained, agree, hurt = None, 0, False, False
    for event in [*(event for _, event in alike), *_replaced(own, days, counts)]:
        lost = own[(own["event"] == event) & np.isin(days_of(own), days)]
        if len(lost) and lost["over"].any():
            closest, explained, hurt = event, int(lost["missing"].sum()), True
            same_days = counts[np.isin(days, days_of(lost))].sum()
            agree = abs(explained - int(same_days)) <= AGREES * max(explained, 1)
            break
    if closest is None and alike:
        closest = alike[0][1]
    judged = evidence.judged[evidence.judged["destination"] == destination]
    ended = _ended(days, counts, days_of(judged))
    return Finding(
        kind="name_mismatch",
        severity="error" if hurt else "warning",
        event=name,
        destinations=(destination,),
        started_on=as_date(days[0]),
        ended_on=ended,
        messages_affected=total,
        windows=windows_of([destination], days),
        claims=cell_claims(destination, closest, days, {"missing"}) if agree else (),
        share_explained=round(min(1.0, total / explained), 4) if explained else None,
        evidence={
            "closest_expected": closest,
            "missing_under_closest": explained,
            "counts_agree": agree,
            "deliveries_by_day": {
                as_date(day).isoformat(): int(n) for day, n in zip(days, counts, strict=True)
            },
        },
        explained_by=_sender(evidence, claims, destination, name, as_date(days[-1])),
    )


def _replaced(own: pd.DataFrame, days: Days, counts: Counts) -> list[str]:
    """Events that went missing when the wrong name came, in nearly its number: names may share no letter."""
    found = []
    for event, lost in own[own["over"].to_numpy(dtype=bool)].groupby("event", sort=True):
        total = int(lost["missing"].sum())
        near = abs(int((days_of(lost).min() - days[0]).astype(int))) <= 1
        if near and abs(total - int(counts.sum())) <= AGREES_UNLIKE * total:
            found.append(str(event))
    return found


def _sender(evidence: Evidence, claims: Claims, destination: str, name: str, day: date) -> Any:
    """The finding that already tells of this name: it was renamed to it, or nobody planned it in a source."""
    for source in evidence.destinations[destination].sources:
        history = evidence.sources.get(source)
        if history is not None and name in history.row:
            owner = claims.of_event(source, name, day)
            if owner is not None and owner[0] in ("event_renamed", "unplanned_event"):
                return owner
    return None


def _alike(there: str, here: str, name: str) -> float:
    if letters(name) and letters(name) in (letters(there), letters(here)):
        return 1.0
    return max(likeness(there, name), likeness(here, name))


def _missing(evidence: Evidence, claims: Claims) -> pd.DataFrame:
    """Judged cells with missing messages, and whether they are beyond their limit."""
    cells = evidence.judged
    over: Flags = evidence.grid.rows(rates_of(evidence, claims, "missing").beyond)
    return cells.assign(over=over)[cells["missing"].to_numpy() > 0]


def _ended(days: Days, counts: Counts, judged: Days) -> date | None:
    """The last day, when the destination has had enough clean days since; None while it goes on."""
    quiet = 0 if np.median(counts) >= BUSY else QUIET_DAYS
    return as_date(days[-1]) if (judged > days[-1]).sum() > quiet else None
