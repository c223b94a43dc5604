"""The days of a run in steps of bounded size, and what a run that was killed has already done of them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import date, datetime, timedelta
from typing import Any

import pandas as pd

from dagster_project.flow.census import CENSUS, as_day, fingerprints, rows_of
from dagster_project.flow.context import RunContext
from dagster_project.flow.inputs import TABLES, WORK
from dagster_project.resources.dbt import ModelResult


def in_steps(days: Iterable[date], rows_of_day: Mapping[date, int], limit: int) -> list[list[date]]:
    """The days in order, cut where a step would hold more rows than `limit`; a day is never cut.

    What is left for the last step joins the one before it where the two together hold at most a third more than `limit`:
    each step looks at the days beside it as well, which costs 10 s of processor at ten million messages a day (2026-11-23).
    """
    steps: list[list[date]] = []
    held: list[int] = []
    for day in sorted(set(days)):
        rows = rows_of_day.get(day, 0)
        if not steps or held[-1] + rows > limit:
            steps.append([])
            held.append(0)
        steps[-1].append(day)
        held[-1] += rows
    if len(steps) > 1 and sum(held[-2:]) <= limit + limit // 3:
        steps[-2:] = [steps[-2] + steps[-1]]
    return steps


def added(before: list[ModelResult], now: list[ModelResult]) -> list[ModelResult]:
    """The results of all steps as one list, a model once with its seconds and rows summed."""
    earlier = {each.name: each for each in before}
    for each in now:
        known = earlier.get(each.name)
        if known is not None:
            rows = None if each.rows is None or known.rows is None else each.rows + known.rows
            each = replace(each, seconds=each.seconds + known.seconds, rows=rows)
        earlier[each.name] = each
    return list(earlier.values())


def told(context: RunContext, stage: str, days: Sequence[date], of: int) -> None:
    """Say which days a step works on, where more steps follow it; `of` counts those that are left."""
    span = f"{days[0]}" if days[0] == days[-1] else f"{days[0]} to {days[-1]}"
    if of > 1:
        context.tell(f"{stage}: {span}; {of - 1} more {'step' if of == 2 else 'steps'} to come")


# ---- reading ---------------------------------------------------------------------------------------------


def signatures(context: RunContext, kind: str) -> dict[str, str]:
    """By source or destination: a digest of the contract and the SQL under which its rows are read."""
    now = fingerprints(context.workspace)
    now = now[now["kind"] == kind]
    sql = context.dbt.fingerprint()[:16]
    return {name: f"{own[:16]}:{sql}" for name, own in zip(now["name"], now["fingerprint"], strict=True)}


def read_already(context: RunContext, kind: str, signatures: Mapping[str, str]) -> set[tuple[str, date]]:
    """What the steps of a run that never ended have read, and what is landed still the same: (name, day).

    `kind` is source or destination; `signatures` says by name under which contract rows are read now. The
    census of this run must have been taken.
    """
    warehouse = context.warehouse
    now = {
        (row.name, as_day(row.day)): (int(row.rows_seen), _signed(row.checksum, signatures.get(row.name)))
        for row in rows_of(warehouse.frame(f"select * from {WORK}.census_{kind}s where day is not null"))
    }
    before = warehouse.frame(f"select * from {WORK}.state_read where kind = :kind", kind=kind)
    return {
        (row.name, as_day(row.day))
        for row in rows_of(before)
        if now.get((row.name, as_day(row.day))) == (int(row.rows_seen), row.checksum)
    }


def remember_read(
    context: RunContext, kind: str, pairs: Iterable[tuple[str, date]], signatures: Mapping[str, str]
) -> None:
    """Note that a step has read these days, as the census of this run saw them."""
    wanted = set(pairs)
    warehouse = context.warehouse
    census = warehouse.frame(f"select * from {WORK}.census_{kind}s where day is not null")
    rows = [
        {
            "kind": kind,
            "name": row.name,
            "day": as_day(row.day),
            "rows_seen": int(row.rows_seen),
            "checksum": _signed(row.checksum, signatures.get(row.name)),
        }
        for row in rows_of(census)
        if (row.name, as_day(row.day)) in wanted
    ]
    days = sorted({day for _, day in wanted})
    if not days:
        return
    _forget_touched(context, kind, wanted)
    with warehouse.transaction() as session:
        session.execute(
            f"delete from {WORK}.state_read where kind = :kind and day between :first and :last",
            kind=kind,
            first=days[0],
            last=days[-1],
        )
        session.append(f"{WORK}.state_read", pd.DataFrame(rows, columns=list(CENSUS)))


def _forget_touched(context: RunContext, kind: str, pairs: set[tuple[str, date]]) -> None:
    """What was read anew may change what a run that never ended has matched near it: forget that it was."""
    warehouse = context.warehouse
    if not matched_already(context):
        return
    if kind == "source":
        names = sorted({name for name, _ in pairs})
        received = sorted({day for _, day in pairs})
        stands = warehouse.frame(
            f"select distinct day from {WORK}.int_message_counts where source in :names and received_day in :received",
            names=names,
            received=received,
        )
        touched = {as_day(day) for day in stands["day"]} | set(received)
        hit = " 1 = 1"
    else:
        touched = {day for _, day in pairs}
        hit = " destination in :names"
        names = sorted({name for name, _ in pairs})
    # A day of another zone lies within one day of the day of its name.
    near = sorted({day + timedelta(days=step) for day in touched for step in (-1, 0, 1)})
    if near:
        binds = {"near": near} | ({"names": names} if kind != "source" else {})
        warehouse.execute(f"delete from {WORK}.state_matched where day in :near and{hit}", **binds)


def _signed(checksum: Any, signature: str | None) -> str:
    return f"{checksum}:{signature or ''}"


def landed_rows(context: RunContext, kind: str) -> dict[tuple[str, date], int]:
    """Rows by name and day as last counted, by this run where it looked and by an earlier one elsewhere."""
    return _counted(context, kind, "state_census") | _counted(context, kind, f"census_{kind}s")


def _counted(context: RunContext, kind: str, census: str) -> dict[tuple[str, date], int]:
    frame = context.warehouse.frame(
        f"select name, day, rows_seen from {WORK}.{census} where kind = :kind and day is not null", kind=kind
    )
    return {(row.name, as_day(row.day)): int(row.rows_seen) for row in rows_of(frame)}


def rows_to_read(
    context: RunContext, kind: str, days: Mapping[tuple[str, date], int | None]
) -> dict[date, int]:
    """By day: the rows that reading these days reads, with the position behind which each is new, as in `run_days`."""
    before = _counted(context, kind, "state_census")
    landed = before | _counted(context, kind, f"census_{kind}s")
    rows: dict[date, int] = {}
    for pair, after in days.items():
        known = 0 if after is None else before.get(pair, 0)
        rows[pair[1]] = rows.get(pair[1], 0) + max(landed.get(pair, 0) - known, 0)
    return rows


def run_days(context: RunContext, kind: str) -> dict[tuple[str, date], int | None]:
    """The (name, day) that this run reads, with the position behind which its rows are new, in order of days."""
    table, column = (
        ("run_received_days", "source") if kind == "source" else ("run_export_days", "destination")
    )
    frame = context.warehouse.frame(
        f"select {column} as name, day, after_position from {WORK}.{table} order by 2, 1"
    )
    return {
        (row.name, as_day(row.day)): None if pd.isna(row.after_position) else int(row.after_position)
        for row in rows_of(frame)
    }


def write_days(
    context: RunContext, table: str, rows: Iterable[tuple[str, date]] | Mapping[tuple[str, date], int | None]
) -> None:
    """Make these (name, day) the only rows of a table of days; a mapping gives the positions as well."""
    columns = list(TABLES[table])
    listed = (
        [(*pair, after) for pair, after in rows.items()]
        if isinstance(rows, Mapping)
        else [(*pair, None)[: len(columns)] for pair in rows]
    )
    frame = nullable(pd.DataFrame(listed, columns=columns))
    context.warehouse.replace(f"{WORK}.{table}", frame, TABLES[table])


def nullable(frame: pd.DataFrame) -> pd.DataFrame:
    """A frame of days whose positions are whole numbers or null: pandas alone would make them floats."""
    if "after_position" not in frame.columns:
        return frame
    return frame.assign(after_position=frame["after_position"].astype("Int64"))


def open_days_that_rows_leave(context: RunContext) -> None:
    """Open the days to which what is read again has belonged so far, for rows may leave the day they are on.

    Before anything is rebuilt: afterwards nobody knows where a row that is gone belonged.
    """
    warehouse = context.warehouse
    if not warehouse.exists(f"{WORK}.int_messages"):
        return
    context.dbt.run(["int_leaving_days", "int_open_days"])
    warehouse.execute(
        f"insert into {WORK}.state_open_days select o.destination, o.day from ("
        f"select destination, day from {WORK}.int_open_days union select destination, day from {WORK}.int_leaving_days"
        f") as o where not exists (select 1 from {WORK}.state_open_days as s "
        "where s.destination = o.destination and s.day = o.day)"
    )


# ---- matching --------------------------------------------------------------------------------------------


def open_days(context: RunContext) -> list[tuple[str, date]]:
    """The (destination, day) that this run reconciles, in order."""
    frame = context.warehouse.frame(
        f"select destination, day from {WORK}.int_open_days where in_scope and destination <> '' order by 2, 1"
    )
    return [(row.destination, as_day(row.day)) for row in rows_of(frame)]


def matched_already(context: RunContext) -> dict[tuple[str, date], datetime]:
    """What the steps of this run, and of one that never ended, have matched, and as of when."""
    frame = context.warehouse.frame(f"select destination, day, as_of from {WORK}.state_matched")
    return {
        (row.destination, as_day(row.day)): pd.Timestamp(row.as_of).to_pydatetime() for row in rows_of(frame)
    }
