"""The changes that plan health asks of a plan, as requests that Segment's API takes and as a diff that people read."""

from __future__ import annotations

import copy
import difflib
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Literal

from dagster_project.core.message import visible
from dagster_project.core.naming.dynamic import masked
from dagster_project.core.plan import PlannedEvent, TrackingPlan
from dagster_project.core.plan.landed import column_of
from dagster_project.core.plan_diff import rule_changes, told_changes
from dagster_project.core.segment_api import RuleKey, plan_file, rule_key

Change = Literal[
    "add_event",
    "rename_event",
    "add_property",
    "widen_type",
    "widen_enum",
    "make_optional",
    "remove_property",
    "remove_event",
]
# What one request may carry: Segment refuses more, so that a large patch is several requests.
MOST_RULES: Final = 200
PATH: Final = "/tracking-plans/{trackingPlanId}/rules"
# An unplanned event of fewer messages is an accident, and a property below the share one client's.
_FEWEST_MESSAGES: Final = 10
_PROPERTY_FROM: Final = 0.01
# Another type or value is taken into the plan when so many messages have it; below, the sender is to be mended.
_DRIFT_FROM: Final = 0.05


@dataclass(frozen=True)
class Proposal:
    """One change, with its reason and what it is worth."""

    change: Change
    rule: RuleKey
    property: str | None
    reason: str
    messages: int
    destinations: tuple[str, ...]
    new_key: str | None = None

    def as_row(self) -> dict[str, Any]:
        type_, key, version = self.rule
        return {
            "change": self.change,
            "type": type_,
            "key": key or None,
            "version": int(version),
            "new_key": self.new_key,
            "property": self.property,
            "messages": self.messages,
            "destinations": list(self.destinations),
            "reason": self.reason,
        }


@dataclass
class Patch:
    """What to send to Segment, and why; nothing here sends it. Deletions stand apart, for they cannot be undone."""

    upserts: list[dict[str, Any]] = field(default_factory=list)
    deletions: list[dict[str, Any]] = field(default_factory=list)
    proposals: list[Proposal] = field(default_factory=list)

    def requests(self, path: str = PATH) -> list[dict[str, Any]]:
        """The PATCH requests, each of at most 200 rules."""
        return [
            {"method": "PATCH", "path": path, "body": {"rules": self.upserts[at : at + MOST_RULES]}}
            for at in range(0, len(self.upserts), MOST_RULES)
        ]


def rules_of(plan: TrackingPlan) -> list[dict[str, Any]]:
    """The plan's rules as the API takes them, whatever file they were read from."""
    return [_rule(event) for event in plan.all_rules()]


def _rule(event: PlannedEvent) -> dict[str, Any]:
    key = {} if event.name.startswith("(") and event.type != "TRACK" else {"key": event.name}
    return {
        "type": event.type,
        **key,
        "version": event.version,
        "jsonSchema": copy.deepcopy(dict(event.message_schema)),
    }


def proposed(
    plan: TrackingPlan, findings: Sequence[Mapping[str, Any]], drafted: Sequence[Mapping[str, Any]]
) -> Patch:
    """The patch of one plan: `findings` are rows of `plan_health` of this plan, `drafted` rules of what lands.

    What an incident broke is not written into the plan: an event that fell silent, or a property that is filled
    less than before, is for the sender to mend.
    """
    return _Patching(plan, findings, drafted).patch()


