"""`recon run --plan`: what a run would do and over which days, said without a connection to a warehouse."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any, Final

import click
import duckdb

from dagster_project.cli import exit_codes
from dagster_project.core.contracts import Workspace
from dagster_project.core.foresight import Days, Span, State, days_of_run
from dagster_project.core.load import load_workspace
from dagster_project.resources.dbt import DbtProject
from dagster_project.run import STEP_TITLES
from dagster_project.settings import Settings, project_root

# What a model of a kind sends: a view its definition; a table its creation; a window the look for its table and
# columns, the days, and begin, delete, insert, commit. A model's own questions about days are not in it.
STATEMENTS: Final = {"view": 1, "table": 1, "day_window": 7, "incremental": 4}
WINDOWS: Final = {
    "received_days": "days of receipt that are read again",
    "export_days": "export days that are read again",
    "run_received_days": "days of receipt that the run reads",
    "run_export_days": "export days that the run reads",
    "again_received_days": "days of receipt that are read again; adds what has come to the others",
    "again_export_days": "export days that are read again; adds what has come to the others",
    "again_keyed_export_days": "export days that are read again; adds what has come to the others",
    "open_days": "each destination's days that are reconciled",
    "workspace_days": "the workspace's days that are reconciled",
    "named_days": "the workspace's days that are open",
    "step_days": "the days of each step",
    "matched_days": "the days of each step, of all destinations together",
}
_TITLES: Final = {title.split()[0]: " ".join(title.split()[1:]) for title in STEP_TITLES.values()}


@dataclass(frozen=True)
class Model:
    """One dbt model as its project configures it."""

    name: str
    stage: str
    schema: str
    materialized: str
    window: str | None
    warehouse: str | None  # Snowflake's, when it is not the default one

    @property
    def statements(self) -> int:
        return STATEMENTS.get(self.materialized, 1) + (3 if self.warehouse else 0)


def run_dry_run(*, from_day: date | None, to_day: date | None, as_of: datetime | None, form: str) -> int:
    """Print the plan of a run; returns the exit code. Nothing is opened but a DuckDB file, to read."""
    settings = Settings.from_environment()
    workspace = load_workspace(settings.expectations_dir)
    moment = as_of or datetime.now(UTC).replace(tzinfo=None, microsecond=0)
    state, about_state = read_state(settings)
    days = days_of_run(workspace, moment, state, from_day=from_day, to_day=to_day)
    steps = steps_of(days, state, settings.step_rows)
    models = models_of(settings, workspace)
    if form == "json":
        click.echo(json.dumps(as_json(settings, moment, days, steps, about_state, models), indent=2))
    else:
        for line in lines(settings, workspace, moment, days, steps, about_state, models):
            click.echo(line)
    return exit_codes.RECONCILED


def read_state(settings: Settings) -> tuple[State | None, str]:
    """What the last run left in the DuckDB file, and a sentence about it; null where nothing can be known."""
    if settings.target != "duckdb":
        return None, "the state of the last run is in Snowflake, which a plan does not ask"
    path = settings.duckdb_path
    if not path.is_file():
        return None, f"no run yet: {path} does not exist"
    try:
        with contextlib.closing(duckdb.connect(str(path), read_only=True)) as db:
            db.execute("set timezone = 'UTC'")
            return _state(db, {str(name) for (name,) in db.execute(_TABLES).fetchall()}, path.name)
    except duckdb.Error as error:
        return None, f"{path} cannot be read now ({str(error).splitlines()[0][:120]})"


_TABLES: Final = "select table_name from information_schema.tables where table_schema = 'reconciliation_work'"


def _state(db: duckdb.DuckDBPyConnection, tables: set[str], name: str) -> tuple[State | None, str]:
    if "state_census" not in tables:
        return None, f"no run yet: {name} holds no reconciliation"
    known: dict[str, dict[str, date]] = {"source": {}, "destination": {}}
    for kind, part, day in db.execute(
        "select kind, name, max(day) from reconciliation_work.state_census where day is not null group by 1, 2"
    ).fetchall():
        known[kind][part] = day
    if not known["source"]:
        return None, f"no run has ended yet on {name}"
    open_days: dict[str, set[date]] = {}
    questions = {
        "state_open_days": "select distinct destination, day from reconciliation_work.state_open_days",
        "int_cells_daily": "select distinct destination, day from reconciliation_work.int_cells_daily"
        " where not mature or pending > 0",
    }
    for table, question in questions.items():
        for destination, day in db.execute(question).fetchall() if table in tables else []:
            open_days.setdefault(destination, set()).add(day)
    rows = db.execute(
        "select day, sum(rows_seen)::bigint from reconciliation_work.state_census"
        " where kind = 'source' and day is not null group by 1"
    ).fetchall()
    begun = "input_received_days" in tables and bool(
        db.execute("select 1 from reconciliation_work.input_received_days limit 1").fetchall()
    )
    state = State(
        known["source"],
        known["destination"],
        {part: tuple(sorted(days)) for part, days in open_days.items()},
        begun,
        dict(rows),
    )
    died = "; a run died while it read, and its days are done again" if begun else ""
    return (
        state,
        f"as the last run left {name}, whose newest landed day is {max(known['source'].values())}{died}",
    )


def steps_of(days: Days, state: State | None, limit: int) -> list[tuple[Span, int]]:
    """The steps of about `limit` rows in which the sources' days are read, each with the rows it held when last counted.

    A day that nobody has counted yet counts as empty, so a first run has more steps than this where it needs them.
    """
    from dagster_project.flow.steps import in_steps

    rows = state.rows if state else {}
    wanted = {
        span.first + timedelta(days=step)
        for span in days.sources.values()
        if span.first is not None
        for step in range(span.days)
    }
    return [
        (Span(step[0], step[-1]), sum(rows.get(day, 0) for day in step))
        for step in in_steps(wanted, rows, limit)
    ]


def models_of(settings: Settings, workspace: Workspace) -> list[Model]:
    """Every model of the workspace's dbt project, in the order in which dbt may run them; dbt parses, no more."""
    environment = {
        "RECON_TARGET": settings.target,
        "RECON_DUCKDB_PATH": str(settings.duckdb_path.absolute()),
    }
    if settings.target == "snowflake":
        # dbt wants a complete profile even to parse; these are never logged in with.
        needed = ("SNOWFLAKE_ACCOUNT", "SNOWFLAKE_USER", "SNOWFLAKE_DATABASE", "SNOWFLAKE_PASSWORD")
        environment |= {name: "not set" for name in needed if not os.environ.get(name)}
    dbt = DbtProject(project_root() / "dbt", settings.state_dir.absolute() / "dbt", environment)
    dbt.render(workspace)
    nodes = {
        key: node for key, node in dbt.manifest().nodes.items() if str(node.resource_type).endswith("model")
    }
    return [_model(nodes[key]) for key in _in_order(nodes)]


