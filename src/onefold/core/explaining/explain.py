"""Explain: why a profile has a trait's value, or is in an audience or not.

The values are the state's. Beside them stands what the person's events make when they are folded once more, alone;
where that is something else, it is said, with the reason. So an explanation never hides what it cannot explain.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

from msgspec import structs

from onefold.core.batch import Incoming
from onefold.core.explaining.deciding import Deciding
from onefold.core.explaining.retrace import counting, name_of, read, retrace
from onefold.core.explaining.turning import Turns, alike, turns
from onefold.language import nodes as n
from onefold.language.keeping import accounts as keeping
from onefold.language.stream.probe import Probe, Probed
from onefold.limits import HOUR_MS, PERCENTILE_VALUES_MAX, SEQUENCE_EVENTS_MAX, UNIQUE_VALUES_MAX
from onefold.model import profile as profiles
from onefold.model.explanation import Answer, Evidence, Explanation, Ground, Note, Part
from onefold.model.past import Past
from onefold.model.profile import Profile


def explain(
    asked: Probed, profile: Profile, pasts: Sequence[Past], now_ms: int, since: Mapping[str, int] | None = None
) -> Explanation:
    """Why the answer to `asked` is what the profile says, at `now_ms`.

    `pasts` are the person's events, each once, in any order; not all of them where not all are kept. `since` says of
    slots in which log time they began to count: ask `unsettled` which of them are wanted. The profile is left as it is.
    Cost: each event is folded twice, then time passes as in `turning.turns`.
    """
    return _Explaining(asked, profile, pasts, now_ms, since or {}).explanation()


def unsettled(explanation: Explanation) -> frozenset[str]:
    """The slots in which the state and the events differ, so that it matters since when they count."""
    answers = (explanation.answer, *explanation.rests_on)
    return frozenset(part.slot for answer in answers for part in answer.whole.walk() if part.slot and part.differs)


def present(profile: Profile, now_ms: int) -> int:
    """The instant that a profile's values are of: now, or when it was last judged where a timer is late."""
    return max(profile.now_ms, now_ms) if profile.due_ms > now_ms else profile.now_ms


