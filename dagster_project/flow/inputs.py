"""The contract as rows: what Python hands to SQL at the start of a run (tables `reconciliation_work.input_*`)."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from datetime import date, datetime
from typing import Any, Final
from zoneinfo import ZoneInfo

import pandas as pd

from dagster_project.core.contracts import Destination, Workspace
from dagster_project.core.plan import PropertyRule
from dagster_project.core.slug import slug
from dagster_project.generate.dbt_models import consent_categories
from dagster_project.resources.warehouse import Warehouse

WORK: Final = "reconciliation_work"

# Tables that models read and that must exist, if empty, before dbt builds on them.
TABLES: Final[Mapping[str, Mapping[str, str]]] = {
    "input_run": {
        "run_id": "varchar",
        "as_of": "timestamp",
        "workspace_timezone": "varchar",
        "starts_on": "date",
        "from_day": "date",
        "to_day": "date",
    },
    "input_sources": {
        "source": "varchar",
        "schema_name": "varchar",
        "has_plan": "boolean",
        "healthy": "boolean",
        "local_as_of": "timestamp",
    },
    "input_destinations": {
        "destination": "varchar",
        "bit_index": "bigint",
        "grain": "varchar",
        "matching": "varchar",
        "timezone": "varchar",
        "clock": "varchar",
        "complete_after_seconds": "bigint",
        "needs_user_id": "boolean",
        "needs_anonymous_id": "boolean",
        "has_user_id": "boolean",
        "has_anonymous_id": "boolean",
        "format_bits": "bigint",
        "consent_index": "bigint",
        "edge_days": "bigint",
        "healthy": "boolean",
        "local_as_of": "timestamp",
    },
    "input_routes": {
        "destination": "varchar",
        "source": "varchar",
        "event": "varchar",
        "destination_name": "varchar",
    },
    "input_plan_events": {"source": "varchar", "event": "varchar"},
    "input_property_rules": {
        "source": "varchar",
        "event": "varchar",
        "event_slug": "varchar",
        "rule_index": "bigint",
        "property": "varchar",
        "column_name": "varchar",
        "rule": "varchar",
        "types": "varchar",
        "enum_values": "varchar",
        "minimum": "double",
        "maximum": "double",
        "pattern": "varchar",
        "exclusive_minimum": "boolean",
        "exclusive_maximum": "boolean",
    },
    "input_segment_names": {"kind": "varchar", "name": "varchar"},
    "input_formats": {"format_index": "bigint", "identifier": "varchar", "pattern": "varchar"},
    "input_received_days": {"source": "varchar", "day": "date", "after_position": "bigint"},
    "input_export_days": {"destination": "varchar", "day": "date", "after_position": "bigint"},
    "input_step_days": {"destination": "varchar", "day": "date"},
    "input_recalled_keys": {"message_key": "key", "linked": "boolean"},
    "run_received_days": {"source": "varchar", "day": "date", "after_position": "bigint"},
    "run_export_days": {"destination": "varchar", "day": "date", "after_position": "bigint"},
    # What the steps of a run that has not ended have done, so that the next run goes on from there.
    "state_read": {
        "kind": "varchar",
        "name": "varchar",
        "day": "date",
        "rows_seen": "bigint",
        "checksum": "varchar",
    },
    # How far a table had been read when a run ended: rows behind `position` have landed since.
    "state_positions": {
        "kind": "varchar",
        "name": "varchar",
        "position": "bigint",
        "rows_total": "bigint",
        "sample": "varchar",
    },
    "census_positions": {
        "kind": "varchar",
        "name": "varchar",
        "position": "bigint",
        "rows_total": "bigint",
        "sample": "varchar",
    },
    "state_matched": {"destination": "varchar", "day": "date", "as_of": "timestamp"},
    "state_open_days": {"destination": "varchar", "day": "date"},
    "diagnosis_limits": {
        "destination": "varchar",
        "day": "date",
        "event": "varchar",
        "allowed_missing": "bigint",
        "allowed_duplicates": "bigint",
        "allowed_unexpected": "bigint",
    },
    "incident_links": {
        "incident_id": "varchar",
        "link_rank": "bigint",
        "destination": "varchar",
        "day": "date",
        "source": "varchar",
        "event": "varchar",
        "difference": "varchar",
    },
    "gate_current": {
        "destination": "varchar",
        "day": "date",
        "verdict": "varchar",
        "reasons": "varchar",
        "decided_at": "timestamp",
        "run_id": "varchar",
        "overridden_by": "varchar",
    },
}

# Columns that Segment itself puts into every event table: never properties of an event.
STANDARD_COLUMNS: Final = frozenset(
    {
        *("id", "anonymous_id", "user_id", "event", "event_text", "received_at", "sent_at"),
        *("original_timestamp", "timestamp", "uuid", "uuid_ts", "loaded_at", "group_id"),
    }
)
# Tables that Segment itself puts into a source's schema: each other one is an event's.
SEGMENT_TABLES: Final = frozenset(
    {"tracks", "identifies", "users", "groups", "accounts", "pages", "screens", "aliases"}
)


def ensure_tables(warehouse: Warehouse) -> None:
    """Create what models and stages read, where it is not there yet."""
    with warehouse.transaction() as session:
        for name, columns in TABLES.items():
            session.ensure(f"{WORK}.{name}", columns)


def local(moment: datetime, zone: str) -> datetime:
    """A naive UTC moment as naive wall-clock time of a zone."""
    return moment.replace(tzinfo=ZoneInfo("UTC")).astimezone(ZoneInfo(zone)).replace(tzinfo=None)


def write_inputs(
    warehouse: Warehouse,
    workspace: Workspace,
    *,
    run_id: str,
    as_of: datetime,
    from_day: date | None,
    to_day: date | None,
    broken_sources: set[str],
    broken_destinations: set[str],
) -> None:
    """Replace the contract tables by this workspace's, for this run. `as_of` is naive UTC."""
    tables = contract_tables(workspace, as_of=as_of)
    sources, destinations = tables["input_sources"], tables["input_destinations"]
    sources["healthy"] = [name not in broken_sources for name in sources["source"]]
    destinations["healthy"] = [name not in broken_destinations for name in destinations["destination"]]
    tables["input_run"] = _frame(
        "input_run",
        [
            {
                "run_id": run_id,
                "as_of": as_of,
                "workspace_timezone": workspace.timezone,
                "starts_on": workspace.starts_on,
                "from_day": from_day,
                "to_day": to_day,
            }
        ],
    )
    with warehouse.transaction() as session:
        for name, frame in tables.items():
            session.replace(f"{WORK}.{name}", frame, TABLES[name])


