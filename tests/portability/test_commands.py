"""Commands that read say the same of a warehouse without a run on Snowflake as on DuckDB."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner
from portability.conftest import Engine

from dagster_project.cli.main import recon


@pytest.mark.parametrize("more", [[], ["--format", "json"]], ids=" ".join)
def test_before_any_run_nobody_says_that_no_incident_is_open(
    engine: Engine, more: list[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    engine.warehouse.execute("create schema if not exists web")
    for name, value in (engine.environment | {"RECON_STATE_DIR": str(tmp_path)}).items():
        monkeypatch.setenv(name, value)
    done = CliRunner().invoke(recon, ["incidents", *more])
    assert (done.exit_code, done.stdout) == (2, "")
    assert f"nothing has been reconciled in {engine.warehouse.name} yet; run `recon run` first" in done.stderr
    place = {"duckdb": "RECON_DUCKDB_PATH", "snowflake": "SNOWFLAKE_DATABASE"}[engine.name]
    assert done.stderr.rstrip().endswith(f"or check {place}")
