"""A simulated shop: people who browse, sign in on a second device, fill carts and buy, as events of the Segment spec.

Pure and seeded: the same seed tells the same story at any speed. What a real web shop would do wrong, it does too:
some batches are sent twice, a phone that was offline sends its events late, and a few events are malformed.
"""

import random
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, NamedTuple

Event = dict[str, Any]

ACTIVE_VISITS = 16
RETURNING_SHARE = 0.5
OFFLINE_SHARE = 0.04
DUPLICATE_SHARE = 0.03
BAD_SHARE = 0.01
COUPON_SHARE = 0.2
REMEMBERED_PEOPLE = 2_000
_OFFLINE_MS = 15 * 60_000
_CART_WINDOW_MS = 3_600_000

_FIRST = (
    "Ada", "Bela", "Cara", "Dario", "Elif", "Finn", "Greta", "Hugo", "Ines", "Jona", "Kaan", "Lea", "Milo",
    "Nora", "Omar", "Pia", "Quinn", "Rosa", "Sami", "Tara", "Ugo", "Vera", "Wim", "Yara", "Zoe",
)  # fmt: skip
_LAST = (
    "Abel", "Brandt", "Costa", "Duarte", "Engel", "Ferri", "Gruber", "Haas", "Ivanov", "Jansen", "Keller",
    "Lindt", "Moreau", "Novak", "Okafor", "Petrov", "Rossi", "Sato", "Toth", "Urban",
)  # fmt: skip
_CITIES = ("Lisbon", "Berlin", "Lyon", "Milan", "Vienna", "Ghent", "Malmö", "Kraków")


class Product(NamedTuple):
    """Something on the shelf."""

    sku: str
    name: str
    category: str
    price: float


SHELF = (
    Product("J-100", "Linen jacket", "clothing", 129.0),
    Product("J-101", "Rain jacket", "clothing", 159.0),
    Product("S-200", "Wool scarf", "accessories", 39.0),
    Product("S-201", "Leather belt", "accessories", 49.0),
    Product("B-300", "Canvas bag", "bags", 79.0),
    Product("B-301", "Travel backpack", "bags", 189.0),
    Product("H-400", "Espresso cups", "home", 34.0),
    Product("H-401", "Reading lamp", "home", 119.0),
    Product("H-402", "Walnut desk", "home", 690.0),
    Product("R-500", "Running shoes", "sport", 139.0),
    Product("R-501", "Yoga mat", "sport", 45.0),
    Product("R-502", "Road bike", "sport", 1490.0),
)


@dataclass
class Person:
    """Someone who shops; knows the truth that the platform has to find out."""

    number: int
    name: str
    user_id: str
    email: str
    city: str
    devices: list[str] = field(default_factory=list)
    registered: bool = False


class Sent(NamedTuple):
    """A batch to send: its events, and whether it is one that was sent before."""

    events: list[Event]
    again: bool = False


