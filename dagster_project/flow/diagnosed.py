"""Stage `diagnosed`: each difference gets its cause, differences with one cause become one incident."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import pandas as pd

from dagster_project.core.diagnosis import diagnose
from dagster_project.core.incidents import INCIDENT_COLUMNS, incident_ids, reconcile_incidents
from dagster_project.core.ledger import LEDGER_COLUMNS, GapLine, gap_lines, ledger, told_lines
from dagster_project.flow.census import as_day
from dagster_project.flow.context import RunContext
from dagster_project.flow.evidence import read_evidence
from dagster_project.flow.inputs import SEGMENT_TABLES, STANDARD_COLUMNS, TABLES, WORK
from dagster_project.flow.ledger import LEDGER, write_ledger
from dagster_project.flow.notified import ALERTS, write_outbox
from dagster_project.flow.notified import COLUMNS as ALERT_COLUMNS
from dagster_project.resources.dbt import ModelResult
from dagster_project.resources.warehouse import WarehouseSession

MODELS: Final = ["reconciliation_daily", "message_differences", "int_quarantined_daily"]
WINDOWS: Final = {
    "incident_id": "varchar",
    "kind": "varchar",
    "severity": "varchar",
    "destination": "varchar",
    "day": "date",
}
PROPERTIES: Final = {
    "source": "varchar",
    "event_slug": "varchar",
    "property": "varchar",
    "kind": "varchar",
}
# What a column's type is called, whichever engine made it; the first that is part of its name.
_KINDS: Final = {
    "bool": "boolean",
    "timestamp": "time",
    "date": "time",
    **dict.fromkeys(("int", "double", "float", "decimal", "number", "numeric", "real"), "number"),
}


@dataclass(frozen=True)
class Diagnosed:
    """How many incidents are open and what changed since the last run."""

    open_incidents: int
    transitions: dict[str, int]
    models: list[ModelResult]
    gaps: dict[str, GapLine]  # the last complete day of each destination


def diagnose_window(context: RunContext) -> Diagnosed:
    """Write limits, the ledger, incidents, the windows they hit and what they explain; build the marts."""
    warehouse = context.warehouse
    _write_event_properties(context)
    evidence = read_evidence(warehouse, context.workspace, context.as_of)
    warehouse.ensure("reconciliation.incidents", INCIDENT_COLUMNS)
    found = diagnose(evidence)
    existing = warehouse.frame("select * from reconciliation.incidents")
    warehouse.ensure(f"{WORK}.incident_windows", WINDOWS)
    before = warehouse.frame(f"select * from {WORK}.incident_windows")
    incidents, transitions, windows, links = reconcile_incidents(
        existing,
        found,
        context.as_of,
        context.run_id,
        mutes=context.workspace.mutes,
        critical_events=context.workspace.critical_events,
        held_until={
            str(name): as_day(day) for name, day in before.groupby("incident_id")["day"].max().items()
        },
    )
    for column in ("kind", "severity"):
        told = dict(zip(incidents["incident_id"], incidents[column], strict=True))
        windows[column] = [told[key] for key in windows["incident_id"]]
    windows = _with_lasting(context, windows, before, incidents)
    # Findings come in order of cause: what explains more stands first.
    links["link_rank"] = range(len(links))
    # Defined before the transaction: a definition within it would keep half of it on Snowflake.
    warehouse.ensure(ALERTS, ALERT_COLUMNS)
    warehouse.ensure(LEDGER, LEDGER_COLUMNS)
    table = ledger(evidence, found, incident_ids(existing, found))
    gaps = gap_lines(table, evidence)
    with warehouse.transaction() as session:
        session.replace(
            f"{WORK}.diagnosis_limits", _of_open_days(session, found.limits), TABLES["diagnosis_limits"]
        )
        write_ledger(session, table, evidence.first_day)
        session.replace("reconciliation.incidents", incidents, INCIDENT_COLUMNS)
        session.replace(f"{WORK}.incident_windows", windows, WINDOWS)
        session.replace(f"{WORK}.incident_links", links, TABLES["incident_links"])
        # In the same transaction: an incident and its notice are kept together or not at all.
        write_outbox(
            session,
            transitions,
            incidents,
            context.run_id,
            context.as_of,
            base_url=context.ui_url,
            owners={each.name: each.owner for each in context.workspace.destinations if each.owner},
            ledger=told_lines(gaps, context.as_of.date()),
        )
    models = context.dbt.run(MODELS)
    counts: dict[str, int] = {}
    for each in transitions:
        counts[each.transition] = counts.get(each.transition, 0) + 1
    open_now = incidents[(incidents["status"] == "open") & (incidents["severity"] != "info")]
    return Diagnosed(len(open_now), counts, models, gaps)


def _of_open_days(session: WarehouseSession, limits: pd.DataFrame) -> pd.DataFrame:
    """The limits that the judges of this run ask for: Snowflake takes rows by the 2,000, and 700,000 are possible."""
    days = session.frame(f"select destination, day from {WORK}.int_open_days where in_scope")
    opened = set(zip(days["destination"], pd.to_datetime(days["day"]), strict=True))
    # The days first: the limits are of 120 days, of which a nightly run has some six open.
    near = limits[limits["day"].isin({day for _, day in opened})]
    keys = zip(near["destination"], near["day"], strict=True)
    return near[[key in opened for key in keys]]


def _with_lasting(
    context: RunContext, windows: pd.DataFrame, before: pd.DataFrame, incidents: pd.DataFrame
) -> pd.DataFrame:
    """The windows of this run's findings, and those of incidents that are open but out of this run's sight.

    An incident that was found again, and hits nobody any more, holds no window any more.
    """
    unseen = incidents[(incidents["status"] == "open") & (incidents["run_id"] != context.run_id)]
    lasting = before[before["incident_id"].isin(unseen["incident_id"])]
    return (
        windows if lasting.empty else pd.concat([windows, lasting[list(windows.columns)]], ignore_index=True)
    )


def _kind_of(data_type: str) -> str:
    return next((kind for part, kind in _KINDS.items() if part in data_type.lower()), "text")


def _write_event_properties(context: RunContext) -> None:
    """Which properties each event table has: the columns that are not Segment's own."""
    schemas = {source.schema_name.lower(): source.name for source in context.workspace.sources}
    columns = context.warehouse.schema_columns(list(schemas))
    own = columns[
        ~columns["column_name"].isin(STANDARD_COLUMNS)
        & ~columns["column_name"].str.startswith("context_")
        & ~columns["table_name"].isin(SEGMENT_TABLES)
    ]
    frame = pd.DataFrame(
        {
            "source": [schemas[schema] for schema in own["schema"]],
            "event_slug": list(own["table_name"]),
            "property": list(own["column_name"]),
            "kind": [_kind_of(str(name)) for name in own["data_type"]],
        },
        columns=list(PROPERTIES),
    )
    context.warehouse.replace(f"{WORK}.event_properties", frame, PROPERTIES)
