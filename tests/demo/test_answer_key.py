"""The answer key, counted again from the landed rows in bare SQL."""

from __future__ import annotations

import json
from datetime import date, datetime
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from dagster_project.demo.exports import DESTINATIONS
from dagster_project.demo.incidents import Effect, Incident, last_complete_day

KINDS = {
    "event_renamed",
    "event_stopped",
    "unplanned_event",
    "delivery_stopped",
    "delivery_loss",
    "duplicate_delivery",
    "export_incomplete",
    "identifier_format",
    "property_violation",
    "name_mismatch",
}
LAST_DAY = date(2026, 11, 8)


def days_and_messages(landed: Any, query: str) -> tuple[date, date, int]:
    """The first day, the last day and the number of what a query of (day, n) finds on complete days."""
    return landed.rows(
        f"select min(day)::date, max(day)::date, sum(n)::bigint from ({query}) where day <= date '{LAST_DAY}'"
    )[0]


def test_every_kind_that_the_demo_promises_is_planted(landed: Any) -> None:
    assert {incident.kind for incident in landed.key.incidents} == KINDS
    assert len(landed.key.incidents) == 11


def test_no_two_incidents_share_a_place(landed: Any) -> None:
    at_sources = [(i.source, i.event) for i in landed.key.incidents if i.source]
    at_destinations = [(i.destinations, i.event) for i in landed.key.incidents if not i.source]
    assert len(set(at_sources)) == len(at_sources)
    assert len(set(at_destinations)) == len(at_destinations)


def test_the_purchase_rename_keeps_its_table_and_is_counted_once(landed: Any) -> None:
    planted = landed.incident("event_renamed", "Purchase Completed")
    query = """select "timestamp"::date as day, count(distinct id) as n from web_app.purchase_completed
               where event_text = 'purchase_completed' group by 1"""
    assert days_and_messages(landed, query) == (planted.started_on, LAST_DAY, planted.messages_affected)
    assert landed.value("select count(distinct event) from web_app.purchase_completed") == 1
    assert planted.destinations == ("ads_conversions", "attribution", "lifecycle_email")
    old = """select max("timestamp")::date from messages where event_text = 'Purchase Completed'"""
    assert landed.value(old) == date(2026, 10, 20)


def test_the_purchase_rename_spreads_within_hours(landed: Any) -> None:
    shares = dict(
        landed.rows(
            """select date_trunc('hour', "timestamp"), avg((event_text = 'purchase_completed')::int)
            from web_app.purchase_completed where "timestamp"::date = '2026-10-20' group by 1"""
        )
    )
    assert all(share == 0 for hour, share in shares.items() if hour.hour < 9)
    assert all(share == 1 for hour, share in shares.items() if hour.hour >= 15)
    assert any(0 < share < 1 for share in shares.values())


def test_the_trial_rename_lands_in_another_table_and_follows_the_app_version(landed: Any) -> None:
    planted = landed.incident("event_renamed", "Trial Started")
    query = """select "timestamp"::date as day, count(distinct id) as n
               from android_production.free_trial_started group by 1"""
    assert days_and_messages(landed, query) == (planted.started_on, LAST_DAY, planted.messages_affected)
    versions = landed.rows("select distinct context_app_version from android_production.free_trial_started")
    assert versions == [("5.3.0",)]
    old = "select count(*) from android_production.trial_started where context_app_version = '5.3.0'"
    assert landed.value(old) == 0


def test_the_stopped_event_is_silent_while_its_source_speaks(landed: Any) -> None:
    planted = landed.incident("event_stopped", "Ticket Escalated")
    query = """select "timestamp"::date as day, count(*) as n from support_service.tracks
               where event_text = 'Ticket Escalated' group by 1"""
    history = dict(landed.rows(query))
    assert max(history) < planted.started_on
    assert landed.value('select max("timestamp")::date from support_service.tracks') > LAST_DAY
    # What would have been sent is not in the warehouse: it must be what the weeks before make likely.
    usual = sum(history[date(2026, 10, day)] for day in range(19, 26))
    assert planted.messages_affected == pytest.approx(usual, rel=0.15)


def test_the_debug_event_is_in_no_plan_and_counted_exactly(landed: Any) -> None:
    planted = landed.incident("unplanned_event", "debug_banner_seen")
    query = """select "timestamp"::date as day, count(distinct id) as n from marketing_site.debug_banner_seen
               group by 1"""
    assert days_and_messages(landed, query) == (planted.started_on, LAST_DAY, planted.messages_affected)


def test_shipments_carry_an_email_from_the_first_of_november(landed: Any) -> None:
    planted = landed.incident("identifier_format", "Order Shipped")
    query = """select "timestamp"::date as day, count(distinct id) as n from orders_service.order_shipped
               where user_id like '%@%' group by 1"""
    assert days_and_messages(landed, query) == (planted.started_on, LAST_DAY, planted.messages_affected)
    others = "select count(*) from messages where user_id like '%@%' and event_text <> 'Order Shipped'"
    assert landed.value(others) == 0


def test_invoice_amounts_are_empty_since_the_release(landed: Any) -> None:
    planted = landed.incident("property_violation", "Invoice Paid")
    query = """select "timestamp"::date as day, count(distinct id) as n from billing_service.invoice_paid
               where amount is null and "timestamp" >= '2026-10-24' group by 1"""
    assert days_and_messages(landed, query) == (planted.started_on, LAST_DAY, planted.messages_affected)


