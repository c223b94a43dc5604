"""`recon plan infer`: the draft of a tracking plan from what landed, for those who have none."""

from __future__ import annotations

import json
from pathlib import Path

import click

from dagster_project.cli import exit_codes
from dagster_project.cli.plan_pull import write_text
from dagster_project.cli.warehouse_file import LOAD, warehouse_to_read
from dagster_project.core.load import load_workspace
from dagster_project.core.message import visible
from dagster_project.core.naming.dynamic import masked
from dagster_project.core.plan_infer import NEARLY, LandedEvent, draft
from dagster_project.core.segment_api import plan_file
from dagster_project.flow.landed_values import landed_events, window_of
from dagster_project.settings import Settings

_LEFT_OUT_TOLD = 20


def run_infer(*, sources: tuple[str, ...], out: Path | None, days: int, required_from: float) -> int:
    """Write the drafted plan to a file, or to standard output; what was left out is told beside it."""
    settings = Settings.from_environment()
    workspace = load_workspace(settings.expectations_dir)
    known = {each.name: each for each in workspace.sources}
    for name in sources:
        if name not in known:
            raise click.UsageError(
                f"workspace.yml has no source {visible(name)!r}; it has {', '.join(known)}"
            )
    chosen = [known[name] for name in dict.fromkeys(sources)] if sources else list(known.values())
    if out is not None and out.exists():
        raise click.UsageError(f"{out} exists; name a new file, and compare")
    warehouse = warehouse_to_read(settings, LOAD)
    with warehouse.held():
        window = window_of(warehouse, chosen, days)
        if window is None:
            raise click.UsageError(
                f"nothing has landed in {', '.join(source.schema_name for source in chosen)}"
            )
        landed: list[LandedEvent] = []
        for source in chosen:
            landed += landed_events(warehouse, source, window)
    found = draft(
        landed, window.last, required_from=required_from / 100, property_case=workspace.naming.properties
    )
    text = plan_file(found.rules)
    if out is None:
        click.echo(text, nl=False)
    else:
        write_text(out, text)
    properties = sum(
        len(carrier.get("properties", {}))
        for rule in found.rules
        for carrier in rule["jsonSchema"]["properties"].values()
    )
    where = f" in {out}" if out is not None else ""
    click.echo(
        f"{len(found.rules):,} rules with {properties:,} properties{where}, from {found.first} to {window.last} of"
        f" {', '.join(source.name for source in chosen)}",
        err=True,
    )
    if found.nearly_required:
        click.echo(
            f"{found.nearly_required:,} properties are filled in {NEARLY:.0%} of the messages and more, but not in all, and"
            " are drafted as optional; --required-from 99 makes them required",
            err=True,
        )
    for name, reason in found.left_out[:_LEFT_OUT_TOLD]:
        click.echo(f"left out: {json.dumps(visible(masked(name)), ensure_ascii=False)}: {reason}", err=True)
    if len(found.left_out) > _LEFT_OUT_TOLD:
        click.echo(f"left out: {len(found.left_out) - _LEFT_OUT_TOLD:,} more", err=True)
    return exit_codes.RECONCILED
