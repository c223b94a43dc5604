"""What the diagnosis looks at: small tables, each in one clean shape, and the days that may be judged."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from datetime import UTC, date, datetime, timedelta
from functools import cached_property
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from dagster_project.core.calls import CALL_EVENTS, call_of_event
from dagster_project.core.contracts import Destination, Workspace
from dagster_project.core.diagnosis.grid import Grid, grid_of
from dagster_project.core.diagnosis.witness import NoWitness, Witness

if TYPE_CHECKING:
    from dagster_project.core.diagnosis.rates import Rates

Days = NDArray[np.datetime64]  # whole days, unit D
Counts = NDArray[np.int64]
Flags = NDArray[np.bool_]
Rows = NDArray[np.int64]  # row numbers

# Longest stretch of days that is looked at: clocks that stand in 1970 must not blow up the grid of names.
HISTORY_DAYS = 120
# A source's day is complete when something arrived in its last two hours or later: a sync that is a few
# hours late must not make the evening's events look stopped.
SETTLED = timedelta(hours=2)
# This many names of one pattern are made by a program that puts an id or a date into them.
GENERATED_NAMES = 10
_VARIABLE = re.compile(r"[0-9a-fA-F]{8,}|[0-9]+")

_DAY, _TEXT, _COUNT, _FLAG, _MOMENT = "day", "text", "count", "flag", "moment"
COLUMNS: Mapping[str, Mapping[str, str]] = {
    "names": {
        "day": _DAY,
        "source": _TEXT,
        "event_text": _TEXT,
        "event_slug": _TEXT,
        "messages": _COUNT,
        "planned": _FLAG,
    },
    "cells": {
        "day": _DAY,
        "destination": _TEXT,
        "event": _TEXT,
        "expected": _COUNT,
        "delivered": _COUNT,
        "missing": _COUNT,
        "pending": _COUNT,
        "duplicates": _COUNT,
        "unexpected": _COUNT,
        "matched_by": _TEXT,
        "mature": _FLAG,
        "exported": _FLAG,
    },
    "delivery_names": {
        "day": _DAY,
        "destination": _TEXT,
        "event_name": _TEXT,
        "deliveries": _COUNT,
        "routable": _FLAG,
        "event": _TEXT,
    },
    "not_expected": {
        "day": _DAY,
        "destination": _TEXT,
        "source": _TEXT,
        "event": _TEXT,
        "reason": _TEXT,
        "messages": _COUNT,
    },
    "hours": {"day": _DAY, "destination": _TEXT, "hour": _COUNT, "expected": _COUNT, "delivered": _COUNT},
    # Messages by app version; null where the source has none.
    "versions": {
        "day": _DAY,
        "source": _TEXT,
        "event_text": _TEXT,
        "app_version": _TEXT,
        "messages": _COUNT,
    },
    # Messages that repeat another one of the same name and user within seconds, under another id.
    "twins": {"day": _DAY, "source": _TEXT, "event_text": _TEXT, "messages": _COUNT},
    # By the export's own clock, matched or not; `hours` goes by the messages' clock.
    "delivery_hours": {"day": _DAY, "destination": _TEXT, "hour": _COUNT, "deliveries": _COUNT},
    # What earlier runs, and this one, saw of a destination's day.
    "arrivals": {"day": _DAY, "destination": _TEXT, "seen_at": _MOMENT, "deliveries": _COUNT},
    # How many messages of an event had a value in a property.
    "fill": {
        "day": _DAY,
        "source": _TEXT,
        "event_text": _TEXT,
        "property": _TEXT,
        "filled": _COUNT,
        "messages": _COUNT,
    },
    "differences": {
        "day": _DAY,
        "destination": _TEXT,
        "source": _TEXT,
        "event": _TEXT,
        "difference": _TEXT,
        "messages": _COUNT,
    },
    "identifier_shapes": {
        "day": _DAY,
        "source": _TEXT,
        "event": _TEXT,
        "identifier": _TEXT,
        "shape": _TEXT,
        "messages": _COUNT,
    },
    # People first seen as a user, and those whom no identify call joined to their anonymous id; of an eighth of all.
    "unjoined": {"day": _DAY, "source": _TEXT, "people": _COUNT, "unjoined": _COUNT},
    "violations": {
        "day": _DAY,
        "source": _TEXT,
        "event": _TEXT,
        "property": _TEXT,
        "rule": _TEXT,
        "messages": _COUNT,
        "sample_message_id": _TEXT,
    },
    # Which versions sent what breaks the plan, with the least and the greatest of the values, masked as a rule.
    "violation_versions": {
        "day": _DAY,
        "source": _TEXT,
        "event": _TEXT,
        "property": _TEXT,
        "rule": _TEXT,
        "app_version": _TEXT,
        "library_version": _TEXT,
        "messages": _COUNT,
        "first_sample": _TEXT,
        "last_sample": _TEXT,
    },
    # Of properties that versions fill differently: each version's own fill.
    "fill_versions": {
        "day": _DAY,
        "source": _TEXT,
        "event_text": _TEXT,
        "property": _TEXT,
        "app_version": _TEXT,
        "filled": _COUNT,
        "messages": _COUNT,
    },
    # What Segment itself says breaks the plan, and how much of it breaks a rule here too.
    "segment_violations": {
        "day": _DAY,
        "source": _TEXT,
        "event": _TEXT,
        "property": _TEXT,
        "messages": _COUNT,
        "confirmed": _COUNT,
    },
    "properties": {"source": _TEXT, "event_slug": _TEXT, "property": _TEXT},
    # What the warehouse made of a property: number, boolean, time or text.
    "property_types": {"source": _TEXT, "event_slug": _TEXT, "property": _TEXT, "kind": _TEXT},
    "source_health": {
        "source": _TEXT,
        "status": _TEXT,
        "problem": _TEXT,
        "last_received_at": _MOMENT,
        "messages": _COUNT,
    },
    "export_health": {
        "destination": _TEXT,
        "status": _TEXT,
        "problem": _TEXT,
        "last_day": _DAY,
        "deliveries": _COUNT,
    },
}
# A row without these says nothing about any place: it is left out.
_NEEDED = {"day", "source", "destination", "event_text", "event_name"}
_NOT_NEEDED = {
    "differences": {"source"},  # a delivery of which no message is known has no source
    "export_health": {"day"},
}
# Two rows of one place are added up, so that a repeated row cannot hide the other.
_KEYS = {
    "names": ["day", "source", "event_text"],
    "cells": ["day", "destination", "event"],
}


def _none() -> pd.DataFrame:
    return pd.DataFrame()


@dataclass(frozen=True, eq=False, kw_only=True)
class Evidence:
    """The evidence tables of one run. Frames are cleaned on the way in, so the rules can trust them."""

    names: pd.DataFrame
    cells: pd.DataFrame
    delivery_names: pd.DataFrame
    not_expected: pd.DataFrame
    hours: pd.DataFrame
    differences: pd.DataFrame
    identifier_shapes: pd.DataFrame
    violations: pd.DataFrame
    properties: pd.DataFrame
    source_health: pd.DataFrame
    export_health: pd.DataFrame
    versions: pd.DataFrame = field(default_factory=_none)
    twins: pd.DataFrame = field(default_factory=_none)
    delivery_hours: pd.DataFrame = field(default_factory=_none)
    arrivals: pd.DataFrame = field(default_factory=_none)
    fill: pd.DataFrame = field(default_factory=_none)
    violation_versions: pd.DataFrame = field(default_factory=_none)
    fill_versions: pd.DataFrame = field(default_factory=_none)
    segment_violations: pd.DataFrame = field(default_factory=_none)
    unjoined: pd.DataFrame = field(default_factory=_none)
    property_types: pd.DataFrame = field(default_factory=_none)
    workspace: Workspace
    as_of: datetime
    history_from: date
    witness: Witness = field(default_factory=NoWitness)
    # Tables that are read when a rule first looks at them, by what the rest of the evidence says. What is handed
    # in under such a name is not looked at.
    later: Mapping[str, Callable[[Evidence], pd.DataFrame]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        moment = self.as_of.astimezone(UTC).replace(tzinfo=None) if self.as_of.tzinfo else self.as_of
        object.__setattr__(self, "as_of", moment)
        for each in fields(self):
            if each.name in self.later:
                object.__delattr__(self, each.name)
            elif each.name in COLUMNS:
                object.__setattr__(self, each.name, _clean(each.name, getattr(self, each.name)))

    if not TYPE_CHECKING:  # or the type checker would take any name for one of the evidence

        def __getattr__(self, name: str) -> Any:
            """A table that nobody has looked at yet: Python asks here for what is not set."""
            later = self.__dict__.get("later", {})
            if name not in later:
                raise AttributeError(f"the evidence has no {name!r}")
            found = _clean(name, later[name](self))
            object.__setattr__(self, name, found)
            return found

    @cached_property
    def last_day(self) -> date:
        """The last day that is over, in the workspace's zone."""
        return local(self.as_of, self.workspace.timezone).date() - timedelta(days=1)

    @cached_property
    def first_day(self) -> date:
        return max(self.history_from, self.last_day - timedelta(days=HISTORY_DAYS))

    @cached_property
    def destinations(self) -> Mapping[str, Destination]:
        return {destination.name: destination for destination in self.workspace.destinations}

    @cached_property
    def data_from(self) -> date:
        """The first day of history of which anything is known."""
        known = np.concatenate([days_of(self.names), days_of(self.cells)])
        known = known[known >= np.datetime64(self.first_day, "D")]
        return min(self.last_day, as_date(known.min())) if len(known) else self.last_day

    @cached_property
    def counted_fill(self) -> pd.DataFrame:
        """The rows of `fill` that say something of a property on a day of the history that is over."""
        table = self.fill
        days = days_of(table)
        return table[
            table["property"].notna().to_numpy()
            & (days >= np.datetime64(self.first_day, "D"))
            & (days <= np.datetime64(self.last_day, "D"))
            & (table["messages"].to_numpy() > 0)
        ]

    @cached_property
    def judged(self) -> pd.DataFrame:
        """The cells that may be judged: mature, inside history, of a destination that has a contract."""
        cells = self.cells
        inside = cells["mature"].to_numpy() & (days_of(cells) >= np.datetime64(self.first_day, "D"))
        known = (
            cells["destination"].isin(list(self.destinations)).to_numpy() & cells["event"].notna().to_numpy()
        )
        frame = cells[inside & known].sort_values(["destination", "event", "day"], kind="stable")
        return frame.reset_index(drop=True)

    @cached_property
    def grid(self) -> Grid:
        """The judged cells as series x days."""
        return grid_of(self.judged)

    @cached_property
    def learned(self) -> dict[tuple[str, bytes], Rates]:
        """The usual rates by measure and by the cells that they were learned from; `usual.rates_of` keeps them here."""
        return {}

    @cached_property
    def sources(self) -> Mapping[str, SourceHistory]:
        """What each source sent by name and complete day, with the zeros."""
        histories = {}
        first = np.datetime64(self.first_day, "D")
        days = days_of(self.names)
        by_source = positions(self.names, "source")
        for source in self.workspace.sources:
            rows = by_source.get(source.name)
            if rows is None:
                continue
            last = np.datetime64(self.last_complete_day(source.name), "D")
            rows = rows[(days[rows] >= first) & (days[rows] <= last)]
            if len(rows):
                histories[source.name] = _history(source.name, self.names.iloc[rows], days[rows], last)
        return histories

    def last_complete_day(self, source: str) -> date:
        """The last day of which everything can have landed in this source."""
        received = self.last_received_at(source)
        if received is None:
            return self.last_day
        arrived = local(received + SETTLED, self.workspace.timezone).date() - timedelta(days=1)
        return min(self.last_day, arrived)

    def last_received_at(self, source: str) -> datetime | None:
        return self._received.get(source)

    @cached_property
    def _received(self) -> Mapping[str, datetime]:
        seen = self.source_health[self.source_health["last_received_at"].notna()]
        latest = seen.groupby("source")["last_received_at"].max()
        return {str(source): pd.Timestamp(moment).to_pydatetime() for source, moment in latest.items()}

    def sent_on(self, source: str, event: str, days: Days) -> Counts:
        """Messages of a name, or of a call without one, on each of these days; 0 outside history."""
        if call_of_event(event) == "track":
            history = self.sources.get(source)
            return (
                np.zeros(len(days), dtype=np.int64) if history is None else history.messages_on(event, days)
            )
        known = self._calls.get((source, event), {})
        return np.array([known.get(day, 0) for day in days.astype("datetime64[D]")], dtype=np.int64)

    @cached_property
    def _calls(self) -> Mapping[tuple[str, str], dict[np.datetime64, int]]:
        """Calls of each kind other than track by day: every property of a table is counted over the same rows."""
        fill = self.fill[self.fill["event_text"].isin(CALL_EVENTS)]
        shapes = self.identifier_shapes
        shapes = shapes[shapes["event"].isin(CALL_EVENTS)]
        by_shape = shapes.groupby(["source", "event", "identifier", "day"])["messages"].sum().reset_index()
        counts = [fill.rename(columns={"event_text": "event"}), by_shape]
        found: dict[tuple[str, str], dict[np.datetime64, int]] = {}
        for frame in counts:
            for source, event, day, messages in zip(
                frame["source"], frame["event"], days_of(frame), frame["messages"], strict=True
            ):
                own = found.setdefault((source, event), {})
                own[day] = max(own.get(day, 0), int(messages))
        return found

    def routed(self, source: str, event: str) -> tuple[str, ...]:
        """Destinations whose contract expects this raw name from this source; contracts speak of track calls."""
        if call_of_event(event) != "track":
            return ()
        return tuple(
            sorted(
                destination.name
                for destination in (*self._listing.get(event, ()), *self._taking_all)
                if source in destination.sources
            )
        )

    def listed(self, source: str, event: str) -> tuple[str, ...]:
        """Destinations whose contract names this event of this source; not those that take every name."""
        return tuple(sorted(d.name for d in self._listing.get(event, ()) if source in d.sources))

    def waiting(self, source: str, event: str) -> tuple[str, ...]:
        """Who is hit when an event fails: who names it; where nobody does, who takes every name."""
        return self.listed(source, event) or self.routed(source, event)

    @cached_property
    def _listing(self) -> Mapping[str, list[Destination]]:
        """Who lists a name. Names are matched exactly, as Segment's own mappings do."""
        found: dict[str, list[Destination]] = {}
        for destination in self.workspace.destinations:
            for event in dict.fromkeys(route.event for route in destination.events or ()):
                found.setdefault(event, []).append(destination)
        return found

    @cached_property
    def _taking_all(self) -> tuple[Destination, ...]:
        return tuple(d for d in self.workspace.destinations if d.events is None)

    def fed_by(self, source: str) -> tuple[str, ...]:
        return tuple(sorted(d.name for d in self.workspace.destinations if source in d.sources))