def contract_tables(workspace: Workspace, *, as_of: datetime) -> dict[str, pd.DataFrame]:
    """Every contract table as a frame; pure, so that tests and the reference matcher can read the same rows."""
    formats = sorted(
        {
            (each.name, each.pattern)
            for destination in workspace.destinations
            for each in destination.identifiers
            if each.pattern is not None and each.name != "message_id"
        }
    )
    consents = consent_categories(workspace)
    return {
        "input_sources": _frame(
            "input_sources",
            [
                {
                    "source": source.name,
                    "schema_name": source.schema_name,
                    "has_plan": workspace.plan_for(source).declared,
                    "healthy": True,
                    "local_as_of": as_of,
                }
                for source in workspace.sources
            ],
        ),
        "input_destinations": _frame(
            "input_destinations",
            [
                _destination_row(destination, index, formats, consents, as_of)
                for index, destination in enumerate(workspace.destinations)
            ],
        ),
        "input_routes": _frame(
            "input_routes",
            [
                row
                for destination in workspace.destinations
                for source in destination.sources
                for row in _route_rows(destination, source)
            ],
        ),
        "input_plan_events": _frame(
            "input_plan_events",
            [
                {"source": source.name, "event": event}
                for source in workspace.sources
                for event in workspace.plan_for(source).events
            ],
        ),
        "input_property_rules": _frame("input_property_rules", _rule_rows(workspace)),
        "input_segment_names": _frame(
            "input_segment_names",
            [
                *({"kind": "column", "name": name} for name in sorted(STANDARD_COLUMNS)),
                *({"kind": "table", "name": name} for name in sorted(SEGMENT_TABLES)),
            ],
        ),
        "input_formats": _frame(
            "input_formats",
            [
                {"format_index": index, "identifier": identifier, "pattern": capturing(pattern)}
                for index, (identifier, pattern) in enumerate(formats)
            ],
        ),
    }


