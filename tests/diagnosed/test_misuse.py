"""Track and identify calls used wrongly are told with the fix in words, and never with a value."""

from __future__ import annotations

import numpy as np
import pytest
from diagnosed.world import World, day, shop

from dagster_project.core.diagnosis import Finding
from dagster_project.core.wording import explanation, suggestion, title

TODAY = day("9 Nov")


def ids(world: World, source: str, event: str, identifier: str = "user_id", **shapes: object) -> World:
    """Ids of a call by shape: a number a day, or a list of (first day, number a day)."""
    for shape, amount in shapes.items():
        steps = amount if isinstance(amount, list) else [("28 Sep", amount)]
        for (first, per_day), following in zip(steps, [*steps[1:], (None, 0)], strict=True):
            last = world.at(following[0]) if following[0] else len(world.days)
            for n in range(world.at(first), last):
                world.extra["identifier_shapes"].append(
                    {
                        "day": world.days[n],
                        "source": source,
                        "event": event,
                        "identifier": identifier,
                        "shape": shape,
                        "messages": per_day if per_day < 10 else int(world.random.poisson(per_day)),
                    }
                )
    return world


def fills(world: World, source: str, event: str, name: str, per_day: int, since: str = "28 Sep") -> World:
    for n in range(world.at(since), len(world.days)):
        world.extra["fill"].append(
            {
                "day": world.days[n],
                "source": source,
                "event_text": event,
                "property": name,
                "filled": per_day,
                "messages": per_day,
            }
        )
    return world


def told(finding: Finding) -> str:
    return "\n".join([title(finding, TODAY), explanation(finding, TODAY), suggestion(finding, TODAY)])


# --- calls without an id ------------------------------------------------------------------------------------


def test_identify_calls_that_lose_their_user_id_are_told_from_the_day_they_do() -> None:
    world = ids(
        shop(), "web_app", "(identify)", uuid=[("28 Sep", 200), ("28 Oct", 120)], null=[("28 Oct", 80)]
    )
    found = world.only("identifier_format")
    assert (found.source, found.event, found.identifier) == ("web_app", "(identify)", "user_id")
    assert (found.started_on, found.severity, found.destinations) == (day("28 Oct"), "warning", ())
    assert 0.35 < found.evidence["share"] < 0.45
    assert "of the identify calls of web_app have no user_id, since 28 Oct" in title(found, TODAY)
    assert "Call identify in web_app once the person is known" in suggestion(found, TODAY)


def test_identify_calls_of_visitors_that_always_were_anonymous_are_only_kept() -> None:
    world = ids(shop(), "web_app", "(identify)", uuid=100, null=100)
    assert [f.severity for f in world.findings()] == ["info"]


def test_a_word_in_the_place_of_an_id_is_told_however_old_it_is() -> None:
    world = ids(shop(), "web_app", "(identify)", uuid=100, placeholder=20)
    found = world.only("identifier_format")
    assert 'words such as "undefined"' in explanation(found, TODAY)
    assert "makes one person of everybody" in suggestion(found, TODAY)


def test_group_calls_without_a_group_are_told() -> None:
    world = ids(shop(), "web_app", "(group)", "group_id", other=50, null=10, empty=5)
    found = world.only("identifier_format")
    assert (found.event, found.identifier) == ("(group)", "group_id")
    assert "joins nobody to an account" in suggestion(found, TODAY)


# --- ids of another form ------------------------------------------------------------------------------------


def test_user_ids_that_change_their_form_are_told_with_both_forms() -> None:
    world = ids(
        shop(), "web_app", "Product Viewed", uuid=[("28 Sep", 300), ("30 Oct", 10)], integer=[("30 Oct", 290)]
    )
    found = world.only("identifier_format")
    assert (found.event, found.started_on) == (None, day("30 Oct"))
    assert title(found, TODAY) == "web_app sends numbers as user_id since 30 Oct, where it sent uuids"
    assert "Each person has two profiles from then on" in suggestion(found, TODAY)


def test_the_same_change_on_track_and_identify_is_one_incident() -> None:
    world = shop()
    for event in ("Product Viewed", "(identify)"):
        ids(world, "web_app", event, uuid=[("28 Sep", 300), ("30 Oct", 0)], integer=[("30 Oct", 300)])
    assert world.only("identifier_format").event is None


def test_e_mail_addresses_that_come_as_ids_are_told_and_none_is_shown() -> None:
    world = ids(shop(), "web_app", "Product Viewed", uuid=300, email=[("30 Oct", 60)])
    found = world.only("identifier_format")
    assert "e-mail addresses as user_id since 30 Oct" in title(found, TODAY)
    assert "as the trait `email` of identify" in suggestion(found, TODAY)
    assert "@" not in told(found)


def test_a_source_whose_ids_always_were_e_mail_addresses_is_kept_and_not_told() -> None:
    world = ids(shop(), "web_app", "Product Viewed", email=300, uuid=20)
    (found,) = world.findings()
    assert (found.severity, found.evidence["misuse"]) == ("info", "email_as_id")


