"""The floor: bare DuckDB doing the same matching and counting, with nothing around it.

Every row is read once and gets a 64-bit key of its id, kept beside its event and its UTC day. Then, day by day,
one join serves all tools: the bits of the tools that want a message against the bits of those that hold it. It
writes what it makes, for a product that keeps nothing could not go on tomorrow. Its books are by the tool's own
day and event, so they can be laid beside ours row by row. It knows no maturity: what we call pending is missing.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterable
from datetime import date, timedelta
from pathlib import Path
from typing import Any, Final

import duckdb
from meter import held_mb, measured, peak_mb
from traffic import EVENTS, FIRST_DAY, SOURCES, Traffic, event_name, offsets, row_counts

BOOKS: Final = ("expected", "delivered", "missing", "duplicates", "unexpected")
# Rows: larger sorts are slower, and 300 million at once do not fit into 8 GB (2026-11-23).
_SORTED_AT_ONCE: Final = 10_000_000
_KEYS: Final = {
    "sent": "key ubigint, event utinyint, quarter utinyint, day date",
    "held": "key ubigint, tool utinyint, event utinyint, quarter utinyint, day date",
}


def first_run(
    warehouse: str, scratch: str, traffic: dict[str, int], limits: dict[str, str], days: int
) -> dict[str, Any]:
    """Key all rows that have landed in `days` days and match every day of them, into a new file `scratch`."""
    Path(scratch).unlink(missing_ok=True)
    shape = Traffic(**traffic)
    with _opened(scratch, warehouse, limits) as db:
        _make_tables(db, shape)
        with measured() as keys:
            _key_new_rows(db, shape, days, {})
        with measured() as join:
            for (day,) in db.execute("select day from sent union select day from held order by 1").fetchall():
                _match(db, shape, day)
            db.execute("checkpoint")
        _remember(db, shape)
        rows = db.execute("select (select count(*) from sent) + (select count(*) from held)").fetchone()
    return {
        "keys": keys.numbers(),
        "join": join.numbers(),
        "rows": rows[0] if rows else 0,
        "held_mb": held_mb(scratch),
        "peak_mb": peak_mb(),
    }


def next_run(
    warehouse: str, before: str, scratch: str, traffic: dict[str, int], limits: dict[str, str], days: int
) -> dict[str, Any]:
    """From the file `before` to `scratch`: what has landed since is keyed and added, its days matched again.

    `days` is how many days of history there are with it. Seconds of the keys, of the join of yesterday alone
    (UTC), and of those of all the other days that the new rows touch.
    """
    shutil.copyfile(before, scratch)
    shape = Traffic(**traffic)
    with _opened(scratch, warehouse, limits) as db:
        seen = dict(db.execute("select * from landmarks").fetchall())
        had = dict(
            db.execute(
                "select 'sent', count(*) from sent union all select 'held', count(*) from held"
            ).fetchall()
        )
        with measured() as keys:
            _key_new_rows(db, shape, days, seen)
        # New rows are the last ones of their tables.
        touched = [
            day
            for (day,) in db.execute(
                "select day from sent where rowid >= ? union select day from held where rowid >= ? order by 1",
                [had["sent"], had["held"]],
            ).fetchall()
        ]
        rows = db.execute("select (select count(*) from sent) + (select count(*) from held)").fetchone()
        yesterday = FIRST_DAY + timedelta(days=days - 1)
        with measured() as alone:
            _match(db, shape, yesterday)
            db.execute("checkpoint")
        with measured() as others:
            for day in touched:
                if day != yesterday:
                    _match(db, shape, day)
            db.execute("checkpoint")
        _remember(db, shape)
    return {
        "keys": keys.numbers(),
        "alone": alone.numbers(),
        "others": others.numbers(),
        "touched": len(touched),
        "rows": (rows[0] if rows else 0) - had["sent"] - had["held"],
        "peak_mb": peak_mb(),
    }


def differing_books(scratch: str, books: str, traffic: dict[str, int]) -> dict[str, Any]:
    """The floor's books beside ours (a parquet file of day, destination, event, counts): sums and differences.

    A cell is a destination's own day and an event. Ours has cells of nothing as well; they count as equal.
    """
    names = ", ".join(f"'{event_name(number)}'" for number in range(EVENTS))
    both = " union all ".join(
        f"select day, destination, event, {', '.join(f'{sign} {name} as {name}' for name in BOOKS)} from {table}"
        for sign, table in (("", "floor"), ("-", "ours"))
    )
    with duckdb.connect(scratch, read_only=True) as db:
        db.execute(
            f"create temp view floor as select day, 'tool_' || tool as destination, ([{names}])[event + 1] as event, "
            f"{', '.join(f'sum({name}) as {name}' for name in BOOKS)} from cells group by all"
        )
        db.execute(
            f"create temp view ours as select * replace (missing + pending as missing) from read_parquet('{books}')"
        )
        sums = db.execute(
            f"select {', '.join(f'sum({name})::bigint' for name in BOOKS)} from floor"
        ).fetchone()
        found = db.execute(
            f"""
            select day, destination, event, {", ".join(f"sum({name})::bigint as {name}" for name in BOOKS)}
            from ({both}) group by 1, 2, 3 having {" or ".join(f"sum({name}) <> 0" for name in BOOKS)} order by 1, 2, 3
            """
        ).fetchall()
    return {
        "sums": dict(zip(BOOKS, sums or (), strict=True)),
        "cells_that_differ": len(found),
        "worst": [str(row) for row in found[:8]],
    }


def _opened(scratch: str, warehouse: str, limits: dict[str, str]) -> duckdb.DuckDBPyConnection:
    db = duckdb.connect(scratch, config={"temp_directory": scratch + ".tmp", **limits})
    db.execute("set timezone = 'UTC'")
    db.execute("set enable_progress_bar = false")
    db.execute(f"attach '{warehouse}' as raw (read_only)")
    return db


def _make_tables(db: duckdb.DuckDBPyConnection, traffic: Traffic) -> None:
    for table, columns in _KEYS.items():
        db.execute(f"create table {table} ({columns})")
    db.execute("create table landmarks (table_name varchar, rows bigint)")
    db.execute("create table names (event utinyint, event_text varchar, want bigint)")
    want = dict.fromkeys(range(EVENTS), 0)
    for tool in range(traffic.destinations):
        for event in traffic.received(tool):
            want[event] |= 1 << tool
    db.execute(f"insert into names values {_values((e, event_name(e), bits) for e, bits in want.items())}")
    db.execute(
        "create table tools as select range::utinyint as tool, 1::bigint << range as bit "
        f"from range({traffic.destinations})"
    )
    books = ", ".join(f"{name} bigint" for name in BOOKS)
    db.execute(f"create table cells (utc_day date, day date, tool utinyint, event utinyint, {books})")
    db.execute("create table differences (day date, key ubigint, event utinyint, want bigint, got bigint)")


def _key_new_rows(db: duckdb.DuckDBPyConnection, traffic: Traffic, days: int, seen: dict[str, int]) -> None:
    """Key the rows after those seen, each raw table in one read, in the order of their days."""
    quarter = "cast((epoch_us(moment) // 900000000) % 96 as utinyint), cast(moment as date) as day"
    new = {table: rows - seen.get(table, 0) for table, rows in row_counts(db, traffic, "raw.")}
    sent = {
        f"app_{source}.tracks": f"select id, event_text, timestamp as moment from raw.app_{source}.tracks"
        for source in range(SOURCES)
    }
    held = {
        f"exports.tool_{tool}": f"select message_id as id, event_name as event_text, {tool} as tool, "
        f"event_time - {_offset(traffic.zone(tool), days)} as moment from raw.exports.tool_{tool}"
        for tool in range(traffic.destinations)
    }
    for keys, columns, reads in (
        ("sent", "hash(id), event", sent),
        ("held", "hash(id), tool, event", held),
    ):
        for tables in _batches({table: new[table] for table in reads}):
            rows = " union all ".join(
                f"{reads[table]} where rowid >= {seen.get(table, 0)}" for table in tables
            )
            db.execute(
                f"insert into {keys} select {columns}, {quarter} from ({rows}) inner join names using (event_text) "
                "order by day"
            )


def _batches(rows: dict[str, int]) -> list[list[str]]:
    """The tables in groups that can be sorted in memory; a day is found in each by its blocks' lowest and highest."""
    batches: list[list[str]] = []
    held = 0
    for table, count in rows.items():
        if not batches or held + count > _SORTED_AT_ONCE:
            batches.append([])
            held = 0
        batches[-1].append(table)
        held += count
    return batches


