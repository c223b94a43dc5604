"""Every format and compression lands the same rows, and every value as it was written."""

from __future__ import annotations

import csv
import io
import json
import uuid
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from exported.landing_desk import LANDED, Desk, csv_text, daily_counts, event, events, gz, some_events, zst

from dagster_project.core.contracts import Columns


def parquet(**columns: Any) -> bytes:
    sink = io.BytesIO()
    pq.write_table(pa.table(columns), sink)
    return sink.getvalue()


def jsonl(*objects: dict[str, Any]) -> str:
    return "".join(json.dumps(each) + "\n" for each in objects)


def as_columns(rows: list[dict[str, str]]) -> dict[str, list[str]]:
    return {key: [row[key] for row in rows] for key in rows[0]}


TWO = [event("Order Completed", 1), event("Señal 🛒", 2)]
FILES = {
    "plain.csv": csv_text(TWO).encode(),
    "a.csv.gz": gz(csv_text(TWO)),
    "a.csv.zst": zst(csv_text(TWO)),
    "UPPER.CSV.GZ": gz(csv_text(TWO)),
    "two_members.csv.gz": gz(csv_text(TWO)[:70]) + gz(csv_text(TWO)[70:]),
    "two_frames.csv.zst": zst(csv_text(TWO)[:70]) + zst(csv_text(TWO)[70:]),
    "bom.csv": b"\xef\xbb\xbf" + csv_text(TWO).encode(),
    "crlf.csv": csv_text(TWO).encode(),
    "lf.csv": csv_text(TWO).replace("\r\n", "\n").encode(),
    "no_last_newline.csv": csv_text(TWO).rstrip("\r\n").encode(),
    "empty_lines.csv": csv_text(TWO).replace("\r\n", "\n\n").encode(),
    "a.jsonl": jsonl(*TWO).encode(),
    "a.jsonl.gz": gz(jsonl(*TWO)),
    "a.jsonl.zst": zst(jsonl(*TWO)),
    "a.json.gz": gz(jsonl(*TWO)),
    "a.ndjson": jsonl(*TWO).replace("\n", "\r\n\r\n").encode(),
    "bom.jsonl": b"\xef\xbb\xbf" + jsonl(*TWO).encode(),
    "a.parquet": parquet(**as_columns(TWO)),
    "a.parquet.gz": gz(parquet(**as_columns(TWO))),
    "a.parquet.zst": zst(parquet(**as_columns(TWO))),
}


@pytest.mark.parametrize("name", FILES)
def test_every_format_lands_the_same_rows(tmp_path: Path, name: str) -> None:
    desk = Desk(tmp_path)
    desk.write(name, FILES[name])
    landed = desk.land()
    assert (landed.status, landed.files_new, landed.rows, landed.problems) == ("ok", 1, 2, [])
    assert desk.rows([*LANDED, "day", '"count"', "_file", "_row"]) == [
        ("Order Completed", "2026-11-20T10:00:00Z", "u1", "a1", "m1", None, None, name, 1),
        ("Señal 🛒", "2026-11-20T10:00:00Z", "u1", "a1", "m2", None, None, name, 2),
    ]


HOSTILE_NAMES = [
    'say "hi"',
    "two\nlines",
    "carriage\r\nreturn",
    "lone\rreturn",
    "x" * 10_000,
    "'; drop table reconciliation_landing.email; --",
    "null",
    "NULL",
    "NA",
    "nan",
    "None",
    "true",
    "  spaces  ",
    "",
    ",",
    '"',
    '""',
    "🛒👨‍👩‍👧",
    "line\u2028separator",
    "=1+1",
    "\ufeffbom",
    "a\tb",
]


@pytest.mark.parametrize("suffix", ["csv", "jsonl", "parquet"])
def test_hostile_names_land_unchanged(tmp_path: Path, suffix: str) -> None:
    desk = Desk(tmp_path)
    rows = [event(name, number) for number, name in enumerate(HOSTILE_NAMES)]
    content = {"csv": lambda: csv_text(rows), "jsonl": lambda: jsonl(*rows)}.get(
        suffix, lambda: parquet(**as_columns(rows))
    )()
    desk.write(f"a.{suffix}", content)
    assert desk.land().problems == []
    assert desk.names() == HOSTILE_NAMES


