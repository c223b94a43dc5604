"""Each expectation passes, fails and breaks; a check that broke is never taken for one that failed."""

from __future__ import annotations

from typing import Any

import pandas as pd
import pytest

from dagster_project.resources.gx import Outcome, Suites

Rule = dict[str, Any]


@pytest.fixture(scope="module")
def suites() -> Suites:
    return Suites()


def rule(kind: str, **kwargs: Any) -> Rule:
    return {"type": kind, "kwargs": kwargs, "severity": "critical", "meta": {}}


def run(suites: Suites, each: Rule, **columns: list[Any]) -> Outcome:
    (outcome,) = suites.run("email__counts", [each], pd.DataFrame(columns))
    return outcome


HARMLESS = rule("expect_no_blocking_difference", column="severity")
BOOKS = rule("expect_books_to_balance", column_list=["expected", "delivered", "missing", "pending"])
LIMIT = rule(
    "expect_column_pair_values_a_to_be_greater_than_b",
    column_A="limit",
    column_B="share",
    or_equal=True,
    ignore_row_if="either_value_is_missing",
)
UNIQUE = rule("expect_compound_columns_to_be_unique", column_list=["day", "event"])
COUNTED = rule("expect_column_values_to_be_between", column="cells", min_value=1)
NAMES = rule("expect_column_values_to_be_in_set", column="name", value_set=["a", "123"])


class TestNoBlockingDifference:
    def test_mild_incidents_hold_nothing_back(self, suites: Suites) -> None:
        assert run(suites, HARMLESS, severity=["none", "info", "warning"]) == Outcome("PASS")

    def test_error_and_critical_fail_with_their_rows(self, suites: Suites) -> None:
        outcome = run(suites, HARMLESS, severity=["none", "error", "warning", "critical"])
        assert outcome == Outcome("FAIL", rows=(1, 3))

    @pytest.mark.parametrize("severity", ["fatal", "ERROR", ""])
    def test_a_word_that_is_not_known_is_not_harmless(self, suites: Suites, severity: str) -> None:
        assert run(suites, HARMLESS, severity=[severity]).status == "FAIL"

    def test_without_its_column_it_is_broken(self, suites: Suites) -> None:
        outcome = run(suites, HARMLESS, other=["none"])
        assert outcome.status == "ERROR"
        assert "severity" in outcome.problem


class TestBooksBalance:
    def books(self, suites: Suites, *rows: tuple[float | None, ...]) -> Outcome:
        names = ("expected", "delivered", "missing", "pending")
        columns = {name: [row[i] for row in rows] for i, name in enumerate(names)}
        return run(suites, BOOKS, **columns)

    def test_expected_is_the_sum_of_the_rest(self, suites: Suites) -> None:
        assert self.books(suites, (10, 7, 2, 1), (0, 0, 0, 0)) == Outcome("PASS")

    @pytest.mark.parametrize(
        "row",
        [
            pytest.param((10, 7, 2, 0), id="too little"),
            pytest.param((10, 7, 2, 2), id="too much"),
            pytest.param((10, 12, -2, 0), id="below zero"),
            pytest.param((10, None, 2, 1), id="a number is missing"),
            pytest.param((None, 7, 2, 1), id="the total is missing"),
        ],
    )
    def test_a_row_that_does_not_add_up_fails(self, suites: Suites, row: tuple[float | None, ...]) -> None:
        assert self.books(suites, (10, 7, 2, 1), row) == Outcome("FAIL", rows=(1,))

    def test_a_row_that_only_carries_an_incident_has_no_books(self, suites: Suites) -> None:
        assert self.books(suites, (10, 7, 2, 1), (None, None, None, None)).status == "PASS"

    def test_one_message_in_sixteen_million_is_seen(self, suites: Suites) -> None:
        assert self.books(suites, (16_777_217, 16_777_216, 0, 0)).status == "FAIL"

    def test_without_one_of_its_columns_it_is_broken(self, suites: Suites) -> None:
        assert run(suites, BOOKS, expected=[1], delivered=[1], missing=[0]).status == "ERROR"


