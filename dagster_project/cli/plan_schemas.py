"""`recon plan schemas`: the plan as draft-07 JSON Schemas, one file an event, for editors and test libraries."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from pathlib import Path

import click

from dagster_project.cli import exit_codes
from dagster_project.cli.plan_choice import chosen_plan
from dagster_project.core.plan import PlannedEvent, TrackingPlan
from dagster_project.core.slug import slug

_LONGEST = 80


def run_schemas(*, source: str | None, plan_files: Sequence[Path], out: Path) -> int:
    """Write a file for each rule in each version; returns the exit code."""
    written = 0
    for name, text in schema_files(chosen_plan(source, plan_files).plan):
        path = out / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, "utf-8")
        written += 1
    click.echo(f"{out}: {written} schemas")
    return exit_codes.RECONCILED


def schema_files(plan: TrackingPlan) -> Iterator[tuple[str, str]]:
    """File name and content of every rule, stable to the byte. No event name can lead out of the folder."""
    taken: set[str] = set()
    for event in plan.all_rules():
        name = _file_name(event)
        if name in taken:  # another event with the same slug
            name = name.replace(".", f"-{hashlib.sha256(event.name.encode()).hexdigest()[:8]}.", 1)
        taken.add(name)
        schema = {
            "$schema": "http://json-schema.org/draft-07/schema#",
            "title": event.name,
            **{key: value for key, value in event.message_schema.items() if key != "$schema"},
        }
        yield name, json.dumps(schema, indent=2, ensure_ascii=False) + "\n"


def _file_name(event: PlannedEvent) -> str:
    stem = slug(event.name)[:_LONGEST] or hashlib.sha256(event.name.encode()).hexdigest()[:8]
    version = f"-v{event.version}" if event.type == "TRACK" and event.version != 1 else ""
    return f"{event.type.lower()}/{stem}{version}.schema.json"
