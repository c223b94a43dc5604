"""What a run sends to Snowflake: every statement recorded, the tables it scans, and the days it is bounded to.

Snowflake skips a micro-partition at compile time when a constant bound shows that no row of it can match. So a
statement is only called bounded here when a literal stands beside the table's own day or time, below and above:
a join to a small table of days prunes at run time at best, and nothing promises it.
"""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any, Final

import sqlglot
from sqlglot import exp

# Columns by which a table of ours or a landed one is laid out in days.
CLOCKS: Final = frozenset(
    {"received_at", "received_day", "event_day", "day", "event_time", "timestamp", "sent_at", "slot"}
)
# The bounds of what can match no row: later than any day and earlier than any.
_NO_DAY: Final = (date.max, date.min)
_NODE: Final = re.compile(r'"node_id": "model\.\w+\.(\w+)"')
_READS: Final = re.compile(
    r"\s*(/\*.*?\*/\s*)*\(?\s*(select|with|insert|create|delete|merge|update)\b", re.I | re.S
)
_WRITES: Final = (exp.Insert, exp.Create, exp.Delete, exp.Merge, exp.Update)


@dataclass(frozen=True)
class Scan:
    """One reading of one table: from the first to the last day that it is bounded to; null where it is not."""

    table: str  # schema.table, lower-case
    first: date | None
    last: date | None

    @property
    def bounded(self) -> bool:
        return self.first is not None and self.last is not None

    def within(self, outer: Scan) -> Scan:
        """This reading when what comes out of it is bounded once more."""
        firsts = [day for day in (self.first, outer.first) if day is not None]
        lasts = [day for day in (self.last, outer.last) if day is not None]
        return Scan(self.table, max(firsts, default=None), min(lasts, default=None))

    @property
    def days(self) -> int | None:
        """How many days lie in the bounds; null when there are none."""
        return None if self.first is None or self.last is None else max((self.last - self.first).days + 1, 0)


@dataclass
class Sent:
    """A statement as the driver sent it, values and all."""

    sql: str
    stage: str
    rows: int = 0  # inserted, deleted or updated, where the server tells
    tag: str | None = None

    @property
    def model(self) -> str | None:
        """The dbt model that sent it; null for Python's own."""
        found = _NODE.search(self.sql)
        return found.group(1) if found else None

    @property
    def by_dbt(self) -> bool:
        return '"app": "dbt"' in self.sql

    @property
    def housekeeping(self) -> bool:
        """Whether the driver sent it for itself: the look at a connection before it is used, and its end."""
        return self.sql.strip().lower() in ("select 1", "rollback", "commit", "begin")


class Recorder:
    """Statements in the order in which the driver sent them; `stage` names those to come."""

    def __init__(self) -> None:
        self.sent: list[Sent] = []
        self.stage = ""
        self._lock = threading.Lock()

    def begin(self, stage: str) -> None:
        self.stage = stage

    def keep(self, sent: Sent) -> None:
        with self._lock:
            self.sent.append(sent)


@contextmanager
def recorded() -> Iterator[Recorder]:
    """Record what this process sends to Snowflake (dbt's statements and ours use one driver)."""
    from snowflake.connector.connection import SnowflakeConnection

    recorder = Recorder()
    before = SnowflakeConnection.cmd_query

    def cmd_query(self: Any, sql: str, *arguments: Any, **named: Any) -> Any:
        # A tag of the statement's own wins over its session's.
        parameters = {**(self._session_parameters or {}), **(named.get("statement_params") or {})}
        sent = Sent(sql, recorder.stage, tag=parameters.get("QUERY_TAG"))
        recorder.keep(sent)
        answer = before(self, sql, *arguments, **named)
        sent.rows = _rows(sql, answer)
        return answer

    SnowflakeConnection.cmd_query = cmd_query
    try:
        yield recorder
    finally:
        SnowflakeConnection.cmd_query = before


def _rows(sql: str, answer: Mapping[str, Any]) -> int:
    """The rows that a statement changed, of the driver's answer; a created table tells none."""
    if not re.match(r"\s*(insert|delete|update|merge)\b", sql, re.IGNORECASE):
        return 0
    rowset = (answer.get("data") or {}).get("rowset") or []
    try:
        return sum(int(value) for value in rowset[0] if value is not None) if rowset else 0
    except (TypeError, ValueError):
        return 0


def scans_of_run(sent: Iterable[Sent], watched: Callable[[str], bool]) -> Iterator[tuple[Sent, list[Scan]]]:
    """Each statement with its readings of watched tables, those by way of a view that an earlier one made included."""
    views: dict[str, list[Scan]] = {}
    for each in sent:
        yield each, scans_of(each.sql, watched, views)


def scans_of(
    sql: str, watched: Callable[[str], bool], views: dict[str, list[Scan]] | None = None
) -> list[Scan]:
    """The readings of watched tables in one Snowflake statement; none for a definition that reads no rows.

    `views` knows what each view reads and learns the one that this statement makes. Bounds within a view and
    beside it both count.
    """
    if not _READS.match(sql):
        return []
    views = {} if views is None else views
    statement = sqlglot.parse_one(sql, read="snowflake")
    if not isinstance(statement, (exp.Query, *_WRITES)):
        return []
    target = _target(statement)
    found = []
    for table in statement.find_all(exp.Table):
        name = f"{table.db}.{table.name}".lower()
        if table is target:
            continue
        if name in views:
            outer = Scan(name, *_bounds(table))
            found += [inner.within(outer) for inner in views[name]]
        elif watched(name):
            found.append(Scan(name, *_bounds(table)))
    if isinstance(statement, exp.Create) and statement.kind == "VIEW" and isinstance(target, exp.Table):
        views[f"{target.db}.{target.name}".lower()] = found
        return []
    return found


