"""A digest of people: equal where the same people have the same traits and memberships, whatever order they came in."""

from collections.abc import Iterable

import msgspec
import xxhash

from onefold.model.profile import Profile

_encoder = msgspec.json.Encoder(order="deterministic")


class PeopleDigest:
    """A digest over all people; ids, times of merging and positions in the log are left out."""

    def __init__(self) -> None:
        self._people: list[bytes] = []

    def add(self, profile: Profile) -> None:
        """One more person."""
        self._people.append(xxhash.xxh3_128_digest(_person(profile)))

    def hex(self) -> str:
        """The digest of those who were added, in whatever order."""
        whole = xxhash.xxh3_128()
        for person in sorted(self._people):
            whole.update(person)
        return whole.hexdigest()


def digest_of_people(profiles: Iterable[Profile]) -> str:
    """The digest of these people, in hex."""
    digest = PeopleDigest()
    for profile in profiles:
        digest.add(profile)
    return digest.hex()


def _person(profile: Profile) -> bytes:
    return _encoder.encode(
        (
            sorted(profile.identifiers),
            {name: declared.value for name, declared in profile.declared.items()},
            profile.computed,
            sorted(profile.audiences),
            profile.events,
            (profile.first_seen_ms, profile.last_seen_ms),
        )
    )
