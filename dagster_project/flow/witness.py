"""The rows of the warehouse, asked about single incidents: who is missing, and who sends both names."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from functools import cached_property, lru_cache
from itertools import pairwise
from typing import Any, Final
from zoneinfo import ZoneInfo

import pandas as pd

from dagster_project.core.contracts import Destination, Workspace
from dagster_project.core.diagnosis.witness import (
    CONTRAST_COLUMNS,
    PAIRS,
    SHARED_COLUMNS,
    Contrast,
    NamePair,
)
from dagster_project.flow.census import rows_of
from dagster_project.flow.inputs import WORK, contract_tables
from dagster_project.generate.dbt_models import consent_categories
from dagster_project.resources.warehouse import Warehouse

# The values of a dimension that are told; the rest is "other".
VALUES: Final = 50
VALUE_LENGTH: Final = 200
# Values bound in one statement: drivers slow down over tens of thousands, and some refuse them.
_BINDS: Final = 4_000
# Every zone in use is a multiple of this from UTC, so a slot lies in one local hour.
_SLOT: Final = timedelta(minutes=15)
# What decides, beside its time, which destinations expect a message.
_DECIDING: Final = (
    *("segment", "source", "event", "consent_denied", "format_misses", "has_user_id", "has_anonymous_id"),
)
# The attributes that a message has one of each; violations are counted apart.
_ATTRIBUTES: Final = ("source", "event", "app_version", "library_version", "hour", "user_shape", "consent")
# What tells the UTC day of a message by each clock; a warehouse leaves out what it need not read by the first two.
_CLOCK_DAY: Final = {
    "timestamp": "m.event_day",
    "received_at": "m.received_day",
    "sent_at": "cast(m.sent_at as date)",
    "original_timestamp": "cast(m.original_timestamp as date)",
}
# And of a broken row, which knows only two of the clocks.
_BROKEN_DAY: Final = {"timestamp": "event_day in :utc_days", "received_at": "received_day in :utc_days"}
# DuckDB would join by the day first and by the name last: every message with every question of its day.
_JOINED_FIRST: Final = {"duckdb": "materialized", "snowflake": ""}
_LATER: Final = {"duckdb": "({0} + to_seconds({1}))", "snowflake": "dateadd('second', {1}, {0})"}
_QUARTER: Final = {
    "duckdb": "time_bucket(interval '15 minutes', {0})",
    "snowflake": "time_slice({0}, 15, 'minute')",
}
_BITS_AND: Final = {"duckdb": "({0} & {1})", "snowflake": "bitand({0}, {1})"}


@dataclass(frozen=True)
class Stretch:
    """A stretch of time, as naive UTC, in which a zone's wall clock has one offset."""

    opens: datetime
    closes: datetime
    offset_seconds: int


@dataclass(frozen=True)
class _Asked:
    """One question with the contract of its destination and the time it is about."""

    number: int
    question: Contrast
    destination: Destination
    stretches: tuple[Stretch, ...]

    @property
    def binds(self) -> int:
        days = sum(len(_utc_days(stretch)) for stretch in self.stretches)
        # Seven of the contract; three a piece and four where it is cut, at midnight and by the others' zones; a day is
        # named twice more for the messages that are picked.
        return 8 + 16 * days + 2 * max(1, len(self.question.events))


