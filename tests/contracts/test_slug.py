"""The slug is go-snakecase's, byte for byte."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dagster_project.core.slug import slug

UPSTREAM = {
    "sample text": "sample_text",
    "sample-text": "sample_text",
    "sample_text": "sample_text",
    "sample___text": "sample_text",
    "sampleText": "sample_text",
    "samPLE text": "sam_ple_text",
    "SAMPLE 2 TEXT": "sample_2_text",
    "   sample   2    Text   ": "sample_2_text",
    "inviteYourCustomersAddInvites": "invite_your_customers_add_invites",
    "___$$Base64Encode": "base64_encode",
    "FOO:BAR$BAZ": "foo_bar_baz",
    "something.com": "something_com",
    "CStringRef": "cstring_ref",
    "5test": "5test",
    "_5TEst": "5test",
    "@%#&5TEst": "5test",
    "5TEst": "5test",
    "THE5r": "the5r",
    "edf_6N": "edf_6n",
    "f_pX9": "f_p_x9",
    "p_z9Rg": "p_z9_rg",
    "2FA Enabled": "2fa_enabled",
    "Enabled 2FA": "enabled_2fa",
    "@49L0S145_¬fwHƒ0TSLNVp": "49l0s145_fw_h_0tslnvp",
    "lk0B@bFmjrLQ_Z6YL": "lk0_b_b_fmjr_lq_z6yl",
}

PURCHASES = (
    "Purchase Completed",
    "purchase completed",
    "Purchase completed",
    "purchase_completed",
    "Purchase_Completed",
    "PURCHASE_COMPLETED",
    "PURCHASE COMPLETED",
    "PurchaseCompleted",
    "purchaseCompleted",
    "purchaseCOMPLETED",
    "PurchaseCOMPLETED",
    "Purchase-Completed",
    "Purchase.Completed",
    "Purchase/Completed",
    "purchase:completed",
    "Purchase – Completed",
    "purchase__completed",
    "_purchase_completed",
    "purchase_completed_",
    "  Purchase  Completed ",
    "Purchase\u00a0Completed",
    "Purchase Completed!",
    "🛒 Purchase Completed",
    "Purchase Completed 🎉",
)

COMPUTED = {
    **dict.fromkeys(PURCHASES, "purchase_completed"),
    **dict.fromkeys(
        ("purchasecompleted", "Purchasecompleted", "PURCHASECOMPLETED", "PURCHASECompleted"),
        "purchasecompleted",
    ),
    "iOS App Opened": "i_os_app_opened",
    **dict.fromkeys(("IOS App Opened", "iosAppOpened", "ios_app_opened"), "ios_app_opened"),
    **dict.fromkeys(("3D View", "3d view", "3D_View", "3dView"), "3d_view"),
    "3DView": "3dview",
    "3 D View": "3_d_view",
    **dict.fromkeys(("Order Completed v2", "Order Completed V2", "OrderCompletedV2"), "order_completed_v2"),
    **dict.fromkeys(("Order Completed 2", "order_completed_2"), "order_completed_2"),
    **dict.fromkeys(("OrderCompleted2", "order_completed2"), "order_completed2"),
    **dict.fromkeys(("Sign-Up", "SignUp", "Sign Up", "sign_up"), "sign_up"),
    "Signup": "signup",
    **dict.fromkeys(("URL Clicked", "UrlClicked"), "url_clicked"),
    "URLClicked": "urlclicked",
    "HTTPSEnabled": "httpsenabled",
    "isVIPUser": "is_vipuser",
    "OAuth Login": "oauth_login",
    "McDonald Ordered": "mc_donald_ordered",
    "iPhone": "i_phone",
    "TikTok Ad Clicked": "tik_tok_ad_clicked",
    "GA4 Event": "ga4_event",
    "X-Ray Viewed": "x_ray_viewed",
    **dict.fromkeys(("B2B Lead", "b2b_lead"), "b2b_lead"),
    "B2BLead": "b2blead",
    "Café Ordered": "caf_ordered",
    "Cafe Ordered": "cafe_ordered",
    "Über Ride": "ber_ride",
    "naïve": "na_ve",
    "注文 Completed": "completed",
    **dict.fromkeys(("日本語", "🎉", "", "   "), ""),
    "$pageview": "pageview",
    "[Amplitude] Page Viewed": "amplitude_page_viewed",
    "A/B Test Viewed": "a_b_test_viewed",
    "AB Test Viewed": "ab_test_viewed",
    "Product Added (11-01-2019)": "product_added_11_01_2019",
    "100% Complete": "100_complete",
    "Step 1 Completed": "step_1_completed",
    "Step1Completed": "step1_completed",
    **dict.fromkeys(("eMail Sent", "e-mail Sent"), "e_mail_sent"),
    "Email Sent": "email_sent",
    "test1": "test1",
    "test-1": "test_1",
    **dict.fromkeys(("userId", "userID", "UserID", "User Id", "USER_ID", "user.id"), "user_id"),
    "USERID": "userid",
    **dict.fromkeys(("productId", "productID", "product_ID", "PRODUCT_ID"), "product_id"),
    "anonymousId": "anonymous_id",
    "messageId": "message_id",
    "receivedAt": "received_at",
}


@pytest.mark.parametrize(("raw", "expected"), UPSTREAM.items())
def test_the_slug_passes_the_vectors_of_the_library(raw: str, expected: str) -> None:
    assert slug(raw) == expected


@pytest.mark.parametrize(("raw", "expected"), COMPUTED.items())
def test_the_slug_of_names_that_people_use(raw: str, expected: str) -> None:
    assert slug(raw) == expected


RAW = st.one_of(
    st.text(),
    st.text(alphabet="abzABZ019_ -é🎉"),  # where the rules meet
    st.text(alphabet=st.characters(categories=["Cs", "Lu", "Ll", "Nd"])),
)


@given(RAW)
def test_a_slug_of_a_slug_is_the_slug(raw: str) -> None:
    assert slug(slug(raw)) == slug(raw)


@given(RAW)
def test_a_slug_has_no_other_characters_and_no_loose_underscore(raw: str) -> None:
    assert re.fullmatch("([a-z0-9]+(_[a-z0-9]+)*)?", slug(raw))


@given(RAW)
def test_a_slug_keeps_every_letter_and_digit_of_ascii(raw: str) -> None:
    kept = "".join(c for c in raw if c.isascii() and c.isalnum()).lower()
    assert slug(raw).replace("_", "") == kept
