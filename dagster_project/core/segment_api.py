"""Segment's Public API on paper: addresses, pages, what a refusal means, and how long to wait; no network."""

from __future__ import annotations

import email.utils
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal
from urllib.parse import quote, urlencode

REGIONS: Final[Mapping[str, str]] = {
    "us": "https://api.segmentapis.com",
    "eu": "https://eu1.api.segmentapis.com",
}
MEDIA_TYPE: Final = "application/vnd.segment.v1+json"
# The newest SDK allows 1,000 a page, older text 200; a page of 200 rules of 50 properties is some megabytes.
PAGE_SIZE: Final = 200
MOST_RULES: Final = 50_000
MOST_PLANS: Final = 10_000
# One request may be tried this often; the waits between are 1, 2, 4, 8, 16 s unless the API names one.
TRIES: Final = 6
LONGEST_WAIT: Final = 120.0
_PLAN_ID: Final = re.compile(r"[A-Za-z0-9_-]{1,100}")
_EPOCH_FROM: Final = 1_000_000_000  # a rate limit's reset beyond it is a moment, below it seconds to wait


class SegmentApiError(Exception):
    """What went wrong, in one line that says what to do; never holds the token or what an answer's body says.

    `lasting`: trying again cannot help, the token, the address or the name must be another.
    """

    def __init__(self, text: str, *, lasting: bool = False) -> None:
        super().__init__(text)
        self.lasting = lasting


@dataclass(frozen=True)
class PlanRef:
    """One tracking plan as the API lists it."""

    id: str
    name: str
    type: str = "LIVE"
    updated_at: str = ""


@dataclass(frozen=True)
class Page:
    """The items of one answer, and the cursor of the next; None on the last page."""

    items: Sequence[Mapping[str, Any]]
    next_cursor: str | None


def plans_path(cursor: str | None = None, *, count: int = PAGE_SIZE) -> str:
    """The path that lists the workspace's live plans. Property libraries, templates and the like are none."""
    return "/tracking-plans?" + _query(count, cursor, type="LIVE")


def rules_path(plan_id: str, cursor: str | None = None, *, count: int = PAGE_SIZE) -> str:
    """The path of a plan's rules. Raises SegmentApiError for an id that cannot be one."""
    if not _PLAN_ID.fullmatch(plan_id):
        raise SegmentApiError(
            "this is no tracking plan's id; copy it from `recon plan pull`, such as `tp_2abc`", lasting=True
        )
    return f"/tracking-plans/{quote(plan_id, safe='')}/rules?" + _query(count, cursor)


def _query(count: int, cursor: str | None, **more: str) -> str:
    asked = {**more, "pagination.count": str(count)}
    if cursor is not None:
        asked["pagination.cursor"] = cursor
    return urlencode(asked)


def parse_page(body: bytes, key: Literal["trackingPlans", "rules"]) -> Page:
    """One answer of the API. Raises ValueError, with what is wrong in it, for anything but a page of `key`."""
    try:
        said = json.loads(body.decode("utf-8"))
    except (ValueError, RecursionError):
        raise ValueError("the answer is not whole JSON") from None
    data = said.get("data") if isinstance(said, dict) else None
    items = data.get(key) if isinstance(data, dict) else None
    if not isinstance(data, dict) or not isinstance(items, list):
        raise ValueError(f"the answer holds no list `data.{key}`")
    if not all(isinstance(item, dict) for item in items):
        raise ValueError(f"`data.{key}` holds something that is no object")
    pagination = data.get("pagination")
    following = pagination.get("next") if isinstance(pagination, dict) else None
    if following is not None and not isinstance(following, str):
        raise ValueError("`data.pagination.next` is no text")
    return Page(
        items, following or None
    )  # Segment leaves it out on the last page; empty is as good as absent


def plans_of(items: Sequence[Mapping[str, Any]]) -> list[PlanRef]:
    """The live plans of a list, by name. What has no usable id or name cannot be asked for, and is left out."""
    found = [
        PlanRef(item["id"], item["name"], str(item.get("type", "LIVE")), str(item.get("updatedAt") or ""))
        for item in items
        if isinstance(item.get("id"), str)
        and _PLAN_ID.fullmatch(item["id"])
        and isinstance(item.get("name"), str)
    ]
    live = [plan for plan in found if plan.type == "LIVE"]
    return sorted(live, key=lambda plan: (plan.name.casefold(), plan.name, plan.id))


