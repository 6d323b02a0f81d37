"""In what a run gathers what comes of its events: Python's containers, or the kernel's, which do the same."""

from collections.abc import Callable, Collection, Container, Mapping
from operator import attrgetter
from typing import NamedTuple

from onefold.limits import NEVER_MS
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


class Instants(dict[int, int]):
    """Profile id → an instant: when it was armed for, or since when it is a member."""

    def let_go(self, people: Container[int]) -> None:
        """Forget these people."""
        for one in [one for one in self if one in people]:
            del self[one]

    def to_arm(self, touched: Mapping[int, Profile]) -> dict[int, tuple[int, int]]:
        """Of what was armed: profile id → (before, from now on), where it differs. Who is not `touched` is no more."""
        due: dict[int, tuple[int, int]] = {}
        for profile_id, armed in self.items():
            profile = touched.get(profile_id)
            to_arm = NEVER_MS if profile is None else profile.due_ms
            if armed != to_arm:
                due[profile_id] = armed, to_arm
        return due


class Messages(dict[bytes, int]):
    """Fingerprint → log time."""

    def among(self, messages: Collection[bytes]) -> dict[bytes, int]:
        """Those of these messages that are here."""
        return {message: self[message] for message in self.keys() & set(messages)} if self else {}


class Containers(NamedTuple):
    """What makes them, all empty."""

    profile: Callable[..., Profile] = Profile
    """Makes a profile of its fields."""
    effects: Callable[[], Effects] = Effects
    instants: Callable[[], Instants] = Instants
    messages: Callable[[], Messages] = Messages


PYTHON = Containers()
