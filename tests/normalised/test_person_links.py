"""Who becomes a user without an identify call is counted by keys, an eighth of all anonymous ids."""

from __future__ import annotations

from datetime import datetime

import pytest
from normalised.small_workspace import CALL, DELIVERIES, EXPORT, TRACKS, Project, make

from dagster_project.flow.exported import read_exports
from dagster_project.flow.normalised import normalise
from dagster_project.flow.sources import read_sources

pytestmark = pytest.mark.dbt

PEOPLE = 400


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """400 people who sign in on 1 Nov; the odd ones are identified then, every fourth one two days later."""
    project = make(tmp_path_factory.mktemp("links") / "small", {"app": {}, "server": {}}, {"ads": EXPORT})
    project.land("exports.ads", DELIVERIES, [])
    first, later = "2026-11-01 10:00:00+00", "2026-11-03 10:00:00+00"

    def track(number: int, at: str, anonymous: str, user: str) -> str:
        return f"'{number}-{at}', 'e', 'E', {user}, {anonymous}, '{at}', '{at}', '{at}', '{at}'"

    project.land(
        "app.tracks",
        TRACKS,
        [track(n, at, f"'anon {n}'", f"'user {n}'") for n in range(PEOPLE) for at in (first, later)]
        + [track(n, first, f"'anon {n}'", "null") for n in range(1000, 1100)],
    )
    # A server knows no anonymous ids, and has nobody to join.
    project.land("server.tracks", TRACKS, [track(n, first, "null", f"'user {n}'") for n in range(50)])
    project.land(
        "app.identifies",
        CALL,
        [f"'i{n}', 'anon {n}', 'user {n}', '{first}', '{first}'" for n in range(1, PEOPLE, 2)]
        + [f"'i{n}', 'anon {n}', 'user {n}', '{later}', '{later}'" for n in range(0, PEOPLE, 4)]
        # Somebody else's id joins nobody.
        + [f"'x{n}', 'anon {n + 1}', 'user {n}', '{first}', '{first}'" for n in range(0, PEOPLE, 2)],
    )
    for stage in (read_sources, read_exports, normalise):
        stage(project.context(datetime(2026, 11, 5)))
    return project


def test_people_are_counted_on_the_first_day_as_a_user_with_those_nobody_joined(project: Project) -> None:
    rows = project.rows(
        "select source, cast(day as varchar), people, unjoined from reconciliation_work.int_unjoined_daily"
    )
    ((source, first, people, unjoined),) = rows
    assert (source, first) == ("app", "2026-11-01")
    looked_at = project.rows(f"select count(*) from range({PEOPLE}) where hash('anon ' || range) % 8 = 0")[0][
        0
    ]
    even = project.rows(
        f"select count(*) from range({PEOPLE}) where hash('anon ' || range) % 8 = 0 and range % 2 = 0"
    )[0][0]
    assert (people, unjoined) == (looked_at, even)
    assert 20 < people < 100


def test_no_id_is_kept(project: Project) -> None:
    columns = {name for _, name in project.warehouse.columns(["reconciliation_work.int_person_links"])}
    assert columns == {"source", "received_day", "link_key", "on_track", "on_identify"}


def test_of_a_long_history_nobody_is_new_who_was_there_before_the_stretch_that_is_told(
    project: Project,
) -> None:
    sql = "select cast(day as varchar), people from reconciliation_work.int_unjoined_daily"
    ((day, people),) = project.rows(sql)
    ours = "reconciliation_work.int_person_links"
    year = "date '2025-11-01'"
    with project.warehouse.transaction() as session:
        # The same people a year before: then the first of November is no first day of theirs, and out of sight.
        session.execute(f"insert into {ours} select source, {year}, 1, true, false from {ours} limit 1")
        session.execute("update reconciliation_work.input_run set as_of = timestamp '2027-03-25 00:00:00'")
    assert project.rows(sql) == []  # 144 days later the day lies in the stretch that only tells who is known
    with project.warehouse.transaction() as session:
        session.execute("update reconciliation_work.input_run set as_of = timestamp '2027-02-25 00:00:00'")
    assert project.rows(sql) == [(day, people)]
