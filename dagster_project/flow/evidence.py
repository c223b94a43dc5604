"""Reads the evidence of the last days from the warehouse: of each table the rows that the diagnosis can ask about."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final

import pandas as pd

from dagster_project.core.calls import CALL_EVENTS
from dagster_project.core.contracts import Workspace
from dagster_project.core.diagnosis.evidence import COLUMNS, HISTORY_DAYS, Evidence
from dagster_project.core.diagnosis.renames import new_names
from dagster_project.flow.arrivals import OBSERVATIONS
from dagster_project.flow.inputs import WORK
from dagster_project.flow.witness import WarehouseWitness
from dagster_project.resources.warehouse import Warehouse, WarehouseSession

# Snowflake takes 16,384 values in a list.
_MOST_NAMES: Final = 10_000
# Messages that no contract sends to a destination: of 150 events, 10 sources and 10 destinations 383,000 rows in 120
# days, half of all evidence, of which only those of a name that an event was renamed to are ever asked for by name
# (2026-11-23). The others are told by day and destination.
_NOT_EXPECTED: Final = f"""
    select
        day, destination,
        case when reason <> 'not_routed' or {{renamed}} then source else '' end as source,
        case when reason <> 'not_routed' or {{renamed}} then event else '' end as event,
        reason, cast(sum(messages) as bigint) as messages
    from {WORK}.int_not_expected_daily
    where day >= :since
    group by 1, 2, 3, 4, 5
    order by 1, 2, 3, 4, 5
"""
# The ids of a source's track calls are judged together. What a single event had is asked only where a destination
# refused messages of it.
_IDENTIFIER_SHAPES: Final = f"""
    with refused as (
        select distinct event
        from {WORK}.int_not_expected_daily
        where day >= :since and reason = 'bad_identifier'
    )
    select
        shapes.day, shapes.source,
        case when shapes.event in :calls or refused.event is not null then shapes.event end as event,
        shapes.identifier, shapes.shape, cast(sum(shapes.messages) as bigint) as messages
    from {WORK}.int_identifier_shapes_daily as shapes
    left join refused on refused.event = shapes.event
    where shapes.day >= :since
    group by 1, 2, 3, 4, 5
    order by 1, 2, 3, 4, 5
"""


def read_evidence(warehouse: Warehouse, workspace: Workspace, as_of: datetime) -> Evidence:
    """The evidence tables of the last days, as the pure diagnosis wants them."""
    with warehouse.transaction() as session:  # one log-in for all that is read at once
        return _evidence(warehouse, session, workspace, as_of)


def _evidence(
    warehouse: Warehouse, session: WarehouseSession, workspace: Workspace, as_of: datetime
) -> Evidence:
    since = max(as_of.date() - timedelta(days=HISTORY_DAYS), workspace.starts_on)

    def read(
        name: str, table: str, also: str = "1 = 1", by: Warehouse | WarehouseSession = session
    ) -> pd.DataFrame:
        # In order, so that what is found stands in the same order in every run over the same evidence.
        columns = list(COLUMNS[name])
        order = ", ".join(str(number + 1) for number in range(len(columns)))
        days = f" where day >= :since and {also}" if "day" in columns else ""
        return by.column_frame(
            f"select {', '.join(columns)} from {table}{days} order by {order}",
            **({"since": since} if days else {}),
        )

    def not_expected(evidence: Evidence) -> pd.DataFrame:
        names = new_names(evidence)
        if len(names) > _MOST_NAMES:
            return read("not_expected", f"{WORK}.int_not_expected_daily", by=warehouse)
        # No list is empty: not every engine takes one.
        sql = _NOT_EXPECTED.format(renamed="event in :names")
        return warehouse.column_frame(sql, since=since, names=names or [""])

    return Evidence(
        names=read("names", "reconciliation.event_names_daily"),
        cells=read("cells", f"{WORK}.int_cells_daily"),
        # What a contract knows by its name is told by the cells.
        delivery_names=read(
            "delivery_names", f"{WORK}.int_delivery_names_daily", "not coalesce(routable, false)"
        ),
        not_expected=pd.DataFrame(),
        hours=read("hours", f"{WORK}.int_hours_daily"),
        twins=read("twins", f"{WORK}.int_twins_daily"),
        delivery_hours=read("delivery_hours", f"{WORK}.int_delivery_hours_daily"),
        arrivals=read("arrivals", OBSERVATIONS),
        fill=read("fill", f"{WORK}.int_property_fill_daily"),
        differences=read("differences", f"{WORK}.int_differences_daily"),
        identifier_shapes=session.column_frame(_IDENTIFIER_SHAPES, since=since, calls=sorted(CALL_EVENTS)),
        unjoined=read("unjoined", f"{WORK}.int_unjoined_daily"),
        violations=read("violations", "reconciliation.plan_violations_daily"),
        violation_versions=read("violation_versions", f"{WORK}.int_violation_versions_daily"),
        fill_versions=read("fill_versions", f"{WORK}.int_property_fill_versions_daily"),
        segment_violations=read("segment_violations", f"{WORK}.int_segment_violations_daily"),
        properties=read("properties", f"{WORK}.event_properties"),
        property_types=read("property_types", f"{WORK}.event_properties"),
        source_health=read("source_health", f"{WORK}.source_health"),
        export_health=read("export_health", f"{WORK}.export_health"),
        workspace=workspace,
        as_of=as_of,
        history_from=since,
        witness=WarehouseWitness(warehouse, workspace),
        later={
            "not_expected": not_expected,
            # Asked for where a name is new, or fell, or a property is wrong.
            "versions": lambda _: read("versions", f"{WORK}.int_versions_daily", by=warehouse),
        },
    )
