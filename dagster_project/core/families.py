"""Which families of expectations there are, which evidence rows each one judges, and how bad each row is."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from functools import partial
from typing import Any, Final, Literal
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd

from dagster_project.core.calls import call_of_event
from dagster_project.core.contracts import Destination, Workspace

SubjectKind = Literal["destination", "source"]

FAMILIES: Final = ("names", "counts", "freshness", "identifiers", "properties")
FAMILIES_OF: Final[Mapping[SubjectKind, tuple[str, ...]]] = {
    "destination": FAMILIES,
    "source": ("names", "freshness", "identifiers", "properties"),
}

# Every kind of incident belongs to one family. A kind that is not listed is judged as `counts`: an
# incident that nobody judges would leave the gate open.
KINDS: Final[Mapping[str, frozenset[str]]] = {
    "names": frozenset({"event_renamed", "unplanned_event", "name_mismatch"}),
    "counts": frozenset(
        {
            "delivery_stopped",
            "delivery_loss",
            "duplicate_delivery",
            "duplicate_events",
            "volume_anomaly",
            "event_stopped",
            "unexplained",
        }
    ),
    "freshness": frozenset({"source_stopped", "export_incomplete", "export_late", "timezone_shift"}),
    "identifiers": frozenset({"identifier_format"}),
    "properties": frozenset({"property_violation"}),
}
_FAMILY_OF_KIND: Final = {kind: family for family, kinds in KINDS.items() for kind in kinds}

SEVERITIES: Final = ("none", "info", "warning", "error", "critical")  # mildest first
# Anything else closes the gate, a word that is not in the vocabulary included.
HARMLESS: Final = ("none", "info", "warning")

# What nothing explains of a destination's day: half a percent of what was sent, and fewer than five messages,
# are not worth a look; nor is what chance adds to the usual loss, four standard deviations of a Poisson count,
# nor what the contract tolerates or a single event may lose within its own limit: no judge contradicts another.
UNEXPLAINED_LIMIT: Final = 0.005
UNEXPLAINED_FLOOR: Final = 5
SIGMAS: Final = 4.0
# The diagnosis speaks of bad identifiers from 5% and of plan violations from 2% of an event's messages,
# and of neither below 20 messages; the expectations use the same limits.
IDENTIFIER_LIMIT: Final = 0.05
VIOLATION_LIMIT: Final = 0.02
SHARE_FLOOR: Final = 20
# What an id is that is none of the source's own, in the words of the judged rows.
ODD_IDS: Final[Mapping[str, str]] = {
    "null": "no id",
    "empty": "empty",
    "placeholder": "a word for none",
    "email": "an e-mail address",
}

NO_NAME: Final = ""  # how a delivery without a name is called: null would pass every expectation on names

# What each stage's table must hold for the families that read it.
COLUMNS: Final[Mapping[str, tuple[str, ...]]] = {
    "names": ("day", "source", "event_text", "messages", "planned"),
    "cells": (
        "day",
        "destination",
        "event",
        "expected",
        "delivered",
        "missing",
        "pending",
        "duplicates",
        "unexpected",
        "matched_by",
        "mature",
        "exported",
    ),
    "delivery_names": ("day", "destination", "event_name", "deliveries", "routable", "event"),
    "not_expected": ("day", "destination", "source", "event", "reason", "messages"),
    "shapes": ("day", "source", "event", "identifier", "shape", "messages"),
    "violations": ("day", "source", "event", "property", "rule", "messages"),
    "source_health": ("source", "status", "problem", "last_received_at", "messages"),
    "export_health": ("destination", "status", "problem"),
    "limits": (
        "destination",
        "day",
        "event",
        "allowed_missing",
        "allowed_duplicates",
        "allowed_unexpected",
    ),
    "ledger": ("day", "destination", "line", "messages", "counts_in_gap"),
    "quarantined": ("day", "destination", "event", "messages"),
    "windows": (
        "destination",
        "day",
        "incident_id",
        "kind",
        "severity",
        "source",
        "event",
        "renamed_to",
        "property",
    ),
    "incidents": (
        "incident_id",
        "kind",
        "severity",
        "source",
        "event",
        "renamed_to",
        "property",
        "started_on",
        "ended_on",
    ),
}
NEEDS: Final[Mapping[tuple[SubjectKind, str], tuple[str, ...]]] = {
    ("destination", "names"): ("windows", "delivery_names"),
    ("destination", "counts"): ("windows", "cells", "limits", "ledger", "quarantined"),
    ("destination", "freshness"): ("windows", "cells", "export_health"),
    ("destination", "identifiers"): ("windows", "not_expected", "cells"),
    ("destination", "properties"): ("windows", "violations", "names"),
    ("source", "names"): ("incidents", "names"),
    ("source", "freshness"): ("incidents", "names", "source_health"),
    ("source", "identifiers"): ("incidents", "shapes"),
    ("source", "properties"): ("incidents", "violations", "names"),
}

ALLOWED: Final = ("allowed_missing", "allowed_duplicates", "allowed_unexpected")
# Of a whole day, on a row of its own.
LEDGER_NUMBERS: Final = ("sent", "arrived", "gap", "unexplained", "allowed_unexplained")

# Columns that say which row is meant, in the order in which people read them.
IDENTITY: Final = ("day", "source", "event", "name", "reason", "property", "rule")
# Sums that are worth a curve over time, per family; a frame has those of its own.
SUMS: Final[Mapping[str, tuple[str, ...]]] = {
    "names": ("deliveries", "messages"),
    "counts": (
        *("expected", "delivered", "missing", "pending", "duplicates", "unexpected"),
        *("sent", "gap", "unexplained"),
    ),
    "freshness": ("expected", "delivered", "messages"),
    "identifiers": ("messages",),
    "properties": ("messages",),
}
# Rows are told worst first: by severity, then by how many messages they hold back.
WEIGHTS: Final[Mapping[str, tuple[str, ...]]] = {
    **SUMS,
    "counts": ("missing", "duplicates", "unexpected", "unexplained"),
    "freshness": ("expected",),
}


@dataclass(frozen=True, order=True)
class Subject:
    """What a suite is about: one destination or one source."""

    kind: SubjectKind
    name: str

    def __str__(self) -> str:
        return f"{self.kind}:{self.name}"

    def suite(self, family: str) -> str:
        """The suite's name, which is its file's name without `.json`."""
        return f"{'source_' if self.kind == 'source' else ''}{self.name}__{family}"


def subjects(workspace: Workspace) -> list[Subject]:
    """Everything that has suites, destinations first, in the contract's order."""
    return [
        *(Subject("destination", destination.name) for destination in workspace.destinations),
        *(Subject("source", source.name) for source in workspace.sources),
    ]


