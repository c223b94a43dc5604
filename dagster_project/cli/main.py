"""The `recon` command: its subcommands, their options and their exit codes."""

from __future__ import annotations

import logging
import os
import sys
from datetime import date, datetime
from typing import Any

import click

from dagster_project.cli import exit_codes
from dagster_project.cli.plan_commands import plan as plan_group
from dagster_project.core.documents import ConfigurationError
from dagster_project.settings import Settings, SettingsError

_FORMAT = click.option(
    "--format",
    "form",
    type=click.Choice(["text", "json"]),
    default="text",
    help="json: machine-readable, alone on standard output",
)


class _Moment(click.ParamType[Any]):
    name = "time"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> datetime:
        from dagster_project.session import parse_as_of

        if isinstance(value, datetime):
            return value
        try:
            return parse_as_of(str(value))
        except ValueError:
            self.fail(
                f"{value!r} is no time; write it like 2026-11-09T12:00:00Z (without an offset it is UTC)"
            )


class _Day(click.ParamType[Any]):
    name = "day"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> date:
        try:
            return date.fromisoformat(str(value))
        except ValueError:
            self.fail(f"{value!r} is no day; write it like 2026-11-09")


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="segment-reconciliation-suite", prog_name="recon")
def recon() -> None:
    """Explains every difference between Segment and the tools it feeds, before marketing sees it.

    Exit codes: 0 reconciled, 1 discrepancies of severity error or above, 2 wrong use or configuration,
    3 the run broke (some part could not be judged).
    """


recon.add_command(plan_group)


@recon.command()
@click.option("--seed", default=7, show_default=True, help="the same seed makes the same rows")
@click.option(
    "--next-day", is_flag=True, help="land one further day on the demo that is there, and run again"
)
def demo(seed: int, next_day: bool) -> None:
    """A realistic workspace with planted incidents, and the whole job on it."""
    from dagster_project.cli.demo import run_demo

    sys.exit(run_demo(seed=seed, next_day=next_day))


@recon.command()
@click.option("--warehouse", is_flag=True, help="also check that what the configuration names exists")
@_FORMAT
def check(warehouse: bool, form: str) -> None:
    """Validate expectations/."""
    from dagster_project.cli.check import run_check

    sys.exit(run_check(with_warehouse=warehouse, form=form))


@recon.command()
@click.option("--check", "only_check", is_flag=True, help="write nothing; exit 1 when something is stale")
def generate(only_check: bool) -> None:
    """Write what is generated from expectations/: dbt sources and staging models, suites, JSON schemas."""
    from dagster_project.cli.generate import run_generate

    sys.exit(run_generate(only_check=only_check))


@recon.command()
@click.option("--from", "from_day", type=_Day(), help="first day, in each destination's zone")
@click.option("--to", "to_day", type=_Day(), help="last day")
@click.option("--as-of", type=_Moment(), help="run as of this time (default: now)")
@click.option("--plan", is_flag=True, help="say what would run and over which days; needs no warehouse")
@_FORMAT
def run(from_day: date | None, to_day: date | None, as_of: datetime | None, plan: bool, form: str) -> None:
    """Reconcile: the scheduled job as one Dagster run. Default: all days that are new or re-opened."""
    if from_day and to_day and from_day > to_day:
        raise click.UsageError(f"--from {from_day} is after --to {to_day}; swap them")
    if plan:
        from dagster_project.cli.dry_run import run_dry_run

        sys.exit(run_dry_run(from_day=from_day, to_day=to_day, as_of=as_of, form=form))
    from dagster_project.cli.run import run_run

    sys.exit(run_run(from_day=from_day, to_day=to_day, as_of=as_of, form=form))


@recon.command()
@click.option("--database", help="where Segment's schemas and ours are (default: SNOWFLAKE_DATABASE)")
@click.option(
    "--warehouse",
    "warehouses",
    multiple=True,
    help="repeat it for several (default: SNOWFLAKE_WAREHOUSE and SNOWFLAKE_WAREHOUSE_LARGE)",
)
@click.option("--role", envvar="SNOWFLAKE_ROLE", default="SEGMENT_RECONCILIATION", show_default=True)
@click.option("--reader-role", default="SEGMENT_RECONCILIATION_READER", show_default=True)
@click.option("--user", help="who gets the role (default: SNOWFLAKE_USER)")
def grants(
    database: str | None, warehouses: tuple[str, ...], role: str, reader_role: str, user: str | None
) -> None:
    """Print the SQL that gives a Snowflake role the least it needs here, and readers theirs. Runs nothing."""
    from dagster_project.cli.grants import run_grants

    sys.exit(
        run_grants(database=database, warehouses=warehouses, role=role, reader_role=reader_role, user=user)
    )


@recon.command()
@click.option("--all", "show_all", is_flag=True, help="resolved ones and mere information too")
@_FORMAT
def incidents(show_all: bool, form: str) -> None:
    """What is wrong, since when, who is hit, how many, and what to do."""
    from dagster_project.cli.incidents import run_incidents

    sys.exit(run_incidents(show_all=show_all, form=form))


@recon.command()
@click.option("--port", default=3000, show_default=True, type=click.IntRange(1, 65535))
def ui(port: int) -> None:
    """The Dagster UI and daemon, on loopback."""
    from dagster_project.cli.ui import run_ui

    sys.exit(run_ui(port))


def main() -> None:
    """Entry point. A wrong configuration is one line an error, and exit code 2."""
    code: int | str | None = exit_codes.BROKEN
    try:
        log_to_file()
        recon.main(standalone_mode=False)
        code = 0
    except SystemExit as exit_:
        code = exit_.code
    except click.ClickException as error:
        error.show()
        code = exit_codes.WRONG_USE
    except click.Abort:
        click.echo("stopped", err=True)
        code = exit_codes.BROKEN
    except ConfigurationError as error:
        click.echo(str(error), err=True)
        code = exit_codes.WRONG_USE
    except (SettingsError, ValueError) as error:
        click.echo(f"recon: {error}", err=True)
        code = exit_codes.WRONG_USE
    except Exception as error:
        logging.getLogger(__name__).debug("recon broke", exc_info=True)
        click.echo(f"recon: {type(error).__name__}: {error}", err=True)
        code = exit_codes.BROKEN
    _leave(code)


def log_to_file() -> None:
    """Send what is logged to `<state>/recon.log`; the terminal shows results, not the log."""
    settings = Settings.from_environment()
    settings.state_dir.mkdir(parents=True, exist_ok=True)
    logging.basicConfig(
        filename=settings.state_dir / "recon.log",
        level=logging.INFO,
        format="%(asctime)s %(levelname)s %(name)s: %(message)s",
    )


def _leave(code: int | str | None) -> None:
    """End the process now.

    DuckDB's Python module (2.0.0) writes forty lines about its own leaked references to standard error when
    the interpreter is torn down after dbt has used it; everything of ours is flushed and closed by then.
    """
    if not isinstance(code, int):
        code = exit_codes.RECONCILED if code is None else exit_codes.WRONG_USE
    # The locks of dbt's manifest have names; its tracker, a process of its own, warns of those that nobody removes.
    if "multiprocessing.util" in sys.modules:
        sys.modules["multiprocessing.util"]._run_finalizers(0)
    logging.shutdown()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


if __name__ == "__main__":
    main()
