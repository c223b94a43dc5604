"""Reads csv and JSON lines strictly: every value as it was written, and the line of whatever is wrong."""

from __future__ import annotations

import csv
import io
import itertools
import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import pyarrow as pa

from dagster_project.resources.export_columns import (
    AGAIN,
    BLOCK,
    ExportFileError,
    Readable,
    Wanted,
    count_of,
    refuse_missing,
    refuse_repeated,
    shown,
    table,
)
from dagster_project.resources.export_plain import PlainJson, end_of_records, lone_carriage_return, plain_csv

# Wide enough for a column of JSON; an unclosed quote would swallow the rest of the file into one value.
_LONGEST_FIELD: Final = 16 << 20
_LF: Final = 10  # the byte
_LINES_OF_KEYS: Final = 1_000  # of JSON lines, whose keys an error can name
_QUOTED_EMPTY: Final = "\0"  # cannot be in a text file that was let through
_FIELD: Final = re.compile(r'(?:^|,)("[^"]*(?:""[^"]*)*"|[^,]*)')


def text_blocks(stream: Readable) -> Iterator[bytes]:
    """Whole lines, about a megabyte at a time, of which it is known that they are UTF-8 without NUL.

    A byte order mark is dropped.
    """
    offset, line, carry = 0, 1, b""
    first = True
    while chunk := stream.read(BLOCK):
        if first:
            first = False
            if chunk.startswith((b"\xff\xfe", b"\xfe\xff")):
                raise ExportFileError("it is UTF-16 text, not UTF-8", f"{AGAIN} as UTF-8")
            if chunk.startswith(b"\xef\xbb\xbf"):
                chunk, offset = chunk[3:], 3
        cut = chunk.rfind(b"\n") + 1
        if not cut:
            carry += chunk
            if len(carry) > _LONGEST_FIELD:
                raise ExportFileError(
                    f"line {line:,} is longer than {_LONGEST_FIELD >> 20} MB",
                    f"{AGAIN} with one record a line, lines ending in LF or CRLF",
                )
            continue
        block, carry = carry + chunk[:cut], chunk[cut:]
        _refuse_other_than_text(block, offset, line)
        yield block
        offset += len(block)
        line += count_of(_LF, block)
    if carry:
        _refuse_other_than_text(carry, offset, line)
        yield carry


def _refuse_other_than_text(block: bytes, offset: int, line: int) -> None:
    nul = block.find(b"\0")
    if nul >= 0:
        at = line + block.count(b"\n", 0, nul)
        raise ExportFileError(
            f"there is a NUL byte at offset {offset + nul:,} (line {at:,})",
            f"{AGAIN} as UTF-8; UTF-16 and half-written files look like this",
        )
    try:
        block.decode("utf-8")
    except UnicodeDecodeError as error:
        at = line + block.count(b"\n", 0, error.start)
        raise ExportFileError(
            f"byte 0x{block[error.start]:02x} at offset {offset + error.start:,} (line {at:,}) is not UTF-8",
            f"{AGAIN} as UTF-8; Latin-1 and its like look like this, and guessing would change names",
        ) from error


@dataclass
class _Lines:
    """Feeds lines to the csv reader, and remembers those of the record that it is in."""

    blocks: Iterable[bytes]
    record: list[str] = field(default_factory=list)
    pulled: int = 0  # blocks so far

    def __iter__(self) -> Iterator[str]:
        for block in self.blocks:
            self.pulled += 1
            # Not splitlines(): U+2028 and friends are data.
            for line in io.StringIO(block.decode(), newline="\n"):
                self.record.append(line)
                yield line


