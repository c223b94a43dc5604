"""The tracking plan as objects: its rules of every call, in every version, and what each property must be."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal, get_args

from pydantic import BaseModel, ConfigDict, Field

from dagster_project.core.documents import Steps

# What Segment's Public API calls the type of a rule.
RuleType = Literal["COMMON", "GROUP", "IDENTIFY", "PAGE", "SCREEN", "TRACK"]
# What Segment's libraries call the call that a message was made by.
Call = Literal["track", "identify", "group", "page", "screen"]

RULE_TYPES: Final[tuple[RuleType, ...]] = ("COMMON", "GROUP", "IDENTIFY", "PAGE", "SCREEN", "TRACK")
CALLS: Final[tuple[Call, ...]] = ("track", "identify", "group", "page", "screen")
RULE_TYPE_OF: Final[Mapping[Call, RuleType]] = {
    "track": "TRACK",
    "identify": "IDENTIFY",
    "group": "GROUP",
    "page": "PAGE",
    "screen": "SCREEN",
}
# Under which a rule without a name of its own stands, in tables and messages.
NAMELESS: Final[Mapping[RuleType, str]] = {
    "COMMON": "(common)",
    "GROUP": "(group)",
    "IDENTIFY": "(identify)",
    "PAGE": "(page)",
    "SCREEN": "(screen)",
}
# Segment shows page and screen calls as these events, and validates them by plan events of these names.
SHOWN_AS: Final[Mapping[Call, str]] = {"page": "Page Viewed", "screen": "Screen Viewed"}
# What a violation is called: the words of `plan_violations_daily`, and those that only whole messages can show.
RuleKind = Literal[
    "required",
    "type",
    "enum",
    "pattern",
    "range",
    "unplanned_event",
    "unplanned_property",
    "multiple",
    "length",
    "format",
    "items",
    "members",
    "combined",
]
RULE_KINDS: Final[tuple[RuleKind, ...]] = get_args(RuleKind)
# The keyword of JSON Schema that says it. `unplanned_event` has none: it is what the plan leaves out.
KIND_OF: Final[Mapping[str, RuleKind]] = {
    "required": "required",
    "type": "type",
    "enum": "enum",
    "const": "enum",
    "pattern": "pattern",
    "minimum": "range",
    "maximum": "range",
    "exclusiveMinimum": "range",
    "exclusiveMaximum": "range",
    "additionalProperties": "unplanned_property",
    "multipleOf": "multiple",
    "minLength": "length",
    "maxLength": "length",
    "format": "format",
    "items": "items",
    "additionalItems": "items",
    "contains": "items",
    "minItems": "items",
    "maxItems": "items",
    "uniqueItems": "items",
    "minProperties": "members",
    "maxProperties": "members",
    "propertyNames": "members",
    "patternProperties": "members",
    "dependencies": "members",
    "allOf": "combined",
    "anyOf": "combined",
    "oneOf": "combined",
    "not": "combined",
    "if": "combined",
    "false": "combined",  # a schema that is just `false`
}


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class PropertyRule(_Frozen):
    """What a plan says about one property (of identify and group: one trait) of one event."""

    event: str
    property: str  # dotted path for a nested one
    required: bool = False
    types: tuple[str, ...] = ()  # JSON types without `null`; empty: any
    nullable: bool = False  # null is named as allowed, so an empty column proves nothing
    enum: tuple[str, ...] | None = None  # as text, the way a warehouse column casts to it
    pattern: str | None = None  # searched, not anchored
    minimum: float | None = None
    maximum: float | None = None
    exclusive_minimum: bool = False  # the minimum itself is not allowed
    exclusive_maximum: bool = False
    format: str | None = None  # e.g. `date-time`, which a warehouse keeps as a timestamp, not as text


class PlannedEvent(_Frozen):
    """One rule of the plan in one version: a track event, a named page, or all calls of a type."""

    name: str  # the exact raw name, or NAMELESS of the type
    version: int = 1
    rules: tuple[PropertyRule, ...] = ()
    labels: Mapping[str, str] = Field(default_factory=dict)
    description: str = ""
    type: RuleType = "TRACK"
    deprecated: bool = False
    closed: bool = False  # `additionalProperties: false`: a property that it does not name breaks the plan
    # The JSON Schema of the whole message: local `$ref`s resolved, a schema of bare properties put in place.
    message_schema: Mapping[str, Any] = Field(default_factory=dict, repr=False)
    # Where the rule stands in the plan's document, and where each of its properties does.
    at: Steps = ()
    property_at: Mapping[str, Steps] = Field(default_factory=dict, repr=False)

    @property
    def properties(self) -> frozenset[str]:
        """The dotted paths that it names."""
        return frozenset(rule.property for rule in self.rules)


class TrackingPlan(_Frozen):
    """The rules of one plan. Events are known by their exact raw name."""

    events: Mapping[str, PlannedEvent] = Field(default_factory=dict)  # track, in the newest version
    declared: bool = True  # False: the source has no plan, so nothing of it is unplanned
    versions: Mapping[str, tuple[PlannedEvent, ...]] = Field(default_factory=dict)  # track, oldest first
    identify: PlannedEvent | None = None
    group: PlannedEvent | None = None
    pages: Mapping[str, PlannedEvent] = Field(default_factory=dict)  # by page name, or NAMELESS["PAGE"]
    screens: Mapping[str, PlannedEvent] = Field(default_factory=dict)
    common: PlannedEvent | None = None

    def planned(self, name: str) -> bool:
        """Whether the plan knows this exact raw name."""
        return not self.declared or name in self.events

    def unversioned(self, name: str) -> PlannedEvent | None:
        """The track rule that judges a message which names no version, or none that exists: the oldest.

        So does Segment. None when the plan does not know the event.
        """
        versions = self.versions.get(name)
        return versions[0] if versions else self.events.get(name)

    def version_of(self, name: str, version: object) -> PlannedEvent | None:
        """The track rule for what a message says in `context.protocols.event_version`: a whole number."""
        if isinstance(version, int | float) and not isinstance(version, bool):
            for each in self.versions.get(name, ()):
                if each.version == version:
                    return each
        return self.unversioned(name)

    def rules_for(self, call: Call, name: str | None, version: object = None) -> tuple[PlannedEvent, ...]:
        """The rules that a message is judged by, the common one last; empty for an unplanned event."""
        found: list[PlannedEvent | None]
        if call == "track":
            found = [self.version_of(name or "", version)]
        elif call in SHOWN_AS:
            own = self.pages if call == "page" else self.screens
            found = [
                self.version_of(SHOWN_AS[call], version),
                own.get(NAMELESS[RULE_TYPE_OF[call]]),
                own.get(name) if name else None,
            ]
        else:
            found = [self.identify if call == "identify" else self.group]
        return tuple(each for each in (*found, self.common) if each is not None)

    def all_rules(self) -> Iterator[PlannedEvent]:
        """Every rule of the plan in every version: track events, then the other calls, then common."""
        for name, newest in self.events.items():
            yield from self.versions.get(name) or (newest,)
        for each in (self.identify, self.group, *self.pages.values(), *self.screens.values(), self.common):
            if each is not None:
                yield each

    def landed_rules(self) -> Iterator[PlannedEvent]:
        """The rules that landed rows are judged by, one a table and name, with the common one's properties.

        A track event stands in the version that judges messages which name none. The `rules` of track, page
        and screen end in what the common rule says of properties, under the event's own name.
        """
        for name in self.events:
            event = self.unversioned(name)
            assert event is not None
            yield self._with_common(event)
        others = [self.identify, self.group, *self.pages.values(), *self.screens.values()]
        yield from (self._with_common(each) for each in others if each is not None)

    def _with_common(self, event: PlannedEvent) -> PlannedEvent:
        if self.common is None or event.type in ("IDENTIFY", "GROUP"):
            return event  # they carry traits, and of those a common rule is judged on whole messages only
        shared = tuple(rule.model_copy(update={"event": event.name}) for rule in self.common.rules)
        return event.model_copy(update={"rules": event.rules + shared})


@dataclass(frozen=True)
class PlanProblem:
    """What is wrong in a plan, and the path to it; who knows the file turns the path into a place."""

    path: Steps
    fact: str
    instead: str
