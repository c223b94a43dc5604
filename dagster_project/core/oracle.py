"""The books kept by hand: a small, slow, obvious matcher that says what the SQL models must say."""

from __future__ import annotations

import hashlib
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from typing import Final
from zoneinfo import ZoneInfo

from dagster_project.core.contracts import Destination, Workspace

_UUID: Final = re.compile("[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}")
_SECOND: Final = timedelta(seconds=1)


@dataclass(frozen=True)
class Message:
    """One landed track row; times are naive UTC."""

    source: str
    message_id: str | None
    event_text: str
    received_at: datetime
    timestamp: datetime | None = None
    sent_at: datetime | None = None
    original_timestamp: datetime | None = None
    user_id: str | None = None
    anonymous_id: str | None = None
    refused: frozenset[str] = frozenset()  # consent categories that the person refused


@dataclass(frozen=True)
class Delivery:
    """One exported row of a destination of grain `event`; its time is wall clock in that zone."""

    destination: str
    event_name: str
    event_time: datetime | None
    user_id: str | None = None
    anonymous_id: str | None = None
    message_id: str | None = None


@dataclass(frozen=True)
class Count:
    """One exported row of a destination of grain `daily_counts`."""

    destination: str
    event_name: str
    day: date
    messages: int


@dataclass(frozen=True)
class Outcome:
    """What became of one message at one destination of its source."""

    destination: str
    message: Message
    day: date  # the destination's
    outcome: str  # delivered, missing, pending or not_expected
    reason: str | None = None  # of not_expected: not_routed, no_identifier, bad_identifier or consent
    matched_by: str | None = None  # of delivered: message_id, message_id_variant, user_time or counts


@dataclass(frozen=True)
class DeliveryOutcome:
    """What delivered rows came to: matched, duplicate, unexpected or unroutable."""

    destination: str
    day: date  # a copy's is its message's, any other's is its own
    outcome: str
    event: str | None  # Segment's name; None when no contract gives the delivered one
    source: str | None = None
    message_id: str | None = None
    messages: int = 1  # more than one only where counts are all there is


@dataclass(frozen=True)
class Cell:
    """One row of the books: `int_cells_daily`."""

    expected: int
    delivered: int
    missing: int
    pending: int
    duplicates: int
    unexpected: int
    matched_by: str
    mature: bool
    exported: bool


@dataclass
class Books:
    """Everything decided. Keys are the columns of the tables of the same names, in the order given there."""

    outcomes: list[Outcome] = field(default_factory=list)
    deliveries: list[DeliveryOutcome] = field(default_factory=list)
    # (day, destination, event)
    cells: dict[tuple[date, str, str], Cell] = field(default_factory=dict)
    # (day, destination, source, event, reason) -> messages
    not_expected: Counter[tuple[date, str, str, str, str]] = field(default_factory=Counter)
    # (day, destination, event_name, event) -> deliveries
    delivery_names: Counter[tuple[date, str, str, str | None]] = field(default_factory=Counter)
    # (destination, day, source, event, message_id, difference) -> rows
    differences: Counter[tuple[str, date, str | None, str | None, str | None, str]] = field(
        default_factory=Counter
    )


def reconcile(
    workspace: Workspace,
    messages: Iterable[Message],
    deliveries: Iterable[Delivery],
    counts: Iterable[Count],
    as_of: datetime,
) -> Books:
    """The books of every day, as of a time (naive UTC). Rows of after that time have not happened yet."""
    landed = [each for each in messages if each.received_at <= as_of]
    known = unique_messages(landed)
    names = {(each.source, each.event_text) for each in known}
    delivered = list(deliveries)
    counted = list(counts)
    books = Books()
    for destination in workspace.destinations:
        _Ledger(workspace, destination, landed, known, names, delivered, counted, as_of).close(books)
    return books


def unique_messages(messages: Iterable[Message]) -> list[Message]:
    """One row a message id, over all sources: the copy that was received first."""
    first: dict[str, Message] = {}
    for each in sorted(messages, key=lambda row: (row.received_at, row.source, row.event_text)):
        if each.message_id is not None:
            first.setdefault(each.message_id, each)
    return list(first.values())


