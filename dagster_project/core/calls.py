"""The calls besides track: the table that each lands in, and what stands where an event has its name."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from dagster_project.core.plan import CALLS, NAMELESS, Call
from dagster_project.core.plan.model import RULE_TYPE_OF

# `users` and `accounts` hold only the latest state of the same calls.
TABLE_OF_CALL: Final[Mapping[Call, str]] = {
    "identify": "identifies",
    "group": "groups",
    "page": "pages",
    "screen": "screens",
}


def event_of_call(call: Call) -> str:
    """What stands in the place of an event's name: `(identify)`."""
    return NAMELESS[RULE_TYPE_OF[call]]


_CALL_OF_EVENT: Final[Mapping[str, Call]] = {event_of_call(call): call for call in CALLS if call != "track"}

CALL_EVENTS: Final = frozenset(_CALL_OF_EVENT)


def call_of_event(event: str | None) -> Call:
    """The call that a name stands for; every other name is a track event's."""
    return _CALL_OF_EVENT.get(event or "", "track")
