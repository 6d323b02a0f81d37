"""Identifiers: found in events, normalised on entry, so that one spelling stands for one thing.

An identifier is `namespace:value`. The order in which a `Finder` gives them is their priority: the first one says whose
event it is.
"""

from collections.abc import Callable
from functools import lru_cache
from typing import Any, NamedTuple

import phonenumbers
from msgspec import Struct

from onefold.core.identity.rulebook import Rulebook, rulebook_of
from onefold.kernel import native
from onefold.language.scalars.patterns import Search, search
from onefold.language.stream.excerpt import attribute
from onefold.language.values import dig
from onefold.limits import IDENTIFIER_MAX_BYTES
from onefold.model.account import GROUP
from onefold.model.event import Context, Excerpt
from onefold.model.identity import NOTHING, Identity
from onefold.model.profile import Profile
from onefold.model.rules import Rules


def normalise(namespace: str, value: Any, rules: Rules) -> str | None:
    """The identifier `namespace:value` in its one spelling; None where the value identifies nobody."""
    kind = type(value)
    if kind is not str:
        if kind is not int:
            return None
        value = str(value)
    value = value.strip()
    if value.lower() in rules.blocked or not value:
        return None
    special = _NORMALISERS.get(namespace)
    if rules.identity is not NOTHING:
        spelling = _spellings_of(rules.identity).get(namespace)
        if spelling.blocks(value.lower()):
            return None
        special = spelling.special or special
    if special is not None and (not (value := special(value, rules))):
        return None
    identifier = f"{namespace}:{value}"
    if len(identifier) > _SURELY_SHORT and len(identifier.encode()) > IDENTIFIER_MAX_BYTES:
        return None
    return identifier


_SURELY_SHORT = IDENTIFIER_MAX_BYTES // 4
"""So many characters of any kind are not too many bytes."""


def _email(value: str, _rules: Rules) -> str | None:
    """Lower case; the domain's and in practice every provider's local part ignores case."""
    local, at, domain = value.lower().rpartition("@")
    if not at or not local or "." not in domain or " " in value:
        return None
    return f"{local}@{domain}"


_PHONE_MAX_CHARS = 64
"""Longer than any number with its spaces and extension; what is remembered of phones stays small."""


def _phone(value: str, rules: Rules) -> str | None:
    return _e164(value, rules.phone_region) if len(value) <= _PHONE_MAX_CHARS else None


@lru_cache(maxsize=65_536)
def _e164(value: str, region: str) -> str | None:
    try:
        number = phonenumbers.parse(value, region or None)
    except phonenumbers.NumberParseException:
        return None
    if not phonenumbers.is_possible_number(number):
        return None
    return str(phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164))


def _lower(value: str, _rules: Rules) -> str | None:
    return value.lower()


def _mailbox(value: str, rules: Rules) -> str | None:
    """Without what follows a plus sign, which reaches the same mailbox at most providers, and Gmail's dots."""
    spelled = _email(value, rules)
    if spelled is None:
        return None
    local, _, domain = spelled.partition("@")
    local = local.partition("+")[0] or local
    return f"{local.replace('.', '') if domain in _DOTLESS else local}@{domain}"


_DOTLESS = ("gmail.com", "googlemail.com")


def _digits(value: str, _rules: Rules) -> str | None:
    return "".join(each for each in value if each in "0123456789")


def _alphanumeric(value: str, _rules: Rules) -> str | None:
    return "".join(each for each in value.lower() if each.isalnum())


def _as_it_is(value: str, _rules: Rules) -> str | None:
    return value


_NORMALISERS: dict[str, Callable[[str, Rules], str | None]] = {
    "email": _email,
    "phone": _phone,
    "idfa": _lower,
    "gaid": _lower,
}


_NAMED: dict[str, Callable[[str, Rules], str | None]] = {
    "none": _as_it_is, "lower": _lower, "email": _email, "mailbox": _mailbox, "phone": _phone, "digits": _digits,
    "alphanumeric": _alphanumeric,
}  # fmt: skip
"""Those that a workspace may name for a type (`model.identity.Normaliser`)."""


class _Spelling(NamedTuple):
    """How values of a type are spelled, and which identify nobody."""

    special: Callable[[str, Rules], str | None] | None
    blocked: frozenset[str]
    patterns: tuple[Search, ...]

    def blocks(self, value: str) -> bool:
        """Whether this value, in lower case, identifies nobody."""
        return value in self.blocked or any(pattern(value) for pattern in self.patterns)


