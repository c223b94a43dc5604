"""What does not arrive is the destination's fault, the event's, or the export's: told once, when mature."""

from __future__ import annotations

from datetime import date

import pytest
from diagnosed.world import World, day, shop

from dagster_project.core.wording import explanation, suggestion, title


def missing(
    world: World, destination: str, *, events: set[str] | None = None, days: set[date] | None = None
) -> int:
    cells = world.evidence().judged
    rows = cells[cells["destination"] == destination]
    if events is not None:
        rows = rows[rows["event"].isin(list(events))]
    if days is not None:
        rows = rows[rows["day"].dt.date.isin(list(days))]
    return int(rows["missing"].sum())


def test_one_event_that_stops_at_one_destination_is_one_incident_of_the_event() -> None:
    world = shop().fault("email", "Signup Completed", "1 Nov", "8 Nov", missing=1.0)
    found = world.only("delivery_stopped")
    assert (found.event, found.destinations, found.severity) == ("Signup Completed", ("email",), "error")
    assert (found.started_on, found.ended_on) == (day("1 Nov"), None)
    days = {day(f"{n} Nov") for n in range(1, 9)}
    assert found.messages_affected == missing(world, "email", events={"Signup Completed"}, days=days)
    assert len(found.links) == 8
    assert set(found.links["difference"]) == {"missing"}


def test_all_events_that_stop_at_a_destination_are_one_incident_without_an_event() -> None:
    world = shop().fault("email", None, "3 Nov", "8 Nov", missing=1.0, exported=False)
    found = world.only("delivery_stopped")
    assert (found.event, found.severity, found.started_on) == (None, "critical", day("3 Nov"))
    assert found.evidence["whole_export_absent"] is True


def test_most_events_that_stop_together_are_one_incident() -> None:
    world = shop()
    for event in ("Product Viewed", "Cart Updated", "App Opened"):
        world.fault("analytics", event, "3 Nov", "8 Nov", missing=1.0)
    found = world.only("delivery_stopped")
    assert found.event is None
    assert found.evidence["events"] == ["App Opened", "Cart Updated", "Product Viewed"]


def test_a_stop_in_the_middle_of_a_day_includes_that_day() -> None:
    world = shop().fault("email", "Signup Completed", "2 Nov", "8 Nov", missing=1.0)
    world.fault("email", "Signup Completed", "1 Nov", missing=0.4)
    assert world.only("delivery_stopped").started_on == day("1 Nov")


def test_an_export_that_ends_in_the_middle_of_a_day_for_good_is_a_stop_of_that_day() -> None:
    world = shop().fault("email", None, "4 Nov", cut_at=14)
    world.fault("email", None, "5 Nov", "8 Nov", exported=False)
    found = world.only("delivery_stopped")
    assert (found.event, found.started_on) == (None, day("4 Nov"))


def test_a_stop_that_is_over_keeps_its_name_and_has_an_end() -> None:
    world = shop().fault("email", "Signup Completed", "20 Oct", "24 Oct", missing=1.0)
    found = world.only("delivery_stopped")
    assert (found.started_on, found.ended_on) == (day("20 Oct"), day("24 Oct"))


def test_a_small_event_is_stopped_once_enough_of_it_was_expected() -> None:
    world = shop().sends("web_app", "Refund Asked", 7)
    world.feeds("desk", ["web_app"], ["Refund Asked", "Signup Completed", "Cart Updated"])
    world.fault("desk", "Refund Asked", "2 Nov", "8 Nov", missing=1.0)
    assert world.only("delivery_stopped").event == "Refund Asked"


def test_a_small_event_silent_for_a_day_is_not_stopped() -> None:
    world = (
        shop()
        .sends("web_app", "Refund Asked", 7)
        .feeds("desk", ["web_app"], ["Refund Asked", "Cart Updated"])
    )
    assert world.fault("desk", "Refund Asked", "8 Nov", missing=0.4).findings() == []


def test_an_immature_day_never_alarms() -> None:
    world = shop().fault("email", None, "8 Nov", missing=1.0, exported=False, mature=False)
    assert world.findings() == []


