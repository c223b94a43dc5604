"""Silence is told of the narrowest thing that is silent, and only when it is not usual."""

from __future__ import annotations

from datetime import date, datetime, timedelta

import numpy as np
import pytest
from diagnosed.world import World, day, shop

from dagster_project.core.diagnosis.finding import Claim, Claims, Finding
from dagster_project.core.diagnosis.volumes import event_stopped, source_stopped, volume_anomaly


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
            lambda w: w.sends("web_app", "Rare", 2).stops("web_app", "Rare", "5 Nov"), id="a-small-event"
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


# --- stops ------------------------------------------------------------------------------------------------


def test_a_small_event_takes_more_silent_days_to_have_stopped() -> None:
    world = shop().sends("web_app", "Rare", 6).stops("web_app", "Rare", "7 Nov")
    assert world.findings() == []
    world = shop().sends("web_app", "Rare", 6).stops("web_app", "Rare", "3 Nov")
    assert world.only("event_stopped").started_on == day("3 Nov")


@pytest.mark.parametrize("length", [2, 5, 12])
def test_an_outage_of_any_length_before_it_hides_no_stop_and_moves_no_start(length: int) -> None:
    world = shop()
    end = world.at("2 Nov")
    world.volume["web_app", "Cart Updated"][end - length : end] = 0
    found = world.stops("web_app", "Cart Updated", "6 Nov").only("event_stopped")
    assert (found.started_on, found.ended_on) == (day("6 Nov"), None)
    assert len(found.evidence["earlier"]) == 1


def test_a_stop_that_is_over_has_an_end() -> None:
    world = shop()
    world.volume["web_app", "Cart Updated"][world.at("27 Oct") : world.at("31 Oct")] = 0
    found = world.only("event_stopped")
    assert (found.started_on, found.ended_on) == (day("27 Oct"), day("30 Oct"))
    assert 600 < found.messages_affected < 1000


def test_what_old_app_versions_still_send_is_silence() -> None:
    world = shop()
    counts = world.volume["web_app", "Product Viewed"]
    start = world.at("29 Oct")
    counts[start:] = counts[start:] // 90
    found = world.only("event_stopped")
    assert found.started_on == day("29 Oct") and found.evidence["stragglers"] > 50


def test_the_half_day_on_which_an_event_stopped_is_its_first_day() -> None:
    world = shop().stops("web_app", "Product Viewed", "3 Nov")
    world.volume["web_app", "Product Viewed"][world.at("2 Nov")] //= 3
    assert world.only("event_stopped").started_on == day("2 Nov")


def test_an_event_of_a_few_wild_days_a_month_has_not_stopped() -> None:
    world = shop().sends("web_app", "Invoices Run", 0.0)
    world.volume["web_app", "Invoices Run"][[2, 9, 13, 22, 30]] = 400
    assert world.findings() == []
    assert volume_anomaly(world.evidence(), Claims()) == []


def test_a_whole_day_without_a_message_is_a_stop_of_the_source_though_it_sends_again() -> None:
    world = shop().sends("web_app", "Help Opened", 60)
    for (source, _), counts in world.volume.items():
        if source == "web_app":
            counts[world.at("28 Oct") : world.at("30 Oct")] = 0
    found = source_stopped(world.evidence(), Claims())
    assert [(f.source, f.event, f.started_on, f.ended_on) for f in found] == [
        ("web_app", None, day("28 Oct"), day("29 Oct"))
    ]
    assert 2500 < found[0].messages_affected < 3800
    claims = Claims(found)
    assert [f for f in event_stopped(world.evidence(), claims) if f.explained_by is None] == []
    assert volume_anomaly(world.evidence(), claims) == []


# --- drops and spikes -------------------------------------------------------------------------------------


def wide(seed: int = 7) -> World:
    """The shop with a source of twelve events, so that traffic can be told from an event."""
    world = shop(seed)
    for n in range(8):
        world.sends("web_app", f"Button {n} Clicked", 60 * (n + 1))
    return world


