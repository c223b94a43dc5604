"""Says what is known of a loss: what the missing messages have in common, and how an export's clock is off."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

Shown = Callable[[object], str]
_ATTRIBUTES: Mapping[str, str] = {
    "source": "from {}",
    "event": "{}",
    "app_version": "app version {}",
    "library_version": "library version {}",
    "hour": "in the hour from {}:00",
    "user_shape": "with {} as user id",
    "consent": "with consent refused for {}",
    "violation": "that break the plan ({})",
}
_SHAPES: Mapping[str | None, str] = {
    "email": "an e-mail address",
    "uuid": "a uuid",
    "integer": "a number",
    "empty": "an empty text",
    "other": "an odd text",
    "null": "nothing",
    None: "nothing",
}


def contrast(found: Any, shown: Shown, number: Shown, percent: Shown) -> str:
    """The sentence about what is hit: *5,207 of 83,337 messages from ios_app, app version 3.2.0 are missing ...*"""
    if not isinstance(found, Mapping):
        return ""
    if found.get("spread_evenly"):
        return (
            "Nothing about the messages explains it: the loss is spread evenly over sources, versions, hours and"
            " ids. Look at the destination itself, its credentials or its limits."
        )
    attributes = found.get("attributes")
    if not isinstance(attributes, Mapping) or not attributes:
        return ""
    group = " and ".join(_attribute(str(name), value, shown) for name, value in attributes.items())
    elsewhere = found.get("missing_elsewhere")
    beside = f"; {percent(elsewhere)} elsewhere" if elsewhere else "; none elsewhere"
    return (
        f"It hits messages {group}: {number(found.get('missing'))} of {number(found.get('messages'))} are missing"
        f"{beside}. That is {percent(found.get('share_of_the_missing'))} of the gap."
    )


def _attribute(name: str, value: Any, shown: Shown) -> str:
    if name == "user_shape":
        return f"with {_SHAPES.get(value, shown(value))} as user id"
    words = _ATTRIBUTES.get(name, name.replace("_", " ") + " {}")
    return words.format("an unknown value" if value is None else shown(value))


def hours_off(hours: Any) -> str:
    """*3 hours behind*, of a clock whose deliveries stand so many hours after (+) or before (-) the messages."""
    count = abs(hours) if isinstance(hours, int) else 0
    unit = "hour" if count == 1 else "hours"
    return f"{count} {unit} {'ahead' if isinstance(hours, int) and hours > 0 else 'behind'}"


def late_days(days: Sequence[Any], day: Callable[[Any], str]) -> str:
    """The days of which nothing has come."""
    return ", ".join(day(each) for each in days)
