"""A plan is one document: references within a rule are resolved, and what cannot be held is refused with its place."""

from __future__ import annotations

import gc
import time
from typing import Any

import pytest
from plan.plans import plan_of, track, track_rule

from dagster_project.core.plan import parse_plan
from dagster_project.core.plan.api import MOST_RULES
from dagster_project.core.plan.judge import Judge
from dagster_project.core.plan.schema import MOST_VALUES


def with_definitions(definitions: dict[str, Any], **properties: Any) -> dict[str, Any]:
    made = track_rule("E", properties)
    made["jsonSchema"]["definitions"] = definitions
    return made


def problem_of(rule: dict[str, Any]) -> tuple[str, str]:
    _, problems = parse_plan([rule])
    assert len(problems) == 1
    return "/".join(map(str, problems[0].path)), problems[0].fact


def test_a_local_reference_is_the_schema_it_points_to() -> None:
    city = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
    made = with_definitions(
        {"a/b": {"$ref": "#/definitions/city"}, "city": city}, home={"$ref": "#/definitions/a~1b"}
    )
    plan = plan_of(made)
    assert [each.property for each in plan.events["E"].rules] == ["home", "home.city"]
    judged = Judge(plan).judge(track("E", {"home": {}}))
    assert [(each.kind, each.field) for each in judged] == [("required", "properties.home.city")]


def test_a_property_called_ref_is_no_reference() -> None:
    plan = plan_of(track_rule("E", {"$ref": {"type": "string"}}))
    assert [each.property for each in plan.events["E"].rules] == ["$ref"]


@pytest.mark.parametrize(
    ("definitions", "said"),
    [
        ({"a": {"$ref": "#/definitions/b"}, "b": {"$ref": "#/definitions/a"}}, "goes round in a circle"),
        ({"a": {"properties": {"next": {"$ref": "#/definitions/a"}}}}, "goes round in a circle"),
        ({"a": {"$ref": "https://example.com/a.json"}}, "leaves the plan, and nothing is fetched"),
        ({"a": {"$ref": "file:///etc/passwd"}}, "leaves the plan, and nothing is fetched"),
        ({"a": {"$ref": "#/definitions/none"}}, "points to nothing"),
        ({"a": {"$ref": "#there"}}, "names an anchor"),
        ({"a": {"$ref": "#/type"}}, "points to no schema"),
    ],
)
def test_a_reference_that_cannot_be_followed_is_refused(definitions: dict[str, Any], said: str) -> None:
    place, fact = problem_of(with_definitions(definitions, p={"$ref": "#/definitions/a"}))
    assert said in fact
    assert place.endswith("$ref")


def test_references_that_unfold_without_end_are_refused_in_no_time() -> None:
    levels: dict[str, Any] = {"0": {"type": "string"}}
    for n in range(1, 25):
        inner = {"$ref": f"#/definitions/{n - 1}"}
        levels[str(n)] = {"properties": {"a": inner, "b": inner}}
    _, fact = problem_of(with_definitions(levels, p={"$ref": "#/definitions/24"}))
    assert "unfold to more than" in fact


def test_a_thousand_rules_that_unfold_a_little_are_refused_together() -> None:
    levels: dict[str, Any] = {"0": {"type": "string"}}
    for n in range(1, 12):
        inner = {"$ref": f"#/definitions/{n - 1}"}
        levels[str(n)] = {"properties": {"a": inner, "b": inner}}
    rules = []
    for number in range(1000):
        made = with_definitions(levels, p={"$ref": "#/definitions/11"})
        rules.append({**made, "key": f"E{number}"})
    gc.disable()  # or it is timed as well how much other tests of this process have left to be gone through
    try:
        started = time.process_time()
        _, problems = parse_plan(rules)
        spent = time.process_time() - started
    finally:
        gc.enable()
    assert "unfold to more than" in problems[0].fact
    assert spent < 10


def test_an_enum_of_thousands_of_values_is_refused() -> None:
    rule = track_rule("E", {"p": {"enum": [str(n) for n in range(MOST_VALUES + 1)]}})
    place, fact = problem_of(rule)
    assert place.endswith("properties/p/enum")
    assert "5,001 values, and 5,000 are the most" in fact


def test_a_plan_of_50000_rules_is_refused_by_its_number() -> None:
    rules = [track_rule(f"E{n}", {}) for n in range(50_000)]
    _, problems = parse_plan(rules)
    assert [each.fact for each in problems] == [
        f"the plan holds 50,000 rules, and {MOST_RULES:,} are the most"
    ]


@pytest.mark.parametrize(
    "rule",
    [
        track_rule("E" * 10_001, {}),
        track_rule("E", {"p" * 10_001: {}}),
        track_rule("E", {}, required=["p" * 10_001]),
    ],
)
def test_a_name_of_thousands_of_characters_is_refused(rule: dict[str, Any]) -> None:
    _, fact = problem_of(rule)
    assert "of 10,001 characters, and 10,000 are the most" in fact


@pytest.mark.parametrize(
    "where",
    [
        {"items": {"pattern": "("}},
        {"allOf": [{"pattern": "("}]},
        {"patternProperties": {"(": {}}},
        {"if": {"properties": {"x": {"pattern": "("}}}},
    ],
)
def test_a_pattern_that_is_none_is_found_wherever_it_stands(where: dict[str, Any]) -> None:
    _, fact = problem_of(track_rule("E", {"p": where}))
    assert "is not a regular expression" in fact


@pytest.mark.parametrize("pattern", ["(" * 500 + ")" * 500, "a" * 20_000])
def test_a_pattern_from_hell_is_refused(pattern: str) -> None:
    _, fact = problem_of(track_rule("E", {"p": {"pattern": pattern}}))
    assert "deep" in fact or "characters long" in fact
