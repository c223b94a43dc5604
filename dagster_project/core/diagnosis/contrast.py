"""What the missing messages have in common that the others have not (DIFF, Abuzaid et al. 2018, in small)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from scipy.special import ndtri

SUPPORT = 0.5  # of the excess must lie in a group for the group to be told
RATIO = 2.0  # and its loss must be so many times that of the others, also at the lower end of chance
NARROWER = 1.3  # two attributes are told instead of one when the loss among them is higher by this factor
WORTH_F1 = 0.02  # a second attribute must earn its place
SHOWN = 5
DOMINANT = 0.8
# Attributes of which another is a function, the telling one first.
TELLING = ("violation", "user_shape", "consent", "event", "source", "app_version", "library_version", "hour")


@dataclass(frozen=True)
class Group:
    """One or two attributes with their values, and how the loss is among and outside them."""

    attributes: tuple[tuple[str, str | None], ...]
    messages: int
    missing: int
    others: int
    others_missing: int

    @property
    def rate(self) -> float:
        return self.missing / max(1, self.messages)

    @property
    def others_rate(self) -> float:
        return self.others_missing / max(1, self.others)

    @property
    def support(self) -> float:
        return self.missing / max(1, self.missing + self.others_missing)

    @property
    def ratio(self) -> float:
        """Risk ratio; the halves keep it finite where nothing is lost outside."""
        return ((self.missing + 0.5) / (self.messages + 1)) / (
            (self.others_missing + 0.5) / (self.others + 1)
        )

    def ratio_least(self, deviations: float) -> float:
        """Lower end of the ratio's interval of so many standard deviations (Katz et al. 1978)."""
        a, n = self.missing + 0.5, self.messages + 1
        c, m = self.others_missing + 0.5, self.others + 1
        deviation = float(np.sqrt(max(1 / a - 1 / n + 1 / c - 1 / m, 0.0)))
        return float(self.ratio * np.exp(-deviations * deviation))

    def value(self, attribute: str) -> str | None:
        return dict(self.attributes).get(attribute)

    def has(self, attribute: str) -> bool:
        return attribute in dict(self.attributes)

    def as_evidence(self) -> Mapping[str, Any]:
        return {
            "attributes": dict(self.attributes),
            "messages": self.messages,
            "missing": self.missing,
            "share_of_the_missing": round(self.support, 4),
            "missing_elsewhere": round(self.others_rate, 5),
        }


@dataclass(frozen=True)
class Explanation:
    """The best group, or none when the loss is spread evenly; `others` are the runners-up."""

    best: Group | None
    others: tuple[Group, ...]
    tried: int

    def as_evidence(self) -> Mapping[str, Any]:
        if self.best is None:
            return {"spread_evenly": True, "groups_tried": self.tried}
        return {**self.best.as_evidence(), "groups_tried": self.tried}


def explain(answer: pd.DataFrame, usual: float) -> Explanation:
    """The group of messages that the loss hits, from a witness's answer to one question.

    `usual` is the share that is missing anyway; it is taken off the counts before groups are compared, or a
    steady loss would dilute what a fault does. "Nothing explains it" is an answer.
    """
    groups = _groups(answer, usual)
    if not groups:
        return Explanation(None, (), 0)
    # 95% for all groups that were tried together (Bonferroni), not for each.
    deviations = float(-ndtri(0.025 / len(groups)))
    passing = [
        group
        for group in groups
        if group.support >= SUPPORT
        and group.ratio_least(deviations) >= RATIO
        and group.others > 0
        and group.missing >= 5
    ]
    ranked = sorted(passing, key=lambda group: (-_worth(group, groups), _telling(group)))
    best = ranked[0] if ranked else None
    if best is not None and len(best.attributes) == 2:
        parents = [g for g in groups if len(g.attributes) == 1 and g.attributes[0] in best.attributes]
        top = max((parent.rate for parent in parents), default=0.0)
        if best.rate < NARROWER * top:
            singles = [group for group in ranked if len(group.attributes) == 1]
            best = singles[0] if singles else best
    others = tuple(group for group in ranked if group is not best)[:SHOWN]
    return Explanation(best, others, len(groups))


def dominant(answer: pd.DataFrame, dimension: str) -> str | None:
    """The one value that nearly all missing messages have in a dimension, if there is one."""
    rows = answer[(answer["dimension"] == dimension) & answer["dimension_2"].isna()]
    total = int(rows["missing"].sum())
    if not total:
        return None
    top = rows.iloc[int(rows["missing"].to_numpy(dtype="int64").argmax())]
    return _text(top["value"]) if int(top["missing"]) >= DOMINANT * total else None


def _worth(group: Group, groups: list[Group]) -> float:
    """F1 of "is missing" told by membership; the loss that the worst group has counts as certain."""
    worst = max(other.rate for other in groups if other.missing >= 5) if groups else 1.0
    precision = min(1.0, group.rate / max(worst, 1e-9))
    recall = group.support
    f1 = 2 * precision * recall / max(precision + recall, 1e-9)
    # Rounded: attributes that are functions of one another differ by a stray message or two.
    return round(f1, 2) - WORTH_F1 * (len(group.attributes) - 1)


def _telling(group: Group) -> tuple[int, int]:
    order = [TELLING.index(name) if name in TELLING else len(TELLING) for name, _ in group.attributes]
    return len(order), min(order)


def _groups(answer: pd.DataFrame, usual: float) -> list[Group]:
    if answer.empty:
        return []
    singles = answer[answer["dimension_2"].isna()]
    totals = singles.groupby("dimension", sort=True)[["messages", "missing"]].sum()
    # A message may break several rules or none, so violations do not add up to all messages.
    whole = totals.drop(index="violation", errors="ignore")
    if whole.empty:
        return []
    messages, missing = int(whole["messages"].max()), int(whole["missing"].max())
    found = []
    for row in answer.to_dict("records"):
        attributes: list[tuple[str, str | None]] = [(str(row["dimension"]), _text(row["value"]))]
        if row["dimension_2"] is not None and not pd.isna(row["dimension_2"]):
            attributes.append((str(row["dimension_2"]), _text(row["value_2"])))
        if any(_says_nothing(name, value) for name, value in attributes):
            continue
        count, lost = int(row["messages"]), int(row["missing"])
        if count >= messages:
            continue  # everything is in it: it tells nothing apart
        found.append(
            Group(
                attributes=tuple(attributes),
                messages=count,
                missing=max(0, lost - round(usual * count)),
                others=messages - count,
                others_missing=max(0, missing - lost - round(usual * (messages - count))),
            )
        )
    return found


def _says_nothing(attribute: str, value: str | None) -> bool:
    """Rare values summed up tell nothing; only an id's shape is really called "other"."""
    return (value == "other" and attribute != "user_shape") or (attribute == "violation" and value is None)


def _text(value: Any) -> str | None:
    return None if value is None or pd.isna(value) else str(value)
