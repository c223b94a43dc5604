"""The small workspace, built once for all tests of this folder."""

from __future__ import annotations

import pytest
from normalised.small_workspace import Project, reconciled


@pytest.fixture(scope="session")
def project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    return reconciled(tmp_path_factory.getbasetemp() / "reconciled")