class _Spellings:
    """The spellings of all types of one workspace."""

    def __init__(self, identity: Identity) -> None:
        blocked, patterns = frozenset(identity.blocked), tuple(map(search, identity.patterns))
        self.identity = identity
        self._others = _Spelling(None, blocked, patterns)
        self._types = {
            each.name: _Spelling(
                _NAMED.get(each.normalise), blocked.union(each.blocked), (*patterns, *map(search, each.patterns))
            )
            for each in identity.types
        }

    def get(self, namespace: str) -> _Spelling:
        """Of this type."""
        return self._types.get(namespace, self._others)


_SPELLINGS: dict[int, _Spellings] = {}
"""By the identity of what they are made from, which each holds on to; hashing it anew would cost more than it saves."""
_SPELLINGS_MAX = 16


def _spellings_of(identity: Identity) -> _Spellings:
    found = _SPELLINGS.get(id(identity))
    if found is None or found.identity is not identity:
        if len(_SPELLINGS) >= _SPELLINGS_MAX:
            _SPELLINGS.clear()
        found = _SPELLINGS[id(identity)] = _Spellings(identity)
    return found


class Who(Struct, gc=False):
    """Whose an event is, by its identifiers alone."""

    identifiers: tuple[str, ...]
    """Each once, by priority: user, e-mail, phone, external, device, anonymous."""
    owner: int = 0
    """The profile that has all of these, or one that is gone; 0: there was none when somebody looked last."""

    def settle(self, profile: Profile) -> bool:
        """Say whose this may be; whether all identifiers are that profile's."""
        if profile.has_all(self.identifiers):
            self.owner = profile.id
            return True
        self.owner = 0
        return False


class Finder:
    """Finds the identifiers of events under some rules, remembering those that came with nothing but two ids."""

    def __init__(self, rules: Rules) -> None:
        self.rules = rules
        self._remembered: dict[tuple[Any, Any], Who] = {}
        self._accounts: dict[str | int, Who] = {}
        blocked = rules.blocked if rules.identity is NOTHING else None
        self.whos = None if native is None else native.Whos(blocked, IDENTIFIER_MAX_BYTES)
        """What the kernel finds and remembers of the same; None: it is to ask `find_anew` of each event."""

    def find_anew(self, event: Excerpt) -> Who:
        """Who an event is of, whoever remembers that."""
        return Who(tuple(self._find(event)))

    def find(self, event: Excerpt) -> Who:
        """Who an event is of."""
        context = event.context
        if event.type in _TELLING or (
            context is not None and (context.traits or context.externalIds or context.device)
        ):
            return self.find_anew(event)
        # 1 and 1.0 are equal as keys, but no id is a float; a boolean is none either.
        key = (event.userId, event.anonymousId)
        who = self._remembered.get(key)
        return self._remember(key, event) if who is None else who

    def find_account(self, event: Excerpt) -> Who | None:
        """The account that an event names: a `group` call by its `groupId`, any other event by `context.groupId`.

        The decoder must have been asked for the latter.
        """
        group: Any = event.groupId if event.type == "group" else getattr(event.context, _GROUP, None)
        if type(group) is not str and type(group) is not int:
            return None
        found = self._accounts.get(group)
        if found is None and (identifier := normalise("", group, self.rules)) is not None:
            found = Who((identifier,))
            if _is_short(group):
                if len(self._accounts) >= _REMEMBERED:
                    self._accounts.clear()
                self._accounts[group] = found
        return found

    def _remember(self, key: tuple[Any, Any], event: Excerpt) -> Who:
        """Remember only short values: strangers choose them, and integers past 64 bits may all have one hash."""
        who = self.find_anew(event)
        if all(value is None or _is_short(value) for value in key):
            if len(self._remembered) >= _REMEMBERED:
                self._remembered.clear()
            self._remembered[key] = who
        return who

    def _find(self, event: Excerpt) -> list[str]:
        found: list[str] = []
        if event.userId is not None:
            self._add_built_in(found, "user_id", event.userId)
        if event.type == "identify" and event.traits:
            self._add_contacts(found, event.traits)
        if event.context is not None:
            self._add_from_context(found, event.context)
        if event.anonymousId is not None:
            self._add_built_in(found, "anonymous_id", event.anonymousId)
        if event.previousId is not None and event.type == "alias":
            self._add_built_in(found, "anonymous_id", event.previousId)
        return found

    def _add(self, found: list[str], namespace: str, value: Any) -> None:
        identifier = normalise(namespace, value, self.rules)
        if identifier is not None and identifier not in found:
            found.append(identifier)

    def _add_built_in(self, found: list[str], namespace: str, value: Any) -> None:
        """A value that stands where events of the spec carry this type."""
        self._add(found, namespace, value)

    def _add_contacts(self, found: list[str], traits: dict[str, Any]) -> None:
        if "email" in traits:
            self._add_built_in(found, "email", traits["email"])
        if "phone" in traits:
            self._add_built_in(found, "phone", traits["phone"])

    def _add_from_context(self, found: list[str], context: Context) -> None:
        if type(context.traits) is dict:
            self._add_contacts(found, context.traits)
        if context.externalIds is not None:
            self._add_external(found, context.externalIds)
        if context.device is not None:
            self._add_built_in(found, "device_id", dig(context.device, "id"))

    def _add_external(self, found: list[str], external: Any) -> None:
        """Segment's `context.externalIds`: [{id, type, collection, encoding}]; only users' are people's."""
        if type(external) is not list:
            return
        for item in external[:_EXTERNAL_MAX]:
            if type(item) is dict and item.get("collection", "users") == "users":
                namespace = item.get("type")
                if type(namespace) is str and (namespace := _namespace(namespace)):
                    self._add(found, namespace, item.get("id"))


