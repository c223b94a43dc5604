"""Says what is known of changed volumes: drops, spikes, and messages that a source sends twice."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

Shown = Callable[[object], str]
Get = Callable[..., Any]
_LISTED = 5


def anomaly_title(event: str, source: str, get: Get, *, whole: bool, since: str) -> str:
    """*"Signup Completed" fell to 38% of its usual volume in web_app since 20 Oct*"""
    if whole and get("events"):
        return f"{len(_list(get('events')))} events of {source} {_moved(get)} at once, {since}"
    if whole:
        return f"{source} sends {_share(get)} of its usual volume {since}"
    return f"{event} of {source} {_moved(get)}, {since}"


def anomaly_what(
    event: str, source: str, get: Get, shown: Shown, number: Shown, *, whole: bool, since: str
) -> str:
    amounts = f"about {number(get('usual_per_day'))} a day were due, and {number(get('now_per_day'))} came"
    if whole and get("events"):
        events = _list(get("events"))
        names = ", ".join(f'"{shown(name)}"' for name in events[:_LISTED])
        more = f" and {len(events) - _LISTED} more" if len(events) > _LISTED else ""
        return f"{source} {since}: {amounts}, summed over {names}{more}. Its other events go on as usual."
    if whole:
        return (
            f"{source} {since}: {amounts}. All of its events fell alike, so it is the source, not an event."
        )
    return f"{source} {since}: of {event} {amounts}, while the other events of the source went on."


def anomaly_why(get: Get, shown: Shown, *, whole: bool) -> str:
    due = "What was due goes by the weeks before and the weekday"
    if whole and not get("events"):
        parts = [f"{due}. A holiday seldom takes more than two thirds of a day's messages; this took more."]
    else:
        parts = [
            f"{due}, and by what the rest of the source did on the same days, so a campaign or a holiday is not"
            " the reason."
        ]
    versions = _list(get("app_versions_silent"))
    if versions:
        names = ", ".join(shown(version) for version in versions[:_LISTED])
        parts.append(
            f"App version {names} fell silent, and the other versions went on: look at that release."
        )
    if get("new_level"):
        parts.append("The new volume has lasted for four weeks; from then on it counts as usual.")
    return " ".join(parts)


def anomaly_next(event: str, source: str, get: Get, *, whole: bool, start: str) -> str:
    what = f"{source}" if whole else f"{event} in {source}"
    if get("direction") == "spike":
        return (
            f"Ask the owner of {source} what began on {start}: a loop that sends {what} over and over, a test on"
            " production, a bot, or a back-fill. If it was meant, nothing is to be done."
        )
    return (
        f"Ask the owner of {source} what was released or switched off around {start}: a screen that lost its call,"
        f" an app version, a consent banner. If less of {what} is meant, nothing is to be done."
    )


def doubles_title(event: str, source: str, *, whole: bool, since: str) -> str:
    return f"{source} sends {'its messages' if whole else event} twice under different ids, {since}"


def doubles_what(
    event: str, source: str, get: Get, number: Shown, percent: Shown, count: str, *, whole: bool, since: str
) -> str:
    what = "messages" if whole else event
    return (
        f"{percent(get('twin_share'))} of the {what} of {source} {since} repeat another one of the same user and"
        f" name within {number(get('within_seconds') or 10)} seconds under an id of their own: {count} too many."
        " Every destination counts them twice, and none can tell, because the ids differ."
    )


def doubles_why(get: Get, percent: Shown) -> str:
    usual = get("usual_twin_share")
    if get("since_history_begins") or usual is None:
        return "It has been so since history begins: nearly every message has a twin, which no user does by hand."
    return (
        f"Usually {percent(usual)} have such a twin. Without the twins the volume is what it always was, so it is not"
        " growth."
    )


def doubles_next(event: str, source: str, *, whole: bool, start: str, at: str) -> str:
    what = "its calls" if whole else f"the call of {event}"
    there = f" Then remove the second ones of these days from {at}." if at else ""
    return (
        f"Find what sends {what} a second time in {source} since {start}: a library or tag that was added beside the"
        f" old one, an event handler that is bound twice, or the server and the browser both sending.{there}"
    )


def _moved(get: Get) -> str:
    ratio = get("ratio")
    if get("direction") == "spike":
        times = f"{float(ratio):.1f}" if isinstance(ratio, int | float) else "several"
        return f"rose to {times} times the usual volume"
    return f"fell to {_share(get)} of the usual volume"


def _share(get: Get) -> str:
    ratio = get("ratio")
    return f"{round(100 * float(ratio))}%" if isinstance(ratio, int | float) else "a part"


def _list(value: Any) -> list[Any]:
    return list(value) if isinstance(value, list | tuple) and not isinstance(value, Mapping) else []
