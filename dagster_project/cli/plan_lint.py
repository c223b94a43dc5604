"""`recon plan lint`: what is wrong with the names of plans, and of what lands, one line a finding."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path
from typing import Final

import click

from dagster_project.cli import exit_codes
from dagster_project.cli.plan_names import plans_of, plans_of_files
from dagster_project.cli.warehouse_file import warehouse_to_read
from dagster_project.core.contracts import Naming, Workspace
from dagster_project.core.load import load_workspace
from dagster_project.core.naming.convention import Convention
from dagster_project.core.naming.lint import Finding, LandedNames, Lint, lint
from dagster_project.flow.census import rows_of
from dagster_project.flow.inputs import WORK
from dagster_project.resources.warehouse import Warehouse
from dagster_project.settings import Settings

# What has not been sent for so long is history, and no name to mend.
LANDED_DAYS: Final = 90
_PER_RULE: Final = 20
_COLOURS: Final = {"error": "red", "warning": "yellow", "info": "blue"}


def run_lint(*, files: Sequence[Path], landed: bool, show_all: bool, form: str) -> int:
    """Print the findings; 1 when one of severity error is among them.

    Without files the workspace's plans are read. With `landed` the names of the last 90 days too.
    """
    settings = Settings.from_environment()
    if files:
        if landed:
            raise click.UsageError("--landed is about the workspace's own plans; leave the files out")
        plans = plans_of_files(files)
        found = lint(plans, snowflake=settings.target == "snowflake")
    else:
        workspace = load_workspace(settings.expectations_dir)
        plans = plans_of(workspace)
        if not plans and not landed:
            raise click.UsageError(
                "no source names a tracking plan; give plan files, or --landed for what lands"
            )
        found = lint(
            plans,
            landed_names(warehouse_to_read(settings), workspace) if landed else (),
            events=_declared(workspace.naming, events=True),
            properties=_declared(workspace.naming, events=False),
            snowflake=settings.target == "snowflake",
        )
    if form == "json":
        click.echo(json.dumps(_as_json(found), indent=2, ensure_ascii=False))
    else:
        _say(found, show_all=show_all)
    errors = any(each.severity == "error" for each in found.findings)
    return exit_codes.DISCREPANCIES if errors else exit_codes.RECONCILED


def _declared(naming: Naming, *, events: bool) -> Convention | None:
    case = naming.events if events else naming.properties
    order, tense = (naming.order, naming.tense) if events else (None, None)
    return Convention(case, order, tense, declared=True) if case or order or tense else None


def landed_names(warehouse: Warehouse, workspace: Workspace) -> list[LandedNames]:
    """What each source sent in the 90 days before its last, by raw name, and the columns of its event tables."""
    if not warehouse.exists("reconciliation.event_names_daily"):
        raise click.UsageError("nothing has been reconciled yet; run `recon run` first")
    last = warehouse.frame("select max(day) as day from reconciliation.event_names_daily")["day"].iloc[0]
    rows = (
        warehouse.frame(
            "select source, event_text, max(case when planned then 1 else 0 end) as planned, sum(messages) as messages"
            " from reconciliation.event_names_daily where day > :since group by 1, 2 order by 1, 2",
            since=last - timedelta(days=LANDED_DAYS),
        )
        if last is not None and last == last
        else None
    )
    columns: dict[str, dict[str, list[str]]] = {}
    if warehouse.exists(f"{WORK}.event_properties"):
        of_tables = warehouse.frame(
            f"select source, event_slug, property from {WORK}.event_properties order by 1, 2, 3"
        )
        for row in rows_of(of_tables):
            columns.setdefault(str(row.source), {}).setdefault(str(row.event_slug), []).append(
                str(row.property)
            )
    found = []
    for source in workspace.sources:
        own = rows[rows["source"] == source.name] if rows is not None else None
        messages = {} if own is None else {str(r.event_text): int(r.messages) for r in rows_of(own)}
        plan = workspace.plan_for(source)
        found.append(
            LandedNames(
                source.name,
                messages,
                frozenset(plan.events) if plan.declared else frozenset(),
                columns.get(source.name, {}),
            )
        )
    return found


def _as_json(found: Lint) -> dict[str, object]:
    return {
        "conventions": {
            "events": {"case": found.events.case, "order": found.events.order, "tense": found.events.tense},
            "properties": {"case": found.properties.case},
        },
        "findings": [each.as_row() for each in found.findings],
    }


def _say(found: Lint, *, show_all: bool) -> None:
    told: Counter[str] = Counter()
    for each in found.findings:
        told[each.rule] += 1
        if show_all or told[each.rule] <= _PER_RULE:
            click.echo(_line(each))
    for rule, count in told.items():
        if not show_all and count > _PER_RULE:
            click.echo(f"… and {count - _PER_RULE:,} more of {rule}; --all tells them")
    by_severity: Counter[str] = Counter(each.severity for each in found.findings)
    counts = [
        f"{by_severity[name]:,} {name if by_severity[name] == 1 else name + 's'}"
        for name in ("error", "warning")
    ]
    if by_severity["info"]:
        counts.append(f"{by_severity['info']:,} to know")
    click.echo(f"{', '.join(counts)}. Events: {found.events.told()}. Properties: {found.properties.told()}.")


def _line(each: Finding) -> str:
    word = click.style(each.severity, fg=_COLOURS[each.severity], bold=True)
    return f"{each.place}: {word} {each.rule}: {each.fact}; {each.instead}"
