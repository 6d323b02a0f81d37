"""What applying a workspace would change: one line for each definition that is new, gone or different."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from msgspec import Struct, structs

from onefold.language.nodes import Node, canonical
from onefold.language.problem import shown_part
from onefold.language.reading.parse import parse_expression
from onefold.model.definitions import Audience, Definitions, Destination, Source, Trait
from onefold.model.identity import IdentifierType, Identity, Matching, TraitRule

Definition = Source | Trait | Audience | Destination


class Change(Struct, frozen=True):
    """One definition that is not the same: `before` is None where it is new, `after` where it is gone."""

    part: str
    name: str
    before: Definition | None
    after: Definition | None

    def show(self) -> str:
        """One line: `+` new, `-` gone, `~` different."""
        part = shown_part(self.part)
        if self.before is None:
            assert self.after is not None
            return f"+ {part} {self.name}{_essence(self.after)}"
        if self.after is None:
            return f"- {part} {self.name}{_essence(self.before)}"
        fields = ", ".join(_fields(self.before, self.after))
        return f"~ {part} {self.name}: {fields}"


def changes(old: Definitions, new: Definitions) -> list[Change]:
    """Every change, by kind and name; versions are not compared, nor the order in files."""
    found: list[Change] = []
    for part in ("source", "account_trait", "trait", "audience", "destination"):
        before, after = _by_name(getattr(old, f"{part}s")), _by_name(getattr(new, f"{part}s"))
        found += [
            Change(part, name, before.get(name), after.get(name))
            for name in sorted(before.keys() | after.keys())
            if before.get(name) != after.get(name)
        ]
    return found


def difference(old: Definitions, new: Definitions) -> list[str]:
    """Every change as a line for people; empty where both say the same."""
    before, after = old.allow_private_hosts, new.allow_private_hosts
    hosts = [f"{sign} private host {host}" for sign, host in _moves(before, after)]
    zone = [] if old.timezone == new.timezone else [f"~ timezone {old.timezone} → {new.timezone}"]
    who = _identities(old.identity, new.identity)
    return [*(change.show() for change in changes(old, new)), *who, *zone, *hosts, *_shadows(old, new)]


def _identities(old: Identity, new: Identity) -> Iterator[str]:
    """What differs in which fields identify people, and in when identifiers are one person."""
    if old.policy != new.policy:
        yield f"~ identity policy {old.policy} → {new.policy}"
    for what, before, after in (("type", old.types, new.types), ("trait", old.traits, new.traits)):
        yield from _parts_of_identity(what, {each.name: each for each in before}, {each.name: each for each in after})
    if [each.name for each in old.types] != (order := [each.name for each in new.types]):
        yield f"~ identity priority {', '.join(order) or 'as built in'}"
    for name in ("blocked", "patterns"):
        shown = "blocked" if name == "blocked" else "blocked pattern"
        yield from (f"{sign} identity {shown} {each}" for sign, each in _moves(getattr(old, name), getattr(new, name)))
    if old.hot != new.hot:
        yield f"~ identity hot {old.hot or 'never'} → {new.hot or 'never'}"
    if old.matching != new.matching:
        yield f"~ identity matching {_matching(old.matching)} → {_matching(new.matching)}"


def _matching(rules: Matching) -> str:
    return f"link {rules.link or 'never'}, review {rules.review or 'as set'}"


def _parts_of_identity(what: str, before: Mapping[str, Any], after: Mapping[str, Any]) -> Iterator[str]:
    for name in sorted(before.keys() | after.keys()):
        if name not in before:
            yield f"+ identity {what} {name}: {said_of(after[name])}"
        elif name not in after:
            yield f"- identity {what} {name}: {said_of(before[name])}"
        elif before[name] != after[name]:
            yield f"~ identity {what} {name}: {said_of(before[name])} → {said_of(after[name])}"


def said_of(rule: IdentifierType | TraitRule) -> str:
    """What is said of a type or a trait, in one line; `as built in` where nothing is."""
    fields = {field.name: getattr(rule, field.name) for field in structs.fields(rule) if field.name != "name"}
    if fields.get("limit") is not None:
        per = "ever" if fields["per"] == "ever" else f"per {fields['per']}"
        fields["limit"] = f"{fields['limit']} {per}"
    fields.pop("per", None)
    said = [f"{name} {_value(value)}" for name, value in fields.items() if value not in (None, (), "", False)]
    return ", ".join(said) or "as built in"


def _shadows(old: Definitions, new: Definitions) -> Iterator[str]:
    """What goes into shadow or comes out of it, as what it would change of the definitions that it runs beside."""
    before, after = _in_shadow(old), _in_shadow(new)
    yield from (f"- shadow ({line})" for line in before if line not in after)
    yield from (f"+ shadow ({line})" for line in after if line not in before)


def _in_shadow(definitions: Definitions) -> list[str]:
    if definitions.shadow is None:
        return []
    return difference(structs.replace(definitions, shadow=None), definitions.shadow)


def _moves(before: Sequence[str], after: Sequence[str]) -> list[tuple[str, str]]:
    new, gone = sorted({*after} - {*before}), sorted({*before} - {*after})
    return [*(("+", host) for host in new), *(("-", host) for host in gone)]


def _by_name(definitions: Iterable[Definition]) -> dict[str, Definition]:
    return {definition.name: definition for definition in definitions}


def _essence(definition: Definition) -> str:
    if isinstance(definition, Trait | Audience):
        return f": {_line(definition.expression)}"
    return f": {definition.url}" if isinstance(definition, Destination) and definition.url else ""


def _fields(before: Definition, after: Definition) -> Iterable[str]:
    for field in structs.fields(type(before)):
        old, new = getattr(before, field.name), getattr(after, field.name, None)
        if old == new:
            continue
        if field.name == "expression" and _meaning(str(old)) == _meaning(str(new)):
            yield "expression written differently, with the same meaning"
        elif field.name == "description":
            yield "description"
        else:
            yield f"{field.name} {_value(old)} → {_value(new)}"


def _meaning(expression: str) -> str:
    node = parse_expression(expression)
    return canonical(node) if isinstance(node, Node) else expression


def _value(value: object) -> str:
    if isinstance(value, tuple):
        return f"[{', '.join(map(str, value))}]"
    if isinstance(value, bool):
        return str(value).lower()
    return _line(str(value)) or '""'


def _line(text: str) -> str:
    return " ".join(text.split())
