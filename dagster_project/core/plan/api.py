"""A plan as Segment's Public API answers it: its list of rules, read into a TrackingPlan."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, Final, cast

from dagster_project.core.documents import Steps, shown
from dagster_project.core.plan.model import (
    NAMELESS,
    RULE_TYPES,
    PlannedEvent,
    PlanProblem,
    RuleType,
    TrackingPlan,
)
from dagster_project.core.plan.properties import (
    as_text,
    message_schema,
    of_properties,
    property_rules,
)
from dagster_project.core.plan.schema import Unfolding, is_number, read_schema

# Segment takes 2,000 rules in a plan (facts of 2025-08); what is beyond this is no plan but an accident.
MOST_RULES: Final = 20_000

LONGEST_NAME: Final = 10_000  # characters; an event of Segment weighs 32 KB at most

_ANSWER: Final = '{"data": {"rules": [...]}}'
_ZERO_DATE: Final = "0001-01-01"  # Segment's way of saying "never"


def parse_plan(data: object) -> tuple[TrackingPlan, list[PlanProblem]]:
    """What Segment's Public API answers for a plan's rules, or just its list of rules."""
    return _parse([(data, ())])


def parse_pages(pages: Sequence[object]) -> tuple[TrackingPlan, list[PlanProblem]]:
    """The answers of the API, page by page, in any order. Each path begins with the page's number from 0."""
    return _parse([(page, (number,)) for number, page in enumerate(pages)])


def _parse(pages: Sequence[tuple[object, Steps]]) -> tuple[TrackingPlan, list[PlanProblem]]:
    problems: list[PlanProblem] = []
    rules: list[tuple[Steps, Any]] = []
    first: Steps = ()
    for data, prefix in pages:
        listed, path = _rules_of(data, prefix, problems)
        rules += [((*path, number), rule) for number, rule in enumerate(listed)]
        first = first or path
    problems += _missing_pages(pages, len(rules))
    if len(rules) > MOST_RULES:
        fact = f"the plan holds {len(rules):,} rules, and {MOST_RULES:,} are the most"
        return TrackingPlan(), [*problems, PlanProblem(first, fact, "give each source a plan of its own")]
    found: dict[tuple[RuleType, str], dict[int, PlannedEvent]] = {}
    first_seen: dict[tuple[RuleType, str, int], int] = {}
    unfolding = Unfolding()
    for number, (here, rule) in enumerate(rules):
        event = _rule(rule, here, unfolding, problems)
        if event is None:
            continue
        identity = (event.type, event.name, event.version)
        earlier = first_seen.setdefault(identity, number)
        if earlier != number:
            what = f"version {event.version} of {shown(event.name)}"
            field = "key" if isinstance(rule.get("key"), str) else "type"
            fact = f"{what} stands here again, after rule {earlier + 1}"
            problems.append(PlanProblem((*here, field), fact, "keep one of the two"))
            fact = f"{what} stands again as rule {number + 1}"
            problems.append(PlanProblem((*rules[earlier][0], field), fact, "keep one of the two"))
        else:
            found.setdefault((event.type, event.name), {})[event.version] = event
    if not found and not problems:
        problems.append(
            PlanProblem(first, "the plan holds no rule", f"save the plan's rules here, {_ANSWER}")
        )
    return _plan(found), problems


def _plan(found: dict[tuple[RuleType, str], dict[int, PlannedEvent]]) -> TrackingPlan:
    versions = {
        key: tuple(by_version[number] for number in sorted(by_version)) for key, by_version in found.items()
    }
    newest = {key: every[-1] for key, every in versions.items()}
    return TrackingPlan(
        events={name: event for (kind, name), event in newest.items() if kind == "TRACK"},
        versions={name: every for (kind, name), every in versions.items() if kind == "TRACK"},
        pages={name: event for (kind, name), event in newest.items() if kind == "PAGE"},
        screens={name: event for (kind, name), event in newest.items() if kind == "SCREEN"},
        # Versions are for track events: of the others, Segment keeps one.
        identify=newest.get(("IDENTIFY", NAMELESS["IDENTIFY"])),
        group=newest.get(("GROUP", NAMELESS["GROUP"])),
        common=newest.get(("COMMON", NAMELESS["COMMON"])),
    )


def _rules_of(data: object, path: Steps, problems: list[PlanProblem]) -> tuple[list[Any], Steps]:
    """The list of rules in one of its wrappings, and the path to it."""
    found = data
    if isinstance(found, dict) and "data" in found:
        path, found = (*path, "data"), found["data"]
    if isinstance(found, dict) and "rules" in found:
        path, found = (*path, "rules"), found["rules"]
    if isinstance(found, list):
        return found, path
    problems.append(PlanProblem(path, "no list of rules", f"save what the Public API answers, {_ANSWER}"))
    return [], path


