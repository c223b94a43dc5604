"""The id of what differs is told as text, wherever its row lies by now."""

from __future__ import annotations

from datetime import timedelta

import pytest
from builders import contract, destination
from matched.conftest import Build, disagreements
from matched.moments import AS_OF, at
from recon_project import WORK, ReconProject

from dagster_project.core.oracle import Delivery, Message

pytestmark = pytest.mark.dbt

# Day 17 is not complete yet, so it is matched in every run.
NOW = AS_OF - timedelta(days=3)


def _sent(name: str, number: int = 17, hour: int = 9) -> Message:
    when = at(number, hour)
    return Message("web", name, "Paid", when, timestamp=when)


def _held(name: str, number: int = 17, hour: int = 9) -> Delivery:
    return Delivery("mail", "Paid", at(number, hour), message_id=name)


@pytest.fixture
def project(build: Build) -> ReconProject:
    """Lost, held twice, and delivered without a message; among others that match."""
    project = build(contract(destination("mail")))
    names = [f"m{number}" for number in range(8)]
    project.land(
        [_sent(name) for name in [*names, "lost", "twice"]],
        [_held(name) for name in [*names, "twice", "stray", "twice"]],
    )
    project.run(NOW)
    return project


def _told(project: ReconProject) -> set[tuple[str, str]]:
    """What differs; what is missing is only waited for as yet."""
    waited_for = project.rows(f"{WORK}.int_missing", ["message_id", "'missing' as difference"])
    return set(waited_for) | set(project.rows(f"{WORK}.int_differences", ["message_id", "difference"]))


ALL = {("lost", "missing"), ("twice", "duplicate"), ("stray", "unexpected")}


def test_ids_are_found_by_their_position(project: ReconProject) -> None:
    places = project.rows(f"{WORK}.int_id_places", ["kind", "name", "landed_position", "message_id"])
    # The message is asked where there is one, and one delivery where there is none.
    assert sorted(places, key=str) == [
        ("destination", "mail", 9, None),
        ("source", "web", 8, None),
        ("source", "web", 9, None),
    ]
    assert _told(project) == ALL
    assert disagreements(project, NOW) == []


@pytest.mark.parametrize("shift", [0, 1000], ids=["another row is there", "no row is there"])
def test_a_row_that_is_no_longer_in_its_position_is_found_on_its_day(
    project: ReconProject, shift: int
) -> None:
    """A table made anew with the same rows is not read again, and what is known of it points elsewhere."""
    known = {"int_messages": "message_key", "int_deliveries": "delivery_key"}
    for table, name in {"web.tracks": "id", "exports.mail": "message_id"}.items():
        project.warehouse.execute(f"create table {table}_anew as select * from {table} order by {name} desc")
        project.warehouse.execute(f"drop table {table}")
        project.warehouse.execute(f"alter table {table}_anew rename to {table.split('.')[1]}")
    for table in known:
        project.warehouse.execute(f"update {WORK}.{table} set landed_position = landed_position + {shift}")
    before = {
        table: project.rows(f"{WORK}.{table}", [key, "landed_position"]) for table, key in known.items()
    }

    project.run(NOW + timedelta(minutes=1))

    for table, key in known.items():
        assert project.rows(f"{WORK}.{table}", [key, "landed_position"]) == before[table], "not read again"
    assert _told(project) == ALL
    assert disagreements(project, NOW + timedelta(minutes=1)) == []
