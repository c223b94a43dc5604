"""The gap of each destination's day as lines that add up: which reason holds back how many messages."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any, Final

import numpy as np
import pandas as pd

from dagster_project.core.diagnosis import Diagnosis
from dagster_project.core.diagnosis.evidence import Counts, Evidence, Flags, Rows, as_date, days_of, positions
from dagster_project.core.diagnosis.finding import Finding, Key
from dagster_project.core.incidents import incident_id
from dagster_project.core.message import shown
from dagster_project.core.wording import day_words

# Column -> logical type of the warehouse. `incident_id`, `kind` and `event` say which incident a row is due to;
# they are null in rows that no incident explains.
LEDGER_COLUMNS: Final[Mapping[str, str]] = {
    "day": "date",
    "destination": "varchar",
    "line": "varchar",
    "incident_id": "varchar",
    "kind": "varchar",
    "event": "varchar",
    "messages": "bigint",
    "counts_in_gap": "boolean",
}

SENT, DELIVERED = "sent", "delivered"
STEADY, INCIDENT, UNEXPLAINED, LATE = "steady_loss", "incident", "unexplained", "late"
NOT_ROUTED, BAD_IDENTIFIER, FILTERED = "not_routed", "bad_identifier", "filtered"
# Why a message is not expected; `blocked` is a filter of the plan, and so is a reason that is not known here.
REASONS: Final = {
    "no_identifier": "no_identifier",
    "bad_identifier": BAD_IDENTIFIER,
    "consent": "consent",
    "filtered": FILTERED,
    "blocked": FILTERED,
    "not_routed": NOT_ROUTED,
}
GAP_LINES: Final = ("no_identifier", BAD_IDENTIFIER, "consent", FILTERED, LATE, STEADY, INCIDENT, UNEXPLAINED)
SURPLUS_LINES: Final = ("duplicates", "unexpected")
LINES: Final = (SENT, DELIVERED, *GAP_LINES, NOT_ROUTED, *SURPLUS_LINES)

# How far chance carries the loss of one cell above what is usual, in standard deviations of a Poisson count. A
# day's cells together are held to their usual sum; this only keeps one bad cell from hiding in quiet ones.
CHANCE: Final = 3.0
MOST_TERMS: Final = 7  # of one gap line; a destination with several incidents at once has five or six
NAME_LENGTH: Final = 40

_WORDS: Final[Mapping[str, str]] = {
    "no_identifier": "without identifier",
    BAD_IDENTIFIER: "bad identifier",
    "consent": "no consent",
    FILTERED: "filtered",
    LATE: "still due",
    STEADY: "steady loss",
    UNEXPLAINED: "unexplained",
}
_INCIDENT_WORDS: Final[Mapping[str, str]] = {
    "event_renamed": "rename",
    "event_stopped": "stop",
    "source_stopped": "silent source",
    "delivery_stopped": "stopped delivery",
    "delivery_loss": "lost deliveries",
    "name_mismatch": "wrong name",
    "export_incomplete": "incomplete export",
    "export_late": "late export",
    "timezone_shift": "shifted clock",
    "identifier_format": "refused identifiers",
    "property_violation": "broken properties",
    "unexplained": "deliveries that match nothing",
}


@dataclass(frozen=True)
class GapLine:
    """The gap of one destination on one day, in words."""

    day: date
    text: str


def ledger(evidence: Evidence, diagnosis: Diagnosis, ids: Mapping[Key, str] | None = None) -> pd.DataFrame:
    """One row a day, destination, line and incident, with LEDGER_COLUMNS; lines of 0 messages are left out.

    `sent` is all that the destination's sources sent under names it takes or that a rename took from it, and
    equals `delivered` and the rows that count in the gap. It is counted apart from them, so that a difference
    shows. `sent`, `delivered` and `unexplained` are there for every day with anything to say.

    `ids` says what the findings are called over all runs (`incidents.incident_ids`); one that is not in it has
    the name of a new incident.
    """
    findings = diagnosis.findings
    names = [(ids or {}).get(each.key) or incident_id(each.key) for each in findings]
    cells = _known(evidence, evidence.cells)
    kept = _known(evidence, evidence.not_expected)
    parts: list[pd.DataFrame] = []

    missing = _explained(evidence, cells, "missing", "missing", findings)
    parts.append(_of_cells(cells, INCIDENT, missing["cell"].to_numpy(), missing))
    parts += _rest_of_missing(cells, missing, diagnosis.usual)
    for column, difference in (("duplicates", "duplicate"), ("unexpected", "unexpected")):
        found = _explained(evidence, cells, column, difference, findings)
        parts.append(_of_cells(cells, column, found["cell"].to_numpy(), found))
        left = cells[column].to_numpy() - _per_cell(cells, found)
        parts.append(_line(cells, column, left))
    parts.append(_line(cells, LATE, cells["pending"].to_numpy()))
    parts.append(_line(cells, DELIVERED, cells["delivered"].to_numpy(), always=True))
    parts.append(_line(cells, SENT, cells["expected"].to_numpy(), always=True))

    owner = _held_back(kept, findings)
    line = kept["reason"].map(REASONS).fillna(FILTERED).to_numpy(dtype=object)
    line[owner >= 0] = INCIDENT
    messages = kept["messages"].to_numpy()
    parts.append(
        pd.DataFrame({"day": kept["day"], "destination": kept["destination"], "line": line, "rank": owner})
        .assign(messages=messages)
        .query("messages > 0")
    )
    taken = np.where(line == NOT_ROUTED, 0, messages)
    parts.append(_line(kept, SENT, taken, always=True))
    parts.append(_line(kept, DELIVERED, np.zeros(len(kept), dtype=np.int64), always=True))
    parts.append(_line(kept, UNEXPLAINED, np.zeros(len(kept), dtype=np.int64), always=True))
    return _summed(parts, names, findings)


def gap_lines(table: pd.DataFrame, evidence: Evidence) -> dict[str, GapLine]:
    """The last complete day of each destination: the day on which every cell may be judged."""
    cells = _known(evidence, evidence.cells)
    whole = cells.groupby(["destination", "day"], as_index=False, sort=True)["mature"].min()
    last = whole[whole["mature"]].groupby("destination", as_index=False, sort=True)["day"].max()
    rows = table.merge(last, on=["destination", "day"], how="inner")
    return {
        str(destination): GapLine(as_date(days_of(own)[0]), gap_line(own))
        for destination, own in rows.groupby("destination", sort=True)
    }


def told_lines(lines: Mapping[str, GapLine], today: date) -> dict[str, str]:
    """What a notice says of each destination: `email on 20 Oct: gap 6.1% = ...`."""
    return {name: f"{name} on {day_words(each.day, today)}: {each.text}" for name, each in lines.items()}


def gap_line(rows: pd.DataFrame) -> str:
    """`gap 6.1% = 4.0% steady loss + 1.6% rename of "Purchase Completed" + 0.5% unexplained`.

    Rows of one destination's ledger, of one day or several. The shares are of what was sent, and add up.
    """
    sent = int(rows.loc[rows["line"] == SENT, "messages"].sum())
    counted = rows[rows["counts_in_gap"].to_numpy(dtype=bool)]
    gap = int(counted["messages"].sum())
    if sent <= 0:
        return "nothing was sent"
    if gap <= 0:
        return "no gap"
    total = (2_000 * gap + sent) // (2 * sent)  # in tenths of a percent, rounded half up
    if total == 0:
        return f"gap below 0.1% ({gap:,} of {sent:,} messages)"
    terms: dict[str, int] = {}
    labels = map(_label, counted["line"], counted["kind"], counted["event"])
    for label, messages in zip(labels, counted["messages"].tolist(), strict=True):
        terms[label] = terms.get(label, 0) + messages
    shares = _shares(_folded(terms, sent), sent, total)
    told = " + ".join(f"{_percent(share)} {label}" for label, share in shares if share)
    return f"gap {_percent(total)} = {told}"


# ---- who accounts for what ---------------------------------------------------------------------------------


def _known(evidence: Evidence, table: pd.DataFrame) -> pd.DataFrame:
    """The rows of the days of history and of destinations that have a contract."""
    theirs = table["destination"].isin(list(evidence.destinations)).to_numpy(dtype=bool)
    inside = days_of(table) >= np.datetime64(evidence.first_day, "D")
    return table[theirs & inside].reset_index(drop=True)


def _explained(
    evidence: Evidence, cells: pd.DataFrame, column: str, difference: str, findings: Sequence[Finding]
) -> pd.DataFrame:
    """How many rows of which cell each finding accounts for: cell, rank, messages; never more than it has.

    Where the rows are known, by the links, which message_differences uses too. Where only counts are known
    there is nothing to link, and the claim on the cell stands for them.
    """
    count = cells[column].to_numpy()
    rows = _known(evidence, evidence.differences)
    rows = rows[(rows["difference"] == difference).to_numpy(dtype=bool) & (rows["messages"] > 0)]
    at_cell = pd.Series(
        np.arange(len(cells)), index=pd.MultiIndex.from_frame(cells[["destination", "day", "event"]])
    )
    keys = pd.MultiIndex.from_frame(rows[["destination", "day", "event"]])
    cell = at_cell.reindex(keys).to_numpy(dtype=np.float64)
    rows = rows[~np.isnan(cell)].assign(cell=cell[~np.isnan(cell)].astype(np.int64))
    linked = rows.assign(rank=_ranks(rows, difference, findings))
    linked = (
        linked[linked["rank"] >= 0].groupby(["cell", "rank"], as_index=False, sort=True)["messages"].sum()
    )
    # Rows and cells are counted by two models; a cell is never explained beyond what it has.
    before = (
        linked.groupby("cell", sort=False)["messages"].cumsum().to_numpy() - linked["messages"].to_numpy()
    )
    room = np.maximum(count[linked["cell"].to_numpy()] - before, 0)
    linked["messages"] = np.minimum(linked["messages"].to_numpy(), room)

    by_counts = count > 0
    by_counts[rows["cell"].to_numpy()] = False
    rank = _claimed(cells, np.flatnonzero(by_counts), difference, findings)
    hit = np.flatnonzero(rank >= 0)
    claimed = pd.DataFrame({"cell": hit, "rank": rank[hit], "messages": count[hit]})
    both = pd.concat([linked, claimed], ignore_index=True).astype(np.int64)
    found: pd.DataFrame = both[both["messages"] > 0].reset_index(drop=True)
    return found


def _ranks(rows: pd.DataFrame, difference: str, findings: Sequence[Finding]) -> Rows:
    """The first finding that links each difference row, -1 for none. A null in a link means all."""
    best = np.full(len(rows), len(findings), dtype=np.int64)
    links = [each.links.assign(rank=rank) for rank, each in enumerate(findings) if len(each.links)]
    if links and len(rows):
        every = pd.concat(links, ignore_index=True)
        every = every[every["difference"].isna() | (every["difference"] == difference)]
        shapes = every["source"].isna() * 2 + every["event"].isna()
        for shape, some in every.groupby(shapes, sort=True):
            by = ["destination", "day"]
            by += ([] if int(shape) & 2 else ["source"]) + ([] if int(shape) & 1 else ["event"])
            first = some.groupby(by, as_index=False, sort=False)["rank"].min()
            found = rows[by].merge(first, on=by, how="left")["rank"].to_numpy(dtype=np.float64)
            best = np.minimum(best, np.where(np.isnan(found), len(findings), found).astype(np.int64))
    return np.asarray(np.where(best < len(findings), best, -1), dtype=np.int64)


def _claimed(cells: pd.DataFrame, free: Rows, difference: str, findings: Sequence[Finding]) -> Rows:
    """The first finding that claims each of the free cells, -1 for none and for the other cells."""
    rank = np.full(len(cells), -1, dtype=np.int64)
    if not len(free):
        return rank
    own = cells.iloc[free]
    days = days_of(own)
    codes, names = pd.factorize(own["event"])
    code_of = {name: code for code, name in enumerate(names)}
    at_destination = positions(own, "destination")
    for number, finding in enumerate(findings):
        for claim in finding.claims:
            at = at_destination.get(claim.destination) if claim.destination is not None else None
            if at is None or difference not in claim.differences:
                continue
            inside = (days[at] >= np.datetime64(claim.first, "D")) & (
                days[at] <= np.datetime64(claim.last, "D")
            )
            if claim.event is not None:
                inside &= codes[at] == code_of.get(claim.event, -2)
            hit = free[at[inside]]
            rank[hit[rank[hit] < 0]] = number
    return rank


def _rest_of_missing(cells: pd.DataFrame, explained: pd.DataFrame, usual: pd.DataFrame) -> list[pd.DataFrame]:
    """What no incident accounts for: the part that is usual, and the rest, which nothing explains.

    Both are decided by the day, because the usual loss of a small event is a fraction of a message: summed
    up event by event it would be rounded away. An event beyond what chance can do to it keeps its excess.
    """
    told = _per_cell(cells, explained)
    free: Counts = cells["missing"].to_numpy() - told
    known = usual.drop_duplicates(["destination", "event"])[["destination", "event", "usual"]]
    keyed = cells[["destination", "event"]].merge(known, on=["destination", "event"], how="left")
    share = np.clip(np.nan_to_num(keyed["usual"].to_numpy(dtype=np.float64, na_value=0.0)), 0.0, 1.0)
    # What an incident accounts for in full has no usual loss besides.
    level = np.where((told > 0) & (free == 0), 0.0, share * cells["expected"].to_numpy())
    most = np.minimum(free, np.floor(level + CHANCE * np.sqrt(level)).astype(np.int64))
    by_day = (
        cells[["destination", "day"]]
        .assign(free=free, most=most, level=level)
        .groupby(["destination", "day"], as_index=False, sort=True)
        .sum()
    )
    steady = np.minimum(by_day["most"].to_numpy(), np.floor(by_day["level"] + 0.5).to_numpy(dtype=np.int64))
    return [
        _line(by_day, STEADY, steady),
        _line(by_day, UNEXPLAINED, by_day["free"].to_numpy() - steady, always=True),
    ]


def _held_back(kept: pd.DataFrame, findings: Sequence[Finding]) -> Rows:
    """The first finding because of which a message is not even expected, -1 for none.

    A rename takes the messages under its new name from who waits for the old one; an identifier of another
    form is why a destination refuses the message.
    """
    owner = np.full(len(kept), -1, dtype=np.int64)
    if not len(kept):
        return owner
    codes = {column: pd.factorize(kept[column]) for column in ("destination", "source", "event", "reason")}
    days = days_of(kept)

    def where(column: str, values: Sequence[str]) -> Flags:
        numbers, names = codes[column]
        return np.asarray(np.isin(numbers, np.flatnonzero(pd.Index(names).isin(list(values)))))

    for number, finding in enumerate(findings):
        if finding.kind == "event_renamed" and finding.renamed_to is not None:
            mine = where("reason", [NOT_ROUTED]) & where("event", [finding.renamed_to])
            mine &= where("destination", finding.destinations)
            # A day of room: the destination's days are not the workspace's.
            mine &= days >= np.datetime64(finding.started_on - timedelta(days=1), "D")
            if finding.ended_on is not None:
                mine &= days <= np.datetime64(finding.ended_on + timedelta(days=1), "D")
        elif finding.kind == "identifier_format":
            mine = where("reason", [BAD_IDENTIFIER])
            if finding.event is not None:
                mine &= where("event", [finding.event])
            mine &= _in_windows(kept, days, finding)
        else:
            continue
        if finding.source is not None:
            mine &= where("source", [finding.source])
        owner[mine & (owner < 0)] = number
    return owner


def _in_windows(kept: pd.DataFrame, days: Any, finding: Finding) -> Flags:
    inside = np.zeros(len(kept), dtype=bool)
    names = kept["destination"].to_numpy(dtype=object)
    for destination in {name for name, _ in finding.windows}:
        own = np.array([day for name, day in finding.windows if name == destination], dtype="datetime64[D]")
        inside |= (names == destination) & np.isin(days, own)
    return inside


# ---- rows --------------------------------------------------------------------------------------------------


def _per_cell(cells: pd.DataFrame, explained: pd.DataFrame) -> Counts:
    total = np.zeros(len(cells), dtype=np.int64)
    np.add.at(total, explained["cell"].to_numpy(), explained["messages"].to_numpy())
    return total


def _of_cells(cells: pd.DataFrame, line: str, at: Rows, found: pd.DataFrame) -> pd.DataFrame:
    own = cells.iloc[at][["day", "destination"]].reset_index(drop=True)
    return own.assign(line=line, rank=found["rank"].to_numpy(), messages=found["messages"].to_numpy())


def _line(rows: pd.DataFrame, line: str, messages: Counts, *, always: bool = False) -> pd.DataFrame:
    """A line that no incident stands for."""
    found = rows[["day", "destination"]].assign(line=line, rank=-1, messages=messages)
    return found if always else found[messages > 0]


def _summed(parts: Sequence[pd.DataFrame], names: Sequence[str], findings: Sequence[Finding]) -> pd.DataFrame:
    # Two findings may be one incident: a late export that turned out to be a stop goes on under its name.
    first = {name: rank for rank, name in reversed(list(enumerate(names)))}
    ranks = np.array([-1, *(first[name] for name in names)], dtype=np.int64)
    rows = pd.concat([part for part in parts if len(part)] or parts[:1], ignore_index=True)
    rows = rows.assign(rank=ranks[rows["rank"].to_numpy(dtype=np.int64) + 1])
    table = rows.groupby(["day", "destination", "line", "rank"], sort=False)["messages"].sum().reset_index()
    order = {line: number for number, line in enumerate(LINES)}
    table = table.assign(order=table["line"].map(order)).sort_values(
        ["day", "destination", "order", "rank"], kind="stable"
    )
    told = [(names[at], findings[at]) if at >= 0 else (None, None) for at in table["rank"].tolist()]
    return pd.DataFrame(
        {
            "day": table["day"].to_numpy(dtype="datetime64[us]"),
            "destination": table["destination"].to_numpy(dtype=object),
            "line": table["line"].to_numpy(dtype=object),
            "incident_id": pd.Series([name for name, _ in told], dtype=object),
            "kind": pd.Series([each and each.kind for _, each in told], dtype=object),
            "event": pd.Series([each and each.event for _, each in told], dtype=object),
            "messages": table["messages"].to_numpy(dtype=np.int64),
            "counts_in_gap": table["line"].isin(GAP_LINES).to_numpy(dtype=bool),
        }
    )


# ---- words -------------------------------------------------------------------------------------------------


def _label(line: str, kind: str | None, event: str | None) -> str:
    if line != INCIDENT:
        return _WORDS[line]
    words = _INCIDENT_WORDS.get(str(kind), str(kind).replace("_", " "))
    if event is None or pd.isna(event):
        return words
    name = shown(event, NAME_LENGTH)
    return f'{words} "{name}"' if kind == "name_mismatch" else f'{words} of "{name}"'


def _folded(terms: Mapping[str, int], sent: int) -> list[tuple[str, int]]:
    """The terms worth telling, largest first, what nothing explains after them, and the rest as one."""
    named = sorted(
        ((label, messages) for label, messages in terms.items() if label != _WORDS[UNEXPLAINED]),
        key=lambda term: (-term[1], term[0]),
    )
    unexplained = terms.get(_WORDS[UNEXPLAINED], 0)
    room = MOST_TERMS - bool(unexplained)
    if len(named) > room:
        room -= 1  # for the rest
    # Below half of a tenth of a percent a term of its own would read as 0.0%.
    large = [(label, messages) for label, messages in named if 2_000 * messages >= sent][:room]
    other = sum(messages for _, messages in named) - sum(messages for _, messages in large)
    last = [(_WORDS[UNEXPLAINED], unexplained), ("other", other)]
    return large + [(label, messages) for label, messages in last if messages]


def _shares(terms: Sequence[tuple[str, int]], sent: int, total: int) -> list[tuple[str, int]]:
    """Tenths of a percent that add up to the total: the largest remainders are rounded up."""
    shares = [1_000 * messages // sent for _, messages in terms]
    remainders = [1_000 * messages % sent for _, messages in terms]
    for at in sorted(range(len(terms)), key=lambda at: (-remainders[at], at))[: total - sum(shares)]:
        shares[at] += 1
    return [(label, share) for (label, _), share in zip(terms, shares, strict=True)]


def _percent(tenths: int) -> str:
    return f"{tenths // 10}.{tenths % 10}%"
