"""However rows came in and whatever ended a run, the tables are those of one run over all of them."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path
from random import Random
from typing import Any

import pytest
from builders import by_count, by_user, contract, destination, random_world
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from matched.conftest import Build, disagreements
from matched.moments import AS_OF, at, day
from recon_project import STAGES, WORK, Killed, ReconProject, write_expectations

from dagster_project.core.load import load_workspace
from dagster_project.core.oracle import Count, Delivery, Message

pytestmark = pytest.mark.dbt

HOUR = timedelta(hours=1)


@settings(
    max_examples=int(os.environ.get("RECON_WORLDS", "1")),
    deadline=None,
    derandomize=True,
    database=None,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=list(HealthCheck),
)
@given(seed=st.integers(0, 2**32 - 1))
def test_rows_that_come_and_go_give_the_tables_of_one_run(seed: int) -> None:
    """Once all days are over, a few late rows open a few days; the others must have stayed right."""
    random = Random(seed)
    world = random_world(random, days=7)
    as_of = world.as_of + timedelta(days=12)
    late = {
        *random.sample(world.messages, 3),
        *random.sample(world.deliveries, min(4, len(world.deliveries))),
    }
    late |= set(random.sample(world.counts, min(2, len(world.counts))))
    gone = {
        *random.sample(world.messages, 2),
        *random.sample(world.deliveries, min(2, len(world.deliveries))),
    }
    everything = (world.messages, world.deliveries, world.counts)
    steps = [
        [[row for row in rows if row not in late] for rows in everything],
        [[*rows, *random.choices(rows, k=min(1, len(rows)))] for rows in everything],
        [[row for row in rows if row not in gone] for rows in everything],
    ]
    with tempfile.TemporaryDirectory() as folder:
        project = ReconProject.build(Path(folder), world.contract)
        for number, rows in enumerate(steps):
            project.land(*rows)
            moment = as_of + number * 5 * HOUR
            project.run(moment, until="published")
            assert disagreements(project, moment) == [], f"seed {seed}, step {number}"


# ------------------------------------------------------------------------------------- one thing at a time


@dataclass
class Story:
    """What is landed first, and what is landed in its place."""

    messages: list[Message]
    deliveries: list[Delivery]
    later_messages: list[Message]
    later_deliveries: list[Delivery]


def _sent(name: str, when: datetime, source: str = "web", event: str = "Paid", **more: Any) -> Message:
    return Message(source, name, event, when, timestamp=more.pop("timestamp", when), **more)


def _held(tool: str, name: str | None, when: datetime, event: str = "Paid") -> Delivery:
    return Delivery(tool, event, when, message_id=name)


def _stories() -> dict[str, Story]:
    """Each in a destination of its own, so that all of them are one run; `mail_N` is its own contract."""
    one, four = at(1), at(4)
    return {
        "a late delivery of another day answers an old message": Story(
            [_sent("a1", one)], [], [_sent("a1", one)], [_held("tool_0", "a1", four)]
        ),
        "a delivery of another day goes away": Story(
            [_sent("b1", one)], [_held("tool_1", "b1", four)], [_sent("b1", one)], []
        ),
        "a late message takes away what was unexpected on another day": Story(
            [], [_held("tool_2", "c1", four)], [_sent("c1", one)], [_held("tool_2", "c1", four)]
        ),
        "a copy of another day is a duplicate of its message's day": Story(
            [_sent("d1", one)],
            [_held("tool_3", "d1", one)],
            [_sent("d1", one)],
            [_held("tool_3", "d1", one), _held("tool_3", "d1", four)],
        ),
        "the first of two unexpected copies says the day": Story(
            [], [_held("tool_4", "e1", four)], [], [_held("tool_4", "e1", four), _held("tool_4", "e1", one)]
        ),
        "a name becomes one of the contract when a source first sends it": Story(
            [_sent("f1", one)],
            [_held("tool_5", "f1", one), _held("tool_5", "f2", one, "New")],
            [_sent("f1", one), _sent("f2", four, event="New")],
            [_held("tool_5", "f1", one), _held("tool_5", "f2", one, "New")],
        ),
        "an earlier copy through another source takes a message over": Story(
            [_sent("g1", four)],
            [_held("tool_6", "g1", four)],
            [_sent("g1", four), _sent("g1", at(2), source="ios", event="Read")],
            [_held("tool_6", "g1", four)],
        ),
        "a message goes away and its later copy takes its place": Story(
            [_sent("h1", one), _sent("h1", at(3), event="Read")],
            [_held("tool_7", "h1", one)],
            [_sent("h1", at(3), event="Read")],
            [_held("tool_7", "h1", one)],
        ),
        "another row of the day opens it, and the far delivery still counts": Story(
            [_sent("i1", one)],
            [_held("tool_8", "i1", four)],
            [_sent("i1", one), _sent("i2", one + HOUR)],
            [_held("tool_8", "i1", four)],
        ),
        "another row of the day of delivery opens it, and its message is still known": Story(
            [_sent("j1", one)],
            [_held("tool_9", "j1", four)],
            [_sent("j1", one)],
            [_held("tool_9", "j1", four), _held("tool_9", "j2", four + HOUR)],
        ),
    }


@dataclass
class Teller:
    """Some of the stories in one project: told to their beginning, and put back there after each test."""

    stories: list[Story]
    project: ReconProject
    quiet: list[Message]

    @classmethod
    def begin(cls, folder: Path, stories: list[Story]) -> Teller:
        rows = [row for story in stories for row in (*story.deliveries, *story.later_deliveries)]
        tools = sorted({row.destination for row in rows})
        project = ReconProject.build(
            folder,
            contract(
                *(destination(tool) for tool in tools),
                by_user("by_user", "user_id"),
                by_count("by_count"),
                sources=("web", "ios"),
            ),
        )
        quiet = [_sent(f"quiet {number}", at(number, 3)) for number in range(-8, 12)]
        teller = cls(stories, project, quiet)
        project.land(
            [*quiet, *(row for story in stories for row in story.messages)],
            [row for story in stories for row in story.deliveries],
            teller.counts(),
        )
        project.run(AS_OF)
        assert disagreements(project, AS_OF) == []
        project.keep()
        return teller

    def midway(self) -> ReconProject:
        """Reconciled as the stories begin, landed as they end."""
        self.project.back()
        self.project.land(
            [*self.quiet, *(row for story in self.stories for row in story.later_messages)],
            [row for story in self.stories for row in story.later_deliveries],
            [each if each.day != day(2) else replace(each, messages=5) for each in self.counts()],
        )
        return self.project

    @staticmethod
    def counts() -> list[Count]:
        return [Count("by_count", "Paid", day(number), 2) for number in range(1, 9)]


@pytest.fixture(scope="module")
def all_stories() -> Iterator[Teller]:
    with tempfile.TemporaryDirectory() as folder:
        yield Teller.begin(Path(folder), list(_stories().values()))


@pytest.fixture(scope="module")
def few_stories() -> Iterator[Teller]:
    """Enough for every kind of change, in few destinations: a run costs less."""
    with tempfile.TemporaryDirectory() as folder:
        stories = list(_stories().values())
        yield Teller.begin(Path(folder), [stories[0], stories[1], stories[6]])


LATER = AS_OF + 5 * HOUR


@pytest.fixture(scope="module")
def undisturbed(few_stories: Teller) -> dict[str, Any]:
    """The tables of a second run that nothing disturbed."""
    project = few_stories.midway()
    project.run(LATER)
    assert disagreements(project, LATER) == []
    return project.tables()


def test_each_story_ends_as_if_it_had_been_told_at_once(all_stories: Teller) -> None:
    project = all_stories.midway()
    project.run(LATER)
    assert disagreements(project, LATER) == []
    # This is what the stories say at their ends, each in its own tool; a, c, f, g, h say that all is well.
    told = {
        (tool, when, name, difference)
        for tool, when, _, _, name, difference in project.books().differences
        if name and tool.startswith("tool_") and name[0] == "abcdefghij"[int(tool[-1])]
    }
    assert told == {
        ("tool_1", day(1), "b1", "missing"),
        ("tool_3", day(1), "d1", "duplicate"),
        ("tool_4", day(1), "e1", "unexpected"),
        ("tool_4", day(1), "e1", "duplicate"),
        ("tool_8", day(1), "i2", "missing"),
        ("tool_9", day(4), "j2", "unexpected"),
    }


def test_a_run_over_some_days_leaves_the_others_for_the_next(few_stories: Teller) -> None:
    project = few_stories.midway()
    project.run(LATER, day(4), day(4))
    project.run(LATER)
    assert disagreements(project, LATER) == []


def test_running_twice_changes_nothing(few_stories: Teller, undisturbed: dict[str, Any]) -> None:
    project = few_stories.midway()
    project.run(LATER)
    project.run(LATER)
    assert _differing(project.tables(), undisturbed) == []


@pytest.mark.parametrize("stage", [name for name in STAGES if name not in ("judged", "published")])
def test_a_run_that_was_killed_is_made_good_by_the_next(
    stage: str, few_stories: Teller, undisturbed: dict[str, Any]
) -> None:
    project = few_stories.midway()
    with pytest.raises(Killed):
        project.run(LATER, kill_after=stage)
    project.run(LATER)
    assert _differing(project.tables(), undisturbed) == []


def test_rows_that_change_between_a_killed_run_and_the_next_are_not_lost(few_stories: Teller) -> None:
    """Each killed run has read rows that are gone when the next one begins."""
    project = few_stories.midway()
    for stage in ("exported", "normalised", "matched"):
        with pytest.raises(Killed):
            project.run(LATER, kill_after=stage)
        rows = project.landed
        project.land(rows["messages"][:-1], rows["deliveries"][:-1], rows["counts"][:-1])
    project.run(LATER)
    assert disagreements(project, LATER) == []


def test_rows_that_only_a_killed_run_has_seen_are_forgotten(build: Build) -> None:
    """A first run reads days, dies, and the days are gone when the next begins: no census ever held them."""
    project = build(contract(destination("mail")))
    keep = [_sent("k", at(1))]
    project.land([*keep, _sent("l", at(3))], [_held("mail", "l", at(3)), _held("mail", "m", at(5))])
    with pytest.raises(Killed):
        project.run(AS_OF, kill_after="matched")
    project.land(keep, [])
    project.run(AS_OF)
    assert disagreements(project, AS_OF) == []


def test_an_export_that_could_not_be_read_when_its_contract_changed_is_read_again_once_it_can(
    build: Build,
) -> None:
    """Who a delivery was for is a key of the ids that the contract names: under another one it is another key."""
    project = build(contract(by_user("crm", "user_id", "anonymous_id")))
    project.land(
        [_sent("m1", at(1), anonymous_id="a"), _sent("m2", at(2), user_id="u", anonymous_id="a")],
        [
            Delivery("crm", "Paid", at(1), anonymous_id="a"),
            Delivery("crm", "Paid", at(2), user_id="u", anonymous_id="a"),
        ],
    )
    project.run(AS_OF, until="published")
    project.warehouse.execute("alter table exports.crm rename to away")
    changed = contract(by_user("crm", "user_id"))
    project.workspace = load_workspace(write_expectations(project.folder / "expectations", changed))
    project.run(LATER, until="published")
    project.warehouse.execute("alter table exports.away rename to crm")
    project.run(LATER + HOUR, until="published")
    assert disagreements(project, LATER + HOUR) == []


def test_a_late_evening_makes_the_next_mornings_message_a_twin(build: Build) -> None:
    """Both were received at midnight, the evening's landed later; and it goes away again."""
    project = build(contract(destination("mail")))
    morning = _sent("m2", at(2, 0, 0, 3), user_id="u")
    project.land([morning], [])
    project.run(AS_OF, until="matched")
    assert _twins(project) == {}
    evening = _sent("m1", at(1, 23, 59, 59), timestamp=at(1, 23, 59, 58), user_id="u")
    project.land([morning, evening], [])
    project.run(LATER, until="matched")
    assert _twins(project) == {day(2): 1}
    project.land([morning], [])
    project.run(LATER + HOUR, until="matched")
    assert _twins(project) == {}


