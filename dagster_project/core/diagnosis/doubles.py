"""Finds sources that send each message twice under different ids, told apart from real growth by twin messages."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import bdtrc

from dagster_project.core.diagnosis.evidence import Counts, Evidence, Flags, SourceHistory, as_date, positions
from dagster_project.core.diagnosis.finding import Claim, Claims, Finding, windows_of
from dagster_project.core.diagnosis.forecast import LOW, SILENT, Numbers, forecast

WEEK = 7
RISE = 0.10  # of the messages have a twin, above the usual: people click twice, programs send twice
EVERY = 0.45  # nearly every message twice: nobody does so from the first day on and means it
LEAST = 5  # twins above the usual on a day
CHANCE = 1e-6
BASELINE_DAYS, BASELINE_LEAST = 28, 4  # days that make the usual share
AGREES = 0.35  # what is left without the twins lies so near (log) to what was due
LIVE = 20  # messages a day that make a name count for "the whole source"
WHOLE = 0.60  # of a source's live names double at once: it is the source


@dataclass(frozen=True, eq=False)
class _Doubling:
    """A name whose messages have twins from one day to another."""

    row: int
    run: slice
    share: float
    baseline: float | None
    excess: Counts  # twins above the usual, by day of the run


def duplicate_events(evidence: Evidence, claims: Claims) -> list[Finding]:
    """A source sends the same message several times: each has its own id, so no destination drops it."""
    findings: list[Finding] = []
    rows_of = positions(evidence.twins, "source")
    for source, history in evidence.sources.items():
        if source not in rows_of or not len(history.days):
            continue
        twins = _grid(evidence, history, rows_of[source])
        found = [
            each for at in np.flatnonzero(twins.any(axis=1)).tolist() for each in _of(history, twins, at)
        ]
        findings += _told(evidence, claims, history, found)
    return findings


def _grid(evidence: Evidence, history: SourceHistory, rows: NDArray[np.int64]) -> Counts:
    frame = evidence.twins.iloc[rows]
    at = frame["event_text"].map(history.row).to_numpy(dtype=np.float64)
    day = (frame["day"].to_numpy(dtype="datetime64[D]") - history.days[0]).astype(np.int64)
    inside = np.isfinite(at) & (day >= 0) & (day < len(history.days))
    grid = np.zeros_like(history.counts)
    np.add.at(grid, (at[inside].astype(np.int64), day[inside]), frame["messages"].to_numpy()[inside])
    return np.minimum(grid, history.counts)


def _of(history: SourceHistory, twins: Counts, at: int) -> list[_Doubling]:
    """The latest doubling of a name, if there is one."""
    odd, usual = _odd_days(history.counts[at], twins[at])
    runs = _runs(odd, history.counts[at] >= LEAST)
    if not runs:
        return []
    run = runs[-1]
    started = run.start
    baseline = None if np.isnan(usual[started]) else float(usual[started])
    due = np.nan_to_num(np.where(np.isnan(usual[run]), 0.0, usual[run])) * history.counts[at, run]
    excess = np.maximum(np.rint(twins[at, run] - due), 0).astype(np.int64)
    share = float(twins[at, run].sum() / max(1, history.counts[at, run].sum()))
    if baseline is not None and share < EVERY and not _agrees(history, twins, at, run, excess):
        return []
    return [_Doubling(at, run, share, baseline, excess)]


def _odd_days(messages: Counts, twins: Counts) -> tuple[Flags, Numbers]:
    """Days with more twins than the name's own usual share explains, and that share before each day."""
    odd = np.zeros(len(messages), dtype=bool)
    usual = np.full(len(messages), np.nan)
    before: list[tuple[int, int]] = []
    for day, (n, k) in enumerate(zip(messages.tolist(), twins.tolist(), strict=True)):
        share = None
        if len(before) >= BASELINE_LEAST:
            recent = before[-BASELINE_DAYS:]
            pooled = sum(each[1] for each in recent) / max(1, sum(each[0] for each in recent))
            # The median day, that a day of many double clicks does not count; pooled, where days are small.
            share = pooled if min(each[0] for each in recent) < LIVE else _median_share(recent)
            usual[day] = share
        if n < LEAST:
            continue
        least = EVERY if share is None else share + RISE
        beyond = k - n * (share or 0.0)
        chance = float(bdtrc(max(k - 1, 0), n, min(0.9, max(share or 0.0, 0.02) + 0.02)))
        odd[day] = k >= least * n and beyond >= LEAST and chance < CHANCE
        if not odd[day]:
            before.append((n, k))
    return odd, usual


def _median_share(days: list[tuple[int, int]]) -> float:
    return float(np.median([k / n for n, k in days]))


def _runs(odd: Flags, sending: Flags) -> list[slice]:
    """Stretches of odd days; a day on which the name hardly sends anything ends none."""
    runs: list[slice] = []
    open_run = False
    for day in range(len(odd)):
        if odd[day]:
            runs.append(slice(runs.pop().start if open_run else day, day + 1))
            open_run = True
        elif sending[day]:
            open_run = False
    if runs and open_run:
        runs[-1] = slice(runs[-1].start, len(odd))
    return runs


