"""Whether one message keeps to the plan: the judge of event JSON, before anything lands."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from typing import Any, Final

from jsonschema import Draft7Validator
from jsonschema.exceptions import ValidationError
from jsonschema.validators import extend

from dagster_project.core.documents import Steps, shown
from dagster_project.core.plan.essence import essence
from dagster_project.core.plan.formats import FORMATS, TIME_FORMATS, is_day
from dagster_project.core.plan.model import (
    CALLS,
    KIND_OF,
    RULE_TYPE_OF,
    PlannedEvent,
    RuleKind,
    TrackingPlan,
)
from dagster_project.core.plan.patterns import found_in
from dagster_project.core.plan.properties import of_properties
from dagster_project.core.plan.schema import MANY, NAMED, ONE

_OTHER_CALLS: Final = ("alias", "delete")  # a plan has no rules of theirs; the common one holds for them too
_MOST_SHOWN: Final = 8  # values of an enum in a sentence


@dataclass(frozen=True, slots=True)
class Violation:
    """One place where a message breaks the plan."""

    call: str
    event: str  # the exact raw name; of page and screen the page's, empty where the call has none
    kind: RuleKind
    field: str  # as Segment writes it: `properties.products.0.sku`, or `(root)`
    property: str  # the path within properties or traits; empty for anything else
    message: str  # what is wrong, in Segment's words; holds no value of the message
    instead: str  # what to send; holds no value of the message
    path: Steps  # to the value in the message; of what is missing, to where it should stand


class NoMessage(ValueError):
    """What is no message that any plan could judge."""


class Judge:
    """Judges messages by one plan; each rule is made ready once."""

    def __init__(self, plan: TrackingPlan, *, strict: bool = False) -> None:
        """With `strict`, a property that the plan does not name breaks it, also where a schema leaves that open."""
        self.plan = plan
        self._strict = strict
        self._validators: dict[tuple[str, str, int], Any] = {}
        self._essences: dict[tuple[str, str, int], dict[str, Any]] = {}

    def judge(self, message: Mapping[str, Any]) -> list[Violation]:
        """Where a message breaks the plan, in the order of its fields. NoMessage when it is none.

        A message that carries no properties (of identify and group: no traits) is judged as one whose
        properties are empty, as Segment's libraries send it.
        """
        call = call_of(message)
        name = name_of(message, call)
        planned = call != "track" or self.plan.planned(name or "")
        rules = self._rules(message, call, name)
        judged = _as_sent(message, call)
        found = [] if planned else [_unplanned_event(name)]
        for rule in rules:
            errors = self._validator(rule).iter_errors(judged)
            found += [_violation(error, call, name or "") for error in errors]
        if self._strict and planned and rules:
            field = _carrier_of(call)
            schemas = [of_properties(self._essence(rule), _type_of(rule, call)) for rule in rules]
            paths = unnamed(schemas, judged[field], (field,))
            found += [_unplanned_property(path, call, name or "") for path in paths]
        unique = {(each.kind, each.field, each.message): each for each in found}
        return sorted(unique.values(), key=lambda each: (each.field, each.kind, each.message))

    def _rules(self, message: Mapping[str, Any], call: str, name: str | None) -> tuple[PlannedEvent, ...]:
        if call in _OTHER_CALLS:
            return () if self.plan.common is None else (self.plan.common,)
        return self.plan.rules_for(call, name, _version(message))  # type: ignore[arg-type]

    def _validator(self, rule: PlannedEvent) -> Any:
        key = (rule.type, rule.name, rule.version)
        if key not in self._validators:
            self._validators[key] = _validator_class()(_spelt(self._essence(rule)))
        return self._validators[key]

    def _essence(self, rule: PlannedEvent) -> dict[str, Any]:
        key = (rule.type, rule.name, rule.version)
        if key not in self._essences:
            self._essences[key] = essence(rule.message_schema)
        return self._essences[key]


def call_of(message: object) -> str:
    """What kind of call a message is; NoMessage when it does not say."""
    if not isinstance(message, Mapping):
        raise NoMessage("a message is an object")
    kind = message.get("type")
    if kind is None and isinstance(message.get("event"), str):
        return "track"  # what is posted to /v1/track says it by its address
    if kind not in (*CALLS, *_OTHER_CALLS):
        known = ", ".join((*CALLS, "alias"))
        raise NoMessage(f"its `type` is {shown(json.dumps(kind))}, and a message is one of {known}")
    return str(kind)


def name_of(message: Mapping[str, Any], call: str) -> str | None:
    """The event's or the page's exact raw name; None where there is none."""
    name = (
        message.get("event" if call == "track" else "name") if call in ("track", "page", "screen") else None
    )
    return name if isinstance(name, str) and name else None


def _version(message: Mapping[str, Any]) -> object:
    found: Any = message
    for step in ("context", "protocols", "event_version"):
        found = found.get(step) if isinstance(found, Mapping) else None
    return found


def _carrier_of(call: str) -> str:
    return "traits" if call in ("identify", "group") else "properties"


def _type_of(rule: PlannedEvent, call: str) -> Any:
    return RULE_TYPE_OF[call] if rule.type == "COMMON" and call in CALLS else rule.type  # type: ignore[index]


def _as_sent(message: Mapping[str, Any], call: str) -> dict[str, Any]:
    field = _carrier_of(call)
    return dict(message) if message.get(field) is not None else {**message, field: {}}


# ------------------------------------------------------------------------------ keywords of our own


def unnamed(schemas: Sequence[Mapping[str, Any]], value: Any, path: Steps) -> Iterator[Steps]:
    """The members of a value that none of its schemas names; a schema that is open on purpose names all."""
    if not isinstance(value, Mapping):
        return
    if any(each.get("patternProperties") or each.get("additionalProperties") for each in schemas):
        return
    for name, inner in value.items():
        here = (*path, name)
        own = [each["properties"][name] for each in schemas if name in each.get("properties", ())]
        if not own and not any(name in each.get("required", ()) for each in schemas):
            yield here
        elif any(isinstance(each, Mapping) and each.get("properties") for each in own):
            yield from unnamed([each for each in own if isinstance(each, Mapping)], inner, here)


def _required(_: Any, names: Any, instance: Any, __: Any) -> Iterator[ValidationError]:
    if isinstance(instance, dict):
        for name in names:
            if name not in instance:
                yield ValidationError("", path=(name,))


def _additional(validator: Any, allowed: Any, instance: Any, schema: Any) -> Iterator[ValidationError]:
    if not isinstance(instance, dict):
        return
    patterns = schema.get("patternProperties", ())
    named = schema.get("properties", ())
    for name, value in instance.items():
        if name in named or any(found_in(pattern, name) for pattern in patterns):
            continue
        if allowed is False:
            yield ValidationError("", path=(name,))
        elif isinstance(allowed, dict):
            yield from validator.descend(value, allowed, path=name)


def _pattern(_: Any, pattern: str, instance: Any, __: Any) -> Iterator[ValidationError]:
    if isinstance(instance, str) and not found_in(pattern, instance):
        yield ValidationError("")


def _pattern_properties(validator: Any, patterns: Any, instance: Any, _: Any) -> Iterator[ValidationError]:
    if isinstance(instance, dict):
        for pattern, schema in patterns.items():
            for name, value in instance.items():
                if found_in(pattern, name):
                    yield from validator.descend(value, schema, path=name, schema_path=pattern)


def _property_names(validator: Any, schema: Any, instance: Any, _: Any) -> Iterator[ValidationError]:
    if isinstance(instance, dict):
        for name in instance:
            if not validator.evolve(schema=schema).is_valid(name):
                yield ValidationError("", path=(name,))


def _multiple_of(_: Any, step: Any, instance: Any, __: Any) -> Iterator[ValidationError]:
    if (
        isinstance(instance, int | float)
        and not isinstance(instance, bool)
        and not is_multiple(instance, step)
    ):
        yield ValidationError("")


def is_multiple(number: float, step: float) -> bool:
    """Whether a number is a multiple of another, in exact decimals as Segment computes it.

    0.3 is one of 0.1, which no binary fraction knows.
    """
    # Fractions, not Decimal: the remainder of 1e308 by 1e-5 has more digits than any decimal context.
    return (Fraction(repr(number)) / Fraction(repr(step))).denominator == 1


def _format(_: Any, name: str, instance: Any, __: Any) -> Iterator[ValidationError]:
    if isinstance(instance, str) and not is_format(name, instance):
        yield ValidationError("")


def is_format(name: str, text: str) -> bool:
    """Whether a text is of a draft-07 format; true for a format that nobody judges."""
    pattern = FORMATS.get(name)
    if pattern is None:
        return True
    dated = name in TIME_FORMATS and text[4:5] == "-"
    return found_in(pattern, text) and (not dated or is_day(text))


def _false(_: Any, __: Any, ___: Any, ____: Any) -> Iterator[ValidationError]:
    yield ValidationError("")


def _spelt(schema: Any) -> Any:
    """The schema with each `false` in it as a keyword of ours: jsonschema 4.26 forgets where one was broken."""
    if schema is False:
        return {"false": True}
    if not isinstance(schema, dict):
        return schema
    spelt: dict[str, Any] = {}
    for keyword, value in schema.items():
        if keyword in NAMED and isinstance(value, dict):
            spelt[keyword] = {name: _spelt(inner) for name, inner in value.items()}
        elif keyword in MANY and isinstance(value, list):
            spelt[keyword] = [_spelt(inner) for inner in value]
        elif keyword in ONE and not (value is False and keyword.startswith("additional")):
            spelt[keyword] = _spelt(value)
        else:
            spelt[keyword] = value
    return spelt


@lru_cache(maxsize=1)
def _validator_class() -> Any:
    keywords: Mapping[str, Callable[..., Iterable[ValidationError]]] = {
        "required": _required,
        "additionalProperties": _additional,
        "pattern": _pattern,
        "patternProperties": _pattern_properties,
        "propertyNames": _property_names,
        "multipleOf": _multiple_of,
        "format": _format,
        "false": _false,
    }
    return extend(Draft7Validator, keywords)  # type: ignore[no-untyped-call]


# ------------------------------------------------------------------------------ words


def _violation(error: ValidationError, call: str, event: str) -> Violation:
    keyword = str(error.validator) if error.validator is not None else "false"
    path: Steps = tuple(error.absolute_path)
    field = _carrier_of(call)
    inside = path[:1] == (field,)
    message, instead = _words(keyword, error, path)
    return Violation(
        call=call,
        event=event,
        kind=KIND_OF.get(keyword, "combined"),
        field=dotted(path),
        property=".".join(map(str, path[1:])) if inside else "",
        message=message,
        instead=instead,
        path=path,
    )


def dotted(path: Steps) -> str:
    """A path as Segment writes it."""
    return ".".join(map(str, path)) or "(root)"


def type_of(value: Any) -> str:
    """The JSON type of a value; a whole number is an integer, however it is written."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "boolean"
    if isinstance(value, int) or (isinstance(value, float) and value.is_integer()):
        return "integer"
    if isinstance(value, float):
        return "number"
    if isinstance(value, str):
        return "string"
    return "array" if isinstance(value, list) else "object"