def test_product_analytics_gets_no_feature_used_for_five_days(landed: Any) -> None:
    planted = landed.incident("delivery_stopped", "Feature Used")
    query = """select day, sum(missing) as n from cells where destination = 'product_analytics'
               and event = 'Feature Used' and missing = expected group by 1"""
    assert days_and_messages(landed, query) == (planted.started_on, LAST_DAY, planted.messages_affected)
    assert planted.ended_on is None  # at this moment nobody can know that it ends


def test_lifecycle_email_loses_an_eighth_of_product_added(landed: Any) -> None:
    planted = landed.incident("delivery_loss", "Product Added")
    ((missing, expected),) = landed.rows(
        """select sum(missing), sum(expected) from cells where destination = 'lifecycle_email'
        and event = 'Product Added' and day between ? and ?""",
        planted.started_on,
        planted.ended_on,
    )
    assert missing == planted.messages_affected
    assert 0.09 < missing / expected < 0.16


def test_the_archive_holds_one_day_twice(landed: Any) -> None:
    planted = landed.incident("duplicate_delivery", None)
    query = "select day, duplicates as n from cells where duplicates > 0"
    assert days_and_messages(landed, query) == (
        planted.started_on,
        planted.ended_on,
        planted.messages_affected,
    )


def test_the_help_desk_misses_the_tail_of_one_day(landed: Any) -> None:
    planted = landed.incident("export_incomplete", None)
    query = """select hour(("timestamp" at time zone 'UTC') at time zone 'Europe/London') as hour,
                      count(*) as n, count(*) filter (where copies > 0) as held
               from matched join messages on right(id, 36) = key
               where destination = 'support_desk' and day = '2026-10-30' group by 1"""
    hours = {hour: (n, held) for hour, n, held in landed.rows(query)}
    assert sum(n for hour, (n, _) in hours.items() if hour >= 14) == planted.messages_affected
    assert all(held == 0 for hour, (_, held) in hours.items() if hour >= 14)
    assert all(held > 0.8 * n for hour, (n, held) in hours.items() if hour < 14 and n > 5)


def test_finance_books_renewals_under_a_misspelt_line(landed: Any) -> None:
    planted = landed.incident("name_mismatch", "Subscribtion Renewed")
    query = "select day, n from totals where name = 'Subscribtion Renewed'"
    assert days_and_messages(landed, query) == (planted.started_on, LAST_DAY, planted.messages_affected)
    right = """select max(day) from totals where destination = 'finance_reports'
               and name = 'Subscription Renewed'"""
    assert landed.value(right) == date(2026, 11, 1)


def test_the_key_is_written_in_the_words_of_the_incidents_table(landed: Any, tmp_path: Path) -> None:
    landed.key.write(tmp_path / "new" / "answer_key.json")
    written = json.loads((tmp_path / "new" / "answer_key.json").read_text(encoding="utf-8"))
    assert written["complete_through"] == "2026-11-08"
    assert len(written["incidents"]) == len(landed.key.incidents)
    assert written["incidents"][1] == {
        "kind": "event_renamed",
        "source": "web_app",
        "event": "Purchase Completed",
        "renamed_to": "purchase_completed",
        "property": None,
        "identifier": None,
        "destinations": ["ads_conversions", "attribution", "lifecycle_email"],
        "started_on": "2026-10-20",
        "ended_on": None,
        "messages_affected": landed.incident("event_renamed", "Purchase Completed").messages_affected,
    }


# --- what the key tells when -------------------------------------------------------------------------


def effect(first: str, last: str | None, *hits: str) -> Effect:
    moments = pd.Series(pd.to_datetime(list(hits)))
    incident = Incident(
        "delivery_stopped",
        started_on=date.fromisoformat(first),
        ended_on=date.fromisoformat(last) if last else None,
    )
    return Effect(incident, moments.dt.floor("D"), moments.dt.ceil("h"))


def test_an_incident_is_not_told_before_its_first_day_is_over() -> None:
    begun = effect("2026-10-20", None, "2026-10-20 09:30")
    assert begun.told_at(datetime(2026, 10, 20, 23)) is None
    told = begun.told_at(datetime(2026, 10, 21))
    assert told is not None and told.messages_affected == 1


def test_an_end_is_told_only_when_a_day_without_it_is_over() -> None:
    ended = effect("2026-10-20", "2026-10-20", "2026-10-20 09:30")
    on_the_day_after = ended.told_at(datetime(2026, 10, 21, 12))
    assert on_the_day_after is not None and on_the_day_after.ended_on is None
    later = ended.told_at(datetime(2026, 10, 22))
    assert later is not None and later.ended_on == date(2026, 10, 20)


def test_messages_that_land_later_are_not_counted_yet() -> None:
    late = effect("2026-10-20", None, "2026-10-20 09:30", "2026-10-20 23:30")
    late.seen_at[1] = pd.Timestamp("2026-10-23")
    told = late.told_at(datetime(2026, 10, 22))
    assert told is not None and told.messages_affected == 1


@pytest.mark.parametrize(
    ("name", "last_day"),
    [
        ("lifecycle_email", date(2026, 11, 8)),  # ends at 05:00 UTC and has six hours
        ("ads_conversions", date(2026, 11, 7)),  # ends at 08:00 UTC: not due before two in the afternoon
        ("attribution", date(2026, 11, 8)),
    ],
)
def test_a_destination_day_counts_when_it_must_be_complete(name: str, last_day: date) -> None:
    (destination,) = (d for d in DESTINATIONS if d.name == name)
    assert last_complete_day(datetime(2026, 11, 9, 12), destination) == last_day
