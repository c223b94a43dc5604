"""Every keyword of a plan is judged on landed rows, in part, or named with the reason why not; none is passed over."""

from __future__ import annotations

from random import Random
from typing import Any, get_args

import pytest
from plan.cases import object_schema
from plan.plans import plan_of, rule, track_rule

from dagster_project.core.plan import TrackingPlan, parse_plan
from dagster_project.core.plan.landed import (
    REASONS,
    Judgement,
    Reason,
    judgements,
    kinds_on_columns,
    rules_on_columns,
)
from dagster_project.core.plan.schema import children


def of(plan: TrackingPlan) -> dict[tuple[str, str], Judgement]:
    return {(each.property, each.keyword): each for each in judgements(plan)}


def verdict(schema: Any, keyword: str, path: str = "p", **more: Any) -> tuple[str, tuple[str, ...]]:
    found = of(plan_of(track_rule("E", {"p": schema}, **more)))[path, keyword]
    return found.verdict, found.reasons


@pytest.mark.parametrize(
    ("schema", "keyword", "expected"),
    [
        ({"type": "string", "enum": ["a"]}, "enum", ("judged", ())),
        ({"type": "number", "minimum": 0}, "minimum", ("judged", ())),
        ({"type": "string", "pattern": "a"}, "pattern", ("judged", ())),
        ({"type": "string"}, "type", ("in_part", ("first_type_wins", "null_is_absent"))),
        ({"type": ["string", "null"]}, "type", ("in_part", ("first_type_wins",))),
        ({"enum": ["a"]}, "enum", ("in_part", ("first_type_wins",))),
        ({"type": ["string", "null"], "enum": ["a"]}, "enum", ("in_part", ("null_is_absent",))),
        ({"type": "string", "format": "date-time"}, "type", ("not_here", ("time_column",))),
        ({"type": "string", "format": "date-time"}, "format", ("not_here", ("time_column",))),
        ({"type": "string", "format": "email"}, "format", ("not_here", ("message_only",))),
        ({"type": "string", "format": "colour"}, "format", ("not_here", ("unknown_format",))),
        ({"type": "string", "maxLength": 5}, "maxLength", ("not_here", ("message_only",))),
        ({"type": "number", "multipleOf": 5}, "multipleOf", ("not_here", ("message_only",))),
        ({"type": "array", "minItems": 1}, "minItems", ("not_here", ("array_as_text",))),
        ({"type": "object", "minProperties": 1}, "minProperties", ("not_here", ("object_flattened",))),
        ({"anyOf": [{"type": "string"}]}, "anyOf", ("not_here", ("combined",))),
        ({"patternProperties": {"^a": {}}}, "patternProperties", ("not_here", ("names_by_pattern",))),
        ({"type": "string", "minimun": 5}, "minimun", ("not_here", ("unknown_keyword",))),
        (False, "false", ("not_here", ("message_only",))),
        ({"additionalProperties": False}, "additionalProperties", ("not_here", ("object_flattened",))),
    ],
)
def test_a_keyword_has_its_verdict_and_its_reason(
    schema: Any, keyword: str, expected: tuple[str, tuple[str, ...]]
) -> None:
    assert verdict(schema, keyword) == expected


def test_what_a_closed_event_does_not_name_is_judged_by_its_column() -> None:
    found = of(plan_of(track_rule("E", {}, additionalProperties=False)))["", "additionalProperties"]
    assert (found.kind, found.verdict, found.reasons) == (
        "unplanned_property",
        "in_part",
        ("counted_by_column",),
    )


def test_required_is_judged_where_a_row_tells_it() -> None:
    assert verdict({"type": "string"}, "required", required=["p"]) == ("judged", ())
    assert verdict({"type": ["string", "null"]}, "required", required=["p"]) == (
        "not_here",
        ("null_is_absent",),
    )
    assert verdict({"type": "object"}, "required", required=["p"]) == ("not_here", ("object_flattened",))
    inner = {"type": "object", "properties": {"q": {"type": "string"}}, "required": ["q"]}
    assert verdict(inner, "required", "p.q") == ("not_here", ("optional_parent",))
    assert verdict(inner, "required", "p.q", required=["p"]) == ("judged", ())


