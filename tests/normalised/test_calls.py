"""Identify, group, page and screen calls are judged like events, by version too, and no value is told unmasked."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from normalised.small_workspace import CALL, DELIVERIES, EXPORT, TRACKS, Project, make, planned, track

from dagster_project.flow.exported import read_exports
from dagster_project.flow.normalised import normalise
from dagster_project.flow.sources import read_sources

pytestmark = pytest.mark.dbt

AT = "2026-11-01 10:00:00"


def of_call(kind: str, properties: dict[str, Any], key: str | None = None, **more: Any) -> dict[str, Any]:
    """One rule of a plan that speaks of another call than track."""
    carrier = "traits" if kind in ("IDENTIFY", "GROUP") else "properties"
    body = {"type": "object", "properties": properties, **more}
    rule: dict[str, Any] = {
        "type": kind,
        "version": 1,
        "jsonSchema": {"type": "object", "properties": {carrier: body}},
    }
    return rule if key is None else {**rule, "key": key}


PLAN = [
    {
        **planned("Order Completed", {"total": {"type": "number"}, "address": {"type": "object"}}, ["total"]),
    },
    of_call(
        "IDENTIFY",
        {"email": {"type": "string", "pattern": "@"}, "plan": {"enum": ["free", "pro"]}},
        required=["email"],
    ),
    of_call("GROUP", {"employees": {"type": "integer", "minimum": 1}}, additionalProperties=False),
    of_call("PAGE", {"title": {"type": "string"}}, required=["title"]),
    of_call("PAGE", {"sku": {"type": "string", "pattern": "^sku_"}}, key="Product"),
    of_call("SCREEN", {"depth": {"type": "number", "maximum": 9}}),
]
PLAN[0]["jsonSchema"]["properties"]["properties"]["additionalProperties"] = False


def land(project: Project) -> None:
    project.land("exports.ads", DELIVERIES, [])
    project.land("app.tracks", TRACKS, [track(f"o{n}", "Order Completed", AT) for n in range(8)])
    # The new version sends the total as text, which the number's column does not take.
    project.land(
        "app.order_completed",
        f"{CALL}, event_text varchar, context_app_version varchar, context_library_version varchar,"
        " total double, address_city varchar, coupon varchar",
        [
            f"'o{n}', 'a', 'u', '{AT}+00', '{AT}+00', 'Order Completed', {version}, '9.1',"
            f" {total}, 'x', {coupon}"
            for n, version, total, coupon in (
                *((n, "'2.0'", "1.5", "null") for n in range(4)),
                *((n, "'2.1'", "null", "'SAVE10'") for n in (4, 5)),
                *((n, "null", "2", "null") for n in (6, 7)),
            )
        ],
    )
    project.land(
        "app.identifies",
        f"{CALL}, email varchar, plan varchar",
        [
            f"'i1', 'a1', 'jane@example.com', '{AT}+00', '{AT}+00', 'jane@example.com', 'pro'",
            f"'i2', 'a2', null, '{AT}+00', '{AT}+00', 'Jürgen 42', 'Gold'",
            f"'i3', null, 'undefined', '{AT}+00', '{AT}+00', null, null",
            f"'i4', 'a4', '7', '{AT}+00', '{AT}+00', 'x@y.z', 'free'",
            f"'i5', 'a5', 'u_7', '{AT}+00', '{AT}+00', 'x@y.z', 'free'",
        ],
    )
    project.land(
        "app.groups",
        f"{CALL}, group_id varchar, employees bigint, industry varchar",
        [
            f"'g1', 'a', 'u', '{AT}+00', '{AT}+00', 'acme', 0, null",
            f"'g2', 'a', 'u', '{AT}+00', '{AT}+00', null, 5, 'toys'",
            f"'g3', 'a', 'u', '{AT}+00', '{AT}+00', '', 5, null",
        ],
    )
    project.land(
        "app.pages",
        f"{CALL}, name varchar, title varchar, sku varchar",
        [
            f"'p1', 'a', 'u', '{AT}+00', '{AT}+00', 'Product', 'Shoe', 'shoe'",
            f"'p2', 'a', 'u', '{AT}+00', '{AT}+00', 'Home', null, 'home'",
        ],
    )
    project.land("app.screens", f"{CALL}, depth double", [f"'s1', 'a', 'u', '{AT}+00', '{AT}+00', 10"])


def built(folder: Path, **workspace: Any) -> Project:
    project = make(folder, {"app": {}}, {"ads": EXPORT}, PLAN, **workspace)
    land(project)
    for stage in (read_sources, read_exports, normalise):
        stage(project.context(datetime(2026, 11, 3)))
    return project


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Project]:
    yield built(tmp_path_factory.mktemp("calls") / "small")


def test_each_call_is_held_to_its_own_rules(project: Project) -> None:
    broken = project.rows(
        "select event, message_id, property, rule from reconciliation_work.int_broken_rows"
        " where event <> 'Order Completed' order by 1, 2, 3"
    )
    assert broken == [
        ("(group)", "g1", "employees", "range"),
        ("(identify)", "i2", "email", "pattern"),
        ("(identify)", "i2", "plan", "enum"),
        ("(identify)", "i3", "email", "required"),
        ("(page)", "p1", "sku", "pattern"),  # the rule of the page "Product" alone
        ("(page)", "p2", "title", "required"),
        ("(screen)", "s1", "depth", "range"),
    ]


def test_violations_name_the_call(project: Project) -> None:
    calls = project.rows(
        "select distinct call, event from reconciliation.plan_violations_daily order by 1, 2"
    )
    assert calls == [
        ("group", "(group)"),
        ("identify", "(identify)"),
        ("page", "(page)"),
        ("screen", "(screen)"),
        ("track", "Order Completed"),
    ]


def test_a_property_beside_a_closed_plan_is_one_violation_of_it_and_the_parts_of_an_object_are_none(
    project: Project,
) -> None:
    rows = project.rows(
        "select event, property, messages from reconciliation.plan_violations_daily"
        " where rule = 'unplanned_property' order by 1"
    )
    # The plan of identify, pages and screens lets other properties pass.
    assert rows == [("(group)", "industry", 1), ("Order Completed", "coupon", 2)]


def test_a_column_is_told_by_version_where_versions_differ_and_nowhere_else(project: Project) -> None:
    rows = project.rows(
        "select property, app_version, filled, messages"
        " from reconciliation_work.int_property_fill_versions_daily"
        " where event_text = 'Order Completed' order by 1, 2"
    )
    assert rows == [
        ("coupon", "2.0", 0, 4),
        ("coupon", "2.1", 2, 2),
        ("coupon", "library 9.1", 0, 2),
        ("total", "2.0", 4, 4),
        ("total", "2.1", 0, 2),
        ("total", "library 9.1", 2, 2),
    ]


def test_what_breaks_the_plan_is_known_with_its_versions(project: Project) -> None:
    rows = project.rows(
        "select property, rule, app_version, library_version, messages"
        " from reconciliation_work.int_violation_versions_daily where event = 'Order Completed'"
    )
    assert rows == [("total", "required", "2.1", "9.1", 2)]


def test_values_are_masked_so_that_their_form_can_be_read(project: Project) -> None:
    rows = project.rows(
        "select property, sample_value from reconciliation_work.int_broken_rows where sample_value is not null order by 1, 2"
    )
    assert rows == [
        ("depth", "99.9"),
        ("email", "A?aaaa 99"),
        ("employees", "9"),
        ("plan", "Aaaa"),
        ("sku", "aaaa"),
    ]


def test_values_are_told_where_the_contract_shows_them(tmp_path: Path) -> None:
    shown = built(tmp_path / "shown", show_values=True)
    rows = shown.rows(
        "select property, sample_value from reconciliation_work.int_broken_rows where event = '(identify)' order by 1, 2"
    )
    assert rows == [("email", "Jürgen 42"), ("email", None), ("plan", "Gold")]


def test_ids_of_identify_and_group_calls_are_counted_by_shape(project: Project) -> None:
    rows = project.rows(
        "select event, identifier, shape, messages from reconciliation_work.int_identifier_shapes_daily"
        " where event <> 'Order Completed' order by 1, 2, 3"
    )
    assert rows == [
        ("(group)", "group_id", "empty", 1),
        ("(group)", "group_id", "null", 1),
        ("(group)", "group_id", "other", 1),
        ("(identify)", "anonymous_id", "null", 1),
        ("(identify)", "anonymous_id", "other", 4),
        ("(identify)", "user_id", "email", 1),
        ("(identify)", "user_id", "integer", 1),
        ("(identify)", "user_id", "null", 1),
        ("(identify)", "user_id", "other", 1),
        ("(identify)", "user_id", "placeholder", 1),
    ]


def test_the_other_calls_are_no_events(project: Project) -> None:
    assert project.rows("select distinct event_text from reconciliation.event_names_daily") == [
        ("Order Completed",)
    ]
