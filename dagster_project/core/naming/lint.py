"""What is wrong with the names of plans and of what lands: one finding a rule and name, with the next step."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from dagster_project.core.documents import Steps
from dagster_project.core.naming.alike import near_duplicates, winner
from dagster_project.core.naming.convention import Convention, inferred
from dagster_project.core.naming.dynamic import FAMILY, families, masked, variable_part
from dagster_project.core.naming.one_name import RULES, Rule, Severity, of_event, of_property, told
from dagster_project.core.plan import PlannedEvent, TrackingPlan
from dagster_project.core.plan.landed import RESERVED_COLUMNS, column_of
from dagster_project.core.slug import slug

_WORST_FIRST: Final = {"error": 0, "warning": 1, "info": 2}


@dataclass(frozen=True)
class Finding:
    """One thing that is wrong with a name. `place` is file:line:column, or `source <name>` for what landed."""

    rule: Rule
    severity: Severity
    place: str
    event: str
    property: str | None
    fact: str
    instead: str
    source: str | None = None
    messages: int | None = None  # of the landed name, where it is one

    def __str__(self) -> str:
        return f"{self.place}: {self.fact}; {self.instead}"

    def as_row(self) -> dict[str, Any]:
        """The finding for JSON; addresses of people in names are masked."""
        return {
            "rule": self.rule,
            "severity": self.severity,
            "place": self.place,
            "source": self.source,
            "event": masked(self.event),
            "property": None if self.property is None else masked(self.property),
            "messages": self.messages,
            "fact": self.fact,
            "instead": self.instead,
        }


@dataclass(frozen=True)
class PlanNames:
    """One plan as the lint reads it: `place` turns the path of a value into file:line:column."""

    label: str
    plan: TrackingPlan
    place: Callable[[Steps], str] = field(repr=False)


@dataclass(frozen=True)
class LandedNames:
    """What one source landed: messages by raw event name, which of them are planned, and the columns by event slug."""

    source: str
    messages: Mapping[str, int]
    planned: frozenset[str]
    columns: Mapping[str, Sequence[str]] = field(default_factory=dict)


@dataclass(frozen=True)
class Lint:
    """All findings, worst first, and the conventions that names were held to."""

    findings: tuple[Finding, ...]
    events: Convention
    properties: Convention


def lint(
    plans: Sequence[PlanNames],
    landed: Sequence[LandedNames] = (),
    *,
    events: Convention | None = None,
    properties: Convention | None = None,
    snowflake: bool = False,
) -> Lint:
    """Hold every name against the rules. A convention that is not given is found in the plans' own names.

    `snowflake`: whether the warehouse is one, where a reserved word as a column stops the sync.
    """
    named = [event.name for each in plans for event in _events(each.plan)]
    own = [
        rule.property.rpartition(".")[2] for each in plans for e in each.plan.all_rules() for rule in e.rules
    ]
    if not named:
        named = [name for each in landed for name in each.messages]
    of_events = events if events else inferred(named)
    of_properties = properties if properties else inferred(own, of_events=False)
    found = list(_of_plans(plans, of_events, of_properties, snowflake))
    for each in landed:
        found += _of_landed(each, of_events, snowflake)
    found.sort(
        key=lambda f: (
            _WORST_FIRST[f.severity],
            RULES.index(f.rule),
            -(f.messages or 0),
            f.place,
            f.event,
            f.property or "",
        )
    )
    return Lint(tuple(dict.fromkeys(found)), of_events, of_properties)


def _events(plan: TrackingPlan) -> Iterator[PlannedEvent]:
    return iter(plan.events.values())


# ------------------------------------------------------------------------------------------ plans


def _of_plans(
    plans: Sequence[PlanNames], of_events: Convention, of_properties: Convention, snowflake: bool
) -> Iterator[Finding]:
    for each in plans:
        for event in _events(each.plan):
            for rule, severity, fact, instead in of_event(event.name, of_events):
                place = each.place((*event.at, "key"))
                yield Finding(rule, severity, place, event.name, None, f"{told(event.name)} {fact}", instead)
        for event in each.plan.all_rules():
            yield from _of_event_properties(each, event, of_properties, snowflake)
        yield from _plan_families(each)
    yield from _between_events(plans)
    yield from _types_that_differ(plans)


def _plan_families(each: PlanNames) -> Iterator[Finding]:
    for family in families(event.name for event in _events(each.plan)):
        first = each.plan.events[family.names[0]]
        yield Finding(
            "name_family",
            "warning",
            each.place((*first.at, "key")),
            first.name,
            None,
            f"{len(family.names)} events differ in a number only, {told(family.shape)} from {told(family.names[0])} on",
            "plan one event, and put the number into a property",
        )


def _of_event_properties(
    plan: PlanNames, event: PlannedEvent, convention: Convention, snowflake: bool
) -> Iterator[Finding]:
    paths = sorted(event.properties)
    by_column: dict[str, list[str]] = defaultdict(list)
    for path in paths:
        by_column[column_of(path)].append(path)
    for path in paths:
        at = event.property_at.get(path, event.at)
        twins = [each for each in by_column[column_of(path)] if each < path]
        for rule, severity, said, instead in of_property(path, convention, twins, snowflake=snowflake):
            fact = f"property {told(path)} of {told(event.name)} {said}"
            yield Finding(rule, severity, plan.place(at), event.name, path, fact, instead)
    for pair in near_duplicates(paths):
        if pair.how not in ("case and gaps", "spelling") or column_of(pair.one) == column_of(pair.other):
            continue  # price and prices may both be meant; one column is told already
        at = event.property_at.get(pair.other, event.at)
        fact = f"properties {told(pair.one)} and {told(pair.other)} of {told(event.name)} differ in {pair.how} only"
        instead = "keep one of them, or say in their descriptions how they differ"
        yield Finding("near_duplicate", "warning", plan.place(at), event.name, pair.other, fact, instead)


def _between_events(plans: Sequence[PlanNames]) -> Iterator[Finding]:
    """Names of one plan, or of two, that land in one table or are probably one."""
    homes: dict[str, list[tuple[int, PlanNames, PlannedEvent]]] = defaultdict(list)
    for number, each in enumerate(plans):
        for event in _events(each.plan):
            homes[event.name].append((number, each, event))

    def meeting(one: str, other: str) -> tuple[PlanNames, PlannedEvent, str, bool]:
        """Where the pair is told, where its other half stands, and whether both are in one plan."""
        for number, each, event in homes[other]:
            for twin_number, _, twin in homes[one]:
                if number == twin_number:
                    return each, event, each.place((*twin.at, "key")), True
        _, each, event = homes[other][0]
        _, twin_plan, twin = homes[one][0]
        return each, event, twin_plan.place((*twin.at, "key")), False

    by_slug: dict[str, list[str]] = defaultdict(list)
    for name in sorted(homes):
        if slug(name):
            by_slug[slug(name)].append(name)
    for table, names in sorted(by_slug.items()):
        for name in names[1:]:
            each, event, other_place, together = meeting(names[0], name)
            yield Finding(
                "one_slug",
                "error" if together else "warning",
                each.place((*event.at, "key")),
                name,
                None,
                f"{told(name)} and {told(names[0])} ({other_place}) are one table, `{table}`"
                + ("" if together else ", of two plans"),
                "keep one of the two spellings; tools match names letter by letter",
            )
    for pair in near_duplicates(homes):
        if slug(pair.one) == slug(pair.other):
            continue
        each, event, other_place, together = meeting(pair.one, pair.other)
        yield Finding(
            "near_duplicate",
            "warning",
            each.place((*event.at, "key")),
            event.name,
            None,
            f"{told(pair.other)} and {told(pair.one)} ({other_place}) differ in {pair.how} only"
            + ("" if together else ", in two plans"),
            "keep one of the two, or say in their descriptions how they differ",
        )


def _types_that_differ(plans: Sequence[PlanNames]) -> Iterator[Finding]:
    """One property of a plan that is a number here and text there: typed a table each, and joined nowhere."""
    for each in plans:
        types: dict[str, dict[tuple[str, ...], list[PlannedEvent]]] = defaultdict(lambda: defaultdict(list))
        for event in _events(each.plan):
            for rule in event.rules:
                kinds = tuple(sorted({"number" if kind == "integer" else kind for kind in rule.types}))
                if kinds:
                    types[rule.property][kinds].append(event)
        for path, by_kind in sorted(types.items()):
            if len(by_kind) < 2:
                continue
            ranked = sorted(by_kind.items(), key=lambda item: (-len(item[1]), item[0]))
            (usual, most), (odd, few) = ranked[0], ranked[-1]
            at = few[0].property_at.get(path, few[0].at)
            yield Finding(
                "type_differs",
                "warning",
                each.place(at),
                few[0].name,
                path,
                f"property {told(path)} is {' or '.join(odd)} in {told(few[0].name)}"
                f" and {' or '.join(usual)} in {len(most)} other{'s' if len(most) != 1 else ''} ({told(most[0].name)})",
                "give it one type, or two names",
            )


# ------------------------------------------------------------------------------------------ landed


def _of_landed(landed: LandedNames, convention: Convention, snowflake: bool) -> Iterator[Finding]:
    """What lands without being in the plan, and what clashes with it; planned names are the plan's business."""
    place = f"source {landed.source}"

    def finding(rule: Rule, severity: Severity, name: str, fact: str, instead: str) -> Finding:
        count = landed.messages.get(name, 0)
        said = f"{fact} ({count:,} messages)" if count else fact
        return Finding(rule, severity, place, name, None, said, instead, landed.source, count)

    in_families: set[str] = set()
    for family in families(landed.messages):
        in_families |= set(family.names)
        total = sum(landed.messages[name] for name in family.names)
        fact = f"{len(family.names)} names differ in a number only, {told(family.shape)}: {total:,} messages in all"
        instead = "send one event, and the number as a property"
        severity: Severity = "error" if len(family.names) >= 4 * FAMILY else "warning"
        yield Finding(
            "name_family", severity, place, family.names[0], None, fact, instead, landed.source, total
        )
    planned_tables = {slug(name) for name in landed.planned}
    for name in sorted(landed.messages):
        if name in landed.planned or name in in_families:
            continue
        twin = slug(name) in planned_tables
        for rule, worst, fact, instead in of_event(name, convention, landed=True):
            if rule != "convention" or not twin:  # told below as another's spelling
                yield finding(rule, worst, name, f"{told(name)} {fact}", instead)
    known = landed.messages.keys() | landed.planned
    by_slug: dict[str, list[str]] = defaultdict(list)
    for name in sorted(known):
        if slug(name) and name not in in_families:
            by_slug[slug(name)].append(name)
    for table, names in sorted(by_slug.items()):
        ranked = sorted(
            names, key=lambda name: (name not in landed.planned, -landed.messages.get(name, 0), name)
        )
        for name in ranked[1:]:
            if name in landed.planned or name not in landed.messages:
                continue  # two planned names are told of the plan
            which = "the planned " if ranked[0] in landed.planned else ""
            fact = f"{told(name)} lands in `{table}`, the table of {which}{told(ranked[0])}"
            yield finding(
                "one_slug",
                "error",
                name,
                fact,
                f"send {told(ranked[0])}; tools match names letter by letter",
            )
    for pair in near_duplicates(name for name in known if name not in in_families):
        fresh = [
            name for name in (pair.one, pair.other) if name not in landed.planned and name in landed.messages
        ]
        if not fresh or slug(pair.one) == slug(pair.other):
            continue
        wins = winner(pair.one, pair.other, landed.messages, landed.planned)
        loses = pair.other if wins == pair.one else pair.one
        fact = f"{told(loses)} and {told(wins)} differ in {pair.how} only"
        which = (
            "which is planned"
            if wins in landed.planned
            else f"which has {landed.messages.get(wins, 0):,} messages"
        )
        yield finding(
            "near_duplicate", "warning", loses, fact, f"send {told(wins)}, {which}, if they mean one thing"
        )
    for table, columns in sorted(landed.columns.items()):
        yield from _of_landed_columns(landed, place, table, columns, snowflake)


