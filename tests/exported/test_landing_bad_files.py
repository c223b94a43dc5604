"""A file that cannot be landed says where, what and what next; nothing of it lands and the others go on."""

from __future__ import annotations

import io
import json
import os
import random
import re
import zlib
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from exported.landing_desk import Desk, csv_text, daily_counts, event, events, gz, some_events, zst

from dagster_project.core.contracts import Columns
from dagster_project.flow.landing import wanted_columns
from dagster_project.resources.export_columns import BLOCK, ExportFileError
from dagster_project.resources.export_files import read_batches

GOOD = some_events("A", "B", "C")
LONG = csv_text(event("x" * 40, number) for number in range(4000))
NOISE = random.Random(7).randbytes(300_000)
LINE = json.dumps(event())


def parquet(**columns: object) -> bytes:
    sink = io.BytesIO()
    pq.write_table(pa.table(columns), sink)
    return sink.getvalue()


def not_utf8_parquet() -> bytes:
    text = pa.array([b"fine", b"caf\xe9"]).view(pa.string())
    return parquet(event=text, at=["t", "t"], user=["u", "u"], anon=["a", "a"], id=["m", "n"])


WHOLE_PARQUET = parquet(**{key: [value] * 5000 for key, value in event().items()})

# name -> (content, what the fact says, what the next step says)
BAD: dict[str, tuple[bytes | str, str, str]] = {
    "zero.csv": (b"", "empty (0 bytes)", "export it again"),
    "zero.jsonl": (b"", "empty (0 bytes)", "export it again"),
    "zero.csv.gz": (b"", "empty (0 bytes)", "export it again"),
    "zero.parquet": (b"", "empty (0 bytes)", "export it again"),
    "nothing_inside.csv.gz": (gz(b""), "no header line", "names of the columns on its first line"),
    "bom_only.csv": (b"\xef\xbb\xbf", "no header line", "first line"),
    "cut.csv.gz": (gz(LONG)[:-200], "gzip data stops in the middle", "in full"),
    "cut_trailer.csv.gz": (gz(LONG)[:-4], "gzip data stops in the middle", "in full"),
    "cut_header.csv.gz": (gz(LONG)[:5], "gzip data stops in the middle", "in full"),
    "cut.csv.zst": (zst(LONG)[:-200], "zstd data stops in the middle", "in full"),
    "cut_by_one.csv.zst": (zst(LONG)[:-1], "zstd data stops in the middle", "in full"),
    "cut_second_frame.csv.zst": (zst(LONG) + zst(LONG)[:40], "zstd data stops in the middle", "in full"),
    "cut.jsonl.zst": (zst(f"{LINE}\n" * 9000)[:-30], "zstd data stops in the middle", "in full"),
    "cut.parquet.gz": (gz(WHOLE_PARQUET)[:-30], "gzip data stops in the middle", "in full"),
    "damaged.csv.gz": (
        gz(NOISE)[:1000] + b"\0\1\2\3" + gz(NOISE)[1004:],
        "gzip data is damaged",
        "copy it again",
    ),
    "wrong_sum.csv.gz": (
        gz(GOOD)[:-8] + b"\1\2\3\4" + gz(GOOD)[-4:],
        "gzip data is damaged",
        "copy it again",
    ),
    "junk_behind.csv.gz": (gz(GOOD) + b"junk", "gzip data is damaged", "copy it again"),
    "not_gzip.csv.gz": (GOOD, "gzip data is damaged", "copy it again"),
    "not_zst.csv.zst": (GOOD, "zstd data is damaged", "copy it again"),
    "junk_behind.csv.zst": (zst(GOOD) + b"junkjunk", "zstd data is damaged", "copy it again"),
    "utf16.csv": (GOOD.encode("utf-16"), "UTF-16", "as UTF-8"),
    "utf16_no_bom.csv": (GOOD.encode("utf-16-le"), "NUL byte at offset 1 (line 1)", "UTF-16"),
    "utf16.jsonl": (LINE.encode("utf-16"), "UTF-16", "as UTF-8"),
    "latin1.csv": (
        b"event,at,user,anon,id\nA,t,u,a,m1\ncaf\xe9,t,u,a,m2\n",
        "byte 0xe9 at offset 36 (line 3) is not UTF-8",
        "Latin-1",
    ),
    "latin1.jsonl.gz": (gz(LINE.encode() + b'\n{"event": "caf\xe9"}\n'), "(line 2) is not UTF-8", "as UTF-8"),
    "nul.csv": (GOOD.replace("B", "B\0"), "NUL byte at offset", "half-written"),
    "nul.jsonl": (LINE + "\n\0\0\0\0", "NUL byte", "half-written"),
    "missing.csv": (
        "event,at,anon,id\nA,t,a,m\n",
        "the header lacks `user`; the file has `event`, `at`, `anon`, `id`",
        "say under export.columns in destinations/email.yml what the export calls user_id",
    ),
    "near_miss.csv": (
        "event,at,users,anon,id\nA,t,u,a,m\n",
        "lacks `user`",
        'write `user_id: "users"` under export.columns in destinations/email.yml',
    ),
    "other_case.csv": ("Event,at,user,anon,id\nA,t,u,a,m\n", "lacks `event`", '`event_name: "Event"`'),
    "spaces.csv": ("event, at,user,anon,id\nA,t,u,a,m\n", "lacks `at`", '`event_time: " at"`'),
    "two_missing.csv": ("event,user,anon\nA,u,a\n", "lacks `at`, `id`", "event_time and message_id"),
    "semicolons.csv": ("event;at;user;anon;id\nA;t;u;a;m\n", "separated by semicolons", "by commas"),
    "tabs.csv": ("event\tat\tuser\tanon\tid\n", "separated by tabs", "by commas"),
    "no_header.csv": ("A,t,u,a,m\nB,t,u,a,m\n", "the header lacks `event`", "export.columns"),
    "blank_header.csv": ("\n" + GOOD, "the header lacks `event`", "export.columns"),
    "twice.csv": ("event,at,user,anon,id,user\nA,t,u,a,m,v\n", "has 2 columns named `user`", "once"),
    "too_few.csv": (GOOD + "D,t,u\r\n", "line 5 has 3 fields, the header has 5", "cut-off"),
    "too_few_after_quotes.csv": (
        'event,at,user,anon,id\n"two\nlines",t,u,a,m\n\nB,t\n',
        "line 5 has 2 fields, the header has 5",
        "cut-off",
    ),
    "too_many.csv": (
        GOOD + "D,t,u,a,m,extra\r\n",
        "line 5 has 6 fields, the header has 5",
        "unquoted commas",
    ),
    "one_field.csv": (GOOD + "   \r\n", "line 5 has 1 field,", "cut-off"),
    "open_quote.csv": (
        GOOD + '"D,t,u,a,m\r\n' + "E,t,u,a,m\r\n" * 9,
        "record at line 5 is never closed",
        "cut-off",
    ),
    "open_quote_in_header.csv": ('"event,at\n', "record at line 1 is never closed", "cut-off"),
    "open_quote_then_quote.csv": (
        'event,at,user,anon,id\nA,"t,u,a,m\n"B",t,u,a,m\n',
        "record at line 2 text follows a closing quote",
        "RFC 4180",
    ),
    "bare_quote.csv": (
        'event,at,user,anon,id\n"A"x,t,u,a,m\n',
        "line 2 text follows a closing quote",
        "doubled",
    ),
    "carriage_return.csv": (
        "event,at,user,anon,id\nA\rB,t,u,a,m\n",
        "line 2 holds a carriage return",
        "LF or CRLF",
    ),
    "old_mac.csv": (GOOD.replace("\r\n", "\r"), "line 1 holds a carriage return", "LF or CRLF"),
    "long_line.jsonl": (
        b'{"event": "' + b"x" * (18 << 20),
        "line 1 is longer than 16 MB",
        "one record a line",
    ),
    "long_field.csv": (
        GOOD.encode() + b'"' + b"xxxxxxxxxxxxxxx\n" * (18 << 16),
        "record at line 5 is longer than 16 MB",
        "close the quote",
    ),
    "cut.jsonl": (LINE + "\n" + LINE[:-5], "line 2 is not JSON", "one JSON object a line"),
    "text.jsonl": ("hello\n", "line 1 is not JSON", "one JSON object a line"),
    "list.json": ("[\n" + LINE + "\n]", "line 1 is not JSON", "one JSON object a line"),
    "list_line.jsonl": (
        f"{LINE}\n\n[{LINE}]\n",
        "line 3 holds a list, not an object",
        "one JSON object a line",
    ),
    "number_line.jsonl": ("17\n", "line 1 holds a number or a boolean, not an object", "one JSON"),
    "text_line.jsonl": ('"A"\n', "line 1 holds text, not an object", "one JSON"),
    "null_line.jsonl": ("null\n", "line 1 holds null, not an object", "one JSON"),
    "two_objects.jsonl": (LINE + LINE + "\n", "line 1 holds more than one JSON object", "one JSON"),
    "deep.jsonl": ('{"event": ' + "[" * 200_000, "line 1 is nested too deeply", "without that value"),
    "control.jsonl": ('{"event": "a\tb"}\n', "line 1 is not JSON (Invalid control character", "one JSON"),
    "object_value.jsonl": (
        LINE + "\n" + LINE.replace('"u1"', '{"id": 1}'),
        "`user` of line 2 holds an object",
        "with dots under export.columns",
    ),
    "list_value.jsonl": (LINE.replace('"u1"', "[1]"), "`user` of line 1 holds a list", "with dots"),
    "missing.jsonl": (
        LINE.replace('"at"', '"time"') + "\n",
        "every line lacks `at`; the file has `event`, `time`, `user`, `anon`, `id`",
        "what the export calls event_time",
    ),
    "other_case.jsonl": (LINE.replace('"user"', '"User"'), "every line lacks `user`", '`user_id: "User"`'),
    "no_ids.jsonl": (LINE.replace('"id"', '"insert"'), "every line lacks `id`", "message_id"),
    "hostile_header.csv": (
        'event,at,user,anon,"I\nD\x1b[31m' + "y" * 500 + '"\n',
        "\\nD\\x1b[31m",
        "export.columns",
    ),
    "text.parquet": (GOOD, "not Parquet that can be read", "name it after what it holds"),
    "cut.parquet": (WHOLE_PARQUET[:-50], "not Parquet that can be read", "cut-off"),
    "half.parquet": (WHOLE_PARQUET[: len(WHOLE_PARQUET) // 2], "not Parquet that can be read", "cut-off"),
    "missing.parquet": (
        parquet(event=["A"], at=["t"], user=["u"], anon=["a"]),
        "the schema lacks `id`",
        "message_id",
    ),
    "nested.parquet": (
        parquet(event=["A"], at=["t"], user=[{"x": 1}], anon=["a"], id=["m"]),
        "column `user` is a struct<x: int64>",
        "with dots",
    ),
    "bytes.parquet": (
        parquet(event=[b"A", b"\xff"], at=["t"] * 2, user=["u"] * 2, anon=["a"] * 2, id=["m"] * 2),
        "column `event` of row 2 is not UTF-8 text",
        "as text",
    ),
    "mislabelled.parquet": (not_utf8_parquet(), "column `event` of row 2 is not UTF-8 text", "as text"),
    "notes.txt": ("hello", "does not end in .csv, .jsonl or .parquet", "narrow the glob"),
    "a.csv.bz2": (b"BZh9", "does not end in .csv, .jsonl or .parquet", "narrow the glob"),
    "only.gz": (gz(GOOD), "does not end in .csv, .jsonl or .parquet", "rename it"),
}


@pytest.mark.parametrize("name", BAD)
def test_a_bad_file_is_told_and_lands_nothing_while_its_neighbour_lands(tmp_path: Path, name: str) -> None:
    content, fact, next_step = BAD[name]
    desk = Desk(tmp_path)
    desk.write(name, content)
    desk.write("good.csv", some_events("Good"))
    landed = desk.land()
    assert landed.status == "broken"
    assert [problem.file for problem in landed.problems] == [name]
    assert fact in landed.problems[0].fact
    assert next_step in landed.problems[0].next_step
    assert not re.search(r"[\x00-\x1f]", landed.problems[0].fact + landed.problems[0].next_step)
    assert len(landed.problems[0].fact) < 1000
    assert desk.names() == ["Good"]
    assert [(row["file"], row["status"]) for row in desk.ledger()] == [
        (each, "ok" if each == "good.csv" else "broken") for each in sorted([name, "good.csv"])
    ]


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("header.csv", "event,at,user,anon,id\n"),
        ("header.csv.gz", gz("event,at,user,anon,id")),
        ("empty.jsonl.gz", gz("")),
        ("blank.jsonl", "\n\n"),
        ("empty.parquet", parquet(**{key: pa.array([], pa.string()) for key in event()})),
    ],
)
def test_a_file_without_rows_is_fine_and_said(tmp_path: Path, name: str, content: bytes | str) -> None:
    desk = Desk(tmp_path)
    desk.write(name, content)
    landed = desk.land()
    assert (landed.status, landed.files_new, landed.rows, landed.problems) == ("ok", 1, 0, [])
    assert [(note.file, note.fact) for note in landed.notes] == [(name, "it holds no rows")]
    assert desk.rows() == []


