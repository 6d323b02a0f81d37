"""What a step gathers while it goes through a batch; at the end it is the batch's `Changes`."""

from collections.abc import Iterable
from typing import Any

from onefold.core.rules import Rules
from onefold.language.program import Program, Trigger
from onefold.limits import NEVER_MS
from onefold.model.changes import Changes, Cursor, View
from onefold.model.effect import AnyEffect, Changed, Entered, Left
from onefold.model.profile import Profile
from onefold.model.quarantined import Quarantined


class Run:
    """The view of one batch, overlaid with what the batch has changed so far."""

    def __init__(self, partition: int, view: View, program: Program, rules: Rules) -> None:
        self.partition = partition
        self.program = program
        self.rules = rules
        self.owners = view.identifiers
        self.profiles = view.profiles
        self.seen = view.seen
        self.touched: dict[int, Profile] = {}
        self.armed: dict[int, int] = {}
        """What was armed for each touched profile before the batch."""
        self.moved: dict[str, int] = {}
        self.absorbed: dict[int, int] = {}
        self.members: list[tuple[str, int, int]] = []
        self.messages: dict[bytes, int] = {}
        self.effects: list[AnyEffect] = []
        self.quarantined: list[Quarantined] = []
        self.counts: dict[str, int] = {}
        self.admitted = 0
        self.position = 0
        self.n = 0
        self.now_ms = 0

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
        """This profile changes in this batch; to be said before it does, and once is enough."""
        profile_id = profile.id
        if profile_id not in self.touched:
            self.touched[profile_id] = profile
            self.armed[profile_id] = profile.due_ms

    def count(self, name: str, n: int = 1) -> None:
        """Add to one of the partition's counts."""
        self.counts[name] = self.counts.get(name, 0) + n

    def judge(self, profile: Profile, triggers: Iterable[Trigger], reason: str) -> None:
        """Judge what these triggers may have changed, and tell."""
        changed: dict[str, Any] = {}
        moves: list[tuple[str, bool]] = []
        self.program.judge_some(triggers, profile, self.now_ms, changed, moves)
        self.tell(profile, changed, moves, reason)

    def tell(self, profile: Profile, changed: dict[str, Any], moves: list[tuple[str, bool]], reason: str) -> None:
        """Effects and memberships of what a judge found."""
        if changed:
            self.effects.append(Changed(profile.id, self.position, self.n, self.now_ms, changed))
            self.n += 1
        for audience, entered in moves:
            self.members.append((audience, profile.id, self.now_ms if entered else 0))
            if entered:
                self.effects.append(Entered(profile.id, self.position, self.number(), self.now_ms, audience))
            else:
                self.effects.append(Left(profile.id, self.position, self.number(), self.now_ms, audience, reason))

    def changes(self, cursor: Cursor) -> Changes:
        """Everything that the batch did."""
        due: dict[int, tuple[int, int]] = {}
        for profile_id, armed in self.armed.items():
            profile = self.touched.get(profile_id)
            to_arm = NEVER_MS if profile is None else profile.due_ms
            if armed != to_arm:
                due[profile_id] = (armed, to_arm)
        return Changes(
            partition=self.partition,
            cursor=cursor,
            profiles=self.touched,
            identifiers=self.moved,
            absorbed=self.absorbed,
            due=due,
            members=self.members,
            messages=self.messages,
            effects=self.effects,
            quarantined=self.quarantined,
            counts=self.counts,
        )
