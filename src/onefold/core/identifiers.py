"""Identifiers: found in events, normalised on entry, so that one spelling stands for one thing.

An identifier is `namespace:value`. The order in which a `Finder` gives them is their priority: the first one says whose
event it is.
"""

from collections.abc import Callable
from functools import lru_cache
from typing import Any

import phonenumbers

from onefold.core.rules import Rules
from onefold.language.values import dig
from onefold.limits import IDENTIFIER_MAX_BYTES
from onefold.model.event import Context, Excerpt


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


class Finder:
    """Finds the identifiers of events under some rules, remembering how the values that it saw lately are spelt."""

    def __init__(self, rules: Rules) -> None:
        self._rules = rules
        self._users: dict[Any, str | None] = {}
        self._anonymous: dict[Any, str | None] = {}

    def find(self, event: Excerpt) -> list[str]:
        """The identifiers in an event, each once, by priority: user, e-mail, phone, external, device, anonymous."""
        found: list[str] = []
        user_id, anonymous_id, context = event.userId, event.anonymousId, event.context
        if user_id is not None:
            users = self._users
            user = users[user_id] if user_id in users else self._learn(users, "user_id", user_id)
            if user is not None:
                found.append(user)
        if event.type == "identify" and event.traits:
            self._add_contacts(found, event.traits)
        if context is not None and (context.traits or context.externalIds or context.device):
            self._add_from_context(found, context)
        if anonymous_id is not None:
            others = self._anonymous
            other = (
                others[anonymous_id] if anonymous_id in others else self._learn(others, "anonymous_id", anonymous_id)
            )
            if other is not None:
                found.append(other)
        if event.previousId is not None and event.type == "alias":
            self._add(found, "anonymous_id", event.previousId)
        return found

    def _learn(self, known: dict[Any, str | None], namespace: str, value: str | int) -> str | None:
        """Remember only short values: strangers choose them, and integers past 64 bits may all have one hash."""
        identifier = normalise(namespace, value, self._rules)
        if len(value) <= IDENTIFIER_MAX_BYTES if isinstance(value, str) else -_INT_MAX <= value <= _INT_MAX:
            if len(known) >= _REMEMBERED:
                known.clear()
            known[value] = identifier
        return identifier

    def _add(self, found: list[str], namespace: str, value: Any) -> None:
        identifier = normalise(namespace, value, self._rules)
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


_EXTERNAL_MAX = 20
"""External ids read of one event."""
_REMEMBERED = 100_000
_INT_MAX = 1 << 63


def _namespace(text: str) -> str:
    """A namespace as one word; the colon ends it in an identifier."""
    text = text.strip().lower().replace(" ", "_")
    return text if len(text) <= 64 and ":" not in text else ""
