"""Workspaces on disk: one that is right in everything, and changes to it."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from dagster_project.core.contracts import Workspace
from dagster_project.core.load import ConfigurationError, load_workspace

HERE = Path(__file__).parent
RIGHT = HERE / "workspace" / "expectations"


@pytest.fixture
def expectations(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the right workspace, named as a user in the checkout names it."""
    shutil.copytree(RIGHT, tmp_path / "expectations")
    monkeypatch.chdir(tmp_path)
    return Path("expectations")


@pytest.fixture
def load_with(expectations: Path) -> Callable[..., Workspace]:
    """Loads the right workspace with files changed: `load_with({"workspace.yml": [(old, new)]})`."""

    def load(changes: dict[str, str | list[tuple[str, str]]] | None = None) -> Workspace:
        for name, change in (changes or {}).items():
            file = expectations / name
            if isinstance(change, list):
                text = file.read_text()
                for old, new in change:
                    assert old in text, f"{old!r} is not in {name}"
                    text = text.replace(old, new)
            else:
                text = change
            file.write_text(text)
        return load_workspace(expectations)

    return load


@pytest.fixture
def refused_with(load_with: Callable[..., Workspace]) -> Callable[..., list[str]]:
    """Like load_with, but the workspace must be refused; the answer is what was said."""

    def refused(changes: dict[str, str | list[tuple[str, str]]]) -> list[str]:
        with pytest.raises(ConfigurationError) as caught:
            load_with(changes)
        return str(caught.value).splitlines()

    return refused
