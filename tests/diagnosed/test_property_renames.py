"""A property under a new name is one incident with both names, and explains that the old one is absent."""

from __future__ import annotations

from datetime import timedelta

import numpy as np
import pytest
from diagnosed.world import World, day, shop

from dagster_project.core.diagnosis.finding import Claims
from dagster_project.core.diagnosis.properties import property_violation
from dagster_project.core.diagnosis.property_renames import property_renamed
from dagster_project.core.plan import PlannedEvent, PropertyRule, TrackingPlan


def _store(**shares: float) -> World:
    """One event with some properties, of which the plan requires `orderTotal`."""
    world = World().sends("app", "Order Paid", 300).sends("app", "Search", 500)
    world.feeds("email", ["app"], ["Order Paid"])
    return world.fills("app", "Order Paid", **({"order_total": 1.0, "currency": 1.0, "coupon": 0.2} | shares))


def _found(world: World, *, planned: tuple[str, ...] = ("orderTotal",)) -> list:
    rules = tuple(PropertyRule(event="Order Paid", property=name, required=True) for name in planned)
    events = {
        "Order Paid": PlannedEvent(name="Order Paid", rules=rules),
        "Search": PlannedEvent(name="Search"),
    }
    workspace = world.workspace().model_copy(update={"plans": {"app": TrackingPlan(events=events)}})
    world.workspace = lambda: workspace
    evidence = world.evidence()
    renamed = property_renamed(evidence, Claims())
    return [*renamed, *property_violation(evidence, Claims(renamed))]


def test_a_renamed_property_is_told_with_both_names_and_the_plan_s_spelling() -> None:
    (found,) = _found(_store().renames_property("app", "Order Paid", "order_total", "sum_paid", "25 Oct"))
    assert (found.kind, found.property, found.renamed_to) == ("property_violation", "orderTotal", "sum_paid")
    assert (found.source, found.event, found.started_on) == ("app", "Order Paid", day("25 Oct"))
    assert (found.severity, found.destinations, found.ended_on) == ("error", ("email",), None)
    assert set(found.evidence["evidence_kinds"]) == {"timing", "conservation"}


def test_the_absence_of_the_old_name_is_explained_by_the_rename() -> None:
    world = _store().renames_property("app", "Order Paid", "order_total", "sum_paid", "25 Oct")
    world.violates("app", "Order Paid", "orderTotal", 1.0, "25 Oct", rule="required")
    world.violates("app", "Order Paid", "sum_paid", 1.0, "25 Oct", rule="unplanned_property")
    renamed, *rest = _found(world)
    assert len(rest) == 2
    assert all(each.explained_by == renamed.key for each in rest)


def test_a_wrong_value_in_another_property_or_before_is_not_explained_by_it() -> None:
    world = _store().renames_property("app", "Order Paid", "order_total", "sum_paid", "25 Oct")
    world.violates("app", "Order Paid", "currency", 0.5, "25 Oct", rule="enum")
    world.violates("app", "Order Paid", "orderTotal", 0.5, "15 Oct", rule="type")
    _, *rest = _found(world)
    assert [each.explained_by for each in rest] == [None, None]


@pytest.mark.parametrize(
    "how",
    [{"over_days": 9}, {"share": 0.4}, {"over_days": 13, "share": 0.8}],
    ids=["slowly", "partly", "both"],
)
def test_slow_and_partial_changes_are_found_from_their_first_day(how: dict) -> None:
    world = _store().renames_property("app", "Order Paid", "order_total", "sum_paid", "20 Oct", **how)
    (found,) = _found(world)
    assert (found.property, found.renamed_to, found.started_on) == ("orderTotal", "sum_paid", day("20 Oct"))


def test_a_rarely_filled_property_is_paired_by_how_often_it_was_filled() -> None:
    world = _store().renames_property("app", "Order Paid", "coupon", "voucher", "20 Oct")
    (found,) = _found(world)
    assert (found.property, found.renamed_to, found.severity) == ("coupon", "voucher", "warning")


