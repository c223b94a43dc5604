"""The whole flow on Snowflake's SQL gives the tables that it gives on DuckDB."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, datetime, timedelta

import pandas as pd
import pytest
from portability import shop
from portability.conftest import Engine
from portability.flow import run_flow

from dagster_project.core.diagnosis.witness import DIMENSIONS, Contrast, NamePair
from dagster_project.flow.witness import WarehouseWitness

pytestmark = [pytest.mark.dbt, pytest.mark.fakesnow]

EARLIER = datetime(2026, 11, 4, 12)
TABLES = {
    "reconciliation.event_names_daily": (),
    "reconciliation.plan_violations_daily": (),
    "reconciliation.reconciliation_daily": (),
    "reconciliation.message_differences": (),
    # fakesnow reads a null timestamp back as 1970 (see test_fakesnow.py), and writes what it read.
    "reconciliation.incidents": ("resolved_at", "reopened_at", "resolved_before"),
    "reconciliation.gate_verdicts": (),
    "reconciliation.alerts": ("sent_at", "claimed_until", "next_attempt_at"),
    "reconciliation_published.event_counts_daily": (),
    "reconciliation_published.window_status": (),
    "reconciliation_work.int_cells_daily": (),
    "reconciliation_work.int_delivery_names_daily": (),
    "reconciliation_work.int_differences_daily": (),
    "reconciliation_work.int_hours_daily": (),
    "reconciliation_work.int_delivery_hours_daily": (),
    "reconciliation_work.int_versions_daily": (),
    "reconciliation_work.int_twins_daily": (),
    "reconciliation_work.int_property_fill_daily": (),
    # The keys are the engine's own, and larger than the server can send.
    "reconciliation_work.int_broken_rows": ("message_key",),
    "reconciliation_work.int_violation_versions_daily": (),
    "reconciliation_work.int_property_fill_versions_daily": (),
    "reconciliation_work.int_segment_violations_daily": (),
    "reconciliation_work.int_quarantined_daily": (),
    "reconciliation_published.quarantined_daily": (),
    "reconciliation_work.arrival_observations": (),
    "reconciliation_work.int_identifier_shapes_daily": (),
    "reconciliation_work.int_not_expected_daily": (),
    "reconciliation_work.check_results": (),
    "reconciliation_work.event_properties": (),
    "reconciliation_work.source_health": (),
    "reconciliation_work.export_health": (),
    "reconciliation_work.state_open_days": (),
}

# What an incident says of a time that is null, when fakesnow has read it back as 1970.
NEVER = "\nIt was over on 1 Jan 1970 and came back on 1 Jan 1970."
CONTRAST, SHARED = "what contrasts the missing", "who sends both names"


def _tables(engine: Engine) -> dict[str, pd.DataFrame]:
    found = {}
    for name, left_out in TABLES.items():
        columns = sorted(column for _, column in engine.warehouse.columns([name]) if column not in left_out)
        found[name] = _comparable(engine.warehouse.frame(f"select {', '.join(columns)} from {name}"))
    return found | {name: _comparable(answer) for name, answer in _asked(engine).items()}


def _asked(engine: Engine) -> dict[str, pd.DataFrame]:
    """What the rows answer, over the clock change and by both kinds of names and clocks."""
    workspace = shop.write_workspace(engine.folder / "expectations")
    witness = WarehouseWitness(engine.warehouse, workspace)
    days = tuple(date(2026, 10, 31) + timedelta(days=step) for step in range(4))
    contrasts = [
        Contrast("all of mail", "mail", (), days),
        Contrast("orders of mail", "mail", ("Order Completed", shop.HOSTILE), days[:1] + days[2:]),
        Contrast("all of analytics", "analytics", (), days),
        Contrast("hostile", "analytics", (shop.HOSTILE, "nobody's"), days),
        Contrast("counted", "ads", (), days),
    ]
    pairs = [
        NamePair("web", "Order Completed", shop.HOSTILE, days[0], days[-1]),
        NamePair("ios", "nobody's", "order_completed", days[0], days[0]),
    ]
    return {CONTRAST: witness.contrast(contrasts), SHARED: witness.shared_users(pairs)}


def _comparable(frame: pd.DataFrame) -> pd.DataFrame:
    """Each value as text: the drivers give whole numbers, days and nulls in types of their own."""
    texts = frame.apply(lambda column: column.map(_text))
    return texts.sort_values(list(texts.columns)).reset_index(drop=True)


def _text(value: object) -> str:
    if value is None or value is pd.NaT or value != value:
        return "null"
    if isinstance(value, str):
        return value.replace(NEVER, "")
    if isinstance(value, pd.Timestamp | datetime):
        moment = pd.Timestamp(value)
        return str(moment.date()) if moment == moment.normalize() else str(moment)
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value)


@pytest.fixture(scope="module")
def two_runs(new_engine: Callable[[str], Engine]) -> dict[str, list[dict[str, pd.DataFrame]]]:
    """The tables of each engine after a first run, and after a second one limited to its last days."""
    found: dict[str, list[dict[str, pd.DataFrame]]] = {}
    for name in ("duckdb", "snowflake"):
        engine = new_engine(name)
        shop.land(engine.warehouse, shop.landed(EARLIER))
        run_flow(engine, "first", EARLIER)
        found[name] = [_tables(engine)]
        # Later rows, a delivery that was held back, and an export that lost nothing this time.
        shop.land(engine.warehouse, shop.landed(shop.AS_OF, lost=False))
        run_flow(engine, "second", shop.AS_OF, from_day=date(2026, 11, 3))
        found[name].append(_tables(engine))
    return found


@pytest.mark.parametrize("run", [0, 1], ids=["first run", "second run by day"])
@pytest.mark.parametrize("table", [*TABLES, CONTRAST, SHARED])
def test_a_table_is_the_same_on_both_engines(
    two_runs: dict[str, list[dict[str, pd.DataFrame]]], run: int, table: str
) -> None:
    on_duckdb, on_snowflake = (two_runs[name][run][table] for name in ("duckdb", "snowflake"))

    assert on_snowflake.to_csv() == on_duckdb.to_csv()


def test_the_shop_has_something_to_say_in_every_table(
    two_runs: dict[str, list[dict[str, pd.DataFrame]]],
) -> None:
    """Two empty tables are equal as well."""
    for run in two_runs["snowflake"]:
        empty = {name for name, frame in run.items() if frame.empty}
        assert empty <= {"reconciliation_work.state_open_days"}
    books = two_runs["snowflake"][0]["reconciliation.reconciliation_daily"]
    assert set(books["matched_by"]) >= {"message_id", "user_time", "counts"}
    assert set(books["status"]) >= {"reconciled", "pending"}
    differences = two_runs["snowflake"][0]["reconciliation.message_differences"]
    assert set(differences["difference"]) == {"missing", "duplicate", "unexpected"}
    violations = two_runs["snowflake"][0]["reconciliation.plan_violations_daily"]
    assert set(violations["rule"]) >= {"required", "type", "enum", "range", "unplanned_event"}
    assert set(two_runs["snowflake"][0]["reconciliation_work.check_results"]["status"]) <= {"PASS", "FAIL"}
    contrast = two_runs["snowflake"][0][CONTRAST]
    assert set(contrast["dimension"]) == set(DIMENSIONS)
    assert set(contrast["question"]) == {
        *("all of mail", "orders of mail", "all of analytics", "hostile"),
    }, "who is counted has no rows to ask"
    assert set(contrast["missing"]) > {"0"}


def test_the_second_run_changed_only_its_own_days(
    two_runs: dict[str, list[dict[str, pd.DataFrame]]],
) -> None:
    before, after = (run["reconciliation.reconciliation_daily"] for run in two_runs["snowflake"])

    assert before[before["day"] < "2026-11-03"].to_csv() == after[after["day"] < "2026-11-03"].to_csv()
    assert before.to_csv() != after.to_csv()
