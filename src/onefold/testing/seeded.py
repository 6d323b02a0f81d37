"""Random definitions and histories from a seed: thousands a second, each replayable by its number alone.

They share the small vocabulary of `generate`, so that conditions are met, events collide and windows matter.
"""

import random
from typing import Any

from msgspec import structs

from onefold.language import nodes as n
from onefold.language.reading.show import show
from onefold.limits import DAY_MS, HOUR_MS, MINUTE_MS, SECOND_MS
from onefold.model.definitions import Audience, Definitions, Trait
from onefold.testing.generate import behaviour
from onefold.testing.generate.calls import AGOS_MS, DATES, ZONES, Drawer, call, counted, named
from onefold.testing.reference.values import Occurrence

START_MS = 1_750_000_000_000
EVENTS = behaviour.EVENTS
WINDOWS_MS = behaviour.WINDOWS_MS
TIMEZONES = (*behaviour.ZONES, "Mars/Olympus", 7)
STEPS_MS = (0, 0, 1, 500, 999, SECOND_MS, SECOND_MS + 1, 9_999, 10 * SECOND_MS, MINUTE_MS, HOUR_MS, DAY_MS)
WORDS = ("", "a", "A", "ab", "shoes", "Ärmel", "true", "1", " -2.5e1 ", *DATES[:4])
NUMBERS = (-2, -1, 0, 1, 2, 3, 10, 1000, 0.1, 0.2, 0.5, 1.0, -1.5, 1e16, 12.34)
FIELDS = (
    ("properties", "price"), ("properties", "price"), ("properties", "category"), ("properties", "anything"),
    ("properties", "deep", "price"), ("context", "campaign", "source"), ("traits", "plan"), ("properties", "items"),
    ("properties", "items", 1, "price"), ("properties", "anything", 0), ("name",), ("type",),
)  # fmt: skip
DECLARED = (("plan",), ("age",), ("anything",), ("address", "city"), ("born",), ("items",), ("anything", 0))
ITEM = ((), ("price",), ("price",), ("category",), ("tags",), ("tags", 0))
PURPOSES = ("marketing", "ads")


