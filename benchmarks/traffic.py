"""Makes the benchmark's rows with DuckDB alone: Segment-shaped tracks and what many tools made of them."""

from __future__ import annotations

import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Any, Final
from zoneinfo import ZoneInfo

import duckdb

EVENTS: Final = 150
SOURCES: Final = 10
FIRST_DAY: Final = date(2026, 5, 4)
ZONES: Final = ("UTC", "America/New_York", "Europe/Berlin", "Asia/Kolkata", "America/Los_Angeles")
LOST, TWICE, FOREIGN, LATE = 0.003, 0.001, 0.0005, 0.02  # shares of the deliveries
LATEST_S: Final = 172_800  # seconds by which a phone that was offline, or a slow export, is late at most
# A delivery may be late twice, and a message takes up to 4.2 s to arrive.
LANDS_WITHIN: Final = timedelta(seconds=2 * LATEST_S + 65)
_NUMBERS_A_DAY: Final = 1_000_000_000
_APPENDED_AT_ONCE: Final = 500_000  # messages; days of less are appended several together
_STEADY_DAYS: Final = 6  # before the daily runs: late rows of none before them can still land


@dataclass(frozen=True)
class Traffic:
    """How much happens a day, and in how many tools it ends up. The same traffic makes the same rows.

    A history may be thinner than the days that are measured: `thin_days` first days have `thin` messages each.
    """

    per_day: int
    destinations: int
    thin: int = 0
    thin_days: int = 0

    @classmethod
    def before(cls, history: int, per_day: int, destinations: int, thin: int | None = None) -> Traffic:
        """Traffic for daily runs after `history` days, of which all but the last few may be thinner."""
        days = max(history - _STEADY_DAYS, 0) if thin else 0
        return cls(per_day, destinations, thin or 0, days)

    def messages_on(self, number: int) -> int:
        """Messages of the day with this number, counted from the first day."""
        return self.thin if number < self.thin_days else self.per_day

    def zone(self, destination: int) -> str:
        """The zone in which a tool's export has its times."""
        return ZONES[destination % len(ZONES)]

    def as_of(self, days: int) -> datetime:
        """Noon after `days` days of history, in UTC; the run of that day sees nothing that landed later."""
        return _midnight(FIRST_DAY) + timedelta(days=days, hours=12)

    def received(self, destination: int) -> list[int]:
        """The events that a tool gets: 20 to 40 % of the names, spread over frequent and rare ones."""
        share = 20 + 20 * destination // max(self.destinations - 1, 1)
        return [number for number in range(EVENTS) if (number * 37 + destination * 13) % 100 < share]


def event_name(number: int) -> str:
    """Segment's name of an event; the tools use the same."""
    return f"Event {number:03} Done"


@cache
def offsets(zone: str, day: date) -> list[tuple[datetime, timedelta]]:
    """How far a zone's clock is from UTC on a UTC day: from which moment on, and by how much."""
    found: list[tuple[datetime, timedelta]] = []
    for hour in range(24):
        moment = _midnight(day) + timedelta(hours=hour)
        offset = moment.replace(tzinfo=UTC).astimezone(ZoneInfo(zone)).utcoffset() or timedelta(0)
        if not found or found[-1][1] != offset:
            found.append((moment, offset))
    return found


def land(warehouse: Path, traffic: Traffic, since: datetime | None, through: datetime) -> None:
    """Land what comes after `since` up to `through`, both UTC, in the order in which a loader appends it.

    Every number below is a hash of the row's number, so any stretch of time can be made by itself. A day's rows
    are made as it begins; those of them that come late wait in memory until their time has come.
    """
    with duckdb.connect(str(warehouse)) as db:
        db.execute("set timezone = 'UTC'")
        db.execute("set enable_progress_bar = false")
        # Or it keeps every page that it wrote, until the system kills it or somebody else.
        db.execute("set memory_limit = '4GB'")
        _make_tables(db, traffic)
        day = max((since - LANDS_WITHIN).date() if since else FIRST_DAY, FIRST_DAY)
        begun, waiting = day, 0
        while day <= through.date():
            _happen(db, traffic, day, since or datetime.min, through)
            waiting += traffic.messages_on((day - FIRST_DAY).days)
            day += timedelta(days=1)
            if waiting >= _APPENDED_AT_ONCE or day > through.date():
                # Whatever happens from the next day on lands later than this.
                _append(db, traffic, begun, min(_midnight(day), through))
                begun, waiting = day, 0