def _destination_row(
    destination: Destination,
    index: int,
    formats: list[tuple[Any, str]],
    consents: list[str],
    as_of: datetime,
) -> dict[str, Any]:
    required = {each.name for each in destination.identifiers if each.required}
    format_bits = sum(
        1 << formats.index((each.name, each.pattern))
        for each in destination.identifiers
        if each.pattern is not None and each.name != "message_id"
    )
    columns = destination.export.columns
    return {
        "destination": destination.name,
        "bit_index": index,
        "grain": destination.grain,
        "matching": destination.matching,
        "timezone": destination.timezone,
        "clock": destination.clock,
        "complete_after_seconds": int(destination.complete_after.total_seconds()),
        "needs_user_id": "user_id" in required,
        "needs_anonymous_id": "anonymous_id" in required,
        "has_user_id": columns.user_id is not None,
        "has_anonymous_id": columns.anonymous_id is not None,
        "format_bits": format_bits,
        "consent_index": consents.index(destination.consent) if destination.consent else None,
        "edge_days": 1,
        "healthy": True,
        "local_as_of": local(as_of, destination.timezone),
    }


def _route_rows(destination: Destination, source: str) -> list[dict[str, Any]]:
    if destination.events is None:
        return [{"destination": destination.name, "source": source, "event": None, "destination_name": None}]
    return [
        {
            "destination": destination.name,
            "source": source,
            "event": route.event,
            "destination_name": route.destination_name,
        }
        for route in destination.events
    ]


def _rule_rows(workspace: Workspace) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = []
    for source in workspace.sources:
        for event in workspace.plan_for(source).events.values():
            for rule in event.rules:
                for kind in _kinds(rule):
                    rows.append(
                        {
                            "source": source.name,
                            "event": event.name,
                            "event_slug": slug(event.name),
                            "rule_index": len(rows),
                            "property": rule.property,
                            "column_name": "_".join(slug(part) for part in rule.property.split(".")),
                            "rule": kind,
                            "types": json.dumps(list(rule.types)),
                            "enum_values": json.dumps(list(rule.enum)) if rule.enum is not None else None,
                            "minimum": rule.minimum,
                            "maximum": rule.maximum,
                            "pattern": None if rule.pattern is None else capturing(rule.pattern),
                            "exclusive_minimum": rule.exclusive_minimum,
                            "exclusive_maximum": rule.exclusive_maximum,
                        }
                    )
    return rows


def _kinds(rule: PropertyRule) -> list[str]:
    kinds = []
    if rule.required and not rule.nullable:
        kinds.append("required")
    # A date-time is a string in JSON and a timestamp in the warehouse: its type cannot be seen there.
    if rule.types and not (rule.format == "date-time" and rule.types == ("string",)):
        kinds.append("type")
    if rule.enum is not None:
        kinds.append("enum")
    if rule.pattern is not None:
        kinds.append("pattern")
    if rule.minimum is not None or rule.maximum is not None:
        kinds.append("range")
    return kinds


# An escape or a bracket expression, in which nothing is syntax, or the start of a group that does not capture.
_GROUP: Final = re.compile(r"\\.|\[\^?\]?(?:\[:\w+:\]|\\.|[^\]\\])*\]|\(\?:", re.DOTALL)


def capturing(pattern: str) -> str:
    """The pattern with groups that capture: Snowflake knows no others, and whether it matches is the same."""
    return _GROUP.sub(lambda found: "(" if found[0] == "(?:" else found[0], pattern)


def _frame(table: str, rows: list[dict[str, Any]]) -> pd.DataFrame:
    columns = list(TABLES[table])
    frame = pd.DataFrame(rows, columns=columns)
    return frame.astype(object).where(frame.notna(), None)
