"""Serving many people at once, in this process: exports of an audience, reads of 1,000 profiles, and a shadow compared.

`python -m bench.serving --profiles 100000`. The people are those of `bench.api`, on the embedded state; CPU time is
that of this process, from the state to the bytes that an answer has. Sending them is not in it.
"""

import argparse
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import msgspec

from bench.api import BATCH, person
from onefold.model import profile
from onefold.model.changes import Changes, Cursor
from onefold.model.definitions import Audience, Definitions, Trait, shadow_name
from onefold.model.rules import Rules
from onefold.runtime.defining.comparison import moves
from onefold.server.audiences.export import columns, rows
from onefold.server.audiences.export_formats import FORMATS, written
from onefold.server.people.profile_batch import read_many
from onefold.server.people.projection import EVERYTHING
from onefold.storage.embedded.state import LmdbState

AUDIENCE = "audience_0"
INCLUDE = "identifiers.email,traits.declared_1,computed.computed_1"
READ = 1_000
DEFINITIONS = Definitions(
    traits=(Trait("computed_1", 'sum("A", properties.b)'),), audiences=(Audience(AUDIENCE, "events > 0"),)
)


def main() -> None:
    """Fill a state, and print what each costs as JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--profiles", type=int, default=100_000)
    people = parser.parse_args().profiles
    with tempfile.TemporaryDirectory() as folder:
        fill(Path(folder), people)
        with closing(LmdbState(Path(folder), readonly=True)) as state:
            found = {"profiles": people, "include": INCLUDE} | _measured(state, people)
    sys.stdout.write(msgspec.json.format(msgspec.json.encode(found)).decode() + "\n")


def fill(path: Path, people: int) -> None:
    """A state with this many people, all in the audience, and one in three of them in its shadow."""
    with closing(LmdbState(path)) as state:
        for first in range(0, people, BATCH):
            made = {found.id: found for found in (person(n) for n in range(first, min(first + BATCH, people)))}
            identifiers = {identifier: found.id for found in made.values() for identifier in found.identifiers}
            members = {AUDIENCE: dict.fromkeys(made, 1), shadow_name(AUDIENCE): dict.fromkeys([*made][::3], 1)}
            changes = Changes(0, Cursor(0, 1, 1), made, identifiers, {}, {}, members, {}, [], [], {})
            encoded = {n: profile.encode(one) for n, one in made.items()}
            state.commit([changes], state.load(identifiers, made, []), encoded)


def _measured(state: LmdbState, people: int) -> dict[str, Any]:
    wanted = columns(DEFINITIONS, AUDIENCE, INCLUDE)

    def export(form: str) -> int:
        return sum(map(len, written(rows(state, AUDIENCE, wanted), FORMATS[form].writer(wanted))))

    found: dict[str, Any] = {}
    for form in FORMATS:
        cpu_s, size = _timed(lambda form=form: export(form))  # type: ignore[misc]
        found[f"export_{form}"] = {"us_per_member": round(1e6 * cpu_s / people, 2), "bytes": size}
    cpu_s, compared = _timed(lambda: moves(state, AUDIENCE))
    found["moves"] = {"us_per_member": round(1e6 * cpu_s / people, 3), "leaving": compared.leaving}
    cpu_s, _ = _timed(lambda: _read(state, min(READ, people)))
    found["batch_read"] = {"profiles": min(READ, people), "ms": round(1e3 * cpu_s, 1)}
    return found


def _read(state: LmdbState, many: int) -> bytes:
    found = read_many(state, Rules(), [f"user_id:u{n}" for n in range(many)], EVERYTHING)
    return msgspec.json.encode(found)


def _timed(work: Callable[[], Any]) -> tuple[float, Any]:
    began_s = time.process_time()
    found = work()
    return time.process_time() - began_s, found


if __name__ == "__main__":
    main()
