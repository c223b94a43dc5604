"""In which order the files are run: those that take long first, so that no worker is left alone with one at the end."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import pytest

# From 270 s of processor time down to 50 (2026-11-29). Each is given to one worker whole; ordered by their number of
# tests, as xdist would have them, files of few and long tests came last, and one worker waited minutes for the other.
LONG: Final = (
    "matched/test_steps.py",
    "matched/test_increments.py",
    "matched/test_carried.py",
    "commands/test_recon.py",
    "matched/test_witness.py",
    "diagnosed/test_renames.py",
    "scenarios/test_bad_input.py",
    "judged/test_judge.py",
    "matched/test_unit_tests.py",
    "scenarios/test_story.py",
    "matched/test_agreement.py",
    "portability/test_flow.py",
    "scenarios/test_ends.py",
    "diagnosed/test_causes.py",
    "normalised/test_dbt_project.py",
    "diagnosed/test_ledger.py",
    "commands/test_dry_run.py",
    "repo/test_start_up.py",
)
_TESTS: Final = Path(__file__).parent
_PLACES: Final = {name: place for place, name in enumerate(LONG)}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items.sort(key=lambda item: _PLACES.get(item.path.relative_to(_TESTS).as_posix(), len(LONG)))