class TestLimits:
    def test_the_limit_itself_is_within_it(self, suites: Suites) -> None:
        assert run(suites, LIMIT, limit=[0.01], share=[0.01]).status == "PASS"

    def test_beyond_it_is_not(self, suites: Suites) -> None:
        assert run(suites, LIMIT, limit=[0.01, 0.01], share=[0.0, 0.02]) == Outcome("FAIL", rows=(1,))

    def test_a_row_without_a_share_or_a_limit_is_not_judged(self, suites: Suites) -> None:
        columns = {"limit": [0.01, None], "share": [None, 1.0]}
        assert run(suites, LIMIT, **columns).status == "PASS"

    def test_on_text_it_is_broken(self, suites: Suites) -> None:
        assert run(suites, LIMIT, limit=["a lot"], share=[1.0]).status == "ERROR"


class TestBuiltIn:
    def test_a_cell_that_is_there_twice_is_seen(self, suites: Suites) -> None:
        assert run(suites, UNIQUE, day=["d", "d"], event=["a", "b"]).status == "PASS"
        assert run(suites, UNIQUE, day=["d", "d"], event=["a", "a"]) == Outcome("FAIL", rows=(0, 1))

    def test_a_day_without_a_cell_is_seen(self, suites: Suites) -> None:
        assert run(suites, COUNTED, cells=[1.0, None]).status == "PASS"
        assert run(suites, COUNTED, cells=[1.0, 0.0]) == Outcome("FAIL", rows=(1,))

    def test_names_are_compared_letter_for_letter_and_as_text(self, suites: Suites) -> None:
        assert run(suites, NAMES, name=["a", "123", None]).status == "PASS"
        assert run(suites, NAMES, name=["A", "123.0", "a "]) == Outcome("FAIL", rows=(0, 1, 2))


class TestBroken:
    def test_an_expectation_that_nobody_knows_is_not_left_out(self, suites: Suites) -> None:
        unknown = rule("expect_miracles", column="cells")
        outcomes = suites.run("email__counts", [COUNTED, unknown, COUNTED], pd.DataFrame({"cells": [1.0]}))
        assert [outcome.status for outcome in outcomes] == ["PASS", "ERROR", "PASS"]
        assert "expect_miracles" in outcomes[1].problem

    @pytest.mark.parametrize(
        "broken",
        [
            pytest.param(rule("expect_column_values_to_be_between", colunm="cells"), id="a typing error"),
            pytest.param({"kwargs": {"column": "cells"}}, id="without a type"),
            pytest.param(COUNTED | {"kwargs": [1]}, id="kwargs that are none"),
            pytest.param(COUNTED | {"serverity": "info"}, id="an unknown key"),
            pytest.param(COUNTED | {"severity": "fatal"}, id="an unknown severity"),
            pytest.param(
                rule("unexpected_rows_expectation", unexpected_rows_query="select 1"), id="SQL on a frame"
            ),
        ],
    )
    def test_it_is_an_error_with_a_reason(self, suites: Suites, broken: Rule) -> None:
        outcome = run(suites, broken, cells=[1.0])
        assert outcome.status == "ERROR"
        assert outcome.problem


class TestNoRows:
    EMPTY = {"cells": pd.Series([], dtype=float), "severity": pd.Series([], dtype=object)}

    @pytest.mark.parametrize(
        "each", [COUNTED, HARMLESS, rule("expect_column_max_to_be_between", column="cells", max_value=1)]
    )
    def test_nothing_to_judge_is_nothing_wrong(self, suites: Suites, each: Rule) -> None:
        assert run(suites, each, **self.EMPTY).status == "PASS"

    def test_whoever_expects_rows_misses_them(self, suites: Suites) -> None:
        each = rule("expect_table_row_count_to_be_between", min_value=1)
        assert run(suites, each, **self.EMPTY) == Outcome("FAIL", observed=0.0)

    def test_a_column_that_is_not_there_is_broken_without_rows_too(self, suites: Suites) -> None:
        each = rule("expect_column_values_to_be_between", column="nope", min_value=1)
        assert run(suites, each, **self.EMPTY).status == "ERROR"


def test_an_expectation_on_a_whole_column_says_what_it_saw_and_no_rows(suites: Suites) -> None:
    each = rule("expect_column_sum_to_be_between", column="cells", max_value=2)
    assert run(suites, each, cells=[1.0, 2.0]) == Outcome("FAIL", observed=3.0)
