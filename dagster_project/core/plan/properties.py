"""What a rule's JSON Schema says of each single property: the rules that stand on columns of a warehouse."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any, Final

from dagster_project.core.documents import Steps
from dagster_project.core.plan.model import PropertyRule, RuleType
from dagster_project.core.plan.schema import DEEPEST

# The fields of a Segment message, which is what a rule's schema describes in Segment's own skeleton.
MESSAGE_FIELDS: Final = frozenset(
    {
        *("anonymousId", "category", "channel", "context", "event", "groupId", "integrations", "messageId"),
        *("name", "originalTimestamp", "previousId", "projectId", "properties", "receivedAt", "sentAt"),
        *("timestamp", "traits", "type", "userId", "version", "writeKey"),
    }
)
_SKELETON: Final = frozenset(("context", "traits", "properties"))


def carrier(kind: RuleType) -> str:
    """The field of a message that carries what this type of rule speaks of."""
    return "traits" if kind in ("IDENTIFY", "GROUP") else "properties"


def message_schema(schema: dict[str, Any], kind: RuleType, at: Steps) -> tuple[dict[str, Any], Steps, bool]:
    """The schema of the whole message, where its part on the properties stands, and whether it was written so.

    Segment describes the whole message, so that the properties are the property `properties` of it. A plan
    written by hand may describe the properties directly; that schema is put in its place.
    """
    field = carrier(kind)
    if kind == "COMMON" or _describes_the_message(schema, field):
        return schema, (*at, "properties", field), True
    return {"type": "object", "properties": {field: schema}}, at, False


def _describes_the_message(schema: dict[str, Any], field: str) -> bool:
    top = schema.get("properties")
    if isinstance(top, dict) and top:
        return bool(MESSAGE_FIELDS.issuperset(top)) and (
            _SKELETON.issuperset(top) or isinstance(top.get(field), dict)
        )
    return MESSAGE_FIELDS.issuperset(schema.get("required", ()))


def of_properties(schema: dict[str, Any], kind: RuleType) -> dict[str, Any]:
    """The part of a message's schema that speaks of its properties (of its traits)."""
    top = schema.get("properties")
    found = top.get(carrier(kind)) if isinstance(top, dict) else None
    return found if isinstance(found, dict) else {}


def property_rules(event: str, schema: dict[str, Any], path: Steps) -> Iterator[tuple[Steps, PropertyRule]]:
    """The rules of an object's properties and of the objects in it, each with its place.

    The items of an array are left out: a warehouse keeps the whole array as one text. Combined schemas
    (`allOf`, `if`) are too: they speak of several properties at once, and each rule here speaks of one.
    """
    return _property_rules(event, schema, path, "", True, 0)


def _property_rules(
    event: str, schema: Any, path: Steps, prefix: str, present: bool, depth: int
) -> Iterator[tuple[Steps, PropertyRule]]:
    if not isinstance(schema, dict) or depth > DEEPEST:
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
        # An object that may be null or another thing need not be there either.
        sure = name in required and said.get("type") == "object"
        yield from _property_rules(event, inner, here, f"{prefix}{name}.", sure, depth + 1)


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
        enum=None if values is None else tuple(dict.fromkeys(as_text(v) for v in values if v is not None)),
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


def as_text(value: Any) -> str:
    """A JSON value as the text that a warehouse column casts to."""
    if isinstance(value, str):
        return value
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
