"""Plan health: every finding is there when its reason is, gone when it is not, ranked, kept with its history."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from click.testing import CliRunner, Result
from dagster import AssetKey, Definitions
from normalised.small_workspace import TRACKS, Project, make, track

from dagster_project.assets import assets_of
from dagster_project.cli.plan_commands import plan as plan_group
from dagster_project.core.contracts import Source, Workspace
from dagster_project.core.plan import parse_plan
from dagster_project.core.plan_health import (
    COLUMNS,
    FINDINGS,
    MEANS,
    Evidence,
    Finding,
    Trend,
    cost,
    earlier_day,
    findings,
    percent,
    table,
)
from dagster_project.flow.normalised import normalise
from dagster_project.flow.plan_health import HEALTH, judge_plans, write
from dagster_project.flow.sources import read_sources
from dagster_project.resources.reconciliation import Reconciliation
from dagster_project.resources.warehouse import open_warehouse

TODAY = date(2026, 11, 9)


def rule(
    name: str | None, properties: Mapping[str, Any] = {}, required: tuple[str, ...] = (), **more: Any
) -> dict[str, Any]:
    kind = more.pop("type", "TRACK")
    carrier = "traits" if kind == "IDENTIFY" else "properties"
    inner = {"type": "object", "properties": dict(properties), "required": list(required)}
    schema = {"type": "object", "properties": {"context": {}, "traits": {}, "properties": {}, carrier: inner}}
    return {"type": kind, "version": 1, "jsonSchema": schema, **({"key": name} if name else {}), **more}


TEXT = {"type": "string"}
ORDER = rule("Order Completed", {"order_id": TEXT, "note": TEXT}, ("order_id",))
CART = rule("Cart Viewed", {})


class World:
    """Sources web and ios with one plan, and what they sent, written down line by line."""

    def __init__(self, *rules: dict[str, Any], sources: tuple[str, ...] = ("web", "ios")) -> None:
        plan, problems = parse_plan({"data": {"rules": list(rules)}})
        assert problems == []
        self.plan = plan
        self.workspace = Workspace(
            name="acme",
            sources=tuple(Source(name=name, tracking_plan="plan.json") for name in sources),
            plans=dict.fromkeys(sources, plan),
        )
        self.names: list[tuple[Any, ...]] = []
        self.fill: list[tuple[Any, ...]] = []
        self.versions: list[tuple[Any, ...]] = []
        self.violations: list[tuple[Any, ...]] = []
        self.routes: list[tuple[Any, ...]] = []
        self.renames: list[tuple[Any, ...]] = []

    def sent(
        self,
        source: str,
        name: str,
        messages: int = 1_000,
        *,
        first: date = date(2026, 1, 1),
        last: date = TODAY,
        days: int | None = None,
        **fill: int,
    ) -> World:
        """Messages sent evenly from the first day to the last; of the properties this many were filled."""
        recently = messages if last > TODAY - timedelta(days=90) else 0
        lately = messages if last > TODAY - timedelta(days=28) else 0
        self.names.append(
            (source, name, first, last, days or (last - first).days + 1, messages, recently, lately)
        )
        self.fill += [(source, name, column, filled, lately) for column, filled in fill.items()]
        return self

    def found(self) -> list[Finding]:
        named = ["source", "event_text", "first_day", "last_day", "days", "messages", "recently", "lately"]
        filled = ["source", "event_text", "property", "filled", "messages"]
        by_version = ["source", "event_text", "property", "app_version", "filled", "messages"]
        broken = ["source", "event", "property", "rule", "messages", "first_day"]
        return findings(
            Evidence(
                pd.DataFrame(self.names, columns=named),
                pd.DataFrame(self.fill, columns=filled),
                pd.DataFrame(self.versions, columns=by_version),
                pd.DataFrame(self.violations, columns=broken),
                pd.DataFrame(self.routes, columns=["destination", "source", "event"]),
                pd.DataFrame(self.renames, columns=["source", "event", "renamed_to"]),
                self.workspace,
                TODAY,
            )
        )

    def kinds(self) -> list[str]:
        return [each.kind for each in self.found()]


def healthy() -> World:
    return (
        World(ORDER, CART).sent("web", "Order Completed", order_id=1_000, note=400).sent("web", "Cart Viewed")
    )


# ------------------------------------------------------------------------------------------ each finding


def test_a_plan_that_is_lived_has_no_findings() -> None:
    assert healthy().kinds() == []


def test_a_planned_event_that_no_source_ever_sent_is_told_with_who_waits_for_it() -> None:
    world = World(ORDER).sent("web", "Other")
    world.routes = [("crm", "web", "Order Completed")]
    found = [each for each in world.found() if each.kind == "never_seen"]
    assert [(each.event, each.source, each.destinations) for each in found] == [
        ("Order Completed", None, ("crm",))
    ]
    assert found[0].fact == (
        "`Order Completed` has not been sent by web or ios since 2026-01-01, the first day that landed; crm waits for it"
    )


def test_an_event_that_one_source_of_the_plan_sends_is_not_unseen() -> None:
    assert "never_seen" not in World(CART).sent("ios", "Cart Viewed").kinds()


def test_an_event_that_nobody_has_sent_for_ninety_days_is_told() -> None:
    old = World(CART).sent("web", "Cart Viewed", last=date(2026, 6, 1))
    assert old.kinds() == ["not_seen_lately"]
    assert "was last sent on 2026-06-01, after 1,000 messages" in old.found()[0].fact


def test_an_unplanned_event_is_told_with_its_share_and_who_receives_it() -> None:
    world = healthy().sent("web", "debug_banner", 40, first=date(2026, 10, 28))
    world.routes = [("archive", "web", None), ("crm", "web", "Order Completed")]
    found = world.found()
    assert [(each.kind, each.messages, each.of_messages, each.destinations) for each in found] == [
        ("unplanned_event", 40, 2_040, ("archive",))
    ]
    assert found[0].fact == "web sent `debug_banner` 40 times since 2026-10-28"


def test_an_unplanned_event_that_ended_long_ago_is_history() -> None:
    assert healthy().sent("web", "debug_banner", last=date(2026, 7, 1)).kinds() == []


def test_a_rename_that_an_incident_tells_of_is_told_as_one() -> None:
    world = healthy().sent("web", "Basket Seen", 300)
    world.renames = [("web", "Cart Viewed", "Basket Seen")]
    found = world.found()
    assert [(each.kind, each.merge_into) for each in found] == [("unplanned_event", "Cart Viewed")]
    assert found[0].fact.endswith(", in the place of `Cart Viewed`")


def test_versions_that_hardly_differ_are_not_to_blame() -> None:
    world = World(ORDER).sent("web", "Order Completed", order_id=800, note=1)
    world.versions = [
        ("web", "Order Completed", "order_id", v, filled, 500) for v, filled in (("1", 401), ("2", 399))
    ]
    assert world.found()[0].app_version is None


@pytest.mark.parametrize(
    ("part", "whole", "said"),
    [
        (0, 9, "0%"),
        (9, 9, "100%"),
        (1, 3, "33.3%"),
        (1, 99_999, "under 0.1%"),
        (99_998, 99_999, "over 99.9%"),
        (0, 0, "0%"),
    ],
)
def test_a_share_is_never_rounded_to_none_or_all(part: int, whole: int, said: str) -> None:
    assert percent(part, whole) == said


def test_an_event_with_an_id_in_its_name_is_told_to_become_a_property() -> None:
    found = healthy().sent("web", "Order 48213377 Viewed", 40).found()
    assert found[0].suggestion == "send one event with a fixed name, and what varies as a property"


def test_two_spellings_are_to_be_merged_into_the_planned_one() -> None:
    world = healthy().sent("web", "order_completed", 300)
    world.routes = [("crm", "web", "Order Completed")]
    merge, unplanned = world.found()
    assert (merge.kind, merge.merge_into, merge.messages, merge.destinations) == (
        "near_duplicate",
        "Order Completed",
        300,
        ("crm",),
    )
    assert unplanned.suggestion == "send `Order Completed`, which is probably meant"


def test_of_two_planned_spellings_the_one_with_more_messages_wins() -> None:
    world = World(ORDER, rule("Order Complete")).sent("web", "Order Completed", 10, order_id=10, note=1)
    world.sent("ios", "Order Complete", 900)
    assert [(each.event, each.merge_into) for each in world.found() if each.kind == "near_duplicate"] == [
        ("Order Completed", "Order Complete")
    ]


def test_a_source_that_no_longer_sends_an_event_is_told_and_who_still_does() -> None:
    world = World(CART).sent("web", "Cart Viewed", last=date(2026, 10, 20)).sent("web", "Other")
    world.sent("ios", "Cart Viewed")
    found = [each for each in world.found() if each.kind == "stopped_in_source"]
    assert [(each.source, each.last_seen) for each in found] == [("web", date(2026, 10, 20))]
    assert found[0].fact.endswith("; ios still sends it")


@pytest.mark.parametrize(
    ("last", "days", "why"),
    [
        (date(2026, 11, 1), None, "a week is no silence"),
        (date(2026, 10, 1), 10, "an event of one day in a month is not yet late"),
        (date(2026, 10, 20), 2, "two days are no habit"),
    ],
)
def test_a_silence_that_is_usual_is_no_finding(last: date, days: int | None, why: str) -> None:
    world = (
        World(CART)
        .sent("web", "Cart Viewed", last=last, days=days)
        .sent("ios", "Cart Viewed")
        .sent("web", "Other")
    )
    assert "stopped_in_source" not in world.kinds(), why


def test_a_source_that_is_silent_as_a_whole_is_an_incident_and_no_finding() -> None:
    world = World(CART).sent("web", "Cart Viewed", last=date(2026, 10, 1)).sent("ios", "Cart Viewed")
    assert world.kinds() == []


def test_a_required_property_that_is_often_not_there_is_told_with_the_version_to_blame() -> None:
    world = World(ORDER).sent("web", "Order Completed", order_id=800, note=1)
    world.versions = [
        ("web", "Order Completed", "order_id", "2.0", 790, 800),
        ("web", "Order Completed", "order_id", "2.1", 10, 200),
    ]
    found = world.found()
    assert [(each.kind, each.messages, each.of_messages, each.app_version) for each in found] == [
        ("required_not_filled", 200, 1_000, "2.1")
    ]
    assert found[0].fact.endswith("in only 80% of 1,000 messages of `Order Completed`, least in version 2.1")


def test_a_few_messages_in_a_thousand_without_a_required_property_are_nothing() -> None:
    assert World(ORDER).sent("web", "Order Completed", order_id=992, note=1).kinds() == []


def test_a_required_property_that_one_source_never_sends_is_told_of_that_source() -> None:
    world = (
        World(ORDER)
        .sent("web", "Order Completed", order_id=1_000, note=1)
        .sent("ios", "Order Completed", note=1)
    )
    assert [(each.kind, each.source, each.messages) for each in world.found()] == [
        ("required_not_filled", "ios", 1_000)
    ]


def test_a_planned_property_that_is_always_empty_is_told_once_for_all_sources() -> None:
    world = (
        World(ORDER)
        .sent("web", "Order Completed", order_id=1_000, note=0)
        .sent("ios", "Order Completed", order_id=1_000)
    )
    assert [(each.kind, each.property, each.source) for each in world.found()] == [
        ("never_filled", "note", None)
    ]


def test_a_required_property_that_is_always_empty_costs_all_its_messages() -> None:
    found = World(ORDER).sent("web", "Order Completed", note=5).found()
    assert [(each.kind, each.property, each.messages) for each in found] == [
        ("never_filled", "order_id", 1_000)
    ]


def test_an_event_table_that_was_not_read_proves_nothing_of_its_properties() -> None:
    unread = World(ORDER).sent("web", "Order Completed")
    assert unread.kinds() == []
    unread.violations = [("web", "Order Completed", "order_id", "required", 1_000, TODAY)]
    assert unread.kinds() == ["never_filled", "never_filled"]


def test_an_unplanned_property_is_told_and_one_of_a_stray_client_is_not() -> None:
    world = World(ORDER).sent("web", "Order Completed", order_id=1_000, note=9, gclid=700, oops=3)
    assert [(each.kind, each.property, each.messages) for each in world.found()] == [
        ("unplanned_property", "gclid", 700)
    ]


def test_parts_of_a_planned_object_are_planned() -> None:
    shipped = rule(
        "Order Shipped",
        {"shipping": {"type": "object"}, "address": {"type": "object", "properties": {"city": TEXT}}},
    )
    world = World(shipped).sent("web", "Order Shipped", shipping_carrier=1_000, address_city=1_000)
    assert world.kinds() == []


def test_a_property_of_any_version_of_the_event_is_planned() -> None:
    second = rule(
        "Order Completed", {"order_id": TEXT, "note": TEXT, "coupon": TEXT}, ("order_id", "coupon"), version=2
    )
    world = World(ORDER, second).sent("web", "Order Completed", order_id=1_000, note=400, coupon=300)
    assert world.kinds() == [], "required is what all versions demand"


def test_traits_are_judged_by_the_counts_of_identify_calls() -> None:
    world = World(CART, rule(None, {"plan": TEXT, "age": {"type": "integer"}}, type="IDENTIFY")).sent(
        "web", "Cart Viewed"
    )
    world.fill = [("web", "(identify)", "plan", 100, 100), ("web", "(identify)", "beta_user", 60, 100)]
    assert [(each.kind, each.event, each.property) for each in world.found()] == [
        ("unplanned_property", "(identify)", "beta_user"),
        ("never_filled", "(identify)", "age"),
    ]


@pytest.mark.parametrize("kind", ["type", "enum", "pattern", "range"])
def test_values_that_break_a_rule_in_more_than_one_message_of_a_hundred_are_drift(kind: str) -> None:
    world = healthy()
    world.violations = [("web", "Order Completed", "note", kind, 9, date(2026, 11, 1))]
    assert world.kinds() == []
    world.violations = [("web", "Order Completed", "note", kind, 90, date(2026, 11, 1))]
    assert [(each.kind, each.messages, each.first_seen) for each in world.found()] == [
        (f"{kind}_drift", 90, date(2026, 11, 1))
    ]


def test_every_kind_of_finding_has_words_and_a_case_here() -> None:
    assert set(MEANS) == set(FINDINGS)
    source = Path(__file__).read_text("utf-8")
    assert [kind for kind in FINDINGS if kind not in source and not kind.endswith("_drift")] == []


# ------------------------------------------------------------------------------------------ rank, names, size


def test_what_costs_most_stands_first_and_reach_counts_as_much_as_messages() -> None:
    world = healthy().sent("web", "quiet_but_everywhere", 100).sent("ios", "loud_and_nowhere", 250)
    world.routes = [(f"tool_{number}", "web", None) for number in range(9)]
    found = world.found()
    assert [(each.event, cost(each)) for each in found] == [
        ("quiet_but_everywhere", 1_000),
        ("loud_and_nowhere", 250),
    ]


@pytest.mark.parametrize(
    "name", ["a\x1b[31mb", "x\ny", "'; drop table x; --", "%s {0} :day", "jane@example.org bought"]
)
def test_names_from_hell_are_shown_and_never_obeyed(name: str) -> None:
    found = healthy().sent("web", name, 40).found()
    assert all(each.fact.isprintable() for each in found)
    assert "jane" not in " ".join(each.fact + each.suggestion for each in found)


def test_forty_sources_of_two_hundred_events_are_judged_in_seconds() -> None:
    sources = tuple(f"s{number}" for number in range(40))
    properties = {f"p{number}": TEXT for number in range(10)}
    things = ("Order", "Cart", "Trial", "Invoice", "Ticket", "Report", "Video", "Banner", "Coupon", "Parcel")
    done = ("Viewed", "Opened", "Closed", "Sent", "Paid", "Shipped", "Moved", "Added", "Removed", "Shared")
    events = [f"{which} {thing} {did}" for which in ("Gift", "Bulk") for thing in things for did in done]
    world = World(*(rule(name, properties, ("p0", "p1")) for name in events), sources=sources)
    for source in sources:
        for name in events:
            world.sent(source, name, 100, **dict.fromkeys([*properties, "p_new"], 90))
    began = time.perf_counter()
    found = world.found()
    assert time.perf_counter() - began < 20  # 2.5 s where measured (2026-11-23)
    assert {each.kind for each in found} == {"required_not_filled", "unplanned_property"}
    assert len(table(found, TODAY, "run")) == 40 * 200 * 3


def test_nothing_landed_yet_is_everything_never_seen_and_no_crash() -> None:
    assert World(ORDER, CART).kinds() == ["never_seen", "never_seen"]
    undeclared = World(ORDER)
    undeclared.workspace = Workspace(name="acme", sources=(Source(name="web"),))
    assert undeclared.found() == []


# ------------------------------------------------------------------------------------------ the table and its history


def test_the_table_has_the_columns_that_it_says_and_one_row_a_finding(tmp_path: Path) -> None:
    warehouse = open_warehouse("duckdb", tmp_path / "w.duckdb", {})
    found = healthy().sent("web", "debug_banner", 40).found()
    write(warehouse, found, TODAY, "one")
    write(warehouse, found, TODAY, "two")  # the same day again
    rows = warehouse.frame(f"select * from {HEALTH}")
    assert list(rows.columns) == list(COLUMNS)
    assert list(rows["run_id"]) == ["two"]
    assert json.loads(rows["destinations"].iloc[0]) == []


def test_a_day_without_findings_clears_its_own_rows_and_keeps_the_others(tmp_path: Path) -> None:
    warehouse = open_warehouse("duckdb", tmp_path / "w.duckdb", {})
    found = healthy().sent("web", "debug_banner", 40).found()
    write(warehouse, found, TODAY - timedelta(days=1), "one")
    write(warehouse, found, TODAY, "two")
    write(warehouse, [], TODAY, "three")
    assert list(warehouse.frame(f"select run_id from {HEALTH}")["run_id"]) == ["one"]


def test_history_is_daily_for_two_months_then_weekly_then_gone(tmp_path: Path) -> None:
    warehouse = open_warehouse("duckdb", tmp_path / "w.duckdb", {})
    found = healthy().sent("web", "debug_banner", 40).found()
    warehouse.ensure(HEALTH, COLUMNS)
    before = [table(found, TODAY - timedelta(days=age), "run") for age in range(1, 420)]
    warehouse.append(HEALTH, pd.concat(before))
    write(warehouse, found, TODAY, "run")
    days = [
        day.date() if isinstance(day, datetime) else day
        for day in warehouse.frame(f"select day from {HEALTH} order by 1")["day"]
    ]
    recent = [day for day in days if (TODAY - day).days <= 60]
    assert len(recent) == 61
    older = [day for day in days if (TODAY - day).days > 60]
    assert {day.weekday() for day in older} == {0}
    assert (TODAY - days[0]).days <= 400


def test_the_day_to_compare_with_lies_four_weeks_back_or_is_the_oldest() -> None:
    days = [TODAY - timedelta(days=age) for age in (0, 3, 20, 30, 60)]
    assert earlier_day(days, TODAY) == TODAY - timedelta(days=30)
    assert earlier_day(days[:3], TODAY) == TODAY - timedelta(days=20)
    assert earlier_day(days[:1], TODAY) is None
    assert Trend(TODAY, {"a": 3}, {"a": 10, "b": 5}).told() == "12 fewer than on 2026-11-09"
    assert Trend(TODAY, {"a": 3}, {"b": 3}).told() == "as many as on 2026-11-09"


# ------------------------------------------------------------------------------------------ on real tables

COLUMNS_OF = "id varchar, event_text varchar, received_at timestamptz, timestamp timestamptz, order_id varchar, gclid varchar"


@pytest.fixture(scope="module")
def landed(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A workspace that has run: half the orders without their id, a stray spelling, a property and a name too much."""
    crm = {
        "timezone": "UTC",
        "grain": "event",
        "receives": {"sources": "all", "events": ["Order Completed", "Gift Wrapped"]},
        "export": {
            "table": "exports.crm",
            "columns": {"event_name": "n", "event_time": "t", "message_id": "m"},
        },
    }
    rules = [ORDER, rule("Gift Wrapped")]
    project = make(tmp_path_factory.mktemp("health") / "small", {"web": {}}, {"crm": crm}, rules)
    project.land("exports.crm", "n varchar, t timestamp, m varchar", [])
    names = [*["Order Completed"] * 120, *["order_completed"] * 30, *["debug"] * 15]
    at = "2026-11-01 10:00:00"
    project.land("web.tracks", TRACKS, [track(f"m{number}", name, at) for number, name in enumerate(names)])
    rows = [
        f"'m{number}', '{name}', '{at}+00', '{at}+00', {'null' if number % 2 else repr('o')}, 'g'"
        for number, name in enumerate(names)
        if name != "debug"
    ]
    project.land("web.order_completed", COLUMNS_OF, rows)
    from dagster_project.flow.exported import read_exports

    for stage in (read_sources, read_exports, normalise):
        stage(project.context(datetime(2026, 11, 3)))
    judge_plans(project.context(datetime(2026, 11, 3)))
    return project


