"""Random rows with hostile strings, written as csv, JSON lines and Parquet, land identical."""

from __future__ import annotations

import io
import json
import tempfile
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from exported.landing_desk import HEADER, Desk, gz, zst
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dagster_project.flow.landing import wanted_columns
from dagster_project.resources.export_files import read_batches

# NUL cannot be in a csv file; half surrogates are no text. Everything else is.
HOSTILE = st.text(
    st.one_of(
        st.sampled_from("\",\n\r'\\;\t \ufeff\u2028\x1c\x85\u00e9\U0001f6d2"),
        st.characters(exclude_categories=["Cs"], exclude_characters="\0"),
    ),
    max_size=12,
)
WORDS = st.sampled_from(["null", "NULL", "NA", "nan", "", '""', '"', "true", "1e3", "'; drop table x; --"])
VALUE = st.one_of(HOSTILE, WORDS)
ROW = st.tuples(VALUE, *[st.one_of(st.none(), VALUE)] * 4)
ROWS = st.lists(ROW, min_size=1, max_size=30)
Rows = list[tuple[str | None, ...]]


def as_csv(rows: Rows, quote_all: bool, end: str) -> bytes:
    def field(value: str | None) -> str:
        if value is None:
            return ""
        bare = value and not quote_all and not any(mark in value for mark in ',"\r\n')
        return value if bare else '"' + value.replace('"', '""') + '"'

    lines = [",".join(HEADER), *(",".join(map(field, row)) for row in rows)]
    return (end.join(lines) + end).encode()


def as_jsonl(rows: Rows, ascii_only: bool) -> bytes:
    objects = (dict(zip(HEADER, row, strict=True)) for row in rows)
    return "".join(json.dumps(each, ensure_ascii=ascii_only) + "\n" for each in objects).encode()


def as_parquet(rows: Rows) -> bytes:
    sink = io.BytesIO()
    columns = list(zip(*rows, strict=True))
    pq.write_table(pa.table({key: pa.array(columns[i], pa.string()) for i, key in enumerate(HEADER)}), sink)
    return sink.getvalue()


def read(name: str, content: bytes) -> Rows:
    with tempfile.TemporaryDirectory() as folder:
        wanted = wanted_columns(Desk(Path(folder)).destinations[0])
    batches = list(read_batches(io.BytesIO(content), name, len(content), wanted))
    return [tuple(row.values())[:5] for batch in batches for row in batch.to_pylist()]


@settings(max_examples=150, deadline=None)
@given(ROWS, st.booleans(), st.sampled_from(["\n", "\r\n"]))
def test_csv_is_read_as_it_was_written(rows: Rows, quote_all: bool, end: str) -> None:
    assert read("a.csv.gz", gz(as_csv(rows, quote_all, end))) == rows


@settings(max_examples=150, deadline=None)
@given(ROWS, st.booleans())
def test_json_lines_are_read_as_they_were_written(rows: Rows, ascii_only: bool) -> None:
    assert read("a.jsonl.zst", zst(as_jsonl(rows, ascii_only))) == rows


@settings(max_examples=60, deadline=None)
@given(ROWS)
def test_parquet_is_read_as_it_was_written(rows: Rows) -> None:
    assert read("a.parquet", as_parquet(rows)) == rows


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rows=ROWS, quote_all=st.booleans())
def test_where_blocks_are_cut_makes_no_difference(
    monkeypatch: pytest.MonkeyPatch, rows: Rows, quote_all: bool
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr("dagster_project.resources.export_text.BLOCK", 7)
        assert read("a.csv", as_csv(rows, quote_all, "\n")) == rows
        assert read("a.jsonl", as_jsonl(rows, False)) == rows


@settings(max_examples=12, deadline=None)
@given(ROWS)
def test_rows_in_the_warehouse_are_those_of_the_files(rows: Rows) -> None:
    with tempfile.TemporaryDirectory() as folder:
        desk = Desk(Path(folder))
        desk.write("1.csv.gz", gz(as_csv(rows, False, "\r\n")))
        desk.write("2.jsonl.zst", zst(as_jsonl(rows, True)))
        desk.write("3.parquet", as_parquet(rows))
        assert desk.land().problems == []
        assert desk.rows() == rows * 3


@settings(max_examples=150, deadline=None)
@given(st.binary(max_size=400), st.sampled_from(["csv", "jsonl", "csv.gz", "jsonl.zst", "parquet"]))
def test_arbitrary_bytes_are_read_or_refused_in_words(content: bytes, suffix: str) -> None:
    from dagster_project.resources.export_columns import ExportFileError

    try:
        read(f"a.{suffix}", content)
    except ExportFileError as error:
        assert error.fact
        assert error.next_step


@settings(max_examples=80, deadline=None)
@given(st.integers(0, 3000), st.integers(0, 255))
def test_a_parquet_file_with_any_byte_changed_is_read_or_refused_in_words(place: int, byte: int) -> None:
    from dagster_project.resources.export_columns import ExportFileError

    content = bytearray(as_parquet([("A", "t", None, "a", "m")] * 40))
    content[place % len(content)] = byte
    try:
        read("a.parquet", bytes(content))
    except ExportFileError as error:
        assert error.fact
