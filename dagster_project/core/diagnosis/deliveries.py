"""Finds what does not arrive at all: an export that is missing or cut short, and deliveries that stopped."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

import numpy as np
import pandas as pd

from dagster_project.core.diagnosis.evidence import (
    Counts,
    Days,
    Evidence,
    Flags,
    as_date,
    days_of,
    positions,
    spans,
)
from dagster_project.core.diagnosis.finding import Claims, Finding, cell_claims, merged, windows_of
from dagster_project.core.diagnosis.rates import beyond_beside
from dagster_project.core.diagnosis.usual import rates_of

# Messages that should have arrived over all silent days before silence means a stop. The chance of none of 14
# is e^-14, below one in a million; of 20 it stays there when days are uneven.
LEAST_EXPECTED = 20
STRAGGLERS = 0.02  # of the expected may still trickle in from retries
TRICKLE = 0.10  # an hour that holds no more of its messages than this is silent
# An export that comes in batches may stay away for so many days before it counts as stopped; of one whose
# habits nobody knows yet, for one day.
LATE_DAYS_BATCH, LATE_DAYS = 3, 1
HOLE_DAYS = 2  # days in a row that a lost file explains
HABIT_DAYS = 3  # days whose arrival earlier runs have seen
TAIL_EXPECTED = 10  # messages expected after the last delivered hour of a day that was cut short
CUT_HOUR_SHARE = 0.25  # of the last delivered hour must be missing for the cut to lie inside it
HEAD_SHARE = 0.70  # before the cut, this part of the destination's usual share must have arrived
WIDE_SHARE = 0.60  # stopped together: this part of a destination's events makes it the destination's fault
TOGETHER_DAYS = 1  # events that stop within a day of each other stopped together
READ_MIDWAY = 0.05  # of a day's messages; a smaller loss is a loss as on other days
UNMATCHED = 0.20  # missing and unexpected of one cell are the same messages when they differ by no more


def export_incomplete(evidence: Evidence, claims: Claims) -> list[Finding]:
    """A destination's own record cannot be read, lacks whole days, or ends in the middle of a day."""
    findings = []
    rows = positions(evidence.judged, "destination")
    for destination in evidence.destinations:
        cells = evidence.judged.iloc[rows.get(destination, np.array([], dtype=np.int64))]
        problem, broken = _health(evidence, destination)
        absent, earlier, later = _absent_days(cells)
        cut, tails = _cut_days(evidence, destination, cells)
        hole = absent if not len(earlier) and not len(later) else absent[_between(absent, earlier, later)]
        if len(earlier):
            hole = _short(hole)
        # Cut short and silent ever since is no lost tail: deliveries stopped in the middle of that day.
        stopped = np.setdiff1d(absent, hole) - np.timedelta64(1, "D")
        cut = cut[~np.isin(cut, stopped)]
        parts: list[Finding] = []
        if broken:
            parts.append(_broken(evidence, destination, cells, problem, absent))
        elif len(hole):
            # A hole lies between delivered days. Before the first delivery there was no export yet; after
            # the last one deliveries have stopped, which delivery_stopped tells.
            parts.append(_whole_days(destination, cells, hole, never=not len(earlier)))
        if len(cut):
            kept = {day.isoformat() for day in cut.astype(object)}
            short = _cut(destination, cells, cut, {day: t for day, t in tails.items() if day in kept})
            if parts and parts[0].evidence.get("nothing_due_is_missing"):
                told = {"problem": problem, "reason": "unreadable"}
                parts = [replace(short, ended_on=None, evidence=short.evidence | told)]
            else:
                parts.append(short)
        if parts:
            findings.append(merged(parts))
    return findings


def _health(evidence: Evidence, destination: str) -> tuple[str | None, bool]:
    rows = evidence.export_health[evidence.export_health["destination"] == destination]
    bad = rows[rows["status"].notna() & (rows["status"] != "ok")]
    if bad.empty:
        return None, False
    return "; ".join(text for text in bad["problem"].dropna()) or None, True