@pytest.mark.dbt
def test_the_findings_of_a_run_are_those_that_were_planted(landed: Project) -> None:
    rows = landed.rows(
        f"select finding, source, event, property, messages, destinations from {HEALTH} order by rank"
    )
    assert rows == [
        ("unplanned_property", "web", "Order Completed", "gclid", 120, '["crm"]'),
        ("required_not_filled", "web", "Order Completed", "order_id", 60, '["crm"]'),
        ("near_duplicate", "web", "order_completed", None, 30, '["crm"]'),
        ("unplanned_event", "web", "order_completed", None, 30, "[]"),
        ("unplanned_event", "web", "debug", None, 15, "[]"),
        ("never_filled", None, "Order Completed", "note", 0, '["crm"]'),
        ("never_seen", None, "Gift Wrapped", None, 0, '["crm"]'),
    ]


def test_the_job_judges_the_plans_after_the_diagnosis_and_no_day_waits_for_it() -> None:
    resources = {"reconciliation": Reconciliation()}
    graph = Definitions(assets_of(World(ORDER).workspace), resources=resources).resolve_asset_graph()
    health = AssetKey(["diagnosed", "plan_health"])
    assert AssetKey(["diagnosed", "incidents"]) in graph.get(health).parent_keys
    assert graph.get(health).child_keys == set()


