"""Reads a plan from its files: the API's answers as saved, page by page or as one, or a sheet as CSV."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final, Protocol

from dagster_project.core.documents import Mark, Problems, Steps, decode, read_json
from dagster_project.core.plan.api import parse_pages, parse_plan
from dagster_project.core.plan.model import TrackingPlan
from dagster_project.core.plan.sheet import read_sheet

_MAGIC: Final = re.compile(r"[*?\[]")
_SAVE: Final = "save there what the Public API answers for the plan's rules"


class _Document(Protocol):
    @property
    def value(self) -> object: ...

    def mark(self, path: Steps) -> Mark: ...


@dataclass(frozen=True)
class _Page:
    """One JSON text, or one of several that stand one after another in a file."""

    file: str
    document: _Document
    below: int = 0  # lines of the file before it

    def place(self, path: Steps) -> tuple[str, Mark]:
        mark = self.document.mark(path)
        return self.file, Mark(mark.line + self.below, mark.column)


class PlanFile:
    """A plan, and where everything in it was written."""

    def __init__(self, plan: TrackingPlan, pages: Sequence[_Page]) -> None:
        self.plan = plan
        self._pages = pages

    def place(self, path: Steps) -> tuple[str, Mark]:
        """File, line and column of a path, such as `PlannedEvent.at`. Slow the first time for a large file."""
        return _place(self._pages, path)


def _place(pages: Sequence[_Page], path: Steps) -> tuple[str, Mark]:
    if len(pages) == 1:
        return pages[0].place(path)
    page = path[0] if path and isinstance(path[0], int) and path[0] < len(pages) else 0
    return pages[page].place(path[1:])


def plan_paths(root: Path, written: str) -> list[Path]:
    """The files that a `tracking_plan` names: one, or those that its `*` finds, in the order of their numbers."""
    if not _MAGIC.search(written) or (root / written).exists():
        return [root / written]
    pattern = Path(written)
    if pattern.is_absolute():
        found = Path(pattern.anchor).glob(str(pattern.relative_to(pattern.anchor)))
    else:
        found = root.glob(written)
    return sorted((path for path in found if path.is_file()), key=_in_order)


def _in_order(path: Path) -> list[tuple[int, str]]:
    return [(int(part), "") if part.isdigit() else (-1, part) for part in re.split(r"(\d+)", path.as_posix())]


def read_plan(paths: Sequence[Path], problems: Problems) -> PlanFile | None:
    """The plan that these files hold together; None, and problems, when they hold none."""
    before = len(problems.found)
    pages: list[_Page] = []
    for path in paths:
        label = path.as_posix()
        try:
            data = path.read_bytes()
        except OSError as error:
            problems.add(label, Mark(), f"the tracking plan cannot be read ({error.strerror})", _SAVE)
            continue
        pages += _pages(label, data, problems)
    if len(problems.found) > before or not pages:
        return None
    if len(pages) == 1:
        plan, wrong = parse_plan(pages[0].document.value)
    else:
        plan, wrong = parse_pages([page.document.value for page in pages])
    for problem in wrong:
        file, mark = _place(pages, problem.path)
        problems.add(file, mark, problem.fact, problem.instead)
    return None if wrong else PlanFile(plan, pages)


def _pages(label: str, data: bytes, problems: Problems) -> list[_Page]:
    if label.casefold().endswith((".csv", ".tsv")):
        text = decode(label, data, problems)
        sheet = None if text is None else read_sheet(label, text, problems)
        return [] if sheet is None else [_Page(label, sheet)]
    own = Problems()
    read = read_json(label, data, own)
    if read is not None:
        return [_Page(label, read)]
    found = []
    for below, text in _one_after_another(data):
        following = Problems()
        read = read_json(label, text.encode(), following)
        own.found += [replace(each, line=each.line + below) for each in following.found]
        if read is not None:
            found.append(_Page(label, read, below))
    if len(found) < 2 or len(own.found) > 1:  # what the whole file is refused for is that more follows
        problems.found += own.found
        return []
    return found


def _one_after_another(data: bytes) -> list[tuple[int, str]]:
    """The JSON texts of a file with the lines before each, when it holds several whole ones; else nothing."""
    try:
        text = data.decode("utf-8-sig")
        decoder = json.JSONDecoder()
        found: list[tuple[int, str]] = []
        position = len(text) - len(text.lstrip())
        while position < len(text):
            _, end = decoder.raw_decode(text, position)
            found.append((text.count("\n", 0, position), text[position:end]))
            position = end + len(text[end:]) - len(text[end:].lstrip(" \t\r\n,"))
    except (ValueError, RecursionError):
        return []  # what is wrong, the reader of one text says better
    return found
