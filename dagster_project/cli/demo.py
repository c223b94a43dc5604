"""`recon demo`: lands the demo workspace, runs the job on it and shows what it found."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path

import click

from dagster_project.cli import exit_codes
from dagster_project.cli.incidents import read_incidents, told
from dagster_project.cli.run import books_of, exit_code, held_of, reconcile, say_waiting, tell
from dagster_project.core.load import load_workspace
from dagster_project.demo.generator import AS_OF, NEXT_DAY, land
from dagster_project.resources.run_lock import run_lock
from dagster_project.settings import Settings, project_root

WORKSPACE = "acme"  # the name in the demo's workspace.yml


def run_demo(*, seed: int, next_day: bool) -> int:
    """Land the workspace of `expectations/`, reconcile it, show the incidents; 0 when all planted ones are found.

    The demo is the checkout's own `expectations/` with data of its own: it never touches a warehouse that
    was not made by it.
    """
    checkout = project_root()
    os.chdir(checkout)  # the contracts' files are relative to expectations/, the state to the checkout
    settings = Settings.from_environment()
    if settings.target != "duckdb":
        click.echo("recon: the demo runs on DuckDB alone; unset RECON_TARGET", err=True)
        return exit_codes.WRONG_USE
    key_path = settings.state_dir / "demo" / "answer_key.json"
    if load_workspace(settings.expectations_dir).name != WORKSPACE:
        click.echo(
            f"recon: {settings.expectations_dir} is not the demo's workspace ({WORKSPACE}) any more; "
            "run the demo in a fresh clone",
            err=True,
        )
        return exit_codes.WRONG_USE
    marker = settings.duckdb_path.with_name(settings.duckdb_path.name + ".demo")
    if next_day and not marker.exists():
        click.echo("recon: there is no demo to go on with; run `recon demo` first", err=True)
        return exit_codes.WRONG_USE
    if not next_day and settings.duckdb_path.exists() and not marker.exists():
        click.echo(
            f"recon: {settings.duckdb_path} was not made by the demo; set RECON_STATE_DIR and RECON_DUCKDB_PATH "
            "to other places, then run the demo again",
            err=True,
        )
        return exit_codes.WRONG_USE
    marker.parent.mkdir(parents=True, exist_ok=True)
    marker.write_text("This DuckDB file was made by `recon demo`, which may make it anew.\n", "utf-8")
    with run_lock(settings.state_dir, "recon demo", waiting=say_waiting):
        return _run(
            settings, checkout / ".recon" / "demo" / "exports", key_path, seed=seed, next_day=next_day
        )


def _run(settings: Settings, exports: Path, key_path: Path, *, seed: int, next_day: bool) -> int:
    started = time.monotonic()
    through = (NEXT_DAY if next_day else AS_OF).replace(tzinfo=None)
    click.echo(f"landing the demo workspace through {through.isoformat(sep=' ')} UTC (seed {seed})", err=True)
    if not next_day:
        settings.duckdb_path.unlink(missing_ok=True)
    key = land(settings.duckdb_path, exports, seed=seed, through=through, since=AS_OF if next_day else None)
    key_path.parent.mkdir(parents=True, exist_ok=True)
    key.write(key_path)
    click.echo(f"  landed{'':<52}{time.monotonic() - started:6.1f} s", err=True)
    outcome, seconds = reconcile(settings, through)
    found = read_incidents(settings)
    tell(outcome, found, held_of(settings), books_of(settings), seconds)
    if found:
        click.echo("\nThe worst one, as Slack would say it:\n")
        click.echo(told(found[0]))
    planted = json.loads(key_path.read_text("utf-8"))["incidents"]
    matched = sum(
        any(_same(each, row) for row in read_incidents(settings, show_all=True)) for each in planted
    )
    click.echo(
        f"\n{matched} of {len(planted)} planted incidents found ({key_path}). "
        "Look on: recon incidents, recon ui, recon demo --next-day"
    )
    code = exit_code(outcome, found)
    # Finding what was planted is the demo's success.
    return exit_codes.RECONCILED if code == exit_codes.DISCREPANCIES and matched == len(planted) else code


def _same(planted: dict[str, object], row: dict[str, object]) -> bool:
    keys = ("kind", "source", "event", "renamed_to", "property", "identifier")
    return all(planted[name] == row[name] for name in keys)