def _absent_days(cells: pd.DataFrame) -> tuple[Days, Days, Days]:
    """Days without a delivery though some was expected, and the delivered days around them."""
    if cells.empty:
        none = np.array([], dtype="datetime64[D]")
        return none, none, none
    by_day = (
        cells.assign(lively=_lively(cells))
        .groupby("day", sort=True)[["exported", "expected", "delivered", "unexpected", "lively"]]
        .sum()
    )
    days: Days = by_day.index.to_numpy(dtype="datetime64[D]")
    expected = by_day["expected"].to_numpy()
    # A few rows of other days, or of nobody, do not make a day that is there.
    strays = by_day["delivered"].to_numpy() + by_day["unexpected"].to_numpy() <= STRAGGLERS * expected
    strays &= by_day["lively"].to_numpy() == 0
    there = (by_day["exported"].to_numpy() > 0) & ~strays
    absent = days[~there & (expected > 0)]
    if not len(absent) or expected[~there].sum() < LEAST_EXPECTED:
        absent = absent[:0]
    present = days[there]
    if not len(absent):
        return absent, present, present[:0]
    return absent, present[present < absent[-1]], present[present > absent[0]]


def _lively(cells: pd.DataFrame) -> Flags:
    """Cells of which most arrived, however small a part of the destination they are."""
    expected = cells["expected"].to_numpy()
    return np.asarray((expected >= 3) & (2 * cells["delivered"].to_numpy() >= expected))


def _short(hole: Days) -> Days:
    """The holes of a lost file or two. Where more days in a row are empty, deliveries had stopped."""
    kept = [
        np.arange(np.datetime64(first, "D"), np.datetime64(last, "D") + np.timedelta64(1, "D"))
        for first, last in spans(hole)
        if (last - first).days < HOLE_DAYS
    ]
    return np.concatenate(kept) if kept else hole[:0]


def _between(absent: Days, earlier: Days, later: Days) -> Flags:
    if not len(earlier) or not len(later):
        return np.zeros(len(absent), dtype=bool)
    return np.asarray((absent > earlier[0]) & (absent < later[-1]))


def _broken(
    evidence: Evidence, destination: str, cells: pd.DataFrame, problem: str | None, absent: Days
) -> Finding:
    every = evidence.cells[
        (evidence.cells["destination"] == destination)
        & ~evidence.cells["exported"]
        & (days_of(evidence.cells) >= np.datetime64(evidence.first_day, "D"))
        & (evidence.cells["expected"] + evidence.cells["pending"] > 0)
    ]
    due = every["mature"].to_numpy(dtype=bool)
    lacking = np.unique(np.concatenate([absent, days_of(every[due])]))
    # A file that is not read in full also leaves parts of days behind.
    midway = np.setdiff1d(_read_midway(cells), lacking)
    days = np.union1d(lacking, midway)
    details: dict[str, Any] = {"problem": problem, "reason": "unreadable"}
    if not len(days):
        return _nothing_due(evidence, destination, np.unique(days_of(every[~due])), details)
    details |= {"days_without_export": _dates(lacking), "days_read_in_part": _dates(midway)}
    return replace(_finding(destination, cells, days, "missing"), ended_on=None, evidence=details)


def _nothing_due(evidence: Evidence, destination: str, waiting: Days, details: dict[str, Any]) -> Finding:
    """An export that cannot be read while every day that is due is whole: time to mend it, and no loss yet."""
    # The running day is in nobody's way; a day that is over is what people will ask for next.
    waiting = waiting[waiting <= np.datetime64(evidence.last_day, "D")]
    first = waiting.min() if len(waiting) else np.datetime64(evidence.last_day, "D")
    return Finding(
        kind="export_incomplete",
        severity="warning",
        destinations=(destination,),
        started_on=as_date(first),
        windows=windows_of([destination], waiting),
        evidence=details | {"nothing_due_is_missing": True, "days_not_due": _dates(waiting)},
    )


def _read_midway(cells: pd.DataFrame) -> Days:
    """The last day with a delivery, when much of it is missing: read while it went on, and never again."""
    none = np.array([], dtype="datetime64[D]")
    there = cells[cells["exported"].astype(bool)]
    last = there[there["day"] == there["day"].max()]
    return np.unique(days_of(last)) if last["missing"].sum() > READ_MIDWAY * last["expected"].sum() else none


def _whole_days(destination: str, cells: pd.DataFrame, days: Days, *, never: bool) -> Finding:
    finding = _finding(destination, cells, days, "missing")
    reason = "never_exported" if never else "days_missing"
    ended = None if never else finding.ended_on
    return replace(finding, ended_on=ended, evidence={"days_without_export": _dates(days), "reason": reason})


