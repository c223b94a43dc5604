"""A tracking plan is read as Segment's Public API answers it, and each of its rules is found."""

import copy
import json
import time
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema import Draft7Validator
from jsonschema.exceptions import SchemaError

from dagster_project.core.plan import PropertyRule, TrackingPlan, parse_plan, unusable_pattern
from dagster_project.core.plan.schema import surely_valid


def track(key: Any, properties: dict[str, Any], *, version: Any = 1, **more: Any) -> dict[str, Any]:
    """A rule in Segment's skeleton; `more` stands beside `properties`, as `required` does."""
    return {
        "type": "TRACK",
        "key": key,
        "version": version,
        "jsonSchema": {
            "$schema": "http://json-schema.org/draft-07/schema#",
            "type": "object",
            "labels": {"team": "growth", "tier": 1},
            "description": f"{key} happened.",
            "properties": {
                "context": {},
                "traits": {},
                "properties": {"type": "object", "properties": properties, **more},
            },
        },
    }


def read(*rules: Any) -> TrackingPlan:
    plan, problems = parse_plan({"data": {"rules": list(rules)}})
    assert problems == []
    return plan


def rule_of(schema: dict[str, Any], *, required: bool = False) -> PropertyRule:
    rules = read(track("E", {"p": schema}, required=["p"] if required else [])).events["E"].rules
    assert len(rules) == 1
    return rules[0]


@pytest.mark.parametrize("wrap", [lambda r: {"data": {"rules": r}}, lambda r: {"rules": r}, lambda r: r])
def test_a_plan_is_read_in_each_of_its_wrappings(wrap: Any) -> None:
    plan, problems = parse_plan(wrap([track("Order Completed", {})]))
    assert problems == []
    assert plan.planned("Order Completed")


def test_names_are_matched_exactly() -> None:
    plan = read(track("Order Completed", {}))
    for near in ("order_completed", "Order completed", " Order Completed", "Order Completed "):
        assert not plan.planned(near)


def test_only_track_rules_are_events() -> None:
    others = [{"type": kind, "version": 1, "jsonSchema": {}} for kind in ("COMMON", "IDENTIFY", "GROUP")]
    pages = [{"type": kind, "key": "Home", "jsonSchema": {}} for kind in ("PAGE", "SCREEN")]
    assert list(read(*others, track("A", {}), *pages).events) == ["A"]


def test_the_newest_version_is_the_one_that_counts() -> None:
    rules = [track("A", {f"p{v}": {"type": "string"}}, version=v) for v in (2, 10, 1)]
    event = read(*rules).events["A"]
    assert event.version == 10
    assert [rule.property for rule in event.rules] == ["p10"]


def test_labels_and_description_are_kept() -> None:
    event = read(track("A", {})).events["A"]
    assert event.labels == {"team": "growth", "tier": "1"}
    assert event.description == "A happened."


def test_a_required_property_without_a_schema_is_a_rule() -> None:
    rules = read(track("A", {}, required=["order_id"])).events["A"].rules
    assert rules == (PropertyRule(event="A", property="order_id", required=True),)


@pytest.mark.parametrize(
    ("schema", "expected"),
    [
        ({}, {}),
        (True, {}),
        ({"type": "string"}, {"types": ("string",)}),
        ({"type": ["number", "null"]}, {"types": ("number",), "nullable": True}),
        ({"type": "null"}, {"types": (), "nullable": True}),
        ({"type": "string", "format": "date-time"}, {"types": ("string",), "format": "date-time"}),
        (
            {"enum": ["a", 1, 2.0, 2.5, True, None]},
            {"enum": ("a", "1", "2", "2.5", "true"), "nullable": True},
        ),
        ({"type": "string", "enum": ["a", None]}, {"types": ("string",), "enum": ("a",)}),
        ({"enum": ["x" * 300]}, {"enum": ("x" * 300,)}),
        ({"const": "EUR"}, {"enum": ("EUR",)}),
        ({"pattern": "^a+$"}, {"pattern": "^a+$"}),
        ({"minimum": 0, "maximum": 10}, {"minimum": 0, "maximum": 10}),
        ({"exclusiveMinimum": 0}, {"minimum": 0, "exclusive_minimum": True}),
        ({"minimum": 1, "exclusiveMinimum": 0}, {"minimum": 1}),
        ({"minimum": 1, "exclusiveMinimum": 1}, {"minimum": 1, "exclusive_minimum": True}),
        ({"maximum": 5, "exclusiveMaximum": 4}, {"maximum": 4, "exclusive_maximum": True}),
        ({"type": "array", "items": {"type": "string"}}, {"types": ("array",)}),
    ],
)
def test_what_a_schema_says_of_a_property(schema: Any, expected: dict[str, Any]) -> None:
    assert rule_of(schema) == PropertyRule(event="E", property="p", **expected)


def test_a_nested_property_has_a_dotted_path() -> None:
    address = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
    rules = read(track("A", {"address": address}, required=["address"])).events["A"].rules
    assert [(rule.property, rule.required) for rule in rules] == [("address", True), ("address.city", True)]


