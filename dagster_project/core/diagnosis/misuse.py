"""Finds track and identify calls that are used wrongly: ids of another form, calls without the id they are for."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any, Final

import numpy as np

from dagster_project.core.calls import CALL_EVENTS, call_of_event, event_of_call
from dagster_project.core.diagnosis.evidence import Counts, Days, Evidence, as_date, days_of
from dagster_project.core.diagnosis.finding import Claims, Finding
from dagster_project.core.diagnosis.properties import LEAST_MESSAGES, OPENING_DAYS, risen
from dagster_project.core.diagnosis.property_details import planned_event

IDENTIFY, GROUP = event_of_call("identify"), event_of_call("group")
NO_ID: Final = ("null", "empty", "placeholder")
# A form is the habit of a source when so much of at least so many ids had it, over at least so many days.
HABIT_SHARE, HABIT_IDS, HABIT_DAYS = 0.9, 100, 5
STRANGE_SHARE = 0.05  # of a day's ids, and hardly any before
SEEN_BEFORE = 0.02
ALWAYS = 0.5  # of all ids: an e-mail address is the id itself, by design
PLACEHOLDERS = 0.05  # so many identify calls for one "undefined" merge people, steady or not
# What Segment's spec calls traits of a person, that hardly ever are a property of what happened.
TRAITS: Final = (
    *("email", "phone", "first_name", "last_name", "username", "birthday", "age", "gender"),
    *("avatar", "date_of_birth"),
)
TRAIT_FILL, RECENT_DAYS = 0.2, 14
SAMPLED: Final = 8  # every eighth anonymous id is looked at


@dataclass(frozen=True, eq=False)
class _Ids:
    """Messages by shape of one identifier, by day; absent ids are shapes of their own."""

    source: str
    event: str | None  # the call; None: track
    identifier: str
    days: Days
    by_shape: Mapping[str, Counts]

    @property
    def total(self) -> Counts:
        return np.asarray(sum(self.by_shape.values()), dtype=np.int64)

    def of(self, *shapes: str) -> Counts:
        """Messages of these shapes together."""
        none = np.zeros(len(self.days), dtype=np.int64)
        return np.asarray(sum((self.by_shape.get(each, none) for each in shapes), none), dtype=np.int64)


def identifier_misuse(evidence: Evidence, claims: Claims) -> list[Finding]:
    """Ids whose form changed, e-mail addresses as ids, and identify and group calls without an id."""
    found: list[Finding] = []
    for ids in _ids(evidence):
        if ids.event in (IDENTIFY, GROUP) and ids.identifier in ("user_id", "group_id"):
            found += _without_id(evidence, ids)
        if ids.identifier in ("user_id", "group_id"):
            found += [each for each in _other_form(evidence, ids) if not _told(claims, each)]
    # An identify call that goes wrong in the way of the track calls is the same fault, told once.
    whole = {
        (each.source, each.identifier, each.evidence.get("new_form")) for each in found if each.event is None
    }
    return [
        each
        for each in found
        if each.event is None
        or each.event == GROUP
        or each.evidence["misuse"] == "no_id"
        or (each.source, each.identifier, each.evidence.get("new_form")) not in whole
    ]


def never_joined(evidence: Evidence, claims: Claims) -> list[Finding]:
    """More people than always become users without an identify call that joins them to what they did before."""
    findings = []
    table = evidence.unjoined
    for source, rows in table.groupby("source", sort=True):
        # Whether the last day's people are joined shows on the day after it.
        last = np.datetime64(evidence.last_complete_day(str(source)), "D") - np.timedelta64(1, "D")
        days = days_of(rows)
        inside = (days >= np.datetime64(evidence.first_day, "D")) & (days <= last)
        rows, days = rows[inside], days[inside]
        if rows.empty:
            continue
        every = np.arange(days.min(), days.max() + np.timedelta64(1, "D"), dtype="datetime64[D]")
        people, unjoined = (np.zeros(len(every), dtype=np.int64) for _ in range(2))
        at = (days - every[0]).astype(np.int64)
        people[at], unjoined[at] = rows["people"].to_numpy(), rows["unjoined"].to_numpy()
        hit, usual = risen(unjoined, people)
        steady = not hit.any()
        if steady:
            # As old as history: in a source that hardly ever identifies anybody it is worth keeping, not telling.
            if unjoined.sum() < LEAST_MESSAGES or unjoined.sum() < ALWAYS * people.sum():
                continue
            hit = unjoined > 0
        hits = np.flatnonzero(hit) if steady else _from_its_rise(np.flatnonzero(hit), unjoined, people, usual)
        if not steady and every[hits[0]] < every[0] + np.timedelta64(HABIT_DAYS, "D"):
            continue  # everybody is new in the first days, and was identified before them
        span = slice(int(hits[0]), int(hits[-1]) + 1)
        ids = _Ids(
            str(source), None, "anonymous_id", every, {"unjoined": unjoined, "joined": people - unjoined}
        )
        findings.append(
            _finding(
                evidence,
                ids,
                "info" if steady else "warning",
                every[hits[0]],
                messages=int(unjoined[span].sum()) * SAMPLED,
                ended=as_date(every[hits[-1]])
                if not steady and people[hits[-1] + 1 :].sum() >= LEAST_MESSAGES
                else None,
                misuse="never_joined",
                share=round(float(unjoined[span].sum() / max(1, people[span].sum())), 4),
                usual_share=round(usual, 4),
                steady=steady,
            )
        )
    return findings


def traits_on_track(evidence: Evidence, claims: Claims) -> list[Finding]:
    """What describes a person is sent with what happened, and identify calls never carry it: no profile learns it."""
    fill = evidence.fill
    days = days_of(fill)
    recent = days > np.datetime64(evidence.last_day, "D") - np.timedelta64(RECENT_DAYS, "D")
    wanted = fill["property"].isin(TRAITS).to_numpy()
    identified = {
        (str(source), str(name))
        for source, name, filled in fill.loc[
            wanted & (fill["event_text"] == IDENTIFY), ["source", "property", "filled"]
        ].itertuples(index=False, name=None)
        if filled
    }
    rows = fill[wanted & recent & ~fill["event_text"].isin(CALL_EVENTS).to_numpy()]
    findings = []
    for (source, name), own in rows.groupby(["source", "property"], sort=True):
        by_event = own.groupby("event_text")[["filled", "messages"]].sum()
        by_event = by_event[by_event["filled"] >= TRAIT_FILL * by_event["messages"]]
        filled = int(by_event["filled"].sum())
        if filled < LEAST_MESSAGES or (str(source), str(name)) in identified:
            continue
        history = fill[(fill["source"] == source) & (fill["property"] == name) & (fill["filled"] > 0)]
        history = history[history["event_text"].isin(list(by_event.index))]
        started = as_date(days_of(history).min())
        planned = planned_event(evidence, str(source), IDENTIFY)
        is_trait = planned is not None and name in planned.properties
        new = (started - evidence.data_from).days >= OPENING_DAYS
        findings.append(
            Finding(
                kind="property_violation",
                severity="warning" if new or is_trait else "info",
                source=str(source),
                event=None,
                property=str(name),
                started_on=started,
                messages_affected=int(history["filled"].sum()),
                evidence={
                    "misuse": "trait_on_track",
                    "events": [
                        str(each) for each in by_event.sort_values("filled", ascending=False).index[:40]
                    ],
                    "planned_trait": is_trait,
                    "fed": list(evidence.fed_by(str(source))),
                },
            )
        )
    return findings


def _ids(evidence: Evidence) -> Iterator[_Ids]:
    """The ids of each source's track calls together, of its identify calls and of its group calls."""
    table = evidence.identifier_shapes
    days = days_of(table)
    table = table[
        (days >= np.datetime64(evidence.first_day, "D"))
        & (days <= np.datetime64(evidence.last_day, "D"))
        & table["identifier"].notna().to_numpy()
        & table["shape"].notna().to_numpy()
    ]
    if table.empty:
        return
    calls = table["event"].where(table["event"].isin(CALL_EVENTS), "")
    for (source, call, identifier), own in table.assign(call=calls).groupby(
        ["source", "call", "identifier"], sort=True
    ):
        at = days_of(own)
        last = np.datetime64(evidence.last_complete_day(str(source)), "D")
        own, at = own[at <= last], at[at <= last]
        if own.empty:
            continue
        every = np.arange(at.min(), at.max() + np.timedelta64(1, "D"), dtype="datetime64[D]")
        by_shape: dict[str, Counts] = {}
        for shape, rows in own.groupby("shape", sort=True):
            counts = np.zeros(len(every), dtype=np.int64)
            np.add.at(counts, (days_of(rows) - every[0]).astype(np.int64), rows["messages"].to_numpy())
            by_shape[str(shape)] = counts
        yield _Ids(str(source), str(call) or None, str(identifier), every, by_shape)