def test_a_glob_that_matches_nothing_is_told_with_its_pattern(tmp_path: Path) -> None:
    desk = Desk(tmp_path, events(files="exports/braze/*.csv.gz"))
    landed = desk.land()
    assert landed.status == "empty"
    assert landed.problems[0].file == "exports/braze/*.csv.gz"
    assert "no file matches 'exports/braze/*.csv.gz'" in landed.problems[0].fact
    assert "destinations/email.yml" in landed.problems[0].next_step


def test_a_link_to_nothing_is_told(tmp_path: Path) -> None:
    desk = Desk(tmp_path)
    desk.path("a.csv").symlink_to("gone.csv")
    problem = desk.land().problems[0]
    assert (problem.file, problem.fact) == ("a.csv", "it is a link to a file that is not there")


def test_a_pipe_is_told_and_never_opened(tmp_path: Path) -> None:
    desk = Desk(tmp_path)
    os.mkfifo(desk.path("a.csv"))
    assert "a pipe or a device" in desk.land().problems[0].fact


def test_a_file_that_may_not_be_read_is_told_and_tried_again_on_every_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    desk = Desk(tmp_path)
    path = desk.write("a.csv", some_events("A"))
    opened = Path.open

    def refuse(self: Path, *args: object, **kwargs: object) -> object:
        if self == path:
            raise PermissionError(13, "Permission denied")
        return opened(self, *args, **kwargs)  # type: ignore[call-overload]

    with monkeypatch.context() as patch:
        patch.setattr(Path, "open", refuse)
        for _ in range(2):
            landed = desk.land()
            assert landed.status == "broken"
            assert landed.problems[0].fact == "it cannot be read (Permission denied)"
    # Neither size nor time changed: only the right to read did.
    assert (desk.land().status, desk.names()) == ("ok", ["A"])


