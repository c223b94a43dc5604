"""Lands messages as Segment's warehouse connectors do: flat columns, typed by their first value."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final

from dagster_project.core.plan.properties import as_text
from dagster_project.core.slug import slug

_MOMENT: Final = re.compile(r"\d{4}-\d\d-\d\d(T\d\d:\d\d:\d\d(\.\d+)?(Z|[-+]\d\d:\d\d))?")
_NUMBER: Final = re.compile(r"[-+]?\d+(\.\d+)?([eE][-+]?\d+)?")
_CUT: Final = 512  # characters of a text that Segment keeps


@dataclass
class Table:
    """An event table: its columns by name, and its rows as they were kept."""

    columns: dict[str, str] = field(default_factory=dict)
    rows: list[dict[str, Any]] = field(default_factory=list)

    def land(self, message_id: str, properties: Mapping[str, Any]) -> None:
        """Keep one message; a null makes no column, and the first value gives a column its type for ever."""
        row: dict[str, Any] = {"id": message_id}
        for column, value in leaves(properties):
            kept = stored_as_json(value)
            kind = self.columns.setdefault(column, natural_type(kept))
            row[column] = cast(kept, kind)
        self.rows.append(row)


def leaves(properties: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """The columns of an object: one a leaf, arrays whole, nulls none, names without a letter none."""
    for name, value in properties.items():
        column = slug(name)
        if not column or value is None:
            continue
        if isinstance(value, Mapping):
            yield from leaves(value, f"{prefix}{column}_")
        else:
            yield prefix + column, value


def stored_as_json(value: Any) -> Any:
    """An array as its text, and a whole number as an integer, which is how JavaScript sends it."""
    if isinstance(value, list):
        return as_text(value)
    if isinstance(value, float) and value.is_integer() and abs(value) < 2**53:
        return int(value)
    return value


def natural_type(value: Any) -> str:
    """The column type that a first value makes."""
    if isinstance(value, bool):
        return "boolean"
    if isinstance(value, int):
        return "bigint"
    if isinstance(value, float):
        return "double"
    return "timestamp" if moment(value) is not None else "varchar"


def moment(text: str) -> datetime | None:
    """The time that an ISO-8601 text names, as naive UTC."""
    if not _MOMENT.fullmatch(text):
        return None
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        return None
    return found.astimezone(UTC).replace(tzinfo=None) if found.tzinfo else found


def cast(value: Any, kind: str) -> Any:
    """What becomes of a value in a column that has its type already; None when it is dropped."""
    text = as_text(value)
    if kind == "varchar":
        return text[:_CUT]
    if kind == "timestamp":
        return moment(text)
    if kind == "boolean":
        return {"true": True, "false": False}.get(text.lower())
    if isinstance(value, bool) or not _NUMBER.fullmatch(text):
        return None
    number = float(text)
    if kind == "double":
        return number
    if abs(number) >= 2**63:
        return None
    return int(number) if not isinstance(value, int) else value


def cast_or_dropped(value: Any, kind: str) -> bool:
    """Whether a column of this type keeps less of the value than it was: another type, or nothing at all."""
    kept = stored_as_json(value)
    if natural_type(kept) != kind and (kind, natural_type(kept)) != ("double", "bigint"):
        return True
    # In a text column, nobody can tell "1" from 1 any more.
    return (
        kind == "varchar" and isinstance(kept, str) and bool(_NUMBER.fullmatch(kept.strip()) or _word(kept))
    )


def _word(text: str) -> bool:
    return text.strip().lower() in ("true", "false") or text[:1] in ("[", "{")


def tables(messages: Sequence[tuple[str, str, Mapping[str, Any]]]) -> dict[str, Table]:
    """Event tables by slug, of (message id, event, properties) in the order in which they came."""
    found: dict[str, Table] = {}
    for message_id, event, properties in messages:
        found.setdefault(slug(event), Table()).land(message_id, properties)
    return found
