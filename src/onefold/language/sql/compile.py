"""Definitions → DuckDB SQL over history: all traits and audiences of everyone, as of any instants, in one statement.

It reads the relations `events` and `merges` (`storage/history_rows`). As of an instant, the events that had arrived by
then count, people are who they had been merged into by then, windows end then. The values are those that the stream
gives (`docs/language.md`, "Parity"): a definition has one meaning, and this is its second back end.

A statement works in two parts, so that many instants cost one reading of history: `picked`, what the definitions want
to know of each event that they mention, and over it `values`, one row for each person and instant.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import NamedTuple

from msgspec import Struct

from onefold.errors import NotInSql
from onefold.language import nodes as n
from onefold.language.reading.check import Checked
from onefold.language.sql import aggregates
from onefold.language.sql.aggregates import KEYS, Slot
from onefold.language.sql.columns import Kind, Layers, Sql, as_boolean, as_json, dig, path, quoted
from onefold.language.sql.expressions import EventScope, ProfileScope
from onefold.language.sql.fallback import Fallback, has_sql, references
from onefold.language.sql.functions import SqlFunction
from onefold.language.stream.inputs import walk
from onefold.limits import NEVER_MS

_OBJECTS = ("properties", "context", "traits")
_RAW = Sql("json", "raw")
"""The column of an event as Python reads it; made only where something asks for it."""
_EVENT = (
    "'{\"type\":\"' || type || CASE WHEN type = 'track' THEN '\",\"event\":' || to_json(name)::VARCHAR ELSE '\"' END "
    "|| ',\"properties\":' || coalesce(properties, 'null') || ',\"context\":' || coalesce(context, 'null') "
    "|| ',\"traits\":' || coalesce(traits, 'null') || '}'"
)
_DECLARES = {"identify": "type = 'identify'", "group": "type IN ('identify', 'group')"}
_GROUP_ID = "coalesce(json_extract(rest, '$.groupId')::VARCHAR, to_json(group_id)::VARCHAR, 'null')"
_GROUP = (
    "CASE WHEN coalesce(json_exists(traits, '$.id'), false) THEN traits "
    f"WHEN coalesce(traits, '{{}}') = '{{}}' THEN '{{\"id\":' || {_GROUP_ID} || '}}' "
    f"ELSE '{{\"id\":' || {_GROUP_ID} || ',' || substr(traits, 2) END"
)


class Output(Struct, frozen=True):
    """A column of the answer."""

    label: str
    """Which of the sets of definitions it is of."""
    name: str
    audience: bool
    column: str
    kind: Kind
    """Of the value before it became an output: audiences come out as BOOLEAN, traits as JSON text or NULL."""


class Given(NamedTuple):
    """What `values` is computed of."""

    picked: str = ""
    """A relation that holds what `picked` has selected, with no earlier `until_ms`; empty: it is selected."""
    events: str = "events"
    mentioned_only: bool = False
    """Leave out whoever has no row in `picked`: what is true of them, `blank` says."""
    only: frozenset[str] | None = None
    """Columns of the outputs that are wanted; None: all."""


ALL = Given()


class SqlPlan(Struct):
    """The statements of some definitions."""

    outputs: list[Output]
    _compiler: "_Compiler"

    @property
    def asks_of_everyone(self) -> bool:
        """Whether an event counts whatever it is: then everyone has a row of their own."""
        return self._compiler.everyone or not self._compiler.slots

    def looks(self, instants: Sequence[int], picked: str) -> str:
        """A SELECT of how often `values` would look at an event for an aggregate, over `picked`."""
        return self._compiler.looks(instants, picked)

    def moving(self, since_ms: int) -> str | None:
        """A condition on rows of `picked`: by these alone can anything change after that instant.

        Whoever has no such row, and is merged with nobody, keeps their values. None: everybody may change with time.
        """
        return self._compiler.moving(since_ms)

    @property
    def functions(self) -> Mapping[str, SqlFunction]:
        """Functions of its own that the statements call."""
        return self._compiler.functions

    def picked(self, until_ms: int, events: str = "events") -> str:
        """A SELECT over `events`: what the definitions want to know of each event that had arrived by then."""
        return self._compiler.picked(until_ms, events)

    def values(self, instants: Sequence[int], given: Given = ALL) -> str:
        """A SELECT of `now_ms`, `person` (signed profile id) and the outputs, for everyone who was there then."""
        return self._compiler.values(instants, given)

    def blank(self, instants: Sequence[int]) -> str:
        """A SELECT of `now_ms` and the outputs of somebody of whom no event is mentioned; see `asks_of_everyone`."""
        return self._compiler.blank(instants)

    def column(self, label: str, name: str) -> str:
        """The column of a trait or audience."""
        return next(each.column for each in self.outputs if (each.label, each.name) == (label, name))


def compile_sql(sets: Mapping[str, Checked], wanted: Mapping[str, Collection[str]] | None = None) -> SqlPlan:
    """The SQL of sets of definitions, each with a label: what they share is computed once.

    `wanted`: of a label, only traits and audiences of these names, with what they need. Raises `NotInSql` for a
    construct that has no SQL.
    """
    compiler = _Compiler()
    for label, checked in sets.items():
        assert not checked.problems
        compiler.add(label, checked, None if wanted is None else wanted.get(label))
    return SqlPlan(compiler.outputs, compiler)


class _Compiler:
    def __init__(self) -> None:
        self.outputs: list[Output] = []
        self.everyone = False
        self.functions: dict[str, SqlFunction] = {}
        self._timeless = True
        self._events = Layers("e")
        self._people = Layers("p")
        self._event_scope = EventScope(self._events)
        self.slots: dict[str, Slot] = {}
        self._slots_of: dict[str, set[str]] = {}
        """Column of an output → keys of the slots that it is made of, however far."""
        self._picked: dict[str, str] = {}
        """Text of a column of `picked` → its name."""
        self._names: set[str] | None = set()
        """Names of the events that are mentioned; None: all."""
        self._declared: dict[str, str] = {}
        """Root of a declared trait → column with what an event says of it."""
        self._made: dict[str, str] = {}
        """Column of an output → its text."""

    # --- definitions -----------------------------------------------------------------------------------------
    def add(self, label: str, checked: Checked, wanted: Collection[str] | None) -> None:
        """Compile these of a set's definitions, and the traits that they name."""
        scope = ProfileScope(self._people, self._slot_value)
        needed, slots = _needed(checked, wanted), dict[str, set[str]]()
        for name, node in (checked.traits | checked.audiences).items():
            if name not in needed:
                continue
            parts = list(walk(node))
            slots[name] = {key for part in parts if (key := _key(part))}
            slots[name] |= {
                key for part in parts if isinstance(part, n.TraitRef | n.InAudience) for key in slots[part.name]
            }
            self.everyone = self.everyone or any(isinstance(part, n.Builtin) for part in parts)
            self._timeless = self._timeless and not any(isinstance(part, n.Now | n.Builtin) for part in parts)
            if has_sql(node, checked.types) and checked.types.get(name) != "instant":
                value = scope.value(node)
            else:
                value, slots[name] = self._in_python(label, name, checked)
            if audience := name in checked.audiences:
                value = self._people.name(Sql("boolean", as_boolean(value), value.level))
                scope.audiences[name] = value
            else:
                value = scope.traits[name] = self._people.name(value)
            if wanted is None or name in wanted:
                output = Output(label, name, audience, f"o{len(self.outputs)}", value.kind)
                self._output(output, value)
                self._slots_of[output.column] = slots[name]

    def _in_python(self, label: str, name: str, checked: Checked) -> tuple[Sql, set[str]]:
        """A definition that has no SQL, and the keys of the slots that it is made of."""
        self._timeless = False
        fallback = Fallback(checked, name)
        declared = [n.Declared(0, (root,)) for root in fallback.declared]
        said = [self._slot_value(each).text for each in declared]
        key = f"python {label} {name}"
        self.functions[fallback.called] = fallback.function()
        slot = self.slots[key] = self._events_slot(f"s{len(self.slots)}", fallback.events)
        seen = "[events, first_seen, last_seen]::BIGINT[]"
        given = f"coalesce({slot.name}, []), [{', '.join(said)}]::VARCHAR[], {seen}, now_ms"
        return Sql("json", f"{fallback.called}({given})"), {key, *map(_key, declared)}

    def _events_slot(self, name: str, events: Collection[str]) -> Slot:
        if "*" in events or not events:
            self._names = None if events else self._names
            condition = "true" if events else "false"
        else:
            if self._names is not None:
                self._names.update(events)
            condition = f"name IN ({', '.join(map(quoted, sorted(events)))})"
        return Slot(
            name, "events", " ".join(sorted(events)), self._pick(Sql("boolean", condition)), self._pick(_RAW), None
        )

    def _output(self, output: Output, value: Sql) -> None:
        shown = value if output.audience else as_json(value)
        self._made[output.column] = f"{self._people.name(shown).text} AS {output.column}"
        self.outputs.append(output)

    # --- aggregates ------------------------------------------------------------------------------------------
    def _slot_value(self, node: n.Aggregate | n.Declared) -> Sql:
        key = _key(node)
        slot = self.slots.get(key)
        if slot is None:
            name = f"s{len(self.slots)}"
            slot = (
                self._aggregate(name, node) if isinstance(node, n.Aggregate) else self._trait(name, str(node.path[0]))
            )
            self.slots[key] = slot
        return aggregates.result(self._people, slot)

    def _aggregate(self, name: str, node: n.Aggregate) -> Slot:
        if node.until_ms is not None or node.calendar is not None:
            raise NotInSql("windows that end before now, and those of the calendar")
        if node.event == "*":
            self._names = None
        elif self._names is not None:
            self._names.add(node.event)
        condition = self._pick(aggregates.condition(self._event_scope, node))
        field = aggregates.field(self._event_scope, node)
        return Slot(name, node.function, node.event, condition, self._pick(field) if field else "", node.within_ms)

    def _trait(self, name: str, root: str) -> Slot:
        """A declared trait: the last that events have said of it."""
        kinds = ("identify", "group") if root == "group" else ("identify",)
        if self._names is not None:
            self._names.update(kinds)
        column = self._declared.setdefault(root, f"d{len(self._declared)}")
        condition = self._pick(Sql("boolean", _DECLARES[kinds[-1]]))
        value = aggregates.storable(self._events, Sql("json", column))
        return Slot(name, "last", kinds[-1], condition, self._pick(value), None)

    def _pick(self, value: Sql) -> str:
        """The column of `picked` that holds this value of an event."""
        return self._picked.setdefault(self._events.name(value).text, f"x{len(self._picked)}")

    # --- events ----------------------------------------------------------------------------------------------
    def picked(self, until_ms: int, events: str) -> str:
        """See `SqlPlan.picked`."""
        columns = [f"{text} AS {name}" for text, name in self._picked.items()]
        columns += [column for slot in self.slots.values() for column in aggregates.summed(_before(slot, self._picked))]
        conditions = {text for text, name in self._picked.items() if name in {s.condition for s in self.slots.values()}}
        where = "" if "true" in conditions or not conditions else f"\nWHERE {' OR '.join(sorted(conditions))}"
        rows = self._events.over(self._fields(until_ms, events))
        return f"SELECT {', '.join(['profile, at_ms, received_ms, tie', *columns])}\nFROM ({rows}){where}"

    def _fields(self, until_ms: int, events: str) -> str:
        """The events that are mentioned, with the fields that are: each object is read once."""
        columns, objects = ["profile, at_ms, received_ms, tie, name, type"], []
        if _RAW.text in self._picked:
            columns.append(f"{_EVENT} AS {_RAW.text}")
        for root in _OBJECTS:
            paths = {keys: column for keys, column in self._event_scope.fields.items() if keys[0] == root}
            straight = {keys: path(keys[1:])[0] for keys in paths if len(path(keys[1:])) == 1}
            if straight:
                listed = ", ".join(map(quoted, straight.values()))
                objects.append(f"json_extract({root}, [{listed}]) AS j_{root}")
            for number, keys in enumerate(straight, start=1):
                columns.append(f"nullif(j_{root}[{number}]::VARCHAR, 'null') AS {paths[keys]}")
            columns += [f"{dig(root, k[1:])} AS {column}" for k, column in paths.items() if k not in straight]
        columns += [f"{_declaration(root)} AS {column}" for root, column in self._declared.items()]
        where = [f"received_ms <= {until_ms}"]
        if self._names is not None:
            where.append(f"name IN ({', '.join(map(quoted, sorted(self._names)))})" if self._names else "false")
        inner = f"SELECT {', '.join(['*', *objects])} FROM {events} WHERE {' AND '.join(where)}"
        return f"SELECT {', '.join(columns)}\nFROM ({inner})"

    # --- people ----------------------------------------------------------------------------------------------
    def values(self, instants: Sequence[int], given: Given) -> str:
        """See `SqlPlan.values`."""
        made = {c: text for c, text in self._made.items() if given.only is None or c in given.only}
        keys = {key for column in made for key in self._slots_of[column]}
        slots = [slot for key, slot in self.slots.items() if key in keys]
        parts = _roots(instants)
        if slots:
            if not given.picked:
                parts["picked"] = self.picked(max(instants), given.events)
            columns = "e.* EXCLUDE (profile, received_ms)"
            parts["moments"] = _as_of(instants, given.picked or "picked", columns, _until(slots))
        grouped = _grouped(slots)
        if given.mentioned_only and slots:
            everyone = " UNION ".join(f"SELECT {KEYS} FROM {each}" for each in grouped)
            people = {"people": f"SELECT *, {_NOBODY} FROM ({everyone})"}
        else:
            parts["seen"] = _as_of(instants, given.events, "e.now_ms, e.at_ms")
            people = {"people": f"SELECT {KEYS}, {_SEEN} FROM seen GROUP BY {KEYS}"}
        joined = f"SELECT *{self._unused(slots)} FROM people"
        joined += "".join(f" LEFT JOIN {each} USING ({KEYS})" for each in grouped)
        with_ = ",\n".join(f"{name} AS ({text})" for name, text in (parts | grouped | people).items())
        shown = ", ".join([KEYS, *made.values()])
        return f"WITH RECURSIVE {with_}\nSELECT {shown}\nFROM ({self._people.over(joined)})"

    def _unused(self, slots: Sequence[Slot]) -> str:
        """Columns of all other slots, so that every layer can be written; nothing that is wanted reads them."""
        left = [slot for slot in self.slots.values() if slot not in slots]
        return "".join(f", {column}" for slot in left for column in aggregates.nothing(slot))

    def looks(self, instants: Sequence[int], picked: str) -> str:
        """See `SqlPlan.looks`."""
        counted = " + ".join(
            f"({slot.condition})::INTEGER * {_times(instants, _until([slot]))}" for slot in self.slots.values()
        )
        return f"SELECT coalesce(sum({counted or '0'}), 0)::BIGINT FROM {picked}"

    def moving(self, since_ms: int) -> str | None:
        """See `SqlPlan.moving`."""
        if not self._timeless:
            return None
        leaves = _until([slot for slot in self.slots.values() if slot.within_ms is not None])
        return f"received_ms > {since_ms}" + (f" OR {leaves} > {since_ms}" if leaves else "")

    def blank(self, instants: Sequence[int]) -> str:
        """See `SqlPlan.blank`."""
        none = [column for slot in self.slots.values() for column in aggregates.nothing(slot)]
        row = f"SELECT unnest({_list(instants)}) AS now_ms, {', '.join([_NOBODY, *none])}"
        return f"SELECT {', '.join(['now_ms', *self._made.values()])}\nFROM ({self._people.over(row)})"


