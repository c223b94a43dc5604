"""What is expected of whom: the contract objects that every stage reads, frozen once loaded."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from datetime import date, timedelta
from pathlib import Path
from typing import Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from dagster_project.core.plan import TrackingPlan
from dagster_project.core.plan.exemptions import Exemption

Clock = Literal["timestamp", "received_at", "sent_at", "original_timestamp"]
Grain = Literal["event", "daily_counts"]
IdentifierName = Literal["user_id", "anonymous_id", "message_id"]
Matching = Literal["message_id", "user_time", "counts"]
# Every kind of incident that there is; dashboards and mutes hold on to these words.
IncidentKind = Literal[
    "event_renamed",
    "event_stopped",
    "unplanned_event",
    "property_violation",
    "identifier_format",
    "duplicate_events",
    "volume_anomaly",
    "source_stopped",
    "delivery_stopped",
    "delivery_loss",
    "duplicate_delivery",
    "name_mismatch",
    "export_incomplete",
    "export_late",
    "timezone_shift",
    "unexplained",
]

# How a message can break a tracking plan.
PLAN_RULES: Final = (
    *("required", "type", "enum", "pattern", "range"),
    *("unplanned_event", "unplanned_property"),
)

STARTS_ON: Final = date(2015, 1, 1)
LOOKBACK_DAYS: Final = 35
COMPLETE_AFTER: Final = timedelta(hours=24)

STORES: Final = ("s3", "gs", "az")  # object stores that `export.files` may name by `scheme://bucket/...`

IDENTIFIER_PATTERNS: Final[Mapping[str, str]] = {
    # Read by DuckDB (RE2), Snowflake and Python alike, and always against the whole value: so no anchors,
    # no look-around, no non-capturing groups.
    "uuid": "[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}",
    "email": "[^@ ]+@[^@ ]+[.][^@ .]+",
    "sha256": "[0-9a-fA-F]{64}",
    "md5": "[0-9a-fA-F]{32}",
    "integer": "[0-9]+",
    "e164": "[+][1-9][0-9]{1,14}",
}


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Source(_Frozen):
    """One Segment source: a schema in the warehouse and the plan that its events are held to."""

    name: str
    schema_name: str = ""  # the warehouse schema; the source's name unless the contract says otherwise
    tracking_plan: str | None = None  # file beside workspace.yml
    freshness: timedelta | None = None

    @model_validator(mode="before")
    @classmethod
    def _schema_defaults_to_the_name(cls, data: Any) -> Any:
        if isinstance(data, dict) and not data.get("schema_name"):
            return {**data, "schema_name": data.get("name", "")}
        return data


class Route(_Frozen):
    """One event that a destination receives: Segment's raw name and the name it has over there."""

    event: str
    destination_name: str


class Identifier(_Frozen):
    """What a destination demands of one identifier before it accepts a message."""

    name: IdentifierName
    required: bool = False
    format: str | None = None  # a key of IDENTIFIER_PATTERNS, several joined by `_or_`, or `/regex/`

    @property
    def pattern(self) -> str | None:
        """The regular expression that the *whole* value must match; None when any value will do."""
        if self.format is None:
            return None
        if len(self.format) >= 2 and self.format.startswith("/") and self.format.endswith("/"):
            return self.format[1:-1]
        parts = [IDENTIFIER_PATTERNS[name] for name in self.format.split("_or_")]
        return parts[0] if len(parts) == 1 else "|".join(f"({part})" for part in parts)


class Columns(_Frozen):
    """Where the export keeps what is matched on: the preset's names under the contract's own."""

    event_name: str | None = None
    event_time: str | None = None
    user_id: str | None = None
    anonymous_id: str | None = None
    message_id: str | None = None
    day: str | None = None
    count: str | None = None


class Export(_Frozen):
    """Where a destination's own record of what it received is found; exactly one of table and files."""

    table: str | None = None  # "schema.table"
    files: str | None = None  # glob or object-store address, as written; see Workspace.files_pattern
    format: str | None = None  # preset of column names
    columns: Columns = Columns()
    time_precision: timedelta = timedelta(seconds=1)  # what is left of a time once the destination stored it

    @property
    def table_parts(self) -> tuple[str, str] | None:
        """Schema and table of `table`; None for files."""
        if self.table is None:
            return None
        schema, _, table = self.table.partition(".")
        return schema, table


class Destination(_Frozen):
    """One tool that Segment feeds: what it must receive, in which zone, and where its record is."""

    name: str
    owner: str | None = None
    timezone: str = "UTC"
    grain: Grain = "event"
    complete_after: timedelta = COMPLETE_AFTER
    clock: Clock = "timestamp"
    tolerance: float | None = None  # 0.01 is "1%"; None: learned
    sources: tuple[str, ...] = ()
    events: tuple[Route, ...] | None = None  # None: every track call, its name unchanged
    consent: str | None = None  # a refusal of this category makes a message not expected
    identifiers: tuple[Identifier, ...] = ()
    export: Export = Export()
    matching: Matching = "message_id"


