"""What is known of an event besides itself: who did it, and whose the record is that it belongs to."""

from typing import Any, NamedTuple

NOBODY = -1


class Truth(NamedTuple):
    """Hidden from the platform."""

    person: int
    """Who did it."""
    household: int
    record: str
    """The identifier that the source keeps its events under: an account, a browser, a card, a receipt, a call."""
    owner: int
    """Whose record that is; `NOBODY`: several people's, such as a family's tablet or a terminal in a shop."""
    says: int
    """Whom the event itself names, by an account, a contact or a name; `NOBODY`: nobody."""


class Happening(NamedTuple):
    """An event of the Segment spec, when it was sent, and the truth of it."""

    at_ms: int
    event: dict[str, Any]
    truth: Truth
