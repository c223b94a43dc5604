"""A run in many small steps, a run that reads only what was appended, and one that was killed between steps."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path
from random import Random
from typing import Any

import pytest
from builders import contract, destination, random_world
from matched.conftest import disagreements
from matched.moments import AS_OF, at, day
from recon_project import WORK, ReconProject

from dagster_project.core.oracle import Delivery, Message
from dagster_project.flow import growth
from dagster_project.flow.steps import in_steps
from dagster_project.resources.dbt import DbtProject

HOUR = timedelta(hours=1)


# ---------------------------------------------------------------------------------------------- how days are cut


def test_days_are_cut_where_a_step_would_hold_too_many_rows() -> None:
    days = [date(2026, 11, number) for number in (1, 2, 3, 4)]
    assert in_steps(days, dict.fromkeys(days, 10), 20) == [days[:2], days[2:]]
    assert in_steps(days, dict.fromkeys(days, 10), 14) == [[each] for each in days]


def test_a_rest_of_few_rows_is_no_step_of_its_own() -> None:
    days = [date(2026, 11, number) for number in range(1, 4)]
    assert in_steps(days, dict.fromkeys(days, 10), 15) == [days[:1], days[1:]]


def test_a_day_is_never_cut_and_days_come_in_order() -> None:
    one, two = date(2026, 11, 1), date(2026, 11, 2)
    assert in_steps([two, one, two], {one: 1_000, two: 1}, 10) == [[one], [two]]


def test_days_of_which_nothing_is_known_share_a_step() -> None:
    days = [date(2026, 11, number) for number in range(1, 20)]
    assert in_steps(days, {}, 1) == [days]
    assert in_steps([], {}, 1) == []


# ------------------------------------------------------------------------------------------------ whole projects


@pytest.mark.dbt
@pytest.mark.parametrize("seed", [3, 11])
def test_a_day_a_step_gives_the_tables_of_one_step(seed: int) -> None:
    world = random_world(Random(seed), days=5)
    with tempfile.TemporaryDirectory() as folder:
        project = ReconProject.build(Path(folder), world.contract)
        project.limits = {"step_rows": 1}
        project.land(world.messages, world.deliveries, world.counts)
        project.run(world.as_of, until="diagnosed")
        assert disagreements(project, world.as_of) == []


@pytest.fixture
def mail() -> Iterator[ReconProject]:
    with tempfile.TemporaryDirectory() as folder:
        yield ReconProject.build(Path(folder), contract(destination("mail"), sources=("web", "ios")))


def _sent(name: str, number: int, hour: int = 12, source: str = "web", **more: Any) -> Message:
    when = at(number, hour)
    return Message(source, name, "Paid", more.pop("received_at", when), timestamp=when, **more)


def _held(name: str, number: int, hour: int = 12) -> Delivery:
    return Delivery("mail", "Paid", at(number, hour), message_id=name)


@pytest.mark.dbt
def test_a_step_that_answers_a_message_of_an_earlier_step_has_that_day_done_again(mail: ReconProject) -> None:
    """The copy of day 5 makes a duplicate of what was a plain match when day 1 had its step."""
    mail.limits = {"step_rows": 1}
    mail.land(
        [_sent("a", 1), *(_sent(f"q{number}", number) for number in range(1, 7))],
        [_held("a", 1), _held("a", 5), *(_held(f"q{number}", number) for number in range(1, 7))],
    )
    mail.run(AS_OF, until="diagnosed")
    assert disagreements(mail, AS_OF) == []
    assert {
        (row[0], row[3])
        for row in mail.rows(f"{WORK}.int_differences", ["day", "hour", "source", "difference"])
    } == {(day(1), "duplicate")}


class _Died(Exception):
    pass


@pytest.mark.dbt
def test_a_run_killed_between_steps_is_taken_up_where_it_was(
    mail: ReconProject, monkeypatch: pytest.MonkeyPatch
) -> None:
    mail.limits = {"step_rows": 1}
    rows = [_sent(f"m{number}", number) for number in range(1, 7)]
    mail.land(rows, [_held(f"m{number}", number) for number in range(2, 7)])
    real, steps = DbtProject.run, []

    def run(self: DbtProject, models: Any, **more: Any) -> Any:
        if "int_matches" in models:
            steps.append(mail.frame(f"select min(day) as day from {WORK}.input_step_days")["day"].iloc[0])
            if len(steps) == 3:
                raise _Died
        return real(self, models, **more)

    monkeypatch.setattr(DbtProject, "run", run)
    with pytest.raises(_Died):
        mail.run(AS_OF, until="published")
    died_at, read = steps[-1], len(mail.rows(f"{WORK}.state_read"))
    assert read, "what was read is noted"
    mail.run(AS_OF, until="published")
    assert steps[3] == died_at, "the first step of the next run is the one that was not finished"
    assert disagreements(mail, AS_OF) == []


@pytest.mark.dbt
def test_rows_that_land_between_a_killed_run_and_the_next_are_matched_again(
    mail: ReconProject, monkeypatch: pytest.MonkeyPatch
) -> None:
    mail.limits = {"step_rows": 1}
    mail.land([_sent(f"m{number}", number) for number in range(1, 7)], [])
    real, steps = DbtProject.run, []

    def run(self: DbtProject, models: Any, **more: Any) -> Any:
        if "int_matches" in models:
            steps.append(1)
            if len(steps) == 5:
                raise _Died
        return real(self, models, **more)

    monkeypatch.setattr(DbtProject, "run", run)
    with pytest.raises(_Died):
        mail.run(AS_OF, until="published")
    # Days 1 to 3 have been matched, and get an answer now.
    mail.land_more([], [_held("m1", 1), _held("m2", 2)])
    mail.run(AS_OF + HOUR, until="published")
    assert disagreements(mail, AS_OF + HOUR) == []


# ---------------------------------------------------------------------------------------------------- only new rows


@pytest.fixture
def grown(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of tables of which only new rows were read, as they are."""
    seen: list[str] = []
    real = growth.grown

    def watched(*arguments: Any, **more: Any) -> Any:
        found = real(*arguments, **more)
        if found is not None:
            seen.append(arguments[2])
        return found

    for module in ("sources", "exported"):
        monkeypatch.setattr(f"dagster_project.flow.{module}.grown", watched)
    return seen


