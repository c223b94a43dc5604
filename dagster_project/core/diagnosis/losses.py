"""Finds what arrives in part, twice, or though nobody sent it: shares beyond what is usual for the event."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from typing import Any

import numpy as np
import pandas as pd

from dagster_project.core.diagnosis.evidence import Evidence, Flags, as_date, days_of
from dagster_project.core.diagnosis.finding import Claims, Finding, cell_claims, windows_of
from dagster_project.core.diagnosis.tolerance import breaches, exceeds, limits

WIDE_SHARE = 0.60  # hit on one day: this part of a destination's events makes it one fault of the destination
GROUP_EVENTS = 3  # so many events that begin together at a like rate share a cause, too
GROUP_DAYS, GROUP_RATE = 1, 2.0
WHOLE_BATCH = 0.10  # a surplus this close to one, two, ... times the expected is a day that was counted twice
UNEXPLAINED_ERROR = 0.05  # a surplus of this share holds the gate; a smaller one is told
DIFFERENCE_OF = {"missing": "missing", "duplicates": "duplicate", "unexpected": "unexpected"}


@dataclass(frozen=True)
class _Family:
    kind: str
    column: str  # of the cells
    severity: str | None  # None: by its share


def delivery_loss(evidence: Evidence, claims: Claims) -> list[Finding]:
    """A part of what was expected is missing, more than is usual for the event."""
    cells = evidence.judged
    free = ~claims.of_cells(cells, "missing") & cells["exported"].to_numpy()
    return _findings(evidence, _Family("delivery_loss", "missing", "error"), free)


def duplicate_delivery(evidence: Evidence, claims: Claims) -> list[Finding]:
    """A destination holds messages twice, more than is usual for the event."""
    cells = evidence.judged
    free = ~claims.of_cells(cells, "duplicate")
    found = _findings(evidence, _Family("duplicate_delivery", "duplicates", "error"), free)
    counted = _counted_twice(evidence, claims)
    if counted.any():
        found += _findings(evidence, _Family("duplicate_delivery", "unexpected", "error"), counted)
    return found


def unexplained(evidence: Evidence, claims: Claims) -> list[Finding]:
    """A destination holds more than was sent, and no other finding accounts for it."""
    cells = evidence.judged
    free = ~claims.of_cells(cells, "unexpected")
    return _findings(evidence, _Family("unexplained", "unexpected", None), free)


def _counted_twice(evidence: Evidence, claims: Claims) -> Flags:
    """Where only counts are known, a whole multiple of the expected is a batch that was loaded again."""
    cells = evidence.judged
    expected = cells["expected"].to_numpy()
    times = cells["unexpected"].to_numpy() / np.maximum(expected, 1)
    whole = (np.rint(times) >= 1) & (np.abs(times - np.rint(times)) <= WHOLE_BATCH)
    by_counts = (cells["matched_by"] == "counts").to_numpy(dtype=bool)
    return np.asarray(by_counts & (expected > 0) & whole & ~claims.of_cells(cells, "unexpected"))


def _findings(evidence: Evidence, family: _Family, free: Flags) -> list[Finding]:
    hit = breaches(evidence, family.column, free)
    if not hit.any():
        return []
    cells = evidence.judged
    limit = limits(evidence, family.column)
    work = cells.assign(
        count=cells[family.column],
        hit=hit,
        free=free,
        limit=limit.share,
        floor=limit.floor,
        wide=False,
    )
    findings = []
    for destination, own in work.groupby("destination", sort=True):
        if not own["hit"].any():
            continue
        own = own.assign(wide=_wide(own))
        together = own[own["wide"]]
        if len(together):
            findings.append(_finding(family, str(destination), None, together, own))
        rest = own[own["hit"] & ~own["wide"]]
        findings += [
            _finding(family, str(destination), str(event), rows, own)
            for event, rows in rest.groupby("event", sort=True)
        ]
    return findings


def _wide(own: pd.DataFrame) -> Flags:
    """The cells of a destination that share one fault: most of its events on a day, or several alike."""
    wide = np.zeros(len(own), dtype=bool)
    days, hit = days_of(own), own["hit"].to_numpy()
    count, expected = own["count"].to_numpy(), own["expected"].to_numpy()
    free, events = own["free"].to_numpy(), own["event"].to_numpy(dtype=object)
    for day in np.unique(days[hit]):
        rows = (days == day) & free & (expected > 0)
        struck = rows & hit
        if struck.sum() < 2:
            continue
        # Events so small that the common rate could not show on them have no say.
        rate = count[struck].sum() / max(1, expected[struck].sum())
        could = rows & exceeds(
            np.floor(expected * rate).astype(np.int64),
            expected,
            own["limit"].to_numpy(),
            own["floor"].to_numpy(),
        )
        if struck.sum() >= WIDE_SHARE * max(1, (could | struck).sum()):
            wide |= rows
    wide |= _alike(own, hit & ~wide, events)
    if wide.any():
        # The days beside: an event that shares the fault shares its half first and half last day.
        inside = np.unique(days[wide])
        near = np.isin(
            days, np.concatenate([inside - np.timedelta64(1, "D"), inside + np.timedelta64(1, "D")])
        )
        wide |= hit & near & np.isin(events.astype(str), np.unique(events[wide & hit].astype(str)))
    return np.asarray(wide)


def _alike(own: pd.DataFrame, hit: Flags, events: np.ndarray[Any, Any]) -> Flags:
    """Several events that begin on the same day at a like rate, though they are few among many."""
    alike = np.zeros(len(own), dtype=bool)
    if len(set(events[hit])) < GROUP_EVENTS:
        return alike
    table = (
        own[hit]
        .groupby("event", sort=True)
        .agg(first=("day", "min"), count=("count", "sum"), expected=("expected", "sum"))
    )
    first = table["first"].to_numpy(dtype="datetime64[D]")
    rate = table["count"].to_numpy() / np.maximum(table["expected"].to_numpy(), 1)
    names = table.index.to_numpy(dtype=object)
    for at in np.argsort(first, kind="stable"):
        mates = (
            (np.abs((first - first[at]).astype(np.int64)) <= GROUP_DAYS)
            & (rate <= rate[at] * GROUP_RATE)
            & (rate >= rate[at] / GROUP_RATE)
        )
        if mates.sum() >= GROUP_EVENTS:
            members = set(names[mates])
            alike |= hit & np.fromiter((event in members for event in events), bool, len(events))
            break
    return alike


def _finding(
    family: _Family, destination: str, event: str | None, rows: pd.DataFrame, own: pd.DataFrame
) -> Finding:
    days = np.unique(days_of(rows))
    affected, expected = int(rows["count"].sum()), int(rows["expected"].sum())
    in_windows = int(own.loc[np.isin(days_of(own), days), "count"].sum())
    share = affected / expected if expected else None
    severity = family.severity or ("error" if share is None or share >= UNEXPLAINED_ERROR else "warning")
    difference = DIFFERENCE_OF[family.column]
    struck = rows[rows["hit"]]
    claims = (
        # Among many events only those of the group are accounted for, the others may have their own story.
        tuple(
            claim
            for name, mine in rows.groupby("event", sort=True)
            for claim in cell_claims(destination, str(name), days_of(mine), {difference})
        )
        if event is None
        else cell_claims(destination, event, days, {difference})
    )
    details: dict[str, Any] = {
        "expected": expected,
        "share": round(share, 4) if share is not None else None,
        "usual_share_at_most": round(float(rows["limit"].max()), 4),
        "days": [as_date(day).isoformat() for day in days][:40],
        "matched_by": sorted({str(by) for by in rows["matched_by"].dropna()}),
    }
    if event is None:
        details["events"] = {
            str(name): {
                "messages": int(mine["count"].sum()),
                "share": round(float(mine["count"].sum() / max(1, mine["expected"].sum())), 4),
            }
            for name, mine in list(struck.groupby("event", sort=True))[:40]
        }
    return Finding(
        kind=family.kind,
        severity=severity,
        event=event,
        destinations=(destination,),
        started_on=as_date(days[0]),
        ended_on=_ended(rows, own),
        messages_affected=affected,
        windows=windows_of([destination], days),
        claims=claims,
        share_explained=round(affected / in_windows, 4) if in_windows else None,
        evidence=details,
    )


def _ended(rows: pd.DataFrame, own: pd.DataFrame) -> date | None:
    """The last day hit, when enough messages have come without the fault since; else it goes on."""
    last = days_of(rows).max()
    since = own[(days_of(own) > last) & own["event"].isin(rows["event"].unique()) & own["exported"]]
    expected = int(since["expected"].sum())
    rate = rows["count"].sum() / max(1, rows["expected"].sum())
    # A small event may have no loss on a day by luck; three lost rows should have shown.
    return as_date(last) if expected * rate >= 3 else None
