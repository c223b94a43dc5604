"""`recon ui`: the Dagster UI and daemon, on loopback."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import click

from dagster_project.core.load import load_workspace
from dagster_project.resources.dagster_home import prepare_home
from dagster_project.settings import Settings, project_root


def run_ui(port: int) -> int:
    """Replace this process by `dagster dev`; a wrong configuration is said before anything starts."""
    settings = Settings.from_environment()
    load_workspace(settings.expectations_dir)
    prepare_home(settings.home)
    environment = os.environ | {
        # The code location is loaded from the checkout, so the paths must not hang on the folder.
        "RECON_EXPECTATIONS_DIR": str(settings.expectations_dir.absolute()),
        "RECON_DUCKDB_PATH": str(settings.duckdb_path.absolute()),
        "RECON_STATE_DIR": str(settings.state_dir.absolute()),
        "RECON_UI_URL": f"http://127.0.0.1:{port}",
    }
    click.echo(f"Dagster at http://127.0.0.1:{port} (stop with Ctrl-C)")
    sys.stdout.flush()
    checkout = project_root()
    os.chdir(checkout)
    dagster = Path(sys.executable).parent / "dagster"
    os.execve(
        dagster,
        [str(dagster), "dev", "-w", str(checkout / "workspace.yaml"), "-h", "127.0.0.1", "-p", str(port)],
        environment,
    )
