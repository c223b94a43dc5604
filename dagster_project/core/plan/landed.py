"""What of a plan can be judged on the columns of a warehouse, and why the rest cannot: keyword by keyword."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

from dagster_project.core.documents import Steps
from dagster_project.core.plan.formats import FORMATS, TIME_FORMATS
from dagster_project.core.plan.model import (
    KIND_OF,
    PlannedEvent,
    PropertyRule,
    RuleKind,
    RuleType,
    TrackingPlan,
)
from dagster_project.core.plan.properties import carrier, of_properties
from dagster_project.core.slug import slug

Verdict = Literal["judged", "in_part", "not_here"]
Reason = Literal[
    "array_as_text",
    "combined",
    "counted_by_column",
    "event_version",
    "first_type_wins",
    "message_only",
    "names_by_pattern",
    "no_column",
    "null_is_absent",
    "object_flattened",
    "optional_parent",
    "outside_properties",
    "reserved_column",
    "same_column",
    "time_column",
    "unknown_format",
    "unknown_keyword",
]
# Why a keyword is judged in part or not at all on landed rows; facts of Segment's warehouse connectors.
REASONS: Final[Mapping[Reason, str]] = {
    "array_as_text": "arrays are kept as one text: neither their items nor how many there are is in a column",
    "combined": "combined schemas speak of several properties at once, and each rule here of one column",
    "counted_by_column": "what the plan does not name is counted by column and day, not message by message",
    "event_version": "rows are judged by the oldest version, as Segment judges messages that name none",
    "first_type_wins": "Segment types a column by its first value; what does not fit later is cast, dropped or flattened",
    "message_only": "`recon plan validate` and the insert function judge this keyword, the warehouse does not",
    "names_by_pattern": "property names are given by a pattern, and columns are looked up by name",
    "no_column": "the name has no letter or digit that a column name keeps",
    "null_is_absent": "a warehouse keeps a null and an absent property alike",
    "object_flattened": "an object is flattened into one column a leaf and has none of its own",
    "optional_parent": "it is required only where its object is there, and a row does not tell that",
    "outside_properties": "it speaks of another part of the message than its properties or traits",
    "reserved_column": "its column would be one of Segment's own, and Segment drops or renames it",
    "same_column": "two properties of the event fold into this column",
    "time_column": "text that looks like a time is kept as a timestamp, and how it was written is lost",
    "unknown_format": "no judge knows this format; JSON Schema says to let it pass",
    "unknown_keyword": "no draft-07 keyword of this name; JSON Schema says to let it pass",
}

# Columns that Segment itself puts into the tables of events, identifies, groups, pages and screens.
RESERVED_COLUMNS: Final = frozenset(
    {
        *("id", "anonymous_id", "user_id", "event", "event_text", "received_at", "sent_at"),
        *("original_timestamp", "timestamp", "uuid", "uuid_ts", "loaded_at", "group_id"),
    }
)
# Keywords that only describe; `id` is what Segment writes into the properties of its own plans.
_DESCRIBING: Final = frozenset(
    {
        *("$comment", "$id", "$schema", "default", "definitions", "description", "examples", "id", "labels"),
        *("readOnly", "title", "writeOnly", "contentEncoding", "contentMediaType"),
    }
)
_IN_ARRAYS: Final = frozenset(k for k, kind in KIND_OF.items() if kind == "items")


@dataclass(frozen=True, slots=True)
class ColumnRule:
    """One condition on one column of a table: what the warehouse judges."""

    rule: PropertyRule
    kind: RuleKind
    column: str


@dataclass(frozen=True, slots=True)
class Judgement:
    """What one keyword of a plan comes to on landed rows."""

    type: RuleType
    event: str
    version: int
    property: str  # dotted path; `$` stands for the items of an array; empty for the event as a whole
    keyword: str
    kind: RuleKind | None  # None: no judge knows the keyword
    verdict: Verdict
    reasons: tuple[Reason, ...]
    at: Steps  # where the keyword stands in the plan


def column_of(path: str) -> str:
    """The column that Segment flattens a property into."""
    return "_".join(slug(step) for step in path.split("."))


def rules_on_columns(event: PlannedEvent) -> Iterator[ColumnRule]:
    """The conditions that landed rows of an event are held to, in the order of the plan.

    Exactly what `judgements` calls judged, in part or whole. That a property is not in the plan is no
    condition on a planned column: see `PlannedEvent.closed`.
    """
    columns = {path: column_of(path) for path in event.properties}
    shared = _shared(columns)
    for rule in event.rules:
        column = columns[rule.property]
        if _unusable(rule.property, column, shared) is None:
            for kind in kinds_on_columns(rule):
                yield ColumnRule(rule, kind, column)


def kinds_on_columns(rule: PropertyRule) -> tuple[RuleKind, ...]:
    """Which of a property's rules a column can break."""
    kinds: list[RuleKind] = []
    only_object = rule.types == ("object",)
    if rule.required and not rule.nullable and not only_object:
        kinds.append("required")
    if rule.types and not (rule.types == ("string",) and rule.format in TIME_FORMATS):
        kinds.append("type")
    if rule.enum is not None:
        kinds.append("enum")
    if rule.pattern is not None and rule.format not in TIME_FORMATS:
        kinds.append("pattern")
    if rule.minimum is not None or rule.maximum is not None:
        kinds.append("range")
    return tuple(kinds)