class _Ledger:
    """One destination's part of the books."""

    def __init__(
        self,
        workspace: Workspace,
        destination: Destination,
        landed: Sequence[Message],
        known: Sequence[Message],
        names: set[tuple[str, str]],
        deliveries: Sequence[Delivery],
        counts: Sequence[Count],
        as_of: datetime,
    ) -> None:
        self.workspace = workspace
        self.destination = destination
        self.zone = ZoneInfo(destination.timezone)
        self.as_of = as_of
        self.landed = landed
        self.everywhere = {each.message_id: each for each in known}
        self.messages = [each for each in known if each.source in destination.sources]
        now = self.local(as_of)
        self.deliveries = [
            each
            for each in deliveries
            if each.destination == destination.name and each.event_time is not None and each.event_time <= now
        ]
        self.counts = [
            each for each in counts if each.destination == destination.name and each.day <= now.date()
        ]
        # The name over there of each event, and the event of each name; the first of those that share one.
        if destination.events is None:
            sent = sorted({event for source, event in names if source in destination.sources})
            self.name_of = {event: event for event in sent}
        else:
            self.name_of = {route.event: route.destination_name for route in destination.events}
        self.event_of: dict[str, str] = {}
        for event in sorted(self.name_of, reverse=True):
            self.event_of[self.name_of[event]] = event
        self.outcomes: list[Outcome] = []
        self.answers: list[DeliveryOutcome] = []

    # ------------------------------------------------------------------------------------------ clocks

    def local(self, utc: datetime) -> datetime:
        return utc.replace(tzinfo=UTC).astimezone(self.zone).replace(tzinfo=None)

    def at(self, message: Message) -> datetime:
        """The message's wall-clock time over there, by the clock that the destination uses."""
        usual = message.timestamp or message.received_at
        chosen = {
            "timestamp": usual,
            "received_at": message.received_at,
            "sent_at": message.sent_at or message.received_at,
            "original_timestamp": message.original_timestamp or usual,
        }[self.destination.clock]
        return self.local(chosen)

    def complete(self, day: date) -> bool:
        """Whether the day was over, and `complete_after` more had gone by, at the as-of time."""
        ends = datetime.combine(day + timedelta(days=1), time(), tzinfo=self.zone).astimezone(UTC)
        return self.as_of >= ends.replace(tzinfo=None) + self.destination.complete_after

    # ------------------------------------------------------------------------------------------ decisions

    def reason(self, message: Message) -> str | None:
        """Why the message is not expected; None when it is."""
        if message.event_text not in self.name_of:
            return "not_routed"
        ids = {"user_id": message.user_id, "anonymous_id": message.anonymous_id}
        rules = [each for each in self.destination.identifiers if each.name in ids]
        if any(each.required and not ids[each.name] for each in rules):
            return "no_identifier"
        for each in rules:
            value = ids[each.name]
            if each.pattern is not None and value is not None and not re.fullmatch(each.pattern, value):
                return "bad_identifier"
        if self.destination.consent in message.refused:
            return "consent"
        return None

    def close(self, books: Books) -> None:
        wanted = []
        for message in self.messages:
            reason = self.reason(message)
            if reason is None:
                wanted.append(message)
            else:
                self.outcomes.append(
                    Outcome(self.destination.name, message, self.at(message).date(), "not_expected", reason)
                )
        routable = []
        for delivery in self.deliveries:
            if delivery.event_name in self.event_of:
                routable.append(delivery)
            else:
                self.answer(delivery, "unroutable", None)
        {"message_id": self.by_message_id, "user_time": self.by_user_time, "counts": self.by_counts}[
            self.destination.matching
        ](wanted, routable)
        _enter(books, self)

    def day(self, delivery: Delivery) -> date:
        assert delivery.event_time is not None
        return delivery.event_time.date()

    def answer(
        self,
        delivery: Delivery,
        outcome: str,
        event: str | None,
        *,
        day: date | None = None,
        source: str | None = None,
        message_id: str | None = None,
    ) -> None:
        self.answers.append(
            DeliveryOutcome(
                self.destination.name, day or self.day(delivery), outcome, event, source, message_id
            )
        )

    def delivered(self, message: Message, matched_by: str) -> None:
        self.outcomes.append(
            Outcome(
                self.destination.name, message, self.at(message).date(), "delivered", matched_by=matched_by
            )
        )

    def undelivered(self, message: Message) -> None:
        """Missing, unless the day or the day it was received can still bring it."""
        day = self.at(message).date()
        over = self.complete(day) and self.complete(self.local(message.received_at).date())
        self.outcomes.append(Outcome(self.destination.name, message, day, "missing" if over else "pending"))

    # ------------------------------------------------------------------------------------------ matching

    def by_message_id(self, wanted: Sequence[Message], routable: Sequence[Delivery]) -> None:
        held: dict[str, list[Delivery]] = defaultdict(list)
        for delivery in routable:
            if delivery.message_id is None:
                # It can answer nothing.
                self.answer(delivery, "unexpected", self.event_of[delivery.event_name])
            else:
                held[delivery.message_id].append(delivery)
        missing: dict[str, Message] = {}
        for message in wanted:
            assert message.message_id is not None
            copies = held.pop(message.message_id, None)
            if copies is None:
                missing[message.message_id] = message
                continue
            self.delivered(message, "message_id")
            day = self.at(message).date()
            source, event = message.source, message.event_text
            self.answer(copies[0], "matched", event, source=source, message_id=message.message_id)
            for copy in copies[1:]:
                self.answer(copy, "duplicate", event, day=day, source=source, message_id=message.message_id)
        variants = _variants(missing, held)
        for message_id, message in missing.items():
            if message_id in variants:
                self.delivered(message, "message_id_variant")
            else:
                self.undelivered(message)
        changed = set(variants.values())
        for message_id, copies in held.items():
            refused = self.everywhere.get(message_id)
            day = min(self.day(copy) for copy in copies)
            event = min(self.event_of[copy.event_name] for copy in copies)
            first = "matched" if message_id in changed else "unexpected"
            for copy, outcome in zip(copies, [first] + ["duplicate"] * (len(copies) - 1), strict=True):
                self.answer(
                    copy,
                    outcome,
                    event,
                    day=day,
                    source=refused.source if refused else None,
                    message_id=message_id,
                )

    def by_user_time(self, wanted: Sequence[Message], routable: Sequence[Delivery]) -> None:
        """Pairs of one person, name and second by rank; then with the second after, then the one before."""
        columns = self.destination.export.columns

        def person(row: Message | Delivery) -> str:
            ids = [
                row.user_id if columns.user_id else None,
                row.anonymous_id if columns.anonymous_id else None,
            ]
            return next((value for value in ids if value is not None), "")

        def moment(delivery: Delivery) -> datetime:
            assert delivery.event_time is not None
            return delivery.event_time

        messages = sorted(wanted, key=lambda row: (self.at(row), row.message_id or ""))
        left = sorted(routable, key=moment)
        paired: set[tuple[str, str, datetime]] = set()
        for shift in (timedelta(0), _SECOND, -_SECOND):
            waiting: dict[tuple[str, str, datetime], list[Delivery]] = defaultdict(list)
            for delivery in left:
                key = (person(delivery), delivery.event_name, moment(delivery).replace(microsecond=0))
                waiting[key].append(delivery)
            unpaired = []
            for message in messages:
                second = self.at(message).replace(microsecond=0) + shift
                key = (person(message), self.name_of[message.event_text], second)
                if waiting.get(key):
                    taken = waiting[key].pop(0)
                    self.delivered(message, "user_time")
                    self.answer(taken, "matched", message.event_text)
                    paired.add(key)
                else:
                    unpaired.append(message)
            messages = unpaired
            left = sorted((each for some in waiting.values() for each in some), key=moment)
        for message in messages:
            self.undelivered(message)
        for delivery in left:
            key = (person(delivery), delivery.event_name, moment(delivery).replace(microsecond=0))
            self.answer(
                delivery, "duplicate" if key in paired else "unexpected", self.event_of[delivery.event_name]
            )

    def by_counts(self, wanted: Sequence[Message], routable: Sequence[Delivery]) -> None:
        """A day's count of a name answers its events in their order; what is over is unexpected."""
        counted: Counter[tuple[date, str]] = Counter(
            (self.day(delivery), delivery.event_name) for delivery in routable
        )
        for count in self.counts:
            if count.event_name in self.event_of:
                counted[count.day, count.event_name] += count.messages
            else:
                self.answers.append(
                    DeliveryOutcome(
                        self.destination.name, count.day, "unroutable", None, messages=count.messages
                    )
                )
        expected: dict[tuple[date, str], dict[str, list[Message]]] = defaultdict(lambda: defaultdict(list))
        for message in wanted:
            place = (self.at(message).date(), self.name_of[message.event_text])
            expected[place][message.event_text].append(message)
        for place in expected.keys() | counted.keys():
            day, name = place
            rest = counted[place]
            events = sorted(expected[place]) if place in expected else []
            for event in events:
                # Which of them is not known: the count answers the first.
                for message in expected[place][event]:
                    if rest > 0:
                        rest -= 1
                        self.delivered(message, "counts")
                        self.answers.append(DeliveryOutcome(self.destination.name, day, "matched", event))
                    else:
                        outcome = "missing" if self.complete(day) else "pending"
                        self.outcomes.append(Outcome(self.destination.name, message, day, outcome))
            if rest > 0:
                event = events[-1] if events else self.event_of[name]
                self.answers.append(
                    DeliveryOutcome(self.destination.name, day, "unexpected", event, messages=rest)
                )

    # ------------------------------------------------------------------------------------------ days

    def days(self) -> set[date]:
        """Every day that has a row in the books, of this destination."""
        days = {self.at(message).date() for message in self.messages}
        days |= {self.day(delivery) for delivery in self.deliveries}
        days |= {count.day for count in self.counts}
        received = [each.received_at.date() for each in self.landed]
        first = min((day for day in received if day >= self.workspace.starts_on), default=None)
        if first is not None:
            today = self.local(self.as_of).date()
            days |= {first + timedelta(step) for step in range((today - first).days + 1)}
        return {day for day in days if day >= self.workspace.starts_on}


