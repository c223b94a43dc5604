"""A project for each test, and its rows held against the reference matcher."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from recon_project import ReconProject

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
    reference, tables = project.expected(as_of), project.books()
    found = []
    for name in ("cells", "not_expected", "delivery_names", "differences"):
        said, held = getattr(reference, name), getattr(tables, name)
        for key in sorted(said.keys() | held.keys(), key=str):
            if said.get(key) != held.get(key):
                found.append(f"{name} {key}: reference {said.get(key)}, tables {held.get(key)}")
    return found
