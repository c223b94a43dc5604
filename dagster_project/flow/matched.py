"""Stage `matched`: exactly one outcome for each expected message and each delivery of the open days."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta
from typing import Final

import pandas as pd

from dagster_project.flow.carried import Carried, Carrying
from dagster_project.flow.census import as_day, rows_of
from dagster_project.flow.context import RunContext
from dagster_project.flow.inputs import TABLES, WORK
from dagster_project.flow.steps import (
    added,
    in_steps,
    landed_rows,
    matched_already,
    open_days,
    told,
    write_days,
)
from dagster_project.resources.dbt import ModelResult

REACH_DAYS: Final = 8  # dbt's var reach_days, and the day that a zone may be apart

# Views that stand as long as the contract does, then what each step makes anew, in the order of the rungs.
VIEWS = ["int_route_names", "int_differences_daily"]
MODELS = [
    "int_window_days",
    "int_window_slots",
    "int_window_messages",
    "int_window_expected",
    "int_window_deliveries",
    "int_matches",
    "int_kept_messages",
    "int_kept_deliveries",
    "int_far_messages",
    "int_links",
    "int_id_differences",
    "int_id_places",
    "int_ids",
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
]
_VERDICTS: Final = "reconciliation.gate_verdicts"
# What days are carried on by: made where the landed rows are known by their positions.
CARRYING_MODELS = ["int_asked_keys", "int_day_matches"]


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
    """Match the open days, in steps, and keep what differs; returns the sums over the days that were open.

    A step writes its days whole and notes them, so a run that is killed goes on behind the last finished step. A row
    read in this run may belong, by its id, to a day outside of its step: such a day is done again, once a key.
    """
    warehouse = context.warehouse
    _forget_outdated(context)
    _look_beyond_edges(context)
    limit = context.step_rows
    rows = _rows_of_days(context)
    models: list[ModelResult] = []
    done = matched_already(context)
    first = True
    carrying = Carrying(context, rows)
    carrying.begin()
    of_step = [*MODELS, *CARRYING_MODELS] if carrying.possible else MODELS
    while todo := [pair for pair in open_days(context) if pair not in done]:
        anew, carried = carrying.choose(todo)
        steps = in_steps(anew, rows, limit)
        if carried and steps and not _in_one_step(steps, carried, rows, limit):
            carried = None
        step = [pair for pair in todo if steps and pair[1] in steps[0]] + (carried.pairs if carried else [])
        days = sorted({day for _, day in step})
        left = {day for _, day in todo} - {*days} - anew
        told(context, "matched", days, max(len(steps), 1) + (1 if left else 0))
        write_days(context, "input_step_days", step)
        carrying.begin_step(carried, step)
        _recall(context)
        models = added(models, context.dbt.run([*VIEWS, *of_step] if first else of_step))
        first = False
        _note(context, step)
        carrying.note(step)
        done = matched_already(context)
    carrying.end(_days_that_were_open(context))
    if first:
        models = _with_nothing_open(context)
    books = ["expected", "delivered", "missing", "pending", "duplicates", "unexpected"]
    sums = warehouse.frame(
        "select "
        + ", ".join(f"coalesce(sum(c.{name}), 0) as {name}" for name in books)
        + f" from {WORK}.int_cells_daily"
        f" as c inner join {WORK}.int_open_days as o on c.destination = o.destination and c.day = o.day where o.in_scope"
    ).iloc[0]
    return Matched(**{name: int(sums[name]) for name in books}, models=models)


def _with_nothing_open(context: RunContext) -> list[ModelResult]:
    """What earlier runs found needs its views; where nothing has ever landed, the next stages need tables to read.

    Raises RuntimeError where earlier runs have decided on days, an upgrade has taken their tables away, and nothing is
    there to make them of: to go on would publish nothing in the place of what is published.
    """
    warehouse = context.warehouse
    tables = [f"{WORK}.{model}" for model in MODELS]
    if len({table for table, _ in warehouse.columns(tables)}) == len(tables):
        return context.dbt.run(VIEWS)
    if warehouse.exists(_VERDICTS) and len(warehouse.frame(f"select 1 as x from {_VERDICTS} limit 1")):
        raise RuntimeError(
            "all days are to be reconciled anew, as after an upgrade, and no source or export holds a row that can be "
            "read; what is published stays as it was. `recon check --warehouse` says what is missing; mend it, then run again"
        )
    write_days(context, "input_step_days", [])
    return context.dbt.run([*VIEWS, *MODELS])


def _in_one_step(steps: list[list[date]], carried: Carried, rows: dict[date, int], limit: int) -> bool:
    """Whether days are carried on with what is left to be matched anew: what they find of each other they find at once."""
    return len(steps) == 1 and sum(rows.get(day, 0) for day in steps[0]) + carried.rows <= limit + limit // 3


def _forget_outdated(context: RunContext) -> None:
    """Of what a run that never ended has matched as of another time, forget what was not complete then."""
    warehouse = context.warehouse
    before = matched_already(context)
    if not any(as_of != context.as_of for as_of in before.values()):
        return
    waiting = warehouse.frame(
        f"select destination, day from {WORK}.int_cells_daily "
        "group by 1, 2 having min(case when mature then 1 else 0 end) = 0 or sum(pending) > 0"
    )
    open_still = {(row.destination, as_day(row.day)) for row in rows_of(waiting)}
    kept = [
        (*pair, as_of) for pair, as_of in before.items() if as_of == context.as_of or pair not in open_still
    ]
    frame = pd.DataFrame(kept, columns=list(TABLES["state_matched"]))
    warehouse.replace(f"{WORK}.state_matched", frame, TABLES["state_matched"])


def _look_beyond_edges(context: RunContext) -> None:
    """Look at the days beside a step only where ids are changed on the way, or nobody knows yet whether they are.

    An id as it was sent is found wherever it is; a changed one within the step, and its day may be the next.
    """
    warehouse = context.warehouse
    if not warehouse.exists(f"{WORK}.int_cells_daily"):
        return
    warehouse.execute(
        f"update {WORK}.input_destinations set edge_days = 0 where matching <> 'message_id' or ("
        f"exists (select 1 from {WORK}.int_cells_daily as c "
        "where c.destination = input_destinations.destination and c.delivered > 0) "
        f"and not exists (select 1 from {WORK}.int_cells_daily as c "
        "where c.destination = input_destinations.destination and c.matched_by = 'message_id_variant'))"
    )


def _days_that_were_open(context: RunContext) -> set[date]:
    frame = context.warehouse.frame(f"select distinct day from {WORK}.int_open_days")
    return {as_day(day) for day in frame["day"]}


def _recall(context: RunContext) -> None:
    """Add to the recalled keys what earlier runs found twice or unanswered within reach of this step."""
    warehouse = context.warehouse
    if not warehouse.exists(f"{WORK}.int_differences"):
        return
    warehouse.execute(
        f"insert into {WORK}.input_recalled_keys "
        f"select distinct d.message_key, false from {WORK}.int_differences as d "
        f"where d.difference in ('duplicate', 'unexpected') and d.message_key is not null "
        "and d.day between :first and :last "
        f"and d.message_key not in (select r.message_key from {WORK}.input_recalled_keys as r)",
        **_reach(context),
    )


def _reach(context: RunContext) -> dict[str, date]:
    days = context.warehouse.frame(
        f"select min(day) as first, max(day) as last from {WORK}.input_step_days"
    ).iloc[0]
    reach = timedelta(days=REACH_DAYS)
    return {"first": as_day(days["first"]) - reach, "last": as_day(days["last"]) + reach}


def _note(context: RunContext, step: list[tuple[str, date]]) -> None:
    """Keep that a step is done, and have done again what its rows belong to outside of it."""
    warehouse = context.warehouse
    links = warehouse.frame(f"select distinct destination, day from {WORK}.int_links")
    linked = {(row.destination, as_day(row.day)) for row in rows_of(links)}
    opened = set(open_days(context))
    new = sorted(linked - opened)
    frame = pd.DataFrame(
        [(name, day, context.as_of) for name, day in step], columns=list(TABLES["state_matched"])
    )
    with warehouse.transaction() as session:
        session.append(f"{WORK}.state_matched", frame)
        if linked:
            session.execute(
                f"delete from {WORK}.state_matched where exists (select 1 from {WORK}.int_links as l "
                "where l.destination = state_matched.destination and l.day = state_matched.day)"
            )
            session.execute(
                f"insert into {WORK}.input_recalled_keys select distinct message_key, true from {WORK}.int_links"
            )
            session.append(f"{WORK}.state_open_days", pd.DataFrame(new, columns=["destination", "day"]))
    if new:
        context.dbt.run(["int_open_days"])


def _rows_of_days(context: RunContext) -> dict[date, int]:
    """Rows that a day brings into a step: about as many as landed on it."""
    rows: dict[date, int] = {}
    for kind in ("source", "destination"):
        for (_, day), count in landed_rows(context, kind).items():
            rows[day] = rows.get(day, 0) + count
    return rows