def _make_tables(db: duckdb.DuckDBPyConnection, traffic: Traffic) -> None:
    for source in range(SOURCES):
        db.execute(f"create schema if not exists app_{source}")
        db.execute(
            f"create table if not exists app_{source}.tracks (id varchar, event_text varchar, event varchar, "
            "user_id varchar, anonymous_id varchar, received_at timestamp, sent_at timestamp, "
            "original_timestamp timestamp, timestamp timestamp, context_app_version varchar)"
        )
    db.execute("create schema if not exists exports")
    for tool in range(traffic.destinations):
        db.execute(
            f"create table if not exists exports.tool_{tool} "
            "(event_name varchar, event_time timestamp, user_id varchar, message_id varchar)"
        )
    # In memory, and seen by all cursors, which temporary tables are not.
    db.execute("attach ':memory:' as waiting")
    db.execute(
        "create table waiting.messages (number bigint, event utinyint, source utinyint, moment timestamp, "
        "landed_at timestamp)"
    )
    db.execute(
        "create table waiting.deliveries (number bigint, event utinyint, tool utinyint, moment timestamp, "
        "foreign_id boolean, landed_at timestamp)"
    )
    db.execute("create temp table receives (event utinyint, tool utinyint)")
    receives = [
        f"({event}, {tool})" for tool in range(traffic.destinations) for event in traffic.received(tool)
    ]
    db.execute(f"insert into receives values {', '.join(receives)}")


def _happen(
    db: duckdb.DuckDBPyConnection, traffic: Traffic, day: date, since: datetime, through: datetime
) -> None:
    """Everything that is sent on a UTC day and lands within the bounds, to the rows that wait."""
    index = (day - FIRST_DAY).days
    count = traffic.messages_on(index)
    apart = 86_400_000_000 / count
    numbers = f"range({index * _NUMBERS_A_DAY}, {index * _NUMBERS_A_DAY + count})"
    # Zipf-like without a table of weights: exp of a uniform number is dense where the number is small.
    event = f"cast(floor(exp({_dice('event')} * ln({EVENTS + 1}))) - 1 as integer)"
    offline = f"case when {_dice('phone')} < {LATE} then {LATEST_S}e6 * {_dice('offline')} else 0 end"
    db.execute(
        f"""
        create or replace temp table born as
        select *, moment + to_microseconds(cast(200e3 + 4e6 * {_dice("network")} + {offline} as bigint)) as received_at
        from (
            select
                number,
                {event} as event,
                timestamp '{day}' + to_microseconds(
                    cast((number - {index * _NUMBERS_A_DAY}) * cast({apart!r} as double) as bigint)
                ) as moment
            from (select range as number from {numbers})
        )
        """
    )
    bounds = {"since": since, "through": through}
    # An event comes from three of the sources.
    source = f"(event * 7 + cast(floor({_dice('source')} * 3) as integer)) % {SOURCES}"
    db.execute(
        f"insert into waiting.messages select number, event, {source}, moment, received_at from born "
        "where received_at > $since and received_at <= $through",
        bounds,
    )
    late = (
        f"case when {_dice('late', 'tool')} < {LATE} then {LATEST_S}e6 * {_dice('by', 'tool')} else 60e6 end"
    )
    for copies, foreign_id, condition in (
        ("first", "false", f"{_dice('lost', 'tool')} >= {LOST}"),
        ("second", "false", f"{_dice('lost', 'tool')} >= {LOST} and {_dice('twice', 'tool')} < {TWICE}"),
        ("foreign", "true", f"{_dice('foreign', 'tool')} < {FOREIGN}"),
    ):
        db.execute(
            f"""
            insert into waiting.deliveries  -- {copies}
            select * from (
                select number, born.event, tool, moment, {foreign_id},
                    received_at + to_microseconds(cast({late} as bigint)) as landed_at
                from born inner join receives on born.event = receives.event
                where {condition}
            )
            where landed_at > $since and landed_at <= $through
            """,
            bounds,
        )
    db.execute("drop table born")


