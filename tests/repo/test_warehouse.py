"""The DuckDB file is open for as long as a run holds it, within its limits, and for no longer."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import duckdb
import pandas as pd
import pytest

from dagster_project.resources.warehouse import Warehouse, WarehouseBusy, open_warehouse

LIMITS = {"RECON_MEMORY_LIMIT": "300MB", "RECON_THREADS": "1"}
_LOOK = "import duckdb, os, sys; print(duckdb.connect(sys.argv[1]).sql({sql!r}).fetchall(), flush=True); os._exit(0)"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "warehouse.duckdb"


def elsewhere(path: Path, sql: str = "select 1") -> str:
    """What another process gets of the file: rows, or the first line of its error."""
    done = subprocess.run(
        [sys.executable, "-c", _LOOK.format(sql=sql), str(path)], capture_output=True, text=True, timeout=60
    )
    return done.stdout.strip() or "refused" if "Conflicting lock" in done.stderr else done.stdout.strip()


def test_between_two_pieces_of_work_the_file_is_free(path: Path) -> None:
    warehouse = open_warehouse("duckdb", path, {})
    warehouse.execute("create table t as select 1 as x")
    assert elsewhere(path, "from t") == "[(1,)]"


def test_a_held_file_is_this_processs_alone_and_free_afterwards(path: Path) -> None:
    warehouse = open_warehouse("duckdb", path, {})
    with warehouse.held():
        warehouse.execute("create table t as select 1 as x")
        assert elsewhere(path) == "refused"
    assert elsewhere(path, "from t") == "[(1,)]"


def test_a_held_file_is_let_go_when_the_work_breaks(path: Path) -> None:
    warehouse = open_warehouse("duckdb", path, {})
    with pytest.raises(ZeroDivisionError), warehouse.held():
        warehouse.execute("create table t as select 1 as x")
        raise ZeroDivisionError
    assert elsewhere(path, "from t") == "[(1,)]"


def test_everybody_in_the_process_shares_a_held_file(path: Path) -> None:
    with open_warehouse("duckdb", path, LIMITS).held():
        open_warehouse("duckdb", path, {}).execute("create table t as select 1 as x")
        # As dbt opens it: without a configuration of its own.
        with duckdb.connect(str(path), read_only=False, config={}) as connection:
            assert connection.execute("from t").fetchall() == [(1,)]


def test_a_transaction_that_breaks_leaves_nothing_in_a_held_file(path: Path) -> None:
    warehouse = open_warehouse("duckdb", path, {})
    with warehouse.held():
        warehouse.execute("create table t (x integer)")
        with pytest.raises(ZeroDivisionError), warehouse.transaction() as session:
            session.execute("insert into t values (1)")
            raise ZeroDivisionError
        assert warehouse.frame("from t").empty


def test_a_file_that_another_process_holds_is_told_with_its_holder(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dagster_project.resources.warehouse._PATIENCE_S", 0.3)
    open_warehouse("duckdb", path, {}).execute("create table t as select 1 as x")
    code = "import duckdb, sys; c = duckdb.connect(sys.argv[1]); print('open', flush=True); sys.stdin.read()"
    with subprocess.Popen(
        [sys.executable, "-c", code, str(path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    ) as other:
        assert other.stdout is not None and other.stdout.readline() == b"open\n"
        with (
            pytest.raises(WarehouseBusy, match=f"PID {other.pid}"),
            open_warehouse("duckdb", path, {}).held(),
        ):
            pass


def test_a_killed_process_leaves_a_file_that_opens_with_all_that_was_committed(path: Path) -> None:
    code = """
import os, signal, sys
from pathlib import Path
from dagster_project.resources.warehouse import open_warehouse
warehouse = open_warehouse("duckdb", Path(sys.argv[1]), {})
with warehouse.held():
    warehouse.execute("create table kept as select i, md5(i::varchar) as text from range(300000) as r(i)")
    warehouse.execute("create view seen as select * from kept")
    with warehouse.transaction() as session:
        session.execute("insert into kept select i, '' from range(300000) as r(i)")
        os.kill(os.getpid(), signal.SIGKILL)
