"""Expectations that Great Expectations does not have: no blocking difference, and balanced books."""

# Great Expectations is not followed by the type checker (pyproject.toml), so its classes are Any here.
# mypy: disable-error-code="misc, untyped-decorator"

from __future__ import annotations

from typing import Any, ClassVar, Literal

import pandas as pd
from great_expectations.execution_engine import PandasExecutionEngine
from great_expectations.expectations.expectation import (
    BatchExpectation,
    ColumnMapExpectation,
    MulticolumnMapExpectation,
)
from great_expectations.expectations.metrics import ColumnMapMetricProvider, column_condition_partial
from great_expectations.expectations.metrics.map_metric_provider import MulticolumnMapMetricProvider
from great_expectations.expectations.metrics.map_metric_provider.multicolumn_condition_partial import (
    multicolumn_condition_partial,
)
from great_expectations.render import RenderedStringTemplateContent
from great_expectations.render.components import LegacyRendererType
from great_expectations.render.renderer.renderer import renderer

from dagster_project.core.families import HARMLESS

# Metrics are found by name in a registry of the whole process: the prefix keeps them apart from others'.
_HARMLESS_METRIC = "column_values.recon_harmless"
_BALANCED_METRIC = "multicolumn_values.recon_balanced"


class RowsHarmless(ColumnMapMetricProvider):
    """True for a row whose severity holds nothing back. Unknown words are not harmless."""

    condition_metric_name = _HARMLESS_METRIC

    @column_condition_partial(engine=PandasExecutionEngine)
    def _pandas(cls, column: pd.Series[Any], **_: Any) -> pd.Series[bool]:
        return column.isin(HARMLESS)


class RowsBalanced(MulticolumnMapMetricProvider):
    """True for a row whose first number is the sum of the others, none of them below zero or missing."""

    condition_metric_name = _BALANCED_METRIC
    condition_domain_keys = (
        "batch_id",
        "table",
        "column_list",
        "row_condition",
        "condition_parser",
        "ignore_row_if",
    )
    condition_value_keys = ()

    @multicolumn_condition_partial(engine=PandasExecutionEngine)
    def _pandas(cls, column_list: pd.DataFrame, **_: Any) -> pd.Series[bool]:
        total, parts = column_list.iloc[:, 0], column_list.iloc[:, 1:]
        return (total == parts.sum(axis=1, skipna=False)) & (column_list >= 0).all(axis=1)


class ExpectNoBlockingDifference(ColumnMapExpectation):
    """No row is covered by an open incident of severity error or critical."""

    column: str = "severity"
    map_metric: ClassVar[str | None] = _HARMLESS_METRIC
    success_keys: ClassVar[tuple[str, ...]] = ("mostly",)
    args_keys: ClassVar[tuple[str, ...]] = ("column",)

    @classmethod
    @renderer(renderer_type=LegacyRendererType.PRESCRIPTIVE)
    def _prescriptive_renderer(cls, **_: Any) -> list[RenderedStringTemplateContent]:
        return _sentence("No row may be covered by an open incident of severity error or critical.")


class ExpectBooksToBalance(MulticolumnMapExpectation):
    """The first column is the sum of the others, row by row."""

    ignore_row_if: Literal["all_values_are_missing", "any_value_is_missing", "never"] = (
        "all_values_are_missing"
    )
    map_metric: ClassVar[str | None] = _BALANCED_METRIC
    success_keys: ClassVar[tuple[str, ...]] = ("mostly",)
    args_keys: ClassVar[tuple[str, ...]] = ("column_list",)

    @classmethod
    @renderer(renderer_type=LegacyRendererType.PRESCRIPTIVE)
    def _prescriptive_renderer(cls, **_: Any) -> list[RenderedStringTemplateContent]:
        return _sentence("The first of these columns must be the sum of the others in every row.")


class ExpectCheckToRun(BatchExpectation):
    """Stands on a page in the place of an expectation that could not be made. Always fails."""

    check: str
    metric_dependencies: ClassVar[tuple[str, ...]] = ()
    args_keys: ClassVar[tuple[str, ...]] = ("check",)

    def _validate(self, *_: Any, **__: Any) -> dict[str, Any]:
        return {"success": False, "result": {}}

    @classmethod
    @renderer(renderer_type=LegacyRendererType.PRESCRIPTIVE)
    def _prescriptive_renderer(
        cls, configuration: Any = None, **_: Any
    ) -> list[RenderedStringTemplateContent]:
        check = configuration.kwargs.get("check") if configuration is not None else None
        return _sentence("$check cannot be run.", check=check)


def _sentence(text: str, **params: Any) -> list[RenderedStringTemplateContent]:
    return [
        RenderedStringTemplateContent(
            content_block_type="string_template",
            string_template={"template": text, "params": params},
        )
    ]
