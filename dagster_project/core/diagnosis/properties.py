"""Finds properties that break the tracking plan too often for a stray value."""

from __future__ import annotations

import numpy as np
import pandas as pd

from dagster_project.core.diagnosis.evidence import Evidence, as_date, days_of
from dagster_project.core.diagnosis.finding import Claims, Finding, windows_of

LEAST_MESSAGES, LEAST_SHARE = 20, 0.02  # of the event's messages, on one day or in a week
POOL_DAYS = 7
ERROR_SHARE = 0.20  # and routed somewhere: the numbers there are wrong
# A message without the property cannot also have a wrong value in it, so the two add up. The other rules can
# be broken by one and the same value.
ABSENT = "required"
UNPLANNED_PROPERTY = "unplanned_property"
NOT_OURS = "unplanned_event"  # told once for the event, not for each of its messages


def property_violation(evidence: Evidence, claims: Claims) -> list[Finding]:
    """A property is absent, or has a type or value that the plan does not allow."""
    table = evidence.violations
    rows = table[
        (table["rule"] != NOT_OURS)
        & table["event"].notna()
        & table["property"].notna()
        & (table["messages"] > 0)
        & (days_of(table) >= np.datetime64(evidence.first_day, "D"))
        & (days_of(table) <= np.datetime64(evidence.last_day, "D"))
    ]
    findings = []
    for (source, event, name), own in rows.groupby(["source", "event", "property"], sort=True):
        # A day that is still landing has violations before it has all of its messages.
        own = own[days_of(own) <= np.datetime64(evidence.last_complete_day(str(source)), "D")]
        planned = own[own["rule"] != UNPLANNED_PROPERTY]
        for part, noted in ((planned, False), (own[own["rule"] == UNPLANNED_PROPERTY], True)):
            # A property is planned or not; should the plan have changed meanwhile, its violations count.
            if len(part) and not (noted and len(planned)):
                found = _judge(evidence, str(source), str(event), str(name), part, noted=noted)
                findings += [found] if found is not None else []
    return findings


def _judge(
    evidence: Evidence, source: str, event: str, name: str, rows: pd.DataFrame, *, noted: bool
) -> Finding | None:
    rules = rows.assign(rule=rows["rule"].fillna("other")).pivot_table(
        index="day", columns="rule", values="messages", aggfunc="sum", fill_value=0
    )
    days = rules.index.to_numpy(dtype="datetime64[D]")
    others = rules.drop(columns=[ABSENT], errors="ignore")
    bad = np.zeros(len(days), dtype=np.int64)
    if ABSENT in rules.columns:
        bad = bad + rules[ABSENT].to_numpy()
    if len(others.columns):
        bad = bad + others.to_numpy().max(axis=1)
    history = evidence.sources.get(source)
    sent = history.messages_on(event, days) if history is not None else np.zeros(len(days), dtype=np.int64)
    bad = np.where(sent > 0, np.minimum(bad, sent), bad)
    sent = np.maximum(sent, bad)
    hit = (bad >= LEAST_MESSAGES) & (bad >= LEAST_SHARE * sent)
    for at in range(len(days)):
        week = (days > days[at] - np.timedelta64(POOL_DAYS, "D")) & (days <= days[at])
        every = days[at] - np.arange(POOL_DAYS).astype("timedelta64[D]")
        messages = int(history.messages_on(event, every).sum()) if history is not None else 0
        total = int(bad[week].sum())
        if total >= LEAST_MESSAGES and total >= LEAST_SHARE * max(messages, total):
            hit |= week & (bad >= LEAST_SHARE * sent)
    if not hit.any():
        return None
    inside = (days >= days[hit].min()) & (days <= days[hit].max())
    share = float(bad[hit].sum() / max(1, sent[hit].sum()))
    destinations = evidence.waiting(source, event)
    severity = "info" if noted else "error" if share >= ERROR_SHARE and destinations else "warning"
    since = history.days[history.days > days[inside][-1]] if history is not None else days[:0]
    clean = int(history.messages_on(event, since).sum()) if history is not None else 0
    by_rule = {str(rule): int(rules[rule].to_numpy()[inside].sum()) for rule in rules.columns}
    return Finding(
        kind="property_violation",
        severity=severity,
        source=source,
        event=event,
        property=name,
        destinations=destinations,
        started_on=as_date(days[inside][0]),
        # Enough clean messages since: at this share several of them would have broken the rule.
        ended_on=as_date(days[inside][-1]) if clean * share >= 3 else None,
        messages_affected=int(bad[inside].sum()),
        windows=windows_of(destinations, days[inside]),
        evidence={
            "share": round(share, 4),
            "messages_by_rule": {rule: count for rule, count in by_rule.items() if count},
            "messages_of_event": int(sent[inside].sum()),
        },
    )