def anomalies(world: World, claims: Claims | None = None) -> list[Finding]:
    return volume_anomaly(world.evidence(), claims or Claims())


def multiply(world: World, event: str, factor: float, first: str, last: str | None = None) -> World:
    counts = world.volume["web_app", event]
    days = slice(world.at(first), world.at(last) + 1 if last else None)
    counts[days] = np.rint(counts[days] * factor)
    return world


def test_a_healthy_shop_has_no_anomaly() -> None:
    for seed in range(12):
        assert anomalies(wide(seed)) == []


def test_a_drop_that_lasts_is_one_open_warning() -> None:
    [found] = anomalies(multiply(wide(), "Product Viewed", 0.4, "30 Oct"))
    assert (found.kind, found.source, found.event) == ("volume_anomaly", "web_app", "Product Viewed")
    assert (found.severity, found.suspected) == ("warning", False)
    assert (found.started_on, found.ended_on) == (day("30 Oct"), None)
    assert found.destinations == ("analytics",)
    assert found.evidence["direction"] == "drop"
    assert found.evidence["ratio"] == pytest.approx(0.4, abs=0.06)
    # Of about 900 on working days and 630 at the weekend 60% did not come.
    assert 4200 < found.messages_affected < 5600


def test_a_spike_of_two_days_ends() -> None:
    [found] = anomalies(multiply(wide(), "Cart Updated", 4, "2 Nov", "3 Nov"))
    assert (found.evidence["direction"], found.started_on, found.ended_on) == (
        "spike",
        day("2 Nov"),
        day("3 Nov"),
    )
    assert 900 < found.messages_affected < 1500


def test_a_spike_of_weeks_ago_is_no_news() -> None:
    assert anomalies(multiply(wide(), "Cart Updated", 4, "15 Oct", "16 Oct")) == []


@pytest.mark.parametrize("factor", [0.7, 1.6])
def test_a_change_without_size_is_not_told_however_sure(factor: float) -> None:
    assert anomalies(multiply(wide(), "Product Viewed", factor, "30 Oct")) == []


def test_a_change_of_a_handful_of_messages_is_not_told() -> None:
    world = wide().sends("web_app", "Rare", 4)
    world.volume["web_app", "Rare"][-2:] = 14
    assert anomalies(world) == []


@pytest.mark.parametrize("factor", [3.0, 0.45])
def test_a_campaign_or_a_holiday_of_the_source_is_nobodys_incident(factor: float) -> None:
    world = wide()
    for (source, event), _ in list(world.volume.items()):
        if source == "web_app":
            multiply(world, event, factor, "4 Nov", "6 Nov")
    assert anomalies(world) == []


def test_a_source_that_hardly_sends_anything_for_a_day_is_one_incident_of_the_source() -> None:
    world = wide()
    for (source, event), _ in list(world.volume.items()):
        if source == "web_app":
            multiply(world, event, 0.1, "4 Nov", "4 Nov")
    [found] = anomalies(world)
    assert (found.source, found.event) == ("web_app", None)
    assert (found.started_on, found.ended_on) == (day("4 Nov"), day("4 Nov"))
    assert found.destinations == ("ads", "analytics", "email", "lake")


def test_several_events_that_fall_on_one_day_are_one_incident() -> None:
    world = wide()
    fallen = [f"Button {n} Clicked" for n in range(3, 8)]
    for event in fallen:
        multiply(world, event, 0.3, "3 Nov")
    [found] = anomalies(world)
    assert (found.source, found.event, found.started_on) == ("web_app", None, day("3 Nov"))
    assert found.evidence["events"] == fallen


def test_a_launch_that_grows_is_no_spike_and_one_that_settles_is_no_drop() -> None:
    for volumes in (np.linspace(20, 4000, 14), np.geomspace(4000, 100, 14)):
        world = wide().sends("web_app", "New Thing", 0.0)
        world.volume["web_app", "New Thing"][-14:] = volumes.astype(int)
        assert anomalies(world) == []


