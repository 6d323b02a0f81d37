"""Exports: whole files of every format, rows that are one instant's, bounded, while people come and go."""

import csv
import io
import json
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow.parquet
import pytest

from onefold.errors import Overloaded
from onefold.limits import EXPORTS_MAX
from onefold.model import position
from onefold.model.changes import Changes, Cursor
from onefold.model.definitions import Audience, Definitions, Trait
from onefold.model.profile import Declared, Profile
from onefold.server.audiences.audience_export import Exports
from onefold.server.audiences.export import PAGE, columns, rows
from onefold.server.audiences.export_formats import FORMATS, write_whole, written
from onefold.testing.memory.state import MemoryState
from tests.unit.server import fakes

DEFINITIONS = Definitions(
    traits=(Trait("orders", 'count("Bought")'), Trait("vip", "orders > 3"), Trait("seen", 'unique("*", name)')),
    audiences=(Audience("buyers", "orders > 0"),),
)
ORDER = "itc"
"""First letters of the parts, as they stand in a file."""
INCLUDE = "identifiers.email,identifiers.user_id,traits.plan,computed.orders,computed.vip,computed.seen"


def person(n: int, **changed: Any) -> Profile:
    """Somebody who bought n times; one of them declares odd things."""
    profile = Profile(n, 0, 0, 0, 0, events=n)
    profile.identifiers = {f"email:{n}@example.com": 0, f"email:b{n}@example.com": 1, f"user_id:{n}": 0}
    profile.declared = {"plan": Declared('go"ld, \n=1', 0, b"")} if n % 2 else {}
    profile.computed = {"orders": n, "vip": n > 3, "seen": ["a", n]}
    profile.audiences = {"buyers": fakes.T0 + n}
    for name, value in changed.items():
        setattr(profile, name, value)
    return profile


def crowd(*people: Profile, absorbed: dict[int, int] | None = None) -> MemoryState:
    """A state with these people, who are all listed as members."""
    state = MemoryState()
    members = {"buyers": {one.id: fakes.T0 for one in people} | dict.fromkeys(absorbed or {}, fakes.T0)}
    profiles = {one.id: one for one in people}
    fakes.commit(state, Changes(0, Cursor(1), profiles, {}, absorbed or {}, {}, members, {}, [], [], {}))
    return state


def exported(state: MemoryState, form: str, include: str = INCLUDE) -> bytes:
    """The whole file."""
    wanted = columns(DEFINITIONS, "buyers", include)
    return b"".join(written(rows(state, "buyers", wanted), FORMATS[form].writer(wanted)))


def test_csv_comes_back_as_it_went(tmp_path: Path) -> None:
    """Text is text whatever is in it; several values, lists and numbers are JSON; nothing is empty."""
    found = list(csv.reader(io.StringIO(exported(crowd(person(1), person(4)), "csv").decode(), newline="")))
    header, one, four = found
    assert header == ["id", "entered_at", *sorted(INCLUDE.split(","), key=lambda name: (ORDER.index(name[0]), name))]
    assert one[:2] == [position.show(1), "2023-11-14T22:13:20.001Z"]
    assert json.loads(one[2]) == ["1@example.com", "b1@example.com"]
    assert one[3:] == ["1", 'go"ld, \n=1', "1", '["a",1]', "false"]
    assert four[4] == ""


def test_ndjson_keeps_types() -> None:
    """An object a line, with whole parts where they were asked for."""
    lines = exported(crowd(person(1), person(4)), "ndjson", "identifiers,traits,computed").splitlines()
    one, four = map(json.loads, lines)
    assert one["identifiers"] == {"email": ["1@example.com", "b1@example.com"], "user_id": ["1"]}
    assert (one["traits"], four["traits"]) == ({"plan": 'go"ld, \n=1'}, {})
    assert four["computed"] == {"orders": 4, "vip": True, "seen": ["a", 4]}


def test_an_instant_is_a_time_in_every_format() -> None:
    """A trait that is an instant is written as the API writes times, and is a timestamp where there are types."""
    definitions = Definitions(traits=(Trait("first", 'first("A", time)'),), audiences=DEFINITIONS.audiences)
    state = crowd(person(1, computed={"first": datetime(2023, 11, 14, 22, 13, 20, 5_000, UTC)}), person(2))
    wanted = columns(definitions, "buyers", "computed.first")
    files = {
        name: b"".join(written(rows(state, "buyers", wanted), form.writer(wanted))) for name, form in FORMATS.items()
    }
    assert [line.split(b",")[2] for line in files["csv"].splitlines()[1:]] == [b"2023-11-14T22:13:20.005Z", b""]
    assert json.loads(files["ndjson"].splitlines()[0])["computed.first"] == "2023-11-14T22:13:20.005Z"
    column = pyarrow.parquet.read_table(io.BytesIO(files["parquet"])).column("computed.first")
    assert str(column.type) == "timestamp[ms, tz=UTC]"
    assert column.to_pylist() == [datetime(2023, 11, 14, 22, 13, 20, 5_000, UTC), None]


