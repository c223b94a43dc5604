"""Sends a message to Slack by webhook or bot, or to the log; tells never from not now."""

from __future__ import annotations

import contextlib
import email.utils
import json
import logging
import re
import time
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any, Protocol, runtime_checkable
from urllib.parse import urlsplit

import requests
import urllib3
from requests.auth import AuthBase

from dagster_project.core.message import Message, plain
from dagster_project.core.outbox import (
    Accepted,
    Failed,
    Logged,
    Outcome,
    Rejected,
    Thread,
    Throttled,
)
from dagster_project.core.slack_blocks import payload, text_only
from dagster_project.resources.bearer import Bearer

logger = logging.getLogger(__name__)

DEFAULT_API_URL = "https://slack.com/api"
CONNECT_TIMEOUT = 5.0
READ_TIMEOUT = 10.0
# Slack's advice is one message a second and channel; used when it throttles without saying for how long.
DEFAULT_RETRY_AFTER = 30.0
_ANSWER_BYTES = 65_536
_LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})

# Slack's own words (docs.slack.dev: chat.postMessage, incoming webhooks). Wrong with this one message:
_OF_MESSAGE = frozenset(
    {
        "invalid_blocks",
        "invalid_blocks_format",
        "invalid_payload",
        "invalid_arguments",
        "msg_too_long",
        "msg_blocks_too_long",
        "missing_text_or_fallback_or_attachments",
        "no_text",
        "too_many_attachments",
    }
)
# Wrong with the thread: the message goes to the channel instead.
_OF_THREAD = frozenset(
    {
        "invalid_thread_ts",
        "thread_not_found",
        "cannot_reply_to_message",
        "restricted_action_thread_locked",
        "restricted_action_non_threadable_channel",
    }
)
# Wrong with the message that is to be edited: it is gone, or too old, or not ours any more.
_OF_EDIT = frozenset({"message_not_found", "cant_update_message", "edit_window_closed", "channel_not_found"})
_TIME_STAMP = re.compile(r"[0-9]{1,12}\.[0-9]{1,9}")
_CHANNEL_ID = re.compile(r"[A-Z][A-Z0-9]{1,30}")
# Wrong with the configuration, and what to do:
_NEXT_STEP = {
    "invalid_auth": "set SLACK_BOT_TOKEN to the bot token (xoxb-…) of the Slack app",
    "not_authed": "set SLACK_BOT_TOKEN to the bot token (xoxb-…) of the Slack app",
    "account_inactive": "the Slack app was removed; install it again and set SLACK_BOT_TOKEN",
    "token_revoked": "install the Slack app again and set SLACK_BOT_TOKEN to the new token",
    "token_expired": "set SLACK_BOT_TOKEN to a fresh token",
    "not_allowed_token_type": "set SLACK_BOT_TOKEN to a bot token (xoxb-…), not to another kind",
    "missing_scope": "give the Slack app the scope chat:write and install it again",
    "no_permission": "give the Slack app the scope chat:write and install it again",
    "access_denied": "ask an administrator of the Slack workspace to let the app post",
    "ekm_access_denied": "ask an administrator of the Slack workspace to let the app post",
    "org_login_required": "ask an administrator of the Slack workspace to let the app post",
    "team_access_not_granted": "ask an administrator of the Slack workspace to let the app post",
    "channel_not_found": "check alerts.slack.channel in expectations/workspace.yml, and invite the app to it",
    "not_in_channel": "invite the Slack app to the channel of alerts.slack.channel (/invite in Slack)",
    "is_archived": "name another channel in alerts.slack.channel of expectations/workspace.yml",
    "channel_is_archived": "make a new webhook for a channel that is not archived and set SLACK_WEBHOOK_URL",
    "restricted_action": "let the app post to this channel, or name another in alerts.slack.channel",
    "restricted_action_read_only_channel": "let the app post to this channel, or name another",
    "action_prohibited": "ask an administrator of the Slack workspace to let the webhook post",
    "posting_to_general_channel_denied": "make a webhook for another channel and set SLACK_WEBHOOK_URL",
    "invalid_token": "make a new webhook in the Slack app and set SLACK_WEBHOOK_URL",
    "no_service": "the webhook was removed or is switched off; make a new one and set SLACK_WEBHOOK_URL",
    "no_service_id": "SLACK_WEBHOOK_URL is incomplete; copy it again from the Slack app",
    "no_team": "SLACK_WEBHOOK_URL belongs to no Slack workspace; copy it again from the Slack app",
    "no_active_hooks": "the webhook is switched off; make a new one and set SLACK_WEBHOOK_URL",
    "team_disabled": "the Slack workspace is switched off; use another webhook",
    "user_not_found": "the webhook points to a user who is gone; make a new one and set SLACK_WEBHOOK_URL",
}
_THROTTLED = frozenset({"ratelimited", "rate_limited", "message_limit_exceeded"})