def family_of(kind: str) -> str:
    """The family that judges incidents of this kind."""
    return _FAMILY_OF_KIND.get(kind, "counts")


def severity_rank(severity: str) -> int:
    """0 for none up to 4 for critical; a word that is not in the vocabulary counts as the worst."""
    return SEVERITIES.index(severity) if severity in SEVERITIES else len(SEVERITIES) - 1


class Evidence:
    """The evidence tables of one run, days as ISO text, handed out one destination or source at a time."""

    def __init__(self, tables: Mapping[str, pd.DataFrame]) -> None:
        self._tables = {name: _cleaned(table) for name, table in tables.items()}
        self._parts: dict[tuple[str, str], dict[Any, pd.DataFrame]] = {}
        self._made: dict[Hashable, pd.DataFrame] = {}

    def table(self, name: str) -> pd.DataFrame:
        """The whole table; empty, with its columns, when nobody handed one in."""
        found = self._tables.get(name)
        return found if found is not None else pd.DataFrame(columns=list(COLUMNS[name]))

    def of(self, name: str, column: str, value: str) -> pd.DataFrame:
        """The table's rows of one destination or source. Grouped once: there may be sixty to ask for."""
        key = (name, column)
        if key not in self._parts:
            self._parts[key] = dict(iter(self.table(name).groupby(column, sort=False)))
        found = self._parts[key].get(value)
        return found.copy() if found is not None else self.table(name).iloc[:0].copy()

    def once(self, key: Hashable, make: Callable[[], pd.DataFrame]) -> pd.DataFrame:
        """What `make` makes of this evidence, made once for each key. Not to be changed by who asks."""
        if key not in self._made:
            self._made[key] = make()
        return self._made[key]


