"""Models that look at the warehouse while they run, over real rows: staging, messages, property rules."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from normalised.small_workspace import TRACKS, Project, make, planned, track

from dagster_project.flow.exported import read_exports
from dagster_project.flow.matched import match
from dagster_project.flow.normalised import normalise
from dagster_project.flow.published import publish
from dagster_project.flow.sources import read_sources

pytestmark = pytest.mark.dbt

ZONE = "America/New_York"  # leaves daylight saving on 2026-11-01 at 06:00 UTC
TEN = datetime(2026, 11, 1, 10)
EPOCH = int(datetime(2026, 11, 1, 15, tzinfo=UTC).timestamp())  # ten o'clock in New York
HOSTILE = [
    "it's",
    'say "hi"',
    "new\nline",
    "emoji 🦆",
    "back\\slash",
    "; drop table x; --",
    "{{ 1 }}",
    "a:b",
    "%s",
]


def sql_text(value: str | None) -> str:
    return "null" if value is None else "'" + value.replace("'", "''") + "'"


def event_export(table: str, **columns: str) -> dict[str, Any]:
    return {
        "timezone": ZONE,
        "grain": "event",
        "receives": {"sources": "all", "events": ["E"]},
        "export": {"table": table, "columns": {"event_name": "name", "event_time": "happened", **columns}},
    }


def count_export(table: str) -> dict[str, Any]:
    return {
        "timezone": ZONE,
        "grain": "daily_counts",
        "receives": {"sources": "all", "events": ["E"]},
        "export": {"table": table, "columns": {"event_name": "name", "day": "day", "count": "n"}},
    }


TIME_TEXTS: dict[str | None, datetime | None] = {
    "2026-11-01 10:00:00": TEN,
    "2026-11-01T10:00:00": TEN,
    "2026-11-01 10:00:00.000": TEN,
    "2026-11-01T15:00:00Z": TEN,
    "2026-11-01 15:00:00 UTC": TEN,
    "2026-11-01 15:00:00+00": TEN,
    "2026-11-01T10:00:00-05:00": TEN,
    "2026-11-01T20:30:00+05:30": TEN,
    "2026-11-01T15:00:00.250Z": TEN.replace(microsecond=250_000),
    # One wall-clock hour, twice: the offset tells them apart, the wall clock does not.
    "2026-11-01T05:30:00Z": datetime(2026, 11, 1, 1, 30),
    "2026-11-01T06:30:00Z": datetime(2026, 11, 1, 1, 30),
    str(EPOCH): TEN,
    f"{EPOCH}.5": TEN.replace(microsecond=500_000),
    str(EPOCH * 10**3): TEN,
    str(EPOCH * 10**6): TEN,
    str(EPOCH * 10**9): TEN,
    "2026-11-01": datetime(2026, 11, 1),
    "not a time": None,
    "12": None,
    "": None,
    None: None,
}
TIME_COLUMNS: dict[str, tuple[str, str]] = {
    "seconds": ("bigint", str(EPOCH)),
    "milliseconds": ("bigint", str(EPOCH * 10**3)),
    "microseconds": ("bigint", str(EPOCH * 10**6)),
    "nanoseconds": ("bigint", str(EPOCH * 10**9)),
    "fractions": ("double", f"{EPOCH}.0"),
    "naive": ("timestamp", "timestamp '2026-11-01 10:00:00'"),
    "aware": ("timestamptz", "timestamptz '2026-11-01 15:00:00+00'"),
}
DAY_TEXTS: dict[str | None, str | None] = {
    "2026-11-22": "2026-11-22",
    "20261122": "2026-11-22",
    "2026-11-22 00:00:00": "2026-11-22",
    "2026-11-22T03:00:00Z": "2026-11-21",
    "20261399": None,
    "soon": None,
    None: None,
}
DAY_COLUMNS: dict[str, tuple[str, str]] = {
    "day_date": ("date", "date '2026-11-22'"),
    "day_naive": ("timestamp", "timestamp '2026-11-22 23:59:59'"),
    "day_number": ("bigint", "20261122"),
}


@pytest.fixture(scope="module")
def exports(tmp_path_factory: pytest.TempPathFactory) -> Project:
    destinations = {
        "texts": event_export("exports.texts", user_id="uid", anonymous_id="gone", message_id="mid"),
        "no_time": event_export("exports.no_time"),
        "no_table": event_export("exports.no_table"),
        "day_texts": count_export("exports.day_texts"),
        **{name: event_export(f"exports.{name}") for name in TIME_COLUMNS},
        **{name: count_export(f"exports.{name}") for name in DAY_COLUMNS},
    }
    project = make(tmp_path_factory.mktemp("exports") / "small", {"app": {}}, destinations)
    project.land(
        "exports.texts",
        '"NAME" varchar, happened varchar, uid bigint, mid varchar',
        [f"{sql_text(text)}, {sql_text(text)}, 7, 'm'" for text in TIME_TEXTS],
    )
    project.land("exports.no_time", "name varchar", ["'E'"])
    for name, (kind, value) in TIME_COLUMNS.items():
        project.land(f"exports.{name}", f"name varchar, happened {kind}", [f"'E', {value}", "'E', null"])
    project.land(
        "exports.day_texts",
        "name varchar, day varchar, n varchar",
        [f"{sql_text(text)}, {sql_text(text)}, '12'" for text in DAY_TEXTS],
    )
    for name, (kind, value) in DAY_COLUMNS.items():
        project.land(f"exports.{name}", f"name varchar, day {kind}, n bigint", [f"'E', {value}, 12"])
    project.dbt.run([f"stg_destination__{name}" for name in destinations])
    return project


@pytest.fixture(scope="module")
def times(exports: Project) -> dict[str, Any]:
    return dict(exports.rows("select event_name, event_time from reconciliation_work.stg_destination__texts"))


@pytest.mark.parametrize("text", TIME_TEXTS)
def test_a_time_written_as_text_is_read_on_the_destinations_wall_clock(
    times: dict[str, Any], text: str | None
) -> None:
    assert times[text or ""] == TIME_TEXTS[text]


@pytest.mark.parametrize("name", TIME_COLUMNS)
def test_a_time_of_any_column_type_is_read_on_the_destinations_wall_clock(
    exports: Project, name: str
) -> None:
    rows = exports.rows(f"select event_time from reconciliation_work.stg_destination__{name}")
    assert rows == [(TEN,), (None,)]


def test_columns_are_found_in_any_case_and_a_missing_one_is_null(exports: Project) -> None:
    rows = exports.rows(
        "select distinct destination, user_id, anonymous_id, message_id"
        " from reconciliation_work.stg_destination__texts"
    )
    assert rows == [("texts", "7", None, "m")]


@pytest.mark.parametrize("name", ["no_time", "no_table"])
def test_an_export_without_what_is_needed_has_no_rows(exports: Project, name: str) -> None:
    assert exports.rows(f"select * from reconciliation_work.stg_destination__{name}") == []


@pytest.mark.parametrize("text", DAY_TEXTS)
def test_a_day_written_as_text_is_a_day_of_the_destination(exports: Project, text: str | None) -> None:
    rows = exports.rows(
        "select cast(day as varchar), messages from reconciliation_work.stg_destination__day_texts"
        f" where event_name = '{text or ''}'"
    )
    assert rows == [(DAY_TEXTS[text], 12)]


@pytest.mark.parametrize("name", DAY_COLUMNS)
def test_a_day_of_any_column_type_is_that_day(exports: Project, name: str) -> None:
    rows = exports.rows(f"select cast(day as varchar) from reconciliation_work.stg_destination__{name}")
    assert rows == [("2026-11-22",)]


# --- sources -------------------------------------------------------------------------------------------

EVERY_TYPE = {
    "count_in_bigint": ("bigint", {"type": "integer", "minimum": 1, "maximum": 10}),
    "share_in_double": ("double", {"type": "number", "exclusiveMinimum": 0, "exclusiveMaximum": 1}),
    "whole_in_double": ("double", {"type": "integer"}),
    "text_in_double": ("double", {"type": "string"}),
    "number_in_text": ("varchar", {"type": "number", "minimum": 0}),
    "whole_in_text": ("varchar", {"type": "integer"}),
    "flag_in_text": ("varchar", {"type": "boolean"}),
    "list_in_text": ("varchar", {"type": "array"}),
    "object_in_text": ("varchar", {"type": "object"}),
    "many_in_text": ("varchar", {"type": ["integer", "boolean", "null"]}),
    "flag_in_flag": ("boolean", {"type": "boolean", "enum": [True]}),
    "text_in_flag": ("boolean", {"type": "string"}),
    "time_in_time": ("timestamp", {"type": "string", "format": "date-time"}),
    "number_in_time": ("timestamp", {"type": "number"}),
    "choice": ("varchar", {"type": "string", "enum": HOSTILE}),
    "number_choice": ("double", {"enum": [1, 2.5]}),
    "only_null": ("varchar", {"enum": [None]}),
    "sku": ("varchar", {"type": "string", "pattern": "^sku_[0-9]+$"}),
    "inside": ("varchar", {"type": "string", "pattern": "[0-9]'"}),
    "needed": ("varchar", {}),
    "needed_or_null": ("varchar", {"type": ["string", "null"]}),
    "messages": ("bigint", {"maximum": 5}),  # called as one of our own columns
}
# Column, SQL value, and the rules that it breaks.
VALUES: list[tuple[str, str, set[str]]] = [
    ("count_in_bigint", "1", set()),
    ("count_in_bigint", "10", set()),
    ("count_in_bigint", "0", {"range"}),
    ("count_in_bigint", "11", {"range"}),
    ("share_in_double", "0.5", set()),
    ("share_in_double", "0", {"range"}),
    ("share_in_double", "1", {"range"}),
    ("whole_in_double", "2.0", set()),
    ("whole_in_double", "2.5", {"type"}),
    ("text_in_double", "2", {"type"}),
    ("number_in_text", "'1.5'", set()),
    ("number_in_text", "'-1'", {"range"}),
    ("number_in_text", "'1,5'", {"type"}),
    ("number_in_text", "''", {"type"}),
    ("whole_in_text", "'3'", set()),
    ("whole_in_text", "'3.5'", {"type"}),
    ("flag_in_text", "'True'", set()),
    ("flag_in_text", "'yes'", {"type"}),
    ("list_in_text", "'[1, 2]'", set()),
    ("list_in_text", "'1, 2'", {"type"}),
    ("object_in_text", "'{\"a\": 1}'", set()),
    ("object_in_text", "'a'", {"type"}),
    ("many_in_text", "'7'", set()),
    ("many_in_text", "'false'", set()),
    ("many_in_text", "'seven'", {"type"}),
    ("flag_in_flag", "true", set()),
    ("flag_in_flag", "false", {"enum"}),
    ("text_in_flag", "true", {"type"}),
    ("time_in_time", "timestamp '2026-11-01 10:00:00'", set()),
    ("number_in_time", "timestamp '2026-11-01 10:00:00'", {"type"}),
    *[("choice", sql_text(value), set()) for value in HOSTILE],
    *[("choice", sql_text(value), {"enum"}) for value in ["its", "IT'S", "", "new line", "emoji 🦢"]],
    ("number_choice", "1", set()),
    ("number_choice", "2.5", set()),
    ("number_choice", "2", {"enum"}),
    ("only_null", "'x'", {"enum"}),
    ("sku", "'sku_12'", set()),
    ("sku", "'xsku_12'", {"pattern"}),
    ("inside", "'a1''b'", set()),
    ("inside", "'a1b'", {"pattern"}),
    ("needed", "null", {"required"}),
    ("needed", "''", set()),
    ("needed_or_null", "null", set()),
    ("messages", "5", set()),
    ("messages", "6", {"range"}),
]


@pytest.fixture(scope="module")
def landed(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """Sources of every shape, one event table with a column of every type, two runs."""
    properties = {name: schema for name, (_, schema) in EVERY_TYPE.items()}
    properties["never_sent"] = {"type": "string"}
    properties["address"] = {
        "type": "object",
        "properties": {"city": {"type": "string"}},
        "required": ["city"],
    }
    project = make(
        tmp_path_factory.mktemp("sources") / "small",
        {"app": {}, "web": {}, "texts": {}, "bare": {}, "lacking": {}, "absent": {}},
        {
            "ads": {
                **event_export("exports.ads", message_id="mid"),
                "receives": {"sources": "all", "events": "all", "consent": "Advertising"},
            },
            "crm": {
                **event_export("exports.crm", message_id="mid"),
                "receives": {"sources": "all", "events": "all"},
                "identifiers": {"user_id": {"format": "/it's|[0-9]+/"}},
            },
        },
        [
            planned("Every Type", properties, ["needed", "needed_or_null", "never_sent", "address"]),
            planned("Wide", {"P 000": {"type": "string"}}),
        ],
    )
    consent = "context_consent_category_preferences_advertising"
    project.land(
        "app.tracks",
        f"{TRACKS}, {consent} boolean",
        [
            track("granted", "E", "2026-11-01 10:00:00", user="12") + ", true",
            track("refused", "E", "2026-11-01 10:00:00", user="it''s") + ", false",
            track("unasked", "E", "2026-11-01 10:00:00", user="other") + ", null",
            track("twice", "E", "2026-11-01 10:00:00", received="2026-11-01 11:00:00") + ", true",
            track("twice", "E", "2026-11-01 10:00:00", received="2026-11-01 10:00:01") + ", true",
            track("both sources", "E", "2026-11-01 10:00:00", received="2026-11-01 12:00:00") + ", true",
            track("again after three days", "E", "2026-11-01 10:00:00") + ", true",
            # A row of an event table has one in tracks, and only its name is looked at here.
            track("v0", "Every Type", "2026-11-01 10:00:00") + ", true",
        ],
    )
    project.land(
        "web.tracks",
        TRACKS,
        [track("both sources", "E", "2026-11-01 10:00:00", received="2026-11-01 11:59:00")],
    )
    project.land(
        "texts.tracks",
        "id varchar, event_text varchar, received_at varchar, timestamp varchar",
        ["'text', 'E', '2026-11-01T20:30:00+05:30', 'no time'"],
    )
    project.land(
        "bare.tracks", "id varchar, event_text varchar, received_at timestamp", ["'bare', null, '2026-11-01'"]
    )
    project.land("lacking.tracks", "id varchar, event_text varchar", ["'lacking', 'E'"])
    names = list(EVERY_TYPE)
    rows = []
    for number, (column, value, _) in enumerate(VALUES):
        cells = [value if name == column else "'x'" if name == "needed" else "null" for name in names]
        rows.append(
            ", ".join([f"'v{number}'", "'Every Type'", "timestamptz '2026-11-01 10:00:00+00'", *cells])
        )
    # A name that shares the table is not held to the plan of the other.
    rows.append(
        ", ".join(
            ["'other name'", "'every_type'", "timestamptz '2026-11-01 10:00:00+00'", *["null"] * len(names)]
        )
    )
    project.land(
        "app.every_type",
        "id varchar, event_text varchar, received_at timestamptz, "
        + ", ".join(f"{name} {kind}" for name, (kind, _) in EVERY_TYPE.items()),
        rows,
    )
    _land_a_wide_event(project)
    for as_of in (datetime(2026, 11, 3), datetime(2026, 11, 5)):
        if as_of.day == 5:
            late = track("again after three days", "E", "2026-11-01 10:00:00", received="2026-11-04 10:00:00")
            project.warehouse.execute(f"insert into app.tracks values ({late}, true)".replace(":", "\\:"))
        for stage in (read_sources, read_exports, normalise, match):
            stage(project.context(as_of))
        project.dbt.run(["reconciliation_daily", "int_quarantined_daily"])
        publish(project.context(as_of))  # the second run reads only what has changed since
    return project


WIDE = [f"p_{number:03}" for number in range(205)]


def _land_a_wide_event(project: Project) -> None:
    """205 properties beside Segment's own columns, of a source that writes its times as text."""
    project.land(
        "texts.wide",
        "id varchar, event_text varchar, received_at varchar, timestamp varchar, user_id varchar, "
        "context_app_version varchar, " + ", ".join(f"{name} varchar" for name in WIDE),
        [
            f"'{name}', 'Wide', '2026-11-01T20:30:00+05:30', '{at}', 'u', '1', "
            + ", ".join(["'x'"] * filled + ["null"] * (len(WIDE) - filled))
            for name, at, filled in (
                ("first", "2026-11-01T10:00:00Z", 205),
                ("copy", "2026-11-01T10:00:00Z", 1),
                ("copy", "2026-11-01T10:00:00Z", 1),
                ("evening before", "2026-10-31T23:59:59Z", 7),
            )
        ],
    )
    # Of one of Segment's own tables the rows are identify calls, though it has an event_text here.
    project.land(
        "texts.identifies",
        "id varchar, event_text varchar, received_at varchar, plan varchar",
        ["'i', 'E', '2026-11-01T20:30:00+05:30', 'pro'"],
    )