class SlackSender(Protocol):
    """Where notices go. ``configured`` is False when they only reach the log."""

    configured: bool

    def send(self, message: Message) -> Outcome:
        """Try once; never raises for what the network or Slack does."""
        ...


@runtime_checkable
class ThreadSender(SlackSender, Protocol):
    """A sender that can put a notice under an earlier one, and edit that one."""

    channel: str

    def reply(self, message: Message, thread: Thread, *, broadcast: bool) -> Outcome:
        """Try once to post under the thread's first message; with ``broadcast`` the channel sees it too."""
        ...

    def edit(self, message: Message, thread: Thread) -> Outcome:
        """Try once to make the thread's first message read as this one."""
        ...


class LogSender:
    """Writes each notice to the log, and says once why it is not in Slack."""

    configured = False

    def __init__(
        self,
        reason: str = "neither SLACK_WEBHOOK_URL nor SLACK_BOT_TOKEN is set; set one to be told in Slack",
    ) -> None:
        self.reason = reason
        self._said = False

    def send(self, message: Message) -> Outcome:
        if not self._said:
            logger.warning("slack is not configured: %s; notices go to this log", self.reason)
            self._said = True
        logger.warning("%s", plain(message))
        return Logged()

    def __repr__(self) -> str:
        return f"LogSender({self.reason!r})"


class WebhookSender:
    """Posts to an incoming webhook. Its address is a secret: who has it can post."""

    configured = True

    def __init__(self, url: str, *, timeout: tuple[float, float] = (CONNECT_TIMEOUT, READ_TIMEOUT)) -> None:
        self._url = _checked_address(url, "SLACK_WEBHOOK_URL")
        self._timeout = timeout

    def send(self, message: Message) -> Outcome:
        return _blocks_or_text(message, self._post)

    def _post(self, body: Mapping[str, Any]) -> Outcome:
        answer = _post(self._url, body, self._timeout, secret=self._url)
        if isinstance(answer, Failed):
            return answer
        if answer.status == 200 and answer.body.strip() == "ok":
            return Accepted()
        return _refusal(answer, _error_code(answer.body) if answer.status >= 400 else None)

    def __repr__(self) -> str:
        return f"WebhookSender({urlsplit(self._url).hostname}, address hidden)"


class BotSender:
    """Posts as a bot with chat.postMessage to the channel of the workspace file."""

    configured = True

    def __init__(
        self,
        token: str,
        channel: str,
        *,
        api_url: str = DEFAULT_API_URL,
        timeout: tuple[float, float] = (CONNECT_TIMEOUT, READ_TIMEOUT),
    ) -> None:
        token = token.strip()
        if not re.fullmatch(r"[\x21-\x7e]+", token):
            raise ValueError("SLACK_BOT_TOKEN holds characters that no token has; copy it again")
        self._auth = Bearer(token)
        self._token = token
        self.channel = channel
        self._api = _checked_address(api_url, "SLACK_API_URL").rstrip("/")
        self._timeout = timeout

    def send(self, message: Message) -> Outcome:
        return _blocks_or_text(message, lambda body: self._post({"channel": self.channel, **body}))

    def reply(self, message: Message, thread: Thread, *, broadcast: bool) -> Outcome:
        def post(body: Mapping[str, Any]) -> Outcome:
            place = {"channel": thread.channel_id, "thread_ts": thread.ts, "reply_broadcast": broadcast}
            return self._post({**place, **body}, thread)

        outcome = _blocks_or_text(message, post)
        if isinstance(outcome, Rejected) and outcome.of_thread:
            return self.send(message)
        return outcome

    def edit(self, message: Message, thread: Thread) -> Outcome:
        def post(body: Mapping[str, Any]) -> Outcome:
            # Slack keeps the old blocks of a message that is edited without any.
            said = {name: body[name] for name in ("text", "blocks") if name in body}
            place = {"channel": thread.channel_id, "ts": thread.ts, "blocks": []}
            return self._post({**place, **said}, thread, method="chat.update")

        return _blocks_or_text(message, post)

    def _post(
        self, body: Mapping[str, Any], thread: Thread | None = None, *, method: str = "chat.postMessage"
    ) -> Outcome:
        # parse none: not even an address becomes a link in text that has no blocks.
        body = {**body, "parse": "none"}
        address = f"{self._api}/{method}"
        answer = _post(address, body, self._timeout, secret=self._token, auth=self._auth)
        if isinstance(answer, Failed):
            return answer
        try:
            said = json.loads(answer.body)
        except (ValueError, RecursionError):
            said = None
        if not isinstance(said, dict):
            return _refusal(answer, None)
        if answer.status == 200 and said.get("ok") is True:
            return _accepted(said, thread)
        code = _error_code(str(said.get("error", "")))
        if method == "chat.update" and code in _OF_EDIT:
            return Rejected(f"Slack answered {answer.status} {code}: the first message cannot be edited")
        if "thread_ts" in body and code in _OF_THREAD:
            return Rejected(f"Slack answered {answer.status} {code}", of_thread=True)
        return _refusal(answer, code)

    def __repr__(self) -> str:
        return f"BotSender({self.channel!r}, token hidden)"


