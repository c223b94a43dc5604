"""How our tables lie in Snowflake: transient or not, clustered by day, built on the warehouse that fits."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from portability import shop
from portability.conftest import CHECKOUT, Engine

from benchmarks.statements import Sent, recorded, tag_of
from dagster_project.flow.inputs import ensure_tables
from dagster_project.resources.dbt import DbtProject

pytestmark = pytest.mark.dbt

NOWHERE = {
    "RECON_TARGET": "snowflake",
    "SNOWFLAKE_ACCOUNT": "nobody",
    "SNOWFLAKE_USER": "nobody",
    "SNOWFLAKE_PASSWORD": "unused",
    "SNOWFLAKE_DATABASE": "NOWHERE",
    "SNOWFLAKE_WAREHOUSE": "SMALL",
    "SNOWFLAKE_WAREHOUSE_LARGE": "LARGE",
}
MODEL = """{{ config(
    materialized='day_window', window='received_days', schema='reconciliation_work',
    cluster_by=['received_day']
) }}
select source, cast(day as date) as received_day from portability.landed
"""


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Every model as dbt understands its configuration for Snowflake; nothing is connected to."""
    folder = tmp_path_factory.mktemp("parsed")
    dbt = DbtProject(CHECKOUT / "dbt", folder / "dbt", NOWHERE)
    dbt.render(shop.write_workspace(folder / "expectations"))
    nodes = dbt.manifest().nodes.values()
    return {node.name: node for node in nodes if str(node.resource_type).endswith("model")}


def _built(models: dict[str, Any]) -> dict[str, Any]:
    return {name: node for name, node in models.items() if node.config.materialized != "view"}


def test_what_can_be_built_again_is_transient_and_the_contracts_tables_are_not(
    models: dict[str, Any],
) -> None:
    permanent = {name for name, node in _built(models).items() if node.config.get("transient") is not True}

    assert permanent == {name for name, node in _built(models).items() if node.schema == "reconciliation"}
    assert permanent >= {"event_names_daily", "reconciliation_daily", "message_differences"}


def test_the_tables_of_rows_are_clustered_by_the_day_that_windows_go_by(models: dict[str, Any]) -> None:
    clustered = {
        name: node.config.get("cluster_by") for name, node in models.items() if node.config.get("cluster_by")
    }

    assert clustered["int_messages"] == ["received_day"]
    assert clustered["int_deliveries"] == ["day"]
    assert set(clustered) >= {"int_differences", "message_differences"}
    # A count a day, event and destination fills no partition in a year.
    assert not [name for name in clustered if name.endswith("_daily")]


def test_what_reads_raw_rows_or_the_key_tables_is_built_on_the_large_warehouse(
    models: dict[str, Any],
) -> None:
    heavy = {"int_messages", "int_deliveries"}
    views = {name for name, node in models.items() if node.config.materialized == "view"}

    def reads(name: str) -> set[str]:
        """The tables that a model reads, those behind its views included."""
        found = set()
        for key in models[name].depends_on.nodes:
            read = key.split(".")[-1]
            found |= reads(read) if read in views else {read}
        return found

    on_large = {name for name, node in models.items() if node.config.get("snowflake_warehouse") == "LARGE"}
    needing = {name for name in _built(models) if name in heavy or reads(name) & heavy}
    assert needing <= on_large
    # A definition of a view reads nothing, and changing the warehouse takes three statements.
    assert not on_large & views


def test_without_a_large_warehouse_nothing_changes_its_own(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.delenv("SNOWFLAKE_WAREHOUSE_LARGE", raising=False)
    environment = {name: value for name, value in NOWHERE.items() if name != "SNOWFLAKE_WAREHOUSE_LARGE"}
    dbt = DbtProject(CHECKOUT / "dbt", tmp_path / "dbt", environment)
    dbt.render(shop.write_workspace(tmp_path / "expectations"))

    configured = {
        node.config.get("snowflake_warehouse")
        for node in dbt.manifest().nodes.values()
        if str(node.resource_type).endswith("model")
    }

    assert configured == {None}


@pytest.fixture
def window(engine: Engine) -> tuple[Engine, DbtProject]:
    """A model over one landed table; its first day is to be read again."""
    dbt = engine.dbt("run-1")
    dbt.render(shop.write_workspace(engine.folder / "expectations"))
    (engine.folder / "dbt" / "models" / "matched" / "window_rows.sql").write_text(MODEL, "utf-8")
    ensure_tables(engine.warehouse)
    with engine.warehouse.transaction() as session:
        session.execute("create schema if not exists portability")
        session.execute("create table portability.landed (source varchar, day varchar)")
        session.execute("insert into portability.landed values ('web', '2026-11-01'), ('web', '2026-11-09')")
        session.execute(
            "insert into reconciliation_work.input_received_days (source, day)"
            " values ('web', '2026-11-01'), ('web', '2026-11-09')"
        )
    return engine, dbt


def _of_model(sent: list[Sent]) -> list[str]:
    return [" ".join(each.sql.lower().split()) for each in sent if each.model == "window_rows"]


on_snowflake = pytest.mark.parametrize(
    "engine", [pytest.param("snowflake", marks=pytest.mark.fakesnow)], indirect=True
)


@on_snowflake
def test_a_window_is_made_transient_clustered_and_in_order(window: tuple[Engine, DbtProject]) -> None:
    _, dbt = window
    with recorded() as recorder:
        dbt.run(["window_rows"])

    (made,) = [text for text in _of_model(recorder.sent) if text.startswith("create")]
    assert made.startswith("create or replace transient table") and "order by ( received_day )" in made
    assert any(
        text.startswith("alter table") and "cluster by (received_day)" in text
        for text in _of_model(recorder.sent)
    )


@on_snowflake
def test_a_window_is_replaced_by_constant_days_and_inserted_in_order(
    window: tuple[Engine, DbtProject],
) -> None:
    _, dbt = window
    dbt.run(["window_rows"])
    with recorded() as recorder:
        dbt.run(["window_rows"])

    (deleted,) = [text for text in _of_model(recorder.sent) if text.startswith("delete")]
    assert "between cast('2026-11-01' as date) and cast('2026-11-09' as date)" in deleted
    # The week between the two days is not read.
    assert "in (cast('2026-11-01' as date), cast('2026-11-09' as date))" in deleted
    (inserted,) = [text for text in _of_model(recorder.sent) if text.startswith("insert")]
    assert "order by received_day" in inserted


@on_snowflake
def test_a_models_statements_are_tagged_with_run_and_stage(window: tuple[Engine, DbtProject]) -> None:
    _, dbt = window
    with recorded() as recorder:
        dbt.run(["window_rows"])

    tags = [tag_of(each.tag) for each in recorder.sent if each.model == "window_rows"]
    assert tags
    assert all(tag == {"app": "segment_reconciliation", "run": "run-1", "stage": "matched"} for tag in tags)
