"""The tracking plan: which events a source may send, and what each of their properties must be."""

from dagster_project.core.plan.api import parse_plan
from dagster_project.core.plan.model import (
    CALLS,
    NAMELESS,
    RULE_TYPES,
    Call,
    PlannedEvent,
    PlanProblem,
    PropertyRule,
    RuleType,
    TrackingPlan,
)
from dagster_project.core.plan.patterns import unusable_pattern

__all__ = [
    "CALLS",
    "NAMELESS",
    "RULE_TYPES",
    "Call",
    "PlanProblem",
    "PlannedEvent",
    "PropertyRule",
    "RuleType",
    "TrackingPlan",
    "parse_plan",
    "unusable_pattern",
]
