"""The messages that acme's sources send: one row a message, as people and their devices would make them."""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from dagster_project.demo.dice import Numbers, hexes, roll, uuids
from dagster_project.demo.plan import RELEASES, DemoSource, Property, SentEvent

START = datetime(2026, 9, 28)  # the first message is received after this moment
PEOPLE = 6000
OFFLINE = 0.02  # share of a phone's messages that waited in its queue for hours or days
REFUSED = 0.06  # share of people who refused advertising
SENT_TWICE = 0.001  # at-least-once: the same message, under the same id, received again minutes later
NOISE = 0.001  # share of messages in which a required property is forgotten, in the best of teams

Strings = NDArray[np.object_]


@dataclass
class Traffic:
    """One source's messages and, event by event, the properties they carry (on the same index)."""

    source: DemoSource
    messages: pd.DataFrame
    properties: dict[str, pd.DataFrame]


@dataclass(frozen=True)
class People:
    """Who uses acme: one user id, one anonymous id a kind of device, and one answer to the consent banner."""

    dice: Numbers
    user_id: Strings
    anonymous_id: dict[str, Strings]
    consents: NDArray[np.bool_]


def people(seed: int) -> People:
    dice = np.random.default_rng([seed, zlib.crc32(b"people")]).integers(0, 2**64, PEOPLE, dtype=np.uint64)
    browser = uuids(dice, "web")
    return People(
        dice=dice,
        user_id=np.array(uuids(dice, "user"), dtype=object),
        anonymous_id={
            "web": np.array(browser, dtype=object),
            "server": np.array(browser, dtype=object),  # passed on by the browser
            "ios": np.array(uuids(dice, "ios", upper=True), dtype=object),  # as Swift writes them
            "android": np.array(uuids(dice, "android"), dtype=object),
        },
        consents=roll(dice, "consent") >= REFUSED,
    )


def traffic(
    source: DemoSource, crowd: People, seed: int, until: datetime, extra: tuple[SentEvent, ...] = ()
) -> Traffic:
    """What `source` (and `extra` events in it) sends up to `until`, before anything goes wrong."""
    events = (*source.events, *extra)
    sent = _messages(source, events, crowd, seed, until)
    properties = {
        event.name: _properties(event.properties, sent[sent["planned_as"] == event.name]) for event in events
    }
    return Traffic(source, sent, properties)


def landing_times(received_at: pd.Series) -> pd.Series:
    """Segment's warehouse sync runs at the top of every hour."""
    landed: pd.Series = received_at.dt.ceil("h")
    return landed


