"""An incident keeps its name over all runs and is told when something about it changes, and only then."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import date, datetime, timedelta

import pandas as pd
import pytest
from diagnosed.world import AS_OF, FIRST, World, day, shop
from hypothesis import given
from hypothesis import strategies as st

from dagster_project.core.diagnosis import Diagnosis
from dagster_project.core.diagnosis.finding import DELIVERY_KINDS, Finding
from dagster_project.core.incidents import (
    EVIDENCE_BYTES,
    INCIDENT_COLUMNS,
    LINK_COLUMNS,
    WINDOW_COLUMNS,
    Transition,
    evidence_json,
    incident_id,
    reconcile_incidents,
)

NONE = pd.DataFrame()
LAST = date(2026, 11, 8)


def finding(**change: object) -> Finding:
    base = {
        "kind": "delivery_loss",
        "severity": "error",
        "event": "Signup Completed",
        "destinations": ("email",),
        "started_on": day("1 Nov"),
        "messages_affected": 100,
        "windows": (("email", day("1 Nov")),),
    }
    return Finding(**(base | change))


def diagnosis(*findings: Finding, explained: tuple[Finding, ...] = (), **change: object) -> Diagnosis:
    base = {
        "findings": findings,
        "explained": explained,
        "history_from": FIRST,
        "last_day": LAST,
        "silent_sources": frozenset(),
        "unread_destinations": frozenset(),
    }
    return Diagnosis(**(base | change))


def run(existing: pd.DataFrame, found: Diagnosis, hours: int = 0) -> tuple[pd.DataFrame, list[str]]:
    incidents, transitions, _, _ = reconcile_incidents(
        existing, found, AS_OF + timedelta(hours=hours), f"run-{hours}"
    )
    return incidents, [each.transition for each in transitions]


def runs(*each: Diagnosis) -> tuple[pd.DataFrame, list[list[str]]]:
    incidents, told = NONE, []
    for hours, found in enumerate(each):
        incidents, transitions = run(incidents, found, hours)
        told.append(transitions)
    return incidents, told


# --- names ------------------------------------------------------------------------------------------------


def test_the_id_does_not_depend_on_time_amount_or_severity() -> None:
    one = incident_id(finding().key)
    assert one.startswith("inc_")
    assert len(one) == 16
    other = finding(started_on=day("5 Oct"), messages_affected=9, severity="critical", ended_on=day("6 Oct"))
    assert incident_id(other.key) == one


@pytest.mark.parametrize(
    "change",
    [
        {"kind": "duplicate_delivery"},
        {"event": None},
        {"event": ""},
        {"event": "signup completed"},
        {"source": "web_app"},
        {"property": "Signup Completed", "event": None},
        {"destinations": ("ads",)},
        {"destinations": ("ads", "email")},
    ],
)
def test_every_part_of_the_key_changes_the_id(change: dict[str, object]) -> None:
    assert incident_id(finding(**change).key) != incident_id(finding().key)


def test_destinations_name_delivery_incidents_and_no_others() -> None:
    for kind in (
        "event_renamed",
        "event_stopped",
        "unplanned_event",
        "identifier_format",
        "property_violation",
    ):
        assert kind not in DELIVERY_KINDS
        one, two = (
            finding(kind=kind, source="web_app", destinations=d) for d in (("email",), ("ads", "email"))
        )
        assert incident_id(one.key) == incident_id(two.key)


PARTS = st.lists(st.one_of(st.none(), st.text(alphabet="a\\\x1f\x000u", max_size=4)), min_size=1, max_size=4)


@given(PARTS, PARTS)
def test_no_two_keys_share_an_id_whatever_the_names_hold(
    one: list[str | None], two: list[str | None]
) -> None:
    assert (incident_id(tuple(one)) == incident_id(tuple(two))) is (one == two)


# --- life cycle -------------------------------------------------------------------------------------------


def test_a_new_finding_opens_an_incident_and_staying_says_nothing() -> None:
    incidents, told = runs(diagnosis(finding()), diagnosis(finding()), diagnosis(finding()))
    assert told == [["opened"], [], []]
    row = incidents.iloc[0]
    assert (row["status"], row["detected_at"], row["run_id"]) == ("open", pd.Timestamp(AS_OF), "run-2")


def test_running_again_on_its_own_answer_changes_nothing() -> None:
    first, _ = run(NONE, diagnosis(finding(), finding(kind="event_stopped", source="web_app")))
    again, told = run(first, diagnosis(finding(), finding(kind="event_stopped", source="web_app")))
    assert told == []
    pd.testing.assert_frame_equal(first, again)


@pytest.mark.parametrize(
    ("second", "transitions"),
    [
        pytest.param({"messages_affected": 199}, [], id="more-but-not-twice"),
        pytest.param({"messages_affected": 200}, ["worsened"], id="twice-the-messages"),
        pytest.param({"messages_affected": 10}, [], id="fewer"),
        pytest.param({"severity": "critical"}, ["worsened"], id="severity-up"),
        pytest.param({"severity": "warning"}, [], id="severity-down"),
        pytest.param({"ended_on": day("3 Nov")}, [], id="ended-but-not-mended"),
        pytest.param({"started_on": day("20 Oct")}, [], id="began-earlier"),
    ],
)
def test_what_makes_an_incident_worse(second: dict[str, object], transitions: list[str]) -> None:
    assert runs(diagnosis(finding()), diagnosis(finding(**second)))[1] == [["opened"], transitions]


def test_a_destination_that_joins_is_worse() -> None:
    one = finding(kind="event_renamed", source="web_app", renamed_to="x", destinations=("email",))
    two = finding(kind="event_renamed", source="web_app", renamed_to="x", destinations=("ads", "email"))
    assert runs(diagnosis(one), diagnosis(two), diagnosis(two), diagnosis(one))[1] == [
        ["opened"],
        ["worsened"],
        [],
        [],
    ]


def test_worse_is_measured_from_the_last_notice_and_not_from_the_last_run() -> None:
    grows = [diagnosis(finding(messages_affected=n)) for n in (100, 150, 190, 210, 400, 420)]
    assert runs(*grows)[1] == [["opened"], [], [], ["worsened"], [], ["worsened"]]


def test_an_incident_that_is_gone_is_resolved_and_one_that_returns_reopened() -> None:
    incidents, told = runs(diagnosis(finding()), diagnosis(), diagnosis(), diagnosis(finding()), diagnosis())
    assert told == [["opened"], ["resolved"], [], ["reopened"], ["resolved"]]
    assert len(incidents) == 1
    assert incidents.iloc[0]["resolved_at"] == pd.Timestamp(AS_OF + timedelta(hours=4))


def test_a_resolved_incident_has_an_end() -> None:
    incidents, _ = runs(diagnosis(finding()), diagnosis())
    row = incidents.iloc[0]
    assert (row["status"], row["ended_on"].date()) == ("resolved", LAST - timedelta(days=1))


def test_a_reopened_incident_is_open_without_an_end() -> None:
    incidents, _ = runs(diagnosis(finding()), diagnosis(), diagnosis(finding(started_on=day("7 Nov"))))
    row = incidents.iloc[0]
    assert row["status"] == "open"
    assert pd.isna(row["resolved_at"])
    assert pd.isna(row["ended_on"])
    assert row["started_on"].date() == day("7 Nov")
    assert row["detected_at"] == pd.Timestamp(AS_OF)


def test_info_is_kept_and_never_told() -> None:
    noted = finding(severity="info")
    incidents, told = runs(
        diagnosis(noted), diagnosis(finding(severity="info", messages_affected=900)), diagnosis()
    )
    assert told == [[], [], []]
    assert list(incidents["status"]) == ["resolved"]


def test_info_that_becomes_a_warning_is_opened() -> None:
    _, told = runs(diagnosis(finding(severity="info")), diagnosis(finding(severity="warning")))
    assert told == [[], ["opened"]]


def test_an_incident_from_before_history_stays_as_it_was() -> None:
    incidents, _ = run(NONE, diagnosis(finding(started_on=day("1 Oct"), messages_affected=5000)))
    after, told = run(incidents, diagnosis(history_from=day("20 Oct")), 1)
    assert told == []
    pd.testing.assert_frame_equal(after, incidents)


def test_an_incident_that_reaches_out_of_history_keeps_its_beginning_and_amount() -> None:
    incidents, _ = run(NONE, diagnosis(finding(started_on=day("1 Oct"), messages_affected=5000)))
    late = finding(started_on=day("20 Oct"), messages_affected=3000)
    after, told = run(incidents, diagnosis(late, history_from=day("20 Oct")), 1)
    assert told == []
    assert after.iloc[0]["started_on"].date() == day("1 Oct")
    assert after.iloc[0]["messages_affected"] == 5000


def test_a_replay_that_mends_a_part_shows_in_the_amount() -> None:
    incidents, _ = runs(diagnosis(finding(messages_affected=500)), diagnosis(finding(messages_affected=120)))
    assert incidents.iloc[0]["messages_affected"] == 120


def test_what_a_silent_source_or_an_unread_export_hides_is_not_resolved() -> None:
    renamed = finding(kind="event_renamed", source="web_app", renamed_to="x", destinations=())
    incidents, _ = run(NONE, diagnosis(finding(), renamed))
    blind = diagnosis(silent_sources=frozenset({"web_app"}), unread_destinations=frozenset({"email"}))
    assert run(incidents, blind, 1)[1] == []
    assert run(incidents, diagnosis(), 1)[1] == ["resolved", "resolved"]


def test_what_another_incident_explains_by_now_goes_without_a_word() -> None:
    unplanned = finding(
        kind="unplanned_event", severity="warning", source="web_app", event="new", destinations=()
    )
    renamed = finding(
        kind="event_renamed", source="web_app", event="old", renamed_to="new", destinations=("email",)
    )
    explained = finding(
        kind="unplanned_event",
        severity="warning",
        source="web_app",
        event="new",
        destinations=(),
        explained_by=renamed.key,
    )
    incidents, told = runs(diagnosis(unplanned), diagnosis(renamed, explained=(explained,)))
    assert told == [["opened"], ["opened"]]
    assert dict(zip(incidents["kind"], incidents["status"], strict=True)) == {
        "unplanned_event": "resolved",
        "event_renamed": "open",
    }


def test_transitions_come_worst_first() -> None:
    small, large = finding(event="a"), finding(event="b", messages_affected=900)
    worst = finding(event="c", severity="critical", messages_affected=1)
    _, transitions, _, _ = reconcile_incidents(NONE, diagnosis(small, large, worst), AS_OF, "r")
    assert transitions == [Transition(incident_id(each.key), "opened") for each in (worst, large, small)]


def test_a_table_without_the_column_of_notices_counts_as_told() -> None:
    incidents, _ = run(NONE, diagnosis(finding()))
    assert run(incidents.drop(columns=["told"]), diagnosis(finding()), 1)[1] == []


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(lambda f: f.assign(started_on=f["started_on"].dt.date), id="dates"),
        pytest.param(lambda f: f.astype(object).where(f.notna(), None), id="none-for-null"),
        pytest.param(
            lambda f: f.assign(detected_at=f["detected_at"].astype("datetime64[ns]")), id="nanoseconds"
        ),
        pytest.param(lambda f: f.sample(frac=1, random_state=1), id="another-order"),
    ],
)
def test_the_table_may_come_back_as_any_driver_gives_it(
    change: Callable[[pd.DataFrame], pd.DataFrame],
) -> None:
    found = diagnosis(finding(), finding(kind="event_stopped", source="web_app"))
    incidents, _ = run(NONE, found)
    again, told = run(change(incidents), found)
    assert told == []
    pd.testing.assert_frame_equal(again, incidents)


# --- frames -----------------------------------------------------------------------------------------------


def test_frames_have_the_declared_columns_also_when_empty() -> None:
    for found in (diagnosis(), shop().fault("email", None, "1 Nov", "3 Nov", missing=0.3).diagnosis()):
        incidents, _, windows, links = reconcile_incidents(NONE, found, AS_OF, "r")
        assert list(incidents.columns) == list(INCIDENT_COLUMNS)
        assert list(windows.columns) == list(WINDOW_COLUMNS)
        assert list(links.columns) == list(LINK_COLUMNS)
        assert str(incidents["started_on"].dtype).startswith("datetime64")


def test_windows_and_links_carry_the_incidents_id() -> None:
    world = shop().fault("email", "Signup Completed", "1 Nov", "8 Nov", missing=1.0)
    incidents, transitions, windows, links = reconcile_incidents(NONE, world.diagnosis(), AS_OF, "r")
    (name,) = incidents["incident_id"]
    assert [each.incident_id for each in transitions] == [name]
    assert set(windows["incident_id"]) == set(links["incident_id"]) == {name}
    assert len(windows) == len(links) == 8
    assert json.loads(incidents.iloc[0]["destinations"]) == ["email"]


def test_evidence_is_json_with_sorted_keys_and_bounded() -> None:
    huge = {f"key {n}": ["x" * 5000] * 500 for n in range(200)} | {
        "nan": float("nan"),
        "day": day("1 Nov"),
        "a": 1,
    }
    text = evidence_json(finding(evidence=huge, explains=["y" * 9000] * 90))
    assert len(text.encode()) <= EVIDENCE_BYTES
    read = json.loads(text)
    assert list(read) == sorted(read)
    assert json.loads(evidence_json(finding(evidence={"nan": float("nan")})))["nan"] is None


def test_an_incident_survives_the_day_its_rename_leaves_history() -> None:
    world = shop().renames("web_app", "Purchase Completed", "purchase_completed", "5 Oct")
    incidents, told = run(NONE, world.diagnosis())
    assert told == ["opened"]
    # Of the rename only the unplanned new name is left to see; it must not be told as something new.
    after, told = run(incidents, world.diagnosis(history_from=day("12 Oct")), 1)
    assert told == []
    assert list(after["kind"]) == ["event_renamed"]
    assert list(after["status"]) == ["open"]


def test_a_week_of_daily_runs_tells_each_thing_once() -> None:
    incidents, told = NONE, []
    for number in range(7):
        last = date(2026, 11, 2) + timedelta(days=number)
        world = World(last=last, as_of=datetime(last.year, last.month, last.day, 12) + timedelta(days=1))
        world.sends("web", "Alpha", 200).sends("web", "Beta", 300).feeds("email", ["web"], ["Alpha", "Beta"])
        world.renames("web", "Alpha", "alpha", "3 Nov") if number else None
        incidents, transitions, _, _ = reconcile_incidents(
            incidents, world.diagnosis(), world.as_of, f"run-{number}"
        )
        told += [each.transition for each in transitions]
    # 200 messages a day more: told at 200, 400, 800, and not at 1,000 or 1,200.
    assert told[0] == "opened"
    assert told.count("worsened") <= 3
    assert set(told) == {"opened", "worsened"}
    assert list(incidents["kind"]) == ["event_renamed"]


def test_a_rename_that_the_contract_has_taken_up_is_resolved_and_told_so_once() -> None:
    names = {"kind": "event_renamed", "source": "web_app", "event": "Alpha", "renamed_to": "alpha"}
    waited_for = finding(severity="critical", **names)
    taken_up = finding(severity="info", destinations=(), windows=(), **names)
    incidents, told = runs(diagnosis(waited_for), diagnosis(taken_up), diagnosis(taken_up))
    assert told == [["opened"], ["resolved"], []]
    assert list(incidents["status"]) == ["resolved"]
    incidents, told = runs(diagnosis(waited_for), diagnosis(taken_up), diagnosis(waited_for))
    assert told == [["opened"], ["resolved"], ["reopened"]]


def test_a_rename_that_was_never_told_is_kept_without_a_word() -> None:
    names = {"kind": "event_renamed", "source": "web_app", "event": "Alpha", "renamed_to": "alpha"}
    incidents, told = runs(*[diagnosis(finding(severity="info", destinations=(), **names))] * 2)
    assert (told, list(incidents["status"])) == ([[], []], ["open"])
