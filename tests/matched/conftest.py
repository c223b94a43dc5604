"""A project for each test, and its rows held against the reference matcher."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from recon_project import WORK, ReconProject

Build = Callable[[Mapping[str, Any]], ReconProject]


@pytest.fixture
def build(tmp_path: Path) -> Build:
    """Makes a project of a contract; more than one a test."""
    made: list[ReconProject] = []

    def build(contract: Mapping[str, Any]) -> ReconProject:
        made.append(ReconProject.build(tmp_path / f"project_{len(made)}", contract))
        return made[-1]

    return build


def disagreements(project: ReconProject, as_of: datetime) -> list[str]:
    """Where the tables differ from the reference's books: table, key, what each says."""
    with project.warehouse.held():
        reference, tables = project.expected(as_of), project.books()
        found = [f"counted otherwise than read: {each}" for each in _miscounted(project)]
    for name in ("cells", "not_expected", "delivery_names", "differences"):
        said, held = getattr(reference, name), getattr(tables, name)
        for key in sorted(said.keys() | held.keys(), key=str):
            if said.get(key) != held.get(key):
                found.append(f"{name} {key}: reference {said.get(key)}, tables {held.get(key)}")
    return found


def _miscounted(project: ReconProject) -> list[tuple[Any, ...]]:
    """Hours whose deliveries int_delivery_counts, which adds up over runs, does not count as int_deliveries holds them."""
    keys = "day, destination_key, hour, event_name"
    rows = project.frame(
        f"select {keys}, sum(deliveries) as deliveries, sum(without_id) as without_id from ("
        "select day, hash(destination) as destination_key, hour, event_name, deliveries, without_id "
        f"from {WORK}.int_delivery_counts union all "
        "select day, destination_key, extract(hour from event_time), event_name, -1, "
        f"case when delivery_key is null then -1 else 0 end from {WORK}.int_deliveries where day is not null"
        f") as both_ways group by {keys} having sum(deliveries) <> 0 or sum(without_id) <> 0"
    )
    return [tuple(row) for row in rows.itertuples(index=False)]