def _cut_days(evidence: Evidence, destination: str, cells: pd.DataFrame) -> tuple[Days, dict[str, Any]]:
    """Days whose deliveries end at some hour for good, though the hours after it expected some."""
    none = np.array([], dtype="datetime64[D]")
    if evidence.destinations[destination].matching == "counts":
        return none, {}  # counts have no hours
    hours = evidence.hours[evidence.hours["destination"] == destination]
    mature = np.unique(days_of(cells[cells["exported"]]))
    hours = hours[np.isin(days_of(hours), mature) & (hours["hour"] < 24)]
    if hours.empty:
        return none, {}
    days, row = np.unique(days_of(hours), return_inverse=True)
    want, got = np.zeros((len(days), 24), dtype=np.int64), np.zeros((len(days), 24), dtype=np.int64)
    np.add.at(want, (row, hours["hour"].to_numpy()), hours["expected"].to_numpy())
    np.add.at(got, (row, hours["hour"].to_numpy()), hours["delivered"].to_numpy())
    # A day with one more delivery than expected is no better than full.
    share = np.minimum(got.sum(axis=1), want.sum(axis=1)) / np.maximum(want.sum(axis=1), 1)
    usual = float(np.median(share)) if len(share) else 0.0
    found, tails = [], {}
    for at in np.flatnonzero(got.sum(axis=1) > 0):
        spoke = got[at] > TRICKLE * np.maximum(want[at], 1) * usual
        if not spoke.any():
            continue
        last = int(np.flatnonzero(spoke)[-1])
        tail, head = int(want[at, last + 1 :].sum()), int(want[at, : last + 1].sum())
        silent = got[at, last + 1 :].sum() <= STRAGGLERS * tail
        if (
            tail * usual >= TAIL_EXPECTED
            and silent
            and head > 0
            and got[at, : last + 1].sum() >= HEAD_SHARE * usual * head
        ):
            # The hour of the cut is cut itself, unless the cut came at its end.
            short = int(want[at, last] - got[at, last])
            in_hour = short if short > CUT_HOUR_SHARE * want[at, last] else 0
            found.append(days[at])
            tails[as_date(days[at]).isoformat()] = {
                "last_hour": last,
                "expected_after": tail,
                "missing": tail - int(got[at, last + 1 :].sum()) + in_hour,
            }
    return np.array(found, dtype="datetime64[D]"), tails


def _cut(destination: str, cells: pd.DataFrame, days: Days, tails: dict[str, Any]) -> Finding:
    finding = _finding(destination, cells, days, "missing")
    # What was lost before the cut is the usual loss, and not of this day's.
    after = sum(tail["missing"] for tail in tails.values())
    return replace(
        finding,
        messages_affected=min(after, finding.messages_affected),
        share_explained=round(min(1.0, after / finding.messages_affected), 4)
        if finding.messages_affected
        else None,
        evidence={"days_cut_short": tails, "reason": "cut_short"},
    )


def _finding(destination: str, cells: pd.DataFrame, days: Days, column: str) -> Finding:
    hit = cells[np.isin(days_of(cells), days)]
    judged = np.unique(days_of(cells))
    return Finding(
        kind="export_incomplete",
        severity="error",
        destinations=(destination,),
        started_on=as_date(days.min()),
        ended_on=as_date(days.max()) if (judged > days.max()).any() else None,
        messages_affected=int(hit[column].sum()),
        windows=windows_of([destination], days),
        claims=cell_claims(destination, None, days, {"missing"}),
        share_explained=1.0 if int(hit[column].sum()) else None,
    )


def _dates(days: Days) -> list[str]:
    return [as_date(day).isoformat() for day in np.unique(days)][:40]


@dataclass(frozen=True, eq=False)
class _Stop:
    event: str | None  # None: the destination as a whole
    days: Days
    expected: int
    going_on: bool
    usual: float


