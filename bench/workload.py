"""The workload of every published number: seeded shoppers, as request bodies that cost a load generator nothing.

500-byte Segment events, in batches of 100; 100,000 people whose activity follows Zipf's law; one event in twenty links
an identifier that nobody has seen before; 10 traits and 20 audiences over ten event names. Bodies are written once,
before the clock starts. Their `sentAt` is that of their own timeline, as from a sender whose clock is off: the
platform corrects the skew, so that the events happen when they are sent, whenever that is.
"""

import random
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from itertools import accumulate
from typing import NamedTuple

from onefold.model.definitions import Audience, Definitions, Destination, Trait

EVENT_BYTES = 500
BATCH_EVENTS = 100
PEOPLE = 100_000
LINK_SHARE = 0.05
LATE_SHARE = 0.05
LATE_MAX_MS = 600_000
EVENTS_PER_S = 50_000
"""Of the events' own timeline."""
STEPS_MAX = 5
"""Links after which a person has every identifier that this world gives; others link instead."""

_BASE_MS = 1_700_000_000_000
_CATEGORIES = ("shoes", "shirts", "books", "games", "garden", "kitchen", "music", "toys")
_ZONES = ("Japan", "Egypt", "Eire", "Iran")
_CHANNELS = ("google", "newsletter", "instagram", "direct")

MIX = (
    ("Product Viewed", 0.30), ("page", 0.15), ("Product List Viewed", 0.10), ("Product Clicked", 0.10),
    ("Products Searched", 0.08), ("Product Added", 0.08), ("Cart Viewed", 0.05), ("Checkout Started", 0.04),
    ("Order Completed", 0.03), ("Coupon Entered", 0.02),
)  # fmt: skip
"""Ten names and their shares of the events that link nothing."""

RARE = (
    "Product Removed", "Product Shared", "Product Reviewed", "Product Added to Wishlist",
    "Wishlist Product Added to Cart", "Product Removed from Wishlist", "Promotion Viewed", "Promotion Clicked",
    "Coupon Applied", "Coupon Denied",
    "Coupon Removed", "Cart Shared", "Payment Info Entered", "Checkout Step Viewed", "Checkout Step Completed",
    "Order Updated", "Order Refunded", "Order Cancelled", "Product List Filtered", "Email Opened", "Email Link Clicked",
    "Email Delivered", "Email Bounced", "Unsubscribed", "Push Notification Received", "Push Notification Tapped",
    "Application Opened", "Application Backgrounded", "Application Installed", "Application Updated", "Signed Up",
    "Signed In", "Signed Out", "Trial Started", "Trial Ended", "Invite Sent", "Video Playback Started",
    "Video Playback Completed", "Live Chat Started", "Live Chat Message Sent",
)  # fmt: skip
"""Forty more names of the Segment spec, together one event in twenty-five of those that link nothing."""


class Options(NamedTuple):
    """What a world is made of."""

    seed: int = 1
    people: int = PEOPLE
    links: float = LINK_SHARE
    rare: float = 0.04
    first_person: int = 0
    zones: bool = False
    """Events say in which time zone their person is, as those of browsers do."""


