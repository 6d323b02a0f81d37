"""Definitions → DuckDB SQL over history: all traits and audiences of everyone, as of any instants, in one statement.

It reads the relations `events` and `merges` (`history/layout`). As of an instant, the events that had arrived by
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
from onefold.language.keeping.calendars import PERSON_ZONE, ZONE_FIELD
from onefold.language.keeping.monoids import DAY
from onefold.language.reading.check import Checked
from onefold.language.sql import accounts, aggregates, windows, zones
from onefold.language.sql.aggregates import KEYS, Slot
from onefold.language.sql.behaviour import Steps
from onefold.language.sql.columns import (
    SQL_TYPES,
    Kind,
    Layers,
    Sql,
    as_boolean,
    as_json,
    as_output,
    dig,
    joined,
    path,
    quoted,
)
from onefold.language.sql.declared import DECLARES, declaration, said, saying, there
from onefold.language.sql.expressions import Among, EventScope, ProfileScope
from onefold.language.sql.functions import SqlFunction
from onefold.language.sql.moments import as_of, times
from onefold.language.sql.needed import references
from onefold.language.sql.tallies import distinct
from onefold.language.sql.windows import Instants, Window
from onefold.language.stream.inputs import tells_time, walk
from onefold.limits import NEVER_MS
from onefold.model.account import ID

_OBJECTS = ("properties", "context", "traits")


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
    """A relation that holds what `picked` has selected for these instants and others; empty: it is selected."""
    events: str = "events"
    mentioned_only: bool = False
    """Leave out whoever has no row in `picked`: what is true of them, `blank` says."""
    only: frozenset[str] | None = None
    """Columns of the outputs that are wanted; None: all."""
    accounts: bool = False
    """What `SqlPlan.of_accounts` selects is there, under these names."""


ALL = Given()
_OF_ACCOUNTS = Given(events=accounts.EVENTS)
_ACCOUNTS_SEEN = "accounts_seen"
_ACCOUNTS_PICKED = "accounts_picked_{}"


class SqlPlan(Struct):
    """The statements of some definitions."""

    outputs: list[Output]
    _compiler: "_Compiler"

    @property
    def asks_of_everyone(self) -> bool:
        """Whether an event counts whatever it is: then everyone has a row of their own."""
        return self._compiler.everyone or not self._compiler.slots

    @property
    def aggregates(self) -> int:
        """How many different aggregates and declared traits are computed."""
        return len(self._compiler.slots)

    def looks(self, instants: Sequence[int], given: Given) -> str:
        """A SELECT of how often `values` would look at an event for an aggregate.

        Looks of aggregates that sort a person's events, or count each value, are counted as several; and so are those
        of definitions that call Python.
        """
        return self._compiler.looks(instants, given)

    def moving(self, since_ms: int) -> str | None:
        """A condition on rows of `picked`: by these alone can anything change after that instant.

        Whoever has no such row, and is merged with nobody, keeps their values. None: everybody may change with time.
        """
        return self._compiler.moving(since_ms)

    @property
    def functions(self) -> Mapping[str, SqlFunction]:
        """Functions of its own that the statements call."""
        return self._compiler.functions

    def picked(self, until_ms: int, since_ms: int | None = None, events: str = "events") -> str:
        """A SELECT over `events`: what the definitions want to know of each event that had arrived by then.

        `since_ms`: without those that no longer mattered at this instant, before which nothing will be asked.
        """
        return self._compiler.picked(until_ms, until_ms if since_ms is None else since_ms, events)

    def of_accounts(self, until_ms: int, since_ms: int, picked: str) -> dict[str, str]:
        """Name → a SELECT of what the definitions want to know of accounts, as `picked`; empty: nothing.

        `picked`: a relation that holds what `picked` has selected of all events for the same instants.
        """
        return self._compiler.of_accounts(until_ms, since_ms, picked)

    def values(self, instants: Sequence[int], given: Given = ALL) -> str:
        """A SELECT of `now_ms`, `person` (signed profile id) and the outputs, for everyone who was there then."""
        return self._compiler.values(instants, given)

    def blank(self, instants: Sequence[int], only: Collection[str] | None = None) -> str:
        """A SELECT of `now_ms` and the outputs of somebody of whom no event is mentioned; see `asks_of_everyone`."""
        return self._compiler.blank(instants, only)

    def ordered(self, columns: Mapping[str, str]) -> list[str]:
        """The names of these columns, in the order in which `values` and `blank` give them."""
        names = {column: name for name, column in columns.items()}
        return [names[output.column] for output in self.outputs if output.column in names]

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
    def __init__(self, *, of_accounts: bool = False) -> None:
        """`of_accounts`: over the events of accounts, as `accounts.EVENTS` has them."""
        self._of_accounts = of_accounts
        self._merges = accounts.MERGES if of_accounts else "merges"
        self._accounts: dict[str, _Compiler] = {}
        """Label → what people's definitions read of accounts."""
        self.outputs: list[Output] = []
        self.everyone = False
        self.functions: dict[str, SqlFunction] = {}
        self._timeless = True
        self._events = Layers("e")
        self._people = Layers("p")
        self._instants = Instants()
        self._fields: dict[n.Path, str] = {}
        self._readers: dict[str, set[str]] = {}
        """Object of an event → names of the events of which its fields are read."""
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
        among = Among(checked.types, checked.timezone, self.functions)
        events = EventScope(self._events, among, self._fields)
        scope = ProfileScope(self._people, among, lambda node: self._slot_value(node, events))
        needed, slots = _needed(checked, wanted), dict[str, set[str]]()
        trees = checked.traits | checked.audiences
        if any(accounts.mentions(trees[name]) for name in needed):
            scope.accounts = self._join_accounts(label, checked, [trees[name] for name in needed])
        for name, node in trees.items():
            if name not in needed:
                continue
            parts = list(walk(node))
            _refuse_ruled(checked, parts)
            slots[name] = {key for part in parts for key in _keys(part, checked.timezone)}
            slots[name] |= {
                key for part in parts if isinstance(part, n.TraitRef | n.InAudience) for key in slots[part.name]
            }
            self.everyone = self.everyone or any(isinstance(part, n.Builtin) for part in parts)
            self._timeless = self._timeless and not any(
                isinstance(part, n.Builtin) or tells_time(part) for part in parts
            )
            value = scope.value(node)
            if audience := name in checked.audiences:
                value = self._people.name(Sql("boolean", as_boolean(value), value.level))
                scope.audiences[name] = value
            else:
                value = scope.traits[name] = self._people.name(value)
            if wanted is None or name in wanted:
                output = Output(label, name, audience, f"o{len(self.outputs)}", value.kind)
                self._output(output, value)
                self._slots_of[output.column] = slots[name]

    def _join_accounts(self, label: str, checked: Checked, nodes: Sequence[n.Node]) -> dict[str, Sql]:
        """Have what these expressions read of accounts computed; what it is called → its column beside a person's."""
        names = accounts.reads(nodes)
        inner = self._accounts[label] = _Compiler(of_accounts=True)
        inner.add("", accounts.definitions(checked, names), names)
        self.functions |= inner.functions
        self._timeless, self._names = False, None
        if accounts.LINK not in self.slots:
            condition = self._pick(Sql("boolean", f"({accounts.LINK} IS NOT NULL)"))
            named = self._pick(Sql("json", accounts.LINK))
            self.slots[accounts.LINK] = Slot(f"s{len(self.slots)}", "last", "*", condition, named)
        prefix = f"a{len(self._accounts) - 1}_"
        columns = {each.name: Sql(_of_account(each), prefix + each.column) for each in inner.outputs}
        return columns | {ID: Sql("json", self.slots[accounts.LINK].name)}

    def _output(self, output: Output, value: Sql) -> None:
        if self._of_accounts:
            shown = value if _of_account(output) == "instant" else as_json(value)
        else:
            shown = value if output.audience else as_output(value)
        self._made[output.column] = f"{self._people.name(shown).text} AS {output.column}"
        self.outputs.append(output)

    # --- aggregates ------------------------------------------------------------------------------------------
    def _slot_value(self, node: n.Kept | n.Declared, events: EventScope) -> Sql:
        key = _key(node, events.timezone)
        slot = self.slots.get(key)
        if slot is None and isinstance(node, n.Aggregate) and node.timezone == n.PERSON:
            for each in _ZONE_NODES:
                self._slot_value(each, events)
        if slot is None:
            slot = self.slots[key] = self._slot(f"s{len(self.slots)}", node, events)
        if isinstance(node, n.Sequence) and slot.steps is not None:
            slot = slot._replace(steps=slot.steps._replace(sequence=node))
        return aggregates.result(self._people, slot)

    def _slot(self, name: str, node: n.Kept | n.Declared, events: EventScope) -> Slot:
        if isinstance(node, n.Declared):
            return self._trait(name, str(node.path[0]))
        self._mention(n.events_of(node))
        for part in n.everything(node):
            if isinstance(part, n.Field):
                self._readers.setdefault(str(part.path[0]), set()).update(n.events_of(node))
        if isinstance(node, n.Sequence):
            return self._sequence(name, node, events)
        window = self._instants.window(node, events.timezone)
        counts = aggregates.condition(events, node.event, node.where)
        value, today = aggregates.field(events, node), ""
        if n.AGGREGATES[node.function].by_day:
            kind, in_zone = node.per or DAY, node.timezone or _UTC
            value = zones.period(self._events, kind, Sql("instant", "at_ms"), in_zone)
            today = self._instants.period(kind, in_zone) if node.function == "streak" else ""
        if value is not None and node.event == "*":
            value = self._events.name(value)
            counts = joined("boolean", f"({counts.text} AND {value.text} IS NOT NULL)", (counts, value))
        column = "" if value is None else self._pick(value)
        instants = value is not None and value.kind == "instant"
        return Slot(name, node.function, node.event, self._pick(counts), column, window, node, instants, today)

    def _sequence(self, name: str, node: n.Sequence, events: EventScope) -> Slot:
        steps = [aggregates.condition(events, step.event, step.where) for step in node.steps]
        same = None
        if node.same is not None:
            same = self._events.name(distinct(self._events, as_json(events.value(node.same))))
        known = [] if same is None else [Sql("boolean", f"{same.text} IS NOT NULL", same.level)]
        some = joined("boolean", " OR ".join(f"({step.text})" for step in steps), steps)
        whole = joined("boolean", " AND ".join(f"({part.text})" for part in (some, *known)), (some, *known))
        bits = tuple(map(self._pick, steps))
        window = Window(node.during_ms, lasts_ms=node.during_ms)
        found = Steps(node, bits, "" if same is None else self._pick(same))
        return Slot(name, "sequence", "", self._pick(whole), window=window, steps=found)

    def _mention(self, names: Collection[str]) -> None:
        if "*" in names:
            self._names = None
        elif self._names is not None:
            self._names.update(names)

    def _trait(self, name: str, root: str) -> Slot:
        """A declared trait: the last that events have said of it."""
        kinds = ("group",) if self._of_accounts else ("identify", "group") if root == "group" else ("identify",)
        self._mention(kinds)
        column = self._declared.setdefault(root, f"d{len(self._declared)}")
        declares = accounts.DECLARES if self._of_accounts else DECLARES[kinds[-1]]
        condition = self._pick(Sql("boolean", f"({declares} AND {column} IS NOT NULL)"))
        value = aggregates.storable(self._events, Sql("json", column))
        return Slot(name, "last", kinds[-1], condition, self._pick(value))

    def _pick(self, value: Sql) -> str:
        """The column of `picked` that holds this value of an event."""
        return self._picked.setdefault(self._events.name(value).text, f"x{len(self._picked)}")

    # --- events ----------------------------------------------------------------------------------------------
    def picked(self, until_ms: int, since_ms: int, events: str) -> str:
        """See `SqlPlan.picked`."""
        texts = {name: text for text, name in self._picked.items()}
        columns = [f"{text} AS {name}" for name, text in texts.items()]
        for slot in self.slots.values():
            columns += aggregates.summed(slot._replace(value=texts.get(slot.value, "")))
        reach = {texts[condition]: lasts_ms for condition, lasts_ms in _reach(self.slots.values()).items()}
        matters = [
            f"({text})" if lasts_ms is None else f"(({text}) AND at_ms > {since_ms - lasts_ms})"
            for text, lasts_ms in sorted(reach.items())
        ]
        tie = ["tie"] if any(slot.function in ("first", "last") for slot in self.slots.values()) else []
        rows = self._events.over(self._event_rows(until_ms, since_ms, events))
        where = f"\nWHERE {' OR '.join(matters)}" if matters and "(true)" not in matters else ""
        return f"SELECT {', '.join(['profile, at_ms, received_ms', *tie, *columns])}\nFROM ({rows}){where}"

    def _event_rows(self, until_ms: int, since_ms: int, events: str) -> str:
        """The events that are mentioned, with the fields that are: each object is read once."""
        columns, objects = ["profile, at_ms, received_ms, tie, name, type"], []
        for root in _OBJECTS:
            paths = {keys: column for keys, column in self._fields.items() if keys[0] == root}
            straight = {keys: path(keys[1:])[0] for keys in paths if len(path(keys[1:])) == 1}
            if straight:
                objects.append(f"{self._extracted(root, straight)} AS j_{root}")
            for number, keys in enumerate(straight, start=1):
                columns.append(f"nullif(j_{root}[{number}]::VARCHAR, 'null') AS {paths[keys]}")
            columns += [f"{dig(root, k[1:])} AS {column}" for k, column in paths.items() if k not in straight]
        if self._accounts:
            columns.append(accounts.NAMED)
        if self._of_accounts:
            columns += [f"{accounts.declaration(root)} AS {column}" for root, column in self._declared.items()]
        else:
            listed = [root for root in self._declared if len(path(["traits", root])) == 1]
            objects += saying(listed)
            known = {root: said(at) for at, root in enumerate(listed, start=1)}
            columns += [f"{declaration(root, known.get(root))} AS {column}" for root, column in self._declared.items()]
        where = [f"received_ms <= {until_ms}"]
        reach = list(_reach(self.slots.values()).values())
        lasting = [lasts_ms for lasts_ms in reach if lasts_ms is not None]
        if reach and len(lasting) == len(reach):
            where.append(f"at_ms > {since_ms - max(lasting)}")
        if self._names is not None:
            where.append(_named(self._names) if self._names else "false")
        inner = f"SELECT {', '.join(['*', *objects])} FROM {events} WHERE {' AND '.join(where)}"
        return f"SELECT {', '.join(columns)}\nFROM ({inner})"

    def _extracted(self, root: str, paths: Mapping[n.Path, str]) -> str:
        """The list of values at these paths. Of all events most have none of the fields: then nothing is parsed."""
        found = f"json_extract({root}, [{', '.join(map(quoted, paths.values()))}])"
        firsts = sorted({str(keys[1]) for keys in paths})
        readers = self._readers[root]
        if "*" not in readers:
            return found if readers == self._names else f"CASE WHEN {_named(readers)} THEN {found} END"
        if len(firsts) > _LOOKED_FOR_MAX:
            return found
        return f"CASE WHEN {there(root, firsts)} THEN {found} END"

    # --- people ----------------------------------------------------------------------------------------------
    def values(self, instants: Sequence[int], given: Given) -> str:
        """See `SqlPlan.values`."""
        made = {c: text for c, text in self._made.items() if given.only is None or c in given.only}
        slots = self._slots(given.only)
        parts = _roots(instants, self._instants, self._merges)
        if slots:
            if not given.picked:
                parts["picked"] = self.picked(max(instants), min(instants), given.events)
            parts |= self._moments(instants, given.picked or "picked", slots)
        grouped = _grouped(slots)
        if given.mentioned_only and slots:
            people = {"people": f"SELECT *, {_NOBODY} FROM (SELECT DISTINCT {KEYS} FROM moments)"}
        else:
            parts["seen"] = as_of(instants, given.events, "e.now_ms, e.at_ms")
            people = {"people": f"SELECT {KEYS}, {_SEEN} FROM seen GROUP BY {KEYS}"}
        joined = f"SELECT *{self._unused(slots)} FROM people"
        joined += "".join(f" LEFT JOIN {each} USING ({KEYS})" for each in grouped)
        if self.slots.get(accounts.LINK) in slots:
            for i, each in enumerate(self._accounts.values()):
                known = Given(_ACCOUNTS_PICKED.format(i), _ACCOUNTS_SEEN) if given.accounts else _OF_ACCOUNTS
                parts[f"a{i}"] = each.values(instants, known)
            joined = self._with_accounts(joined)
        elif self._accounts:
            joined = f"SELECT *, {', '.join(self._no_accounts())} FROM ({joined})"
        with_ = ",\n".join(f"{name} AS ({text})" for name, text in (parts | grouped | people).items())
        shown = ", ".join([KEYS, *made.values()])
        return f"WITH RECURSIVE {with_}\nSELECT {shown}\nFROM ({self._people.over(joined)})"

    def _moments(self, instants: Sequence[int], picked: str, slots: Sequence[Slot]) -> dict[str, str]:
        """The relation `moments`: each event at each instant at which it matters."""
        columns = ", ".join(["e.* EXCLUDE (profile, received_ms)", *(f"i.{each}" for each in self._instants.columns())])
        join = "" if self._instants.plain else " JOIN instants i ON i.now_ms = e.now_ms"
        moments = as_of(instants, picked, columns, _until(slots), join)
        theirs = self._instants.theirs()
        if not any(slot.window.span in theirs for slot in slots):
            return {"moments": moments}
        said, latest = (self.slots[_key(node, "")].value for node in _ZONE_NODES)
        return {"dated": moments} | windows.with_own_zones(theirs, (said, latest), KEYS)

    def of_accounts(self, until_ms: int, since_ms: int, picked: str) -> dict[str, str]:
        """See `SqlPlan.of_accounts`."""
        found = {
            _ACCOUNTS_PICKED.format(i): each.picked(until_ms, since_ms, accounts.EVENTS)
            for i, each in enumerate(self._accounts.values())
        }
        if found:
            link = self.slots[accounts.LINK]
            seen = f"SELECT {link.value} AS profile, at_ms, received_ms FROM {picked} WHERE {link.condition}"
            found[_ACCOUNTS_SEEN] = seen
        return found

    def _with_accounts(self, people: str) -> str:
        """People, and beside each what their account has."""
        link, columns, joins = self.slots[accounts.LINK].name, ["p.*"], ""
        for i, each in enumerate(self._accounts.values()):
            columns += [f"a{i}.{output.column} AS a{i}_{output.column}" for output in each.outputs]
            joins += f" LEFT JOIN a{i} ON a{i}.now_ms = p.now_ms AND a{i}.person = p.{link}"
        return f"SELECT {', '.join(columns)} FROM ({people}) p{joins}"

    def _no_accounts(self) -> list[str]:
        """The same columns of somebody without an account."""
        return [
            f"NULL::{SQL_TYPES[_of_account(output)]} AS a{i}_{output.column}"
            for i, each in enumerate(self._accounts.values())
            for output in each.outputs
        ]

    def _unused(self, slots: Sequence[Slot]) -> str:
        """Columns of all other slots, so that every layer can be written; nothing that is wanted reads them."""
        left = [slot for slot in self.slots.values() if slot not in slots]
        return "".join(f", {column}" for slot in left for column in aggregates.nothing(slot))

    def looks(self, instants: Sequence[int], given: Given) -> str:
        """See `SqlPlan.looks`."""
        each = _PYTHON_TIMES if self.functions else 1
        counted = " + ".join(
            f"({slot.condition})::INTEGER * {slot.weight * each} * {times(instants, _until([slot]))}"
            for slot in self._slots(given.only)
        )
        return f"SELECT coalesce(sum({counted or '0'}), 0)::BIGINT FROM {given.picked}"

    def _slots(self, only: Collection[str] | None) -> list[Slot]:
        """Those that these columns are made of."""
        keys = {key for column in self._made if only is None or column in only for key in self._slots_of[column]}
        return [slot for key, slot in self.slots.items() if key in keys]

    def moving(self, since_ms: int) -> str | None:
        """See `SqlPlan.moving`."""
        turns = [(slot.condition, slot.turns_ms) for slot in self.slots.values()]
        if not self._timeless or any(turns_ms is None for _, turns_ms in turns):
            return None
        last: dict[str, int] = {}
        for condition, turns_ms in turns:
            last[condition] = max(turns_ms or 0, last.get(condition, 0))
        later = [f"({condition} AND at_ms > {since_ms - ms})" for condition, ms in last.items() if ms]
        return " OR ".join([f"received_ms > {since_ms}", *later])

    def blank(self, instants: Sequence[int], only: Collection[str] | None) -> str:
        """See `SqlPlan.blank`."""
        made = [text for column, text in self._made.items() if only is None or column in only]
        none = [column for slot in self.slots.values() for column in aggregates.nothing(slot)]
        nothing = ", ".join([_NOBODY, *none, *self._no_accounts()])
        row = f"SELECT unnest({windows.listed(instants)}) AS now_ms, {nothing}"
        return f"SELECT {', '.join(['now_ms', *made])}\nFROM ({self._people.over(row)})"