def export_late(evidence: Evidence, claims: Claims) -> list[Finding]:
    """The newest days that are due are not there at all, and the day before them was whole.

    What comes in batches may be late by some days. A stream is never late: its silence is `delivery_stopped`.
    """
    findings = []
    cells = evidence.judged
    rows = positions(cells, "destination")
    free = ~claims.of_cells(cells, "missing")
    for destination in evidence.destinations:
        own = cells.iloc[rows.get(destination, np.array([], dtype=np.int64))]
        if own.empty:
            continue
        absent, _, later = _absent_days(own)
        trailing = _trailing(absent, own)
        batches = _in_batches(evidence, destination)
        if _speaks_after(evidence, destination, trailing):
            # Newer days are there, if not in full: nothing has stopped.
            allowed = LATE_DAYS_BATCH
        else:
            allowed = LATE_DAYS if batches is None else LATE_DAYS_BATCH if batches else 0
        if len(later) or not 0 < len(trailing) <= allowed:
            continue
        mine = np.isin(days_of(own), trailing) & free[rows[destination]]
        before = trailing[0] - np.timedelta64(1, "D")
        if not mine.any() or not (days_of(own) == before).any():
            continue
        # Cut off in the middle of the day before it is no late export: deliveries ended there.
        cut, _ = _cut_days(evidence, destination, own)
        if before in cut:
            continue
        late = own[mine]
        findings.append(
            Finding(
                kind="export_late",
                severity="error",
                destinations=(destination,),
                started_on=as_date(trailing[0]),
                messages_affected=int(late["missing"].sum()),
                windows=windows_of([destination], days_of(late)),
                claims=cell_claims(destination, None, days_of(late), {"missing"}),
                share_explained=1.0,
                evidence={
                    "days_late": _dates(days_of(late)),
                    "due_after_hours": round(
                        evidence.destinations[destination].complete_after.total_seconds() / 3600, 1
                    ),
                    "usually_there_after_hours": _usual_arrival(evidence, destination),
                },
            )
        )
    return findings


def _trailing(absent: Days, own: pd.DataFrame) -> Days:
    """The absent days after the last one that is there."""
    every = np.unique(days_of(own[own["expected"] > 0]))
    there = every[~np.isin(every, absent)]
    return absent[absent > there[-1]] if len(there) else absent[:0]


def _speaks_after(evidence: Evidence, destination: str, trailing: Days) -> bool:
    """Whether days that are not due yet have deliveries already."""
    if not len(trailing):
        return False
    cells = evidence.cells
    newer = cells[(cells["destination"] == destination) & (days_of(cells) > trailing[-1])]
    return int(newer["delivered"].sum()) > STRAGGLERS * int(newer["expected"].sum())


def _in_batches(evidence: Evidence, destination: str) -> bool | None:
    """Whether its days come as a whole, after they have ended; None while earlier runs have seen too little."""
    seen = evidence.arrivals
    seen = seen[(seen["destination"] == destination) & seen["seen_at"].notna()]
    runs = np.sort(seen["seen_at"].unique())
    seen = seen[seen["deliveries"] > 0]
    if len(runs) < HABIT_DAYS or seen.empty:
        return None
    first = seen.groupby("day")["seen_at"].min()
    # What the very first run found had come before anybody looked.
    first = first[first > runs[0]]
    if len(first) < HABIT_DAYS:
        return None
    early = sum(
        moment < _end_of(evidence, destination, pd.Timestamp(str(day))) for day, moment in first.items()
    )
    return bool(early == 0)


def _usual_arrival(evidence: Evidence, destination: str) -> float | None:
    """Hours from the end of a day to the first run that saw it, as a median; None where no run has yet."""
    seen = evidence.arrivals
    seen = seen[(seen["destination"] == destination) & (seen["deliveries"] > 0) & seen["seen_at"].notna()]
    if seen.empty:
        return None
    first = seen.groupby("day")["seen_at"].min()
    hours = [
        (moment - _end_of(evidence, destination, pd.Timestamp(str(day)))).total_seconds() / 3600
        for day, moment in first.items()
    ]
    return round(float(np.median(hours)), 1)


def _end_of(evidence: Evidence, destination: str, day: pd.Timestamp) -> pd.Timestamp:
    zone = evidence.destinations[destination].timezone
    end = (day + pd.Timedelta(days=1)).tz_localize(zone, ambiguous=True, nonexistent="shift_forward")
    return end.tz_convert("UTC").tz_localize(None)