def _missing_pages(pages: Sequence[tuple[object, Steps]], rules: int) -> list[PlanProblem]:
    """Pages of the plan that follow, by the API's own cursors, and are not here."""
    cursors: list[tuple[dict[str, Any], Steps]] = []
    for data, path in pages:
        found: Any = data
        if isinstance(found, dict) and "data" in found:
            path, found = (*path, "data"), found["data"]
        pagination = found.get("pagination") if isinstance(found, dict) else None
        if isinstance(pagination, dict):
            cursors.append((pagination, (*path, "pagination")))
    here = {page.get("current") for page, _ in cursors if isinstance(page.get("current"), str)}
    instead = "save the following pages too, or fetch the plan with `recon plan pull`"
    missing = [
        PlanProblem(path, "the file holds one page of the plan, and more follow", instead)
        for page, path in cursors
        if page.get("next") and page.get("next") not in here
    ]
    totals = [page["totalEntries"] for page, _ in cursors if is_number(page.get("totalEntries"))]
    if not missing and totals and len(cursors) == len(pages) and rules < max(totals):
        fact = f"{rules:,} rules stand here, and the plan has {max(totals):,}"
        missing.append(PlanProblem(cursors[0][1], fact, instead))
    return missing


def _rule(rule: Any, path: Steps, unfolding: Unfolding, problems: list[PlanProblem]) -> PlannedEvent | None:
    """One rule of the list; None for what is wrong."""

    def wrong(field: str | None, fact: str, instead: str) -> None:
        problems.append(PlanProblem(path if field is None else (*path, field), fact, instead))

    if not isinstance(rule, dict):
        wrong(None, "a rule is not an object", 'write `{"type": "TRACK", "key": ..., "jsonSchema": {...}}`')
        return None
    kind = rule.get("type")
    if kind not in RULE_TYPES:
        wrong("type", f"the rule's type is {_json(kind)}", f"write one of {', '.join(RULE_TYPES)}")
        return None
    kind = cast(RuleType, kind)
    sound = True
    name = rule.get("key")
    if kind in ("IDENTIFY", "GROUP", "COMMON"):
        name = NAMELESS[kind]  # the API leaves their key out, or names them by what they are
    elif kind != "TRACK" and (name is None or name == ""):
        name = NAMELESS[kind]
    if not isinstance(name, str) or not name:
        what = "event's" if kind == "TRACK" else "page's"
        wrong("key", f"the rule's key is {_json(name)}", f"write the {what} name as text")
        sound = False
    elif len(name) > LONGEST_NAME:
        fact = f"a name of {len(name):,} characters, and {LONGEST_NAME:,} are the most"
        wrong("key", fact, "write the name that is sent")
        sound = False
    version = rule.get("version", 1)
    if not is_number(version) or not float(version).is_integer():
        wrong("version", f"the rule's version is {_json(version)}", "write a whole number")
        sound = False
    schema = rule.get("jsonSchema")
    if not isinstance(schema, dict):
        wrong("jsonSchema", f"the rule's jsonSchema is {_json(schema)}", "write a draft-07 JSON Schema")
        return None
    at = (*path, "jsonSchema")
    schema, found = read_schema(schema, at, unfolding)
    problems += found
    if found or not sound:
        return None
    event = _planned(kind, cast(str, name), int(version), schema, path, _deprecated(rule))
    for property_path, place in event.property_at.items():
        if len(property_path) > LONGEST_NAME:
            fact = f"a property path of {len(property_path):,} characters, and {LONGEST_NAME:,} are the most"
            problems.append(PlanProblem(place, fact, "write the name that is sent"))
    return event


def _planned(
    kind: RuleType, name: str, version: int, schema: dict[str, Any], path: Steps, deprecated: bool
) -> PlannedEvent:
    whole, at, _ = message_schema(schema, kind, (*path, "jsonSchema"))
    properties = of_properties(whole, kind)
    rules = list(property_rules(name, properties, at))
    labels = schema.get("labels")
    description = schema.get("description")
    return PlannedEvent(
        name=name,
        version=version,
        rules=tuple(rule for _, rule in rules),
        labels={str(key): as_text(value) for key, value in labels.items()}
        if isinstance(labels, dict)
        else {},
        description=description if isinstance(description, str) else "",
        type=kind,
        deprecated=deprecated,
        closed=properties.get("additionalProperties") is False and not properties.get("patternProperties"),
        message_schema=whole,
        at=path,
        property_at={rule.property: place for place, rule in rules},
    )


def _deprecated(rule: dict[str, Any]) -> bool:
    at = rule.get("deprecatedAt")
    return isinstance(at, str) and at != "" and not at.startswith(_ZERO_DATE)


def _json(value: Any) -> str:
    return shown(json.dumps(value, ensure_ascii=False, separators=(",", ":")))
