"""May marketing see a day of a destination? The verdict, from incidents, checks, maturity and overrides."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Final, Literal

from dagster_project.core.contracts import Override

Verdict = Literal["open", "held"]
NOT_COMPLETE: Final = "not complete yet"  # the reason of a day that nothing else holds, too
CLOSING: Final = ("critical", "error")  # severities that close the gate


@dataclass(frozen=True)
class Window:
    """One day of one destination, as the gate sees it."""

    destination: str
    day: date
    complete: bool  # every expected message could have arrived


@dataclass(frozen=True)
class Decision:
    """The verdict on a window with its reasons in words, worst first; none when it is open on its merits."""

    destination: str
    day: date
    verdict: Verdict
    reasons: tuple[str, ...]
    overridden_by: str | None


def decide(
    windows: Iterable[Window],
    *,
    incidents: Mapping[tuple[str, date], Sequence[str]],
    failed_checks: Mapping[tuple[str, date], Sequence[str]],
    broken_checks: Mapping[tuple[str, date], Sequence[str]],
    overrides: Sequence[Override],
    as_of: datetime,
) -> list[Decision]:
    """One decision a window.

    `incidents`, `failed_checks` and `broken_checks` are reasons by window. An override opens what people have
    looked at; it does not open a day that is not complete, for nobody has seen that one yet.
    """
    decisions = []
    for window in windows:
        key = (window.destination, window.day)
        reasons = [*incidents.get(key, ()), *failed_checks.get(key, ())]
        reasons += [f"could not be judged: {reason}" for reason in broken_checks.get(key, ())]
        if not window.complete:
            decisions.append(Decision(window.destination, window.day, "held", (NOT_COMPLETE, *reasons), None))
            continue
        override = override_for(window, overrides, as_of)
        if reasons and override is not None:
            decisions.append(
                Decision(
                    window.destination,
                    window.day,
                    "open",
                    (
                        *reasons,
                        f"opened by {override.owner} until {override.until.isoformat()}: {override.reason}",
                    ),
                    override.owner,
                )
            )
        else:
            decisions.append(
                Decision(
                    window.destination,
                    window.day,
                    "held" if reasons else "open",
                    tuple(dict.fromkeys(reasons)),
                    None,
                )
            )
    return decisions


def override_for(window: Window, overrides: Sequence[Override], as_of: datetime) -> Override | None:
    """The first override that names this window and has not lapsed."""
    for override in overrides:
        if (
            override.destination == window.destination
            and override.from_day <= window.day <= override.to_day
            and as_of.date() <= override.until
        ):
            return override
    return None
