"""`recon plan health`: what to clean up in the plans, what costs most first, and how that has changed."""

from __future__ import annotations

import json
import shutil
import textwrap
from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import date, timedelta
from typing import Any, Final

import click
import pandas as pd

from dagster_project.cli import exit_codes
from dagster_project.cli.warehouse_file import warehouse_to_read
from dagster_project.core.contracts import Workspace
from dagster_project.core.load import load_workspace
from dagster_project.core.message import visible
from dagster_project.core.naming.dynamic import masked
from dagster_project.core.plan import PropertyRule
from dagster_project.core.plan.landed import column_of
from dagster_project.core.plan_health import (
    COLUMNS,
    FINDINGS,
    LATELY_DAYS,
    MEANS,
    VERSIONS_DIFFER,
    Trend,
    earlier_day,
    percent,
)
from dagster_project.flow.census import as_day, rows_of
from dagster_project.flow.inputs import WORK
from dagster_project.flow.plan_health import HEALTH
from dagster_project.resources.warehouse import Warehouse
from dagster_project.settings import Settings

_PER_KIND: Final = 10
_WIDEST: Final = 118
_FEWEST_OF_A_VERSION: Final = 20
_DAYS: Final = ("day", "first_seen", "last_seen")
_COUNTS: Final = ("rank", "messages", "of_messages")


def run_health(
    *, source: str | None, event: str | None, since: date | None, show_all: bool, form: str
) -> int:
    """Print the findings of the last day, or of one event how its properties are filled; always 0."""
    settings = Settings.from_environment()
    workspace = load_workspace(settings.expectations_dir)
    if source is not None and source not in {each.name for each in workspace.sources}:
        known = ", ".join(each.name for each in workspace.sources)
        raise click.UsageError(f"workspace.yml has no source {visible(source)!r}; it has {known}")
    warehouse = warehouse_to_read(settings)
    if event is not None:
        return _run_fill(warehouse, workspace, event, source, form)
    rows, trend = read_health(warehouse, workspace, source=source, since=since)
    if form == "json":
        said = {
            "day": rows[0]["day"] if rows else None,
            "compared_with": trend.since.isoformat() if trend.since else None,
            "counts": {kind: trend.now.get(kind, 0) for kind in FINDINGS},
            "counts_then": {kind: trend.then.get(kind, 0) for kind in FINDINGS} if trend.since else None,
            "findings": rows,
        }
        click.echo(json.dumps(said, indent=2, ensure_ascii=False))
    else:
        for line in told(rows, trend, show_all=show_all):
            click.echo(line)
    return exit_codes.RECONCILED


def read_health(
    warehouse: Warehouse, workspace: Workspace, *, source: str | None = None, since: date | None = None
) -> tuple[list[dict[str, Any]], Trend]:
    """The findings of the last day that was judged, and how many there were before.

    With a source: its own, and those of its plan as a whole. `since`: the day to compare with.
    """
    if not warehouse.exists(HEALTH):
        raise click.UsageError("no plan has been judged yet; run `recon run` first")
    known = warehouse.frame(f"select distinct day from {HEALTH} order by 1")
    days = [as_day(day) for day in known["day"]]
    if not days:
        return [], Trend(None, {}, {})
    today = days[-1]
    if since is not None:
        then = next((day for day in reversed(days[:-1]) if day <= since), days[0] if len(days) > 1 else None)
    else:
        then = earlier_day(days, today)
    now_rows = _of_source(_read(warehouse, today), workspace, source)
    then_rows = _of_source(_read(warehouse, then), workspace, source) if then else []
    trend = Trend(
        then, Counter(row["finding"] for row in now_rows), Counter(row["finding"] for row in then_rows)
    )
    return now_rows, trend


def _read(warehouse: Warehouse, day: date) -> list[dict[str, Any]]:
    frame = warehouse.frame(
        f"select {', '.join(COLUMNS)} from {HEALTH} where day = :day order by rank", day=day
    )
    return [{name: _plain(name, getattr(row, name)) for name in COLUMNS} for row in rows_of(frame)]


def _plain(name: str, value: Any) -> Any:
    if value is None or (not isinstance(value, str) and pd.isna(value)):
        return None
    if name == "destinations":
        return json.loads(value)
    if name in _DAYS:
        return as_day(value).isoformat()
    return int(value) if name in _COUNTS else masked(str(value))


def _of_source(rows: list[dict[str, Any]], workspace: Workspace, source: str | None) -> list[dict[str, Any]]:
    if source is None:
        return rows
    plan = workspace.source(source).tracking_plan
    return [
        row
        for row in rows
        if row["source"] == source or (row["source"] is None and row["tracking_plan"] == plan)
    ]


def told(rows: Sequence[Mapping[str, Any]], trend: Trend, *, show_all: bool) -> list[str]:
    """The findings for a terminal: kinds by what they cost, within a kind what costs most first."""
    if not rows:
        return ["nothing to clean up: what is planned is sent, and what is sent is planned"]
    width = min(shutil.get_terminal_size((_WIDEST, 24)).columns, _WIDEST)
    several = len({row["tracking_plan"] for row in rows}) > 1
    change = trend.told()
    noun = "finding" if len(rows) == 1 else "findings"
    lines = [f"{len(rows):,} {noun} on {rows[0]['day']}" + (f", {change}" if change else "")]
    by_kind: dict[str, list[Mapping[str, Any]]] = {}
    for row in rows:
        by_kind.setdefault(row["finding"], []).append(row)
    for kind, group in by_kind.items():
        count = f"{len(group):,}"
        if trend.since is not None:
            before = trend.then.get(kind, 0)
            count += f" (as on {trend.since})" if before == len(group) else f" ({before:,} on {trend.since})"
        lines += ["", click.style(f"{MEANS[kind].upper()}  {count}", bold=True)]  # type: ignore[index]
        for row in group if show_all else group[:_PER_KIND]:
            lines += _entry(row, width, several)
        if not show_all and len(group) > _PER_KIND:
            lines.append(f"{'':>21}… and {len(group) - _PER_KIND:,} more; --all tells them")
    lines += [
        "",
        "messages hit · tools that they reach.  One event's properties: recon plan health --event NAME.",
    ]
    lines += ["The changes to the plan as a proposal: recon plan patch --out FILE"]
    return lines


