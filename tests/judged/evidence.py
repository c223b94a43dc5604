"""Evidence tables as rows of plain values, in a DuckDB file that is the warehouse of one test."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import date, datetime
from pathlib import Path
from typing import Any

import pandas as pd

from dagster_project.core.contracts import Destination, Route, Source, Workspace
from dagster_project.core.ledger import GAP_LINES, LEDGER_COLUMNS
from dagster_project.core.plan import PlannedEvent, TrackingPlan
from dagster_project.generate.suites import suites
from dagster_project.resources.warehouse import Warehouse, open_warehouse

DAY = date(2026, 10, 20)
NEXT = date(2026, 10, 21)

TABLES: dict[str, tuple[str, dict[str, str]]] = {
    "names": (
        "reconciliation.event_names_daily",
        {
            "day": "date",
            "source": "varchar",
            "event_text": "varchar",
            "event_slug": "varchar",
            "messages": "bigint",
            "planned": "boolean",
        },
    ),
    "cells": (
        "reconciliation_work.int_cells_daily",
        {
            "day": "date",
            "destination": "varchar",
            "event": "varchar",
            "expected": "bigint",
            "delivered": "bigint",
            "missing": "bigint",
            "pending": "bigint",
            "duplicates": "bigint",
            "unexpected": "bigint",
            "matched_by": "varchar",
            "mature": "boolean",
            "exported": "boolean",
        },
    ),
    "delivery_names": (
        "reconciliation_work.int_delivery_names_daily",
        {
            "day": "date",
            "destination": "varchar",
            "event_name": "varchar",
            "deliveries": "bigint",
            "routable": "boolean",
            "event": "varchar",
        },
    ),
    "not_expected": (
        "reconciliation_work.int_not_expected_daily",
        {
            "day": "date",
            "destination": "varchar",
            "source": "varchar",
            "event": "varchar",
            "reason": "varchar",
            "messages": "bigint",
        },
    ),
    "shapes": (
        "reconciliation_work.int_identifier_shapes_daily",
        {
            "day": "date",
            "source": "varchar",
            "event": "varchar",
            "identifier": "varchar",
            "shape": "varchar",
            "messages": "bigint",
        },
    ),
    "violations": (
        "reconciliation.plan_violations_daily",
        {
            "day": "date",
            "source": "varchar",
            "event": "varchar",
            "property": "varchar",
            "rule": "varchar",
            "messages": "bigint",
            "sample_message_id": "varchar",
        },
    ),
    "source_health": (
        "reconciliation_work.source_health",
        {
            "source": "varchar",
            "status": "varchar",
            "problem": "varchar",
            "last_received_at": "timestamp",
            "messages": "bigint",
        },
    ),
    "export_health": (
        "reconciliation_work.export_health",
        {
            "destination": "varchar",
            "status": "varchar",
            "problem": "varchar",
            "last_day": "date",
            "deliveries": "bigint",
        },
    ),
    "limits": (
        "reconciliation_work.diagnosis_limits",
        {
            "destination": "varchar",
            "day": "date",
            "event": "varchar",
            "allowed_missing": "bigint",
            "allowed_duplicates": "bigint",
            "allowed_unexpected": "bigint",
        },
    ),
    "ledger": ("reconciliation.gap_ledger_daily", dict(LEDGER_COLUMNS)),
    "windows": (
        "reconciliation_work.incident_windows",
        {
            "incident_id": "varchar",
            "kind": "varchar",
            "severity": "varchar",
            "destination": "varchar",
            "day": "date",
        },
    ),
    "incidents": (
        "reconciliation.incidents",
        {
            "incident_id": "varchar",
            "kind": "varchar",
            "severity": "varchar",
            "status": "varchar",
            "source": "varchar",
            "event": "varchar",
            "renamed_to": "varchar",
            "property": "varchar",
            "identifier": "varchar",
            "started_on": "date",
            "ended_on": "date",
        },
    ),
}


def plan(*events: str) -> TrackingPlan:
    return TrackingPlan(events={name: PlannedEvent(name=name) for name in events})


def workspace(
    *,
    events: tuple[Route, ...] | None = (
        Route(event="Signup Completed", destination_name="Signup Completed"),
        Route(event="Purchase Completed", destination_name="Purchase"),
    ),
    name: str = "email",
    **of_destination: Any,
) -> Workspace:
    """One source, one destination that receives two of its events."""
    return Workspace(
        name="acme",
        sources=(Source(name="web_app"),),
        destinations=(Destination(name=name, sources=("web_app",), events=events, **of_destination),),
        plans={"web_app": plan("Signup Completed", "Purchase Completed")},
    )


def cell(event: str = "Signup Completed", day: date = DAY, **numbers: Any) -> dict[str, Any]:
    """A cell whose books balance unless the test says otherwise."""
    found: dict[str, Any] = {
        "day": day,
        "destination": "email",
        "event": event,
        "expected": 100,
        "missing": 0,
        "pending": 0,
        "duplicates": 0,
        "unexpected": 0,
        "matched_by": "message_id",
        "mature": True,
        "exported": True,
    } | numbers
    if "delivered" not in found:
        found["delivered"] = found["expected"] - found["missing"] - found["pending"]
    return found


def allowed(
    event: str = "Signup Completed", day: date = DAY, most: int = 4, **numbers: Any
) -> dict[str, Any]:
    """The largest counts of a cell that are no discrepancy."""
    return {
        "destination": "email",
        "day": day,
        "event": event,
        "allowed_missing": most,
        "allowed_duplicates": most,
        "allowed_unexpected": most,
    } | numbers


def line(line: str, messages: int, day: date = DAY, **more: Any) -> dict[str, Any]:
    """A row of the ledger."""
    return {
        "day": day,
        "destination": "email",
        "line": line,
        "incident_id": None,
        "kind": None,
        "event": None,
        "messages": messages,
        "counts_in_gap": line in GAP_LINES,
    } | more


def delivered(name: str, day: date = DAY, **more: Any) -> dict[str, Any]:
    return {
        "day": day,
        "destination": "email",
        "event_name": name,
        "deliveries": 10,
        "routable": True,
        "event": name,
    } | more


def sent(name: str, day: date = DAY, **more: Any) -> dict[str, Any]:
    return {"day": day, "source": "web_app", "event_text": name, "messages": 100, "planned": True} | more


def healthy(*days: date) -> dict[str, list[dict[str, Any]]]:
    """Evidence of days on which everything is as it should be."""
    days = days or (DAY,)
    return {
        "names": [sent(name, day) for day in days for name in ("Signup Completed", "Purchase Completed")],
        "cells": [cell(name, day) for day in days for name in ("Signup Completed", "Purchase Completed")],
        "delivery_names": [
            delivered(name, day, event=event)
            for day in days
            for name, event in (("Signup Completed", "Signup Completed"), ("Purchase", "Purchase Completed"))
        ],
        "not_expected": [],
        "violations": [],
        "source_health": [
            {
                "source": "web_app",
                "status": "ok",
                "problem": None,
                "last_received_at": datetime(2026, 10, 20, 23, 50),
                "messages": 200,
            }
        ],
        "export_health": [{"destination": "email", "status": "ok", "problem": None}],
        "limits": [allowed(name, day) for day in days for name in ("Signup Completed", "Purchase Completed")],
        "ledger": [line(name, 200, day) for day in days for name in ("sent", "delivered")],
        "windows": [],
        "incidents": [],
    }


def incident(
    kind: str,
    severity: str = "error",
    *,
    days: Iterable[date] = (DAY,),
    destination: str | None = "email",
    incident_id: str = "inc_1",
    **more: Any,
) -> dict[str, list[dict[str, Any]]]:
    """An open incident and its windows, to be added to evidence."""
    days = list(days)
    row = {
        "incident_id": incident_id,
        "kind": kind,
        "severity": severity,
        "status": "open",
        "started_on": days[0],
    } | more
    windows = [
        {
            "incident_id": incident_id,
            "kind": kind,
            "severity": severity,
            "destination": destination,
            "day": day,
        }
        for day in days
        if destination is not None
    ]
    return {"incidents": [row], "windows": windows}


def together(*parts: Mapping[str, list[dict[str, Any]]]) -> dict[str, list[dict[str, Any]]]:
    found: dict[str, list[dict[str, Any]]] = {}
    for part in parts:
        for table, rows in part.items():
            found.setdefault(table, []).extend(rows)
    return found


def frames(evidence: Mapping[str, list[dict[str, Any]]]) -> dict[str, pd.DataFrame]:
    """The tables as the pure part is given them, incidents joined to their windows."""
    found = {
        name: pd.DataFrame(evidence.get(name, []), columns=list(columns))
        for name, (_, columns) in TABLES.items()
    }
    wanted = ["incident_id", "source", "event", "renamed_to", "property"]
    found["windows"] = found["windows"].merge(found["incidents"][wanted], on="incident_id", how="left")
    return found


def land(path: Path, evidence: Mapping[str, list[dict[str, Any]]]) -> Warehouse:
    """A warehouse file that holds this evidence, in the types of the real tables."""
    warehouse = open_warehouse("duckdb", path, {})
    for name, (table, columns) in TABLES.items():
        frame = pd.DataFrame(evidence.get(name, []), columns=list(columns), dtype=object)
        for column, kind in columns.items():
            if kind in ("date", "timestamp"):
                frame[column] = pd.to_datetime(frame[column]).astype("datetime64[us]")
        warehouse.replace(table, frame, columns)
    return warehouse


def write_suites(folder: Path, contract: Workspace) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in suites(contract, {}).items():
        (folder / name).write_text(content, encoding="utf-8")
    return folder
