"""Stage `matched`: exactly one outcome for each expected message and each delivery of the open days."""

from __future__ import annotations

from dataclasses import dataclass

from dagster_project.flow.context import RunContext
from dagster_project.flow.inputs import WORK
from dagster_project.resources.dbt import ModelResult

MODELS = [
    "int_window_days",
    "int_route_names",
    "int_far_messages",
    "int_far_deliveries",
    "int_window_expected",
    "int_window_deliveries",
    "int_matches",
    "int_id_differences",
    "int_variant_matches",
    "int_user_matches",
    "int_missing",
    "int_differences",
    "int_outcomes",
    "int_counted",
    "int_cells_daily",
    "int_hours_daily",
    "int_delivery_hours_daily",
    "int_not_expected_daily",
    "int_delivery_names_daily",
    "int_differences_daily",
]


@dataclass(frozen=True)
class Matched:
    """The books of the open days, summed."""

    expected: int
    delivered: int
    missing: int
    pending: int
    duplicates: int
    unexpected: int
    models: list[ModelResult]


def match(context: RunContext) -> Matched:
    """Match the window and keep what differs; returns the sums over the days that were open."""
    models = context.dbt.run(MODELS)
    books = ["expected", "delivered", "missing", "pending", "duplicates", "unexpected"]
    sums = context.warehouse.frame(
        "select "
        + ", ".join(f"coalesce(sum(c.{name}), 0) as {name}" for name in books)
        + f" from {WORK}.int_cells_daily"
        f" as c inner join {WORK}.int_open_days as o on c.destination = o.destination and c.day = o.day where o.in_scope"
    ).iloc[0]
    return Matched(**{name: int(sums[name]) for name in books}, models=models)
