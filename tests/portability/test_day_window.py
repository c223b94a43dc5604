"""Rows of a window are replaced on both engines, and a statement that fails half-way replaces none."""

from __future__ import annotations

import pytest
from portability import shop
from portability.conftest import Engine

from dagster_project.flow.inputs import ensure_tables
from dagster_project.resources.dbt import DbtFailed, DbtProject

pytestmark = pytest.mark.dbt

MODEL = """{{ config(materialized='day_window', window='received_days', schema='reconciliation_work') }}
select source, cast(day as date) as received_day, cast(amount as bigint) as amount from portability.landed
"""


@pytest.fixture
def window(engine: Engine) -> tuple[Engine, DbtProject]:
    """A model over one landed table, built once; the second of its two days is to be read again."""
    dbt = engine.dbt()
    dbt.render(shop.write_workspace(engine.folder / "expectations"))
    (engine.folder / "dbt" / "models" / "window_rows.sql").write_text(MODEL, "utf-8")
    ensure_tables(engine.warehouse)
    with engine.warehouse.transaction() as session:
        session.execute("create schema if not exists portability")
        session.execute("create table portability.landed (source varchar, day varchar, amount varchar)")
    _land(engine, ("2026-11-01", "1"), ("2026-11-02", "2"))
    dbt.run(["window_rows"])
    engine.warehouse.execute(
        "insert into reconciliation_work.input_received_days (source, day) values ('web', '2026-11-02')"
    )
    return engine, dbt


def _land(engine: Engine, *rows: tuple[str, str]) -> None:
    with engine.warehouse.transaction() as session:
        session.execute("delete from portability.landed")
        for day, amount in rows:
            session.execute(
                "insert into portability.landed values ('web', :day, :amount)", day=day, amount=amount
            )


def _rows(engine: Engine) -> list[tuple[str, int]]:
    frame = engine.warehouse.frame(
        "select received_day, amount from reconciliation_work.window_rows order by 1, 2"
    )
    return [(str(row.received_day)[:10], int(row.amount)) for row in frame.itertuples()]


@pytest.mark.parametrize(
    "engine", ["duckdb", pytest.param("snowflake", marks=pytest.mark.fakesnow)], indirect=True
)
def test_a_run_replaces_the_rows_of_its_days_only(window: tuple[Engine, DbtProject]) -> None:
    engine, dbt = window
    _land(engine, ("2026-11-02", "20"), ("2026-11-02", "21"))

    dbt.run(["window_rows"])

    assert _rows(engine) == [("2026-11-01", 1), ("2026-11-02", 20), ("2026-11-02", 21)]


@pytest.mark.parametrize(
    "engine", ["duckdb", pytest.param("snowflake", marks=pytest.mark.fakesnow)], indirect=True
)
def test_an_insert_that_fails_leaves_the_rows_of_before(window: tuple[Engine, DbtProject]) -> None:
    engine, dbt = window
    _land(engine, ("2026-11-02", "20"), ("2026-11-02", "not a number"))

    with pytest.raises(DbtFailed, match="window_rows"):
        dbt.run(["window_rows"])

    assert _rows(engine) == [("2026-11-01", 1), ("2026-11-02", 2)]
