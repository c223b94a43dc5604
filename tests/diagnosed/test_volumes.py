"""Silence is told of the narrowest thing that is silent, and only when it is not usual."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest
from diagnosed.world import World, day, shop


def test_a_planned_event_that_stops_is_an_error_where_somebody_waits_for_it() -> None:
    world = shop().stops("web_app", "Cart Updated", "2 Nov")
    found = world.only("event_stopped")
    assert (found.source, found.event, found.severity) == ("web_app", "Cart Updated", "error")
    assert (found.started_on, found.ended_on) == (day("2 Nov"), None)
    assert found.destinations == ("analytics",)  # the lake takes what comes, and waits for nothing
    # About 200 on each of five weekdays and 140 on two days of the weekend.
    assert 1000 < found.messages_affected < 1500
    assert found.evidence["messages_are_estimated"] is True


def test_a_stop_of_an_event_that_nobody_takes_is_a_warning() -> None:
    world = World().sends("web", "Alpha", 100).sends("web", "Beta", 100).feeds("email", ["web"], ["Beta"])
    assert world.stops("web", "Alpha", "5 Nov").only("event_stopped").severity == "warning"


def test_a_stop_is_found_again_shortly_after_an_outage() -> None:
    world = shop()
    world.volume["web_app", "Cart Updated"][world.at("30 Oct") : world.at("2 Nov")] = 0
    assert world.stops("web_app", "Cart Updated", "5 Nov").only("event_stopped").started_on == day("5 Nov")


def test_an_event_of_working_days_may_be_silent_at_the_weekend() -> None:
    # History ends on Sunday 8 November.
    assert shop().sends("web_app", "Invoice Sent", 100, weekend=0).findings() == []


def test_an_event_of_working_days_that_stops_is_told_from_its_first_working_day_on() -> None:
    world = shop().sends("web_app", "Invoice Sent", 100, weekend=0).stops("web_app", "Invoice Sent", "6 Nov")
    assert world.only("event_stopped").started_on == day("6 Nov")
    world = shop().sends("web_app", "Invoice Sent", 100, weekend=0).stops("web_app", "Invoice Sent", "7 Nov")
    assert world.findings() == []


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(
            lambda w: w.sends("web_app", "Rare", 8).stops("web_app", "Rare", "5 Nov"), id="a-small-event"
        ),
        pytest.param(
            lambda w: w.sends("web_app", "Fair", 90, since="20 Oct", until="24 Oct"), id="a-campaign"
        ),
        pytest.param(lambda w: w.sends("web_app", "Retired", 90, until="2 Oct"), id="gone-after-a-few-days"),
    ],
)
def test_silence_that_is_no_habit_broken_is_not_told(change) -> None:
    assert change(shop()).findings() == []


def test_junk_that_goes_away_is_not_missed() -> None:
    world = shop().sends("web_app", "junk", 40, planned=False, until="1 Nov")
    assert world.only("unplanned_event").ended_on == day("1 Nov")


def test_a_straggler_does_not_hide_a_stop() -> None:
    world = shop().stops("web_app", "Product Viewed", "2 Nov")
    world.volume["web_app", "Product Viewed"][world.at("5 Nov")] = 3
    assert world.only("event_stopped").started_on == day("2 Nov")


def test_a_day_that_has_not_landed_is_not_a_stop() -> None:
    world = shop()
    for (source, _), counts in world.volume.items():
        if source == "web_app":
            counts[-1] //= 3
    world.volume["web_app", "Cart Updated"][-1] = 0  # its share of the day comes in the evening
    world.health["web_app"] = {"last_received_at": datetime(2026, 11, 8, 14)}
    assert world.findings() == []


def test_a_silent_source_is_one_critical_incident_that_explains_its_events() -> None:
    world = shop().source_silent("web_app", datetime(2026, 11, 5, 14))
    found = world.only("source_stopped")
    assert (found.source, found.event, found.severity) == ("web_app", None, "critical")
    assert found.started_on == day("5 Nov")
    assert found.destinations == ("ads", "analytics", "email", "lake")
    assert 4000 < found.messages_affected < 6000
    assert ("email", day("8 Nov")) in found.windows


def test_a_source_silent_since_just_before_midnight_began_the_next_day() -> None:
    world = shop().source_silent("web_app", datetime(2026, 11, 5, 23, 30))
    assert world.only("source_stopped").started_on == day("6 Nov")


def test_a_source_that_cannot_be_read_is_told_with_its_problem() -> None:
    world = shop().source_broken("ios_app", "table ios_production.tracks does not exist")
    found = world.only("source_stopped")
    assert found.source == "ios_app"
    assert found.evidence["problem"] == "table ios_production.tracks does not exist"


def test_deliveries_of_a_silent_source_are_not_told_as_unexplained() -> None:
    world = shop().source_silent("web_app", datetime(2026, 11, 5, 14))
    for name in ("email", "analytics", "lake"):
        world.fault(name, "Signup Completed", "1 Nov", "4 Nov")
    world.extra["cells"] += [
        {
            "day": day(when),
            "destination": "analytics",
            "event": "Product Viewed",
            "expected": 0,
            "delivered": 0,
            "missing": 0,
            "pending": 0,
            "duplicates": 0,
            "unexpected": 900,
            "matched_by": "message_id",
            "mature": True,
            "exported": True,
        }
        for when in ("6 Nov", "7 Nov", "8 Nov")
    ]
    world.only("source_stopped")


@pytest.mark.parametrize(
    ("declared", "hours", "told"),
    [(None, 20, False), (None, 40, True), (12, 20, True), (72, 40, False)],
)
def test_freshness_is_what_the_contract_declares_or_a_day(
    declared: int | None, hours: int, told: bool
) -> None:
    world = shop()
    world.sources["web_app"] = timedelta(hours=declared) if declared else None
    world.health["web_app"] = {"last_received_at": world.as_of - timedelta(hours=hours)}
    assert bool(world.findings("source_stopped")) is told


def test_a_source_that_sleeps_at_the_weekend_is_not_silent_on_monday_morning() -> None:
    world = World(as_of=datetime(2026, 11, 9, 1)).sends("office", "Invoice Sent", 100, weekend=0)
    world.health["office"] = {"last_received_at": datetime(2026, 11, 6, 23)}
    assert world.findings() == []


def test_an_event_that_stopped_before_its_source_did_keeps_its_own_incident() -> None:
    world = (
        shop().stops("web_app", "Cart Updated", "28 Oct").source_silent("web_app", datetime(2026, 11, 5, 14))
    )
    told = {(f.kind, f.event): f.started_on for f in world.findings()}
    assert told == {("source_stopped", None): day("5 Nov"), ("event_stopped", "Cart Updated"): day("28 Oct")}


def test_where_nobody_names_an_event_those_that_take_every_name_are_hit() -> None:
    world = World().sends("web", "Alpha", 100).sends("web", "Beta", 100).feeds("lake", ["web"], None)
    found = world.stops("web", "Alpha", "5 Nov").only("event_stopped")
    assert (found.destinations, found.severity) == (("lake",), "error")


def test_a_source_of_which_nothing_is_known_began_no_earlier_than_the_data() -> None:
    world = shop().source_broken("tv", "schema tv does not exist")
    world.sources["tv"] = None
    assert world.diagnosis(history_from=day("1 Jan")).findings[0].started_on == day("28 Sep")


def test_the_last_day_counted_of_a_source_that_cannot_be_read_may_be_half_a_day() -> None:
    world = shop().source_broken("ios_app", "table ios_production.tracks does not exist")
    found = world.only("source_stopped")
    assert found.started_on == world.days[-1]
    assert ("email", world.days[-1]) in found.windows