LARGE, SMALL = 1, 1_000_000  # from how many rows on a table is a large one: all of them, none of them


@pytest.fixture(scope="module")
def run_once() -> Iterator[ReconProject]:
    """Six days, reconciled, to which tests add something."""
    with tempfile.TemporaryDirectory() as folder:
        project = ReconProject.build(Path(folder), contract(destination("mail"), sources=("web", "ios")))
        project.limits = {"grown_from": LARGE}  # so that days are known which may be carried on
        project.land(
            [_sent(f"m{number}", number) for number in range(1, 7)] + [_sent("i", 2, source="ios")],
            [_held(f"m{number}", number) for number in range(1, 7)],
        )
        project.run(AS_OF, until="published")
        assert disagreements(project, AS_OF) == []
        project.keep()
        yield project


@pytest.fixture
def begun(run_once: ReconProject) -> ReconProject:
    run_once.back()
    run_once.limits = {"grown_from": LARGE}
    return run_once


@pytest.mark.dbt
@pytest.mark.parametrize("grown_from", [LARGE, SMALL])
def test_of_a_table_that_only_grew_only_new_rows_are_read(
    begun: ReconProject, grown: list[str], grown_from: int
) -> None:
    begun.limits = {"grown_from": grown_from}
    begun.land_more(
        # A late one, a new day, and a copy of one that is known.
        [_sent("late", 3, received_at=at(7)), _sent("new", 7), _sent("m6", 6, received_at=at(7))],
        [_held("late", 3), _held("new", 7), _held("m2", 2), _held("nobody", 4)],
    )
    # What was read before is not looked at again: were it, these would be back.
    begun.warehouse.execute(f"update {WORK}.int_deliveries set event_name = 'Kept' where day = '{day(1)}'")
    begun.run(AS_OF + HOUR, until="published")
    assert sorted(grown) == ["ios", "mail", "web"]
    kept = begun.frame(f"select count(*) as n from {WORK}.int_deliveries where event_name = 'Kept'")[
        "n"
    ].iloc[0]
    assert kept == 1
    begun.warehouse.execute(f"update {WORK}.int_deliveries set event_name = 'Paid' where event_name = 'Kept'")
    assert disagreements(begun, AS_OF + HOUR) == []
    assert len(begun.rows(f"{WORK}.int_messages")) == 9


