"""Imports Great Expectations without the libraries behind it that our suites never reach."""

from __future__ import annotations

import importlib
import importlib.util
import os
import sys
from types import ModuleType
from typing import Any, Final

# Taken for not installed while Great Expectations looks for them, which it is ready for.
_ABSENT: Final = ("boto3", "botocore")
_DIALECT: Final = "snowflake.sqlalchemy"


def import_great_expectations() -> None:
    """Import it; safe to call once it is imported.

    Of 3.8 s of processor time, scipy's statistics, Snowflake's SQLAlchemy dialect, altair and boto3 are half
    (2026-11-22). Our suites judge frames: they plot nothing, read no bucket and need no connection, so the
    dialect stays out as well, unless the warehouse is Snowflake, for then others of this process need it.
    """
    os.environ.setdefault("GX_ANALYTICS_ENABLED", "false")  # read at import
    if "great_expectations" in sys.modules:
        return
    _load_lazily("scipy", "stats")
    absent = [name for name in _ABSENT if name not in sys.modules]
    if _DIALECT not in sys.modules and os.environ.get("RECON_TARGET", "duckdb") == "duckdb":
        absent.append(_DIALECT)
    hidden: dict[str, Any] = dict.fromkeys(absent)
    if "altair" not in sys.modules:
        hidden["altair"] = _stand_in("altair")
    sys.modules.update(hidden)
    try:
        import great_expectations  # noqa: F401
    finally:
        for name in hidden:
            del sys.modules[name]


def _load_lazily(parent: str, child: str) -> None:
    """Put a module into its parent that is executed on the first look at one of its names."""
    name = f"{parent}.{child}"
    spec = importlib.util.find_spec(name)
    if name in sys.modules or spec is None or spec.loader is None:
        return
    spec.loader = importlib.util.LazyLoader(spec.loader)
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    setattr(sys.modules[parent], child, module)


def _stand_in(name: str) -> ModuleType:
    """A module that looks every name up in the real one, and imports that only then.

    For `import name`, which looks at the module it finds, and so would execute a lazy one at once.
    """
    module = ModuleType(name)
    module.__getattr__ = lambda asked: getattr(importlib.import_module(name), asked)  # type: ignore[method-assign]
    return module
