"""Says a finding to a person: what, where, since when, how many, why we think so, and what to do next."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from datetime import date
from typing import TYPE_CHECKING, Any

from dagster_project.core.message import cut, visible

if TYPE_CHECKING:
    from dagster_project.core.diagnosis.finding import Finding

NAME_LENGTH = 80
PROBLEM_LENGTH = 400  # the text of an error is longer than a name
LISTED = 8  # items of a list that are named; the rest is counted
EXPLANATION_LENGTH, SUGGESTION_LENGTH, TITLE_LENGTH = 2_400, 1_600, 300

_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
# Event names are made by programs too, and some put the customer into them.
_EMAIL = re.compile(r"[\w.%+-]{1,64}@[\w-]{1,64}(?:\.[\w-]{1,64})+")
_PLAIN_YAML = re.compile(r"[A-Za-z][A-Za-z0-9_]*(?: [A-Za-z0-9_]+)*")
_YAML_WORDS = frozenset({"true", "false", "yes", "no", "on", "off", "null", "y", "n"})


def shown(name: object, limit: int = NAME_LENGTH) -> str:
    """A name from the data in one line: hidden characters as escapes, e-mail addresses by their shape, cut."""
    if name is None:
        return ""
    # Cut before anything else as well: a hostile name may hold megabytes.
    text = _EMAIL.sub("<email>", str(name)[: limit * 4].encode("utf-8", "replace").decode())
    return cut(visible(text), limit) or "(empty)"


def title(finding: Finding, today: date) -> str:
    """One line that says the whole thing."""
    return cut(_title(finding, today), TITLE_LENGTH)


def explanation(finding: Finding, today: date) -> str:
    """What, where, since when, how many, which destinations and how many each, why, and what else it explains."""
    parts = [_what(finding, today), _where(finding), _why(finding), _also(finding)]
    return cut("\n".join(part for part in parts if part), EXPLANATION_LENGTH)


def suggestion(finding: Finding, today: date) -> str:
    """The next steps, concretely."""
    return cut(_next(finding, today), SUGGESTION_LENGTH)


def brief(finding: Finding) -> str:
    """A finding in a few words, for the list of what another one explains."""
    place = f" in {shown(finding.source)}" if finding.source else ""
    there = f" at {_listed(finding.destinations)}" if finding.destinations and not finding.source else ""
    words = {
        "event_stopped": "fell silent",
        "unplanned_event": "is not in the tracking plan",
        "name_mismatch": "is held without being in the contract",
        "event_renamed": f"became {_quoted(finding.renamed_to)}",
    }.get(finding.kind, finding.kind.replace("_", " "))
    return f"{_quoted(finding.event) if finding.event is not None else 'every event'}{place} {words}{there}"


# --- titles --------------------------------------------------------------------------------------------------


def _title(finding: Finding, today: date) -> str:
    event, source = _quoted(finding.event), shown(finding.source)
    at = _listed(finding.destinations)
    start = day_words(finding.started_on, today)
    since = _since(finding, today)
    details = finding.evidence
    share = _percent(details.get("share"))
    all_or = event if finding.event is not None else "All events"
    match finding.kind:
        case "event_renamed":
            return f"{event} became {_quoted(finding.renamed_to)} in {source} on {start}"
        case "event_stopped":
            return f"{event} is not sent by {source} any more since {start}"
        case "source_stopped":
            if details.get("problem"):
                return f"{source} cannot be read: {shown(details['problem'])}"
            if details.get("last_received_at") is None:
                return f"Nothing has ever arrived from {source}"
            return f"Nothing has arrived from {source} since {start}"
        case "unplanned_event":
            if finding.event is None:
                return f"{_number(details.get('names'))} names made by a program are sent by {source} {since}"
            return f"{event} is sent by {source} and is in no tracking plan, {since}"
        case "name_mismatch":
            close = details.get("closest_expected")
            meant = (
                f"; {_quoted(close)} is what it should be" if close and finding.severity == "error" else ""
            )
            return f"{at} holds {event}, which nobody sends to it, {since}{meant}"
        case "export_incomplete":
            return f"The export of {at} {_export_words(details)} {since}"
        case "delivery_stopped":
            if finding.event is None:
                return f"Nothing arrives at {at} {since}"
            return f"{event} does not arrive at {at} {since}"
        case "delivery_loss":
            return f"{all_or}: {share} missing at {at} {since}"
        case "duplicate_delivery":
            return f"{all_or}: {share} counted more than once at {at} {since}"
        case "identifier_format":
            return (
                f"{source} sends {_of_shape(details)}{shown(finding.identifier)} that {at} refuses"
                f"{f' in {event}' if finding.event is not None else ''} {since}"
            )
        case "property_violation":
            return f"{shown(finding.property)} of {event} breaks the plan in {source}: {share} of messages {since}"
        case "unexplained":
            if details.get("reason") == "unmatched":
                return f"{all_or} at {at}: deliveries match no message {since}"
            return f"{all_or}: {_number(finding.messages_affected)} more at {at} than was sent, {since}"
    return f"{finding.kind.replace('_', ' ')} {event} {source} {at} {since}".replace("  ", " ")


def _export_words(details: Mapping[str, Any]) -> str:
    return {
        "unreadable": "cannot be read in full",
        "never_exported": "has never held anything",
        "days_missing": "lacks whole days",
        "cut_short": "ends in the middle of the day",
    }.get(str(details.get("reason")), "is incomplete")


def _of_shape(details: Mapping[str, Any]) -> str:
    """The shape that is not wanted, in a word: never a value."""
    demanded = {str(each) for each in (details.get("demanded_format") or {}).values()}
    odd = {
        shape: count
        for shape, count in (details.get("shapes") or {}).items()
        if shape != "empty" and not any(shape in wanted for wanted in demanded)
    }
    words = {"email": "an e-mail address", "uuid": "a uuid", "integer": "a number"}
    return f"{words[top]} as " if odd and (top := max(odd, key=lambda s: odd[s])) in words else "a "


# --- explanations ----------------------------------------------------------------------------------------------


def _what(finding: Finding, today: date) -> str:
    event, source = _quoted(finding.event), shown(finding.source)
    count = _messages(finding.messages_affected)
    details = finding.evidence
    since = _since(finding, today)
    at = _listed(finding.destinations)
    events = details.get("events")
    of_events = f" Events: {_counted(events)}." if events and finding.event is None else ""
    match finding.kind:
        case "event_renamed":
            return f"{source} sends {_quoted(finding.renamed_to)} instead of {event} {since}: {count} so far under the new name."
        case "event_stopped":
            return (
                f"{source} used to send about {_number(details.get('usual_per_day'))} {event} a day, and sends none"
                f" {since}, while its other events go on. About {count} have not been sent."
            )
        case "source_stopped":
            problem = f" {shown(details['problem'], PROBLEM_LENGTH)}." if details.get("problem") else ""
            last = details.get("last_received_at")
            arrived = f" Its last message arrived on {last} UTC." if last else " It holds no message."
            missed = f" About {count} should have come since." if finding.messages_affected else ""
            return f"{'The source' if problem else 'Nothing arrives from the source'} {source}{' cannot be read:' if problem else '.'}{problem}{arrived}{missed}"
        case "unplanned_event":
            if finding.event is None:
                patterns = ", ".join(
                    f'"{shown(p)}" ({n:,} names)' for p, n in (details.get("patterns") or {}).items()
                )
                return f"{source} sent {count} {since} under {_number(details.get('names'))} names that differ only in numbers or ids: {patterns}."
            return f"{source} sent {count} under {event} {since}; the tracking plan does not know this name."
        case "name_mismatch":
            return f"{at} holds {count} under {event} {since}. No event of its contract has this name there."
        case "export_incomplete":
            return f"The record that {at} gives of itself {_export_words(details)} {since}: {count} expected there are not in it."
        case "delivery_stopped":
            what = "no event at all" if finding.event is None else f"no {event}"
            return (
                f"{at} received {what} {since}; {_number(details.get('usual_per_day'))} a day were usual."
                f" {count} are missing.{of_events}"
            )
        case "delivery_loss":
            return (
                f"{count} of {_number(details.get('expected'))} expected at {at} are missing {since}"
                f" ({_percent(details.get('share'))}; up to {_percent(details.get('usual_share_at_most'))} is usual).{of_events}"
            )
        case "duplicate_delivery":
            return (
                f"{at} holds {count} more than once {since}, of {_number(details.get('expected'))} expected"
                f" ({_percent(details.get('share'))}).{of_events}"
            )
        case "identifier_format":
            name = shown(finding.identifier)
            demanded = ", ".join(
                f"{shown(where)} demands {shown(what)}"
                for where, what in (details.get("demanded_format") or {}).items()
            )
            scope = f"In {event}, {source}" if finding.event is not None else f"In all its events, {source}"
            return f"{scope} sends {_of_shape(details)}{name} {since}, and {count} are refused for it. {demanded}.".replace(
                " .", "."
            )
        case "property_violation":
            rules = ", ".join(
                f"{shown(rule)} {count:,}" for rule, count in (details.get("messages_by_rule") or {}).items()
            )
            return (
                f"{shown(finding.property)} of {event} breaks the tracking plan of {source} {since} in {count}"
                f" ({_percent(details.get('share'))} of the event; by rule: {rules})."
            )
        case "unexplained":
            if details.get("reason") == "unmatched":
                return (
                    f"{at} lacks {_number(details.get('missing'))} messages {since} and holds"
                    f" {_number(details.get('unexpected'))} deliveries that match none: they are probably the same"
                    f" under other ids or times.{of_events}"
                )
            return f"{at} holds {count} {since} that no source sent under this name, and nothing else explains them.{of_events}"
    return f"{count} {since}."


def _where(finding: Finding) -> str:
    each = finding.evidence.get("messages_by_destination")
    if not isinstance(each, Mapping) or not each:
        if finding.source and finding.destinations:
            return f"Destinations: {_listed(finding.destinations)}."
        return ""
    amounts = [f"{shown(name)} {_number(count)}" for name, count in list(each.items())[:LISTED]]
    more = f" and {len(each) - LISTED} more" if len(each) > LISTED else ""
    verb = "Wait for the old name" if finding.kind == "event_renamed" else "Messages not delivered"
    return f"{verb}: {', '.join(amounts)}{more}."


def _why(finding: Finding) -> str:
    details = finding.evidence
    match finding.kind:
        case "event_renamed":
            return _why_renamed(finding)
        case "event_stopped":
            return (
                f"It was last seen on {details.get('last_seen_on')}, and had never been silent like this on these"
                " weekdays."
            )
        case "unplanned_event":
            alike = details.get("planned_alike") or []
            return f"Planned and alike: {_counted(alike)}." if alike else ""
        case "name_mismatch":
            close = details.get("closest_expected")
            if close and details.get("missing_under_closest"):
                agree = (
                    "which agrees with it" if details.get("counts_agree") else "which does not add up with it"
                )
                return f"On the same days {_number(details['missing_under_closest'])} of {_quoted(close)} are missing there, {agree}."
            return f"Closest expected name: {_quoted(close)}; none of it is missing." if close else ""
        case "export_incomplete":
            problem = (
                f"Reading it says: {shown(details['problem'], PROBLEM_LENGTH)}."
                if details.get("problem")
                else ""
            )
            cut_short = [
                f"{day} after {int(hours['last_hour']):02d}:59 ({_number(hours['expected_after'])} expected)"
                for day, hours in list((details.get("days_cut_short") or {}).items())[:LISTED]
            ]
            ends = f"Nothing was delivered on {'; '.join(cut_short)}." if cut_short else ""
            absent = details.get("days_without_export") or []
            days = f"Days without any delivery: {_counted(absent, quoted=False)}." if absent else ""
            return " ".join(part for part in (problem, ends, days) if part)
        case "delivery_stopped":
            if finding.event is None and details.get("whole_export_absent"):
                return "The export holds no row for these days, and the sources were sending as usual."
            return "The messages are in the warehouse, as expected by the contract; none of them is in the export."
    return ""


def _why_renamed(finding: Finding) -> str:
    kinds = finding.evidence.get("evidence_kinds") or {}
    parts = []
    if "timing" in kinds:
        parts.append(f"the old name fell on {kinds['timing'].get('old_name_fell')}, when the new one came")
    if "conservation" in kinds:
        counts = kinds["conservation"]
        parts.append(
            f"{_number(counts.get('usual_per_day'))} a day before are now {_number(counts.get('old_now_per_day'))} under the old"
            f" and {_number(counts.get('new_now_per_day'))} under the new name"
        )
    if "same_slug" in kinds:
        parts.append("both names land in one table, which is why the rename does not show there")
    if "same_properties" in kinds:
        parts.append(f"the two share {_percent(kinds['same_properties'])} of their properties")
    text = f"Why: {'; '.join(parts)}." if parts else ""
    earlier = finding.evidence.get("earlier_names") or []
    return text + (f" Before that it was called {_counted(earlier)}." if earlier else "")


def _also(finding: Finding) -> str:
    if not finding.explains:
        return ""
    more = f"; and {len(finding.explains) - LISTED} more" if len(finding.explains) > LISTED else ""
    return f"This also explains: {'; '.join(finding.explains[:LISTED])}{more}."


# --- next steps ----------------------------------------------------------------------------------------------


def _next(finding: Finding, today: date) -> str:
    event, source = _quoted(finding.event), shown(finding.source)
    at = _listed(finding.destinations)
    days = _days_words(finding, today)
    match finding.kind:
        case "event_renamed":
            return _next_renamed(finding, today)
        case "event_stopped":
            return (
                f"Ask the owner of {source} what was released around {day_words(finding.started_on, today)}. Put the call"
                f" back, or, if {event} was retired, take it out of the tracking plan and of the destinations' files."
            )
        case "source_stopped":
            return (
                f"Look at {source} in Segment (is it enabled, does the debugger show events?), then at the warehouse"
                f" sync of its schema. Once it runs again, ask Segment for a backfill of {days}."
            )
        case "unplanned_event":
            if finding.event is None:
                return f"Give these events one name in {source} and put the number or id into a property."
            alike = finding.evidence.get("planned_alike") or []
            meant = f" If {_quoted(alike[0])} is meant, correct the call in {source}." if alike else ""
            return f"Add {event} to the tracking plan of {source}, or remove the call.{meant}"
        case "name_mismatch":
            close = finding.evidence.get("closest_expected")
            if close:
                return (
                    f"Correct the name in the mapping of {at} from {event} to what the contract says for {_quoted(close)},"
                    f" then replay {days}. If the new name is meant, write {alias(str(close), finding.event)}"
                    f" in expectations/destinations/{at}.yml."
                )
            return (
                f"Find which mapping of {at} sends {event}. If it is wanted, list it under receives.events in"
                f" expectations/destinations/{at}.yml; else switch the mapping off."
            )
        case "export_incomplete":
            return (
                f"Export {days} of {at} again and land it; the next run reads it. Whether only the export or also the"
                " delivery failed shows once the export is whole."
            )
        case "delivery_stopped":
            what = "the destination" if finding.event is None else f"the mapping of {event}"
            return (
                f"Look at {what} in Segment's Delivery Overview of {at}: is it enabled, and are there rejections since"
                f" {day_words(finding.started_on, today)}? Then replay {days} from Segment."
            )
        case "delivery_loss":
            return (
                f"Look at the failed and filtered deliveries of {at} in Segment's Delivery Overview for {days}, mend the"
                f" reason it names, and replay those days."
            )
        case "duplicate_delivery":
            return (
                f"Find what was sent twice to {at} on {days}: a replay, a second mapping, or a file loaded again."
                " Remove the copies there, and export those days again."
            )
        case "identifier_format":
            wanted = sorted({str(each) for each in (finding.evidence.get("demanded_format") or {}).values()})
            form = f" as {' or '.join(shown(each) for each in wanted)}" if wanted else ""
            return (
                f"Send {shown(finding.identifier)}{form} from {source} again, as before {day_words(finding.started_on, today)},"
                f" and replay {days} with the corrected identifier. If the new form is right, change `identifiers` in"
                f" {_listed([f'expectations/destinations/{name}.yml' for name in finding.destinations])}."
            )
        case "property_violation":
            return (
                f"Correct {shown(finding.property)} of {event} in {source}, or change its rule in the tracking plan if the"
                f" new values are right. `plan_violations_daily` has a sample message id for each day."
            )
        case "unexplained":
            if finding.evidence.get("reason") == "unmatched":
                return (
                    f"Compare the ids and times of a few deliveries of {at} with the messages: whatever changed around"
                    f" {day_words(finding.started_on, today)} belongs into `export.columns`, `timezone` or `clock` of"
                    f" expectations/destinations/{at}.yml."
                )
            return (
                f"Look for a second sender to {at} (another source, a tag, an import) on {days};"
                " `message_differences` lists the deliveries."
            )
    return "Look at the days and destinations above."


def _next_renamed(finding: Finding, today: date) -> str:
    old, new = _quoted(finding.event), _quoted(finding.renamed_to)
    source = shown(finding.source)
    steps = [f"If it was not meant, send {old} again in the next release of {source}."]
    there = finding.evidence.get("name_in_destination") or {}
    if finding.destinations:
        lines = [
            f"{alias(str(finding.renamed_to), there.get(name, finding.event))} in expectations/destinations/{name}.yml"
            for name in finding.destinations[:LISTED]
        ]
        steps.append(
            f"If {new} is to stay, map both names in {_listed(finding.destinations)}, and add {'; '.join(lines)}."
        )
    if not finding.evidence.get("new_name_planned"):
        steps.append(f"Add {new} to the tracking plan.")
    if finding.destinations:
        steps.append(f"Then replay {_days_words(finding, today)} from Segment to the destinations above.")
    return " ".join(steps)


def alias(name: str, there: str | None) -> str:
    """The line of a destination's file that gives an event its name over there, as valid YAML."""
    return f"`- {{{_yaml(name)}: {_yaml(there if there is not None else name)}}}`"


