"""One file of `destinations/` read into a Destination."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Final, cast

from dagster_project.core.contract_file import ContractFile
from dagster_project.core.contracts import (
    COMPLETE_AFTER,
    IDENTIFIER_PATTERNS,
    STORES,
    Clock,
    Columns,
    Destination,
    Export,
    Grain,
    Identifier,
    IdentifierName,
    Matching,
    Route,
)
from dagster_project.core.documents import Node, Problems, listed, quoted, shown
from dagster_project.core.keys import CLOCKS, GRAINS, IDENTIFIERS, MATCHINGS, TABLE_PATTERN
from dagster_project.core.plan import TrackingPlan, unusable_pattern
from dagster_project.core.presets import PRESETS, Preset
from dagster_project.core.slug import slug

_ALL: Final = "all"
_FILES: Final = re.compile(r".*(\.csv|\.jsonl)(\.gz|\.zst)?|.*\.parquet|.*[*?\]]", re.DOTALL)
_BUCKET: Final = r"[A-Za-z0-9][A-Za-z0-9._-]{1,221}"  # the longest is Google's, with a domain in it
_COLUMNS_OF_GRAIN: Final = {
    "event": ("event_name", "event_time", "user_id", "anonymous_id", "message_id"),
    "daily_counts": ("event_name", "day", "count"),
}
_NEEDED_OF_GRAIN: Final = {
    "event": ("event_name", "event_time"),
    "daily_counts": ("event_name", "day", "count"),
}


@dataclass(frozen=True)
class Plans:
    """What is known of the plans while destinations are read."""

    file_of: Mapping[str, str | None]  # by source, as the contract writes it
    plans: Mapping[str, TrackingPlan | None]  # by file; None: it could not be read

    def of(self, source: str) -> TrackingPlan | None:
        """The plan of a source; None when it has none that could be read."""
        file = self.file_of.get(source)
        return None if file is None else self.plans.get(file)


class DestinationReader:
    """One destination's file."""

    def __init__(
        self,
        file: ContractFile,
        stem: str,
        stems: Sequence[str],
        sources: Sequence[str] | None,
        plans: Plans,
    ) -> None:
        self._file = file
        self._stem = stem
        self._stems = stems
        self._known_sources = sources
        self._plans = plans

    def read(self) -> Destination | None:
        file = self._file
        before = len(file.problems.found)
        top = file.top("destination", "`name: ...`, `timezone: UTC`, `grain: event`, `receives` and `export`")
        name = self._name(top)
        owner = file.text(top, "owner")
        zone = file.zone(top, "timezone")
        grain = cast(Grain | None, file.choice(top, "grain", GRAINS))
        complete_after = file.duration(top, "complete_after")
        clock = cast(Clock | None, file.choice(top, "clock", CLOCKS))
        tolerance = file.share(top, "tolerance")
        receives = file.section(top["receives"], "receives") if "receives" in top else {}
        sources = self._sources(receives)
        events = self._events(receives, sources)
        consent = file.text(receives, "consent")
        identifiers = self._identifiers(top)
        export, preset = self._export(top, grain)
        matching = self._matching(top, grain, export)
        if len(file.problems.found) > before or not (name and zone and grain and export):
            return None
        return Destination(
            name=name,
            owner=owner,
            timezone=zone,
            grain=grain,
            clock=clock or (preset.clock if preset else "timestamp"),
            tolerance=tolerance,
            sources=tuple(sources),
            events=events,
            consent=consent,
            identifiers=identifiers,
            export=export,
            matching=matching,
            complete_after=COMPLETE_AFTER if complete_after is None else complete_after,
        )

    def _name(self, top: Mapping[str, Node]) -> str | None:
        if "name" not in top:
            return None
        name = self._file.name_of(top["name"], "destination")
        if name is None or name == self._stem:
            return name
        if name in self._stems:
            fact = f"the name {shown(name)} is that of {name}.yml"
        else:
            fact = f"the name {shown(name)} is not the file's"
        self._file.wrong(top["name"], fact, f"write `name: {self._stem}`, or rename the file to {name}.yml")
        return None

    # ------------------------------------------------------------------------------------------ receives

    def _sources(self, receives: Mapping[str, Node]) -> list[str]:
        file, node = self._file, receives.get("sources")
        if node is None:
            return []
        if node.kind == "text" and node.text == _ALL:
            return list(self._known_sources or ())
        if node.kind != "list":
            meant = node.kind == "text" and (self._known_sources is None or node.text in self._known_sources)
            instead = f"write a list, `[{node.text}]`" if meant else "write a list of sources, or `all`"
            file.wrong(node, f"`sources` is {node.described()}", instead)
            return []
        if not node.items:
            file.wrong(node, "`sources` names no source", "write a list of sources, or `all`")
        found: dict[str, Node] = {}
        for item in node.items:
            name = file.string(item, "a source")
            if name is None:
                continue
            if name in found:
                self._twice(item, found[name], "source")
            elif self._known_sources is not None and name not in self._known_sources:
                file.unknown(item, "source in workspace.yml", self._known_sources)
            found.setdefault(name, item)
        return list(found)

    def _events(self, receives: Mapping[str, Node], sources: Sequence[str]) -> tuple[Route, ...] | None:
        file, node = self._file, receives.get("events")
        if node is None or (node.kind == "text" and node.text == _ALL):
            return None
        if node.kind != "list":
            instead = "write a list, one `- name` a line, or `all`"
            if node.kind == "mapping":
                instead = "write a list, one `- {Segment's name: name there}` a line"
            file.wrong(node, f"`events` is {node.described()}", instead)
            return ()
        if not node.items:
            file.wrong(node, "`events` names no event", "write a list of events, or `all`")
        planned = _PlannedNames(self._plans, sources, file.problems)
        found: dict[str, Node] = {}
        routes = []
        for item in node.items:
            route = self._route(item)
            if route is None:
                continue
            if route.event in found:
                self._twice(item, found[route.event], "event")
                continue
            found[route.event] = item
            routes.append(route)
            problem = planned.problem(route)
            if problem:
                file.wrong(item, *problem)
        return tuple(routes)

    def _route(self, node: Node) -> Route | None:
        file = self._file
        if node.kind != "mapping":
            name = file.string(node, "an event's name")
            return None if name is None else Route(event=name, destination_name=name)
        if len(node.pairs) != 1:
            fact = f"an item of `events` holds {len(node.pairs)} pairs"
            file.wrong(node, fact, "write one `- {Segment's name: name there}` a line")
            return None
        key, value = node.pairs[0]
        name = file.string(key, "an event's name")
        if name is not None and value.kind == "empty":
            same = name[:60] if name.isprintable() else quoted(name)
            instead = f"write `- {same}` when it keeps its name, or the name it has there"
            file.wrong(value, f"the event {shown(name)} has no name in the destination", instead)
            return None
        there = file.string(value, "the event's name in the destination")
        return None if name is None or there is None else Route(event=name, destination_name=there)

    def _twice(self, item: Node, earlier: Node, what: str) -> None:
        name = (item if item.kind == "text" else item.pairs[0][0]).text
        fact = f"the {what} {shown(name)} stands here again, after line {earlier.mark.line}"
        self._file.wrong(item, fact, "keep one of the two")
        fact = f"the {what} {shown(name)} stands again in line {item.mark.line}"
        self._file.wrong(earlier, fact, "keep one of the two")

    # ------------------------------------------------------------------------------------------ identifiers

    def _identifiers(self, top: Mapping[str, Node]) -> tuple[Identifier, ...]:
        if "identifiers" not in top:
            return ()
        found = self._file.section(top["identifiers"], "identifiers")
        identifiers = []
        for name in IDENTIFIERS:
            node = found.get(name)
            if node is None:
                continue
            said = {} if node.kind == "empty" else self._file.section(node, "identifier")
            identifiers.append(
                Identifier(
                    name=cast(IdentifierName, name),
                    required=self._file.boolean(said, "required"),
                    format=self._format(said),
                )
            )
        return tuple(identifiers)

    def _format(self, said: Mapping[str, Node]) -> str | None:
        written = self._file.text(said, "format")
        if written is None:
            return None
        if len(written) > 2 and written.startswith("/") and written.endswith("/"):
            why = unusable_pattern(written[1:-1])
            if why:
                fact = f"the format {shown(written)} {why}"
                self._file.wrong(said["format"], fact, "write an RE2 expression between slashes")
                return None
            return written
        if all(part in IDENTIFIER_PATTERNS for part in written.split("_or_")):
            return written
        meant = self._file.problems.nearest(written, tuple(IDENTIFIER_PATTERNS))
        also = "or several joined by `_or_`, or a regular expression `/.../`"
        instead = f"write `{meant}`" if meant else f"write one of {listed(IDENTIFIER_PATTERNS)}, {also}"
        self._file.wrong(said["format"], f"`format` is {shown(written)}", instead)
        return None

    # ------------------------------------------------------------------------------------------ export

    def _export(self, top: Mapping[str, Node], grain: Grain | None) -> tuple[Export | None, Preset | None]:
        file = self._file
        if "export" not in top:
            return None, None
        found = file.section(top["export"], "export")
        table, files = self._table(found), self._files(found)
        if "table" in found and "files" in found:
            file.wrong(found["files"], "`export` has both `table` and `files`", "keep the one that is read")
        elif "table" not in found and "files" not in found and top["export"].kind == "mapping":
            instead = "write `table: schema.table`, or `files: exports/name/*.csv.gz`"
            file.wrong(top["export"], "`export` has neither `table` nor `files`", instead)
        format_name = file.choice(found, "format", tuple(PRESETS))
        preset = PRESETS[format_name] if format_name else None
        columns = self._columns(top["export"], found, grain, preset)
        if columns is None:
            return None, preset
        export = Export(table=table, files=files, format=format_name, columns=columns)
        if preset:
            export = export.model_copy(update={"time_precision": preset.time_precision})
        return export, preset

    def _table(self, found: Mapping[str, Node]) -> str | None:
        table = self._file.text(found, "table")
        if table is not None and not re.fullmatch(TABLE_PATTERN, table):
            self._file.wrong(
                found["table"], f"`table` is {shown(table)}, not schema.table", "write `table: schema.table`"
            )
        return table

    def _files(self, found: Mapping[str, Node]) -> str | None:
        files = self._file.text(found, "files")
        if files is None:
            return None
        if "://" in files:
            wrong = _wrong_address(files)
            if wrong is not None:
                self._file.wrong(found["files"], *wrong)
                return files
        if not _FILES.fullmatch(files.rpartition("/")[2]):
            fact = f"`files` {shown(files)} names no kind of file that is read"
            instead = "end it in .csv, .jsonl (also .gz or .zst) or .parquet, such as `exports/name/*.csv.gz`"
            self._file.wrong(found["files"], fact, instead)
        return files

    def _columns(
        self, export: Node, found: Mapping[str, Node], grain: Grain | None, preset: Preset | None
    ) -> Columns | None:
        file = self._file
        own = file.section(found["columns"], "columns") if "columns" in found else {}
        if grain is None:
            return None
        belongs = _COLUMNS_OF_GRAIN[grain]
        resolved: dict[str, str | None] = {}
        if preset:
            given = preset.columns.model_dump()
            resolved = {role: given[role] for role in belongs}
        for role, node in own.items():
            if role not in belongs:
                fact = f"the column `{role}` does not belong to grain {grain}"
                file.wrong(node, fact, f"write columns of {listed(belongs)}, or another grain")
            elif node.kind == "empty":
                resolved[role] = None  # the export has no such column, whatever the preset says
            else:
                resolved[role] = file.string(node, f"the column `{role}`") or "?"
        missing = [role for role in _NEEDED_OF_GRAIN[grain] if not resolved.get(role)]
        wrong_format = "format" in found and preset is None
        for role in missing if not wrong_format and export.kind == "mapping" else ():
            place = found.get("columns", export)
            file.wrong(
                place,
                f"grain {grain} needs the column `{role}`",
                f"write `{role}: <its name in the export>` under `columns`",
            )
        return Columns(**resolved)

    def _matching(self, top: Mapping[str, Node], grain: Grain | None, export: Export | None) -> Matching:
        columns = export.columns if export else Columns()
        possible: list[Matching] = ["counts"]
        if grain == "event":
            if columns.user_id or columns.anonymous_id:
                possible.insert(0, "user_time")
            if columns.message_id:
                possible.insert(0, "message_id")
        chosen = cast(Matching | None, self._file.choice(top, "matching", MATCHINGS))
        if chosen is None:
            return possible[0]
        if export is not None and chosen not in possible:
            needs = {
                "message_id": "a column `message_id`",
                "user_time": "a column `user_id` or `anonymous_id`",
            }
            fact = f"matching {chosen} needs grain event and {needs[chosen]}"
            self._file.wrong(top["matching"], fact, f"write `matching: {possible[0]}`, or name the column")
        return chosen


