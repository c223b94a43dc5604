"""`recon plan validate`: event JSON held to the plan, so that a change which breaks it fails before it ships."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Final

import click

from dagster_project.cli import exit_codes
from dagster_project.cli.plan_choice import chosen_plan, exemptions_of
from dagster_project.core.documents import Mark, Problem, Problems, shown
from dagster_project.core.plan.exemptions import not_exempt
from dagster_project.core.plan.judge import Judge, NoMessage, Violation
from dagster_project.core.plan.meant import Meant
from dagster_project.core.plan.messages import Sent, read_messages

STDIN: Final = "<stdin>"
MOST_KEPT: Final = 100_000  # of violations; what is beyond is counted
_MOST_LINES: Final = 200  # of violations that a person is shown; the machine-readable forms hold all
_MOST_PROBLEMS: Final = 50


@dataclass(frozen=True)
class _Counts:
    messages: int
    broken: int  # messages that break the plan
    places: int  # where they do


@dataclass(frozen=True)
class _Found:
    file: str
    mark: Mark
    message_id: str | None
    violation: Violation
    instead: str
    value: Any


def run_validate(
    *,
    files: Sequence[Path],
    source: str | None,
    plan_files: Sequence[Path],
    strict: bool,
    show_values: bool,
    form: str,
) -> int:
    """Judge every message of the files (`-` is standard input); returns the exit code."""
    if not files and sys.stdin.isatty():
        raise click.UsageError("there is no message to judge; name files, or pipe event JSON in")
    plan = chosen_plan(source, plan_files).plan
    judge, meant = Judge(plan, strict=strict), Meant(plan)
    exemptions = exemptions_of(source, plan_files)
    problems = Problems()
    found: list[_Found] = []
    messages = broken = places = 0
    for path in files or (Path("-"),):
        with _opened(path) as (label, stream):
            for sent in read_messages(label, stream, problems):
                messages += 1
                try:
                    violations = not_exempt(judge.judge(sent.value), exemptions)
                except NoMessage as error:
                    mark = sent.mark(())
                    problems.add(label, mark, f"no message of Segment: {error}", "write a whole message")
                    continue
                except RecursionError:
                    problems.add(label, sent.mark(()), "the message is nested too deeply", "write it flat")
                    continue
                broken += bool(violations)
                places += len(violations)
                if places <= MOST_KEPT:
                    told = [_told(label, sent, each, meant) for each in violations]
                    found += sorted(told, key=lambda each: (each.mark.line, each.mark.column))
    if not messages and not problems.found:
        raise click.UsageError("there is no message to judge; name files, or pipe event JSON in")
    write = {"text": _as_text, "json": _as_json, "github": _as_github}[form]
    write(found, problems.found, _Counts(messages, broken, places), show_values)
    if problems.found:
        return exit_codes.BROKEN
    return exit_codes.DISCREPANCIES if places else exit_codes.RECONCILED


@contextmanager
def _opened(path: Path) -> Iterator[tuple[str, BinaryIO]]:
    if str(path) == "-":
        yield STDIN, sys.stdin.buffer
        return
    try:
        with path.open("rb") as stream:
            yield path.as_posix(), stream
    except OSError as error:
        raise click.UsageError(f"{path} cannot be read ({error.strerror})") from None


def _told(label: str, sent: Sent, violation: Violation, meant: Meant) -> _Found:
    message = sent.value
    message_id = message.get("messageId") if isinstance(message.get("messageId"), str) else None
    value: Any = message
    for step in violation.path:
        try:
            value = value[step]
        except (KeyError, IndexError, TypeError):
            value = None
            break
    return _Found(
        label, sent.mark(violation.path), message_id, violation, meant.instead(violation, value), value
    )


# ------------------------------------------------------------------------------ for people


def _what(each: _Found, show_values: bool) -> str:
    violation = each.violation
    who = f"{violation.call} {_quoted(violation.event)}" if violation.event else violation.call
    shown_value = ""
    if show_values and violation.kind not in ("required", "unplanned_event"):
        shown_value = f" ({shown(json.dumps(each.value, ensure_ascii=False))})"
    if violation.kind == "unplanned_event":
        return f"{violation.call}: {violation.message}"
    return f"{who}, {_plain(violation.field)}: {violation.message}{shown_value}"


def _quoted(name: str) -> str:
    return f'"{_plain(name)}"'


def _plain(text: str) -> str:
    return shown(text)[1:-1]


def _as_text(
    found: Sequence[_Found], problems: Sequence[Problem], counts: _Counts, show_values: bool
) -> None:
    for each in found[:_MOST_LINES]:
        mark = each.mark
        click.echo(f"{each.file}:{mark.line}:{mark.column}: {_what(each, show_values)}; {each.instead}")
    if counts.places > _MOST_LINES:
        kept = "all" if counts.places == len(found) else f"the first {len(found):,}"
        click.echo(f"... and {counts.places - _MOST_LINES:,} more; --format json has {kept}")
    for problem in problems[:_MOST_PROBLEMS]:
        click.echo(str(problem), err=True)
    if len(problems) > _MOST_PROBLEMS:
        click.echo(f"... and {len(problems) - _MOST_PROBLEMS:,} more that could not be judged", err=True)
    click.echo(_summary(problems, counts))


def _summary(problems: Sequence[Problem], counts: _Counts) -> str:
    s = "" if counts.messages == 1 else "s"
    if not counts.places:
        said = f"{counts.messages:,} message{s} judged: all keep to the plan"
    else:
        breaks = "breaks" if counts.broken == 1 else "break"
        places = "1 place" if counts.places == 1 else f"{counts.places:,} places"
        said = f"{counts.broken:,} of {counts.messages:,} message{s} {breaks} the plan, in {places}"
    return f"{said}; {len(problems):,} could not be judged" if problems else said


# ------------------------------------------------------------------------------ for machines


def _as_json(
    found: Sequence[_Found], problems: Sequence[Problem], counts: _Counts, show_values: bool
) -> None:
    violations = []
    for each in found:
        violation = each.violation
        told = {
            "file": each.file,
            "line": each.mark.line,
            "column": each.mark.column,
            "message_id": each.message_id,
            "call": violation.call,
            "event": violation.event,
            "kind": violation.kind,
            "field": violation.field,
            "property": violation.property,
            "message": violation.message,
            "instead": each.instead,
        }
        violations.append({**told, "value": each.value} if show_values else told)
    said = {
        "messages": counts.messages,
        "broken": counts.broken,
        "places": counts.places,
        "violations": violations,
        "problems": [
            {"file": p.file, "line": p.line, "column": p.column, "fact": p.fact, "instead": p.instead}
            for p in problems
        ],
    }
    # Escaped: half of a surrogate pair in a message must not keep the answer from being written.
    click.echo(json.dumps(said, indent=2))


def _as_github(
    found: Sequence[_Found], problems: Sequence[Problem], counts: _Counts, show_values: bool
) -> None:
    for each in found:
        title = f"tracking plan: {each.violation.kind}"
        _annotate(each.file, each.mark, title, f"{_what(each, show_values)}; {each.instead}")
    for problem in problems:
        place = Mark(problem.line, problem.column)
        _annotate(problem.file, place, "tracking plan: not judged", f"{problem.fact}; {problem.instead}")
    click.echo(_summary(problems, counts))


def _annotate(file: str, mark: Mark, title: str, text: str) -> None:
    """A workflow command of GitHub Actions. Standard input has no file that could be annotated."""
    place = f"file={_property(file)},line={mark.line},col={mark.column}," if file != STDIN else ""
    click.echo(f"::error {place}title={_property(title)}::{_data(text)}")


def _data(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _data(text).replace(":", "%3A").replace(",", "%2C")
