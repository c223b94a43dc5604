"""What is let through although it breaks the plan, until somebody mends it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from pydantic import BaseModel, ConfigDict

from dagster_project.core.documents import Steps

if TYPE_CHECKING:  # the judge brings jsonschema along (65 ms), and every command reads the exemptions
    from dagster_project.core.plan.judge import Violation


class Exemption(BaseModel):
    """In `workspace.yml`: `plan_exemptions: [{source, event, property, rule, reason}]`. All that is named must fit."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    source: str | None = None
    event: str | None = None  # the exact raw name, or `(identify)`, `(group)`, `(page)`, `(screen)`
    property: str | None = None  # dotted path; what stands below it is exempt, too; `$` for items of an array
    rules: tuple[str, ...] = ()  # empty: all
    reason: str | None = None

    def covers(self, violation: Violation) -> bool:
        """Whether this violation is let through; the source has been asked for before."""
        if self.rules and violation.kind not in self.rules:
            return False
        if self.event is not None and self.event not in (violation.event, f"({violation.call})"):
            return False
        return self.property is None or _is_within(general(violation), self.property)


def not_exempt(violations: Iterable[Violation], exemptions: Iterable[Exemption]) -> list[Violation]:
    """The violations that no exemption covers."""
    known = tuple(exemptions)
    return [each for each in violations if not any(one.covers(each) for one in known)]


def general(violation: Violation) -> str:
    """The property as a plan names it: `products.$.sku` for each of the items."""
    inside: Steps = violation.path[1:] if violation.property else ()
    return ".".join("$" if isinstance(step, int) else step for step in inside)


def _is_within(path: str, top: str) -> bool:
    return path == top or path.startswith(f"{top}.")
