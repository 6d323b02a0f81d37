"""Takes a JSON body apart without reading its values, so that one event that is not JSON costs only itself.

Used when a strict reader has given up. It looks at strings, brackets, commas and nothing else, in one pass for each
level, without recursion.
"""

import re
from typing import NamedTuple

_TOKEN = re.compile(rb'"(?:[^"\\]++|\\.)*+"|["\[\]{},]', re.DOTALL)
_KEY = re.compile(rb'\s*+("(?:[^"\\]++|\\.)*+")\s*+:\s*+', re.DOTALL)
_BLANK = b" \t\r\n"
_CLOSES = {b"{": b"}", b"[": b"]"}


class Unsplittable(NamedTuple):
    """Brackets or quotes do not match: nobody can say where an event ends."""

    byte: int
    what: str

    def __str__(self) -> str:
        return f"{self.what} (byte {self.byte})"


def members(body: bytes) -> dict[bytes, bytes] | Unsplittable:
    """The values of an object, by their keys as they are written, quotes included; of equal keys the last."""
    parts = _parts(body, b"{")
    if isinstance(parts, Unsplittable):
        return parts
    found: dict[bytes, bytes] = {}
    for start, end in parts:
        if (key := _KEY.match(body, start, end)) is None:
            return Unsplittable(start, "expected a key and a colon")
        found[key[1]] = body[key.end() : end].strip(_BLANK)
    return found


def elements(body: bytes) -> list[bytes] | Unsplittable:
    """The values of an array."""
    parts = _parts(body, b"[")
    return parts if isinstance(parts, Unsplittable) else [body[start:end].strip(_BLANK) for start, end in parts]


def _parts(body: bytes, opener: bytes) -> list[tuple[int, int]] | Unsplittable:
    """Spans between the commas of the outermost bracket, which must be `opener` and all that there is."""
    start = len(body) - len(body.lstrip(_BLANK))
    if body[start : start + 1] != opener:
        return unexpected(body, start, f"expected {opener.decode()!r}")
    parts: list[tuple[int, int]] = []
    closers = [_CLOSES[opener]]
    begin = start + 1
    for match in _TOKEN.finditer(body, begin):
        token, at = match[0], match.start()
        if token == b'"':
            return Unsplittable(at, "a string that begins here does not end")
        if token == b"," and len(closers) == 1:
            parts.append((begin, at))
            begin = at + 1
        elif token in _CLOSES:
            closers.append(_CLOSES[token])
        elif token in b"]}" and token != closers.pop():
            return unexpected(body, at, "a bracket that closes another one")
        if not closers:
            return _ended(body, parts, begin, at)
    return Unsplittable(len(body), f"the data ends before {len(closers)} closing bracket(s)")


def _ended(body: bytes, parts: list[tuple[int, int]], begin: int, at: int) -> list[tuple[int, int]] | Unsplittable:
    rest = body[at + 1 :].lstrip(_BLANK)
    if rest:
        return unexpected(body, len(body) - len(rest), "trailing characters")
    if parts or body[begin:at].strip(_BLANK):
        parts.append((begin, at))
    return parts


def unexpected(body: bytes, at: int, what: str) -> Unsplittable:
    """What is wrong at this byte, and what stands there."""
    there = body[at : at + 8].decode(errors="backslashreplace")
    return Unsplittable(at, f"{what}, there was {there!r}" if there else f"{what}, but the data ended")
