"""Everybody's events resolved anew under other rules, over the whole of history and what the log has after it.

It may go on, as new events come: what it has gone through once it does not read again.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator

from onefold.core.identity import parting, regroup
from onefold.core.identity.explicit import is_matched
from onefold.core.identity.regroup import NOBODY, Regrouping
from onefold.core.identity.rules import EXPLICIT
from onefold.core.run import Parted
from onefold.model import profile as profiles
from onefold.model.past import survivors
from onefold.model.position import position
from onefold.model.profile import Known, Notes, Word
from onefold.model.rules import Rules
from onefold.ports import State
from onefold.runtime.history.bodies import Bodies
from onefold.runtime.identity.past import IdentityPast, Reach, Seen, Sources, everything, reach, said_in, since
from onefold.runtime.identity.suspects import Words

_AT_ONCE = 2_000
_SHOW_EVERY = 50_000
_PASSES = 4
"""Over the past, where each finds values that several people share: mostly the second finds no more."""

Progress = Callable[[int, int], None]
"""(events gone through, events in all)."""


class Regrouped:
    """Who there would be, and whose the events are now."""

    def __init__(
        self,
        sources: Sources,
        rules: Rules,
        progress: Progress,
        words: Words | None = None,
        *,
        remembering: bool = False,
    ) -> None:
        """Go through everything. `words`: hear what identifies have said, by (profile now, profile then).

        `remembering`: as `Regrouping`. Where rules ask what is shared (`unless: [shared]`), values that a pass over
        the past has shown to be several people's are known to be so from the first event of the next one on. Raises
        `StorageError` and its kin.
        """
        self._sources, self._words = sources, words
        self.reached: Reach = reach(sources)
        heard = _Heard(sources.state, self.reached)
        self._said, self.words_forgotten = heard.said(sources)
        shared: frozenset[str] = frozenset()
        for _ in range(_PASSES):
            self.people = Regrouping(rules, heard.parted, shared, remembering=remembering)
            self._past = IdentityPast(rules)
            self._pairs: dict[tuple[int, int], int] = {}
            if words is not None:
                words.forget()
            self._go_through(progress)
            more = self.people.shared() - shared
            if not more:
                break
            shared |= more
        self.taken: dict[int, int] = survivors(self.reached.merges)
        """Profile that was absorbed when this began → who that was then."""

    def _go_through(self, progress: Progress) -> None:
        in_all = self._sources.state.counts().get("admitted", 0)
        for each in everything(self._sources, self._past, self._said, self.reached):
            self._take(each)
            if self.people.taken % _SHOW_EVERY == 0:
                progress(self.people.taken, max(self.people.taken, in_all))
        progress(self.people.taken, self.people.taken)

    @property
    def missing(self) -> int:
        """Events that are neither in history nor in the log any more."""
        return self._past.missing

    def catch_up(self) -> None:
        """Go through what has been folded since."""
        reached = since(self._sources, self.reached)
        seen = self._past.of_log(Bodies(self._sources.log), reached.admitted)
        said = said_in(self._sources.log, reached.ends, self.reached.ends)
        both: list[Seen | Word] = [*seen, *said]
        for each in sorted(both, key=lambda one: one.at):
            self._take(each)
        self.reached = reached

    def shares(self) -> dict[int, dict[int, int]]:
        """Profile now → profile then (NOBODY: of none) → events; as of when it began, but for events since."""
        shares: defaultdict[int, dict[int, int]] = defaultdict(dict)
        for (was, one), events in self._pairs.items():
            to, then = shares[self.taken.get(was, was)], self.people.now(one)
            to[then] = to.get(then, 0) + events
        return dict(shares)

    def _take(self, each: Seen | Word) -> None:
        if isinstance(each, Word):
            self.people.say(each)
            return
        _, partition, place = each.at
        profile = self.reached.owners.get((partition, place), each.profile)
        if profile == NOBODY:
            return  # It has become nobody's, and stays so.
        one = self.people.take(each.at, each.at_ms, each.who, regroup.Said(each.traits, each.tie))
        key = (profile, one)
        self._pairs[key] = self._pairs.get(key, 0) + 1
        if each.traits and self._words is not None:
            self._words.hear((profile, one), each.traits)


def known(state: State, partitions: Iterable[int]) -> Iterator[Known]:
    """Everybody in the state, some thousand at a time."""
    for partition in partitions:
        after = 0
        while ids := state.profile_ids(partition, after, _AT_ONCE):
            after = ids[-1]
            yield from map(profiles.decode_known, state.survivors(ids).values())


class _Heard:
    """What people have said of identifiers, as far as profiles have kept it."""

    def __init__(self, state: State, reached: Reach) -> None:
        self._ends = reached.ends
        self._words: dict[tuple[int, int], Word] = {}
        self._older = False
        """Whether somebody has said `never` before words were kept."""
        noted: list[Known] = []
        for one in known(state, reached.ends):
            for link in one.links:
                if link.rule == EXPLICIT or is_matched(link.rule):
                    by = link.rule if link.rule != EXPLICIT else ""
                    said = Word(link.at_ms, link.partition, link.position, link.a, link.b, by, never=False)
                    self._words.setdefault(said.at[1:], said)
            if one.notes is not None:
                noted.append(one)
                self._hear(one.notes)
        self.parted: Parted = parting.parted_in(noted)
        """What was undone."""

    def _hear(self, notes: Notes) -> None:
        self._words.update((word.at[1:], word) for word in notes.words)
        self._older = self._older or bool(notes.never and not any(word.never for word in notes.words))

    def said(self, sources: Sources) -> tuple[list[Word], bool]:
        """What people have said, from profiles and from the log, but for what was undone.

        With it whether something may be lacking, as the log has let go of its beginning. The log is read only where it
        knows more: of words that changed nothing, and of such as were said before profiles kept them.
        """
        more = self._older or "links_idle" in sources.state.counts()
        heard_of = said_in(sources.log, self._ends, {}) if more else []
        found = {
            each.at[1:]: each for each in heard_of if not is_matched(each.by)
        }  # what those did, people's links say
        begins = any(sources.log.ends(partition)[0] > 0 for partition in self._ends)
        heard = [
            each
            for each in {**self._words, **found}.values()
            if each.position < position(self._ends[each.partition], 0) and parting.still_holds(each, self.parted)
        ]
        return heard, more and begins