def _entry(row: Mapping[str, Any], width: int, several: bool) -> list[str]:
    tools = len(row["destinations"])
    number = f"{row['messages']:,}" if row["messages"] else "-"
    head = f"{number:>10} · {tools or '-':>2}     "
    text = visible(row["fact"]) + (
        f"  [{visible(row['tracking_plan'])}]" if several and row["source"] is None else ""
    )
    indent = " " * len(head)
    return [
        *textwrap.wrap(text, width, initial_indent=head, subsequent_indent=indent),
        *textwrap.wrap(
            visible(row["suggestion"]), width, initial_indent=f"{indent}→ ", subsequent_indent=f"{indent}  "
        ),
    ]


# ------------------------------------------------------------------------------------------ one event


def _run_fill(warehouse: Warehouse, workspace: Workspace, event: str, source: str | None, form: str) -> int:
    rows = fill_of(warehouse, workspace, event, source)
    if not rows:
        raise click.UsageError(
            f"no properties of {visible(event)!r} have landed in the last {LATELY_DAYS} days"
        )
    if form == "json":
        click.echo(json.dumps(rows, indent=2, ensure_ascii=False))
        return exit_codes.RECONCILED
    click.echo(f"{visible(masked(event))}: share of messages that fill a property, last {LATELY_DAYS} days")
    names = max(len("property"), *(len(visible(row["property"])) for row in rows))
    homes = max(len("source"), *(len(row["source"]) for row in rows))
    click.echo(
        f"  {'property':<{names}}  {'planned':<10}{'source':<{homes}}  {'messages':>10}  {'filled':>10}  versions that differ"
    )
    for row in rows:
        versions = ", ".join(
            f"{visible(masked(each['app_version'] or 'no version'))} {percent(each['filled'], each['messages'])}"
            for each in _telling(row["versions"])
        )
        line = (
            f"  {visible(row['property']):<{names}}  {row['planned']:<10}{row['source']:<{homes}}"
            f"  {row['messages']:>10,}  {percent(row['filled'], row['messages']):>10}  {versions}"
        )
        click.echo(line.rstrip())
    return exit_codes.RECONCILED


def _telling(versions: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """The versions of some weight, where they differ; they were counted on the days on which they did."""
    heavy = [each for each in versions if each["messages"] >= _FEWEST_OF_A_VERSION]
    shares = [each["filled"] / each["messages"] for each in heavy]
    return heavy if shares and max(shares) - min(shares) >= VERSIONS_DIFFER else []


def fill_of(
    warehouse: Warehouse, workspace: Workspace, event: str, source: str | None = None
) -> list[dict[str, Any]]:
    """How often each source and version filled each property of an event in the last four weeks of data."""
    last = warehouse.frame("select max(day) as day from reconciliation.event_names_daily")["day"].iloc[0]
    if last is None or pd.isna(last):
        return []
    since = as_day(last) - timedelta(days=LATELY_DAYS)
    binds = {"event": event, "since": since}
    wanted = "day > :since and event_text = :event" + (" and source = :source" if source else "")
    if source:
        binds["source"] = source
    versions: dict[tuple[str, str], list[dict[str, Any]]] = {}
    if warehouse.exists(f"{WORK}.int_property_fill_versions_daily"):
        frame = warehouse.frame(
            "select source, property, app_version, sum(filled) as filled, sum(messages) as messages"
            f" from {WORK}.int_property_fill_versions_daily where {wanted} group by 1, 2, 3 order by 1, 2, 3",
            **binds,
        )
        for row in rows_of(frame):
            version = None if row.app_version is None or pd.isna(row.app_version) else str(row.app_version)
            versions.setdefault((row.source, row.property), []).append(
                {"app_version": version, "filled": int(row.filled), "messages": int(row.messages)}
            )
    frame = warehouse.frame(
        "select source, property, sum(filled) as filled, sum(messages) as messages"
        f" from {WORK}.int_property_fill_daily where {wanted} group by 1, 2 order by 2, 1",
        **binds,
    )
    found = []
    for row in rows_of(frame):
        rule = _rule(workspace, row.source, event, row.property)
        planned = "-" if rule is None else "required" if rule.required else "optional"
        found.append(
            {
                "source": row.source,
                "property": row.property,
                "planned": planned,
                "filled": int(row.filled),
                "messages": int(row.messages),
                "versions": versions.get((row.source, row.property), []),
            }
        )
    return found


def _rule(workspace: Workspace, source: str, event: str, column: str) -> PropertyRule | None:
    plan = workspace.plan_for(source)
    for planned in plan.landed_rules():
        if planned.name == event:
            return next((rule for rule in planned.rules if column_of(rule.property) == column), None)
    return None
