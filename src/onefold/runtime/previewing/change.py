"""What a change of the definitions changes: which audiences would mean something else, and what hangs on them."""

from collections.abc import Mapping

import xxhash

from onefold.language import nodes as n
from onefold.language.reading.check import Checked
from onefold.language.sql.needed import references
from onefold.language.stream.inputs import named, walk
from onefold.model.definitions import Definitions


def audiences(before: Checked, after: Checked) -> dict[str, str]:
    """Audience → `new`, `gone`, `changed` or `same`, of all in either; what it means includes its traits."""
    old, new = meanings(before), meanings(after)
    found = {}
    for name in sorted(before.audiences.keys() | after.audiences.keys()):
        if name not in before.audiences:
            found[name] = "new"
        elif name not in after.audiences:
            found[name] = "gone"
        else:
            found[name] = "same" if old[name] == new[name] else "changed"
    return found


def meanings(checked: Checked) -> dict[str, str]:
    """Trait or audience → a fingerprint of what it means: equal for trees that differ only in how they are written."""
    of_accounts = _meanings(checked.accounts, checked.timezone, {})
    return _meanings(checked.traits | checked.audiences, checked.timezone, of_accounts)


def _meanings(trees: Mapping[str, n.Node], timezone: str, of_accounts: Mapping[str, str]) -> dict[str, str]:
    found: dict[str, str] = {}
    for name, node in trees.items():
        parts = [f"|{each}={found[each]}" for each in sorted({part.name for part in named(node)})]
        asked = sorted({part.name for part in walk(node) if isinstance(part, n.OfAccount)})
        parts += [f"|account.{each}={of_accounts.get(each, '')}" for each in asked]
        found[name] = xxhash.xxh3_128_hexdigest(f"{timezone}{n.canonical(node)}{''.join(parts)}".encode())
    return found


def traits_of(checked: Checked, audience: str) -> list[str]:
    """The computed traits that an audience depends on, by name."""
    return sorted(references(checked, [audience]) & checked.traits.keys())


def destinations_of(definitions: Definitions, audience: str) -> list[str]:
    """Destinations that are told who enters and leaves an audience, by name."""
    return sorted(each.name for each in definitions.destinations if {audience, "*"} & {*each.audiences})


def expressions(*definitions: Definitions) -> Mapping[str, str]:
    """Audience → its expression; where both have it, as the first says."""
    return {each.name: each.expression for one in reversed(definitions) for each in one.audiences}