def _words(keyword: str, error: ValidationError, path: Steps) -> tuple[str, str]:
    """What is wrong, worded as Segment words it, and what to send instead."""
    said: Any = error.validator_value
    name = shown(str(path[-1])) if path else "the message"
    if keyword == "required":
        return f"{name} is required", f"send {name} with each of these"
    if keyword == "type":
        types = said if isinstance(said, list) else [said]
        words = ", ".join(map(str, types))
        return f"Invalid type. Expected: {words}, given: {type_of(error.instance)}", f"send {_a(types)}"
    if keyword in ("enum", "const"):
        values = said if keyword == "enum" else [said]
        allowed = ", ".join(shown(json.dumps(v, ensure_ascii=False))[1:-1] for v in values[:_MOST_SHOWN])
        more = f" and {len(values) - _MOST_SHOWN} more" if len(values) > _MOST_SHOWN else ""
        return f"must be one of the following: {allowed}{more}", "send one of them, letter by letter"
    if keyword == "pattern":
        return f"Does not match pattern {shown(said)}", "send text that the pattern finds"
    if keyword == "format":
        return f"Does not match format {shown(said)}", _EXAMPLES.get(said, "send text of this format")
    if keyword == "additionalProperties":
        return f"Additional property {name} is not allowed", "leave it out, or put it into the plan"
    if keyword in _SENTENCES:
        sentence = _SENTENCES[keyword]
        limit = json.dumps(said) if isinstance(said, int | float) else ""
        return sentence.format(limit), "send what the plan says, or change the plan"
    return f"Does not fit what the plan says ({keyword})", "send what the plan says, or change the plan"


