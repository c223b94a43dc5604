"""An incident reads well, names what it is about, and never lets data out of its quotation marks."""

from __future__ import annotations

from datetime import date, datetime

import pytest
from diagnosed.world import AS_OF, World, day, shop
from hypothesis import given
from hypothesis import strategies as st

from dagster_project.core import wording
from dagster_project.core.diagnosis.finding import Finding

TODAY = AS_OF.date()

FAULTS = {
    "event_renamed": lambda: shop().renames("web_app", "Purchase Completed", "purchase_completed", "20 Oct"),
    "event_stopped": lambda: shop().stops("web_app", "Cart Updated", "2 Nov"),
    "source_stopped": lambda: shop().source_silent("web_app", datetime(2026, 11, 5, 14)),
    "unplanned_event": lambda: shop().sends("web_app", "qa button", 40, planned=False, since="18 Oct"),
    "name_mismatch": lambda: shop().holds("email", "Subscribtion Renewed", 30, "1 Nov"),
    "export_incomplete": lambda: shop().fault("lake", None, "4 Nov", cut_at=14),
    "delivery_stopped": lambda: shop().fault("email", "Signup Completed", "1 Nov", "8 Nov", missing=1.0),
    "delivery_loss": lambda: shop().fault("analytics", "App Opened", "1 Nov", "5 Nov", missing=0.12),
    "duplicate_delivery": lambda: shop().fault("analytics", None, "2 Nov", duplicates=1.0),
    "identifier_format": lambda: (
        shop()
        .refuses("email", "web_app", "Signup Completed", 0.4, "30 Oct")
        .shapes("web_app", "Signup Completed", "user_id", "email", 0.4, "30 Oct")
    ),
    "property_violation": lambda: shop().violates("web_app", "Purchase Completed", "amount", 0.6, "25 Oct"),
    "unexplained": lambda: shop().fault("analytics", "App Opened", "2 Nov", "4 Nov", unexpected=0.3),
}
TITLES = {
    "event_renamed": '"Purchase Completed" became "purchase_completed" in web_app on 20 Oct',
    "event_stopped": '"Cart Updated" is not sent by web_app any more since 2 Nov',
    "source_stopped": "Nothing has arrived from web_app since 5 Nov",
    "unplanned_event": '"qa button" is sent by web_app and is not in its tracking plan, since 18 Oct',
    "name_mismatch": 'email holds "Subscribtion Renewed", which nobody sends to it, since 1 Nov',
    "export_incomplete": "The export of lake ends in the middle of the day on 4 Nov",
    "delivery_stopped": 'No "Signup Completed" arrives at email since 1 Nov',
    "delivery_loss": '"App Opened": 11.5% missing at analytics from 1 Nov to 5 Nov',
    "duplicate_delivery": "All events: 100% counted more than once at analytics on 2 Nov",
    "identifier_format": (
        'web_app sends an e-mail address as user_id that email refuses in "Signup Completed" since 30 Oct'
    ),
    "property_violation": (
        'amount of "Purchase Completed" breaks the plan in web_app: 60% of messages since 25 Oct'
    ),
    "unexplained": '"App Opened": 605 more at analytics than was sent, from 2 Nov to 4 Nov',
}


@pytest.mark.parametrize("kind", FAULTS)
def test_each_kind_is_said_in_full(kind: str) -> None:
    found = FAULTS[kind]().only(kind)
    title, text = wording.title(found, TODAY), wording.explanation(found, TODAY)
    assert title == TITLES[kind]
    assert "\n" not in title
    for part in (found.source, found.event, *found.destinations):
        if part is not None:
            assert part in text or part in title
    assert f"{found.messages_affected:,} messages" in text
    step = wording.suggestion(found, TODAY)
    assert step[0].isupper()
    assert step.endswith(".")
    for said in (title, text, step):
        assert "None" not in said
        assert "nan" not in said.split()
        assert "  " not in said


