"""Finds what arrives in part, twice, or though nobody sent it: rates beyond what is usual for the event."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date
from typing import Any

import numpy as np

from dagster_project.core.diagnosis.contrast import Explanation, dominant, explain
from dagster_project.core.diagnosis.episodes import Episode, episodes
from dagster_project.core.diagnosis.evidence import Days, Evidence, as_date
from dagster_project.core.diagnosis.finding import Claims, Finding, cell_claims, windows_of
from dagster_project.core.diagnosis.grid import Counts, Flags, Grid
from dagster_project.core.diagnosis.rates import Rates, learn_together, score, wilson
from dagster_project.core.diagnosis.usual import DIFFERENCE_OF, rates_of
from dagster_project.core.diagnosis.witness import Contrast

WIDE_SHARE = (
    0.60  # struck together: this part of the events that could show it makes it the destination's fault
)
GROUP_EVENTS = 3  # so many events that begin together at a like rate share a cause, too
TOGETHER_DAYS, LIKE_RATE = 1, 2.0
SPREAD_ROWS, SPREAD_SCORE = 3, 3.0  # rows of the other events, and how sure they must be beside one that is
PAIR_RATE = 1.5  # two events that begin together are a company only when their rates are this close
SURE = 1.0  # an event could show a common rate when its score would be this much above what is needed
WHOLE_BATCH = 0.10  # a surplus this close to one, two, ... times the expected is a day that was counted twice
LOSS_ERROR = 0.01  # more than usual by this share holds the gate; a smaller loss is told
UNEXPLAINED_ERROR = 0.05  # a surplus of this share holds the gate; a smaller one is told
EVER_DAYS = 10  # a state that lasted so long from the first day on was no fault
# A part of so many messages was to be seen at an event, and less than this share of it was: it was spared.
SPARED_ROWS, SPARED_SHARE = 8, 0.25
FRESH_DAYS = 2  # a suspicion needs new days to be confirmed, so only the newest may raise one
CONTRAST_DAYS = 14  # the newest days of a loss say enough about what it hits
PURE = 0.8  # of the rejected group must be missing, and of what is missing be in it, to be a rejection
ODD_SHAPES = ("email", "integer", "empty", "other", "uuid")


@dataclass(frozen=True)
class _Family:
    kind: str
    column: str  # of the cells
    error_share: float  # more than usual by this share is an error, less a warning
    suspects: bool = False


@dataclass(frozen=True, eq=False)
class _Hit:
    """One event of a destination and one stretch on which it was struck."""

    row: int
    episode: Episode
    excess: float  # of the messages that would have arrived, the part that was lost besides the usual


def delivery_loss(evidence: Evidence, claims: Claims) -> list[Finding]:
    """A part of what was expected is missing, more than is usual for the event."""
    rates = rates_of(evidence, claims, "missing")
    return _contrasted(
        evidence, _findings(evidence, _Family("delivery_loss", "missing", LOSS_ERROR, suspects=True), rates)
    )


def duplicate_delivery(evidence: Evidence, claims: Claims) -> list[Finding]:
    """A destination holds messages twice, more than is usual for the event."""
    family = _Family("duplicate_delivery", "duplicates", 0.0)
    found = _findings(evidence, family, rates_of(evidence, claims, "duplicates"))
    surplus = rates_of(evidence, claims, "unexpected")
    batches = _counted_twice(evidence.grid, evidence) & surplus.usable
    if batches.any():
        found += _findings(
            evidence, _Family("duplicate_delivery", "unexpected", 0.0), surplus, batches & surplus.beyond
        )
    return found


def unexplained(evidence: Evidence, claims: Claims) -> list[Finding]:
    """A destination holds more than was sent, and no other finding accounts for it."""
    return _findings(
        evidence,
        _Family("unexplained", "unexpected", UNEXPLAINED_ERROR),
        rates_of(evidence, claims, "unexpected"),
    )


def _counted_twice(grid: Grid, evidence: Evidence) -> Flags:
    """Where only counts are known, a whole multiple of the expected is a batch that was loaded again."""
    times = grid.unexpected / np.maximum(grid.expected, 1)
    whole = (np.rint(times) >= 1) & (np.abs(times - np.rint(times)) <= WHOLE_BATCH)
    by_counts = grid.dense((evidence.judged["matched_by"] == "counts").to_numpy(dtype=bool), False)
    # Three messages for one are no batch; the day as a whole says it for the small events.
    return np.asarray(by_counts & (grid.expected >= 5) & whole)


# --- what was struck --------------------------------------------------------------------------------------


def _findings(evidence: Evidence, family: _Family, rates: Rates, only: Flags | None = None) -> list[Finding]:
    """Everything that is beyond its limit, top-down: the destination, companies of events, single events.

    With `only`, nothing but these cells may begin a finding.
    """
    grid = evidence.grid
    flagged = rates.beyond if only is None else only
    together = learn_together(grid, rates) if only is None else None
    findings: list[Finding] = []
    for at, (_, rows) in enumerate(grid.destinations()):
        hits = _hits(rates, rows, flagged)
        whole, rest = _whole(rates, rows, hits)
        rest = [hit for hit in rest if not _spread(rates, rows, hit, whole)]
        if together is not None:
            # What is left may be too thin for each event, and still show on the destination as a whole.
            left = ~_cells_of(grid, rest)[rows] & ~whole
            thin = together.beyond(at, rows, left)
            if thin.any():
                whole = whole | _span(rates, rows, thin)
                rest = [hit for hit in rest if not whole[hit.episode.days].all()]
        # What makes an incident of its own, over all the stretches on which it was struck.
        shared = np.zeros(grid.shape, dtype=bool)
        alone: dict[int, Flags] = {}
        all_of_it = whole
        if whole.any():
            struck = _not_spared(rates, rows, whole)
            bad = whole & ~_good_between(rates, struck, whole)
            shared[struck] = bad
            all_of_it = bad & (len(struck) == len(rows))
        for group in _groups(rest):
            if _company(group):
                days = np.zeros(grid.shape[1], dtype=bool)
                for hit in group:
                    hit.episode.mark(days)
                shared[sorted({hit.row for hit in group})] |= days
            else:
                for hit in group:
                    hit.episode.mark(alone.setdefault(hit.row, np.zeros(grid.shape, dtype=bool))[hit.row])
        if shared.any():
            findings.append(_finding(evidence, family, rates, rows, shared, all_of_it=all_of_it))
        for row, cells in sorted(alone.items()):
            findings.append(_finding(evidence, family, rates, np.array([row]), cells, str(grid.event[row])))
    if family.suspects:
        findings += _suspicions(evidence, family, rates, flagged, findings)
    return findings


def _hits(rates: Rates, rows: Counts, flagged: Flags) -> list[_Hit]:
    hits = []
    for row in rows[flagged[rows].any(axis=1)]:
        usual, rho = float(rates.usual[row]), float(rates.rho[row])
        for episode in episodes(
            rates.count[row], rates.base[row], rates.usable[row], flagged[row], usual, rho
        ):
            hits.append(_Hit(int(row), episode, (episode.rate - usual) / max(1e-9, 1 - min(usual, 0.99))))
    return hits


def _whole(rates: Rates, rows: Counts, hits: Sequence[_Hit]) -> tuple[Flags, list[_Hit]]:
    """The days on which a destination as a whole is struck, and the hits that stand for themselves."""
    whole = np.zeros(rates.usable.shape[1], dtype=bool)
    rest: list[_Hit] = []
    for group in _groups(hits):
        struck = {hit.row for hit in group}
        days = np.zeros(rates.usable.shape[1], dtype=bool)
        for hit in group:
            days[hit.episode.days] = True
        excess = float(np.median([hit.excess for hit in group]))
        could = _could(rates, rows, days, excess) | np.isin(rows, list(struck))
        if len(struck) > 1 and len(struck) >= WIDE_SHARE * could.sum():
            whole |= _span(rates, rows, days)
        else:
            rest += group
    return whole, rest


def _spread(rates: Rates, rows: Counts, hit: _Hit, whole: Flags) -> bool:
    """Whether the other events, too small to say so themselves, fared like this one together; then it is all.

    Adds the days to `whole`.
    """
    others = rows[rows != hit.row]
    days = hit.episode.days
    usable = rates.usable[others][:, days]
    base = np.where(usable, rates.base[others][:, days], 0)
    count = np.where(usable, rates.count[others][:, days], 0)
    k, n = float(count.sum()), float(base.sum())
    if k < SPREAD_ROWS or n <= 0:
        return False
    usual = float((base * rates.usual[others][:, None]).sum()) / n
    rho = float(np.median(rates.rho[others]))
    excess = (k / n - usual) / max(1e-9, 1 - min(usual, 0.99))
    low, high = sorted((max(excess, 1e-4), max(hit.excess, 1e-4)))
    sure = float(score(np.array([k]), np.array([n]), np.array([usual]), np.array([rho]))[0]) >= SPREAD_SCORE
    if not sure or high > LIKE_RATE * low:
        return False
    struck = np.zeros(len(whole), dtype=bool)
    struck[days] = True
    whole |= _span(rates, rows, struck)
    return True


def _not_spared(rates: Rates, rows: Counts, days: Flags) -> Counts:
    """Of the events of a destination that is struck as a whole, those that had a part in it or were too small to."""
    usable = rates.usable[rows][:, days]
    base = np.where(usable, rates.base[rows][:, days], 0).sum(axis=1)
    count = np.where(usable, rates.count[rows][:, days], 0).sum(axis=1)
    part = base * (count.sum() / max(1, base.sum()))
    return np.asarray(rows[(part < SPARED_ROWS) | (count >= SPARED_SHARE * part)])


def _groups(hits: Sequence[_Hit]) -> list[list[_Hit]]:
    """Hits that begin together at a like rate, the largest such company first; each hit once."""
    left = sorted(hits, key=lambda hit: (hit.episode.first, hit.row))
    groups: list[list[_Hit]] = []
    while left:
        best: list[_Hit] = []
        for seed in left:
            mates = [hit for hit in left if _alike(seed, hit)]
            if len({hit.row for hit in mates}) > len({hit.row for hit in best}):
                best = mates
        groups.append(best)
        left = [hit for hit in left if hit not in best]
    return groups


def _company(group: Sequence[_Hit]) -> bool:
    """Whether events that begin together share a cause: three and more do, two when they lose the same part."""
    struck = {hit.row for hit in group}
    rates = [max(hit.excess, 1e-4) for hit in group]
    return len(struck) >= GROUP_EVENTS or (len(struck) == 2 and max(rates) <= PAIR_RATE * min(rates))


def _alike(one: _Hit, other: _Hit) -> bool:
    low, high = sorted((max(one.excess, 1e-4), max(other.excess, 1e-4)))
    near_end = abs(one.episode.last - other.episode.last) <= 2 * TOGETHER_DAYS
    return (
        abs(one.episode.first - other.episode.first) <= TOGETHER_DAYS
        and (near_end or not (one.episode.ended or other.episode.ended))
        and high <= LIKE_RATE * low
    )


def _could(rates: Rates, rows: Counts, days: Flags, excess: float) -> Flags:
    """The events on which a common rate would have shown: the others have no say."""
    base = np.where(rates.usable[rows], rates.base[rows], 0)[:, days].sum(axis=1).astype(np.float64)
    usual, rho = rates.usual[rows], rates.rho[rows]
    struck = base * (usual + excess * (1 - usual))
    # Over several days the spread between days averages out.
    scores = score(struck, base, usual, rho / max(1, int(days.sum())))
    enough = struck - base * usual >= 5
    return np.asarray((scores >= rates.needed + SURE) & enough)


def _span(rates: Rates, rows: Counts, flagged: Flags) -> Flags:
    """The days of the destination's own stretch around the flagged ones, over all its events together."""
    days = np.zeros(len(flagged), dtype=bool)
    for episode in _together(rates, rows, flagged):
        days[episode.days] = True
    return np.asarray(days & (rates.usable[rows] & (rates.base[rows] > 0)).any(axis=0))


