"""What each macro that differs between the engines must answer, row by row."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

# How an input of a kind is written; the same Jinja for both engines.
_TYPES: Final = {
    "text": "varchar",
    "time": "{{ dbt.type_timestamp() }}",
    "aware": "{{ 'timestamptz' if target.type == 'duckdb' else 'timestamp_tz' }}",
    "day": "date",
    "whole": "bigint",
    "double": "{{ 'double' if target.type == 'duckdb' else 'float' }}",
}

HOSTILE: Final = (
    "it's",
    'a "quoted" name',
    "back\\slash \\' \\n \\\\",
    "two\nlines\tand a tab",
    "'; drop table x; --",
    "/* {{ not_jinja }} {% nor_this %} #}",
    "100% %s %(name)s :bind ? $1 $$",
    "🛒 Ünïcödé ‮ right to left",
    "",
    " leading and trailing ",
)


@dataclass(frozen=True)
class Row:
    """One row of a truth table: a macro's call, what stands in its columns, and what must come out."""

    macro: str
    call: str  # Jinja, over the columns named in `rows`
    rows: tuple[Mapping[str, tuple[str, Any]], ...]  # column -> (kind, value)
    expected: Any
    answer: str = "value"  # `time` and `day` are compared as ISO text

    @property
    def title(self) -> str:
        """A name for the test; a hostile value is only shown escaped."""
        values = [value for row in self.rows for _, value in row.values()]
        return ascii(f"{self.macro}({', '.join(map(str, values))})")[1:-1][:100]

    @property
    def template(self) -> str:
        """The select statement, as Jinja."""
        call = f"{{{{ {self.call} }}}}"
        if self.answer == "time":
            call = f"{{{{ timestamp_text({self.call}) }}}}"
        if self.answer == "day":
            call = f"{{{{ day_text({self.call}) }}}}"
        lines = [
            "select " + ", ".join(f"{_literal(*value)} as {column}" for column, value in row.items())
            for row in self.rows
        ]
        return f"select {call} as answer from ({' union all '.join(lines)}) as t"


def _literal(kind: str, value: Any) -> str:
    if value is None:
        return f"cast(null as {_TYPES[kind]})"
    if kind in ("whole", "double"):
        return f"cast({value} as {_TYPES[kind]})"
    # Jinja reads a JSON string as one, but not the halves of an escaped emoji.
    return f"cast({{{{ text_literal({json.dumps(value, ensure_ascii=False)}) }}}} as {_TYPES[kind]})"


def _table(
    macro: str, call: str, rows: list[tuple[Any, ...]], *, columns: dict[str, str], answer: str = "value"
) -> Iterator[Row]:
    for *values, expected in rows:
        named = dict(zip(columns, zip(columns.values(), values, strict=True), strict=True))
        yield Row(macro, call, (named,), expected, answer)


def rows() -> list[Row]:
    """Every truth table."""
    return [*_keys_and_bits(), *_clocks(), *_texts(), *_readers(), *_staged()]