@pytest.fixture(scope="module")
def messages(landed: Project) -> dict[str, list[dict[str, Any]]]:
    found: dict[str, list[dict[str, Any]]] = {}
    for row in landed.warehouse.frame("select * from reconciliation_work.int_messages").to_dict("records"):
        found.setdefault(row["message_id"], []).append(row)
    return found


def test_a_message_that_lands_twice_is_one_and_the_first_stays(messages: dict[str, Any]) -> None:
    (only,) = messages["twice"]
    assert only["received_at"] == datetime(2026, 11, 1, 10, 0, 1)


def test_a_message_in_two_sources_belongs_to_the_one_that_received_it_first(messages: dict[str, Any]) -> None:
    assert [row["source"] for row in messages["both sources"]] == ["web"]


def test_a_copy_that_lands_days_later_is_dropped_though_only_its_own_day_is_read(
    messages: dict[str, Any],
) -> None:
    (only,) = messages["again after three days"]
    assert only["received_at"] == datetime(2026, 11, 1, 10)


def test_times_that_landed_as_text_are_utc_and_an_unreadable_one_is_that_of_arrival(
    messages: dict[str, Any],
) -> None:
    (row,) = messages["text"]
    assert row["received_at"] == row["timestamp"] == datetime(2026, 11, 1, 15)


