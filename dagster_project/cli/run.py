"""`recon run`: progress while it works, then what it found, where to look, and the exit code."""

from __future__ import annotations

import json
import time
from datetime import UTC, date, datetime
from typing import Any

import click

from dagster_project.cli import exit_codes
from dagster_project.cli.alerts import alerts_of
from dagster_project.cli.incidents import MARKS, closes, read_incidents
from dagster_project.cli.warehouse_file import NoWarehouse, absent_file
from dagster_project.core.gate import NOT_COMPLETE
from dagster_project.core.load import load_workspace
from dagster_project.core.message import shown, visible
from dagster_project.flow.census import as_day, rows_of
from dagster_project.resources.run_lock import run_lock
from dagster_project.run import STEP_TITLES, RunOutcome, run_job
from dagster_project.session import RunInThePast, refuse_the_past, warehouse_of
from dagster_project.settings import Settings

WINDOW_STATUS = "reconciliation_published.window_status"


def run_run(*, from_day: date | None, to_day: date | None, as_of: datetime | None, form: str) -> int:
    """Run the job and say what it found; returns the exit code."""
    settings = Settings.from_environment()
    # A wrong configuration is said before anything starts.
    workspace = load_workspace(settings.expectations_dir)
    settings.require_warehouse()
    # Every source is in the warehouse: in a file that is not there is nothing to reconcile, and every day would be
    # told as lost.
    no_file = absent_file(settings)
    if no_file is not None:
        raise NoWarehouse(no_file)
    # Held to the last line, so that what is told is what this run found.
    with run_lock(settings.state_dir, "recon run", waiting=say_waiting):
        try:
            if as_of:
                refuse_the_past(warehouse_of(settings), as_of)
        except RunInThePast as error:
            raise click.UsageError(str(error)) from error
        # Read once the lock is held: the run that was waited for may be as of a later time than the wait's start.
        since = datetime.now(UTC).replace(tzinfo=None)
        moment = as_of or since.replace(microsecond=0)
        outcome, seconds = reconcile(settings, moment, from_day, to_day)
        incidents = read_incidents(settings)
        alerts = alerts_of(settings, workspace.slack_channel, since, outcome.alerts_given_up)
        books = books_of(settings)
        held = [] if form == "json" else held_of(settings)
    code = exit_code(outcome, incidents)
    if form == "json":
        click.echo(
            json.dumps(
                {
                    "run_id": outcome.run_id,
                    "as_of": moment.isoformat() + "Z",
                    "exit_code": code,
                    "seconds": round(seconds, 1),
                    "broken": [{"step": step, "error": error} for step, error in outcome.broken],
                    "checks_broken": outcome.checks_broken,
                    "alerts": alerts.as_json(),
                    "destinations": books,
                    "incidents": incidents,
                },
                indent=2,
                ensure_ascii=False,
            )
        )
    else:
        tell(outcome, incidents, held, books, seconds)
    if alerts.said is not None:
        click.echo(alerts.said, err=True)
    return code


def exit_code(outcome: RunOutcome, incidents: list[dict[str, Any]]) -> int:
    """3 when something could not be judged, else 1 when an incident holds data back, else 0."""
    if outcome.broken or outcome.checks_broken:
        return exit_codes.BROKEN
    return exit_codes.DISCREPANCIES if any(map(closes, incidents)) else exit_codes.RECONCILED


def reconcile(
    settings: Settings, as_of: datetime, from_day: date | None = None, to_day: date | None = None
) -> tuple[RunOutcome, float]:
    """Run the job with a line a stage on standard error; returns the outcome and the seconds it took."""
    started = time.monotonic()

    def progress(step: str, state: str, seconds: float) -> None:
        if state == "says":
            click.echo(f"    {step}", err=True)
        elif state == "done" and step in STEP_TITLES:
            click.echo(f"  {STEP_TITLES[step]:<58}{seconds:6.1f} s", err=True)

    click.echo(f"reconciling as of {as_of.isoformat(sep=' ')} UTC", err=True)
    outcome = run_job(settings, as_of=as_of, from_day=from_day, to_day=to_day, progress=progress)
    return outcome, time.monotonic() - started


def say_waiting(holder: str) -> None:
    """Another run works on this workspace: say so once, and who."""
    click.echo(f"another run of this workspace is at work ({holder}); waiting for it to end", err=True)


