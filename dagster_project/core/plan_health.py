"""Plan health: what of a tracking plan is not lived, what is lived and not in it, and what each of that costs."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from typing import Any, Final, Literal, get_args

import pandas as pd

from dagster_project.core.contracts import Workspace
from dagster_project.core.documents import shown
from dagster_project.core.naming.alike import near_duplicates, winner
from dagster_project.core.naming.dynamic import dynamic_names, masked
from dagster_project.core.plan import PlannedEvent, PropertyRule, TrackingPlan
from dagster_project.core.plan.landed import RESERVED_COLUMNS, column_of
from dagster_project.core.slug import slug

FindingKind = Literal[
    "unplanned_event",
    "near_duplicate",
    "stopped_in_source",
    "type_drift",
    "enum_drift",
    "pattern_drift",
    "range_drift",
    "required_not_filled",
    "unplanned_property",
    "never_filled",
    "not_seen_lately",
    "never_seen",
]
FINDINGS: Final[tuple[FindingKind, ...]] = get_args(FindingKind)
# What people are told each kind means, as a heading.
MEANS: Final[Mapping[FindingKind, str]] = {
    "unplanned_event": "sent and not planned",
    "near_duplicate": "names to merge",
    "stopped_in_source": "no longer sent by a source",
    "type_drift": "another type than planned",
    "enum_drift": "values that the plan does not list",
    "pattern_drift": "values of another pattern than planned",
    "range_drift": "numbers out of the planned range",
    "required_not_filled": "required and often not there",
    "unplanned_property": "filled and not planned",
    "never_filled": "planned and always empty",
    "not_seen_lately": "planned and not seen in the last 90 days",
    "never_seen": "planned and never seen",
}
RECENT_DAYS: Final = 90  # what has not been seen for so long is no longer sent
LATELY_DAYS: Final = 28  # over which shares are taken: four whole weeks
# Below these shares a property is told: a handful of messages in a thousand break every rule (2 to 3 in the demo).
_FILLED_AT_LEAST: Final = 0.99
_DRIFT_AT_LEAST: Final = 0.01
# An unplanned property of fewer messages in a thousand is an accident of one client.
_UNPLANNED_AT_LEAST: Final = 0.005
VERSIONS_DIFFER: Final = 0.05  # shares of two versions that are nearer are one share
_FEWEST: Final = 50  # messages from which on "always" and "never" mean anything
_QUIET_DAYS: Final = 14  # an event that is sent daily has stopped after so many days without
_QUIET_GAPS: Final = 10  # and a rare one after so many of its usual gaps
_DAYS_SEEN: Final = 3

# The table's columns. Null source: all sources of the plan; null property: the event as a whole.
COLUMNS: Final[Mapping[str, str]] = {
    "day": "date",
    "tracking_plan": "varchar",
    "source": "varchar",
    "event": "varchar",
    "property": "varchar",
    "finding": "varchar",
    "rank": "bigint",
    "messages": "bigint",
    "of_messages": "bigint",
    "destinations": "varchar",
    "first_seen": "date",
    "last_seen": "date",
    "merge_into": "varchar",
    "app_version": "varchar",
    "fact": "varchar",
    "suggestion": "varchar",
    "run_id": "varchar",
}


@dataclass(frozen=True)
class Evidence:
    """What landed, counted by the warehouse, and the contract. Days are of the workspace's zone.

    `names`: source, event_text, first_day, last_day, days, messages, recently, lately.
    `fill`: source, event_text, property (the column), filled, messages; of the last 28 days, as those below.
    `versions`: the same by app_version, of the properties in which versions differ.
    `violations`: source, event, property, rule, messages, first_day.
    `routes`: destination, source, event (null: all).
    `renames`: source, event, renamed_to; those that an open incident tells of.
    """

    names: pd.DataFrame
    fill: pd.DataFrame
    versions: pd.DataFrame
    violations: pd.DataFrame
    routes: pd.DataFrame
    renames: pd.DataFrame
    workspace: Workspace
    today: date


@dataclass(frozen=True)
class Finding:
    """One thing to clean up in a plan or in what is sent; `messages` of `of_messages` are hit by it."""

    tracking_plan: str | None
    source: str | None
    event: str
    property: str | None
    kind: FindingKind
    messages: int
    of_messages: int
    destinations: tuple[str, ...]
    fact: str
    suggestion: str
    first_seen: date | None = None
    last_seen: date | None = None
    merge_into: str | None = None
    app_version: str | None = None


def cost(finding: Finding) -> int:
    """What it costs, for the order of work: messages, once for the warehouse and once for each tool they reach."""
    return finding.messages * (1 + len(finding.destinations))


@dataclass
class _Name:
    """How one event of one source was sent."""

    first: date
    last: date
    days: int
    messages: int
    recently: int
    lately: int

    @property
    def usual_gap(self) -> float:
        """Days between two days on which it was sent."""
        return max((self.last - self.first).days, 1) / max(self.days - 1, 1)


@dataclass
class _Filled:
    filled: int
    messages: int
    versions: dict[str | None, tuple[int, int]] = field(default_factory=dict)

    @property
    def share(self) -> float:
        return self.filled / self.messages if self.messages else 0.0

    def worst_version(self) -> str | None:
        """The version that fills it least, where versions differ and one of some weight is to blame."""
        told = {v: f / m for v, (f, m) in self.versions.items() if v and m >= _FEWEST}
        if len(told) < 2 or max(told.values()) - min(told.values()) < VERSIONS_DIFFER:
            return None
        return min(sorted(told), key=lambda version: told[version])


def findings(evidence: Evidence) -> list[Finding]:
    """Everything to clean up, what costs most first."""
    found = list(_Health(evidence).all())
    return sorted(
        found,
        key=lambda f: (
            -cost(f),
            FINDINGS.index(f.kind),
            f.tracking_plan or "",
            f.event,
            f.property or "",
            f.source or "",
        ),
    )


def table(found: Sequence[Finding], day: date, run_id: str) -> pd.DataFrame:
    """The findings as rows of the table `plan_health`, in their order."""
    rows = [
        {
            "day": day,
            "tracking_plan": each.tracking_plan,
            "source": each.source,
            "event": each.event,
            "property": each.property,
            "finding": each.kind,
            "rank": rank,
            "messages": each.messages,
            "of_messages": each.of_messages,
            "destinations": json.dumps(list(each.destinations)),
            "first_seen": each.first_seen,
            "last_seen": each.last_seen,
            "merge_into": each.merge_into,
            "app_version": each.app_version,
            "fact": each.fact,
            "suggestion": each.suggestion,
            "run_id": run_id,
        }
        for rank, each in enumerate(found, start=1)
    ]
    return pd.DataFrame(rows, columns=list(COLUMNS))


class _Health:
    def __init__(self, evidence: Evidence) -> None:
        self._evidence = evidence
        self._today = evidence.today
        self._names: dict[str, dict[str, _Name]] = defaultdict(dict)
        for row in _rows(evidence.names):
            self._names[row["source"]][row["event_text"]] = _Name(
                _day(row["first_day"]),
                _day(row["last_day"]),
                int(row["days"]),
                int(row["messages"]),
                int(row["recently"]),
                int(row["lately"]),
            )
        self._fill: dict[tuple[str, str], dict[str, _Filled]] = defaultdict(dict)
        for row in _rows(evidence.fill):
            filled = _Filled(int(row["filled"]), int(row["messages"]))
            self._fill[row["source"], row["event_text"]][row["property"]] = filled
        for row in _rows(evidence.versions):
            known = self._fill[row["source"], row["event_text"]].get(row["property"])
            if known is not None:
                known.versions[row["app_version"]] = (int(row["filled"]), int(row["messages"]))
        self._read = set(self._fill) | {(row["source"], row["event"]) for row in _rows(evidence.violations)}
        self._all_events: dict[str, set[str]] = defaultdict(set)
        self._routes: dict[tuple[str, str], set[str]] = defaultdict(set)
        for row in _rows(evidence.routes):
            if row["event"] is None:
                self._all_events[row["source"]].add(row["destination"])
            else:
                self._routes[row["source"], row["event"]].add(row["destination"])
        self._renamed = {
            (row["source"], row["renamed_to"]): str(row["event"])
            for row in _rows(evidence.renames)
            if row["renamed_to"] is not None
        }
        self._sources_of: dict[str, list[str]] = defaultdict(list)
        self._plan_of: dict[str, TrackingPlan] = {}
        for source in evidence.workspace.sources:
            plan = evidence.workspace.plan_for(source)
            if plan.declared and source.tracking_plan:
                self._sources_of[source.tracking_plan].append(source.name)
                self._plan_of[source.tracking_plan] = plan

    def all(self) -> Iterator[Finding]:
        for file, sources in sorted(self._sources_of.items()):
            plan = self._plan_of[file]
            merging = list(self._names_to_merge(file, plan, sources))
            yield from merging
            yield from self._events(file, plan, sources, {f.event: f.merge_into or "" for f in merging})
            for event in plan.landed_rules():
                yield from self._properties(file, _in_all_versions(plan, event), sources)
            yield from self._drift(file, sources)

    def _destinations(self, source: str, *events: str) -> set[str]:
        """Who gets the events of a source: by name, or because they get all."""
        found = set(self._all_events[source])
        for event in events:
            found |= self._routes.get((source, event), set())
        return found

    def _of_all(self, sources: Iterable[str], *events: str) -> tuple[str, ...]:
        return tuple(sorted(set().union(*(self._destinations(source, *events) for source in sources))))

    # -------------------------------------------------------------------------------------- events

    def _events(
        self, file: str, plan: TrackingPlan, sources: list[str], merging: Mapping[str, str]
    ) -> Iterator[Finding]:
        for name in plan.events:
            seen = {source: self._names[source][name] for source in sources if name in self._names[source]}
            if not seen:
                yield self._never_seen(file, name, sources)
                continue
            last = max(each.last for each in seen.values())
            if last < self._today - timedelta(days=RECENT_DAYS):
                total = sum(each.messages for each in seen.values())
                yield Finding(
                    file,
                    None,
                    name,
                    None,
                    "not_seen_lately",
                    0,
                    total,
                    self._of_all(sources, name),
                    f"{_told(name)} was last sent on {last.isoformat()}, after {total:,} messages",
                    "take it out of the plan, unless it is seasonal",
                    first_seen=min(each.first for each in seen.values()),
                    last_seen=last,
                )
                continue
            for source, each in seen.items():
                if self._has_stopped(source, each):
                    yield self._stopped(
                        file, source, name, each, [s for s in sources if s != source and s in seen]
                    )
        for source in sources:
            yield from self._unplanned(file, plan, source, merging)

    def _never_seen(self, file: str, name: str, sources: list[str]) -> Finding:
        waiting = self._of_all(sources, name)
        routed = [d for d in waiting if any(d in self._routes.get((s, name), ()) for s in sources)]
        more = f"; {_names(routed)} {'waits' if len(routed) == 1 else 'wait'} for it" if routed else ""
        since = min((each.first for s in sources for each in self._names[s].values()), default=None)
        seen = f"since {since.isoformat()}, the first day that landed" if since else "yet"
        return Finding(
            file,
            None,
            name,
            None,
            "never_seen",
            0,
            0,
            waiting,
            f"{_told(name)} has not been sent by {_any_of(sources)} {seen}{more}",
            "instrument it, or take it out of the plan",
        )

    def _has_stopped(self, source: str, name: _Name) -> bool:
        """Whether an event fell silent for long by its own measure, while its source still sends others."""
        alive = max((each.last for each in self._names[source].values()), default=name.last)
        quiet = (alive - name.last).days
        return (
            name.days >= _DAYS_SEEN
            and quiet >= _QUIET_DAYS
            and quiet >= _QUIET_GAPS * name.usual_gap
            and alive >= self._today - timedelta(days=_QUIET_DAYS)
        )

    def _stopped(self, file: str, source: str, event: str, name: _Name, others: list[str]) -> Finding:
        still = [s for s in others if not self._has_stopped(s, self._names[s][event])]
        elsewhere = f"; {_names(still)} still {'sends' if len(still) == 1 else 'send'} it" if still else ""
        return Finding(
            file,
            source,
            event,
            None,
            "stopped_in_source",
            0,
            name.messages,
            tuple(sorted(self._destinations(source, event))),
            f"{source} has not sent {_told(event)} since {name.last.isoformat()}, after {name.messages:,} messages"
            f" on {name.days} days{elsewhere}",
            "mend the source, or say in the plan that it is no longer sent there",
            first_seen=name.first,
            last_seen=name.last,
        )

    def _unplanned(
        self, file: str, plan: TrackingPlan, source: str, merging: Mapping[str, str]
    ) -> Iterator[Finding]:
        recent = {n: each for n, each in self._names[source].items() if each.recently and not plan.planned(n)}
        total = sum(each.recently for each in self._names[source].values())
        variable = dynamic_names(recent)
        for name, each in sorted(recent.items()):
            told = f"{source} sent {_told(name)} {each.recently:,} times since {each.first.isoformat()}"
            suggestion = "plan it, or stop sending it"
            renamed = self._renamed.get((source, name))
            if renamed is not None:
                told += f", in the place of {_told(renamed)}"
                suggestion = f"send {_told(renamed)} again, or rename it in the plan and in the tools"
            elif name in merging:
                suggestion = f"send {_told(merging[name])}, which is probably meant"
            elif name in variable:
                told += ", a name with a variable part"
                suggestion = "send one event with a fixed name, and what varies as a property"
            yield Finding(
                file,
                source,
                name,
                None,
                "unplanned_event",
                each.recently,
                total,
                tuple(sorted(self._destinations(source, name))),
                told,
                suggestion,
                first_seen=each.first,
                last_seen=each.last,
                merge_into=renamed or merging.get(name),
            )

    def _names_to_merge(self, file: str, plan: TrackingPlan, sources: list[str]) -> Iterator[Finding]:
        """Names that are probably one, where the one that is to go is really sent."""
        messages: dict[str, int] = defaultdict(int)
        for source in sources:
            for name, each in self._names[source].items():
                if each.recently:
                    messages[name] += each.recently
        names = (set(plan.events) | set(messages)) - dynamic_names(messages)
        for pair in near_duplicates(names):
            wins = winner(pair.one, pair.other, messages, plan.events)
            loses = pair.other if wins == pair.one else pair.one
            if not messages.get(loses):
                continue
            senders = [s for s in sources if loses in self._names[s] and self._names[s][loses].recently]
            how = "land in one table" if slug(wins) == slug(loses) else f"differ in {pair.how} only"
            planned = " (planned)" if wins in plan.events else ""
            known = [self._names[s][loses] for s in senders]
            yield Finding(
                file,
                senders[0] if len(senders) == 1 else None,
                loses,
                None,
                "near_duplicate",
                messages[loses],
                messages[loses] + messages.get(wins, 0),
                # Whoever waits for the name that wins does not get the other.
                self._of_all(senders, loses, wins),
                f"{_told(loses)} ({messages[loses]:,} messages) and {_told(wins)}{planned}"
                f" ({messages.get(wins, 0):,}) {how}",
                f"send {_told(wins)} everywhere"
                + ("" if wins in plan.events else ", and plan it")
                + (", or rename the planned one" if wins in plan.events and not messages.get(wins) else ""),
                first_seen=min(each.first for each in known),
                last_seen=max(each.last for each in known),
                merge_into=wins,
            )

    # -------------------------------------------------------------------------------------- properties

    def _properties(self, file: str, event: PlannedEvent, sources: list[str]) -> Iterator[Finding]:
        # A table that was not read, for a sync leaves it out or it cannot be read, proves nothing of its columns.
        sending = {
            source: messages
            for source in sources
            if (source, event.name) in self._read
            and (messages := self._lately(source, event.name)) >= _FEWEST
        }
        if not sending:
            return
        rules = {column_of(rule.property): rule for rule in event.rules if column_of(rule.property)}
        loose = _loose_objects(event.rules)
        for column, rule in sorted(rules.items()):
            if column in RESERVED_COLUMNS or _has_parts(rule.property, event.rules):
                continue
            of_sources = {s: self._fill.get((s, event.name), {}).get(column) for s in sending}
            yield from self._planned_property(file, event, rule, of_sources, sending, column in loose)
        for source in sending:
            for column, filled in sorted(self._fill.get((source, event.name), {}).items()):
                if column in rules or any(column.startswith(f"{each}_") for each in loose):
                    continue
                if column.startswith("_") and column[1:] in rules:
                    continue  # a reserved word, as some warehouses write it
                if filled.filled >= max(1, _UNPLANNED_AT_LEAST * filled.messages):
                    yield Finding(
                        file,
                        source,
                        event.name,
                        column,
                        "unplanned_property",
                        filled.filled,
                        filled.messages,
                        tuple(sorted(self._destinations(source, event.name))),
                        f"{source} fills {_told(column)} in {_share(filled.filled, filled.messages)} of {_told(event.name)}",
                        "plan the property, or stop sending it",
                    )

    def _planned_property(
        self,
        file: str,
        event: PlannedEvent,
        rule: PropertyRule,
        of_sources: Mapping[str, _Filled | None],
        sending: Mapping[str, int],
        loose: bool,
    ) -> Iterator[Finding]:
        if not any(each and each.filled for each in of_sources.values()):
            if not loose:  # else it may be an object, whose parts are columns of their own
                total = sum(sending.values())
                yield Finding(
                    file,
                    None,
                    event.name,
                    rule.property,
                    "never_filled",
                    total if rule.required and not rule.nullable else 0,
                    total,
                    self._of_all(sending, event.name),
                    f"{_told(rule.property)} is empty in all {total:,} messages of {_told(event.name)} of the last"
                    f" {LATELY_DAYS} days",
                    "send it, or take it out of the plan",
                )
            return
        if not rule.required or rule.nullable:
            return
        for source, each in of_sources.items():
            filled, messages = (each.filled, each.messages) if each else (0, sending[source])
            if messages < _FEWEST or filled >= _FILLED_AT_LEAST * messages:
                continue
            version = each.worst_version() if each else None
            blame = f", least in version {masked(version)}" if version else ""
            yield Finding(
                file,
                source,
                event.name,
                rule.property,
                "required_not_filled",
                messages - filled,
                messages,
                tuple(sorted(self._destinations(source, event.name))),
                f"{source} fills the required {_told(rule.property)} in only {_share(filled, messages)} of"
                f" {_told(event.name)}{blame}",
                "mend the source" if filled else f"send it from {source}, or plan it as optional",
                app_version=version,
            )

    def _lately(self, source: str, event: str) -> int:
        name = self._names[source].get(event)
        if name is not None:
            return name.lately
        # Identify, group, page and screen calls have no event name; their fill counts say how many there were.
        return max((each.messages for each in self._fill.get((source, event), {}).values()), default=0)

    def _drift(self, file: str, sources: list[str]) -> Iterator[Finding]:
        """Values of another type, out of the list, the pattern or the range, in more than one message of a hundred."""
        for row in _rows(self._evidence.violations):
            kind = _DRIFTS.get(row["rule"])
            source, event, name = row["source"], row["event"], row["property"]
            if kind is None or source not in sources or name is None:
                continue
            messages, total = int(row["messages"]), self._lately(source, event)
            if total < _FEWEST or messages < _DRIFT_AT_LEAST * total:
                continue
            yield Finding(
                file,
                source,
                event,
                name,
                kind,
                messages,
                max(total, messages),
                tuple(sorted(self._destinations(source, event))),
                f"{_told(name)} of {_told(event)} in {source}: {_share(messages, max(total, messages))} have"
                f" {_OTHER[kind]}",
                _MEND[kind],
                first_seen=_day(row["first_day"]),
            )


_DRIFTS: Final[Mapping[str, FindingKind]] = {
    "type": "type_drift",
    "enum": "enum_drift",
    "pattern": "pattern_drift",
    "range": "range_drift",
}
_OTHER: Final[Mapping[FindingKind, str]] = {
    "type_drift": "another type than the plan says",
    "enum_drift": "a value that the plan does not list",
    "pattern_drift": "a value that does not fit the plan's pattern",
    "range_drift": "a number out of the plan's range",
}
_MEND: Final[Mapping[FindingKind, str]] = {
    "type_drift": "send the planned type, or widen the plan",
    "enum_drift": "send a planned value, or add the new one to the plan",
    "pattern_drift": "send values of the pattern, or correct it",
    "range_drift": "mend the values, or correct the range",
}


def _in_all_versions(plan: TrackingPlan, event: PlannedEvent) -> PlannedEvent:
    """The event with the properties of all its versions: planned is what one of them names, required what all demand."""
    others = [each for each in plan.versions.get(event.name, ()) if each.version != event.version]
    if event.type != "TRACK" or not others:
        return event
    rules: dict[str, list[PropertyRule]] = defaultdict(list)
    for version in (event, *others):
        for rule in version.rules:
            rules[rule.property].append(rule)
    merged = tuple(
        said[0].model_copy(
            update={
                "required": len(said) > len(others) and all(rule.required for rule in said),
                "nullable": any(rule.nullable for rule in said),
            }
        )
        for said in rules.values()
    )
    return event.model_copy(update={"rules": merged})


def _loose_objects(rules: Iterable[PropertyRule]) -> set[str]:
    """Columns of properties that may be objects with parts that the plan does not name: <column>_* belong to them."""
    listed = list(rules)
    return {
        column_of(rule.property)
        for rule in listed
        if (not rule.types or "object" in rule.types) and column_of(rule.property)
    }


def _has_parts(path: str, rules: Iterable[PropertyRule]) -> bool:
    return any(rule.property.startswith(f"{path}.") for rule in rules)


def _told(name: str) -> str:
    return shown(masked(name))


def _names(names: Sequence[str]) -> str:
    if len(names) <= 3:
        return " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)
    return f"{', '.join(names[:3])} and {len(names) - 3} more"


def _any_of(sources: Sequence[str]) -> str:
    if len(sources) == 1:
        return sources[0]
    return (
        f"{', '.join(sources[:-1])} or {sources[-1]}"
        if len(sources) <= 3
        else f"any of {len(sources)} sources"
    )


def _share(part: int, whole: int) -> str:
    """A share and what it is of, never rounded to all or nothing."""
    if not whole:
        return "0 messages"
    return f"{percent(part, whole)} of {whole:,} messages"


def percent(part: int, whole: int) -> str:
    """A share as a percentage that says 0% and 100% of nothing less than none and all."""
    share = 100 * part / whole if whole else 0.0
    if part in (0, whole) or 0.05 <= share < 99.95:
        return f"{share:.1f}%".replace(".0%", "%")
    return "under 0.1%" if share < 1 else "over 99.9%"


def _rows(frame: pd.DataFrame) -> list[dict[str, Any]]:
    clean = frame.astype(object).where(frame.notna(), None)
    return [{str(key): value for key, value in row.items()} for row in clean.to_dict("records")]


def _day(value: Any) -> date:
    found = pd.Timestamp(value).date()
    assert isinstance(found, date)
    return found


# ------------------------------------------------------------------------------------------ trend


@dataclass(frozen=True)
class Trend:
    """How many findings of each kind there are now, and how many there were on an earlier day."""

    since: date | None
    now: Mapping[str, int]
    then: Mapping[str, int]

    def told(self) -> str:
        """`12 fewer than on 2026-10-23`; empty when there is no earlier day."""
        if self.since is None:
            return ""
        change = sum(self.now.values()) - sum(self.then.values())
        if not change:
            return f"as many as on {self.since.isoformat()}"
        return f"{abs(change):,} {'more' if change > 0 else 'fewer'} than on {self.since.isoformat()}"


def earlier_day(days: Iterable[date], today: date) -> date | None:
    """The day to compare with: the latest that lies four weeks back or more, else the oldest there is."""
    before = sorted(day for day in set(days) if day < today)
    if not before:
        return None
    back = [day for day in before if day <= today - timedelta(days=LATELY_DAYS)]
    return back[-1] if back else before[0]
