"""The formats of draft-07 that are judged, each as an RE2 pattern that Python and JavaScript share."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from typing import Final

_DATE = r"\d{4}-(?:0[1-9]|1[0-2])-(?:0[1-9]|[12]\d|3[01])"
_CLOCK = r"(?:[01]\d|2[0-3]):[0-5]\d:[0-5]\d(?:\.\d+)?"
_ZONE = r"(?:Z|[-+](?:[01]\d|2[0-3]):[0-5]\d)"
_LABEL = r"[a-zA-Z0-9](?:[a-zA-Z0-9-]{0,61}[a-zA-Z0-9])?"
_BYTE = r"(?:25[0-5]|2[0-4]\d|1\d\d|[1-9]?\d)"
_IPV4 = rf"{_BYTE}(?:\.{_BYTE}){{3}}"
_HEX = "[0-9a-fA-F]{1,4}"

# Segment's violations are worded as those of gojsonschema, whose date-time also takes a date or a time alone.
_PATTERNS: Final[Mapping[str, str]] = {
    "date-time": rf"{_DATE}T{_CLOCK}{_ZONE}|{_DATE}|{_CLOCK}{_ZONE}?",
    "date": _DATE,
    "time": rf"{_CLOCK}{_ZONE}?",
    "email": r"[^\s@<>()\[\],;:\\]+@[^\s@<>()\[\],;:\\.]+(?:\.[^\s@<>()\[\],;:\\.]+)*",
    "hostname": rf"{_LABEL}(?:\.{_LABEL})*",
    "ipv4": _IPV4,
    "ipv6": (
        rf"(?:{_HEX}:){{7}}{_HEX}|(?:{_HEX}:){{1,7}}:|:(?::{_HEX}){{1,7}}|::"
        + "".join(rf"|(?:{_HEX}:){{1,{n}}}(?::{_HEX}){{1,{7 - n}}}" for n in range(1, 7))
        + rf"|(?:{_HEX}:){{6}}{_IPV4}|::(?:{_HEX}:){{0,5}}{_IPV4}"
        + "".join(rf"|(?:{_HEX}:){{1,{n}}}:(?:{_HEX}:){{0,{5 - n}}}{_IPV4}" for n in range(1, 6))
    ),
    "uri": r"[a-zA-Z][a-zA-Z0-9+.-]*:[^\s<>\"{}|\\^`]+",
    "uri-reference": r"[^\s<>\"{}|\\^`]*",
    "uuid": "[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}",
    "json-pointer": r"(?:/(?:[^~/]|~[01])*)*",
}
# The whole text must be it. What no judge knows passes, as JSON Schema says; a plan's listing names it.
FORMATS: Final[Mapping[str, str]] = {name: rf"^(?:{pattern})\z" for name, pattern in _PATTERNS.items()}
# Those whose values a warehouse keeps as timestamps, not as text.
TIME_FORMATS: Final = frozenset(("date-time", "date", "time"))


def is_day(text: str) -> bool:
    """Whether the calendar has the day that a text begins with (`2026-02-30` it has not)."""
    year = (
        "2000" if text.startswith("0000") else text[:4]
    )  # Python's calendar begins at 1; the year 0 leaps, too
    try:
        date.fromisoformat(year + text[4:10])
    except ValueError:
        return False
    return True