def judged_frame(
    subject: Subject, family: str, evidence: Evidence, workspace: Workspace, days: Iterable[date]
) -> pd.DataFrame:
    """The rows that one suite judges, each with the worst open incident that covers it.

    An incident that covers no row of the evidence gets a row of its own, with its numbers null: what is
    absent must be able to fail.
    """
    wanted = sorted({_iso(day) for day in days})
    build = _FRAMES[subject.kind, family]
    rows, match = build(subject.name, evidence, workspace, wanted)
    if subject.kind == "destination":
        windows = _destination_windows(subject.name, family, evidence, wanted)
    else:
        windows = _source_windows(subject.name, family, evidence, wanted)
    rows = _with_incidents(rows, windows, match)
    rows[subject.kind] = subject.name
    order = [column for column in dict.fromkeys((subject.kind, *IDENTITY)) if column in rows]
    rest = [c for c in rows.columns if c not in order and c not in ("severity", "incident_id")]
    rows = rows[[*order, *rest, "severity", "incident_id"]]
    by = [column for column in IDENTITY if column in rows]
    rows = rows.sort_values(by, kind="stable", na_position="first").reset_index(drop=True)
    texts = [column for column in rows.columns if rows[column].dtype == object]
    return rows.assign(**{c: pd.Series(_plain(rows[c]), index=rows.index, dtype=object) for c in texts})


def measured(family: str, rows: pd.DataFrame) -> dict[str, float]:
    """The family's numbers over some of its rows: sums, and the worst of each share."""
    found: dict[str, float] = {}
    for column in SUMS[family]:
        if column in rows:
            found[column] = float(pd.to_numeric(rows[column], errors="coerce").sum())
    for column in rows.columns:
        if column == "share" or str(column).endswith("_share"):
            worst = pd.to_numeric(rows[column], errors="coerce").max()
            if pd.notna(worst):
                found[f"worst_{column}"] = float(worst)
    return found


def worst_first(family: str, rows: pd.DataFrame) -> pd.DataFrame:
    """The rows, worst first; the order of equals is theirs in the frame."""
    if rows.empty:
        return rows
    weight = pd.Series(0.0, index=rows.index)
    for column in WEIGHTS[family]:
        if column in rows:
            weight = weight + pd.to_numeric(rows[column], errors="coerce").fillna(0.0)
    ranks = rows["severity"].astype(str).map(severity_rank)
    order = pd.DataFrame({"rank": ranks, "weight": weight}).sort_values(
        ["rank", "weight"], ascending=False, kind="stable"
    )
    return rows.loc[order.index]


def knows_its_events(workspace: Workspace, destination: Destination) -> bool:
    """Whether the contract alone says that there are events to count, so that no count at all is a fault."""
    if destination.events is not None:
        return bool(destination.events)
    return any(workspace.plan_for(source).events for source in destination.sources)


# ---- incidents -------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Window:
    """One day of one incident, and which rows of that day it covers."""

    day: str
    incident_id: str
    severity: str
    source: str | None
    event: str | None
    renamed_to: str | None
    of_property: str | None

    def rank(self) -> int:
        return severity_rank(self.severity)

    def patterns(self, match: tuple[str, ...]) -> list[tuple[str | None, ...]]:
        """What a row must hold in the `match` columns to be covered, one of these; null: anything."""
        values = {"source": self.source, "event": self.event, "property": self.of_property}
        if "name" not in match:
            return [tuple(values[column] for column in match)]
        # A rename is seen under either name, as the name that arrived or as the event that was meant.
        names = [name for name in (self.event, self.renamed_to) if name is not None]
        if not names:
            return [(None,) * len(match)]
        return [
            tuple(name if column == here else None for column in match) for name in names for here in match
        ]


