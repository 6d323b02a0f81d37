"""The match role: follows the effects, and compares every profile that has changed with those who could be the same.

An index of all people's records lies in its memory, made of the state when it starts: names, addresses and contacts of
everybody, some two kilobytes each. Profiles that changed since the cursor are read, put into the index and scored by
weights that are kept with the proposals; what comes of it is kept in one transaction with the cursor, so that after a
crash the same is done again with the same result. Where the rules of identity say so, pairs that are sure are linked
(`sure_links`). Weights are learnt once there are enough people to learn from, and
anew when somebody asks (`onefold identity learn`).
"""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing

import structlog

from onefold.clock import Clock, SystemClock
from onefold.errors import NotFoundError, StorageError, Unavailable
from onefold.matching import weights as models
from onefold.matching.households import ties
from onefold.matching.index import Index, Thresholds
from onefold.matching.learning import PRIOR, learn
from onefold.matching.record import Record, of_profile
from onefold.matching.weights import Scorer, Weights, version_of
from onefold.model import effect
from onefold.model import profile as profiles
from onefold.model.effect import Admitted, Changed, Merged, Moved, Split
from onefold.model.identity import Matching
from onefold.model.proposal import Proposal, Tie
from onefold.ports import Proposals, State
from onefold.runtime.bell import Rest
from onefold.runtime.identity.sure_links import SureLinks
from onefold.runtime.pulse import Pulse, told
from onefold.runtime.stopping import stop_signals
from onefold.settings import Settings
from onefold.storage.place import Place

LEARN_FROM = 1_000
"""Fewer people teach nothing that is not known beforehand."""
LEARN_MAX = 100_000
"""So many people are learnt from at the most, the first of each partition."""
_READ_BYTES = 1 << 20
"""Of effects at once."""
_AWAY_S = 1.0
_LOAD = 1_000
_RESTS_S = 60.0

_decode = effect.decoder(frozenset((Admitted, Changed, Merged, Moved, Split)))
log = structlog.get_logger()


class Matcher:
    """Scores profiles as they change; one turn does what there is to do and says whether there may be more at once."""

    def __init__(
        self,
        state: State,
        proposals: Proposals,
        partitions: int,
        thresholds: Thresholds,
        links: SureLinks | None = None,
    ) -> None:
        """Reads every profile of the state: about 30 microseconds each, and longer where it is on another machine.

        `thresholds`: those of the settings; the rules of identity may say others. `links`: writes what is sure.
        """
        self._state = state
        self._proposals = proposals
        self._partitions = partitions
        self._set = thresholds
        self._said = self._scored_by = self._rules()
        self._links = links
        self._index = Index()
        self._cursor = proposals.cursor()
        newest = state.newest()
        for profile, record in people(state, partitions):
            self._index.put(profile, record)
        self._learnt = self._known()
        self._scorer = Scorer(self._learnt or PRIOR)
        if self._has_missed(state, newest):
            self._score(set(self._index), newest)

    def __len__(self) -> int:
        return len(self._index)

    @property
    def _thresholds(self) -> Thresholds:
        """Those in force."""
        return in_force(self._said, self._set)

    def _rules(self) -> Matching:
        return self._state.rules(self._state.cursor(0).rules).identity.matching

    def turn(self) -> bool:
        """Take some commits, score whom they have changed, and link who is sure."""
        self._said = self._rules()
        if self._said != self._scored_by:
            self._score(set(self._index), self._cursor)
            self._scored_by = self._said
            return True
        return self._take_commits() or self._link()

    def _link(self) -> bool:
        if self._links is None or not self._said.link:
            return False
        return self._links.write(self._said.link, version_of(self._scorer.weights)) > 0

    def _take_commits(self) -> bool:
        if self._learnt is None and len(self._index) >= LEARN_FROM:
            self._learn()
            return True
        commits = self._state.commits(self._cursor, _READ_BYTES)
        if not commits:
            return False
        changed = {profile for commit in commits for profile in _changed(_decode(commit.effects))}
        self._score(self._take(changed), commits[-1].number)
        return True

    def _has_missed(self, state: State, newest: int) -> bool:
        """Nothing was scored yet, or effects that tell of changes are gone by now: everybody is to be scored."""
        first = state.commits(0, 1)
        return (first[0].number if first else newest + 1) > self._cursor + 1

    def _known(self) -> Weights | None:
        data = self._proposals.weights()
        return None if data is None else models.decode(data)

    def _learn(self) -> None:
        """Learn of whom is here, and score everybody by it."""
        records = [self._index[profile] for profile in sorted(self._index)[:LEARN_MAX]]
        learnt = learn(records)
        self._scorer = Scorer(learnt)
        self._score(set(self._index), self._cursor)
        self._proposals.keep_weights(models.encode(learnt))  # Last: whoever finds them scores nobody again.
        self._learnt = learnt

    def _take(self, changed: set[int]) -> set[int]:
        """Put the profiles that changed into the index as they are now; those to be scored, with those who are gone."""
        ids = sorted(changed)
        for n in range(0, len(ids), _LOAD):
            some = ids[n : n + _LOAD]
            found = self._state.survivors(some)
            for profile in some:
                data = found.get(profile)
                decoded = None if data is None else profiles.decode(data)
                if decoded is None or decoded.id != profile:
                    self._index.drop(profile)
                else:
                    self._index.put(profile, of_profile(decoded))
        return changed

    def _score(self, scored: set[int], cursor: int) -> None:
        found: list[Proposal] = []
        tied: list[Tie] = []
        thresholds = self._thresholds
        for profile in scored:
            pairs = list(self._index.score(profile, self._scorer))
            found += self._index.weigh(profile, pairs, thresholds)
            tied += ties(profile, pairs)
        self._proposals.put(found, scored, cursor, tied)
        self._cursor = cursor


