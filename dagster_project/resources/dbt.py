"""dbt inside this process: the project rendered for a workspace, parsed once, run stage by stage."""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from dagster_project.core.contracts import Workspace
from dagster_project.generate.dbt_models import MARK, dbt_files

_COPIED = ("dbt_project.yml", "profiles.yml", "macros", "models", "tests")


class DbtFailed(RuntimeError):
    """A dbt node failed; the message names the nodes and gives the engine's own words."""


@dataclass(frozen=True)
class ModelResult:
    """What one dbt node did."""

    name: str
    status: str
    seconds: float
    rows: int | None
    message: str


@dataclass
class DbtProject:
    """A dbt project of its own for each workspace: the hand-written part and what the workspace generates.

    Rendered below the state folder, so that two workspaces never share a project and the checkout is only
    read. Unchanged files keep their times, and dbt's own partial parse does the rest.
    """

    source: Path  # the hand-written project: <checkout>/dbt
    rendered: Path  # <state>/dbt
    environment: Mapping[str, str]  # RECON_TARGET, RECON_DUCKDB_PATH and SNOWFLAKE_* for profiles.yml
    _manifest: Any = field(default=None, repr=False)

    def render(self, workspace: Workspace) -> None:
        """Write the project for this workspace; files that nothing makes any more are removed."""
        wanted: dict[str, str] = {}
        for name in _COPIED:
            root = self.source / name
            for path in [root] if root.is_file() else sorted(root.rglob("*")) if root.is_dir() else []:
                if path.suffix in {".sql", ".yml"} and not path.name.startswith("."):
                    text = path.read_text("utf-8")
                    # A generated file of the checkout is of the checkout's own workspace.
                    if not text.startswith((f"-- {MARK}", f"# {MARK}")):
                        wanted[path.relative_to(self.source).as_posix()] = text
        wanted.update(dbt_files(workspace))
        changed = False
        for name, text in wanted.items():
            path = self.rendered / name
            if not path.exists() or path.read_text("utf-8") != text:
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(text, "utf-8")
                changed = True
        for name in _COPIED:
            root = self.rendered / name
            for path in sorted(root.rglob("*")) if root.is_dir() else []:
                if path.is_file() and path.relative_to(self.rendered).as_posix() not in wanted:
                    path.unlink()
                    changed = True
        if changed:
            self._manifest = None

    def manifest(self) -> Any:
        """dbt's manifest of the rendered project; parsed once in this object's life."""
        if self._manifest is None:
            self._manifest = self._invoke(["parse"], with_manifest=False)
        return self._manifest

    def run(self, models: Sequence[str], *, command: str = "run") -> list[ModelResult]:
        """Run these models in their order of dependence; raises :class:`DbtFailed` with what broke."""
        self.manifest()
        outcome = self._invoke([command, "--select", *models], with_manifest=True)
        return [
            ModelResult(
                name=result.node.name,
                status=str(result.status),
                seconds=float(result.execution_time),
                rows=_rows(result.adapter_response),
                message=str(result.message or ""),
            )
            for result in outcome.results
        ]

    def accumulating(self) -> list[str]:
        """``schema.table`` of every model whose rows stay from run to run, in order."""
        nodes = self.manifest().nodes.values()
        return sorted(
            f"{node.schema}.{node.name}"
            for node in nodes
            if node.resource_type == "model" and node.config.materialized == "day_window"
        )

    def fingerprint(self) -> str:
        """A digest of the hand-written SQL: rows that another version of it made cannot stand beside new ones."""
        digest = hashlib.sha256()
        for name in ("macros", "models"):
            for path in sorted((self.source / name).rglob("*.sql")):
                text = path.read_text("utf-8")
                if not text.startswith(f"-- {MARK}"):
                    digest.update(f"{path.name}\x1f{text}\x1e".encode())
        return digest.hexdigest()

    def _invoke(self, arguments: list[str], *, with_manifest: bool) -> Any:
        from dbt.cli.main import dbtRunner  # slow to import (1.3 s), so only where dbt really runs

        started = time.monotonic()
        log_path = self.rendered / "logs"
        common = [
            "--project-dir", str(self.rendered),
            "--profiles-dir", str(self.rendered),
            "--target", self.environment.get("RECON_TARGET", "duckdb"),
            "--log-path", str(log_path),
            "--quiet", "--no-use-colors", "--no-send-anonymous-usage-stats", "--no-version-check",
        ]  # fmt: skip
        # The manifest stays in memory; dbt's artifacts on disk, which nobody reads here, cost a fifth of a small run.
        common += ["--no-write-json"] if with_manifest else ["--partial-parse"]
        runner = dbtRunner(manifest=self._manifest if with_manifest else None)
        with _environment(self.environment):
            outcome = runner.invoke([*arguments, *common])
            if self.environment.get("RECON_TARGET", "duckdb") == "duckdb":
                _release_duckdb()
        if outcome.success:
            return outcome.result
        raise DbtFailed(_failure(arguments[0], outcome, time.monotonic() - started, log_path))


def _failure(command: str, outcome: Any, seconds: float, log_path: Path) -> str:
    if outcome.exception is not None:
        return f"dbt {command} could not run: {outcome.exception}"
    broken = [
        f"{result.node.name}: {str(result.message).strip()}"
        for result in getattr(outcome.result, "results", [])
        if str(result.status) in {"error", "fail", "runtime error"}
    ]
    return f"dbt {command} failed after {seconds:.1f} s in " + "; ".join(broken) + f" (log: {log_path})"


def _rows(response: Mapping[str, Any] | None) -> int | None:
    rows = (response or {}).get("rows_affected")
    return int(rows) if isinstance(rows, int) and rows >= 0 else None


def _release_duckdb() -> None:
    """Close dbt-duckdb's connection: another configuration of the file is refused while it is open."""
    from dbt.adapters.duckdb.connections import DuckDBConnectionManager

    DuckDBConnectionManager.close_all_connections()


class _environment:
    """The process environment with these variables set, for as long as dbt reads `env_var`."""

    def __init__(self, values: Mapping[str, str]) -> None:
        self._values = values
        self._before: dict[str, str | None] = {}

    def __enter__(self) -> None:
        self._before = {name: os.environ.get(name) for name in self._values}
        os.environ.update(self._values)

    def __exit__(self, *_: object) -> None:
        for name, value in self._before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