def _destination_windows(name: str, family: str, evidence: Evidence, days: Sequence[str]) -> list[_Window]:
    rows = evidence.of("windows", "destination", name)
    return [
        _window(row, str(row["day"]))
        for row in _records(rows)
        if row["day"] in days and family_of(str(row["kind"])) == family
    ]


def _source_windows(name: str, family: str, evidence: Evidence, days: Sequence[str]) -> list[_Window]:
    """An incident has windows only at the destinations that it hits; a source has it on all of its days."""
    found = []
    for row in _records(evidence.of("incidents", "source", name)):
        if family_of(str(row["kind"])) != family:
            continue
        first, last = row["started_on"] or "", row["ended_on"] or "9999-12-31"
        found += [_window(row, day) for day in days if first <= day <= last]
    return found


def _window(row: Mapping[str, Any], day: str) -> _Window:
    return _Window(
        day=day,
        incident_id=str(row["incident_id"]),
        severity=str(row["severity"]),
        source=row["source"],
        event=row["event"],
        renamed_to=row["renamed_to"],
        of_property=row["property"],
    )


def _with_incidents(rows: pd.DataFrame, windows: list[_Window], match: tuple[str, ...]) -> pd.DataFrame:
    rows = rows.reset_index(drop=True)
    if not windows:
        return rows.assign(severity="none", incident_id=None)
    # Worst window per day and pattern; a row asks for its own values with each combination of wildcards
    # that some incident uses, so a thousand incidents cost a row no more than one.
    worst: dict[tuple[str | None, ...], _Window] = {}
    shapes: set[tuple[bool, ...]] = set()
    for window in windows:
        for pattern in window.patterns(match):
            key = (window.day, *pattern)
            worst[key] = _worse(worst.get(key), window)
            shapes.add(tuple(value is None for value in pattern))
    severities: list[str] = []
    incident_ids: list[str | None] = []
    met: set[tuple[str | None, ...]] = set()
    columns = [_plain(rows["day"]), *(_plain(rows[column]) for column in match)]
    for day, *values in zip(*columns, strict=True):
        best: _Window | None = None
        for shape in shapes:
            key = (day, *(None if wild else value for wild, value in zip(shape, values, strict=True)))
            found = worst.get(key)
            if found is not None:
                met.add(key)
                best = _worse(best, found)
        severities.append(best.severity if best else "none")
        incident_ids.append(best.incident_id if best else None)
    rows = rows.assign(
        severity=pd.Series(severities, index=rows.index, dtype=object),
        incident_id=pd.Series(incident_ids, index=rows.index, dtype=object),
    )
    alone: dict[tuple[str | None, ...], _Window] = {}
    for window in windows:
        patterns = window.patterns(match)
        if not any((window.day, *pattern) in met for pattern in patterns):
            key = (window.day, *patterns[0])
            alone[key] = _worse(alone.get(key), window)
    if not alone:
        return rows
    records = [
        dict(zip(("day", *match), key, strict=True))
        | {"severity": window.severity, "incident_id": window.incident_id}
        for key, window in alone.items()
    ]
    return _appended(rows, records)


def _worse(one: _Window | None, other: _Window) -> _Window:
    if one is None or (other.rank(), one.incident_id) > (one.rank(), other.incident_id):
        return other
    return one


# ---- the frames of the families --------------------------------------------------------------------------


def _delivered_names(
    name: str, evidence: Evidence, workspace: Workspace, days: Sequence[str]
) -> tuple[pd.DataFrame, tuple[str, ...]]:
    rows = _on(evidence.of("delivery_names", "destination", name), days)
    rows = rows.rename(columns={"event_name": "name"})
    rows["name"] = rows["name"].astype(object).where(rows["name"].notna(), NO_NAME)
    return _typed(rows, text=("name", "event"), numbers=("deliveries",), flags=("routable",)), (
        "event",
        "name",
    )


def _sent_names(
    name: str, evidence: Evidence, workspace: Workspace, days: Sequence[str]
) -> tuple[pd.DataFrame, tuple[str, ...]]:
    rows = _on(evidence.of("names", "source", name), days).rename(columns={"event_text": "name"})
    rows["name"] = rows["name"].astype(object).where(rows["name"].notna(), NO_NAME)
    return _typed(rows, text=("name",), numbers=("messages",), flags=("planned",)), ("name",)