def _good_between(rates: Rates, rows: Counts, flagged: Flags) -> Flags:
    """The days between two bad stretches on which these events together fared well, beyond chance."""
    good = np.zeros(len(flagged), dtype=bool)
    for episode in _together(rates, rows, flagged):
        bad = np.zeros(len(flagged), dtype=bool)
        episode.mark(bad)
        good[episode.days] |= ~bad[episode.days]
    return good


def _together(rates: Rates, rows: Counts, flagged: Flags) -> list[Episode]:
    usable = rates.usable[rows]
    count = np.where(usable, rates.count[rows], 0).sum(axis=0)
    base = np.where(usable, rates.base[rows], 0).sum(axis=0)
    usual = np.where(usable, rates.base[rows] * rates.usual[rows][:, None], 0).sum() / max(1, base.sum())
    return episodes(count, base, base > 0, flagged, float(usual), float(np.median(rates.rho[rows])))


def _cells_of(grid: Grid, hits: Sequence[_Hit]) -> Flags:
    taken = np.zeros(grid.shape, dtype=bool)
    for hit in hits:
        taken[hit.row, hit.episode.days] = True
    return taken


# --- what is told -----------------------------------------------------------------------------------------


def _finding(
    evidence: Evidence,
    family: _Family,
    rates: Rates,
    rows: Counts,
    cells: Flags,
    event: str | None = None,
    *,
    all_of_it: Flags | None = None,
) -> Finding:
    """One finding over some cells of the grid, in `rows`: of one event, or of some or all of its destination's.

    On the days `all_of_it` it accounts for every event, struck or not.
    """
    grid = evidence.grid
    destination = str(grid.destination[rows[0]])
    there = rows
    rows = rows[cells[rows].any(axis=1)]
    usable = rates.usable[rows] & cells[rows]
    struck = usable & (rates.count[rows] > 0)
    hit_days: Flags = np.asarray(struck.any(axis=0))
    count, base = np.where(usable, rates.count[rows], 0), np.where(usable, rates.base[rows], 0)
    affected, expected = int(count.sum()), int(base.sum())
    when = grid.days[hit_days]
    share = affected / expected if expected else None
    in_windows = int(np.where(rates.usable[there], rates.count[there], 0)[:, hit_days].sum())
    difference = DIFFERENCE_OF[family.column]
    wholly = hit_days & (all_of_it if all_of_it is not None else np.zeros_like(hit_days))
    claims = cell_claims(destination, None, grid.days[wholly], {difference}) if wholly.any() else ()
    claims += tuple(
        claim
        for at, row in enumerate(rows)
        for claim in cell_claims(
            destination, str(grid.event[row]), grid.days[struck[at] & ~wholly], {difference}
        )
    )
    usual = float((rates.usual[rows][:, None] * base).sum() / max(1, expected))
    low, high = wilson(min(affected, expected), expected)
    details: dict[str, Any] = {
        "expected": expected,
        "share": round(share, 4) if share is not None else None,
        "share_is_between": [round(low, 4), round(high, 4)],
        "usual_share": round(usual, 4),
        "days": [as_date(day).isoformat() for day in when][:40],
        "matched_by": _matched_by(evidence, destination),
    }
    if event is None:
        worst = np.argsort(-count.sum(axis=1), kind="stable")
        details["events"] = {
            str(grid.event[rows[at]]): {
                "messages": int(count[at].sum()),
                "share": round(float(count[at].sum() / max(1, base[at].sum())), 4),
            }
            for at in worst[:40]
            if count[at].sum()
        }
        sent = rates.usable[there] & (rates.base[there] > 0) & hit_days
        details["events_struck"] = int((base.sum(axis=1) > 0).sum())
        details["events_expected"] = int(sent.any(axis=1).sum())
    spells = _spells(when, rates, rows, cells, grid)
    if len(spells) > 1:
        details["spells"] = [
            [as_date(first).isoformat(), as_date(last).isoformat()] for first, last in spells
        ]
    ended = _ended(rates, rows, hit_days, grid)
    severity = "error" if share is None or share - usual >= family.error_share else "warning"
    if ended is not None and _since_ever(rates, rows, hit_days):
        # It was so as long as anybody knows, and is better now: worth keeping, not worth an alarm.
        severity = "info"
    return Finding(
        kind=family.kind,
        severity=severity,
        event=event,
        destinations=(destination,),
        started_on=as_date(when[0]),
        ended_on=ended,
        messages_affected=affected,
        windows=windows_of([destination], when),
        claims=claims,
        share_explained=round(affected / in_windows, 4) if in_windows else None,
        evidence=details,
    )


