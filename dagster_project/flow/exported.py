"""Stage `exported`: the destinations' own records, landed, staged and read for the days that changed."""

from __future__ import annotations

from datetime import datetime, timedelta

import pandas as pd

from dagster_project.core.contracts import Destination, Workspace
from dagster_project.flow.arrivals import observe_arrivals
from dagster_project.flow.census import (
    CENSUS,
    CENSUS_SINCE,
    as_day,
    begun_days,
    changed_days,
    fingerprints,
    rows_may_leave,
    take_census,
)
from dagster_project.flow.context import Health, RunContext
from dagster_project.flow.growth import grown, keep_positions, position_now, positions_before
from dagster_project.flow.inputs import TABLES, WORK, local, write_inputs
from dagster_project.flow.landing import land_files
from dagster_project.flow.sources import first_line, looked_back_to
from dagster_project.flow.steps import (
    in_steps,
    nullable,
    open_days_that_rows_leave,
    read_already,
    remember_read,
    rows_to_read,
    run_days,
    signatures,
    told,
    write_days,
)
from dagster_project.resources.warehouse import Warehouse

HEALTH = {
    "destination": "varchar",
    "status": "varchar",
    "problem": "varchar",
    "last_day": "date",
    "deliveries": "bigint",
}


def read_exports(context: RunContext) -> list[Health]:
    """Land export files, stage every export, and read again the days whose rows changed.

    A destination that cannot be read is told in its `Health`; what was read of it earlier stays as it is.
    Writes `run_export_days`, `export_health`, `int_deliveries`, `int_delivery_counts`, `int_export_counts` and
    `arrival_observations`.
    """
    warehouse, workspace = context.warehouse, context.workspace
    problems: dict[str, str] = {}
    notes: dict[str, str] = {}
    for landed in land_files(warehouse, workspace, context.as_of, context.run_id):
        told = "; ".join(f"{each.file}: {each.fact}; {each.next_step}" for each in landed.problems)
        if landed.status == "ok":
            continue
        # A broken file leaves the other files of its destination readable.
        notes[landed.destination] = told or "no file matches its pattern"
    problems |= missing_export_parts(warehouse, workspace)
    context.dbt.run([f"stg_destination__{each.name}" for each in workspace.destinations])

    before = warehouse.frame(f"select * from {WORK}.state_census where kind = 'destination'")
    known = warehouse.frame(f"select * from {WORK}.state_contracts where kind = 'destination'")
    contracts_before = dict(zip(known["name"], known["fingerprint"], strict=True))
    now = fingerprints(workspace)
    contracts = dict(zip(now["name"], now["fingerprint"], strict=True))
    begun = begun_days(warehouse, "destination")
    positions = positions_before(warehouse, "destination")
    reached: list[dict[str, object]] = []
    censuses: list[pd.DataFrame] = []
    ranges: list[dict[str, object]] = []
    to_read: list[dict[str, object]] = []
    results = []
    for destination in workspace.destinations:
        name = destination.name
        if name in problems:
            results.append(Health(name, "broken", problems[name]))
            continue
        own = before[before["name"] == name]
        # Under another contract every day is read again, for its rows may mean something else.
        same_contract = contracts_before.get(name) == contracts[name]
        since = looked_back_to(context) - timedelta(days=1) if len(own) and same_contract else None
        view = f"{WORK}.stg_destination__{name}"
        now_there = local(context.as_of, destination.timezone)
        try:
            only_grew = position = None
            if destination.grain == "event":
                if since is not None and context.from_day is None:
                    only_grew = grown(
                        warehouse,
                        "destination",
                        name,
                        view,
                        before=positions.get(name),
                        own=own,
                        since=since,
                        as_of=now_there,
                        grown_from=context.grown_from,
                    )
                position = position_now(warehouse, "destination", name, view, as_of=now_there)
            census = (
                only_grew.census
                if only_grew is not None
                else take_census(
                    warehouse,
                    "destination",
                    name,
                    view,
                    grain=destination.grain,
                    since=since,
                    as_of=now_there,
                )
            )
        except Exception as error:
            problems[name] = (
                f"the export of {name} cannot be read: {first_line(error)}; mend it, then run again"
            )
            results.append(Health(name, "broken", problems[name]))
            continue
        if position is not None:
            reached.append(position)
        if only_grew is not None:
            after, again = only_grew.after_position, {*begun.get(name, [])}
            days = sorted({*only_grew.days, *again})
        else:
            after = None
            changed = changed_days(census, own if same_contract else own.assign(checksum=None), since)
            asked = {*context.asked_days} & {as_day(day) for day in census["day"] if not pd.isna(day)}
            again = {*changed, *begun.get(name, []), *asked}
            days = sorted(again)
        to_read += [
            {"destination": name, "day": day, "after_position": None if day in again else after}
            for day in days
        ]
        dated = census[census["day"].notna()]
        timeless = int(census.loc[census["day"].isna(), "rows_seen"].sum())
        total = int(census["rows_seen"].sum())
        said = [notes[name]] if name in notes else []
        if timeless:
            said.append(f"{timeless:,} of {total:,} rows have a time that cannot be read")
        results.append(
            Health(
                name,
                "broken" if said else "ok",
                "; ".join(said) or None,
                rows=total,
                days_to_read=len(days),
                latest=_last(dated),
            )
        )
        censuses.append(dated)
        ranges.append({"kind": "destination", "name": name, "since": since})
    _write(context, problems, to_read, censuses, ranges, reached, results)
    if rows_may_leave(warehouse):
        open_days_that_rows_leave(context)
    _read_deliveries(context)
    # What was read of a broken export earlier is still there, and says nothing of today.
    observe_arrivals(context, [each.name for each in results if each.name not in problems])
    return results