@dataclass(frozen=True, eq=False)
class SourceHistory:
    """Messages by raw name and day of one source, from its first day in history to its last complete day."""

    source: str
    days: Days
    events: tuple[str, ...]
    slugs: tuple[str, ...]
    planned: Flags
    counts: Counts  # names x days

    @cached_property
    def row(self) -> Mapping[str, int]:
        return {event: at for at, event in enumerate(self.events)}

    @cached_property
    def generated(self) -> Mapping[str, list[int]]:
        """Unplanned names that differ only in numbers and ids, by their pattern, where there are many."""
        patterns: dict[str, list[int]] = {}
        for row in np.flatnonzero(~self.planned).tolist():
            pattern = _VARIABLE.sub("#", self.events[row][:300])
            if "#" in pattern:
                patterns.setdefault(pattern, []).append(row)
        return {pattern: rows for pattern, rows in patterns.items() if len(rows) >= GENERATED_NAMES}

    @cached_property
    def total(self) -> Counts:
        return np.asarray(self.counts.sum(axis=0), dtype=np.int64)

    def messages_on(self, event: str, days: Days) -> Counts:
        """Messages of a name on each of these days; 0 outside history."""
        found = np.zeros(len(days), dtype=np.int64)
        at = self.row.get(event)
        if at is not None and len(days):
            offset = (days - self.days[0]).astype(np.int64)
            inside = (offset >= 0) & (offset < len(self.days))
            found[inside] = self.counts[at, offset[inside]]
        return found


