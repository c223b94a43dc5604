"""The one job, `reconcile`: the whole flow, in one process, because an embedded DuckDB file has one writer."""

from __future__ import annotations

import dagster as dg

reconcile = dg.define_asset_job(
    "reconcile",
    selection=dg.AssetSelection.all(),
    executor_def=dg.in_process_executor,
    description="Reconcile all days that are new or re-opened, hold back what does not agree, tell what changed.",
)
