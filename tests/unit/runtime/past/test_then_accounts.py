"""A person of then whom their account decided: refused with what is known, rather than answered wrongly."""

import pytest

from onefold.errors import NotInHistory
from onefold.limits import HOUR_MS
from onefold.model.rules import Rules
from onefold.runtime.past.profile_then import PastDefinitions, Sources, profile_then
from onefold.testing.memory.history import MemoryHistory
from onefold.testing.pasts import pasts
from onefold.testing.world import World, group, track
from tests.property.test_as_of import Versions
from tests.unit.core.test_accounts import DEFINITIONS


def test_who_had_an_account_is_refused_and_who_had_none_is_answered() -> None:
    """What the account had then is not computed; without one there is nothing that it could have decided."""
    world, catalog = World(DEFINITIONS), Versions()
    catalog.save(DEFINITIONS, world.now_ms)
    world.send(group("acme", user="ann"), track("A", user="bob"))
    world.pass_time(HOUR_MS)
    found, merges = pasts(world)
    history = MemoryHistory(found, merges, world.state.newest())
    sources = Sources(history, world.reader, world.state, PastDefinitions(catalog), lambda _: Rules())
    then = profile_then(sources, world.profile("user_id:bob"), "user_id:bob", world.now_ms)
    assert (then.profile.events, then.profile.computed) == (1, {})
    with pytest.raises(NotInHistory, match="had an account then"):
        profile_then(sources, world.profile("user_id:ann"), "user_id:ann", world.now_ms)
