"""Preview: what a change of the definitions would do to people, computed over history before it is applied.

Both versions, the one in force and the one that is wanted, are computed over the same events as of one instant, so that
they differ by what was changed and by nothing else. Counts are exact. Only the days behind are counted over a share of
the people where all of them would take too long, and the answer says so.
"""

from collections.abc import Callable, Mapping
from contextlib import closing
from itertools import islice

from msgspec import Struct

from onefold.errors import DefinitionError, NotFoundError, NotInSql
from onefold.language.reading.check import checked
from onefold.language.sql.compile import Given, compile_sql
from onefold.language.suggest import nearest
from onefold.limits import PREVIEW_AUDIENCES_MAX, PREVIEW_OVERLAPS_MAX
from onefold.model.definitions import Definitions
from onefold.ports import HistoryReader
from onefold.runtime.previewing import change
from onefold.runtime.previewing.days import Movement, days_before, movements
from onefold.runtime.previewing.overlaps import overlaps, shared
from onefold.runtime.previewing.parts import copy_accounts, copy_mentioned, copy_seen, find_roots, parts
from onefold.runtime.previewing.samples import Person, people_with, sample
from onefold.storage.history.asking import Asking, Means

Progress = Callable[[str, int, int], None]
"""(what comes now, how many steps are done, of how many)."""


class Question(Struct, frozen=True):
    """What is to be previewed."""

    before: Definitions
    """Those in force."""
    after: Definitions
    """Those that are wanted."""
    as_of_ms: int
    audience: str = ""
    """Only this one, whether it changes or not; empty: all that would mean something else."""
    days: int = 30
    samples: int = 10


class Moved(Struct, frozen=True):
    """People who enter, or who leave, and some of them."""

    people: int
    samples: list[Person]


class Overlap(Struct, frozen=True):
    """How many are in both audiences."""

    audience: str
    people: int


class AudiencePreview(Struct, frozen=True):
    """One audience under the wanted definitions, against those in force."""

    name: str
    change: str
    """`new`, `gone`, `changed` (itself or a trait that it names, however far), or `same`."""
    expression: str
    people: int
    """Who match, as of the instant that was asked about."""
    before: int | None
    """Who match under the definitions in force; None where there is no such audience yet."""
    samples: list[Person]
    enters: Moved
    leaves: Moved
    overlaps: list[Overlap]
    """With other audiences under the wanted definitions, the largest first; empty ones are left out."""
    movement: Movement
    traits: list[str]
    """Computed traits that it depends on."""
    destinations: list[str]
    """Destinations that are told who enters and leaves it."""


class Preview(Struct, frozen=True):
    """The answer."""

    as_of_ms: int
    people: int
    """Everyone whom history knows."""
    events: int
    """Events of history that the definitions mention, and that were counted."""
    audiences: list[AudiencePreview]
    left_out: dict[str, str]
    """Audience → why it cannot be previewed."""


def preview(
    history: HistoryReader, question: Question, means: Means | None = None, progress: Progress | None = None
) -> Preview:
    """Answer a question. Raises `NotFoundError` for an unknown audience, `DefinitionError` for mistakes in definitions.

    Also raises what `Asking` raises: it is bounded in memory, threads and time.
    """
    with closing(Asking(history, means or Means())) as asking:
        return Previewing(asking, question).answer(progress or _silence)


def _silence(_what: str, _done: int, _of: int) -> None:
    """Tell nobody."""