_SEEN = "count(*) AS events, min(at_ms) AS first_seen, max(at_ms) AS last_seen"
_NOBODY = "0::BIGINT AS events, NULL::BIGINT AS first_seen, NULL::BIGINT AS last_seen"


def _key(node: n.Node) -> str:
    """Of an aggregate or a declared trait, the key of its slot; else empty."""
    if isinstance(node, n.Aggregate):
        return n.slot(node)
    return f"traits.{node.path[0]}" if isinstance(node, n.Declared) else ""


def _grouped(slots: Sequence[Slot]) -> dict[str, str]:
    """Relations with one row a person and instant, by name: plain aggregates of one event's name, and each tally."""
    plain: dict[str, list[Slot]] = {}
    for slot in slots:
        if not slot.tallied:
            plain.setdefault(slot.event, []).append(slot)
    found = {}
    for number, together in enumerate(plain.values()):
        columns = ", ".join(column for slot in together for column in aggregates.grouped(slot))
        counted = " OR ".join(sorted({slot.condition for slot in together}))
        found[f"group_{number}"] = f"SELECT {KEYS}, {columns} FROM moments WHERE {counted} GROUP BY {KEYS}"
    return found | {f"tally_{slot.name}": aggregates.tally(slot, "moments") for slot in slots if slot.tallied}


