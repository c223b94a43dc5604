"""Whether a landed table has only grown since it was last read, so that only what is behind must be read.

DuckDB numbers the rows of a table as they are appended. Where the rows up to the last position read are those that were
there, the rows behind it are all that is new. A few of them are looked at wherever they stood. Beside that a small table
is counted up to there again, day by day; in a large one (`RunContext.grown_from`) only no row may have gone: thirty-five
days of five million rows each would cost more to count than a day to match.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, Final

import pandas as pd

from dagster_project.flow.census import CENSUS, as_day, changed_days, rows_of, take_census
from dagster_project.flow.inputs import TABLES, WORK
from dagster_project.resources.warehouse import Warehouse, WarehouseSession

# Rows at the head of each stretch that are looked at again, and how many stretches: a table that was made anew with as
# many rows is seen when one of them has changed, or another one stands before them.
_SAMPLED_ROWS: Final = 64
_STRETCHES: Final = 16


@dataclass(frozen=True)
class Grown:
    """A table that only grew: the census of its days now, those that are new or grew, and from where on."""

    census: pd.DataFrame
    days: list[date]
    after_position: int
    latest: datetime | None  # the latest time among the new rows


def positions_before(warehouse: Warehouse, kind: str) -> Mapping[str, Any]:
    """By name: how far the last run that ended had read, with the rows it counted and a sample of them."""
    rows = rows_of(warehouse.frame(f"select * from {WORK}.state_positions where kind = :kind", kind=kind))
    return {row.name: row for row in rows}


def grown(
    warehouse: Warehouse,
    kind: str,
    name: str,
    view: str,
    *,
    before: Any,
    own: pd.DataFrame,
    since: date,
    as_of: datetime,
    grown_from: int,
) -> Grown | None:
    """What is new in a table that only grew; None when it shrank, was changed, or nobody can tell.

    `before` is its row of :func:`positions_before`, `own` its rows of `state_census`; `as_of` is in the view's own
    clock. Rows from before `since` are left alone, as they are in any run.
    """
    if warehouse.dialect != "duckdb" or before is None:
        return None
    position = int(before.position)
    # A count sees neither ids nor places: of a table that was made anew other rows may stand up to the position.
    if _sample(warehouse, kind, view, position) != before.sample:
        return None
    if int(before.rows_total) >= grown_from:
        if not _holds_as_many(warehouse, view, before):
            return None
    else:
        held = take_census(
            warehouse, kind, name, view, grain="event", since=since, as_of=as_of, up_to_position=position
        )
        if held["day"].isna().any() or changed_days(held, own, since):
            return None
    added = take_census(
        warehouse, kind, name, view, grain="event", since=since, as_of=as_of, after_position=position
    )
    if added["day"].isna().any():
        return None
    time = "received_at" if kind == "source" else "event_time"
    latest = warehouse.frame(
        f"select max({time}) as latest from {view} where landed_position > :position and {time} <= cast(:as_of as timestamp)",
        position=position,
        as_of=as_of.isoformat(sep=" "),
    )["latest"].iloc[0]
    known = {as_day(row.day): row for row in rows_of(own) if as_day(row.day) >= since}
    rows = [(day, int(row.rows_seen), str(row.checksum)) for day, row in known.items()]
    new = {as_day(row.day): row for row in rows_of(added)}
    rows = [each for each in rows if each[0] not in new] + [
        (
            day,
            int(row.rows_seen) + (int(known[day].rows_seen) if day in known else 0),
            _summed(str(row.checksum), str(known[day].checksum) if day in known else None),
        )
        for day, row in new.items()
    ]
    census = pd.DataFrame(
        [(kind, name, day, count, checksum) for day, count, checksum in sorted(rows)], columns=list(CENSUS)
    )
    return Grown(
        census, sorted(new), position, None if pd.isna(latest) else pd.Timestamp(latest).to_pydatetime()
    )


def position_now(
    warehouse: Warehouse, kind: str, name: str, view: str, *, as_of: datetime
) -> dict[str, Any] | None:
    """How far this run reads, for the next one to go on from; None when it could not tell new rows from old ones.

    A row whose time is still to come was not counted and stands among those that were: then all is counted again.
    """
    if warehouse.dialect != "duckdb":
        return None
    time = "received_at" if kind == "source" else "event_time"
    seen = warehouse.frame(
        f"select (select count(*) from {view}) as total, (select max(landed_position) from {view}) as position, "
        f"(select count(*) from {view} where {time} > cast(:as_of as timestamp)) as later",
        as_of=as_of.isoformat(sep=" "),
    ).iloc[0]
    total = int(seen["total"])
    if int(seen["later"]) or (total and pd.isna(seen["position"])):
        return None
    position = int(seen["position"]) if total else -1
    return {
        "kind": kind,
        "name": name,
        "position": position,
        "rows_total": total,
        "sample": _sample(warehouse, kind, view, position),
    }


def keep_positions(
    session: WarehouseSession, kind: str, reached: Sequence[Mapping[str, Any]], unread: Sequence[str]
) -> None:
    """Note how far this run has read, for :func:`~dagster_project.flow.census.remember` to keep when it ends.

    Of those that it could not read (`unread`) nothing is known any more, should it never end: a run before it that never
    ended either may have read rows behind their positions.
    """
    table = f"{WORK}.census_positions"
    if unread:
        session.execute(
            f"delete from {WORK}.state_positions where kind = :kind and name in :names",
            kind=kind,
            names=[*unread],
        )
    session.execute(f"delete from {table} where kind = :kind", kind=kind)
    session.append(table, pd.DataFrame(list(reached), columns=list(TABLES["census_positions"])))


def _holds_as_many(warehouse: Warehouse, view: str, before: Any) -> bool:
    """Whether as many rows stand up to the position as the run that reached it has counted."""
    counted = warehouse.frame(
        f"select (select count(*) from {view}) as total, "
        f"(select count(*) from {view} where landed_position > :position) as new",
        position=int(before.position),
    ).iloc[0]
    return int(counted["total"]) - int(counted["new"]) == int(before.rows_total)


def _sample(warehouse: Warehouse, kind: str, view: str, position: int) -> str:
    """A sum over a few rows of each stretch of the table up to a position."""
    time, label = ("received_at", "event_text") if kind == "source" else ("event_time", "event_name")
    starts = sorted(
        {position * step // _STRETCHES for step in range(_STRETCHES)} | {max(position - _SAMPLED_ROWS, 0)}
    )
    # In one reading: as a union of seventeen, to plan it took 50 ms a table (2026-11-23).
    sampled = " or ".join(
        f"landed_position between {start} and {min(start + _SAMPLED_ROWS, position)}" for start in starts
    )
    sums = warehouse.frame(
        f"select cast(sum(hash({time}, {label}, message_id, landed_position) % 1000003) as varchar) as n "
        f"from {view} where {sampled}"
    )
    return str(sums["n"].iloc[0])


def _summed(one: str, other: str | None) -> str:
    """The checksum of rows of which these are the checksums of two parts: each is sums with colons between."""
    if other is None:
        return one
    return ":".join(str(int(a) + int(b)) for a, b in zip(one.split(":"), other.split(":"), strict=True))
