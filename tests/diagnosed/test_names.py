"""Names nobody planned, and names nobody sends, are told with what they may have been meant to be."""

from __future__ import annotations

import numpy as np
from diagnosed.world import World, day, shop

from dagster_project.core.contracts import Source


def junk(per_day: int, first: str, last: str | None = None, name: str = "qa button") -> World:
    world = shop()
    counts = np.zeros(len(world.days), dtype=np.int64)
    counts[world.at(first) : world.at(last) + 1 if last else None] = per_day
    world.volume["web_app", name] = counts
    return world


def test_an_unplanned_name_is_a_warning_for_who_takes_every_name() -> None:
    found = junk(30, "18 Oct").only("unplanned_event")
    assert (found.source, found.event, found.severity) == ("web_app", "qa button", "warning")
    assert (found.started_on, found.ended_on) == (day("18 Oct"), None)
    assert found.messages_affected == 30 * 22
    assert found.destinations == ("lake",)


def test_few_messages_over_many_days_add_up() -> None:
    assert junk(3, "18 Oct").only("unplanned_event").messages_affected == 66


def test_a_handful_is_only_noted_and_less_is_not_worth_it() -> None:
    assert [(f.kind, f.severity) for f in junk(1, "1 Nov").findings()] == [("unplanned_event", "info")]
    assert junk(1, "5 Nov").findings() == []


def test_an_unplanned_name_that_is_gone_has_an_end() -> None:
    assert junk(30, "18 Oct", "25 Oct").only("unplanned_event").ended_on == day("25 Oct")


def test_nothing_is_unplanned_where_the_frame_says_planned() -> None:
    world = junk(30, "18 Oct")
    world.planned["web_app"].add("qa button")
    assert world.findings() == []


def test_names_made_of_ids_are_one_incident() -> None:
    world = shop()
    for n in range(40):
        counts = np.zeros(len(world.days), dtype=np.int64)
        counts[-10:] = 2
        world.volume["web_app", f"order {1000 + n} opened"] = counts
    found = world.only("unplanned_event")
    assert found.event is None
    assert found.evidence["patterns"] == {"order # opened": 40}
    assert found.messages_affected == 800


def test_a_flood_of_small_names_is_kept_small() -> None:
    world = shop()
    letters = "abcdefghijklmnopqrstuvwxyz"
    for one in letters:
        for two in letters:
            counts = np.zeros(len(world.days), dtype=np.int64)
            counts[-3:] = 2
            world.volume["web_app", f"click {one}{two}"] = counts
    assert len(world.findings()) <= 100


def test_a_name_nobody_sends_is_a_warning() -> None:
    found = shop().holds("email", "Loyalty Card Scanned", 30, "1 Nov").only("name_mismatch")
    assert (found.event, found.destinations, found.severity) == (
        "Loyalty Card Scanned",
        ("email",),
        "warning",
    )
    assert (found.started_on, found.ended_on, found.messages_affected) == (day("1 Nov"), None, 240)
    assert found.claims == ()


def test_fewer_than_twenty_deliveries_of_a_name_are_not_told() -> None:
    assert shop().holds("email", "Loyalty Card Scanned", 2, "1 Nov").findings() == []


def test_a_misspelt_name_explains_what_is_missing_under_the_right_one() -> None:
    world = shop()
    per_day = int(world.volume["web_app", "Signup Completed"][-8:].mean())
    world.holds("email", "Signup Complete", per_day, "1 Nov")
    world.fault("email", "Signup Completed", "1 Nov", "8 Nov", missing=1.0)
    found = world.only("name_mismatch")
    assert found.severity == "error"
    assert found.evidence["closest_expected"] == "Signup Completed"
    assert found.evidence["counts_agree"] is True
    assert set(found.links["event"]) == {"Signup Completed"}
    assert len(found.links) == 8


def test_a_name_without_likeness_is_paired_by_day_and_number() -> None:
    world = shop()
    for n in range(world.at("1 Nov"), len(world.days)):
        world.extra["delivery_names"].append(
            {
                "day": world.days[n],
                "destination": "email",
                "event_name": "Conversion 7",
                "deliveries": int(world.volume["web_app", "Signup Completed"][n]),
                "routable": False,
                "event": None,
            }
        )
    world.fault("email", "Signup Completed", "1 Nov", "8 Nov", missing=1.0)
    assert world.only("name_mismatch").evidence["closest_expected"] == "Signup Completed"


def test_a_like_name_whose_number_does_not_agree_explains_nothing() -> None:
    world = shop().holds("email", "Signup Complete", 5, "1 Nov")
    world.fault("email", "Signup Completed", "1 Nov", "8 Nov", missing=1.0)
    assert {f.kind for f in world.findings()} == {"name_mismatch", "delivery_stopped"}


def test_a_name_that_an_unplanned_event_brings_along_is_explained_by_it() -> None:
    world = junk(30, "18 Oct").holds("email", "qa button", 30, "18 Oct")
    assert any("is held" in text for text in world.only("unplanned_event").explains)


def test_a_name_from_a_source_that_does_not_feed_the_destination_is_its_own_incident() -> None:
    world = junk(30, "18 Oct").holds("desk", "qa button", 30, "18 Oct")
    world.sources["other"] = None
    world.feeds("desk", ["ios_app"], ["Trial Started"])
    assert {f.kind for f in world.findings()} == {"unplanned_event", "name_mismatch"}
    assert isinstance(world.workspace().source("other"), Source)
