"""What goes wrong in the demo: one function for each planted incident, each telling exactly what it hit."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from datetime import date, datetime, timedelta
from typing import Any

import numpy as np
import pandas as pd

from dagster_project.demo.dice import roll
from dagster_project.demo.exports import UTC, DemoDestination, day_end
from dagster_project.demo.plan import SentEvent, words
from dagster_project.demo.traffic import Traffic, landing_times


@dataclass(frozen=True)
class Incident:
    """One line of the answer key, in the words of the table `incidents`."""

    kind: str
    source: str | None = None
    event: str | None = None
    renamed_to: str | None = None
    property: str | None = None
    identifier: str | None = None
    destinations: tuple[str, ...] = ()
    started_on: date = date.min
    ended_on: date | None = None
    messages_affected: int = 0

    def as_json(self) -> dict[str, Any]:
        fields = asdict(self)
        fields["destinations"] = sorted(self.destinations)
        fields["started_on"] = self.started_on.isoformat()
        fields["ended_on"] = self.ended_on.isoformat() if self.ended_on else None
        return fields


@dataclass(frozen=True)
class Effect:
    """An incident with the day of each message it hits and the moment from which that can be seen."""

    incident: Incident
    days: pd.Series
    seen_at: pd.Series
    destination: DemoDestination | None = None  # whose days these are; None: the workspace's, in UTC

    def told_at(self, through: datetime) -> Incident | None:
        """The incident as it can be known at `through`: complete days only, and nothing before it is seen."""
        last_day = last_complete_day(through, self.destination)
        hits = int(((self.days.dt.date <= last_day) & (self.seen_at <= np.datetime64(through))).sum())
        ended = self.incident.ended_on
        still_on = ended is None or last_day <= ended
        return (
            replace(self.incident, messages_affected=hits, ended_on=None if still_on else ended)
            if hits
            else None
        )


def last_complete_day(through: datetime, destination: DemoDestination | None) -> date:
    """The last day that is over at `through` and, for a destination, must have been delivered."""
    zone = destination.zone if destination else UTC
    patience = destination.complete_after if destination else timedelta(0)
    day = through.date() + timedelta(days=1)
    while day_end(day, zone) + patience > through:
        day -= timedelta(days=1)
    return day


# --- at the source --------------------------------------------------------------------------------


def web_release_renames_purchase(web_app: Traffic) -> Effect:
    """A rewrite of the checkout sends "purchase_completed": same table, same slug, another raw name.

    The release goes out at nine and reaches every browser within six hours; whoever matches names exactly
    waits for "Purchase Completed" from then on.
    """
    sent = web_app.messages
    hours = (sent["timestamp"] - pd.Timestamp("2026-10-20 09:00")) / pd.Timedelta(hours=1)
    new_tab = roll(sent["dice"].to_numpy(), "release") < (hours / 6).clip(0, 1)
    renamed = (sent["event_text"] == "Purchase Completed") & new_tab & (hours >= 0)
    sent.loc[renamed, "event_text"] = "purchase_completed"
    return _at_source(
        web_app,
        renamed,
        Incident(
            kind="event_renamed",
            source="web_app",
            event="Purchase Completed",
            renamed_to="purchase_completed",
            destinations=("ads_conversions", "attribution", "lifecycle_email"),
            started_on=date(2026, 10, 20),
        ),
    )


def android_rollout_renames_trial(android_app: Traffic) -> Effect:
    """Android 5.3.0 says "Free Trial Started": another slug and table, growing with the staged roll-out."""
    sent = android_app.messages
    renamed = (sent["event_text"] == "Trial Started") & (sent["app_version"] == "5.3.0")
    sent.loc[renamed, "event_text"] = "Free Trial Started"
    return _at_source(
        android_app,
        renamed,
        Incident(
            kind="event_renamed",
            source="android_app",
            event="Trial Started",
            renamed_to="Free Trial Started",
            destinations=("attribution", "lifecycle_email"),
            started_on=date(2026, 10, 26),
        ),
    )


def escalations_stop(support_service: Traffic) -> Effect:
    """The service stops to send "Ticket Escalated" while everything else of it goes on.

    `messages_affected` counts what would have been sent: the generator knows, a reconciler can only estimate.
    """
    sent = support_service.messages
    swallowed = (sent["event_text"] == "Ticket Escalated") & (sent["timestamp"] >= pd.Timestamp("2026-11-02"))
    sent.loc[swallowed, "sent"] = False
    return _at_source(
        support_service,
        swallowed,
        Incident(
            kind="event_stopped",
            source="support_service",
            event="Ticket Escalated",
            destinations=("support_desk",),
            started_on=date(2026, 11, 2),
        ),
    )


def debug_event_goes_live(marketing_site: Traffic) -> Effect:
    """A debugging call slips into production: nobody planned it, the archive swallows it."""
    return _at_source(
        marketing_site,
        marketing_site.messages["event_text"] == "debug_banner_seen",
        Incident(
            kind="unplanned_event",
            source="marketing_site",
            event="debug_banner_seen",
            destinations=("cdp_archive",),
            started_on=date(2026, 10, 28),
        ),
    )


def shipments_carry_email(orders_service: Traffic) -> Effect:
    """The warehouse's new integration sends the customer's e-mail address where the user id belongs."""
    sent = orders_service.messages
    wrong = (sent["event_text"] == "Order Shipped") & (sent["timestamp"] >= pd.Timestamp("2026-11-01"))
    sent.loc[wrong, "user_id"] = "customer." + sent.loc[wrong, "user_id"].str[:8] + "@example.com"
    return _at_source(
        orders_service,
        wrong,
        Incident(
            kind="identifier_format",
            source="orders_service",
            event="Order Shipped",
            identifier="user_id",
            destinations=("lifecycle_email",),
            started_on=date(2026, 11, 1),
        ),
    )


def invoices_send_amount_as_text(billing_service: Traffic) -> Effect:
    """A release formats the amount ("129,00 EUR"). The warehouse column is a number, so it lands as null."""
    sent = billing_service.messages
    paid = billing_service.properties["Invoice Paid"]
    onset = sent["timestamp"] >= pd.Timestamp("2026-10-24 10:00")
    paid.loc[onset.reindex(paid.index), "amount"] = np.nan
    # Counted by day: what the steady noise lost on these days is part of what a reader sees.
    empty = paid.index[paid["amount"].isna()]
    hit = sent.index.isin(empty) & (sent["timestamp"] >= pd.Timestamp("2026-10-24"))
    return _at_source(
        billing_service,
        hit,
        Incident(
            kind="property_violation",
            source="billing_service",
            event="Invoice Paid",
            property="amount",
            destinations=("finance_reports",),
            started_on=date(2026, 10, 24),
        ),
    )


# --- on the way to a destination ------------------------------------------------------------------


def analytics_mapping_is_switched_off(destination: DemoDestination, rows: pd.DataFrame) -> Effect:
    """Somebody disables one mapping of product analytics; it is switched on again after five days."""
    hit = (rows["event_text"] == "Feature Used") & _between(rows, date(2026, 11, 4), date(2026, 11, 8))
    rows.loc[hit, "lost"] = True
    return Effect(
        Incident(
            kind="delivery_stopped",
            event="Feature Used",
            destinations=(destination.name,),
            started_on=date(2026, 11, 4),
            ended_on=date(2026, 11, 8),
        ),
        rows.loc[hit, "day"],
        rows.loc[hit, "sent_landed_at"],
        destination,
    )


def mail_tool_drops_a_part(destination: DemoDestination, rows: pd.DataFrame) -> Effect:
    """Rate limits of the mail tool: for six days an eighth of "Product Added" never arrives."""
    window = (rows["event_text"] == "Product Added") & _between(rows, date(2026, 10, 29), date(2026, 11, 3))
    rows.loc[window & (roll(rows["dice"].to_numpy(), "rate limit") < 0.12), "lost"] = True
    # What the steady loss takes in these cells cannot be told apart, so it counts.
    hit = window & rows["lost"]
    return Effect(
        Incident(
            kind="delivery_loss",
            event="Product Added",
            destinations=(destination.name,),
            started_on=date(2026, 10, 29),
            ended_on=date(2026, 11, 3),
        ),
        rows.loc[hit, "day"],
        rows.loc[hit, "sent_landed_at"],
        destination,
    )


def archive_loads_a_day_twice(destination: DemoDestination, rows: pd.DataFrame) -> Effect:
    """A retried load appends the whole day a second time, half an hour before the day counts as complete."""
    second_load = pd.Timestamp("2026-10-15 03:30")
    twice = (
        _between(rows, date(2026, 10, 14), date(2026, 10, 14))
        & ~rows["lost"]
        & (rows["landed_at"] < second_load)
    )
    rows.loc[twice, "landed_again_at"] = second_load
    return Effect(
        Incident(
            kind="duplicate_delivery",
            destinations=(destination.name,),
            started_on=date(2026, 10, 14),
            ended_on=date(2026, 10, 14),
        ),
        rows.loc[twice, "day"],
        rows.loc[twice, "landed_again_at"],
        destination,
    )


def help_desk_load_breaks_off(destination: DemoDestination, rows: pd.DataFrame) -> Effect:
    """The help desk's load of one day breaks off at two in the afternoon; the day's tail never arrives."""
    hit = _between(rows, date(2026, 10, 30), date(2026, 10, 30)) & (rows["local"].dt.hour >= 14)
    rows.loc[hit, "lost"] = True
    return Effect(
        Incident(
            kind="export_incomplete",
            destinations=(destination.name,),
            started_on=date(2026, 10, 30),
            ended_on=date(2026, 10, 30),
        ),
        rows.loc[hit, "day"],
        rows.loc[hit, "sent_landed_at"],
        destination,
    )


def finance_misspells_a_line(destination: DemoDestination, rows: pd.DataFrame) -> Effect:
    """Somebody retypes a report line: "Subscribtion Renewed" fills up, "Subscription Renewed" is empty."""
    retyped = (rows["event_text"] == "Subscription Renewed") & (rows["day"] >= pd.Timestamp("2026-11-02"))
    rows.loc[retyped, "name"] = "Subscribtion Renewed"
    hit = retyped & ~rows["lost"]
    return Effect(
        Incident(
            kind="name_mismatch",
            event="Subscribtion Renewed",
            destinations=(destination.name,),
            started_on=date(2026, 11, 2),
        ),
        rows.loc[hit, "day"],
        rows.loc[hit, "landed_at"],
        destination,
    )


# --- which happens where --------------------------------------------------------------------------

AT_SOURCES: Mapping[str, tuple[Callable[[Traffic], Effect], ...]] = {
    "web_app": (web_release_renames_purchase,),
    "android_app": (android_rollout_renames_trial,),
    "support_service": (escalations_stop,),
    "marketing_site": (debug_event_goes_live,),
    "orders_service": (shipments_carry_email,),
    "billing_service": (invoices_send_amount_as_text,),
}

# What only an incident sends.
EXTRA_EVENTS: Mapping[str, tuple[SentEvent, ...]] = {
    "marketing_site": (
        SentEvent("debug_banner_seen", 90, (words("banner", "cookie", "app"),), 0.04, date(2026, 10, 28)),
    ),
}

AT_DESTINATIONS: Mapping[str, tuple[Callable[[DemoDestination, pd.DataFrame], Effect], ...]] = {
    "product_analytics": (analytics_mapping_is_switched_off,),
    "lifecycle_email": (mail_tool_drops_a_part,),
    "cdp_archive": (archive_loads_a_day_twice,),
    "support_desk": (help_desk_load_breaks_off,),
    "finance_reports": (finance_misspells_a_line,),
}


def _at_source(traffic: Traffic, hit: Any, incident: Incident) -> Effect:
    messages = traffic.messages.loc[hit]
    return Effect(incident, messages["timestamp"].dt.floor("D"), landing_times(messages["received_at"]))


def _between(rows: pd.DataFrame, first: date, last: date) -> pd.Series:
    return (rows["day"] >= pd.Timestamp(first)) & (rows["day"] <= pd.Timestamp(last))