def _offset(zone: str, days: int) -> str:
    """How far `event_time`, a time of this zone, is ahead of UTC; the earlier of two readings where a clock goes back."""
    steps = [step for day in range(-1, days + 2) for step in offsets(zone, FIRST_DAY + timedelta(days=day))]
    expression, current = f"to_seconds({int(steps[0][1].total_seconds())})", steps[0][1]
    for begins, offset in steps:
        if offset != current:
            switch = begins + max(offset, current)
            expression = (
                f"case when event_time >= timestamp '{switch}' then to_seconds({int(offset.total_seconds())}) "
                f"else {expression} end"
            )
            current = offset
    return expression


def _match(db: duckdb.DuckDBPyConnection, traffic: Traffic, day: date) -> None:
    """Match one UTC day of all tools and replace what is kept of it."""
    part, days = _parts(traffic, day)
    db.execute("delete from cells where utc_day = ?", [day])
    db.execute("delete from differences where day = ?", [day])
    db.execute(
        f"""
        create or replace temp table joined as
        select coalesce(s.key, h.key) as key, coalesce(s.event, h.event) as event,
            coalesce(s.want, 0) as want, coalesce(h.got, 0) as got, coalesce(h.more, false) as more,
            {part.format("coalesce(s.quarter, h.quarter)")} as part
        from (
            select sent.key, sent.event, sent.quarter, names.want
            from sent inner join names on sent.event = names.event where sent.day = $day
        ) as s
        full join (
            select key, any_value(event) as event, any_value(quarter) as quarter,
                bit_or(1::bigint << tool) as got, sum(1::bigint << tool) <> bit_or(1::bigint << tool) as more
            from held where day = $day group by key
        ) as h on s.key = h.key
        """,
        {"day": day},
    )
    db.execute(
        "insert into differences select $day, key, event, want, got from joined where want <> got or more",
        {"day": day},
    )
    db.execute("create or replace temp table days (part utinyint, tool utinyint, day date)")
    db.execute(f"insert into days values {_values(days)}")
    db.execute(
        """
        insert into cells
        select $day, days.day, tools.tool, grouped.event,
            sum(case when want & bit <> 0 then n else 0 end),
            sum(case when want & got & bit <> 0 then n else 0 end),
            sum(case when want & ~got & bit <> 0 then n else 0 end), 0,
            sum(case when ~want & got & bit <> 0 then n else 0 end)
        from (select event, part, want, got, count(*) as n from joined group by all) as grouped
        inner join tools on (want | got) & bit <> 0
        inner join days on grouped.part = days.part and tools.tool = days.tool
        group by all
        """,
        {"day": day},
    )
    db.execute(
        f"""
        insert into cells
        select $day, days.day, copies.tool, copies.event, 0, 0, 0, sum(copies.n), 0
        from (
            select held.tool, held.event, {part.format("held.quarter")} as part, count(*) - count(distinct held.key) as n
            from held inner join joined on held.key = joined.key and joined.more
            where held.day = $day
            group by all
        ) as copies
        inner join days on copies.part = days.part and copies.tool = days.tool
        where copies.n > 0
        group by all
        """,
        {"day": day},
    )