def _append(db: duckdb.DuckDBPyConnection, traffic: Traffic, begun: date, until: datetime) -> None:
    """Append what has landed until then to the tables of the warehouse; the rest goes on waiting.

    `begun` is the first day that has not been looked at before.
    """
    users = max(traffic.per_day * 30 // 20, 1)
    user = f"'user_' || cast(cast(floor({_dice('user')} * {users}) as bigint) as varchar)"
    statements = [
        f"""
        insert into app_{source}.tracks
        select {_uuid("number", "'id'")}, {_event_text()}, lower(replace({_event_text()}, ' ', '_')), {user},
            'anonymous_' || {user}, landed_at, landed_at, moment, moment, '4.' || cast(number % 3 as varchar)
        from waiting.messages where source = {source} and landed_at <= $until order by landed_at
        """
        for source in range(SOURCES)
    ]
    for tool in range(traffic.destinations):
        salt = f"case when foreign_id then 'foreign {tool}' else 'id' end"
        statements.append(
            f"""
            insert into exports.tool_{tool}
            select {_event_text()}, moment + {_offset(traffic.zone(tool), begun, until)}, {user}, {_uuid("number", salt)}
            from waiting.deliveries where tool = {tool} and landed_at <= $until order by landed_at
            """
        )
    # An insert in order is work for one core. One transaction a worker: a commit of each small table takes longer
    # than its rows.
    workers = os.cpu_count() or 1
    with ThreadPoolExecutor(workers) as pool:
        list(
            pool.map(
                lambda own: _commit(db.cursor(), own, until),
                (statements[at::workers] for at in range(workers)),
            )
        )
    for table in ("messages", "deliveries"):
        db.execute(
            f"create or replace table waiting.{table} as select * from waiting.{table} where landed_at > $until",
            {"until": until},
        )


def _commit(cursor: duckdb.DuckDBPyConnection, statements: list[str], until: datetime) -> None:
    cursor.execute("begin")
    for statement in statements:
        cursor.execute(statement, {"until": until})
    cursor.execute("commit")
    cursor.close()


def _offset(zone: str, begun: date, until: datetime) -> str:
    """The zone's distance from UTC at `moment`. An ICU conversion of each row takes five times as long."""
    day, steps = (_midnight(begun) - LANDS_WITHIN).date(), []
    while day <= until.date():
        steps += offsets(zone, day)
        day += timedelta(days=1)
    changes = [step for before, step in pairwise(steps) if before[1] != step[1]]
    shift = f"to_seconds({int(steps[0][1].total_seconds())})"
    for begins, offset in changes:
        shift = f"case when moment >= timestamp '{begins}' then to_seconds({int(offset.total_seconds())}) else {shift} end"
    return shift


def _dice(salt: str, *columns: str) -> str:
    """A number from 0 to 1 that the row's number and the salt decide."""
    return f"((hash({', '.join(['number', *columns])}, '{salt}') % 1000000007) / 1000000007.0)"


def _uuid(number: str, salt: str) -> str:
    """Text that looks like a uuid, of two hashes: 128 bits at an eighth of what md5 would cost."""
    high, low = (f"hash({number}, {salt}, {part})" for part in (1, 2))
    return f"cast(cast((cast({high} as uhugeint) << 64) + {low} as uuid) as varchar)"


def _event_text() -> str:
    return "'Event ' || lpad(cast(event as varchar), 3, '0') || ' Done'"


def _midnight(day: date) -> datetime:
    return datetime.combine(day, datetime.min.time())


def row_counts(
    db: duckdb.DuckDBPyConnection, traffic: Traffic, catalog: str = ""
) -> Iterator[tuple[str, Any]]:
    """`(table, rows)` of each raw table of the warehouse, without reading any."""
    tables = [f"app_{source}.tracks" for source in range(SOURCES)]
    tables += [f"exports.tool_{tool}" for tool in range(traffic.destinations)]
    for table in tables:
        found = db.execute(f"select count(*) from {catalog}{table}").fetchone()
        yield table, found[0] if found else 0