def in_force(said: Matching, given: Thresholds) -> Thresholds:
    """The thresholds of the rules of identity, or where these say none those of the settings."""
    link = said.link or given.link
    return Thresholds(link, min(link, said.review or given.review))


def people(state: State, partitions: int) -> Iterator[tuple[int, Record]]:
    """Every profile with its record, by partition and id."""
    for partition in range(partitions):
        after = 0
        while ids := state.profile_ids(partition, after, _LOAD):
            for profile, data in state.survivors(ids).items():
                yield profile, of_profile(profiles.decode(data))
            after = ids[-1]


def _changed(effects: list[effect.AnyEffect | effect.Skipped]) -> Iterator[int]:
    """Whose record may be another by these effects."""
    for each in effects:
        if isinstance(each, Merged):
            yield each.profile
            yield each.absorbed
        elif isinstance(each, Moved | Split):
            yield each.profile
            yield each.former
        elif isinstance(each, Changed) or (isinstance(each, Admitted) and each.name in _TELLING):
            yield each.profile


_TELLING = ("identify", "alias")
"""Events that may bring an identifier without changing a trait."""


def loop(matcher: Matcher, rest: Rest, pulse: Pulse, stopped: Callable[[], bool]) -> None:
    """Turn until stopped. Trouble with an engine or the disk is waited out."""
    while not stopped():
        try:
            more = matcher.turn()
        except StorageError as error:
            log.warning("profiles cannot be matched just now", code=error.code, reason=str(error))
            pulse.beat(f"{error.code}: {error}")
            rest.pause(_AWAY_S)
            continue
        pulse.beat()
        if not more:
            rest.rest(_RESTS_S)


def run(settings: Settings) -> None:
    """Be the match role until SIGTERM or SIGINT."""
    clock: Clock = SystemClock()
    place, rest = Place.open(settings), Rest()
    stopped, pulse = stop_signals(rest), Pulse(clock)
    with ExitStack() as stack:
        stack.callback(rest.close)
        stack.enter_context(told(pulse, settings.host, settings.health_port))
        proposals = stack.enter_context(closing(place.proposals(clock)))
        opened = _opened(place, rest, pulse, stopped)
        if opened is None:
            return
        state, partitions = opened
        stack.enter_context(closing(state))
        rest.hear(state.watch())
        writer = stack.enter_context(closing(place.log_writer(clock)))
        thresholds = Thresholds(settings.matching_link, settings.matching_review)
        matcher = Matcher(state, proposals, partitions, thresholds, SureLinks(state, proposals, writer, clock))
        log.info("matching profiles", people=len(matcher))
        loop(matcher, rest, pulse, stopped)
        log.info("stopped")


def _opened(place: Place, rest: Rest, pulse: Pulse, stopped: Callable[[], bool]) -> tuple[State, int] | None:
    """State and the number of partitions, once others have made them; None: told to stop before that."""
    while not stopped():
        try:
            with closing(place.log_reader()) as reader:
                partitions = reader.partitions
            return place.state(readonly=True), partitions
        except (NotFoundError, Unavailable) as error:
            pulse.beat(str(error))
            rest.pause(_AWAY_S)
    return None
