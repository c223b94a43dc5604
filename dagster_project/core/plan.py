"""The tracking plan: which events a source may send, and what each of their properties must be."""

from __future__ import annotations

import json
import re
import warnings
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final, cast

from jsonschema import Draft7Validator, FormatChecker
from jsonschema.exceptions import SchemaError
from pydantic import BaseModel, ConfigDict, Field

from dagster_project.core.documents import Steps, shown


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class PropertyRule(_Frozen):
    """What a plan says about one property of one event."""

    event: str
    property: str  # dotted path for a nested one
    required: bool = False
    types: tuple[str, ...] = ()  # JSON types without `null`; empty: any
    nullable: bool = False  # null is named as allowed, so an empty column proves nothing
    enum: tuple[str, ...] | None = None  # as text, the way a warehouse column casts to it
    pattern: str | None = None  # searched, not anchored
    minimum: float | None = None
    maximum: float | None = None
    exclusive_minimum: bool = False  # the minimum itself is not allowed
    exclusive_maximum: bool = False
    format: str | None = None  # e.g. `date-time`, which a warehouse keeps as a timestamp, not as text


class PlannedEvent(_Frozen):
    """One track event of the plan, in its newest version."""

    name: str
    version: int = 1
    rules: tuple[PropertyRule, ...] = ()
    labels: Mapping[str, str] = Field(default_factory=dict)
    description: str = ""


class TrackingPlan(_Frozen):
    """The events of one plan, by their exact raw name."""

    events: Mapping[str, PlannedEvent] = Field(default_factory=dict)
    declared: bool = True  # False: the source has no plan, so nothing of it is unplanned

    def planned(self, name: str) -> bool:
        """Whether the plan knows this exact raw name."""
        return not self.declared or name in self.events


@dataclass(frozen=True)
class PlanProblem:
    """What is wrong in a plan, and the path to it; who knows the file turns the path into a place."""

    path: Steps
    fact: str
    instead: str


_RULE_TYPES: Final = ("COMMON", "GROUP", "IDENTIFY", "PAGE", "SCREEN", "TRACK")
_ANSWER: Final = '{"data": {"rules": [...]}}'
# The fields of a Segment message, which is what a rule's schema describes in Segment's own skeleton.
_MESSAGE_FIELDS: Final = frozenset(
    {
        *("anonymousId", "category", "channel", "context", "event", "integrations", "messageId", "name"),
        *("originalTimestamp", "previousId", "projectId", "properties", "receivedAt", "sentAt", "timestamp"),
        *("traits", "type", "userId", "version", "writeKey"),
    }
)
_JSON_TYPES: Final = frozenset(("array", "boolean", "integer", "null", "number", "object", "string"))
_DEEPEST: Final = 64
# Patterns are judged by `unusable_pattern`: Python's own idea of a regular expression is not Segment's.
_NO_FORMATS: Final = FormatChecker(())


def parse_plan(data: object) -> tuple[TrackingPlan, list[PlanProblem]]:
    """What Segment's Public API answers for a plan's rules, or just its list of rules."""
    problems: list[PlanProblem] = []
    rules, path = _rules(data, problems)
    newest: dict[str, tuple[int, dict[str, Any], Steps]] = {}
    first_seen: dict[tuple[str, int], int] = {}
    for number, rule in enumerate(rules):
        here = (*path, number)
        read = _track_rule(rule, here, problems)
        if read is None:
            continue
        name, version, schema = read
        earlier = first_seen.setdefault((name, version), number)
        if earlier != number:
            fact = f"version {version} of {shown(name)} stands here again, after rule {earlier + 1}"
            problems.append(PlanProblem((*here, "key"), fact, "keep one of the two"))
            fact = f"version {version} of {shown(name)} stands again as rule {number + 1}"
            problems.append(PlanProblem((*path, earlier, "key"), fact, "keep one of the two"))
        elif name not in newest or version > newest[name][0]:
            newest[name] = (version, schema, (*here, "jsonSchema"))
    if not newest and not problems:
        problems.append(
            PlanProblem(path, "the plan holds no TRACK rule", f"save the plan's rules here, {_ANSWER}")
        )
    events = {}
    for name, (version, schema, at) in newest.items():
        events[name] = _planned(name, version, schema, at, problems)
    return TrackingPlan(events=events), problems


