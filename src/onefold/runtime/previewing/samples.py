"""Some of the people whom a preview counts, with the traits that say why."""

from collections.abc import Collection, Mapping
from typing import Any

import msgspec
from msgspec import Struct

from onefold.language.sql.compile import Given, SqlPlan
from onefold.model import position
from onefold.model.past import unsigned
from onefold.runtime.previewing.parts import EVERYBODY
from onefold.storage.history.asking import Asking

_decode = msgspec.json.Decoder().decode


class Person(Struct, frozen=True):
    """A profile as of the instant of the preview."""

    id: str
    traits: dict[str, Any]
    """Of the computed traits that the audience depends on, those that have a value."""


def people_with(
    asking: Asking, plan: SqlPlan, people: Collection[int], traits: Mapping[str, str], as_of_ms: int
) -> dict[int, dict[str, Any]]:
    """Signed profile id → traits, of trait → column of the plan. What was copied for the plan is there."""
    if not people or not traits:
        return {one: {} for one in people}
    listed = ", ".join(map(str, people))
    own = asking.rows(f"SELECT profile FROM roots WHERE person IN ({listed})")
    profiles = ", ".join(map(str, [*people, *(one for (one,) in own)]))
    sources = {"their_picked": EVERYBODY.picked} | ({"their_seen": EVERYBODY.seen} if plan.asks_of_everyone else {})
    for name, source in sources.items():
        asking.run(f"CREATE OR REPLACE TEMP VIEW {name} AS SELECT * FROM {source} WHERE profile IN ({profiles})")
    given = Given("their_picked", "their_seen", not plan.asks_of_everyone, frozenset(traits.values()), accounts=True)
    names = plan.ordered(traits)
    found = {person: _valued(names, values) for _, person, *values in asking.rows(plan.values([as_of_ms], given))}
    blank = asking.row(plan.blank([as_of_ms], given.only))[1:]
    return {one: found[one] if one in found else _valued(names, blank) for one in people}


def _valued(names: Collection[str], values: Collection[str | None]) -> dict[str, Any]:
    return {name: _whole(_decode(value)) for name, value in zip(names, values, strict=True) if value is not None}


def _whole(value: Any) -> Any:
    """A whole number without a point, as profiles show it; to SQL every number is a DOUBLE."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


def sample(person: int, traits: dict[str, Any], names: Collection[str]) -> Person:
    """One of them, with the traits of these names."""
    return Person(position.show(unsigned(person)), {name: traits[name] for name in names if name in traits})
