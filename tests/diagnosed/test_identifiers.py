"""An identifier in a form that a destination refuses is told of the source that sends it."""

from __future__ import annotations

from diagnosed.world import World, day, shop

from dagster_project.core.contracts import Identifier


def test_an_identifier_in_the_wrong_form_is_told_with_its_shape() -> None:
    world = shop().refuses("email", "web_app", "Signup Completed", 0.4, "30 Oct")
    world.shapes("web_app", "Signup Completed", "user_id", "email", 0.4, "30 Oct")
    found = world.only("identifier_format")
    assert (found.source, found.event, found.identifier) == ("web_app", "Signup Completed", "user_id")
    assert (found.started_on, found.ended_on, found.severity) == (day("30 Oct"), None, "error")
    assert found.destinations == ("email",)
    assert found.messages_affected == found.evidence["shapes"]["email"]
    assert found.evidence["demanded_format"] == {"email": "uuid"}


def test_the_day_is_the_sources_own_though_a_destination_lives_in_another_zone() -> None:
    world = shop().refuses("email", "web_app", "Signup Completed", 0.06, "29 Oct", "29 Oct")
    world.refuses("email", "web_app", "Signup Completed", 0.4, "30 Oct")
    world.shapes("web_app", "Signup Completed", "user_id", "email", 0.42, "30 Oct")
    world.shapes("web_app", "Signup Completed", "user_id", "null", 0.2, "1 Oct")
    found = world.only("identifier_format")
    assert found.started_on == day("30 Oct")
    assert found.messages_affected == sum(
        row["messages"] for row in world.extra["identifier_shapes"] if row["shape"] == "email"
    )


def test_stray_values_are_not_told() -> None:
    assert shop().refuses("email", "web_app", "Signup Completed", 0.03, "30 Oct").findings() == []
    assert shop().refuses("email", "ios_app", "Trial Started", 0.1, "8 Nov").findings() == []


def test_a_small_event_is_told_over_a_week() -> None:
    world = (
        shop()
        .sends("web_app", "Refund Asked", 8)
        .feeds(
            "desk", ["web_app"], ["Refund Asked"], identifiers=(Identifier(name="user_id", format="uuid"),)
        )
    )
    assert world.refuses("desk", "web_app", "Refund Asked", 1.0, "2 Nov").only("identifier_format").event == (
        "Refund Asked"
    )


def test_all_events_of_a_source_are_one_incident() -> None:
    world = shop()
    for event in ("Purchase Completed", "Signup Completed"):
        world.refuses("email", "web_app", event, 0.5, "30 Oct")
    found = world.only("identifier_format")
    assert (found.source, found.event) == ("web_app", None)
    assert found.evidence["events"] == ["Purchase Completed", "Signup Completed"]


def test_the_same_messages_refused_twice_count_once() -> None:
    world = shop().feeds(
        "second", ["web_app"], ["Signup Completed"], identifiers=(Identifier(name="user_id", format="uuid"),)
    )
    for name in ("email", "second"):
        world.refuses(name, "web_app", "Signup Completed", 0.5, "30 Oct")
    found = world.only("identifier_format")
    assert found.destinations == ("email", "second")
    assert found.messages_affected == found.evidence["messages_by_destination"]["email"]


def test_a_fault_that_is_over_has_an_end() -> None:
    world = shop().refuses("email", "web_app", "Signup Completed", 0.4, "20 Oct", "25 Oct")
    assert world.only("identifier_format").ended_on == day("25 Oct")


def test_of_several_identifiers_the_one_with_the_odd_shape_is_named() -> None:
    world = World().sends("web", "Alpha", 200).sends("web", "Beta", 200)
    world.feeds(
        "email",
        ["web"],
        ["Alpha", "Beta"],
        identifiers=(
            Identifier(name="user_id", format="uuid"),
            Identifier(name="anonymous_id", format="uuid"),
        ),
    )
    world.refuses("email", "web", "Alpha", 0.5, "30 Oct")
    world.shapes("web", "Alpha", "user_id", "uuid", 1.0, "30 Oct")
    world.shapes("web", "Alpha", "anonymous_id", "integer", 0.5, "30 Oct")
    assert world.only("identifier_format").identifier == "anonymous_id"


def test_a_source_of_little_weight_in_an_event_is_a_warning() -> None:
    world = World().sends("web", "Alpha", 2000).sends("tv", "Alpha", 60).sends("tv", "Beta", 100)
    world.feeds(
        "email", ["web", "tv"], ["Alpha", "Beta"], identifiers=(Identifier(name="user_id", format="uuid"),)
    )
    assert (
        world.refuses("email", "tv", "Alpha", 0.9, "30 Oct").only("identifier_format").severity == "warning"
    )


def test_people_without_an_identifier_are_no_fault() -> None:
    world = shop()
    for n in range(len(world.days)):
        world.extra["not_expected"].append(
            {
                "day": world.days[n],
                "destination": "email",
                "source": "web_app",
                "event": "Signup Completed",
                "reason": "no_identifier",
                "messages": 60,
            }
        )
    assert world.findings() == []
