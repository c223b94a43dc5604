"""What a notice says, wherever it is said: one incident, a broken run, or many incidents at once."""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any
from urllib.parse import quote, urlsplit

from pydantic import BaseModel, ConfigDict, Field

SEVERITIES = ("critical", "error", "warning", "info")  # worst first
TRANSITIONS = ("opened", "worsened", "reopened", "resolved", "reminded")

NAME_LENGTH = 80
TITLE_LENGTH = 300
PROSE_LENGTH = 2_500
ERROR_LENGTH = 1_200
NAMES_SHOWN = 10
DIGEST_LINES = 30
LEDGER_LINES = 3
LEDGER_LENGTH = 500

# Severity is said by a word as well as by a symbol: colours alone are lost on some readers and in logs.
_SYMBOLS = {"critical": "🚨", "error": "🔴", "warning": "🟠", "info": "🔵"}
_TRANSITION_WORDS = {
    "opened": "new",
    "worsened": "worse than told before",
    "reopened": "back again",
    "reminded": "still open",
}

_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")

# Letters that show nothing although Unicode does not call them formatting characters.
_BLANK_LETTERS = frozenset("\u115f\u1160\u2800\u3164\uffa0")
# One unit of shown text: an escape as `visible` writes it, or a single character. Never cut inside one.
ATOM = re.compile(r"\\(?:[nrt]|x[0-9a-f]{2}|u[0-9a-f]{4}|U[0-9a-f]{8})|.", re.DOTALL)

_SECRETS = (
    # A credential in an address, Slack's addresses and tokens, and `password=...` in its usual spellings.
    (re.compile(r"(?i)\b([a-z][a-z0-9+]{0,30}://)[^\s/]*@"), r"\1…@"),
    (re.compile(r"(?i)(hooks\.slack(?:-gov)?\.com)/\S*"), r"\1/…"),
    (re.compile(r"(?i)(/services/)T\w+/B\w+/\w+"), r"\1…"),
    (re.compile(r"\bx(?:ox[a-z]|app)-[\w-]+"), "…"),
    (re.compile(r"(?i)\b(bearer|basic)\s+[\w.~+/=-]{8,}"), r"\1 …"),
    (
        re.compile(
            r"(?i)((?:password|passwd|passphrase|pwd|token|secret|api_?key|private_?key)[\"']?\s*[=:]\s*)"
            r"(\"[^\"]*\"|'[^']*'|[^\s,;&]+)"
        ),
        r"\1…",
    ),
    (re.compile(r"(?s)-----BEGIN [A-Z ]+-----.*?(?:-----END [A-Z ]+-----|\Z)"), "…"),
    # Addresses of customers reach error messages inside the values that could not be converted.
    (re.compile(r"(?<![\w.%+-])[\w.%+-]{1,80}@[\w-]+(?:\.[\w-]+)+"), "(an e-mail address)"),
)


class Span(BaseModel):
    """A stretch of text; ``code`` marks a name that came out of the data."""

    model_config = ConfigDict(frozen=True)
    text: str
    code: bool = False


class Fact(BaseModel):
    """One labelled answer: the label is ours, the value may hold names from the data."""

    model_config = ConfigDict(frozen=True)
    label: str
    value: tuple[Span, ...]


class Line(BaseModel):
    """One incident in a list of many."""

    model_config = ConfigDict(frozen=True)
    symbol: str
    words: str
    title: str
    incident_id: str


class Message(BaseModel):
    """A notice before it takes a platform's form. All text is already free of invisible characters.

    ``headline`` holds our own words only. ``title``, ``explanation`` and ``suggestion`` are prose with names
    from the data inside, so every formatter escapes all of it.
    """

    model_config = ConfigDict(frozen=True)
    incident_id: str
    severity: str
    transition: str
    headline: str
    title: str
    facts: tuple[Fact, ...] = ()
    explanation: str = ""
    suggestion: str = ""
    ledger: tuple[str, ...] = ()  # how the gap of the destinations adds up, one line each
    lines: tuple[Line, ...] = ()
    unlisted: int = 0
    link: str | None = None
    link_text: str = "Open the run in Dagster"
    footer: tuple[Span, ...] = Field(default=())
    messages_affected: int = 0
    since: str = ""  # the day on which it began, in digits


