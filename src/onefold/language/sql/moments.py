"""Events at instants: at which of those that are asked about each event is there, and whose it was then."""

from collections.abc import Sequence
from itertools import pairwise

from onefold.language.sql import windows


def as_of(instants: Sequence[int], relation: str, columns: str, until: str = "", join: str = "") -> str:
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
        f"LEFT JOIN roots r ON r.profile = e.profile AND r.now_ms = e.now_ms{join}"
    )


def _then(instants: Sequence[int], until: str) -> str:
    """The list of the instants at which an event matters."""
    first, last = instants[0], instants[-1]
    step = instants[1] - first
    if step > 0 and all(after - before == step for before, after in pairwise(instants)):
        since = f"{first} + {step} * greatest(0, (received_ms - {first} + {step - 1}) // {step})"
        end = f"least({until}, {last + 1})" if until else f"{last + 1}"
        return f"range(({since})::BIGINT, ({end})::BIGINT, {step}::BIGINT)"
    matters = f" AND t < {until}" if until else ""
    return f"list_filter({windows.listed(instants)}, lambda t: t >= received_ms{matters})"


def times(instants: Sequence[int], until: str) -> str:
    """At about how many of these instants, which are in order, an event matters."""
    first, last = instants[0], instants[-1]
    end = f"least({until}, {last + 1})" if until else f"{last + 1}"
    share = f"({end} - greatest(received_ms, {first})) / {max(1, last - first)}"
    return f"ceil(greatest(0, {share}) * {len(instants)})"