def judgements(plan: TrackingPlan) -> Iterator[Judgement]:
    """Every keyword of a plan that says what may be, with what it comes to on landed rows."""
    for event in plan.all_rules():
        versions = len(plan.versions.get(event.name, ())) if event.type == "TRACK" else 1
        oldest = event.type != "TRACK" or event == plan.unversioned(event.name)
        for found in _Walk(event).judgements():
            if versions > 1 and found.verdict != "not_here":
                verdict: Verdict = "in_part" if oldest else "not_here"
                yield _with(found, verdict, (*found.reasons, "event_version"))
            else:
                yield found


def _with(found: Judgement, verdict: Verdict, reasons: tuple[Reason, ...]) -> Judgement:
    return Judgement(
        found.type,
        found.event,
        found.version,
        found.property,
        found.keyword,
        found.kind,
        verdict,
        reasons,
        found.at,
    )


def _shared(columns: Mapping[str, str]) -> frozenset[str]:
    return frozenset(column for column, uses in Counter(columns.values()).items() if uses > 1)


def _unusable(path: str, column: str, shared: frozenset[str]) -> Reason | None:
    if not all(slug(step) for step in path.split(".")):
        return "no_column"
    if column in RESERVED_COLUMNS:
        return "reserved_column"
    return "same_column" if column in shared else None


