"""Names that look like a company's: events, properties, sources, destinations."""

from __future__ import annotations


def _words(text: str) -> tuple[str, ...]:
    return tuple(text.split())


OBJECTS = _words("""
    Order Product Cart Checkout Payment Coupon Account Profile Subscription Trial Invoice Refund Video
    Article Search Filter Message Notification Email Invite Team Project File Report Dashboard Survey
    Review Wishlist Shipment Return Booking Session Page Lesson Playlist Ticket Plan Card Address Banner
""")
ACTIONS = _words("""
    Viewed Clicked Completed Started Updated Removed Added Created Deleted Shared Opened Cancelled
    Submitted Failed Saved Exported
""")
SYNONYMS = {
    "Completed": "Finished",
    "Started": "Begun",
    "Updated": "Changed",
    "Removed": "Dropped",
    "Added": "Attached",
    "Created": "Made",
    "Deleted": "Erased",
    "Viewed": "Seen",
    "Clicked": "Tapped",
    "Shared": "Sent On",
    "Opened": "Launched",
    "Cancelled": "Withdrawn",
    "Submitted": "Handed In",
    "Failed": "Went Wrong",
    "Saved": "Kept",
    "Exported": "Downloaded",
}
PROPERTIES = _words("""
    amount currency order_id coupon items plan referrer method sku price category position quantity
    cart_id period title url path duration query results_count channel campaign variant list_id step
    reason rating section author language device_id screen button label status tax shipping discount
    brand
""")
SOURCES = (
    ("web_app", "web"),
    ("ios_app", "mobile"),
    ("android_app", "mobile"),
    ("orders_service", "server"),
    ("marketing_site", "web"),
    ("billing_service", "server"),
    ("support_portal", "web"),
    ("tablet_app", "mobile"),
    ("crm_backend", "server"),
    ("partner_portal", "web"),
    ("tv_app", "mobile"),
    ("kiosk", "server"),
)
DESTINATIONS = _words("""
    lifecycle_email product_analytics ads_conversions warehouse_sync support_desk finance_reports
    attribution push_service sms_gateway experiments crm survey_tool session_replay data_lake
    referral_tool affiliate search_ads social_ads retargeting fraud_check recommender chat_tool loyalty
    sales_alerts feature_flags customer_success partner_feed audience_sync personalisation heatmaps
""")
