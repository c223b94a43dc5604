"""`recon check`: is the configuration right, and does what it names exist?"""

from __future__ import annotations

import json
from dataclasses import asdict
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING, Any

import click

from dagster_project.cli import exit_codes
from dagster_project.core.contracts import Workspace
from dagster_project.core.documents import ConfigurationError
from dagster_project.core.load import load_workspace
from dagster_project.core.message import shown
from dagster_project.settings import Settings

if TYPE_CHECKING:
    from dagster_project.resources.snowflake_check import Probe


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
    answers = _answers(workspace, settings) if with_warehouse else []
    absent += [f"{each.asked}: {each.fact}; {each.next_step}" for each in answers if not each.ok]
    remarks = ended_mutes(workspace, settings, datetime.now(UTC).date())
    if form == "json":
        problems = [
            {"file": None, "line": None, "column": None, "fact": each, "instead": ""} for each in absent
        ]
        told: dict[str, Any] = {"ok": not absent, "problems": problems}
        if answers:
            told["warehouse"] = [asdict(each) for each in answers]
        if remarks:
            told["remarks"] = remarks
        click.echo(json.dumps(told, indent=2, ensure_ascii=False))
    else:
        for remark in remarks:
            click.echo(remark)
        for answer in answers:
            if answer.ok:
                click.echo(f"{answer.asked}: {answer.fact}")
        for each in absent:
            click.echo(each, err=True)
        if not absent:
            events = {name for source in workspace.sources for name in workspace.plan_for(source).events}
            click.echo(
                f"{settings.expectations_dir}: {len(workspace.sources)} sources, {len(workspace.destinations)} "
                f"destinations, {len(events)} planned events; everything is in order"
            )
    return exit_codes.WRONG_USE if absent else exit_codes.RECONCILED


def ended_mutes(workspace: Workspace, settings: Settings, today: date) -> list[str]:
    """The mutes that count for nothing any more, a sentence each: no mistake, but their incidents are told again.

    `today` is a UTC day, by which a run lets a mute end.
    """
    file = settings.expectations_dir / "mutes.yml"
    remarks = []
    for mute in workspace.mutes:
        if mute.until < today:
            named = [mute.incident, mute.kind, mute.source, mute.event, mute.destination]
            what = ", ".join(shown(each) for each in named if each is not None)
            remarks.append(
                f"{file}: the mute of {what} by {shown(mute.owner)} ended on {mute.until} and keeps no notice back any more;"
                " take it out, or write a later `until`"
            )
    return remarks


def _answers(workspace: Workspace, settings: Settings) -> list[Probe]:
    """What a Snowflake account says of itself; a DuckDB file has nothing to grant and no partitions to tell."""
    if settings.target != "snowflake":
        return []
    from dagster_project.resources.snowflake_check import probes
    from dagster_project.session import warehouse_of

    return list(probes(warehouse_of(settings), workspace, datetime.now(UTC).date()))


def _absent(workspace: Workspace, settings: Settings) -> list[str]:
    """What the configuration names and the warehouse or the disk does not have, one sentence each."""
    from dagster_project.cli.warehouse_file import absent_file
    from dagster_project.resources.export_columns import ExportFileError
    from dagster_project.resources.export_files import find_files

    # A file that is not there lacks every table, which one sentence says better than a hundred.
    no_file = absent_file(settings)
    problems = _absent_tables(workspace, settings) if no_file is None else [no_file]
    for destination in workspace.destinations:
        pattern = workspace.files_pattern(destination)
        if pattern is None or destination.export.files is None:
            continue
        try:
            found = any(find_files(destination.export.files, workspace.root))
        except ExportFileError as error:
            problems.append(f"{pattern}: {error} (destinations/{destination.name}.yml)")
            continue
        if not found:
            problems.append(
                f"no file matches {pattern}; check `export.files` in destinations/{destination.name}.yml"
            )
    return problems


def _absent_tables(workspace: Workspace, settings: Settings) -> list[str]:
    """What the warehouse, which is there, does not have."""
    from dagster_project.flow.exported import missing_export_parts
    from dagster_project.flow.sources import missing_source_parts
    from dagster_project.session import warehouse_of

    warehouse = warehouse_of(settings)
    problems = [*missing_source_parts(warehouse, workspace).values()]
    problems += missing_export_parts(warehouse, workspace).values()
    violations = workspace.violations_schema
    if violations is not None and not warehouse.exists(f"{violations}.violation_generated"):
        problems.append(
            f'{violations}.violation_generated does not exist, where Segment lands "Violation Generated" events;'
            " check `violations` in workspace.yml, and the forwarding of violations in Segment"
        )
    return problems
