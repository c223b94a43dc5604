"""A property that is filled no more is found by version, or by day, and optional ones may come and go."""

from __future__ import annotations

import numpy as np
import pytest
from diagnosed.world import World, day, shop

from dagster_project.core.plan import PlannedEvent, PropertyRule, TrackingPlan
from dagster_project.core.wording import explanation, suggestion, title

TODAY = day("9 Nov")
EVENT = "Product Viewed"


class Planned(World):
    """A world whose plan names the property."""

    def workspace(self):  # type: ignore[no-untyped-def]
        found = super().workspace()
        rules = (PropertyRule(event=EVENT, property="price", types=("number",)),)
        event = PlannedEvent(name=EVENT, rules=rules, labels={"Owner": "@growth"})
        plan = found.plans["web_app"]
        plans = {**found.plans, "web_app": TrackingPlan(events={**plan.events, EVENT: event})}
        return found.model_copy(update={"plans": plans})


def planned(seed: int = 7) -> World:
    world = shop(seed)
    world.__class__ = Planned
    world.extra["property_types"].append(
        {"source": "web_app", "event_slug": "product_viewed", "property": "price", "kind": "number"}
    )
    return world


def filled(world: World, shares: np.ndarray) -> World:
    world.fills("web_app", EVENT, price=0.0)
    world.filled["web_app", EVENT]["price"] = shares
    return world


def steady(world: World, share: float = 0.97) -> np.ndarray:
    return np.full(len(world.days), share)


def by_version(world: World, version: str, since: str, fill: float, share: float) -> World:
    """A version of its own from a day on, beside the one that there was."""
    for n in range(world.at(since), len(world.days)):
        sent = world.volume["web_app", EVENT][n]
        for name, own, filled_share in ((version, share, fill), ("2.0", 1 - share, 0.97)):
            messages = int(sent * own)
            world.extra["fill_versions"].append(
                {
                    "day": world.days[n],
                    "source": "web_app",
                    "event_text": EVENT,
                    "property": "price",
                    "app_version": name,
                    "filled": int(messages * filled_share),
                    "messages": messages,
                }
            )
    return world


def test_a_version_that_leaves_a_typed_column_empty_is_named() -> None:
    world = planned()
    shares = steady(world)
    shares[world.at("2 Nov") :] = 0.97 * 0.8
    found = by_version(filled(world, shares), "2.1", "2 Nov", 0.0, 0.2).only("property_violation")
    assert (found.event, found.property, found.started_on) == (EVENT, "price", day("2 Nov"))
    assert (found.severity, found.evidence["only_versions"]) == ("warning", ["2.1"])
    said = explanation(found, TODAY)
    assert "app version 2.1" in said
    assert "Its column holds numbers, and Segment drops what is not" in said
    assert "Owner: @growth (by the plan)." in said
    assert "only Segment Support changes a column's type" in suggestion(found, TODAY)
    assert "app version 2.1 changed" in suggestion(found, TODAY)


def test_a_column_that_empties_on_a_day_is_told_where_no_version_is_known() -> None:
    world = planned()
    shares = steady(world)
    shares[world.at("2 Nov") :] = 0.01
    found = filled(world, shares).only("property_violation")
    assert (found.started_on, found.suspected) == (day("2 Nov"), False)
    assert title(found, TODAY).startswith(
        'price of "Product Viewed" is hardly filled any more by web_app since 2 Nov'
    )


def test_one_day_without_a_version_to_blame_is_a_suspicion() -> None:
    world = planned()
    shares = steady(world)
    shares[world.at("8 Nov") :] = 0.0
    (found,) = filled(world, shares).findings()
    assert found.suspected


def test_a_required_property_that_empties_is_told_once_with_its_broken_rule() -> None:
    world = planned()
    shares = steady(world)
    shares[world.at("2 Nov") :] = 0.0
    world = filled(world, shares).violates("web_app", EVENT, "price", 1.0, "2 Nov", rule="required")
    found = world.only("property_violation")
    assert "emptied" not in found.evidence
    assert "a changed type leaves the same gap" in explanation(found, TODAY)


def test_a_property_of_no_plan_may_go_as_it_came() -> None:
    world = shop()
    shares = steady(world)
    shares[world.at("2 Nov") :] = 0.0
    assert [f.severity for f in filled(world, shares).findings()] == ["info"]


@pytest.mark.parametrize("seed", range(6))
def test_a_property_that_comes_and_goes_is_no_news(seed: int) -> None:
    world = planned(seed)
    campaign = np.where(world.random.random(len(world.days)) < 0.3, 0.05, world.random.uniform(0.3, 0.6))
    assert filled(world, campaign).findings("property_violation") == []


@pytest.mark.parametrize("fill", [0.9, 0.5])
def test_versions_that_differ_somewhat_are_no_news(fill: float) -> None:
    world = planned()
    assert by_version(filled(world, steady(world, 0.9)), "2.1", "2 Nov", fill, 0.2).findings() == []


def test_a_version_as_old_as_history_that_never_had_it_is_no_news() -> None:
    world = planned()
    assert by_version(filled(world, steady(world, 0.8)), "kiosk", "28 Sep", 0.0, 0.2).findings() == []