class RuledFinder(Finder):
    """The same where a workspace says which fields carry identifiers, and in what order they count."""

    def __init__(self, rules: Rules, rulebook: Rulebook) -> None:
        super().__init__(rules)
        self.whos = None
        self._rulebook = rulebook
        self._fields = [(kind.name, _field(path)) for kind in rules.identity.types for path in kind.fields]
        self._elsewhere = frozenset(name for name, _ in self._fields)
        """Types that are not where they are built in."""

    def find(self, event: Excerpt) -> Who:
        """Who an event is of."""
        if any(read(event) is not None for _, read in self._fields):
            return self.find_anew(event)
        return super().find(event)

    def _find(self, event: Excerpt) -> list[str]:
        found = super()._find(event)
        for namespace, read in self._fields:
            self._add(found, namespace, read(event))
        return self._rulebook.order(found)

    def _add_built_in(self, found: list[str], namespace: str, value: Any) -> None:
        if namespace not in self._elsewhere:
            self._add(found, namespace, value)


def finder_of(rules: Rules) -> Finder:
    """What finds identifiers under these rules."""
    rulebook = rulebook_of(rules.identity)
    return Finder(rules) if rulebook is None else RuledFinder(rules, rulebook)


def _field(path: str) -> Callable[[Excerpt], Any]:
    """Reads what stands at a path of an event, such as `properties.card.number`; None where nothing does."""
    root, *steps = path.split(".")
    if root == "traits":
        return lambda event: _said_trait(event, steps)
    if root not in ("context", "properties"):
        return lambda event: getattr(event, root)
    name = steps[0] if root == "context" and steps[0] in Context.__struct_fields__ else attribute(steps[0])

    def read(event: Excerpt) -> Any:
        value = getattr(getattr(event, root), name, None)
        return dig(value, *steps[1:]) if value is not None else None

    return read


def _said_trait(event: Excerpt, steps: list[str]) -> Any:
    """A trait of the person: of an identify, or in the context, where some SDKs put it."""
    value = dig(event.traits, *steps) if event.type == "identify" else None
    if value is None and event.context is not None:
        value = dig(event.context.traits, *steps)
    return value


_GROUP = attribute(GROUP)
_EXTERNAL_MAX = 20
"""External ids read of one event."""
_REMEMBERED = 100_000
_INT_MAX = 1 << 63
_TELLING = ("identify", "alias")
"""Types of events that may say more identifiers than their two ids."""


def _is_short(value: str | int) -> bool:
    return len(value) <= IDENTIFIER_MAX_BYTES if isinstance(value, str) else -_INT_MAX <= value <= _INT_MAX


def _namespace(text: str) -> str:
    """A namespace as one word; the colon ends it in an identifier."""
    text = text.strip().lower().replace(" ", "_")
    return text if len(text) <= 64 and ":" not in text else ""