def test_columns_that_segment_never_made_are_null(messages: dict[str, Any]) -> None:
    (row,) = messages["bare"]
    assert (row["event_text"], row["event_slug"]) == ("", "")
    assert not any(isinstance(row[name], str) for name in ("user_id", "anonymous_id", "app_version"))


def test_a_source_without_a_column_that_is_needed_gives_no_rows_and_stops_nobody(
    landed: Project, messages: dict[str, Any]
) -> None:
    assert "lacking" not in messages
    broken = landed.rows(
        "select source from reconciliation_work.source_health where status = 'broken' order by 1"
    )
    assert broken == [("absent",), ("lacking",)]


def test_only_a_refused_consent_is_a_refusal(messages: dict[str, Any]) -> None:
    bits = {name: messages[name][0]["consent_denied"] for name in ("granted", "refused", "unasked", "text")}
    assert bits == {"granted": 0, "refused": 1, "unasked": 0, "text": 0}


def test_an_identifier_is_held_to_the_whole_format_however_it_is_written(messages: dict[str, Any]) -> None:
    misses = {name: messages[name][0]["format_misses"] for name in ("granted", "refused", "unasked", "bare")}
    assert misses == {"granted": 0, "refused": 0, "unasked": 1, "bare": 0}


@pytest.fixture(scope="module")
def violations(landed: Project) -> dict[tuple[str, str], int]:
    rows = landed.rows(
        "select property, rule, messages from reconciliation.plan_violations_daily where event = 'Every Type'"
    )
    return {(name, rule): messages for name, rule, messages in rows}


