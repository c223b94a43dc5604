"""The stages of the flow in their order: the nine words that name modules, dbt folders and asset groups."""

from typing import Final

STAGES: Final[tuple[str, ...]] = (
    "sources",
    "normalised",
    "exported",
    "matched",
    "diagnosed",
    "judged",
    "gated",
    "published",
    "notified",
)
