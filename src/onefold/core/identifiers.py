"""Identifiers: found in events, normalised on entry, so that one spelling stands for one thing.

An identifier is `namespace:value`. The order in which a `Finder` gives them is their priority: the first one says whose
event it is.
"""

from collections.abc import Callable
from functools import lru_cache
from typing import Any

import phonenumbers
from msgspec import Struct

from onefold.language.stream.excerpt import attribute
from onefold.language.values import dig
from onefold.limits import IDENTIFIER_MAX_BYTES
from onefold.model.account import GROUP
from onefold.model.event import Context, Excerpt
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
    if (special := _NORMALISERS.get(namespace)) is not None and (value := special(value, rules)) is None:
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


_NORMALISERS: dict[str, Callable[[str, Rules], str | None]] = {
    "email": _email,
    "phone": _phone,
    "idfa": _lower,
    "gaid": _lower,
}


class Who(Struct, gc=False):
    """Whose an event is, by its identifiers alone."""

    identifiers: tuple[str, ...]
    """Each once, by priority: user, e-mail, phone, external, device, anonymous."""
    owner: int = 0
    """The profile that has all of these, or one that is gone; 0: there was none when somebody looked last."""

    def settle(self, profile: Profile) -> bool:
        """Say whose this may be; whether all identifiers are that profile's."""
        known = profile.identifiers
        for identifier in self.identifiers:
            if identifier not in known:
                self.owner = 0
                return False
        self.owner = profile.id
        return True


class Finder:
    """Finds the identifiers of events under some rules, remembering those that came with nothing but two ids."""

    def __init__(self, rules: Rules) -> None:
        self.rules = rules
        self._remembered: dict[tuple[Any, Any], Who] = {}
        self._accounts: dict[str | int, Who] = {}

    def find(self, event: Excerpt) -> Who:
        """Who an event is of."""
        context = event.context
        if event.type in _TELLING or (
            context is not None and (context.traits or context.externalIds or context.device)
        ):
            return Who(tuple(self._find(event)))
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
        who = Who(tuple(self._find(event)))
        if all(value is None or _is_short(value) for value in key):
            if len(self._remembered) >= _REMEMBERED:
                self._remembered.clear()
            self._remembered[key] = who
        return who

    def _find(self, event: Excerpt) -> list[str]:
        found: list[str] = []
        if event.userId is not None:
            self._add(found, "user_id", event.userId)
        if event.type == "identify" and event.traits:
            self._add_contacts(found, event.traits)
        if event.context is not None:
            self._add_from_context(found, event.context)
        if event.anonymousId is not None:
            self._add(found, "anonymous_id", event.anonymousId)
        if event.previousId is not None and event.type == "alias":
            self._add(found, "anonymous_id", event.previousId)
        return found

    def _add(self, found: list[str], namespace: str, value: Any) -> None:
        identifier = normalise(namespace, value, self.rules)
        if identifier is not None and identifier not in found:
            found.append(identifier)

    def _add_contacts(self, found: list[str], traits: dict[str, Any]) -> None:
        if "email" in traits:
            self._add(found, "email", traits["email"])
        if "phone" in traits:
            self._add(found, "phone", traits["phone"])

    def _add_from_context(self, found: list[str], context: Context) -> None:
        if type(context.traits) is dict:
            self._add_contacts(found, context.traits)
        if context.externalIds is not None:
            self._add_external(found, context.externalIds)
        if context.device is not None:
            self._add(found, "device_id", dig(context.device, "id"))

    def _add_external(self, found: list[str], external: Any) -> None:
        """Segment's `context.externalIds`: [{id, type, collection, encoding}]; only users' are people's."""
        if type(external) is not list:
            return
        for item in external[:_EXTERNAL_MAX]:
            if type(item) is dict and item.get("collection", "users") == "users":
                namespace = item.get("type")
                if type(namespace) is str and (namespace := _namespace(namespace)):
                    self._add(found, namespace, item.get("id"))


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
