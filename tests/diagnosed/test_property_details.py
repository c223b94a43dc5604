"""A property incident says which versions, what the values look like, what Segment says of it, and whose it is."""

from __future__ import annotations

from dataclasses import replace

import pytest
from diagnosed.world import World, day, shop

from dagster_project.core.contracts import Quarantine
from dagster_project.core.diagnosis import diagnose
from dagster_project.core.wording import explanation

TODAY = day("9 Nov")
EVENT = "Purchase Completed"


def broken(world: World, version: str, messages: int, sample: str, since: str = "25 Oct") -> World:
    for n in range(world.at(since), len(world.days)):
        world.extra["violation_versions"].append(
            {
                "day": world.days[n],
                "source": "web_app",
                "event": EVENT,
                "property": "amount",
                "rule": "type",
                "app_version": version,
                "library_version": "js 4.1",
                "messages": messages,
                "first_sample": sample,
                "last_sample": sample,
            }
        )
        world.extra["versions"] += [
            {
                "day": world.days[n],
                "source": "web_app",
                "event_text": EVENT,
                "app_version": name,
                "messages": count,
            }
            for name, count in ((version, messages), ("3.1", 400))
        ]
    return world


def test_the_version_that_sends_it_so_is_named_with_its_values_masked() -> None:
    world = broken(shop().violates("web_app", EVENT, "amount", 0.4, "25 Oct"), "3.2", 20, "aa,99")
    found = world.only("property_violation")
    assert found.evidence["only_versions"] == ["3.2"]
    assert found.evidence["samples"] == ["aa,99"]
    said = explanation(found, TODAY)
    assert "It is app version 3.2: 300 of 300 messages (100%)" in said
    assert "Library version: js 4.1 (300)." in said
    assert 'Its values look like "aa,99" (letters as a, digits as 9).' in said


def test_versions_that_all_do_it_are_listed_and_none_is_blamed() -> None:
    world = broken(shop().violates("web_app", EVENT, "amount", 0.4, "25 Oct"), "3.2", 20, "a")
    for n in range(world.at("25 Oct"), len(world.days)):
        world.extra["violation_versions"].append(
            {
                **world.extra["violation_versions"][0],
                "day": world.days[n],
                "app_version": "3.1",
                "messages": 300,
            }
        )
    found = world.only("property_violation")
    assert "only_versions" not in found.evidence
    assert "By app version: 3.1 4,500 of 6,000, 3.2 300 of 300." in explanation(found, TODAY)


def test_a_raw_address_among_the_values_is_never_told() -> None:
    world = broken(shop().violates("web_app", EVENT, "amount", 0.4, "25 Oct"), "3.2", 20, "jane@example.com")
    found = world.only("property_violation")
    assert "jane" not in str(found.evidence) + explanation(found, TODAY)


def test_what_segment_says_is_told_beside_our_own_and_silence_too() -> None:
    world = shop().violates("web_app", EVENT, "amount", 0.4, "25 Oct")
    row = {"day": day("26 Oct"), "source": "web_app", "event": EVENT, "messages": 90, "confirmed": 88}
    world.extra["segment_violations"].append({**row, "property": "amount"})
    said = explanation(world.only("property_violation"), TODAY)
    assert "Segment's own violations name 90 messages, 88 of them the same ones." in said

    world.extra["segment_violations"][0]["property"] = "currency"
    said = explanation(world.only("property_violation"), TODAY)
    assert "Segment's own violations name none of these" in said


def test_without_a_second_witness_nothing_is_said_of_one() -> None:
    found = shop().violates("web_app", EVENT, "amount", 0.4, "25 Oct").only("property_violation")
    assert "Segment's own" not in explanation(found, TODAY)


def test_the_owner_of_a_destination_stands_in_where_the_plan_names_none() -> None:
    world = shop()
    world.destinations = [each.model_copy(update={"owner": f"@{each.name}"}) for each in world.destinations]
    found = world.violates("web_app", EVENT, "amount", 0.4, "25 Oct").only("property_violation")
    assert "Owner: @ads, @email." in explanation(found, TODAY)


@pytest.mark.parametrize(
    ("rule", "severity"),
    [
        (Quarantine(event=EVENT, property="amount"), "warning"),
        (Quarantine(rules=("type", "enum")), "warning"),
        (Quarantine(event=EVENT, property="amount", rules=("enum",)), "error"),
        (Quarantine(source="ios_app", event=EVENT), "error"),
    ],
)
def test_what_the_published_numbers_leave_out_holds_no_day(rule: Quarantine, severity: str) -> None:
    world = shop().violates("web_app", EVENT, "amount", 0.4, "25 Oct")
    evidence = world.evidence()
    quarantined = evidence.workspace.model_copy(update={"quarantine": (rule,)})
    (found,) = [
        f for f in diagnose(replace(evidence, workspace=quarantined)).findings if f.severity != "info"
    ]
    assert found.severity == severity
    assert ("The published numbers leave these messages out" in explanation(found, TODAY)) == (
        severity == "warning"
    )
