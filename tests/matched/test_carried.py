"""Days that are carried on: rows that are added night after night give the books of one run over all of them."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import date, timedelta
from pathlib import Path
from random import Random

import pytest
from builders import World, by_user, contract, destination, random_world
from matched.conftest import disagreements
from matched.moments import at, day
from recon_project import DBT, WORK, ReconProject
from ruamel.yaml import YAML

from dagster_project.core.oracle import Delivery, Message
from dagster_project.flow import carried, matched

pytestmark = pytest.mark.dbt
HOUR = timedelta(hours=1)
NOW = at(8)


@dataclass(frozen=True)
class Step:
    """What one step matched: days that it carried on, and days that it matched anew."""

    carried: list[date]
    anew: list[date]
    with_new: bool


@pytest.fixture
def steps(monkeypatch: pytest.MonkeyPatch) -> list[Step]:
    """The steps that carried days on, however many rows were added."""
    seen: list[Step] = []
    begin_step = carried.Carrying.begin_step

    def watched(
        self: carried.Carrying, chosen: carried.Carried | None, pairs: list[tuple[str, date]]
    ) -> None:
        if chosen:
            days = {day for _, day in chosen.pairs}
            seen.append(Step(sorted(days), sorted({day for _, day in pairs} - days), chosen.with_new))
        begin_step(self, chosen, pairs)

    monkeypatch.setattr(carried, "LARGEST_SHARE", 1.0)
    monkeypatch.setattr(matched.Carrying, "begin_step", watched)
    return seen


@pytest.mark.parametrize(("seed", "share", "beside"), [(4, 1.0, False), (9, 0.1, True)])
def test_nights_of_added_rows_give_the_books_of_all_of_them(
    seed: int, share: float, beside: bool, steps: list[Step], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where more of a day is new than the share, it is matched anew beside days that are carried on."""
    monkeypatch.setattr(carried, "LARGEST_SHARE", share)
    random = Random(seed)
    world = _with_ids_as_sent(random_world(random, days=5), random)
    rows: list[Message | Delivery] = [*world.messages, *world.deliveries]
    random.shuffle(rows)
    first = len(rows) * 7 // 10
    nights = [rows[:first], *(rows[first + part :: 3] for part in range(3))]
    with tempfile.TemporaryDirectory() as folder:
        project = ReconProject.build(Path(folder), world.contract)
        project.limits = {"grown_from": 1}
        for number, night in enumerate(nights):
            messages = [each for each in night if isinstance(each, Message)]
            deliveries = [each for each in night if isinstance(each, Delivery)]
            if number == 0:
                project.land(messages, deliveries, world.counts)
            else:
                project.land_more(messages, deliveries)
            as_of = world.as_of + number * HOUR
            project.run(as_of, until="published")
            assert disagreements(project, as_of) == []
    assert any(each.with_new and beside <= bool(each.anew) for each in steps)


def _with_ids_as_sent(world: World, random: Random) -> World:
    """The world without ids that were changed on the way, for beside those no day is carried on; all has happened.

    And without refusals, whose columns more rows cannot bring.
    """
    sent = {each.message_id for each in world.messages}
    by_id = {
        each["name"] for each in world.contract["destinations"] if "message_id" in each["export"]["columns"]
    }
    deliveries = [
        each
        if each.destination not in by_id or each.message_id is None or each.message_id in sent
        else replace(each, message_id=f"nobody-{random.random()}")
        for each in world.deliveries
        if each.event_time is not None
    ]
    last = max(
        *(each.received_at for each in world.messages), *(each.event_time for each in deliveries), world.as_of
    )
    messages = [replace(each, refused=frozenset()) for each in world.messages]
    return replace(world, messages=messages, deliveries=deliveries, as_of=last + timedelta(days=1))


