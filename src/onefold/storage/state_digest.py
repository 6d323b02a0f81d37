"""Digests of a state's content, by part: what two states are compared by."""

import hashlib
from collections.abc import Iterable

PARTS = (
    "profiles", "redirects", "identifiers", "timers", "members", "effects", "messages", "quarantine", "counts",
    "cursors", "rules",
)  # fmt: skip
"""Every part of a state, in the order in which `State.items` yields them."""


def digest_of(items: Iterable[tuple[str, bytes, bytes]]) -> dict[str, str]:
    """A hex digest for each part, also for those that are empty. Lengths are hashed, so nothing runs together."""
    hashes = {part: hashlib.blake2b(digest_size=16) for part in PARTS}
    for part, key, value in items:
        update = hashes[part].update
        update(len(key).to_bytes(4, "big") + len(value).to_bytes(4, "big"))
        update(key)
        update(value)
    return {part: digest.hexdigest() for part, digest in hashes.items()}