@pytest.mark.dbt
def test_judging_twice_changes_nothing(landed: Project) -> None:
    before = landed.rows(f"select * from {HEALTH} order by rank")
    judge_plans(landed.context(datetime(2026, 11, 3)))
    assert landed.rows(f"select * from {HEALTH} order by rank") == before


@pytest.fixture
def recon(landed: Project, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.chdir(landed.folder)
    monkeypatch.setenv("RECON_EXPECTATIONS_DIR", "expectations")
    monkeypatch.setenv("RECON_DUCKDB_PATH", "warehouse.duckdb")
    monkeypatch.setenv("COLUMNS", "120")  # lines are folded to the terminal

    def run(*arguments: str) -> Result:
        return CliRunner().invoke(plan_group, list(arguments), prog_name="recon plan")

    return run


@pytest.mark.dbt
def test_the_command_tells_what_costs_most_first_with_what_to_do(recon: Any) -> None:
    lines = recon("health").stdout.splitlines()
    assert lines[0] == "7 findings on 2026-11-03"
    assert lines[2:5] == [
        "FILLED AND NOT PLANNED  1",
        "       120 ·  1     web fills `gclid` in 100% of 120 messages of `Order Completed`",
        "                    → plan the property, or stop sending it",
    ]


@pytest.mark.dbt
def test_the_command_compares_with_an_earlier_day(recon: Any, landed: Project) -> None:
    found = healthy().sent("web", "debug_banner", 40).found() * 19
    write(landed.warehouse, found, date(2026, 10, 1), "before")
    try:
        assert (
            recon("health").stdout.splitlines()[0] == "7 findings on 2026-11-03, 12 fewer than on 2026-10-01"
        )
        told = json.loads(recon("health", "--format", "json", "--since", "2026-10-15").stdout)
        assert (told["compared_with"], told["counts_then"]["unplanned_event"]) == ("2026-10-01", 19)
        assert [each["finding"] for each in told["findings"]][:2] == [
            "unplanned_property",
            "required_not_filled",
        ]
    finally:
        landed.warehouse.execute(f"delete from {HEALTH} where run_id = 'before'")


@pytest.mark.dbt
def test_the_command_shows_how_the_properties_of_an_event_are_filled(recon: Any) -> None:
    rows = json.loads(recon("health", "--event", "Order Completed", "--format", "json").stdout)
    assert [(each["property"], each["planned"], each["filled"], each["messages"]) for each in rows] == [
        ("gclid", "-", 120, 120),
        ("order_id", "required", 60, 120),
    ]
    assert (
        "order_id  required  web            120         50%"
        in recon("health", "--event", "Order Completed").stdout
    )
    assert recon("health", "--event", "Nothing").exit_code == 2
    assert "it has web" in recon("health", "--source", "wep").output


@pytest.mark.dbt
def test_landed_names_are_linted_by_what_the_run_saw(recon: Any) -> None:
    result = recon("lint", "--landed")
    assert result.exit_code == 1
    assert (
        "source web: error one_slug: `order_completed` lands in `order_completed`, the table of the planned"
        " `Order Completed` (30 messages); send `Order Completed`" in result.stdout
    )


def test_before_the_first_run_the_command_says_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    project = make(tmp_path / "new", {"web": {}}, {}, [ORDER])
    monkeypatch.chdir(project.folder)
    monkeypatch.setenv("RECON_EXPECTATIONS_DIR", "expectations")
    monkeypatch.setenv("RECON_DUCKDB_PATH", "warehouse.duckdb")
    for command in (["health"], ["lint", "--landed"], ["patch"]):
        result = CliRunner().invoke(plan_group, command, prog_name="recon plan")
        assert result.exit_code == 2 and "run `recon run` first" in result.output, result.output
