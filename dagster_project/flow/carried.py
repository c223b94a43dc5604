"""Which open days are carried on from what was matched of them before, so that only keys that may differ are asked again.

A day whose tables only grew by a few rows has most of its matches already. What a step found of a day is kept in
`int_day_matches`, with a note of which landed rows it was made of; where a later run knows the new rows by their position
(see flow/growth.py), it takes that up and matches the new keys, those that differed, and no others. Everything else,
and every doubt, has the day matched anew.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from functools import cached_property
from typing import Final

import pandas as pd

from dagster_project.flow.census import as_day, fingerprints, rows_of
from dagster_project.flow.context import RunContext
from dagster_project.flow.inputs import TABLES, WORK
from dagster_project.flow.steps import run_days

# The share of a day's deliveries above which all of them are matched again: to carry on a day of ten million messages of
# which half are new took 7 s of processor more than to match it anew (2026-11-23).
LARGEST_SHARE: Final = 0.2
KEPT_DAYS: Final = 14  # dbt's var carried_days


@dataclass(frozen=True)
class Carried:
    """Days that one step carries on, with all destinations of each; `with_new` when rows were added to them since."""

    pairs: list[tuple[str, date]]
    with_new: bool
    rows: int  # that landed on them since, about


class Carrying:
    """What is kept of earlier steps, and of which landed rows it was made."""

    def __init__(self, context: RunContext, rows: Mapping[date, int]) -> None:
        """`rows` are those that landed on a day, about: where no day has many, to match it anew is as fast."""
        self._context = context
        self._by_id = _matched_by_id(context)
        self._contract = _contract(context)
        self._now = self._made_of("census_positions")
        self._noted: set[date] = set()
        self._oldest = context.as_of.date() - timedelta(days=KEPT_DAYS)
        self._rows = rows
        most = max((count for day, count in rows.items() if day >= self._oldest), default=0)
        self._pays = most >= context.grown_from

    @property
    def possible(self) -> bool:
        """Whether the rows that this run has read are known by their positions, and a day has enough of them to pay.

        And whether some destination holds message ids: what others hold is matched anew on every open day.
        """
        return self._pays and bool(self._by_id) and self._now is not None

    @cached_property
    def _before(self) -> str | None:
        return self._made_of("state_positions")

    @cached_property
    def _only_grew(self) -> bool:
        """Whether every row that this run reads is known to be new: of a day read whole, nobody knows what left."""
        read = list(run_days(self._context, "source").values())
        exported = run_days(self._context, "destination")
        read += [after for (name, _), after in exported.items() if name in self._by_id]
        return all(after is not None for after in read)

    @cached_property
    def _grew_by(self) -> dict[date, float]:
        """By day: the share of its deliveries that have landed since the last run."""
        counted = {
            table: self._context.warehouse.frame(
                f"select day, sum(rows_seen) as rows_seen from {WORK}.{table} "
                "where kind = 'destination' and day is not null and name in :names group by 1",
                names=sorted(self._by_id),
            )
            for table in ("state_census", "census_destinations")
        }
        before, now = (
            {as_day(row.day): int(row.rows_seen) for row in rows_of(frame)} for frame in counted.values()
        )
        return {day: 1 - before.get(day, 0) / rows for day, rows in now.items() if rows}

    def choose(self, todo: Collection[tuple[str, date]]) -> tuple[set[date], Carried | None]:
        """Of the (destination, day) to match: the days that must be matched anew, and what the last step of them carries on.

        That one, for what those days find to belong to an older one is asked there with all else that is new.
        """
        asked: dict[date, set[str]] = {}
        for destination, day in todo:
            asked.setdefault(day, set()).add(destination)
        kept = self._kept() if self.possible else {}
        if not kept or _ids_may_change(self._context):
            return {*asked}, None
        # A day that is read whole may hold other rows than before, as many and in the same places.
        with_new = {
            day
            for day, (_, made_of) in kept.items()
            if self._only_grew and made_of == self._before and self._grew_by.get(day, 1.0) <= LARGEST_SHARE
        }
        as_it_is = {day for day, (_, made_of) in kept.items() if made_of == self._now and day in self._noted}
        new, known = (
            [day for day in sorted(asked) if day in ready and asked[day] <= kept[day][0]]
            for ready in (with_new, as_it_is - with_new)
        )
        anew = asked.keys() - {*new, *known}
        chosen = new or ([] if anew else known)
        if not chosen:
            return anew, None
        # A day is carried on for all destinations it was matched for: what is kept of it is of them together.
        pairs = [(name, day) for day in chosen for name in sorted(kept[day][0])]
        rows = sum(int(self._rows.get(day, 0) * self._grew_by.get(day, 0.0)) for day in new)
        return anew, Carried(pairs, bool(new), rows)

    def begin(self) -> None:
        """Before the first step: a run that keeps nothing leaves nothing behind of days that it matches anew."""
        if not self.possible:
            self._write(None)
            self._context.warehouse.execute(f"delete from {WORK}.state_carried")

    def begin_step(self, carried: Carried | None, pairs: Iterable[tuple[str, date]]) -> None:
        """Hand to SQL which days of a step are carried on; and forget the step's days until it has ended.

        Killed in it, nobody takes up what it has half made.
        """
        if not self.possible:
            return
        self._write(carried)
        self._context.warehouse.execute(
            f"delete from {WORK}.state_carried where day in :days", days=sorted({day for _, day in pairs})
        )

    def _write(self, carried: Carried | None) -> None:
        rows = (
            [(day, carried.with_new) for day in sorted({day for _, day in carried.pairs})] if carried else []
        )
        frame = pd.DataFrame(rows, columns=list(TABLES["input_carried_days"]))
        self._context.warehouse.replace(f"{WORK}.input_carried_days", frame, TABLES["input_carried_days"])

    def note(self, pairs: Iterable[tuple[str, date]]) -> None:
        """Keep that a step has matched these (destination, day) of the rows that this run has read.

        SQL keeps nothing of an older day, which to carry on would be to lose all that it has.
        """
        if not self.possible:
            return
        of_day: dict[date, list[str]] = {}
        for destination, day in pairs:
            if day >= self._oldest:
                of_day.setdefault(day, []).append(destination)
        frame = pd.DataFrame(
            [(day, json.dumps(sorted(names)), self._now) for day, names in of_day.items()],
            columns=list(TABLES["state_carried"]),
        )
        self._context.warehouse.append(f"{WORK}.state_carried", frame)
        self._noted |= set(of_day)

    def end(self, opened: Collection[date]) -> None:
        """What this run had no reason to look at is made of its rows as well; what is old is let go.

        `opened` are the days that were open for some destination, in this run's scope or not.
        """
        warehouse = self._context.warehouse
        if not warehouse.exists(f"{WORK}.int_day_matches"):
            return
        # A day that was read and is left for a later run, for it was not asked for, may hold rows that nobody has matched.
        if left := sorted(set(opened) - self._noted):
            warehouse.execute(f"delete from {WORK}.state_carried where day in :days", days=left)
        days = {day for day, (_, made_of) in self._kept().items() if made_of == self._before}
        quiet = sorted(days - set(opened))
        if quiet and self.possible and self._now != self._before:
            warehouse.execute(
                f"update {WORK}.state_carried set made_of = :now where day in :days",
                now=self._now,
                days=quiet,
            )
        warehouse.execute(f"delete from {WORK}.state_carried where day < :oldest", oldest=self._oldest)
        warehouse.execute(f"delete from {WORK}.int_day_matches where day < :oldest", oldest=self._oldest)

    def _kept(self) -> dict[date, tuple[set[str], str]]:
        frame = self._context.warehouse.frame(f"select * from {WORK}.state_carried")
        return {
            as_day(row.day): (set(json.loads(row.destinations)), str(row.made_of)) for row in rows_of(frame)
        }

    def _made_of(self, table: str) -> str | None:
        """Which rows of the landed tables are behind what is matched, under which contract; None: nobody knows."""
        frame = self._context.warehouse.frame(f"select kind, name, position, rows_total from {WORK}.{table}")
        known = {
            (str(row.kind), str(row.name)): (int(row.position), int(row.rows_total)) for row in rows_of(frame)
        }
        workspace = self._context.workspace
        needed = {("source", each.name) for each in workspace.sources}
        needed |= {("destination", name) for name in self._by_id}
        if not needed <= set(known):
            return None
        text = json.dumps([self._contract, sorted((*key, *known[key]) for key in needed)])
        return hashlib.sha256(text.encode()).hexdigest()


def _contract(context: RunContext) -> str:
    now = fingerprints(context.workspace)
    return now.to_csv(index=False) + context.dbt.fingerprint()


def _matched_by_id(context: RunContext) -> set[str]:
    frame = context.warehouse.frame(
        f"select destination from {WORK}.input_destinations where matching = 'message_id'"
    )
    return set(frame["destination"])


def _ids_may_change(context: RunContext) -> bool:
    """Whether the days beside a day are looked at for ids that were changed on the way: then a day is no island."""
    frame = context.warehouse.frame(
        f"select count(*) as n from {WORK}.input_destinations where edge_days > 0"
    )
    return bool(frame["n"].iloc[0])
