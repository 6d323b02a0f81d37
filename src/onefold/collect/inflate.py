"""Unpacks compressed bodies, and judges while it does so: a bomb never becomes large."""

import zlib

from onefold.collect.answer import Answer, not_json, refusal, too_large
from onefold.limits import INFLATE_MAX_RATIO, KIB, MIB

_STEP_BYTES = 64 * KIB
_RATIO_FROM_BYTES = MIB
"""Below this much output a ratio harms nobody, and a batch of events that are much alike can have any."""

_GZIP = 16 + zlib.MAX_WBITS
_WINDOWS = {b"gzip": _GZIP, b"x-gzip": _GZIP, b"deflate": zlib.MAX_WBITS}


def inflate(body: bytes, encoding: bytes, max_bytes: int) -> bytes | Answer:
    """The body as it was before `Content-Encoding`, or why not. Memory stays below `max_bytes` + 64 KiB."""
    encoding = encoding.strip().lower()
    if encoding in {b"", b"identity"}:
        return body
    if (window := _WINDOWS.get(encoding)) is None:
        return refusal(415, "unsupported_encoding", "Content-Encoding: send gzip, deflate, or the body as it is")
    try:
        return _inflate(body, window, max_bytes)
    except zlib.error as error:
        return not_json(f"the body is not what Content-Encoding says: {error}")


def _inflate(body: bytes, window: int, max_bytes: int) -> bytes | Answer:
    out = bytearray()
    rest = body
    while rest or not out:
        stream = zlib.decompressobj(window)
        while not stream.eof:
            piece = stream.decompress(rest, _STEP_BYTES)
            out += piece
            rest = stream.unconsumed_tail
            if len(out) > max_bytes:
                return too_large(f"more than {max_bytes} bytes when inflated")
            if len(out) > max(_RATIO_FROM_BYTES, INFLATE_MAX_RATIO * len(body)):
                return too_large(f"inflates to more than {INFLATE_MAX_RATIO} times its size")
            if not piece and not rest and not stream.eof:
                return not_json("the compressed body is cut short")
        rest = stream.unused_data
        if window != _GZIP and rest:
            return not_json("bytes after the end of the compressed body")
    return bytes(out)