def incident_message(
    incident: Mapping[str, Any],
    transition: str,
    *,
    run_id: str | None = None,
    base_url: str | None = None,
    owners: Mapping[str, str] | None = None,
    ledger: Mapping[str, str] | None = None,
) -> Message:
    """The notice of one change of one incident; ``incident`` has the columns of the incidents table.

    ``ledger`` says for each destination in one line how its gap adds up.
    """
    severity = severity_of(incident)
    kind = _words(incident.get("kind"))
    affected = _count(incident.get("messages_affected"))
    if transition == "resolved":
        headline = f"✅ RESOLVED · {kind} (was {severity})"
    else:
        change = _TRANSITION_WORDS.get(transition, "changed")
        headline = f"{_SYMBOLS[severity]} {severity.upper()} · {change} · {kind}"
    resolved = transition == "resolved"
    return Message(
        incident_id=shown(incident.get("incident_id")),
        severity=severity,
        transition=transition,
        headline=headline,
        title=prose(incident.get("title"), TITLE_LENGTH, one_line=True) or headline,
        facts=_facts(incident, owners or {}, affected),
        # Who reads that it is over needs to know how, and neither the whole story again nor a next step.
        explanation=prose(_end(incident) if resolved else incident.get("explanation"), PROSE_LENGTH),
        suggestion="" if resolved else prose(incident.get("suggestion"), PROSE_LENGTH),
        ledger=() if resolved else _ledger(incident, ledger or {}),
        link=run_link(base_url, run_id),
        footer=(Span(text="incident "), Span(text=shown(incident.get("incident_id")), code=True)),
        messages_affected=affected or 0,
        since=_digits(incident.get("started_on")),
    )


def run_failed(run_id: str, stage: str | None, error: str, *, base_url: str | None = None) -> Message:
    """The notice that a run itself broke: nothing is known about the data of its days."""
    facts = [Fact(label="Run", value=(Span(text=shown(run_id), code=True),))]
    if stage:
        facts.insert(0, Fact(label="Stage", value=(Span(text=shown(stage), code=True),)))
    return Message(
        incident_id="",
        severity="critical",
        transition="run_failed",
        headline="💥 RUN FAILED · the check itself broke",
        title="A reconciliation run broke. Its days are not judged, and what was closed stays closed.",
        facts=tuple(facts),
        explanation=prose(redacted(error), ERROR_LENGTH) or "The run gave no error text.",
        suggestion="Open the run, mend the cause that it names, and start it again; running twice is safe.",
        link=run_link(base_url, run_id),
        footer=(Span(text="run "), Span(text=shown(run_id), code=True)),
    )


def digest(messages: Sequence[Message]) -> Message:
    """One notice that lists many; the caller has put the worst first."""
    if not messages:
        raise ValueError("a digest needs at least one notice; skip it when there is none")
    lines = tuple(
        Line(
            symbol=each.headline.split(" ", 1)[0],
            words=_line_words(each),
            title=each.title,
            incident_id=each.incident_id,
        )
        for each in messages[:DIGEST_LINES]
    )
    over = all(each.transition == "resolved" for each in messages)
    count = len(messages)
    noun = "incident" if count == 1 else "incidents"
    return Message(
        incident_id="",
        severity=min((each.severity for each in messages), key=_rank),
        transition="digest",
        headline=f"✅ {count:,} more {noun} resolved" if over else f"📋 {count:,} more {noun}",
        title=(
            "Resolved in the same run as the ones before."
            if over
            else "Of the same run, worst first; those before, the worst of all, were told one by one."
        ),
        lines=lines,
        unlisted=max(count - DIGEST_LINES, 0),
        link=messages[0].link,
        footer=(Span(text="all of them: "), Span(text="recon incidents --all", code=True)),
    )


def reminder(messages: Sequence[Message]) -> Message:
    """The weekly notice of what people were told and is still open, oldest first."""
    if not messages:
        raise ValueError("a reminder needs at least one notice; skip it when there is none")
    ordered = sorted(messages, key=lambda each: (each.since or "9", *worst_first(each)))
    count = len(ordered)
    noun = "incident is" if count == 1 else "incidents are"
    return Message(
        incident_id="",
        severity=min((each.severity for each in ordered), key=_rank),
        transition="reminded",
        headline=f"🗓️ {count:,} {noun} still open",
        title="Once a week: what was told and is still open, oldest first.",
        lines=tuple(
            Line(
                symbol=each.headline.split(" ", 1)[0],
                words=each.severity + (f", since {_day(each.since)}" if each.since else ""),
                title=each.title,
                incident_id=each.incident_id,
            )
            for each in ordered[:DIGEST_LINES]
        ),
        unlisted=max(count - DIGEST_LINES, 0),
        link=ordered[0].link,
        footer=(
            Span(text="to hear no more of one until a day: "),
            Span(text="expectations/mutes.yml", code=True),
        ),
    )


