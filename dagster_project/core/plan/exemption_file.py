"""Reads `plan_exemptions` of workspace.yml: what is let through although it breaks the plan."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from dagster_project.core.contract_file import ContractFile
from dagster_project.core.documents import Node
from dagster_project.core.plan.exemptions import Exemption
from dagster_project.core.plan.model import RULE_KINDS

_ITEM = "`- {event: Order Completed, property: total, rule: type}`"


def read_exemptions(
    file: ContractFile, top: Mapping[str, Node], sources: Sequence[str] | None
) -> tuple[Exemption, ...]:
    """The items of the list in their order; what is wrong goes to the file's problems.

    An event that no plan knows is no mistake: to let an unplanned one through is what some are for.
    """
    found = (_item(file, item, sources) for item in file.items(top, "plan_exemptions", _ITEM))
    return tuple(each for each in found if each is not None)


def _item(file: ContractFile, item: Node, sources: Sequence[str] | None) -> Exemption | None:
    before = len(file.problems.found)
    found = file.section(item, "exempted")
    if not found:
        return None
    source, event, name, reason = (file.text(found, key) for key in ("source", "event", "property", "reason"))
    rules = file.choices(found, "rule", RULE_KINDS)
    if sources is not None and source is not None and source not in sources:
        file.unknown(found["source"], "source in workspace.yml", sources)
    if not {"event", "property", "rule"} & found.keys():
        file.wrong(item, "an exemption names nothing that it lets through", f"write one such as {_ITEM}")
    if len(file.problems.found) > before:
        return None
    return Exemption(source=source, event=event, property=name, rules=rules, reason=reason)