class World:
    """Shoppers, one event after the other. The same options make the same bytes."""

    def __init__(self, options: Options | None = None) -> None:
        self._options = options or Options()
        self._random = random.Random(self._options.seed)
        self._weights = list(accumulate(1 / (n + 1) for n in range(self._options.people)))
        names = [*(name for name, _ in MIX), *RARE]
        shares = [share for _, share in MIX] + [self._options.rare / len(RARE)] * len(RARE)
        self._names, self._shares = names, list(accumulate(shares))
        self._steps = bytearray(self._options.people)
        self._made = 0

    def events(self, count: int) -> Iterator[bytes]:
        """So many more events, in the order in which they are sent."""
        rng = self._random
        people = rng.choices(range(self._options.people), cum_weights=self._weights, k=count)
        names = rng.choices(self._names, cum_weights=self._shares, k=count)
        for person, name in zip(people, names, strict=True):
            self._made += 1
            if rng.random() < self._options.links:
                yield self._link(person)
            else:
                yield self._act(person, name)

    def bodies(self, batches: int, size: int = BATCH_EVENTS) -> list[bytes]:
        """Request bodies for `/v1/batch`."""
        return [self._body(list(self.events(size))) for _ in range(batches)]

    def singles(self, count: int) -> list[bytes]:
        """Request bodies for `/v1/track`: one event each, which has a name."""
        made: list[bytes] = []
        while len(made) < count:
            made += [body for body in self.events(count) if body.startswith(b'{"type":"track"')]
        return made[:count]

    def _body(self, events: Sequence[bytes]) -> bytes:
        return b'{"sentAt":"%b","batch":[%b]}' % (_iso(self._now_ms()).encode(), b",".join(events))

    def _now_ms(self) -> int:
        return _BASE_MS + self._made * 1_000 // EVENTS_PER_S

    def _act(self, person: int, name: str) -> bytes:
        rng = self._random
        step, n = self._steps[person], self._options.first_person + person
        second = step >= 3 and rng.random() < 0.3  # the second device, not signed in until the fourth link
        who = f'"anonymousId":"{_device(n, 1 if second else 0)}"'
        if step >= 1 and (not second or step >= 4):
            who += f',"userId":"user-{n}"'
        if name == "page":
            what = f'"type":"page","name":"Home","properties":{{"path":"/{_CATEGORIES[n % 8]}/{rng.randrange(999)}"}}'
        else:
            product = rng.randrange(5_000)
            what = (
                f'"type":"track","event":"{name}","properties":{{"product_id":"p-{product}","name":"Product {product}",'
                f'"category":"{_CATEGORIES[product % 8]}","price":{product % 300 + 0.5},"quantity":{product % 3 + 1},'
                f'"revenue":{product % 500 + 0.25},"currency":"EUR"}}'
            )
        return self._event(what, who, person)

    def _link(self, person: int) -> bytes:
        """An event with an identifier that is new beside one that is known (where the person is)."""
        rng = self._random
        while self._steps[person] >= STEPS_MAX:
            person = rng.randrange(self._options.people)
        self._steps[person] += 1
        step, n = self._steps[person], self._options.first_person + person
        traits = f'"traits":{{"plan":"{"gold" if n % 5 == 0 else "free"}","country":"{("DE", "FR", "US")[n % 3]}"'
        user = f'"userId":"user-{n}"'
        if step == 1:
            return self._event(f'"type":"identify",{traits}}}', f'"anonymousId":"{_device(n, 0)}",{user}', person)
        if step == 2:
            contact = f'{traits},"email":"person{n}@shop.example"}}'
            return self._event(f'"type":"identify",{contact}', f'"anonymousId":"{_device(n, 0)}",{user}', person)
        if step == 4:  # the second device signs in: two profiles become one
            return self._event(f'"type":"identify",{traits}}}', f'"anonymousId":"{_device(n, 1)}",{user}', person)
        return self._event(
            '"type":"track","event":"Signed In","properties":{"method":"password"}',
            f'"anonymousId":"{_device(n, step)}",{user}',
            person,
        )

    def _event(self, what: str, who: str, person: int) -> bytes:
        rng = self._random
        at_ms = self._now_ms()
        if rng.random() < LATE_SHARE:
            at_ms -= rng.randrange(LATE_MAX_MS)
        place = f'"timezone":"{_ZONES[person % len(_ZONES)]}"' if self._options.zones else '"locale":"de-DE"'
        body = (
            f'{{{what},{who},"messageId":"{rng.getrandbits(128):032x}","timestamp":"{_iso(at_ms)}",'
            f'"context":{{"library":{{"name":"analytics.js","version":"2.1.0"}},'
            f'"campaign":{{"source":"{_CHANNELS[person % 4]}"}},{place},"userAgent":"Mozilla/5.0 '
        )
        return f'{body:x<{EVENT_BYTES - 3}}"}}}}'.encode()


def _device(person: int, number: int) -> str:
    return f"{person:08x}-0000-4000-8000-{number:012x}"


_seconds: dict[int, str] = {}


def _iso(at_ms: int) -> str:
    second, ms = divmod(at_ms, 1_000)
    text = _seconds.get(second)
    if text is None:
        text = _seconds[second] = datetime.fromtimestamp(second, UTC).strftime("%Y-%m-%dT%H:%M:%S")
    return f"{text}.{ms:03d}Z"


TRAITS = {
    "orders_30d": 'count("Order Completed", within="30d")',
    "revenue": 'sum("Order Completed", properties.revenue)',
    "revenue_30d": 'sum("Order Completed", properties.revenue, within="30d")',
    "average_order": 'avg("Order Completed", properties.revenue)',
    "views_7d": 'count("Product Viewed", within="7d")',
    "favourite_category": 'most_frequent("Product Viewed", properties.category, where=properties.price > 10)',
    "dearest_added": 'max("Product Added", properties.price)',
    "first_channel": 'first("*", context.campaign.source)',
    "categories_clicked": 'unique_count("Product Clicked", properties.category)',
    "is_vip": "orders_30d >= 3 and revenue > 1000",
}
"""The ten traits."""

AUDIENCES = {
    "cart_abandoners": 'count("Product Added", within="1h") > 0 and count("Order Completed", within="1h") == 0',
    "checkout_abandoners": 'count("Checkout Started", within="1d") > 0 and count("Order Completed", within="1d") == 0',
    "vips": "is_vip",
    "lapsing_vips": 'is_vip and last_seen < ago("60d")',
    "buyers": 'count("Order Completed") > 0',
    "repeat_buyers": "orders_30d >= 2",
    "big_spenders": "revenue_30d > 500",
    "big_baskets": "average_order > 300",
    "browsers": "views_7d >= 10",
    "window_shoppers": "views_7d >= 20 and orders_30d == 0",
    "shoe_lovers": 'favourite_category == "shoes"',
    "gamers": 'favourite_category == "games" and views_7d >= 3',
    "premium": "dearest_added > 200",
    "from_newsletter": 'first_channel == "newsletter"',
    "explorers": "categories_clicked >= 4",
    "searchers": 'count("Products Searched", within="1d") >= 3',
    "coupon_hunters": 'count("Coupon Entered", within="30d") >= 2',
    "gold": 'traits.plan == "gold"',
    "germans_without_order": 'traits.country == "DE" and orders_30d == 0',
    "new_people": 'first_seen > ago("7d")',
}
"""The twenty audiences."""