def test_a_part_of_an_optional_object_is_not_required() -> None:
    address = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
    rules = read(track("A", {"address": address})).events["A"].rules
    assert [(rule.property, rule.required) for rule in rules] == [("address", False), ("address.city", False)]


def test_a_schema_of_the_properties_themselves_is_read_too() -> None:
    schema = {
        "type": "object",
        "properties": {"total": {"type": "number"}, "name": {}},
        "required": ["total"],
    }
    rules = read({"type": "TRACK", "key": "A", "jsonSchema": schema}).events["A"].rules
    assert [(rule.property, rule.required) for rule in rules] == [("total", True), ("name", False)]


def test_a_property_that_is_called_name_or_type_is_not_taken_for_the_messages() -> None:
    schema = {"properties": {"name": {"type": "string"}, "type": {"type": "string"}}}
    rules = read({"type": "TRACK", "key": "A", "jsonSchema": schema}).events["A"].rules
    assert [rule.property for rule in rules] == ["name", "type"]


def test_the_rest_of_the_message_is_not_the_properties() -> None:
    schema = track("A", {"total": {"type": "number"}})
    schema["jsonSchema"]["properties"] |= {"userId": {"type": "string"}, "event": {"const": "A"}}
    assert [rule.property for rule in read(schema).events["A"].rules] == ["total"]


def test_a_plan_without_properties_has_events_without_rules() -> None:
    assert read({"type": "TRACK", "key": "A", "jsonSchema": {}}).events["A"].rules == ()


# ------------------------------------------------------------------------------------------- mistakes


@pytest.mark.parametrize(
    ("pattern", "why"),
    [
        ("(", "not a regular expression"),
        ("(?!x)a", "looks ahead"),
        ("(?<=x)a", "looks ahead or behind"),
        (r"(a)\1", "refers back"),
        ("a{1,2000}", "more than 1,000"),
        ("a++", "possessive"),
        (r"\u00e9", r"uses \\u"),
        (r"a\Z", r"uses \\Z"),
    ],
)
def test_a_pattern_that_no_warehouse_evaluates_is_refused(pattern: str, why: str) -> None:
    _, problems = parse_plan([track("A", {"p": {"pattern": pattern}})])
    assert len(problems) == 1
    assert problems[0].path == (0, "jsonSchema", "properties", "properties", "properties", "p", "pattern")
    assert why.replace("\\\\", "\\") in problems[0].fact


@pytest.mark.parametrize(
    "pattern",
    [r"^\d{3}$", r"\(?=", r"[(?=]", r"\pL+", r"\p{Greek}\z", "[[:alpha:]]+", "(?i)eur|usd", r"[^\]]+", "a+?"],
)
def test_a_pattern_that_segment_evaluates_is_kept(pattern: str) -> None:
    assert unusable_pattern(pattern) is None
    assert rule_of({"pattern": pattern}).pattern == pattern


@given(st.text(alphabet=r"ab0(){}[]<>?*+|.^$\pPLz,1-9=!:"))
def test_any_pattern_is_judged(pattern: str) -> None:
    unusable_pattern(pattern)


SCHEMA = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False), st.text(max_size=5)),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.dictionaries(
            st.sampled_from(
                [
                    "properties",
                    "required",
                    "type",
                    "enum",
                    "items",
                    "minimum",
                    "pattern",
                    "$ref",
                    "allOf",
                    "string",
                    "number",
                    "x",
                ]
            ),
            inner,
            max_size=4,
        ),
    ),
    max_leaves=12,
)


@given(SCHEMA)
@settings(max_examples=300)
def test_whatever_the_quick_check_lets_through_is_a_schema(schema: Any) -> None:
    if surely_valid(schema):
        Draft7Validator.check_schema(schema)


@given(SCHEMA)
@settings(max_examples=300)
def test_a_schema_is_read_exactly_when_it_is_one(schema: Any) -> None:
    _, problems = parse_plan([{"type": "TRACK", "key": "A", "jsonSchema": schema}])
    try:
        Draft7Validator.check_schema(schema)
        valid = isinstance(schema, dict)
    except SchemaError:
        valid = False
    refused = [each for each in problems if "JSON Schema" in each.fact or "jsonSchema" in each.fact]
    assert (refused == []) == valid
    assert all("reference" in each.fact or "pattern" in each.fact for each in problems if each not in refused)


@given(SCHEMA)
def test_any_json_is_a_plan_or_has_a_problem(data: Any) -> None:
    plan, problems = parse_plan(data)
    assert problems or list(plan.all_rules())


def test_a_plan_of_2000_rules_is_read_in_well_under_a_second() -> None:
    properties = {f"property_{n}": {"type": ["string", "null"], "description": "x"} for n in range(12)}
    rules = [track(f"Event {n}", copy.deepcopy(properties), required=["property_1"]) for n in range(2000)]
    data = json.loads(json.dumps({"data": {"rules": rules}}))
    started = time.process_time()
    plan, problems = parse_plan(data)
    assert time.process_time() - started < 1.5  # a tenth of what the full check of each schema takes
    assert len(plan.events) == 2000
    assert problems == []
