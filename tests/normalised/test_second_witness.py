"""Segment's own violations are counted beside ours, by message; whoever has none is judged by one witness."""

from __future__ import annotations

from datetime import datetime

import pytest
from normalised.small_workspace import EXPORT, Project, make
from normalised.test_calls import PLAN, land

from dagster_project.flow.exported import read_exports
from dagster_project.flow.normalised import normalise
from dagster_project.flow.sources import read_sources

pytestmark = pytest.mark.dbt

COLUMNS = (
    "id varchar, received_at timestamptz, event_message_id varchar, event_name varchar, event_type varchar,"
    " event_timestamp timestamptz, event_sent_at timestamptz, source_slug varchar, violation_field varchar,"
    " violation_type varchar"
)


def violation(
    message: str, event: str, kind: str, field: str, *, source: str = "app", at: str = "2026-11-01"
) -> str:
    came = "2026-11-02 01:00:00+00"
    return (
        f"'v-{message}-{field}', '{came}', '{message}', '{event}', '{kind}', '{at} 10:00:00+00',"
        f" '2026-11-01 10:00:01+00', '{source}', '{field}', 'Required'"
    )


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    project = make(
        tmp_path_factory.mktemp("witness") / "small",
        {"app": {"schema": "app"}, "shop_web": {"schema": "shop_web"}},
        {"ads": EXPORT},
        PLAN,
        violations="protocols",
    )
    land(project)
    project.land(
        "protocols.violation_generated",
        COLUMNS,
        [
            violation("o4", "Order Completed", "track", "properties.total"),
            # The same one forwarded again is one message.
            violation("o4", "Order Completed", "track", "properties.total"),
            # Blocked by Segment, so it never landed; and one that a nested array hides from columns.
            violation("never landed", "Order Completed", "track", "properties.total"),
            violation("o1", "Order Completed", "track", "properties.products.0.sku"),
            violation("i3", "", "identify", "traits.email"),
            # Of a time that Segment does not know, and of a source that is called by its slug.
            violation(
                "w1", "Order Completed", "track", "properties.total", source="shop-web", at="0001-01-01"
            ),
            violation("x", "Order Completed", "track", "properties.total", source="somebody-else"),
        ],
    )
    for stage in (read_sources, read_exports, normalise):
        stage(project.context(datetime(2026, 11, 3)))
    return project


def test_messages_are_counted_once_with_those_that_we_find_broken_too(project: Project) -> None:
    rows = project.rows(
        "select source, event, property, messages, confirmed"
        " from reconciliation_work.int_segment_violations_daily order by 1, 2, 3"
    )
    assert rows == [
        ("app", "(identify)", "email", 1, 1),
        ("app", "Order Completed", "products.0.sku", 1, 0),
        ("app", "Order Completed", "total", 2, 1),
        ("shop_web", "Order Completed", "total", 1, 0),
    ]


@pytest.mark.parametrize("columns", [None, "id varchar, received_at timestamptz"])
def test_without_the_table_or_its_columns_there_is_no_second_witness(
    project: Project, tmp_path_factory: pytest.TempPathFactory, columns: str | None
) -> None:
    alone = project.with_own_rows(tmp_path_factory.mktemp("alone") / "own")
    alone.warehouse.execute("drop table protocols.violation_generated")
    if columns:
        alone.land("protocols.violation_generated", columns, [])
    alone.dbt.run(["int_segment_violations_daily"])
    assert alone.rows("select count(*) from reconciliation_work.int_segment_violations_daily") == [(0,)]
