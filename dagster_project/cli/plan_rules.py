"""`recon plan rules`: what of a plan is judged on landed rows, and why the rest is not."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

import click

from dagster_project.cli import exit_codes
from dagster_project.cli.plan_choice import chosen_plan
from dagster_project.core.documents import Mark, shown
from dagster_project.core.plan.files import PlanFile
from dagster_project.core.plan.landed import REASONS, Judgement, Reason, Verdict, judgements

_FIRST: Final = 5  # of each reason, unless all are asked for
_WORDS: Final[Mapping[Verdict, str]] = {
    "judged": "judged",
    "in_part": "judged in part",
    "not_here": "not judged on landed rows",
}


def run_rules(*, source: str | None, plan_files: Sequence[Path], show_all: bool, form: str) -> int:
    """List the keywords of the plan by what they come to; returns the exit code."""
    file = chosen_plan(source, plan_files)
    found = list(judgements(file.plan))
    if form == "json":
        click.echo(json.dumps([_told(each, file) for each in found], indent=2))
    else:
        _as_text(found, file, show_all)
    return exit_codes.RECONCILED


def _told(each: Judgement, file: PlanFile) -> dict[str, object]:
    path, mark = file.place(each.at)
    return {
        "file": path,
        "line": mark.line,
        "column": mark.column,
        "type": each.type,
        "event": each.event,
        "version": each.version,
        "property": each.property,
        "keyword": each.keyword,
        "rule": each.kind,
        "verdict": each.verdict,
        "reasons": {reason: REASONS[reason] for reason in each.reasons},
    }


def _as_text(found: Sequence[Judgement], file: PlanFile, show_all: bool) -> None:
    counts = Counter(each.verdict for each in found)
    whole = ", ".join(f"{counts[verdict]:,} {words}" for verdict, words in _WORDS.items())
    click.echo(f"{len(found):,} rules: {whole}")
    click.echo("Whole messages are held to all of them by `recon plan validate` and the insert function.")
    for reason in REASONS:
        _of_reason(reason, [each for each in found if reason in each.reasons], file, show_all)


def _of_reason(reason: Reason, found: Sequence[Judgement], file: PlanFile, show_all: bool) -> None:
    if not found:
        return
    partly = sum(each.verdict == "in_part" for each in found)
    how = "in part" if partly == len(found) else "not here" if not partly else f"{partly:,} of them in part"
    click.echo(f"\n{reason} ({len(found):,}, {how}): {REASONS[reason]}")
    few = found if show_all else found[:_FIRST]
    for each in few:
        path, mark = file.place(each.at)
        click.echo(f"  {_place(path, mark)}: {_what(each)}")
    if len(few) < len(found):
        click.echo(f"  ... and {len(found) - len(few):,} more; --all shows them")


def _place(path: str, mark: Mark) -> str:
    return f"{path}:{mark.line}:{mark.column}"


def _what(each: Judgement) -> str:
    version = f" (version {each.version})" if each.version != 1 else ""
    name = f" {shown(each.property)[1:-1]}," if each.property else ","
    return f'"{shown(each.event)[1:-1]}"{version}{name} {shown(each.keyword)[1:-1]}: {_WORDS[each.verdict]}'
