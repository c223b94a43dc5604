"""`recon plan`: the subcommands about tracking plans; each has a module of its own beside this one."""

from __future__ import annotations

import sys
from datetime import datetime
from pathlib import Path

import click

_FORMAT = click.option(
    "--format",
    "form",
    type=click.Choice(["text", "json"]),
    default="text",
    help="json: machine-readable, alone on standard output",
)


@click.group()
def plan() -> None:
    """Tracking plans: bring one in, judge events by it, see its health, enforce it before the warehouse."""


@plan.command()
@click.argument("name", required=False)
@click.option(
    "--out", type=click.Path(path_type=Path, dir_okay=False), help="the file (default: the workspace's plan)"
)
@click.option("--region", type=click.Choice(["us", "eu"]), default="us", show_default=True)
@click.option(
    "--check", "only_check", is_flag=True, help="write nothing; exit 1 when the file is not what Segment has"
)
@_FORMAT
def pull(name: str | None, out: Path | None, region: str, only_check: bool, form: str) -> None:
    """Fetch a tracking plan from Segment's Public API by exact name or id; without a name, list them.

    The token is read from SEGMENT_API_TOKEN.
    """
    from dagster_project.cli.plan_pull import run_pull

    sys.exit(run_pull(name=name, out=out, region=region, only_check=only_check, form=form))


@plan.command()
@click.argument("files", nargs=-1, type=click.Path(path_type=Path, exists=True, dir_okay=False))
@click.option("--landed", is_flag=True, help="also the names that landed in the last 90 days")
@click.option("--all", "show_all", is_flag=True, help="every finding, not the first 20 of each rule")
@_FORMAT
def lint(files: tuple[Path, ...], landed: bool, show_all: bool, form: str) -> None:
    """Say what is wrong with the names of the workspace's plans, or of these files; exit 1 for an error.

    Two names one table, names that are probably one, reserved words, ids inside names, letters that get lost, and
    what breaks the convention that most names follow or that workspace.yml declares.
    """
    from dagster_project.cli.plan_lint import run_lint

    sys.exit(run_lint(files=files, landed=landed, show_all=show_all, form=form))


_SOURCE = click.option("--source", help="the source whose plan it is")
_PLAN = click.option(
    "--plan",
    "plan_files",
    multiple=True,
    type=click.Path(path_type=Path),
    help="judge by this file instead (JSON as Segment's API answers it, or CSV); repeat it for pages",
)


@plan.command()
@click.argument("files", nargs=-1, type=click.Path(path_type=Path, allow_dash=True))
@_SOURCE
@_PLAN
@click.option("--strict", is_flag=True, help="a property that the plan does not name breaks it")
@click.option("--show-values", is_flag=True, help="show the values of events, which may be personal")
@click.option(
    "--format",
    "form",
    type=click.Choice(["text", "json", "github"]),
    default="text",
    help="github: annotations of a workflow",
)
def validate(
    files: tuple[Path, ...],
    source: str | None,
    plan_files: tuple[Path, ...],
    strict: bool,
    show_values: bool,
    form: str,
) -> None:
    """Hold event JSON to the plan: files, or standard input (-). Exit 1 when a message breaks it.

    Takes one message, a list, a batch as Segment takes it, or one message a line.
    """
    from dagster_project.cli.plan_validate import run_validate

    code = run_validate(
        files=files, source=source, plan_files=plan_files, strict=strict, show_values=show_values, form=form
    )
    sys.exit(code)


@plan.command()
@_SOURCE
@_PLAN
@click.option(
    "--mode",
    type=click.Choice(["drop", "omit", "flag"]),
    default="flag",
    show_default=True,
    help="drop the event, omit the property, or only list what is wrong in context.recon",
)
@click.option("--strict", is_flag=True, help="a property that the plan does not name breaks it")
@click.option(
    "--out", type=click.Path(path_type=Path, dir_okay=False), help="the file (default: standard output)"
)
def function(
    source: str | None, plan_files: tuple[Path, ...], mode: str, strict: bool, out: Path | None
) -> None:
    """Write the plan as a source insert function of Segment: JavaScript that needs nothing else."""
    from dagster_project.cli.plan_function import run_function

    sys.exit(run_function(source=source, plan_files=plan_files, mode=mode, strict=strict, out=out))  # type: ignore[arg-type]


@plan.command()
@_SOURCE
@_PLAN
@click.option("--out", type=click.Path(path_type=Path, file_okay=False), required=True, help="the folder")
def schemas(source: str | None, plan_files: tuple[Path, ...], out: Path) -> None:
    """Write the plan as draft-07 JSON Schemas of whole messages, one file an event and version."""
    from dagster_project.cli.plan_schemas import run_schemas

    sys.exit(run_schemas(source=source, plan_files=plan_files, out=out))


@plan.command()
@_SOURCE
@_PLAN
@click.option("--all", "show_all", is_flag=True, help="every rule, not the first five of each reason")
@_FORMAT
def rules(source: str | None, plan_files: tuple[Path, ...], show_all: bool, form: str) -> None:
    """Say of each rule whether landed rows are judged by it, in part or not, and why."""
    from dagster_project.cli.plan_rules import run_rules

    sys.exit(run_rules(source=source, plan_files=plan_files, show_all=show_all, form=form))


@plan.command()
@click.option("--source", help="of this source only")
@click.option("--event", help="how each property of this event is filled, by source and version")
@click.option(
    "--since", type=click.DateTime(["%Y-%m-%d"]), help="compare with this day (default: four weeks ago)"
)
@click.option("--all", "show_all", is_flag=True, help="every finding, not the first 10 of each kind")
@_FORMAT
def health(source: str | None, event: str | None, since: datetime | None, show_all: bool, form: str) -> None:
    """What to clean up in the plans and in what is sent, what costs most first, and what has changed."""
    from dagster_project.cli.plan_health import run_health

    day = since.date() if since else None
    sys.exit(run_health(source=source, event=event, since=day, show_all=show_all, form=form))


@plan.command()
@click.option(
    "--source", "sources", multiple=True, help="of this source; repeat it for several (default: all)"
)
@click.option(
    "--out", type=click.Path(path_type=Path, dir_okay=False), help="a new file (default: standard output)"
)
@click.option(
    "--days", type=click.IntRange(1, 3_650), default=90, show_default=True, help="how much is looked at"
)
@click.option(
    "--required-from",
    type=click.FloatRange(50, 100),
    default=100,
    show_default=True,
    help="a property is required that so many of a hundred messages have, in every source and version",
)
def infer(sources: tuple[str, ...], out: Path | None, days: int, required_from: float) -> None:
    """Draft a tracking plan from what landed: what holds of every message of the window becomes a rule."""
    from dagster_project.cli.plan_infer import run_infer

    sys.exit(run_infer(sources=sources, out=out, days=days, required_from=required_from))


@plan.command()
@click.argument("plan_file", required=False)
@click.option(
    "--out", type=click.Path(path_type=Path, dir_okay=False), help="the JSON; a .md to read stands beside it"
)
@click.option("--plan-id", help="the plan's id at Segment, for the addresses of the requests")
def patch(plan_file: str | None, out: Path | None, plan_id: str | None) -> None:
    """Propose changes to a plan by its health: JSON that Segment's API takes, and a diff to read. Sends nothing."""
    from dagster_project.cli.plan_patch import run_patch

    sys.exit(run_patch(plan_file=plan_file, out=out, plan_id=plan_id))
