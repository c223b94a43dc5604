"""`recon check`: is the configuration right, and does what it names exist?"""

from __future__ import annotations

import json

import click

from dagster_project.cli import exit_codes
from dagster_project.core.contracts import Workspace
from dagster_project.core.documents import ConfigurationError
from dagster_project.core.load import load_workspace
from dagster_project.settings import Settings


def run_check(*, with_warehouse: bool, form: str) -> int:
    """Say every error of all files at once; returns the exit code."""
    settings = Settings.from_environment()
    try:
        workspace = load_workspace(settings.expectations_dir)
    except ConfigurationError as error:
        if form == "json":
            problems = [
                {
                    "file": str(each.file),
                    "line": each.line,
                    "column": each.column,
                    "fact": each.fact,
                    "instead": each.instead,
                }
                for each in error.problems
            ]
            click.echo(json.dumps({"ok": False, "problems": problems}, indent=2, ensure_ascii=False))
        else:
            click.echo(str(error), err=True)
        return exit_codes.WRONG_USE
    absent = _absent(workspace, settings) if with_warehouse else []
    if form == "json":
        problems = [
            {"file": None, "line": None, "column": None, "fact": each, "instead": ""} for each in absent
        ]
        click.echo(json.dumps({"ok": not absent, "problems": problems}, indent=2, ensure_ascii=False))
    else:
        for each in absent:
            click.echo(each, err=True)
        if not absent:
            events = {name for source in workspace.sources for name in workspace.plan_for(source).events}
            click.echo(
                f"{settings.expectations_dir}: {len(workspace.sources)} sources, {len(workspace.destinations)} "
                f"destinations, {len(events)} planned events; everything is in order"
            )
    return exit_codes.WRONG_USE if absent else exit_codes.RECONCILED


def _absent(workspace: Workspace, settings: Settings) -> list[str]:
    """What the configuration names and the warehouse or the disk does not have, one sentence each."""
    import glob

    from dagster_project.flow.exported import missing_export_parts
    from dagster_project.flow.sources import missing_source_parts
    from dagster_project.session import warehouse_of

    warehouse = warehouse_of(settings)
    problems = [*missing_source_parts(warehouse, workspace).values()]
    problems += missing_export_parts(warehouse, workspace).values()
    for destination in workspace.destinations:
        pattern = workspace.files_pattern(destination)
        if pattern and not glob.glob(pattern, recursive=True):
            problems.append(
                f"no file matches {pattern}; check `export.files` in destinations/{destination.name}.yml"
            )
    return problems
