"""A plan as people keep it in a spreadsheet: CSV, one row an event and property, read into the API's rules."""

from __future__ import annotations

import itertools
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from dagster_project.core.documents import Mark, Problems, Steps, listed, shown
from dagster_project.core.plan.model import NAMELESS, RULE_TYPES

# Segment's own limits of an upload (documented 2025): 15 MB and 100,000 rows.
MOST_BYTES: Final = 15_000_000
MOST_ROWS: Final = 100_000

# What a column is called, in lower case and with one blank between words.
COLUMNS: Final[Mapping[str, tuple[str, ...]]] = {
    "call": ("call", "call type", "event type", "method", "rule type"),
    "event": ("event", "event name", "event key", "track event", "key"),
    "version": ("version", "event version"),
    "property": ("property", "property name", "property key", "field", "attribute", "parameter"),
    "trait": ("trait", "trait name"),
    "type": ("type", "data type", "datatype", "property type", "property data type"),
    "required": (
        "required",
        "status",
        "property status",
        "mandatory",
        "is required",
        "required?",
        "presence",
    ),
    "nullable": ("nullable", "allow null", "allow null values", "null allowed"),
    "values": (
        *("allowed property values", "allowed values", "enum", "enum values", "permitted values"),
        *("possible values", "values", "options"),
    ),
    "pattern": ("pattern", "regex", "regular expression", "regexp"),
    "format": ("format",),
    "minimum": ("min", "minimum", "min value"),
    "maximum": ("max", "maximum", "max value"),
    "description": ("description", "property description", "definition", "comment", "comments", "notes"),
    "event_description": ("event description", "when", "trigger"),
    "labels": ("label", "labels", "tags"),
    "owner": ("owner", "event owner", "team"),
    "example": ("example", "examples", "example value", "sample", "sample value"),
}
_COLUMN_OF: Final = {name: column for column, names in COLUMNS.items() for name in names}
# What Segment writes into the export of a source's schema, which says what was sent, not what may be.
_SCHEMA_EXPORT: Final = frozenset(("last seen at (utc)", "planned", "blocked", "allowed"))

_TYPES: Final[Mapping[str, dict[str, str]]] = {
    "any": {},
    "": {},
    **{
        name: {"type": name} for name in ("array", "boolean", "integer", "null", "number", "object", "string")
    },
    **{name: {"type": "string"} for name in ("text", "str", "varchar", "char")},
    **{name: {"type": "integer"} for name in ("int", "long", "bigint", "whole number")},
    **{name: {"type": "number"} for name in ("float", "double", "decimal", "numeric")},
    **{name: {"type": "boolean"} for name in ("bool", "true/false", "flag")},
    **{name: {"type": "array"} for name in ("list",)},
    **{
        name: {"type": "string", "format": "date-time"}
        for name in ("date time", "datetime", "date-time", "timestamp", "iso-8601", "iso 8601", "iso8601")
    },
    "date": {"type": "string", "format": "date"},
}
_YES: Final = frozenset(("required", "yes", "y", "true", "1", "x", "mandatory", "always", "must"))
_NO: Final = frozenset(("", "optional", "no", "n", "false", "0", "-", "recommended", "sometimes"))
_LOOKS_LIKE_A_PATTERN: Final = re.compile(r"^\^|\$$|[\\\[\](){}*+]")
_SCHEMA: Final = "http://json-schema.org/draft-07/schema#"


@dataclass(frozen=True, slots=True)
class _Cell:
    text: str
    mark: Mark
    unclosed: bool = False  # it begins with a quote that nothing closes


class Sheet:
    """The rules that a sheet says, in the API's shape, and where each of them stands."""

    def __init__(self) -> None:
        self.rules: list[dict[str, Any]] = []
        self._marks: dict[Steps, Mark] = {}

    @property
    def value(self) -> dict[str, Any]:
        """What the API would have answered."""
        return {"rules": self.rules}

    def mark(self, path: Steps) -> Mark:
        """Where what stands at a path of `value` was written: the nearest cell or row."""
        for end in range(len(path), -1, -1):
            if path[:end] in self._marks:
                return self._marks[path[:end]]
        return Mark()

    def note(self, path: Steps, mark: Mark) -> None:
        self._marks.setdefault(path, mark)


