"""A digest of people: equal where the same people have the same traits and memberships, whatever order they came in."""

from collections.abc import Iterable

import msgspec
import xxhash

from onefold.model.profile import Profile

_encoder = msgspec.json.Encoder(order="deterministic")


def digest_of_people(profiles: Iterable[Profile]) -> str:
    """Hex digest over all people; ids, times of merging and positions in the log are left out."""
    fingerprints = sorted(xxhash.xxh3_128_digest(_person(profile)) for profile in profiles)
    whole = xxhash.xxh3_128()
    for fingerprint in fingerprints:
        whole.update(fingerprint)
    return whole.hexdigest()


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
