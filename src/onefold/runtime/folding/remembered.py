"""What a worker remembers of people: their profiles, by which the people of events are found without the state."""

from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

from onefold import kernel
from onefold.core.batch import Incoming, named_by
from onefold.core.identity.identifiers import Who
from onefold.model.profile import Profile
from onefold.runtime.folding.recent import Recent

Elsewhere = Callable[[int], Profile | None]
"""Has profiles that are not in memory: those that commits in the making have changed."""


class Settled(NamedTuple):
    """Of some people those who are in memory, and what is to be asked about all others."""

    here: dict[int, Profile]
    """Of events' people: the kernel's, where there is one, which is nearly as good as a dict."""
    names: list[str]
    """The identifiers of those who are not, of everybody in turn."""


class Remembered:
    """The profiles that a worker keeps in memory: the kernel's own memory where there is one."""

    def __init__(self, size: int, native: Any = kernel.native) -> None:
        """`size`: so many are kept at least, up to twice as many. `native`: the kernel; None: Python keeps them."""
        self.memory: Recent[int, Profile] = Recent(size) if native is None else native.Memory(size)
        self._people: Callable[[], dict[int, Profile]] = dict if native is None else native.People
        self._settle_natively = None if native is None else native.Memory.settle
        self._keep_natively = None if native is None else native.Memory.keep

    def get(self, profile_id: int, elsewhere: Elsewhere) -> Profile | None:
        """The profile, wherever it is."""
        profile = self.memory.get(profile_id)
        return elsewhere(profile_id) if profile is None else profile

    def keep(self, made: dict[int, Profile], encoded: dict[int, bytes]) -> None:
        """Remember what a commit has made; `encoded` has the bytes of all.

        Python's own become the kernel's, in `made`, too: each is brought over once, while it is young.
        """
        if self._keep_natively is not None:
            self._keep_natively(self.memory, made, encoded)
            return
        for profile_id, profile in made.items():
            self.memory.put(profile_id, profile)

    def settle(self, incoming: list[Incoming], elsewhere: Elsewhere) -> Settled:
        """Say whose events these may be, as far as that is known in memory."""
        if self._settle_natively is not None:
            found = self._settle_natively(self.memory, incoming, elsewhere)
            if found is not None:
                return Settled(*found)
        return self._settle(named_by(incoming), elsewhere, self._people())

    def settle_people(self, people: Iterable[Who], elsewhere: Elsewhere) -> Settled:
        """Say who these may be, as far as that is known in memory."""
        return self._settle(people, elsewhere, {})

    def _settle(self, people: Iterable[Who], elsewhere: Elsewhere, here: dict[int, Profile]) -> Settled:
        names: list[str] = []
        for who in people:
            profile = self.get(who.owner, elsewhere) if who.owner else None
            if profile is not None and who.settle(profile):
                here[profile.id] = profile
            else:
                who.owner = 0
                names += who.identifiers
        return Settled(here, names)