def _twins(project: ReconProject) -> dict[Any, int]:
    return dict(project.rows(f"{WORK}.int_twins_daily", ["day", "messages"]).keys())


def test_tables_that_an_earlier_version_did_not_know_are_filled_for_all_days(few_stories: Teller) -> None:
    project = few_stories.midway()
    project.run(LATER)
    whole = project.tables()
    observed = f"{WORK}.arrival_observations"
    new = [
        "int_message_counts",
        "int_twins",
        "int_delivery_hours_daily",
        "int_event_table_reads",
    ]
    with project.warehouse.transaction() as session:
        session.execute(f"create table {WORK}.int_ids__dbt_backup as select 1 as left_by_a_killed_run")
        session.execute(f"drop view {WORK}.int_property_fill_daily")
        session.execute(f"drop view {WORK}.int_broken_rows")
        for table in new:
            session.execute(f"drop table {WORK}.{table}")
        # As it was until 2026-11-30, when a text became a key.
        session.execute(
            f"create or replace table {WORK}.int_deliveries as select 'mail' as destination, "
            f"* exclude (destination_key) from {WORK}.int_deliveries"
        )
        session.execute(
            f"update {WORK}.state_contracts set fingerprint = 'of an earlier version' where kind = 'sql'"
        )
    project.run(LATER)
    found = project.tables()
    assert _differing(found, whole) == []
    assert found[f"{WORK}.int_versions_daily"] and found[f"{WORK}.int_delivery_hours_daily"]
    assert found[observed] == whole[observed], "what was seen of the exports is no table of ours to make anew"


