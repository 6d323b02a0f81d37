"""What people did, from Python's tree to ours: aggregates with their windows, their other forms, and sequences.

`did`, `did_not` and `velocity` are read as the counts and sums that they stand for, so that nothing behind the parser
needs to know them.
"""

import ast
from typing import Any, Literal, NamedTuple, Protocol

from msgspec import structs

from onefold.language import nodes as n
from onefold.language.durations import parse_duration
from onefold.language.problem import Code
from onefold.language.reading.show import show_path
from onefold.language.suggest import nearest
from onefold.language.zones import ZONES
from onefold.limits import EVENT_NAME_MAX_CHARS, SEQUENCE_STEPS_MAX, TIME_SINCE_UNIT_MIN_MS, WINDOW_MAX_MS

OTHER_FORMS = ("did", "did_not", "velocity")
SEQUENCES = ("sequence", "sequence_count")
BEHAVIOUR = (*n.AGGREGATES, *OTHER_FORMS, *SEQUENCES)
"""Functions that go over a person's events."""
STEPS = ("step", "without")
"""Functions that stand only in a sequence."""
_TIMES = ("at_least", "at_most", "exactly")
_WINDOW_EXAMPLES = '`"30d"`, `between("60d", "30d")` or `"this_month"`'
_CALENDARS_SHOWN = ", ".join(f"`{name}`" for name in n.CALENDARS)
_OTHER_NAMES = {"today": "this_day", "last_day": "yesterday"}


class Reader(Protocol):
    """What the reader of expressions does for this part of them."""

    problems: list[Any]

    def read(self, node: ast.expr, scope: Literal["profile", "event"]) -> n.Node:
        """Any expression."""
        ...

    def refuse(self, node: ast.expr | ast.keyword, code: Code, message: str, suggestion: str = "") -> n.Literal_:
        """Note a problem."""
        ...

    def duration(self, node: ast.expr) -> int | None:
        """Milliseconds of a duration, or None where that was refused."""
        ...

    def column(self, node: ast.expr) -> int:
        """Where a part of the text begins."""
        ...


def read_behaviour(reader: Reader, node: ast.Call, name: str) -> n.Node:
    """The tree of a call of one of BEHAVIOUR."""
    before = len(reader.problems)
    call = _Call(reader, node, name)
    if name in SEQUENCES:
        found = call.sequence()
    elif name in OTHER_FORMS:
        found = call.velocity() if name == "velocity" else call.did(negated=name == "did_not")
    else:
        found = call.aggregate()
    return n.Literal_(reader.column(node), None) if len(reader.problems) > before else found


class _Window(NamedTuple):
    within_ms: int | None = None
    until_ms: int | None = None
    calendar: str | None = None