def _of_landed_columns(
    landed: LandedNames, place: str, table: str, columns: Sequence[str], snowflake: bool
) -> Iterator[Finding]:
    for family in families(columns):
        fact = f"{len(family.names)} columns of table `{table}` differ in a number only, {told(family.shape)}"
        instead = "send one property with a list or an object under a fixed key"
        yield Finding("name_family", "warning", place, table, family.names[0], fact, instead, landed.source)
    for column in columns:
        part = variable_part(column.replace("_", " ")) or variable_part(column)
        if part and part[1]:
            fact = f"column {told(column)} of table `{table}` holds {part[0]} in its name: each value makes a column"
            instead = "send the value under a fixed property"
            yield Finding("dynamic_name", "error", place, table, column, fact, instead, landed.source)
        elif column.startswith("_") and column[1:] in RESERVED_COLUMNS:
            fact = f"column {told(column)} of table `{table}` is a property that clashes with Segment's `{column[1:]}`"
            instead = "rename the property"
            yield Finding("standard_column", "warning", place, table, column, fact, instead, landed.source)
    for pair in near_duplicates(columns):
        if pair.how in ("case and gaps", "spelling"):
            fact = f"columns {told(pair.one)} and {told(pair.other)} of table `{table}` differ in {pair.how} only"
            instead = "send one of the two properties"
            yield Finding("near_duplicate", "warning", place, table, pair.other, fact, instead, landed.source)
