"""Says how an incident came to its end: taken up by the contract, repaired, or not found any more."""

from __future__ import annotations

from collections.abc import Mapping

from dagster_project.core.wording_names import shown

LISTED = 8  # destinations that are named; the rest is counted
_WORDS: Mapping[str, str] = {
    "missing": "missing",
    "duplicates": "there more than once",
    "unexpected": "there that nobody sent",
}


def taken_up(new: object, lost: Mapping[str, int]) -> str:
    """Of a rename that the contract knows by now; `lost` is what is told as missing under the new name."""
    name = f'"{shown(new)}"'
    if not lost:
        return f"The contract takes {name} by now, and nothing of it is told as missing."
    some = ", ".join(f"{shown(at)} {count:,}" for at, count in list(lost.items())[:LISTED])
    more = f" and {len(lost) - LISTED} more" if len(lost) > LISTED else ""
    return (
        f"The contract takes {name} by now. What was sent under it is still missing: {some}{more}. That is"
        " told as a loss of its own, and needs a replay from Segment."
    )


def counted(column: str, before: int, left: int) -> str:
    """Of an incident whose rows say whether it is over: how many there were, and how many there are."""
    was = "was" if before == 1 else "were"
    now = "none is" if not left else f"{left:,} {'is' if left == 1 else 'are'}"
    words = _WORDS[column]
    return f"When it was last found, {before:,} {was} {words}; on the same days {now} {words} now."


def elsewhere() -> str:
    return "Another incident explains it by now."


def not_found(day: str) -> str:
    """Of all others: `day` is that of the run."""
    return f"The run of {day} does not find it any more."
