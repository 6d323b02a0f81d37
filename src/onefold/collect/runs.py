"""Cuts the events out of the body of a batch without reading it, so that those which are all sound stay together.

A cut is a guess that proves itself: where every run is by itself a list of events, and the envelope with nothing in
their place is an object that has one `batch`, then the body was the one around the others. Whoever cuts must decode
them all, and look another way where one does not decode.
"""

import re
from typing import NamedTuple

_BEGIN = re.compile(rb'"batch"\s*+:\s*+\[')
_COMMAS = (b"},", b"}, ")
"""What lies between two events as programs write them."""


Run = tuple[int, int]
"""Where in a body it begins, and where it ends."""


class Cut(NamedTuple):
    """A body in parts. Nothing is proven yet."""

    envelope: bytes
    """All but the events: `{… "batch":[] …}`."""
    runs: list[Run]
    """Where the events are, in order: one or more times what is between the brackets of a JSON array."""


def cut(body: bytes, max_bytes: int) -> Cut | None:
    """The parts; None where no batch is seen.

    No run is longer than `max_bytes`, unless there is but one because no place to cut was seen. Cuts are made before
    objects that begin as the first event does, since nested ones seldom do.
    """
    begin = _BEGIN.search(body)
    end = body.rfind(b"]")
    if begin is None or end < begin.end():
        return None
    envelope = body[: begin.end()] + body[end:]
    # By another name, or twice, `batch` might be somewhere else than here.
    if b"\\" in envelope or envelope.count(b'"batch"') != 1:
        return None
    return Cut(envelope, _runs(body, begin.end(), end, max_bytes))


def array(body: bytes, run: Run) -> bytes:
    """A run as the JSON array that it is, if the cut is right."""
    begin, end = run
    return b"".join((b"[", memoryview(body)[begin:end], b"]"))


def _runs(body: bytes, start: int, end: int, max_bytes: int) -> list[Run]:
    runs = list[Run]()
    first, at = body[start : body.find(b":", start, end)], start
    while end - at > max_bytes:
        found = (body.rfind(comma + first, at, at + max_bytes) for comma in _COMMAS)
        if (last := next((each for each in found if each >= 0), -1)) < 0:
            return [(start, end)]
        runs.append((at, last + 1))
        at = body.index(b"{", last)
    runs.append((at, end))
    return runs