def current(latest: Message, story: Message) -> Message:
    """The first message of an incident's thread as it reads by now: the state in words, and what is known.

    ``latest`` is the newest notice; ``story`` the newest that tells the cause, for an end does not.
    """
    over = latest.transition == "resolved"
    words = {"resolved": "resolved", "worsened": "open, and worse than told first", "reopened": "open again"}
    # The end stands first, and leaves the story as much room as there is.
    room = PROSE_LENGTH - len(latest.explanation) - 1
    told = [latest.explanation, cut(story.explanation, room)] if over else [latest.explanation]
    now = Fact(label="Now", value=(Span(text=words.get(latest.transition, "open")),))
    return latest.model_copy(
        update={
            # Without its symbol: the word stands alone, also for who reads no colours.
            "headline": latest.headline.split(" ", 1)[-1],
            "facts": (now, *latest.facts),
            "explanation": "\n".join(dict.fromkeys(part for part in told if part)),
            "suggestion": "" if over else latest.suggestion,
        }
    )


def plain(message: Message) -> str:
    """The whole notice for a terminal or a log: no markup, no control characters but line ends."""
    parts = [message.headline, message.title]
    parts += [f"  {fact.label}: {_plain_spans(fact.value)}" for fact in message.facts]
    if message.explanation:
        parts.append(message.explanation)
    parts += [f"  {line}" for line in message.ledger]
    if message.suggestion:
        parts.append(f"Next step: {message.suggestion}")
    parts += [f"  {line.symbol} {line.words}: {line.title} [{line.incident_id}]" for line in message.lines]
    if message.unlisted:
        parts.append(f"  and {message.unlisted:,} more")
    footer = _plain_spans(message.footer, quoted=False)
    parts.append(f"{footer} {message.link}" if message.link else footer)
    return "\n".join(parts)


def one_line(message: Message) -> str:
    """The notice in one line, for lists and notifications."""
    return f"{message.headline}: {message.title}" if message.title != message.headline else message.headline


def markdown(message: Message) -> str:
    """The whole notice as CommonMark, for the metadata of an asset check; everything from data is literal."""
    parts = [f"**{_markdown(message.headline)}**", _markdown(message.title)]
    if message.facts:
        rows = [f"- **{_markdown(fact.label)}**: {_markdown_spans(fact.value)}" for fact in message.facts]
        parts.append("\n".join(rows))
    if message.explanation:
        parts.append(_markdown(message.explanation))
    if message.ledger:
        parts.append("\n".join(f"- {_markdown(line)}" for line in message.ledger))
    if message.suggestion:
        parts.append(f"**Next step**: {_markdown(message.suggestion)}")
    listed = [
        f"- {line.symbol} {_markdown(line.words)}: {_markdown(line.title)} {_markdown_code(line.incident_id)}"
        for line in message.lines
    ]
    if message.unlisted:
        listed.append(f"- and {message.unlisted:,} more")
    if listed:
        parts.append("\n".join(listed))
    footer = _markdown_spans(message.footer)
    # run_link lets no character through that could end the address early.
    parts.append(f"{footer} · [{message.link_text}]({message.link})" if message.link else footer)
    return "\n\n".join(parts)


def severity_of(incident: Mapping[str, Any]) -> str:
    """The incident's severity; an unknown one counts as an error, because silence would be worse."""
    severity = incident.get("severity")
    return severity if isinstance(severity, str) and severity in SEVERITIES else "error"


def worst_first(message: Message) -> tuple[int, int, str]:
    """Sort key: severity, then messages affected, then the id so that the order never changes."""
    return _rank(message.severity), -message.messages_affected, message.incident_id


def run_link(base_url: str | None, run_id: str | None) -> str | None:
    """The address of a run in the Dagster UI, or None when there is no usable one."""
    if not base_url or not run_id:
        return None
    base = base_url.strip().rstrip("/")
    try:
        split = urlsplit(base)
        usable = split.scheme in ("http", "https") and bool(split.hostname) and "@" not in split.netloc
    except ValueError:
        return None
    if not usable or not re.fullmatch(r"[A-Za-z0-9:/._~%\[\]-]+", base):
        return None
    return f"{base}/runs/{quote(str(run_id)[:NAME_LENGTH], safe='', errors='replace')}"


