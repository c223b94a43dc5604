"""The environment: which variables are read, what each is for, and what to say when one is missing."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, Literal, get_args

from pydantic import BaseModel, ConfigDict, Field, SecretStr

Target = Literal["duckdb", "snowflake"]
# A number above zero and its unit, as DuckDB writes sizes.
_SIZE: Final = re.compile(r"(?!0+(\.0+)?\s?[MGT])\d{1,6}(\.\d{1,3})?\s?([MGT]i?B)", re.IGNORECASE)
_BYTES_OF_ROW: Final = 300  # of a step, with the days beside it
_LEAST_ROWS: Final = 1_000_000
_MOST_ROWS: Final = 50_000_000


class SettingsError(Exception):
    """The environment is wrong or lacks something; the text names variable, fact and next step."""


class Settings(BaseModel):
    """What the environment says. Reading it needs no secret; using a part of it may."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    expectations_dir: Path = Path("expectations")
    target: Target = "duckdb"
    duckdb_path: Path = Path(".recon/warehouse.duckdb")
    state_dir: Path = Path(".recon")
    memory_limit: str | None = None  # of DuckDB, as it writes sizes; beyond it, it spills
    threads: int | None = Field(default=None, ge=1, le=1_024)
    step_rows: int = Field(default=_MOST_ROWS, ge=1)  # rows that one step of a run reads, about
    grown_from: int = Field(default=5_000_000, ge=1)  # from so many rows on a table or a day is a large one
    dagster_home: Path | None = None
    slack_webhook_url: SecretStr | None = None
    slack_bot_token: SecretStr | None = None
    slack_api_url: str = "https://slack.com/api"
    snowflake_account: str | None = None
    snowflake_user: str | None = None
    snowflake_password: SecretStr | None = None
    snowflake_private_key_path: Path | None = None
    snowflake_private_key_passphrase: SecretStr | None = None
    snowflake_role: str | None = None
    snowflake_database: str | None = None
    snowflake_warehouse: str | None = None
    # A server that answers as Snowflake does is reached by these.
    snowflake_host: str | None = None
    snowflake_port: int | None = Field(default=None, ge=1, le=65_535)
    snowflake_protocol: Literal["http", "https"] | None = None

    @classmethod
    def from_environment(cls, environ: Mapping[str, str] | None = None) -> Settings:
        """The settings of this process. An empty variable counts as unset, as it does in a shell."""
        environ = os.environ if environ is None else environ
        said: dict[str, Any] = {
            field: environ[variable] for field, variable in VARIABLES.items() if environ.get(variable)
        }
        if said.get("target", "duckdb") not in get_args(Target):
            raise SettingsError(
                f"RECON_TARGET is {said['target']!r}; write one of {', '.join(get_args(Target))}"
            )
        if said.get("snowflake_protocol", "https") not in ("http", "https"):
            raise SettingsError("SNOWFLAKE_PROTOCOL is neither http nor https; unset it")
        port = said.get("snowflake_port", "443")
        if not (port.isascii() and port.isdigit() and 1 <= int(port[:9]) <= 65_535):
            raise SettingsError(f"SNOWFLAKE_PORT is {port!r}; write a number from 1 to 65535, or unset it")
        limit = said.get("memory_limit", "1GB")
        if not _SIZE.fullmatch(limit):
            raise SettingsError(
                f"RECON_MEMORY_LIMIT is {limit!r}; write a size such as 8GB, 500MB or 1.5GiB, or unset it"
            )
        threads = said.get("threads", "1")
        if not (threads.isascii() and threads.isdigit() and 1 <= int(threads[:9]) <= 1_024):
            raise SettingsError(f"RECON_THREADS is {threads!r}; write a number from 1 to 1024, or unset it")
        for field in ("step_rows", "grown_from"):
            rows = said.get(field, "1")
            if not (rows.isascii() and rows.isdigit() and int(rows[:18]) >= 1 and len(rows) <= 18):
                raise SettingsError(f"{VARIABLES[field]} is {rows!r}; write a number of rows, or unset it")
        if "memory_limit" in said and "step_rows" not in said:
            said["step_rows"] = rows_of_step(said["memory_limit"])
        return cls(**said)

    def require(self, *fields: str, needed_by: str) -> None:
        """Refuses, with every missing variable named at once, to go on without these."""
        absent = [VARIABLES[field] for field in fields if getattr(self, field) is None]
        if absent:
            raise missing(*absent, needed_by=needed_by)

    def require_warehouse(self) -> None:
        """Refuses to go on when the target's connection cannot be made with what is set."""
        if self.target != "snowflake":
            return
        needed_by = "the Snowflake target (RECON_TARGET=snowflake)"
        self.require("snowflake_account", "snowflake_user", "snowflake_database", needed_by=needed_by)
        if self.snowflake_password is None and self.snowflake_private_key_path is None:
            raise missing("SNOWFLAKE_PASSWORD or SNOWFLAKE_PRIVATE_KEY_PATH", needed_by=needed_by)

    @property
    def home(self) -> Path:
        """Where Dagster keeps its runs; absolute, as Dagster asks."""
        return (self.dagster_home or self.state_dir).absolute()


def rows_of_step(memory_limit: str) -> int:
    """How many rows a step of a run may read within a memory limit, written as DuckDB writes sizes.

    With the days beside it a step is joined in 120 bytes a row (12.4 million rows within 1.5 GB, not within 1 GB,
    2026-11-23); those days may be as large as half of it.
    """
    number, unit = re.split(r"\s?(?=[MGT])", memory_limit.upper(), maxsplit=1)
    size = float(number) * (1024 if "I" in unit else 1000) ** "BKMGT".index(unit[0])
    return max(_LEAST_ROWS, min(_MOST_ROWS, int(size / _BYTES_OF_ROW)))


VARIABLES: Final[Mapping[str, str]] = {
    "expectations_dir": "RECON_EXPECTATIONS_DIR",
    "target": "RECON_TARGET",
    "duckdb_path": "RECON_DUCKDB_PATH",
    "state_dir": "RECON_STATE_DIR",
    "memory_limit": "RECON_MEMORY_LIMIT",
    "threads": "RECON_THREADS",
    "step_rows": "RECON_STEP_ROWS",
    "grown_from": "RECON_GROWN_FROM",
    # All others are named in upper case, as the tools that own them do.
    **{
        field: field.upper()
        for field in Settings.model_fields
        if field.startswith(("slack_", "snowflake_")) or field == "dagster_home"
    },
}


def missing(*variables: str, needed_by: str) -> SettingsError:
    """The error for variables that are not set: which, and what needs them."""
    names = " and ".join(variables)
    verb, them = ("is", "it") if len(variables) == 1 else ("are", "them")
    return SettingsError(
        f"{names} {verb} not set, and {needed_by} needs {them}; set {them} in the environment of this command"
    )


def project_root() -> Path:
    """The checkout: the folder that holds `dbt/` and `workspace.yaml`.

    The package is installed from it in place; a copy installed elsewhere is run from inside the checkout.
    """
    beside_the_package = Path(__file__).resolve().parents[1]
    here = Path.cwd()
    for folder in (beside_the_package, here, *here.parents):
        if (folder / "dbt" / "dbt_project.yml").is_file() and (folder / "workspace.yaml").is_file():
            return folder
    raise SettingsError(f"no checkout holds {here}; run from the folder that holds dbt/ and workspace.yaml")