def read_sheet(file: str, text: str, problems: Problems) -> Sheet | None:
    """The rules of a CSV text; None, and problems, when it has no usable header."""
    if len(text) > MOST_BYTES:
        problems.add(
            file, Mark(), f"the sheet is {len(text):,} characters long", "split it: 15 MB are the most"
        )
        return None
    rows = _rows(text)
    header = next(rows, None)
    while header is not None and not any(cell.text.strip() for cell in header):
        header = next(rows, None)
    if header is None:
        problems.add(file, Mark(), "the sheet is empty", "write a header and one row an event and property")
        return None
    columns = _header(file, header, problems)
    if columns is None:
        return None
    reader = _Reader(file, columns, problems)
    for number, row in enumerate(rows):
        if number >= MOST_ROWS:
            problems.add(file, row[0].mark, f"more than {MOST_ROWS:,} rows", "split the sheet")
            break
        unclosed = next((cell for cell in row if cell.unclosed), None)
        if unclosed is not None:
            problems.add(file, unclosed.mark, "a quote is opened here and never closed", "close it")
            break
        if any(cell.text.strip() for cell in row):
            reader.row(row)
    return reader.sheet


# ---------------------------------------------------------------------------------------------- cells

_TOKEN: Final = r'(?:"(?P<quoted>(?:[^"]|"")*)"[^{0}\r\n]*|(?P<plain>[^{0}\r\n]*))(?P<end>{0}|\r\n|\n|\r|\Z)'


def _rows(text: str) -> Iterator[list[_Cell]]:
    """The records of a CSV text, each cell with its place. The delimiter is the one of the header."""
    first = text.lstrip("\r\n").splitlines()[:1]
    delimiter = max(",;\t", key=(first[0] if first else "").count)
    token = re.compile(_TOKEN.format(re.escape(delimiter)))
    position, line, line_start = 0, 1, 0
    row: list[_Cell] = []
    while position < len(text):
        found = token.match(text, position)
        assert found is not None  # a token may be empty, and the last alternative always fits
        quoted = found["quoted"]
        value = quoted.replace('""', '"') if quoted is not None else found["plain"]
        unclosed = quoted is None and value.startswith('"')
        row.append(_Cell(value, Mark(line, position - line_start + 1), unclosed))
        position = found.end()
        breaks = text.count("\n", found.start(), position)
        if found["end"] == "\r":
            breaks += 1
        if breaks:
            line += breaks
            line_start = max(text.rfind("\n", 0, position), text.rfind("\r", 0, position)) + 1
        if found["end"] != delimiter:
            yield row
            row = []
    if row:
        yield row


def _named(text: str) -> str:
    return " ".join(text.replace("_", " ").split()).casefold()


def _header(file: str, header: list[_Cell], problems: Problems) -> dict[str, int] | None:
    """Which of our columns stands where; None when it is no header of a plan."""
    names = [_named(cell.text) for cell in header]
    if len(_SCHEMA_EXPORT.intersection(names)) >= 2:
        fact = "this is an export of a source's schema, which says what was sent and not what may be"
        problems.add(file, header[0].mark, fact, "draft a plan from what was sent with `recon plan infer`")
        return None
    columns: dict[str, int] = {}
    for number, (cell, name) in enumerate(zip(header, names, strict=True)):
        if not name or name.startswith("#"):
            continue
        column = _COLUMN_OF.get(name)
        if column is None:
            meant = problems.nearest(name, list(_COLUMN_OF))
            instead = f"write `{meant}`" if meant else "begin its name with # to leave the column out"
            problems.add(file, cell.mark, f"no plan has a column {shown(cell.text)}", instead)
        elif column in columns:
            other = header[columns[column]].text
            fact = f"the column {shown(cell.text)} says the same as {shown(other)}"
            problems.add(file, cell.mark, fact, "keep one of the two, or begin the other with #")
        else:
            columns[column] = number
    if "event" not in columns and "trait" not in columns and "call" not in columns:
        known = listed(COLUMNS["event"][:2])
        problems.add(file, header[0].mark, "no column says which event a row is about", f"name one {known}")
        return None
    return columns


# ---------------------------------------------------------------------------------------------- rows