def test_two_properties_renamed_on_one_day_are_paired_by_their_spelling() -> None:
    world = _store().renames_property("app", "Order Paid", "order_total", "orderTotalValue", "25 Oct")
    world.renames_property("app", "Order Paid", "currency", "currency_code", "25 Oct")
    assert {(f.property, f.renamed_to) for f in _found(world)} == {
        ("orderTotal", "orderTotalValue"),
        ("currency", "currency_code"),
    }


def test_a_change_that_was_taken_back_has_an_end() -> None:
    world = _store().renames_property(
        "app", "Order Paid", "order_total", "sum_paid", "20 Oct", until="27 Oct"
    )
    (found,) = _found(world)
    assert (found.started_on, found.ended_on) == (day("20 Oct"), day("27 Oct"))


def test_a_change_that_the_plan_has_taken_up_is_only_kept() -> None:
    world = _store().renames_property("app", "Order Paid", "order_total", "sum_paid", "25 Oct")
    (found,) = _found(world, planned=("sum_paid",))
    assert (found.severity, found.destinations, found.windows) == ("info", (), ())


# --- look-alikes --------------------------------------------------------------------------------------------


def test_a_new_property_beside_steady_ones_is_no_rename() -> None:
    world = _store(gift=1.0)
    world.filled["app", "Order Paid"]["gift"][: world.at("25 Oct")] = 0
    assert _found(world) == []


@pytest.mark.parametrize("gone", ["17 Oct", "21 Oct", "29 Oct"])
def test_a_property_that_goes_on_another_day_than_one_comes_is_no_rename(gone: str) -> None:
    world = _store(gift=1.0)
    world.filled["app", "Order Paid"]["gift"][: world.at("25 Oct")] = 0
    world.filled["app", "Order Paid"]["order_total"][world.at(gone) :] = 0
    assert _found(world) == []


@pytest.mark.parametrize("gift", [0.9, 0.33, 0.1])
def test_a_property_that_goes_while_one_of_other_use_comes_is_no_rename(gift: float) -> None:
    world = _store(gift=gift)
    world.filled["app", "Order Paid"]["gift"][: world.at("25 Oct")] = 0
    world.filled["app", "Order Paid"]["coupon"][world.at("25 Oct") :] = 0
    assert _found(world) == []


def test_the_properties_of_a_new_event_are_no_renames() -> None:
    world = _store().sends("app", "Gift Sent", 300, since="20 Oct").fills("app", "Gift Sent", a=1.0, b=0.5)
    assert _found(world) == []


@pytest.mark.parametrize("seed", range(5))
def test_random_events_whose_fill_only_wavers_have_no_renamed_property(seed: int) -> None:
    random = np.random.default_rng(seed)
    world = World(seed=seed)
    for n in range(20):
        event = f"Event {n}"
        world.sends("app", event, float(np.exp(random.uniform(2, 7))))
        world.fills("app", event, **{f"p{k}": float(random.uniform(0.02, 1)) for k in range(8)})
        for each in world.filled["app", event].values():
            each *= random.normal(1, 0.05, len(each)).clip(0.5, 1.5)
        world.filled["app", event]["late"] = np.where(
            np.arange(len(world.days)) < random.integers(5, 35), 0.0, random.uniform(0.1, 1)
        )
    assert property_renamed(world.evidence(), Claims()) == []


def test_it_is_found_on_its_first_day() -> None:
    world = shop().fills("web_app", "Product Viewed", sku=1.0, price=0.8, category=0.6)
    world.renames_property("web_app", "Product Viewed", "price", "amount", "8 Nov")
    (found,) = property_renamed(world.evidence(), Claims())
    assert (found.property, found.renamed_to, found.started_on) == ("price", "amount", world.last)
    assert found.started_on == world.first + timedelta(days=len(world.days) - 1)
