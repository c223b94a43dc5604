"""What the missing messages have in common is told; where nothing is, that is told, too."""

from __future__ import annotations

import pandas as pd

from dagster_project.core.diagnosis.contrast import explain
from dagster_project.core.diagnosis.witness import CONTRAST_COLUMNS


def answer(*rows: tuple[str, str | None, str | None, str | None, int, int]) -> pd.DataFrame:
    return pd.DataFrame([("q", *row) for row in rows], columns=list(CONTRAST_COLUMNS))


def ios_and_a_version() -> pd.DataFrame:
    """Only ios_app 3.2.0 loses; the source and the version alone are diluted by the healthy ones."""
    return answer(
        ("source", "ios_app", None, None, 40_000, 5_300),
        ("source", "web_app", None, None, 60_000, 60),
        ("app_version", "3.2.0", None, None, 45_000, 5_230),
        ("app_version", "3.1.0", None, None, 15_000, 70),
        ("app_version", None, None, None, 40_000, 60),
        ("source", "ios_app", "app_version", "3.2.0", 20_000, 5_210),
        ("source", "ios_app", "app_version", "3.1.0", 20_000, 90),
        ("source", "web_app", "app_version", "3.2.0", 25_000, 20),
    )


def test_two_attributes_are_told_when_neither_says_it_alone() -> None:
    best = explain(ios_and_a_version(), 0.001).best
    assert best is not None
    assert dict(best.attributes) == {"source": "ios_app", "app_version": "3.2.0"}
    assert best.support > 0.95 and 0.25 < best.rate < 0.27


def test_one_attribute_is_told_when_the_second_adds_nothing() -> None:
    rows = answer(
        ("source", "ios_app", None, None, 10_000, 3_000),
        ("source", "web_app", None, None, 30_000, 30),
        ("app_version", "3.2.0", None, None, 5_000, 1_510),
        ("app_version", "3.1.0", None, None, 5_000, 1_490),
        ("app_version", None, None, None, 30_000, 30),
        ("source", "ios_app", "app_version", "3.2.0", 5_000, 1_510),
        ("source", "ios_app", "app_version", "3.1.0", 5_000, 1_490),
    )
    best = explain(rows, 0.001).best
    assert best is not None and dict(best.attributes) == {"source": "ios_app"}


def test_a_loss_that_is_spread_evenly_is_explained_by_nothing() -> None:
    rows = answer(
        ("source", "ios_app", None, None, 10_000, 1_010),
        ("source", "web_app", None, None, 30_000, 2_990),
        ("hour", "0", None, None, 20_000, 2_020),
        ("hour", "12", None, None, 20_000, 1_980),
    )
    found = explain(rows, 0.004)
    assert found.best is None and found.as_evidence()["spread_evenly"] is True


def test_messages_that_break_the_plan_are_named_before_the_version_that_sends_them() -> None:
    rows = answer(
        ("app_version", "4.0", None, None, 2_000, 1_990),
        ("app_version", "3.9", None, None, 8_000, 10),
        ("violation", "amount:type", None, None, 2_000, 1_990),
    )
    best = explain(rows, 0.001).best
    assert best is not None and best.value("violation") == "amount:type"


def test_the_usual_loss_is_no_part_of_the_contrast() -> None:
    rows = answer(
        ("source", "ios_app", None, None, 10_000, 4_500),
        ("source", "web_app", None, None, 90_000, 36_000),
    )
    best = explain(rows, 0.40).best
    assert best is not None and dict(best.attributes) == {"source": "ios_app"}


def test_no_answer_explains_nothing() -> None:
    assert explain(pd.DataFrame(columns=list(CONTRAST_COLUMNS)), 0.0).best is None
