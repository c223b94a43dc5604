"""`recon run` keeps to the memory and the threads that it is given, spills beyond them, and tidies up."""

from __future__ import annotations

from pathlib import Path

import pytest
from commands.conftest import AS_OF, Desk, desk_in

from dagster_project.settings import Settings

TIME = AS_OF.isoformat() + "Z"


class Limited(Desk):
    """A desk whose commands are given little."""

    limits: dict[str, str]

    @property
    def environment(self) -> dict[str, str]:
        return super().environment | self.limits


def limited(desk: Desk, **limits: str) -> Limited:
    found = type("Limited", (Limited,), {"limits": limits})(desk.shop)
    assert isinstance(found, Limited)
    return found


def test_a_run_with_little_memory_finds_what_any_run_finds(tmp_path: Path) -> None:
    roomy = desk_in(tmp_path / "roomy", renamed=True)
    tight = limited(desk_in(tmp_path / "tight", renamed=True), RECON_MEMORY_LIMIT="100MB", RECON_THREADS="1")
    told = [desk.recon("run", "--as-of", TIME, "--format", "json") for desk in (roomy, tight)]
    assert [each.code for each in told] == [1, 1], told[1].err
    kinds = [
        [(row["kind"], row["event"], row["messages_affected"]) for row in each.json["incidents"]]
        for each in told
    ]
    assert kinds[0] == kinds[1] != []
    left = {path.name for path in tight.folder.iterdir() if path.name.startswith("warehouse")}
    assert left == {"warehouse.duckdb"}


def test_a_run_in_steps_says_how_far_it_has_come_and_ends_as_any_run_does(tmp_path: Path) -> None:
    # Three weeks of some 130 messages and 170 deliveries a day.
    stepped = limited(desk_in(tmp_path / "stepped", renamed=True), RECON_STEP_ROWS="1500")
    done = stepped.recon("run", "--as-of", TIME)
    assert done.code == 1, done.err
    told = [line.strip() for line in done.err.splitlines() if "to come" in line]
    left = [line for line in told if line.startswith("matched: ")]
    assert left[-1].endswith("; 1 more step to come"), done.err
    assert len(left) > 1
    assert {line.split(":")[0] for line in told} == {"exported", "normalised", "matched"}


@pytest.mark.parametrize(
    ("limits", "rows"),
    [
        ({}, 50_000_000),
        ({"RECON_MEMORY_LIMIT": "8GB"}, 26_666_666),
        ({"RECON_MEMORY_LIMIT": "1.5 gib"}, 5_368_709),
        ({"RECON_MEMORY_LIMIT": "100MB"}, 1_000_000),
        ({"RECON_MEMORY_LIMIT": "64GB"}, 50_000_000),
        ({"RECON_MEMORY_LIMIT": "8GB", "RECON_STEP_ROWS": "7"}, 7),
    ],
)
def test_a_step_is_as_large_as_the_memory_allows_unless_its_size_is_said(
    limits: dict[str, str], rows: int
) -> None:
    assert Settings.from_environment(limits).step_rows == rows


@pytest.mark.parametrize(
    ("limits", "says"),
    [
        ({"RECON_MEMORY_LIMIT": "plenty"}, "RECON_MEMORY_LIMIT is 'plenty'; write a size such as 8GB"),
        ({"RECON_THREADS": "0"}, "RECON_THREADS is '0'; write a number from 1 to 1024"),
    ],
)
def test_a_wrong_limit_is_told_before_anything_starts(
    empty_desk: Desk, limits: dict[str, str], says: str
) -> None:
    done = limited(empty_desk, **limits).recon("run", "--as-of", TIME)
    assert done.code == 2, done.err
    assert says in done.err
    assert "Traceback" not in done.err