def _read_deliveries(context: RunContext) -> None:
    """Read the days to read, in steps; those that a run which never ended has read stay as they are."""
    days_read = run_days(context, "destination")
    contracts = signatures(context, "destination")
    done = read_already(context, "destination", contracts)
    left = {pair: after for pair, after in days_read.items() if pair not in done}
    steps = in_steps(
        {day for _, day in left}, rows_to_read(context, "destination", left), context.step_rows
    ) or [[]]
    for number, days in enumerate(steps):
        step = {pair: after for pair, after in left.items() if pair[1] in set(days)}
        if days:
            told(context, "exported", days, len(steps) - number)
        write_days(context, "input_export_days", step)
        context.dbt.run(["int_deliveries", "int_delivery_counts", "int_export_counts"])
        remember_read(context, "destination", step, contracts)
    write_days(context, "input_export_days", days_read)


def _last(census: pd.DataFrame) -> datetime | None:
    if census.empty:
        return None
    day = max(as_day(value) for value in census["day"])
    return datetime(day.year, day.month, day.day)


def _write(
    context: RunContext,
    problems: dict[str, str],
    to_read: list[dict[str, object]],
    censuses: list[pd.DataFrame],
    ranges: list[dict[str, object]],
    reached: list[dict[str, object]],
    results: list[Health],
) -> None:
    warehouse = context.warehouse
    broken_sources = set(
        warehouse.frame(f"select source from {WORK}.input_sources where healthy = false")["source"]
    )
    write_inputs(
        warehouse,
        context.workspace,
        run_id=context.run_id,
        as_of=context.as_of,
        from_day=context.from_day,
        to_day=context.to_day,
        broken_sources=broken_sources,
        broken_destinations=set(problems),
    )
    changed = _changed_contracts(context)
    # Defined before the transaction: a definition within it would keep half of it on Snowflake.
    warehouse.ensure(f"{WORK}.census_destinations", CENSUS)
    warehouse.ensure(f"{WORK}.census_destinations_since", CENSUS_SINCE)
    warehouse.ensure(f"{WORK}.export_health", HEALTH)
    with warehouse.transaction() as session:
        session.replace(
            f"{WORK}.run_export_days",
            nullable(pd.DataFrame(to_read, columns=list(TABLES["run_export_days"]))),
            TABLES["run_export_days"],
        )
        keep_positions(session, "destination", reached, sorted(problems))
        # Remembered before anything is rebuilt: a run that dies here leaves the days open for the next.
        open_days = [{"destination": each["destination"], "day": each["day"]} for each in to_read] + changed
        if open_days:
            session.append(f"{WORK}.state_open_days", pd.DataFrame(open_days, columns=["destination", "day"]))
        session.replace(
            f"{WORK}.census_destinations",
            pd.concat(censuses) if censuses else pd.DataFrame(columns=list(CENSUS)),
            CENSUS,
        )
        session.replace(
            f"{WORK}.census_destinations_since",
            pd.DataFrame(ranges, columns=list(CENSUS_SINCE)),
            CENSUS_SINCE,
        )
        session.replace(
            f"{WORK}.export_health",
            pd.DataFrame(
                [
                    {
                        "destination": each.name,
                        "status": each.status,
                        "problem": each.problem,
                        "last_day": each.latest.date() if each.latest else None,
                        "deliveries": each.rows,
                    }
                    for each in results
                ],
                columns=list(HEALTH),
            ),
            HEALTH,
        )


def _changed_contracts(context: RunContext) -> list[dict[str, object]]:
    """Every known day of the destinations whose contract is not the one they were last reconciled under."""
    warehouse = context.warehouse
    known = warehouse.frame(
        f"select name, fingerprint from {WORK}.state_contracts where kind = 'destination'"
    )
    before = dict(zip(known["name"], known["fingerprint"], strict=True))
    now = fingerprints(context.workspace)
    destinations = now[now["kind"] == "destination"]
    changed = [
        name
        for name, fingerprint in zip(destinations["name"], destinations["fingerprint"], strict=True)
        if before.get(name) != fingerprint
    ]
    if not changed or not warehouse.exists("reconciliation.event_names_daily"):
        return []
    days = [
        as_day(day)
        for day in warehouse.frame("select distinct day from reconciliation.event_names_daily order by 1")[
            "day"
        ]
    ]
    return [{"destination": name, "day": day} for name in changed for day in days]


def missing_export_parts(warehouse: Warehouse, workspace: Workspace) -> dict[str, str]:
    """Destination -> what is missing of its export table; files are landing's."""
    by_table = [each for each in workspace.destinations if each.export.table]
    found = warehouse.columns([str(each.export.table) for each in by_table])
    problems = {}
    for destination in by_table:
        table = str(destination.export.table).lower()
        columns = {column for name, column in found if name == table}
        if not columns:
            problems[destination.name] = (
                f"table {destination.export.table} does not exist; check `export.table` in "
                f"destinations/{destination.name}.yml, or the tool that loads it"
            )
            continue
        lacking = [each for each in _mapped(destination) if each.lower() not in columns]
        if lacking:
            problems[destination.name] = (
                f"table {destination.export.table} has no column {', '.join(lacking)}; it has "
                f"{', '.join(sorted(columns)[:20])}; correct `export.columns` in destinations/{destination.name}.yml"
            )
    return problems


def _mapped(destination: Destination) -> list[str]:
    columns = destination.export.columns
    names = (
        ("event_name", "event_time", "user_id", "anonymous_id", "message_id")
        if destination.grain == "event"
        else ("event_name", "day", "count")
    )
    return [value for name in names if (value := getattr(columns, name))]
