"""`recon grants`: the SQL that gives the suite its least privileges in Snowflake; printed, never run."""

from __future__ import annotations

import os

import click

from dagster_project.cli import exit_codes
from dagster_project.core.grants import OWN_SCHEMAS, PUBLISHED, grants, read_schemas
from dagster_project.core.load import load_workspace
from dagster_project.settings import Settings, SettingsError


def run_grants(
    *, database: str | None, warehouses: tuple[str, ...], role: str, reader_role: str, user: str | None
) -> int:
    """Print the script for this workspace; returns the exit code. Names left out come from SNOWFLAKE_*."""
    settings = Settings.from_environment()
    workspace = load_workspace(settings.expectations_dir)
    database = database or settings.snowflake_database
    from_environment = (settings.snowflake_warehouse, os.environ.get("SNOWFLAKE_WAREHOUSE_LARGE"))
    used = warehouses or tuple(name for name in from_environment if name)
    absent = [
        f"{option} (or {variable})"
        for option, variable, value in (
            ("--database", "SNOWFLAKE_DATABASE", database),
            ("--warehouse", "SNOWFLAKE_WAREHOUSE", used),
        )
        if not value
    ]
    if absent or not database:
        raise SettingsError(f"recon grants has no {' and no '.join(absent)}; name what the script is for")
    click.echo(f"-- {_comment(workspace.name)}: reads {len(read_schemas(workspace))} schemas that it names,")
    click.echo(f"-- writes {', '.join(OWN_SCHEMAS)} and nothing else.")
    click.echo(
        f"-- {_comment(reader_role)} is for those who read {PUBLISHED}; they bring a warehouse of their own."
    )
    for statement in grants(
        workspace,
        database=database,
        role=role,
        reader_role=reader_role,
        warehouses=used,
        user=user or settings.snowflake_user,
    ):
        click.echo(f"{statement};")
    return exit_codes.RECONCILED


def _comment(text: str) -> str:
    """A name in a comment that it cannot end."""
    return " ".join(text.split())