def _messages(
    source: DemoSource, events: tuple[SentEvent, ...], crowd: People, seed: int, until: datetime
) -> pd.DataFrame:
    """One row for each message received in [START, until); everything about it hangs on its `dice`."""
    days = [START + timedelta(days=n) for n in range(max(0, (until - START) // timedelta(days=1) + 1))]
    volumes, dice = [], []
    for day in days:
        # A day is drawn from its own seed: it is the same whatever was drawn before it.
        rng = np.random.default_rng([seed, zlib.crc32(source.name.encode()), day.toordinal()])
        expected = np.array([event.daily if _sends_on(event, day.date()) else 0.0 for event in events])
        weekday = source.weekend if day.weekday() >= 5 else 1.0
        mood = float(np.exp(rng.normal(0.0, 0.03)))
        volume = rng.poisson(expected * weekday * mood)
        volumes.append(volume)
        dice.append(rng.integers(0, 2**64, int(volume.sum()), dtype=np.uint64))

    drawn = np.concatenate(dice)
    counts = np.concatenate(volumes)
    which = np.repeat(np.tile(np.arange(len(events)), len(days)), counts)
    sizes = [int(volume.sum()) for volume in volumes]
    day_start: Any = np.repeat(np.array(days, dtype="datetime64[us]"), sizes)

    # A few people do much; everybody does something.
    person = (PEOPLE * roll(drawn, "person") ** 1.6).astype(np.int64)
    received_at = day_start + _milliseconds(_second_of_day(source, roll(drawn, "second")))
    timestamp = received_at - _milliseconds(_delay(source, drawn))
    sent_at = received_at - _milliseconds(0.02 + 0.2 * roll(drawn, "network"))
    skew = np.zeros(len(drawn)) if source.device == "server" else 6 * (roll(crowd.dice, "skew")[person] - 0.5)
    original = timestamp + _milliseconds(skew)

    known = np.array([event.known_user for event in events])[which]
    user_id = crowd.user_id[person]
    user_id[roll(drawn, "logged in") >= known] = None
    names = np.array([event.name for event in events], dtype=object)[which]
    frame = pd.DataFrame(
        {
            "dice": drawn,
            "planned_as": pd.Categorical(names),
            "event_text": names,
            "id": _message_ids(source, drawn, original),
            "user_id": user_id,
            "anonymous_id": _anonymous_ids(source, crowd, drawn, person),
            "received_at": received_at,
            "sent_at": sent_at,
            "original_timestamp": original,
            "timestamp": timestamp,
            "app_version": _app_versions(source, crowd, person, original),
            "library_version": _library_versions(source, drawn, received_at),
            "sent": True,
            "consents": crowd.consents[person] | (source.device == "server"),  # a server asks nobody
        }
    )
    return frame[frame["received_at"] < np.datetime64(until)].reset_index(drop=True)


def _properties(properties: tuple[Property, ...], sent: pd.DataFrame) -> pd.DataFrame:
    """The property columns of the messages of one event."""
    dice = sent["dice"].to_numpy()
    drawn: dict[str, Any] = {}
    for prop in properties:
        values = _values(prop, dice, sent["timestamp"].to_numpy())
        carried = prop.present if not prop.required else 1 - NOISE
        there = roll(dice, f"{prop.name}/there") < carried
        drawn[prop.column] = pd.Series(values, index=sent.index).where(there)
    return pd.DataFrame(drawn, index=sent.index)


def _sends_on(event: SentEvent, day: date) -> bool:
    return event.since is None or day >= event.since


def _milliseconds(seconds: NDArray[np.float64]) -> Any:
    """Segment's clocks have milliseconds, so the demo's do too."""
    return np.round(seconds * 1000).astype("timedelta64[ms]").astype("timedelta64[us]")


def _second_of_day(source: DemoSource, chance: NDArray[np.float64]) -> NDArray[np.float64]:
    """The day curve: one broad hill around the busiest hour, over a floor that never sleeps."""
    minutes = np.arange(1440)
    hill = (1 + np.cos(2 * np.pi * (minutes / 60 - source.busiest_hour) / 24)) / 2
    weight = source.nights + (1 - source.nights) * hill**1.5
    reached = np.concatenate([[0.0], np.cumsum(weight) / weight.sum()])
    seconds: NDArray[np.float64] = np.interp(chance, reached, np.arange(1441) * 60.0)
    return seconds.clip(max=86399.9)


def _delay(source: DemoSource, dice: Numbers) -> NDArray[np.float64]:
    """Seconds between the moment on the device and Segment's receipt."""
    chance = roll(dice, "delay")
    wait = -np.log1p(-np.minimum(chance, 0.9999))
    if source.device == "server":
        return 0.05 + 0.2 * wait
    slow = roll(dice, "queue")
    if source.device == "web":
        # analytics.js retries for minutes, not for days.
        return np.where(slow < 0.03, 5 + 800 * chance, 0.1 + 0.4 * wait)
    offline_hours = 6 * 20**chance  # from six hours to five days
    return np.where(slow < OFFLINE, 3600 * offline_hours, 0.3 + 9 * wait)


def _message_ids(source: DemoSource, dice: Numbers, original: NDArray[np.datetime64]) -> Strings:
    unique = uuids(dice, "message", upper=source.message_ids == "UUID")
    if source.message_ids in ("ajs-next", "node-next"):
        stamps = original.astype("datetime64[ms]").astype(np.int64).tolist()
        unique = [f"{source.message_ids}-{ms}-{one}" for ms, one in zip(stamps, unique, strict=True)]
    return np.array(unique, dtype=object)


def _anonymous_ids(source: DemoSource, crowd: People, dice: Numbers, person: NDArray[np.int64]) -> Strings:
    known = crowd.anonymous_id[source.device][person]
    if source.device != "server":
        return known
    # Of the servers only the shop's passes the browser's id on, and only for orders from the web.
    passed_on = 0.35 if source.name == "orders_service" else 0.0
    known[roll(dice, "passed on") >= passed_on] = None
    return known


def _app_versions(
    source: DemoSource, crowd: People, person: NDArray[np.int64], moment: NDArray[np.datetime64]
) -> Strings:
    versions = np.full(len(person), None, dtype=object)
    for version, released, forced in RELEASES.get(source.device, ()):
        # Who updates first is up to the phone's owner, and not the same people each time.
        eager = roll(crowd.dice, f"update/{source.device}/{version}")[person]
        days = (moment - np.datetime64(released)) / np.timedelta64(1, "D")
        reached = np.select([days < 0, days < 2, days < 4], [0.0, 0.2, 0.5], 1.0 if forced else 0.96)
        versions[eager < reached] = version
    return versions


def _library_versions(source: DemoSource, dice: Numbers, received_at: NDArray[np.datetime64]) -> Strings:
    fixed = {
        "analytics-swift": "1.9.4",
        "analytics-kotlin": "1.24.1",
        "@segment/analytics-node": "3.1.0",
        "analytics-python": "2.3.4",
    }
    if source.library in fixed:
        return np.full(len(dice), fixed[source.library], dtype=object)
    # analytics.js comes from a CDN and moves on every fortnight; a few tabs stay open for longer.
    fortnight = ((received_at - np.datetime64(START)) / np.timedelta64(14, "D")).astype(int)
    old_tab = (roll(dice, "tab") < 0.05).astype(int)
    return np.array([f"next-1.{81 + n}.0" for n in (fortnight - old_tab)], dtype=object)


def _values(prop: Property, dice: Numbers, moment: NDArray[np.datetime64]) -> Any:
    chance = roll(dice, prop.name)
    if prop.kind == "code":
        return np.array([prop.prefix + digits for digits in hexes(dice, prop.name, 10)], dtype=object)
    if prop.kind == "choice":
        # Earlier values are likelier; a property that nobody fills has none at all.
        values = np.array(prop.values or (None,), dtype=object)
        chosen = values[(len(values) * chance**1.3).astype(int)]
        if prop.enum:
            chosen = np.where(roll(dice, f"{prop.name}/odd") < NOISE, "unknown", chosen).astype(object)
        return chosen
    if prop.kind == "money":
        return np.round(prop.low + (prop.high - prop.low) * chance**2, 2)
    if prop.kind == "integer":
        return pd.array(
            (prop.low + np.floor((prop.high - prop.low + 1) * chance**1.5)).astype(np.int64), dtype="Int64"
        )
    if prop.kind == "flag":
        return pd.array(chance < prop.high, dtype="boolean")
    if prop.kind == "moment":
        days = (prop.high * (0.5 + chance / 2) * 86400).astype("timedelta64[s]")
        return moment.astype("datetime64[s]").astype("datetime64[us]") + days
    return np.array(
        [
            f'[{{"product_id":"sku_{digits}","quantity":{1 + int(digits[0], 16) % 4}}}]'
            for digits in hexes(dice, prop.name, 10)
        ],
        dtype=object,
    )
