"""The scorer goes red: finding nothing, or the wrong kind, place or day, or the same thing twice, costs."""

from __future__ import annotations

from dataclasses import fields
from datetime import date
from typing import Any

import pandas as pd
import pytest

from benchmarks.faults.bench import missing_links, run
from benchmarks.faults.draw import draw
from benchmarks.faults.plant import plant, with_changes
from benchmarks.faults.report import summary, table
from benchmarks.faults.score import Incident, belongings, score
from benchmarks.faults.truth import Truth
from dagster_project.core.diagnosis import Diagnosis, Evidence, Finding

DAY = date(2026, 5, 20)


def truth(**fields: Any) -> Truth:
    return Truth(
        **{
            "fault": 0,
            "cause": 1,
            "kind": "event_renamed",
            "variant": "same slug",
            "source": "web_app",
            "events": ("Order Completed",),
            "related": frozenset({"Order Completed", "order_completed"}),
            "renamed_to": "order_completed",
            "property": None,
            "identifier": None,
            "destinations": ("ads", "email"),
            "touched": frozenset({"ads", "email", "lake"}),
            "started_on": DAY,
            "started_by": fields.get("started_on", DAY),
            "ended_on": None,
            "affected": 500,
            "due_run": 3,
            "visible": True,
            "optional": False,
            "missing": {},
            **fields,
        }
    )


def incident(name: str = "one", **fields: Any) -> Incident:
    return Incident(
        **{
            "incident_id": name,
            "kind": "event_renamed",
            "severity": "critical",
            "source": "web_app",
            "event": "Order Completed",
            "renamed_to": "order_completed",
            "property": None,
            "identifier": None,
            "destinations": ("ads", "email"),
            "started_on": DAY,
            "ended_on": None,
            "messages": 500,
            "first_run": 3,
            "last_run": 9,
            **fields,
        }
    )


def loss(**fields: Any) -> Truth:
    return truth(
        **{
            "kind": "delivery_loss",
            "source": None,
            "events": ("Order Completed",),
            "related": frozenset({"Order Completed"}),
            "renamed_to": None,
            "destinations": ("ads",),
            "touched": frozenset({"ads"}),
            **fields,
        }
    )


def told_loss(name: str = "loss", **fields: Any) -> Incident:
    return incident(
        name,
        **{"kind": "delivery_loss", "source": None, "renamed_to": None, "destinations": ("ads",), **fields},
    )


def line_of(planted: Truth, *told: Incident) -> dict[str, Any]:
    return score([planted], told, {})[0][0]


def test_all_right() -> None:
    line = line_of(truth(), incident())
    assert (
        line["found"] and line["right_kind"] and line["right_place"] and line["right_day"] and line["in_time"]
    )
    assert line["told"] == 1


def test_nothing_told_is_nothing_found() -> None:
    line = line_of(truth())
    assert not any(line[mark] for mark in ("found", "right_kind", "right_place", "right_day", "in_time"))


def test_another_kind_is_found_and_not_right() -> None:
    line = line_of(truth(), incident(kind="event_stopped", renamed_to=None))
    assert line["found"] and not line["right_kind"] and not line["right_place"] and not line["in_time"]
    assert line["instead"] == ["event_stopped"]


@pytest.mark.parametrize(
    "wrong",
    [
        {"renamed_to": "something_else"},
        {"destinations": ("ads",)},
        {"destinations": ("ads", "email", "lake")},
        {"event": "order_completed", "renamed_to": "Order Completed"},
        {"property": "amount"},
    ],
)
def test_every_part_of_the_place_must_be_right(wrong: dict[str, Any]) -> None:
    line = line_of(truth(), incident(**wrong))
    assert line["right_kind"] and not line["right_place"]


@pytest.mark.parametrize(("day", "right"), [(19, True), (20, True), (21, True), (18, False), (22, False)])
def test_the_day_may_be_one_off(day: int, right: bool) -> None:
    assert line_of(truth(), incident(started_on=DAY.replace(day=day)))["right_day"] is right


def test_a_growing_loss_may_begin_until_it_can_be_seen() -> None:
    planted = loss(started_by=DAY.replace(day=24))
    assert line_of(planted, told_loss(started_on=DAY.replace(day=25)))["right_day"]
    assert not line_of(planted, told_loss(started_on=DAY.replace(day=26)))["right_day"]


def test_late_is_not_in_time() -> None:
    line = line_of(truth(), incident(first_run=5))
    assert line["right_kind"] and not line["in_time"] and line["delay"] == 2
    assert line_of(truth(), incident(first_run=1))["in_time"]


def test_the_same_cause_told_twice_counts_twice() -> None:
    other = incident("two", kind="unplanned_event", event="order_completed", renamed_to=None)
    line = line_of(truth(), incident(), other)
    assert line["told"] == 2


def test_an_effect_at_a_destination_belongs_to_its_cause() -> None:
    effect = told_loss("effect", destinations=("email",))
    lines, false = score([truth()], [incident(), effect], {})
    assert lines[0]["told"] == 2 and not false


@pytest.mark.parametrize(
    "elsewhere",
    [
        {"source": "ios_app"},
        {"event": "Cart Updated", "renamed_to": "cart_updated"},
        {"ended_on": DAY.replace(day=17), "started_on": DAY.replace(day=15)},
    ],
)
def test_what_touches_no_truth_is_false(elsewhere: dict[str, Any]) -> None:
    lines, false = score([truth()], [incident(**elsewhere)], {})
    assert not lines[0]["found"] and len(false) == 1


def test_what_was_there_before_is_not_about_a_truth_of_another_kind() -> None:
    old = incident(
        kind="property_violation", renamed_to=None, property="amount", started_on=DAY.replace(day=1)
    )
    _, false = score([truth()], [old], {})
    assert false == [old]


