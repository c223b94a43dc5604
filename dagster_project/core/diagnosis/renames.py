"""Finds the new name of an event: one name gains what another loses, at one time, in one source."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date, timedelta
from typing import Any

import numpy as np

from dagster_project.core.diagnosis.evidence import Counts, Days, Evidence, SourceHistory, as_date, days_of
from dagster_project.core.diagnosis.finding import Claim, Claims, Finding, windows_of
from dagster_project.core.diagnosis.name_levels import OTHER_VERSIONS
from dagster_project.core.diagnosis.pairing import Claimed, best_together
from dagster_project.core.diagnosis.rename_evidence import (
    LEAST_MESSAGES,
    LIKENESS,
    Hypothesis,
    Life,
    NamesOfSource,
    ask_users,
    hypotheses,
)
from dagster_project.core.diagnosis.spelling import letters, likeness, tokens
from dagster_project.core.wording_renames import patch

__all__ = ["event_renamed", "letters", "likeness", "onset_of", "tokens"]

MOST_CANDIDATES = 500  # names of one source
CARRIES_MESSAGES, CARRIES_SHARE = 3, 0.05  # a name carries volume from 3 messages, or 5% of its later level
TRIAL_GAP_DAYS = 3  # a few messages followed by this many silent days were a trial, not the release
TRIAL_SHARE = 0.05
LEAST_KEPT_BACK = 0.005  # of a count that people compare, less makes no difference that they would see
OPENING_DAYS = 3  # a planned name seen this early in history is old, not new


def event_renamed(evidence: Evidence, claims: Claims) -> list[Finding]:
    """A new name took the place of an old one in a source; one became several, or several one."""
    sources = [
        found
        for history in evidence.sources.values()
        if (found := NamesOfSource(evidence, history, _births(history))).news
    ]
    considered = {each.history.source: hypotheses(each) for each in sources}
    ask_users(evidence, sources, considered)
    findings: list[Finding] = []
    for source in sources:
        held = [each for each in considered[source.history.source] if each.holds]
        ranked = [Claimed(each.olds, each.news, each.score + LIKENESS * each.alike) for each in held]
        findings += _findings(evidence, source, [held[at] for at in best_together(ranked)])
    return findings


# --- which names may be new -----------------------------------------------------------------------------


def onset_of(counts: Counts) -> tuple[int, int] | None:
    """First and last day on which a name carries volume; a lone trial before the release is passed over."""
    level = _level(counts)
    least = max(1.0, min(CARRIES_MESSAGES, CARRIES_SHARE * level))
    carrying = np.flatnonzero(counts >= least)
    if not len(carrying):
        return None
    first = 0
    for at in np.flatnonzero(np.diff(carrying) > TRIAL_GAP_DAYS):
        trial = counts[carrying[first] : carrying[at] + 1]
        if trial.max() > TRIAL_SHARE * level:
            break
        first = int(at) + 1
    onset = int(carrying[first])
    # A roll-out begins with one message or two: they belong to it when no silent day lies between.
    while onset > 0 and counts[onset - 1] > 0:
        onset -= 1
    return onset, int(carrying[-1])


def _level(counts: Counts) -> float:
    """What the name sends once it has settled: the best three days, which a short life has too."""
    best = np.sort(counts)[-3:]
    return float(np.median(best)) if len(best) else 0.0


def new_names(evidence: Evidence) -> list[str]:
    """Names that began within history in some source: no other can be what an event was renamed to."""
    found = {history.events[row] for history in evidence.sources.values() for row in _births(history)}
    return sorted(found)


def _births(history: SourceHistory) -> dict[int, Life]:
    """Names that began within history, with volume; looked for once in each history."""
    if "_births" not in history.__dict__:
        history.__dict__["_births"] = _found_births(history)
    found: dict[int, Life] = history.__dict__["_births"]
    return found


def _found_births(history: SourceHistory) -> dict[int, Life]:
    seen = history.counts > 0
    totals = history.counts.sum(axis=1)
    first_seen = np.where(seen.any(axis=1), seen.argmax(axis=1), len(history.days))
    made = {row for rows in history.generated.values() for row in rows}
    candidates = np.array(
        [row for row in np.flatnonzero(totals >= LEAST_MESSAGES).tolist() if row not in made], dtype=np.int64
    )
    # Thousands of names made of ids are no renames; the largest are looked at first, and far enough.
    candidates = candidates[np.argsort(-totals[candidates], kind="stable")][:MOST_CANDIDATES]
    born = {}
    for new in candidates.tolist():
        life = onset_of(history.counts[new])
        # A planned name of the first days is an old acquaintance: history just begins there.
        if life is None or life[0] < 1 or (history.planned[new] and first_seen[new] < OPENING_DAYS):
            continue
        born[new] = Life(*life)
    return born


# --- what is told ---------------------------------------------------------------------------------------


def _findings(evidence: Evidence, source: NamesOfSource, chosen: Sequence[Hypothesis]) -> list[Finding]:
    former: dict[int, list[int]] = {}
    for each in chosen:
        for new in each.news:
            former.setdefault(new, []).extend(each.olds)
    findings = []
    for each in sorted(chosen, key=lambda each: (each.life.onset, source.history.events[each.news[0]])):
        for part, old in enumerate(each.olds):
            for new in each.news:
                findings.append(_finding(evidence, source, each, part, new, _chain(old, former)))
    return findings


def _chain(old: int, former: Mapping[int, Sequence[int]]) -> list[int]:
    """The old name and the names that it had itself before, newest first."""
    names = [old]
    for name in names:  # grows while it is read
        names += [before for before in former.get(name, ()) if before not in names]
    return names


def _finding(
    evidence: Evidence, source: NamesOfSource, found: Hypothesis, part: int, new: int, chain: list[int]
) -> Finding:
    history, old = source.history, chain[0]
    old_name, new_name, life = history.events[old], history.events[new], source.news[new]
    days = history.days[life.onset :]
    view = found.view
    # Of what stands under a name that several became, each of them has its part.
    share = view.fell[part] / sum(view.fell) if len(found.olds) > 1 and sum(view.fell) > 0 else 1.0
    under_new = np.rint(history.counts[new, life.onset :] * share).astype(np.int64)
    # Who waits for any earlier name of the event and does not take the new one.
    waiting = tuple(
        sorted(
            {name for at in chain for name in evidence.routed(history.source, history.events[at])}
            - set(evidence.routed(history.source, new_name))
        )
    )
    per_destination, windows = _unsent(evidence, history.source, new_name, waiting, days, under_new, share)
    last = len(history.days) - 1
    ended = as_date(history.days[life.end]) if life.end < last - _quiet_days(history, new) else None
    started = as_date(days[0])
    eve = started - timedelta(days=1)  # a destination's zone may still have the day before
    claimed = (
        Claim(eve, date.max, source=history.source, event=old_name),
        Claim(date.min, date.max, source=history.source, event=new_name),
        # A destination that takes both names holds deliveries of the old one that nobody expects there.
        *(
            Claim(eve, date.max, event=name, destination=d, differences=frozenset({"unexpected"}))
            for name in [*(history.events[at] for at in chain), new_name]
            for d in evidence.routed(history.source, name)
        ),
    )
    called = _names_there(evidence, waiting, [history.events[at] for at in chain])
    fell, gained = sum(view.fell), sum(view.gained)
    noise = 2 * float(np.sqrt(sum(view.variance)))
    schema = next(each.schema_name for each in evidence.workspace.sources if each.name == history.source)
    accepted = _accepted(evidence, history, new)
    return Finding(
        kind="event_renamed",
        severity="critical" if waiting else "info" if accepted else "warning",
        source=history.source,
        event=old_name,
        renamed_to=new_name,
        destinations=waiting,
        started_on=started,
        ended_on=ended,
        messages_affected=int(under_new.sum()),
        windows=windows,
        claims=claimed,
        # Within the noise of the old name all of it is found again.
        share_explained=1.0 if fell - gained <= noise else round(gained / fell, 4) if fell > 0 else None,
        evidence={
            "evidence_kinds": dict(found.kinds),
            "weights": {name: round(weight, 1) for name, weight in found.weights.items() if weight},
            "messages_by_destination": per_destination,
            "kept_back_share": _kept_back(evidence, history, old, life.onset, waiting),
            "name_in_destination": called,
            "earlier_names": [history.events[at] for at in chain[1:]],
            "split": [history.events[at] for at in found.news if at != new],
            "merge": [history.events[at] for at in found.olds if at != old],
            "new_name_planned": bool(history.planned[new]),
            "old_name_planned": bool(history.planned[old]),
            "usual_per_day": round(sum(view.expected) / view.days, 1),
            "old_now_per_day": round(sum(view.seen) / view.days, 1),
            "new_now_per_day": round(sum(view.gained) / view.days, 1),
            **_moved(source, found.olds, found.news, life),
            "patch": patch(
                source=history.source,
                schema=schema,
                slug=history.slugs[old],
                old=old_name,
                new=new_name,
                planned=bool(history.planned[new]),
                there={name: called.get(name, old_name) for name in waiting},
            ),
        },
    )


def _moved(source: NamesOfSource, olds: tuple[int, ...], news: tuple[int, ...], life: Life) -> dict[str, Any]:
    """The share under the new names in the last week of their life, in all and by app version."""
    days = np.arange(max(life.onset, life.end - 6), life.end + 1)
    counts = source.history.counts

    def share(old: float, new: float) -> float:
        return round(new / max(1.0, old + new), 4)

    old_now, new_now = (float(counts[list(at)][:, days].sum()) for at in (olds, news))
    found: dict[str, Any] = {"share_moved": share(old_now, new_now)}
    versions = source.versions
    if versions is None or any(at not in versions.row for at in (*olds, *news)):
        return found
    by_version = [
        versions.counts[[versions.row[at] for at in names]][:, :, days].sum(axis=(0, 2))
        for names in (olds, news)
    ]
    order = np.argsort(-(by_version[0] + by_version[1]), kind="stable")[:10]
    found["app_versions"] = {
        versions.labels[at] or "no version": {
            "old": int(by_version[0][at]),
            "new": int(by_version[1][at]),
            "share_moved": share(by_version[0][at], by_version[1][at]),
        }
        for at in order.tolist()
        if by_version[0][at] + by_version[1][at] > 0 and versions.labels[at] != OTHER_VERSIONS
    }
    return found


def _accepted(evidence: Evidence, history: SourceHistory, new: int) -> bool:
    """Whether the contract knows the new name by now: its plan lists it, or some destination names it."""
    if evidence.workspace.plan_for(history.source).declared:
        return bool(history.planned[new])
    return bool(evidence.listed(history.source, history.events[new]))


def _quiet_days(history: SourceHistory, new: int) -> int:
    """How many silent days are usual for the new name: none for a busy one, two for a small one."""
    return 0 if _level(history.counts[new]) >= 20 else 2


def _unsent(
    evidence: Evidence,
    source: str,
    event: str,
    waiting: tuple[str, ...],
    days: Days,
    counts: Counts,
    share: float,
) -> tuple[dict[str, int], tuple[tuple[str, date], ...]]:
    """Messages under the new name that each waiting destination does not get, and on which of its days."""
    table = evidence.not_expected
    rows = table[
        (table["source"] == source)
        & (table["event"] == event)
        & (table["reason"] == "not_routed")
        & (table["messages"] > 0)
    ]
    # A destination whose clock is behind has the first messages on the eve, one whose clock is ahead the last on
    # the morrow. Days are whole days of the workspace's, and the one before a name's first held none of it.
    day = np.timedelta64(1, "D")
    rows = rows[(days_of(rows) >= days[0] - day) & (days_of(rows) <= days[-1] + day)]
    total = int(counts.sum())
    messages: dict[str, int] = {}
    windows: list[tuple[str, date]] = []
    for destination in waiting:
        own = rows[rows["destination"] == destination]
        # The destination's own days where they are known; else the workspace's. Its last day may end later
        # than the workspace's, so it may count a few more than there are yet.
        known = round(share * int(own["messages"].sum()))
        messages[destination] = min(known, total) if len(own) else total
        windows += windows_of([destination], days_of(own) if len(own) else days[counts > 0])
    return messages, tuple(windows)


def _kept_back(
    evidence: Evidence, history: SourceHistory, old: int, onset: int, waiting: tuple[str, ...]
) -> dict[str, float]:
    """The share of the old name's messages that a contract kept back before, for want of an identifier or consent."""
    table = evidence.not_expected
    before = history.days[:onset]
    sent = int(history.counts[old, :onset].sum())
    if not sent:
        return {}
    rows = table[
        (table["source"] == history.source)
        & (table["event"] == history.events[old])
        & (table["reason"] != "not_routed")
    ]
    rows = rows[np.isin(days_of(rows), before)]
    kept = rows.groupby("destination")["messages"].sum()
    shares = {name: int(kept.get(name, 0)) / sent for name in waiting}
    return {name: round(share, 4) for name, share in shares.items() if share >= LEAST_KEPT_BACK}


def _names_there(evidence: Evidence, waiting: tuple[str, ...], names: list[str]) -> dict[str, str]:
    """What each waiting destination calls the event."""
    found: dict[str, str] = {}
    for destination in waiting:
        for route in evidence.destinations[destination].events or ():
            if route.event in names:
                found.setdefault(destination, route.destination_name)
    return found
