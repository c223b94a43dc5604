"""Which mute, if any, keeps the notices of an incident back."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from datetime import date
from typing import Any

from dagster_project.core.contracts import Mute


def mute_of(incident: Mapping[str, Any], mutes: Iterable[Mute], today: date) -> Mute | None:
    """The mute that holds longest for this row of the incidents table; one that has ended counts for nothing.

    A mute keeps notices back and does nothing else: the incident is kept and shown, and the days that it
    holds stay held.
    """
    holding = [mute for mute in mutes if today <= mute.until and covers(mute, incident)]
    return max(holding, key=lambda mute: mute.until) if holding else None


def covers(mute: Mute, incident: Mapping[str, Any]) -> bool:
    """Whether everything that the mute names fits the incident."""
    if mute.incident is not None:
        return bool(incident.get("incident_id") == mute.incident)
    named = [mute.kind, mute.source, mute.event, mute.destination]
    if all(each is None for each in named):
        return False
    # An event that was renamed goes by both names.
    names = (incident.get("event"), incident.get("renamed_to"))
    return (
        (mute.kind is None or incident.get("kind") == mute.kind)
        and (mute.source is None or incident.get("source") == mute.source)
        and (mute.event is None or mute.event in names)
        # Whoever mutes one destination must not silence what others are hit by as well.
        and (mute.destination is None or _destinations(incident) == {mute.destination})
    )


def _destinations(incident: Mapping[str, Any]) -> set[str]:
    value = incident.get("destinations")
    try:
        found = json.loads(value) if isinstance(value, str) else value
    except ValueError:
        return set()
    return {str(each) for each in found} if isinstance(found, list | tuple) else set()
