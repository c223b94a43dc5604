"""Messages sent twice are told from growth by their twins, and from double clicks by the usual share of them."""

from __future__ import annotations

from datetime import date, timedelta

import numpy as np
import pytest
from diagnosed.world import World, day, shop

from dagster_project.core.diagnosis.doubles import duplicate_events
from dagster_project.core.diagnosis.finding import Claim, Claims, Finding
from dagster_project.core.diagnosis.volumes import volume_anomaly


def found_in(world: World, claims: Claims | None = None, **options: object) -> list[Finding]:
    return duplicate_events(world.evidence(**options), claims or Claims())


def clicked_twice(world: World, share: float, source: str | None = None) -> World:
    """Users click twice: a steady share of the messages has a twin."""
    dice = np.random.default_rng(11)
    for (name, event), counts in world.volume.items():
        if source in (None, name):
            twins(world, name, event, dice.binomial(counts, share))
    return world


def twins(world: World, source: str, event: str, counts: np.ndarray) -> None:
    for n in np.flatnonzero(counts):
        world.extra["twins"].append(
            {"day": world.days[n], "source": source, "event_text": event, "messages": int(counts[n])}
        )


def doubled(
    world: World,
    event: str,
    first: str,
    last: str | None = None,
    *,
    share: float = 1.0,
    source: str = "web_app",
) -> World:
    """The call of an event is made twice; each message has its own id."""
    counts = world.volume[source, event]
    days = slice(world.at(first), world.at(last) + 1 if last else None)
    more = np.zeros(len(counts), dtype=np.int64)
    more[days] = np.random.default_rng(3).binomial(counts[days], share)
    world.volume[source, event] = counts + more
    twins(world, source, event, more)
    return world


def test_an_event_that_is_sent_twice_is_an_error_where_somebody_counts_it() -> None:
    [found] = found_in(doubled(shop(), "Cart Updated", "2 Nov"))
    assert (found.kind, found.source, found.event, found.severity) == (
        "duplicate_events",
        "web_app",
        "Cart Updated",
        "error",
    )
    assert (found.started_on, found.ended_on) == (day("2 Nov"), None)
    assert found.destinations == ("analytics",)
    assert 1000 < found.messages_affected < 1600
    assert found.evidence["twin_share"] == pytest.approx(0.5, abs=0.01)


def test_a_part_that_is_sent_twice_is_found_above_the_usual_double_clicks() -> None:
    world = doubled(clicked_twice(shop(), 0.04), "Product Viewed", "29 Oct", share=0.4)
    [found] = found_in(world)
    assert (found.event, found.started_on) == ("Product Viewed", day("29 Oct"))
    assert found.evidence["usual_twin_share"] == pytest.approx(0.04, abs=0.01)


def test_it_ends_on_the_last_doubled_day() -> None:
    [found] = found_in(doubled(shop(), "Cart Updated", "28 Oct", "31 Oct"))
    assert (found.started_on, found.ended_on) == (day("28 Oct"), day("31 Oct"))


@pytest.mark.parametrize("share", [0.02, 0.10, 0.30])
def test_users_who_always_click_twice_are_no_incident(share: float) -> None:
    assert found_in(clicked_twice(shop(), share)) == []


def test_growth_without_twins_is_growth() -> None:
    world = clicked_twice(shop(), 0.03)
    counts = world.volume["web_app", "Cart Updated"]
    counts[world.at("2 Nov") :] *= 2
    assert found_in(world) == []


def test_growth_with_as_many_double_clicks_as_ever_is_growth() -> None:
    world = shop()
    world.volume["web_app", "Cart Updated"][world.at("2 Nov") :] *= 2
    assert found_in(clicked_twice(world, 0.05)) == []


def test_twins_that_add_no_messages_are_no_second_call() -> None:
    # A client that sends in batches: the same messages as ever, only closer together.
    world = shop()
    counts = world.volume["web_app", "Product Viewed"].copy()
    counts[: world.at("2 Nov")] = 0
    twins(world, "web_app", "Product Viewed", (counts * 0.4).astype(np.int64))
    assert found_in(world) == []


def test_a_source_that_sends_everything_twice_is_one_incident() -> None:
    world = shop()
    for source, event in list(world.volume):
        if source == "web_app":
            doubled(world, event, "30 Oct")
    [found] = found_in(world)
    assert (found.source, found.event, found.started_on) == ("web_app", None, day("30 Oct"))
    assert found.destinations == ("ads", "analytics", "email")
    assert sorted(found.evidence["events"]) == [
        "Cart Updated",
        "Product Viewed",
        "Purchase Completed",
        "Signup Completed",
    ]


def test_one_event_in_four_is_not_the_source() -> None:
    found = found_in(doubled(doubled(shop(), "Cart Updated", "30 Oct"), "Signup Completed", "3 Nov"))
    assert sorted((f.event, f.started_on) for f in found) == [
        ("Cart Updated", day("30 Oct")),
        ("Signup Completed", day("3 Nov")),
    ]


def test_what_was_sent_twice_from_the_first_day_on_is_told_too() -> None:
    world = shop()
    [found] = found_in(doubled(world, "Cart Updated", "28 Sep"))
    assert (found.started_on, found.evidence["since_history_begins"]) == (world.first, True)


def test_a_doubling_that_lasts_for_weeks_does_not_become_usual() -> None:
    [found] = found_in(doubled(shop(), "Cart Updated", "10 Oct"))
    assert (found.started_on, found.ended_on) == (day("10 Oct"), None)


def test_a_handful_of_twins_is_nothing() -> None:
    world = shop().sends("web_app", "Rare", 5)
    twins(world, "web_app", "Rare", np.minimum(world.volume["web_app", "Rare"], 3))
    assert found_in(world) == []


def test_the_spike_that_it_makes_is_explained_by_it() -> None:
    world = doubled(shop(), "Cart Updated", "2 Nov")
    world.volume["web_app", "Cart Updated"][world.at("2 Nov") :] += 40
    claims = Claims(found_in(world))
    told = [f for f in volume_anomaly(world.evidence(), claims) if f.explained_by is None]
    assert told == []


def test_a_silent_source_explains_it() -> None:
    world = doubled(shop(), "Cart Updated", "2 Nov")
    cause = Finding(
        kind="source_stopped",
        severity="critical",
        source="web_app",
        started_on=day("2 Nov"),
        claims=(Claim(day("1 Nov"), date.max, source="web_app"),),
    )
    assert [f.explained_by for f in found_in(world, Claims([cause]))] == [cause.key]


@pytest.mark.parametrize("days", [1, 2, 5, 9])
def test_a_short_history_does_no_harm(days: int) -> None:
    world = doubled(clicked_twice(shop(), 0.05), "Cart Updated", "2 Nov")
    for found in found_in(world, history_from=world.last - timedelta(days=days - 1)):
        assert found.event == "Cart Updated"


def test_40_healthy_shops_have_no_doubles() -> None:
    for seed in range(40):
        assert found_in(clicked_twice(shop(seed), 0.02 * (seed % 6))) == []