def test_a_disk_that_fails_is_told_and_tried_again(tmp_path: Path) -> None:
    desk = Desk(tmp_path)
    desk.path("a.csv").symlink_to("/proc/self/mem")  # a regular file whose reading fails
    problem = desk.land().problems[0]
    assert "Input/output error" in problem.fact or "0 bytes" in problem.fact
    assert desk.ledger()[0]["sha256"] is None


@pytest.mark.parametrize("name", ["a.csv", "a.csv.gz", "a.csv.zst", "a.jsonl", "a.parquet"])
def test_a_disk_that_fails_on_the_way_says_nothing_about_the_file(tmp_path: Path, name: str) -> None:
    class Failing(io.BytesIO):
        def read(self, size: int | None = -1, /) -> bytes:
            raise OSError(5, "Input/output error")

    wanted = wanted_columns(Desk(tmp_path).destinations[0])
    with pytest.raises(ExportFileError, match="Input/output error") as raised:
        list(read_batches(Failing(b"x" * 100), name, 100, wanted))
    assert not raised.value.settled


def test_a_file_that_is_being_written_is_left_for_the_next_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import dagster_project.flow.landing as landing

    desk = Desk(tmp_path)
    path = desk.write("a.csv", some_events("A"))
    reading = landing.read_batches

    def read_while_it_grows(*args: object) -> object:
        yield from reading(*args)  # type: ignore[arg-type]
        with path.open("a") as file:
            file.write("B,t,u,a,m2\n")

    with monkeypatch.context() as patch:
        patch.setattr(landing, "read_batches", read_while_it_grows)
        assert "being written while it was read" in desk.land().problems[0].fact
    assert desk.names() == []
    assert (desk.land().status, desk.names()) == ("ok", ["A", "B"])