def _rules(data: object, problems: list[PlanProblem]) -> tuple[list[Any], Steps]:
    path: Steps = ()
    found = data
    if isinstance(found, dict) and "data" in found:
        path, found = ("data",), found["data"]
    if isinstance(found, dict):
        pagination = found.get("pagination")
        if isinstance(pagination, dict) and pagination.get("next"):
            problems.append(
                PlanProblem(
                    (*path, "pagination"),
                    "the file holds one page of the plan, and more follow",
                    "put the rules of all pages into this one `rules` list, without `pagination`",
                )
            )
        if "rules" in found:
            path, found = (*path, "rules"), found["rules"]
    if isinstance(found, list):
        return found, path
    problems.append(PlanProblem(path, "no list of rules", f"save what the Public API answers, {_ANSWER}"))
    return [], path


def _track_rule(
    rule: Any, path: Steps, problems: list[PlanProblem]
) -> tuple[str, int, dict[str, Any]] | None:
    """Name, version and schema of a TRACK rule; None for the other types and for what is wrong."""

    def wrong(field: str | None, fact: str, instead: str) -> None:
        problems.append(PlanProblem(path if field is None else (*path, field), fact, instead))

    if not isinstance(rule, dict):
        wrong(None, "a rule is not an object", 'write `{"type": "TRACK", "key": ..., "jsonSchema": {...}}`')
        return None
    kind = rule.get("type")
    if kind not in _RULE_TYPES:
        wrong("type", f"the rule's type is {_json(kind)}", f"write one of {', '.join(_RULE_TYPES)}")
        return None
    if kind != "TRACK":
        return None
    sound = True
    name = rule.get("key")
    if not isinstance(name, str) or not name:
        wrong("key", f"the rule's key is {_json(name)}", "write the event's name as text")
        sound = False
    version = rule.get("version", 1)
    if not _is_number(version) or not float(version).is_integer():
        wrong("version", f"the rule's version is {_json(version)}", "write a whole number")
        sound = False
    schema = rule.get("jsonSchema")
    if not isinstance(schema, dict):
        wrong("jsonSchema", f"the rule's jsonSchema is {_json(schema)}", "write a draft-07 JSON Schema")
        return None
    if not _surely_valid(schema):
        problem = _schema_problem(schema, (*path, "jsonSchema"))
        if problem is not None:
            problems.append(problem)
            return None
    return (cast(str, name), int(version), schema) if sound else None


# ------------------------------------------------------------------------------ is the schema a schema?


def _is_count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _is_names(value: Any) -> bool:
    return (
        isinstance(value, list) and all(isinstance(n, str) for n in value) and len(set(value)) == len(value)
    )


def _is_type(value: Any) -> bool:
    if isinstance(value, str):
        return value in _JSON_TYPES
    return _is_names(value) and len(value) > 0 and _JSON_TYPES.issuperset(value)


def _is_text(value: Any) -> bool:
    return isinstance(value, str)


_PLAIN_KEYWORDS: Final[Mapping[str, Callable[[Any], bool]]] = {
    "type": _is_type,
    "required": _is_names,
    "enum": lambda value: isinstance(value, list),
    "const": lambda _: True,
    "default": lambda _: True,
    "labels": lambda _: True,
    "id": lambda _: True,
    "title": _is_text,
    "description": _is_text,
    "format": _is_text,
    "pattern": _is_text,  # judged on its own: see unusable_pattern
    "minimum": _is_number,
    "maximum": _is_number,
    "exclusiveMinimum": _is_number,
    "exclusiveMaximum": _is_number,
    "minLength": _is_count,
    "maxLength": _is_count,
    "minItems": _is_count,
    "maxItems": _is_count,
    "$schema": lambda value: (
        value in ("http://json-schema.org/draft-07/schema#", "http://json-schema.org/draft-07/schema")
    ),
}


