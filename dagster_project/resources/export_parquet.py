"""Reads Parquet as text: times as ISO 8601, whole numbers as digits, bytes only when they are UTF-8."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import BinaryIO, Final

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from dagster_project.resources.export_columns import (
    AGAIN,
    TEXT,
    ExportFileError,
    Wanted,
    first_line,
    refuse_missing,
    refuse_repeated,
    shown,
    table,
)

# Dictionary-encoded text grows when it is read; few rows at a time keep that bounded.
_PARQUET_ROWS: Final = 16_384


def read_parquet(handle: BinaryIO, wanted: Wanted) -> Iterator[pa.Table]:
    offset = 0
    try:
        file = pq.ParquetFile(handle)
        places = _parquet_places(file.schema_arrow, wanted)
        # The dotted names pick single leaves of structs, so wide exports are not read in full.
        names = list(dict.fromkeys(".".join(path) for path in places.values()))
        for batch in file.iter_batches(batch_size=_PARQUET_ROWS, columns=names):
            columns = {
                logical: _parquet_text(_leaf(batch, path), logical, wanted.columns[logical], offset)
                for logical, path in places.items()
            }
            yield table(columns, batch.num_rows, wanted)
            offset += batch.num_rows
    except (pa.ArrowException, ValueError, UnicodeError, KeyError) as error:
        raise ExportFileError(
            f"it is not Parquet that can be read ({first_line(error)})",
            f"{AGAIN} as Parquet, or name it after what it holds; a cut-off file looks like this",
        ) from error
    except OSError as error:
        if error.errno is not None:
            raise
        # pyarrow tells damaged pages and footers as OSError without a number.
        raise ExportFileError(f"its Parquet data is damaged ({first_line(error)})", f"{AGAIN}") from error


def _parquet_places(schema: pa.Schema, wanted: Wanted) -> dict[str, tuple[str, ...]]:
    found = list(schema.names)
    for each in schema:
        if pa.types.is_struct(each.type):
            found += [f"{each.name}.{inner.name}" for inner in each.type]
    paths: dict[str, tuple[str, ...]] = {}
    for logical, name in wanted.columns.items():
        path = _struct_path(list(schema), name)
        if path is not None:
            paths[logical] = path
    refuse_repeated(list(schema.names), wanted)
    refuse_missing(found, wanted, paths.keys(), where="the schema")
    return paths


def _struct_path(fields: Iterable[pa.Field], name: str) -> tuple[str, ...] | None:
    for each in fields:
        if each.name == name:
            return (each.name,)
    for each in fields:
        if pa.types.is_struct(each.type) and name.startswith(each.name + "."):
            inner = _struct_path(list(each.type), name[len(each.name) + 1 :])
            if inner is not None:
                return (each.name, *inner)
    return None


def _leaf(batch: pa.RecordBatch, path: tuple[str, ...]) -> pa.Array:
    array = batch.column(path[0])
    for name in path[1:]:
        array = pc.struct_field(array, name)
    return array


def _parquet_text(array: pa.Array, logical: str, name: str, offset: int) -> pa.Array:
    kind = array.type
    if pa.types.is_dictionary(kind):
        array = array.dictionary_decode()
        kind = array.type
    if isinstance(array, pa.ExtensionArray):
        if isinstance(kind, pa.UuidType):
            return pa.array([None if each is None else str(each) for each in array.to_pylist()], TEXT)
        array = array.storage
        kind = array.type
    if pa.types.is_nested(kind):
        raise ExportFileError(
            f"column `{shown(name)}` is a {shown(str(kind))}, not text, a number or a time",
            "name the value inside it with dots under export.columns, like `properties.name`",
        )
    if pa.types.is_timestamp(kind):
        return _timestamps(array, logical)
    if pa.types.is_floating(kind):
        return _floats(array)
    if _is_bytes(kind):
        # Old writers (Hive, Impala) leave out the mark that says a column of bytes is text.
        return _checked_text(array.cast(pa.large_binary()), name, offset)
    return array.cast(TEXT)


def _is_bytes(kind: pa.DataType) -> bool:
    tests = (
        pa.types.is_string,
        pa.types.is_large_string,
        pa.types.is_string_view,
        pa.types.is_binary,
        pa.types.is_large_binary,
        pa.types.is_binary_view,
        pa.types.is_fixed_size_binary,
    )
    return any(test(kind) for test in tests)


def _checked_text(array: pa.Array, name: str, offset: int) -> pa.Array:
    # Parquet does not promise that its text is UTF-8, and nothing further on looks again.
    try:
        return array.cast(TEXT)
    except pa.ArrowInvalid:
        for place, value in enumerate(array.to_pylist()):
            try:
                (value or b"").decode("utf-8")
            except UnicodeDecodeError as error:
                raise ExportFileError(
                    f"column `{shown(name)}` of row {offset + place + 1:,} is not UTF-8 text",
                    f"{AGAIN} with that column as text",
                ) from error
        raise


def _timestamps(array: pa.Array, logical: str) -> pa.Array:
    """ISO 8601, `+00:00` behind it when the column has a zone; microseconds at the finest."""
    zoned = array.type.tz is not None
    if array.type.unit == "ns":
        # The warehouse keeps microseconds; nine digits would not parse everywhere.
        array = array.cast(pa.timestamp("us", array.type.tz), safe=False)
    if logical == "day" and not zoned:
        days = array.cast(pa.date32(), safe=False)
        # pandas has no dates, so it writes a day as its midnight.
        if days.cast(array.type).equals(array):
            return days.cast(TEXT)
    if zoned:
        array = array.cast(pa.timestamp(array.type.unit, "UTC"))
    text = pc.replace_substring(array.cast(TEXT), " ", "T", max_replacements=1)
    return pc.replace_substring_regex(text, "Z$", "+00:00") if zoned else text


def _floats(array: pa.Array) -> pa.Array:
    """Whole numbers as digits (pandas makes integers with gaps floats), others shortest; NaN is absent."""
    values = array.cast(pa.float64())
    values = pc.if_else(pc.is_nan(values), pa.scalar(None, pa.float64()), values)
    whole = pc.and_(pc.equal(pc.floor(values), values), pc.less(pc.abs(values), 2.0**53))
    digits = pc.if_else(whole, values, 0.0).cast(pa.int64()).cast(TEXT)
    return pc.if_else(whole, digits, values.cast(TEXT))
