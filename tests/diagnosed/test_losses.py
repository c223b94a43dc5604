"""Shares beyond what is usual are told; what is usual, small or late is not."""

from __future__ import annotations

import pytest
from diagnosed.world import World, day, shop

from dagster_project.core import wording


def test_a_loss_of_one_event_is_told_with_its_share_and_days() -> None:
    world = shop().fault("email", "Purchase Completed", "30 Oct", "3 Nov", missing=0.12)
    found = world.only("delivery_loss")
    assert (found.event, found.destinations, found.severity) == ("Purchase Completed", ("email",), "error")
    assert (found.started_on, found.ended_on) == (day("30 Oct"), day("3 Nov"))
    assert 0.09 < found.evidence["share"] < 0.15
    cells = world.evidence().judged
    rows = cells[
        (cells["destination"] == "email")
        & (cells["event"] == "Purchase Completed")
        & (cells["day"].dt.date >= day("30 Oct"))
        & (cells["day"].dt.date <= day("3 Nov"))
    ]
    assert found.messages_affected == rows["missing"].sum()


def test_a_loss_of_all_events_is_one_incident() -> None:
    found = shop().fault("analytics", None, "1 Nov", "5 Nov", missing=0.1).only("delivery_loss")
    assert (found.event, found.started_on, found.ended_on) == (None, day("1 Nov"), day("5 Nov"))


def test_losses_of_two_destinations_are_two_incidents() -> None:
    world = shop().fault("analytics", "App Opened", "1 Nov", "8 Nov", missing=0.1)
    world.fault("email", "Purchase Completed", "1 Nov", "8 Nov", missing=0.1)
    assert {f.destinations for f in world.findings("delivery_loss")} == {("analytics",), ("email",)}


def test_a_few_events_that_begin_to_lose_alike_share_an_incident() -> None:
    world = World()
    names = [f"Step {letter} Done" for letter in "ABCDEFGHIJ"]
    for name in names:
        world.sends("web", name, 300)
    world.feeds("email", ["web"], names)
    for name in names[:3]:
        world.fault("email", name, "1 Nov", "8 Nov", missing=0.15)
    found = world.only("delivery_loss")
    assert found.event is None
    assert set(found.evidence["events"]) == set(names[:3])
    # The other events of these days may have their own story.
    assert set(found.links["event"]) == set(names[:3])


def test_a_loss_of_a_small_event_shows_over_a_week() -> None:
    world = (
        World(seed=3)
        .sends("web", "Alpha", 25)
        .sends("web", "Beta", 400)
        .feeds("email", ["web"], ["Alpha", "Beta"])
    )
    world.fault("email", "Alpha", "25 Oct", "8 Nov", missing=0.15)
    assert world.only("delivery_loss").event == "Alpha"


@pytest.mark.parametrize("seed", range(4))
def test_a_steady_loss_is_learned(seed: int) -> None:
    world = shop(seed)
    world.base_loss = 0.03
    assert world.findings() == []


def test_a_loss_for_more_than_half_of_history_is_still_a_loss() -> None:
    world = shop().fault("email", "Purchase Completed", "15 Oct", "8 Nov", missing=0.12)
    assert world.only("delivery_loss").started_on == day("15 Oct")


def test_a_declared_tolerance_replaces_the_learned_one() -> None:
    world = shop()
    world.feeds("strict", ["web_app"], ["Product Viewed"], tolerance=0.0)
    world.feeds("loose", ["web_app"], ["Product Viewed"], tolerance=0.3)
    for name in ("strict", "loose"):
        world.fault(name, None, "1 Nov", "8 Nov", missing=0.2)
    assert {f.destinations for f in world.findings()} == {("strict",)}
    assert world.findings()[0].started_on == day("28 Sep")  # the usual 0.3% is too much for it


