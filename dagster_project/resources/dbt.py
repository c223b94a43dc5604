"""dbt inside this process: the project rendered for a workspace, parsed once, run stage by stage."""

from __future__ import annotations

import hashlib
import json
import logging
import os
import re
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any

from dagster_project.core.contracts import Workspace
from dagster_project.generate.dbt_models import MARK, dbt_files
from dagster_project.resources.dbt_models import quicken_models
from dagster_project.resources.dbt_start import quicken_start
from dagster_project.resources.query_tag import VARIABLE, query_tag

logger = logging.getLogger(__name__)

# Materializations that keep what earlier runs wrote and replace the days of a window.
_ACCUMULATING = ("day_window", "event_table_reads")
_COPIED = ("dbt_project.yml", "profiles.yml", "macros", "models", "tests")
_PARSERS = ("dbt-core", "dbt-adapters", "dbt-common", "dbt-duckdb", "dbt-snowflake")
_SHAPING = ("RECON_", "SNOWFLAKE_", "DBT_")  # variables that can change what dbt makes of the same files
_LOG_LEVEL = "DBT_LOG_LEVEL_FILE"
_SECRET = re.compile("PASSWORD|PASSPHRASE|TOKEN|SECRET")


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
            for path in _files(root):
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
            for path in _files(root) if root.is_dir() else []:
                if path.relative_to(self.rendered).as_posix() not in wanted:
                    path.unlink()
                    changed = True
        if changed:
            self._manifest = None

    def manifest(self) -> Any:
        """dbt's manifest of the rendered project: parsed when anything that it is made of has changed."""
        if self._manifest is None:
            inputs = self._parse_inputs()
            self._manifest = self._parsed_before(inputs)
            if self._manifest is None:
                self._manifest = self._invoke(["parse"], with_manifest=False)
                if self._parsed.exists():
                    note = {"inputs": inputs, "parsed": _digest(self._parsed)}
                    self._parse_note.write_text(json.dumps(note), "utf-8")
        return self._manifest

    @property
    def _parsed(self) -> Path:
        """Where dbt keeps what it has parsed."""
        return self.rendered / "target" / "partial_parse.msgpack"

    @property
    def _parse_note(self) -> Path:
        return self.rendered / "target" / "parsed_from.json"

    def _parse_inputs(self) -> str:
        """A digest of all that a manifest is made of: the files, the connection's names and dbt itself."""
        digest = hashlib.sha256()
        for path in sorted(path for name in _COPIED for path in _files(self.rendered / name)):
            digest.update(f"{path.relative_to(self.rendered)}\x1f".encode() + path.read_bytes() + b"\x1e")
        environment = {**os.environ, **self.environment}
        for name in sorted(environment):
            # A run has an id of its own, and no secret is part of a manifest.
            if name.startswith(_SHAPING) and name != "RECON_RUN_ID" and not _SECRET.search(name):
                digest.update(f"{name}\x1f{environment[name]}\x1e".encode("utf-8", "surrogateescape"))
        for package in _PARSERS:
            digest.update(f"{package}\x1f{version(package)}\x1e".encode())
        digest.update(f"{self.rendered.absolute()}\x1e{sys.version}".encode())
        return digest.hexdigest()

    def _parsed_before(self, inputs: str) -> Any:
        """The manifest that an earlier process parsed from the same, or None.

        dbt finds out by itself that nothing has changed, in 1.5 s; to read what it has kept takes 0.15 s
        (2026-11-22).
        """
        try:
            note = json.loads(self._parse_note.read_text("utf-8"))
            if note != {"inputs": inputs, "parsed": _digest(self._parsed)}:
                return None
            from dbt.contracts.graph.manifest import Manifest
            from dbt.parser.manifest import extended_mashumuro_decoder

            manifest = Manifest.from_msgpack(self._parsed.read_bytes(), decoder=extended_mashumuro_decoder)
            manifest.build_parent_and_child_maps()
            manifest.build_flat_graph()
        except Exception as error:
            # Whatever is wrong with it, dbt can parse again.
            logger.info("dbt parses anew, for what it has kept cannot be read: %s", error)
            return None
        return manifest

    def run(self, models: Sequence[str], *, command: str = "run") -> list[ModelResult]:
        """Run these models in their order of dependence; raises :class:`DbtFailed` with what broke."""
        if not models:
            return []  # dbt would take the next option for a model's name
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
            if node.resource_type == "model" and node.config.materialized in _ACCUMULATING
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

        quicken_start()
        quicken_models()
        started = time.monotonic()
        log_path = self.rendered / "logs"
        common = [
            "--project-dir", str(self.rendered),
            "--profiles-dir", str(self.rendered),
            "--target", self.environment.get("RECON_TARGET", "duckdb"),
            "--log-path", str(log_path),
            "--log-level", "none", "--no-use-colors", "--no-send-anonymous-usage-stats", "--no-version-check",
            "--cache-selected-only",
        ]  # fmt: skip
        # Its log of every statement took an eighth of a small night's matched models, and is rarely read (2026-11-23).
        level = {**os.environ, **self.environment}.get(_LOG_LEVEL, "")
        logged = level.strip().lower() not in ("", "none")
        if not logged:
            common += ["--log-level-file", "none"]
        # The manifest stays in memory; dbt's artifacts on disk, which nobody reads here, cost a fifth of a small run.
        common += ["--no-write-json"] if with_manifest else ["--partial-parse"]
        runner = dbtRunner(manifest=self._manifest if with_manifest else None)
        with _environment({**self.environment, **(self._tag(arguments) if with_manifest else {})}):
            outcome = runner.invoke([*arguments, *common])
            if self.environment.get("RECON_TARGET", "duckdb") == "duckdb":
                _release_duckdb()
        if outcome.success:
            return outcome.result
        where = f"log: {log_path}" if logged else f"for dbt's own log set {_LOG_LEVEL}=debug and run again"
        raise DbtFailed(_failure(arguments[0], outcome, time.monotonic() - started, where))

    def _tag(self, arguments: Sequence[str]) -> dict[str, str]:
        """What tags an invocation's statements in Snowflake: the run, and the stage by the folder of its model."""
        found = next(self.rendered.glob(f"models/*/{arguments[-1]}.sql"), None)
        return {
            VARIABLE: query_tag(self.environment.get("RECON_RUN_ID"), found.parent.name if found else None)
        }


def _files(root: Path) -> list[Path]:
    """The files at or below a path, in order; none where nothing is."""
    return [root] if root.is_file() else sorted(path for path in root.rglob("*") if path.is_file())


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _failure(command: str, outcome: Any, seconds: float, where: str) -> str:
    if outcome.exception is not None:
        return f"dbt {command} could not run: {outcome.exception}"
    broken = [
        f"{result.node.name}: {str(result.message).strip()}"
        for result in getattr(outcome.result, "results", [])
        if str(result.status) in {"error", "fail", "runtime error"}
    ]
    return f"dbt {command} failed after {seconds:.1f} s in " + "; ".join(broken) + f" ({where})"


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