"""
    done = subprocess.run([sys.executable, "-c", code, str(path)], capture_output=True, timeout=120)
    assert done.returncode == -signal.SIGKILL
    found = open_warehouse("duckdb", path, {}).frame(
        "select count(*) as n, count(distinct text) as d from seen"
    )
    assert found.to_dict("records") == [{"n": 300_000, "d": 300_000}]


def settings_of(warehouse: Warehouse) -> tuple[str, int]:
    row = warehouse.frame(
        "select current_setting('memory_limit') as m, current_setting('threads') as t"
    ).iloc[0]
    return str(row["m"]), int(row["t"])


def test_the_limits_of_the_environment_hold_for_every_connection(path: Path) -> None:
    warehouse = open_warehouse("duckdb", path, LIMITS)
    assert settings_of(warehouse) == ("286.1 MiB", 1)
    with warehouse.held():
        assert settings_of(warehouse) == settings_of(open_warehouse("duckdb", path, {})) == ("286.1 MiB", 1)


def test_work_beyond_the_memory_spills_beside_the_file_and_is_tidied_up(path: Path) -> None:
    warehouse = open_warehouse("duckdb", path, {"RECON_MEMORY_LIMIT": "100MB", "RECON_THREADS": "2"})
    spilled = Path(f"{path}.tmp")
    with warehouse.held():
        warehouse.execute(
            "create table t as select md5(i::varchar) as k from range(2000000) as r(i) order by k"
        )
        assert warehouse.frame("select count(*) as n from t")["n"].iloc[0] == 2_000_000
        assert spilled.is_dir()
    assert not list(spilled.glob("*"))


def test_what_a_killed_process_had_spilled_is_removed_and_nothing_else(path: Path) -> None:
    spilled = Path(f"{path}.tmp")
    spilled.mkdir()
    (spilled / "duckdb_temp_999999999_0_storage_DEFAULT-0.tmp").write_text("of a run that was killed")
    mine = spilled / f"duckdb_temp_{os.getpid()}_0_owner"
    for kept in (mine, spilled / "notes.txt"):
        kept.write_text("of this process, or of nobody's business")
    with open_warehouse("duckdb", path, {}).held():
        assert {each.name for each in spilled.iterdir()} == {mine.name, "notes.txt"}


def test_a_frame_made_by_columns_says_what_one_made_by_rows_says(path: Path) -> None:
    warehouse = open_warehouse("duckdb", path, {})
    warehouse.execute(
        "create table t as select * from (values "
        "(date '2026-11-01', timestamp '2026-11-01 10:00:00', 'Ä\"b', 1::bigint, true, 3::hugeint), "
        "(null, null, null, null, null, null), "
        "(date '2026-11-02', timestamp '1969-12-31 23:59:59', '', 7, false, -1)"
        ") as v (day, moment, words, number, flag, big)"
    )
    sql = "select day, moment, words, number, flag, cast(big as bigint) as BIG from t where number is null or number > :least"
    by_rows, by_columns = (each(sql, least=0) for each in (warehouse.frame, warehouse.column_frame))
    assert (
        list(by_columns.columns)
        == list(by_rows.columns)
        == ["day", "moment", "words", "number", "flag", "big"]
    )

    def plain(frame: pd.DataFrame) -> list[tuple[object, ...]]:
        days = frame.assign(day=pd.to_datetime(frame["day"]), moment=pd.to_datetime(frame["moment"])).astype(
            object
        )
        return [
            tuple(None if pd.isna(cell) else cell for cell in row) for row in days.itertuples(index=False)
        ]

    assert plain(by_columns) == plain(by_rows)
    assert warehouse.column_frame("select words, number from t where number < :least", least=0).empty


def test_a_large_number_beside_a_null_stays_whole_in_a_frame_made_by_columns(path: Path) -> None:
    warehouse = open_warehouse("duckdb", path, {})
    sql = "select * from (values (9007199254740993), (null)) as v (number)"
    assert warehouse.column_frame(sql)["number"].tolist() == [9007199254740993, None]


def test_a_frame_made_by_columns_is_asked_with_lists_too(path: Path) -> None:
    warehouse = open_warehouse("duckdb", path, {})
    sql = "select * from (values ('a', 1), ('b', 2), ('c', 3)) as v (name, number) where name in :names and number > :least"
    assert warehouse.column_frame(sql, names=["c", "a", "'"], least=1)["name"].tolist() == ["c"]
