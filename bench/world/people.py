"""Who lives in the world: households of people with names, birthdays, addresses, and what of that changes in time."""

from bisect import bisect
from itertools import accumulate
from random import Random
from typing import NamedTuple

from faker.providers.person.en_US import Provider as Names
from msgspec import Struct

from bench.world.parameters import Parameters
from bench.world.typing_errors import Details

_TOWNS = 300
_STREETS = ("Street", "Avenue", "Road", "Lane", "Drive", "Court")
_DOMAINS = ("gmail.example", "yahoo.example", "outlook.example", "icloud.example", "aol.example", "proton.example")
_DOMAIN_WEIGHTS = (45, 18, 17, 12, 5, 3)


class Weighted:
    """Draws names as often as they are borne."""

    def __init__(self, weights: dict[str, float]) -> None:
        self._names = list(weights)
        self._sums = list(accumulate(weights.values()))

    def draw(self, chance: Random) -> str:
        """One of them."""
        return self._names[min(bisect(self._sums, chance.random() * self._sums[-1]), len(self._names) - 1)]


FAMILY_NAMES = Weighted(dict(Names.last_names))
GIVEN_NAMES = (Weighted(dict(Names.first_names_female)), Weighted(dict(Names.first_names_male)))


class Address(NamedTuple):
    """Where a household lives."""

    street: str
    city: str
    postcode: str

    def details(self) -> Details:
        """As traits have it."""
        return {"street": self.street, "city": self.city, "postalCode": self.postcode, "country": "US"}


class Since(NamedTuple):
    """What is so from a day on."""

    day: int
    value: str


class Person(Struct):
    """One person. What changes is a list, the first from the beginning on."""

    number: int
    household: int
    given: str
    family: list[Since]
    born: str
    emails: list[Since]
    phones: list[Since]
    activity: float
    """Times as active as the median."""
    adult: bool


class Household(Struct):
    """People who live together."""

    number: int
    people: list[Person]
    addresses: list[tuple[int, Address]]
    landline: str


def settle(parameters: Parameters, seed: int) -> list[Household]:
    """The people of the world, the same for the same seed; at least as many as `parameters.people`."""
    return _Settlement(parameters, seed).households()


class _Settlement:
    def __init__(self, parameters: Parameters, seed: int) -> None:
        self._parameters = parameters
        self._chance = Random(f"people {seed}")
        self._emails: set[str] = set()
        self._phones = 0
        self._towns = [self._town(n) for n in range(_TOWNS)]
        self._town_sums = list(accumulate(1 / (n + 3) for n in range(_TOWNS)))

    def households(self) -> list[Household]:
        found: list[Household] = []
        people = 0
        while people < self._parameters.people:
            found.append(self._household(len(found), people))
            people += len(found[-1].people)
        return found

    def _town(self, n: int) -> tuple[str, int]:
        ending = self._chance.choice(("ville", "ton", " Springs", "field", " Falls", "burg", " City", "ford"))
        return FAMILY_NAMES.draw(self._chance) + ending, 10_000 + n * 290

    def _household(self, number: int, first: int) -> Household:
        chance, figures = self._chance, self._parameters.households
        size = 1 + chance.choices(range(len(figures.sizes)), figures.sizes)[0]
        name = FAMILY_NAMES.draw(chance)
        people: list[Person] = []
        for n in range(size):
            after = people[0].given if n >= 2 and chance.random() < figures.namesakes else ""
            people.append(self._person(number, (first, n), name, after))
        if size > 1 and chance.random() < figures.one_email:
            people[1].emails = list(people[0].emails)
        days = [0, *([chance.randrange(1, self._parameters.days)] if self._happens(figures.moves_a_year) else [])]
        landline = self._phone() if chance.random() < figures.landline else ""
        return Household(number, people, [(day, self._address()) for day in days], landline)

    def _person(self, household: int, at_place: tuple[int, int], name: str, after: str) -> Person:
        """`at_place`: the number of the household's first person, and the place after; `after`: the name it bears."""
        chance, changes = self._chance, self._parameters.contacts
        first, place = at_place
        adult = place < 2
        given = after or GIVEN_NAMES[(place + (chance.random() < 0.1)) % 2 if adult else chance.randrange(2)].draw(
            chance
        )
        shared = place == 0 or bool(after) or chance.random() < self._parameters.households.one_family_name
        family = name if shared else FAMILY_NAMES.draw(chance)
        year = chance.randrange(1944, 2004) if adult else chance.randrange(2004, 2012)
        born = f"{year}-{chance.randrange(1, 13):02}-{chance.randrange(1, 29):02}"
        families, emails = [Since(0, family)], [Since(0, self._email(given, family, year))]
        phones = [Since(0, self._phone())]
        if adult and self._happens(changes.family_name_changes_a_year):
            families.append(Since(self._some_day(), FAMILY_NAMES.draw(chance)))
        if self._happens(changes.email_changes_a_year):
            emails.append(Since(self._some_day(), self._email(given, family, year)))
        if self._happens(changes.phone_changes_a_year):
            phones.append(Since(self._some_day(), self._phone()))
        activity = chance.lognormvariate(0, self._parameters.visits.spread)
        return Person(first + place, household, given, families, born, emails, phones, activity, adult)

    def _happens(self, a_year: float) -> bool:
        return self._chance.random() < a_year * self._parameters.days / 365

    def _some_day(self) -> int:
        return self._chance.randrange(1, max(2, self._parameters.days))

    def _email(self, given: str, family: str, year: int) -> str:
        """A free address, made of the name as people make them."""
        chance, given, family = self._chance, given.lower(), family.lower()
        stems = (
            f"{given}.{family}",
            f"{given}{family}",
            f"{given[0]}{family}",
            f"{given}{year % 100:02}",
            f"{family}.{given[0]}",
        )
        stem = chance.choices(stems, (30, 20, 25, 15, 10))[0]
        domain = chance.choices(_DOMAINS, _DOMAIN_WEIGHTS)[0]
        found = f"{stem}@{domain}"
        while found in self._emails:
            found = f"{stem}{chance.randrange(1, 10_000)}@{domain}"
        self._emails.add(found)
        return found

    def _phone(self) -> str:
        """The next free number; numbers that follow each other are dealt to people far apart."""
        self._phones += 1
        return f"+1{200 + self._phones % 700:03}{2_000_000 + (self._phones * 7_368_787) % 7_999_993:07}"

    def _address(self) -> Address:
        chance = self._chance
        city, postcode = self._towns[min(bisect(self._town_sums, chance.random() * self._town_sums[-1]), _TOWNS - 1)]
        street = f"{chance.randrange(1, 999)} {FAMILY_NAMES.draw(chance)} {chance.choice(_STREETS)}"
        return Address(street, city, str(postcode + chance.randrange(30)))


def at(day: int, changes: list[Since]) -> str:
    """What holds on that day."""
    return next(each.value for each in reversed(changes) if each.day <= day)