def test_what_is_usual_is_learned_and_a_declared_tolerance_is_kept() -> None:
    world = shop()
    world.feeds("strict", ["web_app"], ["Product Viewed"], tolerance=0.002)
    world.fault("analytics", "App Opened", "28 Sep", "8 Nov", missing=0.04)
    usual = world.diagnosis().usual.set_index(["destination", "event"])["usual"]
    assert 0.035 < usual["analytics", "App Opened"] < 0.045
    assert usual["lake", "Product Viewed"] < 0.006
    assert usual["strict", "Product Viewed"] == 0  # what is tolerated is not what is lost
    limits = world.diagnosis().limits
    strict = limits[limits["destination"] == "strict"].merge(
        world.evidence().judged, on=["destination", "event", "day"]
    )
    assert (strict["allowed_missing"] >= 0.002 * strict["expected"] - 1).all()


def test_sampling_is_steady_and_nobodys_incident_but_losing_nearly_all_is() -> None:
    assert shop().fault("analytics", None, "28 Sep", "8 Nov", missing=0.5).findings("delivery_loss") == []
    assert shop().fault("analytics", None, "28 Sep", "8 Nov", missing=0.95).findings("delivery_loss")


def test_a_cell_is_beyond_its_limit_only_where_an_incident_accounts_for_it() -> None:
    world = shop().fault("email", "Purchase Completed", "30 Oct", "3 Nov", missing=0.12)
    diagnosis = world.diagnosis()
    cells = world.evidence().judged.merge(diagnosis.limits, on=["destination", "event", "day"])
    over = cells[cells["missing"] > cells["allowed_missing"]]
    assert set(zip(over["destination"], over["event"], strict=True)) == {("email", "Purchase Completed")}
    assert len(over) == 5


def test_limits_cover_every_cell_that_is_judged() -> None:
    world = shop()
    limits, cells = world.diagnosis().limits, world.evidence().judged
    assert len(limits.merge(cells, on=["destination", "event", "day"])) == len(cells)
    assert (limits[["allowed_missing", "allowed_duplicates", "allowed_unexpected"]] >= 0).all().all()


def test_a_batch_loaded_twice_is_one_incident() -> None:
    world = shop().fault("analytics", None, "2 Nov", duplicates=1.0)
    found = world.only("duplicate_delivery")
    assert (found.event, found.started_on, found.ended_on) == (None, day("2 Nov"), day("2 Nov"))
    assert found.evidence["share"] == 1.0
    assert set(found.links["difference"]) == {"duplicate"}


def test_one_event_delivered_twice_is_told_of_the_event() -> None:
    world = shop().fault("analytics", "Cart Updated", "2 Nov", "4 Nov", duplicates=0.3)
    assert world.only("duplicate_delivery").event == "Cart Updated"


def test_a_doubled_count_is_a_duplicate_where_only_counts_are_known() -> None:
    found = shop().fault("ads", None, "2 Nov", unexpected=1.0).only("duplicate_delivery")
    assert (found.event, found.started_on, found.ended_on) == (None, day("2 Nov"), day("2 Nov"))


def test_a_surplus_that_nothing_explains_is_unexplained() -> None:
    world = shop().fault("analytics", "App Opened", "2 Nov", "4 Nov", unexpected=0.3)
    found = world.only("unexplained")
    assert (found.event, found.severity, found.ended_on) == ("App Opened", "error", day("4 Nov"))
    small = shop().fault("analytics", "App Opened", "2 Nov", "4 Nov", unexpected=0.04)
    assert small.only("unexplained").severity == "warning"


@pytest.mark.parametrize("change", [{"duplicates": 0.003}, {"unexpected": 0.004}, {"missing": 0.006}])
def test_small_shares_are_not_told(change: dict[str, float]) -> None:
    assert shop().fault("analytics", None, "1 Nov", "8 Nov", **change).findings() == []


def test_a_loss_below_a_point_is_told_and_does_not_hold_the_gate() -> None:
    world = shop().fault("analytics", None, "30 Oct", "8 Nov", missing=0.0115)
    assert {f.severity for f in world.findings("delivery_loss")} == {"warning"}


def test_steady_repetition_is_learned() -> None:
    assert shop().fault("analytics", None, "28 Sep", "8 Nov", duplicates=0.03).findings() == []


