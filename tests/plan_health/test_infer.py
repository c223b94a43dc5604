"""A plan drafted from what landed: everything that landed keeps it, and it says no more than was seen."""

from __future__ import annotations

import json
from datetime import date, datetime
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from normalised.small_workspace import TRACKS, Project, make, track

from dagster_project.cli.plan_commands import plan as plan_group
from dagster_project.core.naming.convention import in_case
from dagster_project.core.plan import parse_plan
from dagster_project.core.plan_infer import Column, LandedEvent, draft
from dagster_project.core.segment_api import plan_file
from dagster_project.flow.landed_values import landed_events, window_of
from dagster_project.flow.normalised import normalise
from dagster_project.flow.sources import read_sources

FIRST, LAST = date(2026, 10, 1), date(2026, 11, 1)
UUID = "6f9619ff-8b86-4011-b42d-00c04fc964ff"


def column(name: str, kind: str = "string", filled: int = 300, **more: Any) -> Column:
    return Column(
        name,
        kind,
        filled,
        {"uuid": 0, "date": 0, "currency": 0, "array": 0},
        **{"least": filled / 300, **more},
    )


def event(
    *columns: Column, name: str = "Order Completed", source: str = "web", messages: int = 300
) -> LandedEvent:
    return LandedEvent(source, name, messages, {each.name: each for each in columns}, first=FIRST)


def schema_of(*events: LandedEvent, **more: Any) -> dict[str, Any]:
    rule = draft(events, LAST, **more).rules[0]
    found: dict[str, Any] = rule["jsonSchema"]["properties"]["properties"]
    return found


def property_of(found: Column, **more: Any) -> dict[str, Any]:
    return next(iter(schema_of(event(found), **more)["properties"].values()))


# ------------------------------------------------------------------------------------------ what is drafted


def test_a_property_that_every_message_has_is_required_and_any_other_may_be_null() -> None:
    found = schema_of(event(column("always"), column("nearly", filled=299)))
    assert found["required"] == ["always"]
    assert found["properties"]["always"]["type"] == "string"
    assert found["properties"]["nearly"]["type"] == ["string", "null"]


def test_required_from_99_makes_a_property_required_that_nearly_every_message_has() -> None:
    assert schema_of(event(column("nearly", filled=299)), required_from=0.99)["required"] == ["nearly"]
    assert "required" not in schema_of(event(column("nearly", filled=299, least=0.4)), required_from=0.99)


def test_a_property_that_one_source_lacks_is_not_required() -> None:
    both = event(column("a")), event(column("a"), column("b"), source="ios")
    assert schema_of(*both)["required"] == ["a"]


def test_a_handful_of_messages_requires_nothing() -> None:
    assert "required" not in schema_of(event(column("a", filled=9, least=1.0), messages=9))


@pytest.mark.parametrize(
    ("name", "fits", "pattern"),
    [
        ("order_id", "uuid", True),
        ("ship_on", "date", True),
        ("currency", "currency", True),
        ("size", "currency", False),
    ],
)
def test_a_pattern_is_drafted_only_when_every_value_fits(name: str, fits: str, pattern: bool) -> None:
    whole = column(name)
    whole.fitting[fits] = 300
    assert ("pattern" in property_of(whole)) == pattern
    whole.fitting[fits] = 299
    assert "pattern" not in property_of(whole)


SIZES = {"small": (100, FIRST), "large": (200, FIRST)}


def test_a_choice_of_a_few_settled_words_becomes_a_list() -> None:
    assert property_of(column("size", values=SIZES))["enum"] == ["large", "small"]
    assert property_of(column("size", filled=250, values=SIZES))["enum"] == ["large", "small", None]


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("size", {**SIZES, "huge": (10, LAST)}),  # new in the second half of the window
        ("size", {**SIZES, "huge": (2, FIRST)}),  # too few to be meant
        ("size", {"small": (300, FIRST)}),  # one value is no choice
        ("size", {f"s{number}": (20, FIRST) for number in range(13)}),
        ("size", {**SIZES, "jane@example.org": (50, FIRST)}),
        ("size", {**SIZES, "Please ring twice at the door": (50, FIRST)}),
        ("size", {**SIZES, "+49 170 1234567": (50, FIRST)}),
        ("customer_name", {"Jane": (100, FIRST), "Joe": (200, FIRST)}),
        ("email", {"a": (100, FIRST), "b": (200, FIRST)}),
        ("coupon", {"AUTUMN": (100, FIRST), "SPRING": (200, FIRST)}),
    ],
)
def test_anything_that_may_be_personal_free_or_passing_is_no_list(name: str, values: dict[str, Any]) -> None:
    said = property_of(column(name, values=values))
    assert "enum" not in said
    assert "jane" not in json.dumps(said).casefold()