def _parts(traffic: Traffic, day: date) -> tuple[str, list[tuple[int, int, date]]]:
    """A UTC day cut where some tool's own day ends: the part of a quarter hour, and each part's day at each tool."""
    local = {
        zone: [_local_day(zone, day, quarter) for quarter in range(96)]
        for zone in {traffic.zone(tool) for tool in range(traffic.destinations)}
    }
    starts = [
        quarter
        for quarter in range(96)
        if quarter == 0 or any(days[quarter] != days[quarter - 1] for days in local.values())
    ]
    cases = " ".join(f"when {{0}} < {end} then {part}" for part, end in enumerate(starts[1:]))
    expression = (
        f"cast(case {cases} else {len(starts) - 1} end as utinyint)" if cases else "cast(0 as utinyint)"
    )
    return expression, [
        (part, tool, local[traffic.zone(tool)][start])
        for part, start in enumerate(starts)
        for tool in range(traffic.destinations)
    ]


def _local_day(zone: str, day: date, quarter: int) -> date:
    moment, offset = offsets(zone, day)[0]
    moment += timedelta(minutes=15 * quarter)
    for begins, later in offsets(zone, day):
        if moment >= begins:
            offset = later
    return (moment + offset).date()


def _remember(db: duckdb.DuckDBPyConnection, traffic: Traffic) -> None:
    """How many rows of each raw table have been keyed; loaders only ever append."""
    db.execute("delete from landmarks")
    db.execute(f"insert into landmarks values {_values(row_counts(db, traffic, 'raw.'))}")


def _values(rows: Iterable[tuple[Any, ...]]) -> str:
    """Rows of our own numbers, days and names as one list of values: bound one by one they take longer than a join."""
    return ", ".join("(" + ", ".join(f"'{cell}'" for cell in row) + ")" for row in rows)
