"""What acme's sources send: events, daily volumes and properties, as data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from typing import Literal

from dagster_project.core.slug import slug

Kind = Literal["code", "choice", "money", "integer", "flag", "moment", "products"]

# How a kind of property lands: Segment knows five column types, and arrays become text.
COLUMN_TYPES: dict[Kind, str] = {
    "code": "varchar",
    "choice": "varchar",
    "money": "double",
    "integer": "bigint",
    "flag": "boolean",
    "moment": "timestamp",
    "products": "varchar",
}


@dataclass(frozen=True)
class Property:
    """One property of an event; `present` is the share of messages that carry it."""

    name: str
    kind: Kind
    values: tuple[str, ...] = ()
    prefix: str = ""
    low: float = 0.0
    high: float = 1.0
    required: bool = True
    enum: bool = False
    present: float = 1.0

    @property
    def column(self) -> str:
        """Segment flattens objects with an underscore and snake-cases each level."""
        return "_".join(slug(level) for level in self.name.split("."))

    @property
    def column_type(self) -> str:
        return COLUMN_TYPES[self.kind]


def code(name: str, prefix: str, **more: object) -> Property:
    return Property(name, "code", prefix=prefix, **more)  # type: ignore[arg-type]


def one_of(name: str, *values: str, **more: object) -> Property:
    return Property(name, "choice", values=values, enum=True, **more)  # type: ignore[arg-type]


def words(name: str, *values: str, **more: object) -> Property:
    return Property(name, "choice", values=values, **more)  # type: ignore[arg-type]


def money(name: str, low: float, high: float, **more: object) -> Property:
    return Property(name, "money", low=low, high=high, **more)  # type: ignore[arg-type]


def integer(name: str, low: int, high: int, **more: object) -> Property:
    return Property(name, "integer", low=low, high=high, **more)  # type: ignore[arg-type]


def flag(name: str, share: float, **more: object) -> Property:
    return Property(name, "flag", high=share, **more)  # type: ignore[arg-type]


def moment(name: str, days_ahead: int, **more: object) -> Property:
    return Property(name, "moment", high=days_ahead, **more)  # type: ignore[arg-type]


def optional(present: float) -> dict[str, object]:
    """A property that most messages may leave out."""
    return {"required": False, "present": present}


CURRENCY = one_of("currency", "EUR", "USD", "GBP")
CATEGORY = one_of("category", "coffee", "tea", "brewing", "gifts")
PRODUCT = code("product_id", "sku_")
PRICE = money("price", 4, 180)
PLAN = one_of("plan", "starter", "team", "business")
PLATFORM_METHOD = one_of("method", "email", "google", "apple")

# The properties of every planned event, in the order of the plan.
EVENTS: dict[str, tuple[Property, ...]] = {
    # shop
    "Product Viewed": (
        PRODUCT,
        CATEGORY,
        PRICE,
        CURRENCY,
        words("variant", "250g", "500g", "1kg", **optional(0.4)),
    ),
    "Products Searched": (
        words("query", "espresso", "v60", "decaf", "grinder", "matcha"),
        integer("results", 0, 60),
    ),
    "Product Added": (PRODUCT, CATEGORY, PRICE, CURRENCY, integer("quantity", 1, 4)),
    "Product Removed": (PRODUCT, integer("quantity", 1, 4)),
    "Product Compared": (PRODUCT, code("other_product_id", "sku_"), CATEGORY),
    "Cart Viewed": (code("cart_id", "cart_"), integer("items", 1, 9), money("value", 8, 420)),
    "Checkout Started": (
        code("cart_id", "cart_"),
        money("value", 8, 420),
        CURRENCY,
        Property("products", "products"),
    ),
    "Payment Info Entered": (
        code("cart_id", "cart_"),
        one_of("payment_method", "card", "paypal", "apple_pay", "invoice"),
    ),
    "Purchase Completed": (
        code("order_id", "ord_"),
        money("total", 8, 420),
        CURRENCY,
        integer("items", 1, 9),
        words("coupon", "WELCOME10", "FRIEND", "AUTUMN", **optional(0.18)),
    ),
    # account
    "Signed Up": (PLATFORM_METHOD, PLAN, words("referral_code", **optional(0.0))),
    "Signed In": (PLATFORM_METHOD,),
    "Signed Out": (integer("session_minutes", 1, 180, required=False),),
    "Trial Started": (
        PLAN,
        integer("trial_days", 14, 30),
        flag("card_on_file", 0.4),
        moment("ends_at", 14),
    ),
    "Feature Used": (
        one_of("feature", "brew_log", "recipes", "grinder_guide", "sharing", "export"),
        integer("duration_ms", 20, 9000, **optional(0.8)),
    ),
    "Help Article Viewed": (
        code("article_id", "help_"),
        one_of("topic", "orders", "billing", "brewing", "account"),
    ),
    # marketing site
    "Pricing Viewed": (one_of("segment", "home", "office", "reseller"),),
    "Article Read": (code("article_id", "post_"), integer("read_percent", 1, 100)),
    "Video Played": (code("video_id", "vid_"), integer("seconds", 1, 600), flag("autoplay", 0.3)),
    "Newsletter Subscribed": (one_of("form", "footer", "popup", "checkout"), flag("double_opt_in", 0.97)),
    "Lead Submitted": (
        one_of("form", "contact", "office", "reseller"),
        one_of("company_size", "1-10", "11-50", "51-200", "201+"),
    ),
    "Demo Requested": (one_of("company_size", "1-10", "11-50", "51-200", "201+"), moment("preferred_at", 21)),
    "CTA Clicked": (words("label", "Try it", "Read more", "Talk to us"), integer("position", 1, 6)),
    # apps
    "Application Installed": (words("build", "4711", "4750", "4802"),),
    "Application Opened": (flag("from_background", 0.6),),
    "In-App Purchase Made": (code("order_id", "ord_"), money("total", 3, 90), CURRENCY),
    "Push Notification Tapped": (code("campaign_id", "cmp_"), words("action", "open", "later")),
    "Deep Link Opened": (
        words("url", "acme://recipes", "acme://offers"),
        words("provider", "branch", "mail"),
    ),
    # orders
    "Order Completed": (
        code("order_id", "ord_"),
        money("subtotal", 8, 400),
        money("total", 8, 460),
        CURRENCY,
        Property("products", "products"),
    ),
    "Payment Captured": (
        code("order_id", "ord_"),
        money("amount", 8, 460),
        one_of("provider", "adyen", "paypal"),
    ),
    "Order Shipped": (
        code("order_id", "ord_"),
        one_of("shipping.carrier", "dhl", "ups", "royal_mail"),
        moment("shipping.promised_at", 4),
    ),
    "Order Delivered": (code("order_id", "ord_"), integer("days_in_transit", 1, 9)),
    "Order Cancelled": (
        code("order_id", "ord_"),
        one_of("reason", "customer", "stock", "fraud"),
        money("total", 8, 460),
    ),
    "Order Refunded": (code("order_id", "ord_"), money("amount", 8, 200), flag("partial", 0.3)),
    # billing
    "Invoice Created": (code("invoice_id", "inv_"), money("amount", 19, 490), CURRENCY),
    "Invoice Paid": (
        code("invoice_id", "inv_"),
        money("amount", 19, 490),
        CURRENCY,
        integer("attempt", 1, 3),
    ),
    "Payment Failed": (
        code("invoice_id", "inv_"),
        one_of("failure", "declined", "expired_card", "bank_error"),
        integer("attempt", 1, 4),
    ),
    "Subscription Renewed": (
        code("subscription_id", "sub_"),
        PLAN,
        money("amount", 19, 490),
        moment("renews_at", 30),
    ),
    "Subscription Upgraded": (
        code("subscription_id", "sub_"),
        one_of("from_plan", "starter", "team"),
        one_of("to_plan", "team", "business"),
    ),
    "Subscription Cancelled": (
        code("subscription_id", "sub_"),
        PLAN,
        words("reason", "price", "unused", "moved", **optional(0.7)),
    ),
    # support
    "Ticket Created": (
        code("ticket_id", "tic_"),
        one_of("channel", "mail", "chat", "phone"),
        one_of("priority", "low", "normal", "high"),
    ),
    "Ticket Replied": (code("ticket_id", "tic_"), integer("reply_minutes", 1, 900)),
    "Ticket Escalated": (code("ticket_id", "tic_"), one_of("team", "billing", "logistics", "engineering")),
    "Ticket Solved": (code("ticket_id", "tic_"), integer("open_hours", 1, 160)),
    "Chat Started": (code("chat_id", "chat_"), words("page", "/cart", "/pricing", "/account")),
    "Satisfaction Rated": (code("ticket_id", "tic_"), integer("score", 1, 5)),
}


@dataclass(frozen=True)
class SentEvent:
    """One raw name that a source sends, how often on an ordinary weekday, and since when."""

    name: str
    daily: float
    properties: tuple[Property, ...]
    known_user: float = 0.0  # share of messages with a user id; servers and logged-in steps: 1
    since: date | None = None


Device = Literal["web", "ios", "android", "server"]


@dataclass(frozen=True)
class DemoSource:
    """One source: its schema, the kind of device behind it, its library and its week."""

    name: str
    schema: str
    device: Device
    library: str
    message_ids: Literal["ajs-next", "node-next", "UUID", "uuid"]
    weekend: float  # volume of a Saturday or Sunday against a weekday
    busiest_hour: float  # UTC
    nights: float  # how flat the day is: 1 = no night at all
    events: tuple[SentEvent, ...] = field(default=())


def _sends(known_user: float, daily: Mapping[str, float | tuple[float, float]]) -> tuple[SentEvent, ...]:
    """Names with their daily volume; a pair adds the event's own share of known users."""
    sent = []
    for name, given in daily.items():
        volume, known = given if isinstance(given, tuple) else (given, known_user)
        sent.append(SentEvent(name, volume, EVENTS[name], known))
    return tuple(sent)


