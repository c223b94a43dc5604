"""What was probably meant by a name that the plan does not have: a hint, never a verdict."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import SequenceMatcher
from functools import cached_property
from typing import Any, Final

from dagster_project.core.documents import shown
from dagster_project.core.naming.words import base, letters, words
from dagster_project.core.plan.judge import Violation
from dagster_project.core.plan.model import CALLS, RULE_TYPE_OF, PlannedEvent, TrackingPlan
from dagster_project.core.plan.properties import of_properties
from dagster_project.core.slug import slug

_LIKE: Final = 0.72
# Comparing is slow (20 microseconds a pair, 2026-11-23): a file full of unplanned names gets hints for the first.
_MOST_COMPARED: Final = 200_000


class Meant:
    """Finds the planned name that is nearest; each name is looked up once."""

    def __init__(self, plan: TrackingPlan) -> None:
        self._plan = plan
        self._known: dict[tuple[str, str], str | None] = {}
        self._indices: dict[str, tuple[list[str], dict[str, str]]] = {}
        self._budget = _MOST_COMPARED

    def instead(self, violation: Violation, value: Any) -> str:
        """What to send, with the planned name or value where one is near."""
        if violation.kind == "unplanned_event" and violation.event:
            found = self._nearest("", violation.event, self._plan.events)
            if found is not None:
                return f"did you mean {shown(found)}? Send that, or put this one into the plan"
        elif violation.kind == "unplanned_property" and violation.path:
            names = self._properties.get((violation.call, violation.event), ())
            found = self._nearest(f"{violation.call} {violation.event}", str(violation.path[-1]), names)
            if found is not None:
                return f"did you mean {shown(found)}? Send that, or put this one into the plan"
        elif violation.kind == "enum" and isinstance(value, str):
            found = self._nearest(
                f"{violation.call} {violation.event} {violation.property}=", value, self._allowed(violation)
            )
            if found is not None:
                return f"did you mean {shown(found)}? Send one of them, letter by letter"
        return violation.instead

    @cached_property
    def _properties(self) -> dict[tuple[str, str], list[str]]:
        call_of = {kind: call for call, kind in RULE_TYPE_OF.items()}
        found: dict[tuple[str, str], list[str]] = {}
        for event in self._plan.all_rules():
            if event.type in call_of:
                name = event.name if event.type in ("TRACK", "PAGE", "SCREEN") else ""
                found.setdefault((call_of[event.type], name), []).extend(_names(event))
        return found

    def _allowed(self, violation: Violation) -> list[str]:
        rules: Iterable[PlannedEvent] = self._plan.versions.get(violation.event, ())
        if violation.call in CALLS and violation.call != "track":
            rules = self._plan.rules_for(violation.call, violation.event)  # type: ignore[arg-type]
        return [
            value
            for event in rules
            for rule in event.rules
            if rule.property == violation.property
            for value in rule.enum or ()
        ]

    def _nearest(self, within: str, name: str, known: Iterable[str]) -> str | None:
        key = (within, name)
        if key not in self._known:
            self._known[key] = self._search(name, self._index(within, known))
        return self._known[key]

    def _index(self, within: str, known: Iterable[str]) -> tuple[list[str], dict[str, str]]:
        """The names, and each by its letters and by its slug."""
        if within not in self._indices:
            names = list(known)
            folded = {key(each): each for key in (slug, letters) for each in reversed(names)}
            self._indices[within] = (names, folded)
        return self._indices[within]

    def _search(self, name: str, index: tuple[list[str], dict[str, str]]) -> str | None:
        known, folded = index
        found = folded.get(letters(name)) or folded.get(slug(name))
        if found is not None and letters(name):
            return found
        if len(known) > self._budget or len(name) > 200:
            return None
        self._budget -= len(known)
        best = max(known, key=lambda each: _likeness(name, each), default=None)
        return best if best is not None and _likeness(name, best) >= _LIKE else None


def _likeness(one: str, other: str) -> float:
    """0 to 1: the better of shared words and of shared letters."""
    mine, theirs = ({base(word) for word in words(name)} for name in (one, other))
    shared = len(mine & theirs) / len(mine | theirs) if mine and theirs else 0.0
    return max(shared, SequenceMatcher(None, letters(one), letters(other), autojunk=False).ratio())


def _names(event: PlannedEvent) -> list[str]:
    return list(of_properties(dict(event.message_schema), event.type).get("properties", {}))
