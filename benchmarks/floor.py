"""The floor: bare DuckDB doing the same matching and counting, with nothing around it."""

from __future__ import annotations

import time
from pathlib import Path

import duckdb
from traffic import SOURCES, Shape, received_events

BOOKS = ("expected", "delivered", "missing", "duplicates", "unexpected")


def measure(warehouse: Path, scratch: Path, shape: Shape) -> dict[str, float]:
    """Seconds of each half, rows read, and the sums that the product must come to as well.

    Every row is read once and gets a 64-bit key of its id, kept beside its event and its UTC day. Then, day by
    day, one join serves all tools: the bits of the tools that want a message against the bits of those that
    hold it. Both halves write what they make, for a product that keeps nothing could not go on tomorrow.
    """
    scratch.unlink(missing_ok=True)
    with duckdb.connect(str(scratch)) as db:
        db.execute("set timezone = 'UTC'")
        db.execute(f"attach '{warehouse}' as raw (read_only)")
        started, used = time.perf_counter(), time.process_time()
        _make_keys(db, shape)
        keyed = time.perf_counter()
        _match(db, shape)
        joined, used = time.perf_counter(), time.process_time() - used
        sums = db.execute(
            f"select {', '.join(f'cast(sum({name}) as bigint)' for name in BOOKS)} from cells"
        ).fetchone()
        rows = db.execute("select (select count(*) from sent) + (select count(*) from held)").fetchone()
        assert sums is not None and rows is not None
    return {
        "keys": keyed - started,
        "join": joined - keyed,
        "cpu": used,
        "rows": rows[0],
        **dict(zip(BOOKS, sums, strict=True)),
    }


def _make_keys(db: duckdb.DuckDBPyConnection, shape: Shape) -> None:
    sent = " union all ".join(f"select * from raw.app_{number}.tracks" for number in range(SOURCES))
    held = " union all ".join(
        f"select hash(message_id) as key, event_name as event, {index} as tool, "
        # Back from the tool's own clock: a message and its delivery share a UTC day.
        f"cast(timezone('UTC', timezone('{shape.zone(index)}', event_time)) as date) as day "
        f"from raw.exports.tool_{index}"
        for index in range(shape.destinations)
    )
    db.execute(
        "create table sent as select hash(id) as key, event_text as event, cast(timestamp as date) as day "
        f"from ({sent}) order by day"
    )
    db.execute(f"create table held as {held} order by day")


def _match(db: duckdb.DuckDBPyConnection, shape: Shape) -> None:
    db.execute("create table wanted (event varchar, want bigint)")
    want: dict[str, int] = {}
    for index in range(shape.destinations):
        for event in received_events(shape, index):
            want[event] = want.get(event, 0) | 1 << index
    db.executemany("insert into wanted values (?, ?)", list(want.items()))
    db.execute(
        f"create table tools as select range as tool, 1::bigint << range as bit from range({shape.destinations})"
    )
    db.execute(
        "create table cells (day date, tool bigint, event varchar, "
        + ", ".join(f"{name} bigint" for name in BOOKS)
        + ")"
    )
    db.execute("create table differences (day date, key ubigint, event varchar, want bigint, got bigint)")
    days = [
        row[0] for row in db.execute("select day from sent union select day from held order by 1").fetchall()
    ]
    for day in days:
        db.execute(
            """
            create or replace temp table joined as
            select coalesce(s.key, h.key) as key, coalesce(s.event, h.event) as event,
                coalesce(s.want, 0) as want, coalesce(h.got, 0) as got, coalesce(h.more, false) as more
            from (
                select sent.key, sent.event, wanted.want
                from sent left join wanted on sent.event = wanted.event where sent.day = $day
            ) as s
            full join (
                select key, any_value(event) as event, bit_or(1::bigint << tool) as got,
                    sum(1::bigint << tool) <> bit_or(1::bigint << tool) as more
                from held where day = $day group by key
            ) as h on s.key = h.key
            """,
            {"day": day},
        )
        db.execute(
            "insert into differences select $day, key, event, want, got from joined where want <> got or more",
            {"day": day},
        )
        db.execute(
            """
            insert into cells
            select $day, tools.tool, grouped.event,
                sum(case when want & bit <> 0 then n else 0 end),
                sum(case when want & got & bit <> 0 then n else 0 end),
                sum(case when want & ~got & bit <> 0 then n else 0 end), 0,
                sum(case when ~want & got & bit <> 0 then n else 0 end)
            from (select event, want, got, count(*) as n from joined group by all) as grouped
            inner join tools on (want | got) & bit <> 0
            group by all
            """,
            {"day": day},
        )
        db.execute(
            """
            insert into cells
            select $day, held.tool, held.event, 0, 0, 0, count(*) - count(distinct held.key), 0
            from held inner join joined on held.key = joined.key and joined.more where held.day = $day
            group by all having count(*) > count(distinct held.key)
            """,
            {"day": day},
        )
