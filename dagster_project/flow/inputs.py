"""The contract as rows: what Python hands to SQL at the start of a run (tables `reconciliation_work.input_*`)."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from datetime import date, datetime
from typing import Any, Final
from zoneinfo import ZoneInfo

import pandas as pd

from dagster_project.core.calls import TABLE_OF_CALL, call_of_event, event_of_call
from dagster_project.core.contracts import Destination, Source, Workspace
from dagster_project.core.plan import NAMELESS, PlannedEvent, PropertyRule
from dagster_project.core.plan.landed import RESERVED_COLUMNS, ColumnRule, column_of, rules_on_columns
from dagster_project.core.plan.model import SHOWN_AS
from dagster_project.core.slug import slug
from dagster_project.generate.dbt_models import consent_categories
from dagster_project.resources.warehouse import Warehouse

WORK: Final = "reconciliation_work"

# Tables that models read and that must exist, if empty, before dbt builds on them.
TABLES: Final[Mapping[str, Mapping[str, str]]] = {
    "input_run": {
        "run_id": "varchar",
        "epoch": "bigint",
        "as_of": "timestamp",
        "workspace_timezone": "varchar",
        "starts_on": "date",
        "from_day": "date",
        "to_day": "date",
        "violations_schema": "varchar",
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
        "of_name": "varchar",
        "show_values": "boolean",
    },
    "input_plan_columns": {
        "source": "varchar",
        "event": "varchar",
        "column_name": "varchar",
        "with_parts": "boolean",
    },
    "input_closed_events": {"source": "varchar", "event": "varchar"},
    "input_quarantine": {
        "place": "bigint",
        "source": "varchar",
        "event": "varchar",
        "property": "varchar",
        "rule": "varchar",
    },
    "input_segment_names": {"kind": "varchar", "name": "varchar", "event": "varchar"},
    "input_formats": {"format_index": "bigint", "identifier": "varchar", "pattern": "varchar"},
    "input_received_days": {"source": "varchar", "day": "date", "after_position": "bigint"},
    "input_export_days": {"destination": "varchar", "day": "date", "after_position": "bigint"},
    "input_step_days": {"destination": "varchar", "day": "date"},
    "input_carried_days": {"day": "date", "with_new": "boolean"},
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
    # How many runs have ended.
    "state_epoch": {"ended": "bigint"},
    # Days whose matches are kept to be carried on: for which destinations, and of which landed rows.
    "state_carried": {"day": "date", "destinations": "varchar", "made_of": "varchar"},
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
STANDARD_COLUMNS: Final = RESERVED_COLUMNS
# Tables that Segment itself puts into a source's schema: each other one is an event's.
SEGMENT_TABLES: Final = frozenset(
    {"tracks", "identifies", "users", "groups", "accounts", "pages", "screens", "aliases"}
)


_EVENT_OF_TABLE: Final = {table: event_of_call(call) for call, table in TABLE_OF_CALL.items()}


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
                "epoch": epoch_of(warehouse),
                "as_of": as_of,
                "workspace_timezone": workspace.timezone,
                "starts_on": workspace.starts_on,
                "from_day": from_day,
                "to_day": to_day,
                "violations_schema": workspace.violations_schema,
            }
        ],
    )
    with warehouse.transaction() as session:
        for name, frame in tables.items():
            session.replace(f"{WORK}.{name}", frame, TABLES[name])


def epoch_of(warehouse: Warehouse) -> int:
    """The number of this run among those that ended; one that is taken up again has that of the run that was killed.

    Rows that are read carry it, so that a run knows the rows that no run before it has ended with.
    """
    ended = warehouse.frame(f"select coalesce(max(ended), 0) as ended from {WORK}.state_epoch")["ended"]
    return int(ended.iloc[0]) + 1


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
        "input_plan_columns": _frame("input_plan_columns", _column_rows(workspace)),
        "input_closed_events": _frame("input_closed_events", _closed_rows(workspace)),
        "input_quarantine": _frame("input_quarantine", _quarantine_rows(workspace)),
        "input_segment_names": _frame(
            "input_segment_names",
            [
                *({"kind": "column", "name": name} for name in sorted(STANDARD_COLUMNS)),
                *(
                    {"kind": "table", "name": name, "event": _EVENT_OF_TABLE.get(name)}
                    for name in sorted(SEGMENT_TABLES)
                ),
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
        for event, of_name, each in _landed_rules(workspace, source):
            rule = each.rule
            rows.append(
                {
                    "source": source.name,
                    "event": event,
                    "event_slug": _table_of(event),
                    "rule_index": len(rows),
                    "property": rule.property,
                    "column_name": each.column,
                    "rule": each.kind,
                    "types": json.dumps(list(rule.types)),
                    "enum_values": json.dumps(list(rule.enum)) if rule.enum is not None else None,
                    "minimum": rule.minimum,
                    "maximum": rule.maximum,
                    "pattern": None if rule.pattern is None else capturing(rule.pattern),
                    "exclusive_minimum": rule.exclusive_minimum,
                    "exclusive_maximum": rule.exclusive_maximum,
                    "of_name": of_name,
                    "show_values": workspace.show_values,
                }
            )
    return rows


def _landed_rules(workspace: Workspace, source: Source) -> Iterator[tuple[str, str | None, ColumnRule]]:
    """Each condition of a source's plan with the name that its rows stand under, and the page it speaks of.

    A property that the plan does not know is looked at row by row only where the quarantine asks for it: elsewhere
    how often its column is filled says it all, at the cost of a count.
    """
    plan = workspace.plan_for(source)
    for planned in plan.landed_rules():
        events = _names_of(planned)
        of_name = planned.name if planned.type in ("PAGE", "SCREEN") and planned.name not in events else None
        for each in rules_on_columns(planned):
            yield from ((event, of_name, each) for event in events)
        if planned.type == "TRACK" and planned.closed:
            known = {column_of(path) for path in planned.properties}
            for name in _unplanned_asked(workspace, source.name, planned.name):
                if column_of(name) not in known | RESERVED_COLUMNS:
                    rule = PropertyRule(event=planned.name, property=name)
                    yield planned.name, None, ColumnRule(rule, "unplanned_property", column_of(name))


def _unplanned_asked(workspace: Workspace, source: str, event: str) -> list[str]:
    """The properties that the quarantine names and that this event's plan may not know."""
    return sorted(
        {
            each.property
            for each in workspace.quarantine
            if each.property is not None
            and each.source in (None, source)
            and each.event in (None, event)
            and (not each.rules or "unplanned_property" in each.rules)
        }
    )