class _Patching:
    def __init__(
        self, plan: TrackingPlan, findings: Sequence[Mapping[str, Any]], drafted: Sequence[Mapping[str, Any]]
    ) -> None:
        self._plan = plan
        self._findings = findings
        self._drafted = {str(rule["key"]): rule for rule in drafted if rule.get("key")}
        self._changed: dict[RuleKey, dict[str, Any]] = {}
        self._patch = Patch()
        self._merging = {row["event"] for row in findings if row["finding"] == "near_duplicate"}

    def patch(self) -> Patch:
        for row in self._findings:
            name = str(row["event"])
            if row["finding"] == "near_duplicate":
                self._rename(row)
            elif row["finding"] == "unplanned_event" and name not in self._merging:
                self._add_event(row)
            elif row["finding"] == "never_seen":
                self._remove_event(row)
            elif name in self._plan.events:
                self._property(row, name)
        # A rule that was looked at and left as it is needs no request.
        proposed_for = {each.rule for each in self._patch.proposals}
        self._patch.upserts = [self._changed[key] for key in sorted(self._changed) if key in proposed_for]
        return self._patch

    def _propose(self, change: Change, rule: RuleKey, row: Mapping[str, Any], **more: Any) -> None:
        self._patch.proposals.append(
            Proposal(
                change,
                rule,
                more.pop("property", None),
                str(row["fact"]),
                int(row["messages"]),
                tuple(row["destinations"]),
                **more,
            )
        )

    def _rename(self, row: Mapping[str, Any]) -> None:
        """A planned name that nobody sends, while its twin is sent: the plan has the wrong spelling."""
        planned, sent = str(row["merge_into"]), str(row["event"])
        event = self._plan.events.get(planned)
        if event is None or sent in self._plan.events or int(row["of_messages"]) > int(row["messages"]):
            return
        if any(rule.get("newKey") == sent for rule in self._changed.values()):
            return
        body = self._body(event)
        body["newKey"] = sent
        self._propose("rename_event", rule_key(body), row, new_key=sent)

    def _add_event(self, row: Mapping[str, Any]) -> None:
        rule = self._drafted.get(str(row["event"]))
        if rule is None or row["merge_into"] or int(row["messages"]) < _FEWEST_MESSAGES:
            return  # one that is another's name, or a rename that an incident tells of, is for the sender to mend
        key = rule_key(rule)
        if key not in self._changed:
            self._changed[key] = copy.deepcopy(dict(rule))
        self._propose("add_event", key, row)

    def _remove_event(self, row: Mapping[str, Any]) -> None:
        event = self._plan.events.get(str(row["event"]))
        renamed = {rule["key"] for rule in self._changed.values() if "newKey" in rule}
        if event is None or event.name in renamed or event.name in {r["merge_into"] for r in self._findings}:
            return
        for version in self._plan.versions.get(event.name) or (event,):
            self._patch.deletions.append({"type": "TRACK", "key": version.name, "version": version.version})
        self._propose("remove_event", ("TRACK", event.name, str(event.version)), row)

    # -------------------------------------------------------------------------------------- properties

    def _property(self, row: Mapping[str, Any], name: str) -> None:
        event, found = self._plan.events[name], row["finding"]
        path = str(row["property"])
        share = int(row["messages"]) / max(int(row["of_messages"]), 1)
        if found == "unplanned_property" and share >= _PROPERTY_FROM:
            drafted = self._drafted_property(name, path)
            if drafted is not None and path not in {column_of(each) for each in event.properties}:
                properties, _ = _of_properties(self._body(event))
                if path not in properties:
                    # It is in some messages at least: optional, until somebody decides.
                    properties[path] = {**drafted, "type": _types(drafted, "null")}
                self._propose("add_property", rule_key(self._body(event)), row, property=path)
        elif found == "type_drift" and share >= _DRIFT_FROM:
            self._widen(event, path, row)
        elif found == "enum_drift" and share >= _DRIFT_FROM:
            self._list_more(event, path, row)
        elif found == "required_not_filled" and row["messages"] == row["of_messages"]:
            _, required = _of_properties(self._body(event), path)
            leaf = path.rpartition(".")[2]
            if leaf in required:
                required.remove(leaf)
                self._propose("make_optional", rule_key(self._body(event)), row, property=path)
        elif found == "never_filled" and int(row["messages"]) == 0:
            properties, required = _of_properties(self._body(event), path)
            leaf = path.rpartition(".")[2]
            if properties.pop(leaf, None) is not None:
                if leaf in required:
                    required.remove(leaf)
                self._propose("remove_property", rule_key(self._body(event)), row, property=path)

    def _widen(self, event: PlannedEvent, path: str, row: Mapping[str, Any]) -> None:
        drafted = self._drafted_property(event.name, column_of(path))
        properties, _ = _of_properties(self._body(event), path)
        said = properties.get(path.rpartition(".")[2])
        if drafted is None or not isinstance(said, dict) or "type" not in said:
            return
        landed = [kind for kind in _listed(drafted["type"]) if kind != "null"]
        new = [kind for kind in landed if kind not in _listed(said["type"])]
        if new:
            said["type"] = _types(said, *new)
            self._propose("widen_type", rule_key(self._body(event)), row, property=path)

    def _list_more(self, event: PlannedEvent, path: str, row: Mapping[str, Any]) -> None:
        """Values that have long been sent beside the planned ones; the draft lists none that is new or personal."""
        drafted = self._drafted_property(event.name, column_of(path)) or {}
        properties, _ = _of_properties(self._body(event), path)
        said = properties.get(path.rpartition(".")[2])
        if not isinstance(said, dict) or not isinstance(said.get("enum"), list):
            return
        new = [each for each in drafted.get("enum", ()) if each is not None and each not in said["enum"]]
        if new:
            said["enum"] = [*said["enum"], *new]
            self._propose("widen_enum", rule_key(self._body(event)), row, property=path)

    def _drafted_property(self, event: str, column: str) -> dict[str, Any] | None:
        rule = self._drafted.get(event)
        if rule is None:
            return None
        properties, _ = _of_properties(copy.deepcopy(dict(rule)))
        return next((said for name, said in properties.items() if column_of(name) == column), None)

    def _body(self, event: PlannedEvent) -> dict[str, Any]:
        """The rule that is being changed, a copy of the plan's."""
        key = ("TRACK", event.name, str(event.version))
        return self._changed.setdefault(key, _rule(event))


