"""What people and accounts keep of each other: a person which account is theirs, an account who knows its values.

A person is judged by a copy of the account's values, so that a person's events need nothing but the person. When values
change, the account goes round its members, some at a time, and gives each the new ones. A state is a list, as it is
stored.
"""

from collections.abc import MutableMapping, Sequence
from typing import Any

from onefold.language.values import identical
from onefold.limits import NEVER_MS
from onefold.model.account import LINK, TELLING

AT, TIE, ACCOUNT, GROUP, BEHIND, VALUES = range(6)
"""Of a link: the event that said it (time, fingerprint), the account (id, name), whether the copy may be old, the copy.
"""
_AFTER, _STOP, _AGAIN, _SINCE, _HUSHED = range(5)
_AT_ONCE_MS = 1
"""Before any instant: whoever has a copy that may be old is woken as soon as may be."""

State = list[Any]


class Link:
    """How a person keeps a link: the latest event that names an account says which, whatever order events come in."""

    expires = True

    def merge(self, a: State, b: State) -> State:
        """The later one. Two copies that are not the same, or of two accounts, may both be old."""
        latest = a if (a[AT], a[TIE]) >= (b[AT], b[TIE]) else b
        alike = a[ACCOUNT] == b[ACCOUNT] and identical(a[VALUES], b[VALUES])
        latest[BEHIND] = int(not alike or a[BEHIND] or b[BEHIND])
        return latest

    def expire(self, state: State, now_ms: int) -> bool:  # noqa: ARG002 - as the protocol says
        """Nothing ever leaves."""
        return False

    def is_empty(self, state: State) -> bool:  # noqa: ARG002 - as the protocol says
        """It never is."""
        return False

    def due_ms(self, state: State) -> int:
        """At once where the copy may be old."""
        return _AT_ONCE_MS if state[BEHIND] else NEVER_MS


class Telling:
    """How an account keeps where it is on its way round its members.

    They are told in the order of their ids: those after the last who was told, then from the first to the last who had
    been told when the values changed. So whoever comes next is told the newest values, and values that keep changing
    keep nobody waiting for more than one round.
    """

    expires = True

    def merge(self, a: State, b: State) -> State:
        """Accounts are never merged."""
        raise AssertionError(a, b)

    def expire(self, state: State, now_ms: int) -> bool:  # noqa: ARG002 - as the protocol says
        """Nothing ever leaves."""
        return False

    def is_empty(self, state: State) -> bool:  # noqa: ARG002 - as the protocol says
        """It ends with `told`."""
        return False

    def due_ms(self, state: State) -> int:
        """Since it began or went on: accounts take turns."""
        since_ms: int = state[_SINCE]
        return since_ms


LINKS = {LINK: Link()}
"""What every person keeps in a workspace that has accounts."""
TELLINGS = {TELLING: Telling()}
"""What every account keeps."""


def link(slots: MutableMapping[str, Any]) -> State | None:
    """Which account is this person's."""
    state: State | None = slots.get(LINK)
    return state


def begin_telling(slots: MutableMapping[str, Any], now_ms: int, *, hushed: bool) -> None:
    """An account's values have changed: everybody is to be told, beginning with who comes next.

    `hushed`: by new definitions alone, some of which come quietly.
    """
    state = slots.get(TELLING)
    if state is None:
        slots[TELLING] = [0, 0, 0, now_ms, int(hushed)]
    else:
        state[_STOP], state[_AGAIN], state[_HUSHED] = state[_AFTER], 0, int(hushed and state[_HUSHED])


def is_hushed(slots: MutableMapping[str, Any]) -> bool:
    """Whether the account is on its way because of new definitions alone, some of which come quietly."""
    return bool(slots[TELLING][_HUSHED])


def next_after(slots: MutableMapping[str, Any]) -> int | None:
    """Members with a larger id are to be told next; None: nobody is."""
    state = slots.get(TELLING)
    return None if state is None else state[_AFTER]


def told(slots: MutableMapping[str, Any], members: Sequence[int], now_ms: int, *, more: bool) -> None:
    """These have been told, the next in order; `more`: there may be others behind them."""
    state = slots[TELLING]
    if more:
        state[_AFTER] = members[-1]
    if state[_AGAIN]:
        more = more and members[-1] < state[_STOP]
    elif not more and state[_STOP]:
        state[_AFTER], state[_AGAIN], more = 0, 1, True
    if more:
        state[_SINCE] = now_ms
    else:
        del slots[TELLING]
