"""Stage `normalised`: one row per message over all sources, and which days of whom are open."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

import pandas as pd

from dagster_project.flow.census import as_day, calendar
from dagster_project.flow.context import RunContext
from dagster_project.flow.inputs import WORK
from dagster_project.resources.dbt import ModelResult

MODELS = [
    "int_messages",
    "int_open_days",
    "event_names_daily",
    "int_identifier_shapes_daily",
    "int_property_violations",
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
    rereading = warehouse.exists(f"{WORK}.int_messages") and not warehouse.frame(
        f"select 1 as x from {WORK}.input_received_days as d where exists "
        f"(select 1 from {WORK}.state_census as c where c.kind = 'source' and c.name = d.source and c.day = d.day)"
        " limit 1"
    ).empty
    if rereading:
        # Rows may leave a day that is read again: the days they belonged to are open as well.
        context.dbt.run(["int_open_days"])
        warehouse.execute(
            f"insert into {WORK}.state_open_days select o.destination, o.day from {WORK}.int_open_days as o "
            f"where not exists (select 1 from {WORK}.state_open_days as s "
            "where s.destination = o.destination and s.day = o.day)"
        )
    _open_quiet_and_immature_days(context)
    models = context.dbt.run(MODELS)
    messages = warehouse.frame(
        f"select count(*) as n from {WORK}.int_messages as m inner join {WORK}.input_received_days as d "
        "on m.source = d.source and m.received_day = d.day"
    )
    opened = warehouse.frame(f"select count(*) as n from {WORK}.int_open_days where in_scope and destination <> ''")
    return Normalised(int(messages["n"].iloc[0]), int(opened["n"].iloc[0]), models)


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
        for cell in cells.itertuples():
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