def _accepted(said: Mapping[str, Any], thread: Thread | None) -> Accepted:
    """Where the message stands by Slack's answer; nothing is taken from it that is not of the usual form."""
    channel, ts, message = said.get("channel"), said.get("ts"), said.get("message")
    if not (isinstance(channel, str) and _CHANNEL_ID.fullmatch(channel)):
        channel = None
    if not (isinstance(ts, str) and _TIME_STAMP.fullmatch(ts)):
        ts = None
    under = thread.ts if thread else None
    # When the first message was deleted, Slack posts the reply to the channel and says so only by what it
    # leaves out (slack-go/slack#1571).
    if isinstance(message, dict) and message.get("thread_ts") != under:
        under = None
    return Accepted(channel_id=channel, ts=ts, thread_ts=under)


def sender_from(environ: Mapping[str, str], channel: str | None) -> WebhookSender | BotSender | LogSender:
    """The sender that the environment configures.

    A bot comes before a webhook when the workspace names a channel, because a webhook is bound to its own
    channel. What is wrong with the configuration is said by a LogSender: a notice that cannot be sent must
    not stop a run.
    """
    url = environ.get("SLACK_WEBHOOK_URL", "").strip()
    token = environ.get("SLACK_BOT_TOKEN", "").strip()
    api_url = environ.get("SLACK_API_URL", "").strip() or DEFAULT_API_URL
    try:
        if token and channel:
            return BotSender(token, channel, api_url=api_url)
        if url:
            return WebhookSender(url)
    except ValueError as problem:
        return LogSender(str(problem))
    if token:
        return LogSender(
            "SLACK_BOT_TOKEN is set but expectations/workspace.yml names no channel; "
            'add alerts: {slack: {channel: "#your-channel"}}'
        )
    return LogSender()


class _Answer:
    """What came back, reduced to what we act on."""

    def __init__(self, status: int, body: str, retry_after: str | None) -> None:
        self.status = status
        self.body = body
        self.retry_after = retry_after


class _Redact(logging.Filter):
    """Takes the secret out of what urllib3 logs: at debug level it writes the path of each request."""

    def __init__(self, secret: str) -> None:
        super().__init__()
        path = urlsplit(secret).path
        self._hidden = [text for text in (secret, path) if len(text) > 1]

    def filter(self, record: logging.LogRecord) -> bool:
        said = record.getMessage()
        if any(text in said for text in self._hidden):
            for text in self._hidden:
                said = said.replace(text, "/…")
            record.msg, record.args = said, ()
        return True


def _blocks_or_text(message: Message, post: Any) -> Outcome:
    """Send with blocks; when Slack refuses exactly those, send the same words without."""
    outcome: Outcome = post(payload(message))
    if isinstance(outcome, Rejected) and outcome.of_message:
        second: Outcome = post(text_only(message))
        if isinstance(second, Accepted):
            return replace(second, note=f"sent as plain text: {outcome.reason}")
        if not isinstance(second, Rejected):
            return second
    return outcome


