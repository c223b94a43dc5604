"""Drafts a tracking plan from what landed: events, properties, types, and what holds of every value there was."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from typing import Any, Final

from dagster_project.core.naming.convention import in_case
from dagster_project.core.naming.dynamic import dynamic_names
from dagster_project.core.plan.landed import RESERVED_COLUMNS, column_of
from dagster_project.core.slug import slug

# What may be said of texts when every one of them fits. RE2 and JSON Schema read them alike, the whole value.
PATTERNS: Final[Mapping[str, str]] = {
    "uuid": "^[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}$",
    "date": "^[0-9]{4}-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])$",
    "currency": "^[A-Z]{3}$",
}
NEARLY: Final = 0.99  # a share from which on a property was probably meant to be required
MOST_VALUES: Final = 12  # a list longer than this is no list of choices
# From so many filled messages on, what always held is called a rule; below it, luck.
_FEWEST_FOR_REQUIRED: Final = 50
_FEWEST_FOR_PATTERN: Final = 50
_FEWEST_FOR_ENUM: Final = 200
_FEWEST_OF_A_VALUE: Final = 5
# A choice: a short word or two, as programs send them. Nothing that a person wrote, and no address.
_CHOICE: Final = re.compile(r"[A-Za-z][A-Za-z0-9+]*([ _./-][A-Za-z0-9+]+){0,3}")
_CHOICE_LENGTH: Final = 32
# Properties whose values are people's, free text, or codes that come and go, however few there were in the window.
_OPEN: Final = frozenset(
    {
        *(
            "address",
            "birthday",
            "city",
            "company",
            "contact",
            "dob",
            "email",
            "employer",
            "login",
            "mail",
            "mobile",
        ),
        *(
            "firstname",
            "lastname",
            "first",
            "last",
            "name",
            "nickname",
            "surname",
            "person",
            "phone",
            "user",
            "username",
        ),
        *("postcode", "ssn", "street", "zip", "ip", "password", "secret", "token", "path", "referrer", "url"),
        *(
            "body",
            "comment",
            "description",
            "feedback",
            "headline",
            "message",
            "note",
            "notes",
            "query",
            "question",
        ),
        *(
            "search",
            "subject",
            "text",
            "title",
            "code",
            "coupon",
            "campaign",
            "creative",
            "promotion",
            "sku",
            "version",
        ),
    }
)


@dataclass
class Column:
    """What landed in one column of one event: counts of messages, and the few values where there are few.

    `kind` is the JSON type that the column's type allows: string, number, integer, boolean or date-time. `values`:
    value -> (messages, first day), None where there were too many to list.
    """

    name: str
    kind: str
    filled: int
    fitting: dict[str, int] = field(default_factory=dict)  # messages that fit a key of PATTERNS, or `array`
    values: dict[str, tuple[int, date]] | None = None
    least: float = 0.0  # the share of messages that have it in the version where that is least


@dataclass
class LandedEvent:
    """One event of one source in the window: how often it was sent since its first day, and its columns."""

    source: str
    name: str
    messages: int
    columns: dict[str, Column]
    type: str = "TRACK"
    first: date | None = None


@dataclass(frozen=True)
class Draft:
    """The plan as Segment's API answers it, what was left out of it with the reason, and how many properties are
    filled nearly always and were not made required for the rest."""

    rules: list[dict[str, Any]]
    left_out: list[tuple[str, str]]
    nearly_required: int
    first: date


def draft(
    landed: Sequence[LandedEvent],
    last: date,
    *,
    required_from: float = 1.0,
    property_case: str | None = None,
) -> Draft:
    """A plan that everything in the window keeps; `last` is its last day.

    Nothing is listed or given a pattern unless every message of the window agrees, and nothing required that is
    filled in a smaller share than `required_from` in any source or version: by 1.0, what was counted breaks no rule
    of the plan. The same counts give the same plan.
    """
    first = min((each.first for each in landed if each.first), default=last)
    by_event: dict[tuple[str, str], list[LandedEvent]] = defaultdict(list)
    for each in sorted(landed, key=lambda event: (event.type, event.name, event.source)):
        by_event[each.type, each.name].append(each)
    variable = dynamic_names(name for kind, name in by_event if kind == "TRACK")
    rules: list[dict[str, Any]] = []
    left_out: list[tuple[str, str]] = []
    nearly = 0
    for (kind, name), events in sorted(by_event.items(), key=lambda item: (item[0][0] == "TRACK", item[0])):
        if kind == "TRACK" and name in variable:
            left_out.append((name, "its name has a variable part"))
        elif kind == "TRACK" and not slug(name):
            left_out.append((name, "its name has no letter or digit of ASCII"))
        else:
            rule, missed = _rule(kind, name, events, first, last, required_from, property_case)
            rules.append(rule)
            nearly += missed
    return Draft(rules, left_out, nearly, first)


def _rule(
    kind: str,
    name: str,
    events: Sequence[LandedEvent],
    first: date,
    last: date,
    required_from: float,
    property_case: str | None,
) -> tuple[dict[str, Any], int]:
    total = sum(event.messages for event in events)
    names = sorted({column for event in events for column in event.columns})
    properties: dict[str, Any] = {}
    required: list[str] = []
    nearly = 0
    for column in names:
        if column in RESERVED_COLUMNS or column.startswith("context_") or column_of(column) != column:
            continue  # Segment's own, or renamed by Segment because it clashed
        found = [event.columns[column] for event in events if column in event.columns]
        if not any(each.filled for each in found):
            continue
        written = _in_case(column, property_case)
        # Traits are sent when they change: Segment's advice is to require none.
        may_be = kind == "TRACK" and total >= _FEWEST_FOR_REQUIRED and len(found) == len(events)
        least = min(each.least for each in found)
        always = may_be and least >= required_from
        nearly += may_be and not always and least >= NEARLY
        properties[written] = _property(column, found, always, total, first, last)
        if always:
            required.append(written)
    carrier = "traits" if kind in ("IDENTIFY", "GROUP") else "properties"
    of_carrier: dict[str, Any] = {"type": "object", "properties": properties}
    if required:
        of_carrier["required"] = required
    sources = ", ".join(sorted({event.source for event in events}))
    schema = {
        "$schema": "http://json-schema.org/draft-07/schema#",
        "type": "object",
        "description": f"Drafted from {total:,} messages of {sources}, {first.isoformat()} to {last.isoformat()}.",
        "labels": {},
        "properties": {"context": {}, "traits": {}, "properties": {}, carrier: of_carrier},
    }
    key = {"key": name} if kind == "TRACK" else {}
    return {"type": kind, **key, "version": 1, "jsonSchema": schema}, nearly


def _in_case(column: str, case: str | None) -> str:
    """The property in the declared case, where it lands in the same column; a column does not keep how it was sent."""
    written = in_case(column, case) if case else None
    return written if written and column_of(written) == column else column


def _property(
    column: str, found: Sequence[Column], always: bool, total: int, first: date, last: date
) -> dict[str, Any]:
    filled = sum(each.filled for each in found)
    kinds = {_json_kind(each) for each in found if each.filled}
    types = sorted({"string" if kind == "date-time" else kind for kind in kinds})
    if {"integer", "number"} <= set(types):
        types.remove("integer")
    if not always:
        types.append("null")  # a warehouse keeps null and absent alike, so either may have been sent
    said: dict[str, Any] = {
        "description": f"Filled in {filled:,} of {total:,} messages.",
        "type": types[0] if len(types) == 1 else types,
    }
    if kinds == {"date-time"}:
        said["format"] = "date-time"
    if kinds == {"string"}:
        pattern = _pattern(column, found, filled)
        choices = None if pattern else _choices(column, found, filled, first, last)
        if pattern:
            said["pattern"] = pattern
        elif choices:
            said["enum"] = [*choices, *([] if always else [None])]
    return said


def _json_kind(column: Column) -> str:
    """The JSON type that was sent: arrays are kept as text that begins with a bracket."""
    if column.kind == "string" and column.filled and column.fitting.get("array") == column.filled:
        return "array"
    return column.kind


def _pattern(column: str, found: Sequence[Column], filled: int) -> str | None:
    if filled < _FEWEST_FOR_PATTERN:
        return None
    for name, pattern in PATTERNS.items():
        if name == "currency" and "currency" not in column:
            continue  # three capitals are a currency only where they are called one
        if all(each.fitting.get(name, 0) == each.filled for each in found):
            return pattern
    return None


def _choices(column: str, found: Sequence[Column], filled: int, first: date, last: date) -> list[str] | None:
    """The values of a property that is a choice of a few, none of which is new; None for every other."""
    if filled < _FEWEST_FOR_ENUM or _OPEN & set(column.split("_")):
        return None
    values: dict[str, tuple[int, date]] = {}
    for each in found:
        if each.filled and each.values is None:
            return None
        for value, (messages, since) in (each.values or {}).items():
            before = values.get(value, (0, since))
            values[value] = (before[0] + messages, min(before[1], since))
    middle = first + timedelta(days=(last - first).days // 2)
    settled = all(
        messages >= _FEWEST_OF_A_VALUE
        and since <= middle
        and len(value) <= _CHOICE_LENGTH
        and _CHOICE.fullmatch(value)
        for value, (messages, since) in values.items()
    )
    return sorted(values) if settled and 2 <= len(values) <= MOST_VALUES else None