_SEEN = "count(*) AS events, min(at_ms) AS first_seen, max(at_ms) AS last_seen"
_NOBODY = "0::BIGINT AS events, NULL::BIGINT AS first_seen, NULL::BIGINT AS last_seen"


def _refuse_ruled(checked: Checked, parts: Iterable[n.Node]) -> None:
    """SQL knows the newest value of a declared trait; who has said what of it, history does not tell by person."""
    ruled = {each.name: each.keep for each in checked.identity.traits if each.keep != "newest"}
    for part in parts:
        if isinstance(part, n.Declared) and part.path[0] in ruled:
            raise NotInSql(f"traits.{part.path[0]}, of which more than the newest value counts ({ruled[part.path[0]]})")


_UTC = "UTC"
_ZONE_NODES: tuple[n.Declared, n.Aggregate] = (n.Declared(0, (ZONE_FIELD,)), PERSON_ZONE)
"""What is known of a person's time zone."""
_PYTHON_TIMES = 4
"""About how much more a look costs where values are asked of Python."""
_LOOKED_FOR_MAX = 8
"""Names of fields that a text is searched for before it is parsed."""


def _of_account(output: Output) -> Kind:
    """How what an account has lies beside a person: JSON, as an account may be missing; instants as they are."""
    return "instant" if output.kind == "instant" else "json"


