"""Great Expectations behind one small interface: run a suite on a frame, then write Data Docs.

Importing this module imports Great Expectations, which takes seconds: import it where a suite is run.
"""

# Great Expectations is not followed by the type checker (pyproject.toml), so its classes are Any here.
# mypy: disable-error-code="misc, untyped-decorator"

from __future__ import annotations

import html
import logging
import math
import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any, Final

import pandas as pd

os.environ.setdefault("GX_ANALYTICS_ENABLED", "false")  # read at import

import great_expectations as gx
from great_expectations.core.expectation_validation_result import (
    ExpectationSuiteValidationResult,
    ExpectationValidationResult,
)
from great_expectations.core.run_identifier import RunIdentifier
from great_expectations.data_context.types.base import DataContextConfig, InMemoryStoreBackendDefaults
from great_expectations.data_context.types.resource_identifiers import (
    ExpectationSuiteIdentifier,
    ValidationResultIdentifier,
)
from great_expectations.expectations.expectation import Expectation
from great_expectations.expectations.expectation_configuration import ExpectationConfiguration
from great_expectations.render.view import DefaultJinjaPageView
from great_expectations.validator.v1_validator import Validator

from dagster_project.core.message import prose, shown
from dagster_project.resources import gx_expectations as _registered  # noqa: F401 - registers ours
from dagster_project.resources.outcomes import Outcome

logger = logging.getLogger(__name__)

_POSITION: Final = "recon_position"  # which expectation a result is about: results come back in another order
_SITE: Final = "recon"
_TEXT_LENGTH: Final = 300  # of one text in Data Docs; an event name may have ten thousand characters
_ROWS_SHOWN: Final = 20
_TOO_LONG: Final = (
    "unexpected_list",
    "unexpected_index_list",
    "unexpected_index_query",
    "partial_unexpected_counts",
    "partial_unexpected_index_list",
)


