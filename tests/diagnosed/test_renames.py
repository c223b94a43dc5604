"""A rename is told once, with both names, and nothing that only looks like one is told as one."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, time, timedelta
from itertools import combinations, permutations

import numpy as np
import pandas as pd
import pytest
from diagnosed.simulated import Simulated
from diagnosed.world import LAST, World, day, shop

from dagster_project.core import wording
from dagster_project.core.diagnosis import diagnose
from dagster_project.core.diagnosis.finding import Claims
from dagster_project.core.diagnosis.pairing import Claimed, best_together, hungarian
from dagster_project.core.diagnosis.renames import event_renamed
from dagster_project.core.diagnosis.witness import CONTRAST_COLUMNS, SHARED_COLUMNS, Contrast, NamePair
from dagster_project.core.wording import explanation, suggestion


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


def test_the_days_of_a_destination_with_another_clock_are_hit_from_the_eve_to_the_morrow() -> None:
    world = shop().renames("web_app", "Purchase Completed", "purchase_completed", "20 Oct")
    evidence = world.evidence()
    moved = evidence.not_expected
    # New York has the first five hours of each day on the day before; Tokyo the last nine on the day after.
    for days, name in ((-1, "ads"), (1, "email")):
        rows = moved[(moved["destination"] == name) & (moved["event"] == "purchase_completed")]
        shifted = rows.assign(day=rows["day"] + pd.Timedelta(days=days), messages=rows["messages"] // 4)
        kept = moved.drop(rows.index)
        both = pd.concat([rows.assign(messages=rows["messages"] - shifted["messages"]), shifted])
        moved = pd.concat([kept, both], ignore_index=True)
    found = next(
        f for f in diagnose(replace(evidence, not_expected=moved)).findings if f.kind == "event_renamed"
    )
    own = {name: sorted(d for at, d in found.windows if at == name) for name in ("ads", "email")}
    assert own["ads"][0] == day("19 Oct")
    assert own["ads"][-1] == LAST
    assert own["email"][0] == day("20 Oct")
    assert own["email"][-1] == LAST + timedelta(days=1)
    sent = int(world.volume["web_app", "purchase_completed"].sum())
    assert found.evidence["messages_by_destination"] == {"ads": sent, "email": sent}
    assert found.started_on == day("20 Oct")  # of the workspace, as Segment replays it


def test_what_the_contract_would_keep_back_anyway_is_said_beside_the_count() -> None:
    world = shop()
    world.extra["not_expected"] += [
        {
            "day": each,
            "destination": "email",
            "source": "web_app",
            "event": "Purchase Completed",
            "reason": "no_identifier",
            "messages": int(world.volume["web_app", "Purchase Completed"][world.at(each)] * 0.1),
        }
        for each in world.days
        if each < day("20 Oct")
    ]
    found = world.renames("web_app", "Purchase Completed", "purchase_completed", "20 Oct").only(
        "event_renamed"
    )
    assert set(found.evidence["kept_back_share"]) == {"email"}
    assert found.evidence["kept_back_share"]["email"] == pytest.approx(0.1, abs=0.006)
    said = wording.explanation(found, LAST)
    assert "for want of an identifier or of consent, what it kept back under the old name too: about " in said
    clean = (
        shop().renames("web_app", "Purchase Completed", "purchase_completed", "20 Oct").only("event_renamed")
    )
    assert "keeps back" not in wording.explanation(clean, LAST)


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


def test_a_like_event_that_launches_days_after_another_died_is_no_rename() -> None:
    world = shop().sends(
        "web_app", "Basket Changed", 200, since="30 Oct", properties=["sku", "quantity", "cart_id"]
    )
    world.stops("web_app", "Cart Updated", "25 Oct")
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


# --- early, in part, in company -----------------------------------------------------------------------------


def _store(*, versions: bool = True) -> World:
    world = World()
    for event, per_day in (("Order Paid", 400), ("Cart Seen", 700), ("Item Liked", 300), ("Search", 900)):
        world.sends("app", event, per_day)
    world.feeds("email", ["app"], ["Order Paid", "Item Liked"])
    return world.rolls_out("app", "2.0", "26 Oct", before="1.9") if versions else world


def test_a_roll_out_is_found_when_fifty_messages_have_the_new_name() -> None:
    world = _store().renames("app", "Order Paid", "Payment Done", "26 Oct", version="2.0")
    sent = world.volume["app", "Payment Done"].cumsum()
    world.last = world.days[int(np.argmax(sent >= 50))]
    world.as_of = datetime.combine(world.last + timedelta(days=1), time(6))
    (found,) = world.findings("event_renamed")
    assert (found.event, found.renamed_to, found.started_on) == ("Order Paid", "Payment Done", day("26 Oct"))
    assert found.evidence["share_moved"] < 0.2


def test_a_slow_roll_out_shows_in_its_version_long_before_it_shows_in_the_whole() -> None:
    world = World()
    for event, per_day in (("Order Paid", 3000), ("Cart Seen", 7000), ("Item Liked", 5000)):
        world.sends("app", event, per_day)
    world.feeds("email", ["app"], ["Order Paid"]).rolls_out("app", "2.0", "7 Nov", over_days=60, before="1.9")
    world.renames("app", "Order Paid", "Payment Done", "7 Nov", version="2.0")
    (found,) = world.findings("event_renamed")
    assert (found.event, found.renamed_to, found.started_on) == ("Order Paid", "Payment Done", day("7 Nov"))
    assert found.evidence["evidence_kinds"]["timing"]["app_versions"] == ["2.0"]


def test_the_versions_that_send_the_new_name_are_told_with_the_share_that_moved() -> None:
    world = _store().renames("app", "Order Paid", "Payment Done", "26 Oct", version="2.0")
    (found,) = world.findings("event_renamed")
    told = found.evidence["app_versions"]
    assert told["2.0"]["share_moved"] == 1.0
    assert told.get("1.9", {"share_moved": 0.0})["share_moved"] == 0.0


def test_a_launch_in_a_new_version_beside_an_event_that_goes_on_is_no_rename() -> None:
    world = _store()
    world.sends("app", "Gift Opened", 400)
    taken = world._split_by_version("app", "Gift Opened")["2.0"]
    world.by_version["app", "Gift Opened"] = {"2.0": taken}
    world.volume["app", "Gift Opened"] = taken
    assert world.findings("event_renamed") == []


def test_a_campaign_does_not_hide_a_rename() -> None:
    world = _store(versions=False).renames("app", "Order Paid", "Payment Done", "1 Nov")
    for counts in world.volume.values():
        counts[world.at("31 Oct") :] *= 3
    (found,) = world.findings("event_renamed")
    assert (found.event, found.renamed_to, found.started_on) == ("Order Paid", "Payment Done", day("1 Nov"))


def test_two_events_that_swing_apart_in_a_campaign_are_no_rename() -> None:
    world = _store(versions=False)
    world.volume["app", "Order Paid"][world.at("1 Nov") :] //= 2
    world.volume["app", "Item Liked"][world.at("1 Nov") :] += 200
    assert world.findings("event_renamed") == []


def test_names_of_a_test_of_two_variants_that_both_existed_before_are_no_rename() -> None:
    world = _store(versions=False).sends("app", "Offer A", 200, planned=False)
    world.sends("app", "Offer B", 20, planned=False)
    moved = world.volume["app", "Offer A"][world.at("1 Nov") :] * 9 // 10
    world.volume["app", "Offer A"][world.at("1 Nov") :] -= moved
    world.volume["app", "Offer B"][world.at("1 Nov") :] += moved
    assert world.findings("event_renamed") == []


def test_all_names_of_a_source_renamed_at_once_are_all_found() -> None:
    world = _store(versions=False)
    for name in ("Order Paid", "Cart Seen", "Item Liked", "Search"):
        world.renames("app", name, name.upper() + "!", "1 Nov")
    found = {(f.event, f.renamed_to) for f in world.findings("event_renamed")}
    assert found == {
        (name, name.upper() + "!") for name in ("Order Paid", "Cart Seen", "Item Liked", "Search")
    }


def test_a_split_names_all_parts_and_conserves_as_a_whole() -> None:
    world = _store(versions=False).renames("app", "Order Paid", "Card Paid", "27 Oct")
    part = world.volume["app", "Card Paid"] * 2 // 5
    world.volume["app", "Card Paid"] -= part
    world.volume["app", "Cash Paid"] = part
    found = {f.renamed_to: f for f in world.findings("event_renamed")}
    assert set(found) == {"Card Paid", "Cash Paid"}
    assert found["Card Paid"].evidence["split"] == ["Cash Paid"]
    assert found["Card Paid"].evidence["evidence_kinds"]["conservation"]["old_now_per_day"] == 0


def test_a_merge_names_all_old_names_and_shares_out_the_messages() -> None:
    world = _store(versions=False).renames("app", "Order Paid", "Money Came", "27 Oct")
    world.renames("app", "Item Liked", "Money Came", "27 Oct")
    found = {f.event: f for f in world.findings("event_renamed")}
    assert set(found) == {"Order Paid", "Item Liked"}
    assert found["Item Liked"].evidence["merge"] == ["Order Paid"]
    told = sum(f.messages_affected for f in found.values())
    assert abs(told - int(world.volume["app", "Money Came"].sum())) <= len(world.days)


class _Users:
    """Answers with the users that a test plants: both names, and the old name with any other one."""

    def __init__(self, both: int, usual: int) -> None:
        self.both, self.usual = both, usual
        self.asked: list[NamePair] = []

    def contrast(self, questions: Sequence[Contrast]) -> pd.DataFrame:
        return pd.DataFrame(columns=list(CONTRAST_COLUMNS))

    def shared_users(self, pairs: Sequence[NamePair]) -> pd.DataFrame:
        self.asked += pairs
        return pd.DataFrame(
            [
                (p.source, p.old, p.new, 100, 100, self.both if "order" in p.new.lower() else self.usual)
                for p in pairs
            ],
            columns=list(SHARED_COLUMNS),
        )


@pytest.mark.parametrize(("both", "found"), [(1, 1), (60, 0)])
def test_users_who_send_only_one_of_two_spellings_show_a_rename_before_its_fall_does(
    both: int, found: int
) -> None:
    world = _store(versions=False).renames("app", "Order Paid", "order_paid", "6 Nov", share=0.06)
    world.witness = _Users(both, usual=60)
    assert len(world.findings("event_renamed")) == found
    assert len(world.witness.asked) == 2  # the pair, and its measure


@pytest.mark.parametrize(("both", "found"), [(3, 1), (60, 0)])
def test_users_who_go_on_to_send_both_names_speak_against_a_rename(both: int, found: int) -> None:
    world = _store(versions=False).renames("app", "Order Paid", "Preorder Paid", "1 Nov", share=0.5)
    world.planned["app"].add("Preorder Paid")
    world.witness = _Users(both, usual=60)
    assert len(world.findings("event_renamed")) == found


def test_a_pair_that_is_clear_without_asks_nobody() -> None:
    world = shop().renames("web_app", "Purchase Completed", "purchase_completed", "20 Oct")
    world.witness = _Users(60, usual=60)
    assert world.findings("event_renamed")
    assert world.witness.asked == []


def test_the_patch_can_be_copied_and_hostile_names_make_none() -> None:
    world = _store(versions=False).renames("app", "Order Paid", 'It\'s "paid" \\ done', "1 Nov")
    (found,) = world.findings("event_renamed")
    patch = found.evidence["patch"]
    assert json.loads(patch["plan_rule"])["key"] == 'It\'s "paid" \\ done'
    view = " ".join(patch["sql_view"])
    assert "or t.event_text = 'It''s \"paid\" ' || chr(92) || ' done'" in view
    assert "Order Paid" in patch["alias"]["email"]
    hostile = _store(versions=False).renames("app", "Order Paid", "paid\n\x1b[31m by a@b.example", "1 Nov")
    (found,) = hostile.findings("event_renamed")
    assert found.evidence["patch"] == {}


# --- many random sources ------------------------------------------------------------------------------------


def _told(world: Simulated, *, through: int | None = None) -> set[tuple[str | None, str | None]]:
    return {(f.event, f.renamed_to) for f in event_renamed(world.evidence(through=through), Claims())}


def test_three_hundred_random_sources_without_a_rename_have_none() -> None:
    assert [seed for seed in range(9000, 9300) if _told(Simulated(seed))] == []


@pytest.mark.parametrize(
    "plant",
    [
        pytest.param(lambda w: w.renamed(how="at_once", same_slug=False), id="at-once"),
        pytest.param(lambda w: w.renamed(how="at_once", same_slug=False, planned=True), id="planned"),
        pytest.param(lambda w: w.renamed(how="partly", same_slug=True), id="partly-same-slug"),
        pytest.param(lambda w: w.renamed(how="by_version", same_slug=False), id="by-version"),
        pytest.param(lambda w: w.split(), id="split"),
        pytest.param(lambda w: w.merge(), id="merge"),
    ],
)
def test_planted_renames_are_found_by_the_run_after_fifty_messages(plant: object) -> None:
    planted = found = strangers = 0
    for seed in range(9300, 9345):
        world = Simulated(seed)
        if "by_version" in plant.__code__.co_consts and len(world.versions) == 1:
            continue
        truth = plant(world)
        if truth.messages.sum() < 50:
            continue
        told = _told(world, through=truth.told_by())
        pairs = {(old, new) for old in truth.old for new in truth.new}
        planted += 1
        found += pairs <= told
        strangers += bool(told - pairs)
    assert planted >= 20
    assert found >= 0.95 * planted
    assert strangers <= 0.05 * planted


# --- the choice of pairs ------------------------------------------------------------------------------------


def test_the_assignment_is_as_cheap_as_the_best_of_all() -> None:
    random = np.random.default_rng(5)
    for _ in range(200):
        rows = int(random.integers(1, 6))
        cost = random.normal(size=(rows, rows + int(random.integers(0, 3))))
        chosen = hungarian(cost)
        assert len(set(chosen)) == rows
        best = min(
            sum(cost[row, column] for row, column in enumerate(columns))
            for columns in permutations(range(cost.shape[1]), rows)
        )
        assert sum(cost[row, column] for row, column in enumerate(chosen)) == pytest.approx(best)


def test_the_choice_of_pairs_splits_and_merges_is_the_best_there_is() -> None:
    random = np.random.default_rng(6)
    for _ in range(200):
        options = []
        for _ in range(int(random.integers(1, 9))):
            olds = random.choice(4, int(random.choice([1, 1, 2])), replace=False)
            news = random.choice(4, 1 if len(olds) > 1 else int(random.choice([1, 1, 2])), replace=False)
            options.append(Claimed(tuple(olds.tolist()), tuple(news.tolist()), float(random.uniform(0, 9))))
        if sum(len(o.olds) + len(o.news) > 2 for o in options) > 6:
            continue
        best = 0.0
        for size in range(1, len(options) + 1):
            for some in combinations(options, size):
                olds = [old for each in some for old in each.olds]
                news = [new for each in some for new in each.news]
                if len(set(olds)) == len(olds) and len(set(news)) == len(news):
                    best = max(best, sum(each.score for each in some))
        chosen = [options[at] for at in best_together(options)]
        assert sum(each.score for each in chosen) == pytest.approx(best)


# --- what a rename leaves behind ------------------------------------------------------------------------


def _taken_up(old: str = "Purchase Completed", new: str = "purchase_completed") -> World:
    """Email takes both names by now, and the plan knows them."""
    world = shop().renames("web_app", old, new, "2 Nov")
    world.planned["web_app"].add(new)
    world.feeds("crm", ["web_app"], [old, new, "Signup Completed"])
    world.destinations = [each for each in world.destinations if each.name in ("crm", "lake")]
    return world


def test_a_loss_of_all_that_was_sent_under_a_new_name_names_the_rename() -> None:
    world = _taken_up().fault("crm", "purchase_completed", "2 Nov", "8 Nov", missing=1.0)
    (loss,) = world.findings("delivery_loss")
    renamed = {"event": "Purchase Completed", "new": "purchase_completed", "source": "web_app"}
    assert loss.evidence["renamed"] == [renamed | {"since": "2026-11-02"}]


def test_a_loss_of_a_new_name_that_has_arrived_before_has_another_cause() -> None:
    world = _taken_up().fault("crm", "purchase_completed", "5 Nov", "8 Nov", missing=0.6)
    (loss,) = world.findings("delivery_loss")
    assert "renamed" not in loss.evidence


def test_a_loss_of_another_event_is_not_left_of_a_rename() -> None:
    world = _taken_up().fault("crm", "Signup Completed", "2 Nov", "8 Nov", missing=0.6)
    (loss,) = world.findings("delivery_loss")
    assert "renamed" not in loss.evidence


def test_what_is_left_of_a_rename_is_said_without_anything_hidden() -> None:
    new = "purchase\u202e*completed*"
    world = _taken_up(new=new).fault("crm", new, "2 Nov", "8 Nov", missing=1.0)
    (loss,) = world.findings("delivery_loss")
    said = explanation(loss, day("9 Nov")) + suggestion(loss, day("9 Nov"))
    assert 'web_app sends "Purchase Completed" as "purchase' in said
    assert "\u202e" not in said