def test_a_file_that_grows_without_end_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dagster_project.resources.export_files._EXPANSION_UNCHECKED", 1 << 20)
    desk = Desk(tmp_path)
    desk.write("a.csv.zst", zst(GOOD + "D,t,u,a,m\r\n" * 2_000_000))
    landed = desk.land()
    assert "grows to more than 500 times its size" in landed.problems[0].fact
    assert desk.names() == []


def test_a_failure_that_nobody_foresaw_concerns_its_file_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import dagster_project.flow.landing as landing

    desk = Desk(tmp_path)
    desk.write("a.csv", some_events("A"))
    desk.write("b.csv", some_events("B"))
    reading = landing.read_batches

    def stumble(handle: object, name: str, *rest: object) -> object:
        if name == "a.csv":
            raise ZeroDivisionError("oh")
        return reading(handle, name, *rest)  # type: ignore[arg-type]

    with monkeypatch.context() as patch:
        patch.setattr(landing, "read_batches", stumble)
        assert [problem.file for problem in desk.land().problems] == ["a.csv"]
    assert desk.names() == ["B"]
    # Nothing says that the file was at fault, so it is tried again though it did not change.
    assert (desk.land().status, desk.names()) == ("ok", ["A", "B"])


@pytest.mark.parametrize("blocks", [0.4, 2.5])
def test_a_cut_file_is_told_with_as_much_content_as_can_be_read(tmp_path: Path, blocks: float) -> None:
    lines = random.Random(7).choices([f"Event {number},t,u,a,m\r\n" for number in range(5000)], k=200_000)
    content = ("event,at,user,anon,id\r\n" + "".join(lines)).encode()[: int(blocks * BLOCK)]
    desk = Desk(tmp_path)
    packed = gz(content)[: len(gz(content)) * 2 // 3]
    desk.write("a.csv.gz", packed)
    readable = len(zlib.decompressobj(wbits=31).decompress(packed))
    assert 0.5 * len(content) < readable < len(content)
    assert f"stops in the middle, after {readable:,} bytes of content" in desk.land().problems[0].fact


def test_what_stands_before_a_fault_is_counted_in_full(tmp_path: Path) -> None:
    desk = Desk(tmp_path)
    # Of zst only whole blocks can be read, and the second part is less than one.
    desk.write("a.csv.zst", zst(LONG) + zst(GOOD)[:-3])
    desk.write("b.csv.gz", gz(LONG) + b"junk")
    facts = [problem.fact for problem in desk.land().problems]
    assert f"stops in the middle, after {len(LONG.encode()):,} bytes of content" in facts[0]
    assert f"damaged after {len(LONG.encode()):,} bytes of content" in facts[1]


def test_a_bad_end_undoes_a_file_that_was_written_while_it_was_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dagster_project.flow.landing._CHUNK_ROWS", 100)
    monkeypatch.setattr("dagster_project.resources.export_text.BLOCK", 2048)
    desk = Desk(tmp_path)
    desk.write("a.csv", LONG)
    assert desk.land().rows == 4000
    before = desk.rows()
    desk.write("a.csv", LONG + "cut,off")
    assert "line 4,002 has 2 fields" in desk.land().problems[0].fact
    assert desk.rows() == before
    desk.write("a.csv", LONG + "Z,t,u,a,m\r\n")
    assert (desk.land().files_changed, len(desk.rows()), desk.names()[-1]) == (1, 4001, "Z")


@pytest.mark.parametrize(("bad", "fact"), [(b"caf\xe9", "byte 0xe9"), (b"a\0b", "a NUL byte")])
def test_the_place_of_a_bad_byte_is_counted_from_the_start_of_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, bad: bytes, fact: str
) -> None:
    monkeypatch.setattr("dagster_project.resources.export_text.BLOCK", 50)
    desk = Desk(tmp_path)
    content = LONG.encode() + bad
    offset = len(content) - (1 if fact == "byte 0xe9" else 2)
    desk.write("a.csv", b"\xef\xbb\xbf" + content)
    told = desk.land().problems[0].fact
    assert fact in told
    assert f"at offset {offset + 3:,} (line 4,002)" in told


