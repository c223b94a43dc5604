"""Which days a run would read and reconcile, worked out from the contract and the last run's state alone.

Pure: the clock comes in, nothing is opened. What only the landed rows can tell (a late row, a changed count) is
named as such and not guessed.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

from dagster_project.core.contracts import Workspace


@dataclass(frozen=True)
class State:
    """What the last run left behind, as far as it decides the next one's days.

    `sources` and `destinations` hold the last day that was known of each; `open_days` the days that have to be
    done again by destination ('' is the workspace): left open, not complete, or with pending messages. `begun` is
    true when a run died while it read.
    """

    sources: Mapping[str, date] = field(default_factory=dict)
    destinations: Mapping[str, date] = field(default_factory=dict)
    open_days: Mapping[str, tuple[date, ...]] = field(default_factory=dict)
    begun: bool = False
    rows: Mapping[date, int] = field(
        default_factory=dict
    )  # landed on each UTC day of receipt, when last counted


@dataclass(frozen=True)
class Span:
    """Days of one source, destination or the workspace, both ends included; null when there are none."""

    first: date | None
    last: date | None

    @property
    def days(self) -> int:
        return 0 if self.first is None or self.last is None else max((self.last - self.first).days + 1, 0)


@dataclass(frozen=True)
class Days:
    """The days of a run. Sources' days are UTC days of receipt, destinations' their own."""

    looked_at: Span  # of what is landed: counted per day, to find what is new or changed
    sources: Mapping[str, Span]  # rows that are read for certain
    exports: Mapping[str, Span]
    reconciled: Mapping[str, Span]
    known: bool  # whether a state was there
    asked: Span = Span(None, None)  # days that are read again because both ends were given


def days_of_run(
    workspace: Workspace,
    as_of: datetime,
    state: State | None,
    *,
    from_day: date | None = None,
    to_day: date | None = None,
) -> Days:
    """The days of a run as of a time (naive UTC), limited to `from_day` and `to_day` where they are given.

    Without a state everything landed since `starts_on`, and at most `lookback` days back, is taken as new.
    """
    today = as_of.date()
    back = today - timedelta(days=workspace.lookback_days)
    looked_back = min(back, from_day - timedelta(days=1)) if from_day else back
    looked_at = Span(max(looked_back, workspace.starts_on), today)
    since = looked_at.first or today

    def unread(last_known: date | None, ends: date) -> Span:
        # The last day known may have grown since, so it is read again.
        return Span(min(last_known or since, ends), ends)

    sources = {
        source.name: unread(state.sources.get(source.name) if state else None, today)
        for source in workspace.sources
    }
    zones = {each.name: each.timezone for each in workspace.destinations}
    exports = {
        name: unread(state.destinations.get(name) if state else None, local_day(as_of, zone))
        for name, zone in zones.items()
    }
    first_read = min((span.first for span in sources.values() if span.first), default=today)
    reconciled = {}
    for name, zone in {"": workspace.timezone, **zones}.items():
        # The first UTC day may begin on the evening of a local one before it.
        first = min(
            [
                local_day(datetime.combine(first_read, datetime.min.time()), zone),
                *([exports[name].first or today] if name else []),
                *((state.open_days.get(name, ())) if state else ()),
            ]
        )
        asked = from_day if from_day and to_day else None
        low = max(filter(None, [min(first, asked) if asked else first, from_day, workspace.starts_on]))
        high = min(filter(None, [local_day(as_of, zone), to_day]))
        reconciled[name] = Span(low, high) if low <= high else Span(None, None)
    asked_for = Span(from_day, to_day) if from_day and to_day else Span(None, None)
    return Days(looked_at, sources, exports, reconciled, state is not None, asked_for)


def local_day(moment: datetime, zone: str) -> date:
    """The day of a naive UTC moment on the calendar of a zone."""
    return moment.replace(tzinfo=UTC).astimezone(ZoneInfo(zone)).date()