def _without_id(evidence: Evidence, ids: _Ids) -> list[Finding]:
    """More calls without the id that they are for than there always were; a word like "undefined" is none either."""
    lacking, sent = ids.of(*NO_ID), ids.total
    hit, usual = risen(lacking, sent)
    began = np.flatnonzero(sent)
    words = int(ids.of("placeholder").sum())
    steady = not hit.any()
    if steady:
        if lacking.sum() < LEAST_MESSAGES or not len(began):
            return []
        hit = (lacking > 0) & (sent > 0)
    at = np.flatnonzero(hit) if steady else _from_its_rise(np.flatnonzero(hit), lacking, sent, usual)
    merged = words >= max(LEAST_MESSAGES, PLACEHOLDERS * int(sent.sum()))
    # An identify call of an anonymous visitor is allowed, a group call without a group says nothing.
    severity = "warning" if not steady or merged or ids.event == GROUP else "info"
    inside = slice(int(at[0]), int(at[-1]) + 1)
    clean = int(sent[at[-1] + 1 :].sum())
    return [
        _finding(
            evidence,
            ids,
            severity,
            ids.days[at[0]],
            messages=int(lacking[inside].sum()),
            ended=as_date(ids.days[at[-1]]) if not steady and clean >= LEAST_MESSAGES else None,
            misuse="no_id",
            share=round(float(lacking[inside].sum() / max(1, sent[inside].sum())), 4),
            usual_share=round(usual, 4),
            steady=steady,
            shapes={
                shape: int(ids.of(shape)[inside].sum()) for shape in NO_ID if ids.of(shape)[inside].sum()
            },
        )
    ]