def test_days_missing_between_others_make_the_export_incomplete() -> None:
    world = shop().fault("lake", None, "28 Oct", "29 Oct", exported=False)
    found = world.only("export_incomplete")
    assert (found.event, found.destinations, found.severity) == (None, ("lake",), "error")
    assert (found.started_on, found.ended_on) == (day("28 Oct"), day("29 Oct"))
    assert found.messages_affected == missing(world, "lake", days={day("28 Oct"), day("29 Oct")})
    assert found.windows == (("lake", day("28 Oct")), ("lake", day("29 Oct")))


@pytest.mark.parametrize("hour", [6, 14, 20])
def test_a_day_cut_short_makes_the_export_incomplete(hour: int) -> None:
    world = shop().fault("lake", None, "4 Nov", cut_at=hour)
    found = world.only("export_incomplete")
    assert found.evidence["days_cut_short"]["2026-11-04"]["last_hour"] == hour - 1
    assert (found.started_on, found.ended_on) == (day("4 Nov"), day("4 Nov"))
    # What was lost before the cut is the usual loss.
    lost = missing(world, "lake", days={day("4 Nov")})
    assert 0.95 * lost <= found.messages_affected <= lost
    assert found.links["day"].nunique() == 1


def test_one_event_cut_short_is_not_the_exports_fault() -> None:
    world = shop().fault("lake", "Product Viewed", "4 Nov", cut_at=14)
    assert world.only("delivery_loss").event == "Product Viewed"


def test_a_thin_day_of_even_loss_is_not_cut_short() -> None:
    assert shop().fault("lake", None, "4 Nov", missing=0.5).only("delivery_loss").event is None


def test_an_export_that_cannot_be_read_is_told_with_its_problem() -> None:
    world = shop().fault("ads", None, "7 Nov", "8 Nov", exported=False)
    world.export["ads"] = {"status": "broken", "problem": "exports/ads/2026-11-07.csv.gz: not a gzip file"}
    found = world.only("export_incomplete")
    assert found.destinations == ("ads",)
    assert found.evidence["problem"] == "exports/ads/2026-11-07.csv.gz: not a gzip file"
    assert found.started_on == day("7 Nov")


def test_an_export_that_cannot_be_read_is_told_before_its_days_are_mature() -> None:
    world = shop().fault("ads", None, "8 Nov", exported=False, mature=False)
    world.export["ads"] = {"status": "broken", "problem": "table export_ads.daily does not exist"}
    assert world.only("export_incomplete").windows == (("ads", day("8 Nov")),)


def _unread(world: World) -> World:
    world.export["lake"] = {"status": "broken", "problem": "2026-11-07.jsonl.gz: its gzip data stops"}
    return world


def test_of_an_export_that_cannot_be_read_only_the_days_that_are_due_are_missing() -> None:
    world = _unread(shop().fault("lake", None, "7 Nov", exported=False))
    found = world.fault("lake", None, "8 Nov", exported=False, mature=False).only("export_incomplete")
    assert found.messages_affected == missing(world, "lake", days={day("7 Nov")}) > 0
    assert (found.severity, found.windows) == ("error", (("lake", day("7 Nov")),))
    assert found.evidence["days_without_export"] == ["2026-11-07"]


def test_while_nothing_that_is_due_is_missing_an_export_that_cannot_be_read_is_a_warning() -> None:
    world = _unread(shop().fault("lake", None, "8 Nov", exported=False, mature=False))
    found = world.only("export_incomplete")
    assert (found.severity, found.messages_affected, found.started_on) == ("warning", 0, day("8 Nov"))
    whole = _unread(shop()).only("export_incomplete")
    assert (whole.severity, whole.messages_affected, whole.windows) == ("warning", 0, ())


def test_a_day_cut_short_is_missing_while_another_file_cannot_be_read() -> None:
    world = _unread(shop().fault("lake", None, "4 Nov", cut_at=14))
    found = world.fault("lake", None, "8 Nov", exported=False, mature=False).only("export_incomplete")
    assert (found.severity, found.windows) == ("error", (("lake", day("4 Nov")),))
    assert "cannot be read in full on 4 Nov" in explanation(found, day("9 Nov"))


