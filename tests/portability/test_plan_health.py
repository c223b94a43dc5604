"""Plan health and the draft of a plan say the same on Snowflake's SQL as on DuckDB."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, timedelta
from typing import Any

import pandas as pd
import pytest
from portability.conftest import Engine

from dagster_project.core.contracts import Source, Workspace
from dagster_project.core.plan import parse_plan
from dagster_project.core.plan_health import COLUMNS, findings
from dagster_project.core.plan_infer import draft
from dagster_project.core.segment_api import plan_file
from dagster_project.flow.landed_values import landed_events, window_of
from dagster_project.flow.plan_health import HEALTH, read_evidence, write
from dagster_project.resources.warehouse import Warehouse

pytestmark = pytest.mark.fakesnow

TODAY = date(2026, 11, 9)
NAMES = {
    "day": "date",
    "source": "varchar",
    "event_text": "varchar",
    "event_slug": "varchar",
    "messages": "bigint",
    "planned": "boolean",
}
FILL = {
    "day": "date",
    "source": "varchar",
    "event_text": "varchar",
    "property": "varchar",
    "filled": "bigint",
    "messages": "bigint",
}
VIOLATIONS = {
    "day": "date",
    "source": "varchar",
    "event": "varchar",
    "property": "varchar",
    "rule": "varchar",
    "messages": "bigint",
}
ROUTES = {"destination": "varchar", "source": "varchar", "event": "varchar", "destination_name": "varchar"}
RENAMES = {
    "kind": "varchar",
    "status": "varchar",
    "source": "varchar",
    "event": "varchar",
    "renamed_to": "varchar",
}
HOSTILE = 'It\'s :day {{ x }} %s \\ "q"'


def workspace() -> Workspace:
    properties = {"order_id": {"type": "string"}, "note": {"type": "string"}}
    inner = {"type": "object", "properties": properties, "required": ["order_id"]}
    schema = {"type": "object", "properties": {"properties": inner}}
    rules = [
        {"type": "TRACK", "key": key, "version": 1, "jsonSchema": schema}
        for key in ("Order Completed", "Old")
    ]
    plan, problems = parse_plan({"data": {"rules": rules}})
    assert problems == []
    return Workspace(
        name="acme", sources=(Source(name="web", tracking_plan="plan.json"),), plans={"web": plan}
    )


def counted(warehouse: Warehouse) -> None:
    """The tables of counts that a run leaves behind."""
    days = [TODAY - timedelta(days=age) for age in range(40)]
    names = [(day, "web", name, "x", 10, True) for day in days for name in ("Order Completed", HOSTILE)]
    fill = [
        (day, "web", "Order Completed", column, 7, 10) for day in days for column in ("order_id", "gclid")
    ]
    tables: list[tuple[str, dict[str, str], list[tuple[Any, ...]]]] = [
        ("reconciliation.event_names_daily", NAMES, names),
        ("reconciliation_work.int_property_fill_daily", FILL, fill),
        (
            "reconciliation_work.int_property_fill_versions_daily",
            {**FILL, "app_version": "varchar"},
            [
                (day, "web", "Order Completed", "order_id", f, 5, v)
                for day in days
                for v, f in (("2.0", 5), ("2.1", 2))
            ],
        ),
        (
            "reconciliation.plan_violations_daily",
            VIOLATIONS,
            [(day, "web", "Order Completed", "gclid", "pattern", 3) for day in days],
        ),
        (
            "reconciliation_work.input_routes",
            ROUTES,
            [("crm", "web", None, None), ("ads", "web", HOSTILE, "x")],
        ),
        ("reconciliation.incidents", RENAMES, [("event_renamed", "open", "web", "Old", HOSTILE)]),
    ]
    for name, columns, rows in tables:
        warehouse.replace(name, pd.DataFrame(rows, columns=list(columns)).astype(object), columns)


def landed(warehouse: Warehouse) -> None:
    """A source's tables as Segment makes them."""
    warehouse.execute("create schema if not exists web")
    warehouse.execute("create table web.tracks (id varchar, event_text varchar, received_at timestamp)")
    warehouse.execute(
        "insert into web.tracks values ('m', 'Order Completed', cast('2026-11-01 10:00:00' as timestamp))".replace(
            ":", "\\:"
        )
    )
    warehouse.execute(
        "create table web.order_completed (id varchar, event_text varchar, received_at timestamp, order_id varchar,"
        ' size varchar, price double, amount bigint, gift boolean, ship_at timestamp, context_ip varchar, "order" varchar)'
    )
    uuid = "6f9619ff-8b86-4011-b42d-00c04fc964ff"
    rows = ", ".join(
        f"('m{number}', {name}, cast('2026-10-{1 + number % 28:02}' as timestamp), '{uuid}',"
        f" '{('small', 'large')[number % 2]}', 1.5, {number}, true, null, 'ip', 'x')"
        for number in range(300)
        for name in (":usual", ":hostile")
    )
    warehouse.execute(
        f"insert into web.order_completed values {rows}", usual="Order Completed", hostile=HOSTILE
    )


@pytest.fixture(scope="module")
def both(new_engine: Callable[[str], Engine]) -> tuple[Warehouse, Warehouse]:
    engines = new_engine("duckdb").warehouse, new_engine("snowflake").warehouse
    for each in engines:
        counted(each)
        landed(each)
    return engines


def test_the_findings_are_the_same_and_those_that_were_planted(both: tuple[Warehouse, Warehouse]) -> None:
    one, other = (findings(read_evidence(each, workspace(), TODAY)) for each in both)
    assert one == other
    assert [(each.kind, each.event, each.property, each.messages, each.app_version) for each in one] == [
        ("unplanned_event", HOSTILE, None, 400, None),
        ("unplanned_property", "Order Completed", "gclid", 196, None),
        ("pattern_drift", "Order Completed", "gclid", 84, None),
        ("required_not_filled", "Order Completed", "order_id", 84, "2.1"),
        ("never_filled", "Order Completed", "note", 0, None),
        ("never_seen", "Old", None, 0, None),
    ]
    assert one[0].merge_into == "Old"


def test_the_table_keeps_the_day_and_its_rows(both: tuple[Warehouse, Warehouse]) -> None:
    for each in both:
        found = findings(read_evidence(each, workspace(), TODAY))
        for day in (TODAY - timedelta(days=500), TODAY, TODAY):
            write(each, found, day, "run")
        rows = each.frame(f"select {', '.join(COLUMNS)} from {HEALTH} order by day, rank")
        assert len(rows) == len(found), "the day of long ago is thinned out, the day twice is there once"
        assert list(rows["event"]) == [finding.event for finding in found]


def test_the_drafted_plan_is_the_same(both: tuple[Warehouse, Warehouse]) -> None:
    drafts = []
    for each in both:
        source = Source(name="web")
        window = window_of(each, [source], 90)
        assert window is not None and window.last == date(2026, 11, 1)
        drafts.append(draft(list(landed_events(each, source, window)), window.last).rules)
    assert plan_file(drafts[0]).splitlines() == plan_file(drafts[1]).splitlines()
    assert {rule["key"] for rule in drafts[0]} == {"Order Completed", HOSTILE}
    properties = drafts[0][0]["jsonSchema"]["properties"]["properties"]["properties"]
    assert sorted(properties) == ["amount", "gift", "order", "order_id", "price", "size"]
    assert properties["size"]["enum"] == ["large", "small"]
    assert "pattern" in properties["order_id"]