def test_a_gap_that_is_still_pending_is_not_a_loss() -> None:
    world = shop().fault("email", None, "7 Nov", "8 Nov", missing=0.5, mature=False)
    assert world.findings() == []


def test_false_alarms_stay_within_a_week_of_a_large_workspace() -> None:
    # 24 events at 3 destinations for 42 days, small ones most of all: 3,000 healthy cells.
    world = World(seed=11)
    names = [f"Event {letter}" for letter in "ABCDEFGHIJKLMNOPQRSTUVWX"]
    for n, name in enumerate(names):
        world.sends("web", name, [20, 45, 70, 95, 120, 250][n % 6])
    for destination in ("one", "two", "three"):
        world.feeds(destination, ["web"], names)
    assert world.findings() == []


# --- how much of what, and when ---------------------------------------------------------------------------


def test_a_loss_that_comes_back_leaves_the_good_days_between_alone() -> None:
    world = shop()
    for first, last in (("31 Oct", "2 Nov"), ("7 Nov", "8 Nov")):
        world.fault("email", "Purchase Completed", first, last, missing=0.3)
    found = world.only("delivery_loss")
    struck = ["2026-10-31", "2026-11-01", "2026-11-02", "2026-11-07", "2026-11-08"]
    assert [each.isoformat() for each in found.days] == struck
    # Beside the four good days it would be 15%.
    assert 0.27 < found.evidence["share"] < 0.34
    assert found.messages_affected == round(found.evidence["share"] * found.evidence["expected"], 0)
    assert (found.started_on, found.ended_on) == (day("31 Oct"), None)
    told = wording.explanation(found, day("9 Nov"))
    assert "It came back on 7 Nov after 31 Oct to 2 Nov; the days between were whole." in told


def test_chance_does_not_cut_a_thin_loss_into_pieces() -> None:
    pieces = []
    for seed in range(12):
        world = World(seed=seed).sends("web", "Alpha", 40).sends("web", "Beta", 400)
        world.feeds("email", ["web"], ["Alpha", "Beta"]).fault(
            "email", "Alpha", "20 Oct", "8 Nov", missing=0.12
        )
        pieces += [len(each.evidence.get("spells", [1])) for each in world.findings("delivery_loss")]
    assert len(pieces) >= 10
    assert pieces.count(1) >= len(pieces) - 1


def test_events_that_are_spared_are_not_said_to_be_lost() -> None:
    world = World()
    names = [f"Step {letter} Done" for letter in "ABCDEFGHIJ"]
    for name in names:
        world.sends("web", name, 300)
    world.feeds("email", ["web"], names)
    for name in names[:7]:  # enough of them for the destination's fault
        world.fault("email", name, "5 Nov", "8 Nov", missing=0.3)
    found = world.only("delivery_loss")
    assert found.event is None
    assert set(found.evidence["events"]) == set(names[:7])
    assert 0.26 < found.evidence["share"] < 0.34  # 21% of all ten
    assert wording.title(found, day("9 Nov")).startswith("7 of 10 events: ")


def test_a_loss_of_everything_is_said_of_everything_though_small_events_lost_none() -> None:
    world = World()
    for at, name in enumerate(f"Step {letter} Done" for letter in "ABCDEFGHIJ"):
        world.sends("web", name, 300 if at < 6 else 5)
    world.feeds("email", ["web"], [name for _, name in world.volume])
    found = world.fault("email", None, "5 Nov", "8 Nov", missing=0.12).only("delivery_loss")
    assert wording.title(found, day("9 Nov")).startswith("All events: ")


def test_what_was_next_to_never_missing_is_said_so() -> None:
    world = shop()
    world.base_loss = 0.0
    found = world.fault("email", None, "5 Nov", "8 Nov", missing=0.3).only("delivery_loss")
    assert "almost none is usual" in wording.explanation(found, day("9 Nov"))
    found = shop().fault("email", None, "5 Nov", "8 Nov", missing=0.3).only("delivery_loss")
    assert "% is usual" in wording.explanation(found, day("9 Nov"))
