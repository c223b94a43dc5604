"""What the readers of export files share: the wanted columns, the table they give, and how they refuse."""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Protocol
from urllib.parse import unquote

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

# What every export is read into; all text. The contract maps them to the export's own names.
LOGICAL_COLUMNS: Final = ("event_name", "event_time", "user_id", "anonymous_id", "message_id", "day", "count")
IDENTIFIERS: Final = ("user_id", "anonymous_id", "message_id")

TEXT: Final = pa.large_string()
BLOCK: Final = 1 << 20  # bytes of content that are looked at in one go
AGAIN: Final = "export it again"
_HIVE_NULL: Final = "__HIVE_DEFAULT_PARTITION__"


class ExportFileError(Exception):
    """A file that cannot be landed. ``settled``: the same bytes will always fail in the same way."""

    def __init__(self, fact: str, next_step: str, *, settled: bool = True) -> None:
        super().__init__(f"{fact}; {next_step}")
        self.fact = fact
        self.next_step = next_step
        self.settled = settled


@dataclass(frozen=True)
class Wanted:
    """Which columns an export must and may have."""

    columns: Mapping[str, str]  # logical name -> the export's own name
    required: frozenset[str]  # in every file
    explicit: frozenset[str] = frozenset()  # named by the contract itself: a table without them is a mistake
    one_of: frozenset[str] = frozenset()  # a table without any of them cannot be matched
    contract: str = "the destination's contract"  # the file to correct, for people
    # logical name -> what the folders above the file say (`dt=2026-11-01/`), where the file itself has no value
    of_folders: Mapping[str, str | None] = field(default_factory=dict)


class Readable(Protocol):
    def read(self, size: int = -1, /) -> bytes: ...


def by_folders(folders: Iterable[str], wanted: Wanted) -> dict[str, str | None]:
    """The wanted columns that the folders of a partitioned export name, as Hive and Spark write them."""
    said = {
        unquote(key): unquote(value) for key, sep, value in (each.partition("=") for each in folders) if sep
    }
    return {
        logical: None if said[name] == _HIVE_NULL else said[name]
        for logical, name in wanted.columns.items()
        if name in said
    }


def refuse_repeated(found: list[str], wanted: Wanted) -> None:
    """Raise when a wanted name is there twice. Columns that nobody asked for may be named anyhow."""
    for name in sorted(set(wanted.columns.values())):
        if found.count(name) > 1:
            raise ExportFileError(
                f"it has {found.count(name)} columns named `{shown(name)}`",
                f"{AGAIN} with that name once; which of them is meant cannot be told",
            )


def refuse_missing(
    found: list[str], wanted: Wanted, present: Iterable[str], *, where: str, lines: bool = False
) -> None:
    """Raise when a column is missing that must be there, or one is there under almost its name."""
    here = set(present) | wanted.of_folders.keys()
    absent = [logical for logical in LOGICAL_COLUMNS if logical in wanted.columns and logical not in here]
    must = wanted.required if lines else wanted.required | wanted.explicit
    missing = [logical for logical in absent if logical in must]
    if not missing and not lines and wanted.one_of and not wanted.one_of & here:
        missing = [logical for logical in absent if logical in wanted.one_of]
    # An optional column that is there in other letters is a wrong name, not an export without it.
    misspelt = [
        logical
        for logical in absent
        if logical in IDENTIFIERS and any(_folded(name) == _folded(wanted.columns[logical]) for name in found)
    ]
    named = [logical for logical in absent if logical in missing or logical in misspelt]
    if not named:
        return
    names = ", ".join(f"`{shown(wanted.columns[logical])}`" for logical in named)
    has = ", ".join(f"`{shown(name)}`" for name in found[:30]) + (", ..." if len(found) > 30 else "")
    raise ExportFileError(
        f"{where} lacks {names}; the file has {has or 'no columns'}",
        f"{_suggestions(named, found, wanted)}; or {AGAIN} with {names}",
    )


def _suggestions(named: list[str], found: list[str], wanted: Wanted) -> str:
    like: dict[str, str] = {}
    for logical in named:
        name = wanted.columns[logical]
        same = [each for each in found if _folded(each) == _folded(name)]
        by_folded = {_folded(each): each for each in reversed(found[:500])}
        near = difflib.get_close_matches(_folded(name)[:100], [each[:100] for each in by_folded], n=1)
        close = same or [by_folded[each] for each in near if each in by_folded]
        if close:
            like[logical] = close[0]
    if like:
        lines = ", ".join(
            f"`{logical}: {json.dumps(shown(name), ensure_ascii=False)}`" for logical, name in like.items()
        )
        return f"write {lines} under export.columns in {wanted.contract}"
    return f"say under export.columns in {wanted.contract} what the export calls {' and '.join(named)}"


def _folded(name: str) -> str:
    return re.sub(r"[\s_\-.$]+", "", name).casefold()


def table(columns: Mapping[str, Any], rows: int, wanted: Wanted) -> pa.Table:
    """All logical columns in order as text. Where the file has no value its folders' counts, else it is null."""
    arrays = []
    for logical in LOGICAL_COLUMNS:
        values = columns.get(logical)
        if values is None:
            values = pa.nulls(rows, TEXT)
        elif not isinstance(values, pa.Array | pa.ChunkedArray):
            values = _strings(values)
        said = wanted.of_folders.get(logical)
        arrays.append(values if said is None else pc.fill_null(values, pa.scalar(said, TEXT)))
    return pa.Table.from_arrays(arrays, names=list(LOGICAL_COLUMNS))


def _strings(values: list[str | None]) -> pa.Array:
    try:
        return pa.array(values, TEXT)
    except UnicodeEncodeError:
        # JSON can hold half of a surrogate pair ("\ud83d"), which is no text in any encoding. U+FFFD is what
        # Go's decoder and most others put there, so the name stays like what the other side landed.
        return pa.array(
            [
                None if v is None else v.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
                for v in values
            ],
            TEXT,
        )


def count_of(byte: int, block: bytes) -> int:
    """How often a byte is in a block; ten times as fast as ``bytes.count`` when it is there often."""
    return int(np.count_nonzero(np.frombuffer(block, np.uint8) == byte))


def shown(text: str) -> str:
    """A name as one short line: file contents are no part of our own sentences."""
    plain = "".join(
        each if each.isprintable() else each.encode("unicode_escape").decode() for each in text[:81]
    )
    return plain if len(text) <= 80 else plain[:80] + "..."


def first_line(error: BaseException) -> str:
    lines = str(error).splitlines()
    return shown(lines[0]) if lines else type(error).__name__