def _variants(missing: Mapping[str, Message], held: Mapping[str, object]) -> dict[str, str]:
    """Message id -> the changed id under which it was delivered: the pairs in which each chose the other."""
    pairs = sorted(
        (message_id, delivered)
        for message_id in missing
        for delivered in held
        if not _forms(message_id).isdisjoint({delivered.lower(), _uuid_inside(delivered)} - {None})
    )
    chosen_delivery: dict[str, str] = {}
    chosen_message: dict[str, str] = {}
    for message_id, delivered in pairs:
        chosen_delivery.setdefault(message_id, delivered)
        chosen_message.setdefault(delivered, message_id)
    return {
        message_id: delivered
        for message_id, delivered in chosen_delivery.items()
        if chosen_message[delivered] == message_id
    }


def _forms(message_id: str) -> set[str | None]:
    """What destinations are known to make of a message id."""
    digest = hashlib.sha256(message_id.encode()).hexdigest()
    return {message_id[-36:].lower(), digest, _uuid_inside(message_id)} - {None}


def _uuid_inside(text: str) -> str | None:
    found = _UUID.search(text)
    return found.group().lower() if found else None


def _enter(books: Books, ledger: _Ledger) -> None:
    """Add one destination's decisions to the books."""
    destination, open_days = ledger.destination, ledger.days()
    books.outcomes += ledger.outcomes
    books.deliveries += ledger.answers
    tallies: dict[tuple[date, str], Counter[str]] = defaultdict(Counter)
    for each in ledger.outcomes:
        if each.day not in open_days:
            continue
        if each.reason is not None:
            key = (each.day, destination.name, each.message.source, each.message.event_text, each.reason)
            books.not_expected[key] += 1
            continue
        tally = tallies[each.day, each.message.event_text]
        tally[each.outcome] += 1
        tally["variant"] += each.matched_by == "message_id_variant"
        if each.outcome == "missing" and destination.matching != "counts":
            books.differences[
                destination.name,
                each.day,
                each.message.source,
                each.message.event_text,
                each.message.message_id,
                "missing",
            ] += 1
    for answer in ledger.answers:
        if answer.outcome not in ("duplicate", "unexpected") or answer.day not in open_days:
            continue
        assert answer.event is not None
        tallies[answer.day, answer.event][answer.outcome] += answer.messages
        if destination.matching != "counts":
            books.differences[
                destination.name, answer.day, answer.source, answer.event, answer.message_id, answer.outcome
            ] += 1
    totals = Counter((ledger.day(each), each.event_name) for each in ledger.deliveries)
    for count in ledger.counts:
        totals[count.day, count.event_name] += count.messages
    for (day, name), held in totals.items():
        if day in open_days:
            books.delivery_names[day, destination.name, name, ledger.event_of.get(name)] = held
    exported = {day for (day, _), held in totals.items() if held > 0}
    routed = {route.event for route in destination.events or ()}
    for day in open_days:
        # Names that only "all events" brings in get a row on the days they have something to say.
        for event in routed | {event for when, event in tallies if when == day}:
            tally = tallies[day, event]
            by_variant = destination.matching == "message_id" and tally["variant"] * 2 > tally["delivered"]
            books.cells[day, destination.name, event] = Cell(
                expected=tally["delivered"] + tally["missing"] + tally["pending"],
                delivered=tally["delivered"],
                missing=tally["missing"],
                pending=tally["pending"],
                duplicates=tally["duplicate"],
                unexpected=tally["unexpected"],
                matched_by="message_id_variant" if by_variant else destination.matching,
                mature=ledger.complete(day),
                exported=day in exported,
            )