def _spells(
    when: Days, rates: Rates, rows: Counts, cells: Flags, grid: Grid
) -> list[tuple[np.datetime64, np.datetime64]]:
    """The stretches of days, where a day on which these events were expected and fared well lies between.

    A day within a stretch on which chance spared them all is no such day.
    """
    expected = (rates.usable[rows] & (rates.base[rows] > 0)).any(axis=0)
    good = grid.days[expected & ~cells[rows].any(axis=0)]
    found: list[tuple[np.datetime64, np.datetime64]] = []
    for day in when:
        if found and not ((good > found[-1][1]) & (good < day)).any():
            found[-1] = (found[-1][0], day)
        else:
            found.append((day, day))
    return found


def _since_ever(rates: Rates, rows: Counts, days: Flags) -> bool:
    """Whether it began with the history of these events and lasted."""
    known = np.flatnonzero((rates.usable[rows] & (rates.base[rows] > 1)).any(axis=0))
    hit = np.flatnonzero(days)
    return bool(len(known)) and hit[0] <= known[0] + 1 and hit[-1] - hit[0] >= EVER_DAYS


def _matched_by(evidence: Evidence, destination: str) -> list[str]:
    cells = evidence.judged
    return sorted(set(cells.loc[cells["destination"] == destination, "matched_by"].dropna()))