@pytest.fixture(scope="module")
def first_night() -> Iterator[ReconProject]:
    """Six days of a message each, all delivered, followed by position."""
    with tempfile.TemporaryDirectory() as folder:
        project = ReconProject.build(Path(folder), contract(destination("mail"), sources=("web", "ios")))
        project.limits = {"grown_from": 1}
        project.land(
            [_sent(f"m{number}", number) for number in range(1, 7)] + [_sent("i", 2, source="ios")],
            [_held(f"m{number}", number) for number in range(1, 7)],
        )
        yield _after_first_night(project)


@pytest.fixture
def mail(first_night: ReconProject) -> ReconProject:
    """The project as its first night has left it."""
    return _as_first_night_left(first_night)


def _after_first_night(project: ReconProject) -> ReconProject:
    project.run(NOW, until="published")
    shutil.copy(project.folder / "warehouse.duckdb", project.folder / "first_night.duckdb")
    return project


def _as_first_night_left(project: ReconProject) -> ReconProject:
    shutil.copy(project.folder / "first_night.duckdb", project.folder / "warehouse.duckdb")
    return replace(
        project,
        limits=dict(project.limits),
        landed={kind: list(rows) for kind, rows in project.landed.items()},
    )


def _sent(name: str, number: int, source: str = "web") -> Message:
    when = at(number, 12)
    return Message(source, name, "Paid", when, timestamp=when)


def _held(name: str, number: int) -> Delivery:
    return Delivery("mail", "Paid", at(number, 12), message_id=name)


def _carried(steps: list[Step]) -> list[list[date]]:
    """The days of each step that have rows; the two before the run are open anyway, for they are not complete."""
    days = [[each for each in step.carried if each <= day(6)] for step in steps]
    return [each for each in days if each]


def test_of_a_day_that_is_carried_on_only_keys_that_may_differ_are_read(
    mail: ReconProject, steps: list[Step]
) -> None:
    mail.land_more([], [_held("i", 2), _held("m3", 3)])
    # Read again it would be a message without a delivery.
    mail.warehouse.execute(f"update {WORK}.int_deliveries set delivery_key = 1 where day = '{day(2)}'")
    mail.run(NOW + HOUR, until="published")
    assert _carried(steps) == [[day(2), day(3)]]
    cells = mail.frame(
        f"select day, delivered, missing, duplicates from {WORK}.int_cells_daily where day in ('{day(2)}', '{day(3)}') "
        "order by day"
    )
    assert cells.drop(columns="day").to_numpy().tolist() == [[2, 0, 0], [1, 0, 1]]


def test_a_day_is_carried_on_again_where_a_later_step_finds_its_other_half(
    mail: ReconProject, steps: list[Step]
) -> None:
    # The copy on day 6 makes a duplicate of what day 1 has counted as a match, and day 1 has no new row.
    mail.land_more([], [_held("m1", 6), _held("m6", 6)])
    mail.run(NOW + HOUR, until="published")
    assert _carried(steps) == [[day(6)], [day(1)]]
    assert disagreements(mail, NOW + HOUR) == []


def test_days_without_new_rows_are_carried_on_by_a_later_night(mail: ReconProject, steps: list[Step]) -> None:
    mail.land_more([], [_held("i", 2)])
    mail.run(NOW + HOUR, until="published")
    mail.land_more([], [_held("m4", 4), _held("m2", 2)])
    mail.run(NOW + 2 * HOUR, until="published")
    assert _carried(steps) == [[day(2)], [day(2), day(4)]]
    assert disagreements(mail, NOW + 2 * HOUR) == []


