"""Patterns and names of a contract are written so that both engines, and Jinja before them, read them alike."""

from __future__ import annotations

import re

import jinja2
import pytest

from dagster_project.flow.inputs import capturing
from dagster_project.generate.dbt_models import _literal


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ("(?:ab)+", "(ab)+"),
        ("(?:a(?:b|c))", "(a(b|c))"),
        ("(ab)+", "(ab)+"),
        ("(?P<x>a)(b)", "(a)(b)"),
        # What is found does not depend on how much is taken.
        ("a*?b+?c??d{2,3}?", "a*b+c?d{2,3}"),
        (r"\*?[*?]a}?", r"\*?[*?]a}?"),
        # A bracket, or one question mark after an escaped one, is no group.
        ("[(?:]+", "[(?:]+"),
        ("[]](?:x)", "[]](x)"),
        (r"\(?:", r"\(?:"),
        (r"\\(?:a)", r"\\(a)"),
    ],
)
def test_groups_that_do_not_capture_are_written_as_ones_that_do(pattern: str, expected: str) -> None:
    """Snowflake refuses the others."""
    assert capturing(pattern) == expected
    for text in ("ab", "abab", "a", "(", ":", "?", "(:", "ac", "]x", "\\a", ""):
        assert bool(re.fullmatch(pattern, text)) == bool(re.fullmatch(expected, text))


def test_what_only_re2_writes_so_is_written_as_every_engine_does() -> None:
    assert capturing(r"\A(?<year>\d{4})\z") == r"^(\d{4})$"


@pytest.mark.parametrize(
    "name", ["it's", 'say "x"', "back\\slash", "{{ 1 }}", "{% x %}", "a\nb", "Ünï", "🛒"]
)
def test_a_name_comes_through_jinja_as_it_was(name: str) -> None:
    template = jinja2.Environment().from_string("{{ " + _literal([name]) + "[0] }}")

    assert template.render() == name