class WarehouseWitness:
    """Answers from `int_messages`, as the matched stage left it in this run."""

    def __init__(self, warehouse: Warehouse, workspace: Workspace) -> None:
        self._warehouse = warehouse
        self._workspace = workspace

    # --- missing against the others -------------------------------------------------------------------------

    def contrast(self, questions: Sequence[Contrast]) -> pd.DataFrame:
        """Messages that a destination should have, and the missing ones among them, by attribute.

        Without rows for a destination that is matched by counts: there nobody knows which message is missing.
        """
        frames = []
        for clock, asked in self._asked(questions):
            frame = self._contrast(clock, asked)
            names = {each.number: each.question.question for each in asked}
            frame["question"] = [names[int(number)] for number in frame["number"]]
            frames.append(frame)
        if not frames:
            return pd.DataFrame(columns=list(CONTRAST_COLUMNS))
        told = pd.concat(frames, ignore_index=True).sort_values("number", kind="stable")
        for one, two in (("dimension", "value"), ("dimension_2", "value_2")):
            told[two] = [
                self._refused(value) if dimension == "consent" else value
                for dimension, value in zip(told[one], told[two], strict=True)
            ]
        counts = {"messages": "int64", "missing": "int64"}
        texts = told[["question", "dimension", "value", "dimension_2", "value_2"]].astype(object)
        told = texts.where(texts.notna(), None).join(told[list(counts)].astype(counts))
        return told[list(CONTRAST_COLUMNS)].reset_index(drop=True)

    def _asked(self, questions: Sequence[Contrast]) -> Iterator[tuple[str, list[_Asked]]]:
        """The questions that rows can answer, in batches of one clock: a batch is one statement.

        Those about all events are apart, so that the rows of the others can be found by their names.
        """
        destinations = {each.name: each for each in self._workspace.destinations}
        alike: dict[tuple[str, bool], list[_Asked]] = {}
        for number, question in enumerate(questions):
            destination = destinations.get(question.destination)
            if destination is None or destination.matching == "counts" or not question.days:
                continue
            stretches = stretches_of(destination.timezone, frozenset(question.days))
            each = _Asked(number, question, destination, stretches)
            alike.setdefault((destination.clock, bool(question.events)), []).append(each)
        for (clock, _), asked in alike.items():
            batch: list[_Asked] = []
            for each in asked:
                if batch and sum(other.binds for other in batch) + each.binds > _BINDS:
                    yield clock, batch
                    batch = []
                batch.append(each)
            yield clock, batch

    def _contrast(self, clock: str, asked: Sequence[_Asked]) -> pd.DataFrame:
        dialect = self._warehouse.dialect
        inline = _Inline()
        contracts = inline.table(
            {
                "number": "bigint",
                "destination": "varchar",
                "takes_all": "boolean",
                "needs_user_id": "boolean",
                "needs_anonymous_id": "boolean",
                "format_bits": "bigint",
                "consent_bit": "bigint",
            },
            [
                (
                    each.number,
                    each.destination.name,
                    each.destination.events is None,
                    *self._demands[each.destination.name],
                )
                for each in asked
            ],
        )
        pieces = _pieces(asked)
        segments = inline.table(
            {"segment": "bigint", "utc_day": "date", "opens": "timestamp", "closes": "timestamp"},
            [(number, opens.date(), opens, closes) for number, (opens, closes) in enumerate(pieces)],
        )
        windows = inline.table(
            {"number": "bigint", "segment": "bigint", "offset_seconds": "bigint"},
            [
                (each.number, number, stretch.offset_seconds)
                for each in asked
                for number, (opens, closes) in enumerate(pieces)
                for stretch in each.stretches
                if stretch.opens <= opens and closes <= stretch.closes
            ],
        )
        wanted = inline.table(
            {"number": "bigint", "event": "varchar"},
            [(each.number, event) for each in asked for event in dict.fromkeys(each.question.events)],
        )
        # All of a batch name their events, or none does.
        by_name = bool(asked[0].question.events)
        utc_days = sorted({opens.date() for opens, _ in pieces})
        cut = f"substr({{0}}, 1, {VALUE_LENGTH})"
        own = ", ".join(f"m.{each}" for each in _DECIDING)
        # What makes a message of a relation `m` expected by a contract `c`.
        routed = f"""
                    inner join targets as c on c.segment = m.segment {"and c.event = m.event" if by_name else ""}
                    inner join routes as r
                        on r.destination = c.destination and r.source = m.source
                        and r.event = case when c.takes_all then '' else m.event end"""
        accepted = f"""
                        not (c.needs_user_id and not m.has_user_id)
                        and not (c.needs_anonymous_id and not m.has_anonymous_id)
                        and {_BITS_AND[dialect].format("m.format_misses", "c.format_bits")} = 0
                        and {_BITS_AND[dialect].format("m.consent_denied", "c.consent_bit")} = 0"""

        def placed(messages: str) -> str:
            """The messages of a relation with the segment of time that they stand in."""
            return f"""
                select
                    s.segment, m.message_key, m.source, m.event_text as event, m.app_version, m.library_version,
                    m.user_shape, m.consent_denied, m.format_misses, m.has_user_id, m.has_anonymous_id,
                    {_QUARTER[dialect].format(f"m.{clock}")} as slot
                from {messages} as m
                inner join segments as s
                    on s.utc_day = {_CLOCK_DAY[clock]} and m.{clock} >= s.opens and m.{clock} < s.closes
                where {_CLOCK_DAY[clock]} in :utc_days
                    {"and m.event_text in (select n.event from wanted as n)" if by_name else ""}"""

        local_hour = f"extract(hour from {_LATER[dialect].format('m.slot', 'c.offset_seconds')})"
        singles = [
            f"select number, '{name}' as dimension, cast({name} as varchar) as value, "
            "cast(null as varchar) as dimension_2, cast(null as varchar) as value_2, "
            "sum(messages) as messages, sum(missing) as missing "
            f"from {'hourly' if name == 'hour' else 'counted'} group by number, {name}"
            for name in _ATTRIBUTES
        ]
        pairs = [
            f"select number, '{one}', cast({one} as varchar), '{two}', cast({two} as varchar), "
            f"sum(messages), sum(missing) from {'violated' if 'violation' in (one, two) else 'counted'} "
            f"group by number, {one}, {two}"
            for one, two in PAIRS
        ]
        violations = (
            "select number, 'violation', violation, cast(null as varchar), cast(null as varchar), "
            "sum(messages), sum(missing) from violated group by number, violation"
        )
        return self._warehouse.frame(
            f"""
            with contracts as ({contracts}),
            segments as ({segments}),
            windows as ({windows}),
            wanted as ({wanted}),
            targets as {_JOINED_FIRST[dialect]} (
                select c.*, w.segment, w.offset_seconds{", n.event" if by_name else ""}
                from contracts as c
                inner join windows as w on w.number = c.number
                {"inner join wanted as n on n.number = c.number" if by_name else ""}
            ),
            routes as (
                select distinct destination, source, coalesce(event, '') as event
                from {WORK}.input_routes
                where destination in :destinations
            ),
            lost as (
                select distinct destination, message_key
                from {WORK}.int_differences
                where difference = 'missing' and destination in :destinations and day in :days
            ),
            broken as (
                select distinct message_key, source, event, property, rule
                from {WORK}.int_broken_rows
                where {_BROKEN_DAY.get(clock, "1 = 1")}
            ),
            sent as (
                {placed(f"{WORK}.int_messages")}
            ),
            -- Those that are lost or break the plan, looked for first: DuckDB expects a few hundred messages of these
            -- days, for the segments are few, and put all of them into memory to join them (9.9 s of processor at 14 million,
            -- and 4.8 since, 2026-11-29).
            picked as {_JOINED_FIRST[dialect]} (
                select m.*
                from {WORK}.int_messages as m
                where
                    {_CLOCK_DAY[clock]} in :utc_days
                    and m.message_key in (select l.message_key from lost as l union select b.message_key from broken as b)
            ),
            picked_sent as (
                {placed("picked")}
            ),
            -- Counted before they are held against the contracts: a message is looked at once, however many ask.
            grouped as (
                select
                    {own}, {cut.format("app_version")} as app_version,
                    {cut.format("library_version")} as library_version, user_shape, slot, count(*) as messages
                from sent as m
                group by {_numbers(len(_DECIDING) + 4)}
            ),
            kinds as (
                select {own}, app_version, library_version, user_shape, sum(messages) as messages
                from grouped as m
                group by {_numbers(len(_DECIDING) + 3)}
            ),
            slots as (
                select {own}, slot, sum(messages) as messages from grouped as m group by {_numbers(len(_DECIDING) + 1)}
            ),
            lost_messages as (
                select
                    c.number, m.source, m.event, m.app_version, m.library_version, m.user_shape, m.consent_denied,
                    {local_hour} as hour
                from (
                    select picked_sent.*, lost.destination
                    from picked_sent inner join lost on lost.message_key = picked_sent.message_key
                ) as m {routed}
                where c.destination = m.destination and {accepted}
            ),
            counted as (
                select
                    number, source, {cut.format("event")} as event, app_version, library_version, user_shape,
                    consent, sum(messages) as messages, sum(missing) as missing
                from (
                    select
                        c.number, m.source, m.event, m.app_version, m.library_version, m.user_shape,
                        m.consent_denied as consent, m.messages, 0 as missing
                    from kinds as m {routed}
                    where {accepted}
                    union all
                    select
                        number, source, event, {cut.format("app_version")}, {cut.format("library_version")},
                        user_shape, consent_denied, 0, 1
                    from lost_messages
                ) as attributed
                group by 1, 2, 3, 4, 5, 6, 7
            ),
            hourly as (
                select number, hour, sum(messages) as messages, sum(missing) as missing
                from (
                    select c.number, {local_hour} as hour, m.messages, 0 as missing
                    from slots as m {routed}
                    where {accepted}
                    union all
                    select number, hour, 0, 1 from lost_messages
                ) as timed
                group by 1, 2
            ),
            broken_messages as (
                select
                    c.number, {cut.format("m.event")} as event, m.message_key, m.violation,
                    case when lost.message_key is not null then 1 else 0 end as missing
                from (
                    select picked_sent.*, {cut.format("broken.property || ':' || broken.rule")} as violation
                    from picked_sent
                    inner join broken
                        on broken.message_key = picked_sent.message_key and broken.source = picked_sent.source
                        and broken.event = picked_sent.event
                ) as m {routed}
                left join lost on lost.destination = c.destination and lost.message_key = m.message_key
                where {accepted}
            ),
            -- Whole messages are those of the count that break nothing.
            whole as (
                select number, event, sum(messages) as messages, sum(missing) as missing
                from (
                    select number, event, messages, missing from counted
                    union all
                    select number, event, -1, -missing
                    from (select distinct number, event, message_key, missing from broken_messages) as once
                ) as summed
                group by 1, 2
            ),
            violated as (
                select number, event, violation, count(*) as messages, sum(missing) as missing
                from broken_messages
                group by 1, 2, 3
                union all
                select number, event, cast(null as varchar), messages, missing from whole where messages > 0
            ),
            told as ({" union all ".join([*singles, violations, *pairs])}),
            ranked as (
                select
                    told.*,
                    row_number() over (
                        partition by number, dimension, dimension_2
                        order by missing desc, messages desc, value, value_2
                    ) as place
                from told
            )
            select
                number, dimension, case when place <= {VALUES} then value else 'other' end as value,
                dimension_2,
                case when place <= {VALUES} or dimension_2 is null then value_2 else 'other' end as value_2,
                cast(sum(messages) as bigint) as messages, cast(sum(missing) as bigint) as missing
            from ranked
            group by 1, 2, 3, 4, 5
            order by number, dimension, dimension_2, missing desc, messages desc, value, value_2
            """,
            **inline.values,
            destinations=sorted({each.destination.name for each in asked}),
            days=sorted({day for each in asked for day in each.question.days}),
            utc_days=utc_days,
        )

    @cached_property
    def _demands(self) -> dict[str, tuple[bool, bool, int, int]]:
        """What each destination demands of a message: both ids, the bits of its formats, that of its consent."""
        rows = rows_of(contract_tables(self._workspace, as_of=datetime(2000, 1, 1))["input_destinations"])
        return {
            row.destination: (
                bool(row.needs_user_id),
                bool(row.needs_anonymous_id),
                int(row.format_bits),
                0 if pd.isna(row.consent_index) else 1 << int(row.consent_index),
            )
            for row in rows
        }

    def _refused(self, bits: str | None) -> str | None:
        """The consent categories that were refused, in words."""
        if bits is None or not bits.isdigit():
            return bits
        refused = [
            name for index, name in enumerate(consent_categories(self._workspace)) if int(bits) & (1 << index)
        ]
        return ", ".join(refused)[:VALUE_LENGTH] or "none"

    # --- who sends both names -------------------------------------------------------------------------------

    def shared_users(self, pairs: Sequence[NamePair]) -> pd.DataFrame:
        """Users who sent the old, the new and both names of each pair, in the order of the pairs."""
        found: dict[int, tuple[int, int, int]] = {}
        size = _BINDS // 12  # two names of six values
        for start in range(0, len(pairs), size):
            for row in rows_of(self._shared(start, pairs[start : start + size])):
                found[int(row.number)] = (int(row.old_users), int(row.new_users), int(row.both_users))
        return pd.DataFrame(
            [
                (pair.source, pair.old, pair.new, *found.get(number, (0, 0, 0)))
                for number, pair in enumerate(pairs)
            ],
            columns=list(SHARED_COLUMNS),
        )

    def _shared(self, first: int, pairs: Sequence[NamePair]) -> pd.DataFrame:
        inline = _Inline()
        zone = self._workspace.timezone
        spans = [stretches_of(zone, frozenset(_days_between(pair.first, pair.last))) for pair in pairs]
        names = inline.table(
            {
                "number": "bigint",
                "source": "varchar",
                "event": "varchar",
                "is_old": "bigint",
                "opens": "timestamp",
                "closes": "timestamp",
            },
            [
                (number, pair.source, name, is_old, stretches[0].opens, stretches[-1].closes)
                for number, (pair, stretches) in enumerate(zip(pairs, spans, strict=True), first)
                if stretches
                for name, is_old in ((pair.old, 1), (pair.new, 0))
            ],
        )
        utc_days = sorted({day for stretches in spans for stretch in stretches for day in _utc_days(stretch)})
        return self._warehouse.frame(
            f"""
            with names as ({names}),
            sent as (
                select
                    n.number,
                    m.person_key as person,
                    max(n.is_old) as old_name,
                    max(1 - n.is_old) as new_name
                from {WORK}.int_messages as m
                inner join names as n
                    on m.source = n.source and m.event_text = n.event
                    and m.timestamp >= n.opens and m.timestamp < n.closes
                where m.event_day in :utc_days
                group by 1, 2
            )
            select
                number,
                sum(old_name) as old_users, sum(new_name) as new_users, sum(old_name * new_name) as both_users
            from sent
            where person is not null
            group by 1
            """,
            **inline.values,
            utc_days=utc_days,
        )


