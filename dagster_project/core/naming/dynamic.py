"""Names with a variable part: ids, dates, addresses and numbers that make a table or a column of each value."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from dagster_project.core.naming.words import LONGEST

_GAP, _SIGN, _MONTH, _DAY, _SHORT = (
    "[-_./ ]",
    "[-_./]",
    "(0[1-9]|1[0-2])",
    "(0[1-9]|[12][0-9]|3[01])",
    "([012]?[1-9]|[123]0|31)",
)
# What a name holds that no person chose, surest first. E-mail addresses are never repeated, only named.
_PARTS: Final = (
    ("an e-mail address", re.compile(r"(?<![\w.%+-])[\w.%+-]++@[\w-]+(\.[\w-]+)+")),
    ("an address of the web", re.compile(r"(?i)\b(https?://|www\.)\S+")),
    (
        "a uuid",
        re.compile(
            r"(?i)(?<![0-9a-f])[0-9a-f]{8}[-_ ]?[0-9a-f]{4}[-_ ]?[0-9a-f]{4}[-_ ]?[0-9a-f]{4}[-_ ]?[0-9a-f]{12}(?![0-9a-f])"
        ),
    ),
    ("an address of the internet", re.compile(r"(?<!\d)(\d{1,3}\.){3}\d{1,3}(?!\d)")),
    (
        "a date",
        re.compile(
            rf"(?<!\d)(20\d{{2}}{_GAP}?{_MONTH}{_GAP}?{_DAY}|{_SHORT}{_SIGN}{_SHORT}{_SIGN}(20)?\d{{2}})(?!\d)"
        ),
    ),
    ("a long id", re.compile(r"(?i)(?<![0-9a-z])(?=[0-9a-f]*\d)(?=[0-9a-f]*[a-f])[0-9a-f]{12,}(?![0-9a-z])")),
    ("a long number", re.compile(r"(?<!\d)\d{5,}(?!\d)")),
    ("a year", re.compile(r"(?<!\d)20[0-4]\d(?!\d)")),
)
# A year may be a product's name: told, and no error.
_UNSURE: Final = frozenset({"a year"})
# So many names that differ in digits only are one name with a variable in it.
FAMILY: Final = 5
_DIGITS: Final = re.compile(r"\d+")


@dataclass(frozen=True)
class Family:
    """Names that differ in digits only: their common shape with # for each number, and how many there are."""

    shape: str
    names: tuple[str, ...]


def variable_part(name: str) -> tuple[str, bool] | None:
    """What variable part a name holds, and whether that is sure; None for none."""
    for what, pattern in _PARTS:
        if pattern.search(name[:LONGEST]):
            return what, what not in _UNSURE
    return None


def families(names: Iterable[str]) -> list[Family]:
    """The families of names that differ in digits only, largest first."""
    by_shape: dict[str, list[str]] = defaultdict(list)
    for name in sorted(set(names)):
        shape = _DIGITS.sub("#", name)
        if shape != name:
            by_shape[shape].append(name)
    found = [Family(shape, tuple(group)) for shape, group in by_shape.items() if len(group) >= FAMILY]
    return sorted(found, key=lambda family: (-len(family.names), family.shape))


def dynamic_names(names: Iterable[str]) -> set[str]:
    """The names that hold a sure variable part, or belong to a family."""
    listed = list(names)
    sure = {name for name in listed if (part := variable_part(name)) and part[1]}
    return sure | {name for family in families(listed) for name in family.names}


def masked(name: str) -> str:
    """The name with its e-mail addresses taken out: a name may be shown, a person's address not."""
    return _PARTS[0][1].sub("(an e-mail address)", name)