def local(moment: datetime, zone: str) -> datetime:
    """A naive UTC moment on the clock of a zone."""
    return moment.replace(tzinfo=UTC).astimezone(ZoneInfo(zone))


def as_days(values: pd.Series[Any]) -> pd.Series[Any]:
    """Days in one type whatever the driver gave (date, datetime64 of any unit, text); nonsense is null."""

    def convert(each: pd.Series[Any]) -> pd.Series[Any]:
        days = pd.to_datetime(each.astype(object), errors="coerce", utc=True, format="ISO8601")
        return days.dt.tz_localize(None).dt.normalize().astype("datetime64[us]")

    return _each_once(values, convert, np.datetime64("NaT", "us"))


def days_of(frame: pd.DataFrame) -> Days:
    return frame["day"].to_numpy(dtype="datetime64[D]")


def positions(frame: pd.DataFrame, column: str) -> dict[str, Rows]:
    """Row numbers by the value of a column, sorted by it."""
    groups = frame.groupby(column, sort=True).indices
    return {str(value): np.asarray(rows, dtype=np.int64) for value, rows in groups.items()}


def as_date(day: np.datetime64) -> date:
    found: date = day.astype("datetime64[D]").astype(object)
    return found


def spans(days: Days) -> list[tuple[date, date]]:
    """Runs of consecutive days, as (first, last)."""
    if not len(days):
        return []
    ordered = np.unique(days)
    breaks = np.flatnonzero(np.diff(ordered) > np.timedelta64(1, "D")) + 1
    return [(as_date(run[0]), as_date(run[-1])) for run in np.split(ordered, breaks)]


