"""One YAML file of the contract being read: values out, everything wrong with them to the side."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import date, timedelta
from functools import lru_cache
from typing import Final
from zoneinfo import available_timezones

from dagster_project.core.documents import Node, Problems, listed, quoted, shown, tell_duplicates
from dagster_project.core.durations import parse_duration, parse_share
from dagster_project.core.keys import NAME_PATTERN, SECTIONS

_NAME_RULE: Final = "write a-z, 0-9 and _, beginning with a letter, at most 63 characters"
_EARLIEST_YEAR, _LATEST_YEAR = 1970, 2200
# What people write for a zone although no zone has that name.
_ZONE_MEANT: Final = {
    **dict.fromkeys(("pst", "pdt", "pacific", "us pacific"), "America/Los_Angeles"),
    **dict.fromkeys(("mdt", "mountain"), "America/Denver"),
    **dict.fromkeys(("cst", "cdt", "central"), "America/Chicago"),
    **dict.fromkeys(("edt", "eastern", "us eastern"), "America/New_York"),
    **dict.fromkeys(("bst", "london time"), "Europe/London"),
    **dict.fromkeys(("cest", "mez", "mesz"), "Europe/Berlin"),
    **dict.fromkeys(("ist", "india"), "Asia/Kolkata"),
    **dict.fromkeys(("jst",), "Asia/Tokyo"),
    **dict.fromkeys(("aest", "aedt"), "Australia/Sydney"),
    **dict.fromkeys(("z", "zulu", "utc+0", "utc+00:00", "+00:00"), "UTC"),
}


class ContractFile:
    """One YAML file being read: values out, problems to the side."""

    def __init__(self, label: str, root: Node, problems: Problems) -> None:
        self.label = label
        self.root = root
        self.problems = problems

    def wrong(self, node: Node, fact: str, instead: str) -> None:
        self.problems.add(self.label, node.mark, fact, instead)

    def top(self, section: str, instead: str) -> dict[str, Node]:
        """The file's own keys."""
        if self.root.kind == "empty":
            self.wrong(self.root, "the file is empty", f"write {instead}")
            return {}
        if self.root.kind != "mapping":
            self.wrong(self.root, f"the file holds {self.root.described()}", f"write keys, {instead}")
            return {}
        return self.section(self.root, section)

    def section(self, node: Node, section: str) -> dict[str, Node]:
        """The known keys under a mapping; unknown, doubled and missing ones are told."""
        keys = SECTIONS[section]
        if node.kind != "mapping":
            example = next((key for key, said in keys.items() if said.required), next(iter(keys)))
            fact = f"{_of(section)} is {node.described()}"
            self.wrong(node, fact, f"write its keys, `{example}: ...`")
            return {}
        tell_duplicates(self.label, node, self.problems)
        found: dict[str, Node] = {}
        for key, value in node.pairs:
            if key.kind == "text" and key.text in keys:
                found[key.text] = value
                continue
            meant = self.problems.nearest(key.text, tuple(keys))
            instead = f"write `{meant}`" if meant else f"write one of {listed(keys)}"
            written = shown(key.text) if key.kind not in ("list", "mapping") else key.described()
            self.wrong(key, f"unknown key {written}", instead)
            if meant:
                found.setdefault(meant, value)  # so that it is not also called missing
        for name, key_said in keys.items():
            if key_said.required and name not in found:
                self.wrong(node, f"{_of(section)} has no `{name}`", f"write `{name}: ...` ({key_said.says})")
        return found

    # ------------------------------------------------------------------------------------------ values

    def string(self, node: Node, what: str) -> str | None:
        """A value that must be text."""
        if node.kind == "text":
            if node.text.strip():
                return node.text
            self.wrong(node, f"{what} is empty text", "write a value")
        elif node.kind == "empty":
            self.wrong(node, f"{what} is empty", "write a value, or delete the line")
        elif node.kind in ("list", "mapping"):
            self.wrong(node, f"{what} is {node.described()}", "write one text")
        else:
            self.wrong(
                node, f"{what} is {node.described()}, not text", f"write it in quotes, {quoted(node.text)}"
            )
        return None

    def text(self, found: Mapping[str, Node], key: str) -> str | None:
        node = found.get(key)
        return None if node is None else self.string(node, f"`{key}`")

    def boolean(self, found: Mapping[str, Node], key: str) -> bool:
        node = found.get(key)
        if node is None:
            return False
        if node.kind == "boolean":
            return node.text.lower() in ("true", "yes", "on", "y")
        meant = "false" if node.text.lower() in ("no", "off", "n", "0") else "true"
        self.wrong(node, f"`{key}` is {node.described()}, not true or false", f"write `{key}: {meant}`")
        return False

    def duration(self, found: Mapping[str, Node], key: str, *, zero: bool = True) -> timedelta | None:
        node = found.get(key)
        if node is None:
            return None
        if node.kind == "number":
            self.wrong(
                node, f"`{key}` is {node.described()}, without a unit", f"write a unit, `{node.text[:9]}h`"
            )
            return None
        written = self.string(node, f"`{key}`")
        if written is None:
            return None
        try:
            duration = parse_duration(written)
        except ValueError as error:
            self.wrong(node, f"`{key}` {shown(written)} {error}", "write one such as `90m`, `6h` or `1d 12h`")
            return None
        if not duration and not zero:
            self.wrong(node, f"`{key}` is no time at all", "write one such as `12h`")
            return None
        return duration

    def share(self, found: Mapping[str, Node], key: str) -> float | None:
        node = found.get(key)
        if node is None:
            return None
        written = node.text if node.kind == "number" else self.string(node, f"`{key}`")
        if written is None:
            return None
        try:
            return parse_share(written)
        except ValueError as error:
            plain = re.fullmatch(r"[0-9]{1,2}(\.[0-9]{1,4})?", written)
            instead = f"write `{written}%`" if plain else "write a share from 0% to 100%, such as `1%`"
            self.wrong(node, f"`{key}` {shown(written)} {error}", instead)
            return None

    def day(self, found: Mapping[str, Node], key: str) -> date | None:
        node = found.get(key)
        if node is None:
            return None
        if node.kind in ("date", "text") and re.fullmatch("[0-9]{4}-[0-9]{2}-[0-9]{2}", node.text, re.ASCII):
            try:
                day = date.fromisoformat(node.text)
            except ValueError:
                self.wrong(node, f"`{key}` {shown(node.text)} is in no calendar", "write a day that exists")
                return None
            if _EARLIEST_YEAR <= day.year <= _LATEST_YEAR:
                return day
            years = f"{_EARLIEST_YEAR} to {_LATEST_YEAR}"
            self.wrong(node, f"`{key}` {shown(node.text)} is out of range", f"write a day of {years}")
            return None
        self.wrong(node, f"`{key}` is {node.described()}, not a day", "write it as `2026-10-20`")
        return None

    def zone(self, found: Mapping[str, Node], key: str) -> str | None:
        written = self.text(found, key)
        if written is None or written in _zones():
            return written
        if not _zones():
            self.wrong(found[key], "this machine has no time zones", "install the tzdata package")
            return None
        meant = _zone_meant(written, self.problems)
        instead = f"write `{meant}`" if meant else "write an IANA name, such as `Europe/Berlin`"
        self.wrong(found[key], f"`{key}` {shown(written)} is no time zone", instead)
        return None

    def choice(self, found: Mapping[str, Node], key: str, choices: Sequence[str]) -> str | None:
        written = self.text(found, key)
        if written is None or written in choices:
            return written
        meant = self.problems.nearest(written, choices)
        instead = f"write `{meant}`" if meant else f"write one of {listed(choices)}"
        self.wrong(found[key], f"`{key}` is {shown(written)}", instead)
        return None

    def choices(self, found: Mapping[str, Node], key: str, choices: Sequence[str]) -> tuple[str, ...]:
        """One of the choices or a list of some, each once; empty when nothing is said."""
        node = found.get(key)
        if node is None:
            return ()
        if node.kind == "list" and not node.items:
            instead = f"write one of {listed(choices)}, or leave `{key}` away"
            self.wrong(node, f"`{key}` is an empty list", instead)
        items = node.items if node.kind == "list" else (node,)
        chosen = (self.choice({key: item}, key, choices) for item in items)
        return tuple(dict.fromkeys(each for each in chosen if each is not None))

    def items(self, top: Mapping[str, Node], key: str, example: str) -> Sequence[Node]:
        """The items of a list that may be left away."""
        node = top.get(key)
        if node is None or node.kind == "empty":
            return ()
        if node.kind != "list":
            self.wrong(node, f"`{key}` is {node.described()}", f"write a list, {example}")
            return ()
        return node.items

    def name_of(self, node: Node, what: str) -> str | None:
        """A name that also becomes that of an asset and of a dbt model."""
        name = self.string(node, f"the {what}'s name")
        if name is None or re.fullmatch(NAME_PATTERN, name):
            return name
        self.wrong(node, f"{shown(name)} cannot name a {what}", _NAME_RULE)
        return None

    def unknown(self, node: Node, what: str, known: Sequence[str]) -> None:
        meant = self.problems.nearest(node.text, known)
        if meant:
            instead = f"write `{meant}`"
        else:
            instead = f"write one of {listed(known)}" if known else f"declare the {what} first"
        self.wrong(node, f"no {what} is named {shown(node.text)}", instead)