def _target(statement: exp.Expr) -> exp.Expr | None:
    """The table that is written and not read: an insert's or a creation's, never that of a delete."""
    if not isinstance(statement, (exp.Insert, exp.Create)):
        return None
    this: exp.Expr = statement.this
    return this.find(exp.Table) if isinstance(this, exp.Schema) else this


def _bounds(table: exp.Table) -> tuple[date | None, date | None]:
    """The days between which the rows of this reading must lie, by the literals beside it."""
    reader = table.find_ancestor(exp.Select, exp.Delete, exp.Update, exp.Merge)
    if reader is None:
        return None, None
    conditions: list[exp.Expr] = []
    where = reader.args.get("where")
    if where is not None:
        conditions.append(where.this)
    for join in reader.args.get("joins") or []:
        if join.args.get("on") is not None and _narrows(join, table):
            conditions.append(join.args["on"])
    names = {table.alias_or_name.lower()}
    alone = not (reader.args.get("joins") or [])
    first, last = None, None
    for condition in conditions:
        low, high = _of_condition(condition, names, alone)
        first = low if first is None else max(first, low or first)
        last = high if last is None else min(last, high or last)
    return first, last


def _narrows(join: exp.Join, table: exp.Table) -> bool:
    """Whether a join's condition leaves rows of the table out: always in an inner one, else on its far side."""
    side = (join.side or "").upper()
    return not side or (side == "LEFT" and join.this is table)


def _of_condition(condition: exp.Expr, names: set[str], alone: bool) -> tuple[date | None, date | None]:
    condition = condition.unnest()
    if isinstance(condition, exp.And):
        sides = [_of_condition(side, names, alone) for side in (condition.left, condition.right)]
        lows = [low for low, _ in sides if low is not None]
        highs = [high for _, high in sides if high is not None]
        return max(lows, default=None), min(highs, default=None)
    if isinstance(condition, exp.Or):
        sides = [
            _of_condition(side, names, alone)
            for side in (condition.left, condition.right)
            # Partitions that hold no null of a column are left out as well: they keep its number of nulls.
            if not (isinstance(side.unnest(), exp.Is) and _clock(side.unnest().this, names, alone))
        ]
        if not sides or any(None in side for side in sides):
            return None, None
        return min(low for low, _ in sides if low), max(high for _, high in sides if high)
    if condition.sql() == "1 = 0":
        return _NO_DAY
    if isinstance(condition, exp.Between):
        if _clock(condition.this, names, alone):
            return _day(condition.args["low"]), _day(condition.args["high"])
    elif isinstance(condition, exp.In):
        days = [_day(each) for each in condition.expressions]
        if _clock(condition.this, names, alone) and days and None not in days:
            known = [day for day in days if day is not None]
            return min(known), max(known)
    elif isinstance(condition, (exp.EQ, exp.GT, exp.GTE, exp.LT, exp.LTE)):
        return _of_comparison(condition, names, alone)
    return None, None


def _of_comparison(
    condition: exp.EQ | exp.GT | exp.GTE | exp.LT | exp.LTE, names: set[str], alone: bool
) -> tuple[date | None, date | None]:
    left, right = condition.left, condition.right
    kind: type[exp.Binary] = type(condition)
    if _day(left) is not None:
        turned: dict[type[exp.Binary], type[exp.Binary]] = {
            exp.GT: exp.LT,
            exp.GTE: exp.LTE,
            exp.LT: exp.GT,
            exp.LTE: exp.GTE,
            exp.EQ: exp.EQ,
        }
        left, right, kind = right, left, turned[kind]
    day = _day(right)
    if day is None or not _clock(left, names, alone):
        return None, None
    if kind is exp.EQ:
        return day, day
    if kind in (exp.GT, exp.GTE):
        return day, None
    # Before midnight of a day is the day before it.
    midnight = _moment(right)
    exclusive = kind is exp.LT and midnight is not None and midnight.time() == datetime.min.time()
    return None, day - timedelta(days=1) if exclusive else day


def _clock(side: exp.Expr, names: set[str], alone: bool) -> bool:
    """Whether this is a day or a time of the table itself, cast or not."""
    columns = list(side.find_all(exp.Column))
    if len(columns) != 1 or side.find(exp.Select):
        return False
    column = columns[0]
    return column.name.lower() in CLOCKS and (column.table.lower() in names or (alone and not column.table))


def _day(side: exp.Expr) -> date | None:
    moment = _moment(side)
    return None if moment is None else moment.date()


def _moment(side: exp.Expr) -> datetime | None:
    """The value of a literal day or time, cast or moved by days; null for anything that is none."""
    side = side.unnest()
    if isinstance(side, (exp.Cast, exp.TryCast, exp.TsOrDsToDate, exp.Date)):
        return _moment(side.this)
    if isinstance(side, (exp.DateAdd, exp.TimestampAdd, exp.TsOrDsAdd)):
        base, unit = _moment(side.this), f"{str(side.args.get('unit') or 'day').lower().strip(chr(39))}s"
        try:
            steps = int(side.expression.sql().strip("'() "))
            return None if base is None else base + timedelta(**{unit: steps})
        except (TypeError, ValueError):
            return None
    if isinstance(side, exp.Literal) and side.is_string:
        try:
            return datetime.fromisoformat(side.this)
        except ValueError:
            return None
    return None


def tag_of(text: str | None) -> dict[str, str]:
    """A query tag of ours as its parts; empty for any other."""
    try:
        return dict(json.loads(text)) if text else {}
    except ValueError:
        return {}