class Override(_Frozen):
    """A person's decision to open a destination's held days, until it lapses.

    In `overrides.yml`: `overrides: [{destination, from, to, owner, reason, until}]`.
    """

    destination: str
    from_day: date
    to_day: date
    owner: str
    reason: str
    until: date  # the last day on which the decision counts


class Mute(_Frozen):
    """A person's decision to hear nothing of some incidents until a day. Held days stay held all the same.

    In `mutes.yml`: `mutes: [{incident}]` or `[{kind, source, event, destination}]`, each with owner, reason
    and until. Everything that is named must fit.
    """

    incident: str | None = None
    kind: IncidentKind | None = None
    source: str | None = None
    event: str | None = None
    destination: str | None = None
    owner: str
    reason: str
    until: date  # the last day on which nothing is told
    false_alarm: bool = False  # somebody looked, and there was nothing


class Quarantine(_Frozen):
    """Messages that the published numbers leave out, because they break the plan; None: any.

    In `workspace.yml`: `quarantine: [{source, event, property, rule}]`; at least one of the last three.
    """

    source: str | None = None
    event: str | None = None
    property: str | None = None
    rules: tuple[str, ...] = ()  # of PLAN_RULES; empty: any

    def holds(self, source: str, event: str, name: str | None, rule: str) -> bool:
        """Whether it leaves out what breaks this rule."""
        return (
            self.source in (None, source)
            and self.event in (None, event)
            and self.property in (None, name)
            and (not self.rules or rule in self.rules)
        )


class Naming(_Frozen):
    """How the names of events and properties are to be written; None: as most of the plans' names are.

    In `workspace.yml`: `naming: {events, properties, order, tense}`, in the words of core/naming/convention.py.
    """

    events: str | None = None
    properties: str | None = None
    order: str | None = None
    tense: str | None = None


class Workspace(_Frozen):
    """Everything that is expected, from one `expectations/` folder."""

    name: str
    timezone: str = "UTC"
    starts_on: date = STARTS_ON
    lookback_days: int = LOOKBACK_DAYS
    sources: tuple[Source, ...] = ()
    destinations: tuple[Destination, ...] = ()
    overrides: tuple[Override, ...] = ()
    mutes: tuple[Mute, ...] = ()
    critical_events: tuple[str, ...] = ()  # an incident that hits one of these is one step more severe
    slack_channel: str | None = None
    naming: Naming = Naming()
    quarantine: tuple[Quarantine, ...] = ()
    plan_exemptions: tuple[Exemption, ...] = ()  # what `recon plan validate` and `function` let through
    show_values: bool = False  # whether samples of what breaks the plan are told as they are, or masked
    violations_schema: str | None = None  # where Segment's own `Violation Generated` events land
    plans: Mapping[str, TrackingPlan] = Field(default_factory=dict)  # by source
    root: Path = Path()  # the expectations folder

    def source(self, name: str) -> Source:
        """The source of this name; KeyError when the contract has none."""
        for source in self.sources:
            if source.name == name:
                return source
        raise KeyError(f"no source is named {name!r}")

    def destination(self, name: str) -> Destination:
        """The destination of this name; KeyError when the contract has none."""
        for destination in self.destinations:
            if destination.name == name:
                return destination
        raise KeyError(f"no destination is named {name!r}")

    def plan_for(self, source: str | Source) -> TrackingPlan:
        """The plan of a source. A source without one has an undeclared plan: nothing there is unplanned."""
        name = source if isinstance(source, str) else source.name
        return self.plans.get(name) or TrackingPlan(declared=False)

    def files_pattern(self, destination: str | Destination) -> str | None:
        """The glob of a destination's files; None for a table.

        A path is resolved against the expectations folder, an object store's address stays as it is.
        """
        found = self.destination(destination) if isinstance(destination, str) else destination
        files = found.export.files
        return files if files is None or "://" in files else str(self.root / files)

    def fingerprint(self, destination: str | Destination) -> str:
        """A stable hash of what decides a destination's expected grid and its matching.

        When it changes, days that were reconciled under the old one say nothing about the new. Tolerance,
        owner and the wait for completeness only move the judgement, so they are not in it.
        """
        found = self.destination(destination) if isinstance(destination, str) else destination
        decides = found.model_dump(mode="json", exclude={"owner", "tolerance", "complete_after"})
        decides["sources"] = [[name, self.source(name).schema_name] for name in sorted(found.sources)]
        if found.events is not None:
            decides["events"] = sorted([route.event, route.destination_name] for route in found.events)
        decides["identifiers"] = sorted(
            [each.name, each.required, each.format or ""] for each in found.identifiers
        )
        if self.quarantine:
            decides["quarantine"] = [each.model_dump(mode="json") for each in self.quarantine]
        # surrogatepass: names are checked by the loader, but a contract built by hand must not crash here.
        text = json.dumps(decides, sort_keys=True, ensure_ascii=False)
        return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
