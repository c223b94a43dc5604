"""What landed in the event tables, counted for the draft of a plan: two statements a table, no row leaves it."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any, Final

import pandas as pd

from dagster_project.core.contracts import Source
from dagster_project.core.plan.landed import RESERVED_COLUMNS
from dagster_project.core.plan_infer import MOST_VALUES, PATTERNS, Column, LandedEvent
from dagster_project.flow.census import as_day, rows_of
from dagster_project.flow.inputs import SEGMENT_TABLES
from dagster_project.resources.warehouse import Warehouse

# A table that a program has given thousands of columns would make a statement that no engine plans.
MOST_COLUMNS: Final = 200
# Tables of calls without an event name, and what a plan calls their rules.
_CALLS: Final = {"identifies": "IDENTIFY", "groups": "GROUP"}
_NAMELESS: Final = {"IDENTIFY": "(identify)", "GROUP": "(group)"}
_FEWEST_OF_A_VERSION: Final = 20
_A_FEW_LACK_IT: Final = 0.999
_DECIMALS: Final = frozenset({"number", "numeric", "decimal"})
_FITS: Final = {"duckdb": "regexp_full_match({0}, {1})", "snowflake": "regexp_like({0}, {1})"}


@dataclass(frozen=True)
class Window:
    """The days that are read: the last `days` up to the last message that landed."""

    first: date
    last: date


@dataclass
class _Table:
    schema: str
    name: str
    columns: dict[str, tuple[str, str]]  # lower-case name -> name as it is, type in lower case

    @property
    def quoted(self) -> str:
        return f"{_quoted(self.schema)}.{_quoted(self.name)}"


def window_of(warehouse: Warehouse, sources: Sequence[Source], days: int) -> Window | None:
    """The last days that landed in any of the sources; None when nothing did."""
    latest: list[date] = []
    for source in sources:
        tables = {table.name.lower(): table for table in _tables(warehouse, source)}
        tracks = tables.get("tracks") or tables.get("identifies")
        if tracks is not None and "received_at" in tracks.columns:
            column = _quoted(tracks.columns["received_at"][0])
            value = warehouse.frame(f"select cast(max({column}) as date) as day from {tracks.quoted}")[
                "day"
            ].iloc[0]
            if value is not None and not pd.isna(value):
                latest.append(as_day(value))
    return Window(max(latest) - timedelta(days=days - 1), max(latest)) if latest else None


def landed_events(
    warehouse: Warehouse, source: Source, window: Window, *, slugs: Collection[str] | None = None
) -> Iterator[LandedEvent]:
    """Every event of a source in the window, and its identify and group calls, with counts of their columns.

    With `slugs` only the tables of these events are read; some warehouses put `_` before a table's name.
    """
    for table in _tables(warehouse, source):
        kind = _CALLS.get(table.name.lower(), "TRACK")
        if "received_at" not in table.columns or "id" not in table.columns:
            continue
        if kind == "TRACK" and (table.name.lower() in SEGMENT_TABLES or "event_text" not in table.columns):
            continue
        if slugs is not None and table.name.lower().lstrip("_") not in slugs:
            continue
        yield from _of_table(warehouse, source.name, table, kind, window)


def _tables(warehouse: Warehouse, source: Source) -> list[_Table]:
    found: dict[str, _Table] = {}
    frame = warehouse.frame(
        "select table_schema as s, table_name as t, column_name as c, data_type as d, numeric_scale as n"
        " from information_schema.columns where lower(table_schema) = :schema order by 1, 2, ordinal_position",
        schema=source.schema_name.lower(),
    )
    for row in rows_of(frame):
        table = found.setdefault(row.t, _Table(row.s, row.t, {}))
        # Snowflake tells whole numbers by their scale alone: both are NUMBER.
        whole = str(row.d).lower() in _DECIMALS and row.n == 0
        table.columns.setdefault(str(row.c).lower(), (str(row.c), "bigint" if whole else str(row.d).lower()))
    return list(found.values())


def _of_table(
    warehouse: Warehouse, source: str, table: _Table, kind: str, window: Window
) -> Iterator[LandedEvent]:
    """Both statements of a table: counts of every column, then the values of those that have few."""
    properties = {
        name: column
        for name, column in table.columns.items()
        if name not in RESERVED_COLUMNS and not name.startswith("context_")
    }
    properties = dict(list(properties.items())[:MOST_COLUMNS])
    received = _quoted(table.columns["received_at"][0])
    parts = ["count(*) as messages", f"min(cast({received} as date)) as since"]
    for number, (name, type_) in enumerate(properties.values()):
        parts += _counts(warehouse.dialect, number, _quoted(name), type_)
    event = (
        f"cast({_quoted(table.columns['event_text'][0])} as varchar)"
        if kind == "TRACK"
        else f"'{_escaped(_NAMELESS[kind])}'"
    )
    rows = warehouse.frame(
        f"select {event} as event_text, {_version(table)} as version, {', '.join(parts)} from {table.quoted}"
        f" where {_within(table, window)} group by 1, 2 order by 1, 2"
    )
    few: set[int] = set()
    events: dict[str, LandedEvent] = {}
    for row in rows.to_dict("records"):
        if row["event_text"] is None or not row["messages"]:
            continue
        name, messages, since = str(row["event_text"]), int(row["messages"]), as_day(row["since"])
        landed = events.setdefault(name, LandedEvent(source, name, 0, {}, kind, since))
        landed.messages += messages
        landed.first = min(landed.first or since, since)
        for number, (column_name, (_, type_)) in enumerate(properties.items()):
            column = _column(column_name, type_, number, row, messages)
            known = landed.columns.setdefault(column_name, column)
            if known is not column:
                known.filled += column.filled
                known.least = min(known.least, column.least)
                known.fitting = {each: count + column.fitting[each] for each, count in known.fitting.items()}
            if column.kind == "string" and 0 < int(row[f"d{number}"]) <= MOST_VALUES + 3:
                few.add(number)
                known.values = {}
    _add_values(warehouse, table, list(properties.items()), few, event, window, events)
    yield from events.values()


def _counts(dialect: str, number: int, column: str, type_: str) -> list[str]:
    parts = [f"count({column}) as f{number}"]
    if _is_text(type_):
        parts.append(f"approx_count_distinct({column}) as d{number}")
        for name, pattern in PATTERNS.items():
            fits = _FITS[dialect].format(column, f"'{_escaped(pattern)}'")
            parts.append(f"sum(case when {fits} then 1 else 0 end) as {name}{number}")
        parts.append(f"sum(case when {column} like '[%' then 1 else 0 end) as array{number}")
    elif _is_number(type_) and not _is_whole(type_):
        parts.append(f"sum(case when {column} <> floor({column}) then 1 else 0 end) as n{number}")
    return parts


def _version(table: _Table) -> str:
    """The version of the app, else of the library: a property that one of them never fills is not required."""
    for name in ("context_app_version", "context_library_version"):
        if name in table.columns:
            return f"cast({_quoted(table.columns[name][0])} as varchar)"
    return "cast(null as varchar)"


def _column(name: str, type_: str, number: int, row: dict[Any, Any], messages: int) -> Column:
    def counted(prefix: str) -> int:
        value = row.get(f"{prefix}{number}")
        return 0 if value is None or pd.isna(value) else int(value)

    if _is_text(type_):
        kind = "string"
    elif "bool" in type_:
        kind = "boolean"
    elif "timestamp" in type_ or "date" in type_:
        kind = "date-time"
    else:
        # A column of decimals that holds whole numbers so far may hold others tomorrow.
        kind = "integer" if _is_whole(type_) else "number"
    fitting = {each: counted(each) for each in (*PATTERNS, "array")} if kind == "string" else {}
    filled = counted("f")
    # A version of a handful of messages proves nothing against a property; that some lack it, all the same.
    least = filled / messages if messages >= _FEWEST_OF_A_VERSION or filled == messages else _A_FEW_LACK_IT
    return Column(name, kind, filled, fitting, least=least)


def _add_values(
    warehouse: Warehouse,
    table: _Table,
    properties: Sequence[tuple[str, tuple[str, str]]],
    few: set[int],
    event: str,
    window: Window,
    events: dict[str, LandedEvent],
) -> None:
    """The values of the columns that have few, one statement for all of them."""
    if not few:
        return
    received = _quoted(table.columns["received_at"][0])
    statement = " union all ".join(
        f"select {number} as number, {event} as event_text, cast({_quoted(properties[number][1][0])} as varchar) as value,"
        f" count(*) as messages, min(cast({received} as date)) as since from {table.quoted}"
        f" where {_within(table, window)} and {_quoted(properties[number][1][0])} is not null group by 1, 2, 3"
        for number in sorted(few)
    )
    for row in rows_of(warehouse.frame(statement)):
        landed = events.get(str(row.event_text))
        column = landed.columns[properties[int(row.number)][0]] if landed else None
        if column is not None and column.values is not None:
            column.values[str(row.value)] = (int(row.messages), as_day(row.since))
            if len(column.values) > 4 * MOST_VALUES:
                column.values = None  # the estimate was far off


def _within(table: _Table, window: Window) -> str:
    """The window as constant bounds on the clock by which the table is ordered."""
    name, type_ = table.columns["received_at"]
    column = _quoted(name)
    after = window.last + timedelta(days=1)
    if _is_text(type_):
        return f"{column} >= '{window.first.isoformat()}' and {column} < '{after.isoformat()}'"
    return (
        f"{column} >= cast('{window.first.isoformat()}' as timestamp)"
        f" and {column} < cast('{after.isoformat()}' as timestamp)"
    )


def _is_text(type_: str) -> bool:
    return "char" in type_ or "text" in type_ or "string" in type_


def _is_number(type_: str) -> bool:
    return not _is_text(type_) and "bool" not in type_ and "timestamp" not in type_ and "date" not in type_


def _is_whole(type_: str) -> bool:
    return "int" in type_ and "interval" not in type_


def _quoted(name: str) -> str:
    """A name from the catalogue as an identifier; a colon in it is no bind of ours."""
    return '"' + name.replace('"', '""').replace(":", "\\:") + '"'


def _escaped(text: str) -> str:
    return text.replace("'", "''").replace(":", "\\:")