@pytest.mark.parametrize(
    ("kind", "said"),
    [
        ("integer", {"type": "integer"}),
        ("number", {"type": "number"}),
        ("boolean", {"type": "boolean"}),
        ("date-time", {"type": "string", "format": "date-time"}),
    ],
)
def test_the_type_is_the_columns(kind: str, said: dict[str, Any]) -> None:
    assert {
        key: value for key, value in property_of(column("x", kind)).items() if key != "description"
    } == said


def test_texts_that_all_begin_with_a_bracket_are_arrays() -> None:
    products = column("products")
    products.fitting["array"] = 300
    assert property_of(products)["type"] == "array"


def test_sources_that_send_different_types_give_a_plan_that_takes_both() -> None:
    found = schema_of(event(column("price", "integer")), event(column("price", "string"), source="ios"))
    assert found["properties"]["price"]["type"] == ["integer", "string"]
    found = schema_of(event(column("price", "integer")), event(column("price", "number"), source="ios"))
    assert found["properties"]["price"]["type"] == "number"


def test_names_with_a_variable_part_are_told_apart_and_not_drafted() -> None:
    names = ["Order Completed", "Order 48213377 Viewed", "日本語", *(f"Step {number}" for number in range(6))]
    found = draft([event(name=name) for name in names], LAST)
    assert [rule["key"] for rule in found.rules] == ["Order Completed"]
    assert len(found.left_out) == 8


def test_segments_own_columns_are_no_properties() -> None:
    own = [column(name) for name in ("id", "context_ip", "_timestamp", "user_id", "price")]
    assert list(schema_of(event(*own))["properties"]) == ["price"]


def test_the_declared_case_is_used_where_it_lands_in_the_same_column() -> None:
    found = schema_of(event(column("order_id"), column("a_1")), property_case="camelCase")
    assert list(found["properties"]) == ["a_1", "orderId"]
    assert in_case("a_1", "camelCase") == "a1"


def test_the_same_counts_give_the_same_bytes_whatever_their_order() -> None:
    events = [
        event(column("b"), column("a"), name=name, source=s) for name in ("B", "A") for s in ("web", "ios")
    ]
    assert plan_file(draft(events, LAST).rules) == plan_file(draft(events[::-1], LAST).rules)


# ------------------------------------------------------------------------------------------ there and back again

HOSTILE = 'He said "hi"; drop table x; -- :name %s'
COLUMNS = (
    "id varchar, event_text varchar, received_at timestamptz, timestamp timestamptz, context_app_version varchar,"
    " order_id varchar, total double, items bigint, gift boolean, ship_at timestamp, size varchar, tags varchar,"
    ' "select" varchar, "odd:name" varchar, note varchar, nothing varchar'
)