def _ended(rates: Rates, rows: Counts, days: Flags, grid: Grid) -> date | None:
    """The last day struck, when the messages since then have come without the fault; else it goes on."""
    last = int(np.flatnonzero(days)[-1])
    judged: Flags = np.asarray((rates.usable[rows] & (rates.base[rows] > 0)).any(axis=0))
    ended = [each.ended for each in _together(rates, rows, days) if each.last >= last]
    # Days after it of which nothing may be judged yet prove nothing.
    return as_date(grid.days[last]) if (not ended and bool(judged[last + 1 :].any())) or any(ended) else None


def _suspicions(
    evidence: Evidence, family: _Family, rates: Rates, flagged: Flags, told: Sequence[Finding]
) -> list[Finding]:
    """Events that stand out on their newest days without being beyond doubt."""
    grid = evidence.grid
    fresh = np.zeros(grid.shape, dtype=bool)
    fresh[:, -FRESH_DAYS:] = True
    doubtful = rates.suspected & fresh & ~flagged
    known = {(each.destinations[0], each.event) for each in told}
    whole = {each.destinations[0] for each in told if each.event is None}
    found = []
    for row in np.flatnonzero(doubtful.any(axis=1)):
        place = (str(grid.destination[row]), str(grid.event[row]))
        if place not in known and place[0] not in whole:
            finding = _finding(evidence, family, rates, np.array([row]), doubtful, place[1])
            found.append(replace(finding, suspected=True, claims=()))
    return found