def _yaml(name: str) -> str:
    text = shown(name)
    if text == name and _PLAIN_YAML.fullmatch(name) and name.lower() not in _YAML_WORDS:
        return name
    # JSON strings are YAML strings; a cut or masked name cannot be copied anyway.
    return (
        json.dumps(name, ensure_ascii=True) if len(name) <= NAME_LENGTH and "@" not in name else f'"{text}"'
    )


# --- words -----------------------------------------------------------------------------------------------------


def day_words(day: date, today: date) -> str:
    """`20 Oct`, with the year when it is not this one."""
    words = f"{day.day} {_MONTHS[day.month - 1]}"
    return words if day.year == today.year else f"{words} {day.year}"


def _since(finding: Finding, today: date) -> str:
    start = day_words(finding.started_on, today)
    if finding.ended_on is None:
        return f"since {start}"
    if finding.ended_on == finding.started_on:
        return f"on {start}"
    return f"from {start} to {day_words(finding.ended_on, today)}"


def _days_words(finding: Finding, today: date) -> str:
    start = day_words(finding.started_on, today)
    if finding.ended_on is None:
        return f"{start} until it is mended"
    return (
        start
        if finding.ended_on == finding.started_on
        else f"{start} to {day_words(finding.ended_on, today)}"
    )


def _quoted(name: str | None) -> str:
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
