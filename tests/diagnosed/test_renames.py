"""A rename is told once, with both names, and nothing that only looks like one is told as one."""

from __future__ import annotations

import numpy as np
import pytest
from diagnosed.world import World, day, shop


def test_a_rename_into_the_same_table_is_one_critical_incident_for_who_waits() -> None:
    world = shop().renames("web_app", "Purchase Completed", "purchase_completed", "20 Oct")
    found = world.only("event_renamed")
    assert (found.source, found.event, found.renamed_to) == (
        "web_app",
        "Purchase Completed",
        "purchase_completed",
    )
    assert found.severity == "critical"
    assert found.destinations == ("ads", "email")  # the lake takes every name and waits for none
    assert (found.started_on, found.ended_on) == (day("20 Oct"), None)
    sent = int(world.volume["web_app", "purchase_completed"].sum())
    assert found.messages_affected == sent
    assert found.evidence["messages_by_destination"] == {"ads": sent, "email": sent}
    assert set(found.evidence["evidence_kinds"]) == {"timing", "conservation", "same_slug"}
    assert found.share_explained == 1.0


def test_the_rename_explains_the_silent_old_name_and_the_unplanned_new_one() -> None:
    world = shop().renames("web_app", "Purchase Completed", "purchase_completed", "20 Oct")
    diagnosis = world.diagnosis()
    assert {(f.kind, f.event) for f in diagnosis.explained} == {
        ("event_stopped", "Purchase Completed"),
        ("unplanned_event", "purchase_completed"),
    }
    assert len(diagnosis.findings[0].explains) == 2


@pytest.mark.parametrize(
    ("new", "over_days", "share"),
    [
        pytest.param("Order Paid", 0, 1.0, id="another-slug-at-once"),
        pytest.param("Free Purchase", 9, 1.0, id="another-slug-over-ten-days"),
        pytest.param("Order Paid", 0, 0.4, id="only-a-part-moves"),
        pytest.param("purchase_completed", 6, 1.0, id="same-slug-over-a-week"),
    ],
)
def test_a_rename_is_found_by_onset_and_conservation(new: str, over_days: int, share: float) -> None:
    world = shop().renames("web_app", "Purchase Completed", new, "20 Oct", over_days=over_days, share=share)
    found = world.only("event_renamed")
    assert (found.event, found.renamed_to, found.started_on) == ("Purchase Completed", new, day("20 Oct"))
    assert len(found.evidence["evidence_kinds"]) >= 2


def test_a_rename_is_found_without_a_word_about_properties() -> None:
    world = World().sends("web", "Alpha", 200).sends("web", "Beta", 260).feeds("email", ["web"], ["Alpha"])
    world.renames("web", "Alpha", "Zzz", "1 Nov")
    assert world.only("event_renamed").renamed_to == "Zzz"


def test_a_rename_is_found_in_the_run_after_its_first_day() -> None:
    world = shop().renames("web_app", "Signup Completed", "signup_completed", "8 Nov")
    assert world.only("event_renamed").started_on == day("8 Nov")


@pytest.mark.parametrize("per_day", [20, 60, 500])
def test_small_and_large_events_are_paired_alike(per_day: int) -> None:
    for seed in range(5):
        world = World(seed=seed).sends("web", "Alpha Done", per_day, properties=["a", "b"])
        world.sends("web", "Beta Done", per_day * 1.2, properties=["x", "y"]).feeds(
            "email", ["web"], ["Alpha Done"]
        )
        world.renames("web", "Alpha Done", "Alpha Finished", "1 Nov")
        assert world.only("event_renamed").event == "Alpha Done"


def test_two_renames_at_once_are_paired_one_to_one() -> None:
    world = shop().renames("web_app", "Product Viewed", "product_viewed", "22 Oct")
    world.renames("web_app", "Signup Completed", "Account Created", "22 Oct")
    pairs = {(f.event, f.renamed_to) for f in world.findings("event_renamed")}
    assert pairs == {("Product Viewed", "product_viewed"), ("Signup Completed", "Account Created")}


def test_a_name_renamed_twice_is_still_waited_for_under_its_first_name() -> None:
    world = shop().renames("web_app", "Purchase Completed", "purchase_completed", "10 Oct")
    world.renames("web_app", "purchase_completed", "PurchaseCompleted", "28 Oct")
    found = {f.renamed_to: f for f in world.findings("event_renamed")}
    assert set(found) == {"purchase_completed", "PurchaseCompleted"}
    assert found["PurchaseCompleted"].destinations == ("ads", "email")
    assert found["purchase_completed"].ended_on == day("27 Oct")


def test_a_rename_that_was_taken_back_has_an_end_and_leaves_no_other_incident() -> None:
    world = shop().renames("web_app", "Purchase Completed", "purchase_completed", "20 Oct", until="28 Oct")
    found = world.only("event_renamed")
    assert (found.started_on, found.ended_on) == (day("20 Oct"), day("28 Oct"))


def test_a_rename_nobody_waits_for_is_a_warning() -> None:
    world = World().sends("web", "Alpha", 200).sends("web", "Beta", 260).feeds("lake", ["web"], None)
    assert world.renames("web", "Alpha", "alpha", "1 Nov").only("event_renamed").severity == "warning"