def _before(slot: Slot, picked: Mapping[str, str]) -> Slot:
    """The slot over the columns of which `picked` is made."""
    texts = {name: text for text, name in picked.items()}
    return slot._replace(value=texts[slot.value]) if slot.value else slot


def _declaration(root: str) -> str:
    """What an event says of a declared trait: its own traits win over its context's, and a group is a trait."""
    own = path([root])[0]
    said = f"CASE WHEN coalesce(json_exists(traits, {quoted(own)}), false) THEN {dig('traits', [root])}"
    said += f" ELSE {dig('context', ['traits', root])} END"
    group = f" WHEN type = 'group' THEN {_GROUP}" if root == "group" else ""
    return f"CASE WHEN type = 'identify' THEN {said}{group} END"


def roots(as_of_ms: int) -> str:
    """A SELECT of `profile` and `person` of every profile that had been absorbed by then."""
    parts = _roots([as_of_ms])
    made = parts.pop("roots")
    return f"WITH RECURSIVE {', '.join(f'{name} AS ({text})' for name, text in parts.items())} {made}"


def _roots(instants: Sequence[int]) -> dict[str, str]:
    """Who has an absorbed profile's events at each instant, through any number of merges."""
    return {
        "instants": f"SELECT unnest({_list(instants)}) AS now_ms",
        "chain": (
            "SELECT now_ms, absorbed AS profile, survivor AS person, 1 AS steps "
            "FROM merges JOIN instants ON at_ms <= now_ms "
            "UNION ALL SELECT c.now_ms, c.profile, m.survivor, c.steps + 1 FROM chain c "
            "JOIN merges m ON m.absorbed = c.person AND m.at_ms <= c.now_ms"
        ),
        "roots": "SELECT now_ms, profile, arg_max(person, steps) AS person FROM chain GROUP BY now_ms, profile",
    }


