"""Reads blocks of plain csv and JSON lines with Arrow, and leaves every other block to the strict readers.

The strict readers decide what a file means and how it is refused; they make a Python object of every value and hold
the interpreter's lock meanwhile. Nearly all blocks of nearly all exports are plain, which is cheap to see, and of
those Arrow gives the same rows in a fifth of the time with the lock free for other threads (2026-11-22).
A function here returns None when it is not sure, never an error.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from itertools import combinations
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pacsv
import pyarrow.json as pajson

from dagster_project.resources.export_columns import TEXT, count_of

_QUOTE, _COMMA, _LF, _CR, _OPEN, _CLOSE = b'",\n\r{}'
_BOM: Final = b"\xef\xbb\xbf"
_MISSES: Final = 3  # blocks of a file that were not plain, one after the other, until no more are tried


def end_of_records(block: bytes) -> int:
    """Where the last whole record of csv lines ends; 0 when the block ends within its first one.

    Outside quotes the number of quotes so far is even, however they are doubled.
    """
    if count_of(_QUOTE, block) % 2 == 0:
        return len(block)
    end = len(block)
    behind = 0
    while end > 0:
        at = block.rfind(b"\n", 0, end - 1) + 1
        behind += block.count(b'"', at, end)
        end = at
        if behind % 2:
            return end
    return 0


def plain_csv(block: bytes, width: int, places: Mapping[str, int]) -> dict[str, pa.Array] | None:
    """Columns of whole csv records without a header; an unquoted empty field is null, save in `event_name`.

    ``width`` is how many fields a record has, ``places`` at which of them a logical column stands.
    """
    if block.startswith(_BOM) or not _well_quoted(block) or lone_carriage_return(block):
        return None
    names = [str(place) for place in range(width)]
    wanted = list(dict.fromkeys(str(place) for place in places.values()))
    try:
        rows = pacsv.read_csv(
            pa.BufferReader(block),
            pacsv.ReadOptions(use_threads=False, block_size=len(block) + 1, column_names=names),
            pacsv.ParseOptions(newlines_in_values=True),
            pacsv.ConvertOptions(
                column_types=dict.fromkeys(wanted, TEXT),
                include_columns=wanted,
                null_values=[""],
                strings_can_be_null=True,
                quoted_strings_can_be_null=False,
            ),
        )
    except (pa.ArrowException, ValueError):
        return None
    columns = {logical: _one(rows.column(str(place))) for logical, place in places.items()}
    if "event_name" in columns:
        columns["event_name"] = pc.fill_null(columns["event_name"], pa.scalar("", TEXT))
    return columns


def lone_carriage_return(block: bytes) -> bool:
    """Whether there is one that no line feed follows."""
    return b"\r" in block and count_of(_CR, block) != block.count(b"\r\n")


def _well_quoted(block: bytes) -> bool:
    """Whether quotes stand only around whole fields, and doubled within them, as RFC 4180 has it.

    Then every other quote opens a field (or is the second of a doubled one), and the ones between close one.
    """
    if b'"' not in block:
        return True
    values = np.frombuffer(block + b"\n", np.uint8)
    quotes = np.flatnonzero(values == _QUOTE)
    if len(quotes) % 2:
        return False
    before = np.where(quotes[0::2] == 0, _LF, values[quotes[0::2] - 1])
    after = values[quotes[1::2] + 1]
    opens = (before == _COMMA) | (before == _LF) | (before == _QUOTE)
    closes = (after == _COMMA) | (after == _LF) | (after == _CR) | (after == _QUOTE)
    return bool(opens.all() and closes.all())


class PlainJson:
    """The plain blocks of one file of JSON lines. It learns which columns hold whole numbers."""

    def __init__(self, columns: Mapping[str, str]) -> None:
        self._columns = columns
        self._paths = {name: name.split(".") for name in columns.values()}
        self._whole: set[str] = set()  # names whose values are whole numbers
        self._misses = 0
        # A name that is also a part of another one is a value here and an object there.
        inside = {".".join(path[:depth]) for path in self._paths.values() for depth in range(1, len(path))}
        if inside & self._paths.keys() or any("" in path for path in self._paths.values()):
            self._misses = _MISSES
        # A key that holds a dot comes before the objects that the dots reach into.
        self._dotted = [
            json.dumps(".".join(path[start:end])).encode()
            for path in self._paths.values()
            for start, end in combinations(range(len(path) + 1), 2)
            if end - start > 1
        ]

    def read(self, block: bytes) -> dict[str, pa.Array] | None:
        """Columns of whole lines, of which each must be one object; a value that is absent is null."""
        if self._misses >= _MISSES:
            return None
        columns = self._read(block)
        self._misses = self._misses + 1 if columns is None else 0
        return columns

    def _read(self, block: bytes) -> dict[str, pa.Array] | None:
        lines = block.rstrip(b"\r\n")
        if not (lines.startswith(b"{") and lines.endswith(b"}")):
            return None
        # Between two lines stands "}" and "{", which is no JSON anywhere but between two objects.
        values = np.frombuffer(lines, np.uint8)
        ends = np.flatnonzero(values == _LF)
        before = np.where(values[ends - 1] == _CR, values[ends - 2], values[ends - 1])
        if not ((before == _CLOSE).all() and (values[ends + 1] == _OPEN).all()):
            return None
        rows = len(ends) + 1
        if self._dotted and (b"\\u002" in block or any(key in block for key in self._dotted)):
            return None
        found = self._parsed(lines, rows)
        if found is None and self._learn(lines):
            found = self._parsed(lines, rows)
        return found

    def _parsed(self, lines: bytes, rows: int) -> dict[str, pa.Array] | None:
        if self._whole and b"-0" in lines:
            return None  # it would lose its sign
        try:
            table = pajson.read_json(
                pa.BufferReader(lines),
                pajson.ReadOptions(use_threads=False, block_size=len(lines) + 1),
                pajson.ParseOptions(explicit_schema=self._schema(), unexpected_field_behavior="ignore"),
            )
            if table.num_rows != rows:
                return None
            columns = {logical: self._column(table, name) for logical, name in self._columns.items()}
            if b"\\u" in lines:
                for column in columns.values():
                    column.validate(full=True)  # half a surrogate pair is no text
        except (pa.ArrowException, ValueError):
            return None
        return columns

    def _schema(self) -> pa.Schema:
        tree: dict[str, Any] = {}
        for name, path in self._paths.items():
            place = tree
            for part in path[:-1]:
                place = place.setdefault(part, {})
            place[path[-1]] = pa.int64() if name in self._whole else pa.string()
        return pa.schema(_fields(tree))

    def _column(self, table: pa.Table, name: str) -> pa.Array:
        first, *inner = self._paths[name]
        array = _one(table.column(first))
        for part in inner:
            array = pc.struct_field(array, part)
        return array.cast(TEXT)

    def _learn(self, lines: bytes) -> bool:
        """Look for whole numbers in the first line, as in times since 1970; whether there are new ones."""
        end = lines.find(b"\n")
        try:
            value = json.loads(lines if end < 0 else lines[:end])
        except (ValueError, RecursionError):
            return False
        before = len(self._whole)
        for name, path in self._paths.items():
            inner = value
            for part in path:
                inner = inner.get(part) if isinstance(inner, dict) else None
            if type(inner) is int:
                self._whole.add(name)
        return len(self._whole) > before


def _fields(tree: Mapping[str, Any]) -> Sequence[pa.Field]:
    return [
        pa.field(key, pa.struct(_fields(kind)) if isinstance(kind, dict) else kind)
        for key, kind in tree.items()
    ]


def _one(column: pa.ChunkedArray) -> pa.Array:
    combined = column.combine_chunks()
    return combined.chunk(0) if isinstance(combined, pa.ChunkedArray) else combined