class _Inline:
    """Small tables that stand in a statement themselves; their values are bound, never part of its text."""

    def __init__(self) -> None:
        self.values: dict[str, Any] = {}

    def table(self, columns: dict[str, str], rows: Iterable[tuple[Any, ...]]) -> str:
        """A query of these rows. Without any it has the columns and no row."""
        lines = []
        for row in rows:
            keys = []
            for value in row:
                keys.append(f"v{len(self.values)}")
                self.values[keys[-1]] = value.isoformat(sep=" ") if isinstance(value, datetime) else value
            lines.append("(" + ", ".join(f":{key}" for key in keys) + ")")
        if not lines:
            return (
                "select "
                + ", ".join(f"cast(null as {columns[each]}) as {each}" for each in columns)
                + " where 1 = 0"
            )
        typed = ", ".join(f"cast({column} as {kind}) as {column}" for column, kind in columns.items())
        return f"select {typed} from (values {', '.join(lines)}) as inline ({', '.join(columns)})"


@lru_cache(maxsize=256)
def stretches_of(zone: str, days: frozenset[date]) -> tuple[Stretch, ...]:
    """The time that these days of a zone take, in order, cut where the zone's offset changes."""
    clock = ZoneInfo(zone)
    # A local day lies within one day of the UTC day of its name.
    near = sorted({day + timedelta(days=step) for day in days for step in (-1, 0, 1)})
    found: list[Stretch] = []
    for day in near:
        for step in range(96):
            slot = datetime.combine(day, time(), UTC) + step * _SLOT
            local = slot.astimezone(clock)
            if local.date() not in days:
                continue
            at = slot.replace(tzinfo=None)
            offset = round((local.replace(tzinfo=None) - at).total_seconds())
            if found and found[-1].closes == at and found[-1].offset_seconds == offset:
                found[-1] = Stretch(found[-1].opens, at + _SLOT, offset)
            else:
                found.append(Stretch(at, at + _SLOT, offset))
    return tuple(found)


def _utc_days(stretch: Stretch) -> list[date]:
    return _days_between(stretch.opens.date(), (stretch.closes - _SLOT).date())


def _pieces(asked: Sequence[_Asked]) -> list[tuple[datetime, datetime]]:
    """The time that questions are about, cut at midnight UTC and where a stretch of one of them begins or ends.

    Naive UTC. Each piece lies in a stretch wholly or not at all, so what is counted of it serves all questions.
    """
    stretches = {stretch for each in asked for stretch in each.stretches}
    cuts = {moment for stretch in stretches for moment in (stretch.opens, stretch.closes)}
    cuts |= {datetime.combine(day, time()) for stretch in stretches for day in _utc_days(stretch)}
    moments = sorted(cuts)
    return [
        (opens, closes)
        for opens, closes in pairwise(moments)
        if any(stretch.opens <= opens and closes <= stretch.closes for stretch in stretches)
    ]


def _numbers(count: int) -> str:
    return ", ".join(str(number) for number in range(1, count + 1))


def _days_between(first: date, last: date) -> list[date]:
    return [first + timedelta(days=step) for step in range((last - first).days + 1)]
