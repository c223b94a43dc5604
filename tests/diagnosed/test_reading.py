"""What is read of the warehouse says the same as all of it: rows that no rule asks for by name are counted there."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from diagnosed.world import World, shop

from dagster_project.core.contracts import Identifier
from dagster_project.core.diagnosis import Evidence, diagnose
from dagster_project.core.diagnosis.evidence import COLUMNS
from dagster_project.core.ledger import ledger
from dagster_project.flow import evidence as reading
from dagster_project.flow.arrivals import OBSERVATIONS
from dagster_project.flow.inputs import WORK
from dagster_project.resources.warehouse import Warehouse, open_warehouse

NAMED = {
    "names": "reconciliation.event_names_daily",
    "arrivals": OBSERVATIONS,
    "violations": "reconciliation.plan_violations_daily",
    "violation_versions": f"{WORK}.int_violation_versions_daily",
    "fill": f"{WORK}.int_property_fill_daily",
    "fill_versions": f"{WORK}.int_property_fill_versions_daily",
    "properties": f"{WORK}.event_properties",
    "property_types": f"{WORK}.event_properties",
    "source_health": f"{WORK}.source_health",
    "export_health": f"{WORK}.export_health",
}
TYPES = {"day": "date", "text": "varchar", "count": "bigint", "flag": "boolean", "moment": "timestamp"}


def renamed() -> World:
    return shop().renames("web_app", "Purchase Completed", "purchase_completed", "20 Oct")


def launched() -> World:
    """Names that nobody planned and nothing was renamed to; one of them is not new."""
    world = shop().sends("web_app", "Banner Seen", 400, planned=False)
    return world.sends("ios_app", "Widget Added", 60, planned=False, since="25 Oct")


def refused() -> World:
    """A destination demands a form of two ids, and messages of one event have another one."""
    world = shop().feeds(
        "desk",
        ["web_app"],
        ["Cart Updated"],
        identifiers=(
            Identifier(name="user_id", format="uuid"),
            Identifier(name="anonymous_id", format="uuid"),
        ),
    )
    world.refuses("desk", "web_app", "Cart Updated", 0.4, "30 Oct")
    world.shapes("web_app", "Cart Updated", "user_id", "uuid", 1.0, "1 Oct")
    return world.shapes("web_app", "Cart Updated", "anonymous_id", "email", 0.4, "30 Oct")


def at_once() -> World:
    """A rename, refused messages, a wrong name in a tool, and people's ids that became e-mail addresses."""
    world = refused().renames("web_app", "Purchase Completed", "purchase_completed", "20 Oct")
    world.holds("analytics", "Produkt angesehen", 300, "25 Oct")
    world.shapes("ios_app", "App Opened", "user_id", "uuid", 1.0, "1 Oct")
    return world.shapes("ios_app", "Trial Started", "user_id", "email", 1.0, "28 Oct")


def stored(world: World, path: Path) -> Warehouse:
    """The evidence of a world as the tables that the flow reads."""
    warehouse = open_warehouse("duckdb", path, {})
    rows = world._rows()
    for name, columns in COLUMNS.items():
        table = NAMED.get(name, f"{WORK}.int_{name}_daily")
        kinds = {column: TYPES[kind] for column, kind in columns.items()}
        warehouse.ensure(table, kinds)
        if name != "properties":  # its rows are those of the types, without the kind
            frame = pd.DataFrame(rows.get(name, []), columns=list(columns))
            if name == "property_types" and frame.empty:
                frame = pd.DataFrame(rows.get("properties", []), columns=list(columns))
            warehouse.append(table, frame.astype(object).where(frame.notna(), None))
    return warehouse


def both(world: World, tmp_path: Path) -> tuple[Evidence, Evidence]:
    """All of the evidence, and what is read of it."""
    whole = world.evidence()
    read = reading.read_evidence(stored(world, tmp_path / "warehouse.duckdb"), whole.workspace, whole.as_of)
    object.__setattr__(read, "witness", world.witness)
    object.__setattr__(read, "history_from", whole.history_from)
    return whole, read


def told(evidence: Evidence) -> tuple[list[Any], list[tuple[Any, ...]]]:
    found = diagnose(evidence)
    findings = [
        (f.key, f.severity, f.started_on, f.ended_on, f.messages_affected, f.windows, f.evidence, f.explains)
        for f in (*found.findings, *found.explained)
    ]
    return findings, list(ledger(evidence, found).itertuples(index=False, name=None))


@pytest.mark.parametrize("world", [shop, renamed, launched, refused, at_once])
def test_the_diagnosis_and_the_ledger_of_what_is_read_are_those_of_all_of_it(
    world: Callable[[], World], tmp_path: Path
) -> None:
    whole, read = both(world(), tmp_path)
    assert told(read) == told(whole)


def test_more_new_names_than_a_list_may_hold_are_all_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reading, "_MOST_NAMES", 0)
    whole, read = both(renamed(), tmp_path)
    assert len(read.not_expected) == len(whole.not_expected)
    assert told(read) == told(whole)


def test_what_no_rule_asks_for_by_name_is_one_row_a_day_and_destination(tmp_path: Path) -> None:
    whole, read = both(renamed(), tmp_path)
    rows = read.not_expected
    assert set(rows["event"]) == {"", "purchase_completed"}
    rest = rows[rows["event"] == ""]
    assert not rest.duplicated(["day", "destination"]).any() and len(rest) < len(whole.not_expected) / 2
    assert rows["messages"].sum() == whole.not_expected["messages"].sum()


def test_names_that_the_contract_knows_are_not_read_of_a_tool(tmp_path: Path) -> None:
    world = shop().holds("analytics", "Produkt angesehen", 300, "25 Oct")
    known = world.extra["delivery_names"][0] | {"event_name": "Product Viewed", "routable": True}
    world.extra["delivery_names"].append(known)
    _, read = both(world, tmp_path)
    assert set(read.delivery_names["event_name"]) == {"Produkt angesehen"}


def test_the_ids_of_single_events_are_read_where_messages_of_them_were_refused(tmp_path: Path) -> None:
    whole, read = both(at_once(), tmp_path)
    assert set(read.identifier_shapes["event"].dropna()) == {"Cart Updated"}
    assert read.identifier_shapes["messages"].sum() == whole.identifier_shapes["messages"].sum()


def test_versions_are_read_when_a_rule_asks_for_them(tmp_path: Path) -> None:
    _, read = both(shop(), tmp_path)
    diagnose(read)
    assert "versions" not in vars(read)
    assert list(read.versions.columns) == list(COLUMNS["versions"])
    assert read.versions is read.versions and "versions" in vars(read)
    with pytest.raises(AttributeError, match="version"):
        read.version  # noqa: B018