def test_a_trial_before_the_release_does_not_move_its_start() -> None:
    world = shop().renames("web_app", "Purchase Completed", "purchase_completed", "25 Oct")
    world.volume["web_app", "purchase_completed"][world.at("10 Oct")] += 5
    assert world.only("event_renamed").started_on == day("25 Oct")


def test_what_a_destination_holds_of_both_names_is_explained_by_the_rename() -> None:
    world = shop().renames("web_app", "Signup Completed", "signup_completed", "20 Oct")
    world.holds("analytics", "signup_completed", 100, "20 Oct")
    for n in range(world.at("20 Oct"), len(world.days)):
        world.faults.append(("email", "Signup Completed", n, n, {"unexpected": 0.0}))
    world.extra["cells"].append(
        {
            "day": day("21 Oct"),
            "destination": "email",
            "event": "Signup Completed",
            "expected": 0,
            "delivered": 0,
            "missing": 0,
            "pending": 0,
            "duplicates": 0,
            "unexpected": 90,
            "matched_by": "message_id",
            "mature": True,
            "exported": True,
        }
    )
    found = world.only("event_renamed")
    assert any("is held without being in the contract" in text for text in found.explains)


# --- look-alikes --------------------------------------------------------------------------------------------


def test_a_planned_event_that_launches_beside_steady_ones_is_no_rename() -> None:
    assert shop().sends("web_app", "Wishlist Opened", 250, since="20 Oct").findings() == []


def test_an_event_that_dies_while_another_of_other_volume_launches_is_no_rename() -> None:
    world = (
        shop()
        .sends("web_app", "Wishlist Opened", 30, since="25 Oct")
        .stops("web_app", "Cart Updated", "25 Oct")
    )
    assert world.only("event_stopped").event == "Cart Updated"


def test_an_event_that_dies_while_one_of_like_volume_launches_a_week_later_is_no_rename() -> None:
    world = (
        shop()
        .sends("web_app", "Wishlist Opened", 200, since="1 Nov")
        .stops("web_app", "Cart Updated", "25 Oct")
    )
    assert world.only("event_stopped").event == "Cart Updated"


def test_two_events_of_like_volume_and_quite_different_properties_are_not_one() -> None:
    world = shop().sends(
        "web_app", "Wishlist Opened", 200, since="25 Oct", properties=["shelf", "colour", "mood"]
    )
    world.stops("web_app", "Cart Updated", "25 Oct")
    assert world.only("event_stopped").event == "Cart Updated"


def test_the_twin_of_a_steady_event_is_unplanned_and_not_a_rename() -> None:
    world = shop()
    world.volume["web_app", "purchase_completed"] = world.volume["web_app", "Purchase Completed"].copy()
    world.volume["web_app", "purchase_completed"][: world.at("20 Oct")] = 0
    found = world.only("unplanned_event")
    assert found.event == "purchase_completed"
    assert found.evidence["planned_alike"] == ["Purchase Completed"]


def test_the_same_event_dying_in_another_source_is_no_rename() -> None:
    world = (
        shop().sends("web_app", "Trial Begun", 80, since="25 Oct").stops("ios_app", "Trial Started", "25 Oct")
    )
    assert world.only("event_stopped").source == "ios_app"


def test_thousands_of_names_made_of_ids_are_no_renames() -> None:
    world = shop()
    random = np.random.default_rng(3)
    for n in range(1500):
        counts = np.zeros(len(world.days), dtype=np.int64)
        counts[random.integers(2, len(counts))] = random.integers(1, 25)
        world.volume["web_app", f"purchase {random.integers(10**8, 10**9)} {n}"] = counts
    found = world.only("unplanned_event")
    assert found.event is None
    assert found.evidence["names"] == 1500


@pytest.mark.parametrize("seed", range(8))
def test_a_healthy_workspace_has_no_findings(seed: int) -> None:
    assert shop(seed).findings() == []


def test_a_rename_that_plan_and_contracts_have_taken_up_is_only_kept() -> None:
    """The old name is silent for a known reason, which nobody need be told."""
    world = World().sends("web", "Alpha", 200).sends("web", "Beta", 260)
    world.feeds("email", ["web"], ["Alpha", "alpha", "Beta"]).renames("web", "Alpha", "alpha", "1 Nov")
    world.planned["web"].add("alpha")
    (found,) = world.findings("event_renamed")
    assert (found.severity, found.destinations, found.windows) == ("info", (), ())
    assert [each for each in world.findings() if each.severity != "info"] == []


def test_without_a_plan_a_contract_that_lists_the_new_name_has_taken_it_up() -> None:
    def severity(*events: str) -> str:
        world = World().sends("web", "Alpha", 200).sends("web", "Beta", 260)
        world.feeds("email", ["web"], [*events, "Beta"]).renames("web", "Alpha", "alpha", "1 Nov")
        planless = world.workspace().model_copy(update={"plans": {}})
        world.workspace = lambda: planless
        (found,) = world.findings("event_renamed")
        return found.severity

    assert severity("Alpha", "alpha") == "info"
    assert severity("Alpha") == "critical"
    assert severity() == "warning"