@pytest.mark.parametrize("planned", [True, False])
def test_only_names_that_somebody_counts_on_are_judged(planned: bool) -> None:
    world = wide().sends("web_app", "debug ping", 300, planned=planned)
    assert bool(anomalies(multiply(world, "debug ping", 5, "5 Nov"))) is planned


def test_what_another_finding_accounts_for_is_not_told_again() -> None:
    world = multiply(wide(), "Product Viewed", 0.3, "30 Oct")
    cause = Finding(
        kind="event_renamed",
        severity="error",
        source="web_app",
        event="Product Viewed",
        renamed_to="Item Viewed",
        started_on=day("30 Oct"),
        claims=(Claim(day("29 Oct"), date.max, source="web_app", event="Product Viewed"),),
    )
    assert [f.explained_by for f in anomalies(world, Claims([cause]))] == [cause.key]


def test_an_odd_last_day_is_suspected_and_an_odd_day_of_last_week_forgotten() -> None:
    # On 8 November 20 of about 42 came: seldom, but not beyond doubt.
    world = wide().sends("web_app", "Small", 60)
    world.volume["web_app", "Small"][-1] = 17
    told = anomalies(world)
    assert [(f.event, f.suspected) for f in told] == [("Small", True)]
    world.volume["web_app", "Small"][-1] = 42
    world.volume["web_app", "Small"][-5] = 27
    assert anomalies(world) == []


def test_a_fall_of_one_app_version_says_so() -> None:
    world = multiply(wide(), "Product Viewed", 0.35, "30 Oct")
    for n, today in enumerate(world.days):
        total = int(world.volume["web_app", "Product Viewed"][n])
        late = n >= world.at("30 Oct")
        parts = {"3.1.0": total if late else round(0.35 * total), "3.2.0": 0 if late else round(0.65 * total)}
        world.extra["versions"] += [
            {
                "day": today,
                "source": "web_app",
                "event_text": "Product Viewed",
                "app_version": version,
                "messages": messages,
            }
            for version, messages in parts.items()
            if messages
        ]
    [found] = anomalies(world)
    assert found.evidence["app_versions_silent"] == ["3.2.0"]


def test_a_roll_out_is_no_fall_of_a_version() -> None:
    world = multiply(wide(), "Product Viewed", 0.35, "30 Oct")
    for n, today in enumerate(world.days):
        version = "3.2.0" if n >= world.at("30 Oct") else "3.1.0"
        world.extra["versions"].append(
            {
                "day": today,
                "source": "web_app",
                "event_text": "Product Viewed",
                "app_version": version,
                "messages": int(world.volume["web_app", "Product Viewed"][n]),
            }
        )
    [found] = anomalies(world)
    assert "app_versions_silent" not in found.evidence


def test_a_stop_is_not_also_a_drop() -> None:
    world = wide().stops("web_app", "Product Viewed", "3 Nov")
    assert anomalies(world, Claims(world.findings("event_stopped"))) == []


def test_two_weeks_of_history_suffice_for_a_drop_and_one_week_does_not() -> None:
    world = multiply(wide(), "Product Viewed", 0.3, "5 Nov")
    found = {
        days: volume_anomaly(world.evidence(history_from=world.last - timedelta(days=days - 1)), Claims())
        for days in (4, 7, 14)
    }
    assert (found[4], found[7]) == ([], [])
    assert [f.started_on for f in found[14]] == [day("5 Nov")]


def test_a_small_rise_that_is_over_is_not_dug_up() -> None:
    world = wide().sends("web_app", "Small", 14, weekend=1.0)
    world.volume["web_app", "Small"][-5:-3] = 36
    assert anomalies(world) == []
    world.volume["web_app", "Small"][-5:] = 36
    assert [(f.event, f.ended_on) for f in anomalies(world)] == [("Small", None)]
