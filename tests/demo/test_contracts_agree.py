"""The committed contracts and the generator's own data say the same, although neither reads the other."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from dagster_project.demo.exports import DESTINATIONS, DemoDestination
from dagster_project.demo.plan import EVENTS, SOURCES

EXPECTATIONS = Path(__file__).parents[2] / "expectations"
JSON_TYPES = {
    "code": "string",
    "choice": "string",
    "money": "number",
    "integer": "integer",
    "flag": "boolean",
    "moment": "string",
    "products": "array",
}


def plan(name: str) -> dict[str, Any]:
    """The newest version of each track rule's properties."""
    rules = json.loads((EXPECTATIONS / name).read_text(encoding="utf-8"))["data"]["rules"]
    tracks = sorted((rule for rule in rules if rule["type"] == "TRACK"), key=lambda rule: rule["version"])
    return {rule["key"]: rule["jsonSchema"]["properties"]["properties"] for rule in tracks}


def flat(schema: dict[str, Any], above: str = "", forced: bool = True) -> dict[str, tuple[str, bool, Any]]:
    """Dotted property name -> (type without null, required, enum)."""
    found: dict[str, tuple[str, bool, Any]] = {}
    for name, rule in schema["properties"].items():
        required = forced and name in schema.get("required", [])
        types = rule["type"] if isinstance(rule["type"], list) else [rule["type"]]
        if types == ["object"]:
            found |= flat(rule, f"{above}{name}.", required)
        else:
            (kind,) = (one for one in types if one != "null")
            found[above + name] = (kind, required, tuple(rule.get("enum", ())) or None)
    return found


def test_the_workspace_lists_the_sources_and_their_schemas(workspace: Any) -> None:
    listed = {name: (settings or {}).get("schema", name) for name, settings in workspace["sources"].items()}
    assert listed == {source.name: source.schema for source in SOURCES}


def test_each_destination_has_a_contract_and_no_contract_is_without_one(contracts: dict[str, Any]) -> None:
    assert set(contracts) == {destination.name for destination in DESTINATIONS}


@pytest.mark.parametrize("destination", DESTINATIONS, ids=lambda d: d.name)
def test_a_contract_promises_what_the_generator_delivers(
    destination: DemoDestination, contracts: dict[str, Any], workspace: Any
) -> None:
    contract = contracts[destination.name]
    receives = contract["receives"]
    events = receives["events"]
    routes = (
        None
        if events == "all"
        else dict(
            next(iter(event.items())) if isinstance(event, dict) else (event, event) for event in events
        )
    )
    sources = list(workspace["sources"]) if receives["sources"] == "all" else receives["sources"]
    assert contract["name"] == destination.name
    assert contract["timezone"] == destination.timezone
    assert contract["grain"] == destination.grain
    assert contract.get("clock", "timestamp") == destination.clock
    assert timedelta(hours=int(contract["complete_after"].removesuffix("h"))) == destination.complete_after
    assert sorted(sources) == sorted(destination.sources)
    assert routes == destination.events
    assert receives.get("consent") == ("advertising" if destination.ads_consent else None)
    needs_uuid = contract.get("identifiers", {}).get("user_id") == {"required": True, "format": "uuid"}
    assert needs_uuid == destination.uuid_users_only
    export = contract["export"]
    assert export.get("table") == destination.table
    if destination.suffix:
        assert export["files"] == f"../.recon/demo/exports/{destination.name}/*.{destination.suffix}"


@pytest.mark.parametrize(
    ("file", "devices"), [("tracking_plan.json", {"web", "server"}), ("mobile_plan.json", {"ios", "android"})]
)
def test_a_plan_holds_exactly_the_events_of_its_sources(file: str, devices: set[str]) -> None:
    sent = {e.name for source in SOURCES if source.device in devices for e in source.events}
    assert set(plan(file)) == sent & set(EVENTS)


@pytest.mark.parametrize("file", ["tracking_plan.json", "mobile_plan.json"])
def test_a_plan_describes_the_properties_that_are_sent(file: str) -> None:
    for name, schema in plan(file).items():
        described = flat(schema)
        sent = {
            prop.name: (JSON_TYPES[prop.kind], prop.required, prop.values if prop.enum else None)
            for prop in EVENTS[name]
        }
        assert described == sent, name


def test_every_event_has_a_description_for_whoever_reads_the_plan() -> None:
    for file in ("tracking_plan.json", "mobile_plan.json"):
        for rule in json.loads((EXPECTATIONS / file).read_text(encoding="utf-8"))["data"]["rules"]:
            if rule["type"] == "TRACK":
                assert rule["jsonSchema"]["description"].endswith("."), rule["key"]