class Previewing:
    """A preview under way; another thread may cancel it by its `Asking`."""

    def __init__(self, asking: Asking, question: Question) -> None:
        """Raises what `preview` raises for a question that cannot be asked."""
        self._asking = asking
        self._question = question
        self._before, self._after = (checked(each, stored=True) for each in (question.before, question.after))
        if self._after.problems:
            raise DefinitionError([f"{p.part} {p.name}: {p.message}" for p in self._after.problems])
        self._changes = change.audiences(self._before, self._after)
        self._left_out: dict[str, str] = {}
        self._names = list(islice(filter(self._can, self._chosen()), PREVIEW_AUDIENCES_MAX))
        others = (name for name in self._after.audiences if name not in self._names and self._can(name, tell=False))
        self._others = list(islice(others, PREVIEW_OVERLAPS_MAX))
        sides = (("after", self._after), ("before", self._before))
        wanted = {label: [name for name in self._names if name in side.audiences] for label, side in sides}
        wanted["after"] += sorted({trait for name in self._names for trait in self._traits(name)})
        self._plan = compile_sql({"after": self._after, "before": self._before}, wanted)
        self._columns = {(o.label, o.name): o.column for o in self._plan.outputs if o.audience}
        self._trait_columns = {o.name: o.column for o in self._plan.outputs if not o.audience}
        self._instants = days_before(question.as_of_ms, question.days)

    def answer(self, progress: Progress) -> Preview:
        """Compute it, step by step."""
        asking, as_of_ms = self._asking, self._question.as_of_ms
        asking.know(self._plan.functions)
        progress("reading the events that are mentioned", 0, _STEPS)
        merged = find_roots(asking, as_of_ms)
        instants = [as_of_ms, *self._instants]
        events = copy_mentioned(asking, self._plan, instants)
        copy_accounts(asking, self._plan, instants)
        (profiles,) = asking.row(f"SELECT count(DISTINCT profile) FROM events WHERE received_ms <= {as_of_ms}")
        progress("counting people", 1, _STEPS)
        counts = self._count(events)
        both = overlaps(asking, self._after, self._after_columns(), self._others, as_of_ms)
        progress("looking at some of them", 2, _STEPS)
        samples = self._samples()
        progress("counting the days behind", 3, _STEPS)
        moves = self._movements(counts)
        progress("done", _STEPS, _STEPS)
        found = [self._audience(name, counts, samples, moves, both) for name in self._names]
        return Preview(as_of_ms, profiles - merged, events, found, self._left_out)

    # --- what is asked about -----------------------------------------------------------------------------------
    def _chosen(self) -> list[str]:
        wanted = self._question.audience
        if not wanted:
            return [name for name, change_ in self._changes.items() if change_ != "same"]
        if wanted not in self._changes:
            near = nearest(wanted, self._changes)
            raise NotFoundError(f"there is no audience {wanted!r}{f'; did you mean {near!r}?' if near else ''}")
        return [wanted]

    def _can(self, name: str, *, tell: bool = True) -> bool:
        """Whether history can be asked about an audience, under both definitions."""
        try:
            for one in (self._after, self._before):
                if name in one.audiences:
                    compile_sql({"": one}, {"": [name]})
        except NotInSql as error:
            if tell:
                self._left_out[name] = str(error)
            return False
        return True

    # --- counting --------------------------------------------------------------------------------------------
    def _count(self, events: int) -> dict[str, int]:
        """Make `members`, who are in any of the audiences now; condition → how many meet it."""
        as_of_ms, plan, asking = self._question.as_of_ms, self._plan, self._asking
        columns = [*self._columns.values()]
        blank = asking.row(plan.blank([as_of_ms], columns))[1:]
        all_of_them = plan.asks_of_everyone or any(blank)
        if all_of_them:
            copy_seen(asking, as_of_ms)
        any_of_them = " OR ".join(columns) or "false"
        declared = "".join(f", {column} BOOLEAN" for column in columns)
        asking.run(f"CREATE TEMP TABLE members (now_ms BIGINT, person BIGINT{declared})")
        whole = Given("picked", "seen_events", not all_of_them, frozenset(columns), accounts=True)
        for given in parts(asking, whole, events * plan.aggregates):
            asking.run(f"INSERT INTO members SELECT * FROM ({plan.values([as_of_ms], given)}) WHERE {any_of_them}")
        return self._conditions(shared(asking, columns))

    def _conditions(self, people: Mapping[tuple[str, str], int]) -> dict[str, int]:
        """Condition → how many meet it, of two columns of `members` → who are in both."""
        found: dict[str, int] = {}
        for name in self._names:
            after, before = self._in("after", name), self._in("before", name)
            of_after, of_before, stay = (
                people.get(pair, 0) for pair in ((after, after), (before, before), (after, before))
            )
            found |= {after: of_after, before: of_before}
            found |= {self._enters(name): of_after - stay, self._leaves(name): of_before - stay}
            columns = self._after_columns()
            found |= {self._both(name, other): people.get((after, columns[other]), 0) for other in columns}
        return found

    def _after_columns(self) -> dict[str, str]:
        """Audience that is asked about and is among the wanted → its column."""
        return {name: self._columns["after", name] for name in self._names if name in self._after.audiences}

    def _in(self, label: str, name: str) -> str:
        return self._columns.get((label, name), "false")

    def _enters(self, name: str) -> str:
        return f"({self._in('after', name)} AND NOT {self._in('before', name)})"

    def _leaves(self, name: str) -> str:
        return f"({self._in('before', name)} AND NOT {self._in('after', name)})"

    def _both(self, name: str, other: str) -> str:
        return f"({self._in('after', name)} AND {self._in('after', other)})"

    # --- people ----------------------------------------------------------------------------------------------
    def _samples(self) -> dict[str, list[Person]]:
        """Condition → some who meet it, the same ones each time."""
        conditions = {
            condition: name
            for name in self._names
            for condition in (self._in("after", name), self._enters(name), self._leaves(name))
        }
        found = {
            condition: [
                person
                for (person,) in self._asking.rows(
                    f"SELECT person FROM members WHERE {condition} ORDER BY hash(person) LIMIT {self._question.samples}"
                )
            ]
            for condition in conditions
        }
        people = sorted({one for some in found.values() for one in some})
        traits = people_with(self._asking, self._plan, people, self._trait_columns, self._question.as_of_ms)
        return {
            condition: [sample(one, traits.get(one, {}), self._traits(conditions[condition])) for one in some]
            for condition, some in found.items()
        }

    def _traits(self, name: str) -> list[str]:
        """Those that it depends on under the wanted definitions."""
        return change.traits_of(self._after, name) if name in self._after.audiences else []

    # --- days ------------------------------------------------------------------------------------------------
    def _movements(self, counts: Mapping[str, int]) -> dict[str, Movement]:
        columns = self._after_columns()
        if not columns or not self._instants:
            return {}
        if self._plan.asks_of_everyone:
            copy_seen(self._asking, self._question.as_of_ms)
        found = movements(self._asking, self._plan, columns, self._instants)
        return {name: movement.ending(counts[columns[name]]) for name, movement in found.items()}

    # --- the answer ------------------------------------------------------------------------------------------
    def _audience(
        self,
        name: str,
        counts: Mapping[str, int],
        samples: Mapping[str, list[Person]],
        moves: Mapping[str, Movement],
        both: Mapping[tuple[str, str], int],
    ) -> AudiencePreview:
        question, enters, leaves = self._question, self._enters(name), self._leaves(name)
        shared = [Overlap(each, counts[self._both(name, each)]) for each in self._after_columns() if each != name]
        shared += [Overlap(other, people) for (inside, other), people in both.items() if inside == name]
        return AudiencePreview(
            name=name,
            change=self._changes[name],
            expression=change.expressions(question.after, question.before)[name],
            people=counts[self._in("after", name)],
            before=counts[self._in("before", name)] if name in self._before.audiences else None,
            samples=samples[self._in("after", name)],
            enters=Moved(counts[enters], samples[enters]),
            leaves=Moved(counts[leaves], samples[leaves]),
            overlaps=sorted((each for each in shared if each.people), key=lambda each: (-each.people, each.audience)),
            movement=moves.get(name, Movement([], 1.0)),
            traits=self._traits(name),
            destinations=change.destinations_of(question.after, name),
        )


_STEPS = 4
