"""Finds properties that are filled no more: the mark that a type change, or a removal, leaves in a typed column.

Segment types a column by its first value, and a later value that does not fit is dropped: the row stays and the cell is
empty. So a property whose values changed their type looks like one that is not sent any more, from one version of the
app on, or from one day on where there are no versions, while the event itself comes as before.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from dagster_project.core.diagnosis.evidence import Counts, Days, Evidence, as_date, days_of
from dagster_project.core.diagnosis.finding import Claims, Finding
from dagster_project.core.diagnosis.property_details import planned_event, with_details
from dagster_project.core.plan.landed import column_of

BEFORE_DAYS, LEAST_DAYS, LEAST_BEFORE = 28, 5, 60  # days and messages that the habit is learned from
LEAST_FILL = 0.30  # a property that was rarer is an occasion, not a habit
LEFT = 0.5  # of the lowest share of any day before, at most so much is left
OF_VERSION = 0.2  # what a version still fills, of what the others do
LEAST_MESSAGES = 20  # since
SURE_DAYS = 2  # without a version to blame, one day may be an accident of its own


@dataclass(frozen=True, eq=False)
class _Series:
    """How often one property of one event was filled, by day."""

    source: str
    event: str
    property: str
    days: Days
    filled: Counts
    messages: Counts


@dataclass(frozen=True)
class _Fall:
    onset: int
    usual: float
    now: float
    messages: int  # without a value that they used to have
    sent: int
    version: str | None = None
    others: float | None = None


def property_emptied(evidence: Evidence, claims: Claims) -> list[Finding]:
    """A property is filled no more, and nothing told so far says why."""
    findings = []
    for series in _candidates(evidence):
        if _told(claims, series):
            continue
        fall = _by_version(evidence, series) or _by_day(series)
        if fall is not None:
            findings.append(with_details(evidence, _finding(evidence, series, fall)))
    return findings


def _candidates(evidence: Evidence) -> Iterator[_Series]:
    """Properties that were filled often on some day and half as often or less on another, or by another version."""
    table = evidence.counted_fill
    if table.empty:
        return
    days = days_of(table)
    keys = ["source", "event_text", "property"]
    share = table["filled"].to_numpy() / table["messages"].to_numpy()
    codes = table.groupby(keys, sort=False).ngroup().to_numpy()
    highest, lowest = np.zeros(codes.max() + 1), np.ones(codes.max() + 1)
    np.maximum.at(highest, codes, share)
    np.minimum.at(lowest, codes, share)
    moved = (highest >= LEAST_FILL) & (lowest <= LEFT * highest)
    uneven = set(evidence.fill_versions[keys].drop_duplicates().itertuples(index=False, name=None))
    if uneven:
        firsts = table.assign(code=codes).drop_duplicates("code")
        named = firsts[keys].itertuples(index=False, name=None)
        moved[[code for code, name in zip(firsts["code"], named, strict=True) if name in uneven]] = True
    kept = moved[codes]
    table, days = table[kept], days[kept]
    for (source, event, name), rows in table.assign(at=days).groupby(keys, sort=True):
        last = np.datetime64(evidence.last_complete_day(str(source)), "D")
        by_day = rows[rows["at"].to_numpy() <= last].groupby("at", sort=True)[["filled", "messages"]].sum()
        if len(by_day):
            yield _Series(
                str(source),
                str(event),
                str(name),
                by_day.index.to_numpy(dtype="datetime64[D]"),
                np.minimum(by_day["filled"].to_numpy(), by_day["messages"].to_numpy()).astype(np.int64),
                by_day["messages"].to_numpy(dtype=np.int64),
            )


def _told(claims: Claims, series: _Series) -> bool:
    """Whether a rename or a broken rule of this property is told already."""
    return any(
        found.kind == "property_violation"
        and (found.source, found.event) == (series.source, series.event)
        and series.property in (column_of(found.property or ""), column_of(found.renamed_to or ""))
        for found in claims.findings
    )


def _by_day(series: _Series) -> _Fall | None:
    """A fall from one day to the next that lasts to the last one."""
    share = series.filled / series.messages
    enough = series.messages >= 10  # a day of fewer says little about a share
    for onset in range(LEAST_DAYS, len(share)):
        before = np.arange(max(0, onset - BEFORE_DAYS), onset)
        sent = int(series.messages[before].sum())
        usual = series.filled[before].sum() / max(1, sent)
        steady = share[before][enough[before]]
        if len(steady) < LEAST_DAYS or sent < LEAST_BEFORE or usual < LEAST_FILL:
            continue
        after = np.arange(onset, len(share))
        most = LEFT * float(steady.min())
        if series.messages[after].sum() < LEAST_MESSAGES or (share[after] > most).any():
            continue
        now = series.filled[after].sum() / series.messages[after].sum()
        lost = round(float(usual) * int(series.messages[after].sum())) - int(series.filled[after].sum())
        return _Fall(onset, float(usual), float(now), lost, int(series.messages[after].sum()))
    return None


def _by_version(evidence: Evidence, series: _Series) -> _Fall | None:
    """A version that does not fill what the others go on to fill, and that came when the property was known."""
    table = evidence.fill_versions
    rows = table[
        (table["source"] == series.source)
        & (table["event_text"] == series.event)
        & (table["property"] == series.property)
        & table["app_version"].notna()
        & (table["app_version"] != "other")
    ]
    best: _Fall | None = None
    for version, own in rows.groupby("app_version", sort=True):
        first = days_of(own).min()
        onset = int(np.searchsorted(series.days, first))
        before = np.arange(max(0, onset - BEFORE_DAYS), onset)
        sent_before = int(series.messages[before].sum()) if len(before) else 0
        if len(before) < LEAST_DAYS or sent_before < LEAST_BEFORE or onset >= len(series.days):
            continue
        usual = float(series.filled[before].sum() / sent_before)
        beside = rows[(rows["app_version"] != version) & (days_of(rows) >= first)]
        others = float(beside["filled"].sum() / max(1, int(beside["messages"].sum())))
        sent, filled = int(own["messages"].sum()), int(own["filled"].sum())
        if (
            usual >= LEAST_FILL
            and sent >= LEAST_MESSAGES
            and others >= LEFT * usual
            and filled <= OF_VERSION * others * sent
            # The days just before show no such gap: this version brought it.
            and (best is None or sent > best.sent)
        ):
            lost = round(usual * sent) - filled
            best = _Fall(onset, usual, filled / sent, lost, sent, str(version), others)
    return best


def _finding(evidence: Evidence, series: _Series, fall: _Fall) -> Finding:
    planned = planned_event(evidence, series.source, series.event)
    names = (
        [] if planned is None else [p for p in sorted(planned.properties) if column_of(p) == series.property]
    )
    days_since = len(series.days) - fall.onset
    more: dict[str, Any] = {}
    if fall.version is not None:
        more = {"only_versions": [fall.version], "others_share": round(fall.others or 0.0, 4)}
    return Finding(
        kind="property_violation",
        # A property of no plan may go as it came.
        severity="warning" if names else "info",
        source=series.source,
        event=series.event,
        property=names[0] if names else series.property,
        destinations=evidence.waiting(series.source, series.event),
        started_on=as_date(series.days[fall.onset]),
        messages_affected=max(0, fall.messages),
        evidence={
            "emptied": True,
            "share": round(1 - fall.now, 4),
            "usual_fill": round(fall.usual, 4),
            "fill": round(fall.now, 4),
            "messages_of_event": fall.sent,
            "planned": bool(names),
            **more,
        },
        suspected=fall.version is None and days_since < SURE_DAYS,
    )
