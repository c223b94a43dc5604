"""The usual rates of a run: learned from the cells that no finding so far accounts for."""

from __future__ import annotations

import hashlib

import numpy as np

from dagster_project.core.diagnosis.evidence import Evidence
from dagster_project.core.diagnosis.finding import Claims
from dagster_project.core.diagnosis.grid import Shares
from dagster_project.core.diagnosis.rates import Rates, learn

DIFFERENCE_OF = {"missing": "missing", "duplicates": "duplicate", "unexpected": "unexpected"}


def declared_tolerances(evidence: Evidence) -> Shares:
    """The tolerance that the contract declares for each series of the grid, NaN where it is to be learned."""
    fixed = {
        name: np.nan if each.tolerance is None else float(each.tolerance)
        for name, each in evidence.destinations.items()
    }
    return np.array([fixed[name] for name in evidence.grid.destination], dtype=np.float64)


def rates_of(evidence: Evidence, claims: Claims, column: str) -> Rates:
    """What is usual in `missing`, `duplicates` or `unexpected`, and what is beyond it."""
    grid = evidence.grid
    free = grid.dense(~claims.of_cells(evidence.judged, DIFFERENCE_OF[column]), False)
    if column == "missing":
        free = free & grid.exported
    # Six of nine questions of a run ask for the same cells again, and an answer takes seconds on a million of them.
    asked = (column, hashlib.sha256(free.tobytes()).digest())
    if asked not in evidence.learned:
        evidence.learned[asked] = learn(grid, column, free, declared_tolerances(evidence))
    return evidence.learned[asked]
