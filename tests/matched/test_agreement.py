"""The SQL models and the reference matcher say the same of every random world."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from random import Random

import pytest
from builders import by_count, by_user, contract, destination, random_world
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from matched.conftest import Build, disagreements
from matched.moments import AS_OF, D, at, day
from recon_project import WORK, ReconProject

from dagster_project.core.oracle import Count, Delivery, Message

pytestmark = pytest.mark.dbt


# A world is some thousand draws: the seed alone is hypothesis' to choose, and shrinking it says nothing.
# One costs seconds of dbt; set RECON_WORLDS to try more than the few of every day.
@settings(
    max_examples=int(os.environ.get("RECON_WORLDS", "5")),
    deadline=None,
    derandomize=True,
    database=None,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=list(HealthCheck),
)
@given(seed=st.integers(0, 2**32 - 1))
def test_the_models_agree_with_the_reference(seed: int) -> None:
    world = random_world(Random(seed))
    with tempfile.TemporaryDirectory() as folder:
        project = ReconProject.build(Path(folder), world.contract)
        project.land(world.messages, world.deliveries, world.counts)
        project.run(world.as_of, until="diagnosed")
        assert disagreements(project, world.as_of) == [], f"seed {seed}"


def test_a_wrong_table_is_noticed(build: Build) -> None:
    """Each comparison goes red when a single row of its table is not what was decided."""
    tools = [
        destination("mail", receives={"sources": "all", "events": ["Paid", "Read"]}),
        by_user("ads", "user_id"),
        by_count("report"),
    ]
    project = build(contract(*tools))
    project.land(
        [Message("web", f"m{n}", "Paid", at(1, n), user_id="u") for n in range(3)]
        + [Message("web", "unrouted", "Other", at(1, 9))],
        [
            Delivery("mail", "Paid", at(1, 0), message_id="m0"),
            Delivery("mail", "Paid", at(1, 1), message_id="x"),
        ],
        [Count("report", "Paid", day(1), 2)],
    )
    project.run(AS_OF, until="diagnosed")
    assert disagreements(project, AS_OF) == []
    for table, change in (
        (f"{WORK}.int_cells_daily", f"set missing = missing + 1 where day = '{D}' and event = 'Paid'"),
        (f"{WORK}.int_not_expected_daily", "set reason = 'consent'"),
        (f"{WORK}.int_delivery_names_daily", "set deliveries = deliveries + 1"),
        ("reconciliation.message_differences", "set message_id = 'y' where message_id = 'x'"),
    ):
        project.warehouse.execute(f"create or replace table keep as select * from {table}")
        project.warehouse.execute(f"update {table} {change}")
        assert disagreements(project, AS_OF) != [], f"{table} {change} was not noticed"
        project.warehouse.execute(f"delete from {table}")
        project.warehouse.execute(f"insert into {table} select * from keep")
    assert disagreements(project, AS_OF) == []


def test_a_row_without_the_clock_that_a_destination_counts_by_stays_in_its_books(build: Build) -> None:
    tools = [destination("by_phone", clock="original_timestamp"), destination("by_sending", clock="sent_at")]
    project = build(contract(*tools))
    project.land([Message("web", "m", "Paid", at(1, 12), timestamp=at(1, 11))], [])
    project.run(AS_OF, until="diagnosed")
    assert disagreements(project, AS_OF) == []
    cells = project.books().cells
    assert (cells[D, "by_phone", "Paid"].missing, cells[D, "by_sending", "Paid"].missing) == (1, 1)


def test_a_phones_own_clock_may_be_days_off(build: Build) -> None:
    """A day is opened again by a late copy, and still finds the message that was received a week later."""
    project = build(contract(destination("by_phone", clock="original_timestamp")))
    messages = [Message("web", "m", "Paid", at(9, 12), timestamp=at(9, 12), original_timestamp=at(1, 12))]
    held = [Delivery("by_phone", "Paid", at(1, 12), message_id="m")]
    project.land(messages, held)
    project.run(AS_OF, until="published")
    project.land(messages, [*held, Delivery("by_phone", "Paid", at(1, 13), message_id="never sent")])
    project.run(AS_OF, until="diagnosed")
    assert disagreements(project, AS_OF) == []
