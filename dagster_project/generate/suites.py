"""Writes the Great Expectations suites, one a destination or source and family, from the contract alone."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final

from dagster_project.core.contracts import Workspace
from dagster_project.core.families import FAMILIES_OF, Subject, knows_its_events, subjects

GENERATED_BY: Final = "recon generate"
# Stamped by Great Expectations when it saves a suite: every upgrade would be a difference in every file.
_VERSION_STAMP: Final = "great_expectations_version"

Expectation = dict[str, Any]


class SuiteProblem(ValueError):
    """A suite file that cannot be used as it is; the message says which, why, and what to do."""


def suites(workspace: Workspace, existing: Mapping[str, str]) -> dict[str, str]:
    """The files of `expectations/suites/`, name to content, as they should be; a file not in it should go.

    What people wrote by hand is kept: their expectations follow the generated ones in a generated file, and
    a file that is nobody's suite stays as it is, byte for byte.
    """
    files: dict[str, str] = {}
    for subject in subjects(workspace):
        for family in FAMILIES_OF[subject.kind]:
            file = f"{subject.suite(family)}.json"
            if file in files:
                raise SuiteProblem(
                    f"expectations/suites/{file}: the suite of destination source_{subject.name} and also "
                    f"of source {subject.name}; rename one of the two"
                )
            kept = read_suite(file, existing[file]) if file in existing else {}
            files[file] = _written(subject, family, workspace, kept)
    for file, content in existing.items():
        if file not in files and file.endswith(".json"):
            kept_content = _orphan(file, content)
            if kept_content is not None:
                files[file] = kept_content
    return dict(sorted(files.items()))


def expectations(workspace: Workspace, subject: Subject, family: str) -> list[Expectation]:
    """The generated expectations of one suite, in the order of its file."""
    if subject.kind == "source":
        return _of_source(workspace, subject.name, family)
    return _of_destination(workspace, subject.name, family)


def is_generated(expectation: Mapping[str, Any]) -> bool:
    """Whether this expectation is ours to rewrite."""
    meta = expectation.get("meta")
    return isinstance(meta, Mapping) and meta.get("generated") is True


# ---- what is expected ------------------------------------------------------------------------------------


def _of_destination(workspace: Workspace, name: str, family: str) -> list[Expectation]:
    destination = workspace.destination(name)
    rules = [_no_blocking_difference(family, gates=True)]
    if family == "names":
        if destination.events is None:
            rules.append(
                _rule(
                    "names.in_contract",
                    "expect_column_values_to_be_in_set",
                    {"column": "routable", "value_set": [True]},
                    "Every name that arrived is one that a source of this destination sends.",
                )
            )
        else:
            names = sorted({route.destination_name for route in destination.events})
            rules.append(
                _rule(
                    "names.in_contract",
                    "expect_column_values_to_be_in_set",
                    {"column": "name", "value_set": names},
                    "Every name that arrived is one that the contract lists.",
                )
            )
    elif family == "counts":
        rules += [
            _rule(
                "counts.books_balance",
                "expect_books_to_balance",
                {"column_list": ["expected", "delivered", "missing", "pending"]},
                "Expected is delivered plus missing plus pending, for every event on every day.",
                gates=True,
            ),
            _rule(
                "counts.one_row_per_cell",
                "expect_compound_columns_to_be_unique",
                {"column_list": ["destination", "day", "event"]},
                "Every event has one row a day.",
                gates=True,
            ),
        ]
        if workspace.quarantine:
            rules.append(
                _rule(
                    "counts.quarantine_is_part_of_it",
                    "expect_column_pair_values_a_to_be_greater_than_b",
                    {
                        "column_A": "expected",
                        "column_B": "quarantined",
                        "or_equal": True,
                        "ignore_row_if": "either_value_is_missing",
                    },
                    "What the published numbers leave out is part of what was expected, for every event on every day.",
                    gates=True,
                )
            )
        if knows_its_events(workspace, destination):
            rules.append(
                _rule(
                    "counts.every_day_counted",
                    "expect_column_values_to_be_between",
                    {"column": "cells", "min_value": 1},
                    "Every judged day has been counted.",
                    gates=True,
                )
            )
        rules += [
            _within(
                "counts.missing",
                "missing",
                "What is missing stays within the event's limit.",
                limit="allowed_missing",
            ),
            _within(
                "counts.duplicates",
                "duplicates",
                "What came twice stays within the event's limit.",
                limit="allowed_duplicates",
            ),
            _within(
                "counts.unexpected",
                "unexpected",
                "What nobody sent stays within the limit.",
                limit="allowed_unexpected",
            ),
            _rule(
                "counts.gap_adds_up",
                "expect_books_to_balance",
                {"column_list": ["sent", "arrived", "gap"]},
                "What was sent is what arrived plus the lines of the gap, on every day.",
            ),
            _within(
                "counts.gap_explained",
                "unexplained",
                "Little of a day's gap is without an explanation.",
                limit="allowed_unexplained",
            ),
        ]
    elif family == "freshness":
        rules += [
            _rule(
                "freshness.export_landed",
                "expect_column_values_to_be_in_set",
                {"column": "export", "value_set": ["landed", "nothing_expected", "pending"]},
                "Every judged day has an export, unless it may still come or nothing was expected.",
            ),
            _rule(
                "freshness.export_readable",
                "expect_column_values_to_be_in_set",
                {"column": "health", "value_set": ["ok"]},
                "The export is there and can be read.",
            ),
        ]
    elif family == "identifiers":
        rules.append(
            _within("identifiers.bad", "share", "Few messages are dropped for an identifier's shape.")
        )
    elif family == "properties":
        rules.append(
            _within("properties.violations", "share", "Few messages of an event break the plan's properties.")
        )
    return rules


def _of_source(workspace: Workspace, name: str, family: str) -> list[Expectation]:
    # Verdicts are given per destination, and each destination's own suites hold what hits it.
    rules = [_no_blocking_difference(family, gates=False)]
    plan = workspace.plan_for(name)
    if family == "names" and plan.declared:
        rules.append(
            _rule(
                "names.planned",
                "expect_column_values_to_be_in_set",
                {"column": "planned", "value_set": [True]},
                "Every raw event name is in the tracking plan, letter for letter.",
            )
        )
    elif family == "freshness":
        rules.append(
            _rule(
                "freshness.source_readable",
                "expect_column_values_to_be_in_set",
                {"column": "status", "value_set": ["ok"]},
                "The source's tables are there and can be read.",
            )
        )
        if workspace.source(name).freshness is not None:
            rules.append(
                _within(
                    "freshness.not_silent",
                    "silent_hours",
                    "The source's last message is no older than its declared freshness.",
                    limit="limit_hours",
                )
            )
    elif family == "identifiers":
        rules.append(
            _within(
                "identifiers.words", "share", 'Few ids are a word such as "undefined" in the place of one.'
            )
        )
    elif family == "properties":
        rules.append(
            _within("properties.violations", "share", "Few messages of an event break the plan's properties.")
        )
    return rules


def _no_blocking_difference(family: str, *, gates: bool) -> Expectation:
    return _rule(
        f"{family}.no_blocking_difference",
        "expect_no_blocking_difference",
        {"column": "severity"},
        "No open incident of severity error or critical covers a row.",
        gates=gates,
        severity="critical",
    )


def _within(rule_id: str, column: str, notes: str, *, limit: str = "limit") -> Expectation:
    return _rule(
        rule_id,
        "expect_column_pair_values_a_to_be_greater_than_b",
        {
            "column_A": limit,
            "column_B": column,
            "or_equal": True,
            # What is null is not judged: the day is not complete, or the row has no limit.
            "ignore_row_if": "either_value_is_missing",
        },
        notes,
    )


def _rule(
    rule_id: str,
    expectation: str,
    kwargs: dict[str, Any],
    notes: str,
    *,
    gates: bool = False,
    severity: str | None = None,
) -> Expectation:
    meta = {"generated": True, "rule_id": rule_id} | ({"gates": True} if gates else {})
    return {
        "type": expectation,
        "kwargs": kwargs,
        "severity": severity or ("critical" if gates else "warning"),
        "meta": meta,
        "notes": notes,
    }


# ---- files -----------------------------------------------------------------------------------------------


def _written(subject: Subject, family: str, workspace: Workspace, kept: Mapping[str, Any]) -> str:
    by_hand = [each for each in kept.get("expectations", []) if not is_generated(each)]
    meta = {key: value for key, value in (kept.get("meta") or {}).items() if key != _VERSION_STAMP}
    suite: dict[str, Any] = {
        "name": subject.suite(family),
        "meta": meta | {"generated_by": GENERATED_BY, subject.kind: subject.name, "family": family},
        "expectations": expectations(workspace, subject, family) + by_hand,
    }
    if kept.get("notes"):
        suite["notes"] = kept["notes"]
    return _json(suite)


def read_suite(file: str, content: str) -> dict[str, Any]:
    """A suite file as Great Expectations writes it; SuiteProblem when it is anything else."""
    place = f"expectations/suites/{file}"
    remedy = f"repair it, or delete it, and run `{GENERATED_BY}`"
    try:
        suite = json.loads(content)
    except json.JSONDecodeError as error:
        raise SuiteProblem(
            f"{place}:{error.lineno}:{error.colno}: not JSON ({error.msg}); {remedy}"
        ) from error
    except (ValueError, RecursionError) as error:
        # A number of ten thousand digits, or lists in lists in lists.
        raise SuiteProblem(f"{place}: no JSON that can be read ({type(error).__name__}); {remedy}") from error
    problem = None
    if not isinstance(suite, dict):
        problem = "not a suite, which is an object"
    elif not isinstance(suite.get("expectations", []), list):
        problem = "`expectations` is not a list"
    elif not all(isinstance(each, dict) for each in suite.get("expectations", [])):
        problem = "an entry of `expectations` is not an object"
    elif not isinstance(suite.get("meta") or {}, dict):
        problem = "`meta` is not an object"
    if problem is not None:
        raise SuiteProblem(f"{place}: {problem}; {remedy}")
    return dict(suite)


def _orphan(file: str, content: str) -> str | None:
    """What stays of a file that belongs to no suite of the contract; None when it was generated entirely."""
    try:
        suite = read_suite(file, content)
    except SuiteProblem:
        return content
    listed = suite.get("expectations", [])
    by_hand = [each for each in listed if not is_generated(each)]
    ours = len(by_hand) < len(listed) or (suite.get("meta") or {}).get("generated_by") == GENERATED_BY
    if not ours:
        return content
    return _json({**suite, "expectations": by_hand}) if by_hand else None


def _json(value: Mapping[str, Any]) -> str:
    text = json.dumps(value, indent=2, ensure_ascii=False) + "\n"
    # Half a surrogate pair cannot be written as UTF-8; as an escape it is still the same JSON string.
    return text.encode("utf-8", "backslashreplace").decode("utf-8")