def _other_form(evidence: Evidence, ids: _Ids) -> list[Finding]:
    """A form of id that the source did not use before; and e-mail addresses that were its ids all along."""
    shapes = [shape for shape in ids.by_shape if shape not in NO_ID]
    known = ids.of(*shapes)
    found = []
    for shape in shapes:
        counts = ids.of(shape)
        strange = (counts >= STRANGE_SHARE * np.maximum(known, 1)) & (counts > 0)
        onset = _onset(counts, known, strange)
        if onset is None:
            if shape == "email" and counts.sum() >= max(LEAST_MESSAGES, ALWAYS * int(known.sum())):
                found.append(
                    _finding(
                        evidence,
                        ids,
                        "info",
                        ids.days[np.flatnonzero(counts)[0]],
                        messages=int(counts.sum()),
                        misuse="email_as_id",
                        new_form="email",
                        share=round(float(counts.sum() / known.sum()), 4),
                    )
                )
            continue
        before = {each: int(ids.of(each)[:onset].sum()) for each in shapes if each != shape}
        usual = max(before, key=lambda each: before[each])
        if before[usual] < HABIT_SHARE * known[:onset].sum():
            continue  # several forms side by side: no habit that could change
        last = int(np.flatnonzero(strange)[-1])
        after = int(known[last + 1 :].sum())
        share = float(counts[onset : last + 1].sum() / max(1, known[onset : last + 1].sum()))
        found.append(
            _finding(
                evidence,
                ids,
                "warning",
                ids.days[onset],
                messages=int(counts[onset : last + 1].sum()),
                ended=as_date(ids.days[last]) if after * share >= 3 else None,
                misuse="other_form",
                usual_form=usual,
                new_form=shape,
                share=round(share, 4),
            )
        )
    return found


def _onset(counts: Counts, known: Counts, strange: Any) -> int | None:
    """The first day of a form that hardly any id had before, once enough ids were seen before it."""
    for at in np.flatnonzero(strange):
        days_before = int((known[:at] > 0).sum())
        ids_before = int(known[:at].sum())
        if days_before < HABIT_DAYS or ids_before < HABIT_IDS:
            return None
        if counts[:at].sum() > SEEN_BEFORE * ids_before:
            return None
        if counts[at:].sum() >= LEAST_MESSAGES:
            return int(at)
        return None
    return None


def _from_its_rise(hits: Counts, bad: Counts, sent: Counts, usual: float) -> Counts:
    """The days from the first on that has half of the rise: a week that ends badly also names its better days."""
    share = bad[hits].sum() / max(1, sent[hits].sum())
    reached = bad[hits] >= (usual + (share - usual) / 2) * sent[hits]
    return hits[int(np.argmax(reached)) :] if reached.any() else hits


def _told(claims: Claims, finding: Finding) -> bool:
    """Whether a destination's refusal tells it already."""
    return any(
        each.kind == "identifier_format"
        and (each.source, each.identifier) == (finding.source, finding.identifier)
        and call_of_event(finding.event) == "track"
        for each in claims.findings
    )


def _finding(
    evidence: Evidence,
    ids: _Ids,
    severity: str,
    first: np.datetime64,
    *,
    messages: int,
    ended: date | None = None,
    **more: Any,
) -> Finding:
    return Finding(
        kind="identifier_format",
        severity=severity,
        source=ids.source,
        event=ids.event,
        identifier=ids.identifier,
        started_on=as_date(first),
        ended_on=ended,
        messages_affected=messages,
        evidence={**more, "fed": list(evidence.fed_by(ids.source))},
    )