def test_a_day_that_mostly_is_new_is_matched_anew(
    mail: ReconProject, steps: list[Step], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(carried, "LARGEST_SHARE", 0.5)
    mail.land_more([], [_held("i", 2), _held("nobody", 3), _held("m3", 3)])
    mail.run(NOW + HOUR, until="published")
    assert _carried(steps) == [[day(2)]]
    assert disagreements(mail, NOW + HOUR) == []


def test_what_a_day_that_is_matched_anew_finds_of_one_that_is_carried_on_is_told_by_the_same_step(
    mail: ReconProject, steps: list[Step], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(carried, "LARGEST_SHARE", 0.5)
    # Nobody asks for m2 on day 2, where it is a match; its copy stands on day 6, of which most is new.
    mail.land_more([], [_held("i", 2), _held("m2", 6), _held("m6", 6)])
    mail.run(NOW + HOUR, until="published")
    assert [(each.carried, day(6) in each.anew) for each in steps] == [([day(2)], True)]
    assert disagreements(mail, NOW + HOUR) == []


def test_days_are_carried_on_after_the_steps_of_days_that_are_matched_anew_where_these_are_many(
    mail: ReconProject, steps: list[Step], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(carried, "LARGEST_SHARE", 0.5)
    mail.limits["step_rows"] = 2
    mail.land_more([], [_held("i", 2), _held("m6", 6), _held("m2", 6), _held("m1", 5), _held("m5", 5)])
    mail.run(NOW + HOUR, until="published")
    # With day 2 the step asks day 1 for what an earlier one has found of it.
    assert _carried(steps) == [[day(1), day(2)]]
    assert not any(each <= day(6) for step in steps for each in step.anew)
    assert disagreements(mail, NOW + HOUR) == []


# An id, and what a tool makes of it.
AS_SENT = "ajs-next-0b1f3c5e-6a7d-4e21-9f08-5c2d7e4a9b13"
CHANGED = "0B1F3C5E-6A7D-4E21-9F08-5C2D7E4A9B13"


@pytest.fixture(scope="module")
def night_of_losses() -> Iterator[ReconProject]:
    """Six days of four messages that arrive everywhere; on two of them some are lost in mail, in ads or in both.

    Another tool matches by user, and has none of what was lost.
    """
    with tempfile.TemporaryDirectory() as folder:
        tools = [destination("mail"), destination("ads", timezone="Asia/Kolkata"), by_user("crm", "user_id")]
        project = ReconProject.build(Path(folder), contract(*tools))
        project.limits = {"grown_from": 1}
        arrived = {f"{name}{number}": number for number in range(1, 7) for name in "wxyz"}
        in_both = {"late": 2, "elsewhere": 2, "sent again": 2, "never": 2, AS_SENT: 2}
        in_mail = {"copied": 3, "elsewhere twice": 3}
        not_on_its_day = {"found": 2, "found, then copied": 2}
        project.land(
            [
                _of_user(name, number)
                for name, number in (arrived | in_both | in_mail | not_on_its_day).items()
            ],
            [
                *(
                    _late(name, number, tool)
                    for name, number in arrived.items()
                    for tool in ("mail", "ads", "crm")
                ),
                *(_late(name, number, "ads") for name, number in in_mail.items()),
                *(_late(name, 6, "ads") for name in not_on_its_day),
            ],
        )
        yield _after_first_night(project)


@pytest.fixture
def losses(night_of_losses: ReconProject) -> ReconProject:
    """The project as the night that told of its losses has left it."""
    return _as_first_night_left(night_of_losses)


def _of_user(name: str, number: int) -> Message:
    return replace(_sent(name, number), user_id=f"of {name}")


def _late(name: str, number: int, tool: str = "mail") -> Delivery:
    if tool == "crm":
        return Delivery(tool, "Paid", at(number, 12), user_id=f"of {name}")
    there = timedelta(hours=5, minutes=30) if tool == "ads" else timedelta(0)
    return Delivery(tool, "Paid", at(number, 12) + there, message_id=name)


@pytest.mark.parametrize("share", [1.0, 0.5], ids=["all_carried_on", "beside_a_day_that_is_matched_anew"])
def test_a_loss_ends_where_a_row_of_a_later_night_says_so(
    losses: ReconProject, steps: list[Step], monkeypatch: pytest.MonkeyPatch, share: float
) -> None:
    monkeypatch.setattr(carried, "LARGEST_SHARE", share)
    # By themselves more than half of what is held on the day, which is then matched anew.
    of_day_6, of_day_2 = (
        [_late(f"{name}{number}", number, tool) for name in "wxyz" for tool in ("mail", "ads")] * times
        for number, times in ((6, 2), (2, 3))
    )
    nights: list[tuple[list[Message], list[Delivery]]] = [
        (
            [_of_user("sent again", 2)],
            [
                *(_late("late", 2), _late("copied", 3), _late("elsewhere", 6)),
                *(_late("elsewhere twice", 6) for _ in range(2)),
                *of_day_6,
            ],
        ),
        (
            [],
            [
                *(_late("late", 2, "ads"), _late("copied", 3), _late("elsewhere", 2), _late("sent again", 2)),
                *(_late("found, then copied", 2), _late("found, then copied", 2, "ads"), _late("x6", 6)),
                *of_day_2,
            ],
        ),
    ]
    for number, rows in enumerate(nights):
        losses.land_more(*rows)
        as_of = NOW + (1 + number) * HOUR
        losses.run(as_of, until="published")
        assert disagreements(losses, as_of) == []
    assert day(2) in steps[0].carried
    assert [day(6) in steps[0].anew, any(day(2) in each.anew for each in steps)] == [share < 1] * 2


@pytest.mark.parametrize(
    ("share", "number"), [(1.0, 2), (0.5, 6)], ids=["on_its_day", "on_a_day_matched_anew"]
)
def test_a_loss_ends_where_a_later_night_holds_its_id_changed(
    losses: ReconProject, steps: list[Step], monkeypatch: pytest.MonkeyPatch, share: float, number: int
) -> None:
    monkeypatch.setattr(carried, "LARGEST_SHARE", share)
    anew = [_late(f"{name}6", 6, tool) for name in "wxyz" for tool in ("mail", "ads")] * 2
    losses.land_more([], [_late("x2", 2), _late(CHANGED, number), *(anew if number == 6 else [])])
    losses.run(NOW + HOUR, until="published")
    assert disagreements(losses, NOW + HOUR) == []
    assert day(2) in steps[0].carried
    assert (day(6) in steps[0].anew) == (number == 6)


def test_after_rows_have_gone_every_day_is_matched_anew(mail: ReconProject, steps: list[Step]) -> None:
    mail.warehouse.execute("delete from exports.mail where message_id = 'm2'")
    mail.landed["deliveries"] = [each for each in mail.landed["deliveries"] if each.message_id != "m2"]
    mail.run(NOW + HOUR, until="published")
    assert _carried(steps) == []
    assert disagreements(mail, NOW + HOUR) == []


def test_rows_of_a_table_that_was_made_anew_are_not_taken_for_new(
    mail: ReconProject, steps: list[Step]
) -> None:
    # As if the first rows had stood behind many that are gone: beyond whatever position the new table reaches.
    for table in ("int_messages", "int_deliveries"):
        mail.warehouse.execute(f"update {WORK}.{table} set landed_position = landed_position + 1000")
    mail.land_more([], [_held("i", 2), _held("m3", 3)])
    mail.run(NOW + HOUR, until="published")
    assert _carried(steps) == [[day(2), day(3)]]
    assert disagreements(mail, NOW + HOUR) == []
    ids = mail.frame(f"select distinct message_id from {WORK}.int_differences where day = '{day(3)}'")[
        "message_id"
    ]
    assert list(ids) == ["m3"]


def test_a_day_that_is_asked_for_is_matched_anew(mail: ReconProject, steps: list[Step]) -> None:
    # Changed where it stands: nobody sees it in a table that is followed by position, so its owner asks for the day.
    mail.warehouse.execute("update exports.mail set message_id = 'nobody' where message_id = 'm2'")
    mail.warehouse.execute("update web.tracks set event_text = 'Read' where id = 'm3'")
    mail.landed["deliveries"] = [
        replace(each, message_id="nobody") if each.message_id == "m2" else each
        for each in mail.landed["deliveries"]
    ]
    mail.landed["messages"] = [
        replace(each, event_text="Read") if each.message_id == "m3" else each
        for each in mail.landed["messages"]
    ]
    mail.run(NOW + HOUR, day(2), day(3), until="published")
    assert _carried(steps) == []
    assert disagreements(mail, NOW + HOUR) == []


def test_a_day_that_was_read_again_and_not_asked_for_is_matched_anew_by_the_next_night(
    mail: ReconProject, steps: list[Step]
) -> None:
    # Day 5 is a large one now, and the export a small table, of which what is changed where it stands is seen.
    mail.land_more([_sent(f"x{number}", 5) for number in range(7)], [])
    mail.run(NOW + HOUR, until="published")
    mail.limits = {"grown_from": 9}
    mail.warehouse.execute("update exports.mail set event_name = 'Read' where message_id = 'm2'")
    mail.landed["deliveries"] = [
        replace(each, event_name="Read") if each.message_id == "m2" else each
        for each in mail.landed["deliveries"]
    ]
    mail.run(NOW + 2 * HOUR, day(4), day(4), until="published")
    steps.clear()
    mail.land_more([], [_held("i", 2), _held("m5", 5)])
    mail.run(NOW + 3 * HOUR, until="published")
    assert _carried(steps) == []
    assert disagreements(mail, NOW + 3 * HOUR) == []


def test_a_day_on_which_a_name_has_become_known_is_matched_anew(tmp_path: Path, steps: list[Step]) -> None:
    project = ReconProject.build(tmp_path, contract(destination("mail")))
    project.limits = {"grown_from": 1}
    # Nobody has sent this name yet, so that a delivery of it is none of the contract's.
    project.land(
        [_sent(f"m{number}", number) for number in (1, 2, 3)],
        [*(_held(f"m{number}", number) for number in (1, 2, 3)), replace(_held("x", 2), event_name="New")],
    )
    project.run(NOW, until="published")
    project.land_more([replace(_sent("n", 5), event_text="New")], [_held("m1", 1)])
    project.run(NOW + HOUR, until="published")
    assert day(1) in steps[0].carried
    assert day(2) in steps[0].anew
    assert disagreements(project, NOW + HOUR) == []


def test_where_nobody_holds_message_ids_no_day_is_carried_on(tmp_path: Path, steps: list[Step]) -> None:
    project = ReconProject.build(tmp_path, contract(by_user("crm", "user_id")))
    project.limits = {"grown_from": 1}
    held = [Delivery("crm", "Paid", at(number, 12), user_id="u") for number in (1, 2)]
    project.land([replace(_sent(f"m{number}", number), user_id="u") for number in (1, 2, 3)], held)
    project.run(NOW, until="published")
    project.land_more([], [Delivery("crm", "Paid", at(3, 12), user_id="u")])
    project.run(NOW + HOUR, until="published")
    assert _carried(steps) == []
    assert disagreements(project, NOW + HOUR) == []


def test_what_is_kept_of_days_long_past_is_let_go(mail: ReconProject) -> None:
    mail.run(NOW + timedelta(days=10), until="published")
    for table in (f"{WORK}.int_day_matches", f"{WORK}.state_carried"):
        days = mail.frame(f"select distinct day from {table} order by day")["day"]
        assert [str(each)[:10] for each in days][:3] == [str(day(number)) for number in (4, 5, 6)]
    assert day(4) == (NOW + timedelta(days=10 - carried.KEPT_DAYS)).date()


def test_a_day_of_which_nothing_is_kept_any_more_is_matched_anew_though_a_step_of_this_run_has_matched_it(
    mail: ReconProject, steps: list[Step], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(carried, "LARGEST_SHARE", 0.0)
    mail.limits["step_rows"] = 1
    later = NOW + timedelta(days=10)
    # Day 2 is matched first, and the copy that day 5 brings makes a duplicate of what it has counted as a match.
    mail.land_more([], [_held("i", 2), _held("m2", 5)])
    mail.run(later, until="published")
    assert _carried(steps) == []
    assert disagreements(mail, later) == []


def test_python_and_dbt_mean_the_same_days() -> None:
    said = YAML(typ="safe").load((DBT / "dbt_project.yml").read_text("utf-8"))["vars"]
    assert said["carried_days"] == carried.KEPT_DAYS
    assert said["reach_days"] + 1 == matched.REACH_DAYS
