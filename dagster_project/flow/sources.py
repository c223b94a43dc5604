"""Stage `sources`: what Segment landed, per source; which can be read, how fresh they are, which days changed."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, datetime, timedelta

import pandas as pd

from dagster_project.core.contracts import Workspace
from dagster_project.flow.census import (
    CENSUS,
    CENSUS_SINCE,
    CONTRACTS,
    as_day,
    begun_days,
    changed_days,
    fingerprints,
    forget_other_version,
    take_census,
    with_following,
)
from dagster_project.flow.context import Health, RunContext
from dagster_project.flow.growth import Grown, grown, keep_positions, position_now, positions_before
from dagster_project.flow.inputs import TABLES, WORK, ensure_tables, write_inputs
from dagster_project.flow.steps import nullable
from dagster_project.resources.warehouse import Warehouse

NEEDED = ("id", "event_text", "received_at")
HEALTH = {
    "source": "varchar",
    "status": "varchar",
    "problem": "varchar",
    "last_received_at": "timestamp",
    "messages": "bigint",
}


def read_sources(context: RunContext) -> list[Health]:
    """Write the contract for this run, stage every source and name the days whose rows are to be read again.

    A source that cannot be read is told in its `Health` and left out; the others go on. Writes the
    `input_*` tables, `run_received_days` and `source_health`.
    """
    warehouse, workspace = context.warehouse, context.workspace
    ensure_tables(warehouse)
    warehouse.ensure(f"{WORK}.state_census", CENSUS)
    warehouse.ensure(f"{WORK}.state_contracts", CONTRACTS)
    context.dbt.render(workspace)
    forget_other_version(warehouse, context.dbt)
    problems = missing_source_parts(warehouse, workspace)
    unfit = set(problems)
    _write(context, unfit)
    context.dbt.run([f"stg_segment__{source.name}" for source in workspace.sources])

    before = warehouse.frame(f"select * from {WORK}.state_census where kind = 'source'")
    known = warehouse.frame(f"select * from {WORK}.state_contracts where kind = 'source'")
    begun = begun_days(warehouse, "source")
    now = fingerprints(workspace)
    censuses: list[pd.DataFrame] = []
    ranges: list[dict[str, object]] = []
    changed_of: dict[str, list[date]] = {}
    known_of: dict[str, set[date]] = {}
    grown_of: dict[str, tuple[set[date], int]] = {}
    positions = positions_before(warehouse, "source")
    reached: list[dict[str, object]] = []
    results = []
    for source in workspace.sources:
        if source.name in problems:
            results.append(Health(source.name, "broken", problems[source.name]))
            continue
        own = before[before["name"] == source.name]
        same_contract = _fingerprint(known, source.name) == _fingerprint(now, source.name)
        since = looked_back_to(context) if len(own) and same_contract else None
        view = f"{WORK}.stg_segment__{source.name}"
        try:
            only_grew = None
            if since is not None and context.from_day is None:
                only_grew = grown(
                    warehouse,
                    "source",
                    source.name,
                    view,
                    before=positions.get(source.name),
                    own=own,
                    since=since,
                    as_of=context.as_of,
                    grown_from=context.grown_from,
                )
            if only_grew is not None:
                census = only_grew.census
            else:
                census = take_census(
                    warehouse, "source", source.name, view, grain="event", since=since, as_of=context.as_of
                )
            position = position_now(warehouse, "source", source.name, view, as_of=context.as_of)
        except Exception as error:
            problems[source.name] = (
                f"{source.schema_name}.tracks cannot be read: {first_line(error)}; mend the table, then run again"
            )
            results.append(Health(source.name, "broken", problems[source.name]))
            continue
        if position is not None:
            reached.append(position)
        known_of[source.name] = {as_day(day) for day in census["day"] if not pd.isna(day)}
        if only_grew is not None:
            again = begun.get(source.name, [])
            grown_of[source.name] = {*only_grew.days} - {*again}, only_grew.after_position
        else:
            # Under another contract every day is read again, also one whose rows are gone.
            changed = changed_days(census, own if same_contract else own.assign(checksum=None), since)
            # A day that was asked for is some destination's own: in UTC it lies on the days beside it, too.
            asked = {day + timedelta(days=step) for day in context.asked_days for step in (-1, 0, 1)}
            again = sorted({*changed, *begun.get(source.name, []), *(asked & known_of[source.name])})
        changed_of[source.name] = again
        censuses.append(census)
        ranges.append({"kind": "source", "name": source.name, "since": since})
        latest = _latest(warehouse, source.name, view, since, context.as_of, only_grew)
        results.append(
            Health(
                source.name,
                "ok",
                None,
                rows=int(census["rows_seen"].sum()) if len(census) else 0,
                latest=latest,
            )
        )

    # An id is one message over all sources: a change in one may decide which copy is first in another.
    everywhere = {day for days in changed_of.values() for day in days}
    days_of = {
        name: sorted({*changed_of[name], *known} & set(with_following(everywhere, known)))
        for name, known in known_of.items()
    }
    to_read: list[dict[str, object]] = []
    for name, days in days_of.items():
        new, after = grown_of.get(name, (set(), 0))
        to_read += [{"source": name, "day": day, "after_position": None} for day in days]
        to_read += [{"source": name, "day": day, "after_position": after} for day in sorted(new - set(days))]
    results = [
        replace(each, days_to_read=sum(row["source"] == each.name for row in to_read)) for each in results
    ]

    if set(problems) != unfit:
        _write(context, set(problems))
    # Defined before the transaction: a definition within it would keep half of it on Snowflake.
    warehouse.ensure(f"{WORK}.census_sources", CENSUS)
    warehouse.ensure(f"{WORK}.census_sources_since", CENSUS_SINCE)
    warehouse.ensure(f"{WORK}.source_health", HEALTH)
    with warehouse.transaction() as session:
        session.replace(
            f"{WORK}.run_received_days",
            nullable(pd.DataFrame(to_read, columns=list(TABLES["run_received_days"]))),
            TABLES["run_received_days"],
        )
        keep_positions(session, "source", reached, sorted(problems))
        session.replace(
            f"{WORK}.census_sources",
            pd.concat(censuses) if censuses else pd.DataFrame(columns=list(CENSUS)),
            CENSUS,
        )
        session.replace(
            f"{WORK}.census_sources_since", pd.DataFrame(ranges, columns=list(CENSUS_SINCE)), CENSUS_SINCE
        )
        session.replace(
            f"{WORK}.source_health",
            pd.DataFrame(
                [
                    {
                        "source": each.name,
                        "status": each.status,
                        "problem": each.problem,
                        "last_received_at": each.latest,
                        "messages": each.rows,
                    }
                    for each in results
                ],
                columns=list(HEALTH),
            ),
            HEALTH,
        )
    return results


def _latest(
    warehouse: Warehouse, name: str, view: str, since: date | None, as_of: datetime, only_grew: Grown | None
) -> datetime | None:
    """When the last row was received, as naive UTC: looked for among new rows alone where that is all that changed."""
    if only_grew is not None:
        before = warehouse.frame(
            f"select last_received_at as latest from {WORK}.source_health where source = :source", source=name
        )["latest"]
        times = [pd.Timestamp(each).to_pydatetime() for each in before if not pd.isna(each)]
        times += [only_grew.latest] if only_grew.latest else []
        return max(times, default=None)
    latest = warehouse.frame(
        f"select max(received_at) as latest from {view} where received_at <= "
        "cast(:as_of as timestamp) and received_at >= cast(:since as timestamp)",
        as_of=as_of.isoformat(sep=" "),
        since=(since or date(1900, 1, 1)).isoformat(),
    )["latest"].iloc[0]
    return None if pd.isna(latest) else pd.Timestamp(latest).to_pydatetime()


def looked_back_to(context: RunContext) -> date:
    """The first day in which landed rows are compared with the last run's; `from_day` moves it back."""
    back = context.as_of.date() - timedelta(days=context.workspace.lookback_days)
    return min(back, context.from_day - timedelta(days=1)) if context.from_day else back


