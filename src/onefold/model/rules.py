"""The rules that a step follows besides the definitions: which values identify people, and what is a duplicate.

What the definitions say of identity lies here, too, once they are in force: whoever reads identifiers reads the rules.
"""

import msgspec
import xxhash
from msgspec import Struct, structs

from onefold.limits import DEDUPE_WINDOW_MS
from onefold.model.identity import NOTHING, Identity


class Rules(Struct, frozen=True, omit_defaults=True):
    """In force in a partition from the entry on that says so (`model.entry.Ruled`).

    The defaults are what a log is folded under until such an entry comes, so they never change; nor does what a new
    field has as its default, which is what was done before there was this field.
    """

    blocked: frozenset[str] = frozenset()
    """Identifier values, lower case, that identify nobody."""
    phone_region: str = ""
    dedupe_window_ms: int = DEDUPE_WINDOW_MS
    identity: Identity = NOTHING
    """As the definitions in force say; settings say nothing of it."""

    def with_identity(self, identity: Identity) -> "Rules":
        """The same rules with what other definitions say of identity."""
        return self if identity == self.identity else structs.replace(self, identity=identity)


DEFAULT = 0
"""The fingerprint of the defaults."""

encode = msgspec.msgpack.Encoder(order="deterministic").encode
"""Rules as the state keeps them: equal rules are equal bytes."""

decode = msgspec.msgpack.Decoder(Rules).decode
"""The rules in these bytes."""


def fingerprint(rules: Rules) -> int:
    """What cursors name these rules by."""
    return DEFAULT if rules == Rules() else xxhash.xxh3_64_intdigest(encode(rules))
