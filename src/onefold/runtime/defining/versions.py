"""Versions of the definitions beyond applying a workspace: run some in shadow, promote or drop them, roll back.

Each function gives the content of a new version, and saves nothing: whoever calls shows the difference first, and saves
it with `base=` the version that it was made from.
"""

from collections.abc import Iterator

from msgspec import Struct, structs

from onefold.errors import DefinitionError, InvalidRequest, NotFoundError
from onefold.language.reading.check import Checked, checked
from onefold.language.shadow import with_shadow
from onefold.model.catalog import VersionRow
from onefold.model.definitions import Audience, Definitions, is_shadow, live_name
from onefold.ports import Catalog
from onefold.runtime.defining.difference import changes, difference


class Change(Struct):
    """A version, and what it changed."""

    version: int
    author: str
    created_at_ms: int
    note: str
    changes: list[str]


def in_shadow(live: Definitions, candidate: Definitions) -> Definitions:
    """The live definitions with the candidate in shadow, instead of one that may be there already.

    Raises `InvalidRequest` where it says what is live, or has another time zone, traits of accounts or identity;
    `DefinitionError` where both together are too many.
    """
    alone = _content(candidate)
    if alone.timezone != live.timezone:
        raise InvalidRequest(
            f"the workspace's time zone is {live.timezone}, the candidate's {alone.timezone}: both are judged by one "
            "clock, so apply the new zone first, or keep it"
        )
    if alone.identity != live.identity:
        raise InvalidRequest(
            "the candidate says something else of identity, and an event is of one person, in shadow or not: "
            "`onefold identity what-if` tries those rules on all of the past; apply them first, or keep what is live"
        )
    if any(change.part == "account_trait" for change in changes(live, alone)):
        raise InvalidRequest("traits of accounts do not run in shadow: apply those first, or keep them as they are")
    if not difference(structs.replace(live, shadow=None), alone):
        raise InvalidRequest(f"version {live.version} says the same already: there is nothing to run in shadow")
    return _sound(structs.replace(live, shadow=alone, coming=None, quiet=(), note="in shadow"))


def promoted(live: Definitions) -> Definitions:
    """What runs in shadow, live. Raises `NotFoundError` where nothing does."""
    return _sound(structs.replace(_shadow(live), note=f"promotes the shadow of version {live.version}"))


def dropped(live: Definitions) -> Definitions:
    """What is live, without a shadow. Raises `NotFoundError` where there is none."""
    _shadow(live)
    return structs.replace(live, shadow=None, coming=None, quiet=(), note=f"drops the shadow of version {live.version}")


def rolled_back(catalog: Catalog, version: int) -> Definitions:
    """What an older version said, as it can be made the next one; what it had in shadow stays behind.

    Raises `NotFoundError` where there is no such version, `DefinitionError` where checks have become stricter.
    """
    old = catalog.definitions(version)
    return _sound(structs.replace(_content(old), note=f"rolls back to version {version}"))


def history(catalog: Catalog, rows: list[VersionRow]) -> Iterator[Change]:
    """What these versions changed, each against the one before it. Reads two contents for each."""
    for row in rows:
        new = catalog.definitions(row.version)
        changes = difference(catalog.definitions(row.version - 1), new)
        yield Change(row.version, row.author, row.created_at_ms, new.note, changes)


def both(definitions: Definitions) -> Checked:
    """All that is judged under these definitions: also what runs in shadow, as `language.shadow` says."""
    whole = checked(definitions, stored=True)
    if whole.problems or definitions.shadow is None:
        return whole
    candidate = checked(definitions.shadow, stored=True)
    return candidate if candidate.problems else with_shadow(whole, candidate)


def shadowed(definitions: Definitions) -> dict[str, Audience]:
    """The audiences that run in shadow, by the names that they have there."""
    if definitions.shadow is None:
        return {}
    candidates = {audience.name: audience for audience in definitions.shadow.audiences}
    names = [name for name in both(definitions).audiences if is_shadow(name)]
    return {name: candidates[live_name(name)] for name in names}


def _shadow(live: Definitions) -> Definitions:
    if live.shadow is None:
        raise NotFoundError(f"nothing runs in shadow beside version {live.version}; see `onefold apply --shadow`")
    return live.shadow


def _content(definitions: Definitions) -> Definitions:
    """What they define, without what goes for one version alone."""
    return structs.replace(definitions, version=0, coming=None, quiet=(), shadow=None, note="")


def _sound(definitions: Definitions) -> Definitions:
    if problems := both(definitions).problems:
        raise DefinitionError([problem.show() for problem in problems])
    return definitions