def _of(section: str) -> str:
    names = {"workspace": "the workspace", "destination": "the destination", "override": "an override"}
    names |= {"source": "the source", "identifier": "the identifier", "overrides": "the file"}
    names |= {"mute": "a mute", "mutes": "the file", "quarantined": "a quarantine"}
    return names.get(section, f"`{section}`")


@lru_cache(maxsize=1)
def _zones() -> frozenset[str]:
    # `localtime` and `Factory` are files among the zones, not zones that two machines agree on.
    return frozenset(available_timezones()) - {"localtime", "Factory", "posixrules"}


def _zone_meant(written: str, problems: Problems) -> str | None:
    folded = " ".join(written.casefold().replace("_", " ").split())
    if folded in _ZONE_MEANT:
        return _ZONE_MEANT[folded]
    if re.match(r"(utc|gmt)? ?[+-][0-9]", folded):
        return None  # an offset is no zone: it does not know of summer
    by_city: dict[str, str] = {}
    for zone in sorted(_zones()):
        by_city.setdefault(zone.rpartition("/")[2].replace("_", " ").casefold(), zone)
    city = folded.rpartition("/")[2]
    if city in by_city:
        return by_city[city]
    return problems.nearest(written, sorted(_zones())) or by_city.get(
        problems.nearest(city, list(by_city)) or ""
    )
