"""An incident keeps its name over all runs, goes through its states, and is told when something changes."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import date, datetime, timedelta

import pandas as pd
import pytest
from diagnosed.world import AS_OF, FIRST, World, day, shop
from hypothesis import given, settings
from hypothesis import strategies as st

from dagster_project.core.contracts import Mute
from dagster_project.core.diagnosis import Diagnosis
from dagster_project.core.diagnosis.finding import DELIVERY_KINDS, Finding
from dagster_project.core.incidents import (
    EVIDENCE_BYTES,
    INCIDENT_COLUMNS,
    LINK_COLUMNS,
    STATISTICAL,
    WINDOW_COLUMNS,
    Transition,
    evidence_json,
    incident_id,
    incident_ids,
    reconcile_incidents,
    severity_of,
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


def run(
    existing: pd.DataFrame, found: Diagnosis, days: float = 0, mutes: Sequence[Mute] = ()
) -> tuple[pd.DataFrame, list[str]]:
    incidents, transitions, _, _ = reconcile_incidents(
        existing, found, AS_OF + timedelta(days=days), f"run-{days}", mutes=mutes
    )
    return incidents, [each.transition for each in transitions]


def runs(*each: Diagnosis, mutes: Sequence[Mute] = ()) -> tuple[pd.DataFrame, list[list[str]]]:
    """One run a day."""
    incidents, told = NONE, []
    for days, found in enumerate(each):
        incidents, transitions = run(incidents, found, days, mutes)
        told.append(transitions)
    return incidents, told


def states(*each: Diagnosis, mutes: Sequence[Mute] = ()) -> list[list[str]]:
    """The states of all incidents after each run."""
    incidents, seen = NONE, []
    for days, found in enumerate(each):
        incidents, _ = run(incidents, found, days, mutes)
        seen.append(list(incidents["state"]))
    return seen


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


def test_what_was_judged_by_statistics_is_over_after_a_second_clean_run() -> None:
    there, gone = diagnosis(finding()), diagnosis()
    incidents, told = runs(there, gone, gone, gone, there, gone, gone)
    assert told == [["opened"], [], ["resolved"], [], ["reopened"], [], ["resolved"]]
    assert len(incidents) == 1
    assert incidents.iloc[0]["resolved_at"] == pd.Timestamp(AS_OF + timedelta(days=6))
    assert states(there, gone, gone, there) == [["open"], ["recovering"], ["resolved"], ["reopened"]]


@pytest.mark.parametrize("kind", sorted(STATISTICAL))
def test_one_clean_run_between_two_findings_is_no_end_and_no_beginning(kind: str) -> None:
    there = diagnosis(finding(kind=kind))
    assert runs(there, diagnosis(), there, diagnosis(), there)[1] == [["opened"], [], [], [], []]


@pytest.mark.parametrize(
    "kind", ["delivery_stopped", "export_incomplete", "name_mismatch", "timezone_shift", "event_renamed"]
)
def test_what_was_a_matter_of_rows_is_over_as_soon_as_the_rows_are_there(kind: str) -> None:
    incidents, told = runs(diagnosis(finding(kind=kind, source="web_app")), diagnosis())
    assert told == [["opened"], ["resolved"]]
    assert list(incidents["state"]) == ["resolved"]


def test_a_recovering_incident_stays_with_the_run_that_found_it_and_with_the_days_it_holds() -> None:
    incidents, _ = runs(diagnosis(finding()), diagnosis())
    row = incidents.iloc[0]
    assert (row["status"], row["state"], row["run_id"]) == ("open", "recovering", "run-0")
    assert (row["runs_seen"], row["runs_clean"]) == (1, 1)
    assert row["last_seen_at"] == pd.Timestamp(AS_OF)


def test_a_second_look_at_the_same_evidence_is_no_second_clean_run() -> None:
    incidents, _ = run(NONE, diagnosis(finding()))
    for hours in (24, 25, 26, 29):
        incidents, told = run(incidents, diagnosis(), hours / 24)
        assert (told, list(incidents["state"])) == ([], ["recovering"])
    assert run(incidents, diagnosis(), 30 / 24)[1] == ["resolved"]


def test_a_cause_that_is_over_recovers_while_its_days_are_not_mended() -> None:
    over = diagnosis(finding(ended_on=day("3 Nov")))
    assert states(over, over) == [["recovering"], ["recovering"]]
    incidents, told = runs(diagnosis(finding()), over, over)
    assert told == [["opened"], [], []]
    assert list(incidents["status"]) == ["open"]


def test_a_resolved_incident_has_an_end() -> None:
    incidents, _ = runs(diagnosis(finding()), diagnosis(), diagnosis())
    row = incidents.iloc[0]
    assert (row["status"], row["ended_on"].date()) == ("resolved", LAST - timedelta(days=1))


@pytest.mark.parametrize(
    ("left", "said"),
    [
        (0, "none is missing now"),
        (1, "1 is missing now"),
        (15, "15 are missing now"),
    ],
)
def test_a_repaired_incident_says_how_many_are_left(left: int, said: str) -> None:
    cells = pd.DataFrame(
        {
            "day": pd.to_datetime([day("1 Nov"), day("7 Nov")]),
            "destination": "email",
            "event": "Signup Completed",
            "missing": [left, 70],  # the second day is not of the incident
            "duplicates": 0,
            "unexpected": 0,
        }
    )
    there = diagnosis(finding(), cells=cells)
    incidents, _, windows, _ = reconcile_incidents(NONE, there, AS_OF, "one")
    held = {str(row["incident_id"]): row["day"].date() for row in windows.to_dict("records")}
    gone = diagnosis(cells=cells)
    for days in (1, 2):
        incidents, *_ = reconcile_incidents(
            incidents, gone, AS_OF + timedelta(days=days), "next", held_until=held
        )
    row = incidents.iloc[0]
    assert (row["status"], row["ended_on"].date()) == ("resolved", day("1 Nov"))
    assert f"When it was last found, 100 were missing; on the same days {said}." in row["explanation"]
    assert row["title"].endswith(" on 1 Nov")


def test_without_days_of_its_own_an_incident_ends_with_the_last_day_that_was_over_when_it_was_seen() -> None:
    incidents, _ = run(NONE, diagnosis(finding(windows=())))
    for days in (3, 4):
        later = diagnosis(last_day=LAST + timedelta(days=days))
        incidents, _ = run(incidents, later, days)
    assert incidents.iloc[0]["ended_on"].date() == LAST
    assert incidents.iloc[0]["explanation"].endswith("The run of 13 Nov does not find it any more.")


def test_a_reopened_incident_is_open_without_an_end() -> None:
    incidents, _ = runs(
        diagnosis(finding()), diagnosis(), diagnosis(), diagnosis(finding(started_on=day("7 Nov")))
    )
    row = incidents.iloc[0]
    assert (row["status"], row["state"]) == ("open", "reopened")
    assert row["reopened_at"] == pd.Timestamp(AS_OF + timedelta(days=3))
    assert "It was over on 11 Nov and came back on 12 Nov." in row["explanation"]
    assert pd.isna(row["resolved_at"])
    assert pd.isna(row["ended_on"])
    assert row["started_on"].date() == day("7 Nov")
    assert row["detected_at"] == pd.Timestamp(AS_OF)


def test_info_is_kept_and_never_told() -> None:
    noted = finding(severity="info")
    incidents, told = runs(
        diagnosis(noted),
        diagnosis(finding(severity="info", messages_affected=900)),
        diagnosis(),
        diagnosis(),
    )
    assert told == [[], [], [], []]
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
    assert run(incidents, diagnosis(), 1)[1] == ["resolved"], "the rename; a loss needs two clean runs"


def test_what_another_incident_explains_by_now_goes_without_a_word() -> None:
    lost = finding(kind="delivery_loss")
    stopped = finding(kind="source_stopped", source="web_app", event=None)
    renamed = finding(kind="event_renamed", source="web_app", event="Signup Completed", renamed_to="new")
    explained = finding(kind="delivery_loss", explained_by=renamed.key)
    incidents, told = runs(diagnosis(lost), diagnosis(renamed, explained=(explained,)))
    assert told == [["opened"], ["opened"]]
    assert dict(zip(incidents["kind"], incidents["status"], strict=True)) == {
        "delivery_loss": "resolved",
        "event_renamed": "open",
    }
    hidden = finding(kind="delivery_loss", explained_by=stopped.key)
    incidents, _ = runs(diagnosis(lost), diagnosis(stopped, explained=(hidden,)))
    assert dict(zip(incidents["kind"], incidents["state"], strict=True)) == {
        "delivery_loss": "open",
        "source_stopped": "open",
    }


def test_what_a_lasting_hole_explains_is_not_seen_to_be_over_and_what_a_closed_one_explains_may_be() -> None:
    stopped = finding(kind="delivery_stopped", event="Signup Completed")
    hole = finding(kind="export_incomplete", event=None)
    behind = finding(kind="delivery_stopped", event="Signup Completed", explained_by=hole.key)
    incidents, told = runs(diagnosis(stopped), diagnosis(hole, explained=(behind,)))
    assert told == [["opened"], ["opened"]]
    assert list(incidents["status"]) == ["open", "open"]
    closed = replace(hole, ended_on=day("2 Nov"))
    _, told = runs(diagnosis(stopped), diagnosis(closed, explained=(behind,)))
    assert sorted(told[1]) == ["opened", "resolved"]


# --- suspicion --------------------------------------------------------------------------------------------


def test_a_suspicion_is_kept_as_info_and_told_once_a_later_run_finds_it_again() -> None:
    maybe = diagnosis(finding(suspected=True))
    incidents, told = run(NONE, maybe)
    row = incidents.iloc[0]
    assert (told, row["severity"], row["status"], row["state"]) == ([], "info", "open", "suspected")
    incidents, told = run(incidents, maybe, 1)
    row = incidents.iloc[0]
    assert (told, row["severity"], row["state"]) == (["opened"], "error", "open")
    assert row["detected_at"] == pd.Timestamp(AS_OF)


@pytest.mark.parametrize(
    ("sightings", "told"),
    [
        ("11", True),
        ("101", True),
        ("011", True),
        ("1001", False),
        ("10010", False),
        ("100101", True),
    ],
)
def test_a_suspicion_opens_when_two_of_the_last_three_runs_found_it(sightings: str, told: bool) -> None:
    each = [diagnosis(finding(suspected=True)) if mark == "1" else diagnosis() for mark in sightings]
    assert (["opened"] in runs(*each)[1]) is told


def test_a_second_look_at_the_same_evidence_confirms_no_suspicion() -> None:
    incidents, _ = run(NONE, diagnosis(finding(suspected=True)))
    for hours in (1, 2, 5):
        incidents, told = run(incidents, diagnosis(finding(suspected=True)), hours / 24)
        assert (told, list(incidents["runs_seen"])) == ([], [1])


def test_a_suspicion_that_came_to_nothing_leaves_no_row() -> None:
    incidents, told = runs(diagnosis(finding(suspected=True)), diagnosis(), diagnosis())
    assert (len(incidents), told) == (0, [[], [], []])


def test_a_suspicion_that_is_beyond_doubt_opens_at_once() -> None:
    _, told = runs(diagnosis(finding(suspected=True)), diagnosis(finding()))
    assert told == [[], ["opened"]]


def test_doubt_about_an_open_incident_does_not_close_it() -> None:
    incidents, told = runs(diagnosis(finding()), *[diagnosis(finding(suspected=True))] * 3)
    assert told == [["opened"], [], [], []]
    assert (incidents.iloc[0]["severity"], incidents.iloc[0]["state"]) == ("error", "open")


def test_an_incident_that_is_over_and_suspected_again_is_reopened_once_confirmed() -> None:
    maybe, gone = diagnosis(finding(suspected=True)), diagnosis()
    incidents, told = runs(diagnosis(finding()), gone, gone, maybe, maybe)
    assert told == [["opened"], [], ["resolved"], [], ["reopened"]]
    assert list(incidents["state"]) == ["reopened"]
    incidents, told = runs(diagnosis(finding()), gone, gone, maybe, gone, gone)
    assert told == [["opened"], [], ["resolved"], [], [], []]
    assert list(incidents["state"]) == ["resolved"]


def test_an_incident_that_comes_back_as_a_note_and_then_in_earnest_is_reopened() -> None:
    there, gone, note = diagnosis(finding()), diagnosis(), diagnosis(finding(severity="info"))
    assert runs(there, gone, gone, note, there)[1] == [["opened"], [], ["resolved"], [], ["reopened"]]


def test_a_second_cause_of_the_same_kind_goes_on_under_the_name_of_the_last() -> None:
    late, stopped = finding(kind="export_late", event=None), finding(kind="delivery_stopped", event=None)
    gone = diagnosis()
    incidents, told = runs(
        diagnosis(stopped), gone, diagnosis(late), diagnosis(stopped), gone, diagnosis(stopped)
    )
    assert told == [["opened"], ["resolved"], ["opened"], ["worsened"], ["resolved"], ["reopened"]]
    states = incidents.set_index("incident_id")["state"].to_dict()
    assert states == {incident_id(stopped.key): "resolved", incident_id(late.key): "reopened"}


# --- one cause, one incident ------------------------------------------------------------------------------


GROWS = [
    pytest.param(
        finding(kind="export_late", severity="warning", event=None),
        finding(kind="delivery_stopped", event=None),
        id="a-late-export-never-comes",
    ),
    pytest.param(
        finding(kind="export_late", severity="warning", event=None),
        finding(kind="export_incomplete", event=None),
        id="a-late-export-comes-in-part",
    ),
    pytest.param(finding(kind="delivery_loss"), finding(kind="delivery_stopped"), id="a-loss-becomes-a-stop"),
    pytest.param(
        finding(kind="unexplained"), finding(kind="delivery_loss"), id="what-nothing-explained-is-explained"
    ),
    pytest.param(
        finding(kind="volume_anomaly", source="web_app", destinations=()),
        finding(kind="event_stopped", source="web_app", destinations=("email",)),
        id="a-drop-becomes-a-stop",
    ),
    pytest.param(
        finding(kind="unplanned_event", severity="warning", source="web_app", event="new", destinations=()),
        finding(kind="event_renamed", source="web_app", event="old", renamed_to="new"),
        id="a-new-name-turns-out-to-be-a-rename",
    ),
]


@pytest.mark.parametrize(("early", "late"), GROWS)
def test_a_cause_that_grows_stays_one_incident_under_one_name(early: Finding, late: Finding) -> None:
    incidents, told = runs(diagnosis(early), diagnosis(late), diagnosis(late))
    assert told == [["opened"], ["worsened"], []]
    assert list(incidents["kind"]) == [late.kind]
    assert list(incidents["incident_id"]) == [incident_id(early.key)]


@pytest.mark.parametrize(("early", "late"), GROWS)
def test_names_are_the_same_before_and_after_the_run(early: Finding, late: Finding) -> None:
    before, _ = run(NONE, diagnosis(early))
    after, _ = run(before, diagnosis(late), 1)
    for table in (before, after):
        assert incident_ids(table, diagnosis(late)) == {late.key: incident_id(early.key)}


def test_two_causes_at_one_place_stay_two_incidents() -> None:
    late, stopped = finding(kind="export_late", event=None), finding(kind="delivery_stopped", event=None)
    incidents, told = runs(diagnosis(late), diagnosis(late, stopped))
    assert told == [["opened"], ["opened"]]
    assert sorted(incidents["kind"]) == ["delivery_stopped", "export_late"]


def test_a_stop_elsewhere_does_not_take_over_a_late_export() -> None:
    late = finding(kind="export_late", event=None)
    _, told = runs(
        diagnosis(late), diagnosis(finding(kind="delivery_stopped", event=None, destinations=("ads",)))
    )
    assert told == [["opened"], ["opened", "resolved"]]


def test_an_early_form_that_comes_back_beside_the_grown_one_is_told_under_it() -> None:
    late, stopped = finding(kind="export_late", event=None), finding(kind="delivery_stopped", event=None)
    incidents, told = runs(diagnosis(late), diagnosis(stopped), diagnosis(stopped, late))
    assert told == [["opened"], ["worsened"], []]
    assert list(incidents["kind"]) == ["delivery_stopped"]
    assert "export late" in incidents.iloc[0]["explanation"]


@pytest.mark.parametrize(("early", "late"), GROWS)
def test_a_suspicion_takes_nothing_over_until_it_is_beyond_doubt(early: Finding, late: Finding) -> None:
    maybe = replace(late, suspected=True)
    explained = replace(early, explained_by=late.key)
    incidents, told = runs(diagnosis(early), diagnosis(maybe, explained=(explained,)))
    assert told == [["opened"], []]
    assert set(zip(incidents["kind"], incidents["state"], strict=True)) == {
        (early.kind, "open"),
        (late.kind, "suspected"),
    }
    incidents, told = run(incidents, diagnosis(late, explained=(explained,)), 2)
    assert told == ["worsened"]
    row = incidents.set_index("incident_id").loc[incident_id(early.key)]
    assert (row["kind"], row["state"]) == (late.kind, "open")


# --- severity ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "critical", "severity"),
    [
        pytest.param({}, [], "error", id="as-the-cause-says"),
        pytest.param({}, ["Signup Completed"], "critical", id="hits-a-critical-event"),
        pytest.param({"severity": "warning"}, ["Signup Completed"], "error", id="one-step-and-no-more"),
        pytest.param({"severity": "critical"}, ["Signup Completed"], "critical", id="nothing-is-above"),
        pytest.param({"severity": "info"}, ["Signup Completed"], "info", id="info-stays-info"),
        pytest.param({"renamed_to": "new"}, ["new"], "critical", id="the-new-name-counts-too"),
        pytest.param({}, ["signup completed"], "error", id="another-spelling-is-another-event"),
        pytest.param(
            {"event": None, "evidence": {"events": {"Signup Completed": 3}}},
            ["Signup Completed"],
            "critical",
            id="among-those-of-the-destination",
        ),
        pytest.param({"event": None}, ["Signup Completed"], "error", id="not-among-them"),
        pytest.param(
            {"messages_affected": 10_000, "destinations": ("a", "b", "c")}, [], "critical", id="large"
        ),
        pytest.param(
            {"messages_affected": 9_999, "destinations": ("a", "b", "c")}, [], "error", id="not-large"
        ),
        pytest.param({"messages_affected": 10**6, "destinations": ("a", "b")}, [], "error", id="not-wide"),
        pytest.param(
            {"severity": "warning", "messages_affected": 10**6, "destinations": ("a", "b", "c")},
            [],
            "warning",
            id="size-alone-closes-no-gate",
        ),
    ],
)
def test_severity_comes_from_the_cause_and_from_what_hangs_on_it(
    change: dict[str, object], critical: list[str], severity: str
) -> None:
    assert severity_of(finding(**change), critical_events=critical) == severity


def test_a_suspicion_is_never_lifted() -> None:
    incidents, transitions, _, _ = reconcile_incidents(
        NONE, diagnosis(finding(suspected=True)), AS_OF, "r", critical_events=["Signup Completed"]
    )
    assert (list(incidents["severity"]), transitions) == (["info"], [])


# --- mutes ------------------------------------------------------------------------------------------------


def mute(last: date, **change: object) -> Mute:
    named = change or {"destination": "email"}
    return Mute(owner="@ann", reason="known", until=last, **named)


TODAY = AS_OF.date()


def test_a_muted_incident_is_kept_and_nobody_hears_of_it() -> None:
    quiet = [mute(TODAY + timedelta(days=30))]
    incidents, told = runs(
        diagnosis(finding()), diagnosis(finding(messages_affected=900)), diagnosis(), diagnosis(), mutes=quiet
    )
    assert told == [[], [], [], []]
    row = incidents.iloc[0]
    assert (row["status"], row["severity"], row["muted_by"]) == ("resolved", "error", "@ann")
    assert row["muted_until"].date() == TODAY + timedelta(days=30)


def test_when_a_mute_ends_what_is_still_open_is_told() -> None:
    there = diagnosis(finding())
    incidents, told = runs(there, there, there, there, mutes=[mute(TODAY + timedelta(days=1))])
    assert told == [[], [], ["opened"], []]
    assert pd.isna(incidents.iloc[0]["muted_until"])


def test_when_a_mute_ends_it_is_told_also_of_what_cannot_be_seen_any_more() -> None:
    incidents, _ = run(NONE, diagnosis(finding(started_on=day("1 Oct"))), 0, [mute(TODAY)])
    later = diagnosis(history_from=day("20 Oct"))
    incidents, told = run(incidents, later, 1)
    assert told == ["opened"]
    assert run(incidents, later, 2)[1] == []


def test_what_got_worse_under_a_mute_is_told_after_it() -> None:
    small, large = diagnosis(finding()), diagnosis(finding(messages_affected=900))
    incidents, _ = run(NONE, small)
    incidents, told = run(incidents, large, 1, [mute(TODAY + timedelta(days=1))])
    assert told == []
    assert run(incidents, large, 2)[1] == ["worsened"]


def test_a_mute_that_is_over_counts_for_nothing() -> None:
    assert run(NONE, diagnosis(finding()), 0, [mute(TODAY - timedelta(days=1))])[1] == ["opened"]


@pytest.mark.parametrize(
    ("named", "muted"),
    [
        ({"incident": incident_id(finding().key)}, True),
        ({"incident": "inc_000000000000"}, False),
        ({"kind": "delivery_loss"}, True),
        ({"kind": "unexplained"}, False),
        ({"event": "Signup Completed"}, True),
        ({"event": "signup completed"}, False),
        ({"destination": "email"}, True),
        ({"destination": "ads"}, False),
        ({"source": "web_app"}, False),
        ({"kind": "delivery_loss", "destination": "email"}, True),
        ({"kind": "delivery_loss", "destination": "ads"}, False),
    ],
)
def test_everything_that_a_mute_names_must_fit(named: dict[str, object], muted: bool) -> None:
    assert (run(NONE, diagnosis(finding()), 0, [mute(TODAY, **named)])[1] == []) is muted


def test_a_mute_of_one_destination_does_not_silence_what_hits_others_too() -> None:
    wide = finding(kind="event_renamed", source="web_app", renamed_to="x", destinations=("ads", "email"))
    assert run(NONE, diagnosis(wide), 0, [mute(TODAY, destination="email")])[1] == ["opened"]


def test_of_two_mutes_the_longer_is_shown() -> None:
    both = [mute(TODAY), mute(TODAY + timedelta(days=9), kind="delivery_loss")]
    incidents, _ = run(NONE, diagnosis(finding()), 0, both)
    assert incidents.iloc[0]["muted_until"].date() == TODAY + timedelta(days=9)


# --- any life at all --------------------------------------------------------------------------------------

SEEN = st.sampled_from(
    ["found", "worse", "over", "suspected", "info", "absent", "absorbed", "hinted", "blind"]
)
EARLY, LATE = (
    {"kind": "export_late", "event": None, "severity": "warning"},
    {"kind": "delivery_stopped", "event": None},
)


def _seen(what: str, shape: dict[str, object]) -> Diagnosis:
    shown: dict[str, dict[str, object]] = {
        "found": {},
        "worse": {"messages_affected": 5_000},
        "over": {"ended_on": day("3 Nov")},
        "suspected": {"suspected": True},
        "info": {"severity": "info"},
    }
    if what in shown:
        return diagnosis(finding(**shape | shown[what]))
    if what == "absorbed":
        return diagnosis(explained=(finding(**shape, explained_by=("event_renamed",)),))
    if what == "hinted":
        cause = finding(kind="name_mismatch", suspected=True)
        return diagnosis(cause, explained=(finding(**shape, explained_by=cause.key),))
    unread = frozenset({"email"}) if what == "blind" else frozenset()
    return diagnosis(unread_destinations=unread)


@settings(max_examples=80, deadline=None)
@given(
    st.lists(
        st.tuples(SEEN, st.booleans(), st.sampled_from([2, 24, 24, 24, 400]), st.sampled_from([0, 1, 2])),
        max_size=14,
    )
)
def test_in_any_life_each_notice_follows_a_change_and_a_run_told_twice_changes_nothing(
    life: list[tuple[str, bool, int, int]],
) -> None:
    incidents, heard, moment = NONE, {}, AS_OF
    for number, (what, muted, hours, form) in enumerate(life):
        moment += timedelta(hours=hours)
        found = _seen(what, [{}, EARLY, LATE][form])
        mutes = [mute(moment.date())] if muted else []
        again, changes, windows, _ = reconcile_incidents(
            incidents, found, moment, f"run-{number}", mutes=mutes
        )
        before = {} if incidents.empty else incidents.set_index("incident_id")["told"].to_dict()
        incidents = again
        rows = incidents.set_index("incident_id")
        assert rows.index.is_unique
        assert len({each.incident_id for each in changes}) == len(changes), "one notice an incident and run"
        for each in changes:
            row, last = rows.loc[each.incident_id], heard.get(each.incident_id)
            assert not muted or row["muted_by"] is None
            assert row["severity"] != "info" or each.transition == "resolved"
            assert each.transition != "opened" or last is None
            assert each.transition != "resolved" or last in ("opened", "worsened", "reopened")
            assert each.transition not in ("worsened", "reopened") or last is not None
            assert (row["status"] == "resolved") == (each.transition == "resolved")
            # An end under a mute, or told by another incident, is silent: the return says what was said before.
            assert each.transition == "reopened" or row["told"] != before.get(each.incident_id)
            heard[each.incident_id] = each.transition
        assert set(rows["state"]) <= {"suspected", "open", "recovering", "resolved", "reopened"}
        assert ((rows["state"] == "resolved") == (rows["status"] == "resolved")).all()
        assert (rows["severity"][rows["state"] == "suspected"] == "info").all()
        assert set(windows["incident_id"]) <= set(rows.index)
        twice, changes, windows_twice, _ = reconcile_incidents(
            incidents, found, moment, f"run-{number}", mutes=mutes
        )
        assert changes == []
        pd.testing.assert_frame_equal(twice, incidents)
        pd.testing.assert_frame_equal(windows_twice, windows)


# --- order and tables -------------------------------------------------------------------------------------


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


# --- what was over and strikes again ----------------------------------------------------------------------

ENDED = finding(ended_on=day("3 Nov"), windows=(("email", day("1 Nov")), ("email", day("3 Nov"))))


def test_a_relapse_before_the_damage_was_mended_is_told() -> None:
    again = finding(windows=(*ENDED.windows, ("email", day("8 Nov"))), messages_affected=130)
    incidents, told = runs(diagnosis(finding()), diagnosis(ENDED), diagnosis(again), diagnosis(again))
    assert told == [["opened"], [], ["reopened"], []]
    assert incidents.iloc[0]["state"] == "reopened"
    assert states(diagnosis(finding()), diagnosis(ENDED), diagnosis(again))[1] == ["recovering"]


@pytest.mark.parametrize("last", ["3 Nov", "4 Nov"])
def test_an_end_that_a_later_look_takes_back_is_no_relapse(last: str) -> None:
    longer = finding(windows=(*ENDED.windows, ("email", day(last))))
    _, told = runs(diagnosis(finding()), diagnosis(ENDED), diagnosis(longer))
    assert told == [["opened"], [], []]


def test_a_relapse_after_an_earlier_end_is_told_without_the_days_of_that_one() -> None:
    again = finding(windows=(*ENDED.windows, ("email", day("8 Nov"))))
    clean = diagnosis()
    incidents, told = runs(
        diagnosis(finding()), clean, clean, diagnosis(finding()), diagnosis(ENDED), diagnosis(again)
    )
    assert told == [["opened"], [], ["resolved"], ["reopened"], [], ["reopened"]]
    back = pd.Timestamp(AS_OF + timedelta(days=3))
    assert incidents.iloc[0]["reopened_at"] == back  # the day that the text tells beside the end
