"""What collect hands out for events that it took: where in the log they are, so that a reader can wait for them.

Opaque to those who carry it; several may be joined by commas, and mean all of them.
"""

import re
from collections.abc import Iterable, Mapping

from onefold.limits import PARTITIONS_MAX, RECORD_OFFSET_MAX

HEADER = b"onefold-receipt"
"""The header of collect's answers that carries it."""
_PART = re.compile(r"([0-9a-f]{2})([0-9a-f]{1,11})")
MAX_CHARS = 4_096
"""One that names every partition of the largest log."""
assert PARTITIONS_MAX * len("00ffffffffff.") < MAX_CHARS


def issue(partitions: Iterable[int], last: Mapping[int, int]) -> bytes:
    """The receipt for records in these partitions, none of which is behind the offset `last` of its partition."""
    return b".".join([b"%02x%x" % (partition, last[partition] + 1) for partition in partitions])


def read(text: str) -> dict[int, int] | None:
    """Partition → the offset that its cursor reaches once all that the receipts name is folded; None: it is none."""
    ends: dict[int, int] = {}
    for part in text.replace(",", ".").split("."):
        found = _PART.fullmatch(part.strip())
        if found is None or (end := int(found[2], 16)) > RECORD_OFFSET_MAX:
            return None
        partition = int(found[1], 16)
        ends[partition] = max(end, ends.get(partition, 0))
    return ends