class _Explaining:
    def __init__(
        self, asked: Probed, profile: Profile, pasts: Sequence[Past], now_ms: int, since: Mapping[str, int]
    ) -> None:
        self._asked = asked
        self._profile = profile
        self._late_ms = profile.due_ms if profile.due_ms <= now_ms else None
        self._at_ms = present(profile, now_ms)
        self._state = _of_program(profile, asked, self._at_ms)
        self._pasts = sorted(pasts, key=lambda past: (past.received_ms, past.partition, past.position))
        self._events = read(asked.program, self._pasts)
        self._made = self._alone(self._events)
        self._made_since: dict[int, Profile] = {}
        self._begun = dict(self._beginnings(since))
        self._deciding = Deciding(self._state, self._events, self._counting(), asked.timezone)
        self._turns: Turns = turns(asked, self._state, self._at_ms)

    def explanation(self) -> Explanation:
        decided: frozenset[int] = frozenset()
        answers = []
        for name, probe in self._asked.probes.items():
            decided = self._deciding.whole(name, probe)
            answers.append(self._answer(name, probe))
        *others, answer = answers
        profile = self._profile
        return Explanation(
            profile=profile.id,
            version=self._asked.program.version,
            at_ms=self._at_ms,
            answer=answer,
            rests_on=tuple(reversed(others)),
            grounds=self._grounds((index, None) for index in decided),
            confirmed=self._confirmed(decided, answer),
            events=profile.events,
            seen=len(self._pasts),
            since_ms=profile.audiences.get(answer.name) if answer.kind == "audience" else None,
            late_ms=self._late_ms,
            beyond_ms=self._at_ms if self._asks_for_account() else self._turns.beyond_ms,
            kept_out=tuple(sorted(profile.noted().full)) if profile.notes else (),
            hot=tuple(sorted(profile.noted().hot)) if profile.notes else (),
        )

    def _asks_for_account(self) -> bool:
        """Whether anything is the account's: when that will change by itself, the person's events do not tell."""
        return any(isinstance(each.node, n.OfAccount) for whole in self._asked.probes.values() for each in whole.walk())

    def _confirmed(self, decided: frozenset[int], answer: Answer) -> bool:
        """Try it: whether these events alone give the same answer."""
        events = [self._events[index] for index in sorted(decided)]
        alone = self._alone(events)
        value = answer.name in alone.audiences if answer.kind == "audience" else alone.computed.get(answer.name)
        return alike(value, answer.value)

    def _alone(self, events: Sequence[Incoming]) -> Profile:
        """What these events make of nothing but the person's identifiers."""
        link = keeping.link(self._state.slots)
        return retrace(self._asked.program, events, self._at_ms, self._profile.identifiers, link)

    def _answer(self, name: str, probe: Probe) -> Answer:
        audience = name in self._asked.program.audience_names
        value = name in self._profile.audiences if audience else self._profile.computed.get(name)
        return Answer(
            name,
            "audience" if audience else "trait",
            self._asked.expressions[name],
            self._asked.descriptions[name],
            value,
            self._part(name, probe),
            self._turns.turns.get((name, probe.number)),
        )

    def _part(self, name: str, probe: Probe) -> Part:
        value = probe.value(self._state, self._at_ms)
        derived = probe.value(self._made, self._at_ms)
        differs = not alike(value, derived)
        node = probe.node
        part = Part(
            number=probe.number,
            kind=_KINDS.get(type(node), type(node).__name__.lower()),
            text=probe.text,
            column=probe.column,
            end=probe.end,
            value=value,
            parts=tuple(self._part(name, inner) for inner in probe.parts),
            instant=probe.instant,
            turn=self._turns.turns.get((name, probe.number)),
            evidence=self._evidence(probe),
            derived=derived if differs else None,
            differs=differs,
            slot=n.slot(node) if isinstance(node, n.Kept) else "",
            operator=node.op if isinstance(node, n.Compare | n.Arithmetic) else "",
            names=node.name if isinstance(node, n.TraitRef | n.InAudience) else "",
        )
        notes = _NOTES[type(node)](self, probe, part) if type(node) in _NOTES else ()
        return structs.replace(part, notes=tuple(notes))

    # --- beginnings ------------------------------------------------------------------------------------------
    def _counting(self) -> dict[str, list[int]]:
        """For each slot the events that have counted in it: those since it began to."""
        found = counting(self._asked.program, self._events, self._at_ms)
        for key, begun_ms in self._begun.items():
            found[key] = [index for index in found.get(key, ()) if self._events[index].received_ms >= begun_ms]
        return found

    def _beginnings(self, since: Mapping[str, int]) -> Iterator[tuple[str, int]]:
        """Slots that began to count later than the events came, with when, where that makes the state's value.

        A definition is saved before it comes into force: the first events after that may not have counted.
        """
        for key, probe in self._kept().items():
            if (since_ms := since.get(key)) is None or self._agrees(probe, self._made):
                continue
            later = [each.received_ms for each in self._events if each.received_ms >= since_ms]
            for begun_ms in (since_ms, *(at_ms + 1 for at_ms in later[:_BEGINNINGS] if at_ms < since_ms + HOUR_MS)):
                if self._agrees(probe, self._made_from(begun_ms)):
                    yield key, begun_ms
                    break

    def _kept(self) -> dict[str, Probe]:
        """What a state is kept for, each once, however often it is written, by its slot."""
        return {
            n.slot(probe.node): probe
            for whole in self._asked.probes.values()
            for probe in whole.walk()
            if isinstance(probe.node, n.Kept)
        }

    def _agrees(self, probe: Probe, made: Profile) -> bool:
        return alike(probe.value(made, self._at_ms), probe.value(self._state, self._at_ms))

    def _made_from(self, begun_ms: int) -> Profile:
        """What the events since then make."""
        made = self._made_since.get(begun_ms)
        if made is None:
            later = [each for each in self._events if each.received_ms >= begun_ms]
            made = self._made_since[begun_ms] = self._alone(later)
        return made

    # --- events ----------------------------------------------------------------------------------------------
    def _evidence(self, probe: Probe) -> Evidence | None:
        match probe.node:
            case n.Aggregate() | n.Sequence() as node:
                return self._behind_kept(node, probe)
            case n.Builtin():
                many = len(self._events)
                return Evidence(many, many, many, self._grounds((i, None) for i in self._deciding.of(probe)))
            case n.Declared() | n.OfAccount():
                grounds = self._grounds((i, None) for i in self._deciding.of(probe))
                return Evidence(len(grounds), len(grounds), len(grounds), grounds)
        return None

    def _behind_kept(self, node: n.Kept, probe: Probe) -> Evidence:
        names, reach = n.events_of(node), self._deciding.reach(node)
        named = self._events if "*" in names else [each for each in self._events if name_of(each) in names]
        within = [each for each in named if reach.holds(each.at_ms)]
        counted = self._deciding.counted(probe)
        decisive = self._deciding.of(probe)
        grounds = self._grounds((each.place, each.value) for each in counted if each.place in decisive)
        latest_ms = max((each.at_ms for each in named), default=None)
        return Evidence(len(named), len(within), len(counted), grounds, latest_ms, *reach)

    def _grounds(self, chosen: Iterable[tuple[int, Any]]) -> tuple[Ground, ...]:
        found = [
            Ground(past.partition, past.position, past.at_ms, past.received_ms, past.source, past.name, value)
            for past, value in ((self._pasts[index], value) for index, value in chosen)
        ]
        return tuple(sorted(found, key=_latest, reverse=True))

    # --- notes -----------------------------------------------------------------------------------------------
    def notes_on_kept(self, probe: Probe, part: Part) -> Iterable[Note]:
        """What bounds its exactness, and why the state and the events differ."""
        bounds = list(self._bounds(probe, part))
        yield from bounds
        settled = not part.differs or bool(bounds)
        if part.differs and part.slot in self._begun:
            settled = True
            yield Note("counted_since", "it began to count later than some of them came", self._begun[part.slot])
        if not settled:
            yield self._unexplained()

    def _bounds(self, probe: Probe, part: Part) -> Iterator[Note]:
        """docs/language.md, "Exactness": which of the bounds this person has met here."""
        node = probe.node
        if isinstance(node, n.Sequence):
            if part.evidence is not None and part.evidence.counted > SEQUENCE_EVENTS_MAX:
                yield Note("oldest_let_go", f"of its steps the latest {SEQUENCE_EVENTS_MAX:,} are kept")
            return
        assert isinstance(node, n.Aggregate)
        if node.within_ms is not None and (quantum_ms := self._state.slots.get(part.slot, (1,))[0]) > 1:
            yield Note("window_in_panes", f"the window has so many events that it is exact to {quantum_ms:,} ms only")
        most = _VALUES_MAX.get(node.function, 0)
        if most and part.evidence is not None and part.evidence.counted > most and self._kinds(probe) > most:
            yield Note("sample", f"of more than {most:,} different values a sample is kept")

    def notes_on_known(self, _probe: Probe, part: Part) -> Iterable[Note]:
        """Why what the profile itself keeps is not what its events make."""
        if part.differs:
            yield self._unexplained()

    def notes_on_account(self, _probe: Probe, _part: Part) -> Iterable[Note]:
        """Whose value it is: what the account has is taken as it is, and its events are not looked at."""
        link = keeping.link(self._state.slots)
        if link is None:
            yield Note("account", "no event of the person has named an account")
        else:
            yield Note("account", f"of the person's account {link[keeping.GROUP]}")

    def _unexplained(self) -> Note:
        missing = self._profile.events - len(self._pasts)
        if missing > 0:
            return Note("events_missing", f"{missing:,} of {self._profile.events:,} events are no longer kept")
        return Note("unexplained", "all events are here and make another value")

    def _kinds(self, probe: Probe) -> int:
        return len({repr(each.value) for each in self._deciding.counted(probe)})