def _history(source: str, names: pd.DataFrame, days: Days, last: np.datetime64) -> SourceHistory:
    first = days.min()
    codes, events = pd.factorize(names["event_text"], sort=True)
    grid = np.arange(first, last + np.timedelta64(1, "D"), dtype="datetime64[D]")
    counts = np.zeros((len(events), len(grid)), dtype=np.int64)
    np.add.at(counts, (codes, (days - first).astype(np.int64)), names["messages"].to_numpy())
    by_name = names.assign(code=codes).groupby("code", sort=True)
    slugs = by_name["event_slug"].first()
    return SourceHistory(
        source=source,
        days=grid,
        events=tuple(str(event) for event in events),
        slugs=tuple("" if pd.isna(slug) else str(slug) for slug in slugs),
        planned=by_name["planned"].max().to_numpy(dtype=bool),
        counts=counts,
    )


def _clean(table: str, frame: pd.DataFrame) -> pd.DataFrame:
    columns = COLUMNS[table]
    absent = [column for column in columns if column not in frame.columns]
    if absent and len(frame):
        raise ValueError(
            f"evidence table {table}: column {', '.join(absent)} is absent;"
            f" the columns are {', '.join(columns)}"
        )
    clean = pd.DataFrame(
        {
            column: _CLEANERS[kind](frame[column] if column in frame.columns else pd.Series([], dtype=object))
            for column, kind in columns.items()
        }
    )
    needed = [column for column in columns if column in _NEEDED - _NOT_NEEDED.get(table, set())]
    clean = clean[clean[needed].notna().all(axis=1)].reset_index(drop=True)
    keys = _KEYS.get(table)
    if keys and clean.duplicated(keys).any():
        rules = {
            column: {"count": "sum", "flag": "max"}.get(kind, "first")
            for column, kind in columns.items()
            if column not in keys
        }
        if "mature" in rules:
            rules["mature"] = "min"
        clean = clean.groupby(keys, as_index=False, sort=False, dropna=False).agg(rules)[list(columns)]
        # Grouping turns absent texts to NaN; the rules look for None.
        clean = clean.assign(**{c: _texts(clean[c]) for c, kind in columns.items() if kind == _TEXT})
    return clean