def test_an_unquoted_empty_field_is_null_and_a_quoted_one_is_empty_text(tmp_path: Path) -> None:
    desk = Desk(tmp_path)
    desk.write(
        "a.csv",
        'event,at,user,anon,id\nA,t,,"",m1\nB,t,"","",m2\nC,t,"say ""hi""","",\n"D","t","","x,"",y","m4"\n'
        '"E","t","","two\nlines ""","m5"\n,t,u,a,m6\n"",t,u,a,m7\n',
    )
    desk.land()
    assert desk.rows() == [
        ("A", "t", None, "", "m1"),
        ("B", "t", "", "", "m2"),
        ("C", "t", 'say "hi"', "", None),
        ("D", "t", "", 'x,",y', "m4"),
        ("E", "t", "", 'two\nlines "', "m5"),
        ("", "t", "u", "a", "m6"),
        ("", "t", "u", "a", "m7"),
    ]


def test_columns_that_nobody_asked_for_are_ignored_in_any_number_and_order(tmp_path: Path) -> None:
    desk = Desk(tmp_path)
    desk.write("a.csv", 'x,id,event,x,at,"",anon,user\n1,m1,A,2,t,3,a,u\n')
    assert desk.land().problems == []
    assert desk.rows() == [("A", "t", "u", "a", "m1")]


def test_a_column_of_long_values_is_no_hindrance(tmp_path: Path) -> None:
    csv.field_size_limit(131_072)  # the csv module's own limit, whatever ran before
    desk = Desk(tmp_path)
    desk.write("a.csv", csv_text([event("n" * 300_000)]))
    assert desk.land().problems == []
    assert desk.names() == ["n" * 300_000]


def test_one_export_column_may_serve_two_purposes(tmp_path: Path) -> None:
    both = Columns(event_name="event", event_time="at", user_id="user", anonymous_id="user", message_id="id")
    desk = Desk(tmp_path, events(columns=both))
    desk.write("a.csv", some_events("A"))
    desk.land()
    assert desk.rows(["user_id", "anonymous_id"]) == [("u1", "u1")]


def test_daily_counts_land_their_day_and_count(tmp_path: Path) -> None:
    desk = Desk(tmp_path, daily_counts())
    desk.write("a.csv", "day,event,n\n2026-11-20,A,17\n20261121,B,007\n")
    desk.land()
    assert desk.rows(["event_name", "day", '"count"', "event_time", "message_id"]) == [
        ("A", "2026-11-20", "17", None, None),
        ("B", "20261121", "007", None, None),
    ]


def test_json_names_reach_into_objects_and_literal_dots_win(tmp_path: Path) -> None:
    columns = Columns(event_name="event", event_time="p.time", user_id="p.a.b", message_id="p.$insert_id")
    desk = Desk(tmp_path, events(columns=columns))
    desk.write(
        "a.jsonl",
        jsonl(
            {"event": "A", "p": {"time": 1, "$insert_id": "m1", "a": {"b": "deep"}}},
            {"event": "B", "p.time": "2", "p": {"time": 9, "$insert_id": "m2", "a.b": "dotted"}},
            {"event": "C", "p.time": 3, "p": {"$insert_id": "m3", "a": "text"}},
            {"event": "D", "p.time": 4, "p": "text", "p.$insert_id": "m4"},
            {"event": "E", "p": None, "p.a": {"b": "half"}},
        ),
    )
    assert desk.land().problems == []
    assert desk.rows(["event_name", "event_time", "user_id", "message_id"]) == [
        ("A", "1", "deep", "m1"),
        ("B", "2", "dotted", "m2"),
        ("C", "3", None, "m3"),
        ("D", "4", None, "m4"),
        ("E", None, "half", None),
    ]


def test_json_numbers_keep_their_digits_and_booleans_become_words(tmp_path: Path) -> None:
    desk = Desk(tmp_path)
    desk.write(
        "a.jsonl",
        '{"event": 1.50, "at": 18446744073709551617, "user": true, "anon": false, "id": 1e3}\n'
        '{"event": null, "at": 1700000000.123, "user": NaN, "id": -0}\n',
    )
    assert desk.land().problems == []
    assert desk.rows() == [
        ("1.50", "18446744073709551617", "true", "false", "1e3"),
        (None, "1700000000.123", None, None, "-0"),
    ]


def test_half_a_surrogate_pair_lands_as_the_replacement_character(tmp_path: Path) -> None:
    desk = Desk(tmp_path)
    desk.write("a.jsonl", '{"event": "cut \\ud83dA", "at": "t", "id": "\\ud83d\\uded2", "x": "\\udead"}\n')
    assert desk.land().problems == []
    assert desk.rows(["event_name", "message_id"]) == [("cut \ufffdA", "🛒")]


def test_an_escaped_nul_in_json_is_text(tmp_path: Path) -> None:
    desk = Desk(tmp_path)
    desk.write("a.jsonl", jsonl(event("a\0b")))
    assert desk.land().problems == []
    assert desk.names() == ["a\0b"]