class Suites:
    """Runs suites in a context of their own that lives in memory, and remembers the results for Data Docs."""

    def __init__(self) -> None:
        self._context = gx.get_context(
            mode="ephemeral",
            project_config=DataContextConfig(
                store_backend_defaults=InMemoryStoreBackendDefaults(),
                progress_bars={"globally": False},
                analytics_enabled=False,
            ),
        )
        # One asset for all frames: adding an asset saves the whole configuration again.
        asset = self._context.data_sources.add_pandas("evidence").add_dataframe_asset("rows")
        self._batches = asset.add_batch_definition_whole_dataframe("whole")
        self._results: dict[str, ExpectationSuiteValidationResult] = {}

    def run(self, name: str, expectations: Sequence[Mapping[str, Any]], frame: pd.DataFrame) -> list[Outcome]:
        """One outcome for each expectation, in their order. Never raises for what a suite holds."""
        outcomes: dict[int, Outcome] = {}
        suite = gx.ExpectationSuite(name=name)
        for position, expectation in enumerate(expectations):
            # One by one: a suite that is given an expectation it does not understand logs that and goes on
            # without it, and a check that is gone cannot fail.
            try:
                suite.expectations.append(_expectation(expectation, position))
            except Exception as error:
                outcomes[position] = Outcome("ERROR", problem=_first_line(error))
        try:
            # What Batch.validate does, except that it would make the batch once more.
            validator = Validator(self._batches, {"result_format": "COMPLETE"}, {"dataframe": frame})
            with _configured_once():
                result = validator.validate_expectation_suite(suite)
        except Exception as error:
            problem = _first_line(error)
            return [outcomes.get(i, Outcome("ERROR", problem=problem)) for i in range(len(expectations))]
        result.results += [_could_not_be_run(expectations[i], outcome, i) for i, outcome in outcomes.items()]
        for each in result.results:
            position = each.expectation_config.meta[_POSITION]
            if position not in outcomes:
                outcomes[position] = _outcome(each, frame)
            each.expectation_config.meta = dict(expectations[position].get("meta") or {})
            each.expectation_config.notes = expectations[position].get("notes")
            _shown_in_docs(each, outcomes[position], frame)
        result.success = all(each.success for each in result.results)
        result.statistics = _statistics(result)
        self._results[name] = result
        nothing = Outcome("ERROR", problem="Great Expectations gave no result for it")
        return [outcomes.get(position, nothing) for position in range(len(expectations))]

    def write_docs(
        self, docs_dir: Path, history_dir: Path, *, run_id: str, judged_at: datetime, keep: Sequence[str]
    ) -> Path:
        """Builds Data Docs anew from the latest result of each suite in `keep`, and answers its index page.

        The latest results are kept in `history_dir`, so a run over one day does not take the others' pages
        away. The site is built beside the old one and put in its place whole.
        """
        context = self._context
        context.add_store(
            context.validation_results_store_name,
            {
                "class_name": "ValidationResultsStore",
                "store_backend": {
                    "class_name": "TupleFilesystemStoreBackend",
                    "base_directory": str(history_dir.absolute()),
                },
            },
        )
        store = context.validation_results_store
        for key in store.list_keys():
            name = key.expectation_suite_identifier.name
            if name in self._results or name not in keep:
                store.remove_key(key)
        run = RunIdentifier(run_name=run_id, run_time=judged_at)
        for name, result in self._results.items():
            result.meta["run_id"] = run
            store.set(
                ValidationResultIdentifier(ExpectationSuiteIdentifier(name), run, result.batch_id), result
            )
        docs_dir.parent.mkdir(parents=True, exist_ok=True)
        fresh = docs_dir.with_name(f".{docs_dir.name}.new")
        old = docs_dir.with_name(f".{docs_dir.name}.old")
        for leftover in (fresh, old):  # of a run that was killed here
            shutil.rmtree(leftover, ignore_errors=True)
        view = {"module_name": __name__, "class_name": EscapedPage.__name__}
        context.add_data_docs_site(
            _SITE,
            {
                "class_name": "SiteBuilder",
                "show_how_to_buttons": False,
                "store_backend": {
                    "class_name": "TupleFilesystemStoreBackend",
                    "base_directory": str(fresh.absolute()),
                },
                "site_index_builder": {"class_name": "DefaultSiteIndexBuilder"},
                # A validation's page shows its expectations too; a page apart for them would say it twice.
                "site_section_builders": {
                    "validations": {"view": view},
                    "expectations": "None",
                    "profiling": "None",
                },
            },
        )
        try:
            context.build_data_docs(site_names=[_SITE])
        finally:
            context.delete_data_docs_site(_SITE)
        pages = sum(1 for _ in fresh.glob("validations/**/*.html"))
        results = len(store.list_keys())
        if pages != results:
            logger.warning("Data Docs has %d pages for %d results; see the messages above", pages, results)
        if docs_dir.exists():
            docs_dir.rename(old)
        fresh.rename(docs_dir)
        shutil.rmtree(old, ignore_errors=True)
        return docs_dir / "index.html"


class EscapedPage(DefaultJinjaPageView):
    """A page of Data Docs in which what comes from data is shown as text.

    Great Expectations escapes some of what it shows and not the rest, so results are escaped before they
    are rendered; here only that is prevented that it escapes them a second time.
    """

    @staticmethod
    def _escape_template_param_value(value: Any) -> Any:
        return _escaped(html.unescape(value)) if isinstance(value, str) else value


@contextmanager
def _configured_once() -> Iterator[None]:
    """Let an expectation that is asked for its configuration over and over answer with the same one.

    Great Expectations makes it anew for each argument that it looks at: 130 times an expectation, a third of the
    time of a small suite (1.24.1, 2026-11-22). An expectation does not change while it is judged.
    """
    made = Expectation.configuration
    last: list[Any] = [None, None]

    def configuration(expectation: Any) -> Any:
        if last[0] is not expectation:
            last[:] = expectation, made.fget(expectation)
        return last[1]

    Expectation.configuration = property(configuration)
    try:
        yield
    finally:
        Expectation.configuration = made


def _expectation(expectation: Mapping[str, Any], position: int) -> Any:
    known = {"type", "kwargs", "meta", "severity", "notes", "description", "id", "rendered_content"}
    unknown = sorted(str(key) for key in expectation if key not in known)
    if unknown:
        raise ValueError(f"unknown key `{unknown[0]}`; an expectation has {', '.join(sorted(known))}")
    # Great Expectations copies all of this some hundred times a check, so what only people read stays out.
    return ExpectationConfiguration(
        type=expectation["type"],
        kwargs=dict(expectation.get("kwargs") or {}),
        meta={_POSITION: position},
        severity=expectation.get("severity") or "critical",
    ).to_domain_obj()