def first_line(error: Exception) -> str:
    """The first line of an engine's error, without the statement or its values."""
    text = str(getattr(error, "orig", None) or error).strip()
    return text.splitlines()[0][:300] if text else type(error).__name__


def _write(context: RunContext, broken_sources: set[str]) -> None:
    known_broken = context.warehouse.frame(
        f"select destination from {WORK}.input_destinations where healthy = false"
    )
    write_inputs(
        context.warehouse,
        context.workspace,
        run_id=context.run_id,
        as_of=context.as_of,
        from_day=context.from_day,
        to_day=context.to_day,
        broken_sources=broken_sources,
        broken_destinations=set(known_broken["destination"]),
    )


def missing_source_parts(warehouse: Warehouse, workspace: Workspace) -> dict[str, str]:
    """Source -> what is missing: the schema, its tracks table or a column that nothing works without."""
    tables = [f"{source.schema_name}.tracks" for source in workspace.sources]
    found = warehouse.columns(tables)
    schemas = {
        str(name).lower()
        for name in warehouse.frame("select schema_name as s from information_schema.schemata")["s"]
    }
    problems = {}
    for source in workspace.sources:
        table = f"{source.schema_name}.tracks".lower()
        columns = {column for name, column in found if name == table}
        if source.schema_name.lower() not in schemas:
            problems[source.name] = (
                f"schema {source.schema_name} does not exist; check `schema` of {source.name} in workspace.yml, "
                "or the warehouse's sync in Segment"
            )
        elif not columns:
            problems[source.name] = (
                f"table {source.schema_name}.tracks does not exist; check that the source syncs its tracks "
                "(Segment: Selective Sync)"
            )
        else:
            lacking = [name for name in NEEDED if name not in columns]
            if lacking:
                problems[source.name] = (
                    f"table {source.schema_name}.tracks has no column {', '.join(lacking)}; "
                    "switch it on again in Segment's Selective Sync"
                )
    return problems


def _fingerprint(frame: pd.DataFrame, name: str) -> str | None:
    own = frame[(frame["kind"] == "source") & (frame["name"] == name)]
    return None if own.empty else str(own["fingerprint"].iloc[0])
