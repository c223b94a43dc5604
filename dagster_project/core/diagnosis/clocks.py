"""Finds an export whose clock is off by whole hours: its days hold other hours than the messages' days."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from dagster_project.core.diagnosis.evidence import Days, Evidence, as_date, days_of, positions
from dagster_project.core.diagnosis.finding import Claims, Finding, cell_claims, windows_of
from dagster_project.core.diagnosis.grid import Counts, Flags

LAGS = tuple(lag for lag in range(-14, 15) if lag)  # no zone is further from another on one date
CERTAIN = 15.0  # log-likelihood, in units of the day's own spread, by which the shifted clock must fit better
CONSERVED = 0.20  # a shifted day holds as many deliveries as the hours that it really covers
LEAST_DELIVERIES = 50
MUTE, MUTE_DAYS = (
    -2.0,
    3,
)  # a score that tells neither clock from the other, and how many such days may be added
BOTH_WAYS = 0.2  # where only counts are known, what one day lacks its neighbours must have too much


@dataclass(frozen=True, eq=False)
class _Shift:
    hours: int
    first: int
    last: int
    gain: float


def timezone_shift(evidence: Evidence, claims: Claims) -> list[Finding]:
    """Deliveries stand whole hours before or after the time at which they were sent."""
    findings = []
    cells_at = positions(evidence.judged, "destination")
    hours_at = positions(evidence.hours, "destination")
    deliveries_at = positions(evidence.delivery_hours, "destination")
    for name in evidence.destinations:
        cells = evidence.judged.iloc[cells_at.get(name, np.array([], dtype=np.int64))]
        if cells.empty or name not in hours_at:
            continue
        days = _span(cells)
        expected = _profile(evidence.hours.iloc[hours_at[name]], "expected", days)
        if name in deliveries_at:
            delivered = _profile(evidence.delivery_hours.iloc[deliveries_at[name]], "deliveries", days)
            shift, total = _by_hours(expected, delivered, _judged(cells, days)), delivered.sum(axis=1)
        else:
            shift, total = _by_days(expected, cells, days)
        if shift is not None:
            findings.append(_finding(evidence, name, cells, days, shift, total))
    return findings


def _span(cells: pd.DataFrame) -> Days:
    days = days_of(cells)
    return np.arange(days.min(), days.max() + np.timedelta64(1, "D"), dtype="datetime64[D]")


def _judged(cells: pd.DataFrame, days: Days) -> Flags:
    return np.isin(days, np.unique(days_of(cells[cells["exported"]])))


def _profile(frame: pd.DataFrame, column: str, days: Days) -> Counts:
    """Days x 24 hours."""
    found = np.zeros((len(days), 24), dtype=np.int64)
    at = (days_of(frame) - days[0]).astype(np.int64)
    hour = frame["hour"].to_numpy()
    inside = (at >= 0) & (at < len(days)) & (hour < 24)
    np.add.at(found, (at[inside], hour[inside]), frame[column].to_numpy()[inside])
    return found


def _shifted(expected: Counts, lag: int) -> NDArray[np.float64]:
    """What each day would hold if every message stood `lag` hours later."""
    flat = expected.astype(np.float64).ravel()
    moved = np.zeros_like(flat)
    if lag > 0:
        moved[lag:] = flat[:-lag]
    else:
        moved[:lag] = flat[-lag:]
    return moved.reshape(expected.shape)


def _within(expected: Counts, lag: int) -> NDArray[np.float64]:
    """The same, with what crosses midnight left out."""
    moved = np.zeros(expected.shape)
    moved[:, lag:] = expected[:, :-lag]
    return moved


def _by_hours(expected: Counts, delivered: Counts, judged: Flags) -> _Shift | None:
    """The lag at which the hours of the deliveries fit the hours of the messages best."""
    total = delivered.sum(axis=1)
    usable = judged & (total > 0) & (expected.sum(axis=1) > 0)
    if not usable.any():
        return None
    straight = expected.astype(np.float64)
    share = float(np.median((total / np.maximum(straight.sum(axis=1), 1))[usable]))
    found: _Shift | None = None
    for lag in LAGS:
        best = np.full(len(total), -np.inf)
        # On the day of the change nothing has come over from the day beside it yet.
        for spill in (True, False) if lag > 0 else (True,):
            moved = _shifted(expected, lag) if spill else _within(expected, lag)
            gain, spread = _gain(delivered, straight, moved)
            whole = np.abs(total - share * moved.sum(axis=1)) <= CONSERVED * np.maximum(total, 1)
            best = np.maximum(best, np.where(whole, gain / spread, np.minimum(gain, 0.0)))
        found = _better(found, lag, np.where(usable, best, 0.0))
    if found is None or int(total[found.first : found.last + 1].sum()) < LEAST_DELIVERIES:
        return None
    return found


def _gain(
    delivered: Counts, straight: NDArray[np.float64], moved: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Multinomial log-likelihood of each day's hours, moved against straight, and the spread of the better."""
    total = delivered.sum(axis=1, keepdims=True)
    profiles = []
    for expected in (straight, moved):
        # Half a message an hour: an hour in which none was expected is unlikely, not impossible.
        smooth = expected + 0.5
        profiles.append(smooth / smooth.sum(axis=1, keepdims=True))
    gain = (delivered * (np.log(profiles[1]) - np.log(profiles[0]))).sum(axis=1)
    fit = total * profiles[1]
    pearson = ((delivered - fit) ** 2 / np.maximum(fit, 0.5)).sum(axis=1) / 23
    return gain, np.maximum(pearson, 1.0)