def test_other_destinations_go_on(tmp_path: Path) -> None:
    desk = Desk(
        tmp_path,
        events("bad", "exports/bad/*"),
        events("none", "exports/none/*"),
        events("good", "exports/good/*"),
    )
    desk.write("bad/a.csv", "nonsense")
    desk.write("good/a.csv", some_events("A"))
    assert [(each.destination, each.status) for each in desk.land_all()] == [
        ("bad", "broken"),
        ("none", "empty"),
        ("good", "ok"),
    ]
    assert desk.rows(["event_name"], "good") == [("A",)]


# Which columns are required depends on the grain, on the matching and on who named them.


@pytest.mark.parametrize(
    ("header", "matching", "lacks"),
    [
        ("event_name,event_time,user_id,anonymous_id,message_id", "message_id", None),
        ("event_name,event_time,message_id", "message_id", None),
        ("event_name,event_time,user_id", "message_id", "`message_id`"),
        ("event_name,event_time,user_id", "user_time", None),
        ("event_name,event_time", "user_time", "`user_id`, `anonymous_id`"),
        ("event_name,event_time", "counts", None),
        ("event_name,event_time,User_ID", "counts", "`user_id`"),
        ("event_name,user_id,message_id", "message_id", "`event_time`"),
    ],
)
def test_what_only_a_preset_names_may_be_absent_unless_it_is_matched_on(
    tmp_path: Path, header: str, matching: str, lacks: str | None
) -> None:
    generic = Columns(**{name: name for name in Columns.model_fields})
    desk = Desk(tmp_path, events(format="generic", columns=generic, matching=matching))
    desk.write("a.csv", header + "\n")
    problems = desk.land().problems
    if lacks is None:
        assert problems == []
    else:
        assert f"the header lacks {lacks};" in problems[0].fact


def test_counts_need_their_day_and_count(tmp_path: Path) -> None:
    desk = Desk(tmp_path, daily_counts())
    desk.write("a.csv", "event,Day,n\nA,2026-11-20,1\n")
    problem = desk.land().problems[0]
    assert "lacks `day`" in problem.fact
    assert '`day: "Day"`' in problem.next_step
