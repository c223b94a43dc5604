"""`recon plan function`: the plan as a Segment insert function, to standard output or into a file."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final

import click

from dagster_project.cli import exit_codes
from dagster_project.cli.plan_choice import chosen_plan, exemptions_of
from dagster_project.generate.insert_function import Mode, insert_function

# Segment does not publish a limit; AWS Lambda's editor, in which functions run, takes 3 MB.
_LARGE: Final = 1_000_000


def run_function(
    *, source: str | None, plan_files: Sequence[Path], mode: Mode, strict: bool, out: Path | None
) -> int:
    """Write the script; returns the exit code."""
    plan = chosen_plan(source, plan_files).plan
    script = insert_function(plan, mode=mode, strict=strict, exemptions=exemptions_of(source, plan_files))
    if out is None:
        click.echo(script, nl=False)
    else:
        out.parent.mkdir(parents=True, exist_ok=True)
        out.write_text(script, "utf-8")
        click.echo(f"{out}: {len(plan.events)} events, mode {mode}, {len(script.encode()) / 1000:,.0f} KB")
    if len(script) > _LARGE:
        click.echo(f"the script has {len(script):,} characters; give each source a plan of its own", err=True)
    return exit_codes.RECONCILED
