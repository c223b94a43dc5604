"""What a run sees of a destination's last days is kept where it is news, and only then."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from builders import by_count, contract, destination
from recon_project import ReconProject

from dagster_project.flow.arrivals import OBSERVATIONS, observe_arrivals
from dagster_project.flow.context import RunContext

# Noon UTC on the 20th: evening of the 20th in Kolkata, morning in New York.
NOON = datetime(2026, 11, 20, 12)
NAMES = {"destination": "varchar", "day": "date", "event_name": "varchar"}
DELIVERIES = {**NAMES, "hour": "bigint", "deliveries": "bigint"}
COUNTS = {**NAMES, "messages": "bigint"}


@pytest.fixture
def project(tmp_path: Path) -> ReconProject:
    made = ReconProject.build(
        tmp_path,
        contract(
            destination("mail", timezone="Asia/Kolkata", complete_after="6h"),
            by_count("tally", timezone="America/New_York", complete_after="30m"),
            starts_on="2026-11-17",
        ),
    )
    hold(made, {}, {})
    return made


def hold(project: ReconProject, mail: Mapping[int, int], tally: Mapping[int, int]) -> None:
    """What is read of the two exports by day of November."""
    rows = [
        {
            "destination": "mail",
            "day": date(2026, 11, day),
            "event_name": "E",
            "hour": hour,
            "deliveries": held,
        }
        for day, number in mail.items()
        for hour, held in ((9, number - 1), (10, 1))
    ]
    counts = [
        {"destination": "tally", "day": date(2026, 11, day), "event_name": name, "messages": number}
        for day, numbers in tally.items()
        for name, number in (("E", numbers - 1), ("F", 1))
    ]
    for name, columns, held in (
        ("int_delivery_counts", DELIVERIES, rows),
        ("int_export_counts", COUNTS, counts),
    ):
        project.warehouse.replace(
            f"reconciliation_work.{name}", pd.DataFrame(held, columns=list(columns)), columns
        )


@pytest.fixture
def see(project: ReconProject) -> Callable[..., set[tuple[Any, ...]]]:
    """Looks at a time, and gives all that is kept: destination, day of November, hour since NOON, deliveries."""

    def see(as_of: datetime, readable: tuple[str, ...] = ("mail", "tally")) -> set[tuple[Any, ...]]:
        context = RunContext(
            workspace=project.workspace,
            warehouse=project.warehouse,
            dbt=project.dbt,
            expectations_dir=project.folder,
            state_dir=project.folder,
            run_id="run",
            as_of=as_of,
        )
        observe_arrivals(context, readable)
        kept = project.rows(OBSERVATIONS, ["destination", "day", "seen_at", "deliveries"])
        assert set(kept.values()) <= {1}, "a moment is seen once"
        return {
            (name, (day - date(2026, 10, 31)).days, (seen_at - NOON) / timedelta(hours=1), deliveries)
            for name, day, seen_at, deliveries in (
                (row[0], row[1], datetime.combine(row[2], datetime.min.time()), row[3])
                if not isinstance(row[2], datetime)
                else row
                for row in kept
            )
        }

    return see


def test_the_first_run_sees_each_day_that_has_something_and_each_due_day_with_nothing(
    project: ReconProject, see: Callable[..., set[tuple[Any, ...]]]
) -> None:
    hold(project, {18: 3, 20: 1}, {17: 5})
    assert see(NOON) == {
        ("mail", 17, 0, 0),
        ("mail", 18, 0, 3),
        # The 19th is over in Kolkata since 18:30 UTC of that day, and due; the 20th is not, and has something.
        ("mail", 19, 0, 0),
        ("mail", 20, 0, 1),
        ("tally", 17, 0, 5),
        ("tally", 18, 0, 0),
        # Over at 05:00 UTC in New York, due at 05:30; nothing is due of the 20th.
        ("tally", 19, 0, 0),
    }


def test_a_day_is_due_complete_after_its_end_in_the_destinations_zone(
    see: Callable[..., set[tuple[Any, ...]]],
) -> None:
    due = datetime(2026, 11, 20, 5, 30)
    assert ("tally", 19) not in {row[:2] for row in see(due - timedelta(seconds=1))}
    assert ("tally", 19) in {row[:2] for row in see(due)}


def test_only_what_changed_is_seen_again_and_a_day_may_lose_all(
    project: ReconProject, see: Callable[..., set[tuple[Any, ...]]]
) -> None:
    hold(project, {17: 1, 18: 3, 19: 4}, {})
    first = see(NOON, ("mail",))
    hold(project, {17: 1, 18: 5, 20: 2}, {})
    assert see(NOON + timedelta(hours=1), ("mail",)) - first == {
        ("mail", 18, 1, 5),
        ("mail", 19, 1, 0),
        ("mail", 20, 1, 2),
    }


def test_running_again_at_the_same_time_changes_nothing_but_what_is_there_now(
    project: ReconProject, see: Callable[..., set[tuple[Any, ...]]]
) -> None:
    hold(project, {17: 1, 18: 3, 19: 4}, {})
    see(NOON, ("mail",))
    hold(project, {17: 1, 18: 5, 19: 4}, {})
    second = see(NOON + timedelta(hours=1), ("mail",))
    assert see(NOON + timedelta(hours=1), ("mail",)) == second
    # A run that was killed had seen more of the 18th than there is now: no trace of it stays.
    hold(project, {17: 1, 18: 3, 19: 9}, {})
    third = see(NOON + timedelta(hours=1), ("mail",))
    assert {row for row in third if row[2] == 1} == {("mail", 19, 1, 9)}


def test_a_run_at_an_earlier_time_does_not_rewrite_what_was_seen(
    project: ReconProject, see: Callable[..., set[tuple[Any, ...]]]
) -> None:
    hold(project, {17: 1, 18: 3, 19: 4}, {})
    seen = see(NOON, ("mail",))
    hold(project, {17: 7, 18: 7, 19: 7}, {})
    assert see(NOON - timedelta(hours=5), ("mail",)) == seen


def test_an_export_that_cannot_be_read_is_not_seen_and_keeps_what_was(
    project: ReconProject, see: Callable[..., set[tuple[Any, ...]]]
) -> None:
    hold(project, {18: 3}, {18: 5})
    first = see(NOON)
    hold(project, {18: 4}, {18: 9})
    assert see(NOON + timedelta(hours=1), ("tally",)) - first == {("tally", 18, 1, 9)}
    assert see(NOON + timedelta(hours=2), ()) == see(NOON + timedelta(hours=1), ("tally",))


def test_two_weeks_are_watched_and_120_days_kept(
    project: ReconProject, see: Callable[..., set[tuple[Any, ...]]]
) -> None:
    hold(project, {18: 3, 20: 1}, {})
    see(NOON, ("mail",))
    hold(project, {18: 4, 20: 2}, {})
    later = see(NOON + timedelta(days=13), ("mail",))
    assert ("mail", 20, 13 * 24, 2) in later, "thirteen days back is the first of fourteen days"
    assert ("mail", 18, 13 * 24, 4) not in later, "fifteen days back is not"
    # 2027-03-18 is 120 days after the 18th, and 121 after the 17th.
    last = see(datetime(2027, 3, 18, 12), ("mail",))
    assert ("mail", 18, 0, 3) in last
    assert ("mail", 17, 0, 0) not in last
