"""The Dagster resource that a run works with: contract, warehouse and dbt, opened once and held for the run."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import date
from pathlib import Path

from dagster import (
    AssetExecutionContext,
    ConfigurableResource,
    DagsterInvariantViolationError,
    InitResourceContext,
)
from pydantic import PrivateAttr

from dagster_project.flow.context import RunContext
from dagster_project.resources.console import say
from dagster_project.resources.dagster_home import quicken_sqlite
from dagster_project.resources.run_lock import PATIENCE_S, run_lock
from dagster_project.session import context_of, parse_as_of, refuse_the_past
from dagster_project.settings import Settings


class Reconciliation(ConfigurableResource["Reconciliation"]):
    """One run's contract, warehouse and dbt.

    `as_of` (ISO time, UTC unless it has an offset), `from_day` and `to_day` (ISO days) come from the run's
    configuration; left out, the run is as of now and over all days that are new or re-opened. A time before
    the last run's is refused, unless `look_back` says that it is meant.
    """

    as_of: str | None = None
    from_day: str | None = None
    to_day: str | None = None
    look_back: bool = False
    lock_patience_s: float = PATIENCE_S

    _run: RunContext | None = PrivateAttr(default=None)

    @contextmanager
    def yield_for_execution(self, context: InitResourceContext) -> Iterator[Reconciliation]:
        quicken_sqlite()
        settings = Settings.from_environment()
        run_id = context.run_id or "no-run"
        log = context.log

        def waiting(holder: str) -> None:
            if log is not None:
                log.warning(f"waiting for another run of this workspace to end: {holder}")

        def tell(words: str) -> None:
            say(words)
            if log is not None:
                log.info(words)

        with run_lock(Path(settings.state_dir), run_id, patience_s=self.lock_patience_s, waiting=waiting):
            run = context_of(
                settings,
                run_id,
                as_of=parse_as_of(self.as_of) if self.as_of else None,
                from_day=date.fromisoformat(self.from_day) if self.from_day else None,
                to_day=date.fromisoformat(self.to_day) if self.to_day else None,
            )
            self._run = replace(run, tell=tell)
            with self._run.warehouse.held():
                if self.as_of and not self.look_back:
                    refuse_the_past(run.warehouse, run.as_of)
                yield self

    @property
    def run(self) -> RunContext:
        """The context of the run in progress; what its step sends to the warehouse is tagged with its stage."""
        if self._run is None:
            raise RuntimeError("the reconciliation resource is used outside of a run")
        self._run.warehouse.tag(self._run.run_id, _stage())
        return self._run


def _stage() -> str | None:
    """The stage of the step at work, which is the first part of its assets' keys; null outside of a step."""
    try:
        keys = AssetExecutionContext.get().selected_asset_keys
    except DagsterInvariantViolationError:
        return None
    return next((key.path[0] for key in sorted(keys)), None)
