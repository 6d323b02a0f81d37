"""In what a run gathers what comes of its events: Python's containers, or the kernel's, which do the same."""

from collections.abc import Callable, Container
from operator import attrgetter
from typing import NamedTuple

from onefold.model.effect import Admitted, AnyEffect
from onefold.model.profile import Profile


class Effects(list[AnyEffect]):
    """Effects in order."""

    def retract(self, people: Container[int]) -> set[int]:
        """Let go of what happened to these people; the positions of their events."""
        positions = {one.position for one in self if type(one) is Admitted and one.profile in people}
        self[:] = [one for one in self if one.profile not in people]
        return positions

    def put_in_order(self) -> None:
        """Sort them by position, and those of one position by their numbers."""
        self.sort(key=attrgetter("position", "n"))


class Containers(NamedTuple):
    """What makes them, all empty."""

    profile: Callable[..., Profile] = Profile
    """Makes a profile of its fields."""
    effects: Callable[[], Effects] = Effects


PYTHON = Containers()
