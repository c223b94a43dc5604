"""Plan health as a table: what of the plans is not lived, and what is lived and not planned, day by day."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Final
from zoneinfo import ZoneInfo

import pandas as pd

from dagster_project.core.contracts import Workspace
from dagster_project.core.plan_health import (
    COLUMNS,
    LATELY_DAYS,
    RECENT_DAYS,
    Evidence,
    Finding,
    findings,
    table,
)
from dagster_project.flow.census import as_day
from dagster_project.flow.context import RunContext
from dagster_project.flow.inputs import WORK
from dagster_project.resources.warehouse import Warehouse

HEALTH: Final = "reconciliation.plan_health"
# History: every day of two months, then one a week, for a clean-up that takes the better part of a year.
_DAILY_FOR: Final = timedelta(days=60)
_KEPT_FOR: Final = timedelta(days=400)
_MONDAY: Final = 0


@dataclass(frozen=True)
class PlanHealth:
    """How many findings there are now, by kind."""

    day: date
    findings: dict[str, int]


def judge_plans(context: RunContext) -> PlanHealth:
    """Write the findings of this run's day; earlier days stay, thinned out as they age."""
    today = day_of(context.as_of, context.workspace)
    found = findings(read_evidence(context.warehouse, context.workspace, today))
    write(context.warehouse, found, today, context.run_id)
    counts: dict[str, int] = {}
    for each in found:
        counts[each.kind] = counts.get(each.kind, 0) + 1
    return PlanHealth(today, counts)


def day_of(as_of: datetime, workspace: Workspace) -> date:
    """The workspace's day of a naive UTC moment."""
    return as_of.replace(tzinfo=UTC).astimezone(ZoneInfo(workspace.timezone)).date()


def read_evidence(warehouse: Warehouse, workspace: Workspace, today: date) -> Evidence:
    """What landed as counts: six statements over tables of counts, whatever the number of events and rules."""
    recent = today - timedelta(days=RECENT_DAYS)
    lately = today - timedelta(days=LATELY_DAYS)
    names = warehouse.frame(
        """
        select
            source, event_text, min(day) as first_day, max(day) as last_day, count(*) as days,
            sum(messages) as messages,
            sum(case when day > :recent then messages else 0 end) as recently,
            sum(case when day > :lately then messages else 0 end) as lately
        from reconciliation.event_names_daily
        where day <= :today
        group by 1, 2
        order by 1, 2
        """,
        recent=recent,
        lately=lately,
        today=today,
    )
    fill = warehouse.frame(
        f"""
        select source, event_text, property, sum(filled) as filled, sum(messages) as messages
        from {WORK}.int_property_fill_daily
        where day > :lately and day <= :today
        group by 1, 2, 3
        order by 1, 2, 3
        """,
        lately=lately,
        today=today,
    )
    violations = warehouse.frame(
        """
        select source, event, property, rule, sum(messages) as messages, min(day) as first_day
        from reconciliation.plan_violations_daily
        where day > :lately and day <= :today and property is not null
        group by 1, 2, 3, 4
        order by 1, 2, 3, 4
        """,
        lately=lately,
        today=today,
    )
    routes = warehouse.frame(
        f"select distinct destination, source, event from {WORK}.input_routes order by 1, 2, 3"
    )
    versions = _versions(warehouse, lately, today)
    return Evidence(names, fill, versions, violations, routes, _renames(warehouse), workspace, today)


def _renames(warehouse: Warehouse) -> pd.DataFrame:
    """What the diagnosis holds for renamed: such a name is told as what it is, and not proposed for the plan."""
    if not warehouse.exists("reconciliation.incidents"):
        return pd.DataFrame(columns=["source", "event", "renamed_to"])
    return warehouse.frame(
        "select source, event, renamed_to from reconciliation.incidents"
        " where kind = 'event_renamed' and status = 'open' order by 1, 2, 3"
    )


def _versions(warehouse: Warehouse, lately: date, today: date) -> pd.DataFrame:
    """Fill by app version, of the properties in which versions differ; empty before the first run that counts it."""
    if not warehouse.exists(f"{WORK}.int_property_fill_versions_daily"):
        return pd.DataFrame(columns=["source", "event_text", "property", "app_version", "filled", "messages"])
    return warehouse.frame(
        f"""
        select source, event_text, property, app_version, sum(filled) as filled, sum(messages) as messages
        from {WORK}.int_property_fill_versions_daily
        where day > :lately and day <= :today
        group by 1, 2, 3, 4
        order by 1, 2, 3, 4
        """,
        lately=lately,
        today=today,
    )


def write(warehouse: Warehouse, found: list[Finding], today: date, run_id: str) -> None:
    """Make these the findings of the day, whatever the day had before."""
    # Defined before the transaction: a definition within it would keep half of it on Snowflake.
    warehouse.ensure(HEALTH, COLUMNS)
    frame = table(found, today, run_id)
    with warehouse.transaction() as session:
        known = session.frame(f"select distinct day from {HEALTH}")
        gone = [day for value in known["day"] if _is_over(day := as_day(value), today)]
        session.execute(f"delete from {HEALTH} where day in :days", days=[*gone, today])
        session.append(HEALTH, frame)


def _is_over(day: date, today: date) -> bool:
    """Whether a day of the history has served its time: beyond two months one a week is enough."""
    age = today - day
    return age > _KEPT_FOR or (age > _DAILY_FOR and day.weekday() != _MONDAY)
