"""A commit in the making: what its parts have changed so far, over what the state and the commit before it say."""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence

from onefold.core.batch import Batch, Incoming
from onefold.core.run import Run
from onefold.model.changes import Changed, Changes, Cursor
from onefold.model.profile import Profile
from onefold.ports import Loaded

Encode = Callable[[dict[int, Profile], dict[int, bytes]], None]
"""Encodes those of these profiles that are not among the encoded, and puts them there."""


class Part:
    """What one partition adds to a commit."""

    def __init__(self, run: Run, before: Cursor) -> None:
        self.run = run
        self.before = before
        self.cursor = before
        """Where the partition is after what has been folded so far."""
        self.taken = 0
        """Records that have been folded."""
        self.events = 0
        """Events that these were."""
        self.batches: list[Batch] = []
        """What the run has folded; kept only while others commit, too."""


class Pending:
    """A commit in the making: its parts, each made on what those before it have left, and what they have read."""

    def __init__(self, snapshot: int, before: "Pending | None" = None) -> None:
        """`before`: a commit under way on which this one is made: the state may not show yet what it holds."""
        self.snapshot = snapshot
        self.before = before
        self.parts: list[Part] = []
        self._identifiers: dict[str, int] = {}
        self.read: dict[int, bytes] = {}
        """Profiles that the commit has read."""
        self.seen: dict[bytes, int] = {}
        """Messages of the commit that were admitted before, and when: others must not have admitted them since."""
        self.encoded: dict[int, bytes] = {}
        """Profiles as they are to be committed, from an attempt that met a conflict."""
        self._absorbed: set[int] = set()
        """Profiles that are no more, though the commit before may still hold them."""

    def begin(self, run: Run, before: Cursor) -> Part:
        """The next part."""
        self.parts.append(Part(run, before))
        return self.parts[-1]

    @property
    def events(self) -> int:
        """How many events it has by now."""
        return sum(part.events for part in self.parts)

    def part_of(self, partition: int) -> Part | None:
        """What this partition adds to it, if there is any."""
        return next((part for part in self.parts if part.run.partition == partition), None)

    def touched(self, profile_id: int) -> Profile | None:
        """A profile that the commit has made or changed, or the one before it."""
        for part in self.parts:
            if (profile := part.run.touched.get(profile_id)) is not None:
                return profile
        if self.before is None or profile_id in self._absorbed:
            return None
        return self.before.touched(profile_id)

    def moved(self, names: list[str]) -> dict[str, int]:
        """Those of these identifiers that the commit has given to somebody, or the one before it → to whom."""
        owners = {} if self.before is None else self.before.moved(names)
        for part in self.parts:
            if moved := part.run.moved:
                owners |= {name: moved[name] for name in names if name in moved}
        return owners

    def admitted(self, messages: Collection[bytes]) -> dict[bytes, int]:
        """Those of these messages that the commit has admitted, or the one before it → when."""
        found = {} if self.before is None else self.before.admitted(messages)
        for part in self.parts:
            found |= part.run.messages.among(messages)
        return found

    def forget(self, absorbed: Iterable[int]) -> None:
        """These profiles are no more, whichever part has touched them."""
        for profile_id in absorbed:
            for part in self.parts:
                part.run.touched.pop(profile_id, None)
        self._absorbed.update(absorbed)

    def follow(self, snapshot: int) -> None:
        """The commit before this one is made: this snapshot, or where others were in between, one after it."""
        self.snapshot = snapshot
        self.before = None

    def share_timers(self) -> None:
        """A profile that several parts touch has one timer: the last of them says what it was before the commit."""
        last: dict[int, Run] = {}
        for part in self.parts if len(self.parts) > 1 else ():
            armed = part.run.armed
            for one in last.keys() & armed.keys():
                armed[one] = last[one].armed.pop(one)
            last |= dict.fromkeys(armed, part.run)

    @property
    def can_be_mended(self) -> bool:
        """Whether people can be folded again: what has been folded is kept, and rests on nothing but the state."""
        return self.before is None and all(part.batches for part in self.parts)

    def messages(self) -> set[bytes]:
        """Those that it admits."""
        return {message for part in self.parts for message in part.run.messages}

    def is_news(self, seen: Mapping[bytes, int]) -> bool:
        """Whether others have admitted one of these messages meanwhile. `seen`: message → when it was admitted."""
        return any(self.seen.get(message) != at_ms for message, at_ms in seen.items())

    def has_met(self, changed: Changed) -> bool:
        """Whether it has read or changed any of what somebody else has changed, so that it would be refused."""
        if not (changed.profiles.isdisjoint(self.read) and changed.identifiers.isdisjoint(self._identifiers)):
            return True
        runs = [part.run for part in self.parts]
        return not all(
            changed.profiles.isdisjoint(run.armed) and changed.identifiers.isdisjoint(run.moved) for run in runs
        )

    def concerned(self, changed: Changed) -> set[int]:
        """Whose results may be others now that somebody else has changed these, in any part."""
        people, before = self._met(changed), -1
        while len(people) != before:
            before = len(people)
            for part in self.parts:
                people |= part.run.concerned(Changed(people, changed.identifiers))
        return people

    def _met(self, changed: Changed) -> set[int]:
        """Those of these profiles that it has read or changed."""
        here = changed.profiles & self.read.keys()
        for part in self.parts:
            armed = part.run.armed
            here |= {one for one in changed.profiles if one in armed}
        return here

    def retract(self, people: set[int]) -> list[tuple[Part, list[Incoming]]]:
        """Undo all that was done to these people: in each part, the events which are to be folded again."""
        for profile_id in people:
            self.encoded.pop(profile_id, None)
        retracted = [(part, part.run.retract(people)) for part in self.parts]
        return [
            (part, [each for batch in part.batches for each in batch.incoming if each.position in positions])
            for part, positions in retracted
        ]

    def reads(self, owners: dict[str, int], here: Iterable[int]) -> None:
        """Remember what was read, for the commit to check."""
        self._identifiers |= owners
        self.read.update(dict.fromkeys(here, b""))

    def loaded(self) -> Loaded:
        """All reads, as of the snapshot from before the first."""
        return Loaded(self.snapshot, self._identifiers, self.read, self.seen)

    def encode(self, parts: Sequence[Changes], encode: Encode) -> None:
        """Encode what these have changed, each profile once, as it is in the end; what is encoded already stays."""
        later: set[int] = set()
        for changes in reversed(parts):
            if later:
                changes.profiles = {one: profile for one, profile in changes.profiles.items() if one not in later}
            if len(parts) > 1:
                later.update(changes.profiles)
            encode(changes.profiles, self.encoded)