class Seeded:
    """Everything that one seed makes."""

    def __init__(self, seed: int, start_ms: int = START_MS) -> None:
        self.start_ms = start_ms
        self._random = random.Random(seed)  # noqa: S311 (to be replayed, not to be secret)
        self._traits: dict[str, n.Type] = {}
        self._audiences: list[str] = []
        self._accounts: dict[str, n.Type] = {}
        """Traits of accounts that definitions may name."""
        self._scope = "profile"

    def chance(self, one_in: int) -> bool:
        """True once in so many times."""
        return self._random.randrange(one_in) == 0

    # --- histories -------------------------------------------------------------------------------------------
    def history(self, most: int = 12, least: int = 1) -> list[tuple[int, Occurrence]]:
        """Events as (when it arrived, event) in order of arrival; some are late, some of the same instant."""
        arrivals = []
        now_ms = self.start_ms
        ties = self._random.sample(range(most), most)
        for index in range(self._random.randint(least, most)):
            now_ms += self._random.choice(STEPS_MS)
            late_ms = 0 if self.chance(2) else self._random.choice(STEPS_MS)
            arrivals.append((now_ms, self._occurrence(now_ms - late_ms, ties[index])))
        return arrivals

    def crowd(self, most: int = 40, least: int = 20) -> list[tuple[int, Occurrence, dict[str, str]]]:
        """The same of several people, with the identifiers of each event; some of them turn out to be one person."""
        return [(now_ms, occurrence, self._identifiers()) for now_ms, occurrence in self.history(most, least)]

    def _identifiers(self) -> dict[str, str]:
        user, anonymous = f"u{self._random.randrange(3)}", f"a{self._random.randrange(6)}"
        pick = self._random.randrange(8)
        if pick == 0:
            return {"userId": user, "anonymousId": anonymous}
        return {"userId": user} if pick <= 3 else {"anonymousId": anonymous}

    def passes(self) -> list[int]:
        """Some stretches of time in which nothing comes."""
        return self._random.choices((0, 1, 999, SECOND_MS, MINUTE_MS, HOUR_MS, 29 * DAY_MS, 30 * DAY_MS), k=3)

    def _occurrence(self, at_ms: int, tie: int) -> Occurrence:
        type_ = self._random.choice(("track", "track", "track", "page", "identify"))
        name = self._random.choice(EVENTS) if type_ == "track" else type_
        properties = {
            "price": self._anything() if self.chance(4) else self._random.choice(NUMBERS),
            "category": self._random.choice(WORDS),
            "anything": self._anything(),
            "deep": self._anything() if self.chance(4) else {"price": self._random.choice(NUMBERS)},
        }
        context: dict[str, Any] = {"campaign": {"source": self._random.choice(WORDS)}} if self.chance(2) else {}
        if self.chance(2):
            said = {purpose: self._random.choice((True, False, "true")) for purpose in PURPOSES}
            context["consent"] = {"categoryPreferences": self._some(said)}
        if self.chance(2):
            properties["items"] = self._items()
        traits = {
            "plan": self._anything(), "age": self._random.choice(NUMBERS), "address": {"city": self._scalar()},
            "born": self._random.choice(DATES), "items": self._items(),
        }  # fmt: skip
        if self.chance(3):
            context["timezone"] = self._random.choice(TIMEZONES)
        if self.chance(4):
            traits["timezone"] = self._random.choice(TIMEZONES)
        return Occurrence(at_ms, tie, name, type_, self._some(properties), context, self._some(traits))

    def _some(self, fields: dict[str, Any]) -> dict[str, Any]:
        return {name: value for name, value in fields.items() if not self.chance(5)}

    def _scalar(self) -> Any:
        return self._random.choice((*NUMBERS, *WORDS, True, False))

    def _anything(self) -> Any:
        if self.chance(4):
            return self._random.choice((None, [self._scalar(), self._scalar()], [], {"city": "a"}))
        return self._scalar()

    def _items(self) -> list[Any]:
        return [self._item() for _ in range(self._random.randrange(4))]

    def _item(self) -> Any:
        if self.chance(6):
            return self._anything()
        item = {"price": self._random.choice(NUMBERS), "category": self._random.choice(WORDS), "tags": ["a", "shoes"]}
        return self._some(item)

    # --- definitions -----------------------------------------------------------------------------------------
    def definitions(self, most: int = 4, prefix: str = "") -> Definitions:
        """Traits, later ones naming earlier ones, in a random order, and audiences; the prefix is their names'."""
        self._traits, self._audiences = {}, []
        traits = []
        for index in range(self._random.randint(0, most)):
            kind: n.Type = self._random.choice(("number", "string", "boolean", "any", "list", "instant"))
            traits.append(Trait(f"{prefix}t{index}", show(self._tree(kind, 2))))
            self._traits[f"{prefix}t{index}"] = kind
        audiences = []
        for index in range(self._random.randint(1, 3)):
            audiences.append(Audience(f"{prefix}a{index}", show(self._tree("boolean", 3))))
            self._audiences = [audience.name for audience in audiences]
        self._random.shuffle(traits)
        self._random.shuffle(audiences)
        zone = self._random.choice(ZONES)
        return Definitions(version=1, traits=tuple(traits), audiences=tuple(audiences), timezone=zone)

    def definitions_with_accounts(self) -> Definitions:
        """Traits of accounts, and definitions of people that name them."""
        made: list[Trait] = []
        self._traits, self._audiences, self._accounts = {}, [], {}
        for index in range(self._random.randint(1, 3)):
            kind: n.Type = self._random.choice(("number", "string", "boolean", "any", "instant"))
            made.append(Trait(f"c{index}", self._of_nobody(kind)))
            self._traits[f"c{index}"] = kind
        self._accounts = {**self._traits, "id": "string"}
        definitions = self.definitions()
        self._accounts = {}
        return structs.replace(definitions, account_traits=tuple(made))

    def _of_nobody(self, kind: n.Type) -> str:
        """An expression that asks for no person's time zone."""
        while 'timezone="person"' in (text := show(self._tree(kind, 2))):
            pass
        return text

    def group(self) -> str | None:
        """The account that an event names, if any."""
        return self._random.choice((None, None, "g0", "g1", "g2"))

    def _tree(self, kind: n.Type, depth: int) -> n.Node:
        if kind == "boolean":
            return self._boolean(depth)
        if depth == 0 or self.chance(2):
            return self._leaf(kind)
        if kind == "number":
            op = self._random.choice(n.ARITHMETIC)
            return n.Arithmetic(0, op, self._tree("number", depth - 1), self._tree("number", depth - 1))
        if self.chance(4) and kind != "any":
            return n.Case(0, (self._boolean(depth - 1),), (self._tree(kind, depth - 1),), self._tree(kind, depth - 1))
        names = named(kind, moving=self._scope == "profile")
        return self._called(self._random.choice(names), depth) if names else self._leaf(kind)

    def _called(self, name: str, depth: int) -> n.Node:
        made = call(name, self._drawer(depth))
        unit = made.args[1] if name == "elapsed" and len(made.args) > 1 else None
        assert not isinstance(unit, n.Literal_) or unit.value in ("h", "d", "w")
        return made

    def _drawer(self, depth: int) -> Drawer:
        of = lambda kind: self._tree(kind, max(depth - 1, 0))  # noqa: E731 (what draws the arguments)
        return Drawer(self._random.choice, of, instants=self._scope == "profile")

    def _boolean(self, depth: int) -> n.Node:  # noqa: PLR0911 (one for each kind)
        pick = self._random.randrange(10 if depth else 4)
        if pick == 0 and self._scope == "profile":
            return self._moving() if self.chance(2) else self._sequence(counted=False)
        if pick <= 1:
            kind: n.Type = self._random.choice(("number", "string"))
            op = self._random.choice(n.COMPARISONS)
            return n.Compare(0, op, self._tree(kind, max(depth - 1, 0)), self._tree(kind, max(depth - 1, 0)))
        if pick == 2:
            options = self._random.sample(WORDS, 2) if self.chance(2) else self._random.sample(NUMBERS, 2)
            return n.In(0, self._leaf("string" if isinstance(options[0], str) else "number"), tuple(options))
        if pick == 3:
            return self._called(self._random.choice(named("boolean", moving=self._scope == "profile")), depth)
        if pick == 4:
            return n.Not(0, self._boolean(depth - 1))
        if pick == 7:
            return self._quantified(depth)
        if pick == 8 and self._scope == "profile":
            return self._of_person()
        if pick == 9 and self._scope == "profile":
            return counted(self._drawer(depth))
        parts = tuple(self._boolean(depth - 1) for _ in range(2))
        return n.And(0, parts) if pick == 5 else n.Or(0, parts)

    def _quantified(self, depth: int) -> n.Node:
        items, outer, self._scope = self._leaf("list"), self._scope, "item"
        condition = self._boolean(depth - 1)
        self._scope = outer
        return n.Quantified(0, self._random.choice(n.QUANTIFIERS), items, condition)

    def _of_person(self) -> n.Node:
        if self._audiences and self.chance(2):
            return n.InAudience(0, self._random.choice(self._audiences))
        if self.chance(2):
            return n.Share(0, self._random.choice(WORDS[1:]), self._random.choice((0, 10, 50, 99.5, 100)))
        said = n.Field(0, ("context", "consent", "categoryPreferences", self._random.choice(PURPOSES)))
        return n.Compare(0, "==", n.Aggregate(0, "last", "*", said), n.Literal_(0, True))

    def _moving(self) -> n.Node:
        left = self._tree("instant", 1)
        right = n.Now(0, self._random.choice((0, *WINDOWS_MS, *AGOS_MS)))
        op = self._random.choice(("<", "<=", ">", ">="))
        return n.Compare(0, op, left, right) if self.chance(2) else n.Compare(0, op, right, left)

    def _leaf(self, kind: n.Type) -> n.Node:  # noqa: PLR0911 (one for each scope and kind)
        if self.chance(3) and kind in ("number", "string"):
            return n.Literal_(0, self._random.choice(NUMBERS if kind == "number" else WORDS))
        if self._scope == "item":
            if kind == "instant":
                return n.Call(0, "to_instant", (n.Item(0, ("category",)),))
            return n.Item(0, self._random.choice(ITEM))
        if self._scope == "event":
            return n.Field(0, ("time",) if kind == "instant" else self._random.choice(FIELDS))
        if self._accounts and self.chance(2):
            return self._of_account(kind)
        if kind == "instant":
            return self._instant()
        names = [name for name, has in self._traits.items() if has in (kind, "any")]
        if names and self.chance(3):
            return n.TraitRef(0, self._random.choice(names))
        if self.chance(4):
            return n.Declared(0, self._random.choice(DECLARED))
        return self._aggregate(kind)

    def _of_account(self, kind: n.Type) -> n.Node:
        fits = ("instant",) if kind == "instant" else (kind, "any")
        names = [name for name, has in self._accounts.items() if has in fits]
        if names and not self.chance(3):
            return n.OfAccount(0, (self._random.choice(names),))
        said = n.OfAccount(0, ("traits", *self._random.choice(DECLARED)))
        return n.Call(0, "to_instant", (said,)) if kind == "instant" else said

    def _instant(self) -> n.Node:
        names = [name for name, has in self._traits.items() if has == "instant"]
        if names and self.chance(3):
            return n.TraitRef(0, self._random.choice(names))
        if self.chance(3):
            return n.Call(0, "to_instant", (n.Declared(0, ("born",)),))
        if self.chance(2):
            return self._aggregate("instant")
        return n.Builtin(0, self._random.choice(("first_seen", "last_seen")))

    def _aggregate(self, kind: n.Type) -> n.Node:
        if kind == "number" and self.chance(8):
            return self._sequence(counted=True)
        return behaviour.aggregate(self._random.choice, kind, [path for path in FIELDS if len(path) > 1], self._where)

    def _sequence(self, *, counted: bool) -> n.Node:
        return behaviour.sequence(self._random.choice, self._where, counted=counted)

    def _where(self) -> n.Node | None:
        self._scope = "event"
        where = self._boolean(1) if self.chance(3) else None
        self._scope = "profile"
        return where
