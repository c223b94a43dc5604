"""Says what is known of a broken plan and of ids used wrongly: versions, values, owner, and the fix in words."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from dagster_project.core.wording_names import shown

Get = Callable[..., Any]
Words = Callable[[Any], str]
LISTED = 4

FORMS: Mapping[str, str] = {
    "email": "e-mail addresses",
    "uuid": "uuids",
    "integer": "numbers",
    "other": "texts of another form",
    "null": "nothing",
    "empty": "empty texts",
    "placeholder": 'words such as "undefined"',
}
_COLUMNS: Mapping[str, str] = {"number": "numbers", "boolean": "true and false", "time": "times"}


def details(get: Get, number: Words, percent: Words) -> str:
    """The sentences beside the numbers: who sends it so, what it looks like, what Segment says, whose it is."""
    parts = [
        _versions(get, number, percent),
        _samples(get),
        _column(get),
        _segment(get, number),
        _owner(get),
        _fed(get),
        "The published numbers leave these messages out (`quarantine`)." if get("quarantined") else "",
    ]
    return " ".join(part for part in parts if part)


def _versions(get: Get, number: Words, percent: Words) -> str:
    versions = get("app_versions") or {}
    only = [str(each) for each in get("only_versions") or []]
    sentences = []
    if only and not versions:
        sentences.append(
            f"It is {_version_words(only)}; the others fill it in {percent(get('others_share'))}."
        )
    elif only:
        own = [versions[each] for each in only if each in versions]
        broken, sent = (sum(int(each[key]) for each in own) for key in ("broken", "messages"))
        sentences.append(
            f"It is {_version_words(only)}: {number(broken)} of {number(sent)} messages"
            f" ({percent(broken / max(1, sent))}); other versions hardly send it so."
        )
    elif versions:
        told = [
            f"{shown(version)} {number(counts['broken'])} of {number(counts['messages'])}"
            for version, counts in list(versions.items())[:LISTED]
        ]
        sentences.append(f"By app version: {', '.join(told)}.")
    libraries = get("library_versions") or {}
    if libraries:
        told = [f"{shown(version)} ({number(count)})" for version, count in list(libraries.items())[:LISTED]]
        sentences.append(f"Library version: {', '.join(told)}.")
    return " ".join(sentences)


def _version_words(versions: Sequence[str]) -> str:
    told = [
        f"{'' if each.startswith('library ') else 'app version '}{shown(each)}" for each in versions[:LISTED]
    ]
    return " and ".join(told)


def _samples(get: Get) -> str:
    samples = get("samples") or []
    if not samples:
        return ""
    quoted = ", ".join(f'"{shown(each)}"' for each in samples)
    masked = " (letters as a, digits as 9)" if get("samples_masked", True) else ""
    return f"{'Its values look like' if masked else 'Values:'} {quoted}{masked}."


def _column(get: Get) -> str:
    kind = _COLUMNS.get(str(get("column")))
    gone = get("emptied") or "required" in (get("messages_by_rule") or {})
    if kind is None or not gone:
        return ""
    return f"Its column holds {kind}, and Segment drops what is not: a changed type leaves the same gap as no value."


def _segment(get: Get, number: Words) -> str:
    says = get("segment_says")
    if says is None:
        return ""
    if not says:
        return (
            "Segment's own violations name none of these: it may hold the source to another plan or version."
        )
    return f"Segment's own violations name {number(says)} messages, {number(get('segment_agrees'))} of them the same ones."


def _owner(get: Get) -> str:
    owner = get("owner")
    if not owner:
        return ""
    return f"Owner: {shown(owner)}{' (by the plan)' if get('owner_by') == 'plan' else ''}."


def _fed(get: Get) -> str:
    names = [shown(each) for each in get("fed") or []]
    more = f" and {len(names) - 8} more" if len(names) > 8 else ""
    return f"Fed by this source: {', '.join(names[:8])}{more}." if names else ""


# --- a property that is filled no more ------------------------------------------------------------------


def emptied_title(name: str, event: str, source: str, since: str, get: Get, percent: Words) -> str:
    """One line: *plan of "Signed Up" is empty in web_app since 3 Nov: 0% have it, 97% had*."""
    return (
        f"{name} of {event} is hardly filled any more by {source} {since}:"
        f" {percent(get('fill'))} have it, {percent(get('usual_fill'))} had"
    )


def emptied_what(name: str, event: str, source: str, since: str, count: str, get: Get, percent: Words) -> str:
    """What is gone, how much, and that the event itself goes on."""
    return (
        f"{source} goes on sending {event}, and {since} {name} has a value in {percent(get('fill'))} of them where"
        f" {percent(get('usual_fill'))} had one: about {count} without it."
    )


def emptied_next(name: str, event: str, source: str, start: str, get: Get) -> str:
    """The next step: the type, or the call."""
    only = get("only_versions")
    who = (
        f"what {_version_words([str(each) for each in only])} changed"
        if only
        else f"what was released around {start}"
    )
    return (
        f"Ask the owner of {source} {who} in {event}: a value of another type (send the old type again; only Segment"
        f" Support changes a column's type), or the property taken out (then take {name} out of the plan too)."
    )


# --- ids used wrongly -----------------------------------------------------------------------------------


def misuse_title(source: str, call: str, identifier: str, since: str, get: Get, percent: Words) -> str:
    """One line for each way in which an id is used wrongly."""
    kind, form = get("misuse"), FORMS.get(str(get("new_form")), "another form")
    if kind == "no_id":
        return f"{percent(get('share'))} of the {call} of {source} have no {identifier}, {since}"
    if kind == "email_as_id":
        return f"{source} uses e-mail addresses as {identifier}"
    if kind == "never_joined":
        return f"{percent(get('share'))} of the new users of {source} are joined to no anonymous id, {since}"
    usual = FORMS.get(str(get("usual_form")), "another form")
    return f"{source} sends {form} as {identifier} {since}, where it sent {usual}"


def misuse_what(
    source: str, call: str, identifier: str, since: str, count: str, get: Get, percent: Words
) -> str:
    """What, since when and how many."""
    kind, form = get("misuse"), FORMS.get(str(get("new_form")), "another form")
    where = f"In {call}," if call else "In its track calls,"
    if kind == "no_id":
        shapes = [f"{FORMS.get(str(each), str(each))} {n:,}" for each, n in (get("shapes") or {}).items()]
        usual = "" if get("steady") else f"; {percent(get('usual_share'))} is usual"
        lacking = f"have no {identifier} ({percent(get('share'))}{usual}): {', '.join(shapes)}"
        return f"{count} of the {call} of {source} {since} {lacking}."
    if kind == "email_as_id":
        return f"{where} {source} sends e-mail addresses as {identifier}: {count}, {percent(get('share'))} of all ids."
    if kind == "never_joined":
        usual = "" if get("steady") else f"; {percent(get('usual_share'))} is usual"
        people = (
            count.replace("message", "person")
            if count.startswith("1 ")
            else count.replace("messages", "people")
        )
        return (
            f"About {people} became users on track calls of {source} {since}, and no identify call joined them to what"
            f" they did before ({percent(get('share'))}{usual})."
        )
    usual = FORMS.get(str(get("usual_form")), "another form")
    amount = f"in {count} ({percent(get('share'))} of its ids)"
    return f"{where} {source} sends {form} as {identifier} {since} {amount}; before it sent {usual}."


def misuse_next(source: str, identifier: str, days: str, get: Get) -> str:
    """The fix in words."""
    kind = get("misuse")
    if kind == "no_id" and identifier == "group_id":
        return (
            f"A group call without groupId joins nobody to an account. Pass the account's id from your own database as the"
            f" first argument of group in {source}, and leave the call out while there is none."
        )
    if kind == "no_id":
        return (
            f"Call identify in {source} once the person is known, with the id of your own database as userId; until then"
            ' the anonymous id alone is right, without identify. A word such as "undefined" in its place makes one person'
            " of everybody."
        )
    if kind == "never_joined":
        return (
            f"Call identify in {source} where people sign up and sign in, before the first track call that carries their"
            " userId: tools that go by identify keep the visitor and the user as two people until then."
        )
    if kind == "email_as_id" or get("new_form") == "email":
        return (
            f"Send the id of your own database as userId from {source}, and the address as the trait `email` of identify:"
            " addresses change, are written in several ways, and must not reach every tool that gets an id."
        )
    return (
        f"Each person has two profiles from then on. Send the form of before from {source} again; if the new one is to"
        f" stay, map the old ids to the new ones in every tool that joins by {identifier}, and replay {days}."
    )


def trait_title(name: str, source: str, since: str) -> str:
    """One line for a trait that only track calls carry."""
    return f"{name} is sent by {source} on track calls and never with identify, {since}"


def trait_what(name: str, source: str, since: str, count: str, events: str) -> str:
    """Where it is sent, and where it is not."""
    return (
        f"{source} sends {name} as a property in {count} {since}, and no identify call of it has the trait."
        f" Events: {events}."
    )


def trait_next(name: str, source: str) -> str:
    """The fix in words."""
    return (
        f"Send {name} as a trait of identify in {source}, when it becomes known: profiles, audiences and the table `users`"
        " learn a trait from identify alone. Leave it out of the track calls unless a tool reads it there."
    )