@pytest.mark.parametrize(
    ("names", "reason"),
    [(["步"], "no_column"), (["timestamp"], "reserved_column"), (["userId"], "reserved_column"),
     (["productId", "product_id"], "same_column")],
)  # fmt: skip
def test_a_property_without_a_column_of_its_own_is_judged_by_no_row(names: list[str], reason: str) -> None:
    plan = plan_of(
        track_rule("E", {name: {"type": "number", "minimum": 0} for name in names}, required=names)
    )
    assert list(rules_on_columns(plan.events["E"])) == []
    assert {each.reasons for each in judgements(plan)} == {(reason,)}


def test_items_and_other_parts_of_the_message_are_named_by_their_paths() -> None:
    items = {"type": "array", "items": {"properties": {"sku": {"type": "string"}}, "required": ["sku"]}}
    plan = plan_of(
        track_rule("E", {"products": items}),
        {
            "type": "COMMON",
            "jsonSchema": {"properties": {"context": {"required": ["app"]}}, "required": ["userId"]},
        },
    )
    found = of(plan)
    assert found["products.$.sku", "type"].reasons == ("array_as_text",)
    assert found["products.$.sku", "required"].reasons == ("array_as_text",)
    assert found["context.app", "required"].reasons == ("outside_properties",)
    assert found["userId", "required"].reasons == ("outside_properties",)


def test_of_several_versions_the_oldest_is_judged_on_rows() -> None:
    plan = plan_of(*(track_rule("E", {"p": {"enum": [str(n)]}}, version=n) for n in (2, 1)))
    assert {(each.version, each.verdict) for each in judgements(plan)} == {(1, "in_part"), (2, "not_here")}
    assert all("event_version" in each.reasons for each in judgements(plan))
    (landed,) = plan.landed_rules()
    assert landed.version == 1


def test_what_is_called_judged_is_exactly_what_the_warehouse_is_given() -> None:
    random = Random(5)
    for number in range(300):
        schema = object_schema(random)
        plan, problems = parse_plan(
            [track_rule("E", {"p": schema, "q": object_schema(random)}, required=["p"])]
        )
        if problems:
            continue
        named = {
            (each.property, each.kind)
            for each in judgements(plan)
            if each.verdict != "not_here" and each.keyword != "additionalProperties"
        }
        given = {(each.rule.property, each.kind) for each in rules_on_columns(plan.events["E"])}
        assert given == named, number


def test_no_keyword_is_passed_over() -> None:
    random = Random(6)
    describing = {"title", "examples", "properties", "then", "else"}
    for _ in range(300):
        said = {"p": object_schema(random)}
        plan, problems = parse_plan([track_rule("E", said)])
        if problems:
            continue
        places = {each.at for each in judgements(plan)}
        at = ("jsonSchema", "properties", "properties", "properties", "p")
        waiting: list[tuple[tuple[Any, ...], Any]] = [((0, *at), said["p"])]
        while waiting:
            here, schema = waiting.pop()
            if not isinstance(schema, dict):
                continue
            for keyword, value in schema.items():
                if keyword in describing or (keyword == "additionalProperties" and value in (True, {})):
                    continue
                if keyword == "items" and isinstance(schema.get("items"), list) and not value:
                    continue
                assert (*here, keyword) in places or value == [], (keyword, schema)
            # What stands in a combined schema is told with it.
            waiting += [(p, inner) for p, inner in children(schema, here) if p[len(here)] == "properties"]


def test_every_reason_has_its_sentence() -> None:
    assert set(REASONS) == set(get_args(Reason))


def test_a_rule_without_conditions_is_no_condition() -> None:
    plan = plan_of(track_rule("E", {"p": {}}), rule("IDENTIFY", {"properties": {"plan": {"type": "string"}}}))
    assert kinds_on_columns(plan.events["E"].rules[0]) == ()
    assert plan.identify is not None
    assert [(each.column, each.kind) for each in rules_on_columns(plan.identify)] == [("plan", "type")]
