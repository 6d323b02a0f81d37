"""What a commit changed as rows of tables, sorted: neighbours share pages of the tree that they are put into."""

from collections.abc import Mapping
from typing import Any

from onefold import kernel
from onefold.limits import NEVER_MS
from onefold.model.position import home
from onefold.model.profile import Profile
from onefold.storage.state_bytes import TIMER, U64

Row = tuple[bytes, bytes]


class Rows:
    """Makes them. The kernel has the same."""

    @staticmethod
    def of_profiles(profiles: dict[int, Profile], encoded: Mapping[int, bytes]) -> list[Row]:
        """Of these profiles; `encoded` has them all."""
        return [(U64.pack(profile), encoded[profile]) for profile in sorted(profiles)]

    @staticmethod
    def of_identifiers(identifiers: dict[str, int]) -> list[Row]:
        """Of identifiers that are new or moved."""
        return sorted((name.encode(), U64.pack(profile)) for name, profile in identifiers.items())

    @staticmethod
    def of_timers(due: dict[int, tuple[int, int]], absorbed: dict[int, int]) -> tuple[list[bytes], list[Row]]:
        """The keys of timers that are no more, and the rows of those that are from now on."""
        pack = TIMER.pack
        gone = [pack(home(one), before, one) for one, (before, _) in due.items() if before < NEVER_MS]
        armed = [
            (pack(home(one), after, one), b"")
            for one, (_, after) in due.items()
            if after < NEVER_MS and one not in absorbed
        ]
        return sorted(gone), sorted(armed)

    @staticmethod
    def of_members(prefix: bytes, moved: dict[int, int]) -> tuple[list[Row], list[bytes]]:
        """The rows of who has become a member, and the keys of who is none any more; all begin with `prefix`."""
        pack = U64.pack
        entered = [(prefix + pack(one), pack(at_ms)) for one, at_ms in sorted(moved.items()) if at_ms]
        return entered, [prefix + pack(one) for one, at_ms in sorted(moved.items()) if not at_ms]


ROWS: Any = Rows if kernel.native is None else kernel.native.Rows
"""The kernel's where there is one."""