# --- what is it about the missing ones? -------------------------------------------------------------------


def _contrasted(evidence: Evidence, findings: list[Finding]) -> list[Finding]:
    """Asks the rows what the missing messages have in common, and says it, or that nothing explains them."""
    asked: dict[str, int] = {}
    questions = []
    for at, finding in enumerate(findings):
        if "counts" in finding.evidence["matched_by"] or finding.suspected:
            continue
        whole = finding.event is None and all(claim.event is None for claim in finding.claims)
        events = (
            (finding.event,)
            if finding.event is not None
            else ()
            if whole
            else tuple(sorted({str(claim.event) for claim in finding.claims}))
        )
        name = f"loss_{at}"
        asked[name] = at
        questions.append(
            Contrast(name, finding.destinations[0], events, tuple(finding.days[-CONTRAST_DAYS:]))
        )
    if not questions:
        return findings
    answers = evidence.witness.contrast(questions)
    told = list(findings)
    for name, at in asked.items():
        answer = answers[answers["question"] == name]
        if answer.empty:
            continue
        finding = findings[at]
        explanation = explain(answer, float(finding.evidence["usual_share"] or 0.0))
        told[at] = _named(evidence, finding, explanation, dominant(answer, "source"))
    return told


def _named(evidence: Evidence, finding: Finding, explanation: Explanation, sender: str | None) -> Finding:
    """The finding with what explains it; a rejection of malformed messages becomes an incident of its own kind."""
    details = dict(finding.evidence) | {"contrast": dict(explanation.as_evidence())}
    share = finding.share_explained
    best = explanation.best
    if best is None:
        return replace(finding, evidence=details)
    share = round(best.support, 4)
    # Nearly all of the group is missing, and nearly all that is missing belongs to it.
    rejected = best.rate >= PURE and best.support >= PURE
    event = best.value("event") or finding.event
    if rejected and best.value("violation"):
        broken, _, rule = str(best.value("violation")).rpartition(":")
        source = best.value("source") or sender
        return replace(
            finding,
            kind="property_violation",
            source=source,
            event=event,
            property=broken,
            share_explained=share,
            evidence=details
            | {
                "rejected_by": list(finding.destinations),
                "share": finding.evidence["share"],
                "messages_by_rule": {rule: best.missing},
                "messages_of_event": int(finding.evidence["expected"]),
            },
        )
    if rejected and best.value("user_shape") in ODD_SHAPES:
        return replace(
            finding,
            kind="identifier_format",
            source=best.value("source") or sender,
            event=event,
            identifier="user_id",
            share_explained=share,
            evidence=details
            | {
                "rejected_by": list(finding.destinations),
                "shapes": {str(best.value("user_shape")): best.missing},
                "messages_by_destination": {finding.destinations[0]: finding.messages_affected},
            },
        )
    return replace(finding, share_explained=share, evidence=details)
