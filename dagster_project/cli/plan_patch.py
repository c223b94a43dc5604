"""`recon plan patch`: what plan health asks of a plan, as JSON for Segment's API and as a diff to read; sends nothing."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from dagster_project.cli import exit_codes
from dagster_project.cli.plan_health import read_health
from dagster_project.cli.plan_pull import write_text
from dagster_project.cli.warehouse_file import warehouse_to_read
from dagster_project.core.contracts import Source, Workspace
from dagster_project.core.load import load_workspace
from dagster_project.core.message import visible
from dagster_project.core.plan_health import RECENT_DAYS
from dagster_project.core.plan_infer import LandedEvent, draft
from dagster_project.core.plan_patch import as_json, as_markdown, proposed, rules_of
from dagster_project.core.slug import slug
from dagster_project.flow.landed_values import landed_events, window_of
from dagster_project.resources.warehouse import Warehouse
from dagster_project.settings import Settings

# Findings whose change needs to be drafted from values that landed.
_DRAFTED = ("unplanned_event", "unplanned_property", "type_drift", "enum_drift")


def run_patch(*, plan_file: str | None, out: Path | None, plan_id: str | None) -> int:
    """Write the patch as JSON to `out` and beside it for people as Markdown; without `out`, print the Markdown."""
    settings = Settings.from_environment()
    workspace = load_workspace(settings.expectations_dir)
    file = _chosen(workspace, plan_file)
    if plan_id is not None and not re.fullmatch(r"[A-Za-z0-9_-]{1,100}", plan_id):
        raise click.UsageError("--plan-id is no tracking plan's id; copy it from `recon plan pull`")
    sources = [source for source in workspace.sources if source.tracking_plan == file]
    plan = workspace.plan_for(sources[0])
    warehouse = warehouse_to_read(settings)
    with warehouse.held():
        rows, _ = read_health(warehouse, workspace)
        own = [row for row in rows if row["tracking_plan"] == file]
        patch = proposed(plan, own, _drafted(warehouse, sources, own))
    day = own[0]["day"] if own else (rows[0]["day"] if rows else "the last run")
    text = as_markdown(patch, rules_of(plan), file=file, day=day)
    if out is None:
        click.echo(text, nl=False)
        return exit_codes.RECONCILED
    beside = out.with_suffix(".md")
    if beside == out:
        raise click.UsageError(
            f"{out} is to be JSON, and the reading version is put beside it; name it .json"
        )
    write_text(out, as_json(patch, file=file, day=day, plan_id=plan_id))
    write_text(beside, text)
    requests = len(patch.requests())
    click.echo(
        f"{len(patch.proposals):,} proposals for {visible(file)}: {len(patch.upserts):,} rules to PATCH in"
        f" {requests:,} {'request' if requests == 1 else 'requests'}, {len(patch.deletions):,} to delete;"
        f" {out} for Segment's API, {beside} to read."
        " Nothing has been sent."
    )
    return exit_codes.RECONCILED


def _chosen(workspace: Workspace, wanted: str | None) -> str:
    named = list(dict.fromkeys(source.tracking_plan for source in workspace.sources if source.tracking_plan))
    if not named:
        raise click.UsageError("no source names a tracking plan; `recon plan infer` drafts one")
    if wanted is None and len(named) > 1:
        raise click.UsageError(f"the workspace has {len(named)} plans; name one of {', '.join(named)}")
    if wanted is not None and wanted not in named:
        raise click.UsageError(f"no source names the plan {visible(wanted)!r}; there is {', '.join(named)}")
    return wanted or named[0]


def _drafted(
    warehouse: Warehouse, sources: Sequence[Source], findings: Sequence[dict[str, Any]]
) -> list[dict[str, Any]]:
    """Drafts of the events that findings speak of, from the tables of those alone."""
    wanted: dict[str, set[str]] = {}
    for row in findings:
        if row["finding"] in _DRAFTED and row["source"]:
            wanted.setdefault(row["source"], set()).add(slug(row["event"]))
    window = window_of(warehouse, sources, RECENT_DAYS) if wanted else None
    if window is None:
        return []
    landed: list[LandedEvent] = []
    for source in sources:
        if source.name in wanted:
            landed += landed_events(warehouse, source, window, slugs=wanted[source.name])
    return draft(landed, window.last, required_from=0.99).rules
