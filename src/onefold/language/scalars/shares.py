"""Stable shares of all people, for control groups and tests: by a hash, so that nobody has to be remembered.

Who counts is the person's smallest user id, or, where there is none, the smallest of the other identifiers. So a share
is the same on every device of a known person, whatever profiles merge, whichever came first; and whoever knows the user
id can compute it. A visitor who logs in for the first time is a known person from then on, and may change sides.
"""

import hashlib
from collections.abc import Iterable

USER = "user_id:"


def who_counts(identifiers: Iterable[str]) -> str:
    """The identifier that decides; empty where there are none."""
    return min(identifiers, key=lambda each: (not each.startswith(USER), each), default="")


def in_share(identifiers: Iterable[str], salt: str, percent: float) -> bool:
    """The first 32 bits of SHA-256 over `salt`, a line feed and the identifier, as a part of all, lie below the share.

    So the people of a share are among those of every larger share with the same salt; other salts are independent.
    """
    digest = hashlib.sha256(f"{salt}\n{who_counts(identifiers)}".encode()).digest()
    return int.from_bytes(digest[:4], "big") * 100 < percent * (1 << 32)
