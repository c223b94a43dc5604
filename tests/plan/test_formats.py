"""The formats that are judged, by examples of each; a day must be in the calendar."""

from __future__ import annotations

import pytest

from dagster_project.core.plan.formats import FORMATS
from dagster_project.core.plan.judge import is_format

FITS = {
    "date-time": [
        "2026-10-20T09:30:00Z",
        "2026-10-20T09:30:00.123+05:30",
        "2026-10-20",
        "09:30:00",
        "0000-02-29",
    ],
    "date": ["2026-10-20", "2024-02-29"],
    "time": ["09:30:00", "23:59:59.9Z", "09:30:00-03:00"],
    "email": ["a@b.co", "first.last+tag@example.com", "a@localhost"],
    "hostname": ["example.com", "a", "xn--nxasmq6b.example"],
    "ipv4": ["0.0.0.0", "255.255.255.255"],
    "ipv6": ["::", "::1", "2001:db8::8a2e:370:7334", "1:2:3:4:5:6:7:8", "::ffff:192.0.2.1", "1::8"],
    "uri": ["https://example.com/a?b=c#d", "mailto:a@b.co", "urn:isbn:0"],
    "uri-reference": ["/a/b", "", "https://example.com", "#top"],
    "uuid": ["123e4567-e89b-12d3-a456-426614174000", "123E4567-E89B-12D3-A456-426614174000"],
    "json-pointer": ["", "/a/b~1c/~0"],
}
MISSES = {
    "date-time": [
        "2026-10-20 09:30:00",
        "2026-10-20T25:00:00Z",
        "2026-02-30",
        "2026-02-30T00:00:00Z",
        "",
        "soon",
    ],
    "date": ["2025-02-29", "2026-13-01", "20.10.2026", "2026-1-1", "2026-10-20\n"],
    "time": ["24:00:00", "9:30:00", "09:30"],
    "email": ["a", "@b.co", "a@", "a b@c.de", "a@b..co", "a@b@c"],
    "hostname": ["-a.com", "a..b", "a_b.com", "", "x" * 64],
    "ipv4": ["256.0.0.1", "1.2.3", "01.2.3.4", "1.2.3.4.5"],
    "ipv6": ["1:2:3:4:5:6:7", "1::2::3", "12345::", ":::", "1:2:3:4:5:6:7:8:9", "::ffff:999.0.2.1"],
    "uri": ["example.com", "/a", "http://a b", ""],
    "uri-reference": ["a b", "<a>"],
    "uuid": ["123e4567e89b12d3a456426614174000", "g23e4567-e89b-12d3-a456-426614174000"],
    "json-pointer": ["a", "/~2"],
}


@pytest.mark.parametrize(("name", "text"), [(name, text) for name in FITS for text in FITS[name]])
def test_what_is_of_a_format_is_let_through(name: str, text: str) -> None:
    assert is_format(name, text)


@pytest.mark.parametrize(("name", "text"), [(name, text) for name in MISSES for text in MISSES[name]])
def test_what_is_not_of_a_format_is_found(name: str, text: str) -> None:
    assert not is_format(name, text)


def test_every_format_has_its_examples() -> None:
    assert set(FITS) == set(MISSES) == set(FORMATS)