def visible(text: str, *, keep_newlines: bool = False) -> str:
    """The text with everything that is invisible or turns the reading direction written as an escape.

    ``Purchase\\u00a0Completed`` looks like ``Purchase Completed`` and matches nothing, so the
    difference must be seen.
    """
    return "".join(
        char if (keep_newlines and char == "\n") or _printable(char) else _escape(char) for char in text
    )


def cut(text: str, limit: int) -> str:
    """The text in at most ``limit`` characters, cut between two characters as people see them, with ``…``."""
    if len(text) <= limit:
        return text
    atoms: list[str] = []
    size = 0
    # No atom is empty, so the first `limit` characters and one escape are enough to look at.
    for atom in ATOM.findall(text[: limit + 10]):
        if size + len(atom) > limit - 1:
            while atoms and joins_previous(atom):
                atom = atoms.pop()
            break
        atoms.append(atom)
        size += len(atom)
    return "".join(atoms) + "…"


def joins_previous(atom: str) -> bool:
    """Whether the character is drawn on the one before it: accents, variation selectors, skin tones."""
    return unicodedata.category(atom[0]).startswith("M") or "\U0001f3fb" <= atom[0] <= "\U0001f3ff"


def shown(name: object, limit: int = NAME_LENGTH) -> str:
    """A name from the data as people can read it: one line, nothing hidden, not longer than ``limit``."""
    if _absent(name):
        return ""
    # Cut before escaping as well: a hostile name may hold megabytes.
    return cut(visible(str(name)[: limit * 2]), limit) or "(empty)"


def prose(text: object, limit: int, *, one_line: bool = False) -> str:
    """A sentence or more, as written, with hidden characters shown and its length bounded."""
    if _absent(text):
        return ""
    return cut(visible(str(text)[: limit * 2].strip(), keep_newlines=not one_line), limit)


def redacted(text: str) -> str:
    """The text without what looks like a credential or a person: drivers put both into their errors."""
    text = text[: 20 * ERROR_LENGTH]
    for pattern, instead in _SECRETS:
        text = pattern.sub(instead, text)
    return text


def _facts(incident: Mapping[str, Any], owners: Mapping[str, str], affected: int | None) -> tuple[Fact, ...]:
    facts: list[Fact] = []
    event, renamed = incident.get("event"), incident.get("renamed_to")
    if not _absent(event):
        spans = [Span(text=shown(event), code=True)]
        if not _absent(renamed):
            spans += [Span(text=" → "), Span(text=shown(renamed), code=True)]
        facts.append(Fact(label="Event", value=tuple(spans)))
    for label, column in (("Property", "property"), ("Identifier", "identifier"), ("Source", "source")):
        if not _absent(incident.get(column)):
            facts.append(Fact(label=label, value=(Span(text=shown(incident.get(column)), code=True),)))
    destinations = _names(incident.get("destinations"))
    if destinations:
        facts.append(Fact(label="Destinations", value=_destinations(destinations, owners)))
    since = _since(incident.get("started_on"), incident.get("ended_on"))
    if since:
        facts.append(Fact(label="Since", value=(Span(text=since),)))
    if affected is not None:
        noun = "message" if affected == 1 else "messages"
        facts.append(Fact(label="How many", value=(Span(text=f"{affected:,} {noun}"),)))
    return tuple(facts)


def _destinations(names: Sequence[str], owners: Mapping[str, str]) -> tuple[Span, ...]:
    spans: list[Span] = []
    for index, name in enumerate(names[:NAMES_SHOWN]):
        if index:
            spans.append(Span(text=", "))
        spans.append(Span(text=shown(name), code=True))
        if owners.get(name):
            spans += [Span(text=" ("), Span(text=shown(owners[name]), code=True), Span(text=")")]
    if len(names) > NAMES_SHOWN:
        spans.append(Span(text=f" and {len(names) - NAMES_SHOWN:,} more"))
    return tuple(spans)


def _evidence(incident: Mapping[str, Any], name: str) -> Any:
    """One thing of the evidence column, which holds JSON."""
    try:
        evidence = json.loads(str(incident.get("evidence")))
    except (ValueError, RecursionError):
        return None
    return evidence.get(name) if isinstance(evidence, dict) else None


def _end(incident: Mapping[str, Any]) -> str:
    """How it came to its end, where that is known."""
    end = _evidence(incident, "end")
    return end if isinstance(end, str) else ""