def _counts(
    name: str, evidence: Evidence, workspace: Workspace, days: Sequence[str]
) -> tuple[pd.DataFrame, tuple[str, ...]]:
    numbers = ("expected", "delivered", "missing", "pending", "duplicates", "unexpected")
    rows = _on(evidence.of("cells", "destination", name), days)
    rows = _typed(rows, text=("event", "matched_by"), numbers=numbers, flags=("mature", "exported"))
    # The diagnosis decided what is too much, for all judges. A cell that it did not judge (its day may still be
    # filled, or lies before history) has no limits: nothing of it can be too much.
    limits = _on(evidence.of("limits", "destination", name), days).drop_duplicates(["day", "event"])
    rows = rows.merge(limits.drop(columns="destination"), on=["day", "event"], how="left")
    rows = _typed(rows, text=(), numbers=ALLOWED, flags=())
    rows = rows.assign(**{column: rows[column].where(rows["mature"].eq(True)) for column in ALLOWED})
    # Shares are for people, and for suites written by hand; ours compare the counts.
    expected = rows["expected"].clip(lower=1.0).fillna(1.0)
    rows["limit"] = rows["allowed_missing"] / expected
    rows["missing_share"] = (rows["missing"] / expected).where(rows["mature"].eq(True))
    rows["duplicate_share"] = rows["duplicates"] / expected
    rows["unexpected_share"] = rows["unexpected"] / expected
    rows = _with_quarantined(rows, _on(evidence.of("quarantined", "destination", name), days))
    cells = rows["day"].value_counts()
    rows["cells"] = rows["day"].map(cells).astype(float)
    of_days = _gaps(name, evidence, workspace, days, rows)
    for day in days:
        if day not in cells.index:
            of_days.setdefault(day, {"day": day})["cells"] = 0.0
    rows = rows.assign(**dict.fromkeys(LEDGER_NUMBERS, np.nan))
    return _appended(rows, [of_days[day] for day in sorted(of_days)]), ("event",)


def _with_quarantined(rows: pd.DataFrame, left_out: pd.DataFrame) -> pd.DataFrame:
    """The cells with what the published numbers leave out of them; what is left out of no cell has a row of its own."""
    by_cell: dict[tuple[str, str], float] = {}
    messages = pd.to_numeric(left_out["messages"], errors="coerce")
    for day, event, count in zip(left_out["day"], left_out["event"], messages, strict=True):
        by_cell[str(day), str(event)] = by_cell.get((str(day), str(event)), 0.0) + float(count)
    cells = zip(rows["day"], rows["event"], strict=True)
    rows["quarantined"] = pd.Series([by_cell.pop(cell, 0.0) for cell in cells], index=rows.index, dtype=float)
    return _appended(
        rows,
        [
            {"day": day, "event": event, "expected": 0.0, "quarantined": messages}
            for (day, event), messages in sorted(by_cell.items())
        ],
    )


def _gaps(
    name: str, evidence: Evidence, workspace: Workspace, days: Sequence[str], cells: pd.DataFrame
) -> dict[str, dict[str, Any]]:
    """The ledger of each day, as a row of the whole day. What arrived is taken from the cells themselves."""
    lines = _typed(
        _on(evidence.of("ledger", "destination", name), days),
        text=("line",),
        numbers=("messages",),
        flags=("counts_in_gap",),
    )
    arrived = cells.groupby("day")["delivered"].sum()
    most = cells.groupby("day")["allowed_missing"].max().fillna(0.0)
    tolerance = workspace.destination(name).tolerance or 0.0
    found: dict[str, dict[str, Any]] = {}
    for day, own in lines.groupby("day", sort=True):
        by_line = own.groupby("line")["messages"].sum()
        sent, steady = (float(by_line.get(line, 0.0)) for line in ("sent", "steady_loss"))
        limit = max(UNEXPLAINED_LIMIT * sent, SIGMAS * steady**0.5, tolerance * sent, most.get(day, 0.0))
        found[str(day)] = {
            "day": day,
            "sent": sent,
            "arrived": float(arrived.get(day, 0.0)),
            "gap": float(own.loc[own["counts_in_gap"].eq(True), "messages"].sum()),
            "unexplained": float(by_line.get("unexplained", 0.0)),
            "allowed_unexplained": float(max(UNEXPLAINED_FLOOR, int(limit))),
        }
    return found


