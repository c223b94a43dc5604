"""Durations and shares are read as people write them, and refused when they could mean two things."""

import contextlib
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dagster_project.core.durations import LONGEST, format_duration, parse_duration, parse_share


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("90m", timedelta(minutes=90)),
        ("6h", timedelta(hours=6)),
        ("1d 12h", timedelta(hours=36)),
        ("1d12h", timedelta(hours=36)),
        ("1.5h", timedelta(minutes=90)),
        ("2w", timedelta(days=14)),
        (" 30s ", timedelta(seconds=30)),
        ("0h", timedelta()),
    ],
)
def test_a_duration_is_read(text: str, expected: timedelta) -> None:
    assert parse_duration(text) == expected


@pytest.mark.parametrize("text", ["", "6", "h", "6 h", "-6h", "6x", "six hours", "٦h", "6h,", "1e9d", "367d"])
def test_what_is_no_duration_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"duration|longer"):
        parse_duration(text)


@given(st.integers(0, int(LONGEST.total_seconds())))
def test_a_written_duration_is_read_back(seconds: int) -> None:
    duration = timedelta(seconds=seconds)
    assert parse_duration(format_duration(duration)) == duration


@pytest.mark.parametrize(
    ("text", "expected"),
    [("1%", 0.01), ("0.5 %", 0.005), ("0%", 0), ("100%", 1), ("0.01", 0.01), ("0", 0)],
)
def test_a_share_is_read(text: str, expected: float) -> None:
    assert parse_share(text) == pytest.approx(expected)


@pytest.mark.parametrize("text", ["", "1", "5", "101%", "-1%", "-0.1", "nan", "inf", "low", "1%%", "1 in 9"])
def test_what_is_no_share_or_two_of_them_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"percent|%|below"):
        parse_share(text)


@given(st.text())
def test_any_text_is_a_duration_and_a_share_or_a_value_error(text: str) -> None:
    for parse in (parse_duration, parse_share):
        with contextlib.suppress(ValueError):
            parse(text)
