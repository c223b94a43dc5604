"""Every rule of the lint has a name that breaks it, and a usual name that does not."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from hypothesis import given, settings
from hypothesis import strategies as st

from dagster_project.cli.plan_commands import plan as plan_group
from dagster_project.core.naming.alike import near_duplicates, slips, winner
from dagster_project.core.naming.convention import Convention
from dagster_project.core.naming.dynamic import dynamic_names, families, variable_part
from dagster_project.core.naming.lint import Finding, LandedNames, PlanNames, lint
from dagster_project.core.naming.one_name import RULES
from dagster_project.core.naming.reserved import TABLES
from dagster_project.core.plan import parse_plan
from dagster_project.core.plan.landed import RESERVED_COLUMNS
from dagster_project.flow.inputs import SEGMENT_TABLES

USUAL = ("Order Completed", "Cart Viewed", "Product Added", "Coupon Applied", "Invoice Paid", "Trial Started")


def rule(name: str | None, properties: dict[str, Any] | None = None, kind: str = "TRACK") -> dict[str, Any]:
    inner = {"type": "object", "properties": properties or {}}
    carrier = "traits" if kind in ("IDENTIFY", "GROUP") else "properties"
    schema = {"type": "object", "properties": {"context": {}, "traits": {}, "properties": {}, carrier: inner}}
    key = {"key": name} if name is not None else {}
    return {"type": kind, "version": 1, "jsonSchema": schema, **key}


def named(*rules: dict[str, Any], label: str = "plan.json") -> PlanNames:
    plan, problems = parse_plan({"data": {"rules": list(rules)}})
    assert problems == []
    return PlanNames(label, plan, lambda steps: f"{label}:{'.'.join(map(str, steps))}")


def of_events(*names: str, **more: Any) -> list[Finding]:
    return list(lint([named(*(rule(name) for name in names))], **more).findings)


def of_properties(*names: str, **more: Any) -> list[Finding]:
    properties: dict[str, Any] = {name: {"type": "string"} for name in names}
    return list(lint([named(rule("Order Completed", properties))], **more).findings)


def landed(messages: dict[str, int], *planned: str, **columns: list[str]) -> list[Finding]:
    return list(lint([], [LandedNames("web", messages, frozenset(planned), columns)]).findings)


def rules_of(findings: list[Finding]) -> list[str]:
    return [each.rule for each in findings]


# ------------------------------------------------------------------------------------------ each rule


@pytest.mark.parametrize(
    ("broken", "names", "severity"),
    [
        ("one_slug", ["Order Completed", "order_completed"], "error"),
        ("empty_slug", ["日本語"], "error"),
        ("standard_table", ["Users"], "error"),
        ("invisible", ["Order\u00a0Completed"], "error"),
        ("invisible", ["Order Comple\u200bted"], "error"),
        ("invisible", ["Cafe\u0301 Opened"], "error"),
        ("blank_edges", ["Order Completed "], "error"),
        ("blank_edges", ["Order  Completed"], "error"),
        ("homoglyph", ["Оrder Completed"], "error"),  # the first letter is Cyrillic
        ("homoglyph", ["Ｏrder Completed"], "error"),  # full width
        ("dynamic_name", ["Order 48213377 Completed"], "error"),
        ("dynamic_name", ["Viewed 2026-10-20 Sale"], "error"),
        ("dynamic_name", ["Product Added (11-01-2019)"], "error"),
        ("dynamic_name", ["Report of jane@example.org Opened"], "error"),
        ("dynamic_name", ["Session 6f9619ff-8b86-d011-b42d-00c04fc964ff Ended"], "error"),
        ("dynamic_name", ["Page https://shop.example/a Viewed"], "error"),
        ("dynamic_name", ["Host 10.0.0.17 Reached"], "error"),
        ("dynamic_name", ["Black Friday 2026 Opened"], "warning"),
        ("too_long", ["x" * 300], "error"),
        ("too_long", ["x" * 200], "warning"),
        ("too_long", ["x" * 70], "info"),
        ("name_family", [f"Step {number} Viewed" for number in range(1, 7)], "warning"),
        ("near_duplicate", ["Order Completed", "Completed Order"], "warning"),
        ("near_duplicate", ["Order Completed", "Order Complete"], "warning"),
        ("near_duplicate", ["Product Viewed", "Products Viewed"], "warning"),
        ("near_duplicate", ["Signup", "Sign Up"], "warning"),
        ("near_duplicate", ["Signup Completed", "Sign Up Complete"], "warning"),
        ("near_duplicate", ["Subscription Renewed", "Subscribtion Renewed"], "warning"),
        ("lost_letters", ["Café Opened"], "warning"),
        ("typeset", ["Buyer’s Guide Opened"], "warning"),
        ("convention", [*USUAL, "order_shipped"], "warning"),
        ("convention", [*USUAL, "Shipped Parcel"], "warning"),
        ("leading_digit", ["3D View Opened"], "info"),
        ("reserved_word", ["Open"], "info"),
    ],
)
def test_an_event_name_breaks_the_rule(broken: str, names: list[str], severity: str) -> None:
    found = of_events(*names)
    assert (broken, severity) in [(each.rule, each.severity) for each in found], found
    assert all("\n" not in str(each) and each.place.startswith("plan.json:data.rules.") for each in found)


@pytest.mark.parametrize(
    ("broken", "names", "severity"),
    [
        ("standard_column", ["userId"], "error"),
        ("standard_column", ["timestamp"], "error"),
        ("standard_column", ["context_ip"], "error"),
        ("one_column", ["productId", "product_id"], "error"),
        ("one_column", ["product.id", "product_id"], "error"),
        ("empty_slug", ["価格"], "error"),
        ("reserved_word", ["order"], "warning"),
        ("reserved_word", ["type"], "info"),
        ("leading_digit", ["3d_model"], "info"),
        ("invisible", ["price\u200b"], "error"),
        ("blank_edges", [" price"], "error"),
        ("homoglyph", ["рrice"], "error"),
        ("dynamic_name", ["price_6f9619ff8b86d011b42d00c04fc964ff"], "error"),
        ("too_long", ["p" * 130], "warning"),
        ("near_duplicate", ["currency", "curency"], "warning"),
        ("near_duplicate", ["productid", "product_id"], "warning"),
        ("lost_letters", ["größe"], "warning"),
        ("convention", ["price", "currency", "coupon_code", "order_id", "items", "giftWrap"], "warning"),
    ],
)
def test_a_property_breaks_the_rule(broken: str, names: list[str], severity: str) -> None:
    found = of_properties(*names)
    assert (broken, severity) in [(each.rule, each.severity) for each in found], found


def test_every_rule_has_a_name_here_that_breaks_it() -> None:
    tests = (test_an_event_name_breaks_the_rule, test_a_property_breaks_the_rule)
    broken = {case[0] for test in tests for mark in test.pytestmark for case in mark.args[1]}  # type: ignore[attr-defined]
    # One property of two types is no name; it has a test of its own below.
    assert broken | {"type_differs"} == set(RULES)


def test_usual_names_break_no_rule() -> None:
    shop = [rule(name, {"order_id": {"type": "string"}, "price": {"type": "number"}}) for name in USUAL]
    assert lint([named(*shop)]).findings == ()


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("User Subscribed", "User Unsubscribed"),
        ("App Installed", "App Uninstalled"),
        ("Step 1 Completed", "Step 2 Completed"),
        ("Order Shipped", "Order Skipped Again"),
        ("Cart Viewed", "Card Viewed"),  # five letters are too few to tell a slip from a word
        ("Logged In", "Logged On"),
        ("Item Added", "Item Edited"),
        ("Video Paused", "Video Played"),
        ("Plan Upgraded", "Plan Downgraded"),
        ("Email Opened", "Email Clicked"),
        ("Order Completed", "Order Completed v2"),
    ],
)
def test_different_events_are_no_near_duplicates(one: str, other: str) -> None:
    assert near_duplicates([one, other]) == []


def test_words_that_are_at_home_elsewhere_are_no_slips() -> None:
    pair = ["Parcel Loaded", "Parcel Leaded"]
    assert [each.how for each in near_duplicates(pair)] == ["spelling"]
    at_home = [f"{thing} {done}" for thing in ("Truck", "Ship", "Plane") for done in ("Loaded", "Leaded")]
    assert near_duplicates([*pair, *at_home]) == []


@pytest.mark.parametrize(
    ("one", "other", "count"),
    [("abc", "abc", 0), ("abc", "acb", 1), ("abc", "ab", 1), ("abc", "xbc", 1), ("ab", "cd", 2)],
)
def test_slips_are_counted_with_swapped_neighbours_as_one(one: str, other: str, count: int) -> None:
    assert slips(one, other, 2) == slips(other, one, 2) == count


def test_a_declared_convention_is_an_error_where_a_found_one_is_a_warning() -> None:
    found = of_events(*USUAL, events=Convention("snake_case", declared=True))
    assert [(each.rule, each.severity) for each in found] == [("convention", "error")] * len(USUAL)
    assert "write `order_completed`" in {each.instead for each in found}


def test_a_reserved_word_is_an_error_where_the_warehouse_is_snowflake() -> None:
    assert [each.severity for each in of_properties("order", snowflake=True)] == ["error"]


def test_one_slug_in_two_plans_is_told_once_with_both_places() -> None:
    found = lint([named(rule("Order Completed")), named(rule("order_completed"), label="apps.json")]).findings
    assert [(each.rule, each.severity) for each in found] == [("one_slug", "warning")]
    assert "plan.json:data.rules.0.key" in str(found[0]) and "apps.json:data.rules.0.key" in str(found[0])


def test_traits_of_identify_are_held_against_the_rules_of_properties() -> None:
    found = lint(
        [named(rule("Order Completed"), rule(None, {"userId": {"type": "string"}}, "IDENTIFY"))]
    ).findings
    assert [(each.rule, each.event) for each in found] == [("standard_column", "(identify)")]


def test_a_property_of_two_types_is_told_where_it_is_odd() -> None:
    number, text = {"price": {"type": "number"}}, {"price": {"type": "string"}}
    found = lint(
        [
            named(
                rule("A Viewed", number),
                rule("B Viewed", {"price": {"type": "integer"}}),
                rule("C Viewed", text),
            )
        ]
    )
    assert [(each.rule, each.event) for each in found.findings] == [("type_differs", "C Viewed")]


# ------------------------------------------------------------------------------------------ what lands


def test_an_unplanned_spelling_of_a_planned_name_is_an_error() -> None:
    found = landed({"Order Completed": 900, "order_completed": 30}, "Order Completed")
    assert [(each.rule, each.severity, each.event, each.messages) for each in found] == [
        ("one_slug", "error", "order_completed", 30)
    ]
    assert "send `Order Completed`" in str(found[0])


def test_two_landed_spellings_without_a_plan_are_merged_into_the_one_that_is_sent_more() -> None:
    found = landed({"Order Completed": 30, "order_completed": 900})
    assert [(each.rule, each.event) for each in found if each.rule == "one_slug"] == [
        ("one_slug", "Order Completed")
    ]


def test_planned_names_that_land_are_told_of_the_plan_alone() -> None:
    assert landed({"日本語": 5, "Order 48213377 Completed": 1}, "日本語", "Order 48213377 Completed") == []


def test_landed_names_that_differ_by_a_number_are_one_finding_with_their_sum() -> None:
    found = landed({f"Article {number} Read": number for number in range(30)})
    assert [(each.rule, each.severity, each.messages) for each in found] == [
        ("name_family", "error", sum(range(30)))
    ]


def test_a_near_duplicate_that_landed_says_which_name_wins() -> None:
    found = landed({"Subscribtion Renewed": 8, "Subscription Renewed": 4}, "Subscription Renewed")
    assert [(each.rule, each.event) for each in found] == [("near_duplicate", "Subscribtion Renewed")]
    assert winner("a", "b", {"a": 1, "b": 5}, ()) == "b"
    assert winner("a", "b", {"a": 1, "b": 5}, ("a",)) == "a"


def test_landed_columns_are_held_against_the_rules_too() -> None:
    columns = [
        "price",
        *(f"item_{number}_price" for number in range(9)),
        "currency",
        "curency",
        "_timestamp",
        "seen_6f9619ff8b86d011b42d00c04fc964ff",
    ]
    found = landed({"Order Completed": 5}, "Order Completed", order_completed=columns)
    assert sorted(rules_of(found)) == ["dynamic_name", "name_family", "near_duplicate", "standard_column"]


# ------------------------------------------------------------------------------------------ hostile names


HELL = st.text(max_size=40) | st.sampled_from(
    [
        "\x1b[31mred",
        "a\nb",
        "`; drop table tracks; --",
        "\u202egnp.exe",
        "\ud800",
        "a" * 10_000,
        "%s{}",
        "__proto__",
    ]
)


@settings(max_examples=150, deadline=None)
@given(st.lists(HELL.filter(bool), min_size=1, max_size=6, unique=True))
def test_no_name_breaks_the_lint_or_the_line_that_tells_of_it(names: list[str]) -> None:
    plan, _ = parse_plan({"data": {"rules": [rule(name, {name: {"type": "string"}}) for name in names]}})
    found = lint(
        [PlanNames("plan.json", plan, lambda _steps: "plan.json:1:1")],
        [LandedNames("web", dict.fromkeys(names, 3), frozenset(), {"t": names})],
    ).findings
    for each in found:
        assert str(each).isprintable(), str(each)


def test_an_address_in_a_name_is_not_repeated() -> None:
    found = landed({"Mail to jane.doe@example.org sent": 3})
    assert rules_of(found)[0] == "dynamic_name"
    assert "jane" not in " ".join(map(str, found)) + json.dumps([each.as_row() for each in found])


@pytest.mark.parametrize(
    ("name", "part"),
    [
        ("Order Completed", None),
        ("Step 12 Viewed", None),
        ("GA4 Event", None),
        ("Error 404 Shown", None),
        ("Order 12345 Completed", "a long number"),
        ("Defaced Facade Added", None),
        ("v2026.10", "a year"),
    ],
)
def test_a_variable_part_is_named(name: str, part: str | None) -> None:
    found = variable_part(name)
    assert (found and found[0]) == part


def test_dynamic_names_are_those_with_ids_and_those_of_families() -> None:
    family = [f"Step {number}" for number in range(5)]
    assert dynamic_names([*family, "Order 48213377 Done", "Order Done"]) == {*family, "Order 48213377 Done"}
    assert families(["Step 1", "Step 2"]) == []


def test_eight_thousand_names_take_seconds() -> None:
    things = [
        f"{adjective} {noun}"
        for adjective in ["New", "Old", "Daily", "Guest", "Bulk", "Draft", "Shared", "Local", "Gift", "Beta"]
        for noun in [
            "Order",
            "Product",
            "Cart",
            "Invoice",
            "Trial",
            "Ticket",
            "Account",
            "Coupon",
            "Report",
            "Video",
        ]
    ]
    names = [
        f"{thing} {done}"
        for thing in things
        for done in (
            f"{verb}{number}ed"
            for verb in ["View", "Click", "Add", "Clos"]
            for number in "abcdefghijklmnopqrst"
        )
    ]
    assert len(names) == 8_000
    began = time.perf_counter()
    near_duplicates(names)
    of_events(*names)
    assert time.perf_counter() - began < 20  # 3 s where measured (2026-11-23); all against all took minutes


def test_the_lists_of_segments_own_names_are_the_ones_that_the_flow_reads_by() -> None:
    assert TABLES == SEGMENT_TABLES
    assert {"id", "event", "event_text", "received_at"} <= RESERVED_COLUMNS


# ------------------------------------------------------------------------------------------ the command


def run(*arguments: str) -> Result:
    return CliRunner().invoke(plan_group, ["lint", *arguments], prog_name="recon plan")


@pytest.fixture
def workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A workspace of one source, whose plan has two names of one table."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("RECON_EXPECTATIONS_DIR", "expectations")
    folder = tmp_path / "expectations"
    (folder / "destinations").mkdir(parents=True)
    (folder / "workspace.yml").write_text(
        "name: acme\ntimezone: UTC\ntracking_plan: tracking_plan.json\nsources: {web: {}}\n"
    )
    rules = [rule(name) for name in (*USUAL, "order_completed")]
    (folder / "tracking_plan.json").write_text(json.dumps({"data": {"rules": rules}}, indent=1))
    return folder


def test_a_finding_stands_with_file_line_and_column_and_the_exit_code_says_error(workspace: Path) -> None:
    result = run()
    assert result.exit_code == 1
    line = result.stdout.splitlines()[0]
    place, _, said = line.partition(": ")
    file, number, column = place.split(":")
    text = (workspace.parent / file).read_text().splitlines()[int(number) - 1]
    assert text[int(column) - 1 :].startswith('"order_completed"')
    assert said.startswith(
        "error one_slug: `order_completed` and `Order Completed` (expectations/tracking_plan.json:"
    )
    assert result.stdout.splitlines()[-1].startswith("1 error, 1 warning. Events: Title Case (86%)")


def test_json_is_alone_on_standard_output(workspace: Path) -> None:
    told = json.loads(run("--format", "json").stdout)
    assert told["conventions"]["events"]["case"] == "Title Case"
    assert [each["rule"] for each in told["findings"]] == ["one_slug", "convention"]


def test_a_declared_convention_of_the_workspace_is_what_names_are_held_to(workspace: Path) -> None:
    text = (workspace / "workspace.yml").read_text()
    (workspace / "workspace.yml").write_text(text + "naming: {events: snake_case, tense: past}\n")
    result = run()
    assert result.stdout.count("error convention") == len(USUAL)
    assert "Events: snake_case, past tense." in result.stdout


def test_files_can_be_linted_without_a_workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("good.json").write_text(json.dumps({"data": {"rules": [rule(name) for name in USUAL]}}))
    Path("bad.json").write_text("{")
    assert run("good.json").exit_code == 0
    assert "bad.json:1:2: not JSON" in str(run("bad.json").exception)


def test_a_flood_is_cut_and_said(workspace: Path) -> None:
    names = [f"{chr(97 + number // 26)}{chr(97 + number % 26)}_done" for number in range(40)]
    rules = [rule(name) for name in (*USUAL, *(f"{a} Viewed" for a in "ABCDEFGHIJKLMNOPQRSTUVWXYZ"), *names)]
    (workspace / "tracking_plan.json").write_text(json.dumps({"data": {"rules": rules}}))
    text = (workspace / "workspace.yml").read_text()
    (workspace / "workspace.yml").write_text(text + "naming: {events: Title Case}\n")
    assert "… and 20 more of convention; --all tells them" in run().stdout
    assert run("--all").stdout.count("error convention") == 40
