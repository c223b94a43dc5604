"""A workspace that is right is read as it is written, with every default in its place."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from datetime import date, timedelta
from pathlib import Path

import pytest

from dagster_project.core.contracts import (
    Columns,
    Destination,
    Export,
    Identifier,
    Mute,
    Override,
    Quarantine,
    Route,
    Source,
    Workspace,
)
from dagster_project.core.load import load_workspace
from dagster_project.core.plan.exemptions import Exemption

Load = Callable[..., Workspace]
EMAIL = "destinations/lifecycle_email.yml"
ADS = "destinations/ads.yml"


def test_the_workspace_is_read(load_with: Load) -> None:
    workspace = load_with()
    assert workspace.name == "acme"
    assert workspace.timezone == "Europe/Berlin"
    assert workspace.starts_on == date(2026, 9, 1)
    assert workspace.lookback_days == 28
    assert workspace.slack_channel == "#data-quality"
    assert workspace.root == Path.cwd() / "expectations"


def test_the_sources_are_read_in_their_order(load_with: Load) -> None:
    assert load_with().sources == (
        Source(name="web_app", schema_name="web_app", tracking_plan="tracking_plan.json"),
        Source(
            name="ios_app",
            schema_name="ios_production",
            tracking_plan="mobile_plan.json",
            freshness=timedelta(hours=12),
        ),
        Source(name="orders_service", schema_name="orders_service", tracking_plan="tracking_plan.json"),
    )


def test_a_destination_of_deliveries_is_read(load_with: Load) -> None:
    assert load_with().destination("lifecycle_email") == Destination(
        name="lifecycle_email",
        owner="@lifecycle",
        timezone="America/New_York",
        grain="event",
        complete_after=timedelta(hours=6),
        clock="timestamp",
        tolerance=0.01,
        sources=("web_app", "ios_app"),
        events=(
            Route(event="Signup Completed", destination_name="Signup Completed"),
            Route(event="Purchase Completed", destination_name="Purchase"),
            Route(event="Order: Shipped", destination_name="Order: Shipped"),
            Route(event="App Opened", destination_name="App Opened"),
        ),
        consent="advertising",
        identifiers=(
            Identifier(name="user_id", required=True, format="uuid_or_email"),
            Identifier(name="anonymous_id"),
        ),
        export=Export(
            table="export_braze.events",
            format="braze_currents",
            columns=Columns(
                event_name="name", event_time="time", user_id="external_id", message_id="insert_id"
            ),
        ),
        matching="message_id",
    )


def test_a_destination_of_daily_counts_is_read(load_with: Load) -> None:
    workspace = load_with()
    ads = workspace.destination("ads")
    assert ads.grain == "daily_counts"
    assert ads.sources == ("web_app", "ios_app", "orders_service")
    assert ads.export.columns == Columns(event_name="conversion", day="date", count="total")
    assert ads.matching == "counts"
    assert ads.complete_after == timedelta(hours=24)
    assert ads.tolerance is None
    assert workspace.files_pattern("ads") == str(Path.cwd() / "expectations/exports/ads/*.csv.gz")
    assert workspace.files_pattern("lifecycle_email") is None


def test_an_override_is_read(load_with: Load) -> None:
    assert load_with().overrides == (
        Override(
            destination="ads",
            from_day=date(2026, 10, 1),
            to_day=date(2026, 10, 3),
            owner="@growth",
            reason="the agency counted the test account",
            until=date(2026, 11, 30),
        ),
    )


def test_mutes_are_read(load_with: Load) -> None:
    shared = {"owner": "@growth", "until": date(2026, 11, 30)}
    assert load_with().mutes == (
        Mute(incident="inc_0123456789ab", reason="the agency is told already", **shared),
        Mute(
            kind="volume_anomaly",
            source="ios_app",
            event="App Opened",
            destination="ads",
            reason="campaign",
            false_alarm=True,
            **shared,
        ),
    )


@pytest.mark.parametrize("text", ["mutes:\n#  - destination: ads\n", "mutes: []\n"])
def test_a_file_without_mutes_mutes_nothing(load_with: Load, text: str) -> None:
    assert load_with({"mutes.yml": text}).mutes == ()


def test_a_mute_may_name_an_event_that_no_plan_has(load_with: Load) -> None:
    text = "mutes: [{event: an unplanned one, owner: me, reason: known, until: 2026-12-01}]"
    assert load_with({"mutes.yml": text}).mutes[0].event == "an unplanned one"


def test_critical_events_are_names_of_any_plan(load_with: Load) -> None:
    assert load_with().critical_events == ()
    text = 'slack: {channel: "#data-quality"}'
    more = f"{text}\ncritical_events: [Purchase Completed, App Opened]"
    changes = {"workspace.yml": [(text, more)]}
    assert load_with(changes).critical_events == ("Purchase Completed", "App Opened")


def test_where_a_source_has_no_plan_any_event_may_be_critical(load_with: Load) -> None:
    text = "name: a\ntimezone: UTC\nsources: {web_app: {}, ios_app: {}, orders_service: {}}\n"
    assert load_with({"workspace.yml": text + "critical_events: [Anything]"}).critical_events == ("Anything",)


def test_a_source_has_its_own_plan_or_the_workspaces(load_with: Load) -> None:
    workspace = load_with()
    assert workspace.plan_for("web_app").planned("Purchase Completed")
    assert not workspace.plan_for("ios_app").planned("Purchase Completed")
    assert workspace.plan_for(workspace.source("ios_app")).planned("App Opened")


def test_a_source_without_a_plan_has_nothing_unplanned(load_with: Load) -> None:
    changes = {
        "workspace.yml": "name: a\ntimezone: UTC\nsources: {web_app: {}, ios_app: {}, orders_service: {}}\n"
    }
    workspace = load_with(changes)
    assert workspace.plan_for("web_app").planned("Anything At All")
    assert not workspace.plan_for("web_app").declared


def test_the_smallest_workspace_is_a_name_a_zone_and_a_source(expectations: Path) -> None:
    for name in ("overrides.yml", "mutes.yml", EMAIL, ADS):
        (expectations / name).unlink()
    (expectations / "destinations").rmdir()
    (expectations / "workspace.yml").write_text("name: a\ntimezone: UTC\nsources:\n  web:\n")
    workspace = load_workspace(expectations)
    assert workspace.destinations == ()
    assert workspace.lookback_days == 35
    assert workspace.starts_on == date(2015, 1, 1)
    assert workspace.slack_channel is None


def test_a_destination_that_takes_everything_lists_nothing(load_with: Load) -> None:
    changes = {ADS: [("events:\n    - Purchase Completed", "events: all")]}
    assert load_with(changes).destination("ads").events is None


def test_two_events_may_have_one_name_over_there(load_with: Load) -> None:
    changes = {
        ADS: [("- Purchase Completed", "- {Purchase Completed: Sale}\n    - {Signup Completed: Sale}")]
    }
    events = load_with(changes).destination("ads").events
    assert events is not None
    assert {route.destination_name for route in events} == {"Sale"}


@pytest.mark.parametrize("name", ["on", "yes", "🎉 Party", "x" * 10_000, " padded ", "null?", "a\tb", "a\nb"])
def test_an_event_may_have_any_name(load_with: Load, name: str) -> None:
    quoted = json.dumps(name)
    changes = {
        "tracking_plan.json": [('"Signup Completed"', quoted)],
        EMAIL: [("- Signup Completed", f"- {quoted}")],
    }
    events = load_with(changes).destination("lifecycle_email").events
    assert events is not None
    assert events[0].event == name


def test_plain_on_and_yes_are_names_and_not_booleans(load_with: Load) -> None:
    changes = {
        "tracking_plan.json": [('"Signup Completed"', '"on"')],
        EMAIL: [("- Signup Completed", "- on")],
    }
    events = load_with(changes).destination("lifecycle_email").events
    assert events is not None
    assert events[0].event == "on"


def test_a_schema_may_have_any_name(load_with: Load) -> None:
    workspace = load_with({"workspace.yml": [("ios_production", '"iOS; drop schema \\"x\\" --"')]})
    assert workspace.source("ios_app").schema_name == 'iOS; drop schema "x" --'


def test_a_file_with_a_byte_order_mark_is_read(expectations: Path) -> None:
    file = expectations / "workspace.yml"
    file.write_bytes(b"\xef\xbb\xbf" + file.read_bytes())
    assert load_workspace(expectations).name == "acme"


def test_windows_line_ends_are_read(expectations: Path) -> None:
    for file in (expectations / "workspace.yml", expectations / EMAIL):
        file.write_bytes(file.read_bytes().replace(b"\n", b"\r\n"))
    assert load_workspace(expectations).name == "acme"


def test_what_lies_beside_the_contract_is_left_alone(expectations: Path) -> None:
    (expectations / "suites").mkdir()
    (expectations / "suites" / "x.json").write_text("{")
    (expectations / "destinations" / ".ads.yml.swp").write_text("{")
    (expectations / "destinations" / "notes.txt").write_text("{")
    assert len(load_workspace(expectations).destinations) == 2


def test_overrides_that_are_all_commented_out_are_none(load_with: Load) -> None:
    assert load_with({"overrides.yml": "overrides:\n#  - destination: ads\n"}).overrides == ()


@pytest.mark.parametrize(
    ("columns", "matching"),
    [
        ("message_id: m", "message_id"),
        ("user_id: u", "user_time"),
        ("anonymous_id: a", "user_time"),
        ("user_id: u, message_id: m", "message_id"),
        ("user_id: null", "counts"),
    ],
)
def test_matching_is_the_best_that_the_columns_allow(load_with: Load, columns: str, matching: str) -> None:
    own = f"columns: {{event_name: n, event_time: t, {columns}}}"
    changes = {
        EMAIL: [
            ("  format: braze_currents\n", ""),
            ("columns:\n    user_id: external_id\n    message_id: insert_id", own),
        ]
    }
    assert load_with(changes).destination("lifecycle_email").matching == matching


def test_a_contract_may_choose_a_lesser_matching(load_with: Load) -> None:
    changes = {EMAIL: [("clock: timestamp", "clock: timestamp\nmatching: user_time")]}
    assert load_with(changes).destination("lifecycle_email").matching == "user_time"


def test_the_format_gives_the_clock_unless_the_contract_does(load_with: Load) -> None:
    assert (
        load_with({EMAIL: [("clock: timestamp\n", "")]}).destination("lifecycle_email").clock == "received_at"
    )


def test_the_contract_may_say_that_the_export_lacks_a_column(load_with: Load) -> None:
    changes = {EMAIL: [("user_id: external_id", "user_id:")]}
    assert load_with(changes).destination("lifecycle_email").export.columns.user_id is None


@pytest.mark.parametrize(
    "files",
    ["a.csv", "a/*.csv.gz", "a/**/*.jsonl.zst", "/abs/[0-9].parquet", "a/2026-*", "a/day?"],
)
def test_files_of_these_kinds_are_read(load_with: Load, files: str) -> None:
    export = load_with({ADS: [("exports/ads/*.csv.gz", f'"{files}"')]}).destination("ads").export
    assert export.files == files


def test_loading_twice_gives_the_same(load_with: Load) -> None:
    assert load_with() == load_with()


# ---------------------------------------------------------------------------------------- fingerprint


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("America/New_York", "America/Chicago"),
        ("clock: timestamp", "clock: received_at"),
        ("    - App Opened\n", ""),
        ("Completed: Purchase}", "Completed: Sale}"),
        ("[web_app, ios_app]", "[web_app, ios_app, orders_service]"),
        ("consent: advertising", "consent: analytics"),
        ("required: true", "required: false"),
        ("uuid_or_email", "uuid"),
        ("export_braze.events", "export_braze.events2"),
        ("external_id", "other_id"),
        ("clock: timestamp", "clock: timestamp\nmatching: user_time"),
    ],
)
def test_the_fingerprint_changes_with_what_decides_the_grid(load_with: Load, old: str, new: str) -> None:
    before = load_with().fingerprint("lifecycle_email")
    assert load_with({EMAIL: [(old, new)]}).fingerprint("lifecycle_email") != before


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("@lifecycle", "@crm"),
        ("tolerance: 1%", "tolerance: 2%"),
        ("complete_after: 6h", "complete_after: 8h"),
        ("[web_app, ios_app]", "[ios_app, web_app]"),
        ("name: lifecycle_email", "# a comment\nname: lifecycle_email"),
    ],
)
def test_the_fingerprint_stays_when_only_the_judgement_changes(load_with: Load, old: str, new: str) -> None:
    before = load_with().fingerprint("lifecycle_email")
    assert load_with({EMAIL: [(old, new)]}).fingerprint("lifecycle_email") == before


def test_the_fingerprint_changes_with_the_schema_of_a_routed_source(load_with: Load) -> None:
    before = load_with()
    after = load_with({"workspace.yml": [("ios_production", "ios_v2")]})
    assert after.fingerprint("lifecycle_email") != before.fingerprint("lifecycle_email")


def test_the_fingerprint_is_the_same_in_another_process(load_with: Load) -> None:
    workspace = load_with()
    code = (
        "from pathlib import Path; from dagster_project.core.load import load_workspace; "
        "print(load_workspace(Path('expectations')).fingerprint('ads'))"
    )
    environment = {**os.environ, "PYTHONHASHSEED": "12345", "PYTHONPATH": os.pathsep.join(sys.path)}
    answer = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment
    )
    assert answer.stdout.strip() == workspace.fingerprint(workspace.destination("ads"))


# ---------------------------------------------------------------------------------------- identifiers


@pytest.mark.parametrize(
    ("written", "takes", "refuses"),
    [
        ("uuid", "0b9e6a1c-1111-4222-8333-444455556666", "0b9e6a1c"),
        ("email", "a.b@example.com", "a b@example"),
        ("sha256", "a" * 64, "a" * 63),
        ("md5", "A" * 32, "g" * 32),
        ("integer", "0042", "4.2"),
        ("e164", "+14155552671", "4155552671"),
        ("uuid_or_integer", "7", "x7"),
        ("/u_[0-9]+/", "u_1", "xu_1"),
    ],
)
def test_a_format_is_a_pattern_for_the_whole_value(written: str, takes: str, refuses: str) -> None:
    pattern = Identifier(name="user_id", format=written).pattern
    assert pattern is not None
    assert re.fullmatch(pattern, takes)
    assert not re.fullmatch(pattern, refuses)


def test_an_identifier_without_a_format_takes_any_value() -> None:
    assert Identifier(name="user_id").pattern is None


def test_an_unknown_name_is_a_key_error_that_says_it(load_with: Load) -> None:
    with pytest.raises(KeyError, match="crm"):
        load_with().destination("crm")
    with pytest.raises(KeyError, match="crm"):
        load_with().source("crm")


@pytest.mark.parametrize(
    "files",
    [
        "s3://exports/braze/dt=*/hour=*/part-*.jsonl.gz",
        "gs://acme-exports.example.com/**/*.parquet",
        "az://container/ads/2026-??-*.csv.zst",
        '"s3://exports/one file.csv"',
    ],
)
def test_files_may_lie_in_an_object_store(load_with: Load, files: str) -> None:
    workspace = load_with(
        {"destinations/lifecycle_email.yml": [("table: export_braze.events", f"files: {files}")]}
    )
    destination = workspace.destination("lifecycle_email")
    # An address is no path: it is not put below the folder.
    assert destination.export.files == workspace.files_pattern("lifecycle_email") == files.strip('"')


def test_what_is_left_out_of_the_published_numbers_is_read_in_its_order(load_with: Load) -> None:
    text = (Path.cwd() / "expectations" / "workspace.yml").read_text("utf-8")
    workspace = load_with(
        {
            "workspace.yml": text
            + "show_values: true\nviolations: protocols_audit\n"
            + "quarantine:\n- {event: Purchase Completed, property: total, rule: [required, type]}\n"
            + "- {rule: unplanned_event, event: Never Planned, source: web_app}\n"
            + "- {event: Signup Completed}\n"
        }
    )
    assert workspace.show_values
    assert workspace.violations_schema == "protocols_audit"
    assert workspace.quarantine == (
        Quarantine(event="Purchase Completed", property="total", rules=("required", "type")),
        Quarantine(source="web_app", event="Never Planned", rules=("unplanned_event",)),
        Quarantine(event="Signup Completed"),
    )


def test_what_is_let_through_the_plan_is_read_in_its_order(load_with: Load) -> None:
    text = (Path.cwd() / "expectations" / "workspace.yml").read_text("utf-8")
    workspace = load_with(
        {
            "workspace.yml": text
            + "plan_exemptions:\n- {source: web_app, event: Not Planned, rule: unplanned_event, reason: till May}\n"
            + "- {event: (identify), property: plan, rule: [enum, type]}\n"
        }
    )
    assert workspace.plan_exemptions == (
        Exemption(source="web_app", event="Not Planned", rules=("unplanned_event",), reason="till May"),
        Exemption(event="(identify)", property="plan", rules=("enum", "type")),
    )


def test_other_days_are_published_when_what_is_left_out_changes(load_with: Load) -> None:
    text = (Path.cwd() / "expectations" / "workspace.yml").read_text("utf-8")
    before = load_with().fingerprint("lifecycle_email")
    assert load_with({"workspace.yml": text + "quarantine: []\n"}).fingerprint("lifecycle_email") == before
    after = load_with({"workspace.yml": text + "quarantine:\n- {rule: type}\n"})
    assert after.fingerprint("lifecycle_email") != before