def _each_once(
    values: pd.Series[Any], convert: Callable[[pd.Series[Any]], pd.Series[Any]], absent: Any
) -> pd.Series[Any]:
    """`convert` of the values, asked once for each that is there; `absent` for null.

    A frame of 8,000 events over 120 days has a million rows and 120 days: cell by cell, their cleaning took longer
    than the diagnosis (40 s of 94, 2026-11-22). Values of several types may be equal and still not mean the same
    (1 and True, a day and its midnight), so only columns of one plain type go this way.
    """
    kinds = {type(value) for value in values.tolist()} if values.dtype == object else set()
    plain = len(kinds - {type(None)}) <= 1 and kinds <= {type(None), str, date, datetime}
    if not plain or not len(values):
        return convert(values).reset_index(drop=True)
    codes, unique = pd.factorize(values)
    converted = convert(pd.Series(unique))
    converted = pd.concat([converted, pd.Series([absent], dtype=converted.dtype)], ignore_index=True)
    return converted.take(np.where(codes < 0, len(unique), codes)).reset_index(drop=True)


def _texts(values: pd.Series[Any]) -> pd.Series[Any]:
    def convert(each: pd.Series[Any]) -> pd.Series[Any]:
        present = each.notna().to_numpy(dtype=bool)
        texts = [_text(value) if there else None for value, there in zip(each.tolist(), present, strict=True)]
        return pd.Series(texts, dtype=object)

    return _each_once(values, convert, None)


