"""The insert function, run in V8: what it lets through, stops and flags, and that nothing in a plan can break out."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from plan.javascript import InsertFunction
from plan.plans import SHOP, plan_of, rule, track, track_rule

from dagster_project.core.plan import TrackingPlan
from dagster_project.core.plan.exemptions import Exemption, not_exempt
from dagster_project.core.plan.judge import Judge
from dagster_project.core.plan.patterns import found_in, unusable_pattern
from dagster_project.generate.insert_function import Mode, insert_function

ORDER = {"total": 12.5, "currency": "EUR"}
BROKEN = track("Order Completed", {"total": "12", "currency": "EUR"})
HANDLERS = ("onTrack", "onIdentify", "onGroup", "onPage", "onScreen", "onAlias", "onDelete")


def run(plan: TrackingPlan, mode: Mode, *messages: Any, **more: Any) -> list[Any]:
    return InsertFunction(insert_function(plan, mode=mode, **more)).results(messages)


@pytest.mark.parametrize("mode", ["drop", "omit", "flag"])
def test_a_message_that_keeps_to_the_plan_comes_out_as_it_went_in(mode: Mode) -> None:
    message = track("Order Completed", ORDER)
    assert run(plan_of(*SHOP), mode, message) == [message]


def test_drop_stops_the_event_and_says_which_rules_without_a_value() -> None:
    broken = track("Order Completed", {"total": "secret", "currency": "secret"})
    assert run(plan_of(*SHOP), "drop", broken, track("Unheard", {})) == [
        "DropEvent: breaks the tracking plan: enum, type",
        "DropEvent: breaks the tracking plan: unplanned_event",
    ]


def test_flag_lets_the_event_through_and_lists_what_is_wrong() -> None:
    (result,) = run(plan_of(*SHOP), "flag", {**BROKEN, "context": {"ip": "1.2.3.4", "recon": {"mine": 1}}})
    assert result["properties"] == BROKEN["properties"]
    assert result["context"] == {
        "ip": "1.2.3.4",
        "recon": {
            "mine": 1,
            "violations": [
                {
                    "type": "type",
                    "field": "properties.total",
                    "description": "Invalid type. Expected: number, given: string",
                }
            ],
        },
    }


def test_omit_takes_out_what_is_wrong_and_drops_what_is_unplanned() -> None:
    plan = plan_of(*SHOP)
    nested = track("Order Completed", {**ORDER, "products": [{"sku": 1}], "order_id": "x"})
    missing = track("Order Completed", {"total": 1})
    results = run(plan, "omit", nested, missing, track("Unheard", {}), strict=True)
    assert results[0]["properties"] == ORDER
    assert sorted(results[0]["context"]["recon"]["omitted"]) == ["properties.order_id", "properties.products"]
    assert results[1]["properties"] == {"total": 1}
    assert "omitted" not in results[1]["context"]["recon"]
    assert results[2] == "DropEvent: breaks the tracking plan: unplanned_event"


def test_what_is_exempt_is_let_through_by_python_and_javascript_alike() -> None:
    plan = plan_of(*SHOP)
    messages = [
        BROKEN,
        track("Unheard", {}),
        track("Order Completed", {**ORDER, "products": [{"sku": 1}]}),
        {"type": "identify", "traits": {"plan": "gold"}},
    ]
    lists = [
        (),
        (Exemption(event="Order Completed", property="total"),),
        (Exemption(rules=("type",)),),
        (Exemption(property="products"),),
        (Exemption(property="products.$.sku", rules=("type",)),),
        (Exemption(event="Unheard"), Exemption(event="(identify)", property="plan")),
    ]
    judge = Judge(plan)
    left = []
    for exemptions in lists:
        python = [
            {(each.kind, each.field) for each in not_exempt(judge.judge(message), exemptions)}
            for message in messages
        ]
        script = insert_function(plan, exemptions=exemptions)
        assert InsertFunction(script).verdicts(messages) == python
        left.append(sum(map(bool, python)))
    assert left == [4, 3, 2, 3, 3, 2]


@pytest.mark.parametrize("handler", HANDLERS)
def test_every_kind_of_call_has_a_handler_that_returns_the_event(handler: str) -> None:
    kind = handler.removeprefix("on").lower()
    message = {"type": kind, "userId": "u", "event": "Signed Up", "properties": {}, "traits": {}}
    assert InsertFunction(insert_function(plan_of(*SHOP))).handled(handler, message) == message


def test_a_dropped_event_rejects_the_handlers_promise() -> None:
    function = InsertFunction(insert_function(plan_of(*SHOP), mode="drop"))
    assert function.handled("onTrack", BROKEN) == "DropEvent: breaks the tracking plan: type"


def test_a_mistake_of_the_function_loses_no_event() -> None:
    script = insert_function(plan_of(*SHOP), mode="drop").replace("const rules = rulesOf(event);", "oops();")
    (result,) = InsertFunction(script).results([BROKEN])
    assert result["properties"] == BROKEN["properties"]
    assert result["context"]["recon"] == {"error": "ReferenceError"}


@pytest.mark.parametrize("event", [{}, {"type": "track"}, {"type": "track", "event": None, "properties": 5}])
def test_a_message_from_hell_is_judged_or_let_through(event: Any) -> None:
    (result,) = run(plan_of(*SHOP), "flag", event)
    assert isinstance(result, dict)


def test_digits_beyond_the_53rd_bit_are_lost_in_javascript() -> None:
    """A named limit: JSON.parse makes both numbers one, before any judge sees them."""
    plan = plan_of(track_rule("E", {"p": {"enum": [2**53 + 1]}}))
    message = track("E", {"p": 2**53})
    assert [each.kind for each in Judge(plan).judge(message)] == ["enum"]
    assert InsertFunction(insert_function(plan)).verdicts([message]) == [set()]


# ------------------------------------------------------------------------------ hostile plans

HOSTILE = (
    *(
        "</script><script>alert(1)</script>",
        '"); throw 1; ("',
        "*/ throw 1 /*",
        "`${process.exit()}`",
        "\\",
        "\\u0022",
    ),
    *(
        "__proto__",
        "constructor",
        "prototype",
        "toString",
        "hasOwnProperty",
        "\u2028\u2029",
        "// x\nthrow 1",
        "<!--",
    ),
)


@pytest.mark.parametrize("name", HOSTILE)
def test_no_name_can_leave_the_text_that_it_stands_in(name: str) -> None:
    properties = {name: {"type": "string", "enum": [name, "x"]}}
    plan = plan_of(
        track_rule(name, properties, required=[name]), rule("PAGE", {"required": [name]}, key=name)
    )
    script = insert_function(plan, exemptions=[Exemption(event="other " + name)])
    assert "<" not in script.split("JSON.parse(")[1].split("\n")[0]
    function = InsertFunction(script)
    assert function.verdicts([track(name, {name: name}), track(name, {})]) == [
        set(),
        {("required", f"properties.{name}")},
    ]
    assert ("enum", f"properties.{name}") in function.verdicts([track(name, {name: "y"})])[0]


def test_a_prototype_cannot_be_polluted_by_an_event() -> None:
    plan = plan_of(track_rule("E", {"__proto__": {"type": "object"}}, additionalProperties=False))
    function = InsertFunction(insert_function(plan, mode="omit"))
    spoilt = json.loads('{"type":"track","event":"E","properties":{"__proto__":{"polluted":1},"x":1}}')
    results = function.results([spoilt, track("E", {})])
    assert results[1] == track("E", {})
    assert "polluted" not in json.dumps(results[1])


def test_the_same_plan_gives_the_same_bytes() -> None:
    assert insert_function(plan_of(*SHOP)) == insert_function(plan_of(*reversed(SHOP)))


def test_the_script_imports_nothing_and_evaluates_nothing() -> None:
    script = insert_function(plan_of(*SHOP))
    code = re.sub(r"//.*|\"(?:[^\"\\]|\\.)*\"", "", script)
    assert not re.search(r"\b(?:require|import|eval|Function|fetch|process|console|cache|settings)\b", code)


FIELD = st.sampled_from(
    [
        *(
            "total",
            "currency",
            "products",
            "sku",
            "method",
            "plan",
            "name",
            "__proto__",
            "protocols",
            "event_version",
        )
    ]
)
JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-5, 5)
    | st.floats(-9, 9)
    | st.sampled_from(["EUR", "", "free", "x"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(FIELD, inner, max_size=4),
    max_leaves=8,
)
EVENT = st.sampled_from(["Order Completed", "Signed Up", "signed up", "", "__proto__", None, 5])
MESSAGE = st.fixed_dictionaries(
    {"type": st.sampled_from(["track", "identify", "group", "page", "screen", "alias"])},
    optional={
        "event": EVENT,
        "name": EVENT,
        "properties": JSON,
        "traits": JSON,
        "context": JSON,
        "userId": JSON,
    },
)


@given(st.lists(MESSAGE, min_size=60, max_size=60))
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_a_message_of_any_shape_gets_one_verdict_from_both(messages: list[Any]) -> None:
    plan = plan_of(
        *SHOP,
        track_rule("Page Viewed", {"name": {"type": "string"}}, required=["name"]),
        rule("GROUP", {"required": ["name"]}),
        rule("PAGE", {"properties": {"total": {"type": "number"}}}),
        {"type": "COMMON", "version": 1, "jsonSchema": {"properties": {"userId": {"type": "string"}}}},
    )
    for strict in (False, True):
        judge = Judge(plan, strict=strict)
        python = [{(each.kind, each.field) for each in judge.judge(message)} for message in messages]
        assert InsertFunction(insert_function(plan, strict=strict)).verdicts(messages) == python


# ------------------------------------------------------------------------------ patterns

PIECE = st.sampled_from(
    [
        *(
            "a",
            "b",
            "k",
            "é",
            "🎉",
            ".",
            "^",
            "$",
            r"\b",
            r"\B",
            r"\d",
            r"\W",
            r"\s",
            "[a-c]",
            "[^b]",
            r"[\d\-x]",
        ),
        *(
            "[[:alpha:]]",
            "[[:^word:]]",
            r"[^\W\d]",
            r"[^\PL]",
            r"\pL",
            r"\P{Lu}",
            "(?i)",
            "(?s)",
            "(?m)",
            "(?i:B)",
        ),
        *(r"\Qa.b\E", r"\x{1F389}", r"\n", "()", "|", r"\z", r"\A"),
    ]
)
QUANTIFIED = st.tuples(PIECE, st.sampled_from(["", "", "*", "+", "?", "{2}", "{1,3}", "*?", "{0,}"])).map(
    "".join
)
PATTERN = st.recursive(
    st.lists(QUANTIFIED, max_size=4).map("".join),
    lambda inner: st.tuples(
        st.sampled_from(["(", "(?:", "(?i:"]), inner, st.sampled_from([")", ")*", ")+", ")?|"])
    ).map("".join),
    max_leaves=4,
)


@given(
    st.lists(PATTERN, min_size=30, max_size=30),
    st.lists(st.text("abBAkKſéÉ🎉 \n1.x_\u212a", max_size=8), min_size=6, max_size=6),
)
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_javascript_finds_a_pattern_exactly_where_re2_does(patterns: list[str], texts: list[str]) -> None:
    usable = sorted({each for each in patterns if unusable_pattern(each) is None})
    plan = plan_of(track_rule("E", {f"p{n}": {"pattern": each} for n, each in enumerate(usable)}))
    messages = [
        track("E", {f"p{n}": text for n in range(len(usable))}) for text in [*texts, "", "aab", "Éb\n"]
    ]
    javascript = InsertFunction(insert_function(plan)).verdicts(messages)
    for message, found in zip(messages, javascript, strict=True):
        text = message["properties"].get("p0", "")
        missed = {each for n, each in enumerate(usable) if ("pattern", f"properties.p{n}") in found}
        assert missed == {each for each in usable if not found_in(each, text)}, text


@pytest.mark.parametrize(
    "pattern", ["^(a+)+$", "^(a|a)*$", "(x+x+)+y", "(a?){30}a{30}$", "^(([a-z])+.)+[A-Z]([a-z])+$"]
)
def test_no_pattern_makes_the_function_slow(pattern: str) -> None:
    plan = plan_of(track_rule("E", {"p": {"pattern": pattern}}))
    function = InsertFunction(insert_function(plan))
    # 30 KB: an event of Segment has at most 32.
    assert function.seconds(track("E", {"p": "a" * 15_000 + "!" + "x" * 15_000}), 1) < 2


def test_a_plan_of_200_events_and_2000_properties_is_small_and_fast() -> None:
    rules = []
    for n in range(200):
        properties: dict[str, Any] = {
            f"property_{n}_{k}": (
                {"type": "string", "pattern": f"^[a-z]{{2,{k + 3}}}_[0-9]+$"},
                {"type": "number", "minimum": k},
                {"type": ["string", "null"], "enum": [f"v{n}", f"w{k}", None]},
                {"type": "array", "items": {"type": "object", "properties": {"sku": {"type": "string"}}}},
                {"type": "string", "format": "date-time"},
            )[k % 5]
            for k in range(10)
        }
        rules.append(track_rule(f"Event {n}", properties, required=list(properties)[:5]))
    script = insert_function(plan_of(*rules), mode="drop")
    assert len(script) < 150_000
    message = track(
        "Event 7",
        {f"property_7_{k}": ("ab_1", 9, "v7", [{"sku": "a"}], "2026-10-20")[k % 5] for k in range(10)},
    )
    function = InsertFunction(script)
    assert function.violations([message]) == [[]]
    assert function.seconds(message, 2000) < 0.002  # 5 s are allowed
