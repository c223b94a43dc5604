"""`recon incidents`: what is wrong, in the words of the alerts, or as the rows of the contract table."""

from __future__ import annotations

import json
import textwrap
from datetime import date, datetime
from typing import Any

import click
import pandas as pd

from dagster_project.cli import exit_codes
from dagster_project.cli.warehouse_file import nothing_reconciled, warehouse_to_read
from dagster_project.core.message import visible
from dagster_project.flow.census import as_day
from dagster_project.resources.warehouse import Warehouse
from dagster_project.session import warehouse_of
from dagster_project.settings import Settings

INCIDENTS = "reconciliation.incidents"
COLUMNS = (
    *("incident_id", "kind", "severity", "status", "source", "event", "renamed_to", "property", "identifier"),
    *("destinations", "started_on", "ended_on", "detected_at", "resolved_at", "messages_affected"),
    *("title", "explanation", "suggestion", "evidence"),
    *("state", "runs_seen", "runs_clean", "last_seen_at", "reopened_at", "muted_until", "muted_by"),
)
_DAYS = ("started_on", "ended_on", "muted_until")
_COUNTS = ("messages_affected", "runs_seen", "runs_clean")
_WORST_FIRST = {"critical": 0, "error": 1, "warning": 2, "info": 3}
MARKS = {
    "critical": ("CRITICAL", "red"),
    "error": ("ERROR", "red"),
    "warning": ("WARNING", "yellow"),
    "info": ("INFO", "blue"),
}


def run_incidents(*, show_all: bool, form: str) -> int:
    """Print the incidents; the exit code says whether one of severity error or above is open.

    Where nothing has been reconciled yet nobody can say that all is well: that is wrong use, and no empty list.
    """
    settings = Settings.from_environment()
    warehouse = warehouse_to_read(settings)
    if not warehouse.exists(INCIDENTS):
        raise nothing_reconciled(settings, warehouse)
    rows = _rows(warehouse, show_all=show_all)
    if form == "json":
        click.echo(json.dumps(rows, indent=2, ensure_ascii=False))
    elif not rows:
        click.echo("no incident is open")
    else:
        for row in rows:
            click.echo(told(row))
            click.echo("")
    return exit_codes.DISCREPANCIES if any(closes(row) for row in rows) else exit_codes.RECONCILED


def closes(row: dict[str, Any]) -> bool:
    """Whether an incident holds data back."""
    return row["status"] == "open" and row["severity"] in ("critical", "error")


def read_incidents(settings: Settings, *, show_all: bool = False) -> list[dict[str, Any]]:
    """The incidents as JSON-able rows, worst first; without `show_all` open ones of warning and above."""
    warehouse = warehouse_of(settings)
    return _rows(warehouse, show_all=show_all) if warehouse.exists(INCIDENTS) else []


def _rows(warehouse: Warehouse, *, show_all: bool) -> list[dict[str, Any]]:
    frame = warehouse.frame(f"select * from {INCIDENTS}")
    # A table of an earlier release lacks the newer columns until the next run.
    rows = [{name: _plain(name, row.get(name)) for name in COLUMNS} for row in frame.to_dict("records")]
    if not show_all:
        rows = [row for row in rows if row["status"] == "open" and row["severity"] != "info"]
    return sorted(
        rows,
        key=lambda row: (
            row["status"] != "open",
            _WORST_FIRST.get(row["severity"], 9),
            -(row["messages_affected"] or 0),
            row["incident_id"],
        ),
    )


def told(row: dict[str, Any]) -> str:
    """One incident for a terminal."""
    word, colour = MARKS.get(row["severity"], (row["severity"].upper(), "white"))
    state = "" if row["state"] in (None, "open") and row["status"] == "open" else f" ({_state(row)})"
    head = (
        click.style(f"{word:<8}", fg=colour, bold=True)
        + " "
        + click.style(visible(row["title"]) + state, bold=True)
    )
    body = [f"{row['kind']} · {row['incident_id']}", row["explanation"], f"What to do: {row['suggestion']}"]
    if row["muted_until"]:
        body.insert(
            1, f"Muted by {row['muted_by']} until {row['muted_until']}; days that it holds stay held."
        )
    lines = [head]
    for text in body:
        for part in visible(text, keep_newlines=True).splitlines():
            lines += textwrap.wrap(part, 100, initial_indent=" " * 9, subsequent_indent=" " * 9) or [""]
    return "\n".join(lines)


def _state(row: dict[str, Any]) -> str:
    """The state in words that need no manual."""
    words = {
        "suspected": "suspected; told when another run finds it again",
        "recovering": "recovering",
        "reopened": "back again",
    }
    return words.get(row["state"], str(row["status"]))


def _plain(name: str, value: Any) -> Any:
    if value is None or (not isinstance(value, str) and pd.isna(value)):
        return None
    if name in ("destinations", "evidence"):
        return json.loads(value)
    if name in _DAYS:
        return as_day(value).isoformat()
    if isinstance(value, datetime | date):
        return value.isoformat()
    return int(value) if name in _COUNTS else str(value)