def read_csv(blocks: Iterable[bytes], wanted: Wanted) -> Iterator[pa.Table]:
    """The rows of a csv file: by Arrow as long as its blocks are plain, from the first other one on strictly."""
    blocks = iter(blocks)
    first = next(blocks, b"")
    header = _plain_header(first[: first.find(b"\n") + 1])
    if header is None:
        yield from _read_csv_strictly(itertools.chain([first] if first else [], blocks), wanted)
        return
    places = _header_places(header, wanted)
    held, line = first[first.find(b"\n") + 1 :], 1
    while True:
        end = end_of_records(held)
        block, rest = held[:end], held[end:]
        small = len(held) <= _LONGEST_FIELD
        columns = plain_csv(block, len(header), places) if small and block else None
        if columns is None and (block or not small):
            remaining = itertools.chain([held], blocks)
            yield from _read_csv_strictly(remaining, wanted, header, places, line)
            return
        if columns:
            rows = len(next(iter(columns.values())))
            yield table(columns, rows, wanted)
            line += count_of(_LF, block)
        try:
            more = next(blocks, b"")
        except ExportFileError as error:
            # What was held back comes before it, and may be wrong itself.
            yield from _read_csv_strictly(_then(rest, error), wanted, header, places, line)
            raise
        if not more:
            break
        held = rest + more
    if rest:  # the end of the file within quotes
        yield from _read_csv_strictly([rest], wanted, header, places, line)


def _then(block: bytes, error: ExportFileError) -> Iterator[bytes]:
    yield block
    raise error


def _plain_header(line: bytes) -> list[str] | None:
    """The names on a header line of its own, None when it is not that plain."""
    if line.count(b'"') % 2 or not line.strip() or lone_carriage_return(line):
        return None
    if len(line) > _LONGEST_FIELD:
        return None
    try:
        return next(csv.reader([line.decode()], strict=True))
    except csv.Error:
        return None


def _read_csv_strictly(
    blocks: Iterable[bytes],
    wanted: Wanted,
    header: list[str] | None = None,
    places: Mapping[str, int] | None = None,
    before: int = 0,
) -> Iterator[pa.Table]:
    """The same record by record, with the line of whatever is wrong; ``before`` are the lines read already."""
    # Process-wide, so set where it is needed: the csv module refuses fields above 128 kB by default.
    csv.field_size_limit(_LONGEST_FIELD)
    lines = _Lines(blocks)
    reader = csv.reader(lines, strict=True)
    places = places or {}
    rows: list[list[str]] = []
    flushed, quoted_empty = 0, False
    try:
        for row in reader:
            if header is None:
                header = row
                places = _header_places(header, wanted)
            elif len(row) == len(header):
                # The reader gives '' for both "" and nothing; only nothing is null.
                if '""' in lines.record[0] or len(lines.record) > 1:
                    quoted_empty |= _mark_quoted_empty(row, lines.record)
                rows.append(row)
                if lines.pulled != flushed:
                    flushed = lines.pulled
                    yield _csv_table(rows, places, quoted_empty, wanted)
                    rows, quoted_empty = [], False
            elif row:  # an empty line is no record
                raise ExportFileError(
                    f"line {before + reader.line_num - len(lines.record) + 1:,} has {_fields(len(row))},"
                    f" the header has {len(header):,}",
                    f"{AGAIN}; a cut-off file and unquoted commas or line breaks look like this",
                )
            lines.record.clear()
    except csv.Error as error:
        line = before + reader.line_num - len(lines.record) + 1
        raise _csv_problem(error, max(line, before + 1)) from error
    if header is None:
        raise ExportFileError(
            "it holds no header line", f"{AGAIN} with the names of the columns on its first line"
        )
    if rows:
        yield _csv_table(rows, places, quoted_empty, wanted)


def _header_places(header: list[str], wanted: Wanted) -> dict[str, int]:
    refuse_repeated(header, wanted)
    if len(header) == 1 and len(wanted.required) > 1:
        for mark, word in ((";", "semicolons"), ("\t", "tabs"), ("|", "bars")):
            if mark in header[0]:
                raise ExportFileError(f"its columns are separated by {word}", f"{AGAIN} separated by commas")
    places = {logical: header.index(name) for logical, name in wanted.columns.items() if name in header}
    refuse_missing(header, wanted, places.keys(), where="the header")
    return places


