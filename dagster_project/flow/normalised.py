"""Stage `normalised`: one row per message over all sources, and which days of whom are open."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from itertools import groupby

import pandas as pd

from dagster_project.flow.census import as_day, calendar, rows_of, with_following
from dagster_project.flow.context import RunContext
from dagster_project.flow.inputs import WORK
from dagster_project.flow.steps import (
    added,
    in_steps,
    landed_rows,
    open_days_that_rows_leave,
    read_already,
    remember_read,
    rows_to_read,
    run_days,
    signatures,
    told,
    write_days,
)
from dagster_project.resources.dbt import ModelResult

# What a step reads, and counts of its rows, the whole run's days after it.
STEP_MODELS = ["int_messages", "int_message_counts", "int_twins"]
MODELS = [
    "int_open_days",
    "int_versions_daily",
    "event_names_daily",
    "int_twins_daily",
    "int_event_table_reads",
    "int_identifier_shapes_daily",
    "int_broken_rows",
    "int_violation_versions_daily",
    "int_property_fill_daily",
    "int_property_fill_versions_daily",
    "int_person_links",
    "int_unjoined_daily",
    "int_segment_violations_daily",
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
    models = _read_messages(context)
    models += context.dbt.run(MODELS)
    if _open_days_of_changed_names(context):
        models += context.dbt.run(["int_open_days"])
    messages = warehouse.frame(
        f"select coalesce(sum(c.messages), 0) as n from {WORK}.int_message_counts as c "
        f"inner join {WORK}.run_received_days as d on c.source = d.source and c.received_day = d.day"
    )
    opened = warehouse.frame(
        f"select count(*) as n from {WORK}.int_open_days where in_scope and destination <> ''"
    )
    return Normalised(int(messages["n"].iloc[0]), int(opened["n"].iloc[0]), models)


def _read_messages(context: RunContext) -> list[ModelResult]:
    """Read the days to read, in steps; those that a run which never ended has read stay as they are.

    A day is read before those after it, for an id counts where it was received first.
    """
    days_read = run_days(context, "source")
    contracts = signatures(context, "source")
    done = _done_before(list(days_read), read_already(context, "source", contracts))
    left = {pair: after for pair, after in days_read.items() if pair not in done}
    rows = rows_to_read(context, "source", left)
    models: list[ModelResult] = []
    while steps := in_steps({day for _, day in left}, rows, context.step_rows):
        days = steps[0]
        step = {pair: after for pair, after in left.items() if pair[1] in set(days)}
        told(context, "normalised", days, len(steps))
        write_days(context, "input_received_days", step)
        models = added(models, context.dbt.run(["int_known_copies"]))
        if any(after is not None for after in step.values()) and _received_before_known(context):
            # An id lands again that was received before what is known of it: all that may hold it is read anew.
            left = _read_whole(context, left)
            rows = rows_to_read(context, "source", left)
            continue
        models = added(models, context.dbt.run(STEP_MODELS))
        remember_read(context, "source", step, contracts)
        left = {pair: after for pair, after in left.items() if pair not in step}
    write_days(context, "input_received_days", days_read)
    if not models:
        # Nothing to read: what later models count on is there all the same.
        models = context.dbt.run(["int_known_copies", *STEP_MODELS])
    return models


def _received_before_known(context: RunContext) -> bool:
    later = context.warehouse.frame(
        f"select count(*) as n from {WORK}.int_known_copies where received_at > landed_received_at "
        # As int_messages puts them in order; of two names that one source gives an id at one moment the first to land stays.
        "or (received_at = landed_received_at and source > landed_source)"
    )
    return bool(later["n"].iloc[0])


def _read_whole(
    context: RunContext, left: dict[tuple[str, date], int | None]
) -> dict[tuple[str, date], int | None]:
    """The same days with all their rows, and the known days after them that may hold a later copy."""
    known = set(landed_rows(context, "source"))
    days = set(with_following({day for _, day in left}, {day for _, day in known}))
    whole = dict.fromkeys(
        sorted({*left, *(pair for pair in known if pair[1] in days)}, key=lambda p: (p[1], p[0]))
    )
    write_days(context, "run_received_days", {**run_days(context, "source"), **whole})
    open_days_that_rows_leave(context)
    return dict(whole)


def _done_before(pairs: list[tuple[str, date]], unchanged: set[tuple[str, date]]) -> set[tuple[str, date]]:
    """The first of these (source, day) in order of days that are unchanged, up to the first day that is not."""
    done: set[tuple[str, date]] = set()
    for _, group in groupby(pairs, key=lambda pair: pair[1]):
        of_day = set(group)
        if not of_day <= unchanged:
            break
        done |= of_day
    return done


def _open_days_of_changed_names(context: RunContext) -> bool:
    """Open the days on which a destination holds a name that means something else now; whether any were.

    Where a contract takes all events, a name means something as soon as a source has sent it, and the days
    on which it was delivered may lie before. Nothing that is kept of them knows what the name means: they are matched anew.
    """
    warehouse = context.warehouse
    if not warehouse.exists(f"{WORK}.int_delivery_names_daily"):
        return False
    changed = warehouse.frame(
        f"select distinct n.destination, n.day, s.day is not null as open from {WORK}.int_delivery_names_daily as n "
        f"left join {WORK}.int_route_names as r "
        "on n.destination = r.destination and n.event_name = r.event_name "
        f"left join {WORK}.state_open_days as s on n.destination = s.destination and n.day = s.day "
        "where n.event is distinct from r.event"
    )
    if changed.empty:
        return False
    days = sorted({as_day(day) for day in changed["day"]})
    warehouse.execute(f"delete from {WORK}.state_carried where day in :days", days=days)
    new = changed.loc[~changed["open"].astype(bool), ["destination", "day"]]
    warehouse.append(f"{WORK}.state_open_days", new)
    return not new.empty


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
    names = ["", *(each.name for each in context.workspace.destinations)]
    rows += [(name, day) for name in names for day in context.asked_days]
    if rows:
        warehouse.append(
            f"{WORK}.state_open_days", pd.DataFrame(sorted(set(rows)), columns=["destination", "day"])
        )