def _surely_valid(schema: Any, depth: int = 0) -> bool:
    """Whether the schema is made of ordinary keywords, rightly used.

    The real check costs a millisecond a schema, which is seconds for a plan of 2,000 rules. This one is a
    hundred times faster and only ever says yes when the real one would; it leaves the rest to that.
    """
    if isinstance(schema, bool):
        return True
    if not isinstance(schema, dict) or depth > _DEEPEST:
        return False
    for key, value in schema.items():
        if key == "properties":
            if not isinstance(value, dict) or not all(_surely_valid(v, depth + 1) for v in value.values()):
                return False
        elif key in ("items", "additionalProperties"):
            if not _surely_valid(value, depth + 1):
                return False
        else:
            check = _PLAIN_KEYWORDS.get(key)
            if check is None or not check(value):
                return False
    return True


def _schema_problem(schema: dict[str, Any], path: Steps) -> PlanProblem | None:
    instead = "correct it to draft-07 JSON Schema"
    try:
        Draft7Validator.check_schema(schema, format_checker=_NO_FORMATS)
    except SchemaError as error:
        at = tuple(step if isinstance(step, int) else str(step) for step in error.absolute_path)
        message = " ".join(error.message.split())[:160]
        return PlanProblem((*path, *at), f"not a JSON Schema ({message})", instead)
    except RecursionError:
        return PlanProblem(path, "the JSON Schema is nested too deeply", "write it flat")
    except Exception as error:  # a schema is a file's content, and the library trusts some of it
        return PlanProblem(path, f"not a JSON Schema ({type(error).__name__})", instead)
    return None


# ------------------------------------------------------------------------------ what the schema says


def _planned(
    name: str, version: int, schema: dict[str, Any], path: Steps, problems: list[PlanProblem]
) -> PlannedEvent:
    labels = schema.get("labels")
    description = schema.get("description")
    rules = []
    properties, at = _schema_of_properties(schema, path)
    for here, rule in _property_rules(name, properties, at, "", True, 0):
        why = rule.pattern and unusable_pattern(rule.pattern)
        if why:
            fact = f"the pattern {shown(rule.pattern or '')} {why}"
            instead = "rewrite it as an RE2 expression, the kind that Segment evaluates"
            problems.append(PlanProblem((*here, "pattern"), fact, instead))
        rules.append(rule)
    return PlannedEvent(
        name=name,
        version=version,
        rules=tuple(rules),
        labels={str(key): _text(value) for key, value in labels.items()} if isinstance(labels, dict) else {},
        description=description if isinstance(description, str) else "",
    )


def _schema_of_properties(schema: dict[str, Any], path: Steps) -> tuple[Any, Steps]:
    """The part that speaks of the event's properties.

    Segment describes the whole message, so that the properties are the property `properties` of it. A plan
    written by hand may describe the properties directly.
    """
    top = schema.get("properties")
    if isinstance(top, dict) and top and _MESSAGE_FIELDS.issuperset(top):
        inner = top.get("properties")
        if {"context", "traits", "properties"} >= top.keys() or isinstance(inner, dict):
            return inner, (*path, "properties", "properties")
    return schema, path


def _property_rules(
    event: str, schema: Any, path: Steps, prefix: str, present: bool, depth: int
) -> Iterator[tuple[Steps, PropertyRule]]:
    """The rules of an object's properties and of the objects in it, each with its place.

    The items of an array are left out: a warehouse keeps the whole array as one text. Combined schemas
    (`allOf`, `if`) are too: they speak of several properties at once, and each rule here speaks of one.
    """
    if not isinstance(schema, dict) or depth > _DEEPEST:
        return
    found = schema.get("properties")
    properties = found if isinstance(found, dict) else {}
    names = schema.get("required", ())
    # A property of an optional object is required only where the object is, and a row cannot tell that.
    required = set(names) if present else set()
    for name in dict.fromkeys([*properties, *names]):
        if not name:
            continue  # no column can have this name
        inner = properties.get(name)
        here = (*path, "properties", name)
        said = inner if isinstance(inner, dict) else {}
        yield here, _property_rule(event, prefix + name, said, name in required)
        yield from _property_rules(event, inner, here, f"{prefix}{name}.", name in required, depth + 1)


