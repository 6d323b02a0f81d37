"""Saying: what people decide of identifiers, written into the log, where the fold finds it."""

from collections.abc import Mapping

from onefold.clock import Clock
from onefold.core.identity.identifiers import normalise
from onefold.errors import InvalidRequest, NotFoundError
from onefold.model import entry as entries
from onefold.model import position
from onefold.model.entry import Linked
from onefold.model.rules import Rules
from onefold.ports import LogWriter, State

BY_MAX_CHARS = 100


def say(state: State, writer: LogWriter, rules: Rules, clock: Clock, said: Linked) -> tuple[int, int]:
    """Write that two identifiers are one person's, or never are, into the log; returns partition and offset.

    `said` as it came; `at_ms` does not matter. It holds from there on, for all that is folded after it. Raises
    `InvalidRequest` where one is no identifier, or where both are one person already; `NotFoundError` where nobody has
    one of them.
    """
    a, b = spelled(said.a, rules), spelled(said.b, rules)
    owners: Mapping[str, int] = state.owners((a, b))
    for each in (a, b):
        if each not in owners:
            raise NotFoundError(f"nobody has {each}")
    if owners[a] == owners[b]:
        wanted = "`onefold identity unmerge` takes them apart" if said.never else "there is nothing to do"
        raise InvalidRequest(f"{a} and {b} are one person already, {position.show(owners[a])}: {wanted}")
    home = position.home(min(owners.values())) % writer.partitions
    record = entries.encode(Linked(clock.now_ms(), a, b, said.by[:BY_MAX_CHARS], said.never))
    return home, writer.append({home: [record]})[home]


def spelled(text: str, rules: Rules) -> str:
    """An identifier in its one spelling. Raises `InvalidRequest` where it is none."""
    namespace, colon, value = text.partition(":")
    found = normalise(namespace, value, rules) if colon and namespace else None
    if found is None:
        raise InvalidRequest(f"{text!r} is no identifier, such as user_id:42, or it is one that identifies nobody")
    return found