_BEGINNINGS = 50
"""Events behind the moment at which a definition was saved that are tried as the first that counted."""
_VALUES_MAX = {
    **dict.fromkeys(("most_frequent", "unique", "unique_count", "top"), UNIQUE_VALUES_MAX),
    "percentile": PERCENTILE_VALUES_MAX,
}
"""Different values up to which aggregates are exact."""
_KINDS: dict[type[n.Node], str] = {
    n.Literal_: "literal", n.TraitRef: "trait", n.InAudience: "audience", n.OfAccount: "account",
}  # fmt: skip
"""Constructs that are called otherwise than their nodes."""
_NOTES: dict[type[n.Node], Callable[[_Explaining, Probe, Part], Iterable[Note]]] = {
    n.Aggregate: _Explaining.notes_on_kept,
    n.Sequence: _Explaining.notes_on_kept,
    n.Builtin: _Explaining.notes_on_known,
    n.Declared: _Explaining.notes_on_known,
    n.OfAccount: _Explaining.notes_on_account,
}


def _of_program(profile: Profile, asked: Probed, at_ms: int) -> Profile:
    """A copy that has nothing of other definitions, so that letting its time pass costs no more than these."""
    one, program = profiles.decode(profiles.encode(profile)), asked.program
    one.now_ms = at_ms
    one.slots = {key: state for key, state in one.slots.items() if key in program.slots}
    if (link := keeping.link(one.slots)) is not None:
        link[keeping.BEHIND] = 0
    one.computed = {name: value for name, value in one.computed.items() if name in program.trait_names}
    one.audiences = {name: at_ms for name, at_ms in one.audiences.items() if name in program.audience_names}
    return one


def _latest(ground: Ground) -> tuple[int, int, int]:
    return ground.at_ms, ground.partition, ground.position
