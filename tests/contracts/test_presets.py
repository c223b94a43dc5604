"""A preset names columns that exist, and never passes off a tool's own id as Segment's."""

from datetime import timedelta

import pytest

from dagster_project.core.presets import PRESETS

# Ids that the tools make themselves (or, for Iterable, the id of a mail).
VENDOR_IDS = {
    "amplitude": {"uuid", "event_id", "amplitude_id", "id"},
    "braze_currents": {"id", "user_id", "device_id"},
    "ga4_bigquery": {"event_bundle_sequence_id", "batch_event_index"},
    "hubspot": {"id", "objectId"},
    "iterable": {"message_id", "_fivetran_id", "campaign_id"},
    "klaviyo": {"id", "uuid", "person_id", "metric_id"},
    "mixpanel": {"event_id", "_fivetran_id", "distinct_id"},
    "posthog": {"uuid", "person_id"},
    "generic": set(),
}


def test_every_preset_is_looked_at() -> None:
    assert set(PRESETS) == set(VENDOR_IDS)


@pytest.mark.parametrize("name", PRESETS)
def test_no_tools_own_id_is_taken_for_segments(name: str) -> None:
    columns = PRESETS[name].columns
    assert {columns.message_id, columns.user_id, columns.anonymous_id}.isdisjoint(VENDOR_IDS[name])


@pytest.mark.parametrize("name", PRESETS)
def test_every_preset_names_event_and_time(name: str) -> None:
    assert PRESETS[name].columns.event_name
    assert PRESETS[name].columns.event_time


def test_braze_and_posthog_show_the_time_of_receipt() -> None:
    by_receipt = {name for name, preset in PRESETS.items() if preset.clock == "received_at"}
    assert by_receipt == {"braze_currents", "posthog"}


def test_tools_that_are_sent_seconds_keep_no_more() -> None:
    assert PRESETS["braze_currents"].time_precision == timedelta(seconds=1)
    assert PRESETS["amplitude"].time_precision == timedelta(milliseconds=1)