def _of_properties(rule: dict[str, Any], path: str = "") -> tuple[dict[str, Any], list[str]]:
    """The properties beside a path in a rule's schema and the list of those required, both to be changed in place."""
    schema = rule["jsonSchema"]
    for step in ("properties", "properties"):
        schema = schema.setdefault(step, {})
    for step in path.split(".")[:-1]:
        schema = schema.get("properties", {}).get(step, {})
    if not isinstance(schema.get("required"), list):
        # Only what is filled is kept: an empty list is no draft-04 schema, and says nothing in draft-07.
        required: list[str] = []
    else:
        required = schema["required"]
    return schema.setdefault("properties", {}), required


def _listed(types: object) -> list[str]:
    return [str(each) for each in types] if isinstance(types, list) else [str(types)] if types else []


def _types(said: Mapping[str, Any], *more: str) -> str | list[str]:
    found = list(dict.fromkeys([*_listed(said.get("type")), *more]))
    return found[0] if len(found) == 1 else found


def applied(rules: Sequence[Mapping[str, Any]], patch: Patch) -> list[dict[str, Any]]:
    """The rules as Segment would have them after the patch, deletions included."""
    found = {rule_key(rule): dict(rule) for rule in rules}
    for rule in patch.upserts:
        body = {name: value for name, value in rule.items() if name != "newKey"}
        found[rule_key(rule)] = {
            **found.get(rule_key(rule), {}),
            **body,
            **({"key": rule["newKey"]} if "newKey" in rule else {}),
        }
    for rule in patch.deletions:
        found.pop(rule_key(rule), None)
    return list(found.values())


# ------------------------------------------------------------------------------------------ for people

_WORDS: Final[Mapping[Change, str]] = {
    "add_event": "plan the event",
    "rename_event": "rename it to",
    "add_property": "plan the property",
    "widen_type": "allow the type that lands of",
    "widen_enum": "list the values that land of",
    "make_optional": "no longer require",
    "remove_property": "take out the property",
    "remove_event": "take out the event",
}


def as_markdown(patch: Patch, rules: Sequence[Mapping[str, Any]], *, file: str, day: str) -> str:
    """The patch for a reviewer: a table of changes with their reasons, the changes in words, and the file's diff."""
    after = applied(rules, patch)
    lines = [
        f"# Proposed changes to {_cell(file)}",
        "",
        f"From what landed up to {day}. Nothing has been sent to Segment.",
        "",
    ]
    if not patch.proposals:
        return "\n".join([*lines, "Nothing is to be changed.", ""])
    lines += ["| event | change | messages | tools | why |", "|---|---|---:|---:|---|"]
    for each in patch.proposals:
        what = _WORDS[each.change]
        target = each.new_key or each.property
        change = f"{what} {_cell(target)}" if target else what
        lines.append(
            f"| {_cell(each.rule[1])} | {change} | {each.messages:,} | {len(each.destinations)} | {_cell(each.reason)} |"
        )
    lines += ["", "## In words", "", *_fenced("text", told_changes(rule_changes(rules, after), limit=2_000))]
    before_text, after_text = (plan_file(each).splitlines() for each in (rules, after))
    diff = difflib.unified_diff(
        before_text, after_text, f"a/{_line(file)}", f"b/{_line(file)}", lineterm="", n=3
    )
    lines += [
        "",
        "## In the file, as `recon plan pull` writes it",
        "",
        *_fenced("diff", [visible(line) for line in diff]),
        "",
    ]
    return "\n".join(lines)


def _fenced(kind: str, lines: Sequence[str]) -> Iterator[str]:
    """A block that nothing within it can end: its fence is longer than any run of backticks in it."""
    longest = max((len(run) for line in lines for run in re.findall(r"`+", line)), default=0)
    fence = "`" * max(3, longest + 1)
    yield f"{fence}{kind}"
    yield from lines
    yield fence


def _line(text: str) -> str:
    return visible(masked(text))


def _cell(text: str) -> str:
    """A text in a cell of a Markdown table: no markup, no HTML, no new cell; addresses of people masked."""
    # An underscore within a word is one; everything else that Markdown reads as markup is escaped.
    return re.sub(r"([\\`*\[\]<>|~&]|(?<![A-Za-z0-9])_|_(?![A-Za-z0-9]))", r"\\\1", _line(text))


def as_json(patch: Patch, *, file: str, day: str, plan_id: str | None = None) -> str:
    """The patch for a program: requests in the order in which to send them, deletions apart, and the reasons."""
    path = PATH if plan_id is None else PATH.replace("{trackingPlanId}", plan_id)
    said = {
        "tracking_plan": file,
        "day": day,
        "requests": patch.requests(path),
        "deletions": patch.deletions,
        "proposals": [each.as_row() for each in patch.proposals],
    }
    return json.dumps(said, indent=2, ensure_ascii=False) + "\n"