def _quarantine_rows(workspace: Workspace) -> list[dict[str, Any]]:
    """What is left out of the published numbers, in the order in which a message's reason is told."""
    return [
        {
            "place": place,
            "source": each.source,
            "event": each.event,
            "property": each.property,
            "rule": rule,
        }
        for place, each in enumerate(workspace.quarantine)
        for rule in each.rules or (None,)
    ]


def _column_rows(workspace: Workspace) -> list[dict[str, Any]]:
    """The columns that a plan knows of events that may have no others. An object without parts stands for any."""
    rows: dict[tuple[str, str, str], dict[str, Any]] = {}
    for source in workspace.sources:
        plan = workspace.plan_for(source)
        for planned in plan.landed_rules():
            parents = {name.rpartition(".")[0] for name in planned.properties}
            for event in _names_of(planned):
                for rule in planned.rules:
                    column = column_of(rule.property)
                    row = rows.setdefault(
                        (source.name, event, column),
                        {"source": source.name, "event": event, "column_name": column, "with_parts": False},
                    )
                    row["with_parts"] |= rule.property not in parents and (
                        not rule.types or "object" in rule.types
                    )
    return list(rows.values())


def _closed_rows(workspace: Workspace) -> list[dict[str, Any]]:
    """The events and calls that may have no property beside those that the plan names."""
    closed: dict[tuple[str, str], bool] = {}
    for source in workspace.sources:
        for planned in workspace.plan_for(source).landed_rules():
            # The rule of one page closes only the rows of that page, and columns do not tell them apart.
            if planned.type in ("PAGE", "SCREEN") and planned.name != NAMELESS[planned.type]:
                continue
            for event in _names_of(planned):
                closed[source.name, event] = closed.get((source.name, event), False) or planned.closed
    return [{"source": source, "event": event} for (source, event), is_closed in closed.items() if is_closed]


def _names_of(planned: PlannedEvent) -> list[str]:
    """The names that the rows stand under of which a rule speaks.

    Segment holds page and screen calls to the events "Page Viewed" and "Screen Viewed" as well.
    """
    if planned.type == "TRACK":
        return [planned.name, *(event_of_call(c) for c, name in SHOWN_AS.items() if name == planned.name)]
    return [NAMELESS[planned.type]]


def _table_of(event: str) -> str:
    call = call_of_event(event)
    return slug(event) if call == "track" else TABLE_OF_CALL[call]


# An escape or a bracket expression, in which nothing is syntax; a group that does not capture or has a name; a
# quantifier that takes as little as it can.
_GROUP: Final = re.compile(
    r"\\.|\[\^?\]?(?:\[:\w+:\]|\\.|[^\]\\])*\]|\(\?:|\(\?P?<\w+>|[*+?]\?|\{\d+(?:,\d*)?\}\?", re.DOTALL
)


def capturing(pattern: str) -> str:
    """The pattern in the words that Snowflake knows too: plain groups, greedy quantifiers, ^ and $.

    Whether it is found in a text stays the same; only what it would capture changes.
    """

    def plain(found: re.Match[str]) -> str:
        text = found[0]
        if text.startswith("(?"):
            return "("
        if text in (r"\A", r"\z"):
            return "^" if text == r"\A" else "$"
        return text[:-1] if text[-1] == "?" and text[0] in "*+?{" else text

    return _GROUP.sub(plain, pattern)


def _frame(table: str, rows: list[dict[str, Any]]) -> pd.DataFrame:
    columns = list(TABLES[table])
    frame = pd.DataFrame(rows, columns=columns)
    return frame.astype(object).where(frame.notna(), None)