def _model(node: Any) -> Model:
    config = node.config
    return Model(
        name=node.name,
        stage=node.fqn[1],
        schema=node.schema,
        materialized=str(config.materialized),
        window=config.get("window"),
        warehouse=config.get("snowflake_warehouse"),
    )


def _in_order(nodes: dict[str, Any]) -> Iterator[str]:
    """Keys so that each comes after what it reads, by name where there is a choice."""
    done: set[str] = set()

    def visit(key: str) -> Iterator[str]:
        if key in done:
            return
        done.add(key)
        for needed in sorted(each for each in nodes[key].depends_on.nodes if each in nodes):
            yield from visit(needed)
        yield key

    for key in sorted(nodes):
        yield from visit(key)


def _stages(models: Sequence[Model]) -> Iterator[tuple[str, list[Model]]]:
    for stage in _TITLES:
        yield stage, [model for model in models if model.stage == stage]


def as_json(
    settings: Settings,
    as_of: datetime,
    days: Days,
    steps: Sequence[tuple[Span, int]],
    about_state: str,
    models: Sequence[Model],
) -> dict[str, Any]:
    """The plan as one document: days as ISO texts, both ends included."""
    return {
        "target": settings.target,
        "as_of": as_of.isoformat() + "Z",
        "state": {"known": days.known, "text": about_state},
        "days": {
            "looked_at": _span(days.looked_at),
            "asked": _span(days.asked),
            "sources": {name: _span(span) for name, span in days.sources.items()},
            "exports": {name: _span(span) for name, span in days.exports.items()},
            "reconciled": {name or "workspace": _span(span) for name, span in days.reconciled.items()},
        },
        "steps": [{**_span(span), "rows_when_last_counted": rows} for span, rows in steps],
        "stages": [
            {
                "stage": stage,
                "does": _TITLES[stage],
                "statements": sum(model.statements for model in those),
                "models": [
                    {
                        "name": model.name,
                        "schema": model.schema,
                        "materialized": model.materialized,
                        "window": model.window,
                        "warehouse": model.warehouse,
                    }
                    for model in those
                ],
            }
            for stage, those in _stages(models)
        ],
    }