class _Call:
    """One call. Whatever is wrong is noted with the reader, and something stands in for it."""

    def __init__(self, reader: Reader, node: ast.Call, name: str) -> None:
        self.reader = reader
        self.node = node
        self.name = name
        self.column = reader.column(node)
        self.keywords = {keyword.arg or "": keyword.value for keyword in node.keywords}

    # --- aggregates -------------------------------------------------------------------------------------------
    def aggregate(self) -> n.Node:
        shape = n.AGGREGATES[self.name]
        event = self._event(optional=shape.field is None)
        field = None if shape.field is None else self._field()
        number = self._number(shape.number, 2)
        self._no_more(1 + (shape.field is not None) + (shape.number is not None))
        by_day = ("timezone",) if shape.by_day else ()
        window = self._window()
        if window.calendar is not None and not by_day:
            by_day = ("timezone",)
        self._only(("where", "within", *shape.options, *by_day))
        return n.Aggregate(
            self.column, self.name, event, field, self._where(), *window,
            timezone=self._timezone(shape), number=number, every_ms=self._every(),
            per=self._per(),
        )  # fmt: skip

    def did(self, *, negated: bool) -> n.Node:
        count = self._count(_TIMES if not negated else ("at_least",))
        at_least, at_most = self._whole("at_least"), self._whole("at_most")
        exactly = self._whole("exactly")
        if exactly is not None and (at_least is not None or at_most is not None):
            self.reader.refuse(self.keywords["exactly"], "arguments", "`exactly=` stands without the other two")
        if negated:
            return self._compare(count, "==", 0) if at_least is None else self._compare(count, "<", at_least)
        if exactly is not None:
            return self._compare(count, "==", exactly)
        if at_most is None:
            return self._compare(count, ">=", 1 if at_least is None else at_least)
        most = self._compare(count, "<=", at_most)
        return most if at_least is None else n.And(self.column, (self._compare(count, ">=", at_least), most))

    def _count(self, options: tuple[str, ...]) -> n.Aggregate:
        event = self._event(optional=False)
        self._no_more(1)
        window = self._window()
        by_calendar = ("timezone",) if window.calendar is not None else ()
        self._only(("where", "within", *options, *by_calendar))
        timezone = self._timezone(n.AGGREGATES["count"])
        return n.Aggregate(self.column, "count", event, None, self._where(), *window, timezone=timezone)

    def _compare(self, count: n.Aggregate, op: str, times: int) -> n.Compare:
        return n.Compare(self.column, op, count, n.Literal_(self.column, times))

    def velocity(self) -> n.Node:
        """A window divided by the one before it, as long."""
        event = self._event(optional=False)
        field = self._field() if len(self.node.args) > 1 else None
        self._no_more(2)
        self._only(("where", "within"))
        window = self._window()
        if window.within_ms is None or window.until_ms is not None:
            message = "`velocity` compares a window with the one before it: say how long it is"
            self.reader.refuse(self.keywords.get("within", self.node), "arguments", message, 'within="7d"')
            return self._nothing()
        if 2 * window.within_ms > WINDOW_MAX_MS:
            self.reader.refuse(self.keywords["within"], "duration", "two of these windows are too long")
        function = "count" if field is None else "sum"
        recent = n.Aggregate(self.column, function, event, field, self._where(), window.within_ms)
        before = n.Aggregate(self.column, function, event, field, recent.where, 2 * window.within_ms, window.within_ms)
        return n.Arithmetic(self.column, "/", recent, before)

    # --- sequences --------------------------------------------------------------------------------------------
    def sequence(self) -> n.Node:
        self._only(("then", "absent", "same", "within", "during"))
        steps = [self._step(each) for each in (*self.node.args, *self._several("then"))]
        absent = [structs.replace(self._step(each), negated=True) for each in self._several("absent")]
        within_ms = self._ms("within")
        wanted = [step for step in steps if not step.negated]
        if absent and len(wanted) == 1 and len(steps) == 1:
            if within_ms is None:
                message = f"how long did no `{absent[0].event}` come? Say it with `within=`"
                self.reader.refuse(self.node, "arguments", message, 'within="7d"')
            steps += [structs.replace(step, within_ms=within_ms) for step in absent]
            within_ms = None
        else:
            steps = _between(steps, absent)
        self._check_steps(steps)
        counted = self.name == "sequence_count"
        return n.Sequence(self.column, tuple(steps), self._same(), within_ms, self._ms("during"), counted)

    def _step(self, node: ast.expr) -> n.Step:
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in STEPS:
            return _Call(self.reader, node, node.func.id).step()
        return n.Step(self.reader.column(node), self._event_name(node))

    def step(self) -> n.Step:
        event = self._event(optional=False)
        self._no_more(1)
        self._only(("where", "within"))
        return n.Step(self.column, event, self._where(), self._ms("within"), self.name == "without")

    def _check_steps(self, steps: list[n.Step]) -> None:
        if len(steps) < 2:
            message = "a sequence has at least two steps"
            self.reader.refuse(
                self.node, "arguments", message, f'{self.name}("Product Viewed", then="Order Completed")'
            )
            return
        if len(steps) > SEQUENCE_STEPS_MAX:
            message = f"a sequence has at most {SEQUENCE_STEPS_MAX} steps, those that must be absent included"
            self.reader.refuse(self.node, "too_large", message)
        if steps[0].negated:
            self._refuse_step(steps[0], "a sequence begins with something that happened")
        if not steps[0].negated and steps[0].within_ms is not None:
            self._refuse_step(steps[0], "the first step has none before it: `within=` is for those after it")
        last = max(i for i, step in enumerate(steps) if not step.negated) if not all(s.negated for s in steps) else 0
        for step in steps[1:last]:
            if step.negated and step.within_ms is not None:
                self._refuse_step(step, "what must be absent between two steps is absent all the time between them")
        ends = {step.within_ms for step in steps[last + 1 :]}
        if None in ends:
            self._refuse_step(steps[-1], "for how long must it be absent after the last step? Say it with `within=`")
        if len(ends) > 1:
            self._refuse_step(steps[-1], "all that must be absent after the last step is so for the same time")

    def _refuse_step(self, step: n.Step, message: str) -> None:
        at = next(
            (
                each
                for each in ast.walk(self.node)
                if isinstance(each, ast.expr) and self.reader.column(each) == step.column
            ),
            self.node,
        )
        self.reader.refuse(at, "arguments", message)

    def _same(self) -> n.Field | None:
        node = self.keywords.get("same")
        if node is None:
            return None
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and node.value:
            return n.Field(self.reader.column(node), ("properties", node.value))
        found = self.reader.read(node, "event")
        if not isinstance(found, n.Field):
            self.reader.refuse(node, "arguments", "`same=` is a field that all steps share", "properties.product_id")
            return None
        return found

    # --- parts ------------------------------------------------------------------------------------------------
    def _nothing(self) -> n.Literal_:
        return n.Literal_(self.column, None)

    def _event(self, *, optional: bool) -> str:
        if self.node.args:
            return self._event_name(self.node.args[0])
        if not optional:
            with_field = self.name in n.AGGREGATES and n.AGGREGATES[self.name].field is not None
            example = f'{self.name}("Order Completed"{", properties.…" if with_field else ""})'
            what = "the name of an event and a field" if with_field else "the name of an event"
            self.reader.refuse(self.node, "arguments", f"`{self.name}` needs {what}", example)
        return "*"

    def _event_name(self, node: ast.expr) -> str:
        if not (isinstance(node, ast.Constant) and isinstance(node.value, str)):
            message = 'first stands the name of an event in quotes; `"*"` is every event'
            self.reader.refuse(node, "arguments", message, self._quoted(node))
            return "*"
        if not 0 < len(node.value) <= EVENT_NAME_MAX_CHARS:
            self.reader.refuse(node, "value", f"the name of an event has 1 to {EVENT_NAME_MAX_CHARS} characters")
        return node.value

    def _quoted(self, node: ast.expr) -> str:
        if isinstance(node, ast.Name):
            return f'"{node.id}"'
        root = node
        while isinstance(root, ast.Attribute | ast.Subscript):
            root = root.value
        if isinstance(root, ast.Name) and root.id in ("properties", "context", "traits") and self.name != "count":
            return f'{self.name}("*", {ast.unparse(node)})'
        return ""

    def _field(self) -> n.Field | None:
        args = self.node.args
        if len(args) < 2:
            if args:
                message = f"`{self.name}` of which field? It stands second"
                self.reader.refuse(self.node, "arguments", message, "properties.…")
            return None
        node = args[1]
        if not isinstance(node, ast.Name | ast.Attribute | ast.Subscript):
            text = node.value if isinstance(node, ast.Constant) else ""
            near = show_path(("properties", text)) if isinstance(text, str) and text.isidentifier() else ""
            self.reader.refuse(node, "arguments", "second stands one field of the event", near)
            return None
        field = self.reader.read(node, "event")
        return field if isinstance(field, n.Field) else None

    def _number(self, wanted: tuple[str, float, float] | None, place: int) -> int | float | None:
        if wanted is None:
            return None
        what, least, most = wanted
        if len(self.node.args) <= place:
            if len(self.node.args) == place:
                self.reader.refuse(self.node, "arguments", f"`{self.name}` needs {what}: it stands third")
            return None
        node = self.node.args[place]
        value = node.value if isinstance(node, ast.Constant) else None
        whole = self.name == "top"
        if (
            isinstance(value, bool)
            or not isinstance(value, int if whole else int | float)
            or not least <= value <= most
        ):
            kind = "a whole number" if whole else "a number"
            self.reader.refuse(node, "value", f"{what} is {kind} from {least} to {most}")
            return None
        return int(value) if value == int(value) else value

    def _no_more(self, places: int) -> None:
        for extra in self.node.args[places:]:
            takes = ("the name of an event", "an event and one field", "an event, a field and a number")[places - 1]
            message = f"`{self.name}` takes {takes}; a condition is `where=`"
            self.reader.refuse(extra, "arguments", message, "where=…")

    def _only(self, allowed: tuple[str, ...]) -> None:
        for keyword in self.node.keywords:
            if keyword.arg not in allowed:
                near = nearest(keyword.arg or "", allowed)
                has = " and ".join(f"`{each}=`" for each in allowed)
                message = f"`{self.name}` has no `{keyword.arg}=`; it has {has}"
                if keyword.arg == "timezone":
                    message = "a time zone is for calendar windows, and for what counts days"
                self.reader.refuse(keyword, "arguments", message, f"{near}=" if near else "")

    def _where(self) -> n.Node | None:
        node = self.keywords.get("where")
        return None if node is None else self.reader.read(node, "event")

    def _ms(self, keyword: str) -> int | None:
        node = self.keywords.get(keyword)
        return None if node is None else self.reader.duration(node)

    def _several(self, keyword: str) -> list[ast.expr]:
        node = self.keywords.get(keyword)
        if isinstance(node, ast.Tuple | ast.List):
            return node.elts
        return [] if node is None else [node]

    def _whole(self, keyword: str) -> int | None:
        node = self.keywords.get(keyword)
        if node is None:
            return None
        value = node.value if isinstance(node, ast.Constant) else None
        if not isinstance(value, int) or isinstance(value, bool) or value < (1 if keyword == "at_least" else 0):
            self.reader.refuse(node, "value", f"`{keyword}=` is a whole number")
            return None
        return value

    def _every(self) -> int | None:
        unit_ms, gap_ms = self._ms("unit"), self._ms("gap")
        if unit_ms is not None and unit_ms < TIME_SINCE_UNIT_MIN_MS:
            message = "the unit is at least an hour: each one that passes changes the value of every such person"
            self.reader.refuse(self.keywords["unit"], "duration", message, '"1h"')
        return gap_ms if unit_ms is None else unit_ms

    def _per(self) -> str | None:
        node = self.keywords.get("per")
        if node is None:
            return None
        periods = n.PERIODS[:3]
        value = node.value if isinstance(node, ast.Constant) else None
        if value not in periods:
            near = nearest(value, periods) if isinstance(value, str) else ""
            message = 'a streak is of days, weeks or months: `per="week"`'
            self.reader.refuse(node, "value", message, f'"{near}"' if near else "")
            return None
        return None if value == "day" else str(value)

    def _timezone(self, shape: n.Shape) -> str | None:
        node = self.keywords.get("timezone")
        if node is None:
            return None
        value = node.value if isinstance(node, ast.Constant) else None
        if value == n.PERSON and shape.by_day:
            message = "days are counted in the workspace's zone, or in one that is named; a person's own may change"
            self.reader.refuse(node, "value", message)
        elif value != n.PERSON and value not in ZONES:
            near = nearest(value, (n.PERSON, *ZONES)) if isinstance(value, str) else ""
            message = 'a time zone is called like `"Europe/Berlin"`, or is each person\'s own: `"person"`'
            self.reader.refuse(node, "value", message, f'"{near}"' if near else "")
        return str(value)

    # --- windows ----------------------------------------------------------------------------------------------
    def _window(self) -> _Window:
        node = self.keywords.get("within")
        if node is None:
            return _Window()
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "between":
            return self._between(node)
        text = node.value if isinstance(node, ast.Constant) else None
        if not isinstance(text, str):
            self.reader.refuse(node, "duration", f"a window is written {_WINDOW_EXAMPLES}", '"30d"')
            return _Window()
        if text in n.CALENDARS:
            return _Window(calendar=text)
        if parse_duration(text) is None and (text in _OTHER_NAMES or text.startswith(("this", "last", "yester"))):
            near = _OTHER_NAMES.get(text) or nearest(text, n.CALENDARS)
            message = f"calendar windows are {_CALENDARS_SHOWN}"
            self.reader.refuse(node, "value", message, f'"{near}"' if near else "")
            return _Window()
        return _Window(self.reader.duration(node))

    def _between(self, node: ast.Call) -> _Window:
        if len(node.args) != 2 or node.keywords:
            message = "`between` takes two durations, the longer first: from so long ago until so long ago"
            self.reader.refuse(node, "arguments", message, 'between("60d", "30d")')
            return _Window()
        within_ms, until_ms = map(self.reader.duration, node.args)
        if within_ms is not None and until_ms is not None and within_ms <= until_ms:
            message = "a window begins before it ends: the longer duration stands first"
            self.reader.refuse(node, "arguments", message, f"between({', '.join(map(ast.unparse, node.args[::-1]))})")
        return _Window(within_ms, until_ms)


def _between(steps: list[n.Step], absent: list[n.Step]) -> list[n.Step]:
    """The steps, with what must be absent between each two that are not negated."""
    found: list[n.Step] = []
    for step in steps:
        if found and not step.negated:
            found += absent
        found.append(step)
    return found