def _agrees(history: SourceHistory, twins: Counts, at: int, run: slice, excess: Counts) -> bool:
    """Whether the messages without their twins are what was due, and those with them are more than that."""
    model, start = forecast(history), run.start
    days = np.arange(run.start, run.stop)
    days = days[model.base[at, days] > 0]
    if start < 2 * WEEK or not len(days):
        return True  # too early to know what is due: the twins alone speak
    # What was due by what was known before: the level has learned from the doubled days since.
    known = start - WEEK + (days - start) % WEEK
    usable = ~np.isin(model.state[at, known], (SILENT, LOW))
    days, known = days[usable], known[usable]
    if not len(days):
        return True
    due = model.base[at, known] * _traffic(history, twins, days, known)
    with_twins = history.counts[at, days].sum()
    without = with_twins - excess[days - start].sum()
    total = float(due.sum())
    noise = 3.0 * float(np.sqrt(np.median(model.phi[at, days]) / len(days) + 1.0 / max(total, 1.0)))
    off, off_with = (
        abs(np.log((without + 0.5) / (total + 0.5))),
        abs(np.log((with_twins + 0.5) / (total + 0.5))),
    )
    return bool(off <= AGREES + noise and (off <= off_with or off <= noise))


def _traffic(history: SourceHistory, twins: Counts, days: Counts, known: Counts) -> Numbers:
    """The source's traffic with all twins left out: a source that doubles as a whole is no campaign."""
    model = forecast(history)
    factors = np.ones(len(days))
    for at, (day, before) in enumerate(zip(days.tolist(), known.tolist(), strict=True)):
        base = model.base[:, before]
        told = model.judged[:, before] & (base >= LIVE) & (model.state[:, before] == 0)
        if told.sum() >= 3:
            factors[at] = float(np.median((history.counts - twins)[told, day] / base[told]))
    return np.maximum(factors, 0.05)


def _told(
    evidence: Evidence, claims: Claims, history: SourceHistory, found: list[_Doubling]
) -> list[Finding]:
    whole: list[_Doubling] = []
    for first in sorted({each.run.start for each in found}):
        group = [each for each in found if first <= each.run.start <= first + 1]
        last = min(each.run.stop for each in group)
        live = history.counts[:, first:last].mean(axis=1) >= LIVE
        doubled = np.zeros(len(history.events), dtype=bool)
        doubled[[each.row for each in group]] = True
        if live.sum() >= 3 and (live & doubled).sum() >= WHOLE * live.sum():
            # What doubles later, or in part, does so for the same reason.
            whole = [each for each in found if each.run.stop > first and each.run.start >= first - 1]
            break
    alone = [each for each in found if each not in whole]
    told = [_finding(evidence, claims, history, [each], history.events[each.row]) for each in alone]
    return [*([_finding(evidence, claims, history, whole, None)] if whole else []), *told]


def _finding(
    evidence: Evidence, claims: Claims, history: SourceHistory, group: list[_Doubling], event: str | None
) -> Finding:
    names = [history.events[each.row] for each in group]
    first, stop = min(each.run.start for each in group), max(each.run.stop for each in group)
    days = history.days[first:stop]
    started, last = as_date(days[0]), as_date(days[-1])
    ended = None if stop == len(history.days) else last
    # Of a whole source also the events count that are too small to show it.
    sent_names = [history.events[at] for at in np.flatnonzero(history.counts[:, first:stop].any(axis=1))]
    concerned = names if event is not None else sent_names
    hit = tuple(sorted({name for each in concerned for name in evidence.waiting(history.source, each)}))
    sent = sum(int(history.counts[each.row, each.run].sum()) for each in group)
    baselines = [each.baseline for each in group if each.baseline is not None]
    excess = sum(int(each.excess.sum()) for each in group)
    details: dict[str, Any] = {
        "twin_share": round(
            sum(each.share * history.counts[each.row, each.run].sum() for each in group) / max(1, sent), 4
        ),
        "usual_twin_share": round(float(np.median(baselines)), 4) if baselines else None,
        "messages": sent,
        "per_day": round(excess / max(1, len(days)), 1),
        "since_history_begins": first == 0,
        "within_seconds": 10,
    }
    if event is None:
        details["events"] = names
    return Finding(
        kind="duplicate_events",
        severity="error",
        source=history.source,
        event=event,
        destinations=hit,
        started_on=started,
        ended_on=ended,
        messages_affected=max(1, excess),
        windows=windows_of(hit, days),
        claims=tuple(
            Claim(started, date.max if ended is None else ended, source=history.source, event=name)
            for name in ([None] if event is None else names)
        ),
        evidence=details,
        explained_by=claims.of_event(history.source, event, started),
    )