def _post(
    url: str,
    body: Mapping[str, Any],
    timeout: tuple[float, float],
    *,
    secret: str,
    auth: AuthBase | None = None,
) -> _Answer | Failed:
    """One request. Exceptions are put in our own words: theirs hold the address, which is a secret."""
    host = urlsplit(url).hostname or "Slack"
    with _redacted_logs(secret):
        try:
            with requests.post(
                url,
                data=json.dumps(body, allow_nan=False).encode("ascii"),
                headers={"Content-Type": "application/json; charset=utf-8"},
                auth=auth,
                timeout=timeout,
                # A redirect would carry the notice, and the address of the webhook, to somewhere else.
                allow_redirects=False,
                stream=True,
            ) as response:
                raw = response.raw.read(_ANSWER_BYTES, decode_content=True) or b""
                return _Answer(
                    response.status_code,
                    raw.decode("utf-8", "replace"),
                    response.headers.get("Retry-After"),
                )
        except requests.exceptions.ConnectTimeout:
            return Failed(f"no connection to {host} within {timeout[0]:g} s")
        except requests.exceptions.SSLError:
            return Failed(f"the certificate of {host} was not accepted; check the proxy and the CA bundle")
        except requests.exceptions.ProxyError:
            return Failed(f"the proxy did not reach {host}; check HTTPS_PROXY and NO_PROXY")
        except (requests.exceptions.Timeout, urllib3.exceptions.TimeoutError):
            return Failed(f"{host} did not answer within {timeout[1]:g} s; it may have taken the message")
        except requests.exceptions.ConnectionError:
            return Failed(f"could not connect to {host}")
        except Exception as problem:
            # urllib3 raises its own when a body breaks off. No text of an exception is safe to show.
            return Failed(f"sending to {host} broke ({type(problem).__name__})")


def _refusal(answer: _Answer, code: str | None) -> Outcome:
    said = f"Slack answered {answer.status}" + (f" {code}" if code else "")
    if answer.status == 429 or code in _THROTTLED:
        return Throttled(_seconds(answer.retry_after))
    if code in _OF_MESSAGE:
        return Rejected(f"{said}: it refuses the form of this message", of_message=True)
    if code in _NEXT_STEP:
        return Rejected(f"{said}; {_NEXT_STEP[code]}")
    if answer.status == 413:
        return Rejected(f"{said}: the message is too large", of_message=True)
    if 300 <= answer.status < 400:
        return Rejected(f"{said}, a redirect, which is not followed; check the address in the environment")
    if answer.status in (401, 403, 404, 405, 410):
        return Rejected(f"{said}; check SLACK_WEBHOOK_URL or SLACK_BOT_TOKEN, and what proxy is in between")
    if answer.status == 400 and code is None:
        return Rejected(f"{said} without a reason Slack documents", of_message=True)
    if answer.status < 300 and code is None:
        return Failed(f"{said}, but not in Slack's words; check what proxy is in between")
    return Failed(said)


def _error_code(body: str) -> str | None:
    """Slack's error word. Nothing else is repeated: a proxy's page may hold the address it was sent to."""
    body = body.strip()
    return body if re.fullmatch(r"[a-z][a-z_]{2,60}", body) else None


def _seconds(header: str | None) -> float:
    """Retry-After: seconds, or a date."""
    text = (header or "").strip()
    if re.fullmatch(r"\d{1,9}(?:\.\d{1,9})?", text):
        return float(text)
    try:
        moment = email.utils.parsedate_to_datetime(text).timestamp()
    except (TypeError, ValueError, OverflowError):
        return DEFAULT_RETRY_AFTER
    return max(moment - time.time(), 1.0)


def _checked_address(url: str, name: str) -> str:
    """The address, refused without repeating it when it cannot be one: it may still be most of a secret."""
    url = url.strip()
    try:
        split = urlsplit(url)
        host, _ = split.hostname, split.port
    except ValueError:
        host = None
    if not host or not re.fullmatch(r"[\x21-\x7e]+", url) or split.scheme not in ("http", "https"):
        raise ValueError(f"{name} is not a web address; set it to one that begins with https://")
    if split.scheme == "http" and host not in _LOOPBACK:
        raise ValueError(f"{name} begins with http://, which others can read; set it to one with https://")
    return url


@contextlib.contextmanager
def _redacted_logs(secret: str) -> Iterator[None]:
    redact = _Redact(secret)
    loggers = [logging.getLogger(name) for name in ("urllib3.connectionpool", "urllib3.util.retry")]
    for each in loggers:
        each.addFilter(redact)
    try:
        yield
    finally:
        for each in loggers:
            each.removeFilter(redact)
