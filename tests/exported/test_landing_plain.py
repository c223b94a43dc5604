"""Arrow's quick way through plain blocks gives what the strict readers give: the same rows, or the same error."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from exported.landing_desk import HEADER, csv_text, event
from hypothesis import example, given, settings
from hypothesis import strategies as st

import dagster_project.resources.export_text as export_text
from dagster_project.resources.export_columns import ExportFileError, Wanted
from dagster_project.resources.export_files import read_batches
from dagster_project.resources.export_plain import PlainJson, end_of_records, plain_csv

FLAT = Wanted(
    columns={"event_name": "event", "event_time": "at", "user_id": "user", "message_id": "id"},
    required=frozenset({"event_name", "event_time"}),
)
DEEP = Wanted(
    columns={"event_name": "event", "event_time": "p.at", "user_id": "p.u.id", "message_id": "p.u.key"},
    required=frozenset({"event_name"}),
)


@contextmanager
def without_the_quick_way() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(export_text, "plain_csv", lambda *_: None)
        patch.setattr(PlainJson, "read", lambda *_: None)
        yield


def outcome(name: str, content: bytes, wanted: Wanted, block: int) -> Any:
    """Rows until the end, or until the error and its words."""
    rows: list[tuple[Any, ...]] = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(export_text, "BLOCK", block)
        try:
            for batch in read_batches(io.BytesIO(content), name, max(len(content), 1), wanted):
                rows += [tuple(row.values()) for row in batch.to_pylist()]
        except ExportFileError as error:
            # Which rows came before it is nobody's business: a file with an error lands none of them.
            return error.fact, error.next_step, error.settled
    return rows


def same(name: str, content: bytes, wanted: Wanted, block: int) -> None:
    quick = outcome(name, content, wanted, block)
    with without_the_quick_way():
        assert outcome(name, content, wanted, block) == quick


BLOCKS = st.sampled_from([7, 64, 1 << 20])
# Pieces out of which a csv file goes wrong in every way there is.
CSV_PIECES = st.sampled_from(
    ['"', '""', '"a"', '"a,b"', '"x\ny"', '"x\r\ny"', '"q""q"', ",", ",,,", "\n", "\r\n", "\r", "a", " ", "é", "\0",
     "\ufeff", "\u2028", "NULL", "1e3", "e,t,u,m\n", "e,t,u,m\r\n", '"e","t","","m"\n', ",t,u,m\n"]
)  # fmt: skip
JSON_VALUES = st.recursive(
    st.one_of(
        st.none(), st.booleans(), st.integers(-(2**70), 2**70), st.floats(), st.text(max_size=5),
        st.sampled_from(["null", "\ud83d", "\udc00", "🛒", "2026-11-01", "\u2028", "\x00", 0, 17])
    ),
    lambda inner: st.one_of(
        st.lists(inner, max_size=2), st.dictionaries(st.sampled_from(["at", "u", "id", "u.id", "x"]), inner, max_size=3)
    ),
    max_leaves=5,
)  # fmt: skip
JSON_OBJECTS = st.dictionaries(
    st.sampled_from(["event", "at", "user", "id", "p", "p.at", "p.u", "p.u.id", "Event", "x"]),
    JSON_VALUES,
    max_size=6,
)
JSON_PIECES = st.one_of(
    st.builds(lambda each, ascii_only: json.dumps(each, ensure_ascii=ascii_only).encode("utf-8", "replace") + b"\n",
              JSON_OBJECTS, st.booleans()),
    st.sampled_from([
        b"\n", b"\r\n", b" ", b"{}\n", b"{", b"}\n", b"}\r\n{", b'{"event": "A"}', b'{"event": "A", "at": 17}\n',
        b'{"event": "A", "event": "B"}\n', b'{"event": -0}\n', b'{"event": "A", "at": "t", "user": "u", "id": "m"}\n',
        b'{"p": {"at": 1, "at": 2}}\n', b'{"p": {"u": {"id": "x"}}, "p": {"at": "y"}}\n', b'{"p\\u002eat": "dot"}\n',
        b'{"\\u0065vent": "escaped"}\n', b'{"event": "\\ud83d"}\n', b'{"event": "\\udc00"}\n', b'{"event": 01}\n',
        b'{"event": "\\ud83d\\ude00"}\n', b'{"event": NaN, "at": 1.50}\n', b'{"event": "a\tb"}\n', b"[1]\n", b'"x"\n',
        b'{"event": {}}\n', b'{"p": []}\n', b'{"event": "A"} {"event": "B"}\n', b'{"event": "A"}{"p":\n{"at": 1}}\n',
        b'{"x": [{}\n{}]}\n', b'{"event": "\xff"}\n', b'{"event": 1e5, "at": 9223372036854775808}\n',
    ]),
)  # fmt: skip


@settings(max_examples=300, deadline=None)
@given(st.lists(CSV_PIECES, max_size=14), st.sampled_from(["\n", "\r\n", "\r"]), BLOCKS)
@example(['"', "\n", '"'], "\n", 7)
@example(["e,t,u,m\n", "\ufeff", "e,t,u,m\n"], "\n", 7)
def test_csv_pieces_put_together_anyhow(pieces: list[str], end: str, block: int) -> None:
    content = ("event,at,user,id" + end + "".join(pieces)).encode("utf-8", "surrogatepass")
    same("a.csv", content, FLAT, block)


@settings(max_examples=200, deadline=None)
@given(st.lists(CSV_PIECES, max_size=10), BLOCKS)
def test_csv_with_any_header(pieces: list[str], block: int) -> None:
    same("a.csv", "".join(["event,", *pieces]).encode("utf-8", "surrogatepass"), FLAT, block)


@settings(max_examples=300, deadline=None)
@given(st.lists(JSON_PIECES, max_size=8), st.sampled_from([FLAT, DEEP]), BLOCKS)
@example([b'{"event": "A", "event": "B"}\n'], FLAT, 1 << 20)
@example([b'{"event": "A", "p": {"u": null}}\n'], DEEP, 1 << 20)
def test_json_pieces_put_together_anyhow(pieces: list[bytes], wanted: Wanted, block: int) -> None:
    same("a.jsonl", b"".join(pieces), wanted, block)


@settings(max_examples=150, deadline=None)
@given(st.lists(JSON_OBJECTS, min_size=1, max_size=4), st.integers(0, 3), BLOCKS)
def test_a_json_key_that_comes_late_or_never(objects: list[dict[str, Any]], copies: int, block: int) -> None:
    lines = [json.dumps(each).encode() + b"\n" for each in objects]
    filler = b'{"event": "A", "at": "t"}\n' * (400 * copies)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(export_text, "_LINES_OF_KEYS", 20)
        same("a.jsonl", filler + b"".join(lines), FLAT, block)


def test_whole_numbers_of_any_size_keep_their_digits() -> None:
    content = b"".join(b'{"event": "A", "at": %d}\n' % (10**n) for n in range(25))
    same("a.jsonl", content, FLAT, 1 << 20)
    assert outcome("a.jsonl", content, FLAT, 1 << 20)[-1][1] == str(10**24)


# It is the quick way that is taken: a test that only ever compared the strict way with itself would be green too.


def test_plain_csv_is_read_by_arrow() -> None:
    block = csv_text(event(f"E, {number}", number) for number in range(3)).split("\r\n", 1)[1].encode()
    columns = plain_csv(block, len(HEADER), {"event_name": 0, "message_id": 4})
    assert columns is not None
    assert columns["event_name"].to_pylist() == ["E, 0", "E, 1", "E, 2"]
    assert columns["message_id"].to_pylist() == ["m0", "m1", "m2"]


@pytest.mark.parametrize(
    "block",
    [
        b'a"b,c\n',
        b'"a"b,c\n',
        b'"a,b\n',
        b"a\rb,c\n",
        b"a\n",
        b"a,b,c\n",
        b'a,"b"",c\n',
        b"\xef\xbb\xbfa,b\n",
    ],
)
def test_csv_that_is_not_plain_is_left_to_the_strict_reader(block: bytes) -> None:
    assert plain_csv(block, 2, {"event_name": 0}) is None


@pytest.mark.parametrize(
    ("block", "end"),
    [
        (b"a,b\nc,d\n", 8),
        (b'a,"b\nc', 0),
        (b'a,b\nc,"d\ne', 4),
        (b'a,"b\n"\nc,"\n', 7),
        (b'"\n""\n', 0),
        (b"", 0),
    ],
)
def test_records_end_outside_quotes(block: bytes, end: int) -> None:
    assert end_of_records(block) == end


def test_plain_json_is_read_by_arrow() -> None:
    plain = PlainJson({"event_name": "event", "event_time": "p.at", "user_id": "p.u.id"})
    columns = plain.read(b'{"event": "A", "p": {"at": 17, "x": [1]}}\n{"p": {"u": {"id": "u1"}}, "y": {}}\n')
    assert columns is not None
    assert {name: column.to_pylist() for name, column in columns.items()} == {
        "event_name": ["A", None],
        "event_time": ["17", None],
        "user_id": [None, "u1"],
    }


@pytest.mark.parametrize(
    "block",
    [b'{"event": 1.5}\n', b'{"event": "A"}{"event": "B"}\n', b'{"event":\n"A"}\n', b'{"event": true}\n', b"[]\n",
     b'{"event": "A"}\n\n{"event": "B"}\n', b'{"event": -0}\n', b'{"event": "\\udc00"}\n'],
)  # fmt: skip
def test_json_that_is_not_plain_is_left_to_the_strict_reader(block: bytes) -> None:
    assert PlainJson({"event_name": "event"}).read(block) is None


def test_a_file_that_is_never_plain_is_not_tried_for_ever() -> None:
    plain = PlainJson({"event_name": "event"})
    assert [plain.read(b'{"event": 1.5}\n') for _ in range(3)] == [None] * 3
    assert plain.read(b'{"event": "A"}\n') is None