def tell(
    outcome: RunOutcome,
    incidents: list[dict[str, Any]],
    held: list[str],
    books: list[dict[str, Any]],
    seconds: float,
) -> None:
    """What a run found, in the order in which a person needs it."""
    for step, error in outcome.broken:
        click.echo(
            click.style("BROKEN", fg="red", bold=True) + f"   {step or 'the run'}: {visible(error)}", err=True
        )
    if outcome.checks_broken:
        click.echo(f"{outcome.checks_broken} checks could not be judged; their days are held", err=True)
    if outcome.broken:
        click.echo("what follows is as of the last run that finished", err=True)
    click.echo("")
    for row in incidents:
        word, colour = MARKS[row["severity"]]
        click.echo(click.style(f"{word:<8}", fg=colour, bold=True) + f" {visible(row['title'])}")
    if not incidents and not outcome.broken:
        click.echo(click.style("No incident is open.", fg="green", bold=True))
    if not any(map(closes, incidents)):  # else those are what holds most of the days
        for line in held:
            click.echo(line)
    click.echo("")
    for line in lines_of(books, incidents):
        click.echo(line)
    click.echo(f"\nrun {outcome.run_id} took {seconds:.1f} s; details: recon incidents, recon ui")


def held_of(settings: Settings) -> list[str]:
    """What the held days wait for, by the reasons of their verdicts: a line for each of the two kinds."""
    warehouse = warehouse_of(settings)
    if not warehouse.exists(WINDOW_STATUS):
        return []
    rows = warehouse.frame(
        f"select destination, day, reasons from {WINDOW_STATUS} where verdict = 'held' order by day desc, destination"
    )
    # A day that is not complete may be held by something else as well, which its completion will not end.
    others = [
        (f"{row.destination} on {as_day(row.day)}", reasons)
        for row in rows_of(rows)
        if (reasons := [each for each in json.loads(row.reasons) if each != NOT_COMPLETE])
    ]
    lines = []
    if incomplete := len(rows) - len(others):
        days, them = ("1 day is", "it") if incomplete == 1 else (f"{incomplete:,} days are", "them")
        lines.append(f"{days} not complete yet, and held until a later run has judged {them}.")
    if others:
        window, reasons = others[0]
        days = "1 day is" if len(others) == 1 else f"{len(others):,} days are"
        lines.append(
            f"{days} held by something else, such as {window}: {shown(reasons[0], 300)}; {WINDOW_STATUS} has all reasons."
        )
    return lines


def books_of(settings: Settings) -> list[dict[str, Any]]:
    """A row a destination: what was expected and arrived, in messages, and how many of its days are held."""
    warehouse = warehouse_of(settings)
    if not warehouse.exists(WINDOW_STATUS):
        return []
    rows = warehouse.frame(
        f"""
        select c.destination, sum(c.expected) as expected, sum(c.delivered) as delivered, sum(c.missing) as missing,
            sum(c.pending) as pending, max(w.days) as days, max(w.held) as days_held
        from reconciliation.reconciliation_daily as c
        inner join (
            select destination, count(*) as days, sum(case when verdict = 'held' then 1 else 0 end) as held
            from {WINDOW_STATUS} group by 1
        ) as w on c.destination = w.destination
        group by 1 order by 1
        """
    )
    counts = ("expected", "delivered", "missing", "pending", "days", "days_held")
    return [
        {"destination": str(row.destination)} | {name: int(getattr(row, name)) for name in counts}
        for row in rows_of(rows)
    ]


def lines_of(books: list[dict[str, Any]], incidents: list[dict[str, Any]]) -> list[str]:
    """The books as a table for a terminal."""
    if not books:
        return ["no destination has a day yet"]
    lines = [
        f"{'destination':<22}{'expected':>12}{'delivered':>12}{'missing':>10}{'pending':>10}   days held"
    ]
    for row in books:
        lines.append(
            f"{row['destination']:<22}{row['expected']:>12,}{row['delivered']:>12,}{row['missing']:>10,}"
            f"{row['pending']:>10,}   {row['days_held']} of {row['days']}"
        )
    if any(each["kind"] == "event_renamed" and each["destinations"] for each in incidents):
        lines.append("What a rename keeps away is not among the missing: no contract expects the new name.")
    return lines
