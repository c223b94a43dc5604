"""Imports Great Expectations without two libraries behind it that our suites never reach."""

from __future__ import annotations

import importlib.util
import os
import sys

_DIALECT = "snowflake.sqlalchemy"


def import_great_expectations() -> None:
    """Import it ahead of time, in the time of a thread; safe to call once it is imported.

    Of 6 to 8 s of processor time, scipy's statistics and Snowflake's SQLAlchemy dialect are about 3 s
    (2026-11-22). The first is loaded when something asks for it. The second counts as not installed while
    Great Expectations looks for it, because our suites judge frames and never a connection; not when the
    warehouse is Snowflake, for then another thread may need it meanwhile.
    """
    os.environ.setdefault("GX_ANALYTICS_ENABLED", "false")  # read at import
    if "great_expectations" in sys.modules:
        return
    spec = importlib.util.find_spec("scipy.stats")
    if "scipy.stats" not in sys.modules and spec is not None and spec.loader is not None:
        spec.loader = importlib.util.LazyLoader(spec.loader)
        module = importlib.util.module_from_spec(spec)
        sys.modules["scipy.stats"] = module
        spec.loader.exec_module(module)
        sys.modules["scipy"].stats = module  # type: ignore[attr-defined]
    hide = _DIALECT not in sys.modules and os.environ.get("RECON_TARGET", "duckdb") == "duckdb"
    if hide:
        sys.modules[_DIALECT] = None  # type: ignore[assignment]
    try:
        import great_expectations  # noqa: F401
    finally:
        if hide:
            del sys.modules[_DIALECT]
