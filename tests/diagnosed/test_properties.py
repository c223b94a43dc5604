"""A property that breaks its plan is one incident, whatever the rules it breaks."""

from __future__ import annotations

import pytest
from diagnosed.world import World, day, shop


def test_a_property_that_breaks_the_plan_is_an_error_where_the_event_goes_somewhere() -> None:
    world = shop().violates("web_app", "Purchase Completed", "amount", 0.6, "25 Oct")
    found = world.only("property_violation")
    assert (found.source, found.event, found.property) == ("web_app", "Purchase Completed", "amount")
    assert (found.started_on, found.ended_on, found.severity) == (day("25 Oct"), None, "error")
    assert found.destinations == ("ads", "email")
    assert 0.59 < found.evidence["share"] < 0.61


@pytest.mark.parametrize(("share", "severity"), [(0.05, "warning"), (0.19, "warning"), (0.25, "error")])
def test_the_share_decides_the_severity(share: float, severity: str) -> None:
    world = shop().violates("web_app", "Product Viewed", "price", share, "25 Oct")
    assert world.only("property_violation").severity == severity


def test_an_event_that_goes_nowhere_is_a_warning() -> None:
    world = World().sends("web", "Alpha", 100).sends("web", "Beta", 100).feeds("email", ["web"], ["Beta"])
    assert world.violates("web", "Alpha", "x", 1.0, "25 Oct").only("property_violation").severity == "warning"


def test_noise_is_not_told() -> None:
    assert shop().violates("web_app", "Product Viewed", "price", 0.01, "28 Sep").findings() == []
    assert shop().violates("ios_app", "Trial Started", "period", 0.05, "8 Nov").findings() == []


def test_all_rules_of_a_property_are_one_incident_and_count_each_message_once() -> None:
    world = shop().violates("web_app", "Purchase Completed", "currency", 0.3, "25 Oct", rule="type")
    world.violates("web_app", "Purchase Completed", "currency", 0.3, "25 Oct", rule="enum")
    world.violates("web_app", "Purchase Completed", "currency", 0.2, "25 Oct", rule="required")
    found = world.only("property_violation")
    assert set(found.evidence["messages_by_rule"]) == {"type", "enum", "required"}
    # A value of a wrong type is no member of the enum either; an absent one is neither.
    assert 0.49 < found.evidence["share"] < 0.51


def test_two_properties_are_two_incidents() -> None:
    world = shop().violates("web_app", "Product Viewed", "price", 0.5, "25 Oct")
    world.violates("web_app", "Product Viewed", "sku", 0.5, "25 Oct")
    assert {f.property for f in world.findings()} == {"price", "sku"}


def test_a_violation_that_was_mended_has_an_end() -> None:
    world = shop().violates("web_app", "Product Viewed", "price", 0.5, "20 Oct", "27 Oct")
    found = world.only("property_violation")
    assert (found.started_on, found.ended_on) == (day("20 Oct"), day("27 Oct"))
    assert found.windows[-1][1] == day("27 Oct")


def test_an_unplanned_property_is_only_noted() -> None:
    world = shop().violates("web_app", "Product Viewed", "colour", 1.0, "25 Oct", rule="unplanned_property")
    assert [f.severity for f in world.findings()] == ["info"]


def test_rows_of_the_rule_for_unplanned_events_are_left_to_that_rule() -> None:
    world = shop().violates("web_app", "Product Viewed", "x", 1.0, "25 Oct", rule="unplanned_event")
    assert world.findings() == []


def test_a_small_event_is_told_over_a_week() -> None:
    world = (
        shop().sends("web_app", "Refund Asked", 6).violates("web_app", "Refund Asked", "reason", 1.0, "1 Nov")
    )
    assert world.only("property_violation").started_on == day("1 Nov")


# --- what always was ----------------------------------------------------------------------------------------


def test_a_small_share_that_is_as_old_as_history_is_only_kept() -> None:
    world = shop().violates("web_app", "Product Viewed", "price", 0.05, "28 Sep")
    (found,) = world.findings()
    assert (found.severity, found.evidence["steady"]) == ("info", True)


def test_a_large_share_that_is_as_old_as_history_is_worth_one_warning() -> None:
    world = shop().violates("web_app", "Product Viewed", "price", 0.4, "28 Sep")
    found = world.only("property_violation")
    assert (found.severity, found.started_on, found.ended_on) == ("warning", day("28 Sep"), None)


def test_a_rise_over_a_steady_share_is_told_from_the_day_on_which_it_rose() -> None:
    world = shop().violates("web_app", "Product Viewed", "price", 0.03, "28 Sep", "24 Oct")
    world.violates("web_app", "Product Viewed", "price", 0.3, "25 Oct")
    found = world.only("property_violation")
    assert (found.severity, found.started_on) == ("error", day("25 Oct"))
    assert 0.02 < found.evidence["usual_share"] < 0.04


@pytest.mark.parametrize("seed", range(20))
def test_a_steady_share_that_wavers_by_chance_is_no_news(seed: int) -> None:
    world = shop(seed)
    for event, share in (("Product Viewed", 0.03), ("Cart Updated", 0.08), ("Signup Completed", 0.15)):
        sent = world.volume["web_app", event]
        wavering = world.random.normal(share, share / 8, len(sent)).clip(0, 1)
        for n, bad in enumerate(world.random.binomial(sent, wavering).tolist()):
            world.extra["violations"].append(
                {
                    "day": world.days[n],
                    "source": "web_app",
                    "event": event,
                    "property": "x",
                    "rule": "type",
                    "messages": bad,
                    "sample_message_id": "m",
                }
            )
    assert [f.severity for f in world.findings("property_violation")] == ["info"] * 3


def test_an_event_that_is_new_and_broken_from_its_first_day_is_an_error() -> None:
    world = shop().sends("web_app", "Gift Sent", 200, since="25 Oct")
    world.feeds("gifts", ["web_app"], ["Gift Sent"])
    world.violates("web_app", "Gift Sent", "price", 0.6, "25 Oct")
    (found,) = world.findings("property_violation")
    assert found.severity == "error"