def _csv_table(
    rows: list[list[str]], places: Mapping[str, int], quoted_empty: bool, wanted: Wanted
) -> pa.Table:
    columns: dict[str, list[str | None]] = {}
    for logical, place in places.items():
        # A name is kept as it is: the empty name is a name, and "null" and "NA" are too.
        values: list[str | None] = (
            [row[place] for row in rows] if logical == "event_name" else [row[place] or None for row in rows]
        )
        columns[logical] = ["" if v == _QUOTED_EMPTY else v for v in values] if quoted_empty else values
    return table(columns, len(rows), wanted)


def _mark_quoted_empty(row: list[str], record: Sequence[str]) -> bool:
    """Replace the fields that were written ``""`` by a mark, so that they stay empty text."""
    empty = row.count("")
    if not empty:
        return False
    # No value holds a quote, so each "" in the record is a field of its own: here, all the empty ones.
    if sum(line.count('""') for line in record) == empty and not any('"' in value for value in row):
        row[:] = [value or _QUOTED_EMPTY for value in row]
        return True
    raw = "".join(record).rstrip("\r\n")
    found = False
    for place, written in enumerate(_FIELD.findall(raw)):
        if written == '""':
            row[place] = _QUOTED_EMPTY
            found = True
    return found


def _csv_problem(error: csv.Error, line: int) -> ExportFileError:
    text = str(error)
    if "unexpected end" in text:
        return ExportFileError(
            f"a quote opened in the record at line {line:,} is never closed",
            f"{AGAIN}; a cut-off file looks like this",
        )
    if "field larger" in text:
        return ExportFileError(
            f"a field of the record at line {line:,} is longer than {_LONGEST_FIELD >> 20} MB",
            f"close the quote that is opened there, or {AGAIN} without that column",
        )
    if "new-line character" in text:
        return ExportFileError(
            f"line {line:,} holds a carriage return outside quotes",
            f"{AGAIN} with lines ending in LF or CRLF, and line breaks inside values quoted",
        )
    return ExportFileError(
        f"in the record at line {line:,} text follows a closing quote",
        f'{AGAIN} with every quote inside a value doubled (""), as RFC 4180 has it',
    )


def _absent_number(literal: str) -> str | None:
    # Python's and JavaScript's writers say NaN for a number that is not there.
    return None if literal == "NaN" else literal


# Numbers keep the digits they were written with: 1.50 stays 1.50, and 2^63 is not rounded.
_DECODE: Final = json.JSONDecoder(parse_int=str, parse_float=str, parse_constant=_absent_number).raw_decode


def read_jsonl(blocks: Iterable[bytes], wanted: Wanted) -> Iterator[pa.Table]:
    """The rows of JSON lines. A key may be missing on a line, and names reach into objects with dots."""
    unseen = dict(wanted.columns)  # columns whose key no line had so far
    found: dict[str, None] = {}  # keys of the first lines, in order
    plain = PlainJson(wanted.columns)
    number = rows = 0
    for block in blocks:
        columns = plain.read(block)
        if columns is not None and not _unsettled(columns, unseen, block, rows):
            for logical in [each for each in unseen if columns[each].null_count < len(columns[each])]:
                del unseen[logical]
            number += count_of(_LF, block)
            read = len(next(iter(columns.values())))
            rows += read
            yield table(columns, read, wanted)
            continue
        numbers, texts = _strict_lines(block.decode(), number, rows, wanted, unseen, found)
        number += count_of(_LF, block)
        if numbers:
            rows += len(numbers)
            yield table(texts, len(numbers), wanted)
    if rows:
        # A line may leave a key out; a key that every line of a file leaves out is a wrong name.
        refuse_missing(
            list(found), wanted, wanted.columns.keys() - unseen.keys(), where="every line", lines=True
        )


def _unsettled(columns: Mapping[str, pa.Array], unseen: Mapping[str, str], block: bytes, rows: int) -> bool:
    """Whether a key may be there with null on every line, which only the strict reader tells from its absence.

    The first lines are read strictly as well when a key is absent: their keys are what an error names.
    """
    empty = [unseen[logical] for logical in unseen if columns[logical].null_count == len(columns[logical])]
    if not empty:
        return False
    if rows < _LINES_OF_KEYS or b"\\u" in block:
        return True
    return any(json.dumps(name.rpartition(".")[2], ensure_ascii=False).encode() in block for name in empty)


