"""The proposed patch: every change has its reason, Segment would take it, and the plan that comes of it is a plan."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st

from dagster_project.core.plan import TrackingPlan, parse_plan
from dagster_project.core.plan_patch import (
    MOST_RULES,
    Patch,
    applied,
    as_json,
    as_markdown,
    proposed,
    rules_of,
)

TEXT = {"type": "string"}


def rule(
    name: str, properties: dict[str, Any] | None = None, required: tuple[str, ...] = (), version: int = 1
) -> dict[str, Any]:
    inner = {
        "type": "object",
        "properties": properties or {},
        **({"required": list(required)} if required else {}),
    }
    schema = {"type": "object", "properties": {"context": {}, "traits": {}, "properties": inner}}
    return {"type": "TRACK", "key": name, "version": version, "jsonSchema": schema}


def plan_of(*rules: dict[str, Any]) -> TrackingPlan:
    plan, problems = parse_plan({"data": {"rules": list(rules)}})
    assert problems == []
    return plan


def row(finding: str, event: str, **more: Any) -> dict[str, Any]:
    usual = {
        "property": None,
        "messages": 500,
        "of_messages": 1_000,
        "destinations": ["crm"],
        "merge_into": None,
    }
    return {"finding": finding, "event": event, "source": "web", "fact": f"{event} is so", **usual, **more}


ORDER = rule("Order Completed", {"order_id": TEXT, "price": {"type": "integer"}, "note": TEXT}, ("order_id",))


def changes(patch: Patch) -> list[tuple[str, str, str | None]]:
    return [(each.change, each.rule[1], each.property) for each in patch.proposals]


def after(plan: TrackingPlan, patch: Patch) -> TrackingPlan:
    """The plan that Segment would have; it must load."""
    changed, problems = parse_plan({"data": {"rules": applied(rules_of(plan), patch)}})
    assert problems == []
    return changed


# ------------------------------------------------------------------------------------------ each change


def test_an_unplanned_event_that_is_really_sent_is_planned_as_drafted() -> None:
    plan = plan_of(ORDER)
    patch = proposed(
        plan, [row("unplanned_event", "Gift Wrapped")], [rule("Gift Wrapped", {"size": TEXT}, ("size",))]
    )
    assert changes(patch) == [("add_event", "Gift Wrapped", None)]
    assert after(plan, patch).events["Gift Wrapped"].rules[0].required


@pytest.mark.parametrize("messages", [0, 9])
def test_a_handful_of_messages_is_an_accident(messages: int) -> None:
    patch = proposed(
        plan_of(ORDER), [row("unplanned_event", "Gift Wrapped", messages=messages)], [rule("Gift Wrapped")]
    )
    assert changes(patch) == []


def test_a_rename_that_an_incident_tells_of_is_not_written_into_the_plan() -> None:
    renamed = row("unplanned_event", "Gift Packed", merge_into="Order Completed")
    assert changes(proposed(plan_of(ORDER), [renamed], [rule("Gift Packed")])) == []


def test_an_event_that_several_sources_send_is_planned_once() -> None:
    rows = [row("unplanned_event", "Gift Wrapped", source=name) for name in ("web", "ios")]
    patch = proposed(plan_of(ORDER), rows, [rule("Gift Wrapped")])
    assert [each["key"] for each in patch.upserts] == ["Gift Wrapped"]


def test_a_stray_spelling_of_a_living_event_is_for_the_sender_to_mend() -> None:
    rows = [
        row("near_duplicate", "order_completed", merge_into="Order Completed"),
        row("unplanned_event", "order_completed"),
    ]
    assert changes(proposed(plan_of(ORDER), rows, [rule("order_completed")])) == []


def test_a_planned_spelling_that_nobody_sends_is_renamed_to_the_one_that_is_sent() -> None:
    plan = plan_of(ORDER)
    rows = [
        row("near_duplicate", "order_completed", merge_into="Order Completed", of_messages=500),
        row("never_seen", "Order Completed", messages=0),
        row("unplanned_event", "order_completed"),
    ]
    patch = proposed(plan, rows, [])
    assert [(each.change, each.new_key) for each in patch.proposals] == [("rename_event", "order_completed")]
    assert [(each["key"], each["newKey"]) for each in patch.upserts] == [
        ("Order Completed", "order_completed")
    ]
    assert patch.deletions == []
    assert list(after(plan, patch).events) == ["order_completed"]


def test_an_event_that_was_never_seen_is_proposed_for_deletion_in_all_its_versions_and_apart() -> None:
    plan = plan_of(ORDER, rule("Old", version=1), rule("Old", version=2))
    patch = proposed(plan, [row("never_seen", "Old", messages=0)], [])
    assert patch.deletions == [{"type": "TRACK", "key": "Old", "version": v} for v in (1, 2)]
    assert patch.requests() == []
    assert list(after(plan, patch).events) == ["Order Completed"]


def test_an_unplanned_property_is_planned_as_optional() -> None:
    plan = plan_of(ORDER)
    drafted = [rule("Order Completed", {"gclid": {"type": "string", "description": "Filled."}}, ("gclid",))]
    patch = proposed(plan, [row("unplanned_property", "Order Completed", property="gclid")], drafted)
    assert changes(patch) == [("add_property", "Order Completed", "gclid")]
    found = next(
        each for each in after(plan, patch).events["Order Completed"].rules if each.property == "gclid"
    )
    assert (found.types, found.nullable, found.required) == (("string",), True, False)


def test_a_type_that_lands_in_one_message_of_twenty_is_allowed_beside_the_planned_one() -> None:
    plan = plan_of(ORDER)
    drafted = [rule("Order Completed", {"price": {"type": ["string", "null"]}})]
    patch = proposed(plan, [row("type_drift", "Order Completed", property="price", messages=60)], drafted)
    assert changes(patch) == [("widen_type", "Order Completed", "price")]
    found = next(
        each for each in after(plan, patch).events["Order Completed"].rules if each.property == "price"
    )
    assert found.types == ("integer", "string")
    assert (
        changes(
            proposed(plan, [row("type_drift", "Order Completed", property="price", messages=40)], drafted)
        )
        == []
    )


def test_a_value_that_has_long_been_sent_is_listed_beside_the_planned_ones() -> None:
    plan = plan_of(rule("Signed Up", {"method": {"type": "string", "enum": ["email", "google"]}}))
    drafted = [rule("Signed Up", {"method": {"type": "string", "enum": ["apple", "email", "google", None]}})]
    patch = proposed(plan, [row("enum_drift", "Signed Up", property="method", messages=60)], drafted)
    assert changes(patch) == [("widen_enum", "Signed Up", "method")]
    assert after(plan, patch).events["Signed Up"].rules[0].enum == ("email", "google", "apple")
    unsettled = [rule("Signed Up", {"method": {"type": "string"}})]
    unchanged = proposed(plan, [row("enum_drift", "Signed Up", property="method")], unsettled)
    assert (changes(unchanged), unchanged.upserts) == ([], [])


def test_a_property_that_a_source_never_sends_is_no_longer_required_and_one_that_broke_stays() -> None:
    plan = plan_of(ORDER)
    never = row("required_not_filled", "Order Completed", property="order_id", messages=1_000)
    patch = proposed(plan, [never], [])
    assert changes(patch) == [("make_optional", "Order Completed", "order_id")]
    assert not any(each.required for each in after(plan, patch).events["Order Completed"].rules)
    broke = row("required_not_filled", "Order Completed", property="order_id", messages=571)
    assert changes(proposed(plan, [broke], [])) == []


def test_an_optional_property_that_is_always_empty_is_taken_out_and_a_required_one_is_not() -> None:
    plan = plan_of(ORDER)
    patch = proposed(plan, [row("never_filled", "Order Completed", property="note", messages=0)], [])
    assert "note" not in after(plan, patch).events["Order Completed"].properties
    required = row("never_filled", "Order Completed", property="order_id", messages=1_000)
    assert changes(proposed(plan, [required], [])) == []


def test_changes_of_one_rule_are_one_rule_of_the_patch_and_the_plan_itself_is_untouched() -> None:
    plan = plan_of(
        rule(
            "Order Shipped",
            {"address": {"type": "object", "properties": {"zip": TEXT, "fax": TEXT}, "required": ["zip"]}},
        )
    )
    before = json.dumps(rules_of(plan))
    rows = [
        row("never_filled", "Order Shipped", property="address.fax", messages=0),
        row("required_not_filled", "Order Shipped", property="address.zip", messages=1_000),
    ]
    patch = proposed(plan, rows, [])
    assert len(patch.upserts) == 1
    inner = patch.upserts[0]["jsonSchema"]["properties"]["properties"]["properties"]["address"]
    assert (inner["properties"], inner["required"]) == ({"zip": TEXT}, [])
    assert json.dumps(rules_of(plan)) == before


# ------------------------------------------------------------------------------------------ as Segment takes it


def test_requests_hold_two_hundred_rules_at_most_and_name_the_plan() -> None:
    names = [f"{chr(65 + n // 26)}{chr(65 + n % 26)} Done" for n in range(450)]
    rows = [row("unplanned_event", name) for name in names]
    patch = proposed(plan_of(ORDER), rows, [rule(name) for name in names])
    said = json.loads(as_json(patch, file="plan.json", day="2026-11-09", plan_id="tp_1"))
    assert [len(each["body"]["rules"]) for each in said["requests"]] == [MOST_RULES, MOST_RULES, 50]
    assert {each["path"] for each in said["requests"]} == {"/tracking-plans/tp_1/rules"}
    assert {each["method"] for each in said["requests"]} == {"PATCH"}
    for each in said["requests"]:
        for body in each["body"]["rules"]:
            assert set(body) <= {"type", "key", "version", "jsonSchema", "newKey"}
    assert {"change", "reason", "messages", "destinations"} <= set(said["proposals"][0])


def test_nothing_to_change_is_said() -> None:
    text = as_markdown(Patch(), rules_of(plan_of(ORDER)), file="plan.json", day="2026-11-09")
    assert "Nothing is to be changed." in text


def test_the_reading_version_has_the_reasons_and_a_diff_that_shows_only_what_changes() -> None:
    plan = plan_of(ORDER)
    patch = proposed(plan, [row("never_filled", "Order Completed", property="note", messages=0)], [])
    text = as_markdown(patch, rules_of(plan), file="plan.json", day="2026-11-09")
    assert "| Order Completed | take out the property note | 0 | 1 | Order Completed is so |" in text
    diff = text.split("```diff")[1]
    changed = {line.replace(" ", "") for line in diff.splitlines() if re.match(r"[-+]\s", line)}
    assert changed == {'-"note":{', '-"type":"string"', "-},"}


@settings(max_examples=80, deadline=None)
@given(
    st.text(min_size=1, max_size=30)
    | st.sampled_from(["```\n# x", "a|b", "<script>alert(1)</script>", "[x](http://y)", "\x1b[31m"])
)
def test_no_name_breaks_out_of_the_markdown(name: str) -> None:
    plan, _ = parse_plan({"data": {"rules": [ORDER]}})
    patch = proposed(plan, [row("unplanned_event", name)], [rule(name, {name: TEXT})])
    text = as_markdown(patch, rules_of(plan), file="plan.json", day="2026-11-09")
    fences = [line for line in text.splitlines() if re.fullmatch(r"`{3,}(text|diff)?", line)]
    assert len(fences) == 4
    cells = [line for line in text.split("## In words")[0].splitlines() if line.startswith("| ")][1:]
    assert all(len(re.findall(r"(?<!\\)\|", line)) == 6 for line in cells)
    assert not any(re.search(r"(?<!\\)<", line) for line in cells)
    as_json(patch, file="plan.json", day="2026-11-09").encode("utf-8", "surrogatepass")


# ------------------------------------------------------------------------------------------ the command


@pytest.mark.dbt
def test_the_command_writes_json_for_the_api_and_markdown_to_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from datetime import datetime

    from normalised.small_workspace import TRACKS, make, track

    from dagster_project.cli.plan_commands import plan as plan_group
    from dagster_project.flow.normalised import normalise
    from dagster_project.flow.plan_health import judge_plans
    from dagster_project.flow.sources import read_sources

    project = make(tmp_path / "small", {"web": {}}, {}, [rule("Cart Viewed"), rule("Never Sent")])
    at = "2026-11-01 10:00:00"
    names = ["Cart Viewed"] * 60 + ["Gift Wrapped"] * 60
    project.land("web.tracks", TRACKS, [track(f"m{number}", name, at) for number, name in enumerate(names)])
    columns = "id varchar, event_text varchar, received_at timestamptz, timestamp timestamptz, size varchar, cost double"
    for name, table in (("Cart Viewed", "cart_viewed"), ("Gift Wrapped", "gift_wrapped")):
        rows = [
            f"'m{n}', '{name}', '{at}+00', '{at}+00', 'big', 1.5"
            for n, each in enumerate(names)
            if each == name
        ]
        project.land(f"web.{table}", columns, rows)
    context = project.context(datetime(2026, 11, 3))
    for stage in (read_sources, normalise, judge_plans):
        stage(context)  # type: ignore[operator]
    monkeypatch.chdir(project.folder)
    monkeypatch.setenv("RECON_EXPECTATIONS_DIR", "expectations")
    monkeypatch.setenv("RECON_DUCKDB_PATH", "warehouse.duckdb")
    result = CliRunner().invoke(
        plan_group, ["patch", "--out", "patch.json", "--plan-id", "tp_1"], prog_name="recon plan"
    )
    assert result.exit_code == 0, result.output
    assert "4 proposals for plan.json: 2 rules to PATCH in 1 request, 1 to delete" in result.stdout
    said = json.loads(Path("patch.json").read_text())
    assert [(each["change"], each["key"], each["property"]) for each in said["proposals"]] == [
        ("add_event", "Gift Wrapped", None),
        ("add_property", "Cart Viewed", "cost"),
        ("add_property", "Cart Viewed", "size"),
        ("remove_event", "Never Sent", None),
    ]
    assert "## In words" in Path("patch.md").read_text()
    # Taken as proposed, the plan has nothing left to clean up.
    changed = applied(rules_of(project.workspace.plan_for("web")), proposed_of(said))
    Path("expectations/plan.json").write_text(json.dumps({"data": {"rules": changed}}))
    again = make(tmp_path / "again", {"web": {}}, {}, changed)
    (again.folder / "warehouse.duckdb").write_bytes((project.folder / "warehouse.duckdb").read_bytes())
    assert judge_plans(again.context(datetime(2026, 11, 3))).findings == {}


def proposed_of(said: dict[str, Any]) -> Patch:
    """The patch as a program reads it back."""
    upserts = [each for request in said["requests"] for each in request["body"]["rules"]]
    return Patch(upserts=upserts, deletions=said["deletions"])