def _key(node: n.Kept | n.Declared, timezone: str) -> str:
    """The key of the slot of something kept or declared, in a workspace of this time zone."""
    if isinstance(node, n.Declared):
        return f"traits.{node.path[0]}"
    zoned = node != PERSON_ZONE and any(isinstance(part, n.Call) for part in n.everything(node))
    zoned = zoned or (isinstance(node, n.Aggregate) and node.timezone == n.PERSON)
    return f"{n.slot(node)} {timezone}" if zoned else n.slot(node)


def _keys(node: n.Node, timezone: str) -> list[str]:
    """The keys of the slots that a node of profile scope reads itself."""
    if isinstance(node, n.OfAccount):
        return [accounts.LINK]
    if not isinstance(node, n.Kept | n.Declared):
        return []
    own = _key(node, timezone)
    if isinstance(node, n.Aggregate) and node.timezone == n.PERSON:
        return [own, *(_key(each, timezone) for each in _ZONE_NODES)]
    return [own]


def _grouped(slots: Sequence[Slot]) -> dict[str, str]:
    """Relations with one row a person and instant, by name: plain aggregates of one event's name, and each other."""
    plain: dict[str, list[Slot]] = {}
    found: dict[str, str] = {}
    for slot in slots:
        relation = aggregates.apart(slot, "moments")
        if relation is None:
            plain.setdefault(slot.event, []).append(slot)
        else:
            found[f"apart_{slot.name}"] = relation
    for number, together in enumerate(plain.values()):
        columns = ", ".join(column for slot in together for column in aggregates.grouped(slot))
        counted = " OR ".join(sorted({slot.condition for slot in together}))
        found[f"group_{number}"] = f"SELECT {KEYS}, {columns} FROM moments WHERE {counted} GROUP BY {KEYS}"
    return found


