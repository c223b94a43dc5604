"""Lands the demo workspace: Segment's tables, the destinations' exports, and the key of what is wrong."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pandas as pd
import pyarrow as pa

from dagster_project.core.slug import slug
from dagster_project.demo.dice import roll, uuids
from dagster_project.demo.exports import (
    DESTINATIONS,
    TABLES,
    DemoDestination,
    deliveries,
    file_day,
    write_file,
)
from dagster_project.demo.incidents import (
    AT_DESTINATIONS,
    AT_SOURCES,
    EXTRA_EVENTS,
    Effect,
    Incident,
    last_complete_day,
)
from dagster_project.demo.plan import SOURCES, DemoSource
from dagster_project.demo.traffic import SENT_TWICE, START, Traffic, landing_times, people, traffic

AS_OF = datetime(2026, 11, 9, 12, tzinfo=UTC)  # of `recon demo`: 42 whole days of history and a morning
NEXT_DAY = datetime(2026, 11, 10, 12, tzinfo=UTC)  # one more day, to be landed afterwards

# What a destination's deliveries are made of.
DELIVERED = (
    "dice",
    "event_text",
    "id",
    "user_id",
    "anonymous_id",
    "timestamp",
    "received_at",
    "sent",
    "consents",
)

SEGMENT_TYPES = {
    "string": "varchar",
    "double": "double",
    "int64": "bigint",
    "bool": "boolean",
    "timestamp[us]": "timestamp",
}


@dataclass(frozen=True)
class AnswerKey:
    """What was planted, as far as it can be known at `through`: complete days, and what has landed."""

    seed: int
    through: datetime
    incidents: tuple[Incident, ...]

    @property
    def complete_through(self) -> date:
        """The workspace's last complete day."""
        return last_complete_day(self.through, None)

    def write(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        answer = {
            "seed": self.seed,
            "through": self.through.isoformat() + "Z",
            "complete_through": self.complete_through.isoformat(),
            "incidents": [incident.as_json() for incident in self.incidents],
        }
        path.write_text(json.dumps(answer, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def land(
    duckdb_path: Path,
    exports_dir: Path,
    *,
    seed: int = 7,
    through: datetime,
    since: datetime | None = None,
    connect: Callable[[str], duckdb.DuckDBPyConnection] = duckdb.connect,
) -> AnswerKey:
    """Land what arrives in (since, through], and answer what a reconciler should find at `through`.

    Without `since` the demo begins anew: its schemas and files are replaced. The same seed gives the same
    rows, and landing in two steps gives what one step gives.
    """
    until = _naive_utc(through)
    after = _naive_utc(since) if since else None
    if until <= (after or START):
        raise ValueError(f"nothing lands up to {until}; write a later `through` than {after or START} (UTC)")
    window = _Window(after, until)
    crowd = people(seed)
    sources: dict[str, pd.DataFrame] = {}
    effects: list[Effect] = []
    duckdb_path.parent.mkdir(parents=True, exist_ok=True)
    with closing(connect(str(duckdb_path))) as warehouse:
        warehouse.execute("begin transaction")
        if after is None:
            _forget(warehouse)
        for source in SOURCES:
            sent = traffic(source, crowd, seed, until, EXTRA_EVENTS.get(source.name, ()))
            effects += [plant(sent) for plant in AT_SOURCES.get(source.name, ())]
            _land_source(warehouse, sent, window)
            sources[source.name] = sent.messages[list(DELIVERED)]  # the rest would only cost memory
        for destination in DESTINATIONS:
            rows = deliveries(destination, sources)
            effects += [plant(destination, rows) for plant in AT_DESTINATIONS.get(destination.name, ())]
            if destination.table:
                _land_table(warehouse, destination, rows, window)
            else:
                _land_files(exports_dir, destination, rows, window)
        warehouse.execute("commit")

    told = (effect.told_at(until) for effect in effects)
    return AnswerKey(seed, until, tuple(sorted(filter(None, told), key=lambda i: (i.started_on, i.kind))))


@dataclass(frozen=True)
class _Window:
    """The span of landing times of one call."""

    after: datetime | None
    until: datetime

    def holds(self, moments: pd.Series) -> pd.Series:
        arrived = moments <= np.datetime64(self.until)
        return arrived if self.after is None else arrived & (moments > np.datetime64(self.after))


def _naive_utc(moment: datetime) -> datetime:
    return moment.astimezone(UTC).replace(tzinfo=None) if moment.tzinfo else moment


def _forget(warehouse: duckdb.DuckDBPyConnection) -> None:
    """Drop what an earlier demo landed: only the schemas that the demo itself makes."""
    tables = [destination.table for destination in DESTINATIONS if destination.table]
    for schema in (*(source.schema for source in SOURCES), *(table.split(".")[0] for table in tables)):
        warehouse.execute(f"drop schema if exists {_quoted(schema)} cascade")


# --- Segment's tables -----------------------------------------------------------------------------


def _land_source(warehouse: duckdb.DuckDBPyConnection, sent: Traffic, window: _Window) -> None:
    """`tracks`, one table for each event, and for the web app the `identifies` of its sign-ups."""
    messages = sent.messages[sent.messages["sent"]]
    again = messages[roll(messages["dice"].to_numpy(), "sent twice") < SENT_TWICE]
    later = pd.to_timedelta(1 + 9 * roll(again["dice"].to_numpy(), "again"), unit="m").round("ms")
    again = again.assign(received_at=again["received_at"] + later, sent_at=again["sent_at"] + later)
    rows = pd.concat([messages, again])
    rows = rows[window.holds(landing_times(rows["received_at"]))].sort_values(["received_at", "id"])

    common = _common_columns(sent.source, rows)
    _append(warehouse, sent.source.schema, "tracks", common)
    by_name: Any = rows.groupby(["event_text", "planned_as"], observed=True).indices
    for (name, planned_as), places in by_name.items():
        columns = common.take(pa.array(places))
        # A message that came twice has two rows and one set of properties.
        properties = sent.properties[planned_as].loc[rows.index[places]]
        for column in properties.columns:
            columns = columns.append_column(column, _arrow(properties[column]))
        _append(warehouse, sent.source.schema, slug(name), columns)
    if sent.source.name == "web_app":
        _append(warehouse, "web_app", "identifies", _identifies(sent, rows))


def _common_columns(source: DemoSource, rows: pd.DataFrame) -> pa.Table:
    """The columns that `tracks` and the event tables share; which context there is depends on the library."""
    dice = rows["dice"].to_numpy()
    names = rows["event_text"]
    columns = {
        "id": rows["id"],
        "anonymous_id": rows["anonymous_id"],
        "user_id": rows["user_id"],
        "event": names.map({name: slug(name) for name in names.unique()}),
        "event_text": names,
        "received_at": rows["received_at"],
        "sent_at": rows["sent_at"],
        "original_timestamp": rows["original_timestamp"],
        "timestamp": rows["timestamp"],
        "context_library_name": pd.Series(source.library, index=rows.index),
        "context_library_version": rows["library_version"],
    }
    if source.device != "server":
        locales = np.array(["en-US", "de-DE", "en-GB", "en-IN"], dtype=object)
        spoken = locales[(4 * roll(dice, "locale") ** 1.4).astype(int)]
        columns["context_locale"] = pd.Series(spoken, rows.index)
        columns["context_consent_category_preferences_advertising"] = rows["consents"].astype(bool)
    if source.device == "web":
        paths = np.array(["/", "/shop", "/shop/coffee", "/cart", "/account", "/help"], dtype=object)
        page = paths[(6 * roll(dice, "page")).astype(int)]
        columns["context_page_path"] = pd.Series(page, rows.index)
    if source.device in ("ios", "android"):
        columns["context_app_version"] = rows["app_version"]
        columns["context_os_name"] = pd.Series("iOS" if source.device == "ios" else "Android", rows.index)
    return pa.table({name: _arrow(column) for name, column in columns.items()})


def _identifies(sent: Traffic, rows: pd.DataFrame) -> pa.Table:
    """Whoever signs up is identified: a small table, with the plan as a trait."""
    signed_up = rows[(rows["planned_as"] == "Signed Up") & rows["user_id"].notna()]
    dice = signed_up["dice"].to_numpy()
    stamps = signed_up["timestamp"].astype("datetime64[ms]").astype("int64")
    ids = [f"ajs-next-{ms}-{one}" for ms, one in zip(stamps, uuids(dice, "identify"), strict=True)]
    return pa.table(
        {
            "id": pa.array(ids, pa.string()),
            "anonymous_id": _arrow(signed_up["anonymous_id"]),
            "user_id": _arrow(signed_up["user_id"]),
            "received_at": _arrow(signed_up["received_at"]),
            "sent_at": _arrow(signed_up["sent_at"]),
            "original_timestamp": _arrow(signed_up["original_timestamp"]),
            "timestamp": _arrow(signed_up["timestamp"]),
            "plan": _arrow(sent.properties["Signed Up"].loc[signed_up.index, "plan"]),
        }
    )


def _arrow(column: pd.Series) -> pa.Array:
    """One column in one of Segment's five types."""
    if isinstance(column.dtype, pd.CategoricalDtype) or column.dtype == object or column.dtype == "str":
        return pa.array(column.astype("str"), pa.string(), from_pandas=True)
    if str(column.dtype).startswith("datetime64"):
        return pa.array(column, pa.timestamp("us"), from_pandas=True)
    return pa.array(column, from_pandas=True)


def _append(warehouse: duckdb.DuckDBPyConnection, schema: str, table: str, rows: pa.Table) -> None:
    """Append rows as Segment's connector does: a table, and each column, appears with its first value."""
    if not rows.num_rows:
        return
    target = f"{_quoted(schema)}.{_quoted(table)}"
    found = warehouse.execute(
        "select column_name from information_schema.columns where table_schema = ? and table_name = ?",
        [schema, table],
    ).fetchall()
    there = {name for (name,) in found}
    filled = [name for name in rows.column_names if rows.column(name).null_count < rows.num_rows]
    new = [
        f"{_quoted(name)} {SEGMENT_TYPES[str(rows.schema.field(name).type)]}"
        for name in filled
        if name not in there
    ]
    if not there:
        warehouse.execute(f"create schema if not exists {_quoted(schema)}")
        warehouse.execute(f"create table {target} ({', '.join(new)})")
    else:
        for column in new:
            warehouse.execute(f"alter table {target} add column {column}")
    # DuckDB finds the variable by its name. A registered view would keep the rows in memory until the commit.
    arriving = rows.select(filled)
    warehouse.execute(f"insert into {target} by name select * from arriving")
    del arriving


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


# --- the destinations' exports --------------------------------------------------------------------


def _land_table(
    warehouse: duckdb.DuckDBPyConnection, destination: DemoDestination, rows: pd.DataFrame, window: _Window
) -> None:
    delivered = rows[~rows["lost"]]
    again = delivered[delivered["landed_again_at"].notna()]
    delivered = pd.concat([delivered, again.assign(landed_at=again["landed_again_at"])])
    arriving = delivered[window.holds(delivered["landed_at"])]
    assert destination.table is not None
    schema, table = destination.table.split(".")
    _append(warehouse, schema, table, TABLES[destination.name](arriving))


def _land_files(folder: Path, destination: DemoDestination, rows: pd.DataFrame, window: _Window) -> None:
    """The files of the days that landed in the window; days that began before the demo have none."""
    if window.after is None:
        for old in (folder / destination.name).glob(f"*.{destination.suffix}"):
            old.unlink()
    delivered = rows[~rows["lost"] & window.holds(rows["landed_at"])]
    days = file_day(destination, delivered)
    for day, of_day in delivered.groupby(days):
        if day < START:
            continue
        written = write_file(destination, folder, day.date(), of_day)
        landed = of_day["landed_at"].iloc[0].replace(tzinfo=UTC).timestamp()
        os.utime(written, (landed, landed))