def _landed(
    name: str, evidence: Evidence, workspace: Workspace, days: Sequence[str]
) -> tuple[pd.DataFrame, tuple[str, ...]]:
    numbers = ("expected", "delivered", "pending")
    cells = _on(evidence.of("cells", "destination", name), days)
    cells = _typed(cells, text=(), numbers=numbers, flags=("mature", "exported"))
    by_day = cells.groupby("day").agg(
        expected=("expected", "sum"),
        delivered=("delivered", "sum"),
        pending=("pending", "sum"),
        exported=("exported", lambda flags: bool(flags.eq(True).any())),
        mature=("mature", lambda flags: bool(flags.eq(True).all())),
    )
    counted = set(by_day.index)
    rows = by_day.reindex(list(days)).rename_axis("day").reset_index()
    known = knows_its_events(workspace, workspace.destination(name))

    def state(day: str, expected: float, pending: float, exported: object, mature: object) -> str:
        if day not in counted:
            return "absent" if known else "nothing_expected"
        if exported is True:
            return "landed"
        if not expected:
            return "nothing_expected"
        return "pending" if mature is not True or pending else "absent"

    rows["export"] = [
        state(*row)
        for row in zip(
            rows["day"], rows["expected"], rows["pending"], rows["exported"], rows["mature"], strict=True
        )
    ]
    health = _records(evidence.of("export_health", "destination", name))
    rows["health"] = str(health[0]["status"]) if health else "unknown"
    rows["problem"] = health[0]["problem"] if health else None
    kept = ["day", "export", "expected", "delivered", "pending", "health", "problem"]
    return _typed(rows[kept], text=("export", "health", "problem"), numbers=numbers, flags=()), ()


def _arrived(
    name: str, evidence: Evidence, workspace: Workspace, days: Sequence[str]
) -> tuple[pd.DataFrame, tuple[str, ...]]:
    sent = _on(evidence.of("names", "source", name), days)
    messages = pd.to_numeric(sent["messages"], errors="coerce").groupby(sent["day"]).sum()
    rows = pd.DataFrame({"day": pd.Series(list(days), dtype=object)})
    rows["messages"] = rows["day"].map(messages).astype(float).fillna(0.0)
    health = _records(evidence.of("source_health", "source", name))
    rows["status"] = str(health[0]["status"]) if health else "unknown"
    rows["problem"] = health[0]["problem"] if health else None
    rows["silent_hours"] = np.nan
    rows["limit_hours"] = np.nan
    freshness = workspace.source(name).freshness
    last_seen = health[0]["last_received_at"] if health else None
    if days and freshness is not None and last_seen is not None:
        midnight = datetime.combine(
            date.fromisoformat(days[-1]) + timedelta(days=1), time(), ZoneInfo(workspace.timezone)
        )
        ends = pd.Timestamp(midnight).tz_convert("UTC").tz_localize(None)
        rows.loc[rows.index[-1], "silent_hours"] = (ends - pd.Timestamp(last_seen)) / pd.Timedelta(hours=1)
        rows.loc[rows.index[-1], "limit_hours"] = freshness / timedelta(hours=1)
    return _typed(rows, text=("status", "problem"), numbers=("messages",), flags=()), ()