def test_what_is_said_of_an_export_that_cannot_be_read_is_of_days_that_are_due() -> None:
    world = _unread(shop().fault("lake", None, "7 Nov", exported=False))
    found = world.fault("lake", None, "8 Nov", exported=False, mature=False).only("export_incomplete")
    said = " ".join(words(found, day("9 Nov")) for words in (title, explanation, suggestion))
    assert "on 7 Nov" in said
    assert "Export 7 Nov of lake again" in said
    assert "8 Nov" not in said
    waiting = _unread(shop().fault("lake", None, "8 Nov", exported=False, mature=False))
    found = waiting.only("export_incomplete")
    assert (
        title(found, day("9 Nov"))
        == "The export of lake cannot be read in full; nothing that is due is missing"
    )
    assert "Not due yet, and without any delivery: 8 Nov." in explanation(found, day("9 Nov"))


def test_a_day_that_was_read_in_part_is_not_called_a_day_without_any_delivery() -> None:
    world = _unread(shop().fault("lake", None, "7 Nov", missing=0.4))
    found = world.fault("lake", None, "8 Nov", exported=False).only("export_incomplete")
    assert found.messages_affected == missing(world, "lake", days={day("7 Nov"), day("8 Nov")})
    said = explanation(found, day("9 Nov"))
    assert "Days without any delivery: 8 Nov. Days of which a part is not there: 7 Nov." in said


def test_a_destination_that_never_delivered_anything_has_no_export() -> None:
    world = shop().fault("email", None, "28 Sep", "8 Nov", exported=False)
    found = world.only("export_incomplete")
    assert found.evidence["reason"] == "never_exported"


def test_days_before_the_first_export_of_a_new_destination_are_not_told() -> None:
    assert shop().fault("email", None, "28 Sep", "15 Oct", exported=False).findings() == []


def test_a_destination_without_any_expected_message_is_silent_for_good_reason() -> None:
    world = shop().feeds("idle", ["web_app"], ["Nobody Sends This"])
    assert world.fault("idle", None, "28 Sep", "8 Nov", exported=False).findings() == []


def test_deliveries_under_changed_ids_are_not_told_as_a_stop_and_a_surplus() -> None:
    world = shop().fault("analytics", None, "2 Nov", "8 Nov", missing=0.98, as_unexpected=True)
    found = world.only("unexplained")
    assert found.evidence["reason"] == "unmatched"
    assert set(found.links["difference"]) == {"missing", "unexpected"}


def test_a_day_that_was_read_in_part_before_its_export_broke_belongs_to_it() -> None:
    world = shop().fault("ads", None, "7 Nov", missing=0.4).fault("ads", None, "8 Nov", exported=False)
    world.export["ads"] = {"status": "broken", "problem": "table export_ads.daily does not exist"}
    found = world.only("export_incomplete")
    assert found.windows == (("ads", day("7 Nov")), ("ads", day("8 Nov")))


def test_a_small_event_that_arrives_shows_that_the_destination_lives() -> None:
    world = World().sends("web", "Page Opened", 5000).sends("web", "Trial Started", 40)
    world.feeds("crm", ["web"], ["Page Opened", "Trial Started"])
    world.fault("crm", "Page Opened", "4 Nov", "8 Nov", missing=1.0)
    assert world.only("delivery_stopped").event == "Page Opened"


@pytest.mark.parametrize(("last", "kind"), [("2 Nov", "export_incomplete"), ("4 Nov", "delivery_stopped")])
def test_a_file_may_be_lost_and_more_empty_days_in_a_row_are_a_stop(last: str, kind: str) -> None:
    world = shop().fault("lake", None, "1 Nov", last, exported=False)
    found = world.only(kind)
    assert (found.started_on, found.ended_on) == (day("1 Nov"), day(last))


def test_the_newest_day_of_an_export_is_late_before_it_has_stopped() -> None:
    late = shop().fault("lake", None, "8 Nov", exported=False).only("export_late")
    assert (late.started_on, late.ended_on, late.severity) == (day("8 Nov"), None, "error")
    assert shop().fault("lake", None, "7 Nov", "8 Nov", exported=False).only("delivery_stopped")