def _keys_and_bits() -> Iterator[Row]:
    one, two = {"a": "whole"}, {"a": "whole", "b": "whole"}
    yield from _table(
        "row_key",
        "row_key('a') ~ ' is null'",
        [(None, True), ("", False), ("x", False)],
        columns={"a": "text"},
    )
    yield Row(
        "row_key", "row_key('a') ~ ' = ' ~ row_key('b')", ({"a": ("text", "Ab"), "b": ("text", "Ab")},), True
    )
    yield Row(
        "row_key", "row_key('a') ~ ' = ' ~ row_key('b')", ({"a": ("text", "Ab"), "b": ("text", "aB")},), False
    )
    yield Row(
        "key_type",
        "'cast(' ~ row_key('a') ~ ' as ' ~ key_type() ~ ') = ' ~ row_key('a')",
        ({"a": ("text", "x")},),
        True,
    )
    yield Row("key_type", "'cast(null as ' ~ key_type() ~ ') is null'", ({"a": ("text", "x")},), True)
    yield from _table(
        "bit", "bit('a')", [(0, 1), (1, 2), (40, 2**40), (61, 2**61), (None, None)], columns=one
    )
    yield from _table(
        "bits_and",
        "bits_and('a', 'b')",
        [(6, 3, 2), (0, 7, 0), (2**61 + 1, 2**61, 2**61), (None, 1, None), (1, None, None)],
        columns=two,
    )
    yield from _table(
        "bits_or",
        "bits_or('a', 'b')",
        [(6, 3, 7), (0, 0, 0), (2**61, 1, 2**61 + 1), (None, 1, None)],
        columns=two,
    )
    yield from _table(
        "bits_without",
        "bits_without('a', 'b')",
        [(7, 2, 5), (5, 2, 5), (2**61 + 3, 2**61 + 1, 2), (0, 1, 0), (None, 1, None)],
        columns=two,
    )
    # Calls stand in each other in the models; what binds tighter must not leak out of them.
    yield Row(
        "bits_without",
        "bits_and(bits_without('a', 'b'), bits_or('b', bits_and('a', 'b')))",
        ({"a": ("whole", 7), "b": ("whole", 2)},),
        0,
    )
    yield Row(
        "bits_or", "'1 + ' ~ bits_or('a', bits_and('a', 'b'))", ({"a": ("whole", 4), "b": ("whole", 6)},), 5
    )
    for values, expected in [((1, 4, 4), 5), ((None, 8), 8), ((None, None), None), ((2**61, 1), 2**61 + 1)]:
        yield Row("bits_any", "bits_any('a')", tuple({"a": ("whole", value)} for value in values), expected)
    yield Row("bits_any", "bits_any(bit('a'))", ({"a": ("whole", 3)}, {"a": ("whole", 5)}), 40)
    # Bit 0 twice is as much as bit 1 once.
    for places, expected in [
        ((3,), False),
        ((3, 3), True),
        ((0, 0, 1), True),
        ((0, 1, 2), False),
        ((0, 0), True),
        ((61, 0, 61), True),
        ((61, 0), False),
    ]:
        yield Row(
            "some_bit_twice",
            "some_bit_twice(bit('a'))",
            tuple({"a": ("whole", place)} for place in places),
            expected,
        )
    yield Row("some_bit_twice", "'not ' ~ some_bit_twice(bit('a'))", ({"a": ("whole", 3)},), True)
    for values, expected in (
        ((1, 2, 3), None),
        ((7, 1, 7, 7, None, None), 7),  # once, however often it comes; and a null is no value
        ((4, 8, 4, 8), 12),
    ):
        listed = " union all ".join(f"select {'null' if n is None else n}" for n in (None, *values))
        yield Row(
            "repeated_values",
            f"'(select sum(r.v) from (' ~ repeated_values('(select cast(x as bigint) as x from ({listed}) as i (x)) as n',"
            " 'x', 'v') ~ ') as r)'",
            ({"a": ("whole", 1)},),
            expected,
        )