SOURCES: tuple[DemoSource, ...] = (
    DemoSource(
        name="web_app",
        schema="web_app",
        device="web",
        library="analytics.js",
        message_ids="ajs-next",
        weekend=0.82,
        busiest_hour=18.5,
        nights=0.22,
        events=(
            *_sends(
                0.45,
                {
                    "Product Viewed": 920,
                    "Products Searched": 430,
                    "Product Added": (390, 0.6),
                    "Product Removed": (70, 0.6),
                    "Cart Viewed": (230, 0.65),
                    "Checkout Started": (190, 0.85),
                    "Payment Info Entered": (150, 1.0),
                    "Purchase Completed": (140, 1.0),
                    "Signed Up": (75, 1.0),
                    "Signed In": (340, 1.0),
                    "Signed Out": (95, 1.0),
                    "Trial Started": (45, 1.0),
                    "Feature Used": (260, 1.0),
                    "Help Article Viewed": (110, 0.7),
                },
            ),
            # A planned launch beside steady events: new, and nothing to worry about.
            SentEvent("Product Compared", 85, EVENTS["Product Compared"], 0.45, since=date(2026, 10, 22)),
        ),
    ),
    DemoSource(
        name="marketing_site",
        schema="marketing_site",
        device="web",
        library="analytics.js",
        message_ids="ajs-next",
        weekend=0.6,
        busiest_hour=14.5,
        nights=0.25,
        events=(
            *_sends(
                0.04,
                {
                    "Pricing Viewed": 330,
                    "Article Read": 400,
                    "Video Played": 150,
                    "Newsletter Subscribed": 60,
                    "Lead Submitted": 80,
                    "Demo Requested": 50,
                    "CTA Clicked": 220,
                },
            ),
            # Somebody's browser test: unplanned, and far too little to wake anybody.
            SentEvent("test_event", 1.2, (words("note", "hello", "it works"),)),
        ),
    ),
    DemoSource(
        name="ios_app",
        schema="ios_production",
        device="ios",
        library="analytics-swift",
        message_ids="UUID",
        weekend=1.15,
        busiest_hour=19.5,
        nights=0.18,
        events=_sends(
            0.75,
            {
                "Application Installed": (42, 0.0),
                "Application Opened": 480,
                "Product Viewed": 330,
                "Products Searched": 110,
                "Product Added": 95,
                "In-App Purchase Made": (60, 1.0),
                "Signed Up": (34, 1.0),
                "Trial Started": (46, 1.0),
                "Feature Used": (170, 1.0),
                "Push Notification Tapped": (120, 1.0),
                "Deep Link Opened": 52,
            },
        ),
    ),
    DemoSource(
        name="android_app",
        schema="android_production",
        device="android",
        library="analytics-kotlin",
        message_ids="uuid",
        weekend=1.12,
        busiest_hour=18.0,
        nights=0.2,
        events=_sends(
            0.7,
            {
                "Application Installed": (36, 0.0),
                "Application Opened": 360,
                "Product Viewed": 240,
                "Products Searched": 80,
                "Product Added": 70,
                "In-App Purchase Made": (44, 1.0),
                "Signed Up": (28, 1.0),
                "Trial Started": (64, 1.0),
                "Feature Used": (120, 1.0),
                "Push Notification Tapped": (90, 1.0),
                "Deep Link Opened": 40,
            },
        ),
    ),
    DemoSource(
        name="orders_service",
        schema="orders_service",
        device="server",
        library="@segment/analytics-node",
        message_ids="node-next",
        weekend=0.85,
        busiest_hour=16.0,
        nights=0.3,
        events=_sends(
            1.0,
            {
                "Order Completed": 168,
                "Payment Captured": 164,
                "Order Shipped": 150,
                "Order Delivered": 142,
                "Order Cancelled": 30,
                "Order Refunded": 26,
            },
        ),
    ),
    DemoSource(
        name="billing_service",
        schema="billing_service",
        device="server",
        library="analytics-python",
        message_ids="uuid",
        weekend=0.95,
        busiest_hour=9.0,
        nights=0.5,
        events=_sends(
            1.0,
            {
                "Invoice Created": 90,
                "Invoice Paid": 86,
                "Payment Failed": 26,
                "Subscription Renewed": 80,
                "Subscription Upgraded": 28,
                "Subscription Cancelled": 24,
            },
        ),
    ),
    DemoSource(
        name="support_service",
        schema="support_service",
        device="server",
        library="@segment/analytics-node",
        message_ids="node-next",
        weekend=0.5,
        busiest_hour=13.0,
        nights=0.12,
        events=_sends(
            1.0,
            {
                "Ticket Created": 95,
                "Ticket Replied": 70,
                "Ticket Escalated": 48,
                "Ticket Solved": 86,
                "Chat Started": 72,
                "Satisfaction Rated": 42,
            },
        ),
    ),
)

# Releases of the apps. A staged roll-out reaches a fifth of the phones on the first day, half after two days,
# and the rest after four; a few phones never update unless `forced`.
RELEASES: dict[Device, tuple[tuple[str, str, bool], ...]] = {
    "ios": (
        ("8.11.0", "2026-08-01 00:00", True),
        ("8.12.0", "2026-10-05 09:00", False),
        ("8.13.0", "2026-10-16 09:00", False),
        ("8.14.0", "2026-11-03 09:00", False),
    ),
    "android": (
        ("5.1.0", "2026-08-01 00:00", True),
        ("5.2.0", "2026-10-12 08:00", False),
        ("5.3.0", "2026-10-26 08:00", True),
    ),
}