@pytest.mark.parametrize("column", EVERY_TYPE)
def test_a_property_breaks_its_rules_by_what_its_column_still_shows(
    violations: dict[tuple[str, str], int], column: str
) -> None:
    expected: dict[str, int] = {}
    for name, _, rules in VALUES:
        for rule in rules:
            if name == column:
                expected[rule] = expected.get(rule, 0) + 1
    assert {rule: count for (name, rule), count in violations.items() if name == column} == expected


def test_a_required_property_without_a_column_is_missing_in_every_message(
    violations: dict[tuple[str, str], int],
) -> None:
    assert violations["never_sent", "required"] == len(VALUES)
    # An object has no column of its own; what is required inside it has.
    assert ("address", "required") not in violations
    assert violations["address.city", "required"] == len(VALUES)


def test_a_sample_message_is_one_that_breaks_the_rule(landed: Project) -> None:
    ((sample,),) = landed.rows(
        "select sample_message_id from reconciliation.plan_violations_daily where property = 'sku'"
    )
    broken = [f"v{number}" for number, (name, _, rules) in enumerate(VALUES) if name == "sku" and rules]
    assert [sample] == broken


def test_each_message_is_known_with_each_rule_that_it_breaks(landed: Project) -> None:
    rows = landed.rows(
        "select message_id, property, rule from reconciliation_work.int_broken_rows where event = 'Every Type'"
    )
    always = {("never_sent", "required"), ("address.city", "required")}
    expected = {(f"v{number}", *each) for number in range(len(VALUES)) for each in always}
    expected |= {
        (f"v{number}", name, rule) for number, (name, _, rules) in enumerate(VALUES) for rule in rules
    }
    # What is not said of a value is null, and may be where nothing is required.
    assert sorted(rows) == sorted(expected)


