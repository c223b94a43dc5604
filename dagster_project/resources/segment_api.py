"""Reads tracking plans from Segment's Public API over HTTP: pages, waits and refusals; the token goes nowhere else."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable, Mapping
from typing import Any, Final, Literal
from urllib.parse import urlsplit

import requests
import urllib3

from dagster_project.core.segment_api import (
    LONGEST_WAIT,
    MEDIA_TYPE,
    MOST_PLANS,
    MOST_RULES,
    PAGE_SIZE,
    TRIES,
    PlanRef,
    SegmentApiError,
    parse_page,
    plans_of,
    plans_path,
    refusal,
    rules_path,
    wait_before,
    worth_another_try,
)
from dagster_project.resources.bearer import Bearer

CONNECT_TIMEOUT: Final = 10.0
READ_TIMEOUT: Final = 60.0
_PAGE_BYTES: Final = 128 * 1024 * 1024
_LOOPBACK: Final = frozenset({"localhost", "127.0.0.1", "::1"})
Key = Literal["trackingPlans", "rules"]


class SegmentApi:
    """The tracking plans of the workspace that a token belongs to.

    `tell` hears of each wait in one line. Everything that goes wrong is a SegmentApiError of one line; texts of
    exceptions are not repeated, for a proxy's or a library's may hold what was sent.
    """

    def __init__(
        self,
        token: str,
        base_url: str,
        *,
        page_size: int = PAGE_SIZE,
        timeout: tuple[float, float] = (CONNECT_TIMEOUT, READ_TIMEOUT),
        tell: Callable[[str], None] = lambda _line: None,
        sleep: Callable[[float], None] = time.sleep,
        clock: Callable[[], float] = time.time,
    ) -> None:
        token = token.strip()
        if not re.fullmatch(r"[\x21-\x7e]+", token):
            raise SegmentApiError(
                "SEGMENT_API_TOKEN holds characters that no token has; copy it again", lasting=True
            )
        self._auth = Bearer(token)
        self._base = _checked_base(base_url)
        self._host = urlsplit(self._base).hostname or "the API"
        self._page_size = page_size
        self._timeout = timeout
        self._tell = tell
        self._sleep = sleep
        self._clock = clock

    def plans(self) -> list[PlanRef]:
        """The workspace's live tracking plans, by name."""
        items = self._pages(
            lambda cursor: plans_path(cursor, count=self._page_size), "trackingPlans", MOST_PLANS
        )
        return plans_of(items)

    def rules(self, plan_id: str) -> list[Mapping[str, Any]]:
        """All rules of a plan, of all its pages, as the API gives them."""
        found = self._pages(
            lambda cursor: rules_path(plan_id, cursor, count=self._page_size), "rules", MOST_RULES
        )
        # A plan that is edited while it is read gives a rule on two pages; only word for word is it one.
        return list({json.dumps(rule, sort_keys=True): rule for rule in found}.values())

    def __repr__(self) -> str:
        return f"SegmentApi({self._host}, token hidden)"

    def _pages(self, path: Callable[[str | None], str], key: Key, most: int) -> list[Mapping[str, Any]]:
        found: list[Mapping[str, Any]] = []
        seen: set[str] = set()
        cursor: str | None = None
        while True:
            page = self._page(path(cursor), key)
            found += page.items
            if page.next_cursor is None:
                return found
            if page.next_cursor in seen:
                raise SegmentApiError(
                    f"{self._host} gives page {len(seen) + 1} again and again; the list would never end; try again later"
                )
            if len(found) > most:
                raise SegmentApiError(
                    f"{self._host} lists more than {most:,} {_said(key)}, which are the most for a plan"
                )
            if not page.items and len(seen) >= most // self._page_size:
                raise SegmentApiError(
                    f"{self._host} gives page after page with nothing in it; try again later"
                )
            seen.add(page.next_cursor)
            cursor = page.next_cursor

    def _page(self, path: str, key: Key) -> Any:
        """One page, tried again while that can help."""
        for attempt in range(1, TRIES + 1):
            headers: Mapping[str, str] = {}
            try:
                status, headers, body = self._get(path)
                if status == 200:
                    return parse_page(body, key)
                problem = refusal(status, self._host)
                if not worth_another_try(status):
                    raise SegmentApiError(problem, lasting=True)
            except ValueError as error:
                problem = (
                    f"{self._host}: {error}; check SEGMENT_API_URL and what proxy is in between, or try again"
                )
            except _Broken as error:
                problem = str(error)
            if attempt == TRIES:
                break
            wait = wait_before(attempt, headers, self._clock())
            if wait > LONGEST_WAIT:
                break
            self._tell(
                f"{problem.partition(';')[0].partition(', ')[0].partition(': ')[0]}; waiting {wait:,.0f} s"
            )
            self._sleep(wait)
        raise SegmentApiError(problem)

    def _get(self, path: str) -> tuple[int, Mapping[str, str], bytes]:
        host = self._host
        try:
            with requests.get(
                self._base + path,
                headers={"Accept": MEDIA_TYPE, "User-Agent": "segment-reconciliation-suite"},
                auth=self._auth,
                timeout=self._timeout,
                # A redirect would carry the token to somewhere else.
                allow_redirects=False,
                stream=True,
            ) as response:
                body = b"" if response.status_code != 200 else self._body(response)
                return response.status_code, response.headers, body
        except requests.exceptions.SSLError:
            raise SegmentApiError(
                f"the certificate of {host} was not accepted; check the proxy and the CA bundle"
            ) from None
        except requests.exceptions.ProxyError:
            raise SegmentApiError(f"the proxy did not reach {host}; check HTTPS_PROXY and NO_PROXY") from None
        except (requests.exceptions.Timeout, urllib3.exceptions.TimeoutError):
            raise _Broken(f"{host} did not answer within {self._timeout[1]:g} s; try again later") from None
        except requests.exceptions.ConnectionError:
            raise _Broken(f"the connection to {host} failed; check the network and SEGMENT_API_URL") from None
        except (requests.exceptions.RequestException, urllib3.exceptions.HTTPError, OSError) as error:
            raise _Broken(f"the answer of {host} broke off ({type(error).__name__}); try again") from None

    def _body(self, response: requests.Response) -> bytes:
        parts, size = [], 0
        for part in response.iter_content(1 << 20):
            parts.append(part)
            size += len(part)
            if size > _PAGE_BYTES:
                raise SegmentApiError(
                    f"{self._host} sent more than {_PAGE_BYTES >> 20} MB in one page; check SEGMENT_API_URL"
                )
        return b"".join(parts)


class _Broken(Exception):
    """A request that got no whole answer; the text is ours."""


def _said(key: Key) -> str:
    return "rules" if key == "rules" else "tracking plans"


def _checked_base(url: str) -> str:
    """The address before the path, refused without repeating it when it is none or would show the token to others."""
    url = url.strip().rstrip("/")
    try:
        split = urlsplit(url)
        host, _ = split.hostname, split.port
    except ValueError:
        host = None
    if (
        not host
        or not re.fullmatch(r"[\x21-\x7e]+", url)
        or split.scheme not in ("http", "https")
        or split.username
        or split.query
        or split.fragment
    ):
        raise SegmentApiError(
            "SEGMENT_API_URL is no plain web address; write one such as https://api.segmentapis.com",
            lasting=True,
        )
    if split.scheme == "http" and host not in _LOOPBACK:
        raise SegmentApiError(
            "SEGMENT_API_URL begins with http://, which others can read; write one with https://",
            lasting=True,
        )
    return url