def _identifiers(
    name: str, evidence: Evidence, workspace: Workspace, days: Sequence[str]
) -> tuple[pd.DataFrame, tuple[str, ...]]:
    dropped = _on(evidence.of("not_expected", "destination", name), days)
    dropped = dropped[dropped["reason"].isin(["bad_identifier", "no_identifier"])]
    dropped = _typed(dropped, text=("event", "reason"), numbers=("messages",), flags=())
    rows = (
        dropped.groupby(["day", "event", "reason"], dropna=False, sort=True)["messages"].sum().reset_index()
    )
    cells = _typed(
        _on(evidence.of("cells", "destination", name), days), text=("event",), numbers=("expected",), flags=()
    )
    expected = cells.groupby(["day", "event"], dropna=False)["expected"].sum()
    lost = rows.groupby(["day", "event"], dropna=False)["messages"].sum()
    totals = lost.add(expected, fill_value=0.0)
    keys = list(zip(rows["day"], rows["event"], strict=True))
    rows["total"] = pd.Series([totals.get(key, np.nan) for key in keys], index=rows.index, dtype=float)
    rows = _share(rows, IDENTIFIER_LIMIT)
    # A message without an identifier is ordinary traffic; one with an identifier of the wrong shape is not.
    rows["limit"] = rows["limit"].where(rows["reason"].eq("bad_identifier"))
    return _typed(rows, text=("event", "reason"), numbers=("messages",), flags=()), ("event",)


def _routed_violations(
    name: str, evidence: Evidence, workspace: Workspace, days: Sequence[str]
) -> tuple[pd.DataFrame, tuple[str, ...]]:
    destination = workspace.destination(name)
    parts = [_violations(source, evidence, workspace, days)[0] for source in destination.sources]
    rows = pd.concat(parts, ignore_index=True) if parts else _violations("", evidence, workspace, days)[0]
    if destination.events is not None:
        rows = rows[rows["event"].isin([route.event for route in destination.events])]
    return rows, ("source", "event", "property")


def _violations(
    name: str, evidence: Evidence, workspace: Workspace, days: Sequence[str]
) -> tuple[pd.DataFrame, tuple[str, ...]]:
    # Sixty destinations may ask for the same forty sources: 2,400 times 6 ms (2026-11-23).
    key = ("violations", name, *days)
    rows = evidence.once(key, partial(_violations_of_source, name, evidence, days))
    return rows, ("source", "event", "property")


def _violations_of_source(name: str, evidence: Evidence, days: Sequence[str]) -> pd.DataFrame:
    rows = _on(evidence.of("violations", "source", name), days)
    rows = rows[rows["rule"] != "unplanned_event"]  # a matter of names
    rows = _typed(rows, text=("source", "event", "property", "rule"), numbers=("messages",), flags=())
    rows = rows[["day", "source", "event", "property", "rule", "messages"]].reset_index(drop=True)
    sent = _on(evidence.of("names", "source", name), days)
    totals = pd.to_numeric(sent["messages"], errors="coerce").groupby([sent["day"], sent["event_text"]]).sum()
    keys = list(zip(rows["day"], rows["event"], strict=True))
    rows["total"] = pd.Series([totals.get(key, np.nan) for key in keys], index=rows.index, dtype=float)
    rows = _share(rows, VIOLATION_LIMIT)
    # A property that the plan does not know is worth knowing, not worth failing.
    rows["limit"] = rows["limit"].where(rows["rule"] != "unplanned_property")
    return rows


def _ids(
    name: str, evidence: Evidence, workspace: Workspace, days: Sequence[str]
) -> tuple[pd.DataFrame, tuple[str, ...]]:
    """How many ids are none, a word in the place of one, or an e-mail address; track calls of all names together.

    Only a word in the place of an id has a limit of its own: the others are news where they rise, and the diagnosis
    holds them to the source's own past.
    """
    found = _on(evidence.of("shapes", "source", name), days)
    totals: dict[tuple[str, str], float] = {}
    odd: dict[tuple[str, str, str], float] = {}
    for row in _records(found[found["identifier"].isin(["user_id", "group_id"])]):
        event = str(row["event"])
        place = (str(row["day"]), event if call_of_event(event) != "track" else "(track)")
        totals[place] = totals.get(place, 0.0) + float(row["messages"] or 0)
        if row["shape"] in ODD_IDS:
            key = (*place, ODD_IDS[str(row["shape"])])
            odd[key] = odd.get(key, 0.0) + float(row["messages"] or 0)
    rows = pd.DataFrame(
        [
            {"day": day, "event": event, "reason": reason, "messages": count, "total": totals[day, event]}
            for (day, event, reason), count in sorted(odd.items())
        ],
        columns=["day", "event", "reason", "messages", "total"],
    )
    rows = _typed(rows, text=("event", "reason"), numbers=("messages", "total"), flags=())
    rows = _share(rows, IDENTIFIER_LIMIT)
    rows["limit"] = rows["limit"].where(rows["reason"] == ODD_IDS["placeholder"])
    return rows, ("event",)