@pytest.mark.dbt
@pytest.mark.parametrize("known", ["m5", "m6"], ids=["before", "at once, by a source that comes first"])
def test_a_new_row_received_before_its_known_copy_has_the_days_read_whole(
    begun: ReconProject, grown: list[str], known: str
) -> None:
    landed = {each.message_id: each for each in begun.landed["messages"] if isinstance(each, Message)}
    assert landed[known].source == "web"
    when = at(4) if known == "m5" else landed[known].received_at
    begun.land_more([Message("ios", known, "Read", when, timestamp=when)], [])
    begun.run(AS_OF + HOUR, until="published")
    assert "ios" in grown
    assert disagreements(begun, AS_OF + HOUR) == []


@pytest.mark.dbt
@pytest.mark.parametrize(
    ("change", "grown_from"),
    [
        ("delete", LARGE),
        ("replace", LARGE),
        ("future", LARGE),
        ("delete", SMALL),
        ("update", SMALL),
        ("in place", SMALL),
    ],
)
def test_a_table_that_did_more_than_grow_is_compared_in_full(
    begun: ReconProject, grown: list[str], change: str, grown_from: int
) -> None:
    begun.limits = {"grown_from": grown_from}
    table = (
        "exports.mail"
        if not begun.workspace.destinations[0].export.table
        else str(begun.workspace.destinations[0].export.table)
    )
    if change == "delete":
        begun.warehouse.execute(f"delete from {table} where message_id = 'm2'")
        begun.landed["deliveries"] = [each for each in begun.landed["deliveries"] if each.message_id != "m2"]
    elif change == "update":
        # Seen where a table is small enough to be counted up to where it was read; new rows land behind it.
        begun.warehouse.execute(f"update {table} set event_name = 'Read' where message_id = 'm2'")
        begun.landed["deliveries"] = [
            replace(each, event_name="Read") if each.message_id == "m2" else each
            for each in begun.landed["deliveries"]
        ]
        begun.land_more([], [_held("m4", 4)])
    elif change == "in place":
        # As many rows of each name and time stand up to where the table was read, but not the same.
        begun.warehouse.execute(
            f"create or replace table {table} as select * from {table} where message_id <> 'm6' union all "
            f"select * replace ('late' as message_id) from {table} where message_id = 'm6' union all "
            f"select * from {table} where message_id = 'm6'"
        )
        begun.landed["deliveries"].append(_held("late", 6))
    elif change == "replace":
        # As many rows, made anew, of which one says something else.
        begun.warehouse.execute(
            f"create or replace table {table} as select * replace "
            f"(case when message_id = 'm2' then 'Read' else event_name end as event_name) from {table}"
        )
        begun.landed["deliveries"] = [
            each if each.message_id != "m2" else Delivery("mail", "Read", at(2), message_id="m2")
            for each in begun.landed["deliveries"]
        ]
    else:
        # Not yet counted when the first run noted how far it had read.
        begun.land_more([], [Delivery("mail", "Paid", AS_OF + 30 * HOUR, message_id="nobody")])
        begun.run(AS_OF + HOUR, until="published")
        grown.clear()
        begun.land_more([], [_held("m4", 4)])
    later = AS_OF + (timedelta(days=3) if change == "future" else HOUR)
    begun.run(later, until="published")
    assert "mail" not in grown
    assert disagreements(begun, later) == []


@pytest.mark.dbt
def test_rows_that_a_dead_run_has_read_are_not_read_twice_though_their_table_was_gone_meanwhile(
    begun: ReconProject,
) -> None:
    table = str(begun.workspace.destinations[0].export.table)
    begun.land_more([], [_held("m4", 4), _held("nobody", 5)])
    begun.run(AS_OF + HOUR, until="exported")
    # It died before it noted what it had read.
    begun.warehouse.execute(f"delete from {WORK}.state_read")
    begun.warehouse.execute(f"alter table {table} rename to gone")
    begun.run(AS_OF + HOUR, until="exported")
    begun.warehouse.execute(f"alter table {table.split('.')[0]}.gone rename to {table.split('.')[1]}")
    begun.run(AS_OF + HOUR, until="published")
    assert disagreements(begun, AS_OF + HOUR) == []
