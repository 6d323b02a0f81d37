"""What an event changes in its profile."""

from typing import Any

import pytest

from onefold.testing.world import World, define, identify, track


@pytest.mark.parametrize("values", [(True, 1), (1, True), (1.0, True), ("1", 1), (False, 0)])
def test_a_value_of_another_kind_is_another_value(values: tuple[Any, Any]) -> None:
    """Also deep inside an object or a list, where Python takes 1 and true for equal."""
    world = World(
        define({"n": "traits.deep.x + 1", "whole": "traits.deep", "last_one": 'last("Seen", properties.tags)'})
    )
    for value in values:
        world.now_ms += 1_000
        world.send(
            identify(user="u", traits={"deep": {"x": value}}), track("Seen", user="u", properties={"tags": [value]})
        )
        world.fold()
    last = values[-1]
    computed = world.person("user_id:u").computed
    assert repr(computed["whole"]) == repr({"x": last})
    assert repr(computed["last_one"]) == repr([last])
    assert computed.get("n") == (None if isinstance(last, bool) else last + 1)
