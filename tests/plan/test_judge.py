"""The judge of event JSON finds every way in which a message can break its plan, and nothing else."""

from __future__ import annotations

import time
from typing import Any

import pytest
from plan.plans import SHOP, plan_of, rule, track, track_rule

from dagster_project.core.plan import TrackingPlan
from dagster_project.core.plan.judge import Judge, NoMessage

ORDER = {"total": 12.5, "currency": "EUR"}


def found(plan: TrackingPlan, message: Any, *, strict: bool = False) -> list[tuple[str, str]]:
    return [(each.kind, each.field) for each in Judge(plan, strict=strict).judge(message)]


def test_a_message_that_keeps_to_the_plan_breaks_nothing() -> None:
    assert found(plan_of(*SHOP), track("Order Completed", ORDER)) == []


@pytest.mark.parametrize(
    ("properties", "expected"),
    [
        ({"total": 1}, ("required", "properties.currency")),
        ({**ORDER, "total": "12.50"}, ("type", "properties.total")),
        ({**ORDER, "total": None}, ("type", "properties.total")),
        ({**ORDER, "total": True}, ("type", "properties.total")),
        ({**ORDER, "total": -1}, ("range", "properties.total")),
        ({**ORDER, "currency": "eur"}, ("enum", "properties.currency")),
        ({**ORDER, "order_id": "x"}, ("pattern", "properties.order_id")),
        ({**ORDER, "products": [{"sku": "a"}, {}]}, ("required", "properties.products.1.sku")),
    ],
)
def test_each_way_to_break_a_rule_is_found_where_it_is(
    properties: dict[str, Any], expected: tuple[str, str]
) -> None:
    assert found(plan_of(*SHOP), track("Order Completed", properties)) == [expected]


@pytest.mark.parametrize(
    ("schema", "value", "kind"),
    [
        ({"minLength": 2}, "é", "length"),
        ({"maxLength": 1}, "🎉🎉", "length"),
        ({"format": "date-time"}, "tomorrow", "format"),
        ({"format": "date"}, "2026-02-30", "format"),
        ({"multipleOf": 0.01}, 0.105, "multiple"),
        ({"minItems": 1}, [], "items"),
        ({"maxItems": 1}, [1, 2], "items"),
        ({"uniqueItems": True}, [1, 1.0], "items"),
        ({"contains": {"const": 1}}, [2], "items"),
        ({"items": [{}], "additionalItems": False}, [1, 2], "items"),
        ({"minProperties": 1}, {}, "members"),
        ({"propertyNames": {"pattern": "^a"}}, {"b": 1}, "members"),
        ({"dependencies": {"a": ["b"]}}, {"a": 1}, "members"),
        ({"not": {"type": "string"}}, "x", "combined"),
        ({"anyOf": [{"type": "string"}, {"minimum": 5}]}, 3, "combined"),
        ({"oneOf": [{"type": "integer"}, {"minimum": 2}]}, 3, "combined"),
        (False, 1, "combined"),
        ({"additionalProperties": False}, {"a": 1}, "unplanned_property"),
        ({"allOf": [{"type": "string"}]}, 1, "type"),
        ({"if": {"type": "string"}, "then": {"pattern": "^a"}}, "b", "pattern"),
        ({"const": 1}, True, "enum"),
        ({"exclusiveMaximum": 5}, 5, "range"),
    ],
)
def test_every_keyword_of_draft_07_can_be_broken(schema: Any, value: Any, kind: str) -> None:
    plan = plan_of(track_rule("E", {"p": schema}))
    assert [each for each, _ in found(plan, track("E", {"p": value}))] == [kind]


@pytest.mark.parametrize(
    ("schema", "value"),
    [
        ({"type": "integer"}, 1.0),
        ({"type": "number"}, -0.0),
        ({"multipleOf": 0.1}, 0.3),
        ({"enum": [1]}, 1.0),
        ({"maxLength": 1}, "🎉"),
        ({"format": "date-time"}, "2026-10-20"),
        ({"format": "date-time"}, "2026-10-20T09:30:00.123+05:30"),
        ({"format": "colour"}, "red"),
        ({"pattern": "(?i)^eur$"}, "EUR"),
        ({"minimum": 5}, "text"),
        ({"then": {"type": "string"}}, 1),
        ({"items": True, "additionalItems": False}, [1, 2]),
    ],
)
def test_what_only_looks_broken_is_let_through(schema: Any, value: Any) -> None:
    assert found(plan_of(track_rule("E", {"p": schema})), track("E", {"p": value})) == []


def test_an_event_of_another_spelling_is_unplanned() -> None:
    assert found(plan_of(*SHOP), track("order completed", ORDER)) == [("unplanned_event", "event")]


def test_a_source_without_a_plan_has_no_unplanned_events() -> None:
    assert found(TrackingPlan(declared=False), track("Anything", {"x": 1}), strict=True) == []


