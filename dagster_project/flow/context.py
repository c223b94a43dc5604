"""What every stage of a run shares: the contract, the warehouse, dbt, and the one time the clock was read."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from pathlib import Path

from dagster_project.core.contracts import Workspace
from dagster_project.resources.dbt import DbtProject
from dagster_project.resources.warehouse import Warehouse


@dataclass(frozen=True)
class RunContext:
    """One run. `as_of` is naive UTC; `from_day` and `to_day` limit which days are reconciled."""

    workspace: Workspace
    warehouse: Warehouse
    dbt: DbtProject
    expectations_dir: Path
    state_dir: Path
    run_id: str
    as_of: datetime
    from_day: date | None = None
    to_day: date | None = None
    ui_url: str | None = None  # where the Dagster UI answers, for links in messages
    # A step holds its rows' keys in memory at once: 50 million take about 4 GB at the join, and spill beyond.
    step_rows: int = 50_000_000
    # From so many rows on, a table that only grew is read from where the last run ended; see flow/growth.py.
    grown_from: int = 5_000_000
    tell: Callable[[str], None] = logging.getLogger("recon").info  # progress within a stage

    @property
    def asked_days(self) -> list[date]:
        """The days that were asked for by name, which are read and matched again, changed or not."""
        if self.from_day is None or self.to_day is None:
            return []
        return [self.from_day + timedelta(step) for step in range((self.to_day - self.from_day).days + 1)]


@dataclass(frozen=True)
class Health:
    """Whether one source or destination can be read now, and what it held when it was looked at."""

    name: str
    status: str  # ok | broken
    problem: str | None
    rows: int = 0
    days_to_read: int = 0
    latest: datetime | None = None