class _Reader:
    def __init__(self, file: str, columns: Mapping[str, int], problems: Problems) -> None:
        self._file = file
        self._columns = columns
        self._problems = problems
        self.sheet = Sheet()
        self._number: dict[tuple[str, str, int], int] = {}
        self._place: dict[tuple[int, str], Mark] = {}
        self._last: tuple[str, str, int] | None = None

    def _cell(self, row: list[_Cell], column: str) -> _Cell:
        at = self._columns.get(column, -1)
        if 0 <= at < len(row):
            return _Cell(row[at].text.strip(), row[at].mark)
        return _Cell("", row[0].mark)

    def _wrong(self, cell: _Cell, fact: str, instead: str) -> None:
        self._problems.add(self._file, cell.mark, fact, instead)

    def row(self, row: list[_Cell]) -> None:
        identity = self._identity(row)
        if identity is None:
            return
        rule = self._rule(identity, row)
        trait, own = self._cell(row, "trait"), self._cell(row, "property")
        named = own if own.text else trait
        if named.text:
            self._property(rule, named, row)

    def _identity(self, row: list[_Cell]) -> tuple[str, str, int] | None:
        """Which rule of the plan a row is about; an empty event is the one of the row above."""
        call, event, version = (self._cell(row, name) for name in ("call", "event", "version"))
        kind = call.text.upper()
        if kind and kind not in RULE_TYPES:
            known = ", ".join(each.lower() for each in RULE_TYPES)
            self._wrong(call, f"{shown(call.text)} is no call of Segment", f"write one of {known}")
            return None
        name = event.text
        for each, nameless in NAMELESS.items():
            if name.casefold() == nameless:
                kind, name = each, ""
        if not kind:
            kind = "TRACK" if name or "event" in self._columns else "IDENTIFY"
            if not name and kind == "TRACK" and self._last is not None:
                return self._last
        number = 1
        if version.text:
            if not re.fullmatch(r"[0-9]{1,9}(?:\.0+)?", version.text):
                self._wrong(
                    version, f"the version {shown(version.text)} is no whole number", "write 1, 2, ..."
                )
                return None
            number = int(float(version.text))
        if kind == "TRACK" and not name:
            self._wrong(event, "the row names no event", "write the event's exact name")
            return None
        self._last = (kind, name, number)
        return self._last

    def _rule(self, identity: tuple[str, str, int], row: list[_Cell]) -> int:
        """The rule's number; its description and labels are those of its first row that has some."""
        number = self._number.get(identity)
        kind, name, version = identity
        if number is None:
            number = self._number[identity] = len(self.sheet.rules)
            carrier = "traits" if kind in ("IDENTIFY", "GROUP") else "properties"
            inner: dict[str, Any] = {"type": "object", "properties": {}, "required": []}
            schema = {"$schema": _SCHEMA, "type": "object", "properties": {carrier: inner}}
            rule: dict[str, Any] = {"type": kind, "version": version, "jsonSchema": schema}
            if name:
                rule["key"] = name
            self.sheet.rules.append(rule)
            self.sheet.note(("rules", number), self._cell(row, "event").mark)
        schema = self.sheet.rules[number]["jsonSchema"]
        alone = not self._cell(row, "property").text and not self._cell(row, "trait").text
        said = self._cell(row, "event_description").text or (alone and self._cell(row, "description").text)
        if said:
            schema.setdefault("description", said)
        labels = self._labels(row)
        if labels:
            schema.setdefault("labels", {}).update(
                {key: value for key, value in labels.items() if key not in schema.get("labels", {})}
            )
        return number

    def _labels(self, row: list[_Cell]) -> dict[str, str]:
        labels = {}
        cell = self._cell(row, "labels")
        for entry in re.split(r"[,;|\n]", cell.text):
            key, colon, value = entry.partition(":")
            if colon and key.strip():
                labels[key.strip()] = value.strip()
            elif entry.strip():
                labels[entry.strip()] = ""
        owner = self._cell(row, "owner").text
        return {**labels, "owner": owner} if owner else labels

    def _property(self, number: int, named: _Cell, row: list[_Cell]) -> None:
        path = named.text
        earlier = self._place.get((number, path))
        if earlier is not None:
            fact = f"the property {shown(path)} stands here again, after line {earlier.line}"
            self._wrong(named, fact, "keep one of the two rows")
            return
        self._place[number, path] = named.mark
        schema = self.sheet.rules[number]["jsonSchema"]["properties"]
        carrier = next(iter(schema))
        holder = schema[carrier]
        at: Steps = ("rules", number, "jsonSchema", "properties", carrier)
        steps = path.split(".")
        if not all(steps) or steps[0] == "$":
            self._wrong(named, f"{shown(path)} is no property", "write `address.city`, or `products.$.sku`")
            return
        # On the way to a nested property, its objects and arrays come to be without a row of their own.
        for step, following in itertools.pairwise(steps):
            if step == "$":
                holder = holder.setdefault("items", {})
                at = (*at, "items")
            else:
                holder = holder.setdefault("properties", {}).setdefault(step, {})
                at = (*at, "properties", step)
                self.sheet.note(at, named.mark)
            holder.setdefault("type", "array" if following == "$" else "object")
        last = steps[-1]
        said = self._said(row)
        if last == "$":
            holder.setdefault("items", {}).update(said)
            at = (*at, "items")
        else:
            holder.setdefault("properties", {}).setdefault(last, {}).update(said)
            if self._flag(row, "required") and last not in holder.setdefault("required", []):
                holder["required"].append(last)
            at = (*at, "properties", last)
        self.sheet.note(at, named.mark)
        for keyword, column in (("pattern", "pattern"), ("enum", "values"), ("type", "type")):
            cell = self._cell(row, column)
            if cell.text:
                self.sheet.note((*at, keyword), cell.mark)

    def _said(self, row: list[_Cell]) -> dict[str, Any]:
        """The schema of one property."""
        said = self._type(row)
        description = self._cell(row, "description").text
        if description:
            said["description"] = description
        pattern, format_, values = (self._cell(row, name) for name in ("pattern", "format", "values"))
        if pattern.text:
            said["pattern"] = pattern.text
        if format_.text:
            said["format"] = format_.text
        for keyword in ("minimum", "maximum"):
            cell = self._cell(row, keyword)
            if cell.text:
                found = _number(cell.text)
                if found is None:
                    self._wrong(cell, f"{shown(cell.text)} is no number", "write it like 12.5")
                else:
                    said[keyword] = found
        if values.text:
            self._values(said, values)
        return said

    def _type(self, row: list[_Cell]) -> dict[str, Any]:
        cell = self._cell(row, "type")
        said: dict[str, Any] = {}
        names = [_named(each) for each in re.split(r"[|,;]|\bor\b", cell.text, flags=re.I) if each.strip()]
        types: list[str] = []
        for name in names or [""]:
            found = _TYPES.get(name)
            if found is None:
                known = "any, array, object, boolean, integer, number, string, null or date time"
                self._wrong(cell, f"{shown(cell.text)} is no data type", f"write {known}")
                return {}
            types += [found["type"]] if "type" in found else []
            if "format" in found:
                said["format"] = found["format"]
        if types and self._flag(row, "nullable") and "null" not in types:
            types.append("null")
        if types:
            said["type"] = types[0] if len(types) == 1 else list(dict.fromkeys(types))
        return said

    def _values(self, said: dict[str, Any], cell: _Cell) -> None:
        """Segment's column of permitted values: a list with `|`, or a regular expression."""
        text = cell.text
        if "|" in text and not _LOOKS_LIKE_A_PATTERN.search(text):
            parts = text.split("|")
        elif _LOOKS_LIKE_A_PATTERN.search(text):
            said.setdefault("pattern", text)
            return
        else:
            parts = text.split("\n") if "\n" in text else re.split(r"[,;]", text)
        types = said.get("type", "string")
        numeric = {"number", "integer", "boolean"}.intersection([types] if isinstance(types, str) else types)
        values: list[Any] = []
        for part in (each.strip().strip('"') for each in parts):
            if not part:
                continue
            value = _json_value(part) if numeric else part
            if numeric and not isinstance(value, int | float | bool):
                self._wrong(cell, f"the value {shown(part)} is no {types}", "write values of the data type")
                return
            values.append(value)
        if isinstance(types, list) and "null" in types:
            values.append(None)
        said["enum"] = values

    def _flag(self, row: list[_Cell], column: str) -> bool:
        cell = self._cell(row, column)
        said = cell.text.casefold()
        if said in _YES:
            return True
        if said not in _NO:
            self._wrong(cell, f"`{column}` is {shown(cell.text)}", "write `required` or `optional`")
        return False


def _json_value(text: str) -> Any:
    return {"true": True, "false": False}.get(text.casefold(), _number(text))


def _number(text: str) -> int | float | None:
    try:
        found = json.loads(text)
    except ValueError:
        return None
    return (
        found
        if isinstance(found, int | float) and not isinstance(found, bool) and abs(found) < 1e300
        else None
    )
