"""Stage `published`: the numbers that marketing reads, rebuilt from the stored verdicts."""

from __future__ import annotations

from dataclasses import dataclass

from dagster_project.flow.census import remember
from dagster_project.flow.context import RunContext
from dagster_project.resources.dbt import ModelResult

MODELS = ["event_counts_daily", "quarantined_daily", "window_status"]


@dataclass(frozen=True)
class Published:
    """What the marts hold now."""

    rows: int
    open_windows: int
    held_windows: int
    models: list[ModelResult]


def publish(context: RunContext) -> Published:
    """Build the marts from windows whose verdict is open, then remember what this run has done."""
    models = context.dbt.run(MODELS)
    counts = context.warehouse.frame(
        "select (select count(*) from reconciliation_published.event_counts_daily) as n, "
        "(select count(*) from reconciliation_published.window_status where verdict = 'open') as o, "
        "(select count(*) from reconciliation_published.window_status where verdict = 'held') as h"
    ).iloc[0]
    remember(context.warehouse, context.workspace, context.dbt)
    return Published(int(counts["n"]), int(counts["o"]), int(counts["h"]), models)
