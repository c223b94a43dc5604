"""What changed between two states of a tracking plan, rule by rule and property by property, in words."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from dagster_project.core.message import visible
from dagster_project.core.segment_api import RuleKey, rule_key

# Stamps of the API that say nothing about what a plan demands.
_STAMPS: Final = frozenset({"createdAt", "updatedAt"})
_NEVER: Final = "0001-01-01T00:00:00.000Z"  # the API's way to write: not deprecated
_VALUE_LENGTH: Final = 60
_DEEPEST: Final = 60


@dataclass(frozen=True)
class RuleChange:
    """One rule that came (`added`), went (`removed`) or says something else (`changed`), with its lines."""

    kind: str
    rule: RuleKey
    lines: tuple[str, ...] = ()

    @property
    def title(self) -> str:
        """The rule in words: `TRACK "Order Completed"`, with the version where it is not the first."""
        type_, name, version = self.rule
        of_version = "" if version == "1" else f" version {version}"
        return type_ + (f' "{visible(name)}"' if name else "") + of_version


def rule_changes(before: Sequence[Mapping[str, Any]], after: Sequence[Mapping[str, Any]]) -> list[RuleChange]:
    """What turns the rules `before` into those `after`: removed first, then added, then changed, each by name."""
    old = {rule_key(rule): rule for rule in before}
    new = {rule_key(rule): rule for rule in after}
    found = [RuleChange("removed", key) for key in sorted(old.keys() - new.keys())]
    found += [RuleChange("added", key) for key in sorted(new.keys() - old.keys())]
    for key in sorted(old.keys() & new.keys()):
        lines = tuple(_lines(old[key], new[key]))
        if lines:
            found.append(RuleChange("changed", key, lines))
    return found


def told_changes(changes: Sequence[RuleChange], *, limit: int = 60) -> list[str]:
    """The changes for a terminal, at most `limit` lines and one that says how many more there are."""
    marks = {"removed": "-", "added": "+", "changed": "~"}
    lines: list[str] = []
    for change in changes:
        lines.append(f"{marks[change.kind]} {change.title}")
        lines += [f"    {line}" for line in change.lines]
    if len(lines) <= limit:
        return lines
    return [*lines[:limit], f"… and {len(lines) - limit} more lines"]


def _lines(old: Mapping[str, Any], new: Mapping[str, Any]) -> Iterator[str]:
    was, now = _leaves(old), _leaves(new)
    for path in sorted(was.keys() | now.keys()):
        one, other = was.get(path), now.get(path)
        if one == other:
            continue
        name = visible(_short(path))
        if one is None:
            yield f"+ {name}: {_value(other)}"
        elif other is None:
            yield f"- {name}: {_value(one)}"
        else:
            yield f"~ {name}: {_value(one)} is now {_value(other)}"


def _leaves(rule: Mapping[str, Any]) -> dict[tuple[str, ...], str]:
    """Every value of a rule that is no object, as JSON, by its path; a list of texts counts as a set."""
    found: dict[tuple[str, ...], str] = {}
    waiting: list[tuple[tuple[str, ...], Any]] = [
        ((name,), value)
        for name, value in rule.items()
        if name not in _STAMPS and not (name == "deprecatedAt" and value == _NEVER)
    ]
    while waiting:
        path, value = waiting.pop()
        if isinstance(value, Mapping) and value and len(path) < _DEEPEST:
            waiting += [((*path, str(name)), inner) for name, inner in value.items()]
        else:
            if isinstance(value, list) and path[-1] in ("required", "type", "enum"):
                value = sorted(value, key=lambda each: json.dumps(each, sort_keys=True))
            found[path] = json.dumps(value, ensure_ascii=False, sort_keys=True)
    return found


def _short(path: tuple[str, ...]) -> str:
    """A path without Segment's skeleton: `price.type` and not `jsonSchema.properties.properties...`."""
    if path[:1] != ("jsonSchema",) or len(path) == 1:
        return ".".join(path)
    path = path[1:]
    if path[0] == "properties" and len(path) > 2 and path[1] in ("properties", "traits"):
        of_traits = ("traits",) if path[1] == "traits" else ()
        inner = path[3:] if path[2] == "properties" and len(path) > 3 else path[2:]
        return ".".join((*of_traits, *inner))
    return ".".join(path)


def _value(text: str | None) -> str:
    said = visible(text or "")
    return said if len(said) <= _VALUE_LENGTH else said[: _VALUE_LENGTH - 1] + "…"
