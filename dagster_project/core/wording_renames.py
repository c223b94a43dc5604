"""The texts that mend a rename: plan rule, mapping, alias line and view, ready to be copied."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from dagster_project.core.wording_names import alias, shown

# A longer name, or one with an e-mail address or hidden characters in it, is shown cut or masked: a text made
# of it could not be copied.
LONGEST = 80
LISTED = 4  # renames that are named; the rest is counted
_PLAIN_SQL = re.compile(r"[a-z_][a-z0-9_]*")


def patch(
    *, source: str, schema: str, slug: str, old: str, new: str, planned: bool, there: Mapping[str, str]
) -> dict[str, Any]:
    """What to put where, so that both names are one again. `there` is what each destination calls the old one.

    Empty where a name cannot be written down safely.
    """
    if not (copyable(old) and copyable(new)):
        return {}
    texts: dict[str, Any] = {
        "mapping": f"{_quoted(old)} or {_quoted(new)}",
        "alias": {name: alias(new, called) for name, called in there.items() if copyable(called)},
        "sql_view": sql_view(schema, slug, old, new),
    }
    if not planned:
        texts["plan_rule"] = plan_rule(new)
    return texts


def copyable(name: str) -> bool:
    """Whether a name is shown as it is, so that a text with it in can be copied."""
    return 0 < len(name) <= LONGEST and shown(name) == name


def plan_rule(name: str) -> str:
    """A rule of a tracking plan as Segment's Public API takes it; its properties are the old name's."""
    rule = {"type": "TRACK", "key": name, "version": 1, "jsonSchema": {"type": "object"}}
    return json.dumps(rule, ensure_ascii=True)


def sql_view(schema: str, slug: str, old: str, new: str) -> list[str]:
    """A view in which both names are the old one, line by line; the same on DuckDB and Snowflake."""
    place = _identifier(schema)
    view = re.sub(r"[^a-z0-9_]", "", slug.lower())[:60].strip("_") or "event"
    return [
        f"create or replace view {place}.{_identifier(f'{view}_both_names')} as",
        f"select t.*, {sql_text(old)} as event_name",
        f"from {place}.tracks as t",
        f"where t.event_text = {sql_text(old)}",
        f"or t.event_text = {sql_text(new)}",
    ]


def sql_text(value: str) -> str:
    """A text literal that every warehouse reads alike: Snowflake takes a backslash for an escape."""
    parts = [part.replace("'", "''") for part in value.split("\\")]
    return " || chr(92) || ".join(f"'{part}'" for part in parts)


def _identifier(name: str) -> str:
    # A plain name unquoted, since Snowflake keeps it in capitals.
    return name if _PLAIN_SQL.fullmatch(name) else '"' + name.replace('"', '""') + '"'


def _quoted(name: str) -> str:
    return json.dumps(name, ensure_ascii=False)


# --- sentences ------------------------------------------------------------------------------------------


def whole(evidence: Mapping[str, Any], old: str, new: str) -> str:
    """That a rename has more than two names: one became several, or several became one."""
    others = [shown(name) for name in evidence.get("split") or ()]
    if others:
        return f'"{shown(old)}" became {_and([shown(new), *others])} together.'
    others = [shown(name) for name in evidence.get("merge") or ()]
    if others:
        return f'{_and([shown(old), *others])} together became "{shown(new)}".'
    return ""


def moved(evidence: Mapping[str, Any]) -> str:
    """How much has moved, and in which versions of the app."""
    share = evidence.get("share_moved")
    text = ""
    if isinstance(share, int | float) and share < 0.95:
        text = f"{round(100 * share)}% of it has the new name in the last days."
    versions = evidence.get("app_versions")
    if isinstance(versions, Mapping) and versions:
        said = [
            f"{shown(name)} {round(100 * float(each['share_moved']))}%"
            for name, each in list(versions.items())[:6]
            if isinstance(each, Mapping) and isinstance(each.get("share_moved"), int | float)
        ]
        if said:
            text += f"{' ' if text else ''}Under the new name by app version: {', '.join(said)}."
    return text


def reasons(kinds: Mapping[str, Any]) -> list[str]:
    """Why, by the kinds of evidence that only some renames have."""
    parts = []
    timing = kinds.get("timing")
    if isinstance(timing, Mapping) and timing.get("app_versions"):
        names = ", ".join(shown(name) for name in list(timing["app_versions"])[:4])
        parts.append(f"the versions that send the new name ({names}) are those that stopped to send the old")
    users = kinds.get("users")
    if isinstance(users, Mapping):
        parts.append(
            f"only {users.get('both', 0):,} users sent both names on {users.get('day')}, where"
            f" {users.get('expected_both', 0):,} would be usual"
        )
    return parts


def lost(renamed: Sequence[Mapping[str, Any]], at: str, day: Callable[[Any], str]) -> str:
    """That a loss is what a rename left behind: the destination has never had these messages."""
    said = [
        f'{shown(each.get("source"))} sends "{shown(each.get("event"))}" as "{shown(each.get("new"))}" since'
        f" {day(each.get('since'))}"
        for each in renamed[:LISTED]
    ]
    more = f"; and {len(renamed) - LISTED} more" if len(renamed) > LISTED else ""
    return (
        f"This is left of a rename: {'; '.join(said)}{more}. The contract takes the new name by now; what was sent"
        f" under it on these days did not arrive at {at}."
    )


def lost_next(renamed: Sequence[Mapping[str, Any]], at: str, days: str, *, over: bool) -> str:
    """Map first, unless it arrives by now, then replay."""
    names = _and(dict.fromkeys(shown(each.get("new")) for each in renamed[:LISTED]))
    mapped = "" if over else f"See that {at} takes {names}, as its contract says. Then "
    replay = f"eplay {days} from Segment to {at}: what was sent before that is not sent again by itself."
    return f"{mapped}{'R' if over else 'r'}{replay}"


def property_title(name: str, new: str, event: str, source: str, since: str) -> str:
    return f'{shown(name)} of "{shown(event)}" is sent as {shown(new)} by {shown(source)} {since}'


def property_reason(evidence: Mapping[str, Any]) -> str:
    """The two shares before and after, in one sentence."""
    usual, old, new = (evidence.get(key) for key in ("usual_share", "old_now_share", "new_now_share"))
    if not all(isinstance(each, int | float) for each in (usual, old, new)):
        return ""
    said = [f"{round(100 * float(each or 0))}%" for each in (usual, old, new)]
    return f"Why: {said[0]} of the messages had it before; now {said[1]} have it, and {said[2]} the new one."


def property_next(name: str, new: str, event: str, source: str) -> str:
    was, now = shown(name), shown(new)
    return (
        f'Send {was} of "{shown(event)}" again in the next release of {shown(source)}. If {now} is to stay, put it'
        f" into the tracking plan in place of {was}, and read both where {was} is used:"
        f" coalesce({was}, {now})."
    )


def _and(names: Iterable[str]) -> str:
    every = [f'"{name}"' for name in names]
    return ", ".join(every[:-1]) + f" and {every[-1]}" if len(every) > 1 else "".join(every)
