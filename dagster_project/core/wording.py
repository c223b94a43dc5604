"""Says a finding to a person: what, where, since when, how many, why we think so, and what to do next."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING, Any

from dagster_project.core import wording_plan as plan
from dagster_project.core import wording_renames as renames
from dagster_project.core import wording_volumes as volumes
from dagster_project.core.calls import call_of_event
from dagster_project.core.message import cut
from dagster_project.core.wording_deliveries import contrast, hours_off, late_days
from dagster_project.core.wording_names import alias, shown

if TYPE_CHECKING:
    from dagster_project.core.diagnosis.finding import Finding

PROBLEM_LENGTH = 400  # the text of an error is longer than a name
LEAST_USUAL = 0.0005  # a share below it is as good as none
LISTED = 8  # items of a list that are named; the rest is counted
EXPLANATION_LENGTH, SUGGESTION_LENGTH, TITLE_LENGTH = 2_400, 1_600, 300

_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


def title(finding: Finding, today: date) -> str:
    """One line that says the whole thing."""
    said = _said(finding, today)
    return cut(_KINDS[finding.kind].title(said) if finding.kind in _KINDS else _plain(said), TITLE_LENGTH)


def explanation(finding: Finding, today: date) -> str:
    """What, where, since when, how many, at which destinations, why, and what else it explains."""
    said = _said(finding, today)
    kind = _KINDS.get(finding.kind)
    parts = [kind.what(said), _where(said), _why(said, kind)] if kind else [_plain(said)]
    return cut("\n".join(part for part in [*parts, _also(finding)] if part), EXPLANATION_LENGTH)


def suggestion(finding: Finding, today: date) -> str:
    """The next steps, concretely."""
    kind = _KINDS.get(finding.kind)
    said, renamed = _said(finding, today), _renamed(finding)
    if renamed:
        text = renames.lost_next(renamed, said.at, said.days, over=finding.ended_on is not None)
    else:
        text = kind.next(said) if kind else "Look at the days and destinations above."
    return cut(text, SUGGESTION_LENGTH)


def brief(finding: Finding) -> str:
    """A finding in a few words, for the list of what another one explains."""
    place = f" in {shown(finding.source)}" if finding.source else ""
    there = f" at {_listed(finding.destinations)}" if finding.destinations and not finding.source else ""
    words = {
        "event_stopped": "fell silent",
        "unplanned_event": "is not in the tracking plan",
        "name_mismatch": "is held without being in the contract",
    }.get(finding.kind, finding.kind.replace("_", " "))
    return f"{_quoted(finding.event)}{place} {words}{there}"


@dataclass(frozen=True)
class _Said:
    """The parts of a finding as they are said, ready to be put into sentences."""

    finding: Finding
    today: date
    event: str  # in quotation marks
    new: str
    source: str
    at: str  # the destinations
    file: str  # the destination's file
    count: str  # "5,434 messages"
    start: str  # "20 Oct"
    since: str  # "since 20 Oct"
    days: str  # "the days from 20 Oct on"
    share: str
    all_or_event: str
    of_events: str
    get: Callable[..., Any]  # of the evidence

    @property
    def whole(self) -> bool:
        """Whether it is about everything there, and not one event."""
        return self.finding.event is None

    def day(self, text: Any) -> str:
        """A day of the evidence as words."""
        try:
            return day_words(date.fromisoformat(str(text)[:10]), self.today)
        except ValueError:
            return "an unknown day"

    def dates(self, texts: Iterable[Any]) -> str:
        return _listed([self.day(text) for text in texts])


def _said(finding: Finding, today: date) -> _Said:
    events = finding.evidence.get("events")
    whole = finding.event is None
    return _Said(
        finding=finding,
        today=today,
        event=_quoted(finding.event),
        new=_quoted(finding.renamed_to),
        source=shown(finding.source),
        at=_listed(finding.destinations),
        file=_listed([f"expectations/destinations/{name}.yml" for name in finding.destinations]),
        count=_messages(finding.messages_affected),
        start=day_words(finding.started_on, today),
        since=_since(finding, today),
        days=_days_words(finding, today),
        share=_percent(finding.evidence.get("share")),
        all_or_event=_events_struck(finding) if whole else _quoted(finding.event),
        of_events=f" Events: {_counted(events)}." if whole and events else "",
        get=finding.evidence.get,
    )


def _events_struck(finding: Finding) -> str:
    """*All events*, or *3 of 10 events* where the others were spared."""
    struck, expected = finding.evidence.get("events_struck"), finding.evidence.get("events_expected")
    if not isinstance(struck, int) or not isinstance(expected, int) or struck >= expected:
        return "All events"
    return f"{_number(struck)} of {_number(expected)} events"


@dataclass(frozen=True)
class _Kind:
    """How one kind of incident is said."""

    title: Callable[[_Said], str]
    what: Callable[[_Said], str]
    next: Callable[[_Said], str]
    why: Callable[[_Said], str] = lambda said: ""


def _plain(said: _Said) -> str:
    words = (said.finding.kind.replace("_", " "), said.all_or_event, said.source, said.at, said.since)
    return " ".join(word for word in words if word)


def _why(said: _Said, kind: _Kind) -> str:
    renamed = _renamed(said.finding)
    return renames.lost(renamed, said.at, said.day) if renamed else kind.why(said)


def _renamed(finding: Finding) -> Sequence[Mapping[str, Any]]:
    """The renames that a loss is left of."""
    found = finding.evidence.get("renamed")
    return found if isinstance(found, list) else []


def _where(said: _Said) -> str:
    finding, each = said.finding, said.get("messages_by_destination")
    if not isinstance(each, Mapping) or not each:
        return f"Destinations: {said.at}." if finding.source and finding.destinations else ""
    amounts = _listed([f"{name} {_number(count)}" for name, count in each.items()])
    if finding.kind == "event_renamed":
        # A destination's days begin and end by its own clock, so its count may stand above the source's.
        days = "counted in each one's own days, which are held back until this is mended"
        return f"Missing where only the old name is known: {amounts} ({days}).{_kept_back(said)}"
    return f"Kept from: {amounts}."


def _kept_back(s: _Said) -> str:
    """Of a count of messages that are kept away, those that would not have arrived under the old name either."""
    shares = s.get("kept_back_share")
    if not isinstance(shares, Mapping) or not shares:
        return ""
    listed = _listed([f"about {_percent(share)} at {name}" for name, share in shares.items()])
    return (
        f" Of these the contract keeps back, for want of an identifier or of consent, what it kept back under the old"
        f" name too: {listed}."
    )


def _also(finding: Finding) -> str:
    if not finding.explains:
        return ""
    more = f"; and {len(finding.explains) - LISTED} more" if len(finding.explains) > LISTED else ""
    return f"This also explains: {'; '.join(finding.explains[:LISTED])}{more}."


# --- event_renamed --------------------------------------------------------------------------------------


def _renamed_what(s: _Said) -> str:
    parts = [
        f"{s.source} sends {s.new} instead of {s.event} {s.since}: {s.count} under the new name.",
        renames.whole(s.finding.evidence, str(s.finding.event), str(s.finding.renamed_to)),
        renames.moved(s.finding.evidence),
    ]
    return " ".join(part for part in parts if part)


def _renamed_why(s: _Said) -> str:
    kinds = s.get("evidence_kinds") or {}
    parts = []
    if "timing" in kinds:
        fell = s.day(kinds["timing"].get("old_name_fell"))
        parts.append(f"the old name lost its half by {fell}, when the new one gained its half")
    if "conservation" in kinds:
        counts = kinds["conservation"]
        parts.append(
            f"{_number(counts.get('usual_per_day'))} a day before are now"
            f" {_number(counts.get('old_now_per_day'))} under the old and"
            f" {_number(counts.get('new_now_per_day'))} under the new name"
        )
    if "same_slug" in kinds:
        parts.append("both names land in one table, so the warehouse does not show the change")
    if "same_properties" in kinds:
        parts.append(f"they share {_percent(kinds['same_properties'])} of their properties")
    parts += renames.reasons(kinds)
    text = f"Why: {'; '.join(parts)}." if parts else ""
    if s.finding.share_explained is not None:
        text += f" The new name accounts for {_percent(s.finding.share_explained)} of what the old one lost."
    earlier = s.get("earlier_names") or []
    return text + (f" Before that it was called {_counted(earlier)}." if earlier else "")


def _renamed_next(s: _Said) -> str:
    finding, there = s.finding, s.get("name_in_destination") or {}
    steps = [f"If it was not meant, send {s.event} again in the next release of {s.source}."]
    if finding.destinations:
        lines = [
            f"{alias(str(finding.renamed_to), there.get(name, finding.event))}"
            f" in expectations/destinations/{name}.yml"
            for name in finding.destinations
        ]
        listed = "; ".join(lines[:LISTED]) + ("; and so on" if len(lines) > LISTED else "")
        # The plan first: a contract that names what the plan lacks is refused.
        planned = "" if s.get("new_name_planned") else "add it to the tracking plan, which lacks it, "
        steps.append(f"If {s.new} is to stay, {planned}map both names in {s.at}, and add {listed}.")
    elif not s.get("new_name_planned"):
        steps.append(f"Whichever stays belongs into the tracking plan; {s.new} is not in it.")
    if finding.destinations:
        steps.append(f"Then replay {s.days} from Segment to the destinations above.")
    return " ".join(steps)


# --- event_stopped, source_stopped ----------------------------------------------------------------------


def _event_stopped_what(s: _Said) -> str:
    return (
        f"{s.source} used to send about {_number(s.get('usual_per_day'))} {s.event} a day and sends none"
        f" {s.since}, while its other events go on. About {s.count} are not there (an estimate)."
    )


def _event_stopped_next(s: _Said) -> str:
    return (
        f"Ask the owner of {s.source} what was released around {s.start}. Put the call back, or, if {s.event}"
        " was retired, take it out of the tracking plan and of the destinations' files."
    )


def _source_title(s: _Said) -> str:
    if s.get("problem"):
        return f"{s.source} cannot be read: {shown(s.get('problem'))}"
    if s.get("last_received_at") is None:
        return f"Nothing has ever arrived from {s.source}"
    if s.finding.ended_on is not None:
        return f"Nothing arrived from {s.source} {s.since}"
    return f"Nothing has arrived from {s.source} since {s.start}"


def _source_what(s: _Said) -> str:
    problem, last = s.get("problem"), s.get("last_received_at")
    parts = [f"The source {s.source} is silent."]
    if problem:
        parts = [f"The source {s.source} cannot be read: {shown(problem, PROBLEM_LENGTH)}."]
    if last:
        parts.append(f"Its last message arrived on {last} UTC.")
    if s.finding.messages_affected:
        parts.append(f"About {s.count} should have come since (an estimate).")
    return " ".join(parts)


def _source_next(s: _Said) -> str:
    return (
        f"Look at {s.source} in Segment (is it enabled, does its debugger show events?), then at the"
        f" warehouse sync of its schema. Once it runs again, ask Segment for a backfill of {s.days}."
    )


# --- unplanned_event, name_mismatch ---------------------------------------------------------------------


def _unplanned_title(s: _Said) -> str:
    if s.finding.event is None:
        return f"{_number(s.get('names'))} names made by a program are sent by {s.source} {s.since}"
    return f"{s.event} is sent by {s.source} and is not in its tracking plan, {s.since}"


def _unplanned_what(s: _Said) -> str:
    if s.finding.event is not None:
        return f"{s.source} sent {s.count} as {s.event} {s.since}; its tracking plan does not know this name."
    patterns = _listed([f'"{shown(name)}" ({count:,})' for name, count in (s.get("patterns") or {}).items()])
    return (
        f"{s.source} sent {s.count} {s.since} under {_number(s.get('names'))} names that differ only in"
        f" numbers or ids: {patterns}."
    )


def _unplanned_why(s: _Said) -> str:
    alike = s.get("planned_alike") or []
    return f"Planned and alike: {_counted(alike)}." if alike else ""


def _unplanned_next(s: _Said) -> str:
    if s.finding.event is None:
        return f"Give these events one name in {s.source} and put the number or id into a property."
    alike = s.get("planned_alike") or []
    meant = f" If {_quoted(alike[0])} is meant, correct the call in {s.source}." if alike else ""
    return f"Add {s.event} to the tracking plan of {s.source}, or remove the call.{meant}"


def _mismatch_title(s: _Said) -> str:
    close = s.get("closest_expected")
    meant = f"; {_quoted(close)} is missing there" if close and s.finding.severity == "error" else ""
    return f"{s.at} holds {s.event}, which nobody sends to it, {s.since}{meant}"


def _mismatch_why(s: _Said) -> str:
    close, missing = s.get("closest_expected"), s.get("missing_under_closest")
    if not close:
        return ""
    if not missing:
        return f"The closest name of its contract is {_quoted(close)}, of which none is missing."
    agree = "which agrees with it" if s.get("counts_agree") else "which does not add up with it"
    return f"On the same days {_number(missing)} of {_quoted(close)} are missing there, {agree}."


def _mismatch_next(s: _Said) -> str:
    close = s.get("closest_expected")
    if close:
        return (
            f"Correct the name in the mapping of {s.at} from {s.event} to what its contract says for"
            f" {_quoted(close)}, then replay {s.days}. If the new name is meant, write"
            f" {alias(str(close), s.finding.event)} in {s.file}."
        )
    return (
        f"Find which mapping of {s.at} sends {s.event}. If it is wanted, list it under receives.events in"
        f" {s.file}; else switch the mapping off."
    )


# --- export_incomplete, delivery_stopped ----------------------------------------------------------------


def _export_words(s: _Said) -> str:
    return {
        "unreadable": "cannot be read in full",
        "never_exported": "has never held anything",
        "days_missing": "lacks whole days",
        "cut_short": "ends in the middle of the day",
    }.get(str(s.get("reason")), "is incomplete")


def _export_title(s: _Said) -> str:
    if s.get("nothing_due_is_missing"):
        return f"The export of {s.at} {_export_words(s)}; nothing that is due is missing"
    return f"The export of {s.at} {_export_words(s)} {s.since}"


def _export_what(s: _Said) -> str:
    if s.get("nothing_due_is_missing"):
        waiting = s.dates(s.get("days_not_due") or [])
        return (
            f"The export, which is {s.at}'s own record of what it received, {_export_words(s)}. Nothing that is"
            " due is missing." + (f" Not due yet, and without any delivery: {waiting}." if waiting else "")
        )
    return (
        f"The export, which is {s.at}'s own record of what it received, {_export_words(s)} {s.since}:"
        f" {s.count} expected there are not in it."
    )


def _export_why(s: _Said) -> str:
    parts = []
    if s.get("problem"):
        parts.append(f"Reading it says: {shown(s.get('problem'), PROBLEM_LENGTH)}.")
    tails = [
        f"{s.day(day)} after {int(hours['last_hour']):02d}:59 ({_number(hours['expected_after'])} expected)"
        for day, hours in (s.get("days_cut_short") or {}).items()
    ]
    if tails:
        parts.append(f"Nothing was delivered on {_listed(tails)}.")
    if s.get("days_without_export"):
        parts.append(f"Days without any delivery: {s.dates(s.get('days_without_export'))}.")
    if s.get("days_read_in_part"):
        parts.append(f"Days of which a part is not there: {s.dates(s.get('days_read_in_part'))}.")
    return " ".join(parts)


def _export_next(s: _Said) -> str:
    if s.get("nothing_due_is_missing"):
        return f"Export what cannot be read of {s.at} again and land it; the next run reads it."
    return (
        f"Export {s.days} of {s.at} again and land it; the next run reads it. Whether the delivery failed too"
        " shows once the export is whole."
    )


def _stopped_what(s: _Said) -> str:
    what = "no event at all" if s.finding.event is None else f"no {s.event}"
    usual = _number(s.get("usual_per_day"))
    return f"{s.at} received {what} {s.since}; {usual} a day were usual. {s.count} are missing.{s.of_events}"


def _stopped_why(s: _Said) -> str:
    if s.finding.event is None and s.get("whole_export_absent"):
        return "Its export holds no row for these days, though the sources sent what they usually send."
    return "The messages are in the warehouse and expected by the contract; the export has none of them."


def _stopped_next(s: _Said) -> str:
    what = "the destination" if s.finding.event is None else f"the mapping of {s.event}"
    return (
        f"Look at {what} in Segment's Delivery Overview of {s.at}: is it enabled, and are there rejections"
        f" since {s.start}? Then replay {s.days} from Segment."
    )


# --- delivery_loss, duplicate_delivery, unexplained -----------------------------------------------------


def _loss_title(s: _Said) -> str:
    renamed = _renamed(s.finding) if not s.whole else []
    old = f" (was {_quoted(str(renamed[0].get('event')))})" if renamed else ""
    return f"{s.all_or_event}{old}: {s.share} missing at {s.at} {s.since}"


def _loss_what(s: _Said) -> str:
    return (
        f"{s.count} of {_number(s.get('expected'))} expected at {s.at} are missing {s.since} ({s.share};"
        f" {_usual(s.get('usual_share'))} is usual).{_spells(s)}{s.of_events}"
    )


def _usual(share: Any) -> str:
    """No rate is learned as none at all: the least of them says that next to nothing was ever missing."""
    return "almost none" if isinstance(share, float) and share < LEAST_USUAL else _percent(share)


def _spells(s: _Said) -> str:
    """*It came back on 7 Nov after 31 Oct to 2 Nov.*, of what was over for some days in between."""
    spells = s.get("spells") or []
    if len(spells) < 2:
        return ""
    before = _listed(
        [
            s.day(first) if first == last else f"{s.day(first)} to {s.day(last)}"
            for first, last in spells[:-1][-LISTED:]
        ]
    )
    more = "it had come and gone before that; " if len(spells) - 1 > LISTED else ""
    return f" It came back on {s.day(spells[-1][0])} after {before}; {more}the days between were whole."


def _loss_why(s: _Said) -> str:
    return contrast(s.get("contrast"), shown, _number, _percent)


def _loss_next(s: _Said) -> str:
    return (
        f"Look at the failed and filtered deliveries of {s.at} in Segment's Delivery Overview for {s.days},"
        " mend the reason that it names, and replay those days."
    )


# --- export_late, timezone_shift ------------------------------------------------------------------------


def _late_what(s: _Said) -> str:
    hours = _number(s.get("due_after_hours"))
    return (
        f"Nothing of {late_days(s.get('days_late') or [], s.day)} has come from {s.at}, though a day is due"
        f" {hours} hours after it ends: {s.count} are waited for."
    )


def _late_why(s: _Said) -> str:
    usual = s.get("usually_there_after_hours")
    if usual is None:
        return "The day before is whole, so this is a late export until a second day stays away."
    return f"Its days are usually there {_number(usual)} hours after they end; the day before is whole."


def _late_next(s: _Said) -> str:
    return (
        f"Wait for the next run, or start the export of {s.at} by hand. If it always comes later than that, write"
        f" a longer `complete_after` in {s.file}."
    )


def _shift_what(s: _Said) -> str:
    return (
        f"The clock of {s.at}'s export runs {hours_off(s.get('hours'))} {s.since}: {s.count} stand in the wrong"
        f" hour, and those near midnight on the wrong day ({_number(s.get('missing'))} seem missing,"
        f" {_number(s.get('unexpected'))} seem too many)."
    )


def _shift_next(s: _Said) -> str:
    return (
        f"Ask whoever exports {s.at} what changed around {s.start}: its time zone, or summer time. If the new"
        f" zone is to stay, write it as `timezone` in {s.file} (now {shown(s.get('timezone'))}); else export"
        f" {s.days} again."
    )


def _twice_what(s: _Said) -> str:
    return (
        f"{s.at} holds {s.count} more than once {s.since}, of {_number(s.get('expected'))} expected"
        f" ({s.share}).{s.of_events}"
    )


def _twice_next(s: _Said) -> str:
    return (
        f"Find what was sent twice to {s.at} on {s.days}: a replay, a second mapping, or a file loaded again."
        " Remove the copies there, and export those days again."
    )


def _unexplained_title(s: _Said) -> str:
    if s.get("reason") == "unmatched":
        return f"{s.all_or_event} at {s.at}: deliveries match no message {s.since}"
    return f"{s.all_or_event}: {_number(s.finding.messages_affected)} more at {s.at} than was sent, {s.since}"


def _unexplained_what(s: _Said) -> str:
    if s.get("reason") == "unmatched":
        return (
            f"{s.at} lacks {_number(s.get('missing'))} messages {s.since} and holds"
            f" {_number(s.get('unexpected'))} deliveries that match none: probably the same ones under other"
            f" ids or times.{s.of_events}"
        )
    return (
        f"{s.at} holds {s.count} {s.since} that no source sent under this name, and nothing else explains"
        f" them.{s.of_events}"
    )


def _unexplained_next(s: _Said) -> str:
    if s.get("reason") == "unmatched":
        return (
            f"Compare the ids and times of a few deliveries of {s.at} with the messages: what changed around"
            f" {s.start} belongs into `export.columns`, `timezone` or `clock` of {s.file}."
        )
    return (
        f"Look for a second sender to {s.at} (another source, a tag, an import) on {s.days};"
        " `message_differences` lists the deliveries."
    )


# --- identifier_format, property_violation --------------------------------------------------------------


def _form(s: _Said) -> str:
    """The form that is not wanted, in a word: never a value."""
    demanded = [str(each) for each in (s.get("demanded_format") or {}).values()]
    odd = {
        shape: count
        for shape, count in (s.get("shapes") or {}).items()
        if shape not in ("empty", "null") and not any(shape in wanted for wanted in demanded)
    }
    words = {"email": "an e-mail address as ", "uuid": "a uuid as ", "integer": "a number as "}
    return words.get(max(odd, key=lambda shape: odd[shape]), "a ") if odd else "a "


def _call(s: _Said) -> str:
    """The calls that an id is missing or odd in; empty for track calls."""
    call = call_of_event(s.finding.event)
    return "" if call == "track" else f"{call} calls"


def _identifier_title(s: _Said) -> str:
    if s.get("misuse"):
        return plan.misuse_title(s.source, _call(s), shown(s.finding.identifier), s.since, s.get, _percent)
    place = f" in {s.event}" if s.finding.event is not None else ""
    return f"{s.source} sends {_form(s)}{shown(s.finding.identifier)} that {s.at} refuses{place} {s.since}"


def _identifier_what(s: _Said) -> str:
    if s.get("misuse"):
        identifier = shown(s.finding.identifier)
        what = plan.misuse_what(s.source, _call(s), identifier, s.since, s.count, s.get, _percent)
        return f"{what} {plan.details(s.get, _number, _percent)}".strip()
    scope = f"In {s.event}" if s.finding.event is not None else "In all its events"
    demanded = [f"{name} demands {shown(form)}" for name, form in (s.get("demanded_format") or {}).items()]
    wanted = f" {_listed(demanded)}." if demanded else ""
    return (
        f"{scope}, {s.source} sends {_form(s)}{shown(s.finding.identifier)} {s.since}, and {s.count} are"
        f" refused for it.{wanted}"
    )


def _identifier_next(s: _Said) -> str:
    if s.get("misuse"):
        return plan.misuse_next(s.source, shown(s.finding.identifier), s.days, s.get)
    wanted = sorted({shown(form) for form in (s.get("demanded_format") or {}).values()})
    form = f" as {' or '.join(wanted)}" if wanted else ""
    return (
        f"Send {shown(s.finding.identifier)}{form} from {s.source} again, as before {s.start}, and replay"
        f" {s.days} with the corrected identifier. If the new form is right, change"
        f" `identifiers` in {s.file}."
    )


def _property_title(s: _Said) -> str:
    name = shown(s.finding.property)
    if s.finding.renamed_to is not None:
        return renames.property_title(*_property_names(s), s.since)
    if s.get("misuse"):
        return plan.trait_title(name, s.source, s.since)
    if s.get("emptied"):
        return plan.emptied_title(name, s.event, s.source, s.since, s.get, _percent)
    if s.get("rejected_by"):
        return f"{s.at} refuses {s.event} where {name} breaks the plan: {s.count} {s.since}"
    return f"{name} of {s.event} breaks the plan in {s.source}: {s.share} of messages {s.since}"


def _property_names(s: _Said) -> tuple[str, str, str, str]:
    finding = s.finding
    return str(finding.property), str(finding.renamed_to), str(finding.event), str(finding.source)


def _property_why(s: _Said) -> str:
    details = plan.details(s.get, _number, _percent)
    if s.finding.renamed_to is not None:
        reason = renames.property_reason(s.finding.evidence)
    else:
        reason = contrast(s.get("contrast"), shown, _number, _percent)
    return " ".join(part for part in (reason, details) if part)


def _property_what(s: _Said) -> str:
    name = shown(s.finding.property)
    if s.finding.renamed_to is not None:
        return f"{_property_title(s)}: {s.count} without it."
    if s.get("misuse"):
        return plan.trait_what(name, s.source, s.since, s.count, _counted(s.get("events") or []))
    if s.get("emptied"):
        return plan.emptied_what(name, s.event, s.source, s.since, s.count, s.get, _percent)
    rules = _listed([f"{rule} {_number(count)}" for rule, count in (s.get("messages_by_rule") or {}).items()])
    return (
        f"{shown(s.finding.property)} of {s.event} breaks the tracking plan of {s.source} {s.since} in"
        f" {s.count} ({s.share} of the event; by rule: {rules})."
    )


def _property_next(s: _Said) -> str:
    if s.finding.renamed_to is not None:
        return renames.property_next(*_property_names(s))
    if s.get("misuse"):
        return plan.trait_next(shown(s.finding.property), s.source)
    if s.get("emptied"):
        return plan.emptied_next(shown(s.finding.property), s.event, s.source, s.start, s.get)
    return (
        f"Correct {shown(s.finding.property)} of {s.event} in {s.source}, or change its rule in the tracking"
        " plan if the new values are right. `plan_violations_daily` has a sample message id for each day."
    )


_KINDS: Mapping[str, _Kind] = {
    "event_renamed": _Kind(
        title=lambda s: f"{s.event} became {s.new} in {s.source} on {s.start}",
        what=_renamed_what,
        why=_renamed_why,
        next=_renamed_next,
    ),
    "event_stopped": _Kind(
        title=lambda s: (
            f"{s.event} is not sent by {s.source} any more since {s.start}"
            if s.finding.ended_on is None
            else f"{s.event} was not sent by {s.source} {s.since}"
        ),
        what=_event_stopped_what,
        why=lambda s: f"It was last seen on {s.day(s.get('last_seen_on'))}, and comes on such weekdays.",
        next=_event_stopped_next,
    ),
    "volume_anomaly": _Kind(
        title=lambda s: volumes.anomaly_title(s.event, s.source, s.get, whole=s.whole, since=s.since),
        what=lambda s: volumes.anomaly_what(
            s.event, s.source, s.get, shown, _number, whole=s.whole, since=s.since
        ),
        why=lambda s: volumes.anomaly_why(s.get, shown, whole=s.whole),
        next=lambda s: volumes.anomaly_next(s.event, s.source, s.get, whole=s.whole, start=s.start),
    ),
    "duplicate_events": _Kind(
        title=lambda s: volumes.doubles_title(s.event, s.source, whole=s.whole, since=s.since),
        what=lambda s: volumes.doubles_what(
            s.event, s.source, s.get, _number, _percent, s.count, whole=s.whole, since=s.since
        ),
        why=lambda s: volumes.doubles_why(s.get, _percent),
        next=lambda s: volumes.doubles_next(s.event, s.source, whole=s.whole, start=s.start, at=s.at),
    ),
    "source_stopped": _Kind(title=_source_title, what=_source_what, next=_source_next),
    "unplanned_event": _Kind(
        title=_unplanned_title, what=_unplanned_what, why=_unplanned_why, next=_unplanned_next
    ),
    "name_mismatch": _Kind(
        title=_mismatch_title,
        what=lambda s: (
            f"{s.at} holds {s.count} under {s.event} {s.since}. No event of its contract has this name there."
        ),
        why=_mismatch_why,
        next=_mismatch_next,
    ),
    "export_incomplete": _Kind(
        title=_export_title,
        what=_export_what,
        why=_export_why,
        next=_export_next,
    ),
    "delivery_stopped": _Kind(
        title=lambda s: (
            f"{'Nothing' if s.finding.event is None else f'No {s.event}'} arrives at {s.at} {s.since}"
        ),
        what=_stopped_what,
        why=_stopped_why,
        next=_stopped_next,
    ),
    "delivery_loss": _Kind(
        title=_loss_title,
        what=_loss_what,
        why=_loss_why,
        next=_loss_next,
    ),
    "export_late": _Kind(
        title=lambda s: f"The export of {s.at} is late: nothing of {s.start} has come",
        what=_late_what,
        why=_late_why,
        next=_late_next,
    ),
    "timezone_shift": _Kind(
        title=lambda s: f"The clock of {s.at}'s export runs {hours_off(s.get('hours'))} {s.since}",
        what=_shift_what,
        why=lambda s: "Moved by that much, its hours fit the messages' hours; as they stand, they do not.",
        next=_shift_next,
    ),
    "duplicate_delivery": _Kind(
        title=lambda s: f"{s.all_or_event}: {s.share} counted more than once at {s.at} {s.since}",
        what=_twice_what,
        next=_twice_next,
    ),
    "identifier_format": _Kind(
        title=_identifier_title,
        what=_identifier_what,
        why=lambda s: contrast(s.get("contrast"), shown, _number, _percent),
        next=_identifier_next,
    ),
    "property_violation": _Kind(
        title=_property_title, what=_property_what, why=_property_why, next=_property_next
    ),
    "unexplained": _Kind(title=_unexplained_title, what=_unexplained_what, next=_unexplained_next),
}


# --- words ----------------------------------------------------------------------------------------------


def day_words(day: date, today: date) -> str:
    """`20 Oct`, with the year when it is not this one."""
    words = f"{day.day} {_MONTHS[day.month - 1]}"
    return words if day.year == today.year else f"{words} {day.year}"


def _since(finding: Finding, today: date) -> str:
    start = day_words(finding.started_on, today)
    if finding.ended_on is None and not _once(finding):
        return f"since {start}"
    if finding.ended_on is None or finding.ended_on == finding.started_on:
        return f"on {start}"
    return f"from {start} to {day_words(finding.ended_on, today)}"


def _once(finding: Finding) -> bool:
    """Whether it is the matter of one day, as a batch or a cut is, also while no later day shows that it is over."""
    return finding.kind in ("export_incomplete", "duplicate_delivery") and len(finding.days) == 1


def _days_words(finding: Finding, today: date) -> str:
    start = day_words(finding.started_on, today)
    if finding.ended_on is None and not _once(finding):
        return f"the days from {start} on"
    if finding.ended_on is None or finding.ended_on == finding.started_on:
        return start
    return f"the days from {start} to {day_words(finding.ended_on, today)}"


def _quoted(name: str | None) -> str:
    if call_of_event(name) != "track":
        return f"{call_of_event(name)} calls"
    return f'"{shown(name)}"' if name is not None else "every event"


def _listed(names: Sequence[str]) -> str:
    some = ", ".join(shown(name) for name in names[:LISTED])
    return f"{some} and {len(names) - LISTED} more" if len(names) > LISTED else some


def _counted(names: Sequence[Any] | Mapping[str, Any], *, quoted: bool = True) -> str:
    every = [str(name) for name in names]
    some = ", ".join(_quoted(name) if quoted else shown(name) for name in every[:LISTED])
    return f"{some} and {len(every) - LISTED} more" if len(every) > LISTED else some


def _messages(count: int) -> str:
    return f"{count:,} message" if count == 1 else f"{count:,} messages"


def _number(value: Any) -> str:
    if not isinstance(value, int | float):
        return "an unknown number"
    return (
        f"{value:,.1f}"
        if isinstance(value, float) and 0 < abs(value) < 10 and value % 1
        else f"{round(value):,}"
    )


def _percent(share: Any) -> str:
    if not isinstance(share, int | float):
        return "a part"
    percent = 100 * share
    return f"{percent:.2g}%" if 0 < percent < 1 else f"{percent:.1f}%".replace(".0%", "%")