def test_an_upgrade_publishes_nothing_in_the_place_of_what_is_published_while_nothing_can_be_read(
    few_stories: Teller,
) -> None:
    project = few_stories.midway()
    project.run(LATER)
    decided = project.rows(f"{WORK}.gate_current")
    assert decided
    project.warehouse.execute(
        f"update {WORK}.state_contracts set fingerprint = 'of an earlier version' where kind = 'sql'"
    )
    whole = {kind: list(rows) for kind, rows in project.landed.items()}
    project.land([], [], [])
    with pytest.raises(RuntimeError, match="what is published stays as it was"):
        project.run(LATER)
    assert project.rows(f"{WORK}.gate_current") == decided
    project.land(whole["messages"], whole["deliveries"], whole["counts"])
    project.run(LATER)
    assert disagreements(project, LATER) == []


def test_a_first_run_of_nothing_that_was_killed_half_way_is_made_good(build: Build) -> None:
    project = build(contract(destination("mail")))
    project.run(AS_OF, until="matched")
    project.warehouse.execute(f"drop table {WORK}.int_hours_daily")
    project.run(AS_OF)
    assert not project.rows(f"{WORK}.int_hours_daily")


def _differing(found: dict[str, Any], told: dict[str, Any]) -> list[str]:
    """Tables of two warehouses that do not hold the same rows; what a run was handed is not a result."""
    assert found.keys() == told.keys()
    return [
        f"{name}: only here {list((found[name] - told[name]).elements())[:3]}, "
        f"only there {list((told[name] - found[name]).elements())[:3]}"
        for name in sorted(told)
        if found[name] != told[name] and not _of_one_run(name)
    ]


def _of_one_run(table: str) -> bool:
    """Views and tables that only say what the last run worked on, and are made anew by the next.

    And int_delivery_counts, which has a row for each run that read more of a day: `disagreements` holds its sums.
    """
    name = table.split(".")[1]
    return name.startswith(("input_", "int_window_", "int_far_", "int_kept_", "census_")) or name in {
        *("diagnosis_limits", "int_known_copies", "int_links", "int_id_places", "int_ids"),
        *("int_leaving_days", "int_open_days", "state_open_days", "int_matches", "int_id_differences"),
        *("int_variant_matches", "int_user_matches", "int_missing", "int_outcomes", "int_counted"),
        *("int_delivery_counts", "int_asked_keys"),
    }
