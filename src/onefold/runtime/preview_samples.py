"""Some of the people whom a preview counts, with the traits that say why."""

from collections.abc import Collection
from typing import Any

import msgspec
from msgspec import Struct

from onefold.language.reading.check import Checked
from onefold.language.sql.compile import Given, compile_sql
from onefold.model import position
from onefold.model.past import unsigned
from onefold.storage.history_asking import Asking

_decode = msgspec.json.Decoder().decode


class Person(Struct, frozen=True):
    """A profile as of the instant of the preview."""

    id: str
    traits: dict[str, Any]
    """Of the computed traits that the audience depends on, those that have a value."""


def people_with(
    asking: Asking, checked: Checked, people: Collection[int], traits: Collection[str], as_of_ms: int
) -> dict[int, dict[str, Any]]:
    """Signed profile id → these traits; the cost is that of these people's events. The relation `roots` is there."""
    if not people or not traits:
        return {one: {} for one in people}
    listed = ", ".join(map(str, people))
    own = asking.rows(f"SELECT profile FROM roots WHERE person IN ({listed})")
    profiles = ", ".join(map(str, [*people, *(one for (one,) in own)]))
    asking.run(f"CREATE OR REPLACE TEMP TABLE theirs AS SELECT * FROM events WHERE profile IN ({profiles})")
    plan = compile_sql({"": checked}, {"": traits})
    asking.know(plan.functions)
    rows = asking.rows(plan.values([as_of_ms], Given(events="theirs")))
    names = [output.name for output in plan.outputs]
    return {
        person: {name: _decode(value) for name, value in zip(names, values, strict=True) if value is not None}
        for _, person, *values in rows
    }


def sample(person: int, traits: dict[str, Any], names: Collection[str]) -> Person:
    """One of them, with the traits of these names."""
    return Person(position.show(unsigned(person)), {name: traits[name] for name in names if name in traits})
