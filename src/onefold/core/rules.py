"""The rules that a step follows besides the definitions: which values identify people, and how."""

from msgspec import Struct

from onefold.limits import DEDUPE_WINDOW_MS

UNIQUE_NAMESPACE = "user_id"
"""At most one value of this namespace a person (the default merge protection)."""

ONE_USER_ID = "one_user_id"
MOST_IDENTIFIERS = "most_identifiers"
"""Rules' names in refused links."""


class Rules(Struct, frozen=True):
    """Fixed for a run; a replay must use the same to come to the same state."""

    blocked: frozenset[str] = frozenset()
    """Identifier values, lower case, that identify nobody."""
    phone_region: str = ""
    dedupe_window_ms: int = DEDUPE_WINDOW_MS
