"""Stage `normalised`: one row per message over all sources, and which days of whom are open."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

import pandas as pd

from dagster_project.flow.census import as_day, calendar, rows_of
from dagster_project.flow.context import RunContext
from dagster_project.flow.inputs import WORK
from dagster_project.resources.dbt import ModelResult

MODELS = [
    "int_messages",
    "int_linked_days",
    "int_open_days",
    "int_versions_daily",
    "event_names_daily",
    "int_twins_daily",
    "int_identifier_shapes_daily",
    "int_broken_rows",
    "int_property_violations",
    "int_property_fill",
    "int_property_fill_daily",
    "plan_violations_daily",
    "int_names",
]


@dataclass(frozen=True)
class Normalised:
    """What was read, and how many days it opened."""

    messages: int
    open_days: int
    models: list[ModelResult]


def normalise(context: RunContext) -> Normalised:
    """Read the days to read, and find every day that new or changed rows belong to."""
    warehouse = context.warehouse
    _open_quiet_and_immature_days(context)
    models = context.dbt.run(MODELS)
    if _open_days_of_changed_names(context):
        models += context.dbt.run(["int_open_days"])
    messages = warehouse.frame(
        f"select count(*) as n from {WORK}.int_messages as m inner join {WORK}.input_received_days as d "
        "on m.source = d.source and m.received_day = d.day"
    )
    opened = warehouse.frame(
        f"select count(*) as n from {WORK}.int_open_days where in_scope and destination <> ''"
    )
    return Normalised(int(messages["n"].iloc[0]), int(opened["n"].iloc[0]), models)


def _open_days_of_changed_names(context: RunContext) -> bool:
    """Open the days on which a destination holds a name that means something else now; whether any were.

    Where a contract takes all events, a name means something as soon as a source has sent it, and the days
    on which it was delivered may lie before.
    """
    warehouse = context.warehouse
    if not warehouse.exists(f"{WORK}.int_delivery_names_daily"):
        return False
    changed = warehouse.frame(
        f"select distinct n.destination, n.day from {WORK}.int_delivery_names_daily as n "
        f"left join {WORK}.int_route_names as r "
        "on n.destination = r.destination and n.event_name = r.event_name "
        f"left join {WORK}.state_open_days as s on n.destination = s.destination and n.day = s.day "
        "where n.event is distinct from r.event and s.day is null"
    )
    warehouse.append(f"{WORK}.state_open_days", changed)
    return not changed.empty


def _open_quiet_and_immature_days(context: RunContext) -> None:
    """Open the days that nothing landed on, and those that were not complete when they were last looked at."""
    warehouse = context.warehouse
    first = warehouse.frame(
        f"select min(day) as day from {WORK}.census_sources where day is not null and day >= :starts_on",
        starts_on=context.workspace.starts_on,
    )["day"].iloc[0]
    known: set[tuple[str, object]] = set()
    rows: list[tuple[str, object]] = []
    if warehouse.exists(f"{WORK}.int_cells_daily"):
        cells = warehouse.frame(
            "select destination, day, min(case when mature then 1 else 0 end) as mature, sum(pending) as pending "
            f"from {WORK}.int_cells_daily group by 1, 2"
        )
        for cell in rows_of(cells):
            known.add((cell.destination, as_day(cell.day)))
            if not cell.mature or cell.pending:
                rows.append((cell.destination, as_day(cell.day)))
        known |= {("", as_day(day)) for day in cells["day"]}
    if not pd.isna(first):
        for destination, days in calendar(as_day(first), context.workspace, context.as_of).items():
            rows += [(destination, day) for day in days if (destination, day) not in known]
    if context.from_day and context.to_day:
        # Days that were asked for are done again, changed or not.
        span = (context.to_day - context.from_day).days
        asked = [context.from_day + timedelta(step) for step in range(span + 1)]
        names = ["", *(each.name for each in context.workspace.destinations)]
        rows += [(name, day) for name in names for day in asked]
    if rows:
        warehouse.append(
            f"{WORK}.state_open_days", pd.DataFrame(sorted(set(rows)), columns=["destination", "day"])
        )
