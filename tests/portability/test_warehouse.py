"""The warehouse keeps and gives back the same values on both engines, all of a transaction or nothing."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from datetime import date, datetime
from pathlib import Path

import pandas as pd
import pytest
import sqlalchemy as sa
from portability.conftest import Engine
from portability.truth import HOSTILE

from benchmarks.statements import recorded
from dagster_project.resources.warehouse import _COPY_ROWS, open_warehouse

COLUMNS = {
    "name": "varchar",
    "n": "bigint",
    "share": "double",
    "flag": "boolean",
    "day": "date",
    "stamp": "timestamp",
}
TABLE = "portability.kept"


def _row(name: str | None, **more: object) -> dict[str, object]:
    row: dict[str, object] = {
        "name": name,
        "n": 2**53 + 1,
        "share": 0.25,
        "flag": True,
        "day": date(2026, 11, 1),
        "stamp": datetime(2026, 11, 1, 1, 30, 0, 123456),
    }
    return row | more


def _frame(*rows: dict[str, object]) -> pd.DataFrame:
    return pd.DataFrame(list(rows), columns=list(COLUMNS)).astype(object)


def _names(engine: Engine) -> list[str]:
    return sorted(engine.warehouse.frame(f"select name from {TABLE}")["name"])


def test_hostile_texts_come_back_as_they_were(engine: Engine) -> None:
    engine.warehouse.replace(TABLE, _frame(*(_row(text) for text in HOSTILE)), COLUMNS)

    assert _names(engine) == sorted(HOSTILE)
    for text in HOSTILE:
        found = engine.warehouse.frame(f"select count(*) as n from {TABLE} where name = :name", name=text)
        assert int(found["n"].iloc[0]) == 1
    among = engine.warehouse.frame(
        f"select count(*) as n from {TABLE} where name in :names", names=list(HOSTILE)
    )
    assert int(among["n"].iloc[0]) == len(HOSTILE)


def test_every_type_comes_back_as_it_was(engine: Engine) -> None:
    engine.warehouse.replace(TABLE, _frame(_row("x")), COLUMNS)

    (row,) = engine.warehouse.frame(f"select * from {TABLE}").to_dict("records")

    assert row["n"] == 2**53 + 1
    assert row["share"] == 0.25
    assert bool(row["flag"]) is True
    assert str(row["day"])[:10] == "2026-11-01"
    assert pd.Timestamp(row["stamp"]) == pd.Timestamp("2026-11-01 01:30:00.123456")


def test_nulls_of_every_type_come_back_as_nulls(engine: Engine) -> None:
    nothing = dict.fromkeys(COLUMNS)
    engine.warehouse.replace(TABLE, _frame(nothing, _row("x"), nothing), COLUMNS)

    # Asked in SQL, because fakesnow does not tell a null timestamp to the driver.
    for column in COLUMNS:
        found = engine.warehouse.frame(f"select count(*) as n from {TABLE} where {column} is null")
        assert int(found["n"].iloc[0]) == 2


def test_frames_have_the_types_that_pandas_makes_of_numbers_and_times(engine: Engine) -> None:
    frame = pd.DataFrame(
        {
            "name": ["a", "b"],
            "n": pd.array([1, 2], dtype="int64"),
            "share": [0.5, float("nan")],
            "flag": [True, False],
            "day": [date(2026, 1, 1), date(2026, 1, 2)],
            "stamp": pd.to_datetime(["2026-01-01 00:00:01", "2026-01-02 00:00:00"]),
        }
    )

    engine.warehouse.replace(TABLE, frame, COLUMNS)

    found = engine.warehouse.frame(f"select name, n, share, flag, stamp from {TABLE} order by name")
    assert [int(n) for n in found["n"]] == [1, 2]
    assert [bool(flag) for flag in found["flag"]] == [True, False]
    assert found["share"].isna().tolist() == [False, True]
    assert pd.Timestamp(found["stamp"].iloc[0]) == pd.Timestamp("2026-01-01 00:00:01")


def test_more_rows_than_one_statement_holds_are_all_there(engine: Engine) -> None:
    engine.warehouse.replace(TABLE, _frame(*(_row(f"row {number}") for number in range(2_050))), COLUMNS)

    assert int(engine.warehouse.frame(f"select count(distinct name) as n from {TABLE}")["n"].iloc[0]) == 2_050


def test_columns_are_matched_by_name_and_not_by_place(engine: Engine) -> None:
    engine.warehouse.ensure(TABLE, COLUMNS)
    frame = _frame(_row("x"))[["share", "name"]]

    engine.warehouse.append(TABLE, frame)

    (row,) = engine.warehouse.frame(f"select name, share, n from {TABLE}").to_dict("records")
    assert (row["name"], row["share"]) == ("x", 0.25)
    assert pd.isna(row["n"])


def test_replacing_by_nothing_leaves_an_empty_table(engine: Engine) -> None:
    engine.warehouse.replace(TABLE, _frame(_row("x")), COLUMNS)

    engine.warehouse.replace(TABLE, _frame(), COLUMNS)

    assert engine.warehouse.exists(TABLE)
    assert _names(engine) == []


def test_a_transaction_that_fails_keeps_nothing(engine: Engine) -> None:
    engine.warehouse.replace(TABLE, _frame(_row("before")), COLUMNS)

    with pytest.raises(RuntimeError, match="on the way"), engine.warehouse.transaction() as session:
        session.replace(TABLE, _frame(_row("after")), COLUMNS)
        session.append(TABLE, _frame(_row("more")))
        raise RuntimeError("on the way")

    assert _names(engine) == ["before"]


@pytest.mark.parametrize("engine", [pytest.param("snowflake", marks=pytest.mark.fakesnow)], indirect=True)
def test_a_definition_stands_in_no_transaction_of_rows(
    engine: Engine, statements: list[tuple[int, str]]
) -> None:
    """On Snowflake a definition commits what was written before it, even one that changes nothing."""
    engine.warehouse.replace(TABLE, _frame(_row("before")), COLUMNS)
    # Made by another process: fakesnow does not show a transaction what was defined after it began.
    open_warehouse("snowflake", Path("unused"), engine.environment).ensure("portability.other", COLUMNS)
    statements.clear()

    with engine.warehouse.transaction() as session:
        session.append(TABLE, _frame(_row("one")))
        session.replace("portability.other", _frame(_row("two")), COLUMNS)

    defining = {connection for connection, text in statements if text.startswith("create")}
    writing = {connection for connection, text in statements if text.startswith(("insert", "delete"))}
    assert defining and writing
    assert not defining & writing


@pytest.mark.parametrize("engine", [pytest.param("snowflake", marks=pytest.mark.fakesnow)], indirect=True)
def test_a_table_is_defined_once_in_a_process(engine: Engine, statements: list[tuple[int, str]]) -> None:
    """Each definition is a round trip, and every replacement asks for one."""
    for _ in range(3):
        engine.warehouse.replace(TABLE, _frame(_row("x")), COLUMNS)

    assert sum(text.startswith("create transient table") for _, text in statements) == 1


def test_while_the_file_is_held_a_table_is_looked_at_once_and_never_taken_for_there_when_it_is_not(
    tmp_path: Path,
) -> None:
    warehouse = open_warehouse("duckdb", tmp_path / "held.duckdb", {})
    with warehouse.held():
        with pytest.raises(ZeroDivisionError), warehouse.transaction() as session:
            session.ensure(TABLE, COLUMNS)
            raise ZeroDivisionError
        warehouse.ensure(TABLE, COLUMNS)
        assert warehouse.exists(TABLE), "what was rolled back is made again"
        sent: list[str] = []
        sa.event.listen(warehouse.engine, "before_cursor_execute", lambda *told: sent.append(told[2]))
        warehouse.ensure(TABLE, COLUMNS)
        assert sent == []
        warehouse.ensure(TABLE, COLUMNS | {"more": "bigint"})
        assert (TABLE, "more") in warehouse.columns([TABLE])
    open_warehouse("duckdb", tmp_path / "held.duckdb", {}).execute(f"drop table {TABLE}")
    with warehouse.held():
        warehouse.ensure(TABLE, COLUMNS)
        assert warehouse.exists(TABLE), "another process may have dropped it between two runs"


@pytest.mark.parametrize("engine", [pytest.param("snowflake", marks=pytest.mark.fakesnow)], indirect=True)
def test_a_table_that_is_there_costs_another_process_one_look_at_its_schema(
    engine: Engine, statements: list[tuple[int, str]]
) -> None:
    for name in ("kept", "other"):
        engine.warehouse.ensure(f"portability.{name}", COLUMNS)
    with recorded() as recorder:
        again = open_warehouse("snowflake", Path("unused"), engine.environment)
        for name in ("kept", "other", "kept"):
            again.ensure(f"portability.{name}", COLUMNS)

    texts = [each.sql.lower() for each in recorder.sent if not each.housekeeping]
    assert [text for text in texts if text.startswith(("create", "alter table"))] == []
    assert sum("information_schema.columns" in text for text in texts) == 1


@pytest.mark.parametrize("engine", [pytest.param("snowflake", marks=pytest.mark.fakesnow)], indirect=True)
def test_a_column_that_an_earlier_release_lacked_is_added(engine: Engine) -> None:
    fewer = dict(list(COLUMNS.items())[:2])
    engine.warehouse.ensure(TABLE, fewer)

    open_warehouse("snowflake", Path("unused"), engine.environment).ensure(TABLE, COLUMNS)

    assert {column for _, column in engine.warehouse.columns([TABLE])} == set(COLUMNS)


@pytest.mark.parametrize("engine", [pytest.param("snowflake", marks=pytest.mark.fakesnow)], indirect=True)
def test_a_schema_that_is_there_is_not_created_again(
    engine: Engine, statements: list[tuple[int, str]]
) -> None:
    """Who may not create schemas is refused `create schema if not exists`, whether it exists or not."""
    engine.warehouse.ensure(TABLE, COLUMNS)
    statements.clear()

    engine.warehouse.ensure("portability.other", COLUMNS)

    assert not [text for _, text in statements if text.startswith("create schema")]


@pytest.mark.parametrize("engine", [pytest.param("snowflake", marks=pytest.mark.fakesnow)], indirect=True)
def test_only_the_contracts_own_tables_are_permanent(
    engine: Engine, statements: list[tuple[int, str]]
) -> None:
    for schema in ("reconciliation", "reconciliation_work", "reconciliation_landing"):
        engine.warehouse.ensure(f"{schema}.some_table", COLUMNS)

    made = [text.split(" if not exists ")[0] for _, text in statements if "table if not exists" in text]
    assert made == ["create table", "create transient table", "create transient table"]


@pytest.fixture
def statements(engine: Engine) -> Iterator[list[tuple[int, str]]]:
    """Every statement with the connection that ran it."""
    seen: list[tuple[int, str]] = []

    def note(connection: sa.Connection, _cursor: object, text: str, *_rest: object) -> None:
        seen.append((id(connection.connection.driver_connection), text.lstrip().lower()))

    sa.event.listen(engine.warehouse.engine, "before_cursor_execute", note)
    yield seen
    sa.event.remove(engine.warehouse.engine, "before_cursor_execute", note)


def test_a_table_of_an_earlier_release_gains_the_columns_it_lacks(engine: Engine) -> None:
    earlier = {"name": "varchar"}
    engine.warehouse.replace(TABLE, pd.DataFrame({"name": ["kept"]}), earlier)

    engine.warehouse.ensure(TABLE, COLUMNS)
    engine.warehouse.append(TABLE, _frame(_row("new")))

    assert _names(engine) == ["kept", "new"]
    assert list(engine.warehouse.frame(f"select * from {TABLE}").columns) == list(COLUMNS)


def test_columns_are_told_in_lower_case(engine: Engine) -> None:
    engine.warehouse.ensure(TABLE, COLUMNS)

    assert list(engine.warehouse.frame(f"select * from {TABLE}").columns) == list(COLUMNS)
    assert {column for table, column in engine.warehouse.columns([TABLE.upper()]) if table == TABLE} == set(
        COLUMNS
    )
    assert list(engine.warehouse.schema_columns(["PORTABILITY"])["column_name"]) == list(COLUMNS)


def test_a_time_without_an_offset_is_utc_whatever_zone_the_machine_is_in(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TZ", "Asia/Kolkata")
    kind = "timestamptz" if engine.name == "duckdb" else "timestamp_tz"

    found = engine.warehouse.frame(
        f"select case when cast(:naive as {kind}) = cast(:aware as {kind}) then 'same' end as told",
        naive="2026-11-01 00:00:00",
        aware="2026-11-01 00:00:00+00:00",
    )

    assert found["told"].tolist() == ["same"]


def test_an_error_names_no_value_that_was_bound(engine: Engine) -> None:
    engine.warehouse.ensure(TABLE, COLUMNS)

    with pytest.raises(sa.exc.DBAPIError) as caught:
        engine.warehouse.execute(f"insert into {TABLE} (no_such_column) values (:who)", who="ann@example.com")

    assert "ann@example.com" not in str(caught.value)


def _many(count: int) -> pd.DataFrame:
    """Rows with every hostile text and every kind of null among them."""
    nothing = dict.fromkeys(list(COLUMNS)[1:-1])
    rows = [_row(text) for text in HOSTILE] + [_row(None), _row(None, **nothing)]
    return _frame(*(rows[number % len(rows)] for number in range(count)))


def _counted(engine: Engine, table: str) -> Counter[tuple[str, ...]]:
    rows = engine.warehouse.frame(f"select {', '.join(COLUMNS)} from {table}").itertuples(index=False)
    return Counter(tuple("None" if pd.isna(value) else str(value) for value in row) for row in rows)


@pytest.mark.parametrize("engine", [pytest.param("snowflake", marks=pytest.mark.fakesnow)], indirect=True)
def test_many_rows_go_by_way_of_one_file(engine: Engine) -> None:
    engine.warehouse.ensure(TABLE, COLUMNS)
    many = _many(_COPY_ROWS)
    with recorded() as recorder:
        engine.warehouse.append(TABLE, many)

    texts = [each.sql.lower().split()[0] for each in recorder.sent if not each.housekeeping]
    # The server asks the driver for the same file twice; Snowflake's own stages take it at once.
    assert [text for text in dict.fromkeys(texts) if text in ("put", "copy", "insert", "create")] == [
        "put",
        "copy",
    ]
    engine.warehouse.ensure("portability.inserted", COLUMNS)
    for start in range(0, len(many), 1_000):
        engine.warehouse.append("portability.inserted", many.iloc[start : start + 1_000])
    # A file and a statement bring the same values, whatever is in them.
    assert _counted(engine, TABLE) == _counted(engine, "portability.inserted")
    assert {row[0] for row in _counted(engine, TABLE)} == {*map(str, HOSTILE), "None"}


@pytest.mark.parametrize("engine", [pytest.param("snowflake", marks=pytest.mark.fakesnow)], indirect=True)
def test_a_copied_file_is_part_of_its_transaction(engine: Engine) -> None:
    engine.warehouse.ensure(TABLE, COLUMNS)

    with pytest.raises(RuntimeError, match="on the way"), engine.warehouse.transaction() as session:
        session.append(TABLE, _many(_COPY_ROWS))
        raise RuntimeError("on the way")

    assert engine.warehouse.frame(f"select 1 as x from {TABLE}").empty


@pytest.mark.parametrize("engine", [pytest.param("snowflake", marks=pytest.mark.fakesnow)], indirect=True)
def test_rows_are_inserted_where_no_file_gets_through(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine.warehouse.ensure(TABLE, COLUMNS)
    before = sa.Connection.exec_driver_sql

    def refuse(self: sa.Connection, statement: str, *rest: object, **named: object) -> object:
        if statement.startswith("put"):
            raise OSError("no route to the object store")
        return before(self, statement, *rest, **named)  # type: ignore[arg-type]

    monkeypatch.setattr(sa.Connection, "exec_driver_sql", refuse)
    engine.warehouse.append(TABLE, _many(_COPY_ROWS))

    assert len(engine.warehouse.frame(f"select 1 as x from {TABLE}")) == _COPY_ROWS
