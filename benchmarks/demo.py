"""Times `recon demo` and `recon demo --next-day` as whole processes, in a checkout of their own."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

from meter import whole_process
from table import Report


def demo(report: Report, folder: Path, product: Path) -> None:
    """Both commands, one after the other. The demo keeps its exports in the checkout, where somebody may look at theirs."""
    checkout = folder / "checkout"
    for name in ("dagster_project", "dbt", "expectations"):
        shutil.copytree(
            product / name, checkout / name, ignore=shutil.ignore_patterns("__pycache__", "target", "logs")
        )
    shutil.copy(product / "workspace.yaml", checkout)
    rows: list[list[str | float | int | None]] = []
    for arguments in (["demo"], ["demo", "--next-day"]):
        ended = whole_process(
            [sys.executable, "-P", "-m", "dagster_project.cli.main", *arguments],
            {"PYTHONPATH": str(checkout)},
            checkout,
        )
        if ended.status not in (0, 1):
            raise SystemExit(f"recon {' '.join(arguments)} broke; it said:\n{ended.errors[-3000:]}")
        rows.append(
            [f"recon {' '.join(arguments)}", ended.seconds, ended.cpu, ended.peak_mb, ended.written_mb]
        )
        for line in ended.errors.splitlines():
            if line.endswith(" s"):
                report.say("  " + line.strip())
    report.table(["command", "seconds", "cpu s", "peak MB", "written MB"], rows)