def _strict_lines(
    block: str, number: int, rows: int, wanted: Wanted, unseen: dict[str, str], found: dict[str, None]
) -> tuple[list[int], dict[str, list[str | None]]]:
    """The line numbers and values of a block, ``number`` lines and ``rows`` rows in; notes the keys it meets."""
    numbers: list[int] = []
    columns: dict[str, list[Any]] = {logical: [] for logical in wanted.columns}
    plain = [(columns[logical].append, path) for logical, path in wanted.columns.items() if "." not in path]
    dotted = [(columns[logical].append, path) for logical, path in wanted.columns.items() if "." in path]
    for line in io.StringIO(block, newline="\n"):
        number += 1
        text = line.strip(" \t\r\n")
        if not text:
            continue
        each = _object(text, number)
        numbers.append(number)
        # Picked at once, so that the object dies young: keeping them doubles the time.
        get = each.get
        for put, path in plain:
            put(get(path))
        for put, path in dotted:
            put(_at(each, path))
        if unseen:
            for logical in [logical for logical, path in unseen.items() if _find(each, path) is not _ABSENT]:
                del unseen[logical]
            if unseen and rows + len(numbers) <= _LINES_OF_KEYS and len(found) < 200:
                found.update(dict.fromkeys(_paths(each)))
    return numbers, {
        logical: _scalars(columns[logical], path, numbers) for logical, path in wanted.columns.items()
    }


def _object(text: str, number: int) -> dict[str, Any]:
    try:
        value, end = _DECODE(text)
    except json.JSONDecodeError as error:
        raise ExportFileError(
            f"line {number:,} is not JSON ({error.msg} at character {error.pos + 1:,})",
            f"{AGAIN} with one JSON object a line; a cut-off file looks like this",
        ) from error
    except RecursionError as error:
        raise ExportFileError(
            f"line {number:,} is nested too deeply", f"{AGAIN} without that value"
        ) from error
    if type(value) is not dict:
        kind = {"[": "a list", '"': "text", "n": "null"}.get(text[0], "a number or a boolean")
        raise ExportFileError(
            f"line {number:,} holds {kind}, not an object", f"{AGAIN} with one JSON object a line"
        )
    if end != len(text):
        raise ExportFileError(
            f"line {number:,} holds more than one JSON object", f"{AGAIN} with one JSON object a line"
        )
    return value


_ABSENT: Final = object()


def _find(value: Any, path: str) -> Any:
    """The value at a dotted path. A key that holds the dots itself comes first, at every level."""
    if type(value) is not dict:
        return _ABSENT
    if path in value:
        return value[path]
    dot = path.find(".")
    while dot >= 0:
        if path[:dot] in value:
            inner = _find(value[path[:dot]], path[dot + 1 :])
            if inner is not _ABSENT:
                return inner
        dot = path.find(".", dot + 1)
    return _ABSENT


def _at(value: dict[str, Any], path: str) -> Any:
    # Nearly every dotted name is one key in one object; the rest takes the careful way.
    head, _, tail = path.partition(".")
    inner = value.get(head)
    if type(inner) is dict and tail in inner and path not in value:
        return inner[tail]
    found = _find(value, path)
    return None if found is _ABSENT else found


def _paths(value: dict[str, Any]) -> Iterator[str]:
    for key, inner in value.items():
        yield key
        if type(inner) is dict:
            yield from (f"{key}.{deeper}" for deeper in inner)


def _scalars(values: list[Any], path: str, numbers: Sequence[int]) -> list[str | None]:
    kinds = set(map(type, values))
    if kinds <= {str, type(None)}:
        return values
    for value, number in zip(values, numbers, strict=True):
        if type(value) in (dict, list):
            kind = "an object" if type(value) is dict else "a list"
            raise ExportFileError(
                f"`{shown(path)}` of line {number:,} holds {kind}, not text or a number",
                "name the value inside it with dots under export.columns, like `properties.name`",
            )
    return [("true" if value else "false") if type(value) is bool else value for value in values]


def _fields(count: int) -> str:
    return "1 field" if count == 1 else f"{count:,} fields"