def test_a_rename_says_who_waits_why_we_think_so_and_what_to_write() -> None:
    found = FAULTS["event_renamed"]().only("event_renamed")
    text, step = wording.explanation(found, TODAY), wording.suggestion(found, TODAY)
    count = f"{found.messages_affected:,}"
    assert f"ads {count}, email {count}" in text
    assert "both names land in one table" in text
    assert "This also explains" in text
    assert "`- {purchase_completed: Purchase}` in expectations/destinations/email.yml" in step
    assert "`- {purchase_completed: Purchase Completed}` in expectations/destinations/ads.yml" in step
    assert "replay" in step


def test_a_day_cut_short_is_said_of_that_day_before_a_later_one_is_seen() -> None:
    found = shop().fault("lake", None, "8 Nov", cut_at=14).only("export_incomplete")
    assert found.ended_on is None
    assert wording.title(found, TODAY) == "The export of lake ends in the middle of the day on 8 Nov"


def test_a_day_of_another_year_has_its_year() -> None:
    assert wording.day_words(day("20 Oct"), TODAY) == "20 Oct"
    assert wording.day_words(date(2025, 12, 31), TODAY) == "31 Dec 2025"


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("Purchase Completed", "Purchase Completed"),
        ("a\nb\tc\x00", "a\\nb\\tc\\x00"),
        ("x" * 500, "x" * 79 + "…"),
        ("Order\u202eDeleted", "Order\\u202eDeleted"),
        ("Mail to jane.doe+1@shop.example.com sent", "Mail to <email> sent"),
        ("", "(empty)"),
        (None, ""),
    ],
)
def test_names_are_shown_in_one_harmless_line(name: str | None, said: str) -> None:
    assert wording.shown(name) == said


@pytest.mark.parametrize(
    ("name", "there", "line"),
    [
        ("purchase_completed", "Purchase", "`- {purchase_completed: Purchase}`"),
        ("on", "Yes", '`- {"on": "Yes"}`'),
        ("a: b", "c, d}", '`- {"a: b": "c, d}"}`'),
        ("2024", "x", '`- {"2024": x}`'),
        ("Über Äpfel", None, '`- {"\\u00dcber \\u00c4pfel": "\\u00dcber \\u00c4pfel"}`'),
    ],
)
def test_the_line_to_write_is_valid_yaml(name: str, there: str | None, line: str) -> None:
    from ruamel.yaml import YAML

    assert wording.alias(name, there) == line
    assert YAML(typ="safe").load(line.strip("`")) == [{name: there if there is not None else name}]


@given(
    kind=st.sampled_from([*FAULTS, "timezone_shift", "something_new"]),
    names=st.lists(st.one_of(st.none(), st.text(max_size=200)), min_size=6, max_size=6),
    evidence=st.dictionaries(
        st.sampled_from(
            ["problem", "reason", "share", "events", "closest_expected", "usual_per_day", "names"]
        ),
        st.one_of(st.none(), st.text(max_size=500), st.integers(), st.floats()),
        max_size=5,
    ),
)
def test_any_finding_can_be_said(kind: str, names: list[str | None], evidence: dict[str, object]) -> None:
    source, event, renamed, name, identifier, destination = names
    if not isinstance(evidence.get("events", []), str | list):
        evidence.pop("events")
    found = Finding(
        kind=kind,
        severity="error",
        started_on=day("1 Nov"),
        source=source,
        event=event,
        renamed_to=renamed,
        property=name,
        identifier=identifier,
        destinations=(destination,) if destination is not None else (),
        evidence=evidence,
    )
    title = wording.title(found, TODAY)
    assert 0 < len(title) <= wording.TITLE_LENGTH
    assert all(char.isprintable() for char in title)
    text = wording.explanation(found, TODAY)
    assert len(text) <= wording.EXPLANATION_LENGTH
    assert all(char.isprintable() or char == "\n" for char in text)
    assert wording.suggestion(found, TODAY)
    assert wording.brief(found)


def test_no_address_of_a_customer_is_said() -> None:
    world = World().sends("web", "Alpha", 100).sends("web", "Mail jane@shop.example", 40, planned=False)
    found = world.feeds("lake", ["web"], None).only("unplanned_event")
    for said in (
        wording.title(found, TODAY),
        wording.explanation(found, TODAY),
        wording.suggestion(found, TODAY),
    ):
        assert "jane" not in said
    assert found.event == "Mail jane@shop.example"
