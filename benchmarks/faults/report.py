"""The bench's table: a line for each kind, one for all, and what was told of clean workspaces."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

from benchmarks.faults.plant import KINDS

MARKS = ("found", "right_kind", "right_place", "right_day", "in_time")


def summary(outcomes: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Everything that the table says, as plain data."""
    faulty = [each for each in outcomes if not each["clean"]]
    clean = [each for each in outcomes if each["clean"]]
    lines = [line for each in faulty for line in each["lines"]]
    weeks = sum(each["weeks"] for each in clean)
    false = [incident for each in clean for incident in each["false"]]
    return {
        "kinds": {kind: _of([line for line in lines if line["kind"] == kind]) for kind in KINDS},
        "variants": {
            f"{kind}: {variant}": _of([x for x in lines if (x["kind"], x["variant"]) == (kind, variant)])
            for kind, variant in sorted({(line["kind"], line["variant"]) for line in lines})
        },
        "total": _of(lines),
        "instead": {
            kind: dict(Counter(other for x in lines if x["kind"] == kind for other in x["instead"]))
            for kind in KINDS
            if any(x["instead"] for x in lines if x["kind"] == kind)
        },
        "beside_faults": {
            "workspaces": len(faulty),
            "weeks": round(sum(each["weeks"] for each in faulty), 1),
            "false": dict(Counter(i["kind"] for each in faulty for i in each["false"])),
        },
        "clean": {
            "workspaces": len(clean),
            "weeks": round(weeks, 1),
            "false": len(false),
            "false_per_week": round(len(false) / weeks, 3) if weeks else None,
            "by_kind": dict(Counter(incident["kind"] for incident in false)),
            "near": dict(Counter(what for incident in false for what in incident["near"] or ["nothing"])),
        },
        "seconds_per_diagnosis": round(
            sum(each["seconds_per_diagnosis"] for each in outcomes) / max(1, len(outcomes)), 3
        ),
        "slowest_diagnosis": max((each["slowest_diagnosis"] for each in outcomes), default=0.0),
    }


def _of(lines: Sequence[dict[str, Any]]) -> dict[str, Any]:
    found = [line for line in lines if line["found"]]
    delays = [line["delay"] for line in lines if line["delay"] is not None]
    missing = sum(line["missing"] for line in lines)
    return {
        "planted": len(lines),
        **{mark: sum(bool(line[mark]) for line in lines) for mark in MARKS},
        "delay": round(sum(delays) / len(delays), 2) if delays else None,
        "told": round(sum(line["told"] for line in found) / len(found), 2) if found else None,
        "missing": missing,
        "explained": sum(line["explained"] for line in lines),
    }


def table(found: dict[str, Any], *, variants: bool = False) -> str:
    """The same as Markdown."""
    out = [
        "| kind | planted | found | right kind | right place | right day | in time | delay (runs) | told each"
        " | missing explained |",
        "|---|---:|---:|---:|---:|---:|---:|---:|---:|---:|",
    ]
    out += [_row(kind, row) for kind, row in found["kinds"].items() if row["planted"]]
    out.append(_row("**all**", found["total"]))
    if variants:
        out += ["", *out[:2], *(_row(name, row) for name, row in found["variants"].items())]
    out.append("")
    for kind, others in found["instead"].items():
        told = ", ".join(f"{name} {n}" for name, n in sorted(others.items(), key=lambda each: -each[1]))
        out.append(f"- {kind} was also told as: {told}")
    beside = found["beside_faults"]
    if beside["workspaces"]:
        out.append(
            f"- beside the faults: {sum(beside['false'].values())} false incidents in {beside['weeks']}"
            f" workspace-weeks {_counts(beside['false'])}"
        )
    clean = found["clean"]
    if clean["workspaces"]:
        out.append(
            f"- clean: {clean['false']} false incidents in {clean['weeks']} workspace-weeks of"
            f" {clean['workspaces']} workspaces, {clean['false_per_week']} a week {_counts(clean['by_kind'])};"
            f" near {_counts(clean['near'])}"
        )
    out.append(
        f"- diagnosis: {found['seconds_per_diagnosis']} s a run on average,"
        f" {found['slowest_diagnosis']} s the slowest"
    )
    return "\n".join(out)


def _counts(counts: dict[str, int]) -> str:
    if not counts:
        return "(none)"
    return (
        "(" + ", ".join(f"{name} {n}" for name, n in sorted(counts.items(), key=lambda each: -each[1])) + ")"
    )


def _row(name: str, row: dict[str, Any]) -> str:
    def part(count: int) -> str:
        return f"{100 * count / row['planted']:.0f}%" if row["planted"] else "-"

    share = f"{100 * row['explained'] / row['missing']:.0f}%" if row["missing"] else "-"
    cells = [
        name,
        row["planted"],
        *(part(row[mark]) for mark in MARKS),
        "-" if row["delay"] is None else row["delay"],
        "-" if row["told"] is None else row["told"],
        share,
    ]
    return "| " + " | ".join(str(cell) for cell in cells) + " |"
