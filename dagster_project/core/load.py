"""Reads `expectations/` into one Workspace, or says everything that is wrong with it at once."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Final, cast

from dagster_project.core.contract_file import ContractFile
from dagster_project.core.contracts import (
    LOOKBACK_DAYS,
    STARTS_ON,
    Destination,
    IncidentKind,
    Mute,
    Naming,
    Override,
    Source,
    Workspace,
)
from dagster_project.core.destination_file import DestinationReader, Plans
from dagster_project.core.documents import (
    ConfigurationError,
    Mark,
    Node,
    Problem,
    Problems,
    listed,
    read_yaml,
    shown,
    tell_duplicates,
)
from dagster_project.core.keys import INCIDENT_ID_PATTERN, INCIDENT_KINDS, MUTED_BY
from dagster_project.core.naming.convention import CASES, ORDERS, TENSES
from dagster_project.core.plan import TrackingPlan
from dagster_project.core.plan.exemption_file import read_exemptions
from dagster_project.core.plan.files import plan_paths, read_plan
from dagster_project.core.quarantine_file import read_quarantine

__all__ = ["ConfigurationError", "Problem", "load_workspace"]

MOST_DESTINATIONS: Final = 62  # a message's destinations are one signed 64-bit number


def load_workspace(expectations_dir: Path) -> Workspace:
    """The contract in a folder. ConfigurationError holds every problem of every file."""
    loader = _Loader(Path(expectations_dir))
    workspace = loader.workspace()
    if workspace is None or loader.problems.found:
        raise ConfigurationError(loader.problems.found)
    return workspace


class _Loader:
    def __init__(self, root: Path) -> None:
        self._root = root
        self.problems = Problems()

    # ------------------------------------------------------------------------------------------ files

    def workspace(self) -> Workspace | None:
        if not self._root.is_dir():
            self._wrong_path(
                self._root,
                "there is no such folder" if not self._root.exists() else "this is not a folder",
                "run from the checkout, or set RECON_EXPECTATIONS_DIR to the folder of workspace.yml",
            )
            return None
        file = self._yaml("workspace.yml")
        top = file.top("workspace", "`name: ...`, `timezone: UTC` and `sources: ...`") if file else {}
        sources, plans = self._sources(file, top) if file else (None, None)
        plan_of = plans or Plans({}, {})
        destinations = self._destinations(None if sources is None else [s.name for s in sources], plan_of)
        stems = [path.stem for path in self._destination_files()]
        overrides = [
            found
            for file_of, node in self._decisions("overrides")
            if (found := self._override(file_of, node, stems))
        ]
        names = None if sources is None else [each.name for each in sources]
        mutes = [
            mute
            for file_of, node in self._decisions("mutes")
            if (mute := self._mute(file_of, node, names, stems))
        ]
        if file is None:
            return None
        name = file.text(top, "name")
        zone = file.zone(top, "timezone")
        starts_on = file.day(top, "starts_on")
        lookback = self._lookback(file, top)
        channel = self._slack_channel(file, top)
        critical = self._critical_events(file, top, plans)
        naming = self._naming(file, top)
        quarantine = read_quarantine(file, top, None if sources is None else plan_of)
        exemptions = read_exemptions(file, top, None if sources is None else [each.name for each in sources])
        show_values = file.boolean(top, "show_values")
        violations_schema = file.text(top, "violations")
        if self.problems.found or name is None or zone is None or sources is None:
            return None
        return Workspace(
            name=name,
            timezone=zone,
            sources=tuple(sources),
            destinations=tuple(destinations),
            overrides=tuple(overrides),
            mutes=tuple(mutes),
            critical_events=tuple(critical),
            slack_channel=channel,
            naming=naming,
            quarantine=quarantine,
            plan_exemptions=exemptions,
            show_values=show_values,
            violations_schema=violations_schema,
            plans={s.name: plan for s in sources if (plan := plan_of.of(s.name)) is not None},
            root=self._root.resolve(),
            starts_on=starts_on or STARTS_ON,
            lookback_days=lookback or LOOKBACK_DAYS,
        )

    def _label(self, *parts: str) -> str:
        return self._root.joinpath(*parts).as_posix()

    def _wrong_path(self, path: Path, fact: str, instead: str) -> None:
        self.problems.add(path.as_posix(), Mark(), fact, instead)

    def _bytes(self, path: Path) -> bytes | None:
        """The bytes of a file that must be there."""
        try:
            return path.read_bytes()
        except FileNotFoundError:
            other = path.with_suffix(".yaml")
            instead = "write it, or set RECON_EXPECTATIONS_DIR to the folder that holds it"
            if other.exists():
                instead = f"rename {other.name} to {path.name}"
            self._wrong_path(path, "there is no such file", instead)
        except OSError as error:
            self._wrong_path(path, f"the file cannot be read ({error.strerror})", "make it a readable file")
        return None

    def _yaml(self, *parts: str) -> ContractFile | None:
        data = self._bytes(self._root.joinpath(*parts))
        label = self._label(*parts)
        node = None if data is None else read_yaml(label, data, self.problems)
        return None if node is None else ContractFile(label, node, self.problems)

    # ------------------------------------------------------------------------------------------ workspace

    def _lookback(self, file: ContractFile, top: Mapping[str, Node]) -> int | None:
        lookback = file.duration(top, "lookback")
        if lookback is None:
            return None
        if lookback < timedelta(days=1) or lookback % timedelta(days=1):
            node = top["lookback"]
            file.wrong(node, f"`lookback` is {node.described()}", "write one whole day or more, `35d`")
            return None
        return lookback.days

    def _critical_events(self, file: ContractFile, top: Mapping[str, Node], plans: Plans | None) -> list[str]:
        """The names of `critical_events`; a name that no plan knows would lift nothing for ever."""
        node = top.get("critical_events")
        if node is None or node.kind == "empty":
            return []
        if node.kind != "list":
            instead = "write a list, one `- name` a line"
            file.wrong(node, f"`critical_events` is {node.described()}", instead)
            return []
        known: list[str] | None = []
        for source in plans.file_of if plans else ():
            plan = plans.of(source) if plans else None
            if plan is None or known is None:
                known = None  # a source without a plan may send any name
            else:
                known += [name for name in plan.events if name not in known]
        found: dict[str, Node] = {}
        for item in node.items:
            name = file.string(item, "an event's name")
            if name is None:
                continue
            if name in found:
                fact = f"the event {shown(name)} stands here again, after line {found[name].mark.line}"
                file.wrong(item, fact, "keep one of the two")
                continue
            found[name] = item
            if known and name not in known:
                meant = self.problems.nearest(name, known)
                instead = f"write `{meant}`" if meant else "write a name of a tracking plan, letter by letter"
                file.wrong(item, f"no tracking plan has the event {shown(name)}", instead)
        return list(found)

    def _naming(self, file: ContractFile, top: Mapping[str, Node]) -> Naming:
        """How names are to be written; a case that nobody knows would find every name wrong, or none."""
        found = file.section(top["naming"], "naming") if "naming" in top else {}
        return Naming(
            events=file.choice(found, "events", tuple(CASES)),
            properties=file.choice(found, "properties", tuple(CASES)),
            order=file.choice(found, "order", ORDERS),
            tense=file.choice(found, "tense", TENSES),
        )

    def _slack_channel(self, file: ContractFile, top: Mapping[str, Node]) -> str | None:
        if "alerts" not in top:
            return None
        slack = file.section(top["alerts"], "alerts").get("slack")
        if slack is None:
            return None
        found = file.section(slack, "slack")
        channel = found.get("channel")
        if channel is not None and channel.kind == "empty":
            # `channel: #data` is a comment to YAML, and the most usual way to lose a channel.
            file.wrong(channel, "`channel` is empty", 'write it in quotes, `channel: "#data-quality"`')
            return None
        return file.text(found, "channel")

    def _sources(
        self, file: ContractFile, top: Mapping[str, Node]
    ) -> tuple[list[Source] | None, Plans | None]:
        default = file.text(top, "tracking_plan")
        plans: dict[str, TrackingPlan | None] = {}
        if default is not None:
            plans[default] = self._plan(file, top["tracking_plan"], default)
        node = top.get("sources")
        if node is None:
            return None, None
        if node.kind != "mapping":
            file.wrong(node, f"`sources` is {node.described()}", "write one line a source, `web_app: {}`")
            return None, None
        if not node.pairs:
            file.wrong(node, "`sources` names no source", "write one line a source, `web_app: {}`")
            return None, None
        tell_duplicates(file.label, node, self.problems)
        sources: list[Source] = []
        file_of: dict[str, str | None] = {}
        place_of: dict[str, tuple[str, Node]] = {}
        for key, value in node.pairs:
            name = file.name_of(key, "source")
            if name is None or name in file_of:
                continue
            found = {} if value.kind == "empty" else file.section(value, "source")
            schema = file.text(found, "schema")
            own = file.text(found, "tracking_plan")
            if own is not None and own not in plans:
                plans[own] = self._plan(file, found["tracking_plan"], own)
            freshness = file.duration(found, "freshness", zero=False)
            source = Source(
                name=name, schema_name=schema or name, tracking_plan=own or default, freshness=freshness
            )
            earlier = place_of.setdefault(source.schema_name.casefold(), (name, key))
            if earlier[0] != name:
                file.wrong(
                    found.get("schema", key),
                    f"the schema {shown(source.schema_name)} is already that of source `{earlier[0]}`",
                    "give each source its own schema, or every row counts twice",
                )
            file_of[name] = source.tracking_plan
            sources.append(source)
        return sources, Plans(file_of, plans)

    def _plan(self, file: ContractFile, node: Node, written: str) -> TrackingPlan | None:
        """The plan in the files that `tracking_plan` names: JSON, pages of it by a `*`, or a sheet as CSV."""
        instead = "save there what the Public API answers for the plan's rules"
        try:
            paths = plan_paths(self._root, written)
            found = [path for path in paths if path.exists()]
        except (OSError, ValueError, NotImplementedError) as error:
            file.wrong(node, f"{shown(written)} is no path ({error})", "write a file name")
            return None
        if not found:
            file.wrong(node, f"the tracking plan {shown(written)} does not exist", instead)
            return None
        unreadable = next((path for path in found if path.is_dir()), None)
        if unreadable is not None:
            file.wrong(node, f"the tracking plan {shown(written)} (Is a directory)", instead)
            return None
        read = read_plan(found, self.problems)
        return None if read is None else read.plan

    # ------------------------------------------------------------------------------------------ destinations

    def _destination_files(self) -> list[Path]:
        folder = self._root / "destinations"
        try:
            found = sorted(os.listdir(folder))  # noqa: PTH208
        except OSError:
            return []  # a workspace without destinations is one whose sources only are watched
        return [folder / name for name in found if name.endswith(".yml") and not name.startswith(".")]

    def _destinations(self, sources: Sequence[str] | None, plans: Plans) -> list[Destination]:
        folder = self._root / "destinations"
        if folder.is_dir():
            for path in sorted(folder.glob("*.yaml")):
                self._wrong_path(path, "destinations end in .yml", f"rename it to {path.stem}.yml")
        files = self._destination_files()
        for path in files[MOST_DESTINATIONS : MOST_DESTINATIONS + 1]:
            self._wrong_path(
                path,
                f"there are {len(files)} destinations, and {MOST_DESTINATIONS} are the most for a workspace",
                "move some to a second expectations folder",
            )
        stems = [path.stem for path in files]
        found = []
        for path in files:
            file = self._yaml("destinations", path.name)
            if file is not None:
                destination = DestinationReader(file, path.stem, stems, sources, plans).read()
                if destination is not None:
                    found.append(destination)
        return found

    # ------------------------------------------------------------------------------------------ decisions

    def _decisions(self, name: str) -> list[tuple[ContractFile, Node]]:
        """The items of `<name>.yml`, a file with one list that need not be there."""
        if not (self._root / f"{name}.yml").exists():
            return []
        file = self._yaml(f"{name}.yml")
        if file is None:
            return []
        node = file.top(name, f"`{name}: []`").get(name)
        if node is None or node.kind == "empty":  # every line commented out is what an unused file looks like
            return []
        if node.kind != "list":
            file.wrong(
                node, f"`{name}` is {node.described()}", f"write a list, `{name}: []` when there is none"
            )
            return []
        return [(file, item) for item in node.items]

    def _override(self, file: ContractFile, node: Node, destinations: Sequence[str]) -> Override | None:
        found = file.section(node, "override")
        destination = file.text(found, "destination")
        first, last, until = (file.day(found, key) for key in ("from", "to", "until"))
        owner, reason = file.text(found, "owner"), file.text(found, "reason")
        if destination is not None and destination not in destinations:
            file.unknown(found["destination"], "destination", destinations)
        if first and last and last < first:
            file.wrong(
                found["to"], f"`to` ({last}) is before `from` ({first})", "write the later day in `to`"
            )
        elif last and until and until < last:
            fact = f"`until` ({until}) is before `to` ({last})"
            file.wrong(found["until"], fact, "write the last day on which the decision counts")
        if not (destination and first and last and until and owner and reason):
            return None
        return Override(
            destination=destination, from_day=first, to_day=last, owner=owner, reason=reason, until=until
        )

    def _mute(
        self, file: ContractFile, node: Node, sources: Sequence[str] | None, destinations: Sequence[str]
    ) -> Mute | None:
        before = len(file.problems.found)
        found = file.section(node, "mute")
        if not found:
            return None
        incident = file.text(found, "incident")
        kind = file.choice(found, "kind", INCIDENT_KINDS)
        source, event, destination = (file.text(found, key) for key in ("source", "event", "destination"))
        owner, reason, until = file.text(found, "owner"), file.text(found, "reason"), file.day(found, "until")
        false_alarm = file.boolean(found, "false_alarm")
        if incident is not None and not re.fullmatch(INCIDENT_ID_PATTERN, incident):
            file.wrong(
                found["incident"],
                f"{shown(incident)} is no incident's id",
                "copy it from `recon incidents --all`, such as `inc_0123456789ab`",
            )
        if source is not None and sources is not None and source not in sources:
            file.unknown(found["source"], "source in workspace.yml", sources)
        if destination is not None and destination not in destinations:
            file.unknown(found["destination"], "destination", destinations)
        named = [key for key in MUTED_BY if key in found]
        if "incident" in found and named:
            fact = f"a mute names an incident and also `{named[0]}`"
            file.wrong(found[named[0]], fact, "keep `incident` alone, or take it out")
        elif "incident" not in found and not named:
            file.wrong(node, "a mute names no incident", f"write `incident`, or one of {listed(MUTED_BY)}")
        if len(file.problems.found) > before or not (owner and reason and until):
            return None
        return Mute(
            incident=incident,
            kind=cast(IncidentKind | None, kind),
            source=source,
            event=event,
            destination=destination,
            owner=owner,
            reason=reason,
            until=until,
            false_alarm=false_alarm,
        )
