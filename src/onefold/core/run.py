"""What the step gathers while it goes through the batches of a commit; at the end it is their `Changes`."""

from collections import defaultdict
from collections.abc import Container, Iterable
from typing import Any, NamedTuple

from msgspec import structs

from onefold.core.gathered import PYTHON, Containers, Instants
from onefold.core.identity.rulebook import rulebook_of
from onefold.core.identity.rules import MOST_IDENTIFIERS
from onefold.language.keeping.accounts import begin_telling
from onefold.language.stream.program import Program, Trigger
from onefold.model.account import ACCOUNTS
from onefold.model.changes import Changed, Changes, Cursor, View
from onefold.model.definitions import is_shadow
from onefold.model.effect import Changed as TraitsChanged
from onefold.model.effect import Entered, Hot, Hushed, Left
from onefold.model.position import is_account
from onefold.model.profile import Profile
from onefold.model.quarantined import Quarantined
from onefold.model.rules import Rules

NOTHING: frozenset[str] = frozenset()
REFUSED = "links_refused."
"""Before the rule, in the name of the count of links that it refused."""
OTHER_LIMIT = "most_of_other_types"
"""How limits of types are counted that no rule names: events may bring any number of such types."""


class Parted(NamedTuple):
    """Links that somebody has undone."""

    pairs: frozenset[tuple[str, str]] = frozenset()
    """Both orders of each: an event that has both says nothing of them."""
    loose: frozenset[str] = frozenset()
    """Identifiers that join nobody."""


