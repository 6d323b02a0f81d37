"""Over-merge: profiles that are probably several people, by what nobody is two of.

An estimate, and no more: who has had two people's events and nothing of this is not found, and who has changed their
given name is.
"""

from collections.abc import Iterable, Mapping
from itertools import combinations
from typing import Any

from msgspec import Struct, field

from onefold.core.identity.rulebook import namespace
from onefold.limits import SUSPECT_CONTACTS, SUSPECT_DEVICES
from onefold.matching.comparing import COMPARISONS, compare
from onefold.matching.record import Record, of_traits

TWO_OF_ONE = "two_of_one"
TWO_BIRTHDAYS = "two_birthdays"
TWO_NAMES = "two_given_names"
MANY_DEVICES = "many_devices"
MANY_CONTACTS = "many_contacts"
MEANING = {
    TWO_OF_ONE: "two values of a type of which a person has one, such as user_id",
    TWO_BIRTHDAYS: "two birthdays that differ by more than a slip",
    TWO_NAMES: "two given names that are neither alike nor a nickname of each other",
    MANY_DEVICES: f"more than {SUSPECT_DEVICES} devices and browsers",
    MANY_CONTACTS: f"more than {SUSPECT_CONTACTS} e-mails and phones",
}
"""What makes a profile suspect."""
_DEVICES, _CONTACTS = ("device_id", "anonymous_id"), ("email", "phone")
_KEPT = 8
"""Different records of one person that are kept; two tell enough."""
_GIVEN, _BORN = 0, 2
_DIFFERS = {number: len(COMPARISONS[number].levels) - 1 for number in (_GIVEN, _BORN)}

Records = set[Record]


class OverMerge(Struct):
    """How many profiles are suspect, and how many events are theirs."""

    people: int = 0
    events: int = 0
    reasons: dict[str, int] = field(default_factory=dict)
    """Why → profiles; one may be suspect for several reasons."""

    def look(self, identifiers: Iterable[str], unique: frozenset[str], records: Records, events: int) -> None:
        """Count a profile where it is suspect. `unique`: types of which a person has one."""
        if not (reasons := why(identifiers, unique, records)):
            return
        self.people += 1
        self.events += events
        for reason in reasons:
            self.reasons[reason] = self.reasons.get(reason, 0) + 1


class Words:
    """What identifies have said of names and birthdays, by some key."""

    def __init__(self) -> None:
        self._said: dict[tuple[int, int], Records] = {}

    def hear(self, key: tuple[int, int], traits: Mapping[str, Any]) -> None:
        """One identify of this key's."""
        said = of_traits(traits)
        if not (said.given or said.born):
            return
        kept = self._said.setdefault(key, set())
        if len(kept) < _KEPT:
            kept.add(Record(given=said.given, born=said.born))

    def forget(self) -> None:
        """All of it."""
        self._said.clear()

    def by(self, side: int, names: Mapping[int, int]) -> dict[int, Records]:
        """Gathered by one side of the keys, which `names` may say otherwise."""
        found: dict[int, Records] = {}
        for key, records in self._said.items():
            found.setdefault(names.get(key[side], key[side]), set()).update(records)
        return found


def why(identifiers: Iterable[str], unique: frozenset[str], records: Records) -> list[str]:
    """What speaks for this profile being several people."""
    kinds: dict[str, int] = {}
    for each in identifiers:
        kind = namespace(each)
        kinds[kind] = kinds.get(kind, 0) + 1
    found = [TWO_OF_ONE] if any(kinds.get(kind, 0) > 1 for kind in unique) else []
    differ = {number for a, b in combinations(records, 2) for number in _differing(a, b)}
    found += [reason for number, reason in ((_BORN, TWO_BIRTHDAYS), (_GIVEN, TWO_NAMES)) if number in differ]
    if sum(kinds.get(kind, 0) for kind in _DEVICES) > SUSPECT_DEVICES:
        found.append(MANY_DEVICES)
    if sum(kinds.get(kind, 0) for kind in _CONTACTS) > SUSPECT_CONTACTS:
        found.append(MANY_CONTACTS)
    return found


def _differing(a: Record, b: Record) -> list[int]:
    levels = compare(a, b)
    return [number for number, last in _DIFFERS.items() if levels[number] == last]