def delivery_stopped(evidence: Evidence, claims: Claims) -> list[Finding]:
    """Nothing of an event, or nothing at all, arrives at a destination any more though it did before."""
    cells = evidence.judged
    free = ~claims.of_cells(cells, "missing")
    rates = rates_of(evidence, claims, "missing")
    series = evidence.grid.series_of_row
    findings: list[Finding] = []
    for destination, rows in positions(cells, "destination").items():
        own = cells.iloc[rows].assign(
            free=free[rows],
            usual=rates.usual[series[rows]],
            arrives=1 - rates.steady[series[rows]],
            rho=rates.rho[series[rows]],
        )
        live = set(own.loc[own["expected"] > 0, "event"])
        together = _whole_stops(own, several=len(live) > 1)
        silent = _days_in(together)
        alone = [stop for event in _silent_events(own) for stop in _event_stops(event, silent)]
        # Most events silent from the same day on: one fault, though a few still come through.
        for first in sorted({stop.days[0] for stop in alone}):
            near = [stop for stop in alone if abs(int((stop.days[0] - first).astype(int))) <= TOGETHER_DAYS]
            names = {stop.event for stop in near}
            if len(names) > 1 and len(names) >= WIDE_SHARE * len(live):
                together += near
                alone = [stop for stop in alone if stop not in near]
        if together:
            findings.append(_stopped(destination, None, together, own))
            alone = [stop for stop in alone if not np.isin(stop.days, findings[-1].evidence["_days"]).all()]
        findings += [
            _stopped(destination, event, [stop for stop in alone if stop.event == event], own)
            for event in sorted({stop.event for stop in alone if stop.event is not None})
        ]
    for finding in findings:
        finding.evidence.pop("_days")
    return findings


def _days_in(stops: list[_Stop]) -> Days:
    if not stops:
        return np.array([], dtype="datetime64[D]")
    return np.unique(np.concatenate([stop.days for stop in stops]))


def _whole_stops(own: pd.DataFrame, *, several: bool) -> list[_Stop]:
    """Stretches without any delivery at all: together even the smallest events say it."""
    table = (
        own[own["free"]]
        .assign(lively=_lively(own[own["free"]]))
        .groupby("day", sort=True, as_index=False)
        .agg(
            expected=("expected", "sum"),
            delivered=("delivered", "sum"),
            unexpected=("unexpected", "sum"),
            exported=("exported", "max"),
            arrives=("arrives", "mean"),
            lively=("lively", "max"),
        )
    )
    stops = _stretches(None, table, ~table["lively"].to_numpy(dtype=bool))
    strays = table["delivered"] + table["unexpected"] <= STRAGGLERS * table["expected"]
    there = dict(zip(days_of(table), table["exported"] & ~strays, strict=True))
    # Of the only event of a destination one can say so by name, unless there is no export at all.
    return [stop for stop in stops if several or not any(there[day] for day in stop.days)]


def _silent_events(own: pd.DataFrame) -> list[pd.DataFrame]:
    """The events with a day on which something was expected and nothing came; most have none."""
    expected, delivered = own["expected"].to_numpy(), own["delivered"].to_numpy()
    quiet = (expected > 0) & (delivered <= STRAGGLERS * expected) & own["free"].to_numpy()
    names = set(own["event"].to_numpy(dtype=object)[quiet])
    return [rows for name, rows in own.groupby("event", sort=True) if name in names]


def _event_stops(cells: pd.DataFrame, silent: Days) -> list[_Stop]:
    free = cells["free"].to_numpy() & ~np.isin(days_of(cells), silent)
    return _stretches(str(cells["event"].iloc[0]), cells, free)


def _stretches(event: str | None, cells: pd.DataFrame, free: Flags) -> list[_Stop]:
    """Stretches of days without a delivery, after a delivered day, on which enough was expected."""
    expected: Counts = cells["expected"].to_numpy()
    arrives = cells["arrives"].to_numpy()
    delivered: Counts = cells["delivered"].to_numpy()
    unexpected: Counts = cells["unexpected"].to_numpy()
    days = days_of(cells)
    # Days on which as much came that matches nothing are not silent: `unmatched` tells of them.
    spoke = (
        (delivered > STRAGGLERS * expected)
        | ~free
        | ((unexpected >= (1 - UNMATCHED) * expected) & (expected > 0))
    )
    runs: list[tuple[list[int], bool]] = []
    run: list[int] = []
    seen = False
    for day in range(len(days)):
        if spoke[day]:
            runs.append((run, False))
            seen, run = seen or bool(delivered[day] > 0), []
        elif expected[day] > 0 and seen:  # days without expectation neither begin nor end a stretch
            run.append(day)
    runs.append((run, True))
    stops = []
    for run, going_on in runs:
        if run and float((expected[run] * arrives[run]).sum()) >= LEAST_EXPECTED:
            before = delivered[: run[0]]
            usual = float(np.median(before[before > 0][-14:]))
            stops.append(_Stop(event, days[run], int(expected[run].sum()), going_on, usual))
    return stops


