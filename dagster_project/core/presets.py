"""Column names, clock and time precision of the exports that tools commonly write."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from dagster_project.core.contracts import Clock, Columns

_SECOND: Final = timedelta(seconds=1)
_MILLISECOND: Final = timedelta(milliseconds=1)


@dataclass(frozen=True)
class Preset:
    """What one kind of export calls things. Whatever a contract says itself wins."""

    name: str
    says: str  # which export is meant, for people
    columns: Columns
    clock: Clock = "timestamp"
    time_precision: timedelta = _SECOND


# `message_id` is mapped only where Segment's own message id lands. An id that the tool made (Braze `id`,
# Amplitude `uuid`, Iterable `message_id`, PostHog `uuid`) matches nothing, and mapping it would call every
# message lost. The same holds for `user_id`: Klaviyo's `person_id` and HubSpot's `objectId` are their own.
_ALL: Final = (
    Preset(
        "amplitude",
        "Amplitude's event export: API, S3, GCS, Snowflake or Fivetran",
        Columns(
            event_name="event_type", event_time="event_time", user_id="user_id", anonymous_id="device_id"
        ),
        # Segment's default mapping sends no insert id; who maps one names it: `message_id: $insert_id`.
        time_precision=_MILLISECOND,
    ),
    Preset(
        "braze_currents",
        "Braze Currents or Snowflake share, custom events",
        Columns(event_name="name", event_time="time", user_id="external_user_id"),
        # Segment's Braze mapping sends receivedAt as the time of the event.
        clock="received_at",
    ),
    Preset(
        "ga4_bigquery",
        "Google Analytics 4, BigQuery export",
        Columns(
            event_name="event_name",
            event_time="event_timestamp",
            user_id="user_id",
            anonymous_id="user_pseudo_id",
        ),
    ),
    Preset(
        "generic",
        "a plain copy with Segment's own column names",
        Columns(
            event_name="event_name",
            event_time="event_time",
            user_id="user_id",
            anonymous_id="anonymous_id",
            message_id="message_id",
            day="day",
            count="count",
        ),
    ),
    Preset(
        "hubspot",
        "HubSpot custom event occurrences, as the events API answers",
        Columns(event_name="eventType", event_time="occurredAt"),
        time_precision=_MILLISECOND,
    ),
    Preset(
        "iterable",
        "Iterable events, as Fivetran lands them",
        Columns(event_name="event_name", event_time="created_at"),
    ),
    Preset(
        "klaviyo",
        "Klaviyo events, as Fivetran lands them",
        # Segment sends the message id as Klaviyo's unique id, which comes back as the property $event_id.
        Columns(event_name="type", event_time="datetime", message_id="property_event_id"),
    ),
    Preset(
        "mixpanel",
        "Mixpanel's JSON pipeline (mp_master_event)",
        # Segment sends the message id as $insert_id; what Mixpanel shortens is met by matching its end.
        Columns(
            event_name="event_name",
            event_time="time",
            user_id="user_id",
            anonymous_id="device_id",
            message_id="insert_id",
        ),
    ),
    Preset(
        "posthog",
        "PostHog batch export",
        Columns(event_name="event", event_time="timestamp", user_id="distinct_id"),
        # Segment's PostHog mapping sends receivedAt as the time of the event.
        clock="received_at",
        time_precision=_MILLISECOND,
    ),
)

PRESETS: Final[dict[str, Preset]] = {preset.name: preset for preset in _ALL}
