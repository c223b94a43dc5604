"""Table of contents of the code location: loads from `expectations/` alone, without secrets or a warehouse."""

from __future__ import annotations

import warnings

import dagster as dg

from dagster_project.assets import assets_of
from dagster_project.core.load import load_workspace
from dagster_project.jobs import reconcile
from dagster_project.resources.console import terminal
from dagster_project.resources.reconciliation import Reconciliation
from dagster_project.schedules import daily
from dagster_project.sensors import all_sensors
from dagster_project.settings import Settings

# Backfill policies are marked beta; a warning for each of sixty destinations tells nobody anything.
warnings.filterwarnings("ignore", category=dg.BetaWarning)

workspace = load_workspace(Settings.from_environment().expectations_dir)

defs = dg.Definitions(
    assets=assets_of(workspace),
    jobs=[reconcile],
    schedules=[daily(workspace)],
    sensors=all_sensors(workspace),
    loggers={"terminal": terminal},
    resources={"reconciliation": Reconciliation()},
)