def _a(types: Sequence[Any]) -> str:
    return " or ".join("null" if t == "null" else f"{'an' if t[:1] in 'aeiou' else 'a'} {t}" for t in types)


_EXAMPLES: Final[Mapping[str, str]] = {
    "date-time": "send it like 2026-10-20T09:30:00Z",
    "date": "send it like 2026-10-20",
    "time": "send it like 09:30:00Z",
    "uuid": "send it like 123e4567-e89b-12d3-a456-426614174000",
}
_SENTENCES: Final[Mapping[str, str]] = {
    "minimum": "Must be greater than or equal to {}",
    "exclusiveMinimum": "Must be greater than {}",
    "maximum": "Must be less than or equal to {}",
    "exclusiveMaximum": "Must be less than {}",
    "multipleOf": "Must be a multiple of {}",
    "minLength": "String length must be greater than or equal to {}",
    "maxLength": "String length must be less than or equal to {}",
    "minItems": "Array must have at least {} items",
    "maxItems": "Array must have at most {} items",
    "uniqueItems": "Array items must be unique",
    "contains": "At least one of the items must match",
    "additionalItems": "No additional items are allowed in the array",
    "minProperties": "Must have at least {} properties",
    "maxProperties": "Must have at most {} properties",
    "propertyNames": "The name of this property is not allowed",
    "dependencies": "Has a dependency on a property that is not there",
    "anyOf": "Must validate at least one schema (anyOf)",
    "oneOf": "Must validate one and only one schema (oneOf)",
    "not": "Must not validate the schema (not)",
    "false": "Must not be there",
}


def _unplanned_event(name: str | None) -> Violation:
    if name is None:
        message, instead = "the event has no name", "send `event` with the name that the plan has"
    else:
        message = f"{shown(name)} is not in the tracking plan"
        instead = "send a planned event, or put this one into the plan"
    return Violation("track", name or "", "unplanned_event", "event", "", message, instead, ("event",))


def _unplanned_property(path: Steps, call: str, event: str) -> Violation:
    name = shown(str(path[-1]))
    return Violation(
        call=call,
        event=event,
        kind="unplanned_property",
        field=dotted(path),
        property=".".join(map(str, path[1:])),
        message=f"{name} is not in the tracking plan",
        instead="leave it out, or put it into the plan",
        path=path,
    )