def definitions(destinations: Sequence[Destination] = ()) -> Definitions:
    """The ten traits and twenty audiences of the workload."""
    return _definitions(AUDIENCES, destinations)


def many_audiences(count: int, names: int = len(MIX) + len(RARE), seed: int = 1) -> Definitions:
    """The ten traits, and `count` audiences that are spread evenly over the first `names` event names.

    60 % ask for an event with a property, 25 % for a trait, 10 % for a count in a window, 5 % for one event without
    another. Conditions repeat, as those that people write do.
    """
    rng = random.Random(seed)
    events = [*(name for name, _ in MIX), *RARE][:names]
    return _definitions({f"audience_{n}": _rule(rng, events, n) for n in range(count)}, ())


def _rule(rng: random.Random, events: Sequence[str], n: int) -> str:
    name, kind = events[n % len(events)], rng.random()
    if kind < 0.3:
        return f'count("{name}", where=properties.price > {rng.choice((10, 50, 100, 200))}) >= {rng.randint(1, 9)}'
    if kind < 0.6:
        return f'count("{name}", where=properties.category == "{rng.choice(_CATEGORIES)}") >= {rng.randint(1, 9)}'
    if kind < 0.85:
        return rng.choice((
            f"revenue > {rng.randrange(0, 5_000, 50)}",
            f"views_7d >= {rng.randint(1, 60)}",
            f'favourite_category == "{rng.choice(_CATEGORIES)}" and orders_30d >= {rng.randint(0, 5)}',
            f'traits.country == "{rng.choice(("DE", "FR", "US"))}" and revenue_30d > {rng.randrange(0, 2_000, 50)}',
        ))  # fmt: skip
    if kind < 0.95:
        return f'count("{name}", within="{rng.choice(("1h", "1d", "30d"))}") >= {rng.randint(1, 9)}'
    return f'count("{name}") > 0 and count("{rng.choice(events)}", within="7d") == 0'


_EVERY_FAMILY = (
    'count("{a}", where=properties.price > {price}) >= {n}',
    'count("{a}", where=properties.category == "{kind}") >= {n}',
    'sum("{a}", properties.revenue) > {amount}', 'avg("{a}", properties.price, within="7d") > {price}',
    'count("{a}", within="{within}") >= {n}', 'sum("{a}", properties.revenue, within="this_month") > {amount}',
    'count("{a}", within="this_week", timezone="person") >= {n}', 'count("{a}", within=between("2d", "1d")) >= {n}',
    'max("{a}", properties.price) > {price}', 'unique_count("{a}", properties.category) >= {n}',
    'most_frequent("{a}", properties.category) == "{kind}"', 'percentile("{a}", properties.price, 90) > {price}',
    'days_active("{a}") >= {n}', 'streak("{a}") >= {n}', 'session_count("{a}") >= {n}', 'time_since("{a}") >= {n}',
    'sequence("{a}", then="{b}", within="1d")', 'sequence("{a}", "{b}", absent="{c}", within="{within}")',
    'sequence("{a}", "{b}", same=properties.product_id, within="1d")', 'sequence("{a}", absent="{b}", within="1h")',
    'traits.country == "{country}" and count("{a}") >= {n}', "revenue > {amount}", "views_7d >= {n} and is_vip",
    'last_seen < ago("{within}") and did("{a}")',
)  # fmt: skip
"""One of each family of the language."""


def every_family(count: int, names: int = len(MIX) + len(RARE), seed: int = 1) -> Definitions:
    """The ten traits, and `count` audiences of all families in turn, spread evenly over the first event names."""
    rng = random.Random(seed)
    events = [*(name for name, _ in MIX), *RARE][:names]
    return _definitions({f"audience_{n}": _of_family(rng, events, n) for n in range(count)}, ())


def _of_family(rng: random.Random, events: Sequence[str], n: int) -> str:
    return _EVERY_FAMILY[n % len(_EVERY_FAMILY)].format(
        a=events[n % len(events)], b=rng.choice(events), c=rng.choice(events),
        n=rng.randint(1, 9), price=rng.choice((10, 50, 100, 200)), amount=rng.randrange(0, 5_000, 50),
        kind=rng.choice(_CATEGORIES), within=rng.choice(("1h", "1d", "30d")), country=rng.choice(("DE", "FR", "US")),
    )  # fmt: skip


def _definitions(audiences: dict[str, str], destinations: Sequence[Destination]) -> Definitions:
    return Definitions(
        version=1,
        traits=tuple(Trait(name, expression) for name, expression in TRAITS.items()),
        audiences=tuple(Audience(name, expression) for name, expression in audiences.items()),
        destinations=tuple(destinations),
    )
