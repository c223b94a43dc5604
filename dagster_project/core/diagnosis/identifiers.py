"""Finds a source that sends an identifier in a form that a destination refuses."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from typing import Any

import numpy as np
import pandas as pd

from dagster_project.core.diagnosis.evidence import Counts, Evidence, as_date, days_of
from dagster_project.core.diagnosis.finding import Claims, Finding, windows_of
from dagster_project.core.plan.patterns import fits_whole, unusable_pattern

LEAST_MESSAGES, LEAST_SHARE = 20, 0.05  # of an event's messages, on one day or in a week
POOL_DAYS = 7
LOST_SHARE = 0.05  # what a destination must lose of an event before its gate is held
ALL_EVENTS = 0.80  # so many of a source's checked events make it the source's fault
SHAPES_AGREE = 0.8  # the source's own shapes show at least this part of what was refused
NO_VALUE = ("empty", "null")  # no identifier is another matter than a wrong one
# What a value of each shape looks like, to tell which identifier it was that did not fit.
EXAMPLES = {
    "uuid": "123e4567-e89b-42d3-a456-426614174000",
    "email": "name@example.com",
    "integer": "12345",
    "empty": "",
}


def identifier_format(evidence: Evidence, claims: Claims) -> list[Finding]:
    """Messages are kept from a destination because an identifier is not in the form it demands."""
    table = evidence.not_expected
    bad = table[
        (table["reason"] == "bad_identifier")
        & (table["messages"] > 0)
        & table["event"].notna()
        & table["destination"].isin(list(evidence.destinations))
        & (days_of(table) >= np.datetime64(evidence.first_day, "D"))
        & (days_of(table) <= np.datetime64(evidence.last_day, "D"))
    ]
    hits: list[pd.DataFrame] = []
    for (source, event, destination), rows in bad.groupby(["source", "event", "destination"], sort=True):
        hit = _hit_days(evidence, str(source), str(event), rows)
        if len(hit):
            name = _identifier(evidence, str(source), str(event), str(destination), hit)
            hits.append(hit.assign(identifier=name))
    if not hits:
        return []
    found = pd.concat(hits, ignore_index=True)
    findings: list[Finding] = []
    for (source, identifier), rows in found.groupby(["source", "identifier"], sort=True):
        events = sorted(set(rows["event"]))
        checked = _checked(evidence, str(source), rows, str(identifier))
        everywhere = len(events) > 1 and len(events) >= ALL_EVENTS * len(checked | set(events))
        groups: Sequence[tuple[str | None, pd.DataFrame]] = (
            [(None, rows)] if everywhere else [(event, rows[rows["event"] == event]) for event in events]
        )
        findings += [_finding(evidence, str(source), event, str(identifier), own) for event, own in groups]
    return findings


def _hit_days(evidence: Evidence, source: str, event: str, rows: pd.DataFrame) -> pd.DataFrame:
    """The days of one event at one destination on which the share is too large to be a stray value."""
    landed = days_of(rows) <= np.datetime64(evidence.last_complete_day(source), "D")
    if int(rows["messages"].to_numpy()[landed].sum()) < LEAST_MESSAGES:
        return rows.iloc[:0]
    # A day that is still landing has refused messages before it has all of its messages.
    by_day = (
        rows[landed]
        .groupby(["source", "event", "destination", "day"], as_index=False, sort=True)
        .agg(messages=("messages", "sum"))
    )
    days, bad = days_of(by_day), by_day["messages"].to_numpy()
    history = evidence.sources.get(source)
    every = np.arange(days[0], days[-1] + np.timedelta64(1, "D"), dtype="datetime64[D]")
    all_bad = np.zeros(len(every), dtype=np.int64)
    at = (days - days[0]).astype(np.int64)
    all_bad[at] = bad
    all_sent = history.messages_on(event, every) if history is not None else np.zeros_like(all_bad)
    sent = np.maximum(all_sent[at], bad)  # the destination's day and the workspace's are not the same hours
    hit = (bad >= LEAST_MESSAGES) & (bad >= LEAST_SHARE * sent)
    week_bad, week_sent = _weekly(all_bad), _weekly(all_sent)
    bad_weeks = (week_bad >= LEAST_MESSAGES) & (week_bad >= LEAST_SHARE * np.maximum(week_sent, week_bad))
    # A day counts with every week that it is part of.
    inside = np.convolve(bad_weeks[::-1], np.ones(POOL_DAYS), "full")[: len(every)][::-1] > 0
    hit |= inside[at] & (bad >= LEAST_SHARE * sent)
    if hit.any():
        # Between the first and the last such day the stray ones belong to it.
        inside = (days >= days[hit].min()) & (days <= days[hit].max())
        kept: pd.DataFrame = by_day[inside]
        return kept.reset_index(drop=True)
    return by_day.iloc[:0]


def _weekly(counts: Counts) -> Counts:
    """Sums over the last `POOL_DAYS` days."""
    return np.asarray(np.convolve(counts, np.ones(POOL_DAYS, dtype=np.int64), "full")[: len(counts)])


def _identifier(evidence: Evidence, source: str, event: str, destination: str, hit: pd.DataFrame) -> str:
    """Which identifier it was: the one whose values do not have the demanded form on these days."""
    demanded = [each for each in evidence.destinations[destination].identifiers if each.format is not None]
    if not demanded:
        return "user_id"
    if len(demanded) == 1:
        return demanded[0].name
    shapes = _shapes(evidence, source, [event], hit)
    wrong = {
        each.name: sum(
            count
            for (name, shape), count in shapes.items()
            if name == each.name and shape not in NO_VALUE and not _fits(each.pattern, shape)
        )
        for each in demanded
    }
    return max(demanded, key=lambda each: wrong[each.name]).name


def _fits(pattern: str | None, shape: str) -> bool:
    if pattern is None or shape not in EXAMPLES:
        return False
    return unusable_pattern(pattern) is None and fits_whole(pattern, EXAMPLES[shape])


def _shapes(
    evidence: Evidence, source: str, events: list[str], hit: pd.DataFrame
) -> dict[tuple[str, str], int]:
    table = evidence.identifier_shapes
    rows = table[
        (table["source"] == source)
        & table["event"].isin(events)
        & np.isin(days_of(table), np.unique(days_of(hit)))
        & table["identifier"].notna()
        & table["shape"].notna()
    ]
    return {
        (str(name), str(shape)): int(own["messages"].sum())
        for (name, shape), own in rows.groupby(["identifier", "shape"], sort=True)
    }


def _checked(evidence: Evidence, source: str, rows: pd.DataFrame, identifier: str) -> set[str]:
    """The events of a source whose identifier some of these destinations check, if they could show the fault.

    At the share of the others, they must have sent enough since it began.
    """
    history = evidence.sources.get(source)
    if history is None:
        return set()
    began = (days_of(rows).min() - history.days[0]).astype(np.int64)
    since = history.counts[:, max(0, int(began)) :].sum(axis=1)
    hit = sorted(set(rows["event"]))
    sent = np.array([since[history.row[event]] for event in hit if event in history.row])
    refused = rows.groupby(["event", "destination"])["messages"].sum().groupby("event").max()
    share = float(np.median(refused.to_numpy()[: len(sent)] / np.maximum(sent, 1))) if len(sent) else 1.0
    checking = {
        name
        for name in set(rows["destination"])
        if any(each.name == identifier and each.format for each in evidence.destinations[name].identifiers)
    }
    return {
        event
        for at, event in enumerate(history.events)
        if since[at] * min(1.0, share) >= 2 * LEAST_MESSAGES
        and set(evidence.routed(source, event)) & checking
    }


def _finding(
    evidence: Evidence, source: str, event: str | None, identifier: str, rows: pd.DataFrame
) -> Finding:
    events = sorted(set(rows["event"]))
    by_destination = rows.groupby("destination", sort=True)["messages"].sum()
    destinations = tuple(str(name) for name in by_destination.index)
    lost = {name: _lost_share(evidence, name, rows[rows["destination"] == name]) for name in destinations}
    shapes = {
        shape: count
        for (name, shape), count in _shapes(evidence, source, events, rows).items()
        if name == identifier
    }
    started, affected = _at_source(evidence, source, events, identifier, rows)
    demanded = {
        name: each.format
        for name in destinations
        for each in evidence.destinations[name].identifiers
        if each.name == identifier and each.format
    }
    return Finding(
        kind="identifier_format",
        severity="error" if max(lost.values()) > LOST_SHARE else "warning",
        source=source,
        event=event,
        identifier=identifier,
        destinations=destinations,
        started_on=started,
        ended_on=_ended(evidence, source, events, rows),
        messages_affected=affected,
        windows=tuple(
            window
            for name in destinations
            for window in windows_of([name], days_of(rows[rows["destination"] == name]))
        ),
        evidence={
            "messages_by_destination": {name: int(by_destination[name]) for name in destinations},
            "lost_share_by_destination": {name: round(share, 4) for name, share in lost.items()},
            "demanded_format": demanded,
            "shapes": shapes,
            "events": events[:40],
        },
    )


def _at_source(
    evidence: Evidence, source: str, events: list[str], identifier: str, rows: pd.DataFrame
) -> tuple[date, int]:
    """Since when and how often the source sends the odd form, in the days of the workspace.

    Destinations refuse the same messages, each in days of its own, so the source is asked first. Where its
    shapes do not show the fault, the destination that refused most answers.
    """
    refused = int(rows.groupby("destination")["messages"].sum().max())
    days = days_of(rows)
    patterns = [
        each.pattern
        for name in sorted(set(rows["destination"]))
        for each in evidence.destinations[name].identifiers
        if each.name == identifier and each.pattern is not None
    ]
    # "other" is odd only where the demanded form is one that has a shape of its own.
    known = bool(patterns) and any(_fits(patterns[0], shape) for shape in EXAMPLES)
    table = evidence.identifier_shapes
    odd = table[
        (table["source"] == source)
        & table["event"].isin(events)
        & (table["identifier"] == identifier)
        & ~table["shape"].isin(NO_VALUE)
        & (days_of(table) >= days.min() - np.timedelta64(1, "D"))
        & (days_of(table) <= min(days.max() + np.timedelta64(1, "D"), _last(evidence, source)))
    ]
    wrong = [
        known and not any(_fits(pattern, str(shape)) for pattern in patterns)
        for shape in odd["shape"].tolist()
    ]
    odd = odd[np.array(wrong, dtype=bool)]
    by_day = odd.groupby("day", sort=True)["messages"].sum()
    at = by_day.index.to_numpy(dtype="datetime64[D]")
    count = by_day.to_numpy()
    history = evidence.sources.get(source)
    if history is None or count.sum() < SHAPES_AGREE * refused:
        return as_date(days.min()), refused
    sent = np.sum([history.messages_on(event, at) for event in events], axis=0)
    hit = count >= np.maximum(1, LEAST_SHARE * sent)
    if not hit.any():
        return as_date(days.min()), refused
    return as_date(at[hit][0]), int(count[at >= at[hit][0]].sum())


def _last(evidence: Evidence, source: str) -> np.datetime64:
    return np.datetime64(evidence.last_complete_day(source), "D")


def _lost_share(evidence: Evidence, destination: str, rows: pd.DataFrame) -> float:
    """What the destination loses of these events on these days, over all sources."""
    cells = evidence.cells
    kept = cells[
        (cells["destination"] == destination)
        & cells["event"].isin(list(set(rows["event"])))
        & np.isin(days_of(cells), days_of(rows))
    ]["expected"].sum()
    lost: Any = rows["messages"].sum()
    return float(lost / max(1, lost + kept))


def _ended(evidence: Evidence, source: str, events: list[str], rows: pd.DataFrame) -> date | None:
    """The last day, when the events have come without the fault since."""
    last = days_of(rows).max()
    history = evidence.sources.get(source)
    if history is None:
        return None
    since = history.days[history.days > last]
    sent = sum(int(history.messages_on(event, since).sum()) for event in events)
    return as_date(last) if sent >= LEAST_MESSAGES else None