def test_an_incident_belongs_to_the_truth_of_its_kind() -> None:
    truths = [truth(), loss(destinations=("email",), touched=frozenset({"email"}))]
    told = [incident("rename"), told_loss("loss", destinations=("email",))]
    assert belongings(told, truths) == {"rename": 0, "loss": 1}


def test_what_nobody_could_see_counts_neither_way() -> None:
    lines, false = score([truth(visible=False)], [incident()], {})
    assert lines == [] and false == []
    lines, false = score([truth(optional=True)], [incident()], {})
    assert lines == [] and false == []


def test_missing_messages_count_when_the_right_incident_has_their_cell() -> None:
    cells = {("ads", "2026-05-20", "Order Completed"): 70, ("ads", "2026-05-21", "Order Completed"): 30}
    planted = loss(missing=cells)
    links = {("ads", "2026-05-20", "Order Completed"): "loss", ("ads", "2026-05-21", "Order Completed"): "x"}
    (line,), _ = score([planted], [told_loss()], links)
    assert (line["missing"], line["explained"]) == (100, 70)
    wrong = told_loss(kind="unexplained")
    (line,), _ = score([planted], [wrong], links)
    assert line["explained"] == 0


def test_links_of_other_differences_explain_nothing() -> None:
    links = pd.DataFrame(
        {
            "incident_id": ["a", "b"],
            "destination": ["ads", "ads"],
            "day": [pd.Timestamp(DAY), pd.Timestamp(DAY)],
            "source": [None, None],
            "event": ["E", "F"],
            "difference": ["missing", "duplicate"],
        }
    )
    assert missing_links(links) == {("ads", "2026-05-20", "E"): "a"}


def test_a_place_with_one_event_may_be_called_whole() -> None:
    assert line_of(loss(events=("Order Completed", None)), told_loss(event=None))["right_place"]
    assert not line_of(loss(), told_loss(event=None))["right_place"]


# --- whole runs, with diagnoses that are wrong on purpose ----------------------------------------------------


def planted_stop() -> Any:
    for seed in range(520, 560):
        world = with_changes(draw(seed, events=20, destinations=3, sources=2, runs=12))
        world = plant(world, ("event_stopped",))
        if world.faults:
            return world
    raise AssertionError("no world took a stop")


def diagnosis(evidence: Evidence, *findings: Finding) -> Diagnosis:
    # Whatever else a diagnosis hands on, the life of incidents reads these.
    others = {each.name: pd.DataFrame() for each in fields(Diagnosis)}
    return Diagnosis(
        **{
            **others,
            "findings": findings,
            "explained": (),
            "history_from": evidence.first_day,
            "last_day": evidence.last_day,
            "silent_sources": frozenset(),
            "unread_destinations": frozenset(),
        }
    )


def test_a_diagnosis_that_finds_nothing_scores_nothing() -> None:
    outcome = run(planted_stop(), clean=False, diagnosing=diagnosis)
    assert outcome.lines and not any(line["found"] for line in outcome.lines)
    assert not outcome.false


def test_a_diagnosis_that_knows_the_truth_scores_full() -> None:
    world = planted_stop()
    fault = world.faults[-1]
    assert fault.source and fault.event

    def knows(evidence: Evidence) -> Diagnosis:
        started = world.day(fault.start)
        if evidence.last_day < started:
            return diagnosis(evidence)
        return diagnosis(
            evidence,
            Finding(
                kind="event_stopped",
                severity="error",
                source=fault.source,
                event=fault.event,
                destinations=world.waiting(str(fault.source), str(fault.event)),
                started_on=started,
                messages_affected=100,
            ),
        )

    outcome = run(world, clean=False, diagnosing=knows)
    assert [line["kind"] for line in outcome.lines] == ["event_stopped"]
    (line,) = outcome.lines
    assert line["right_place"] and line["right_day"] and line["in_time"] and line["told"] == 1
    assert not outcome.false


def test_info_is_not_told() -> None:
    world = planted_stop()
    fault = world.faults[-1]

    def whispers(evidence: Evidence) -> Diagnosis:
        return diagnosis(
            evidence,
            Finding(
                kind="event_stopped",
                severity="info",
                source=fault.source,
                event=fault.event,
                started_on=world.day(fault.start),
            ),
        )

    outcome = run(world, clean=False, diagnosing=whispers)
    assert not any(line["found"] for line in outcome.lines)


def test_a_false_alarm_in_a_clean_world_is_counted() -> None:
    world = with_changes(draw(520, events=20, destinations=3, sources=2, runs=11))
    day = world.day(25)

    def cries(evidence: Evidence) -> Diagnosis:
        return diagnosis(
            evidence,
            Finding(kind="volume_anomaly", severity="warning", source="web_app", event="X", started_on=day),
        )

    outcome = run(world, clean=True, diagnosing=cries)
    assert [each.kind for each in outcome.false] == ["volume_anomaly"] and not outcome.lines


def test_the_table_says_what_was_scored() -> None:
    lines, _ = score([truth(), loss()], [incident()], {})
    seed = {
        "seed": 1,
        "clean": False,
        "weeks": 2.0,
        "lines": lines,
        "false": [],
        "seconds_per_diagnosis": 0.1,
        "slowest_diagnosis": 0.2,
    }
    quiet = {**seed, "clean": True, "lines": [], "false": [{"kind": "unexplained", "near": []}]}
    found = summary([seed, quiet])
    assert found["total"]["planted"] == 2 and found["total"]["right_kind"] == 1
    assert found["clean"]["false_per_week"] == 0.5
    text = table(found)
    assert "| event_renamed | 1 | 100% |" in text and "| delivery_loss | 1 | 0% |" in text
