"""Cuts the events out of the body of a batch without reading it, so that those which are all sound stay together.

A cut is a guess that proves itself: where every run is by itself a list of events, and the envelope with nothing in
their place is an object that has one `batch`, then the body was the one around the others. Whoever cuts must decode
them all, and look another way where one does not decode.
"""

import re
from typing import NamedTuple

_BEGIN = re.compile(rb'"batch"\s*+:\s*+\[')
_BETWEEN = (b"},{", b"}, {")
"""What lies between two events as programs write them; other blanks are sound, but nobody sends them."""


class Cut(NamedTuple):
    """A body in parts. Nothing is proven yet."""

    envelope: bytes
    """All but the events: `{… "batch":[] …}`."""
    runs: list[bytes]
    """The events as one or more JSON arrays, in order."""


def cut(body: bytes, max_bytes: int) -> Cut | None:
    """The parts, no run longer than `max_bytes` and its brackets; None where there is no place to cut."""
    begin = _BEGIN.search(body)
    end = body.rfind(b"]")
    if begin is None or end < begin.end():
        return None
    envelope = body[: begin.end()] + body[end:]
    # By another name, or twice, `batch` might be somewhere else than here.
    if b"\\" in envelope or envelope.count(b'"batch"') != 1:
        return None
    view, runs = memoryview(body), list[bytes]()
    start = begin.end()
    while end - start > max_bytes:
        if (last := _last_end(body, start, start + max_bytes)) < 0:
            return None
        runs.append(b"".join((b"[", view[start:last], b"]")))
        start = body.index(b"{", last)
    runs.append(b"".join((b"[", view[start:end], b"]")))
    return Cut(envelope, runs)


def _last_end(body: bytes, start: int, end: int) -> int:
    """Where the last object ends that another follows; -1: nowhere."""
    for between in _BETWEEN:
        if (at := body.rfind(between, start, end)) >= 0:
            return at + 1
    return -1