def test_what_a_destination_refuses_is_told_once() -> None:
    world = shop()
    world.refuses("email", "web_app", "Purchase Completed", 0.5, "30 Oct")
    world.shapes("web_app", "Purchase Completed", "user_id", "uuid", 1.0, "28 Sep")
    world.shapes("web_app", "Purchase Completed", "user_id", "email", 0.5, "30 Oct")
    told_of = [f for f in world.findings("identifier_format") if f.severity != "info"]
    assert len(told_of) == 1


@pytest.mark.parametrize(
    "shapes",
    [
        {"uuid": 300},
        {"uuid": 300, "null": 700},
        {"uuid": 300, "integer": 290},
        {"uuid": [("6 Nov", 300)], "integer": [("7 Nov", 300)]},  # no habit yet
        {"other": 300, "email": 3},
        {"uuid": 300, "email": [("1 Nov", 2)]},
    ],
)
@pytest.mark.parametrize("seed", range(4))
def test_ids_as_they_always_are_are_no_news(shapes: dict[str, object], seed: int) -> None:
    assert ids(shop(seed), "web_app", "Product Viewed", **shapes).findings("identifier_format") == []


@pytest.mark.parametrize("seed", range(10))
def test_anonymous_identify_calls_that_waver_by_chance_are_no_news(seed: int) -> None:
    world = shop(seed)
    for n in range(len(world.days)):
        share = float(np.clip(world.random.normal(0.3, 0.04), 0, 1))
        for shape, count in (("null", share), ("uuid", 1 - share)):
            world.extra["identifier_shapes"].append(
                {
                    "day": world.days[n],
                    "source": "web_app",
                    "event": "(identify)",
                    "identifier": "user_id",
                    "shape": shape,
                    "messages": int(world.random.poisson(200 * count)),
                }
            )
    assert [f.severity for f in world.findings("identifier_format")] == ["info"]


# --- traits on track calls ----------------------------------------------------------------------------------


def test_a_trait_that_only_track_calls_carry_is_told_when_it_is_new() -> None:
    world = fills(shop(), "web_app", "Product Viewed", "email", 200, since="20 Oct")
    fills(world, "web_app", "(identify)", "plan", 50)
    found = world.only("property_violation")
    assert (found.source, found.event, found.property) == ("web_app", None, "email")
    assert found.evidence["events"] == ["Product Viewed"]
    assert (
        title(found, TODAY) == "email is sent by web_app on track calls and never with identify, since 20 Oct"
    )
    assert "as a trait of identify" in suggestion(found, TODAY)


def test_a_trait_that_identify_carries_too_is_no_misuse() -> None:
    world = fills(shop(), "web_app", "Product Viewed", "email", 200, since="20 Oct")
    assert fills(world, "web_app", "(identify)", "email", 5).findings() == []


def test_a_trait_as_old_as_history_is_only_kept() -> None:
    world = fills(shop(), "web_app", "Product Viewed", "phone", 200)
    assert [f.severity for f in world.findings()] == ["info"]


def test_an_ordinary_property_is_no_trait() -> None:
    assert fills(shop(), "web_app", "Product Viewed", "price", 200, since="20 Oct").findings() == []


# --- people who are never joined ----------------------------------------------------------------------------


def joins(world: World, people: int, *shares: tuple[str, float]) -> World:
    """People who are new as users each day, and the share that no identify call joins, from a day on."""
    for n, when in enumerate(world.days):
        share = [share for since, share in shares if when >= day(since)][-1]
        world.extra["unjoined"].append(
            {
                "day": when,
                "source": "web_app",
                "people": people,
                "unjoined": int(world.random.binomial(people, share)),
            }
        )
        assert n < 100
    return world


def test_people_who_are_joined_no_more_are_told_from_the_day_on_which_it_began() -> None:
    found = joins(shop(), 40, ("28 Sep", 0.05), ("28 Oct", 0.8)).only("identifier_format")
    assert (found.source, found.event, found.identifier) == ("web_app", None, "anonymous_id")
    assert (found.started_on, found.evidence["misuse"]) == (day("28 Oct"), "never_joined")
    assert "became users on track calls of web_app since 28 Oct" in explanation(found, TODAY)
    assert "people became users" in explanation(found, TODAY)
    assert "Call identify in web_app where people sign up" in suggestion(found, TODAY)


def test_a_source_that_never_identifies_anybody_is_only_kept() -> None:
    assert [f.severity for f in joins(shop(), 40, ("28 Sep", 1.0)).findings()] == ["info"]


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("share", [0.02, 0.3])
def test_people_who_are_joined_as_always_are_no_news(seed: int, share: float) -> None:
    assert joins(shop(seed), 40, ("28 Sep", share)).findings() == []


def test_that_everybody_is_new_when_history_begins_is_no_news() -> None:
    assert joins(shop(), 40, ("28 Sep", 0.9), ("1 Oct", 0.4), ("5 Oct", 0.1)).findings() == []
