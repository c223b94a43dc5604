"""Landing is repeatable and composes: one seed gives the same rows, two steps give what one step gives."""

from __future__ import annotations

import hashlib
import shutil
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import duckdb
import pytest

from dagster_project.demo.exports import DESTINATIONS, day_end
from dagster_project.demo.generator import AS_OF, land
from dagster_project.demo.plan import SOURCES

SCHEMAS = [source.schema for source in SOURCES] + ["export_braze", "export_cdp", "export_support"]


def checksums(warehouse: Path) -> dict[str, object]:
    """Each table's columns with their types, its number of rows, and a sum over its rows in any order."""
    with duckdb.connect(str(warehouse), read_only=True) as sql:
        found = {}
        tables = sql.execute(
            "select table_schema, table_name from information_schema.tables order by all"
        ).fetchall()
        for schema, table in tables:
            columns = sorted(
                sql.execute(
                    """select column_name, data_type from information_schema.columns
                    where table_schema = ? and table_name = ?""",
                    [schema, table],
                ).fetchall()
            )
            # `|` after each value, null or not: neighbouring columns must not run into each other.
            values = " || '|' || ".join(f"""coalesce("{name}"::varchar, '∅')""" for name, _ in columns)
            row = sql.execute(f'select count(*), sum(hash({values})::hugeint) from "{schema}"."{table}"')
            found[f"{schema}.{table}"] = (columns, row.fetchone())
        return found


def contents(exports: Path) -> dict[str, str]:
    return {
        str(path.relative_to(exports)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(exports.rglob("*"))
        if path.is_file()
    }


def everything(folder: Path) -> tuple[dict[str, object], dict[str, str]]:
    return checksums(folder / "w.duckdb"), contents(folder / "exports")


def land_in(folder: Path, through: datetime, since: datetime | None = None, seed: int = 7) -> object:
    return land(folder / "w.duckdb", folder / "exports", seed=seed, through=through, since=since)


# Across the second load of 15 October, and cut in the middle of a day and of an hour.
FIRST = datetime(2026, 10, 14, 21, 40, tzinfo=UTC)
SECOND = datetime(2026, 10, 16, 7, tzinfo=UTC)


@pytest.fixture(scope="module")
def in_one_step(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("one_step")
    land_in(folder, SECOND)
    return folder


def test_two_steps_land_what_one_step_lands(in_one_step: Path, tmp_path: Path) -> None:
    land_in(tmp_path, FIRST)
    before, files_before = everything(tmp_path)
    key = land_in(tmp_path, SECOND, since=FIRST)
    tables, files = everything(tmp_path)
    assert before != tables and files_before.keys() < files.keys()
    assert (tables, files) == everything(in_one_step)
    assert [incident.kind for incident in key.incidents] == ["duplicate_delivery"]  # type: ignore[attr-defined]


def test_the_next_step_touches_no_file_that_is_there(in_one_step: Path, tmp_path: Path) -> None:
    shutil.copytree(in_one_step, tmp_path / "copy")
    earlier = {p: p.stat().st_mtime_ns for p in (tmp_path / "copy" / "exports").rglob("*.*")}
    land_in(tmp_path / "copy", SECOND + timedelta(days=1), since=SECOND)
    assert {p: p.stat().st_mtime_ns for p in earlier} == earlier
    assert len(contents(tmp_path / "copy" / "exports")) == len(earlier) + 4


def test_the_same_seed_lands_the_same_and_another_seed_does_not(tmp_path: Path) -> None:
    two_days = datetime(2026, 9, 30, 6)
    land_in(tmp_path / "a", two_days)
    land_in(tmp_path / "b", two_days)
    land_in(tmp_path / "c", two_days, seed=8)
    assert everything(tmp_path / "a") == everything(tmp_path / "b")
    others, _ = everything(tmp_path / "c")
    same, _ = everything(tmp_path / "a")
    assert all(others[table] != same[table] for table in same if table in others)


def test_landing_without_since_begins_anew_and_leaves_other_schemas_alone(tmp_path: Path) -> None:
    land_in(tmp_path, datetime(2026, 9, 30, 6))
    with duckdb.connect(str(tmp_path / "w.duckdb")) as sql:
        sql.execute("create schema reconciliation; create table reconciliation.kept as select 1 as one")
    land_in(tmp_path, datetime(2026, 9, 29, 12))
    again, files = everything(tmp_path)
    assert "reconciliation.kept" in again
    assert {table.split(".")[0] for table in again} == {*SCHEMAS, "reconciliation"}
    with duckdb.connect(str(tmp_path / "w.duckdb"), read_only=True) as sql:
        (last,) = sql.execute("select max(received_at) from web_app.tracks").fetchone() or (None,)
    assert last < datetime(2026, 9, 29, 12)
    assert max(Path(file).name for file in files) < "2026-09-29"


def test_a_zone_may_be_given_and_none_means_utc(tmp_path: Path) -> None:
    in_berlin = datetime(2026, 9, 29, 14, tzinfo=ZoneInfo("Europe/Berlin"))
    land_in(tmp_path / "a", in_berlin)
    land_in(tmp_path / "b", datetime(2026, 9, 29, 12))
    assert everything(tmp_path / "a") == everything(tmp_path / "b")


def test_an_empty_span_is_refused_with_the_moment_to_write_instead(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="later `through` than 2026-10-01"):
        land_in(tmp_path, datetime(2026, 9, 30), since=datetime(2026, 10, 1))
    with pytest.raises(ValueError, match="later `through` than 2026-09-28"):
        land_in(tmp_path, datetime(2026, 9, 27))


def test_the_connection_can_be_somebody_elses(tmp_path: Path) -> None:
    asked: list[str] = []

    def connect(path: str) -> duckdb.DuckDBPyConnection:
        asked.append(path)
        return duckdb.connect(path)

    land(tmp_path / "w.duckdb", tmp_path / "exports", through=datetime(2026, 9, 29), connect=connect)
    assert asked == [str(tmp_path / "w.duckdb")]


def test_there_is_one_file_for_each_complete_day_and_no_other(landed: Any) -> None:
    as_of = AS_OF.replace(tzinfo=None)
    for destination in DESTINATIONS:
        if not destination.suffix:
            continue
        files = sorted(path.name for path in (landed.exports / destination.name).iterdir())
        days = [date(2026, 9, 28) + timedelta(days=n) for n in range(len(files))]
        assert files == [f"{day.isoformat()}.{destination.suffix}" for day in days]
        assert day_end(days[-1], destination.zone) < as_of
        # The next day is either not over, or over for less than the destination may take.
        assert day_end(days[-1] + timedelta(days=1), destination.zone) + destination.complete_after > as_of


def test_every_file_arrives_after_its_day_and_within_the_promise(landed: Any) -> None:
    late = 0
    for destination in DESTINATIONS:
        for path in (landed.exports / destination.name).glob("*") if destination.suffix else ():
            over = day_end(date.fromisoformat(path.name[:10]), destination.zone)
            arrived = datetime.fromtimestamp(path.stat().st_mtime, UTC).replace(tzinfo=None)
            assert over < arrived <= over + destination.complete_after
            late += arrived > over + timedelta(hours=4)
    assert 5 < late < 40
