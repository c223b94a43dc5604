"""The tag under which Snowflake's query history keeps our statements: application, run and stage, as JSON."""

from __future__ import annotations

import json
from typing import Final

APP: Final = "segment_reconciliation"
# Read by dbt's profile when it logs in. Never set while dbt parses: it would read the whole project anew.
VARIABLE: Final = "RECON_QUERY_TAG"


def query_tag(run_id: str | None = None, stage: str | None = None) -> str:
    """The tag of a run's stage; what is not known is left out.

    `parse_json(query_tag):run` finds the statements of a run in `query_history`. dbt adds the model to each
    statement by itself, as a comment.
    """
    parts = {"app": APP, "run": run_id, "stage": stage}
    return json.dumps({name: value for name, value in parts.items() if value}, separators=(",", ":"))
