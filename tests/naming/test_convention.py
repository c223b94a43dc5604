"""The convention of names: found where most agree, declared where somebody decided, and none where there is none."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dagster_project.core.naming.convention import (
    CASES,
    Convention,
    broken_by,
    cases_of,
    in_case,
    inferred,
    order_of,
    tense_of,
)
from dagster_project.core.naming.words import base, words

SHOP = (
    "Order Completed",
    "Cart Viewed",
    "Product Added",
    "Signed Up",
    "Login",
    "Coupon Applied",
    "Invoice Paid",
)


@pytest.mark.parametrize(
    ("name", "cases"),
    [
        ("Order Completed", {"Title Case"}),
        ("Added to Cart", {"Title Case"}),
        ("iOS App Opened", {"Title Case"}),
        ("2FA Enabled", {"Title Case"}),
        ("In-App Purchase Made", {"Title Case"}),
        ("order_completed", {"snake_case"}),
        ("orderCompleted", {"camelCase"}),
        ("OrderCompleted", {"PascalCase"}),
        ("Order completed", {"Sentence case"}),
        ("order completed", {"lower case"}),
        ("order-completed", {"kebab-case"}),
        ("ORDER_COMPLETED", {"SCREAMING_SNAKE_CASE", "Title_Snake_Case"}),
        ("Order_Completed", {"Title_Snake_Case"}),
        ("order.completed", {"dot.case"}),
        ("order_Completed v2", set()),
        ("Order  Completed", set()),
        ("", set()),
    ],
)
def test_a_name_is_written_in_these_cases(name: str, cases: set[str]) -> None:
    assert cases_of(name) == cases


def test_a_name_of_one_word_fits_every_case_that_it_can_be_in() -> None:
    assert cases_of("login") == {"snake_case", "camelCase", "lower case", "kebab-case", "dot.case"}
    assert {"Title Case", "PascalCase", "Sentence case"} <= cases_of("Login")


@pytest.mark.parametrize(
    ("name", "order", "tense"),
    [
        ("Order Completed", "object action", "past"),
        ("Completed Order", "action object", "past"),
        ("View Product", "action object", "present"),
        ("product_view", "object action", "present"),
        ("Invoice Paid", "object action", "past"),
        ("Email Sent", "object action", "past"),
        ("Signed Up", None, "past"),
        ("User Signed Up", "object action", "past"),
        ("Login", None, "present"),
        ("Feed", None, None),
        ("Checkout Step 2 Completed", "object action", "past"),
    ],
)
def test_order_and_tense_are_read_off_the_words(name: str, order: str | None, tense: str | None) -> None:
    assert (order_of(name), tense_of(name)) == (order, tense)


def test_what_most_names_have_in_common_is_the_convention() -> None:
    found = inferred(SHOP)
    assert (found.case, found.order, found.tense) == ("Title Case", "object action", "past")
    assert found.case_share == 1.0
    assert found.told() == "Title Case (100%), object, then action (100%), past tense (86%)"


def test_names_of_two_minds_have_no_convention() -> None:
    mixed = [*SHOP, *(name.lower().replace(" ", "_") for name in SHOP)]
    found = inferred(mixed)
    assert found.case is None
    assert 0 < (found.case_share or 0) < 0.8
    assert found.order == "object action"


def test_a_handful_of_names_proves_nothing() -> None:
    assert not inferred(SHOP[:4])
    assert inferred(()).told() == "no convention"


def test_properties_have_a_case_and_no_tense() -> None:
    found = inferred(["order_id", "price", "currency", "coupon_code", "items_added"], of_events=False)
    assert (found.case, found.order, found.tense) == ("snake_case", None, None)


@pytest.mark.parametrize(
    ("name", "how"),
    [
        ("Order Completed", None),
        ("order_completed", "is written in snake_case, not in Title Case"),
        ("Order_completed Twice", "is not in Title Case"),
        ("Completed Order", "puts the action first"),
        ("Order Complete", "is not in the past tense"),
        ("Dashboard", None),
    ],
)
def test_how_a_name_breaks_the_convention_is_said(name: str, how: str | None) -> None:
    assert broken_by(Convention("Title Case", "object action", "past"), name) == how


@pytest.mark.parametrize(
    ("name", "case", "written"),
    [
        ("purchase_completed", "Title Case", "Purchase Completed"),
        ("purchaseCompleted", "Title Case", "Purchase Completed"),
        ("added_to_cart", "Title Case", "Added to Cart"),
        ("iOS app opened", "Title Case", "iOS App Opened"),
        ("URL clicked", "Title Case", "URL Clicked"),
        ("Order Completed", "snake_case", "order_completed"),
        ("Order Completed", "camelCase", "orderCompleted"),
        ("Order Completed", "Title Case", None),
        ("🎉", "Title Case", None),
    ],
)
def test_a_name_is_rewritten_in_a_case(name: str, case: str, written: str | None) -> None:
    assert in_case(name, case) == written


@given(st.text(), st.sampled_from(sorted(CASES)))
def test_a_rewritten_name_is_stable_and_nothing_breaks_on_any_text(name: str, case: str) -> None:
    written = in_case(name, case)
    if written is not None:
        assert words(written) or not words(name)
    order_of(name)
    tense_of(name)
    cases_of(name)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("completed", "completes"),
        ("completing", "complete"),
        ("stopped", "stop"),
        ("tried", "try"),
        ("sent", "send"),
    ],
)
def test_forms_of_a_word_have_one_base(one: str, other: str) -> None:
    assert base(one) == base(other)
