"""Reads plan files with their places, for commands that say where in a file a name stands."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from dagster_project.core.contracts import Workspace
from dagster_project.core.documents import ConfigurationError, Problems, Steps
from dagster_project.core.naming.lint import PlanNames
from dagster_project.core.plan.files import PlanFile, plan_paths, read_plan


def plans_of(workspace: Workspace) -> list[PlanNames]:
    """Each plan that a source names, once."""
    named = dict.fromkeys(source.tracking_plan for source in workspace.sources if source.tracking_plan)
    return _read([(name, plan_paths(workspace.root, name)) for name in named])


def plans_of_files(files: Sequence[Path]) -> list[PlanNames]:
    """The plans of these files, one a file. ConfigurationError names everything in them that cannot be used."""
    return _read([(path.as_posix(), [path]) for path in files])


def _read(named: Sequence[tuple[str, Sequence[Path]]]) -> list[PlanNames]:
    problems = Problems()
    found = []
    for name, paths in named:
        file = read_plan([_from_here(path) for path in paths], problems)
        if file is not None:
            found.append(PlanNames(name, file.plan, _placing(file)))
    if problems.found:
        raise ConfigurationError(problems.found)
    return found


def _placing(file: PlanFile) -> Callable[[Steps], str]:
    def place(steps: Steps) -> str:
        path, mark = file.place(steps)
        return f"{path}:{mark.line}:{mark.column}"

    return place


def _from_here(path: Path) -> Path:
    """The path as a person in this folder would name it."""
    try:
        return path.resolve().relative_to(Path.cwd())
    except ValueError:
        return path