def _property_rule(event: str, path: str, schema: dict[str, Any], required: bool) -> PropertyRule:
    types = schema.get("type", ())
    types = (types,) if isinstance(types, str) else tuple(types)
    values = [schema["const"]] if "const" in schema else schema.get("enum")
    minimum, exclusive_minimum = _bound(schema, "minimum", "exclusiveMinimum", max)
    maximum, exclusive_maximum = _bound(schema, "maximum", "exclusiveMaximum", min)
    return PropertyRule(
        event=event,
        property=path,
        required=required,
        types=tuple(name for name in types if name != "null"),
        nullable="null" in types or (not types and values is not None and None in values),
        enum=None if values is None else tuple(dict.fromkeys(_text(v) for v in values if v is not None)),
        pattern=schema.get("pattern"),
        minimum=minimum,
        maximum=maximum,
        exclusive_minimum=exclusive_minimum,
        exclusive_maximum=exclusive_maximum,
        format=schema.get("format"),
    )


def _bound(
    schema: dict[str, Any], plain: str, exclusive: str, tighter: Callable[[float, float], float]
) -> tuple[float | None, bool]:
    """The tighter of an inclusive and an exclusive bound, and whether it is exclusive."""
    inclusive = _float(schema.get(plain))
    outside = _float(schema.get(exclusive))
    if outside is None:
        return inclusive, False
    if inclusive is None or tighter(inclusive, outside) == outside:
        return outside, True
    return inclusive, False


def _float(value: Any) -> float | None:
    try:
        return None if value is None else float(value)
    except OverflowError:
        return None  # no number in a warehouse lies beyond it


# One escape, or one bracket expression: what stands in it is not syntax.
_ESCAPE_OR_CLASS: Final = re.compile(r"\\(?P<escape>.)|\[\^?\]?(?:\[:\w+:\]|\\.|[^\]\\])*\]", re.DOTALL)
_RE2_ESCAPES: Final = frozenset("AaBbDdfnPprSstvWwxz")
_GO_CLASS: Final = re.compile(r"\\[pP](?:\{\^?\w+\}|\w)")


@lru_cache(maxsize=4096)
def unusable_pattern(pattern: str) -> str | None:
    """Why Segment and the warehouses cannot evaluate a pattern; None when they can.

    They speak RE2 or less. Python's own engine is more lenient here and stricter there, so it only has the
    last word, on the syntax that is left.
    """
    why = None

    def plain(match: re.Match[str]) -> str:
        nonlocal why
        letters = [match["escape"]] if match["escape"] else re.findall(r"\\(.)", match[0], re.DOTALL)
        for letter in letters:
            if letter.isdigit() and letter != "0":
                why = "refers back to a group"
            elif letter.isascii() and letter.isalpha() and letter not in _RE2_ESCAPES:
                why = f"uses \\{letter}"
        return "x"

    syntax = _ESCAPE_OR_CLASS.sub(plain, pattern)
    if re.search(r"\(\?(?:<?[=!]|>|\()", syntax):
        why = "looks ahead or behind"
    elif re.search(r"[*+?}]\+", syntax):
        why = "uses a possessive quantifier"
    elif any(int(number) > 1000 for number in re.findall(r"[{,]([0-9]{1,9})(?=[,}])", syntax)):
        why = "repeats more than 1,000 times"
    if why:
        return why
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Python warns of `[[:alpha:]]`, which means something here
        try:
            re.compile(_GO_CLASS.sub(r"\\w", pattern).replace(r"\z", r"\Z"))
        except (re.error, OverflowError, RecursionError) as error:
            return f"is not a regular expression ({error})"
    return None


def _text(value: Any) -> str:
    """A JSON value as the text that a warehouse column casts to."""
    if isinstance(value, str):
        return value
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return _dumped(value)


def _dumped(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def _json(value: Any) -> str:
    return shown(_dumped(value))