def _could_not_be_run(
    expectation: Mapping[str, Any], outcome: Outcome, position: int
) -> ExpectationValidationResult:
    """A result in the place of one that there is none of, so that the page does not say all is well."""
    return ExpectationValidationResult(
        success=False,
        expectation_config=ExpectationConfiguration(
            type="expect_check_to_run",
            kwargs={"check": str(expectation.get("type"))},
            meta={_POSITION: position},
        ),
        result={},
        exception_info={
            "raised_exception": True,
            "exception_message": outcome.problem,
            "exception_traceback": "",
        },
    )


def _statistics(result: ExpectationSuiteValidationResult) -> dict[str, Any]:
    """Great Expectations' own four figures, after results were put in or judged otherwise."""
    passed = sum(bool(each.success) for each in result.results)
    return {
        "evaluated_expectations": len(result.results),
        "successful_expectations": passed,
        "unsuccessful_expectations": len(result.results) - passed,
        "success_percent": 100.0 * passed / len(result.results) if result.results else None,
    }


def _outcome(result: ExpectationValidationResult, frame: pd.DataFrame) -> Outcome:
    broken = _exception(result.exception_info)
    if broken is not None:
        return Outcome("ERROR", problem=broken)
    details = result.result or {}
    observed = _number(details.get("observed_value"))
    if result.success:
        return Outcome("PASS", observed=observed)
    if not details:
        # How a check looks that broke without saying so: it failed, on nothing.
        return Outcome("ERROR", problem="Great Expectations reported a failure without a result")
    if frame.empty and not result.expectation_config.type.startswith("expect_table_"):
        # The greatest of no values is not out of bounds. Whoever wants rows expects a row count.
        return Outcome("PASS", observed=observed)
    positions = details.get("unexpected_index_list")
    if positions:
        return Outcome("FAIL", rows=tuple(int(position) for position in positions), observed=observed)
    return Outcome("FAIL", observed=observed)


def _exception(info: Mapping[str, Any] | None) -> str | None:
    """The message of what went wrong, if anything did: said directly, or once for each metric."""
    if not info:
        return None
    if "raised_exception" in info:
        if not info["raised_exception"]:
            return None
        return _first_line(info.get("exception_message") or "it raised an exception")
    for each in info.values():
        if isinstance(each, Mapping):
            found = _exception(each)
            if found is not None:
                return found
    return None


def _first_line(problem: object) -> str:
    lines = str(problem).strip().splitlines() or [type(problem).__name__]
    # Pydantic puts the count of errors first and what is wrong after it.
    text = "; ".join(line.strip() for line in lines[:3] if line.strip())
    return text[:_TEXT_LENGTH]


def _number(value: Any) -> float | None:
    if value is None or isinstance(value, str | bytes):
        return None
    try:
        number = float(value)
    except (TypeError, ValueError, OverflowError):
        return None
    return number if math.isfinite(number) else None


def _shown_in_docs(result: ExpectationValidationResult, outcome: Outcome, frame: pd.DataFrame) -> None:
    """Leaves in a result what its page shows, escaped: a full one holds every failing row four times."""
    result.success = outcome.status == "PASS"
    details = dict(result.result or {})
    for key in _TOO_LONG:
        details.pop(key, None)
    details = _escaped_deeply(details)
    if outcome.rows:
        rows = frame.iloc[list(outcome.rows[:_ROWS_SHOWN])]
        details["partial_unexpected_list"] = [_escaped(_row_text(row)) for _, row in rows.iterrows()]
    result.result = details
    result.expectation_config.kwargs.update(_escaped_deeply(dict(result.expectation_config.kwargs)))
    result.expectation_config.meta = _escaped_deeply(result.expectation_config.meta)
    result.expectation_config.notes = _escaped_deeply(result.expectation_config.notes)
    result.exception_info = _escaped_deeply(result.exception_info)


def _row_text(row: pd.Series[Any]) -> str:
    """One row on one line: its columns that hold something."""
    return ", ".join(f"{column}={shown(value)}" for column, value in row.items() if not pd.isna(value))


def _escaped(text: str) -> str:
    # The dollar as well: pages are filled in by string templates, several times over.
    return html.escape(text, quote=True).replace("$", "&#36;")


def _escaped_deeply(value: Any) -> Any:
    if isinstance(value, str):
        return _escaped(prose(value, _TEXT_LENGTH))
    if isinstance(value, Mapping):
        return {_escaped_deeply(key): _escaped_deeply(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_escaped_deeply(each) for each in value]
    return value