class Run:
    """What the batches of one commit have changed so far, over the view of the batch under way."""

    def __init__(
        self,
        partition: int,
        program: Program,
        rules: Rules,
        forgotten_ms: int = 0,
        containers: Containers = PYTHON,
    ) -> None:
        self.partition = partition
        self.program = program
        self.rules = rules
        self.rulebook = rulebook_of(rules.identity)
        """What the workspace says of identity; None: nothing."""
        self.forgotten_ms = forgotten_ms
        """The cursor's, before the first batch."""
        self.new_profile = containers.profile
        self.see(View({}, {}, {}))
        self.touched: dict[int, Profile] = {}
        self.armed = containers.instants()
        """What was armed for each touched profile before the first batch."""
        self.moved: dict[str, int] = {}
        self.absorbed: dict[int, int] = {}
        self.freed: list[str] = []
        """Identifiers that lead to nobody any more."""
        self.returned: list[int] = []
        """Profiles that may have ended in a merge before, and are there again."""
        self.parted: Parted | None = None
        """What was undone, of people who are folded anew and have no notes of it yet."""
        self.shared: frozenset[str] = NOTHING
        """Identifiers that are known to be several people's before an event has shown it, as people are regrouped."""
        self.founded: set[int] = set()
        """Accounts that were not known before."""
        self.refused: list[tuple[int, str]] = []
        """Links that were refused: of which event's person, by which rule."""
        self.members: defaultdict[str, Instants] = defaultdict(containers.instants)
        self.messages = containers.messages()
        self.effects = containers.effects()
        self.quarantined: list[Quarantined] = []
        self.counts: dict[str, int] = {}
        self.changed: dict[str, Any] = {}
        """Traits that the event under way has given new values, until they are told."""
        self.moves: list[tuple[str, bool]] = []
        """Audiences that its profile has entered (True) or left by it, until that is told."""
        self.bonds: list[tuple[int, int]] = []
        """Profiles that met in one event, people or a person and an account: one may depend on the other."""
        self.with_accounts = False
        """Whether the view has the account of everybody who may have to be given its values. That of a batch of events
        has just those which these name: what came of them would depend on how events are batched."""
        self.quiet: Container[str] = NOTHING
        """Traits and audiences that change untold at the moment."""
        self.admitted = 0
        self.position = 0
        self.n = 0
        self.now_ms = 0

    def see(self, view: View) -> None:
        """The next batch's view. What is in it and was changed by batches before it is as they left it."""
        self.owners = view.identifiers
        self.profiles = view.profiles
        self.seen = view.seen

    def at(self, position: int, now_ms: int) -> None:
        """All that follows is caused by the event (or entry) at this position."""
        self.position = position
        self.n = 0
        self.now_ms = now_ms

    def number(self) -> int:
        """The next effect's number."""
        self.n += 1
        return self.n - 1

    def touch(self, profile: Profile) -> None:
        """This profile changes; to be said before it does, and once is enough."""
        profile_id = profile.id
        if profile_id not in self.touched:
            self.touched[profile_id] = profile
            self.armed[profile_id] = profile.due_ms

    def program_of(self, profile: Profile) -> Program:
        """The definitions that say what a profile keeps, and judge it."""
        accounts = self.program.accounts
        return self.program if accounts is None or not is_account(profile.id) else accounts

    def count(self, name: str, n: int = 1) -> None:
        """Add to one of the partition's counts."""
        self.counts[name] = self.counts.get(name, 0) + n

    def judge(self, profile: Profile, triggers: Iterable[Trigger], reason: str) -> None:
        """Judge what these triggers may have changed, and tell, together with what is to be told already."""
        self.program_of(profile).judge_some(triggers, profile, self.now_ms, self.changed, self.moves)
        self.tell(profile, reason)

    def tell(self, profile: Profile, reason: str) -> None:
        """Effects and memberships of what has changed; of what is quiet or in shadow, none that are told."""
        if is_account(profile.id):
            self._publish(profile)
            return
        if self.quiet or self.program.has_shadow or reason == "definition":
            self._hush(profile.id)
        if self.changed:
            self.effects.append(TraitsChanged(profile.id, self.position, self.n, self.now_ms, self.changed))
            self.n += 1
            self.changed = {}
        if not self.moves:
            return
        one, position, now_ms, number = profile.id, self.position, self.now_ms, self.n
        members, add = self.members, self.effects.append
        for audience, entered in self.moves:
            if entered:
                members[audience][one] = now_ms
                add(Entered(one, position, number, now_ms, audience))
            else:
                members[audience][one] = 0
                add(Left(one, position, number, now_ms, audience, reason))
            number += 1
        self.n = number
        self.moves = []

    def _publish(self, account: Profile) -> None:
        """What has changed of an account has no effect of its own: its members are told, if they are judged by it."""
        if not self.program.of_account.isdisjoint(self.changed):
            begin_telling(account.slots, self.now_ms, hushed=bool(self.quiet))
            account.due_ms = min(account.due_ms, self.now_ms)
        self.changed = {}

    def _hush(self, one: int) -> None:
        """Note the memberships of which nobody is to be told, and let go of such changes.

        Those that are quiet at the moment; and whatever runs in shadow, or ran so under the definitions before.
        """
        moves = []
        for audience, entered in self.moves:
            quiet, shadow = audience in self.quiet, is_shadow(audience)
            if not quiet and not shadow:
                moves.append((audience, entered))
                continue
            self.members[audience][one] = self.now_ms if entered else 0
            if not shadow:
                self.effects.append(Hushed(one, self.position, self.n, self.now_ms, audience, entered))
        self.moves = moves
        changed = self.changed.items()
        self.changed = {name: value for name, value in changed if name not in self.quiet and not is_shadow(name)}

    def _counted(self) -> dict[str, int]:
        """All counts, with those that follow from what is left after whatever was retracted."""
        counts = dict(self.counts)
        if self.admitted:
            counts["admitted"] = self.admitted
        if self.absorbed:
            counts["merges"] = len(self.absorbed)
        for _, rule in self.refused:
            name = REFUSED + (rule.partition(":")[0] if self._is_known(rule) else OTHER_LIMIT)
            counts[name] = counts.get(name, 0) + 1
        if self.rulebook is not None and (hot := sum(type(effect) is Hot for effect in self.effects)):
            counts["hot_identifiers"] = hot
        if self.founded or ACCOUNTS in counts:
            counts[ACCOUNTS] = len(self.founded)
        return counts

    def _is_known(self, rule: str) -> bool:
        """Whether the rule is one of a bounded number."""
        rule = rule.partition(":")[0]
        kind = rule.removeprefix("most_")
        return rule in {kind, MOST_IDENTIFIERS} or self.rulebook is None or kind in self.rulebook.limits

    def concerned(self, changed: Changed) -> set[int]:
        """Whose results may be others now that somebody else has changed these; closed under bonds."""
        people = changed.profiles | {self.moved[name] for name in changed.identifiers if name in self.moved}
        grown = True
        while grown:
            met = {one for bond in self.bonds if not people.isdisjoint(bond) for one in bond}
            grown = not met <= people
            people |= met
        return people

    def retract(self, people: Container[int]) -> set[int]:
        """Undo all that was done to these people; the positions of their events, which are to be folded again."""
        positions = self.effects.retract(people)
        for of_audience in self.members.values():
            of_audience.let_go(people)
        self.moved = {identifier: owner for identifier, owner in self.moved.items() if owner not in people}
        self.touched = {one: profile for one, profile in self.touched.items() if one not in people}
        self.armed.let_go(people)
        self.absorbed = {one: survivor for one, survivor in self.absorbed.items() if one not in people}
        self.bonds = [bond for bond in self.bonds if bond[0] not in people]
        self.founded.difference_update([one for one in self.founded if one in people])
        self.refused = [refused for refused in self.refused if refused[0] not in people]
        self.admitted -= len(positions)
        return positions

    def changes(self, cursor: Cursor) -> Changes:
        """Everything that the batches did; the partition is at `cursor` then, but for what it has forgotten by now."""
        forgotten_ms = max(cursor.forgotten_ms, cursor.now_ms - self.rules.dedupe_window_ms)
        return Changes(
            partition=self.partition,
            cursor=structs.replace(cursor, forgotten_ms=forgotten_ms),
            profiles=self.touched,
            identifiers=self.moved,
            absorbed=self.absorbed,
            due=self.armed.to_arm(self.touched),
            members=self.members,
            messages=self.messages,
            effects=self.effects,
            quarantined=self.quarantined,
            counts=self._counted(),
            freed=self.freed,
            returned=self.returned,
        )