def _wrong_address(files: str) -> tuple[str, str] | None:
    """What is wrong with an object store's address, and what to write instead; None when nothing is."""
    scheme, _, path = files.partition("://")
    bucket, slash, key = path.partition("/")
    form = f"write `{scheme if scheme in STORES else STORES[0]}://bucket/folder/*.csv.gz`"
    if scheme not in STORES:
        known = listed(f"{each}://" for each in STORES)
        return f"`files` begins with {shown(scheme)}://, which is not read", f"write {known}, or a path"
    if "@" in bucket:
        # Not shown: what stands before it is a password more often than not.
        return "`files` holds credentials", f"{form}, and set them in the environment of the job"
    if not bucket:
        return f"`files` {shown(files)} names no bucket", form
    if not re.fullmatch(_BUCKET, bucket):
        return f"`files` names the bucket {shown(bucket)}, which cannot be one", form
    if not slash or not key or "//" in path:
        return f"`files` {shown(files)} names no objects of a bucket", form
    return None


class _PlannedNames:
    """Which events the routed sources may send, for a destination that lists its events."""

    def __init__(self, plans: Plans, sources: Sequence[str], problems: Problems) -> None:
        self._plans = plans
        self._sources = sources
        self._problems = problems
        found = [plans.of(source) for source in sources]
        # A source without a readable plan may send anything: then nothing can be said of a name.
        self._known: list[TrackingPlan] | None = None
        if found and None not in found:
            self._known = list({id(plan): plan for plan in found if plan is not None}.values())

    @cached_property
    def _names(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(name for plan in self._known or () for name in plan.events))

    @cached_property
    def _by_slug(self) -> dict[str, str]:
        found: dict[str, str] = {}
        for name in self._names:
            found.setdefault(slug(name), name)
        return found

    def problem(self, route: Route) -> tuple[str, str] | None:
        """What is wrong with a listed event, and what to write instead; None when it is planned."""
        if self._known is None or any(plan.planned(route.event) for plan in self._known):
            return None
        files = list(dict.fromkeys(file for s in self._sources if (file := self._plans.file_of.get(s))))
        where = " or ".join(files)
        fact = f"the event {shown(route.event)} is not in {where}"
        elsewhere = [file for file, plan in self._plans.plans.items() if plan and plan.planned(route.event)]
        if elsewhere:
            senders = [s for s, file in self._plans.file_of.items() if file in elsewhere]
            if senders:
                return (
                    f"{fact}, only in {' and '.join(elsewhere)}",
                    f"add one of {listed(senders)} to `sources`",
                )
        meant = self._meant(route)
        if meant:
            return fact, f"write {shown(meant)}, or add it to {where}"
        return fact, f"add it to {where}, or delete the line"

    def _meant(self, route: Route) -> str | None:
        if (
            route.destination_name != route.event
            and f"{route.event}: {route.destination_name}" in self._names
        ):
            return f'"{route.event}: {route.destination_name}"'  # a colon made a pair of one name
        same_slug = self._by_slug.get(slug(route.event)) if slug(route.event) else None
        return same_slug or self._problems.nearest(route.event, self._names)