@pytest.fixture(scope="module")
def landed(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A source without a plan: an event of 300 orders, and one of a name from hell in a table of its own."""
    folder = tmp_path_factory.mktemp("infer") / "small"
    project = make(folder, {"web": {}}, {})
    land(project)
    return project


def land(project: Project, spoilt: str = "") -> None:
    tracks, orders, odd = [], [], []
    for number in range(300):
        at = f"2026-10-{1 + number % 28:02} 10:00:{number % 60:02}"
        tracks.append(track(f"m{number}", "Order Completed", at))
        size = ("small", "large")[number % 2]
        values = (
            f"'{UUID}', {number + 0.5}, {number}, true, timestamp '2026-11-01 00:00:00', '{size}', '[1,2]', 'x', 'y',"
            f" {'null' if number % 3 else repr('note ' + str(number))}, null"
        )
        orders.append(f"'m{number}', 'Order Completed', '{at}+00', '{at}+00', '1.{number % 2}', {values}")
    name = HOSTILE.replace("'", "''")
    for number in range(60):
        at = f"2026-10-{1 + number % 28:02} 11:00:00"
        tracks.append(track(f"h{number}", name, at).replace(track("", name, at).split(", ")[1], "'odd'", 1))
        odd.append(f"'h{number}', '{name}', '{at}+00', '{at}+00', 1.5")
    if spoilt:
        orders[-1] = orders[-1].replace(*spoilt.split("→"))
    project.land("web.tracks", TRACKS, tracks)
    project.land("web.order_completed", COLUMNS, orders)
    odd_columns = "id varchar, event_text varchar, received_at timestamptz, timestamp timestamptz, x double"
    project.land("web.he_said_hi_drop_table_x_name_s", odd_columns, odd)


def inferred(project: Project) -> list[dict[str, Any]]:
    source = project.workspace.sources[0]
    window = window_of(project.warehouse, [source], 90)
    assert window is not None
    return draft(list(landed_events(project.warehouse, source, window)), window.last).rules


def violations(folder: Path, rules: list[dict[str, Any]], spoilt: str = "") -> list[tuple[Any, ...]]:
    """What the warehouse's judge finds of this plan in the same rows."""
    project = make(folder, {"web": {}}, {}, rules)
    land(project, spoilt)
    read_sources(project.context(datetime(2026, 11, 3)))
    normalise(project.context(datetime(2026, 11, 3)))
    return project.rows(
        "select event, property, rule, sum(messages) from reconciliation.plan_violations_daily group by 1, 2, 3"
    )


def test_the_landed_tables_are_counted_as_they_are(landed: Project) -> None:
    rules = {rule["key"]: rule["jsonSchema"]["properties"]["properties"] for rule in inferred(landed)}
    assert set(rules) == {"Order Completed", HOSTILE}
    properties = {
        name: {key: value for key, value in said.items() if key != "description"}
        for name, said in rules["Order Completed"]["properties"].items()
    }
    assert properties.pop("order_id").keys() == {"type", "pattern"}
    assert properties == {
        "total": {"type": "number"},
        "items": {"type": "integer"},
        "gift": {"type": "boolean"},
        "ship_at": {"type": "string", "format": "date-time"},
        "size": {"type": "string", "enum": ["large", "small"]},
        "tags": {"type": "array"},
        "select": {"type": "string"},
        "note": {"type": ["string", "null"]},
    }
    assert "note" not in rules["Order Completed"]["required"]
    assert rules[HOSTILE]["required"] == ["x"]


def test_the_draft_is_a_plan_that_loads_without_a_problem(landed: Project) -> None:
    plan, problems = parse_plan(json.loads(plan_file(inferred(landed))))
    assert problems == []
    assert len(plan.events) == 2


@pytest.mark.dbt
def test_what_landed_breaks_no_rule_of_the_plan_that_was_drafted_from_it(
    landed: Project, tmp_path: Path
) -> None:
    assert violations(tmp_path / "again", inferred(landed)) == []


@pytest.mark.dbt
def test_one_changed_row_breaks_the_drafted_plan(landed: Project, tmp_path: Path) -> None:
    assert violations(tmp_path / "spoilt", inferred(landed), "'large'→'vast'") == [
        ("Order Completed", "size", "enum", 1)
    ]


def test_the_command_writes_a_new_file_and_overwrites_none(
    landed: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(landed.folder)
    monkeypatch.setenv("RECON_EXPECTATIONS_DIR", "expectations")
    monkeypatch.setenv("RECON_DUCKDB_PATH", "warehouse.duckdb")
    run = CliRunner().invoke(plan_group, ["infer", "--out", "draft.json"], prog_name="recon plan")
    assert run.exit_code == 0, run.output
    assert "2 rules with 10 properties in draft.json, from 2026-10-01 to 2026-10-28 of web" in run.stderr
    assert len(json.loads(Path("draft.json").read_text())["data"]["rules"]) == 2
    again = CliRunner().invoke(plan_group, ["infer", "--out", "draft.json"], prog_name="recon plan")
    assert again.exit_code == 2
    printed = CliRunner().invoke(plan_group, ["infer", "--source", "web"], prog_name="recon plan")
    assert printed.stdout == Path("draft.json").read_text()
    wrong = CliRunner().invoke(plan_group, ["infer", "--source", "wep"], prog_name="recon plan")
    assert wrong.exit_code == 2 and "it has web" in wrong.output
