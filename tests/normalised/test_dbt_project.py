"""The dbt project holds what it promises: described models, enforced contracts, books that balance."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from normalised.small_workspace import DAY, DBT, Project

from dagster_project.resources.dbt import DbtFailed

pytestmark = pytest.mark.dbt

CONTRACTS = {
    "event_names_daily": "reconciliation",
    "plan_violations_daily": "reconciliation",
    "reconciliation_daily": "reconciliation",
    "message_differences": "reconciliation",
    "event_counts_daily": "reconciliation_published",
    "window_status": "reconciliation_published",
    "quarantined_daily": "reconciliation_published",
}
# Types that DuckDB and Snowflake both take, and that dbt's contract compares alike on both.
PORTABLE = {"varchar", "bigint", "date", "boolean", "timestamp"}


def models(project: Project) -> list[Any]:
    nodes = project.dbt.manifest().nodes.values()
    return [node for node in nodes if node.resource_type == "model"]


# --- words ---------------------------------------------------------------------------------------------


def test_every_model_says_what_one_row_of_it_is(project: Project) -> None:
    silent = [
        node.name for node in models(project) if not re.search(r"One row per [^.]+\.\s*$", node.description)
    ]
    assert silent == []


def test_every_input_table_says_what_one_row_of_it_is(project: Project) -> None:
    tables = [each for each in project.dbt.manifest().sources.values() if each.source_name == "inputs"]
    silent = [each.name for each in tables if not re.search(r"One row", each.description)]
    assert len(tables) > 10
    assert silent == [], "one row (per ...) belongs into each description"


def test_every_macro_is_described_and_every_described_macro_exists(project: Project) -> None:
    written = set()
    for path in (DBT / "macros").glob("*.sql"):
        if path.name != "generated_workspace.sql":
            written |= set(re.findall(r"{%-? *macro (\w+)\(", path.read_text("utf-8")))
    written = {name for name in written if not re.match(r"(default|duckdb|snowflake)__", name)}
    described = {
        macro.name
        for macro in project.dbt.manifest().macros.values()
        if macro.package_name == "segment_reconciliation" and macro.description
    }
    assert described == written


def test_no_config_block_asks_for_a_ref_or_source() -> None:
    """In a config block they mean the model itself, and a window would quietly select the wrong rows."""
    wrong = [
        path.name
        for path in (DBT / "models").rglob("*.sql")
        for block in re.findall(r"{{ *config\((.*?)\) *}}", path.read_text("utf-8"), re.DOTALL)
        if re.search(r"\b(ref|source|this)\b", re.sub(r"'[^']*'", "", block))
    ]
    assert wrong == []


# --- contracts -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", CONTRACTS)
def test_tables_that_people_read_have_an_enforced_contract(project: Project, name: str) -> None:
    node = next(node for node in models(project) if node.name == name)
    assert node.config.contract.enforced
    assert node.schema == CONTRACTS[name]
    undescribed = [column.name for column in node.columns.values() if not column.description.strip()]
    assert undescribed == []
    assert {column.data_type for column in node.columns.values()} <= PORTABLE
    built = {column for _, column in project.warehouse.columns([f"{CONTRACTS[name]}.{name}"])}
    assert built == set(node.columns)


Spoil = Callable[[str, str, str], None]


@pytest.fixture
def spoiled(project: Project, tmp_path: Path) -> tuple[Project, Spoil]:
    """A copy of the project, and a way to change the text of one of its models."""
    copy = project.copy(tmp_path / "spoiled")

    def spoil(model: str, old: str, new: str) -> None:
        path = next((copy.dbt.rendered / "models").rglob(f"{model}.sql"))
        text = path.read_text("utf-8")
        assert old in text, f"{model}.sql no longer has {old!r}: spoil it in another way"
        path.write_text(text.replace(old, new), "utf-8")

    return copy, spoil


@pytest.mark.parametrize(
    ("model", "old", "new"),
    [
        pytest.param(
            "event_names_daily",
            "cast(daily.messages as bigint) as messages",
            "cast(daily.messages as varchar) as messages",
            id="day_window table, another type",
        ),
        pytest.param(
            "reconciliation_daily",
            "cast(judged.event as varchar) as event,",
            "cast(judged.event as varchar) as event, 1 as extra,",
            id="day_window table, a column too many",
        ),
        pytest.param(
            "window_status",
            "cast(gate.reasons as varchar) as reasons,",
            "",
            id="plain table, a column too few",
        ),
    ],
)
def test_a_broken_contract_stops_the_first_run_and_every_later_one(
    spoiled: tuple[Project, Spoil], model: str, old: str, new: str
) -> None:
    project, spoil = spoiled
    spoil(model, old, new)
    table = f"{CONTRACTS[model]}.{model}"
    before = sorted(project.rows(f"select * from {table}"), key=str)
    assert before

    with pytest.raises(DbtFailed, match="contract"):
        project.dbt.run([model])
    assert sorted(project.rows(f"select * from {table}"), key=str) == before, "a refused run changes nothing"

    project.warehouse.execute(f"drop table {table}")
    with pytest.raises(DbtFailed, match="contract"):
        project.dbt.run([model])
    assert not project.warehouse.exists(table)


FAILING = {
    "window_status": ("window_status", "cast(gate.reasons as varchar)", "cast(error('half way') as varchar)"),
    "int_names": (
        "int_names",
        "row_number() over (order by names.source, names.event_text)",
        "cast(error('half way') as bigint)",
    ),
}


@pytest.mark.parametrize("model", FAILING)
def test_a_table_that_cannot_be_made_anew_stays_as_it_was(spoiled: tuple[Project, Spoil], model: str) -> None:
    """With a contract (window_status) and without: what replaces it fails while rows are being written."""
    project, spoil = spoiled
    spoil(*FAILING[model])
    table = f"{CONTRACTS.get(model, 'reconciliation_work')}.{model}"
    before = sorted(project.rows(f"select * from {table}"), key=str)
    assert before
    with pytest.raises(DbtFailed, match="half way"):
        project.dbt.run([model])
    assert sorted(project.rows(f"select * from {table}"), key=str) == before


@pytest.mark.parametrize(
    ("level", "where"),
    [(None, "set DBT_LOG_LEVEL_FILE=debug"), ("", "set DBT_LOG_LEVEL_FILE=debug"), ("debug", "(log: ")],
)
def test_a_failure_names_dbts_log_where_there_is_one_and_how_to_have_it_where_there_is_none(
    spoiled: tuple[Project, Spoil], monkeypatch: pytest.MonkeyPatch, level: str | None, where: str
) -> None:
    project, spoil = spoiled
    spoil(*FAILING["int_names"])
    monkeypatch.delenv("DBT_LOG_LEVEL_FILE", raising=False)
    if level is not None:
        monkeypatch.setenv("DBT_LOG_LEVEL_FILE", level)
    with pytest.raises(DbtFailed) as failed:
        project.dbt.run(["int_names"])
    assert where in str(failed.value)
    log = project.dbt.rendered / "logs" / "dbt.log"
    assert (log.exists() and "half way" in log.read_text("utf-8")) == (level == "debug")


@pytest.mark.parametrize(("model", "now"), [("int_names", "view"), ("stg_segment__app", "table")])
def test_a_model_takes_the_place_of_what_was_no_table_or_no_view(
    project: Project, tmp_path: Path, model: str, now: str
) -> None:
    """As after an upgrade that made a view of a table, or a table of a view."""
    copy = project.with_own_rows(tmp_path / "copy")
    name = f"reconciliation_work.{model}"
    before = sorted(copy.rows(f"select * from {name}"), key=str)
    assert before
    copy.warehouse.execute(f"drop {'table' if now == 'view' else 'view'} {name}")
    copy.warehouse.execute(f"create {now} {name} as select 1 as other")
    copy.dbt.run([model])
    assert sorted(copy.rows(f"select * from {name}"), key=str) == before


def test_a_day_window_model_replaces_its_window_and_leaves_the_other_days(
    project: Project, tmp_path: Path
) -> None:
    copy = project.with_own_rows(tmp_path / "copy")
    table = "reconciliation.reconciliation_daily"
    copy.warehouse.execute(f"update {table} set delivered = -1")
    copy.warehouse.execute(
        f"delete from reconciliation_work.int_open_days where day <> date '{DAY}' or destination <> 'ads'"
    )
    copy.dbt.run(["reconciliation_daily"])
    assert copy.rows(f"select distinct destination, day from {table} where delivered >= 0") == [
        ("ads", copy.rows(f"select cast('{DAY}' as date)")[0][0])
    ]
    assert len(copy.rows(f"select * from {table}")) == len(project.rows(f"select * from {table}"))


# --- assertions on the data ----------------------------------------------------------------------------


def test_all_data_tests_hold_on_a_reconciled_workspace(project: Project) -> None:
    results = project.dbt.run(["test_type:data"], command="test")
    assert {result.status for result in results} == {"pass"}
    assert {result.name for result in results} >= {path.stem for path in (DBT / "tests").glob("*.sql")}


BREAKS = {
    "assert_cells_balance": [
        "update reconciliation_work.int_cells_daily set missing = missing + 1 where event = 'Signed Up'",
        "update reconciliation_work.int_cells_daily set delivered = -1, missing = expected + 1",
    ],
    "assert_reconciliation_balances": [
        "update reconciliation.reconciliation_daily set pending = pending + 1",
        "update reconciliation.reconciliation_daily set unexpected = -1",
        # It balances, and says something else than the books.
        "update reconciliation.reconciliation_daily set delivered = delivered - 1, missing = missing + 1"
        " where delivered > 0",
        "delete from reconciliation_work.int_cells_daily where destination = 'ads'",
    ],
    "assert_names_are_the_sum_of_their_versions": [
        "update reconciliation.event_names_daily set messages = messages + 1 where source = 'web'",
        "update reconciliation_work.int_message_counts set messages = messages + 1 where source = 'web'",
        "delete from reconciliation.event_names_daily where event_text = 'Order Complete'",
        "delete from reconciliation_work.int_message_counts where event_text = 'Order Complete'",
    ],
    "assert_one_row_per_cell": [
        "insert into reconciliation_work.int_cells_daily"
        " select * from reconciliation_work.int_cells_daily limit 1",
        "insert into reconciliation.reconciliation_daily"
        " select * from reconciliation.reconciliation_daily limit 1",
    ],
    "assert_counts_are_counted_once": [
        "update reconciliation_work.int_cells_daily set unexpected = unexpected + 1"
        " where destination = 'tally' and event = 'Signed Up'",
        "update reconciliation_work.int_delivery_names_daily set deliveries = deliveries + 1"
        " where destination = 'tally'",
    ],
    "assert_differences_have_one_incident": [
        "insert into reconciliation.message_differences"
        " select destination, day, source, event, message_id, difference, messages, 'another'"
        " from reconciliation.message_differences",
    ],
    "assert_quarantine_balances": [
        "update reconciliation_published.event_counts_daily set sent = sent - 1",
        "update reconciliation_published.event_counts_daily set quarantined_delivered = 1",
        "delete from reconciliation_published.event_counts_daily where destination = 'tally'",
        # Left out and told by no rule, and told twice.
        "update reconciliation_published.event_counts_daily set sent = sent - 1, quarantined = quarantined + 1",
        "insert into reconciliation_published.quarantined_daily"
        " select day, destination, 'app', event, null, 'type', 1 from reconciliation_published.event_counts_daily",
    ],
    "assert_published_is_open": [
        "update reconciliation_work.gate_current set verdict = 'held'",
        "delete from reconciliation_work.gate_current where destination = 'ads'",
    ],
}


def test_every_assertion_is_broken_on_purpose_below() -> None:
    assert {path.stem for path in (DBT / "tests").glob("*.sql")} == set(BREAKS)


@pytest.mark.parametrize("name", BREAKS)
def test_an_assertion_goes_red_when_its_law_is_broken(project: Project, tmp_path: Path, name: str) -> None:
    for number, statement in enumerate(BREAKS[name]):
        copy = project.with_own_rows(tmp_path / str(number))
        copy.warehouse.execute(statement)
        with pytest.raises(DbtFailed, match=f"{name}: Got"):
            copy.dbt.run([name], command="test")


def test_a_held_day_is_not_among_the_published_numbers(project: Project) -> None:
    published = project.rows(
        "select distinct destination, day from reconciliation_published.event_counts_daily"
    )
    days = {(destination, day.date() if hasattr(day, "date") else day) for destination, day in published}
    assert days == {("ads", date(2026, 11, 2)), ("tally", DAY)}
