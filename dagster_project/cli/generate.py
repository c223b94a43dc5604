"""`recon generate`: writes, or checks, what is generated from the configuration."""

from __future__ import annotations

import click

from dagster_project.cli import exit_codes
from dagster_project.core.load import load_workspace
from dagster_project.generate.files import apply, changes
from dagster_project.generate.suites import SuiteProblem
from dagster_project.settings import Settings, project_root


def run_generate(*, only_check: bool) -> int:
    """Returns 0 when everything is (now) as it should be, 1 when `--check` found something stale."""
    settings = Settings.from_environment()
    workspace = load_workspace(settings.expectations_dir)
    try:
        found = changes(workspace, settings.expectations_dir, project_root())
    except SuiteProblem as problem:
        click.echo(str(problem), err=True)
        return exit_codes.WRONG_USE
    if only_check:
        for change in found:
            click.echo(f"{change.path}: {change.why}; run `recon generate`", err=True)
        if not found:
            click.echo("what is generated is fresh")
        return exit_codes.DISCREPANCIES if found else exit_codes.RECONCILED
    apply(found)
    for change in found:
        click.echo(f"{'removed' if change.content is None else 'wrote'} {change.path}")
    click.echo(f"{len(found)} files changed" if found else "nothing to change")
    return exit_codes.RECONCILED