class Shop:
    """All that goes on in the shop. `batch` is the next moment of it."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)
        self._run = f"{seed:x}"
        self._messages = 0
        self._people: deque[Person] = deque(maxlen=REMEMBERED_PEOPLE)
        self._numbers = 0
        self._visits: list[Iterator[Event]] = []
        self._last: list[Event] = []

    def batch(self, events: int, now_ms: int) -> list[Sent]:
        """About so many next events as batches to send now. Costs O(events)."""
        fresh: list[Event] = []
        sent: list[Sent] = []
        while len(fresh) < events:
            if self._random.random() < OFFLINE_SHARE / 8:
                sent.append(Sent(self._offline(now_ms)))
            fresh.append(self._stamp(self._next(), now_ms))
            if self._random.random() < BAD_SHARE:
                fresh.append(self._spoil(self._stamp(self._next(), now_ms)))
        sent.append(Sent(fresh))
        if self._last and self._random.random() < DUPLICATE_SHARE:
            sent.append(Sent(self._last, again=True))
        self._last = fresh
        return sent

    def history(self, people: int, now_ms: int) -> list[Event]:
        """Carts that were filled nearly an hour ago, so that their window expires while one watches."""
        events: list[Event] = []
        for n in range(people):
            person = self._new_person()
            since = _CART_WINDOW_MS - 6_000 - n * 1_500
            cart = self._cart(person, person.devices[0], self._random.choice(SHELF))
            events += [self._stamp(event, now_ms - since) for event in cart]
        return events

    def _next(self) -> Event:
        while True:
            while len(self._visits) < ACTIVE_VISITS:
                self._visits.append(self._visit())
            n = self._random.randrange(len(self._visits))
            if (event := next(self._visits[n], None)) is not None:
                return event
            self._visits[n] = self._visits[-1]
            self._visits.pop()

    def _visit(self) -> Iterator[Event]:
        chance = self._random.random
        person = self._person()
        device = self._device(person)
        known = person.registered and chance() < 0.5
        user = person.user_id if known else None
        yield _page(device, user, "Home", "/")
        if chance() < 0.2:
            yield _track("Products Searched", device, user, {"query": self._random.choice(SHELF).name.lower()})
        cart = []
        for _ in range(self._random.randint(1, 5)):
            product = self._random.choice(SHELF)
            yield _track("Product Viewed", device, user, _product(product))
            if chance() < 0.35:
                cart.append(product)
                yield _track("Product Added", device, user, {**_product(product), "quantity": 1})
        if not user and chance() < 0.15:
            yield {"type": "identify", "anonymousId": device, "traits": {"email": person.email, "newsletter": True}}
        if not user and (person.registered or chance() < 0.4):
            user = person.user_id
            person.registered = True
            yield _sign_in(person, device)
        if cart and chance() < 0.55:
            for event in _checkout(cart, device, user, self._order_id()):
                if chance() < COUPON_SHARE:
                    event["properties"]["coupon"] = "WELCOME"
                yield event

    def _cart(self, person: Person, device: str, product: Product) -> Iterator[Event]:
        person.registered = True
        yield _sign_in(person, device)
        yield _track("Product Viewed", device, person.user_id, _product(product))
        yield _track("Product Added", device, person.user_id, {**_product(product), "quantity": 1})

    def _offline(self, now_ms: int) -> list[Event]:
        visit = list(self._visit())
        times = sorted(self._random.randrange(_OFFLINE_MS) for _ in visit)
        return [self._stamp(event, now_ms - _OFFLINE_MS + at) for event, at in zip(visit, times, strict=True)]

    def _person(self) -> Person:
        if self._people and self._random.random() < RETURNING_SHARE:
            return self._random.choice(self._people)
        return self._new_person()

    def _new_person(self) -> Person:
        self._numbers += 1
        first, last = self._random.choice(_FIRST), self._random.choice(_LAST)
        number = self._numbers
        person = Person(
            number,
            f"{first} {last}",
            f"u-{self._run}-{number}",
            f"{first}.{last}.{number}.{self._run}@shop.example".lower(),
            self._random.choice(_CITIES),
            [self._new_device()],
        )
        self._people.append(person)
        return person

    def _device(self, person: Person) -> str:
        if len(person.devices) < 3 and person.registered and self._random.random() < 0.5:
            person.devices.append(self._new_device())
            return person.devices[-1]
        return self._random.choice(person.devices)

    def _new_device(self) -> str:
        return f"{self._random.getrandbits(128):032x}"

    def _order_id(self) -> str:
        return f"o-{self._random.getrandbits(40):010x}"

    def _stamp(self, event: Event, at_ms: int) -> Event:
        self._messages += 1
        return stamp(event, f"shop-{self._run}-{self._messages}", at_ms)

    def _spoil(self, event: Event) -> Event:
        fault = self._random.randrange(3)
        if fault == 0:
            return {**event, "type": "purchase"}
        if fault == 1:
            return {**event, "timestamp": "yesterday"}
        return {key: value for key, value in event.items() if key not in ("anonymousId", "userId")}


def stamp(event: Event, message_id: str, at_ms: int) -> Event:
    """The event as a client library sends it: with its own id, time and context."""
    moment = datetime.fromtimestamp(at_ms / 1000, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    library = {"name": "onefold-demo-shop", "version": "1"}
    return {**event, "messageId": message_id, "timestamp": moment, "context": {"library": library, "locale": "en"}}


def _page(device: str, user: str | None, name: str, path: str) -> Event:
    return _of({"type": "page", "name": name, "properties": {"path": path}}, device, user)


def _track(name: str, device: str, user: str | None, properties: dict[str, Any]) -> Event:
    return _of({"type": "track", "event": name, "properties": properties}, device, user)


def _sign_in(person: Person, device: str) -> Event:
    traits = {"email": person.email, "name": person.name, "city": person.city}
    return _of({"type": "identify", "traits": traits}, device, person.user_id)


def _checkout(cart: list[Product], device: str, user: str | None, order: str) -> Iterator[Event]:
    total = sum(product.price for product in cart)
    items = [{**_product(product), "quantity": 1} for product in cart]
    yield _track("Checkout Started", device, user, {"order_id": order, "value": total, "currency": "EUR"})
    purchase = {"order_id": order, "total": total, "revenue": total, "currency": "EUR", "products": items}
    yield _track("Order Completed", device, user, purchase)


def _product(product: Product) -> dict[str, Any]:
    return {"product_id": product.sku, "name": product.name, "category": product.category, "price": product.price}


def _of(event: Event, device: str, user: str | None) -> Event:
    return {**event, "anonymousId": device} | ({"userId": user} if user else {})


class Step(NamedTuple):
    """A chapter of one person's story: what she does, in words and as events."""

    words: str
    device: str
    events: tuple[Event, ...]


def story(run: str) -> tuple[str, list[Step]]:
    """One person's way through the shop, on two devices: her name, and the steps."""
    mara = Person(0, "Mara Lind", f"mara-{run}", f"mara.{run}@shop.example", "Malmö")
    phone, laptop = f"phone-{run}", f"laptop-{run}"
    jacket, bike = SHELF[0], SHELF[-1]
    letter = {"type": "identify", "anonymousId": phone, "traits": {"email": mara.email, "newsletter": True}}
    return mara.name, [
        Step("looks at a linen jacket", phone, (_page(phone, None, "Home", "/"), _view(jacket, phone))),
        Step("puts it into her cart", phone, (_add(jacket, phone),)),
        Step("subscribes to the newsletter", phone, (letter,)),
        Step("comes back another way, looks at a road bike", laptop, (_view(bike, laptop), _add(bike, laptop))),
        Step("signs in", laptop, (_sign_in(mara, laptop),)),
        Step("buys both", laptop, tuple(_checkout([jacket, bike], laptop, mara.user_id, f"o-{run}-1"))),
        Step("buys cups, as a gift", phone, tuple(_checkout([SHELF[6]], phone, mara.user_id, f"o-{run}-2"))),
        Step("buys a lamp", phone, tuple(_checkout([SHELF[7]], phone, mara.user_id, f"o-{run}-3"))),
    ]


def _view(product: Product, device: str) -> Event:
    return _track("Product Viewed", device, None, _product(product))


def _add(product: Product, device: str) -> Event:
    return _track("Product Added", device, None, {**_product(product), "quantity": 1})
