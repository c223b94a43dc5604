"""When a destination's days filled up: what each run saw of the last days, kept where it is not what the last one saw."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, date, datetime, timedelta
from typing import Final
from zoneinfo import ZoneInfo

import pandas as pd

from dagster_project.core.contracts import Destination
from dagster_project.flow.census import as_day, rows_of
from dagster_project.flow.context import RunContext
from dagster_project.flow.inputs import WORK, local

OBSERVATIONS: Final = f"{WORK}.arrival_observations"
COLUMNS: Final = {"destination": "varchar", "day": "date", "seen_at": "timestamp", "deliveries": "bigint"}
# An export that is later than this is told as late long before.
WATCHED_DAYS: Final = 14
# As long as the diagnosis looks back.
KEPT_DAYS: Final = 120


def observe_arrivals(context: RunContext, readable: Iterable[str]) -> None:
    """Append what is there now of the last days of these destinations, where it changed since it was last seen.

    A day with nothing is seen once it is due. A run at the time of an earlier one replaces what that one saw;
    a run at an earlier time changes nothing, for nobody can tell any more what was there then.
    """
    warehouse, as_of = context.warehouse, context.as_of
    wanted = set(readable)
    watched = {
        (each.name, day): _due(each, day) <= as_of
        for each in context.workspace.destinations
        if each.name in wanted
        for day in _last_days(each, as_of)
        if day >= context.workspace.starts_on
    }
    # Defined before the transaction: a definition within it would keep half of it on Snowflake.
    warehouse.ensure(OBSERVATIONS, COLUMNS)
    if not watched:
        return
    since = min(day for _, day in watched)
    held = {
        (row.destination, as_day(row.day)): int(row.deliveries)
        for row in rows_of(
            warehouse.frame(
                "select destination, day, sum(deliveries) as deliveries from ("
                f"select destination, day, sum(deliveries) as deliveries from {WORK}.int_delivery_counts "
                "where day between :since and :until group by 1, 2 union all "
                f"select destination, day, sum(messages) as deliveries from {WORK}.int_export_counts "
                "where day between :since and :until group by 1, 2) as days group by 1, 2",
                since=since,
                until=max(day for _, day in watched),
            )
        )
    }
    before: dict[tuple[str, date], int] = {}
    later: set[tuple[str, date]] = set()
    for row in rows_of(
        warehouse.frame(
            f"select destination, day, seen_at, deliveries from {OBSERVATIONS} where day >= :since order by seen_at",
            since=since,
        )
    ):
        key, seen_at = (row.destination, as_day(row.day)), pd.Timestamp(row.seen_at).to_pydatetime()
        if seen_at > as_of:
            later.add(key)
        elif seen_at < as_of:
            before[key] = int(row.deliveries)
    found = [
        {"destination": name, "day": day, "seen_at": as_of, "deliveries": held.get((name, day), 0)}
        for (name, day), due in sorted(watched.items())
        if (name, day) not in later
        and (
            held.get((name, day), 0) != before[name, day]
            if (name, day) in before
            else due or held.get((name, day), 0) > 0
        )
    ]
    names = sorted({name for name, _ in watched})
    with warehouse.transaction() as session:
        session.execute(
            f"delete from {OBSERVATIONS} where seen_at = cast(:as_of as timestamp) and destination in :names",
            as_of=as_of.isoformat(sep=" "),
            names=names,
        )
        session.execute(
            f"delete from {OBSERVATIONS} where day < :first", first=as_of.date() - timedelta(days=KEPT_DAYS)
        )
        session.append(OBSERVATIONS, pd.DataFrame(found, columns=list(COLUMNS)))


def _last_days(destination: Destination, as_of: datetime) -> list[date]:
    """The days that are watched, today included, in the destination's zone."""
    today = local(as_of, destination.timezone).date()
    return [today - timedelta(days=back) for back in range(WATCHED_DAYS)]


def _due(destination: Destination, day: date) -> datetime:
    """From when on the day should be complete, as naive UTC."""
    ends = datetime.combine(day + timedelta(days=1), datetime.min.time(), ZoneInfo(destination.timezone))
    return ends.astimezone(UTC).replace(tzinfo=None) + destination.complete_after
