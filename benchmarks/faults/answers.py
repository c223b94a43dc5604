"""What the rows would answer to the diagnosis: sums over a world's segments that agree with its cells."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from benchmarks.faults.contents import SHAPES
from dagster_project.core.diagnosis.witness import (
    CONTRAST_COLUMNS,
    PAIRS,
    SHARED_COLUMNS,
    Contrast,
    NamePair,
)

if TYPE_CHECKING:
    from benchmarks.faults.sight import Sight, View

ASSOCIATED = 1.6  # users of one event use another one of the source this much more than chance
UPGRADED = 0.03  # of the users change their app version on a usual day: they send the old and the new name


class Answers:
    """The product's Witness for one run of a world. `asked` and `paired` count the questions."""

    def __init__(self, sight: Sight) -> None:
        self.sight = sight
        self.asked = self.paired = 0

    # --- missing against delivered --------------------------------------------------------------------------

    def contrast(self, questions: Sequence[Contrast]) -> pd.DataFrame:
        rows: list[tuple[Any, ...]] = []
        views = {view.fed.feed.name: view for view in self.sight.views}
        for question in questions:
            self.asked += 1
            view = views.get(question.destination)
            if view is not None and view.fed.contract.matching != "counts":
                rows += self._contrast(question, view)
        return pd.DataFrame(rows, columns=list(CONTRAST_COLUMNS))

    def _contrast(self, question: Contrast, view: View) -> list[tuple[Any, ...]]:
        fed = view.fed
        numbers = [(day - self.sight.world.first_day).days for day in question.days]
        days = np.array([n for n in numbers if 0 <= n < view.days], dtype=np.int64)
        rows = np.arange(len(fed.rows))
        if question.events:
            rows = rows[np.isin(fed.row_event[rows].astype(str), list(question.events))]
        if not len(rows) or not len(days):
            return []
        cut = np.ix_(rows, days)
        missing = (view.unanswered * view.mature)[cut]
        messages = view.expected[cut]
        found: list[tuple[Any, ...]] = []

        def tell(dimension: str, values: Any, every: Any, lost: Any, second: Any = (None, None)) -> None:
            table: dict[Any, list[int]] = {}
            others = second[1] if second[1] is not None else [None] * len(values)
            for value, other, n, k in zip(values, others, every, lost, strict=True):
                entry = table.setdefault((value, other), [0, 0])
                entry[0] += int(n)
                entry[1] += int(k)
            found.extend(
                (question.question, dimension, value, second[0], other, n, k)
                for (value, other), (n, k) in table.items()
                if n
            )

        every, lost = messages.sum(axis=1), missing.sum(axis=1)
        attributes = {
            "source": fed.row_source[rows],
            "event": fed.row_event[rows],
            "app_version": fed.row_version[rows],
        }
        for name, values in attributes.items():
            tell(name, values, every, lost)
        for one, two in PAIRS:
            if one in attributes and two in attributes:
                tell(one, attributes[one], every, lost, (two, attributes[two]))
        total, gone = int(every.sum()), int(lost.sum())
        found.append((question.question, "library_version", "2.1.0", None, None, total, gone))
        found.append((question.question, "consent", "none", None, None, total, gone))
        dice = np.random.default_rng(
            int.from_bytes(hashlib.sha256(question.question.encode("utf-8", "replace")).digest()[:6], "big")
        )
        self._tell_hours(question, view, rows, days, messages, missing, found)
        self._tell_shapes(question, view, rows, days, every, lost, dice, found)
        self._tell_broken(question, view, rows, days, messages, missing, dice, found)
        return found

    def _tell_hours(
        self,
        question: Contrast,
        view: View,
        rows: Any,
        days: Any,
        messages: Any,
        missing: Any,
        found: list[tuple[Any, ...]],
    ) -> None:
        from benchmarks.faults.sight import dealt, dealt_within

        every, lost = np.zeros(24, dtype=np.int64), np.zeros(24, dtype=np.int64)
        for at, day in enumerate(days.tolist()):
            there = dealt(int(messages[:, at].sum()), view.profile(rows, day))
            every += there
            left, short = there.copy(), int(missing[:, at].sum())
            for loss in view.losses:
                mine = min(int(loss.lost[rows, day].sum()), short)
                if mine:
                    gone = dealt_within(mine, left, loss.part.from_hour.get(day, 0))
                    left, short = left - gone, short - mine
                    lost += gone
            if short:
                lost += dealt_within(short, left, 0)
        found.extend(
            (question.question, "hour", str(hour), None, None, int(every[hour]), int(lost[hour]))
            for hour in np.flatnonzero(every).tolist()
        )

    def _tell_shapes(
        self,
        question: Contrast,
        view: View,
        rows: Any,
        days: Any,
        every: Any,
        lost: Any,
        dice: np.random.Generator,
        found: list[tuple[Any, ...]],
    ) -> None:
        from benchmarks.faults.sight import dealt

        fed = view.fed
        total, gone = int(every.sum()), int(lost.sum())
        shapes = self.sight.contents.shapes(fed.zone)[:, :, fed.rows[rows]]
        if fed.contract.identifiers:
            shapes = shapes[:2]  # the others are not expected here
        weights = np.array([view.now_of(each, rows)[:, days].sum() for each in shapes], dtype=np.int64)
        by_shape = dealt(total, weights) if weights.sum() else np.array([total])
        names = list(SHAPES[: len(by_shape)])
        missing = np.zeros(len(by_shape), dtype=np.int64)
        for loss in view.losses:
            if loss.part.shape in names:
                at = names.index(str(loss.part.shape))
                missing[at] += min(
                    int((loss.lost * view.mature)[np.ix_(rows, days)].sum()), int(by_shape[at])
                )
        missing += _spread(gone - int(missing.sum()), by_shape - missing, dice)
        found.extend(
            (question.question, "user_shape", name, None, None, int(n), int(k))
            for name, n, k in zip(names, by_shape, missing, strict=True)
            if n
        )

    def _tell_broken(
        self,
        question: Contrast,
        view: View,
        rows: Any,
        days: Any,
        messages: Any,
        missing: Any,
        dice: np.random.Generator,
        found: list[tuple[Any, ...]],
    ) -> None:
        """Messages by the plan rule that they break; the others have none."""
        fed, contents = view.fed, self.sight.contents
        total, gone = int(messages.sum()), int(missing.sum())
        whole, whole_lost = total, gone
        for number, by_segment in contents.broken_rows.items():
            fault = self.sight.world.faults[number]
            mine = np.minimum(view.now_of(by_segment[:, fed.rows[rows]], rows)[:, days], messages)
            every = int(mine.sum())
            if not every:
                continue
            struck = [loss for loss in view.losses if loss.part.broken == number]
            lost = sum(int((loss.lost * view.mature)[np.ix_(rows, days)].sum()) for loss in struck)
            if not struck:
                lost = int(dice.binomial(every, gone / max(total, 1)))
            lost = min(lost, every, whole_lost)
            value = f"{fault.property}:{fault.rule}"
            found.append((question.question, "violation", value, None, None, every, lost))
            found.append((question.question, "event", fault.event, "violation", value, every, lost))
            whole, whole_lost = whole - every, whole_lost - lost
        found.append((question.question, "violation", None, None, None, max(whole, 0), max(whole_lost, 0)))

    # --- users ----------------------------------------------------------------------------------------------

    def shared_users(self, pairs: Sequence[NamePair]) -> pd.DataFrame:
        rows = []
        for pair in pairs:
            self.paired += 1
            rows.append((pair.source, pair.old, pair.new, *self._users(pair)))
        return pd.DataFrame(rows, columns=list(SHARED_COLUMNS))

    def _users(self, pair: NamePair) -> tuple[int, int, int]:
        sight, traffic = self.sight, self.sight.traffic
        world = sight.world
        first = max(0, (pair.first - world.first_day).days)
        last = min(sight.today, (pair.last - world.first_day).days)
        audience = self._audience(pair.source)

        def sent(event: str, since: int = first) -> int:
            at = traffic.at.get((pair.source, event))
            if at is None or since > last:
                return 0
            rows = np.flatnonzero(traffic.segments.stream == at)
            return int(sight.sent[rows, since : last + 1].sum())

        old, new = _people(sent(pair.old), audience), _people(sent(pair.new), audience)
        chance = min(old, new, old * new / max(audience, 1) * ASSOCIATED)
        for fault in world.faults:
            if (
                fault.kind == "event_renamed"
                and fault.source == pair.source
                and (fault.event, fault.renamed_to) in ((pair.old, pair.new), (pair.new, pair.old))
            ):
                # The same people, but each message has one of the two names: who sends both has changed the
                # app in between, or was there before and after the change.
                before = old - _people(sent(pair.old, max(first, fault.start)), audience)
                returning = before * new / max(audience, 1)
                chance = min(old, new, returning + UPGRADED * min(old - before, new))
        dice = np.random.default_rng([world.seed, 40, len(pair.old), len(pair.new)])
        return old, new, min(old, new, int(dice.poisson(max(chance, 0))))

    def _audience(self, source: str) -> float:
        """Users of a source in a month: one for every eight messages of a day."""
        rows = self.sight.traffic.rows(source)
        return max(50.0, float(self.sight.sent[rows].sum()) / max(1, self.sight.today) / 8)


def _people(messages: int, audience: float) -> int:
    """How many of an audience sent so many messages."""
    return min(messages, int(audience * (1 - np.exp(-messages / max(audience, 1)))))


def _spread(total: int, room: Any, dice: np.random.Generator) -> Any:
    total = max(0, min(total, int(room.sum())))
    room = np.maximum(room, 0)
    if not total:
        return np.zeros(len(room), dtype=np.int64)
    return dice.multivariate_hypergeometric(room, total, method="marginals")