def _as_of(instants: Sequence[int], relation: str, columns: str, until: str = "") -> str:
    """The rows of a relation of events that had arrived by each instant, with whose they were then.

    `until`: when a row ceases to matter, if it does: most rows of a window are gone at most instants.
    """
    if len(instants) == 1:
        matters = f" AND {until} > {instants[0]}" if until else ""
        rows = f"SELECT {instants[0]}::BIGINT AS now_ms, * FROM {relation} WHERE received_ms <= {instants[0]}{matters}"
    else:
        then = _then(instants, until)
        where = f" WHERE {until} > {min(instants)}" if until else ""
        rows = f"SELECT unnest({then}) AS now_ms, * FROM {relation}{where}"
    return (
        f"SELECT coalesce(r.person, e.profile) AS person, {columns} FROM ({rows}) e "
        "LEFT JOIN roots r ON r.profile = e.profile AND r.now_ms = e.now_ms"
    )


def _then(instants: Sequence[int], until: str) -> str:
    """The list of the instants at which an event matters."""
    matters = f" AND t < {until}" if until else ""
    return f"list_filter({_list(instants)}, lambda t: t >= received_ms{matters})"


def _times(instants: Sequence[int], until: str) -> str:
    """At about how many of these instants, which are in order, an event matters."""
    first, last = instants[0], instants[-1]
    end = f"least({until}, {last + 1})" if until else f"{last + 1}"
    share = f"({end} - greatest(received_ms, {first})) / {max(1, last - first)}"
    return f"ceil(greatest(0, {share}) * {len(instants)})"


def _until(slots: Iterable[Slot]) -> str:
    """When an event has left the windows of all slots that it counts in; empty: never."""
    always = {slot.condition for slot in slots if slot.within_ms is None}
    within: dict[str, int] = {}
    for slot in slots:
        if slot.within_ms is not None and slot.condition not in always:
            within[slot.condition] = max(slot.within_ms, within.get(slot.condition, 0))
    if not within:
        return ""
    windows = ", ".join(f"CASE WHEN {condition} THEN at_ms + {ms} ELSE 0 END" for condition, ms in within.items())
    last = f"greatest({windows})" if len(within) > 1 else windows
    return f"CASE WHEN {' OR '.join(sorted(always))} THEN {NEVER_MS} ELSE {last} END" if always else f"({last})"


def _list(instants: Sequence[int]) -> str:
    return f"[{', '.join(map(str, instants))}]::BIGINT[]"


def _needed(checked: Checked, wanted: Collection[str] | None) -> set[str]:
    everything = checked.traits.keys() | checked.audiences.keys()
    return everything if wanted is None else references(checked, everything & set(wanted))