def _clocks() -> Iterator[Row]:
    zoned = {"a": "time", "z": "text"}
    yield from _table(
        "local_time",
        "local_time('a', 'z')",
        [
            ("2026-11-22 10:00:00.123456", "UTC", "2026-11-22 10:00:00.123456"),
            ("2026-11-22 18:29:59", "Asia/Kolkata", "2026-11-22 23:59:59.000000"),
            ("2026-11-22 18:30:00", "Asia/Kolkata", "2026-11-23 00:00:00.000000"),
            ("2026-11-22 18:15:00", "Asia/Kathmandu", "2026-11-23 00:00:00.000000"),
            # New York puts its clocks back at 06:00 UTC: 01:30 is there twice.
            ("2026-11-01 05:30:00", "America/New_York", "2026-11-01 01:30:00.000000"),
            ("2026-11-01 06:30:00", "America/New_York", "2026-11-01 01:30:00.000000"),
            ("2026-11-01 07:00:00", "America/New_York", "2026-11-01 02:00:00.000000"),
            # Berlin puts them forward at 01:00 UTC: 02:30 is not there.
            ("2026-03-29 00:59:59", "Europe/Berlin", "2026-03-29 01:59:59.000000"),
            ("2026-03-29 01:00:00", "Europe/Berlin", "2026-03-29 03:00:00.000000"),
            # Lord Howe's summer is half an hour.
            ("2026-04-04 14:59:00", "Australia/Lord_Howe", "2026-04-05 01:59:00.000000"),
            ("2026-04-04 15:00:00", "Australia/Lord_Howe", "2026-04-05 01:30:00.000000"),
            (None, "UTC", None),
            ("2026-11-22 10:00:00", None, None),
        ],
        columns=zoned,
        answer="time",
    )
    yield from _table(
        "utc_time",
        "utc_time('a', 'z')",
        [
            ("2026-11-23 00:00:00", "Asia/Kolkata", "2026-11-22 18:30:00.000000"),
            ("2026-11-23 00:00:00", "America/New_York", "2026-11-23 05:00:00.000000"),
            ("2026-10-31 00:00:00", "America/New_York", "2026-10-31 04:00:00.000000"),
            ("2026-11-02 00:00:00", "America/New_York", "2026-11-02 05:00:00.000000"),
            ("2026-04-06 00:00:00", "Australia/Lord_Howe", "2026-04-05 13:30:00.000000"),
            (None, "UTC", None),
        ],
        columns=zoned,
        answer="time",
    )
    yield from _table(
        "quarter_hour",
        "quarter_hour('a')",
        [
            ("2026-11-22 10:14:59.999999", "2026-11-22 10:00:00.000000"),
            ("2026-11-22 10:15:00", "2026-11-22 10:15:00.000000"),
            ("2026-11-22 23:59:59", "2026-11-22 23:45:00.000000"),
            ("1999-12-31 23:46:00", "1999-12-31 23:45:00.000000"),
            (None, None),
        ],
        columns={"a": "time"},
        answer="time",
    )
    yield from _table(
        "add_seconds",
        "add_seconds('a', 'n')",
        [
            ("2026-11-22 10:00:00.5", 1, "2026-11-22 10:00:01.500000"),
            ("2026-11-22 00:00:00", -1, "2026-11-21 23:59:59.000000"),
            ("2026-11-22 00:00:00", 86_400 * 40, "2027-01-01 00:00:00.000000"),
            (None, 1, None),
            ("2026-11-22 00:00:00", None, None),
        ],
        columns={"a": "time", "n": "whole"},
        answer="time",
    )
    yield from _table(
        "add_days",
        "add_days('a', 'n')",
        [
            ("2026-02-28", 1, "2026-03-01"),
            ("2028-02-28", 1, "2028-02-29"),
            ("2026-01-01", -1, "2025-12-31"),
            (None, 1, None),
        ],
        columns={"a": "day", "n": "whole"},
        answer="day",
    )
    yield Row("add_days", "add_days('a', '-7')", ({"a": ("day", "2026-11-01")},), "2026-10-25", "day")
    yield from _table(
        "aware_to_utc",
        "aware_to_utc('a')",
        [
            ("2026-11-22 10:00:00.25+05:30", "2026-11-22 04:30:00.250000"),
            ("2026-11-22 23:00:00-05:00", "2026-11-23 04:00:00.000000"),
            (None, None),
        ],
        columns={"a": "aware"},
        answer="time",
    )
    yield from _table(
        "epoch_timestamp",
        "epoch_timestamp('a')",
        [
            (0, "1970-01-01 00:00:00.000000"),
            (1_793_500_000, "2026-11-01 02:26:40.000000"),
            (-1, "1969-12-31 23:59:59.000000"),
            (None, None),
        ],
        columns={"a": "whole"},
        answer="time",
    )
    yield from _table(
        "timestamp_text",
        "timestamp_text('a')",
        [
            ("2026-01-02 03:04:05.000007", "2026-01-02 03:04:05.000007"),
            ("0999-01-01 00:00:00", "0999-01-01 00:00:00.000000"),
            (None, None),
        ],
        columns={"a": "time"},
    )
    yield from _table(
        "day_text", "day_text('a')", [("2026-01-02", "2026-01-02"), (None, None)], columns={"a": "day"}
    )
    # A type, not a call: dbt's own macro, which an account's settings must not decide.
    yield from _table(
        "type_timestamp",
        "'cast(a as ' ~ dbt.type_timestamp() ~ ')'",
        [("2026-01-02 03:04:05", "2026-01-02 03:04:05.000000")],
        columns={"a": "text"},
        answer="time",
    )


