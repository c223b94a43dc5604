"""The warehouse that a command reads: one that is there already, for looking must not make an empty DuckDB file."""

from __future__ import annotations

import click

from dagster_project.cli import exit_codes
from dagster_project.core.message import visible
from dagster_project.resources.warehouse import Warehouse
from dagster_project.session import warehouse_of
from dagster_project.settings import Settings

LOAD = "check RECON_DUCKDB_PATH, or load Segment's tables into it first"
RUN = "check RECON_DUCKDB_PATH, or load Segment's tables into it and run `recon run` first"
# Where the place that the environment names is said, by target.
_PLACE = {"duckdb": "RECON_DUCKDB_PATH", "snowflake": "SNOWFLAKE_DATABASE"}


class NoWarehouse(click.ClickException):
    """There is nothing to read where the environment points: one line, for the command itself was well written."""

    exit_code = exit_codes.WRONG_USE


def absent_file(settings: Settings, next_step: str = LOAD) -> str | None:
    """What is wrong with the path of the DuckDB file, in a sentence; null when a file is there, or on Snowflake."""
    if settings.target != "duckdb" or settings.duckdb_path.is_file():
        return None
    fact = "is no file" if settings.duckdb_path.exists() else "does not exist"
    return f"the DuckDB file {visible(str(settings.duckdb_path))} {fact}; {next_step}"


def warehouse_to_read(settings: Settings, next_step: str = RUN) -> Warehouse:
    """The warehouse that the environment names. NoWarehouse when it is a DuckDB file that is not there."""
    wrong = absent_file(settings, next_step)
    if wrong is not None:
        raise NoWarehouse(wrong)
    return warehouse_of(settings)


def nothing_reconciled(settings: Settings, warehouse: Warehouse) -> NoWarehouse:
    """The error for a warehouse that is there and in which no run has ended yet."""
    return NoWarehouse(
        f"nothing has been reconciled in {visible(warehouse.name)} yet; run `recon run` first,"
        f" or check {_PLACE[settings.target]}"
    )