_Frame = Callable[[str, Evidence, Workspace, Sequence[str]], tuple[pd.DataFrame, tuple[str, ...]]]
_FRAMES: Final[Mapping[tuple[SubjectKind, str], _Frame]] = {
    ("destination", "names"): _delivered_names,
    ("destination", "counts"): _counts,
    ("destination", "freshness"): _landed,
    ("destination", "identifiers"): _identifiers,
    ("destination", "properties"): _routed_violations,
    ("source", "names"): _sent_names,
    ("source", "freshness"): _arrived,
    ("source", "identifiers"): _ids,
    ("source", "properties"): _violations,
}


# ---- small tools -----------------------------------------------------------------------------------------


def _share(rows: pd.DataFrame, limit: float) -> pd.DataFrame:
    """Adds `share` of `total` and the `limit` it is held to. A total that is not known is the messages."""
    total = rows["total"].where(rows["total"] >= rows["messages"], rows["messages"]).clip(lower=1.0)
    rows["total"] = total
    rows["share"] = rows["messages"] / total
    rows["limit"] = np.maximum(limit, (SHARE_FLOOR - 1.0) / total)
    return rows


def _on(rows: pd.DataFrame, days: Sequence[str]) -> pd.DataFrame:
    return rows[rows["day"].isin(list(days))].reset_index(drop=True)


def _typed(
    rows: pd.DataFrame, *, text: Sequence[str], numbers: Sequence[str], flags: Sequence[str]
) -> pd.DataFrame:
    """The same rows, each column of one type whatever the driver made of its nulls: floats, or objects."""
    typed: dict[str, pd.Series[Any]] = {"day": rows["day"].astype(object)}
    for column in numbers:
        typed[column] = pd.to_numeric(rows[column], errors="coerce").astype(float)
    for column in text:
        typed[column] = pd.Series(_plain(rows[column]), index=rows.index, dtype=object)
    for column in flags:
        values = [None if value is None else bool(value) for value in _plain(rows[column])]
        typed[column] = pd.Series(values, index=rows.index, dtype=object)
    return rows.assign(**typed)


def _appended(rows: pd.DataFrame, records: list[dict[str, Any]]) -> pd.DataFrame:
    """The rows and these after them, what a record does not name being null; types stay as they are."""
    if not records:
        return rows
    more = pd.DataFrame(records, dtype=object).reindex(columns=rows.columns).astype(dict(rows.dtypes))
    return more if rows.empty else pd.concat([rows, more], ignore_index=True)


def _plain(values: pd.Series[Any]) -> list[Any]:
    return [None if pd.isna(value) else value for value in values.tolist()]


def _records(rows: pd.DataFrame) -> list[dict[str, Any]]:
    """Rows as dictionaries with None for every kind of null."""
    columns = {str(column): _plain(rows[column]) for column in rows.columns}
    return [dict(zip(columns, values, strict=True)) for values in zip(*columns.values(), strict=True)]


def _cleaned(table: pd.DataFrame) -> pd.DataFrame:
    days = {column: _days(table[column]) for column in ("day", "started_on", "ended_on") if column in table}
    return table.assign(**days)


def _days(values: pd.Series[Any]) -> pd.Series[Any]:
    """Days as ISO text, whether the driver gave dates, times or text; null stays null."""
    if values.empty:
        return values.astype(object)
    moments = pd.to_datetime(values).to_numpy().astype("datetime64[D]")
    texts = pd.Series(moments.astype(str), index=values.index, dtype=object)
    return texts.where(~np.isnat(moments), None)


def _iso(day: date) -> str:
    return day.isoformat()[:10]
