"""Reads `quarantine` of workspace.yml: which messages the published numbers leave out."""

from __future__ import annotations

from collections.abc import Mapping

from dagster_project.core.calls import call_of_event
from dagster_project.core.contract_file import ContractFile
from dagster_project.core.contracts import PLAN_RULES, Quarantine
from dagster_project.core.destination_file import Plans
from dagster_project.core.documents import Node, shown
from dagster_project.core.plan import PlannedEvent

_ITEM = "`- {event: Order Completed, property: total, rule: required}`"


def read_quarantine(
    file: ContractFile, top: Mapping[str, Node], plans: Plans | None
) -> tuple[Quarantine, ...]:
    """The items of the list in their order; what is wrong goes to the file's problems.

    `plans` are the sources' plans, None when the sources themselves are wrong: names are then taken as they are.
    """
    found = (_item(file, item, plans) for item in file.items(top, "quarantine", _ITEM))
    return tuple(each for each in found if each is not None)


def _item(file: ContractFile, item: Node, plans: Plans | None) -> Quarantine | None:
    before = len(file.problems.found)
    found = file.section(item, "quarantined")
    if not found:
        return None
    source, event, name = (file.text(found, key) for key in ("source", "event", "property"))
    rules = file.choices(found, "rule", PLAN_RULES)
    if plans is not None and source is not None and source not in plans.file_of:
        file.unknown(found["source"], "source in workspace.yml", list(plans.file_of))
        return None
    if not {"event", "property", "rule"} & found.keys():
        file.wrong(item, "a quarantine names nothing that breaks the plan", f"write one such as {_ITEM}")
    if rules == ("unplanned_property",) and "property" not in found:
        file.wrong(
            item, "`rule: unplanned_property` without a property", "write `property: ...`, by its name"
        )
    if event is not None and call_of_event(event) != "track":
        instead = "name a track event, or leave `event` away"
        file.wrong(found["event"], f"{shown(event)} calls are not among the published numbers", instead)
    elif plans is not None:
        _known(file, found, plans, Quarantine(source=source, event=event, property=name, rules=rules))
    if len(file.problems.found) > before:
        return None
    return Quarantine(source=source, event=event, property=name, rules=rules)


def _known(file: ContractFile, found: Mapping[str, Node], plans: Plans, asked: Quarantine) -> None:
    """Tell names that no plan knows: they would leave out nothing for ever, and nobody would see it."""
    sources = [asked.source] if asked.source is not None else list(plans.file_of)
    unplanned = {"unplanned_event", "unplanned_property"} & set(asked.rules)
    if any(plans.file_of[source] is not None and plans.of(source) is None for source in sources):
        return  # a plan that cannot be read is told, and what it knows is not known
    events: dict[str, list[PlannedEvent]] = {}
    for source in sources:
        plan = plans.of(source)
        for planned in () if plan is None else plan.landed_rules():
            if planned.type == "TRACK":
                events.setdefault(planned.name, []).append(planned)
    if not events:
        fact = f"{f'source `{asked.source}`' if asked.source else 'no source'} has "
        fact += "no tracking plan to break" if asked.source else "a tracking plan to break"
        file.wrong(next(iter(found.values())), fact, "name its `tracking_plan`, or take this out")
        return
    if asked.event is not None and asked.event not in events:
        if asked.rules != ("unplanned_event",):
            meant = file.problems.nearest(asked.event, list(events))
            instead = f"write `{meant}`" if meant else "write a name of a tracking plan, letter by letter"
            file.wrong(found["event"], f"no tracking plan has the event {shown(asked.event)}", instead)
        return
    if asked.property is None or unplanned:
        return
    speaking = (
        events[asked.event] if asked.event is not None else [e for each in events.values() for e in each]
    )
    names = sorted({name for planned in speaking for name in planned.properties})
    if asked.property not in names:
        place = f"the event {shown(asked.event)}" if asked.event is not None else "any event"
        meant = file.problems.nearest(asked.property, names)
        instead = f"write `{meant}`" if meant else "write a property of the tracking plan, letter by letter"
        file.wrong(found["property"], f"the plan has no property {shown(asked.property)} of {place}", instead)