def _by_days(expected: Counts, cells: pd.DataFrame, days: Days) -> tuple[_Shift | None, Counts]:
    """Where only daily counts are known: what one day lacks stands on the day beside it."""
    events = cells["event"].to_numpy(dtype=object)
    names, codes = np.unique(events.astype(str), return_inverse=True)
    at = (days_of(cells) - days[0]).astype(np.int64)
    sent = np.zeros((len(names), len(days)))
    got = np.zeros((len(names), len(days)))
    there = np.zeros((len(names), len(days)), dtype=bool)
    sent[codes, at] = cells["expected"].to_numpy()
    got[codes, at] = (cells["delivered"] + cells["unexpected"]).to_numpy()
    there[codes, at] = cells["exported"].to_numpy()
    lost, more = np.maximum(sent - got, 0), np.maximum(got - sent, 0)
    whole = np.maximum(expected.sum(axis=1), 1)
    found: _Shift | None = None
    usable = there & (sent + got > 0)
    loss = (sent - got)[usable].sum() / max(1.0, sent[usable].sum())
    for lag in LAGS:
        hours = abs(lag)
        part = (expected[:, -hours:] if lag > 0 else expected[:, :hours]).sum(axis=1) / whole
        leaving = sent * part
        arriving = np.zeros_like(leaving)
        if lag > 0:
            arriving[:, 1:] = leaving[:, :-1]
        else:
            arriving[:, :-1] = leaving[:, 1:]
        kept = 1 - max(0.0, float(loss))
        straight, moved = kept * sent, kept * (sent - leaving + arriving)
        # How many of an event's messages fall into the hours that change the day is a matter of chance: at most
        # a quarter of them, leaving and arriving. One variance for all lags, or the smallest would seem surest.
        variance = sent * (0.5 + max(loss, 0.005)) + 1
        gain = np.where(usable, ((got - straight) ** 2 - (got - moved) ** 2) / (2 * variance), 0.0)
        # One event that is off for another reason must not carry the day.
        scores = np.clip(gain, -20.0, 20.0).sum(axis=0)
        better = _better(found, lag, scores)
        found = better if better is found or better is None else _with_mute_days(better, scores)
    if found is None:
        return None, got.sum(axis=0).astype(np.int64)
    window = slice(found.first, found.last + 1)
    both = sorted((lost[:, window].sum() - loss * sent[:, window].sum(), more[:, window].sum()))
    if both[0] < BOTH_WAYS * both[1] or both[0] < LEAST_DELIVERIES:
        return None, got.sum(axis=0).astype(np.int64)
    return found, got.sum(axis=0).astype(np.int64)


def _with_mute_days(shift: _Shift, scores: NDArray[np.float64]) -> _Shift:
    """The stretch with the days beside it that say nothing: days of equal volume look the same by any clock."""
    first, last = shift.first, shift.last
    while first > max(0, shift.first - MUTE_DAYS) and scores[first - 1] > MUTE:
        first -= 1
    while last < min(len(scores) - 1, shift.last + MUTE_DAYS) and scores[last + 1] > MUTE:
        last += 1
    return _Shift(shift.hours, first, last, shift.gain)


def _better(found: _Shift | None, lag: int, scores: NDArray[np.float64]) -> _Shift | None:
    """The stretch of days of the highest sum, when it beats what other lags have."""
    best, first, last, start, running = 0.0, 0, -1, 0, 0.0
    for day, score in enumerate(scores.tolist()):
        if running <= 0:
            running, start = 0.0, day
        running += score
        if running > best:
            best, first, last = running, start, day
    if best < CERTAIN or (found is not None and best <= found.gain):
        return found
    return _Shift(lag, first, last, best)


def _finding(
    evidence: Evidence, name: str, cells: pd.DataFrame, days: Days, shift: _Shift, total: Counts
) -> Finding:
    inside = days[shift.first : shift.last + 1]
    judged = np.unique(days_of(cells[cells["exported"]]))
    inside = inside[np.isin(inside, judged)]
    # Hours that leave a day stand on the one beside it, and the day of the change may show too little to be sure.
    one = np.timedelta64(1, "D")
    touched = np.unique(np.concatenate([inside - one, inside, inside + one]))
    hit = cells[np.isin(days_of(cells), touched)]
    details: dict[str, Any] = {
        "hours": shift.hours,
        "certainty": round(shift.gain, 1),
        "missing": int(hit["missing"].sum()),
        "unexpected": int(hit["unexpected"].sum()),
        "timezone": evidence.destinations[name].timezone,
    }
    return Finding(
        kind="timezone_shift",
        severity="error",
        destinations=(name,),
        started_on=as_date(inside[0]),
        # Of a clock that is behind, the newest day waits for hours that have not been sent yet.
        ended_on=as_date(inside[-1]) if (judged > inside[-1]).sum() > (shift.hours < 0) else None,
        messages_affected=int(total[shift.first : shift.last + 1].sum()),
        windows=windows_of([name], np.intersect1d(touched, judged)),
        claims=cell_claims(name, None, touched, {"missing", "unexpected"}),
        share_explained=1.0,
        evidence=details,
    )