def _named(names: Collection[str]) -> str:
    return f"name IN ({', '.join(map(quoted, sorted(names)))})"


def roots(as_of_ms: int) -> str:
    """A SELECT of `profile` and `person` of every profile that had been absorbed by then."""
    parts = _roots([as_of_ms], Instants(), "merges")
    made = parts.pop("roots")
    return f"WITH RECURSIVE {', '.join(f'{name} AS ({text})' for name, text in parts.items())} {made}"


def _roots(instants: Sequence[int], among: Instants, merges: str) -> dict[str, str]:
    """Who has an absorbed profile's events at each instant, through any number of merges."""
    return {
        "instants": among.relation(instants),
        "chain": (
            "SELECT now_ms, absorbed AS profile, survivor AS person, 1 AS steps "
            f"FROM {merges} m JOIN instants ON at_ms <= now_ms "
            "UNION ALL SELECT c.now_ms, c.profile, m.survivor, c.steps + 1 FROM chain c "
            f"JOIN {merges} m ON m.absorbed = c.person AND m.at_ms <= c.now_ms"
        ),
        "roots": "SELECT now_ms, profile, arg_max(person, steps) AS person FROM chain GROUP BY now_ms, profile",
    }


def _reach(slots: Iterable[Slot]) -> dict[str, int | None]:
    """Condition → so long after an event of it no slot looks at it any more; None: one always does."""
    found: dict[str, int | None] = {}
    for slot in slots:
        known, lasts_ms = found.get(slot.condition, 0), slot.window.lasts_ms
        found[slot.condition] = None if known is None or lasts_ms is None else max(known, lasts_ms)
    return found


def _until(slots: Iterable[Slot]) -> str:
    """When an event has left the windows of all slots that it counts in; empty: never."""
    reach = _reach(slots)
    always = sorted(condition for condition, lasts_ms in reach.items() if lasts_ms is None)
    leaves = [f"CASE WHEN {c} THEN at_ms + {ms} ELSE 0 END" for c, ms in reach.items() if ms is not None]
    if not leaves:
        return ""
    last = f"greatest({', '.join(leaves)})" if len(leaves) > 1 else leaves[0]
    return f"CASE WHEN {' OR '.join(always)} THEN {NEVER_MS} ELSE {last} END" if always else f"({last})"


def _needed(checked: Checked, wanted: Collection[str] | None) -> set[str]:
    everything = checked.traits.keys() | checked.audiences.keys()
    return everything if wanted is None else references(checked, everything & set(wanted))