def _span(span: Span) -> dict[str, Any]:
    return {
        "from": span.first.isoformat() if span.first else None,
        "to": span.last.isoformat() if span.last else None,
        "days": span.days,
    }


def lines(
    settings: Settings,
    workspace: Workspace,
    as_of: datetime,
    days: Days,
    steps: Sequence[tuple[Span, int]],
    about_state: str,
    models: Sequence[Model],
) -> Iterator[str]:
    """The plan for people: the days first, then the stages with their models."""
    yield f"a run of {workspace.name} on {settings.target} as of {as_of.isoformat(sep=' ')} UTC would"
    yield f"  know     {about_state}"
    if not days.known:
        yield "           so every day within lookback counts as new; a first run reads what was landed before, too"
    yield f"  look at  {_told(days.looked_at)} of what is landed, and read again each day whose rows have changed"
    yield f"  read     sources  {_grouped(days.sources)}"
    yield f"           exports  {_grouped(days.exports)}"
    if days.asked.days:
        yield f"           and again {_told(days.asked)}, which was asked for; of sources the days beside it, too"
    if len(steps) > 1:
        yield f"           in {len(steps)} steps"
        for span, rows in steps:
            yield f"             {_told(span)}, {rows:,} rows when last counted"
    workspace_days = {"the workspace": days.reconciled[""]}
    yield f"  do       {_grouped({**workspace_days, **{k: v for k, v in days.reconciled.items() if k}})}"
    yield "           and the days to which late rows turn out to belong, where they are not limited by --from and --to"
    for stage, those in _stages(models):
        total = sum(model.statements for model in those)
        count = f"{len(those)} models, about {total} statements" if those else "Python only"
        width = max((len(f"{model.schema}.{model.name}") for model in those), default=0)
        yield ""
        yield f"{stage:<12} {_TITLES[stage]} ({count})"
        for model in those:
            window = f"  replaces {WINDOWS.get(model.window, model.window)}" if model.window else ""
            large = f"  on {model.warehouse}" if model.warehouse else ""
            yield f"  {model.schema + '.' + model.name:<{width}}  {model.materialized}{window}{large}"


def _told(span: Span) -> str:
    if span.first is None or span.last is None or not span.days:
        return "no day"
    return str(span.first) if span.days == 1 else f"{span.first} to {span.last} ({span.days} days)"


def _grouped(spans: dict[str, Span] | Any) -> str:
    """Names that share their days in one breath; beyond three names, how many there are."""
    names: dict[str, list[str]] = {}
    for name, span in spans.items():
        names.setdefault(_told(span), []).append(name)
    return "; ".join(
        f"{told}: {', '.join(those) if len(those) <= 3 else f'{len(those)} of {len(spans)}'}"
        for told, those in names.items()
    )
