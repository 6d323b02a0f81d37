"""Profiles as a worker remembers them: the kernel's where there is one: small, and dense in memory."""

from collections.abc import Callable, Collection
from functools import partial
from typing import Any

from onefold import kernel
from onefold.core.batch import Batch
from onefold.core.gathered import PYTHON, Containers
from onefold.core.identity.rulebook import rulebook_of
from onefold.language.stream.program import Program
from onefold.model import effect
from onefold.model import profile as profiles
from onefold.model.profile import Profile
from onefold.model.rules import Rules


class NativeProfiles:
    """Makes the profiles that are remembered."""

    def __init__(self, native: Any = kernel.native) -> None:
        """`native`: the kernel; None: Python keeps them."""
        self._kernel = native
        self._native: Callable[[bytes], Profile | None] | None = None if native is None else native.Profile.decode

    def containers(self, program: Program, rules: Rules) -> Containers:
        """What a run gathers in: the kernel's, where it takes most of the events itself."""
        if self._kernel is None:
            return PYTHON
        if program.taking is None or rulebook_of(rules.identity) is not None:
            return PYTHON._replace(profile=self._kernel.Profile)
        return native_containers(self._kernel)

    def messages(self, batch: Batch) -> Collection[bytes]:
        """The fingerprints of a batch's messages, in order."""
        found: Collection[bytes] | None = None
        if self._kernel is not None:
            found = self._kernel.Fingerprints.of(batch.incoming)
        return batch.messages() if found is None else found

    def decode(self, data: bytes) -> Profile:
        """The profile in these bytes; where the kernel does not know all of it, Python's own."""
        profile = None if self._native is None else self._native(data)
        return profiles.decode(data) if profile is None else profile

    def encode(self, made: dict[int, Profile], encoded: dict[int, bytes]) -> None:
        """Encode those of these profiles that are not among the encoded."""
        if self._kernel is not None:
            self._kernel.encode_profiles(made, encoded, profiles.encode)
            return
        for profile_id, profile in made.items():
            if profile_id not in encoded:
                encoded[profile_id] = profiles.encode(profile)


def native_containers(native: Any) -> Containers:
    """What a run gathers in where the kernel takes its events. `native`: the kernel."""
    effects = partial(native.Effects, effect.encode_one, effect.decode)
    return Containers(native.Profile, effects, native.Instants, native.Messages)
