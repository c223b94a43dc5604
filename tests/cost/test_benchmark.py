"""The benchmark's own footing: rows that are the same however they are landed, and a floor that counts rightly."""

import sys
from dataclasses import asdict
from datetime import date
from pathlib import Path

import duckdb
import pytest

sys.path.append(str(Path(__file__).parents[2] / "benchmarks"))

import floor
import traffic
from traffic import SOURCES, Traffic, land

SHAPE = Traffic(per_day=3_000, destinations=5)
LIMITS = {"threads": "2"}
TABLES = [
    *(f"app_{source}.tracks" for source in range(SOURCES)),
    *(f"exports.tool_{tool}" for tool in range(5)),
]


@pytest.fixture(autouse=True)
def clocks_that_change(monkeypatch):
    """Berlin's clock goes back on the second day."""
    for module in (traffic, floor):
        monkeypatch.setattr(module, "FIRST_DAY", date(2026, 10, 24))


def rows_of(path, table):
    with duckdb.connect(str(path), read_only=True) as db:
        return sorted(db.execute(f"from {table}").fetchall())


def test_a_night_lands_what_landing_everything_at_once_would_have_landed(tmp_path):
    whole, nightly = tmp_path / "whole.duckdb", tmp_path / "nightly.duckdb"
    land(whole, SHAPE, None, SHAPE.as_of(4))
    land(nightly, SHAPE, None, SHAPE.as_of(2))
    before = rows_of(nightly, "exports.tool_1")
    land(nightly, SHAPE, SHAPE.as_of(2), SHAPE.as_of(3))
    land(nightly, SHAPE, SHAPE.as_of(3), SHAPE.as_of(4))
    assert len(before) < len(rows_of(nightly, "exports.tool_1"))
    assert [table for table in TABLES if rows_of(whole, table) != rows_of(nightly, table)] == []


def test_rows_lie_in_the_order_in_which_they_landed(tmp_path):
    land(tmp_path / "w.duckdb", SHAPE, None, SHAPE.as_of(3))
    with duckdb.connect(str(tmp_path / "w.duckdb"), read_only=True) as db:
        received = [row[0] for row in db.execute("select received_at from app_3.tracks").fetchall()]
    assert received == sorted(received)
    assert len(received) > 500


def plain_books(path):
    """The books by text ids and a conversion of each row, which the floor avoids: day, tool, event and counts."""
    tracks = " union all ".join(f"select * from app_{source}.tracks" for source in range(SOURCES))
    found = {}
    with duckdb.connect(str(path), read_only=True) as db:
        db.execute("set timezone = 'UTC'")
        for tool in range(SHAPE.destinations):
            names = [traffic.event_name(number) for number in SHAPE.received(tool)]
            rows = db.execute(
                f"""
                with sent as (
                    select id, event_text as event, timezone('{SHAPE.zone(tool)}', timezone('UTC', timestamp))::date as day
                    from ({tracks}) where event_text in $names
                ), held as (
                    select message_id as id, any_value(event_name) as event, any_value(event_time)::date as day,
                        count(*) - 1 as more
                    from exports.tool_{tool} group by 1
                )
                select coalesce(sent.day, held.day) as day, coalesce(sent.event, held.event) as event, count(sent.id),
                    count(*) filter (sent.id is not null and held.id is not null),
                    count(*) filter (held.id is null), coalesce(sum(more), 0), count(*) filter (sent.id is null)
                from sent full join held on sent.id = held.id group by 1, 2
                """,
                {"names": names},
            ).fetchall()
            found |= {(day, tool, event): tuple(map(int, counts)) for day, event, *counts in rows}
    return found


def floors_books(path):
    """The same of the floor's file."""
    with duckdb.connect(str(path), read_only=True) as db:
        rows = db.execute(
            f"select day, tool, event, {', '.join(f'sum({name})' for name in floor.BOOKS)} from cells group by all"
        ).fetchall()
    return {
        (day, tool, traffic.event_name(event)): tuple(map(int, counts)) for day, tool, event, *counts in rows
    }


def test_the_floor_counts_what_plain_sql_on_the_text_ids_counts(tmp_path):
    warehouse, scratch = tmp_path / "w.duckdb", tmp_path / "floor.duckdb"
    land(warehouse, SHAPE, None, SHAPE.as_of(4))
    floor.first_run(str(warehouse), str(scratch), asdict(SHAPE), LIMITS, 4)
    plain = plain_books(warehouse)
    assert floors_books(scratch) == plain
    assert all(any(counts[at] for counts in plain.values()) for at in range(5)), (
        "a kind that never occurs is no test"
    )


def test_a_nightly_floor_ends_where_a_floor_over_everything_does(tmp_path):
    warehouse = tmp_path / "w.duckdb"
    land(warehouse, SHAPE, None, SHAPE.as_of(3))
    floor.first_run(str(warehouse), str(tmp_path / "before.duckdb"), asdict(SHAPE), LIMITS, 3)
    land(warehouse, SHAPE, SHAPE.as_of(3), SHAPE.as_of(4))
    night = floor.next_run(
        str(warehouse),
        str(tmp_path / "before.duckdb"),
        str(tmp_path / "after.duckdb"),
        asdict(SHAPE),
        LIMITS,
        4,
    )
    floor.first_run(str(warehouse), str(tmp_path / "whole.duckdb"), asdict(SHAPE), LIMITS, 4)
    assert floors_books(tmp_path / "after.duckdb") == floors_books(tmp_path / "whole.duckdb")
    assert 3 <= night["touched"] <= 5
    assert floors_books(tmp_path / "before.duckdb") != floors_books(tmp_path / "whole.duckdb")


def test_one_cell_that_differs_is_found(tmp_path):
    warehouse, scratch, ours = tmp_path / "w.duckdb", tmp_path / "floor.duckdb", tmp_path / "ours.parquet"
    land(warehouse, SHAPE, None, SHAPE.as_of(1))
    floor.first_run(str(warehouse), str(scratch), asdict(SHAPE), LIMITS, 1)
    with duckdb.connect() as db:
        db.execute(
            "create table ours (day date, destination varchar, event varchar, expected bigint, delivered bigint, "
            "missing bigint, pending bigint, duplicates bigint, unexpected bigint)"
        )
        for (day, tool, event), (expected, delivered, missing, duplicates, unexpected) in floors_books(
            scratch
        ).items():
            # What is not complete yet is pending here and missing there.
            db.execute(
                "insert into ours values (?, ?, ?, ?, ?, 0, ?, ?, ?)",
                [day, f"tool_{tool}", event, expected, delivered, missing, duplicates, unexpected],
            )
        db.execute(f"copy ours to '{ours}' (format parquet)")
        assert floor.differing_books(str(scratch), str(ours), asdict(SHAPE))["cells_that_differ"] == 0
        # The sums stay as they are: one cell has one more, another one less.
        db.execute("update ours set delivered = delivered + 1 where rowid = 0")
        db.execute("update ours set delivered = delivered - 1 where rowid = 1")
        db.execute(f"copy ours to '{ours}' (format parquet)")
    assert floor.differing_books(str(scratch), str(ours), asdict(SHAPE))["cells_that_differ"] == 2