def test_violations_are_the_broken_rows_counted(landed: Project) -> None:
    counted = landed.rows("select sum(messages) from reconciliation_work.int_violation_versions_daily")
    assert counted == landed.rows("select count(*) from reconciliation_work.int_broken_rows")


def test_each_property_is_counted_by_raw_name_with_the_rows_that_have_a_value(landed: Project) -> None:
    rows = landed.rows(
        "select event_text, property, filled, messages from reconciliation_work.int_property_fill_daily"
        " where source = 'app'"
    )
    expected = {("every_type", name, 0, 1) for name in EVERY_TYPE}
    for column in EVERY_TYPE:
        filled = sum(name == column and value != "null" for name, value, _ in VALUES)
        if column == "needed":
            filled += sum(name != "needed" for name, _, _ in VALUES)
        expected.add(("Every Type", column, filled, len(VALUES)))
    assert sorted(rows) == sorted(expected)


def test_of_a_wide_table_the_planned_and_the_newest_200_properties_are_counted(landed: Project) -> None:
    rows = landed.rows(
        "select cast(day as varchar), property, filled, messages from reconciliation_work.int_property_fill_daily"
        " where source = 'texts' and event_text = 'Wide'"
    )
    counted = ["p_000", *WIDE[6:]]
    assert len(counted) == 200
    assert {(row[1]) for row in rows} == set(counted)
    # Copies are rows as well; the evening's message is of the day before.
    assert {row for row in rows if row[1] == "p_000"} == {
        ("2026-11-01", "p_000", 3, 3),
        ("2026-10-31", "p_000", 1, 1),
    }
    assert {row for row in rows if row[1] == "p_006"} == {
        ("2026-11-01", "p_006", 1, 3),
        ("2026-10-31", "p_006", 1, 1),
    }
    assert {row[2] for row in rows if row[1] == "p_204"} == {0, 1}
