"""A message as Slack's Block Kit, within its limits and with nothing from the data taken as markup."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Any

from dagster_project.core.message import ATOM, Line, Message, Span, joins_previous, one_line, plain

# docs.slack.dev, block-kit reference. Slack does not say what it counts as a character; `length` takes the
# reading that gives more.
MAX_BLOCKS = 50
HEADER = 150
SECTION = 3_000
FIELD = 2_000
FIELDS = 10
# Ours. A fallback is read in a notification, and Slack cuts top-level text beyond 4,000 characters.
FALLBACK = 400
TEXT_ONLY = 3_500
TITLE_IN_LIST = 200
LEDGER_LINE = 900

Json = dict[str, Any]

# Without `link_names` Slack leaves these alone; a later setting or another client might not.
_BROADCAST = re.compile(r"@(?=here|channel|everyone)", re.IGNORECASE)
_WORD_JOINER = "\u2060"
# What Slack would read as markup in a word of prose: emphasis, strike-through and code marks anywhere but an
# underscore inside a word, a quote mark at the start, an emoji's :name:, a web address.
_MARKUP = re.compile(r"[*~`]|(?<![^\W_])_|_(?![^\W_])|^>|:[\w+'-]*[a-z][\w+'-]*:|://|^www\.", re.IGNORECASE)
_CODE = re.compile(r"`([^`\n]+)`")
_GAP = re.compile(r"(\s+)")


def payload(message: Message) -> Json:
    """What is posted: blocks, and a short text for notifications and screen readers."""
    return {
        "text": fit(spans_of(one_line(message)), FALLBACK),
        "blocks": blocks(message),
        "unfurl_links": False,
        "unfurl_media": False,
    }


def text_only(message: Message) -> Json:
    """The same notice without blocks, for the case that Slack refuses them."""
    return {
        "text": fit(spans_of(plain(message)), TEXT_ONLY),
        "unfurl_links": False,
        "unfurl_media": False,
    }


def blocks(message: Message) -> list[Json]:
    """Header, title, facts, explanation, ledger, next step, list, footer: those that the message has."""
    made: list[Json] = [
        {"type": "header", "text": {"type": "plain_text", "text": _header(message.headline), "emoji": True}},
        _section(spans_of(message.title)),
    ]
    for start in range(0, len(message.facts), FIELDS):
        facts = message.facts[start : start + FIELDS]
        fields = [_labelled(fact.label, fact.value, FIELD) for fact in facts]
        made.append({"type": "section", "fields": fields})
    if message.explanation:
        made.append(_section(spans_of(message.explanation)))
    if message.ledger:
        lines = "\n".join(fit(spans_of(line), LEDGER_LINE) for line in message.ledger)
        text = f"*How the gap adds up*\n{lines}"
        made.append({"type": "section", "text": {"type": "mrkdwn", "text": text, "verbatim": True}})
    if message.suggestion:
        step = _labelled("Next step", spans_of(message.suggestion), SECTION)
        made.append({"type": "section", "text": step})
    made += _list(message.lines, message.unlisted)
    context = [_mrkdwn(message.footer or [Span(text="Segment Reconciliation Suite")], FIELD)]
    if message.link:
        # The only markup that we write; run_link lets no `|`, `>` or space into the address.
        context.append({"type": "mrkdwn", "text": f"<{message.link}|{message.link_text}>", "verbatim": True})
    return [*made[: MAX_BLOCKS - 1], {"type": "context", "elements": context}]


def spans_of(prose: str) -> list[Span]:
    """Prose as spans: what stands between backticks, and any word that Slack would take as markup, is code.

    Slack has no escape for ``*``, ``_`` and ``~``. Code is the one form in which a name keeps its exact
    characters, also for who copies it. Whatever way hostile backticks pair up, the pieces are harmless.
    """
    spans: list[Span] = []
    end = 0
    for found in _CODE.finditer(prose):
        spans += _words(prose[end : found.start()])
        spans.append(Span(text=found.group(1), code=True))
        end = found.end()
    return spans + _words(prose[end:])


def fit(spans: Iterable[Span], limit: int) -> str:
    """The spans as mrkdwn of at most ``limit`` characters; a cut ends in ``…``, every code span closed."""
    parts: list[str] = []
    left = limit - 1  # one for the ellipsis
    for span in spans:
        before = parts[-1][-1:] if parts else ""
        opening, closing = ("`", "`") if span.code else ("", "")
        if span.code and (before.isalnum() or before == "`"):
            opening = " `"  # Slack sees a code span only after a gap or a punctuation mark
        elif not span.code and before == "`" and span.text[:1].isalnum():
            opening = " "
        atoms = _atoms(span)
        room = left - length(opening) - length(closing)
        kept = _keep(atoms, room)
        if kept:
            parts.append(opening + "".join(kept) + closing)
            left -= length(parts[-1])
        if len(kept) < len(atoms):
            return "".join(parts) + "…"
    return "".join(parts) or "–"  # Slack refuses empty text


def length(text: str) -> int:
    """UTF-16 units: an emoji counts two."""
    return len(text.encode("utf-16-le", "surrogatepass")) // 2


def _words(text: str) -> list[Span]:
    spans: list[Span] = []
    for piece in _GAP.split(text):
        if piece and _MARKUP.search(piece):
            spans.append(Span(text=piece, code=True))
        elif piece and spans and not spans[-1].code:
            spans[-1] = Span(text=spans[-1].text + piece)
        elif piece:
            spans.append(Span(text=piece))
    return spans


def _atoms(span: Span) -> list[str]:
    """What may not be torn apart, each in the form in which Slack gets it."""
    text = span.text
    if span.code:
        text = text.replace("`", "ˋ").replace("\n", "\\n")
        # Slack drops blanks at the edges of code, and a trailing blank is a real fault of names.
        inner = text.strip(" ")
        start = len(text) - len(text.lstrip(" "))
        text = "␠" * start + inner + "␠" * (len(text) - start - len(inner))
    text = _BROADCAST.sub("@" + _WORD_JOINER, text)
    return [_escaped(atom) for atom in ATOM.findall(text)]


def _escaped(atom: str) -> str:
    return atom.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _keep(atoms: Sequence[str], room: int) -> Sequence[str]:
    used = 0
    for index, atom in enumerate(atoms):
        used += length(atom)
        if used > room:
            while index and joins_previous(atoms[index]):
                index -= 1
            return atoms[:index]
    return atoms


def _mrkdwn(spans: Sequence[Span], limit: int) -> Json:
    return {"type": "mrkdwn", "text": fit(spans, limit), "verbatim": True}


def _labelled(label: str, spans: Sequence[Span], limit: int) -> Json:
    # The label is ours and alone on its line, so its bold cannot run into the value.
    label = f"*{label}*\n"
    return {"type": "mrkdwn", "text": label + fit(spans, limit - length(label)), "verbatim": True}


def _section(spans: Sequence[Span]) -> Json:
    return {"type": "section", "text": _mrkdwn(spans, SECTION)}


def _header(headline: str) -> str:
    # Headlines are our own words, so this only guards the limit.
    return fit([Span(text=headline)], HEADER)


def _list(lines: Sequence[Line], unlisted: int) -> list[Json]:
    """Lines packed into as few sections as the limit of one allows."""
    rows = [
        f"{line.symbol} {line.words}: {fit(spans_of(line.title), TITLE_IN_LIST)}"
        f" {fit([Span(text=line.incident_id, code=True)], TITLE_IN_LIST)}"
        for line in lines
    ]
    if unlisted:
        rows.append(f"… and {unlisted:,} more")
    sections: list[Json] = []
    packed = ""
    for row in rows:
        if packed and length(packed) + 1 + length(row) > SECTION:
            sections.append({"type": "section", "text": {"type": "mrkdwn", "text": packed, "verbatim": True}})
            packed = ""
        packed = f"{packed}\n{row}" if packed else row
    if packed:
        sections.append({"type": "section", "text": {"type": "mrkdwn", "text": packed, "verbatim": True}})
    return sections
