"""Every key that a contract file may hold: what it means, and what may stand there.

The loader refuses what is not listed here, and the JSON Schemas for editors are written from it, so that the
two cannot come apart.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, get_args

from dagster_project.core.contracts import (
    IDENTIFIER_PATTERNS,
    PLAN_RULES,
    Clock,
    Columns,
    Grain,
    IdentifierName,
    IncidentKind,
    Matching,
)
from dagster_project.core.naming.convention import CASES, ORDERS, TENSES
from dagster_project.core.plan.model import RULE_KINDS
from dagster_project.core.presets import PRESETS

NAME_PATTERN: Final = "[a-z][a-z0-9_]{0,62}"
TABLE_PATTERN: Final = r"[^.\s]+\.[^.\s]+"
CLOCKS: Final[tuple[str, ...]] = get_args(Clock)
GRAINS: Final[tuple[str, ...]] = get_args(Grain)
MATCHINGS: Final[tuple[str, ...]] = get_args(Matching)
IDENTIFIERS: Final[tuple[str, ...]] = get_args(IdentifierName)
INCIDENT_KINDS: Final[tuple[str, ...]] = get_args(IncidentKind)
INCIDENT_ID_PATTERN: Final = "inc_[0-9a-f]{12}"
# What a mute is known by, besides an incident's id.
MUTED_BY: Final = ("kind", "source", "event", "destination")


@dataclass(frozen=True)
class Key:
    """One key: its sentence for people, and either a JSON Schema or the section that stands under it."""

    says: str
    schema: Mapping[str, Any] | None = None
    section: str | None = None
    required: bool = False


def _text(**more: Any) -> dict[str, Any]:
    return {"type": "string", "minLength": 1, **more}


def _choice(values: tuple[str, ...]) -> dict[str, Any]:
    return {"enum": list(values)}


_ZONE: Final = _text(examples=["UTC", "Europe/Berlin", "America/New_York"])
_DURATION: Final = _text(
    pattern=r"^\s*([0-9]{1,9}(\.[0-9]{1,6})?[smhdw] ?)+\s*$", examples=["90m", "6h", "1d 12h"]
)
_DAY: Final = {"type": "string", "pattern": "^[0-9]{4}-[0-9]{2}-[0-9]{2}$", "examples": ["2026-10-20"]}
_NAME: Final = _text(pattern=f"^{NAME_PATTERN}$")
_FORMAT: Final = "(" + "|".join(IDENTIFIER_PATTERNS) + ")"

SECTIONS: Final[Mapping[str, Mapping[str, Key]]] = {
    "workspace": {
        "name": Key("The workspace's name, for titles.", _text(), required=True),
        "timezone": Key("IANA zone whose days the reports use.", _ZONE, required=True),
        "tracking_plan": Key(
            "The plan of every source that names none: a file beside this one, as Segment's API answers it or as CSV; a `*`"
            " names the pages of one.",
            _text(),
        ),
        "starts_on": Key("The first day that is reconciled; default 2015-01-01.", _DAY),
        "lookback": Key("How far back a late message may re-open a day; default 35d.", _DURATION),
        "sources": Key(
            "Segment's sources: the key names the source.",
            {
                "type": "object",
                "minProperties": 1,
                "propertyNames": {"pattern": f"^{NAME_PATTERN}$"},
                "additionalProperties": {"anyOf": [{"$ref": "#/definitions/source"}, {"type": "null"}]},
            },
            required=True,
        ),
        "critical_events": Key(
            "Segment's exact names of the events that matter most: an incident that hits one of them is one"
            " step more severe.",
            {"type": "array", "items": _text()},
        ),
        "alerts": Key("Where people are told.", section="alerts"),
        "naming": Key(
            "How names are to be written; default: what four of five names of the plans have in common.",
            section="naming",
        ),
        "quarantine": Key(
            "Messages that the published numbers leave out, because they break the tracking plan in one of"
            " these ways.",
            {"type": "array", "items": {"$ref": "#/definitions/quarantined"}},
        ),
        "plan_exemptions": Key(
            "What `recon plan validate` and `recon plan function` let through although it breaks the plan.",
            {"type": "array", "items": {"$ref": "#/definitions/exempted"}},
        ),
        "show_values": Key(
            "Tell samples of what breaks the plan as they are; default: masked, letters as a and digits as 9.",
            {"type": "boolean"},
        ),
        "violations": Key(
            'The schema in which Segment\'s own "Violation Generated" events land, to be heard as a second'
            " witness.",
            _text(),
        ),
    },
    "naming": {
        "events": Key("The case of event names.", _choice(tuple(CASES))),
        "properties": Key("The case of property names.", _choice(tuple(CASES))),
        "order": Key("Whether the action stands last (Order Completed) or first.", _choice(ORDERS)),
        "tense": Key("The tense of the action.", _choice(TENSES)),
    },
    "quarantined": {
        "source": Key("Of this source only.", _NAME),
        "event": Key("Of this event only, by its exact name.", _text()),
        "property": Key("What breaks the plan in this property, dotted where it is nested.", _text()),
        "rule": Key(
            f"What breaks this rule, or one of these: {', '.join(PLAN_RULES)}.",
            {
                "anyOf": [
                    _choice(PLAN_RULES),
                    {"type": "array", "minItems": 1, "items": _choice(PLAN_RULES)},
                ]
            },
        ),
    },
    "exempted": {
        "source": Key("Of this source only.", _NAME),
        "event": Key("Of this event only, by its exact name; `(identify)` or `(group)` for traits.", _text()),
        "property": Key("Of this property and what is in it; dotted where it is nested.", _text()),
        "rule": Key(
            f"What breaks this rule, or one of these: {', '.join(RULE_KINDS)}.",
            {
                "anyOf": [
                    _choice(RULE_KINDS),
                    {"type": "array", "minItems": 1, "items": _choice(RULE_KINDS)},
                ]
            },
        ),
        "reason": Key("Why, and until when.", _text()),
    },
    "source": {
        "schema": Key("Its schema in the warehouse; default: the source's name.", _text()),
        "tracking_plan": Key("Its own plan, instead of the workspace's.", _text()),
        "freshness": Key("The longest silence that is still normal.", _DURATION),
    },
    "alerts": {"slack": Key("Slack.", section="slack")},
    "slack": {
        "channel": Key('The channel, in quotes: "#data-quality".', _text(), required=True),
    },
    "destination": {
        "name": Key("The destination's name, which is also the file's.", _NAME, required=True),
        "owner": Key("Who is named in alerts.", _text()),
        "timezone": Key("IANA zone of the export's naive times and of its days.", _ZONE, required=True),
        "grain": Key("One row per delivery, or per day and event.", _choice(GRAINS), required=True),
        "complete_after": Key(
            "A day is complete this long after it ends; until then nothing is missing; default 24h.",
            _DURATION,
        ),
        "clock": Key(
            "Segment's time that the destination shows; default: the format's, else timestamp.",
            _choice(CLOCKS),
        ),
        "tolerance": Key(
            "A fixed share of differences that is normal, instead of a learned one.",
            {"anyOf": [_text(pattern="%\\s*$"), {"type": "number", "minimum": 0, "exclusiveMaximum": 1}]},
        ),
        "matching": Key(
            "How deliveries are matched; default: the best that the columns allow.", _choice(MATCHINGS)
        ),
        "receives": Key("What Segment sends there.", section="receives", required=True),
        "identifiers": Key("What it demands of a message's identifiers.", section="identifiers"),
        "export": Key("Where its own record of what it got is found.", section="export", required=True),
    },
    "receives": {
        "sources": Key(
            "Names of sources, or `all`.",
            {"anyOf": [{"const": "all"}, {"type": "array", "minItems": 1, "items": _NAME}]},
            required=True,
        ),
        "events": Key(
            "Segment's exact event names, `{Segment's name: name in the destination}`, or `all`.",
            {
                "anyOf": [
                    {"const": "all"},
                    {
                        "type": "array",
                        "minItems": 1,
                        "items": {
                            "anyOf": [
                                _text(),
                                {
                                    "type": "object",
                                    "minProperties": 1,
                                    "maxProperties": 1,
                                    "additionalProperties": _text(),
                                },
                            ]
                        },
                    },
                ]
            },
            required=True,
        ),
        "consent": Key("Consent category: a message whose user refused it is not expected there.", _text()),
    },
    "identifiers": {
        name: Key(
            f"What it demands of {name}.",
            {"anyOf": [{"$ref": "#/definitions/identifier"}, {"type": "null"}]},
        )
        for name in IDENTIFIERS
    },
    "identifier": {
        "required": Key("A message without it is refused there.", {"type": "boolean"}),
        "format": Key(
            f"The form it takes: {', '.join(IDENTIFIER_PATTERNS)}, several joined by `_or_`, or /regex/.",
            _text(pattern=f"^({_FORMAT}(_or_{_FORMAT})*|/.+/)$"),
        ),
    },
    "export": {
        "table": Key("The table in the warehouse, as schema.table.", _text(pattern=f"^{TABLE_PATTERN}$")),
        "files": Key(
            "Pattern of files (csv, jsonl, parquet; csv and jsonl also .gz or .zst), relative to the "
            "expectations folder, absolute, or in an object store (s3://, gs://, az://).",
            _text(),
        ),
        "format": Key("Preset of column names, clock and time precision.", _choice(tuple(PRESETS))),
        "columns": Key("Column names that the format does not give.", section="columns"),
    },
    "columns": {
        "event_name": Key("The event's name in the destination.", {"type": ["string", "null"]}),
        "event_time": Key(
            "The event's time: naive times are in `timezone`, offsets are honoured.",
            {"type": ["string", "null"]},
        ),
        "user_id": Key("Segment's user id; null: the export has none.", {"type": ["string", "null"]}),
        "anonymous_id": Key("Segment's anonymous id; null: none.", {"type": ["string", "null"]}),
        "message_id": Key(
            "Segment's message id, never an id that the tool made; null: none.", {"type": ["string", "null"]}
        ),
        "day": Key("The day, for grain daily_counts.", {"type": ["string", "null"]}),
        "count": Key("How many events, for grain daily_counts.", {"type": ["string", "null"]}),
    },
    "overrides": {
        "overrides": Key(
            "People's decisions to open held days.",
            {"type": "array", "items": {"$ref": "#/definitions/override"}},
            required=True,
        ),
    },
    "override": {
        "destination": Key("Whose days are opened.", _NAME, required=True),
        "from": Key("The first day.", _DAY, required=True),
        "to": Key("The last day.", _DAY, required=True),
        "owner": Key("Who decided.", _text(), required=True),
        "reason": Key("Why.", _text(), required=True),
        "until": Key("The last day on which the decision counts.", _DAY, required=True),
    },
    "mutes": {
        "mutes": Key(
            "Incidents that nobody wants to hear of for a while. They are kept and shown, and the days that"
            " they hold stay held; overrides.yml opens days.",
            {"type": "array", "items": {"$ref": "#/definitions/mute"}},
            required=True,
        ),
    },
    "mute": {
        "incident": Key("The incident's id.", _text(pattern=f"^{INCIDENT_ID_PATTERN}$")),
        "kind": Key("All incidents of this kind.", _choice(INCIDENT_KINDS)),
        "source": Key("All incidents of this source.", _NAME),
        "event": Key("All incidents of this event, by its exact name.", _text()),
        "destination": Key("All incidents that hit this destination and no other.", _NAME),
        "owner": Key("Who decided.", _text(), required=True),
        "reason": Key("Why.", _text(), required=True),
        "until": Key("The last day on which nothing is told.", _DAY, required=True),
        "false_alarm": Key("Somebody looked, and there was nothing.", {"type": "boolean"}),
    },
}

assert tuple(SECTIONS["columns"]) == tuple(Columns.model_fields)
