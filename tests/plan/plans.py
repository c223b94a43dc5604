"""Small plans in Segment's skeleton, and messages for them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from dagster_project.core.plan import TrackingPlan, parse_plan


def track_rule(name: str, properties: Mapping[str, Any], *, version: int = 1, **more: Any) -> dict[str, Any]:
    """A TRACK rule; `more` stands beside its `properties`, as `required` does."""
    return rule("TRACK", {"properties": dict(properties), **more}, key=name, version=version)


def rule(kind: str, said: Mapping[str, Any], *, key: str | None = None, version: int = 1) -> dict[str, Any]:
    """A rule of any type; what is said stands where this type says it."""
    carrier = "traits" if kind in ("IDENTIFY", "GROUP") else "properties"
    skeleton: dict[str, Any] = {"context": {}, "traits": {}, "properties": {}}
    found: dict[str, Any] = {
        "type": kind,
        "version": version,
        "jsonSchema": {"type": "object", "properties": {**skeleton, carrier: {"type": "object", **said}}},
    }
    return found if key is None else {**found, "key": key}


def plan_of(*rules: Mapping[str, Any]) -> TrackingPlan:
    plan, problems = parse_plan({"data": {"rules": list(rules)}})
    assert problems == []
    return plan


def track(name: str, properties: Mapping[str, Any] | None = None, **more: Any) -> dict[str, Any]:
    message = {"type": "track", "event": name, "messageId": "m1", "userId": "u1", **more}
    return message if properties is None else {**message, "properties": dict(properties)}


SHOP = (
    track_rule(
        "Order Completed",
        {
            "total": {"type": "number", "minimum": 0},
            "currency": {"type": "string", "enum": ["EUR", "USD"]},
            "order_id": {"type": "string", "pattern": "^ord_[0-9]+$"},
            "products": {
                "type": "array",
                "items": {"type": "object", "properties": {"sku": {"type": "string"}}, "required": ["sku"]},
            },
        },
        required=["total", "currency"],
    ),
    track_rule("Signed Up", {"method": {"type": ["string", "null"]}}, additionalProperties=False),
    rule("IDENTIFY", {"properties": {"plan": {"enum": ["free", "paid"]}}}),
)
