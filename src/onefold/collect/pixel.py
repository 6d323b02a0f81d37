"""The picture that a mail or a page without JavaScript shows: always the picture, whatever became of the event."""

import msgspec

from onefold.collect.answer import Answer

GIF = (
    b"GIF89a\x01\x00\x01\x00\x80\x00\x00\xff\xff\xff\x00\x00\x00!\xf9\x04\x01\x00\x00\x00\x00"
    b",\x00\x00\x00\x00\x01\x00\x01\x00\x00\x02\x02D\x01\x00;"
)
"""One transparent pixel."""

_UNCACHED = ((b"cache-control", b"no-store, no-cache, must-revalidate, private"), (b"pragma", b"no-cache"))


def picture(answer: Answer) -> Answer:
    """The picture with the answer's status, and what was wrong in a header `Onefold-Error`."""
    error = ((b"onefold-error", _header(answer.body)),) if answer.status >= 400 else ()
    return Answer(answer.status, GIF, (*answer.headers, *_UNCACHED, *error), b"image/gif")


def _header(body: bytes) -> bytes:
    message = str(msgspec.json.decode(body)["message"])
    return "".join(c if " " <= c <= "~" else "?" for c in message).encode()[:500]