def test_an_unplanned_property_breaks_a_closed_schema_and_any_schema_when_strict() -> None:
    plan = plan_of(*SHOP)
    assert found(plan, track("Signed Up", {"source": "ad"})) == [("unplanned_property", "properties.source")]
    assert found(plan, track("Order Completed", {**ORDER, "tip": 1})) == []
    assert found(plan, track("Order Completed", {**ORDER, "tip": 1}), strict=True) == [
        ("unplanned_property", "properties.tip")
    ]


@pytest.mark.parametrize("properties", [None, {}])
def test_a_message_without_properties_is_one_with_none(properties: dict[str, Any] | None) -> None:
    message = track("Order Completed", properties)
    assert {field for _, field in found(plan_of(*SHOP), message)} == {
        "properties.currency",
        "properties.total",
    }
    assert len(found(plan_of(*SHOP), {**message, "properties": None})) == 2


def test_traits_are_judged_on_identify_and_group() -> None:
    plan = plan_of(*SHOP, rule("GROUP", {"required": ["name"]}))
    assert found(plan, {"type": "identify", "traits": {"plan": "gold"}}) == [("enum", "traits.plan")]
    assert found(plan, {"type": "group", "groupId": "g"}) == [("required", "traits.name")]
    assert found(plan, {"type": "alias", "userId": "a", "previousId": "b"}) == []


def test_pages_and_screens_are_judged_by_their_own_rules_and_by_the_events_they_are_shown_as() -> None:
    plan = plan_of(
        track_rule("Page Viewed", {"path": {"type": "string"}}),
        rule("PAGE", {"required": ["url"]}),
        rule("PAGE", {"required": ["sku"]}, key="Product"),
        rule("SCREEN", {"required": ["app"]}),
    )
    home = {"type": "page", "name": "Home", "properties": {"path": 1}}
    assert found(plan, home) == [("type", "properties.path"), ("required", "properties.url")]
    product = {"type": "page", "name": "Product", "properties": {"url": "u"}}
    assert found(plan, product) == [("required", "properties.sku")]
    assert found(plan, {"type": "screen", "properties": {}}) == [("required", "properties.app")]


def test_the_common_rule_holds_for_every_call() -> None:
    common = {
        "type": "COMMON",
        "version": 1,
        "jsonSchema": {"properties": {"context": {"required": ["app"]}}, "required": ["userId"]},
    }
    plan = plan_of(*SHOP, common)
    for message in (track("Signed Up"), {"type": "identify"}, {"type": "alias"}, track("Unheard")):
        bare = {key: value for key, value in message.items() if key != "userId"}
        assert ("required", "userId") in found(plan, bare)
        assert ("required", "context.app") in found(plan, {**bare, "context": {}})


def test_logic_of_the_common_rule_breaks_at_the_root() -> None:
    schema = {"anyOf": [{"required": ["userId"]}, {"required": ["anonymousId"]}]}
    plan = plan_of(*SHOP, {"type": "COMMON", "version": 1, "jsonSchema": schema})
    assert found(plan, {"type": "identify"}) == [("combined", "(root)")]
    assert found(plan, {"type": "identify", "anonymousId": "a"}) == []


@pytest.mark.parametrize(
    ("version", "missing"),
    [(None, "a"), (1, "a"), (2, "b"), (2.0, "b"), (9, "a"), (1.5, "a"), ("2", "a"), (True, "a")],
)
def test_a_message_is_judged_by_the_version_it_names_or_by_the_oldest(version: Any, missing: str) -> None:
    plan = plan_of(track_rule("E", {}, version=2, required=["b"]), track_rule("E", {}, required=["a"]))
    message = track("E", {}, context={"protocols": {"event_version": version}})
    assert found(plan, message) == [("required", f"properties.{missing}")]


@pytest.mark.parametrize("message", [1, [], {}, {"type": "trak"}, {"type": None}, {"type": ["track"]}, None])
def test_what_is_no_message_is_said_to_be_none(message: Any) -> None:
    with pytest.raises(NoMessage):
        Judge(plan_of(*SHOP)).judge(message)


def test_a_violation_says_what_is_wrong_and_what_to_send_but_no_value() -> None:
    violations = Judge(plan_of(*SHOP)).judge(
        track("Order Completed", {"total": "secret", "currency": "secret", "order_id": "secret"})
    )
    said = [f"{each.message}; {each.instead}" for each in violations]
    assert said == [
        'must be one of the following: "EUR", "USD"; send one of them, letter by letter',
        "Does not match pattern `^ord_[0-9]+$`; send text that the pattern finds",
        "Invalid type. Expected: number, given: string; send a number",
    ]


@pytest.mark.parametrize("pattern", ["^(a+)+$", "^(a|a)*$", "(x+x+)+y", "^(([a-z])+.)+[A-Z]([a-z])+$"])
def test_no_pattern_can_make_the_judge_slow(pattern: str) -> None:
    plan = plan_of(track_rule("E", {"p": {"type": "string", "pattern": pattern}}))
    text = "a" * 30_000 + "!" + "x" * 30_000
    started = time.process_time()
    assert found(plan, track("E", {"p": text})) == [("pattern", "properties.p")]
    assert time.process_time() - started < 0.5