def _text(value: Any) -> str:
    text = str(value)
    if text.isascii():
        return text
    # Half of a surrogate pair is no text that a warehouse, a frame or Slack can hold.
    return text.encode("utf-8", "backslashreplace").decode()


def _counts(values: pd.Series[Any]) -> pd.Series[Any]:
    if isinstance(values.dtype, np.dtype) and values.dtype.kind in "iu":
        return pd.Series(np.clip(values.to_numpy(), 0, 2**40).astype(np.int64))
    numbers = pd.to_numeric(values.astype(object), errors="coerce").to_numpy(dtype=np.float64, na_value=0.0)
    # 2**40 messages in a cell is nonsense; the cap keeps sums of nonsense from running over.
    return pd.Series(np.clip(np.nan_to_num(numbers), 0, 2**40).astype(np.int64))


def _flags(values: pd.Series[Any]) -> pd.Series[Any]:
    if values.dtype == np.bool_:
        return values.reset_index(drop=True)
    return pd.Series([value is not None and value == True for value in values.tolist()], dtype=bool)  # noqa: E712


def _moments(values: pd.Series[Any]) -> pd.Series[Any]:
    moments = pd.to_datetime(values.astype(object), errors="coerce", utc=True, format="ISO8601")
    return moments.dt.tz_localize(None).astype("datetime64[us]").reset_index(drop=True)


_CLEANERS = {
    _DAY: lambda values: as_days(values).reset_index(drop=True),
    _TEXT: _texts,
    _COUNT: _counts,
    _FLAG: _flags,
    _MOMENT: _moments,
}
