"""The stories of docs/identity.md, lived in a platform in memory: who became one person, who did not, and pictures.

Each is told with times of its own, so that its picture is the same whenever it is drawn.
"""

from collections.abc import Mapping
from typing import Any

from onefold.limits import DAY_MS, HOUR_MS, MINUTE_MS
from onefold.model.definitions import Definitions
from onefold.model.identity import SHIPPED_BLOCKED, SHIPPED_PATTERNS, IdentifierType, Identity
from onefold.ports import State
from onefold.server.engines import Engines
from onefold.server.identity import graph_svg
from onefold.server.identity.graph import graph
from onefold.testing.clock import ManualClock
from onefold.testing.memory.history import MemoryHistory
from onefold.testing.world import World, identify, track

BEGIN_MS = 1_772_438_400_000
"""Monday, 2 March 2026, 08:00 UTC."""
RULES = Identity(
    types=(
        IdentifierType("user_id", unique=True),
        IdentifierType("card", ("properties.card",), "digits", limit=3, per="year"),
        IdentifierType("email", limit=5, per="year"),
        IdentifierType("anonymous_id", soft=True),
    ),
    blocked=SHIPPED_BLOCKED,
    patterns=SHIPPED_PATTERNS,
    hot=5,
)
"""The rules of the page, but for `hot`, which is so low that a picture shows it."""

PHONE, LAPTOP, TABLET, KIOSK = "phone-7c240d49", "laptop-3820c8f0", "tablet-16dbd36b", "kiosk-7"


def shop(state: State | None = None) -> World:
    """A shop under these rules, on a Monday morning."""
    world = World(Definitions(version=1, identity=RULES), state=state)
    world.now_ms = BEGIN_MS
    return world


def ann(world: World) -> None:
    """She looks at a coat on her phone, signs in on her laptop, opens a letter, buys with her card, had an account."""
    _later(world, track("Product Viewed", user=None, anonymous=PHONE, message="m-1"), HOUR_MS)
    _later(world, track("Product Viewed", anonymous=LAPTOP, message="m-2"), MINUTE_MS)
    _later(world, _says("42", LAPTOP, "ann@example.com", "m-3"), MINUTE_MS)
    _later(world, track("Product Added", user="42", anonymous=LAPTOP, message="m-4"), DAY_MS)
    _later(world, _says(None, PHONE, "ann@example.com", "m-5"), HOUR_MS)
    card = {"card": "1234 567", "revenue": 89}
    _later(world, track("Order Completed", user="42", message="m-6", properties=card), DAY_MS)
    _later(world, _says("17", None, "ann.miller@example.com", "m-7"), HOUR_MS)
    world.link("user_id:42", "user_id:17", by="support")
    world.now_ms += HOUR_MS
    world.fold()


def ben(world: World) -> None:
    """He is Ann's twin, and signs in on the family's tablet after her."""
    _later(world, track("Product Viewed", user="42", anonymous=TABLET, message="m-8"), HOUR_MS)
    _later(world, _says("43", "phone-a91f", "ben@example.com", "m-9"), HOUR_MS)
    for number in range(10, 13):
        _later(world, track("Product Viewed", user="43", anonymous=TABLET, message=f"m-{number}"), HOUR_MS)
    world.link("user_id:42", "user_id:43", never=True, by="support")
    world.now_ms += HOUR_MS
    world.fold()


def counter(world: World) -> None:
    """One device after the other customer: the shop's counter, where everybody signs in."""
    for number in range(8):
        message = f"m-{20 + number}"
        _later(world, _says(f"{100 + number}", KIOSK, f"customer{number}@example.com", message), MINUTE_MS)
    world.fold()


def told(state: State | None = None) -> World:
    """All of it, one after the other."""
    world = shop(state)
    for story in (ann, ben, counter):
        story(world)
    return world


DRAWN: Mapping[str, str] = {"ann": "user_id:42", "ben": "user_id:43", "counter": "user_id:100"}
"""Picture → whose it is."""


def pictures() -> dict[str, str]:
    """Every picture of the page by its name, as `onefold identity graph` draws it."""
    engines = engines_of(told())
    return {name: graph_svg.drawn(graph(engines, who)) for name, who in DRAWN.items()}


def engines_of(world: World, **more: Any) -> Engines:
    """What an API over this platform answers from; a catalog and a place are given where they are asked for."""
    nothing: Any = None
    parts: dict[str, Any] = {"settings": nothing, "place": nothing, "catalog": nothing} | more
    clock = ManualClock(world.now_ms)
    return Engines(clock=clock, log=world.reader, state=world.state, history=MemoryHistory, **parts)


def _says(user: str | None, anonymous: str | None, email: str, message: str) -> dict[str, Any]:
    who: dict[str, Any] = {"user": user, "anonymous": anonymous}
    return identify(message=message, traits={"email": email}, **who)


def _later(world: World, event: Mapping[str, Any], ms: int) -> None:
    """Something happens, and then time passes."""
    world.send({name: value for name, value in event.items() if value is not None}, source="shop")
    world.now_ms += ms