def test_a_json_line_may_leave_keys_out(tmp_path: Path) -> None:
    desk = Desk(tmp_path)
    desk.write("a.jsonl", jsonl({"event": "A", "at": "t", "id": "m1"}, {"event": "B", "at": "t", "id": None}))
    assert desk.land().problems == []
    assert desk.rows() == [("A", "t", None, None, "m1"), ("B", "t", None, None, None)]


BERLIN = timezone(timedelta(hours=1))


@pytest.mark.parametrize(
    ("values", "texts"),
    [
        pytest.param(
            pa.array(
                [datetime(2026, 11, 20, 11, 0, 0, 5, tzinfo=BERLIN), None],
                pa.timestamp("us", "Europe/Berlin"),
            ),
            ["2026-11-20T10:00:00.000005+00:00", None],
            id="a zone becomes an offset",
        ),
        pytest.param(
            pa.array([datetime(2026, 11, 20, 10, tzinfo=UTC)], pa.timestamp("ms", "+05:30")),
            ["2026-11-20T10:00:00.000+00:00"],
            id="a fixed offset as well",
        ),
        pytest.param(
            pa.array([datetime(2026, 11, 20, 10, 0, 0, 120_000)], pa.timestamp("ms")),
            ["2026-11-20T10:00:00.120"],
            id="without a zone it stays bare",
        ),
        pytest.param(
            pa.array([1_763_632_800_123_456_789], pa.timestamp("ns")),
            ["2025-11-20T10:00:00.123456"],
            id="microseconds are the finest",
        ),
        pytest.param(pa.array([date(2026, 11, 20)]), ["2026-11-20"], id="a date"),
        pytest.param(pa.array([1_763_632_800, None]), ["1763632800", None], id="integers are digits"),
        pytest.param(pa.array([2**64 - 1], pa.uint64()), ["18446744073709551615"], id="large integers too"),
        pytest.param(
            pa.array([12345.0, None, float("nan"), 1.5, -0.25, 1e300, 9007199254740991.0]),
            ["12345", None, None, "1.5", "-0.25", "1e+300", "9007199254740991"],
            id="whole floats are digits",
        ),
        pytest.param(pa.array([True, False, None]), ["true", "false", None], id="booleans are words"),
        pytest.param(pa.array([Decimal("5.00")]), ["5.00"], id="decimals"),
        pytest.param(pa.array(["a", "b", "a"]).dictionary_encode(), ["a", "b", "a"], id="dictionaries"),
        pytest.param(pa.array(["ü".encode(), None]), ["ü", None], id="bytes that are text"),
        pytest.param(pa.array([b"abcd"], pa.binary(4)), ["abcd"], id="bytes of a fixed width"),
        pytest.param(pa.array(["x"], pa.string_view()), ["x"], id="string views"),
        pytest.param(
            pa.ExtensionArray.from_storage(pa.uuid(), pa.array([uuid.UUID(int=7).bytes], pa.binary(16))),
            ["00000000-0000-0000-0000-000000000007"],
            id="uuids",
        ),
        pytest.param(pa.nulls(2), [None, None], id="nothing but nulls"),
    ],
)
def test_parquet_types_become_text(tmp_path: Path, values: pa.Array, texts: list[str | None]) -> None:
    columns = Columns(event_name="event", event_time="at")
    desk = Desk(tmp_path, events(columns=columns, matching="counts"))
    desk.write("a.parquet", parquet(event=["A"] * len(values), at=values))
    assert desk.land().problems == []
    assert [row[0] for row in desk.rows(["event_time"])] == texts


@pytest.mark.parametrize(
    ("days", "texts"),
    [
        ([date(2026, 11, 20), None], ["2026-11-20", None]),
        ([datetime(2026, 11, 20), None], ["2026-11-20", None]),
        ([datetime(2026, 11, 20, 1)], ["2026-11-20T01:00:00.000000"]),
        ([20261120], ["20261120"]),
    ],
)
def test_a_parquet_day_written_as_its_midnight_is_that_day(
    tmp_path: Path, days: list[Any], texts: list[str | None]
) -> None:
    desk = Desk(tmp_path, daily_counts())
    desk.write("a.parquet", parquet(event=["A"] * len(days), day=days, n=[5] * len(days)))
    assert desk.land().problems == []
    assert [row[0] for row in desk.rows(["day"])] == texts


def test_parquet_names_reach_into_structs(tmp_path: Path) -> None:
    columns = Columns(event_name="event", event_time="p.time", user_id="p.a.b", message_id="p.$insert_id")
    desk = Desk(tmp_path, events(columns=columns))
    rows = [{"time": 1, "$insert_id": "m1", "a": {"b": "deep"}, "wide": "x"}, None]
    desk.write("a.parquet", parquet(event=["A", "B"], p=rows, other=[1, 2]))
    assert desk.land().problems == []
    assert desk.rows(["event_name", "event_time", "user_id", "message_id"]) == [
        ("A", "1", "deep", "m1"),
        ("B", None, None, None),
    ]


