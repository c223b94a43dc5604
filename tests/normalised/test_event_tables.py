"""Event tables are read once a run, by batches, and only those that got rows."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

import pytest
from normalised.small_workspace import DELIVERIES, EXPORT, TRACKS, Project, make, planned, track

from dagster_project.flow.exported import read_exports
from dagster_project.flow.normalised import normalise
from dagster_project.flow.sources import read_sources

EVENTS = 130  # more than a statement takes
QUIET = "Event 7"
COLUMNS = (
    "id varchar, event_text varchar, received_at timestamptz, timestamp timestamptz, total double, p1 varchar"
)


@pytest.fixture(scope="module")
def landed(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """130 events of one source, two rows each; one of them broke a rule only, and one has no row in tracks."""
    names = [f"Event {number}" for number in range(EVENTS)]
    project = make(
        tmp_path_factory.mktemp("events") / "small",
        {"app": {}},
        {"ads": EXPORT},
        [planned(name, {"total": {"type": "number", "minimum": 0}}, ["total"]) for name in names[:110]],
    )
    project.land("exports.ads", DELIVERIES, [])
    at = "2026-11-01 10:00:00"
    project.land(
        "app.tracks",
        TRACKS,
        [track(f"{name} {n}", name, at) for name in names if name != QUIET for n in (1, 2)],
    )
    for number, name in enumerate(names):
        # Segment puts a mark before a digit or a reserved word in some warehouses.
        table = f"{'_' if number == 1 else ''}event_{number}"
        second = "-1" if number == 3 else "null" if number in (1, 4) else "2"
        rows = [f"'{name} {n}', '{name}', '{at}+00', '{at}+00', {v}, 'x'" for n, v in ((1, "1"), (2, second))]
        project.land(f"app.{table}", COLUMNS, rows)
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("DBT_LOG_LEVEL_FILE", "debug")  # statements are counted in it
        for stage in (read_sources, read_exports, normalise):
            stage(project.context(datetime(2026, 11, 3)))
    return project


def test_every_table_of_every_batch_is_counted(landed: Project) -> None:
    counted = landed.rows(
        "select event_text, min(messages), max(messages), count(*) from reconciliation_work.int_property_fill_daily"
        " group by 1"
    )
    assert len(counted) == EVENTS - 1
    assert {row[1:] for row in counted} == {(2, 2, 2)}, "two rows and two properties of each event"


def test_a_property_called_as_one_of_our_own_columns_is_counted_as_itself(landed: Project) -> None:
    filled = landed.rows(
        "select property, filled from reconciliation_work.int_property_fill_daily where event_text = 'Event 4'"
    )
    assert sorted(filled) == [("p1", 2), ("total", 1)]


def test_rules_of_every_batch_are_judged(landed: Project) -> None:
    broken = landed.rows(
        "select message_id, property, rule from reconciliation_work.int_broken_rows order by 1"
    )
    assert broken == [
        ("Event 1 2", "total", "required"),
        ("Event 3 2", "total", "range"),
        ("Event 4 2", "total", "required"),
    ]


def test_a_table_whose_name_was_not_sent_is_not_read(landed: Project) -> None:
    read = landed.rows(
        f"select count(*) from reconciliation_work.int_property_fill_daily where event_text = '{QUIET}'"
    )
    assert read == [(0,)]


def test_statements_are_bounded_and_hold_constant_days(landed: Project) -> None:
    log = (landed.folder / "dbt" / "logs" / "dbt.log").read_text("utf-8")
    inserts = [
        part.split("SQL status", 1)[0]
        for part in log.split("insert into ")
        if "int_event_table_reads" in part.split("\n", 1)[0]
    ]
    tables = [insert.count('from "app"."') for insert in inserts]
    assert sorted(tables) == [9, 20, 100], "109 with rules, 20 without"
    for insert, count in zip(inserts, tables, strict=True):
        assert insert.count("cast('2026-11-01' as ") == count, "each table is read within constant bounds"


def test_a_run_that_reads_nothing_keeps_what_is_there(landed: Project, tmp_path: Path) -> None:
    again = landed.with_own_rows(tmp_path / "again")
    before = again.rows("select count(*) from reconciliation_work.int_event_table_reads")
    again.put("input_received_days", [])
    again.dbt.run(["int_event_table_reads"])
    assert again.rows("select count(*) from reconciliation_work.int_event_table_reads") == before


def test_days_read_again_replace_their_own_rows(landed: Project, tmp_path: Path) -> None:
    again = landed.with_own_rows(tmp_path / "again")
    before = again.rows("select count(*) from reconciliation_work.int_event_table_reads")
    again.warehouse.execute("delete from app.event_3 where total < 0")
    again.dbt.run(["int_event_table_reads"])
    assert again.rows("select count(*) from reconciliation_work.int_event_table_reads") == [
        (before[0][0] - 1,)
    ]
    left = again.rows("select message_id from reconciliation_work.int_broken_rows order by 1")
    assert left == [("Event 1 2",), ("Event 4 2",)]