def _texts() -> Iterator[Row]:
    uuid = "0a1b2c3d-0000-4000-8000-00000000ABCD"
    for text, pattern, expected in [
        ("abc", "[a-c]+", True),
        ("xabc", "[a-c]+", False),
        ("abcx", "[a-c]+", False),
        ("", "[a-c]+", False),
        ("", "[a-c]*", True),
        (None, "[a-c]+", None),
        ("12", r"\d+", True),
        ("d", r"\d+", False),
        ("a.b", r"a\.b", True),
        ("axb", r"a\.b", False),
        ("it's", "it's", True),
        ("a", "(a)|(b)", True),
        ("ab", "(a)|(b)", False),
        ("ABC", "[a-c]+", False),
    ]:
        call = f"matches('a', text_literal({json.dumps(pattern)}))"
        yield Row("matches", call, ({"a": ("text", text)},), expected)
    for text, pattern, expected in [
        ("xabcx", "[a-c]+", True),
        ("xyz", "[a-c]+", False),
        ("xabc", "^abc$", False),
        ("abc", "^abc$", True),
        ("1.5", r"^\d\.\d$", True),
        ("", "^$", True),
        (None, "a", None),
        # What plans are full of.
        ("2026-11-01", r"^\d{4}-\d{2}-\d{2}$", True),
        ("2026-11-1", r"^\d{4}-\d{2}-\d{2}$", False),
        ("EUR", "^[A-Z]{3}$", True),
        ("eur", "^[A-Z]{3}$", False),
        ("a b", r"^\w+\s\w+$", True),
        ("a.b@c.de", "^[^@]+@[^@]+[.][a-z]{2,}$", True),
        ("free|pro", r"^(free|pro)$", False),
        ("pro", r"^(free|pro)$", True),
        ("", r"\S", False),
        ("it's", "'", True),
    ]:
        yield Row(
            "pattern_known",
            f"'true' if pattern_known({json.dumps(pattern)}) else 'false'",
            ({"a": ("whole", 1)},),
            True,
        )
        call = f"pattern_found('a', text_literal({json.dumps(pattern)}))"
        yield Row("pattern_found", call, ({"a": ("text", text)},), expected)
    yield from _table(
        "masked",
        "masked('a')",
        [
            ("Jane.Doe+1@Example.com", "Aaaa.Aaa+9@Aaaaaaa.aaa"),
            ("-12,50 EUR", "-99,99 AAA"),
            ("Jürgen 🛒", "A?aaaa ?"),
            ("x" * 50, "a" * 40),
            ("", ""),
            (None, None),
        ],
        columns={"a": "text"},
    )
    yield from _table(
        "sha256_hex",
        "sha256_hex('a')",
        [
            ("abc", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"),
            ("", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"),
            ("🛒", "009222903f3b66efde0a9cc936517bbe7b199487d221848513dc21c4902ac03c"),
            (None, None),
        ],
        columns={"a": "text"},
    )
    yield from _table(
        "uuid_inside",
        "uuid_inside('a')",
        [
            (uuid, uuid.lower()),
            (f"ajs-next-{uuid}", uuid.lower()),
            (f"{uuid} and 11111111-1111-1111-1111-111111111111", uuid.lower()),
            ("0a1b2c3d-0000", None),
            ("", None),
            (None, None),
        ],
        columns={"a": "text"},
    )
    for text in HOSTILE:
        # Equal to what was bound, and as long: a literal that ends early may still be valid SQL.
        yield Row(
            "text_literal",
            f"text_literal({json.dumps(text, ensure_ascii=False)})",
            ({"a": ("whole", 1)},),
            text,
        )
    yield Row(
        "quoted_name", "quoted_name('A')", ({'"A"': ("text", "upper"), '"a b"': ("text", "spaced")},), "upper"
    )
    yield Row(
        "quoted_name",
        "quoted_name('a b')",
        ({'"A"': ("text", "upper"), '"a b"': ("text", "spaced")},),
        "spaced",
    )
    yield Row("quoted_name", """quoted_name('say "x"')""", ({'"say ""x"""': ("text", "quoted")},), "quoted")


def _readers() -> Iterator[Row]:
    yield from _table(
        "try_timestamp",
        "try_timestamp('a')",
        [
            ("2026-11-22", "2026-11-22 00:00:00.000000"),
            ("2026-11-22 10:11:12", "2026-11-22 10:11:12.000000"),
            ("2026-11-22T10:11:12.123456", "2026-11-22 10:11:12.123456"),
            ("2026/11/22 10:11:12", "2026-11-22 10:11:12.000000"),
            (" 2026-11-22 10:11:12 ", "2026-11-22 10:11:12.000000"),
            ("2026-13-01", None),
            ("2026-11-22 25:00:00", None),
            # Snowflake's own reader takes these two for an epoch and for a day.
            ("1793500000", None),
            ("11/22/2026", None),
            ("yesterday", None),
            ("", None),
            (None, None),
        ],
        columns={"a": "text"},
        answer="time",
    )
    yield from _table(
        "try_timestamp_utc",
        "try_timestamp_utc('a')",
        [
            ("2026-11-22T10:00:00Z", "2026-11-22 10:00:00.000000"),
            ("2026-11-22T10:00:00.123Z", "2026-11-22 10:00:00.123000"),
            ("2026-11-22T10:00:00+02:00", "2026-11-22 08:00:00.000000"),
            ("2026-11-22 10:00:00.5+05:30", "2026-11-22 04:30:00.500000"),
            ("2026-11-22 23:00:00-05", "2026-11-23 04:00:00.000000"),
            ("2026-11-22 10:00:00 UTC", "2026-11-22 10:00:00.000000"),
            # Without an offset it is UTC, whatever zone the session has.
            ("2026-11-22 10:00:00", "2026-11-22 10:00:00.000000"),
            ("2026-11-22", "2026-11-22 00:00:00.000000"),
            ("2026-11-22T99:00:00Z", None),
            ("soon", None),
            ("", None),
            (None, None),
        ],
        columns={"a": "text"},
        answer="time",
    )
    yield from _table(
        "try_number",
        "try_number('a')",
        [
            ("12", 12),
            ("-1.5", -1.5),
            ("0.000000001", 1e-9),
            ("1e3", 1000),
            (" 7 ", 7),
            ("1,000", None),
            ("x", None),
            ("NaN", None),
            ("", None),
            (None, None),
        ],
        columns={"a": "text"},
    )


def _staged() -> Iterator[Row]:
    """Macros without a branch of their own that are made of such ones."""
    yield from _table(
        "utc_from_epoch",
        "utc_from_epoch('a')",
        [
            (1_793_500_000, "2026-11-01 02:26:40.000000"),
            (1_793_500_000_250, "2026-11-01 02:26:40.250000"),
            (1_793_500_000_250_125, "2026-11-01 02:26:40.250125"),
            (1_793_500_000_250_000_000, "2026-11-01 02:26:40.250000"),
            (None, None),
        ],
        columns={"a": "whole"},
        answer="time",
    )
    yield from _table(
        "local_from_text",
        "local_from_text('a', 'z')",
        [
            ("1793500000", "Asia/Kolkata", "2026-11-01 07:56:40.000000"),
            ("1793500000.25", "UTC", "2026-11-01 02:26:40.250000"),
            ("2026-11-01T02:26:40Z", "Asia/Kolkata", "2026-11-01 07:56:40.000000"),
            ("2026-11-01T02:26:40+0100", "UTC", "2026-11-01 01:26:40.000000"),
            ("2026-11-01 02:26:40", "Asia/Kolkata", "2026-11-01 02:26:40.000000"),
            ("nothing", "UTC", None),
            (None, "UTC", None),
        ],
        columns={"a": "text", "z": "text"},
        answer="time",
    )
    yield from _stretches()
    yield from _table(
        "identifier_shape",
        "identifier_shape('a')",
        [
            (None, None),
            ("", "empty"),
            ("0a1b2c3d-0000-4000-8000-00000000abcd", "uuid"),
            ("0A1B2C3D-0000-4000-8000-00000000ABCD\n", "other"),
            ("0a1b2c3d-0000-4000-8000-00000000abcg", "other"),
            ("-0a1b2c3d0000-4000-8000-00000000abcd", "other"),
            ("ann@example.com", "email"),
            ("42", "integer"),
            ("42x", "other"),
            ("@", "other"),
        ],
        columns={"a": "text"},
    )


def _stretches() -> Iterator[Row]:
    """The slots of a step as stretches, and the bits that a message has by them."""
    slots = " union all ".join(
        f"select '{clock}' as clock, cast('2026-11-{slot}:00' as {{type}}) as slot, {bits} as bits, {anew} as anew_bits"
        for clock, slot, bits, anew in [
            # As they may come out of a table: in no order.
            ("timestamp", "02 00:00", 3, 3),
            ("timestamp", "01 23:30", 1, 1),
            ("timestamp", "01 23:45", 1, 1),
            ("timestamp", "02 00:15", 3, 3),
            # The same destinations after a gap, and on another clock.
            ("timestamp", "02 01:00", 3, 0),
            ("timestamp", "02 01:15", 1, 0),
            # The same ones, of which some match the day anew from here on.
            ("timestamp", "02 01:30", 1, 1),
            ("received_at", "02 00:30", 1, 1),
        ]
    )
    asked = f"""slot_stretches("({slots}) as slots" | replace('{{type}}', dbt.type_timestamp()))"""
    yield Row(
        "slot_stretches",
        f"text_literal({asked} | tojson)",
        ({"a": ("whole", 1)},),
        json.dumps(
            [
                [clock, f"2026-11-{opens}:00.000000", f"2026-11-{closes}:00.000000", bits, anew]
                for clock, opens, closes, bits, anew in [
                    ("received_at", "02 00:30", "02 00:45", 1, 1),
                    ("timestamp", "01 23:30", "02 00:00", 1, 1),
                    ("timestamp", "02 00:00", "02 00:30", 3, 3),
                    ("timestamp", "02 01:00", "02 01:15", 3, 0),
                    ("timestamp", "02 01:15", "02 01:30", 1, 0),
                    ("timestamp", "02 01:30", "02 01:45", 1, 1),
                ]
            ]
        ),
    )
    stretches = json.dumps(
        [
            ["received_at", "2026-11-02 00:30:00", "2026-11-02 00:45:00", 4, 4],
            ["timestamp", "2026-11-01 23:30:00", "2026-11-02 00:00:00", 3, 2],
            ["timestamp", "2026-11-02 01:00:00", "2026-11-02 01:30:00", 2**61, 0],
        ]
    )
    for by_timestamp, by_arrival, bits, anew, between in [
        ("2026-11-01 23:30:00", "2026-11-02 00:45:00", 3, 2, True),
        ("2026-11-01 23:59:59.999999", "2026-11-02 00:44:59.999999", 7, 6, True),
        ("2026-11-02 01:29:59", "2026-11-02 00:30:00", 2**61 + 4, 4, True),
        # Between the stretches of its clock, before the first and at the end of the last.
        ("2026-11-02 00:00:00", "2026-11-01 23:30:00", 0, 0, True),
        ("2026-11-01 23:29:59", "2026-11-02 00:29:59", 0, 0, False),
        ("2026-11-02 01:30:00", "2026-11-02 00:45:00", 0, 0, False),
        ("2026-11-02 00:00:00", None, 0, 0, True),
        (None, "2026-11-02 00:30:00", 4, 4, True),
    ]:
        # Macros that read a relation by its name: in the truth table's own place it is called t.
        row = {"timestamp": ("time", by_timestamp), "received_at": ("time", by_arrival)}
        for macro, expected in {"step_bits": bits, "between_slots": between}.items():
            yield Row(macro, f"{macro}({stretches}) | replace('messages.', 't.')", (row,), expected)
        yield Row(
            "step_bits", f"step_bits({stretches}, anew=true) | replace('messages.', 't.')", (row,), anew
        )
    row = {"timestamp": ("time", "2026-11-02 01:00:00"), "received_at": ("time", None)}
    yield Row("step_bits", "step_bits([])", (row,), 0)
    yield Row("between_slots", "between_slots([])", (row,), False)
