"""Which plan a command is about: a source's, the only one of the workspace, or that of files that are named."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import click

from dagster_project.core.documents import ConfigurationError, Problems, listed
from dagster_project.core.load import load_workspace
from dagster_project.core.plan.exemptions import Exemption
from dagster_project.core.plan.files import PlanFile, plan_paths, read_plan
from dagster_project.settings import Settings


def chosen_plan(source: str | None, files: Sequence[Path]) -> PlanFile:
    """The plan to work by. UsageError when it is not clear which; ConfigurationError when it cannot be read."""
    if files:
        if source is not None:
            raise click.UsageError("--source and --plan name two plans; give one of them")
        return _read(files)
    root = Settings.from_environment().expectations_dir
    workspace = load_workspace(root)
    plan_of = {each.name: each.tracking_plan for each in workspace.sources if each.tracking_plan is not None}
    if source is not None:
        if source not in {each.name for each in workspace.sources}:
            known = listed(each.name for each in workspace.sources)
            raise click.UsageError(f"no source is named {source!r}; write one of {known}")
        if source not in plan_of:
            raise click.UsageError(f"{source} has no tracking plan; name one in workspace.yml, or use --plan")
        written = plan_of[source]
    elif len(set(plan_of.values())) == 1:
        written = next(iter(plan_of.values()))
    elif not plan_of:
        raise click.UsageError("the workspace names no tracking plan; use --plan FILE")
    else:
        raise click.UsageError(f"the sources have several plans; add --source with one of {listed(plan_of)}")
    return _read(plan_paths(root, written))


def exemptions_of(source: str | None, files: Sequence[Path]) -> tuple[Exemption, ...]:
    """What the workspace lets through for a source; nothing where the plan is that of files."""
    if files:
        return ()
    workspace = load_workspace(Settings.from_environment().expectations_dir)
    return tuple(each for each in workspace.plan_exemptions if each.source in (None, source))


def _read(paths: Sequence[Path]) -> PlanFile:
    problems = Problems()
    read = read_plan(paths, problems)
    if read is None:
        raise ConfigurationError(problems.found)
    return read