def _edges(own: pd.DataFrame, days: Days) -> Days:
    """The days beside a stretch on which part was lost: a stop seldom begins or ends at midnight."""
    found = [days]
    every = days_of(own)
    for first, last in spans(days):
        for near in (first - timedelta(days=1), last + timedelta(days=1)):
            rows = own[(every == np.datetime64(near, "D")) & own["free"].to_numpy()]
            if len(rows) and beyond_beside(
                rows["missing"].to_numpy(),
                rows["expected"].to_numpy(),
                rows["usual"].to_numpy(),
                rows["rho"].to_numpy(),
            ):
                found.append(np.array([near], dtype="datetime64[D]"))
    return np.unique(np.concatenate(found))


def _stopped(destination: str, event: str | None, stops: list[_Stop], own: pd.DataFrame) -> Finding:
    names = {stop.event for stop in stops if stop.event is not None}
    # One stretch of the whole destination covers its events; else only those that stopped are meant.
    whole = any(stop.event is None for stop in stops)
    of_event = own if whole else own[own["event"].isin(list(names))]
    silent = _days_in(stops)
    days = _edges(of_event, silent)
    going_on = any(stop.going_on for stop in stops)
    hit = of_event[np.isin(days_of(of_event), days) & of_event["free"].to_numpy()]
    # What still waits for its own time has not arrived either.
    missing = int((hit["missing"] + hit["pending"]).sum())
    details: dict[str, Any] = {
        "expected": int(hit["expected"].sum()),
        "delivered": int(hit["delivered"].sum()),
        "usual_per_day": round(sum({stop.event: stop.usual for stop in stops}.values()), 1),
        "silent_days": len(silent),
        "_days": days,
    }
    if event is None:
        details["events"] = sorted(set(hit.loc[hit["missing"] > 0, "event"]))[:40]
        details["whole_export_absent"] = not bool(own[np.isin(days_of(own), silent)]["exported"].any())
    return Finding(
        kind="delivery_stopped",
        severity="critical" if event is None else "error",
        event=event,
        destinations=(destination,),
        started_on=as_date(days[0]),
        ended_on=None if going_on else as_date(days[-1]),
        messages_affected=missing,
        windows=windows_of([destination], days),
        claims=tuple(
            claim
            for name in ([None] if whole else sorted(names))
            for claim in cell_claims(destination, name, days, {"missing"})
        ),
        share_explained=1.0 if missing else None,
        evidence=details,
    )


def unmatched(evidence: Evidence, claims: Claims) -> list[Finding]:
    """Deliveries are there, in the right number, and match nothing: their ids or times changed shape."""
    cells = evidence.judged
    missing, unexpected = cells["missing"].to_numpy(), cells["unexpected"].to_numpy()
    same = (
        (missing >= LEAST_EXPECTED)
        & (2 * missing > cells["expected"].to_numpy())
        & (np.abs(missing - unexpected) <= UNMATCHED * missing)
        & ~claims.of_cells(cells, "missing")
        & ~claims.of_cells(cells, "unexpected")
    )
    findings = []
    for destination, rows in cells[same].groupby("destination", sort=True):
        days = np.unique(days_of(rows))
        events = sorted(set(rows["event"]))
        judged = np.unique(days_of(cells[cells["destination"] == destination]))
        live = set(cells[(cells["destination"] == destination) & (cells["expected"] > 0)]["event"])
        wide = len(events) > 1 and len(events) >= WIDE_SHARE * len(live)
        for event in [None] if wide else events:
            own = rows if event is None else rows[rows["event"] == event]
            hit = np.unique(days_of(own))
            findings.append(
                Finding(
                    kind="unexplained",
                    severity="error",
                    event=event,
                    destinations=(str(destination),),
                    started_on=as_date(hit[0]),
                    ended_on=as_date(hit[-1]) if (judged > hit[-1]).any() else None,
                    messages_affected=int(own["missing"].sum()),
                    windows=windows_of([str(destination)], hit),
                    claims=cell_claims(str(destination), event, hit, {"missing", "unexpected"}),
                    share_explained=1.0,
                    evidence={
                        "reason": "unmatched",
                        "missing": int(own["missing"].sum()),
                        "unexpected": int(own["unexpected"].sum()),
                        "events": events[:40],
                        "days": _dates(days),
                    },
                )
            )
    return findings
