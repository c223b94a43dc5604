"""`recon plan pull`: a tracking plan from Segment's Public API into its file, with what that changes in it."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import click

from dagster_project.cli import exit_codes
from dagster_project.core.documents import ConfigurationError
from dagster_project.core.load import load_workspace
from dagster_project.core.message import visible
from dagster_project.core.plan import parse_plan
from dagster_project.core.plan_diff import RuleChange, rule_changes, told_changes
from dagster_project.core.segment_api import (
    REGIONS,
    PlanRef,
    SegmentApiError,
    chosen,
    plan_file,
)
from dagster_project.resources.segment_api import SegmentApi
from dagster_project.settings import Settings, missing

DEFAULT_FILE = "tracking_plan.json"
_NEEDED_BY = "`recon plan pull`"


def run_pull(*, name: str | None, out: Path | None, region: str, only_check: bool, form: str) -> int:
    """List the workspace's plans, or write one to its file; returns the exit code.

    With `only_check` nothing is written, and 1 says that the file is not what Segment has.
    """
    token = os.environ.get("SEGMENT_API_TOKEN", "")
    if not token.strip():
        raise missing("SEGMENT_API_TOKEN", needed_by=_NEEDED_BY)
    try:
        api = SegmentApi(token, os.environ.get("SEGMENT_API_URL") or REGIONS[region], tell=_tell)
        plans = api.plans()
        if name is None:
            _list(plans, form)
            return exit_codes.RECONCILED
        plan = _chosen(plans, name)
        path = out or _default_file()
        rules = api.rules(plan.id)
    except SegmentApiError as error:
        click.echo(f"recon: {error}", err=True)
        return exit_codes.WRONG_USE if error.lasting else exit_codes.BROKEN
    return _keep(plan, rules, path, only_check=only_check, form=form)


def _tell(line: str) -> None:
    click.echo(line, err=True)


def _chosen(plans: Sequence[PlanRef], name: str) -> PlanRef:
    try:
        plan = chosen(plans, name)
    except ValueError as error:
        raise click.UsageError(str(error)) from None
    if plan is None:
        known = "\n".join(f"  {plan.id}  {visible(plan.name)}" for plan in plans) or "  (none)"
        raise click.UsageError(
            f"no live tracking plan has the id or the exact name {visible(name)!r}; there are\n{known}"
        )
    return plan


def _list(plans: Sequence[PlanRef], form: str) -> None:
    if form == "json":
        listed = [{"id": plan.id, "name": plan.name, "updated_at": plan.updated_at or None} for plan in plans]
        click.echo(json.dumps(listed, indent=2, ensure_ascii=False))
    elif not plans:
        click.echo("the workspace of this token has no live tracking plan")
    else:
        width = max(len(plan.id) for plan in plans)
        for plan in plans:
            click.echo(f"{plan.id:<{width}}  {visible(plan.updated_at)[:10]:<10}  {visible(plan.name)}")
        click.echo("recon plan pull NAME writes one of them to its file", err=True)


def _default_file() -> Path:
    """The workspace's plan file, when it has one alone; with several the user says which."""
    folder = Settings.from_environment().expectations_dir
    try:
        named = {each.tracking_plan for each in load_workspace(folder).sources if each.tracking_plan}
    except ConfigurationError:
        named = set()  # a workspace that waits for its first plan cannot be loaded yet
    if len(named) > 1:
        raise click.UsageError(
            f"{folder} names {len(named)} plans ({', '.join(sorted(named))}); say with --out which of them this one is"
        )
    return folder / (named.pop() if named else DEFAULT_FILE)


def _keep(
    plan: PlanRef, rules: Sequence[Mapping[str, Any]], path: Path, *, only_check: bool, form: str
) -> int:
    before = _rules_of(path)
    changes = rule_changes(before or [], rules)
    text = plan_file(rules)
    if not only_check:
        write_text(path, text)
    differs = before is None or bool(changes)
    if form == "json":
        _say_json(plan, path, rules, changes, written=not only_check)
    else:
        title = f"{visible(plan.name)} ({plan.id}): {len(rules)} rules"
        if before is None:
            click.echo(f"{title}; {path} {'does not exist yet' if only_check else 'is new'}")
        elif not changes:
            click.echo(f"{title}; {path} says the same")
        else:
            for line in told_changes(changes):
                click.echo(line)
            differing = f"{len(changes)} {'rule differs' if len(changes) == 1 else 'rules differ'}"
            click.echo(
                f"{title}; {differing} from {path}" + ("" if only_check else ", which is written anew")
            )
        _, problems = parse_plan({"data": {"rules": list(rules)}})
        if problems:
            click.echo(
                f"{len(problems)} things in it cannot be used as they are; `recon check` names each with its place",
                err=True,
            )
    return exit_codes.DISCREPANCIES if only_check and differs else exit_codes.RECONCILED


def _say_json(
    plan: PlanRef,
    path: Path,
    rules: Sequence[Mapping[str, Any]],
    changes: Sequence[RuleChange],
    *,
    written: bool,
) -> None:
    told = {
        "plan": {"id": plan.id, "name": plan.name},
        "file": str(path),
        "rules": len(rules),
        "written": written,
        "changes": [
            {
                "change": change.kind,
                "type": change.rule[0],
                "key": change.rule[1] or None,
                "version": change.rule[2],
                "lines": list(change.lines),
            }
            for change in changes
        ],
    }
    click.echo(json.dumps(told, indent=2, ensure_ascii=False))


def _rules_of(path: Path) -> list[dict[str, Any]] | None:
    """The rules that the file has; None when there is no file, or none that could be compared."""
    try:
        data = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError):
        return None
    data = data.get("data", data) if isinstance(data, dict) else data
    rules = data.get("rules") if isinstance(data, dict) else data
    return [rule for rule in rules if isinstance(rule, dict)] if isinstance(rules, list) else None


def write_text(path: Path, text: str) -> None:
    """Write a file whole or not at all. Raises UsageError, with the reason, when that cannot be done."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, beside = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(text.encode("utf-8"))
            mode = path.stat().st_mode & 0o777 if path.exists() else 0o666 & ~_umask()
            Path(beside).chmod(mode)
            Path(beside).replace(path)
        except BaseException:
            Path(beside).unlink(missing_ok=True)
            raise
    except OSError as error:
        raise click.UsageError(
            f"{path} cannot be written ({error.strerror}); name another file with --out"
        ) from None


def _umask() -> int:
    now = os.umask(0)
    os.umask(now)
    return now
