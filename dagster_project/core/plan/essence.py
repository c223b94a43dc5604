"""What of a JSON Schema can be broken: the keywords of draft-07 without all that only describes."""

from __future__ import annotations

from typing import Any, Final

from dagster_project.core.plan.formats import FORMATS
from dagster_project.core.plan.model import KIND_OF
from dagster_project.core.plan.schema import MANY, NAMED, ONE

_KEYWORDS: Final = frozenset(KIND_OF) | {"properties", "then", "else"}


def essence(schema: Any) -> Any:
    """The schema with the keywords that a judge knows, in the order in which they were written.

    Titles, labels and ids are left out, and so are formats that nobody judges, `then` and `else` without their `if`,
    and `additionalItems` without a list of items: JSON Schema lets all of it pass.
    """
    if not isinstance(schema, dict):
        return schema
    kept: dict[str, Any] = {}
    for keyword, value in schema.items():
        if keyword not in _KEYWORDS or _says_nothing(schema, keyword, value):
            continue
        if keyword in NAMED and isinstance(value, dict):
            kept[keyword] = {name: essence(inner) for name, inner in value.items()}
        elif keyword in MANY and isinstance(value, list):
            kept[keyword] = [essence(inner) for inner in value]
        elif keyword in ONE:
            kept[keyword] = essence(value)
        else:
            kept[keyword] = value
    return kept


def _says_nothing(schema: dict[str, Any], keyword: str, value: Any) -> bool:
    if keyword in ("then", "else"):
        return "if" not in schema
    if keyword == "additionalItems":
        return not isinstance(schema.get("items"), list)
    return keyword == "format" and value not in FORMATS