class _Walk:
    """Goes through the schema of one event once."""

    def __init__(self, event: PlannedEvent) -> None:
        self._event = event
        self._carrier = carrier(event.type)
        self._own = of_properties(dict(event.message_schema), event.type)
        self._rules = {rule.property: rule for rule in event.rules}
        self._columns = {path: column_of(path) for path in event.properties}
        self._shared = _shared(self._columns)
        # A schema of bare properties was put into a message's: it stands one level higher than it looks.
        written = (*event.at, "jsonSchema")
        first = next(iter(event.property_at.values()), None)
        self._bare = first is not None and first[len(written) :][:2] != ("properties", self._carrier)

    def judgements(self) -> Iterator[Judgement]:
        schema = self._event.message_schema
        at = (*self._event.at, "jsonSchema")
        if self._bare:
            yield from self._object(self._own, at, "")
            return
        for keyword, value in schema.items():
            here = (*at, keyword)
            if keyword == "properties" and isinstance(value, dict):
                for name, inner in value.items():
                    if name == self._carrier:
                        yield from self._object(inner, (*here, name), "")
                    else:
                        yield from self._outside(inner, (*here, name), name)
            elif keyword == "required":
                # That the properties are there at all, each of them says better.
                for name in value:
                    if name not in ("properties", "traits", "context"):
                        yield self._not_here(name, keyword, here, "outside_properties")
            elif keyword == "type" and value == "object":
                continue  # every message is one
            else:
                yield from self._elsewhere("", keyword, value, here, "outside_properties")

    # ---------------------------------------------------------------------------- on columns

    def _object(self, schema: Any, at: Steps, prefix: str) -> Iterator[Judgement]:
        """The properties of an object: of the event itself, or of one that stands in it."""
        if schema is False:
            yield self._not_here(prefix.rstrip("."), "false", at, "message_only")
        if not isinstance(schema, dict):
            return
        for keyword, value in schema.items():
            here = (*at, keyword)
            if keyword == "properties" and isinstance(value, dict):
                for name, inner in value.items():
                    yield from self._property(prefix + name, inner, (*here, name))
            elif keyword == "required":
                for name in value:
                    if name:
                        yield self._required(prefix + name, here)
            elif not prefix and keyword == "type":
                continue  # properties are an object in every message
            elif keyword == "additionalProperties":
                yield from self._additional(prefix, value, here, "patternProperties" in schema)
            elif not prefix or keyword in _ABOUT_OBJECTS:
                yield from self._elsewhere(prefix.rstrip("."), keyword, value, here, _reason_of(keyword))

    def _property(self, path: str, schema: Any, at: Steps) -> Iterator[Judgement]:
        rule = self._rules.get(path)
        if rule is None or not isinstance(schema, dict):
            if schema is False:
                yield self._not_here(path, "false", at, "message_only")
            return
        for keyword, value in schema.items():
            here = (*at, keyword)
            if keyword in ("type", "enum", "const", "pattern") or KIND_OF.get(keyword) == "range":
                yield self._on_column(path, rule, keyword, value, here)
            elif keyword not in _ABOUT_OBJECTS and keyword not in ("properties", "required"):
                yield from self._elsewhere(path, keyword, value, here, _reason_of(keyword, value, rule))
        yield from self._object(schema, at, f"{path}.")

    def _on_column(self, path: str, rule: PropertyRule, keyword: str, value: Any, at: Steps) -> Judgement:
        kind = KIND_OF[keyword]
        if kind not in kinds_on_columns(rule):
            return self._not_here(path, keyword, at, "time_column")
        reasons: list[Reason] = []
        if kind == "type":
            reasons.append("first_type_wins")
            if not rule.nullable:
                reasons.append("null_is_absent")
            if "array" in rule.types:
                reasons.append("array_as_text")
            if "object" in rule.types:
                reasons.append("object_flattened")
        elif kind == "enum":
            if rule.nullable and None not in (value if keyword == "enum" else [value]):
                reasons.append("null_is_absent")
            if any(each[:1] in ("[", "{") for each in rule.enum or ()):
                reasons.append("array_as_text")
        return self._judged(path, keyword, at, _with_types(reasons, rule))

    def _required(self, path: str, at: Steps) -> Judgement:
        rule = self._rules[path]
        if "required" in kinds_on_columns(rule):
            reasons: list[Reason] = ["object_flattened"] if "object" in rule.types else []
            if not rule.types and rule.enum is None:
                reasons.append("null_is_absent")  # any type, so null as well
            return self._judged(path, "required", at, _with_types(reasons, rule))
        if rule.required:
            reason: Reason = "object_flattened" if rule.types == ("object",) else "null_is_absent"
        else:
            reason = "optional_parent"
        return self._not_here(path, "required", at, reason)

    def _additional(self, prefix: str, value: Any, at: Steps, by_pattern: bool) -> Iterator[Judgement]:
        if value is True or value == {}:
            return
        path = prefix.rstrip(".")
        if value is not False or by_pattern:
            yield self._not_here(path, "additionalProperties", at, "names_by_pattern")
        elif prefix:
            yield self._not_here(path, "additionalProperties", at, "object_flattened")
        else:
            yield self._judged(path, "additionalProperties", at, ("counted_by_column",))

    def _judged(self, path: str, keyword: str, at: Steps, reasons: tuple[Reason, ...]) -> Judgement:
        if path:
            unusable = _unusable(path, self._columns[path], self._shared)
            if unusable is not None:
                return self._not_here(path, keyword, at, unusable)
        return self._say(path, keyword, at, "in_part" if reasons else "judged", reasons)

    # ---------------------------------------------------------------------------- on whole messages only

    def _elsewhere(
        self, path: str, keyword: str, value: Any, at: Steps, reason: Reason
    ) -> Iterator[Judgement]:
        """A keyword that no column shows, and those of the schemas in it."""
        if keyword in _DESCRIBING or (keyword in ("then", "else") and reason != "unknown_keyword"):
            return  # `then` and `else` are told with their `if`
        if keyword not in KIND_OF:
            yield self._say(path, keyword, at, "not_here", ("unknown_keyword",), known=False)
            return
        if keyword == "format" and isinstance(value, str) and value not in FORMATS:
            yield self._say(path, keyword, at, "not_here", ("unknown_format",), known=False)
            return
        yield self._not_here(path, keyword, at, reason)
        if keyword == "items":
            inner = value if isinstance(value, list) else [value]
            for number, each in enumerate(inner):
                place = (*at, number) if isinstance(value, list) else at
                yield from self._inside(each, place, f"{path}.$", "array_as_text")

    def _inside(self, schema: Any, at: Steps, path: str, reason: Reason) -> Iterator[Judgement]:
        if not isinstance(schema, dict):
            return
        for keyword, value in schema.items():
            here = (*at, keyword)
            if keyword == "properties" and isinstance(value, dict):
                for name, inner in value.items():
                    yield from self._inside(inner, (*here, name), f"{path}.{name}", reason)
            elif keyword == "required":
                for name in value:
                    yield self._not_here(f"{path}.{name}", keyword, here, reason)
            else:
                yield from self._elsewhere(path, keyword, value, here, reason)

    def _outside(self, schema: Any, at: Steps, path: str) -> Iterator[Judgement]:
        yield from self._inside(schema, at, path, "outside_properties")

    def _not_here(self, path: str, keyword: str, at: Steps, reason: Reason) -> Judgement:
        return self._say(path, keyword, at, "not_here", (reason,))

    def _say(
        self,
        path: str,
        keyword: str,
        at: Steps,
        verdict: Verdict,
        reasons: tuple[Reason, ...],
        known: bool = True,
    ) -> Judgement:
        event = self._event
        kind = KIND_OF.get(keyword) if known else None
        return Judgement(event.type, event.name, event.version, path, keyword, kind, verdict, reasons, at)


def _with_types(reasons: Sequence[Reason], rule: PropertyRule) -> tuple[Reason, ...]:
    """Where the plan says the type, what the column made of another one breaks `type`, which tells of that."""
    return tuple(reasons) if rule.types else (*reasons, "first_type_wins")


# Keywords that speak of an object's members.
_ABOUT_OBJECTS: Final = frozenset(k for k, kind in KIND_OF.items() if kind == "members") | {
    "additionalProperties"
}


def _reason_of(keyword: str, value: Any = None, rule: PropertyRule | None = None) -> Reason:
    kind = KIND_OF.get(keyword)
    if kind == "combined" or keyword == "dependencies":
        return "combined"
    if kind == "items":
        return "array_as_text"
    if keyword in ("patternProperties", "propertyNames"):
        return "names_by_pattern"
    if kind == "members":
        return "object_flattened"
    if keyword == "format" and value in TIME_FORMATS and rule is not None:
        return "time_column"
    return "message_only"