def test_parquet_has_types() -> None:
    """A column has the type that the definitions say; values of another type are missing rather than wrong."""
    odd = person(2, computed={"orders": "many", "vip": 1, "seen": None})
    huge = person(3, computed={"orders": (1 << 63) - 1})
    table = pyarrow.parquet.read_table(io.BytesIO(exported(crowd(person(1), odd, huge), "parquet")))
    kinds = {name: str(table.schema.field(name).type) for name in table.column_names}
    assert (kinds["id"], kinds["entered_at"], kinds["traits.plan"]) == ("string", "timestamp[ms, tz=UTC]", "string")
    assert (kinds["computed.orders"], kinds["computed.vip"], kinds["computed.seen"]) == ("double", "bool", "string")
    first, second, third = table.to_pylist()
    assert first["identifiers.email"] == ["1@example.com", "b1@example.com"]
    assert (first["computed.orders"], first["computed.vip"], first["computed.seen"]) == (1.0, False, '["a",1]')
    assert (second["computed.orders"], second["computed.vip"], second["computed.seen"]) == (None, None, None)
    assert third["computed.orders"] == 2.0**63


@pytest.mark.parametrize("form", FORMATS)
def test_an_export_is_whole_over_pages(form: str) -> None:
    """More members than a page, and none: each file can be read, and has everybody once."""
    many = 2 * PAGE + 3
    state = crowd(*(person(n) for n in range(1, many + 1)))
    assert len(_ids(form, exported(state, form))) == len(set(_ids(form, exported(state, form)))) == many
    assert _ids(form, exported(MemoryState(), form)) == []


def _ids(form: str, data: bytes) -> list[str]:
    if form == "parquet":
        return [str(one) for one in pyarrow.parquet.read_table(io.BytesIO(data)).column("id").to_pylist()]
    if form == "csv":
        return [row[0] for row in csv.reader(io.StringIO(data.decode(), newline=""))][1:]
    return [json.loads(line)["id"] for line in data.splitlines()]


def test_who_has_gone_meanwhile_is_left_out() -> None:
    """A row is of one instant: who left since the page was read, or is part of somebody else, has none of their own."""
    left = person(2, audiences={})
    found = _ids("ndjson", exported(crowd(person(1), left, person(3), absorbed={9: 1}), "ndjson"))
    assert found == [position.show(1), position.show(3)]


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[fakes.Client]:
    """Give a client of the whole app."""
    with fakes.client(tmp_path_factory.mktemp("export")) as client:
        yield client


@pytest.mark.parametrize("form", FORMATS)
def test_exports_are_streams_of_their_type(client: fakes.Client, form: str) -> None:
    """Each format has a route and a type; Ann is in it, the others have no profile."""
    answer = client.get(f"/v1/audiences/buyers/export.{form}", params={"include": "identifiers.email"})
    assert answer.status_code == 200
    assert answer.headers["content-type"].partition(";")[0] == FORMATS[form].media_type
    assert _ids(form, answer.content) == [position.show(fakes.ANN)]


@pytest.mark.parametrize(
    ("path", "status", "named"),
    [
        ("none/export.csv", 404, "audience"),
        ("buyers/export.csv?include=computed.odrers", 400, "'orders'"),
        ("buyers/export.csv?include=audiences", 400, "audiences"),
        ("buyers/export.csv?fields=id", 400, "fields"),
        ("buyers/export.xlsx", 404, "Not Found"),
    ],
)
def test_mistakes_are_told_before_the_stream(client: fakes.Client, path: str, status: int, named: str) -> None:
    """A stream that has begun is right; what is wrong is answered as everywhere."""
    answer = client.get(f"/v1/audiences/{path}")
    assert answer.status_code == status
    assert named in answer.json()["message"]


def test_exports_at_once_are_bounded(client: fakes.Client) -> None:
    """One too many is told when to come back; one that ends, or is never read, makes room."""
    exports = Exports()
    for _ in range(EXPORTS_MAX):
        exports.begin()
    with pytest.raises(Overloaded):
        exports.begin()
    exports.end()
    exports.begin()
    for _ in range(2 * EXPORTS_MAX):
        assert client.get("/v1/audiences/buyers/export.ndjson").status_code == 200


def test_a_file_is_there_once_it_is_whole(tmp_path: Path) -> None:
    """A failure half way leaves the old file, and nothing else."""
    target = tmp_path / "members.csv"
    write_whole(target, [b"old"])

    def parts() -> Iterator[bytes]:
        yield b"new"
        raise Overloaded("no more")

    with pytest.raises(Overloaded):
        write_whole(target, parts())
    assert [path.read_bytes() for path in tmp_path.iterdir()] == [b"old"]