def test_rows_are_numbered_through_files_of_many_pieces(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dagster_project.flow.landing._CHUNK_ROWS", 700)
    monkeypatch.setattr("dagster_project.resources.export_text.BLOCK", 4096)
    monkeypatch.setattr("dagster_project.resources.export_parquet._PARQUET_ROWS", 300)
    desk = Desk(tmp_path)
    rows = [event(f'name\n"{number}"', number) for number in range(3000)]
    desk.write("a.csv.gz", gz(csv_text(rows)))
    desk.write("b.jsonl.zst", zst(jsonl(*rows)))
    desk.write("c.parquet", parquet(**as_columns(rows)))
    assert desk.land().rows == 9000
    expected = [(row["event"], row["id"], number) for number, row in enumerate(rows, start=1)]
    assert desk.rows(["event_name", "message_id", "_row"]) == expected * 3


# Partitioned folders.


def in_formats(rows: list[dict[str, str]]) -> dict[str, bytes]:
    return {
        "csv": csv_text(rows, list(rows[0])).encode(),
        "jsonl.zst": zst(jsonl(*rows)),
        "parquet": parquet(**as_columns(rows)),
    }


@pytest.mark.parametrize("suffix", ["csv", "jsonl.zst", "parquet"])
def test_a_folder_may_say_what_the_file_does_not(tmp_path: Path, suffix: str) -> None:
    counts = daily_counts(files="exports/dt=*/**/*")
    columns = counts.export.columns.model_copy(update={"day": "dt"})
    desk = Desk(
        tmp_path, counts.model_copy(update={"export": counts.export.model_copy(update={"columns": columns})})
    )
    for day in ("2026-11-01", "2026-11-02"):
        for hour in ("03", "04"):
            content = in_formats([{"event": f"{day} {hour}", "n": "7"}])[suffix]
            desk.write(f"dt={day}/hour={hour}/part-0.{suffix}", content)
    assert desk.land().problems == []
    assert desk.rows(["event_name", "day", '"count"', "_file"]) == [
        (f"{day} {hour}", day, "7", f"dt={day}/hour={hour}/part-0.{suffix}")
        for day in ("2026-11-01", "2026-11-02")
        for hour in ("03", "04")
    ]


@pytest.mark.parametrize("suffix", ["csv", "jsonl.zst", "parquet"])
def test_a_value_in_the_file_comes_before_its_folders(tmp_path: Path, suffix: str) -> None:
    desk = Desk(tmp_path, events(files="exports/**/*"))
    rows = [event("A"), event("B")]
    desk.write(f"user=folder/id=x/user=inner/event=no/a.{suffix}", in_formats(rows)[suffix])
    desk.land()
    assert desk.rows(["event_name", "user_id", "message_id"]) == [("A", "u1", "m1"), ("B", "u1", "m1")]


def test_where_a_row_has_no_value_its_innermost_folder_says_it(tmp_path: Path) -> None:
    desk = Desk(tmp_path, events(files="exports/**/*.csv"))
    desk.write(
        "user=outer/user=in%20ner%2F/a.csv", 'event,at,user,anon,id\nA,t,,a,m1\nB,t,u,a,m2\nC,t,"",a,m3\n'
    )
    desk.write("user=__HIVE_DEFAULT_PARTITION__/b.csv", "event,at,anon,id\nD,t,a,m4\n")
    assert desk.land().problems == []
    assert desk.rows(["event_name", "user_id"]) == [("D", None), ("A", "in ner/"), ("B", "u"), ("C", "")]


def test_the_fixed_part_of_a_pattern_says_it_too_and_a_file_name_never_does(tmp_path: Path) -> None:
    desk = Desk(tmp_path, events(files="exports/user=u7/*"))
    desk.write("user=u7/anon=x.csv", "event,at,anon,id\nA,t,,m1\n")
    assert desk.land().problems == []
    assert desk.rows(["user_id", "anonymous_id"]) == [("u7", None)]


def test_a_file_that_moves_to_another_day_is_read_again(tmp_path: Path) -> None:
    desk = Desk(tmp_path, events(files="exports/*/*.csv"))
    desk.write("user=1/a.csv", "event,at,anon,id\nA,t,a,m1\n")
    desk.land()
    desk.path("user=1").rename(desk.path("user=2"))
    desk.land()
    assert desk.rows(["user_id", "_file"]) == [("2", "user=2/a.csv")]
