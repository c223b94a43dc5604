"""The server, and an engine of each kind for the tests that are asked of both."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from benchmarks.fake_snowflake import FakeSnowflake, fake_snowflake
from dagster_project.resources.dbt import DbtProject
from dagster_project.resources.warehouse import Warehouse, open_warehouse

CHECKOUT = Path(__file__).parents[2]
ENGINES = ["duckdb", pytest.param("snowflake", marks=pytest.mark.fakesnow)]


@dataclass(frozen=True)
class Engine:
    """An empty warehouse and the environment under which dbt finds it."""

    name: str
    environment: dict[str, str]
    warehouse: Warehouse
    folder: Path

    def dbt(self, run_id: str = "") -> DbtProject:
        environment = self.environment | {"RECON_RUN_ID": run_id}
        return DbtProject(CHECKOUT / "dbt", self.folder / "dbt", environment)


@pytest.fixture(scope="session")
def snowflake_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FakeSnowflake]:
    with fake_snowflake(tmp_path_factory.mktemp("fakesnow") / "server.log") as server:
        yield server


@pytest.fixture(scope="session")
def new_engine(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Callable[[str], Engine]]:
    """Opens an empty warehouse of the named kind; the server is started by the first that needs it."""
    opened: list[Engine] = []

    def open_engine(name: str) -> Engine:
        folder = tmp_path_factory.mktemp(name)
        path = folder / "warehouse.duckdb"
        environment = {"RECON_TARGET": "duckdb", "RECON_DUCKDB_PATH": str(path)}
        if name == "snowflake":
            environment = request.getfixturevalue("snowflake_server").environment()
        opened.append(Engine(name, environment, open_warehouse(name, path, environment), folder))
        return opened[-1]

    yield open_engine
    for engine in opened:
        engine.warehouse.engine.dispose()


@pytest.fixture(params=ENGINES)
def engine(request: pytest.FixtureRequest, new_engine: Callable[[str], Engine]) -> Engine:
    return new_engine(request.param)


@pytest.fixture(autouse=True)
def no_endless_retries() -> Iterator[None]:
    """The driver asks a server that answers 500 again for ever; a test that meets one must fail instead."""

    def give_up(_signal: int, _frame: object) -> None:
        raise TimeoutError(
            "no answer within 240 seconds; see the server's log for the statement it failed on"
        )

    before = signal.signal(signal.SIGALRM, give_up)
    signal.alarm(int(os.environ.get("PORTABILITY_TIMEOUT", "240")))
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)
