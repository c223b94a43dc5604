"""Makes the benchmark's rows with DuckDB alone: Segment-shaped tracks and what ten tools made of them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Final

import duckdb

EVENTS: Final = 150
SOURCES: Final = 10
FIRST_DAY: Final = date(2026, 5, 4)  # no clock changes in the months after it, in any of the zones
ZONES: Final = ("UTC", "America/New_York", "Europe/Berlin", "Asia/Kolkata", "America/Los_Angeles")
LOST, TWICE, FOREIGN, LATE = 0.003, 0.001, 0.0005, 0.02  # shares of the deliveries


@dataclass(frozen=True)
class Shape:
    """How much traffic, over how many days, into how many tools. The same shape makes the same rows."""

    messages: int
    destinations: int
    days: int

    def zone(self, destination: int) -> str:
        return ZONES[destination % len(ZONES)]

    def as_of(self, days: int) -> datetime:
        """Noon after `days` days of history, in UTC; the run of that day sees nothing that landed later."""
        return datetime.combine(FIRST_DAY, datetime.min.time()) + timedelta(days=days, hours=12)


def make_master(path: Path, shape: Shape) -> None:
    """Every row that will ever land, with the time at which it does, in a DuckDB file."""
    with duckdb.connect(str(path)) as db:
        db.execute("set timezone = 'UTC'")
        for statement in _statements(shape):
            db.execute(statement)


def _statements(shape: Shape) -> Iterator[str]:
    # Zipf-like without a table of weights: exp of a uniform number is dense where the number is small.
    event = f"cast(floor(exp({_dice('event')} * ln({EVENTS + 1}))) - 1 as integer)"
    seconds = (
        f"cast(number * cast({(shape.days + 1.5) * 86_400} as double) / {shape.messages} * 1e6 as bigint)"
    )
    yield f"""
        create table messages as
        select
            *,
            timestamp + to_milliseconds(cast(200 + 4000 * {_dice("network")} as bigint))
            + case when {_dice("phone")} < {LATE} then to_seconds(cast(172800 * {_dice("offline")} as bigint))
                else to_seconds(0) end as received_at
        from (
            select
                number, event,
                -- An event comes from three of the sources.
                (event * 7 + cast(floor({_dice("source")} * 3) as integer)) % {SOURCES} as source,
                'Event ' || lpad(cast(event as varchar), 3, '0') || ' Done' as event_text,
                {_uuid("id")} as id,
                'user_' || cast(cast(floor({_dice("user")} * {max(shape.messages // 20, 1)}) as bigint) as varchar)
                    as user_id,
                timestamp '{FIRST_DAY}' + to_microseconds({seconds}) as timestamp
            from (select range as number, {event} as event from range({shape.messages}))
        )
    """
    for index in range(shape.destinations):
        name, zone = f"tool_{index}", shape.zone(index)
        late = (
            f"case when {_dice(name + 'late')} < {LATE} "
            f"then to_seconds(cast(172800 * {_dice(name + 'by')} as bigint)) else to_seconds(60) end"
        )
        yield f"""
            create table {name} as
            with arrived as (
                select
                    number, event_text, user_id,
                    timezone('{zone}', timezone('UTC', timestamp)) as event_time,
                    id as message_id,
                    received_at + {late} as landed_at
                from messages
                where {_receives(shape, index, "event")} and {_dice(name + "lost")} >= {LOST}
            )
            select * from arrived
            union all
            select * from arrived where {_dice(name + "twice")} < {TWICE}
            union all
            select * replace ({_uuid(name + "foreign")} as message_id) from arrived
            where {_dice(name + "foreign")} < {FOREIGN}
        """


def _receives(shape: Shape, destination: int, event: str) -> str:
    """Whether the tool gets an event: 20 to 40 % of the names, spread over frequent and rare ones."""
    share = 20 + 20 * destination // max(shape.destinations - 1, 1)
    return f"({event} * 37 + {destination * 13}) % 100 < {share}"


def received_events(shape: Shape, destination: int) -> list[str]:
    """The names that a tool gets, as its contract lists them."""
    share = 20 + 20 * destination // max(shape.destinations - 1, 1)
    return [f"Event {n:03} Done" for n in range(EVENTS) if (n * 37 + destination * 13) % 100 < share]


def _dice(salt: str) -> str:
    """A number from 0 to 1 that the row's number and the salt decide."""
    return f"((hash(number, '{salt}') % 1000000007) / 1000000007.0)"


def _uuid(salt: str) -> str:
    digest = f"md5('{salt}' || cast(number as varchar))"
    parts = [(1, 8), (9, 4), (13, 4), (17, 4), (21, 12)]
    return " || '-' || ".join(f"substr({digest}, {start}, {length})" for start, length in parts)


def land(warehouse: Path, master: Path, shape: Shape, since: datetime | None, through: datetime) -> None:
    """Land what came after `since` up to `through`, in the order in which a loader appends it."""
    after = f"> timestamp '{since}'" if since else "is not null"
    with duckdb.connect(str(warehouse)) as db:
        db.execute(f"attach '{master}' as master (read_only)")
        for source in range(SOURCES):
            _append(
                db,
                f"app_{source}",
                "tracks",
                f"""
                select id, event_text, lower(replace(event_text, ' ', '_')) as event, user_id,
                    'anonymous_' || user_id as anonymous_id, received_at, received_at as sent_at,
                    timestamp as original_timestamp, timestamp,
                    '4.' || cast(number % 3 as varchar) as context_app_version
                from master.messages
                where source = {source} and received_at {after} and received_at <= timestamp '{through}'
                order by received_at
                """,
            )
        for index in range(shape.destinations):
            _append(
                db,
                "exports",
                f"tool_{index}",
                f"""
                select event_text as event_name, event_time, user_id, message_id from master.tool_{index}
                where landed_at {after} and landed_at <= timestamp '{through}' order by landed_at
                """,
            )


def _append(db: duckdb.DuckDBPyConnection, schema: str, table: str, rows: str) -> None:
    db.execute(f"create schema if not exists {schema}")
    found = db.execute(
        "select 1 from information_schema.tables where table_schema = ? and table_name = ?", [schema, table]
    ).fetchall()
    db.execute(
        f"insert into {schema}.{table} {rows}" if found else f"create table {schema}.{table} as {rows}"
    )


def write_expectations(folder: Path, shape: Shape) -> None:
    """The contract of this traffic, as the files that anybody would write. JSON is YAML."""
    (folder / "destinations").mkdir(parents=True)
    rules = [
        {
            "type": "TRACK",
            "key": f"Event {number:03} Done",
            "version": 1,
            "jsonSchema": {"$schema": "http://json-schema.org/draft-07/schema#", "type": "object"},
        }
        for number in range(EVENTS)
    ]
    (folder / "tracking_plan.json").write_text(json.dumps({"data": {"rules": rules}}), "utf-8")
    workspace = {
        "name": "benchmark",
        "timezone": "UTC",
        "tracking_plan": "tracking_plan.json",
        # A day early: where it is still the day before, the first messages are on that one.
        "starts_on": (FIRST_DAY - timedelta(days=1)).isoformat(),
        "sources": {f"app_{number}": {} for number in range(SOURCES)},
    }
    (folder / "workspace.yml").write_text(json.dumps(workspace, indent=1), "utf-8")
    for index in range(shape.destinations):
        destination = {
            "name": f"tool_{index}",
            "timezone": shape.zone(index),
            "grain": "event",
            "complete_after": "6h",
            "receives": {"sources": "all", "events": received_events(shape, index)},
            "export": {
                "table": f"exports.tool_{index}",
                "columns": {
                    "event_name": "event_name",
                    "event_time": "event_time",
                    "message_id": "message_id",
                },
            },
        }
        (folder / "destinations" / f"tool_{index}.yml").write_text(json.dumps(destination, indent=1), "utf-8")
