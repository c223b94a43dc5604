"""The reference matcher keeps the laws, and says by hand what a person would say."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from random import Random

import pytest
from builders import World, by_count, by_user, contract, destination, random_world
from matched.moments import AS_OF, D, at, day
from recon_project import write_expectations

from dagster_project.core.load import load_workspace
from dagster_project.core.oracle import Books, Count, Delivery, Message, reconcile, unique_messages

SEEDS = range(40)


def _books(folder: Path, world: World) -> Books:
    workspace = load_workspace(write_expectations(folder, world.contract))
    return reconcile(workspace, world.messages, world.deliveries, world.counts, world.as_of)


@pytest.fixture(params=SEEDS)
def told(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[World, Books]:
    world = random_world(Random(request.param))
    return world, _books(tmp_path, world)


def test_the_books_of_a_random_world_balance(told: tuple[World, Books]) -> None:
    world, books = told
    # Every message has one outcome at every destination of its source.
    known = unique_messages(each for each in world.messages if each.received_at <= world.as_of)
    pairs = Counter((each.destination, each.message.message_id) for each in books.outcomes)
    sources = {
        each["name"]: list(world.contract["sources"])
        if each["receives"]["sources"] == "all"
        else each["receives"]["sources"]
        for each in world.contract["destinations"]
    }
    assert pairs == Counter(
        (name, message.message_id)
        for name, some in sources.items()
        for message in known
        if message.source in some
    )
    # Expected is delivered, missing and pending, and nothing else.
    outcomes = Counter(each.outcome for each in books.outcomes)
    cells = books.cells.values()
    assert all(each.expected == each.delivered + each.missing + each.pending for each in cells)
    for outcome in ("delivered", "missing", "pending"):
        assert sum(getattr(each, outcome) for each in cells) == outcomes[outcome]
    assert books.not_expected.total() == outcomes["not_expected"]
    # Every row that a destination holds is counted once.
    rows = Counter(dict.fromkeys(books.delivery_names, 0))
    rows.update(books.delivery_names)
    answered = Counter[str]()
    for each in books.deliveries:
        answered[each.outcome] += each.messages
    assert books.delivery_names.total() == answered.total()
    assert sum(each.duplicates for each in cells) == answered["duplicate"]
    assert sum(each.unexpected for each in cells) == answered["unexpected"]
    assert answered["matched"] == outcomes["delivered"]


def test_random_worlds_hold_everything_that_can_happen(tmp_path: Path) -> None:
    """Laws that hold of empty worlds say nothing."""
    seen: Counter[str] = Counter()
    for seed in SEEDS:
        books = _books(tmp_path / str(seed), random_world(Random(seed)))
        for each in books.outcomes:
            seen[f"{each.outcome} {each.reason or each.matched_by or ''}".strip()] += 1
        seen.update(f"row {each.outcome}" for each in books.deliveries)
    assert seen.keys() == {
        *("delivered message_id", "delivered message_id_variant", "delivered user_time", "delivered counts"),
        *("missing", "pending", "not_expected not_routed", "not_expected no_identifier"),
        *("not_expected bad_identifier", "not_expected consent"),
        *("row matched", "row duplicate", "row unexpected", "row unroutable"),
    }
    assert min(seen.values()) >= 20, seen


# ------------------------------------------------------------------------------------------- by hand

TOOL = {"sources": "all", "events": ["Paid", {"Read": "read"}]}


def test_the_first_reason_that_applies_is_the_one_that_is_told(tmp_path: Path) -> None:
    receives = {**TOOL, "consent": "ads"}
    identifiers = {"user_id": {"required": True, "format": "integer"}}
    tool = destination("mail", receives=receives, identifiers=identifiers)
    refused = frozenset({"ads"})
    messages = [
        Message("web", "1", "Paid ", at(1), user_id=None, refused=refused),
        Message("web", "2", "Paid", at(1), user_id="", refused=refused),
        Message("web", "3", "Paid", at(1), user_id="x", refused=refused),
        Message("web", "4", "Paid", at(1), user_id="7", refused=refused),
        Message("web", "5", "Paid", at(1), user_id="7"),
    ]
    books = _books(tmp_path, World(contract(tool), messages, [], [], AS_OF))
    assert {each.message.message_id: each.reason for each in books.outcomes} == {
        "1": "not_routed",
        "2": "no_identifier",
        "3": "bad_identifier",
        "4": "consent",
        "5": None,
    }


def test_a_second_row_of_an_id_is_a_duplicate_and_an_unknown_id_is_unexpected(tmp_path: Path) -> None:
    deliveries = [
        Delivery("mail", "Paid", at(1), message_id="1"),
        Delivery("mail", "Paid", at(2), message_id="1"),
        Delivery("mail", "Paid", at(1), message_id="2"),
        Delivery("mail", "Paid", at(1), message_id=None),
        Delivery("mail", "paid", at(1), message_id="1"),
    ]
    world = World(
        contract(destination("mail", receives=TOOL)),
        [Message("web", "1", "Paid", at(1))],
        deliveries,
        [],
        AS_OF,
    )
    books = _books(tmp_path, world)
    cell = books.cells[D, "mail", "Paid"]
    assert (cell.delivered, cell.duplicates, cell.unexpected) == (1, 1, 2)
    assert Counter(each.outcome for each in books.deliveries)["unroutable"] == 1


@pytest.mark.parametrize(
    ("delivered", "matched"),
    [
        ("ajs-next-1700-0a1b2c3d-0000-4000-8000-0123456789ab", "message_id"),
        ("0a1b2c3d-0000-4000-8000-0123456789ab", "message_id_variant"),
        ("TOOL:0A1B2C3D-0000-4000-8000-0123456789AB:7", "message_id_variant"),
        ("87b87b9ebe26e6f3b4a4d0b2d3d1bb13", None),
        ("0a1b2c3d-0000-4000-8000-0123456789ac", None),
    ],
)
def test_the_ways_in_which_an_id_may_be_changed(tmp_path: Path, delivered: str, matched: str | None) -> None:
    message = Message("web", "ajs-next-1700-0a1b2c3d-0000-4000-8000-0123456789ab", "Paid", at(1))
    delivery = Delivery("mail", "Paid", at(1), message_id=delivered)
    books = _books(tmp_path, World(contract(destination("mail")), [message], [delivery], [], AS_OF))
    assert books.outcomes[0].matched_by == matched


@pytest.mark.parametrize(
    ("seconds", "outcomes"),
    [
        ([0.2], {"matched": 1}),
        ([1], {"matched": 1}),
        ([-1], {"matched": 1}),
        ([2], {"unexpected": 1}),
        ([0, 0.5], {"matched": 1, "duplicate": 1}),
        ([0, 5], {"matched": 1, "unexpected": 1}),
    ],
)
def test_a_person_and_a_second_pair_one_to_one(
    tmp_path: Path, seconds: list[float], outcomes: dict[str, int]
) -> None:
    message = Message("web", "1", "Paid", at(1, 12), user_id="u")
    deliveries = [Delivery("ads", "Paid", at(1, 12, 0, each), user_id="u") for each in seconds]
    deliveries.append(Delivery("ads", "Paid", at(1, 12), user_id="v"))
    books = _books(tmp_path, World(contract(by_user("ads", "user_id")), [message], deliveries, [], AS_OF))
    assert Counter(each.outcome for each in books.deliveries) == Counter(outcomes) + Counter(unexpected=1)


def test_a_count_answers_the_events_of_its_name_in_their_order(tmp_path: Path) -> None:
    receives = {"sources": "all", "events": [{"A": "x"}, {"B": "x"}]}
    messages = [Message("web", str(number), "AABBB"[number], at(1)) for number in range(5)]
    tool = by_count("report", receives=receives)
    for counted, said in ((3, [(2, 0), (1, 0)]), (7, [(2, 0), (3, 2)])):
        world = World(contract(tool), messages, [], [Count("report", "x", D, counted)], AS_OF)
        cells = _books(tmp_path, world).cells
        assert [
            (cells[D, "report", each].delivered, cells[D, "report", each].unexpected) for each in "AB"
        ] == said


def test_a_day_is_pending_until_it_and_the_day_of_receipt_can_be_complete(tmp_path: Path) -> None:
    tool = destination("mail", timezone="America/New_York", complete_after="6h")
    message = Message("web", "1", "Paid", received_at=at(3, 3), timestamp=at(1, 20))
    # Received late on day 2 in New York, which ends at 04:00 UTC of day 3.
    for as_of, outcome in ((at(3, 9, 59, 59), "pending"), (at(3, 10), "missing")):
        books = _books(tmp_path, World(contract(tool), [message], [], [], as_of))
        assert [(each.day, each.outcome) for each in books.outcomes] == [(D, outcome)]
        assert books.cells[D, "mail", "Paid"].mature


def test_the_copy_that_was_received_first_is_the_message(tmp_path: Path) -> None:
    copies = [
        Message("web", "1", "Paid", at(2)),
        Message("ios", "1", "Read", at(1)),
        Message("web", None, "Paid", at(1)),
    ]
    assert unique_messages(copies) == [copies[1]]


def test_what_lies_after_the_as_of_time_has_not_happened(tmp_path: Path) -> None:
    messages = [Message("web", "1", "Paid", at(1, 12)), Message("web", "2", "Paid", at(1, 13))]
    deliveries = [Delivery("mail", "Paid", at(1, 13), message_id="1")]
    counts = [Count("report", "Paid", day(2), 1)]
    tools = contract(destination("mail"), by_count("report"))
    books = _books(tmp_path, World(tools, messages, deliveries, counts, at(1, 12, 30)))
    assert [(each.destination, each.message.message_id, each.outcome) for each in books.outcomes] == [
        ("mail", "1", "pending"),
        ("report", "1", "pending"),
    ]
    assert books.deliveries == []