def _ledger(incident: Mapping[str, Any], ledger: Mapping[str, str]) -> tuple[str, ...]:
    """The lines of the incident's destinations, those with the most missing messages first."""
    amounts = _evidence(incident, "messages_by_destination")
    missing = amounts if isinstance(amounts, dict) else {}
    hit = [name for name in dict.fromkeys(_names(incident.get("destinations"))) if ledger.get(name)]
    hit.sort(key=lambda name: -(_count(missing.get(name)) or 0))  # else in the order of the column
    return tuple(prose(ledger[name], LEDGER_LENGTH, one_line=True) for name in hit[:LEDGER_LINES])


def _names(value: Any) -> list[str]:
    """The destinations column: a JSON array as text, or already a list."""
    if _absent(value):
        return []
    if isinstance(value, str):
        try:
            value = json.loads(value)
        except (ValueError, RecursionError):
            return [value]
    if isinstance(value, Mapping | bytes):
        return [str(value)]
    if isinstance(value, str) or not hasattr(value, "__iter__"):
        return [str(value)]
    return [str(each) for each in value if not _absent(each)]


def _since(started: object, ended: object) -> str:
    first, last = _day(started), _day(ended)
    if not first:
        return ""
    if not last:
        return f"{first}, ongoing"
    return f"{first} only" if first == last else f"{first} to {last}"


def _day(value: object) -> str:
    if _absent(value):
        return ""
    if isinstance(value, date):
        try:
            # Written out by hand: strftime follows the machine's language.
            month = _MONTHS[value.month - 1]
            return f"{value.day} {month} {value.year}"
        except ValueError:
            return ""
    try:
        return _day(date.fromisoformat(str(value)[:10]))
    except ValueError:
        return ""


def _digits(value: object) -> str:
    """A day as 2026-10-20, which sorts; empty when it is none."""
    if _absent(value):
        return ""
    try:
        return date.fromisoformat(str(value)[:10]).isoformat()
    except ValueError:
        return ""


def _count(value: object) -> int | None:
    if _absent(value):
        return None
    try:
        return max(int(value), 0)  # type: ignore[call-overload, no-any-return]
    except (TypeError, ValueError, OverflowError):
        return None


def _absent(value: object) -> bool:
    """None, NaN, NaT and pandas' NA, which all mean "no value" in a frame."""
    if value is None or type(value).__name__ in ("NAType", "NaTType"):
        return True
    return isinstance(value, float) and value != value


def _words(kind: object) -> str:
    """A kind as words. Kinds are a fixed vocabulary; anything else is reduced to letters first."""
    words = re.sub(r"[^a-z0-9]+", " ", str(kind or "").lower()[:60]).strip()
    return words or "incident"


def _line_words(message: Message) -> str:
    if message.transition == "resolved":
        return "resolved"
    return f"{message.severity}, {_TRANSITION_WORDS.get(message.transition, 'changed')}"


def _rank(severity: str) -> int:
    return SEVERITIES.index(severity) if severity in SEVERITIES else 1


def _printable(char: str) -> bool:
    if char == " ":
        return True
    category = unicodedata.category(char)
    return category[0] not in "CZ" and char not in _BLANK_LETTERS


def _escape(char: str) -> str:
    short = {"\n": "\\n", "\r": "\\r", "\t": "\\t"}.get(char)
    if short:
        return short
    code = ord(char)
    if code < 0x100:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def _plain_spans(spans: Sequence[Span], *, quoted: bool = True) -> str:
    return "".join(f'"{span.text}"' if span.code and quoted else span.text for span in spans)


def _markdown_spans(spans: Sequence[Span]) -> str:
    return "".join(_markdown_code(span.text) if span.code else _markdown(span.text) for span in spans)


def _markdown_code(text: str) -> str:
    if not text:
        return ""
    # CommonMark: a fence longer than any run of backticks inside, and a space so that edges do not touch it.
    longest = max((len(run) for run in re.findall(r"`+", text)), default=0)
    fence = "`" * (longest + 1)
    return f"{fence} {text} {fence}" if longest or text != text.strip() else f"{fence}{text}{fence}"


def _markdown(text: str) -> str:
    escaped = re.sub(r"([\\`*_{}\[\]()#+!|~^$=-])", r"\\\1", text)
    escaped = escaped.replace("://", ":\\/\\/")  # or it becomes a link by itself
    return escaped.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
