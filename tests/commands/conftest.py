"""`recon` as a person runs it: a process of its own, on a workspace of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any, Final

import pytest
from builders import contract, destination
from scenarios.shop import Shop, land_all, messages

CHECKOUT: Final = Path(__file__).parents[2]
OLD, NEW = "Purchase Completed", "purchase_completed"
FIRST: Final = date(2026, 10, 26)
RENAMED: Final = date(2026, 11, 11)
AS_OF: Final = datetime(2026, 11, 15, 9)
PLAN: Final = {
    "data": {
        "rules": [
            {"type": "TRACK", "key": name, "version": 1, "jsonSchema": {"type": "object"}}
            for name in (OLD, "Signed Up")
        ]
    }
}


@dataclass(frozen=True)
class Ended:
    """What a command left behind."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """Standard output, which must be one JSON document and nothing else."""
        return json.loads(self.out)


@dataclass(frozen=True)
class Desk:
    """A folder with a workspace, its warehouse and its state, in which `recon` is run."""

    shop: Shop
    more: Mapping[str, str] = field(default_factory=dict)  # of the environment, beside or over the usual

    @property
    def folder(self) -> Path:
        return self.shop.folder

    @property
    def environment(self) -> dict[str, str]:
        kept = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(("RECON_", "DAGSTER_", "SLACK_", "SNOWFLAKE_", "DBT_"))
        }
        return kept | {
            "RECON_EXPECTATIONS_DIR": str(self.folder / "expectations"),
            "RECON_DUCKDB_PATH": str(self.folder / "warehouse.duckdb"),
            "RECON_STATE_DIR": str(self.folder / "state"),
            **self.more,
        }

    def with_environment(self, **more: str) -> Desk:
        return replace(self, more={**self.more, **more})

    def start(self, *words: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [str(Path(sys.executable).with_name("recon")), *words],
            cwd=CHECKOUT,
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def recon(self, *words: str) -> Ended:
        return ended(self.start(*words))

    def write(self, name: str, text: str) -> Path:
        path = self.folder / "expectations" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, "utf-8")
        return path


def ended(process: subprocess.Popen[str]) -> Ended:
    """Wait for a command and read all that it said."""
    try:
        out, err = process.communicate(timeout=300)
    finally:
        process.kill()
    return Ended(process.returncode, out, err)


def desk_in(folder: Path, *, renamed: bool = False, land: bool = True) -> Desk:
    """A shop of two sources and two tools, three weeks old; with `renamed`, one event has changed its name."""
    (folder / "expectations").mkdir(parents=True)
    (folder / "expectations" / "tracking_plan.json").write_text(json.dumps(PLAN), "utf-8")
    tools: Sequence[dict[str, Any]] = [
        destination("mail", receives={"sources": "all", "events": [OLD, "Signed Up"]}),
        destination("crm", receives={"sources": "all", "events": ["Signed Up"]}),
    ]
    told = contract(*tools, sources=("web", "app"), tracking_plan="tracking_plan.json")
    shop = Shop.build(folder, told)
    rows = messages("web", OLD, days=21, a_day=60, first=FIRST)
    if renamed:
        rows = [
            replace(each, event_text=NEW) if each.timestamp and each.timestamp.date() >= RENAMED else each
            for each in rows
        ]
    rows += messages("web", "Signed Up", days=21, a_day=40, first=FIRST)
    rows += messages("app", "Signed Up", days=21, a_day=30, first=FIRST)
    if land:
        land_all(shop, [each for each in rows if each.received_at <= AS_OF + timedelta(days=1)])
    return Desk(shop)


@pytest.fixture
def empty_desk(tmp_path: Path) -> Desk:
    """A workspace in which nothing has run yet."""
    return desk_in(tmp_path / "desk", land=False)
