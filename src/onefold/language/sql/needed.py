"""Which traits and audiences a definition rests on."""

from collections.abc import Collection

from onefold.language.reading.check import Checked
from onefold.language.stream.inputs import named


def references(checked: Checked, names: Collection[str]) -> set[str]:
    """These traits and audiences, and those that they name, however far."""
    trees = checked.traits | checked.audiences
    found = set(names)
    left = list(found)
    while left:
        more = {part.name for part in named(trees[left.pop()])} - found
        found |= more
        left += more
    return found