def chosen(plans: Sequence[PlanRef], wanted: str) -> PlanRef | None:
    """The plan of this id or of this exact name; None when there is none. Two of one name: ValueError."""
    by_id = [plan for plan in plans if plan.id == wanted]
    named = by_id or [plan for plan in plans if plan.name == wanted]
    if len(named) > 1:
        raise ValueError(f"{len(named)} plans have this name; ask by id: {', '.join(p.id for p in named)}")
    return named[0] if named else None


# ------------------------------------------------------------------------------ when it does not answer as hoped


def worth_another_try(status: int) -> bool:
    """Whether the same request may succeed a little later."""
    return status == 429 or status == 408 or status >= 500


def wait_before(attempt: int, headers: Mapping[str, str], now: float) -> float:
    """Seconds to wait before the try after number `attempt` (from 1); `now` is unix time.

    A wait that the API names (`Retry-After`, or the reset of its rate limit) counts; it may be longer than
    LONGEST_WAIT, and then waiting is not worth it.
    """
    named = {name.casefold(): value.strip() for name, value in headers.items()}
    for name in ("retry-after", "x-ratelimit-reset"):
        seconds = _seconds(named.get(name, ""), now)
        if seconds is not None:
            return max(seconds, 0.1)
    return float(2 ** (attempt - 1))


def _seconds(text: str, now: float) -> float | None:
    """A header's wait: seconds, a unix moment in seconds or milliseconds, or a date."""
    if re.fullmatch(r"\d{1,13}(\.\d{1,9})?", text):
        number = float(text)
        if number >= _EPOCH_FROM * 1_000:
            number /= 1_000
        return number - now if number >= _EPOCH_FROM else number
    try:
        return email.utils.parsedate_to_datetime(text).timestamp() - now
    except (TypeError, ValueError, OverflowError):
        return None


def refusal(status: int, host: str) -> str:
    """What an answer other than 200 means, and what to do."""
    said = f"{host} answered {status}"
    if status == 401:
        return (
            f"{said}: the token of SEGMENT_API_TOKEN is wrong, expired or of another region; make a new one in"
            " Segment (Settings, Workspace settings, Access management, Tokens), or try --region eu"
        )
    if status == 403:
        return f"{said}: the token of SEGMENT_API_TOKEN may not read tracking plans; give it the role Tracking Plan Read-only"
    if status == 404:
        return f"{said}: there is no such tracking plan; `recon plan pull` without a name lists those that there are"
    if status == 429:
        return f"{said}: the rate limit is used up for longer than a command should wait; try again in some minutes"
    if 300 <= status < 400:
        return f"{said}, a redirect, which is not followed: it would carry the token elsewhere; check SEGMENT_API_URL"
    if status >= 500 or status == 408:
        return f"{said}, {TRIES} times; try again later, or look at status.segment.com"
    return f"{said}; check --region, SEGMENT_API_URL and what proxy is in between"


# ------------------------------------------------------------------------------ the file

_ORDER: Final = ("COMMON", "IDENTIFY", "GROUP", "PAGE", "SCREEN", "TRACK")
_FIELDS: Final = ("type", "key", "version", "jsonSchema", "createdAt", "updatedAt", "deprecatedAt")

RuleKey = tuple[str, str, str]


def rule_key(rule: Mapping[str, Any]) -> RuleKey:
    """What a rule is known by: type, name (empty for those without) and version, as text."""
    return str(rule.get("type", "")), str(rule.get("key") or ""), str(rule.get("version", 1))


def plan_file(rules: Sequence[Mapping[str, Any]]) -> str:
    """The rules as the text of a `tracking_plan.json`: the same rules give the same bytes, whatever their order."""
    document = {"data": {"rules": _ordered(rules)}}
    text = json.dumps(document, indent=2, ensure_ascii=False)
    if not text.isprintable() and any("\ud800" <= char <= "\udfff" for char in text):
        # Half a character cannot be written as UTF-8. Escaped it can, and whoever loads the file names its place.
        text = json.dumps(document, indent=2)
    return text + "\n"


def _ordered(rules: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    def position(rule: Mapping[str, Any]) -> tuple[int, str, str, int, str]:
        kind, name, version = rule_key(rule)
        place = _ORDER.index(kind) if kind in _ORDER else len(_ORDER)
        return place, kind, name, len(version), version

    def fields(rule: Mapping[str, Any]) -> dict[str, Any]:
        rest = sorted(name for name in rule if name not in _FIELDS)
        return {name: rule[name] for name in (*_FIELDS, *rest) if name in rule}

    return [fields(rule) for rule in sorted(rules, key=position)]
